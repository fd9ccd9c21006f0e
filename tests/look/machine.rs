//! The machine, its devices and its memory.

use serde_json::Value;

use super::{NETDEV, json, list, text, vmcoroner};

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
fn net_and_mods_take_a_name() {
    let net = json(&["net", "--json", NETDEV, "eth0"]);
    assert_eq!(list(&net, "devices").len(), 2);
    // The members that the values come from: in_ifaddr and inet6_ifaddr of the device.
    let live = list(&net, "devices").iter().find(|device| device["listed"] == true).expect("the live one");
    assert_eq!(live["addresses"], serde_json::json!(["10.1.2.2/24", "fe80::7048:3ff:fe10:fd2/64"]));
    let module = json(&["mods", "--json", NETDEV, "lab-netleak"]);
    assert_eq!((&module["name"], &module["parts"][0]["size"]), (&"lab_netleak".into(), &12288.into()));
    for (args, near) in [
        (["net", NETDEV, "eht0"], "eth0"),
        (["mods", NETDEV, "lab_netlek"], "lab_netleak"),
        (["sym", NETDEV, "lab_leakd_rt"], "lab_leaked_rt"),
    ] {
        let output = vmcoroner(&args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(&format!("did you mean {near}")), "{said}");
    }
}

#[test]
fn a_pipe_gets_every_cgroup() {
    let all = text(&["cgroup", "testdata/vmcores/memcg-zombies.kdump"]);
    assert_eq!(all.lines().count(), 1063 + 2, "one a line, a header and a sum");
    let few = text(&["cgroup", "--limit", "3", "testdata/vmcores/memcg-zombies.kdump"]);
    assert!(few.lines().count() == 6 && few.contains("and 1060 more (--all)"), "{few}");
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
