//! The OOM killer, global and of a memory cgroup.

use std::collections::BTreeMap;

use facts::{FieldDef, FieldType, KindDef, Value};

use super::{Before, Family, Form, From, Opened, field, kind, memory_state};
use crate::cursor::{Cursor, after, between, has, hex_after, number_after, split};
use crate::event::{Event, Severity};
use crate::line::Writer;
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "oom",
    anchors: &[
        "invoked oom-killer",
        "ut of memory: Kill",
        "Out of Memory: Kill",
        "VM: killing process ",
        "oom-kill:constraint=",
        "Killed process ",
        "Out of memory and no killable processes",
        "Memory cgroup stats for ",
        "memory: usage ",
        " killed as a result of limit of ",
        "Tasks state (memory values in pages)",
    ],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind("log.oom", "The machine ran out of memory and a process was killed", FIELDS),
};

/// The same family makes this kind when the limit is that of a memory cgroup.
pub(super) const MEMCG_KIND: KindDef =
    kind("log.memcg_oom", "A memory cgroup reached its limit and a process was killed", FIELDS);

const FIELDS: &[FieldDef] = &[
    field("gfp", FieldType::Int, "", "flags of the allocation that failed"),
    field("order", FieldType::Int, "", "its order"),
    field("oom_score_adj", FieldType::Int, "", "of the task that allocated"),
    field("constraint", FieldType::Text, "", "NONE, CPUSET, MEMORY_POLICY or MEMCG"),
    field("task_cgroup", FieldType::Text, "", "cgroup of the task"),
    field("cgroup", FieldType::Text, "", "cgroup whose limit was reached"),
    field("name", FieldType::Text, "", "last part of its path, the name that per-cgroup slab caches bear"),
    field("memory_usage_kb", FieldType::Int, "kB", "memory charged to it"),
    field("memory_limit_kb", FieldType::Int, "kB", "its limit"),
    field("memory_failcnt", FieldType::Int, "", "charges refused since its creation"),
    field("memsw_usage_kb", FieldType::Int, "kB", "memory and swap charged"),
    field("memsw_limit_kb", FieldType::Int, "kB", "limit of both; 9007199254740988 is none"),
    field("memsw_failcnt", FieldType::Int, "", "charges refused"),
    field("swap_usage_kb", FieldType::Int, "kB", "swap charged (cgroup v2)"),
    field("swap_limit_kb", FieldType::Int, "kB", "its limit"),
    field("swap_failcnt", FieldType::Int, "", "charges refused"),
    field("kmem_usage_kb", FieldType::Int, "kB", "kernel memory charged"),
    field("kmem_limit_kb", FieldType::Int, "kB", "its limit; 9007199254740988 is none: accounted, not limited"),
    field("kmem_failcnt", FieldType::Int, "", "kernel charges refused"),
    field("kmem_percent", FieldType::Int, "%", "kernel memory as a share of all memory charged"),
    field("rss_kb", FieldType::Int, "kB", "sum of rss over the cgroups of the subtree"),
    field("cache_kb", FieldType::Int, "kB", "sum of page cache over the cgroups of the subtree"),
    memory_state::FIELDS[0],
    memory_state::FIELDS[1],
    memory_state::FIELDS[2],
    memory_state::FIELDS[3],
    memory_state::FIELDS[4],
    memory_state::FIELDS[5],
    memory_state::FIELDS[6],
    memory_state::FIELDS[7],
    memory_state::FIELDS[8],
    field("shmem_kb", FieldType::Int, "kB", "sum of shared memory over the cgroups of the subtree"),
    field("cpuset", FieldType::Text, "", "cpuset of the task"),
    field("mems_allowed", FieldType::Text, "", "memory nodes that it may use"),
    field("stats", FieldType::Record, "bytes", "memory.stat of the cgroup (cgroup v2)"),
    field("tasks", FieldType::List, "", "the ten largest tasks: pid, comm, rss_pages, oom_score_adj"),
    field("killed_pid", FieldType::Int, "", "process killed"),
    field("killed_comm", FieldType::Text, "", "its command name"),
    field("killed_score", FieldType::Int, "", "its badness, up to 5.2"),
    field("killed_total_vm_kb", FieldType::Int, "kB", "its address space"),
    field("killed_anon_rss_kb", FieldType::Int, "kB", "its anonymous memory"),
    field("killed_file_rss_kb", FieldType::Int, "kB", "its file pages"),
    field("killed_shmem_rss_kb", FieldType::Int, "kB", "its shared memory"),
    field("group_kill", FieldType::Bool, "", "memory.oom.group: all tasks of the cgroup are killed"),
    field("complete", FieldType::Bool, "", "the victim's line was seen"),
];

