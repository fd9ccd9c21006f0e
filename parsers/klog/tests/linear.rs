//! Time grows with the size of a text and with nothing else, whatever is in it.

use std::time::{Duration, Instant};

/// A text of `n` pieces.
type Make = fn(usize) -> String;

const STAMP: &str = "[   12.000000] ";
const WARNING: &str = "[   12.000000] WARNING: CPU: 0 PID: 1 at a/b.c:1 f+0x1/0x2\n";

const TEXTS: &[(&str, usize, Make)] = &[
    ("equal events", 3000, |n| {
        "[ 12.000000] unregister_netdevice: waiting for eth0 to become free. Usage count = 1\n".repeat(n)
    }),
    ("different events", 3000, |n| {
        (0..n).map(|i| format!("WARNING: CPU: 0 PID: 1 at a.c:{i} f{i}+0x1/0x2\n")).collect()
    }),
    ("headers without bodies", 3000, |n| {
        (0..n).map(|i| format!("[   12.{i:06}] INFO: task a:{i} blocked for more than 120 seconds.\n")).collect()
    }),
    ("a report of every caller", 3000, |n| {
        (0..n).map(|i| format!("[   12.000000][T{i:5}] WARNING: CPU: 0 PID: {i} at a.c:1 f+0x1/0x2\n")).collect()
    }),
    ("endless frames", 6000, |n| WARNING.to_owned() + &format!("{STAMP} f+0x1/0x2\n").repeat(n)),
    ("endless traces", 3000, |n| WARNING.to_owned() + &format!("{STAMP}Call Trace:\n{STAMP} f+0x1/0x2\n").repeat(n)),
    ("endless modules", 6000, |n| format!("{WARNING}{STAMP}Modules linked in:") + &" a_module(OE)".repeat(n)),
    ("endless broken lines", 6000, |n| {
        let long = format!("{STAMP}BUG: unable to handle kernel NULL pointer dereference at\n");
        long.repeat(4) + &"0000000000000020 and more words that fill this line up to its right edge\n".repeat(n)
    }),
    ("frames broken at a column", 3000, |n| {
        WARNING.to_owned() + &format!("{STAMP} {}\n{}+0x1/0x2\n", "f".repeat(64), "g".repeat(20)).repeat(n)
    }),
    ("one line of stamps", 20_000, |n| STAMP.repeat(n)),
    ("one line of anchors", 20_000, |n| "BUG: INFO: task WARNING: ".repeat(n)),
    ("one line of quotes", 100_000, |n| "> ".repeat(n)),
    ("one line of entities", 50_000, |n| "&amp;lt;".repeat(n)),
    ("one line of escapes", 50_000, |n| "\u{1b}[#033[^[[\\x1b".repeat(n)),
    ("quotes in quotes", 3000, |n| format!("{} {WARNING}", ">".repeat(200)).repeat(n)),
    ("soft line breaks", 6000, |n| format!("{}=\n", "=3D".repeat(24)).repeat(n)),
    ("objects in one line", 10_000, |n| {
        format!("{{\"dmesg\":[{}]}}", vec!["{\"pri\":1,\"time\":1.000001,\"msg\":\"x\"}"; n].join(","))
    }),
    ("nested objects", 10_000, |n| "{\"log\":\"{\\\"log\\\":\\\"WARNING: ".repeat(n)),
    ("keys on lines", 5000, |n| "{\n\"pri\": 1,\n\"time\": 1.000001,\n\"msg\": \"INFO: task x\"\n},\n".repeat(n)),
    ("fragments that never end", 5000, |n| {
        (0..n).map(|i| format!("4,{},5,-,ncfrag={}/8000;x\n", i / 500, i % 500 * 2)).collect()
    }),
    ("fragments in one line", 10_000, |n| (0..n).map(|i| format!("4,{i},5,-,ncfrag=0/9;x")).collect()),
    ("pieces that never end", 5000, |n| "2023-11-14T22:13:20.002000000Z stdout P WARNING: x\n".repeat(n)),
    ("records that go on", 5000, |n| "4,1,5,c;x\n".to_owned() + &"4,2,5,+;y\n".repeat(n)),
    ("an entry without end", 5000, |n| "__CURSOR=x\n".to_owned() + &"MESSAGE=WARNING: x\n    y\n".repeat(n)),
    ("banners", 3000, |n| "[    0.000000] Linux version 5.10.0 (x) #1\n".repeat(n)),
    ("hosts", 2000, |n| (0..n).map(|i| format!("Jul  5 19:33:34 h{} kernel: {}", i % 97, &WARNING[15..])).collect()),
    ("nothing but newlines", 200_000, |n| "\n".repeat(n)),
    ("NUL bytes", 200_000, |n| "\0".repeat(n)),
];

/// Time this thread ran, where the system says it: a busy machine does not count.
fn ran() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}

fn time(text: &str) -> Duration {
    let (start, before) = (Instant::now(), ran());
    std::hint::black_box(klog::read("x", text.as_bytes()).boots.len());
    match (before, ran()) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => start.elapsed(),
    }
}

#[test]
fn four_times_the_text_costs_four_times_the_time() {
    for (what, n, make) in TEXTS {
        let (one, four) = (make(*n), make(4 * n));
        // A quadratic reader takes sixteen times the time, each time.
        let bounded = (0..4).any(|_| {
            let base = time(&one).max(Duration::from_millis(2));
            time(&four) <= base * 9
        });
        assert!(bounded, "{what}: {:?} for {} bytes, {:?} for {}", time(&one), one.len(), time(&four), four.len());
    }
}
