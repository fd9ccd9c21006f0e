//! Addresses, symbols, structures and code.

use serde_json::Value;

use super::{NETDEV, json, list, text, vmcoroner};

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
fn what_takes_several_addresses_in_turn() {
    let words = ["schedule+5", "runqueues:1", "runqueues"];
    let several = json(&[&["what", "--format", "json", NETDEV][..], &words[..]].concat());
    let several = several.as_array().expect("a list");
    assert_eq!(several.len(), 3);
    assert_eq!(several[0], json(&["what", "--format", "json", NETDEV, "schedule+5"]));
    assert!(several[2]["value"].as_str().is_some_and(|v| v.contains("runqueues:0 is that of CPU 0")), "{several:#?}");
}

#[test]
fn data_is_not_taken_for_code() {
    assert!(text(&["dis", NETDEV, "init_task", "2"]).starts_with("0xffffffffa3e0f600 is data, no code"));
    assert_eq!(json(&["dis", "--json", NETDEV, "schedule", "2"])["data"], false);
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
