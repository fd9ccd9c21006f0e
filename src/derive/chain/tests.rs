use super::*;

fn task(pid: i64, comm: &str, blocked: i64) -> Fact {
    Fact::new("mem.task", Origin::memory("dump", 0, "struct task_struct"))
        .with("pid", pid)
        .with("comm", comm)
        .with("state", "D")
        .with("blocked_s", blocked)
}

fn wants(pid: i64, lock: &str, owner: i64, certain: bool) -> Fact {
    Fact::new("mem.lock_wait", Origin::memory("dump", 0, "struct mutex"))
        .with("pid", pid)
        .with("kind", "mutex")
        .with("symbol", lock)
        .with("owner_pid", owner)
        .with("owner_certain", certain)
}

fn waits(pid: i64, kind: &str) -> Fact {
    Fact::new("mem.wait", Origin::memory("dump", 0, "struct page")).with("pid", pid).with("kind", kind)
}

fn hung(pid: i64, comm: &str) -> Fact {
    let fact = Fact::new("log.hung_task", Origin::lines("dump", 5, 9)).with("pid", pid).with("comm", comm);
    fact.with("seconds", 10)
}

fn titles(facts: &[Fact], kind: &str) -> Vec<String> {
    let found = chains(facts);
    found.iter().filter(|f| f.kind == kind).filter_map(|f| f.text("title").map(str::to_owned)).collect()
}

/// a holds m and waits for a completion, b holds n and wants m, c wants n.
fn chain_of(blocked: i64) -> Vec<Fact> {
    let done = waits(1, "completion").with("symbol", "done").with("module", "demo");
    let tasks = [task(1, "a", blocked), task(2, "b", blocked), task(3, "c", blocked)];
    tasks.into_iter().chain([done, wants(2, "m", 1, true), wants(3, "n", 2, true)]).collect()
}

#[test]
fn all_who_wait_have_one_root_whichever_the_log_names() {
    let mut facts = chain_of(15);
    assert!(chains(&facts).is_empty(), "nobody was reported, and locks are waited for all the time");
    facts.push(hung(3, "c"));
    assert_eq!(
        titles(&facts, "derived.chain"),
        ["a:1 holds up 2 tasks: it holds mutex m (1 wait) and has waited 15 s for completion done"]
    );
    assert_eq!(titles(&facts, "derived.blocked"), ["c has waited 15 s for mutex n, held by b:2"]);
    let found = chains(&facts);
    let blocked = found.iter().find(|f| f.kind == "derived.blocked");
    assert_eq!(blocked.and_then(|f| f.int("root_pid")), Some(1));
    let root = found.iter().find(|f| f.kind == "derived.chain");
    assert_eq!(root.and_then(|f| f.get("reported")).and_then(Value::as_bool), Some(false));
    assert_eq!(root.and_then(|f| f.text("module")), Some("demo"));
}

#[test]
fn a_second_knot_is_told_beside_the_one_that_was_reported() {
    let mut facts = chain_of(12);
    facts.extend([task(8, "x", 12), waits(8, "completion"), hung(8, "x")]);
    assert_eq!(titles(&facts, "derived.chain").len(), 1);
}

#[test]
fn who_waits_long_is_told_where_the_log_says_nothing() {
    assert_eq!(titles(&chain_of(40), "derived.chain").len(), 1);
}

#[test]
fn a_reader_is_followed_only_while_it_is_blocked_and_never_into_a_circle() {
    let of = |last: Fact| [task(1, "a", 30), task(2, "b", 30), wants(2, "m", 1, false), last].to_vec();
    assert_eq!(titles(&of(waits(1, "completion")), "derived.chain").len(), 1);
    assert!(titles(&of(wants(1, "n", 2, true)), "derived.chain").is_empty());
    let mut awake = of(waits(1, "completion"));
    awake[0].set("state", "S");
    assert!(titles(&awake, "derived.chain").is_empty());
}

