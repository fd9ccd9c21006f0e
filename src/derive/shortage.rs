//! What takes the memory, as the tables of an OOM report or of a failed allocation tell: the task that is killed is often
//! not the one.

use std::collections::BTreeMap;

use facts::{Fact, Value};

/// What a report's own tables say of the memory.
pub(super) struct Shortage {
    /// In words that end a title.
    pub(super) text: String,
    /// What to look at next, and how.
    pub(super) next: (&'static str, String),
}

/// A holder is named from this share of the memory on.
const SHARE_PERCENT: u64 = 30;
/// A killed task with less than this share was in the way, it did not hold the memory.
const VICTIM_PERCENT: u64 = 5;
/// A limit above this is none (`PAGE_COUNTER_MAX` in kB).
const NO_LIMIT_KB: u64 = 1 << 50;

type Row = BTreeMap<String, Value>;

/// Reads the tables of an event; nothing where they are not in the log or name no holder.
pub(super) fn shortage(fact: &Fact) -> Option<Shortage> {
    match &*fact.kind {
        "log.memcg_oom" => cgroup(fact),
        "log.oom" | "log.page_alloc_failure" => {
            if fact.kind == "log.oom" && fact.int("gfp") == Some(0) {
                return None;
            }
            let Some(memory) = Memory::of(fact) else { return cannot_wait(fact) };
            let order = fact.int("order").and_then(|n| u32::try_from(n).ok()).filter(|n| *n < 16).unwrap_or(0);
            if let Some(zone) = memory.zone(fact) {
                return Some(zone);
            }
            if let Some(text) = memory.fragmented(order) {
                return Some(Shortage { text, next: FRAGMENTS.pair("") });
            }
            if fact.kind == "log.page_alloc_failure" {
                return cannot_wait(fact);
            }
            let held = memory.holder(fact);
            match fact.text("constraint") {
                Some("CPUSET" | "MEMORY_POLICY") => {
                    let mut text = only_nodes(fact);
                    if let Some(held) = held {
                        text = format!("{text}; {}", held.text);
                    }
                    Some(Shortage { text, next: NODES.pair("") })
                }
                _ => held,
            }
        }
        _ => None,
    }
}

/// The title of a report with what its tables tell.
pub(super) fn headline(fact: &Fact, title: &str) -> Option<String> {
    if fact.kind == "log.oom" && fact.int("gfp") == Some(0) {
        return Some(format!(
            "{title}: a page fault could not be served (gfp_mask 0: no page was asked for here, a charge to a memory cgroup had been refused before)"
        ));
    }
    let mut parts = Vec::new();
    if let Some(victim) = victim(fact) {
        parts.push(victim);
    }
    if let Some(shortage) = shortage(fact) {
        parts.push(shortage.text);
    }
    if fact.kind == "log.memcg_oom" {
        let path = fact.text("cgroup");
        match kb(fact, "memory_limit_kb").filter(|kb| *kb < NO_LIMIT_KB) {
            Some(limit) => {
                let who = path.map_or_else(String::new, |path| format!("{path} "));
                parts.insert(0, format!("{who}at its limit of {}", size(limit)));
            }
            None => parts.extend(path.map(|path| format!("{path} at its limit"))),
        }
    }
    (!parts.is_empty()).then(|| format!("{title}; {}", parts.join("; ")))
}

/// A step that fits a holder: what it tells, and the command, in which `{}` stands for a name.
struct Step(&'static str, &'static str);

impl Step {
    fn pair(&self, name: &str) -> (&'static str, String) {
        (self.0, self.1.replace("{}", name))
    }
}

const SLAB: Step = Step(
    "which cache grows, and who allocates from it",
    "slabtop -o -s c; grep {} /proc/slabinfo, twice some minutes apart; boot with slub_debug=U,{} and read /sys/kernel/debug/slab/{}/alloc_traces; kmemleak",
);
const SHMEM: Step = Step(
    "which tmpfs or shared segment holds the memory",
    "df -h -t tmpfs -t devtmpfs; ipcs -mu; ls -l /dev/shm; lsof +L1",
);
const HUGE: Step = Step(
    "who reserved the huge pages, and whether anybody uses them",
    "sysctl vm.nr_hugepages; grep . /sys/devices/system/node/node*/hugepages/*/{nr,free}_hugepages; grep -i huge /proc/cmdline; lower vm.nr_hugepages by the free ones",
);
const TASK: Step = Step(
    "what that task holds, and why it may not be killed where it may not",
    "grep -E 'Rss|Anonymous|Swap' /proc/$(pidof {})/smaps_rollup; cat /proc/$(pidof {})/oom_score_adj",
);
const TASKS: Step =
    Step("which tasks grow", "ps -eo rss,oom_score_adj,comm --sort -rss | head -30, twice some minutes apart");
const FRAGMENTS: Step = Step(
    "which blocks are free, and whether compaction works",
    "cat /proc/buddyinfo /proc/pagetypeinfo; grep -E 'compact|allocstall' /proc/vmstat; who asks for that order is in the trace",
);
const ZONES: Step = Step(
    "how full each zone is, and who asks for that zone",
    "grep -E 'Node|pages free|min|low|high|managed' /proc/zoneinfo; cat /proc/buddyinfo; who asks is in the trace; on 32 bits: a kernel of 64 bits, or less memory",
);
const ATOMIC: Step = Step(
    "whether memory is kept for those who cannot wait, and whether it happens often",
    "sysctl vm.min_free_kbytes vm.watermark_scale_factor; grep -E 'allocstall|pgscan|compact_fail' /proc/vmstat; counters of the driver in the trace, which mostly drops and tries again",
);
const NODES: Step = Step(
    "which nodes the task may use, and what is free on them",
    "cat /proc/PID/status (Mems_allowed_list); cat cpuset.mems of its cgroup; numastat -m; numactl -H",
);
const TABLES: Step = Step(
    "who maps so much that its page tables fill the memory",
    "grep -H VmPTE /proc/[0-9]*/status | sort -k2 -n | tail; large shared mappings want huge pages",
);
const LOCKED: Step = Step("who locked the memory", "grep -H VmLck /proc/[0-9]*/status | sort -k2 -n | tail; ipcs -m");
const CACHE: Step = Step(
    "why the page cache was not given back",
    "grep -E 'Dirty|Writeback|Mlocked' /proc/meminfo; grep -E 'workingset|pgscan|pgsteal' /proc/vmstat; the errors and speed of the disks below",
);
const UNCOUNTED: Step = Step(
    "who took pages that no counter shows: drivers, a balloon of the hypervisor",
    "the sum of /proc/meminfo against MemTotal; page_owner=on; balloon statistics of the hypervisor (vmware-toolbox-cmd stat balloon; virsh dommemstat)",
);
const VMALLOC: Step = Step(
    "which code allocated it",
    "vmcoroner mem of the dump; grep -vE 'ioremap|vmap' /proc/vmallocinfo | sort -k2 -n | tail (the caller stands behind the size)",
);
const PERCPU: Step =
    Step("who allocated per-CPU memory", "grep Percpu /proc/meminfo; cat /proc/cgroups; percpu_alloc_percpu events");
const CGROUP: Step = Step(
    "what the cgroup's memory is",
    "cat memory.stat memory.events memory.max (v1: memory.stat memory.usage_in_bytes memory.kmem.usage_in_bytes memory.kmem.slabinfo) of the cgroup {}",
);

/// The counters of the whole machine, in kB.
struct Memory<'a> {
    fact: &'a Fact,
    page_kb: u64,
    all_kb: u64,
}