/// Functions that charge memory to a cgroup, or deal with one that is full: `mem_cgroup_out_of_memory` itself is inlined
/// in most builds.
const CHARGES: &[&str] = &[
    "mem_cgroup_out_of_memory",
    "mem_cgroup_oom",
    "mem_cgroup_charge",
    "mem_cgroup_try_charge",
    "mem_cgroup_newpage_charge",
    "mem_cgroup_do_charge",
    "mem_cgroup_swapin_charge",
    "try_charge",
    "charge_memcg",
    "obj_cgroup_charge",
    "memcg_kmem_charge",
    "memcg_charge_kmem",
];

fn open(line: &Line<'_>, before: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let mut event = Event::new(FAMILY.name, class::OOM, Severity::Failure).titled("out of memory");
    if let Some((comm, rest)) = split(text, " invoked oom-killer: ") {
        // A command name may hold `: ` (`tmux: server`), but is short; a worker's is long and holds none.
        if comm.len() > 63 || comm.len() > 15 && has(comm, ": ") {
            return None;
        }
        event.comm = Some(comm.to_owned());
        event = event
            .with_opt("gfp", hex_after(rest, "gfp_mask="))
            .with_opt("order", number_after(rest, "order="))
            .with_opt("oom_score_adj", number_after(rest, "oom_score_adj=").or_else(|| number_after(rest, "oom_adj=")));
        return Opened::trace(event);
    }
    // The limit is printed where it was reached.
    if text.starts_with("memory: usage ") {
        let full =
            number_after(text, "usage ").zip(number_after(text, "limit ")).is_some_and(|(used, limit)| used >= limit);
        let alone = before.current.is_none_or(|event| event.family == "headless");
        return (full && alone).then(|| Opened::headless(event)).flatten();
    }
    const BODY: &[&str] = &["Memory cgroup stats for ", "Tasks state (memory values in pages)", "Task in "];
    if BODY.iter().any(|head| text.starts_with(head)) {
        return before.current.is_none().then(|| Opened::headless(event)).flatten();
    }
    // 2.4
    if let Some(comm) = text.strip_prefix("VM: killing process ") {
        return Opened::line(event.with("killed_comm", comm).with("complete", true));
    }
    // Without its head: the decision alone. Other programs kill processes too; only the kernel prints their memory.
    if text.starts_with("Killed process ") && !has(text, "total-vm:") {
        return None;
    }
    // An event of Kubernetes' node problem detector, a mail: the kernel's line within other text.
    let quoted = text.find("Memory cgroup out of memory: Kill").filter(|_| line.writer != Writer::Kernel);
    let text = quoted.map_or(text, |at| &text[at..]);
    let mut report = Report::new(event, &FAMILY, Form::Lines);
    match decision(&mut report, text) {
        Step::Pass => None,
        Step::End => Opened::line(report.event),
        _ => Opened::lines(report.event),
    }
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if has(text, " invoked oom-killer: ") {
        return Step::Pass;
    }
    let step = decision(report, text);
    if step != Step::Pass {
        return step;
    }
    if text.starts_with("Tasks in ") && text.ends_with("memory.oom.group set") {
        report.event.set("group_kill", true);
        return Step::Take;
    }
    if has(text, " cpuset=") && has(text, "mems_allowed=") {
        return Step::Take;
    }
    let event = &mut report.event;
    if let Some(rest) = text.strip_prefix("Task in ") {
        memcg(event);
        if let Some((task, limit)) = split(rest, " killed as a result of limit of ") {
            event.set("task_cgroup", task);
            event.set("cgroup", limit.trim());
        }
        return Step::Take;
    }
    for (head, name) in [
        ("memory: usage ", "memory"),
        ("memory+swap: usage ", "memsw"),
        ("swap: usage ", "swap"),
        ("kmem: usage ", "kmem"),
    ] {
        if text.starts_with(head) {
            memcg(event);
            for (value, label) in [("usage_kb", "usage "), ("limit_kb", "limit "), ("failcnt", "failcnt ")] {
                if let Some(n) = number_after(text, label) {
                    event.set(format!("{name}_{value}"), n);
                }
            }
            return Step::Take;
        }
    }
    if let Some(rest) = text.strip_prefix("Memory cgroup stats for ") {
        memcg(event);
        if let Some((path, stats)) = split(rest, ": ").or_else(|| rest.split_once(':')) {
            event.fields.entry("cgroup".into()).or_insert_with(|| path.into());
            for (name, label) in [("cache_kb", "cache:"), ("rss_kb", "rss:"), ("shmem_kb", " shmem:")] {
                if let Some(n) = Some(stats).and_then(|s| number_after(s, label)) {
                    let sum = event.fields.get(name).and_then(Value::as_int).unwrap_or(0).saturating_add(n);
                    event.set(name, sum);
                }
            }
        }
        return Step::Take;
    }
    if event.family == "memcg_oom" && is_stat_pair(text) {
        stat_pair(event, text);
        return Step::Take;
    }
    if memory_state::slab_row(event, text) {
        return Step::Take;
    }
    if task_row(event, text) {
        return Step::Take;
    }
    if memory_state::is_table_line(text) {
        memory_state::table(event, text);
        return Step::Take;
    }
    Step::Pass
}