#[test]
fn a_reader_that_sleeps_in_the_code_of_the_lock_is_the_root() {
    let sleeping = |module: &str| {
        let mut stack = facts::Stack::printed("stack");
        stack.frames = ["schedule", "cfg_reader"].iter().map(|f| facts::Frame::printed(*f)).collect();
        if let Some(frame) = stack.frames.get_mut(1) {
            frame.module = Some(module.into());
        }
        let mut reader = task(1, "ev", 0).with("state", "S");
        reader.stacks.push(std::sync::Arc::new(stack));
        let wants = |pid| wants(pid, "cfg_sem", 1, false).with("module", "demo");
        [reader, task(2, "w", 30), task(3, "r", 30), wants(2), wants(3)].to_vec()
    };
    let told = titles(&sleeping("demo"), "derived.chain");
    assert!(told.len() == 1 && told[0].starts_with("ev:1 holds up 2 tasks"), "{told:?}");
    assert!(titles(&sleeping("other"), "derived.chain").is_empty());
}

#[test]
fn a_proven_circle_has_no_root() {
    let facts = [task(1, "a", 30), task(2, "b", 30), wants(2, "m", 1, true), wants(1, "n", 2, true), hung(1, "a")];
    let found = chains(&facts);
    assert!(found.iter().all(|f| f.kind == "derived.blocked"), "{found:?}");
    assert_eq!(found[0].int("root_pid"), Some(1));
}

#[test]
fn who_waits_for_one_device_is_one_group_with_those_behind_it() {
    let page = |pid| waits(pid, "page").with("filesystem", "dm-0").with("bit", "writeback");
    let tasks = [task(1, "a", 30), task(2, "b", 30), task(3, "c", 30), task(4, "jbd2/dm-0-8", 30)];
    let facts: Vec<Fact> =
        tasks.into_iter().chain([page(1), page(2), wants(3, "m", 2, true), waits(4, "bit"), hung(2, "b")]).collect();
    assert_eq!(
        titles(&facts, "derived.chain"),
        ["3 tasks have waited 30 s for I/O of dm-0 (b, a, jbd2/dm-0-8); 1 task for what these hold"]
    );
}

#[test]
fn a_task_that_takes_its_own_lock_is_a_circle_of_one() {
    let circle = Fact::new("mem.lock_cycle", Origin::memory("dump", 0, "struct task_struct"))
        .with("pids", vec![7])
        .with("tasks", vec!["a"])
        .with("symbols", vec!["m"]);
    let two = circle.clone().with("pids", vec![7, 8]);
    let found = self_deadlocks(&[task(7, "a", 30), circle, two]);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].int("pid"), found[0].text("lock")), (Some(7), Some("m")));
}

#[test]
fn a_worker_waits_in_its_work_though_that_left_no_frame() {
    let mut worker = task(9, "kworker/0:0", 36);
    let mut stack = facts::Stack::printed("task");
    let frames = ["__schedule", "schedule_timeout", "__wait_for_common", "process_one_work", "worker_thread"];
    stack.frames = frames.map(facts::Frame::printed).to_vec();
    worker.stacks.push(std::sync::Arc::new(stack));
    let wait = waits(9, "completion").with("symbol", "work reply_fn").with("waker_pid", 9);
    let found = self_deadlocks(&[worker.clone(), wait.clone()]);
    assert_eq!((found[0].text("function"), found[0].text("module")), (Some("process_one_work"), None));
    let runs = Fact::new("mem.worker", Origin::memory("dump", 0, "struct worker")).with("pid", 9);
    let runs = runs.with("function", "req_fn").with("module", "tgtq");
    let found = self_deadlocks(&[worker, wait, runs]);
    assert_eq!((found[0].text("function"), found[0].text("module")), (Some("req_fn"), Some("tgtq")));
}