impl<'a> Memory<'a> {
    fn of(fact: &'a Fact) -> Option<Self> {
        fact.get("pages")?;
        let page_kb = rows(fact, "blocks").find_map(|row| of(row, "page_kb")).filter(|kb| *kb > 0).unwrap_or(4);
        let mut memory = Memory { fact, page_kb, all_kb: 0 };
        let ram = kb(fact, "pages_ram")
            .map(|pages| pages.saturating_sub(kb(fact, "pages_reserved").unwrap_or(0)).saturating_mul(page_kb));
        memory.all_kb = ram.unwrap_or_else(|| memory.counted());
        (memory.all_kb > 0).then_some(memory)
    }

    /// A counter of Mem-Info.
    fn counter(&self, name: &str) -> u64 {
        let Some(Value::Record(pages)) = self.fact.get("pages") else { return 0 };
        of(pages, name).unwrap_or(0).saturating_mul(self.page_kb)
    }

    fn sum(&self, names: &[&str]) -> u64 {
        names.iter().fold(0u64, |sum, name| sum.saturating_add(self.counter(name)))
    }

    fn anon(&self) -> u64 {
        self.sum(&["active_anon", "inactive_anon", "isolated_anon"])
    }

    fn huge(&self) -> (u64, u64) {
        rows(self.fact, "hugepages").fold((0, 0), |(total, free), row| {
            let size = of(row, "hugepage_kb").unwrap_or(0);
            let add = |sum: u64, name| sum.saturating_add(of(row, name).unwrap_or(0).saturating_mul(size));
            (add(total, "total"), add(free, "free"))
        })
    }