fn memcg(event: &mut Event) {
    event.family = "memcg_oom";
    event.class = class::MEMCG_OOM;
    event.title = "memory cgroup out of memory".to_owned();
}

/// The lines that name the victim.
fn decision(report: &mut Report, text: &str) -> Step {
    let event = &mut report.event;
    if let Some(rest) = text.strip_prefix("oom-kill:constraint=CONSTRAINT_") {
        let constraint = rest.split(',').next().unwrap_or(rest);
        event.set("constraint", constraint);
        if constraint == "MEMCG" {
            memcg(event);
        }
        if let Some(path) = between(rest, "oom_memcg=", ",") {
            memcg(event);
            event.set("cgroup", path);
        }
        if let Some(path) = between(rest, "task_memcg=", ",") {
            event.set("task_cgroup", path);
        }
        if let Some(name) = between(rest, ",cpuset=", ",") {
            event.set("cpuset", name);
        }
        // A list of nodes has commas of its own: `mems_allowed=0,2-3,global_oom`.
        if let Some(nodes) = after(rest, "mems_allowed=") {
            let end = nodes.find(|c: char| !c.is_ascii_digit() && !matches!(c, ',' | '-')).unwrap_or(nodes.len());
            event.set("mems_allowed", nodes[..end].trim_end_matches(','));
        }
        // The victim ends the line (`task=java,pid=2411,uid=1000`): all that is told of it where the next line is lost.
        if let Some((task, ids)) = after(rest, ",task=").and_then(|task| task.rsplit_once(",pid="))
            && let Some(pid) = Cursor::new(ids).number()
        {
            event.set("killed_comm", task);
            event.set("killed_pid", pid);
        }
        return Step::Take;
    }
    let (of_cgroup, rest) = if let Some(rest) = text.strip_prefix("Memory cgroup out of memory: ") {
        (true, rest)
    } else if let Some(rest) = text.strip_prefix("Out of memory: ").or_else(|| text.strip_prefix("Out of Memory: ")) {
        (false, rest)
    } else if text.starts_with("Killed process ") {
        (event.family == "memcg_oom", text)
    } else if text.starts_with("Out of memory and no killable processes") {
        return Step::End;
    } else {
        return Step::Pass;
    };
    let mut c = Cursor::new(rest);
    let killed = if c.take("Killed process ") {
        true
    } else if c.take("Kill process ") {
        false
    } else {
        return Step::Pass;
    };
    // The kernel prints the pid always; a sentence that quotes it may leave it out.
    let Some(pid) = c.number() else { return Step::Pass };
    if of_cgroup {
        memcg(event);
    }
    event.set("killed_pid", pid);
    if c.skip_past("(")
        && let Some(comm) = c
            .rest()
            .split_once(") ")
            .or_else(|| c.rest().split_once("),"))
            .map(|(comm, _)| comm)
            .or_else(|| c.rest().trim_end_matches('.').strip_suffix(')'))
    {
        event.set("killed_comm", comm);
    }
    if let Some(score) = number_after(rest, " score ") {
        event.set("killed_score", score);
    }
    for (name, label) in [
        ("killed_total_vm_kb", "total-vm:"),
        ("killed_anon_rss_kb", "anon-rss:"),
        ("killed_file_rss_kb", "file-rss:"),
        ("killed_shmem_rss_kb", "shmem-rss:"),
    ] {
        if let Some(n) = number_after(rest, label) {
            event.set(name, n);
        }
    }
    // Up to 5.2 the decision and the kill are two lines.
    if killed {
        event.set("complete", true);
        event.quote = text.to_owned();
        Step::End
    } else {
        Step::Take
    }
}

