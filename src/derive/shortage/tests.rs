use facts::Origin;

use super::*;

fn record(pairs: &[(&str, u64)]) -> Value {
    Value::Record(pairs.iter().map(|(name, n)| ((*name).to_owned(), Value::from(*n))).collect())
}

/// An OOM of a machine with 32 GB and the counters given, in pages.
fn oom(pages: &[(&str, u64)]) -> Fact {
    let mut all = vec![("active_file", 10u64), ("slab_unreclaimable", 7600), ("free", 40_000)];
    all.retain(|(name, _)| !pages.iter().any(|(other, _)| other == name));
    all.extend(pages);
    Fact::new("log.oom", Origin::lines("dmesg", 1, 30))
        .with("title", "out of memory: killed java")
        .with("killed_comm", "java")
        .with("killed_anon_rss_kb", 400)
        .with("pages_ram", 8_388_608)
        .with("constraint", "NONE")
        .with("pages", record(&all))
}

fn told(fact: &Fact) -> String {
    headline(fact, "oom").unwrap_or_default()
}

#[test]
fn the_holder_is_named_and_the_victim_is_called_one() {
    let row = |comm: &str, pages: u64, adj: i64| {
        let mut row = BTreeMap::from([("comm".to_owned(), Value::from(comm))]);
        row.insert("rss_pages".to_owned(), pages.into());
        row.insert("oom_score_adj".to_owned(), adj.into());
        Value::Record(row)
    };
    let mut cache = BTreeMap::from([("cache".to_owned(), Value::from("kmalloc-64"))]);
    cache.insert("total_kb".to_owned(), 28_000_000u64.into());
    let huge = record(&[("node", 0), ("hugepage_kb", 2048), ("total", 15_000), ("free", 15_000)]);
    for (fact, holder) in [
        (
            oom(&[("slab_unreclaimable", 7_600_000)]).with("slabs", vec![Value::Record(cache)]),
            "slab memory that cannot be reclaimed holds 28.9 GB of 32.0 GB, most of it kmalloc-64 (26.7 GB)",
        ),
        (oom(&[("shmem", 7_600_000)]), "tmpfs and shared memory hold 28.9 GB of 32.0 GB"),
        (oom(&[]).with("hugepages", vec![huge]), "huge pages reserve 29.2 GB of 32.0 GB, 29.2 GB of it unused"),
        (
            oom(&[("active_anon", 7_600_000)]).with("tasks", vec![row("leaky", 7_500_000, -1000), row("java", 100, 0)]),
            "leaky holds 28.6 GB of 32.0 GB, protected by oom_score_adj -1000",
        ),
        (oom(&[("pagetables", 5_000_000)]), "page tables hold 19.0 GB of 32.0 GB"),
        (oom(&[("free", 100)]), "31.9 GB of 32.0 GB are in no counter"),
    ] {
        let text = told(&fact);
        assert!(text.contains(holder), "{text}");
        assert!(text.contains("that task held 400 kB: a victim"), "{text}");
    }
}

#[test]
fn what_memory_counts_as_vmalloc_is_in_a_counter() {
    let counts = |vmalloc: u64, percpu: u64| {
        Fact::new("mem.memory", Origin::memory("dmesg", 0, "page counters"))
            .with("vmalloc", vmalloc << 20)
            .with("percpu", percpu << 20)
    };
    let of = |memory: Fact| {
        let report = oom(&[("free", 100)]);
        told(&with_memory(&[memory], &report).unwrap_or(report))
    };
    let text = of(counts(30_000, 10));
    assert!(text.contains("vmalloc areas hold 29.2 GB of 32.0 GB") && !text.contains("no counter"), "{text}");
    assert!(of(counts(10, 30_000)).contains("per-CPU areas hold 29.2 GB"));
    assert!(of(counts(100, 10)).contains("31.8 GB of 32.0 GB are in no counter: pages of drivers"));
    // The machine lived on after the report, and vmalloc grew since.
    assert!(of(counts(60_000, 10)).contains("in no counter of the report: vmalloc or per-CPU"));
    assert!(told(&oom(&[("free", 100)])).contains("in no counter of the report: vmalloc or per-CPU"));
}

#[test]
fn much_that_is_free_in_small_pieces_is_no_shortage() {
    let counts = |counts: &[u64]| {
        let mut row = BTreeMap::from([("zone".to_owned(), Value::from("Normal"))]);
        row.insert("page_kb".to_owned(), 4.into());
        row.insert("counts".to_owned(), Value::List(counts.iter().map(|n| Value::from(*n)).collect()));
        Value::Record(row)
    };
    let failed = |free: &[u64]| {
        let mut fact = oom(&[("free", 1_100_000)]).with("order", 4).with("blocks", vec![counts(free)]);
        fact.kind = "log.page_alloc_failure".into();
        told(&fact)
    };
    let text = failed(&[900_000, 100_000, 0, 0, 0, 0]);
    assert!(text.contains("no shortage but fragmentation: 4.1 GB are free, and no block of order 4 (64 kB"), "{text}");
    assert!(!failed(&[900_000, 100_000, 0, 0, 3, 0]).contains("fragmentation"));
}