    /// What the counters account for. Shared memory is among the anonymous lists.
    fn counted(&self) -> u64 {
        let named = self.sum(&[
            "active_file",
            "inactive_file",
            "isolated_file",
            "unevictable",
            "slab_reclaimable",
            "slab_unreclaimable",
            "pagetables",
            "sec_pagetables",
            "kernel_misc_reclaimable",
            "bounce",
            "free",
            "free_pcp",
        ]);
        named.saturating_add(self.anon().max(self.counter("shmem"))).saturating_add(self.huge().0)
    }

    /// What is free where the kernel's own allocations may be served.
    fn free(&self) -> u64 {
        let high = |row: &&Row| row.get("zone").and_then(Value::as_text) == Some("HighMem");
        let free = |row: &Row| of(row, "free_kb").unwrap_or(0);
        let zones: u64 = rows(self.fact, "zones").map(free).sum();
        let high: u64 = rows(self.fact, "zones").filter(high).map(free).sum();
        self.counter("free").max(zones).saturating_sub(high)
    }

    /// Is it one zone that is full, while others are not?
    fn zone(&self, fact: &Fact) -> Option<Shortage> {
        let gfp = fact.int("gfp").or_else(|| fact.int("mode")).unwrap_or(0);
        let all: u64 = rows(fact, "zones").filter_map(|row| of(row, "free_kb")).sum();
        let of_zones = |names: &[&str]| -> (u64, u64) {
            let named = |row: &&Row| row.get("zone").and_then(Value::as_text).is_some_and(|zone| names.contains(&zone));
            let sum = |field| rows(fact, "zones").filter(named).filter_map(|row| of(row, field)).sum();
            (sum("free_kb"), sum("high_kb"))
        };
        let (names, why): (&[&str], &str) = match gfp & 0x7 {
            // Asked for memory that a device can reach.
            1 => (&["DMA"], "GFP_DMA"),
            4 => (&["DMA", "DMA32"], "GFP_DMA32"),
            _ if gfp & 0x2 == 0 && of_zones(&["HighMem"]).0 > 0 => (&["DMA", "DMA32", "Normal"], "low memory"),
            _ => return None,
        };
        let (free, high) = of_zones(names);
        let elsewhere = all.saturating_sub(free);
        (elsewhere > 4 * free.max(1) && elsewhere * 20 > self.all_kb && (free < 2 * high || why != "low memory")).then(
            || Shortage {
                text: format!(
                    "only zone {} may serve it ({why}): {} are free there, and {} elsewhere",
                    names.last().unwrap_or(&""),
                    size(free),
                    size(elsewhere)
                ),
                next: ZONES.pair(""),
            },
        )
    }

    /// Is enough memory free, and none of it in one piece that is large enough?
    fn fragmented(&self, order: u32) -> Option<String> {
        let wanted = self.page_kb << order;
        let least: u64 = rows(self.fact, "zones").filter_map(|row| of(row, "high_kb")).sum();
        let free = self.free();
        if order == 0 || free < 64 * wanted || free < 2 * least {
            return None;
        }
        // The zone at the bottom is kept for those who need it.
        let zones: Vec<&Row> =
            rows(self.fact, "blocks").filter(|row| row.get("zone").and_then(Value::as_text) != Some("DMA")).collect();
        let large = |row: &&Row| {
            let counts = row.get("counts").and_then(Value::as_list).unwrap_or_default();
            counts.iter().skip(order as usize).any(|n| n.as_int().unwrap_or(0) > 0)
        };
        let piece = format!("order {order} ({} in one piece)", size(wanted));
        match zones.is_empty() {
            false if zones.iter().any(large) => None,
            false => Some(format!("no shortage but fragmentation: {} are free, and no block of {piece}", size(free))),
            // Without the table of blocks it takes more than that: a small order is hardly ever lacking by itself.
            true if order >= 2 && free * 20 > self.all_kb => {
                Some(format!("no shortage but fragmentation: {} are free, and {piece} was not found", size(free)))
            }
            true => None,
        }
    }

