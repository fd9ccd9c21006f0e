//! Tasks, stacks and waits against what drgn says of the same dumps.

mod evidence;

use std::collections::BTreeMap;

use dump::Dump;
use evidence::{dumps, hex};
use kernel::stacks::{CallStack, without_suffix};
use kernel::{Kernel, Sources, Task};
use serde_json::{Value, json};

fn with_each(mut check: impl FnMut(&str, &Kernel<'_>, &Value)) {
    for (name, path, oracle) in dumps() {
        let dump = Dump::open(&[&path]).unwrap();
        let kernel = Kernel::open(&dump, Sources::default()).unwrap();
        check(&name, &kernel, &oracle);
    }
}

#[test]
fn every_task_equals_the_oracle_s() {
    with_each(|name, kernel, oracle| {
        let walk = kernel.tasks();
        assert_eq!(walk.gaps, [], "{name}");
        let mut seen: BTreeMap<u64, Value> = BTreeMap::new();
        for t in &walk.items {
            let net = t.namespaces.as_ref().and_then(|n| n.net);
            let row = json!([
                [t.pid, t.tgid, t.ppid],
                [t.comm, t.state.to_string(), t.cgroup],
                [t.kthread, t.running, t.idle],
                [t.cpu.map(u64::from), t.start_ns, t.nvcsw, t.nivcsw, net.map(u64::from)],
            ]);
            assert!(seen.insert(t.address.0, row).is_none(), "{name}: {} twice", t.address);
        }
        let mut want = BTreeMap::new();
        for t in oracle["tasks"].as_array().unwrap() {
            let row = json!([
                [t["pid"], t["tgid"], t["ppid"]],
                [t["comm"], t["state"], t["cgroup"]],
                [t["kthread"], t["running"], t["idle"]],
                [t["cpu"], t["start_ns"], t["nvcsw"], t["nivcsw"], t["net_ns"]],
            ]);
            want.insert(hex(&t["address"]).unwrap(), row);
        }
        assert_eq!(seen, want, "{name}");
        let crashed = kernel.crashed().map(|c| u64::from(c.cpu));
        assert_eq!(crashed, oracle["crashed"]["cpu"].as_u64(), "{name}");
    });
}

fn names(stack: Option<&CallStack>) -> Vec<String> {
    stack.into_iter().flat_map(|s| &s.frames).filter_map(|f| f.function().map(str::to_owned)).collect()
}

#[test]
fn stacks_have_the_oracle_s_frames_and_end_properly() {
    with_each(|name, kernel, oracle| {
        let tasks = kernel.tasks().items;
        let stacks = kernel.stacks(&tasks);
        for (task, stack) in tasks.iter().zip(&stacks) {
            let of_oracle = oracle["tasks"].as_array().unwrap();
            let want = of_oracle.iter().find(|t| hex(&t["address"]) == Some(task.address.0)).unwrap();
            let physical = want["stack"].as_array().into_iter().flatten().filter(|f| f["inline"] == json!(false));
            let want: Vec<_> =
                physical.filter_map(|f| f["symbol"].as_str()).map(|s| without_suffix(s).to_owned()).collect();
            assert_eq!(names(stack.as_ref()), want, "{name}: {} {}", task.pid, task.comm);
            if let Some(stack) = stack {
                assert_eq!(stack.ended, facts::Ended::Properly, "{name}: {} {}", task.pid, task.comm);
            }
            assert_eq!(stack.is_none(), task.exit_state != 0, "{name}: {} {}", task.pid, task.comm);
        }
    });
}

fn comms(tasks: &[Task], pids: &Value) -> Vec<String> {
    let mut all: Vec<_> = pids.as_array().unwrap().iter().map(|w| w["comm"].as_str().unwrap().to_owned()).collect();
    all.sort();
    assert!(all.iter().all(|c| tasks.iter().any(|t| t.comm == *c)));
    all
}

#[test]
fn locks_and_pools_of_sleepers_are_the_oracle_s() {
    with_each(|name, kernel, oracle| {
        let tasks = kernel.tasks().items;
        let stacks = kernel.stacks(&tasks);
        let waits = kernel.waits(&tasks, &stacks);
        assert_eq!(waits.gaps, [], "{name}");
        let comm = |at| tasks.iter().find(|t| t.address == at).map(|t| t.comm.clone());
        for lock in oracle["asserted"]["locks"].as_array().into_iter().flatten() {
            let at = hex(&lock["address"]);
            let mine: Vec<_> = waits.locks.iter().filter(|w| w.lock.map(|l| l.0) == at).collect();
            let mut waiting: Vec<_> = mine.iter().map(|w| comm(w.task).unwrap()).collect();
            waiting.sort();
            assert_eq!(waiting, comms(&tasks, &lock["waiters"]), "{name}: {}", lock["name"]);
            for wait in mine {
                assert_eq!(wait.symbol.as_deref(), lock["name"].as_str(), "{name}");
                let owner = lock["owner_comm"].as_str().or(lock["recorded_owner_comm"].as_str());
                assert_eq!(wait.owner.and_then(|o| comm(o.task)).as_deref(), owner, "{name}");
                let by_reader = lock["owner_is_reader"].as_bool().unwrap_or(false);
                assert_eq!(wait.owner.map(|o| o.certain), Some(!by_reader), "{name}");
                assert_eq!(wait.kind.name(), lock["kind"].as_str().unwrap(), "{name}");
            }
        }
        for pool in oracle["asserted"]["mempools"].as_array().into_iter().flatten() {
            let mine = waits.pools.iter().find(|p| Some(p.address.0) == hex(&pool["address"])).unwrap();
            assert_eq!((i64::from(mine.min_nr), i64::from(mine.curr_nr)), (2, 0), "{name}");
            assert_eq!(mine.cache.as_deref(), pool["cache"].as_str(), "{name}");
            let mut waiting: Vec<_> = mine.waiters.iter().map(|at| comm(*at).unwrap()).collect();
            waiting.sort();
            assert_eq!(waiting, comms(&tasks, &pool["waiters"]), "{name}");
        }
        let cycles: Vec<(Vec<_>, bool)> = waits
            .cycles
            .iter()
            .map(|c| {
                (c.tasks.iter().map(|t| comm(*t).unwrap()).collect::<std::collections::BTreeSet<_>>(), c.confirmed)
            })
            .map(|(tasks, confirmed)| (tasks.into_iter().collect(), confirmed))
            .collect();
        let pair = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        match name {
            "deadlock-abba" => {
                assert!(cycles.contains(&(pair("checkpoint", "journal"), true)), "{cycles:?}");
                assert!(cycles.contains(&(pair("stale-reader", "writer"), false)), "{cycles:?}");
                assert_eq!(cycles.len(), 2);
            }
            _ => assert!(cycles.is_empty(), "{name}: {cycles:?}"),
        }
    });
}

#[test]
fn facts_name_what_waits_and_share_equal_stacks() {
    with_each(|name, kernel, oracle| {
        let (facts, _) = kernel.task_facts();
        let tasks: Vec<_> = facts.iter().filter(|f| f.kind == "mem.task").collect();
        assert_eq!(tasks.len(), oracle["tasks"].as_array().unwrap().len(), "{name}");
        for fact in &facts {
            let kind = kernel::kinds().into_iter().find(|k| k.kind == fact.kind).expect("a kind of the table");
            for field in fact.values.keys() {
                assert!(
                    kind.fields.iter().any(|f| f.name == field),
                    "{name}: {}.{field} is not in the table",
                    fact.kind
                );
            }
            assert!(!fact.quote.is_empty() && !fact.recheck.is_empty(), "{name}: {fact:?}");
        }
        for (n, a) in tasks.iter().enumerate() {
            for b in tasks.iter().skip(n + 1) {
                if let (Some(a), Some(b)) = (a.stacks.first(), b.stacks.first()) {
                    assert_eq!(a == b, std::sync::Arc::ptr_eq(a, b), "{name}: equal stacks are stored once");
                }
            }
        }
        if name == "netdev-leak" {
            assert!(tasks.iter().any(|t| t.text("waits_in") == Some("netdev_run_todo")));
        }
    });
}

#[test]
fn members_concluded_from_init_task_are_where_the_types_say() {
    with_each(|name, kernel, _| {
        let found = kernel::types::infer::members(kernel);
        for member in &found {
            let known =
                kernel.types().first_member("task_struct", &[member.path, member.path.trim_start_matches("__")]);
            assert_eq!(known.map(|m| m.offset), Some(member.offset), "{name}: {}", member.path);
        }
        let paths: Vec<_> = found.iter().map(|m| m.path).collect();
        for path in ["comm", "tasks", "pid", "tgid", "real_parent", "flags", "stack", "__state"] {
            assert!(paths.contains(&path), "{name}: {path} not among {paths:?}");
        }
        assert!(paths.iter().any(|p| p.starts_with("thread.")), "{name}: {paths:?}");
    });
}

#[test]
fn frames_on_the_interrupt_stack_are_told_from_the_task_s() {
    let mut stopped = 0;
    with_each(|name, kernel, _| {
        for cpu in kernel.cpus().items {
            let Some(stack) = kernel.cpu_stack(cpu.number) else { continue };
            // An interrupt of the idle loop changes to the CPU's own stack between its entry code and its handler.
            let entry = stack.frames.iter().position(|f| f.function() == Some("asm_sysvec_reboot"));
            let Some(entry) = entry.filter(|_| stack.goes_through("do_idle")) else { continue };
            for (n, frame) in stack.frames.iter().enumerate() {
                let expected = if n < entry { facts::Context::Irq } else { facts::Context::Task };
                assert_eq!(frame.context, expected, "{name}: CPU {} {:?}", cpu.number, frame.name);
            }
            stopped += 1;
        }
    });
    assert!(stopped > 0);
}
