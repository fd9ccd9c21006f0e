//! The commands that look around in a dump, against what drgn and crash found in it (`testdata/vmcores`).

use assert_cmd::Command;
use serde_json::Value;

const NETDEV: &str = "testdata/vmcores/netdev-leak.kdump";
const ABBA: &str = "testdata/vmcores/deadlock-abba.kdump";

fn vmcoroner(args: &[&str]) -> std::process::Output {
    let mut command = Command::cargo_bin("vmcoroner").expect("the binary is built");
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(args).output().expect("it runs")
}

fn json(args: &[&str]) -> Value {
    let output = vmcoroner(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn text(args: &[&str]) -> String {
    let output = vmcoroner(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().unwrap_or_else(|| panic!("no list {name} in {value:#}"))
}

#[test]
fn ps_lists_every_task_that_drgn_lists() {
    let tasks = json(&["ps", "--format", "json", NETDEV]);
    assert_eq!(list(&tasks, "tasks").len(), 54);
    assert!(list(&tasks, "tasks").iter().any(|t| t["comm"] == "insmod" && t["state"] == "D"));
    assert!(text(&["ps", NETDEV]).lines().next().unwrap_or_default().starts_with("PID  PPID  CPU  TASK"));
    assert!(text(&["ps", "--tree", NETDEV]).contains("kthreadd"));
}

#[test]
fn a_holder_that_is_not_found_is_a_gap_never_nobody() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let whole = std::fs::read(root.join(NETDEV)).expect("the dump");
    let cut = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("netdev-leak-cut.kdump");
    std::fs::write(&cut, &whole[..whole.len() / 100 * 99]).expect("a temporary file");
    let told = |path: &str| {
        let net = json(&["net", "--format", "json", path]);
        let unlisted =
            list(&net, "devices").iter().find(|d| d["listed"] == false).cloned().expect("eth0 of the dead namespace");
        let kinds = |of: &Value, field: &str| of[field].as_str().map(str::to_owned);
        let holders: Vec<String> = list(&unlisted, "holders").iter().filter_map(|h| kinds(h, "kind")).collect();
        // One question, one answer: examine judges by the same holders.
        let case = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("netdev-leak.case.json");
        text(&["examine", "--save-case", case.to_str().expect("UTF-8"), path]);
        let case: Value = serde_json::from_slice(&std::fs::read(case).expect("the case")).expect("JSON");
        let facts = list(&case, "facts").iter().filter(|fact| fact["kind"] == "mem.net_device_holder");
        let judged: Vec<String> = facts.filter_map(|fact| kinds(&fact["values"], "kind")).collect();
        assert_eq!(holders, judged);
        (holders, list(&net, "gaps").iter().any(|gap| gap["what"] == "who refers to an address"))
    };
    // Of the whole dump drgn finds the route; what is left of the cut one still has the variable of the module.
    assert_eq!(told(NETDEV), (vec!["ipv4-route".to_owned(), "module-data".to_owned()], false));
    assert_eq!(told(cut.to_str().expect("UTF-8")), (vec!["module-data".to_owned()], true));
}

#[test]
fn net_shows_the_leaked_device_with_its_count() {
    let net = json(&["net", "--format", "json", NETDEV]);
    let devices = list(&net, "devices");
    assert_eq!(devices.len(), 7, "the one that waits among them");
    let leaked: Vec<&Value> = devices.iter().filter(|d| d["state"] == "unregistered").collect();
    assert_eq!(leaked.len(), 1);
    assert_eq!((&leaked[0]["name"], &leaked[0]["references"]), (&Value::from("eth0"), &Value::from(2)));
}

#[test]
fn net_names_a_next_hop_that_nothing_leads_to_and_where_the_reference_was_taken() {
    let net = json(&["net", "--format", "json", "testdata/vmcores/nexthop-leak.kdump.xz"]);
    let device = list(&net, "devices").iter().find(|d| d["listed"] == false).expect("eth0 of the dead namespace");
    let [tracked, hop] = list(device, "holders").as_slice() else { panic!("{device:#}") };
    // drgn reads the record and its stack; the module printed the address of the fib_info.
    assert_eq!((&tracked["kind"], &tracked["address"]), (&Value::from("tracker"), &Value::from("0xffffa13c803ea7a0")));
    let taken: Vec<&str> = list(tracked, "taken_in").iter().filter_map(Value::as_str).collect();
    assert_eq!(taken.len(), 16);
    assert_eq!(taken[..5], ["fib_check_nh", "fib_create_info", "fib_table_insert", "fib_magic", "fib_add_ifaddr"]);
    assert_eq!((&hop["kind"], &hop["address"]), (&Value::from("fib-nexthop"), &Value::from("0xffffa13c809eda00")));
    assert_eq!((&hop["type_name"], &hop["references"]), (&Value::from("fib_info"), &Value::from(1)));
}

#[test]
fn mods_and_slab_count_as_drgn_does() {
    let mods = json(&["mods", "--format", "json", NETDEV]);
    let names: Vec<&str> = list(&mods, "modules").iter().filter_map(|m| m["name"].as_str()).collect();
    assert_eq!(names, ["lab_pernet", "lab_netleak"]);
    assert_eq!(list(&json(&["slab", "--format", "json", NETDEV]), "caches").len(), 123);
}

#[test]
fn cgroup_counts_the_dying_ones() {
    let cgroups = json(&["cgroup", "--format", "json", "testdata/vmcores/memcg-zombies.kdump"]);
    assert_eq!((&cgroups["online"], &cgroups["dying"]), (&Value::from(3), &Value::from(1060)));
}

#[test]
fn bt_of_a_blocked_task_says_how_each_frame_was_found() {
    let out = text(&["bt", ABBA, "journal"]);
    assert!(out.contains("__mutex_lock") && out.contains("orc"), "{out}");
    let out = text(&["bt", ABBA, "--state", "D", "--group"]);
    assert!(out.contains("schedule"), "{out}");
}

#[test]
fn waits_names_the_cycle() {
    let out = text(&["waits", ABBA]);
    assert!(out.contains("journal") && out.contains("checkpoint") && out.contains("DEADLOCK"), "{out}");
}

#[test]
fn every_sleeper_in_state_d_is_among_those_who_wait() {
    let mut others = Vec::new();
    for dump in [NETDEV, ABBA, "testdata/vmcores/mempool-sleeper.kdump"] {
        let tasks = json(&["ps", "--format", "json", "--state", "D", dump]);
        let mut blocked: Vec<i64> = list(&tasks, "tasks").iter().filter_map(|t| t["pid"].as_i64()).collect();
        let waits = json(&["waits", "--format", "json", dump]);
        let mut said: Vec<i64> = ["locks", "others"]
            .iter()
            .flat_map(|name| list(&waits, name))
            .filter(|row| row["state"] == "D")
            .filter_map(|row| row["pid"].as_i64())
            .chain(list(&waits, "pools").iter().flat_map(|p| list(p, "sleepers")).filter_map(|s| s["pid"].as_i64()))
            .collect();
        said.sort_unstable();
        blocked.sort_unstable();
        assert_eq!(said, blocked, "{dump}");
        others.extend(list(&waits, "others").iter().map(|w| {
            let word = |name: &str| w[name].as_str().unwrap_or("-").to_owned();
            [word("comm"), word("kind"), word("waits_in")]
        }));
    }
    // The functions of drgn's stacks; the parent of a vfork waits for a completion on its own stack.
    let expected = [
        ["kworker/u4:0", "time", "netdev_run_todo"],
        ["true-reader", "time", "lab_true_reader"],
        ["z-vfork", "completion", "kernel_clone"],
    ];
    assert_eq!(others, expected.map(|row| row.map(str::to_owned)));
}

#[test]
fn runq_has_a_line_for_each_cpu() {
    assert_eq!(list(&json(&["runq", "--format", "json", NETDEV]), "queues").len(), 2);
}

#[test]
fn a_cpu_that_the_panic_stopped_is_not_one_out_of_service() {
    // The guest has two CPUs, neither of which was ever taken out; the panic is on CPU 1.
    let view = json(&["runq", "--format", "json", "testdata/vmcores/ip6mr-null.kdump"]);
    let marks = |queue: &Value| ["online", "stopped", "crashed"].map(|name| queue[name] == true);
    let seen: Vec<_> = list(&view, "queues").iter().map(marks).collect();
    assert_eq!(seen, [[false, true, false], [true, false, true]]);
    let live = json(&["runq", "--format", "json", ABBA]);
    assert!(list(&live, "queues").iter().all(|queue| marks(queue) == [true, false, false]));
    assert!(text(&["runq", "testdata/vmcores/ip6mr-null.kdump"]).contains("stopped by the panic"));
}

#[test]
fn mem_adds_up_as_drgn_counts_and_ends_in_what_is_unaccounted() {
    let said: Value = serde_json::from_str(
        &std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/vmcores/overview.oracle.json"))
            .expect("the oracle"),
    )
    .expect("JSON");
    let counters = &said["netdev-leak"]["counters"];
    let view = json(&["mem", "--format", "json", NETDEV]);
    let bytes = |name: &str| {
        let line = list(&view, "lines").iter().find(|line| line["name"] == name);
        line.and_then(|line| line["bytes"].as_i64()).unwrap_or_else(|| panic!("no {name}"))
    };
    for (ours, theirs) in [("total", "total"), ("free", "NR_FREE_PAGES"), ("page_cache", "NR_FILE_PAGES")] {
        assert_eq!(Some(bytes(ours)), counters[theirs].as_i64(), "{ours}");
    }
    let parts = list(&view, "lines").iter().filter(|line| line["share"] == "part");
    let sum: i64 = parts.filter_map(|line| line["bytes"].as_i64()).sum();
    assert_eq!(view["unaccounted"].as_i64(), Some(bytes("total") - sum));
    assert!(text(&["mem", NETDEV]).contains("unaccounted"));
}

#[test]
fn dev_irq_timer_work_mount_and_sysctl_have_a_table_each() {
    assert!(text(&["dev", NETDEV]).contains("no block devices"), "drgn lists none either");
    assert!(text(&["irq", NETDEV]).contains("ttyS0"));
    assert!(text(&["timer", NETDEV]).contains("high-resolution"));
    assert!(text(&["work", NETDEV]).starts_with("POOL"));
    assert!(text(&["mount", NETDEV]).contains("/sys/kernel/debug"));
    assert!(text(&["sysctl", NETDEV]).contains("kernel.panic_on_oops = "));
}

#[test]
fn sym_goes_both_ways() {
    let out = text(&["sym", NETDEV, "init_task"]);
    assert!(out.contains("ffffffffa3e0f600"), "{out}");
    let back = text(&["sym", NETDEV, "0xffffffffa3e0f600"]);
    assert!(back.contains("init_task"), "{back}");
}

#[test]
fn what_knows_a_slab_object_and_a_symbol() {
    let out = text(&["what", NETDEV, "0xffff9a2fc0c60780"]);
    assert!(out.contains("ip_dst_cache"), "{out}");
    let out = text(&["what", NETDEV, "0xffffffffa3e0f600"]);
    assert!(out.contains("init_task"), "{out}");
}

#[test]
fn what_is_no_dump_is_refused_with_exit_code_two() {
    for command in ["ps", "net", "mods", "slab", "cgroup", "runq", "waits", "mem", "dev", "irq", "work", "mount"] {
        let output = vmcoroner(&[command, "Cargo.toml"]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        assert!(!output.stderr.is_empty());
    }
}

/// `[16] unsigned int mtu` of each member with an offset; bit-fields without the bit, nested names without offset.
fn members_with_offsets(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut name = String::new();
    for line in text.lines() {
        if !line.starts_with(' ') && line.ends_with('{') {
            line.clone_into(&mut name);
        }
        let Some((mark, rest)) = line.trim().strip_prefix('[').and_then(|line| line.split_once(']')) else { continue };
        let mark = mark.split('.').next().unwrap_or_default();
        if !rest.trim_start().starts_with('}') {
            found.push((name.clone(), format!("{mark} {}", rest.trim())));
        }
    }
    found
}

#[test]
fn layouts_are_those_that_crash_prints() {
    let crash = std::fs::read_to_string("testdata/look/crash-struct-o.txt").expect("the oracle");
    let mut ours = String::new();
    for name in ["dst_entry", "net_device", "page", "thread_info", "tcphdr", "mutex", "kmem_cache", "sk_buff"] {
        ours.push_str(&text(&["struct", "-o", NETDEV, name]));
    }
    let (crash, ours) = (members_with_offsets(&crash), members_with_offsets(&ours));
    assert!(crash.len() > 300, "{}", crash.len());
    let missing: Vec<_> = crash.iter().filter(|member| !ours.contains(member)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let enumeration = text(&["struct", NETDEV, "enum module_state"]);
    assert!(enumeration.contains("  MODULE_STATE_UNFORMED = 3\n"), "{enumeration}");
}

#[test]
fn struct_shows_values_follows_pointers_and_lists() {
    // drgn: the names of the oracle beside the dump.
    let init = text(&["struct", NETDEV, "task_struct.comm,pid,mm.owner,parent.comm", "task:1"]);
    assert!(init.contains("comm = \"init\",\n  pid = 1,"), "{init}");
    assert!(init.contains("parent.comm = \"swapper/0\""), "{init}");
    let caches = json(&[
        "struct",
        "--format",
        "json",
        NETDEV,
        "struct kmem_cache",
        "slab_caches",
        "--list",
        "list",
        "--head",
        "-m",
        "name",
    ]);
    assert_eq!(caches["listed"], 123, "as many as drgn finds");
    assert_eq!(list(&caches, "objects").len(), 123);
    let queue = json(&["struct", "--format", "json", NETDEV, "rq", "runqueues:1", "-m", "cpu"]);
    assert_eq!(queue["objects"][0]["members"][0]["value"], 1);
    let device = text(&["struct", NETDEV, "struct", "net_device", "0xffff9a2fc09ca000", "-d", "0"]);
    assert!(device.contains("name = \"eth0\"") && device.contains("netdev_ops = 0xffffffffa3a24fa0 <veth_netdev_ops>"));
    assert!(device.contains("stats = {...} /* struct net_device_stats */"), "{device}");
}

#[test]
fn struct_says_what_is_wrong_with_a_name_or_an_address() {
    for (args, word) in [
        (vec!["struct", NETDEV, "nosuch"], "no type nosuch"),
        (vec!["struct", NETDEV, "task_struct.nosuch"], "no member nosuch"),
        (vec!["struct", NETDEV, "page", "0x10"], "is not mapped"),
        (vec!["struct", NETDEV, "rq", "runqueues:7"], "0 to 1"),
        (vec!["struct", NETDEV, "task_struct", "init_task", "--list", "comm"], "expected a list_head"),
    ] {
        let output = vmcoroner(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(word), "{args:?}: {said}");
    }
}

/// `dis schedule 12` of crash 8.0.6 on a dump of the same kernel build from the same source, addresses left out.
const CRASH_DIS: &str = "\
<schedule>:\tpush   %rbp
<schedule+1>:\tmov    %rsp,%rbp
<schedule+4>:\tpush   %r12
<schedule+6>:\tpush   %rbx
<schedule+7>:\tmov    %gs:0x16200,%rbx
<schedule+16>:\tmov    0x18(%rbx),%eax
<schedule+19>:\ttest   %eax,%eax
<schedule+21>:\tje     <schedule+64>
<schedule+23>:\tmov    0x2c(%rbx),%eax
<schedule+26>:\ttest   $0x30,%al
<schedule+28>:\tje     <schedule+42>
<schedule+30>:\ttest   $0x20,%al
";

#[test]
fn dis_prints_code_as_crash_does() {
    let ours = text(&["dis", NETDEV, "schedule", "12"]);
    let words = |text: &str| {
        let words = text.split_whitespace().filter(|word| !word.starts_with("0xffffffff"));
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(words(&ours), words(CRASH_DIS));
    let around = text(&["dis", NETDEV, "schedule+31"]);
    assert!(around.contains("=> ") && around.contains("<wq_worker_sleeping>"), "{around}");
    let marked = around.lines().find(|line| line.starts_with("=>")).expect("a mark");
    assert!(marked.contains("<schedule+30>"), "the instruction that holds the address: {marked}");
    let view = json(&["dis", "--format", "json", "-r", NETDEV, "schedule+21"]);
    let last = list(&view, "instructions").last().expect("instructions");
    assert_eq!((&last["target_symbol"], &last["marked"]), (&Value::from("schedule+64"), &Value::from(true)));
}

#[test]
fn search_finds_who_refers_to_the_leaked_device() {
    // The leaked route, which drgn found too, begins with the pointer to its device.
    let found = json(&["search", "--format", "json", NETDEV, "0xffff9a2fc09ca000", "--limit", "1000"]);
    let hits = list(&found, "hits");
    let route = hits.iter().find(|hit| hit["address"] == "0xffff9a2fc0c60780").expect("the route");
    assert_eq!(route["detail"]["slab"]["cache"], "ip_dst_cache");
    assert_eq!(list(&found, "gaps").len(), 0, "all of memory was looked at");
    let masked = json(&["search", "--format", "json", "-m", "0xff", NETDEV, "0xffff9a2fc09ca0ff", "--limit", "1000"]);
    assert!(list(&masked, "hits").len() >= hits.len());
    assert!(
        list(&masked, "hits")
            .iter()
            .all(|hit| hit["value"].as_str().is_some_and(|v| v.starts_with("0xffff9a2fc09ca0")))
    );
    let module = text(&["search", "--string", NETDEV, "lab_netleak"]);
    assert!(module.contains("__this_module+0x18 [lab_netleak]"), "the name lies in struct module: {module}");
    let cut = json(&["search", "--format", "json", NETDEV, "0", "--limit", "5"]);
    assert_eq!((list(&cut, "hits").len(), list(&cut, "gaps").len()), (5, 1));
    let none = text(&["search", NETDEV, "0x123456789abcdef0"]);
    assert!(none.contains("stands nowhere: 6088 pages looked at"), "{none}");
}

#[test]
fn what_tells_stacks_tasks_per_cpu_variables_and_poison_apart() {
    let tasks = json(&["ps", "--format", "json", NETDEV, "1"]);
    let task = list(&tasks, "tasks")[0]["task"].as_str().expect("an address").to_owned();
    let stack = json(&["struct", "--format", "json", NETDEV, "task_struct.stack", "task:1"]);
    let stack = stack["objects"][0]["members"][0]["value"]["pointer"].as_str().expect("a pointer").to_owned();
    for (word, wanted) in [
        (task, "task_struct of task 1 (init)"),
        (stack, "kernel stack of task 1 (init)"),
        ("runqueues:1".to_owned(), "per-CPU runqueues of CPU 1"),
        ("schedule+5".to_owned(), "schedule+0x5 (text)"),
        ("0xdead000000000122".to_owned(), "LIST_POISON2"),
        ("0x6b6b6b6b6b6b6b6b".to_owned(), "poison 6b"),
        ("0xfffffffffffffff4".to_owned(), "-12"),
    ] {
        let what = text(&["what", NETDEV, &word]);
        assert!(what.contains(wanted), "{word}: {what}");
    }
}

#[test]
fn examine_says_what_the_registers_of_an_oops_point_at() {
    let verdict = json(&["examine", "--format", "json", "testdata/vmcores/ip6mr-null.kdump"]);
    let registers = list(&verdict, "registers");
    let of = |name: &str| registers.iter().find(|r| r["register"] == name).unwrap_or_else(|| panic!("{registers:#?}"));
    // The task of the oops by the log itself: pid 60, runc-init; R12 is its struct net.
    assert!(of("fault address")["what"].as_str().is_some_and(|w| w.starts_with("NULL plus offset 0x30")));
    assert!(of("RSP")["what"].as_str().is_some_and(|w| w.starts_with("kernel stack of task 60 (runc-init)")));
    assert!(of("R12")["what"].as_str().is_some_and(|w| w.starts_with("slab net_namespace object")));
    assert!(of("RDX")["what"].as_str().is_some_and(|w| w.contains("task_struct of task 60")));
    let shown = text(&["examine", "testdata/vmcores/ip6mr-null.kdump"]);
    assert!(shown.contains("REGISTERS (in ip6mr_sk_done)"), "{shown}");
}

#[test]
fn bt_filters_by_state_name_and_cpu() {
    let all = json(&["bt", "--all", "--format", "json", ABBA]);
    let all = list(&all, "traces");
    let count = |args: &[&str]| {
        let args: Vec<&str> = ["bt", "--format", "json", ABBA].iter().chain(args).copied().collect();
        list(&json(&args), "traces").len()
    };
    let those = |wanted: &dyn Fn(&Value) -> bool| all.iter().filter(|t| wanted(&t["tasks"][0])).count();
    assert_eq!(count(&["--state", "D"]), those(&|t| t["state"] == "D"));
    assert_eq!(count(&["--comm", "kworker"]), those(&|t| t["comm"].as_str().is_some_and(|c| c.contains("kworker"))));
    assert_eq!(count(&["--cpu", "1"]), those(&|t| t["cpu"] == 1));
    let both = those(&|t| t["cpu"] == 1 && t["state"] == "D");
    assert!(both > 0);
    assert_eq!(count(&["--cpu", "1", "--state", "D"]), both);
    let none = vmcoroner(&["bt", ABBA, "--cpu", "0", "--state", "D"]);
    assert_eq!((those(&|t| t["cpu"] == 0 && t["state"] == "D"), none.status.code()), (0, Some(2)));
    assert!(String::from_utf8_lossy(&none.stderr).contains("no task is in that state"));
    assert_eq!(count(&["-a"]), those(&|t| t["running"] == true));
    assert!(count(&["-a"]) > 1, "one for each CPU");
    let groups = json(&["bt", "--all", "--group", "--format", "json", ABBA]);
    let tasks: usize = list(&groups, "traces").iter().map(|t| list(t, "tasks").len()).sum();
    assert_eq!(tasks, all.len(), "each task is in one group");
    assert!(list(&groups, "traces").len() < all.len());
}

#[test]
fn ps_sorts_and_filters() {
    let by_pid = json(&["ps", "--sort", "pid", "--format", "json", ABBA]);
    let pids: Vec<i64> = list(&by_pid, "tasks").iter().filter_map(|t| t["pid"].as_i64()).collect();
    assert!(pids.is_sorted() && pids.len() > 40);
    let off = json(&["ps", "--sort", "off-cpu", "--user", "--cpu", "0", "--format", "json", ABBA]);
    assert!(list(&off, "tasks").iter().all(|t| t["cpu"] == 0 && t["kthread"] == false));
}

/// The joined trace of the task that crashed.
fn joined(args: &[&str]) -> Value {
    let args: Vec<&str> = ["bt", "--format", "json"].iter().chain(args).copied().collect();
    json(&args)["traces"][0]["joined"].clone()
}

#[test]
fn the_trace_in_memory_is_joined_with_the_one_of_the_oops() {
    let trace = joined(&["testdata/vmcores/ip6mr-null.kdump"]);
    assert_eq!((&trace["since"], &trace["differ"]), (&Value::from(6), &Value::from(0)), "{trace:#}");
    let both: Vec<&str> =
        list(&trace, "frames").iter().filter(|f| f["side"] == "both").filter_map(|f| f["function"].as_str()).collect();
    assert_eq!(both[..2], ["ip6mr_sk_done", "rawv6_close"]);
    let shown = text(&["bt", "testdata/vmcores/ip6mr-null.kdump"]);
    assert!(shown.contains("6 of 20 frames ran since the report; 0 others differ"), "{shown}");
}

#[test]
fn sys_tells_of_the_machine_what_crash_does() {
    let sys = json(&["sys", "--format", "json", "testdata/vmcores/ip6mr-null.kdump"]);
    assert_eq!(sys["nodename"], "lab");
    assert_eq!((&sys["cpus"]["present"], &sys["crashed"]), (&Value::from(2), &Value::from(true)));
    assert_eq!((&sys["crashed_task"]["pid"], &sys["crashed_task"]["comm"]), (&60.into(), &"runc-init".into()));
    assert_eq!(
        sys["tasks"],
        list(&json(&["ps", "--format", "json", "testdata/vmcores/ip6mr-null.kdump"]), "tasks").len()
    );
    assert!(
        sys["oops"].as_str().is_some_and(|line| line.starts_with("BUG: kernel NULL pointer dereference")),
        "{sys:#}"
    );
    assert!(sys["panic"].as_str().is_some_and(|line| line.starts_with("Kernel panic - not syncing")), "{sys:#}");
    let letters: String = list(&sys, "taints").iter().filter_map(|taint| taint["letter"].as_str()).collect();
    let verdict = json(&["examine", "--format", "json", "testdata/vmcores/ip6mr-null.kdump"]);
    assert_eq!(verdict["machine"]["taint"], letters.as_str());
    assert_eq!(verdict["machine"]["command_line"], sys["command_line"]);
    let shown = text(&["examine", "testdata/vmcores/ip6mr-null.kdump"]);
    let line = shown.lines().nth(1).expect("a second line");
    assert!(line.starts_with("up 00:00:") && line.contains("2 CPUs, tainted "), "{line}");
    for format in ["markdown", "html"] {
        let page = text(&["examine", "--format", format, "testdata/vmcores/ip6mr-null.kdump"]);
        assert!(page.contains("up 00:00:02, 2 CPUs, tainted "), "{format}");
    }
}

#[test]
fn a_file_that_was_given_and_cannot_be_used_is_an_error_and_the_only_thing_said() {
    let pack = "testdata/packs/3.10.0-1062.el7.lab.pack";
    for (option, file, word) in [
        ("--vmlinux", "Cargo.toml", "expected a 64-bit little-endian ELF file"),
        ("--pack", "Cargo.toml", ""),
        ("--pack", pack, "--force uses it all the same"),
        ("--system-map", "Cargo.toml", "found none named _stext"),
    ] {
        for command in ["ps", "sym"] {
            let output = vmcoroner(&[command, option, file, NETDEV, "1"]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{command} {option} {file}: {said}");
            assert!(output.stdout.is_empty() && said.lines().count() == 1, "{command} {option} {file}: {said}");
            assert!(
                said.starts_with(&format!("vmcoroner: {file}: ")) && said.contains(word),
                "{option} {file}: {said}"
            );
        }
        let output = vmcoroner(&["examine", option, file, "--format", "json", NETDEV]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(said.matches(file).count(), 1, "{option} {file}: {said}");
        let verdict: Value = serde_json::from_slice(&output.stdout).expect("a verdict");
        assert!(list(&verdict, "gaps")[0]["why"].as_str().is_some_and(|why| why.starts_with(file)), "{option} {file}");
    }
}

#[test]
fn a_name_that_is_not_there_is_said_with_its_neighbours_and_the_others_are_shown() {
    let output = vmcoroner(&["sym", NETDEV, "schedule", "schedul", "init_tsak", "init_task"]);
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(out.lines().count(), 3, "two symbols below a header: {out}");
    assert!(said.contains("schedul; did you mean schedule"), "{said}");
    assert!(said.contains("init_tsak; did you mean init_task"), "{said}");
    for (args, near) in [
        (["struct", NETDEV, "task_struc"], "did you mean task_struct"),
        (["struct", NETDEV, "task_struct.com"], "did you mean comm"),
        (["slab", NETDEV, "dentri"], "did you mean dentry"),
        (["ps", NETDEV, "kworkr"], "did you mean kworker/"),
        (["bt", NETDEV, "insmodd"], "did you mean insmod"),
    ] {
        let output = vmcoroner(&args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(near), "{args:?}: {said}");
    }
    let some = vmcoroner(&["ps", NETDEV, "insmod", "nosuch"]);
    assert!(String::from_utf8_lossy(&some.stdout).contains("insmod") && some.status.code() == Some(2));
}

#[test]
fn a_task_is_chosen_by_its_address_as_it_is_printed() {
    let tasks = json(&["ps", "--format", "json", NETDEV, "insmod"]);
    let address = list(&tasks, "tasks")[0]["task"].as_str().expect("an address").to_owned();
    for word in [address.as_str(), address.trim_start_matches("0x")] {
        assert!(text(&["ps", NETDEV, word]).contains("insmod"));
        assert!(text(&["bt", NETDEV, word]).contains("COMMAND: \"insmod\""));
    }
}

#[test]
fn what_takes_several_addresses_in_turn() {
    let words = ["schedule+5", "runqueues:1", "runqueues"];
    let several = json(&[&["what", "--format", "json", NETDEV][..], &words[..]].concat());
    let several = several.as_array().expect("a list");
    assert_eq!(several.len(), 3);
    assert_eq!(several[0], json(&["what", "--format", "json", NETDEV, "schedule+5"]));
    assert!(several[2]["value"].as_str().is_some_and(|v| v.contains("runqueues:0 is that of CPU 0")), "{several:#?}");
}

#[test]
fn ps_tells_all_of_one_task() {
    // The members that the values come from: comm, start_time, nsproxy and the counters of the task.
    let shown = text(&["ps", "-v", NETDEV, "insmod"]);
    for line in [
        "  started    8.100467500 s after boot",
        "  switches   1 voluntary, 0 forced",
        "  namespaces net 4026531840, mnt 4026531841, uts 4026531838, ipc 4026531839, pid 4026531836",
        "  memory     VSZ 2256k, RSS 88k",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    let tasks = json(&["ps", "--json", "-v", NETDEV, "insmod"]);
    assert_eq!(list(&tasks, "tasks")[0]["namespaces"]["mnt"], 4_026_531_841_u32);
    assert_eq!(list(&tasks, "tasks")[0]["virtual_bytes"], 2256 * 1024);
}

#[test]
fn net_and_mods_take_a_name() {
    let net = json(&["net", "--json", NETDEV, "eth0"]);
    assert_eq!(list(&net, "devices").len(), 2);
    // The members that the values come from: in_ifaddr and inet6_ifaddr of the device.
    let live = list(&net, "devices").iter().find(|device| device["listed"] == true).expect("the live one");
    assert_eq!(live["addresses"], serde_json::json!(["10.1.2.2/24", "fe80::7048:3ff:fe10:fd2/64"]));
    let module = json(&["mods", "--json", NETDEV, "lab-netleak"]);
    assert_eq!((&module["name"], &module["parts"][0]["size"]), (&"lab_netleak".into(), &12288.into()));
    for (args, near) in [(["net", NETDEV, "eht0"], "eth0"), (["mods", NETDEV, "lab_netlek"], "lab_netleak")] {
        let output = vmcoroner(&args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(&format!("did you mean {near}")), "{said}");
    }
}

#[test]
fn the_parts_of_a_split_dump_are_found_in_a_folder_whatever_their_names() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("parts");
    std::fs::create_dir_all(&folder).expect("a folder");
    for (from, to) in [("1", "one"), ("2", "second.bin"), ("3", "zz.3")] {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/formats");
        std::fs::copy(root.join(format!("a-split.{from}")), folder.join(to)).expect("a copy");
    }
    std::fs::write(folder.join("notes.png"), b"no dump").expect("a file");
    let output = vmcoroner(&["info", "--json", folder.to_str().expect("UTF-8")]);
    let info: Value = serde_json::from_slice(&output.stdout).expect("one dump");
    assert_eq!((&info["split"], list(&info, "files").len()), (&Value::from(true), 3));
}

#[test]
fn a_pipe_gets_every_cgroup() {
    let all = text(&["cgroup", "testdata/vmcores/memcg-zombies.kdump"]);
    assert_eq!(all.lines().count(), 1063 + 2, "one a line, a header and a sum");
    let few = text(&["cgroup", "--limit", "3", "testdata/vmcores/memcg-zombies.kdump"]);
    assert!(few.lines().count() == 6 && few.contains("and 1060 more (--all)"), "{few}");
}

#[test]
fn a_user_task_shows_its_system_call() {
    let trace = json(&["bt", "--json", NETDEV, "insmod"])["traces"][0]["user"].clone();
    // The trace goes through __do_sys_finit_module: 313 on x86-64.
    assert_eq!((&trace["system_call"], &trace["name"]), (&313.into(), &"finit_module".into()));
    let of =
        |name: &str| list(&trace, "registers").iter().find(|r| r["name"] == name).expect("a register")["value"].clone();
    assert_eq!((of("orig_rax"), of("cs")), ("0x0000000000000139".into(), "0x0000000000000033".into()));
    assert!(text(&["bt", NETDEV, "insmod"]).contains("system call 313 (finit_module) from user mode at "));
    assert!(text(&["bt", "-r", NETDEV, "insmod"]).contains("orig_rax: 0000000000000139"));
    assert!(json(&["bt", "--json", NETDEV, "kthreadd"])["traces"][0].get("user").is_none());
}

#[test]
fn data_is_not_taken_for_code() {
    assert!(text(&["dis", NETDEV, "init_task", "2"]).starts_with("0xffffffffa3e0f600 is data, no code"));
    assert_eq!(json(&["dis", "--json", NETDEV, "schedule", "2"])["data"], false);
}

#[test]
fn the_printer_of_a_trace_is_no_difference() {
    let trace = joined(&["testdata/vmcores/sysrq-crash.kdump"]);
    assert_eq!(trace["differ"], 0, "{trace:#}");
}

#[test]
fn a_text_is_not_named_after_a_constant_far_before_it() {
    let caches = text(&["struct", NETDEV, "kmem_cache", "slab_caches", "--list", "list", "--head", "-m", "name"]);
    assert!(!caches.lines().any(|line| line.contains("name = ") && line.contains("+")), "{caches}");
}

#[test]
fn struct_takes_several_addresses() {
    let both = json(&["struct", "--json", NETDEV, "task_struct.comm", "task:1", "init_task"]);
    let names: Vec<&str> =
        list(&both, "objects").iter().filter_map(|o| o["members"][0]["value"]["text"].as_str()).collect();
    assert_eq!(names, ["init", "swapper/0"]);
    let wrong = vmcoroner(&["struct", NETDEV, "task_struct.comm", "task:1", "init_tsak"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("no symbol init_tsak"));
}

#[test]
fn timer_lists_every_timer_in_the_order_they_are_due() {
    let first = json(&["timer", "--json", NETDEV]);
    let all = json(&["timer", "--json", "--all", NETDEV]);
    assert_eq!(list(&all, "items").len(), list(&first, "items").len());
    for (queue, whole) in list(&first, "items").iter().zip(list(&all, "items")) {
        let timers = whole["all"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(whole["timers"], timers.len());
        assert!(queue["timers"].is_null() || queue["timers"] == whole["timers"]);
        let due = |timer: &Value| timer["expires"].as_u64();
        let monotonic: Vec<&Value> = timers.iter().filter(|timer| timer.get("clock").is_none()).collect();
        assert_eq!(monotonic.iter().filter_map(|t| due(t)).min(), due(&queue["first"]), "{queue:#}");
        assert!(queue["kind"] == "high-resolution" || timers.iter().map(due).is_sorted());
    }
    assert!(text(&["timer", "--all", NETDEV]).contains("tcp_orphan_update"));
}

/// Commands that take a dump first.
fn looking_commands() -> Vec<clap::Command> {
    use clap::CommandFactory;
    let all = vmcoroner::cli::Cli::command();
    let looks = |c: &&clap::Command| c.get_arguments().any(|a| a.get_id() == "dump");
    all.get_subcommands().filter(looks).cloned().collect()
}

#[test]
fn every_example_of_the_help_texts_works() {
    let commands = looking_commands();
    assert!(commands.len() >= 14);
    for command in commands {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let mut examples = 0;
        for line in help.lines().filter_map(|line| line.trim().strip_prefix("vmcoroner ")) {
            // A comment stands behind two blanks, a filter of another program behind a bar.
            let line = line.split("  ").next().unwrap_or_default().split(" | ").next().unwrap_or_default();
            let line = line.replace("--vmlinux vmlinux ", "").replace("--pack 1160.pack ", "");
            let args: Vec<String> = line
                .split_whitespace()
                .map(|word| word.trim_matches('\'').replace("vmcore", NETDEV))
                .filter(|word| !word.is_empty())
                .collect();
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let output = vmcoroner(&args);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{args:?}: {said}");
            assert!(!output.stdout.is_empty(), "{args:?} prints nothing");
            examples += 1;
        }
        assert!(examples > 0, "{} has no example", command.get_name());
    }
}

#[test]
fn a_view_of_which_nothing_can_be_read_says_why_and_fails() {
    for command in ["ps", "mods", "slab", "net", "runq"] {
        let output = vmcoroner(&[command, "--format", "json", "testdata/formats/a-zlib.kdump"]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let view: Value = serde_json::from_str(&said).unwrap_or_default();
        let empty = view.as_object().is_some_and(|v| {
            v.iter().filter_map(|(n, v)| Some((n, v.as_array()?))).all(|(n, v)| n == "gaps" || v.is_empty())
        });
        if empty {
            assert_eq!(output.status.code(), Some(2), "{command}: {said}");
            assert!(!list(&view, "gaps").is_empty(), "{command} says why: {said}");
        }
    }
}

#[test]
fn the_parts_of_a_split_dump_are_given_one_by_one() {
    let whole = vmcoroner(&["sym", "testdata/formats/a-zlib.kdump", "schedule"]);
    let parts = ["1", "2", "3"].map(|n| format!("testdata/formats/a-split.{n}"));
    let [a, b, c] = &parts;
    let split = vmcoroner(&["sym", b, "--part", a, "--part", c, "schedule"]);
    assert_eq!(whole.status.code(), split.status.code());
    assert_eq!(String::from_utf8_lossy(&whole.stdout), String::from_utf8_lossy(&split.stdout));
}

#[test]
fn the_page_on_looking_around_shows_what_the_commands_print() {
    let page = std::fs::read_to_string("docs/looking-around.md").expect("the page");
    let mut examples = 0;
    for block in page.split("```").skip(1).step_by(2) {
        let mut lines = block.lines().skip(1).peekable();
        while let Some(line) = lines.next() {
            let Some(command) = line.strip_prefix("$ vmcoroner ") else { continue };
            examples += 1;
            let args: Vec<&str> = command.split_whitespace().collect();
            let output = text(&args);
            let printed: Vec<&str> = output.lines().map(str::trim_end).collect();
            while let Some(shown) = lines.next_if(|line| !line.starts_with("$ ")) {
                let shown = shown.trim_end();
                let left_out = shown.trim() == "..." || shown.is_empty();
                assert!(left_out || printed.contains(&shown), "{command}: not printed: {shown}");
            }
        }
    }
    // Names of the JSON stand in front of the first example of each command.
    for part in page.split("\nJSON: ").skip(1) {
        let (names, rest) = part.split_once("\n").expect("an example behind");
        let command = rest.split("$ vmcoroner ").nth(1).and_then(|rest| rest.lines().next()).expect("a command");
        let args: Vec<&str> = command.split_whitespace().chain(["--format", "json"]).collect();
        let output = text(&args);
        for name in names.split('`').skip(1).step_by(2) {
            assert!(output.contains(&format!("\"{name}\":")), "{command}: no {name}");
        }
    }
    for command in looking_commands() {
        assert!(page.contains(&format!("\n## {}\n", command.get_name())), "no word on {}", command.get_name());
    }
    assert!(examples >= 20, "one a command, found {examples}");
}
