//! Several boots, hosts and CPUs in one text, and what was lost of it.

use klog::{Event, Reading};

fn read(text: &str) -> Reading {
    klog::read("test", text.as_bytes())
}

fn frames(event: &Event) -> Vec<&str> {
    event.stacks.iter().flat_map(|s| s.functions()).collect()
}

const WARNING_A: &[&str] = &[
    "WARNING: CPU: 1 PID: 10 at a.c:1 a_warns+0x1/0x2",
    "Modules linked in: x",
    "CPU: 1 PID: 10 Comm: a Not tainted 5.10.0 #1",
    "RIP: 0010:a_warns+0x1/0x2",
    "Call Trace:",
    " a_one+0x1/0x2",
    " a_two+0x1/0x2",
    "---[ end trace 0000000000000000 ]---",
];
const WARNING_B: &[&str] = &[
    "WARNING: CPU: 2 PID: 20 at b.c:1 b_warns+0x1/0x2",
    "Modules linked in: x",
    "CPU: 2 PID: 20 Comm: b Not tainted 5.10.0 #1",
    "RIP: 0010:b_warns+0x1/0x2",
    "Call Trace:",
    " b_one+0x1/0x2",
    " b_two+0x1/0x2",
    "---[ end trace 0000000000000000 ]---",
];

#[test]
fn callers_tell_mixed_reports_apart() {
    let text: String = WARNING_A
        .iter()
        .zip(WARNING_B)
        .map(|(a, b)| format!("[   10.000001][   T10] {a}\n[   10.000002][   T20] {b}\n"))
        .collect();
    let reading = read(&text);
    let events = &reading.boots[0].events;
    assert_eq!(events.len(), 2);
    assert_eq!(frames(&events[0]), ["a_one", "a_two"]);
    assert_eq!(frames(&events[1]), ["b_one", "b_two"]);
    assert!(events.iter().all(|e| !e.fields.contains_key("interleaved") && e.corrupted.is_none()));
    assert!(reading.gaps.is_empty());
}

#[test]
fn the_stacks_of_cpus_that_answer_belong_to_the_report_that_asked() {
    let text = "\
[   15.224920][    C0] watchdog: BUG: soft lockup - CPU#0 stuck for 11s! [victim:64]
[   15.224920][    C0] CPU: 0 PID: 64 Comm: victim Tainted: G           O       6.1.192 #1
[   15.224920][    C0] RIP: 0010:queued_spin_lock_slowpath+0x5d/0x171
[   15.224920][    C0] Call Trace:
[   15.224920][    C0]  <TASK>
[   15.224920][    C0]  wants+0xc/0x14 [m]
[   15.224920][    C0]  </TASK>
[   15.224920][    C0] Sending NMI from CPU 0 to CPUs 1-2:
[   15.224921][    C1] NMI backtrace for cpu 1
[   15.224921][    C1] CPU: 1 PID: 61 Comm: culprit Tainted: G           O       6.1.192 #1
[   15.224921][    C1] RIP: 0010:holds+0x1f/0x21 [m]
[   15.224921][    C1] Call Trace:
[   15.224921][    C1]  <TASK>
[   15.224921][    C1]  writes+0x4d/0xfcb [m]
[   15.224921][    C1]  </TASK>
[   15.224922][    C2] NMI backtrace for cpu 2 skipped: idling at default_idle+0x1/0x2
[   15.224930][    C1] BUG: kernel NULL pointer dereference, address: 0000000000000008
[   15.224930][    C1] #PF: supervisor read access in kernel mode
[   15.224930][    C1] CPU: 1 PID: 61 Comm: culprit Tainted: G           O       6.1.192 #1
[   15.224930][    C1] RIP: 0010:falls+0x1f/0x21 [m]
[   15.224931][    C0] Kernel panic - not syncing: softlockup: hung tasks
";
    let reading = read(text);
    let events = &reading.boots[0].events;
    let titles: Vec<&str> = events.iter().map(|e| e.family).collect();
    assert_eq!(events.len(), 3, "{titles:?}");
    let stacks: Vec<_> = events[0].stacks.iter().map(|s| (s.cpu, s.functions().collect::<Vec<_>>())).collect();
    assert!(stacks.contains(&(Some(1), vec!["holds", "writes"])), "{stacks:?}");
    assert!(events[0].stacks.iter().any(|s| (s.cpu, s.comm.as_deref(), s.pid) == (Some(1), Some("culprit"), Some(61))));
    assert_eq!(events[0].place.as_ref().map(|p| p.function.as_str()), Some("queued_spin_lock_slowpath"));
    assert_eq!(events[1].place.as_ref().map(|p| p.function.as_str()), Some("falls"));
}