#[test]
fn one_full_zone_is_no_shortage_of_all() {
    let zone = |name: &str, free: u64, high: u64| {
        let mut row = BTreeMap::from([("zone".to_owned(), Value::from(name))]);
        row.insert("free_kb".to_owned(), free.into());
        row.insert("high_kb".to_owned(), high.into());
        Value::Record(row)
    };
    let zones = |low: u64| vec![zone("Normal", low, 4000), zone("HighMem", 3_000_000, 4000)];
    let full = oom(&[("free", 751_000)]).with("gfp", 0xcc0).with("zones", zones(2000));
    assert!(
        told(&full).contains("only zone Normal may serve it (low memory): 1.9 MB are free there, and 2.8 GB elsewhere")
    );
    assert!(!told(&oom(&[]).with("gfp", 0xcc0).with("zones", zones(900_000))).contains("only zone"));
}

#[test]
fn a_caller_that_cannot_wait_is_told_from_one_that_can() {
    let failed = |mode: i64, names: &str| {
        let quote = format!("x: page allocation failure: order:0, mode:{mode:#x}{names}");
        let fact = Fact::new("log.page_alloc_failure", Origin::lines("dmesg", 1, 3)).with("mode", mode).quoting(quote);
        told(&fact).contains("could not wait")
    };
    assert!(failed(0xa20, "(GFP_ATOMIC), nodemask=(null)") && failed(0x20, "") && failed(0x208_0020, ""));
    assert!(!failed(0xcc0, "(GFP_KERNEL), nodemask=(null)") && !failed(0xd0, "") && !failed(0x240_00c0, ""));
}

#[test]
fn a_cgroup_s_kernel_memory_is_told() {
    let fact = Fact::new("log.memcg_oom", Origin::lines("dmesg", 1, 30))
        .with("memory_limit_kb", 1_048_576)
        .with("memory_usage_kb", 1_048_576)
        .with("kmem_usage_kb", 900_000);
    assert_eq!(told(&fact), "oom; at its limit of 1.0 GB; kernel memory is 878 MB of it");
    let named = Fact::new("log.memcg_oom", Origin::lines("dmesg", 1, 1)).with("cgroup", "/system.slice/a.service");
    assert_eq!(told(&named), "oom; /system.slice/a.service at its limit");
    let none = Fact::new("log.memcg_oom", Origin::lines("dmesg", 1, 30));
    assert!(headline(&none, "oom").is_none());
}

#[test]
fn memory_names_the_largest_user_of_what_a_counter_only_sums_up() {
    let holder = |holds: &str, name: &str, mib: u64| {
        Fact::new("mem.memory_holder", Origin::memory("dmesg", 0, "holders"))
            .with("holds", holds)
            .with("name", name)
            .with("bytes", mib << 20)
    };
    let held = [holder("shared memory", "/dev/shm/cache", 20_000), holder("shared memory", "memfd:x", 900)];
    let report = oom(&[("shmem", 6_000_000), ("inactive_anon", 6_000_000), ("free", 100)]);
    let text = told(&with_memory(&held, &report).unwrap_or_else(|| report.clone()));
    assert!(text.contains("the largest file is /dev/shm/cache (19.5 GB)"), "{text}");
    // Who holds vmalloc memory says nothing of shared memory.
    let text =
        told(&with_memory(&[holder("vmalloc", "alloc_ring", 20_000)], &report).unwrap_or_else(|| report.clone()));
    assert!(text.contains("tmpfs and shared memory hold") && !text.contains("alloc_ring"), "{text}");
}

#[test]
fn the_module_that_asked_for_most_vmalloc_memory_is_its_owner() {
    let owner = |name: &str, mib: u64| {
        let holder = Fact::new("mem.memory_holder", Origin::derived("dmesg", "vmalloc"))
            .with("holds", "vmalloc")
            .with("name", name)
            .with("bytes", mib << 20);
        let counters =
            Fact::new("mem.memory", Origin::memory("dmesg", 0, "page counters")).with("vmalloc", 30_000u64 << 20);
        let facts = [counters, holder];
        memory_owner(&facts, &with_memory(&facts, &oom(&[("free", 100)]))?)
    };
    let (module, what) = owner("grab_buffers [leaky]", 29_000).unwrap();
    assert_eq!(
        (module.as_str(), what.as_str()),
        ("leaky", "most of the vmalloc memory was asked for by its grab_buffers")
    );
    assert_eq!(owner("grab_buffers [leaky]", 9_000), None);
    assert_eq!(owner("dup_task_struct", 29_000), None);
}