    /// What the memory of the dump counts and no report does.
    fn beyond(&self) -> Vec<(&str, u64)> {
        let Some(Value::Record(memory)) = self.fact.get(BEYOND) else { return Vec::new() };
        memory.keys().filter_map(|name| Some((name.as_str(), of(memory, name)?))).collect()
    }

    /// Who holds most of a kind, as memory tells.
    fn held(&self, kind: &str) -> Option<&str> {
        let Some(Value::Record(held)) = self.fact.get(HELD) else { return None };
        held.get(kind)?.as_text()
    }

    /// The largest holder.
    fn holder(&self, fact: &Fact) -> Option<Shortage> {
        let of_all = |kb: u64| format!("{} of {}", size(kb), size(self.all_kb));
        let shmem = self.counter("shmem");
        let (huge, huge_free) = self.huge();
        let private = self.anon().saturating_sub(shmem);
        let cache = self.sum(&["active_file", "inactive_file"]);
        let slab = self.counter("slab_unreclaimable");
        let tables = self.counter("pagetables");
        let locked = self.counter("unevictable");
        let uncounted =
            match fact.get("pages_ram").is_some() && self.counter("free") > 0 && self.counter("slab_unreclaimable") > 0
            {
                true => self.all_kb.saturating_sub(self.counted()),
                false => 0,
            };
        let beyond = self.beyond();
        let uncounted = beyond.iter().fold(uncounted, |left, (_, kb)| left.saturating_sub(*kb));
        let of_memory = |name: &str| beyond.iter().find(|(other, _)| *other == name).map_or(0, |(_, kb)| *kb);
        let (vmalloc, percpu) = (of_memory("vmalloc"), of_memory("percpu"));
        let all = [slab, shmem, private, huge, cache, tables, locked, vmalloc, percpu, uncounted];
        let most = all.into_iter().max().filter(|kb| enough(*kb, self.all_kb))?;
        Some(if most == slab {
            let row = rows(fact, "slabs").next();
            let cache = row.and_then(|row| row.get("cache")?.as_text()).unwrap_or_default();
            let mostly = match row.and_then(|row| of(row, "total_kb")) {
                Some(kb) => format!(", most of it {cache} ({})", size(kb)),
                None => String::new(),
            };
            let name = if cache.is_empty() { "CACHE" } else { cache };
            Shortage {
                text: format!("slab memory that cannot be reclaimed holds {}{mostly}", of_all(slab)),
                next: SLAB.pair(name),
            }
        } else if most == huge {
            let unused = if huge_free > 0 { format!(", {} of it unused", size(huge_free)) } else { String::new() };
            Shortage { text: format!("huge pages reserve {}{unused}", of_all(huge)), next: HUGE.pair("") }
        } else if most == shmem {
            let most =
                self.held("shared memory").map(|file| format!(", the largest file is {file}")).unwrap_or_default();
            Shortage { text: format!("tmpfs and shared memory hold {}{most}", of_all(shmem)), next: SHMEM.pair("") }
        } else if most == private {
            self.tasks(fact, private)
        } else if most == tables {
            Shortage { text: format!("page tables hold {}", of_all(tables)), next: TABLES.pair("") }
        } else if most == locked {
            Shortage { text: format!("memory that is locked holds {}", of_all(locked)), next: LOCKED.pair("") }
        } else if most == cache {
            Shortage {
                text: format!("the page cache holds {} and was not given back", of_all(cache)),
                next: CACHE.pair(""),
            }
        } else if most == vmalloc {
            let most = self.held("vmalloc").map(|caller| format!(", the largest user is {caller}")).unwrap_or_default();
            Shortage { text: format!("vmalloc areas hold {}{most}", of_all(vmalloc)), next: VMALLOC.pair("") }
        } else if most == percpu {
            Shortage { text: format!("per-CPU areas hold {}", of_all(percpu)), next: PERCPU.pair("") }
        } else {
            // A report counts neither vmalloc nor per-CPU areas.
            let what = match beyond.is_empty() {
                true => "in no counter of the report: vmalloc or per-CPU areas, pages of drivers, of a balloon",
                false => "in no counter: pages of drivers, of a balloon",
            };
            Shortage { text: format!("{} are {what}", of_all(uncounted)), next: UNCOUNTED.pair("") }
        })
    }

