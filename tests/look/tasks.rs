//! Tasks, their stacks, and what they wait for.

use serde_json::Value;

use super::{ABBA, NETDEV, json, list, text, vmcoroner};

#[test]
fn ps_lists_every_task_that_drgn_lists() {
    let tasks = json(&["ps", "--format", "json", NETDEV]);
    assert_eq!(list(&tasks, "tasks").len(), 54);
    assert!(list(&tasks, "tasks").iter().any(|t| t["comm"] == "insmod" && t["state"] == "D"));
    assert!(text(&["ps", NETDEV]).lines().next().unwrap_or_default().starts_with("PID  PPID  CPU  TASK"));
    assert!(text(&["ps", "--tree", NETDEV]).contains("kthreadd"));
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
fn a_task_is_chosen_by_its_address_as_it_is_printed() {
    let tasks = json(&["ps", "--format", "json", NETDEV, "insmod"]);
    let address = list(&tasks, "tasks")[0]["task"].as_str().expect("an address").to_owned();
    for word in [address.as_str(), address.trim_start_matches("0x")] {
        assert!(text(&["ps", NETDEV, word]).contains("insmod"));
        assert!(text(&["bt", NETDEV, word]).contains("COMMAND: \"insmod\""));
    }
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
fn the_printer_of_a_trace_is_no_difference() {
    let trace = joined(&["testdata/vmcores/sysrq-crash.kdump"]);
    assert_eq!(trace["differ"], 0, "{trace:#}");
}
