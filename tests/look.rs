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
fn net_shows_the_leaked_device_with_its_count() {
    let net = json(&["net", "--format", "json", NETDEV]);
    let devices = list(&net, "devices");
    assert_eq!(devices.len(), 7, "the one that waits among them");
    let leaked: Vec<&Value> = devices.iter().filter(|d| d["state"] == "unregistered").collect();
    assert_eq!(leaked.len(), 1);
    assert_eq!((&leaked[0]["name"], &leaked[0]["references"]), (&Value::from("eth0"), &Value::from(2)));
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
fn runq_has_a_line_for_each_cpu() {
    assert_eq!(list(&json(&["runq", "--format", "json", NETDEV]), "queues").len(), 2);
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
    for command in ["ps", "net", "mods", "slab", "cgroup", "runq", "waits"] {
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