/// `anon 123`: one pair of memory.stat.
fn is_stat_pair(text: &str) -> bool {
    text.split_once(' ').is_some_and(|(name, n)| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
            && !n.is_empty()
            && n.bytes().all(|b| b.is_ascii_digit())
    })
}

fn stat_pair(event: &mut Event, text: &str) {
    let Some((name, n)) = text.split_once(' ') else { return };
    let Ok(n) = n.parse::<u64>() else { return };
    if !event.fields.contains_key("stats") {
        event.set("stats", BTreeMap::new());
    }
    if let Some(Value::Record(stats)) = event.fields.get_mut("stats")
        && stats.len() < 96
    {
        stats.entry(name.to_owned()).or_insert(n.into());
    }
}

/// `[28438]     0 28438  5063909   119961    1661   136409          -998 java`
fn task_row(event: &mut Event, text: &str) -> bool {
    let Some(inside) = text.strip_prefix('[') else { return false };
    let Some((pid, rest)) = inside.split_once(']') else { return false };
    let Ok(pid) = pid.trim().parse::<i64>() else { return false };
    let words: Vec<&str> = rest.split_ascii_whitespace().take(16).collect();
    let numbers = words.iter().take_while(|w| w.parse::<i64>().is_ok()).count();
    if numbers < 6 || words.len() <= numbers {
        return false;
    }
    let number = |at: usize| words.get(at).and_then(|w| w.parse::<i64>().ok()).unwrap_or(0);
    let rss = number(3);
    let row = BTreeMap::from([
        ("pid".to_owned(), Value::from(pid)),
        ("comm".to_owned(), words[numbers..].join(" ").into()),
        ("rss_pages".to_owned(), rss.into()),
        ("oom_score_adj".to_owned(), number(numbers - 1).into()),
    ]);
    memory_state::largest(event, "tasks", "rss_pages", row);
    true
}

fn finish(report: &mut Report) {
    let event = &mut report.event;
    // A log that was cut before the constraint: the way that led here tells whose limit it was.
    let limit = |f: &str| CHARGES.iter().any(|charge| f.trim_start_matches('_').starts_with(charge));
    let told = event.fields.contains_key("constraint") || event.family == "memcg_oom";
    if !told && event.stacks.iter().any(|stack| stack.functions().any(limit)) {
        memcg(event);
    }
    event.fields.entry("complete".into()).or_insert(Value::Bool(false));
    let number = |name: &str| event.fields.get(name).and_then(Value::as_int);
    if let (Some(kmem), Some(memory @ 1..)) = (number("kmem_usage_kb"), number("memory_usage_kb")) {
        event.set("kmem_percent", kmem.saturating_mul(100) / memory);
    }
    let path = event.fields.get("cgroup").and_then(Value::as_text);
    if let Some(name) = path.and_then(|path| path.rsplit('/').next()).filter(|name| !name.is_empty()).map(str::to_owned)
    {
        event.set("name", name);
    }
    if let Some(comm) = event.fields.get("killed_comm").and_then(Value::as_text) {
        event.title = format!("{}: killed {comm}", event.title);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn the_kernels_line_is_read_within_an_event_of_kubernetes() {
        let text = "kernel-monitor, gke-cluster-1-default-pool-81a54c78-gl40\t\t\tWarning\t\tOOMKilling\tMemory cgroup out of memory: Kill process 1371 (node) score 2081 or sacrifice child\n\
             Killed process 1371 (node) total-vm:783352kB, anon-rss:201844kB, file-rss:22852kB\n";
        assert_eq!(
            fields(text, &["class", "killed_pid", "killed_comm", "killed_total_vm_kb"]),
            ["memcg-oom", "1371", "node", "783352"]
        );
        assert_eq!(events(text).len(), 1);
    }

    #[test]
    fn the_line_of_the_constraint_alone_names_the_victim() {
        let line = "[ 6021.550705] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=a.scope,mems_allowed=0-1,oom_memcg=/kubepods.slice/pod1.slice,task_memcg=/kubepods.slice/pod1.slice/a.scope,task=Web, Content,pid=461754,uid=0\n";
        let wanted = ["killed_comm", "killed_pid", "cgroup", "task_cgroup", "mems_allowed"];
        let (pod, scope) = ("/kubepods.slice/pod1.slice", "/kubepods.slice/pod1.slice/a.scope");
        assert_eq!(fields(line, &wanted), ["Web, Content", "461754", pod, scope, "0-1"]);
        let cut = line.split_once("task=").unwrap().0;
        let event = &events(cut)[0];
        assert!(!event.fields.contains_key("killed_comm"), "a cut line names nobody");
    }
}