    fn tasks(&self, fact: &Fact, private: u64) -> Shortage {
        let of_all = |kb: u64| format!("{} of {}", size(kb), size(self.all_kb));
        match largest_task(fact, self.page_kb).filter(|task| enough(task.kb, self.all_kb)) {
            Some(task) => Shortage { text: task.text(self.all_kb), next: TASK.pair(task.comm) },
            None => {
                let who = if rows(fact, "tasks").next().is_some() { "many tasks together" } else { "processes" };
                Shortage { text: format!("{who} hold {}", of_all(private)), next: TASKS.pair("") }
            }
        }
    }
}

/// A request that may not wait until memory is freed: it fails in bursts of interrupts while there is memory enough.
pub(super) fn may_not_wait(fact: &Fact) -> bool {
    refused_at_once(fact).unwrap_or(false)
}

fn refused_at_once(fact: &Fact) -> Option<bool> {
    if fact.kind != "log.page_alloc_failure" || fact.get("stall_ms").is_some() || fact.get("bytes").is_some() {
        return None;
    }
    let mode = fact.int("mode")?;
    let named = fact.quote.split_once("mode:").and_then(|(_, rest)| rest.split_once('(')).map(|(_, names)| names);
    let waits = match named {
        Some(names) => !(names.starts_with("GFP_ATOMIC") || names.starts_with("GFP_NOWAIT")),
        // Bare numbers were printed up to 4.6; from 4.4 on the bits of reclaim stand higher.
        None if mode & 0x0240_0000 == 0 => mode & 0x10 != 0,
        None => mode & 0x0040_0000 != 0,
    };
    Some(!waits)
}

fn cannot_wait(fact: &Fact) -> Option<Shortage> {
    may_not_wait(fact).then(|| Shortage {
        text: "the caller could not wait until memory is freed (an interrupt or a held spinlock)".to_owned(),
        next: ATOMIC.pair(""),
    })
}

/// The command whose tasks hold most.
struct Task<'a> {
    comm: &'a str,
    count: usize,
    kb: u64,
    protected: bool,
}

impl Task<'_> {
    fn text(&self, all_kb: u64) -> String {
        let who = match self.count {
            1 => self.comm.to_owned(),
            n => format!("{n} tasks {} together", self.comm),
        };
        let shield = if self.protected { ", protected by oom_score_adj -1000" } else { "" };
        let verb = if self.count == 1 { "holds" } else { "hold" };
        format!("{who} {verb} {} of {}{shield}", size(self.kb), size(all_kb))
    }
}

fn largest_task(fact: &Fact, page_kb: u64) -> Option<Task<'_>> {
    let mut tasks: BTreeMap<&str, Task<'_>> = BTreeMap::new();
    for row in rows(fact, "tasks") {
        let Some(comm) = row.get("comm").and_then(Value::as_text) else { continue };
        let kb = of(row, "rss_pages").unwrap_or(0).saturating_mul(page_kb);
        let protected = row.get("oom_score_adj").and_then(Value::as_int) == Some(-1000);
        let task = tasks.entry(comm).or_insert(Task { comm, count: 0, kb: 0, protected });
        task.count += 1;
        task.kb = task.kb.saturating_add(kb);
        task.protected &= protected;
    }
    tasks.into_values().max_by_key(|task| task.kb)
}

/// `only the memory nodes 1 may be used`
fn only_nodes(fact: &Fact) -> String {
    let nodes = fact.text("mems_allowed").map(|n| format!(" {n}")).unwrap_or_default();
    let by = match (fact.text("constraint"), fact.text("cpuset")) {
        (Some("CPUSET"), Some(name)) if name != "/" => format!("the cpuset {name}"),
        (Some("CPUSET"), _) => "the cpuset".to_owned(),
        _ => "the memory policy".to_owned(),
    };
    format!("only the nodes{nodes} that {by} allows were looked at")
}