#[test]
fn later_reports_tell_how_long_a_task_hangs() {
    let later = hung(3, "c").with("seconds", 25);
    assert_eq!(lasting(&[hung(3, "c"), later, hung(4, "d")]), BTreeMap::from([(0, 25)]));
}

#[test]
fn why_it_is_that_one_is_told_of_who_has_to_end_a_wait() {
    let done = waits(2, "queue").with("symbol", "async_done").with("waker_pid", 1);
    let done = done.with("waker_comm", "kworker").with("waker_by", "runs probe for phyx.3");
    let found = chains(&[task(1, "kworker", 40), task(2, "insmod", 40), done]);
    let root = found.iter().find(|f| f.kind == "derived.chain").unwrap();
    assert_eq!(
        root.text("title").unwrap(),
        "kworker:1 holds up 1 task: it has to end the wait for queue async_done (1 wait) and has slept 40 s, and memory does not tell for what"
    );
    assert_eq!(root.quote, "insmod:2 waits for queue async_done, which kworker:1 has to end: it runs probe for phyx.3");
}

#[test]
fn a_root_that_was_stopped_or_gets_no_cpu_is_told_with_the_reason_and_no_module() {
    let mut holder = task(1, "batch", 40).with("halted", "may not run: the CPU time of cgroup /batch is used up");
    holder.set("state", "R");
    let found = chains(&[holder, task(2, "router", 40), wants(2, "table_lock", 1, true)]);
    let root = found.iter().find(|f| f.kind == "derived.chain").unwrap();
    assert_eq!(
        root.text("title").unwrap(),
        "batch:1 holds up 1 task: it holds mutex table_lock (1 wait) and may not run: the CPU time of cgroup /batch is used up"
    );
    assert_eq!((root.text("module"), root.get("halted").is_some()), (None, true));
    let mut frozen = task(1, "dbbackup", 0).with("halted", "is frozen with its cgroup /backup");
    frozen.set("state", "S");
    let lock = waits(2, "file-lock").with("symbol", "flock on /tmp/db.lock").with("waker_pid", 1);
    let lock = lock.with("waker_by", "holds it");
    let mut client = task(2, "client", 25);
    client.set("state", "S");
    let found = chains(&[frozen, client.clone(), lock.clone()]);
    let root = found.iter().find(|f| f.kind == "derived.chain").unwrap();
    assert_eq!(
        root.text("title").unwrap(),
        "dbbackup:1 holds up 1 task: it holds the flock on /tmp/db.lock (1 wait) and is frozen with its cgroup /backup"
    );
    assert_eq!(root.quote, "client:2 waits for the flock on /tmp/db.lock, held by dbbackup:1");
    // Who holds one and goes on holds nobody up.
    let mut works = task(1, "dbbackup", 0);
    works.set("state", "S");
    assert!(chains(&[works, client, lock]).is_empty());
}

#[test]
fn who_has_the_cpu_of_a_worker_holds_up_those_that_wait_for_its_work() {
    let mut hog = task(1, "motionctl", 0).with("running", true).with("cpu", 1);
    hog.set("state", "R");
    let mut worker = task(2, "kworker/1:0", 0);
    worker.set("state", "R");
    let cpu = waits(2, "cpu").with("symbol", "CPU 1").with("waker_pid", 1);
    let cpu = cpu.with("waker_by", "has it as SCHED_FIFO 90");
    let work = waits(3, "completion").with("symbol", "work behind drain").with("waker_pid", 2);
    let found = chains(&[hog, worker, task(3, "sh", 36), cpu, work]);
    let root = found.iter().find(|f| f.kind == "derived.chain").unwrap();
    assert_eq!(root.text("title").unwrap(), "motionctl:1 holds up 2 tasks: it holds CPU 1 (1 wait) and runs");
    assert_eq!(root.int("cpu"), Some(1));
    assert!(root.quote.starts_with("kworker/1:0:2 waits for CPU 1, held by motionctl:1: it has it as SCHED_FIFO 90"));
}