#[test]
fn without_callers_cpu_and_pid_do_and_it_is_called_a_guess() {
    // The second header falls between the header and the body of the first report.
    let mut lines = vec![WARNING_A[0], WARNING_B[0]];
    lines.extend(&WARNING_A[1..]);
    lines.extend(&WARNING_B[1..]);
    let text: String = lines.iter().enumerate().map(|(n, l)| format!("[   10.{n:06}] {l}\n")).collect();
    let reading = read(&text);
    let events = &reading.boots[0].events;
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!((frames(&events[0]), events[0].comm.as_deref()), (vec!["a_one", "a_two"], Some("a")));
    assert_eq!((frames(&events[1]), events[1].comm.as_deref()), (vec!["b_one", "b_two"], Some("b")));
    assert!(events.iter().all(|e| e.fields.contains_key("interleaved")));
    assert!(reading.gaps.iter().any(|g| g.what == "whose lines these are"), "{:?}", reading.gaps);
}

#[test]
fn dropped_messages_inside_a_report_tear_it() {
    let mut lines: Vec<String> = WARNING_A.iter().map(|l| format!("[   10.000001] {l}")).collect();
    lines.insert(5, "** 123 printk messages dropped **".to_owned());
    let reading = read(&lines.join("\n"));
    assert_eq!(reading.boots[0].events[0].corrupted.as_deref(), Some("messages were dropped between its lines"));
    assert!(reading.gaps[0].why.contains("123"));
    // Behind the report nothing of it is missing.
    let mut lines: Vec<String> = WARNING_A.iter().map(|l| format!("[   10.000001] {l}")).collect();
    lines.push("** 123 printk messages dropped **".to_owned());
    assert_eq!(read(&lines.join("\n")).boots[0].events[0].corrupted, None);
}

#[test]
fn gaps_of_one_kind_are_one_gap() {
    let text = "[ 1.000000] net_ratelimit: 7 callbacks suppressed\n".repeat(1000);
    let reading = read(&text);
    assert_eq!(reading.gaps.len(), 1);
    assert!(reading.gaps[0].place.ends_with("999 more to line 1000"), "{}", reading.gaps[0].place);
}

#[test]
fn a_log_that_is_printed_again_counts_once() {
    let report = |from: u32| -> String {
        WARNING_A.iter().enumerate().map(|(n, l)| format!("[{from:5}.{n:06}] {l}\n")).collect()
    };
    let text = format!("{}{}{}{}", report(10), report(500), report(10), report(500));
    let reading = read(&text);
    assert_eq!(reading.boots[0].events.len(), 2);
    let text = format!("{}** replaying previous printk message **\n{}", report(10), report(10));
    assert_eq!(read(&text).boots[0].events.len(), 1);
}

#[test]
fn hosts_in_one_stream_are_boots_of_their_own() {
    let line = |host: &str, body: &str| format!("Jul  5 19:33:34 {host} kernel: {body}\n");
    let text: String =
        WARNING_A.iter().zip(WARNING_B).map(|(a, b)| line("node1", a) + &line("node2.example.org", b)).collect();
    let reading = read(&text);
    let hosts: Vec<_> = reading.boots.iter().map(|b| (b.identity.host.as_deref(), b.events.len())).collect();
    assert_eq!(hosts, [(Some("node1"), 1), (Some("node2.example.org"), 1)]);
    assert_eq!(frames(&reading.boots[1].events[0]), ["b_one", "b_two"]);
    // The same machine before it knew its name, and by its full name.
    let text = line("localhost", WARNING_A[0]) + &line("node1", WARNING_B[0]) + &line("node1.lan", WARNING_A[0]);
    assert_eq!(read(&text).boots.len(), 1);
}