/// A task that was killed although it held next to nothing.
fn victim(fact: &Fact) -> Option<String> {
    let names = ["killed_anon_rss_kb", "killed_file_rss_kb", "killed_shmem_rss_kb"];
    let parts: Vec<u64> = names.iter().filter_map(|name| kb(fact, name)).collect();
    let held: u64 = parts.iter().sum();
    let all = match &*fact.kind {
        "log.memcg_oom" => kb(fact, "memory_limit_kb").filter(|kb| *kb < NO_LIMIT_KB)?,
        _ => Memory::of(fact)?.all_kb,
    };
    let small = !parts.is_empty() && held.saturating_mul(100) < all.saturating_mul(VICTIM_PERCENT);
    (small && fact.text("killed_comm").is_some())
        .then(|| format!("that task held {}: a victim, not the cause", size(held)))
}

/// A cgroup at its limit.
fn cgroup(fact: &Fact) -> Option<Shortage> {
    let limit = kb(fact, "memory_limit_kb").filter(|kb| *kb > 0 && *kb < NO_LIMIT_KB)?;
    let stat = |name: &str| match fact.get("stats") {
        Some(Value::Record(stats)) => of(stats, name).map(|bytes| bytes / 1024),
        _ => None,
    };
    let name = fact.text("cgroup").unwrap_or("");
    let of_all = |kb: u64| format!("{} of it", size(kb));
    let kernel = kb(fact, "kmem_usage_kb").or_else(|| stat("kernel")).or_else(|| stat("slab")).unwrap_or(0);
    let shmem = stat("shmem").or_else(|| kb(fact, "shmem_kb")).unwrap_or(0);
    let task = largest_task(fact, 4);
    let most_of_task = task.as_ref().map_or(0, |task| task.kb);
    let most = kernel.max(shmem).max(most_of_task);
    if !enough(most, limit) {
        return None;
    }
    Some(if most == kernel {
        let slab = stat("slab").filter(|kb| *kb * 2 > kernel).map(|kb| format!(", most of it slab ({})", size(kb)));
        Shortage {
            text: format!("kernel memory is {}{}", of_all(kernel), slab.unwrap_or_default()),
            next: CGROUP.pair(name),
        }
    } else if most == shmem {
        Shortage { text: format!("tmpfs and shared memory are {}", of_all(shmem)), next: SHMEM.pair("") }
    } else {
        let task = task?;
        Shortage { text: task.text(limit), next: TASK.pair(task.comm) }
    })
}

fn enough(kb: u64, all_kb: u64) -> bool {
    kb.saturating_mul(100) >= all_kb.saturating_mul(SHARE_PERCENT)
}

fn kb(fact: &Fact, name: &str) -> Option<u64> {
    fact.int(name).and_then(|n| u64::try_from(n).ok())
}

fn of(row: &Row, name: &str) -> Option<u64> {
    row.get(name).and_then(Value::as_int).and_then(|n| u64::try_from(n).ok())
}

fn rows<'a>(fact: &'a Fact, name: &str) -> impl Iterator<Item = &'a Row> {
    fact.get(name).and_then(Value::as_list).unwrap_or_default().iter().filter_map(|row| match row {
        Value::Record(row) => Some(row),
        _ => None,
    })
}

/// A shortage with what the memory of its dump says and the log does not.
pub(super) fn with_memory(facts: &[Fact], fact: &Fact) -> Option<Fact> {
    let cached = with_cache(facts, fact);
    let counted = with_counters(facts, cached.as_ref().unwrap_or(fact)).or(cached);
    with_holders(facts, counted.as_ref().unwrap_or(fact)).or(counted)
}

/// Where `with_memory` puts who holds most of what a counter sums up.
const HELD: &str = "held_by";

/// Who holds most of vmalloc memory and of shared memory, in words.
fn with_holders(facts: &[Fact], fact: &Fact) -> Option<Fact> {
    if !matches!(&*fact.kind, "log.oom" | "log.page_alloc_failure") {
        return None;
    }
    let of_dump = facts.iter().filter(|f| f.kind == "mem.memory_holder" && f.origin.member == fact.origin.member);
    let mut held = Row::new();
    // The largest of each kind comes first.
    for (holder, kind) in of_dump.filter_map(|f| Some((f, f.text("holds")?))) {
        let words = || Some(format!("{} ({})", holder.text("name")?, size(kb(holder, "bytes")? / 1024)));
        if let (false, Some(words)) = (held.contains_key(kind), words()) {
            held.insert(kind.to_owned(), words.into());
        }
    }
    (!held.is_empty()).then(|| fact.clone().with(HELD, Value::Record(held)))
}

/// Where `with_memory` puts what no report counts, in kB.
const BEYOND: &str = "beyond_kb";

/// The counters of memory that no report has, as far as they fit into what the report leaves open: the dump may have been
/// taken long after it.
fn with_counters(facts: &[Fact], fact: &Fact) -> Option<Fact> {
    if !matches!(&*fact.kind, "log.oom" | "log.page_alloc_failure") {
        return None;
    }
    let memory = Memory::of(fact)?;
    let open = memory.all_kb.saturating_sub(memory.counted());
    let of_dump = facts.iter().find(|f| f.kind == "mem.memory" && f.origin.member == fact.origin.member)?;
    let names = ["vmalloc", "percpu", "iommu", "zsmalloc"].into_iter();
    let counted: Row = names.filter_map(|name| Some((name.to_owned(), (kb(of_dump, name)? / 1024).into()))).collect();
    let sum = counted.keys().filter_map(|name| of(&counted, name)).fold(0u64, u64::saturating_add);
    (sum > 0 && sum <= open.saturating_mul(6) / 5).then(|| fact.clone().with(BEYOND, Value::Record(counted)))
}

/// A shortage of which the log names no cache, with the largest one of memory, if that is what the log's counter of
/// unreclaimable slab memory speaks of: most of it, and not more.
fn with_cache(facts: &[Fact], fact: &Fact) -> Option<Fact> {
    if fact.kind != "log.oom" || rows(fact, "slabs").next().is_some() {
        return None;
    }
    let all_kb = Memory::of(fact)?.counter("slab_unreclaimable");
    let caches = facts.iter().filter(|f| f.kind == "mem.slab_cache" && f.origin.member == fact.origin.member);
    let (kb, cache) = caches.filter_map(|f| Some((kb(f, "bytes")? / 1024, f.text("cache")?))).max()?;
    if kb.saturating_mul(2) < all_kb || kb > all_kb.saturating_mul(6) / 5 {
        return None;
    }
    let row: Row = [("cache".to_owned(), cache.into()), ("total_kb".to_owned(), Value::Unsigned(kb))].into();
    Some(fact.clone().with("slabs", vec![Value::Record(row)]))
}

/// Whose the memory is that a shortage is of: the module whose symbol most objects of the slab cache point to, or which
/// keeps it; the one that asked for most of the vmalloc memory.
pub(super) fn memory_owner(facts: &[Fact], fact: &Fact) -> Option<(String, String)> {
    let shortage = shortage(fact)?;
    let of_dump =
        |kind: &'static str| facts.iter().filter(move |f| f.kind == kind && f.origin.member == fact.origin.member);
    if shortage.text.starts_with("vmalloc areas") {
        // The largest comes first.
        let user = of_dump("mem.memory_holder").find(|f| f.text("holds") == Some("vmalloc"))?;
        let all = kb(of_dump("mem.memory").next()?, "vmalloc")?;
        let (caller, module) = user.text("name")?.strip_suffix(']')?.split_once(" [")?;
        let most = kb(user, "bytes")?.saturating_mul(2) >= all;
        return most.then(|| (module.to_owned(), format!("most of the vmalloc memory was asked for by its {caller}")));
    }
    if !shortage.text.starts_with("slab memory") {
        return None;
    }
    let cache = rows(fact, "slabs").next()?.get("cache")?.as_text()?;
    let known = of_dump("mem.slab_cache").find(|f| f.text("cache") == Some(cache))?;
    if let (Some(module), Some(symbol)) = (known.text("objects_module"), known.text("objects_point_at")) {
        return Some((module.to_owned(), format!("most objects of the slab cache {cache} point to its {symbol}")));
    }
    Some((known.text("owner")?.to_owned(), format!("the slab cache {cache} is this module's")))
}

/// An amount of memory in words.
fn size(kb: u64) -> String {
    match kb {
        0..1024 => format!("{kb} kB"),
        1024..10_240 => format!("{}.{} MB", kb / 1024, kb % 1024 * 10 / 1024),
        10_240..1_048_576 => format!("{} MB", kb / 1024),
        _ => format!("{}.{} GB", kb >> 20, ((kb & 0xf_ffff) * 10) >> 20),
    }
}

#[cfg(test)]
mod tests;