#[test]
fn boots_follow_each_other() {
    let boot = |n: u32| format!("[    0.000000] Linux version 5.10.{n} (x) #1\n[    9.000000] {}\n", WARNING_A[0]);
    let reading = read(&(boot(1) + &boot(2)));
    let boots: Vec<_> = reading.boots.iter().map(|b| (b.identity.kernel.as_deref(), b.events.len())).collect();
    assert_eq!(boots, [(Some("5.10.1"), 2), (Some("5.10.2"), 2)]);
}

#[test]
fn the_wall_clock_is_joined_where_a_line_has_both() {
    let text = "[    0.000000] Linux version 5.10.1 (x) #1\n\
        [    1.500000] rtc_cmos 00:00: setting system clock to 2023-11-14T22:13:20 UTC (1700000000)\n\
        [    9.500000] WARNING: CPU: 1 PID: 10 at a.c:1 a_warns+0x1/0x2\n";
    let reading = read(text);
    let time = reading.boots[0].events[1].time.unwrap();
    assert_eq!((time.wall_ns, time.wall_exact), (Some(1_700_000_008_000_000_000), true));
}

#[test]
fn words_are_handed_out_with_their_lines() {
    let anchors = std::sync::Arc::new(klog::Anchors::with_words(["Restarting system"]));
    let mut seen = Vec::new();
    let text = "a\n\nreboot: Restarting system\nb\nlast\n\n";
    for size in [1, 3, 100] {
        let mut builder = klog::ReadingBuilder::new("x", anchors.clone());
        seen.clear();
        for piece in text.as_bytes().chunks(size) {
            builder.push(piece, &mut |line| seen.push((line.number, line.line, line.previous, line.last)));
        }
        builder.finish(&mut |line| seen.push((line.number, line.line, line.previous, line.last)));
        let word = (3, "reboot: Restarting system".to_owned(), "a".to_owned(), false);
        let last = (6, "last".to_owned(), String::new(), true);
        assert_eq!(seen, [word, last], "{size}");
    }
}

/// Another CPU's warning between the head of an oops and the rest of it makes no second oops.
#[test]
fn a_warning_inside_the_head_of_an_oops_leaves_it_whole() {
    let text = "\
<1>[437766.967550] BUG: kernel NULL pointer dereference, address: 0000000000000008
<4>[437766.971568] WARNING: CPU: 8 PID: 1694575 at mm/filemap.c:979 filemap_add_folio+0x92/0xa0
<1>[437766.978839] #PF: supervisor write access in kernel mode
<4>[437766.978847] Oops: 0002 [#1] PREEMPT SMP NOPTI
<4>[437766.978851] CPU: 56 PID: 3242009 Comm: foo Not tainted 6.6.95 #1
<4>[437766.978855] RIP: 0010:foo_pcplist+0x24c/0x6b0
<4>[437766.978856] Call Trace:
<4>[437766.978857]  foo_rmqueue+0x24c/0x6b0
";
    let found: Vec<klog::Event> =
        klog::read("test", text.as_bytes()).boots.into_iter().flat_map(|b| b.events).collect();
    let oopses: Vec<_> = found.iter().filter(|e| e.family == "oops").collect();
    assert_eq!(oopses.len(), 1, "{found:#?}");
    assert_eq!(oopses[0].title, "BUG: unable to handle kernel NULL pointer dereference in foo_pcplist");
    assert_eq!((oopses[0].cpu, oopses[0].pid), (Some(56), Some(3_242_009)));
}

#[test]
fn the_image_that_was_booted_names_the_release_where_the_banner_is_lost() {
    let release = |text: &str| {
        let events: Vec<_> = klog::read("test", text.as_bytes()).boots.into_iter().flat_map(|b| b.events).collect();
        events.iter().filter_map(|e| e.release.clone()).collect::<Vec<_>>()
    };
    let error = "[   52.261501] blk_update_request: I/O error, dev sda, sector 8 op 0x0:(READ) flags 0x0\n";
    let cmdline = "[    0.000000] Kernel command line: BOOT_IMAGE=(hd0,gpt2)/vmlinuz-4.18.0-348.el8.x86_64 root=x\n";
    assert_eq!(release(&format!("{cmdline}{error}{error}")), ["4.18.0-348.el8.x86_64"]);
    let bare = "[    0.000000] Kernel command line: BOOT_IMAGE=/boot/vmlinuz-linux root=x\n";
    assert!(release(&format!("{bare}{error}")).is_empty());
}
