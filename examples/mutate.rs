//! Feeds mutated dumps and logs to the whole chain and reports every panic and every input that takes too long.
//!
//!     cargo run --example mutate -- --seconds 120 --seed 1
//!     cargo run --release --example mutate -- --dumps 20000 --logs 100000
//!
//! Dumps are mutated through an overlay, never by copying. A failing input is named by its seed; run it alone with
//! `--only dump:SEED` or `--only log:SEED`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use dump::{Dump, Source};
use vmcoroner::engine::Rules;
use vmcoroner::examine::examine;
use vmcoroner::extract::{Opened, Options, dump_case, text_cases};

/// An answer must be there after this long, in the unoptimised build too.
const LIMIT: Duration = Duration::from_secs(2);

/// SplitMix64: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.next() % n }
    }
}

/// A changed dump: a few bytes anywhere or in the header, sometimes cut.
fn mutated(base: &Source, seed: u64) -> Source {
    let mut random = Random(seed);
    let len = base.len();
    let mut patches = Vec::new();
    for _ in 0..1 + random.below(12) {
        let at = match random.below(4) {
            0 => random.below(len),
            1 => random.below(len.min(512)),
            _ => random.below(len.min(128 << 10)),
        };
        let bytes = match random.below(4) {
            0 => vec![0xff; 1 + random.below(16) as usize],
            1 => vec![0; 1 + random.below(64) as usize],
            2 => random.next().to_le_bytes().to_vec(),
            _ => vec![random.next() as u8],
        };
        patches.push((at, bytes));
    }
    let cut = (random.below(4) == 0).then(|| random.below(len));
    Source::overlay(base, patches, cut)
}

/// A line as a carrier would hold it, or a part of it.
fn carried(line: &[u8], random: &mut Random) -> Vec<u8> {
    let half = line.len() / 2;
    let (head, tail) = line.split_at(half);
    let join = |parts: &[&[u8]]| parts.concat();
    match random.below(12) {
        0 => join(&[b"> > | ", line]),
        1 => join(&[b"{\"log\":\"", line, b"\\n\",\"x\":[{\"msg\":\""]),
        2 => join(&[
            b"2023-11-14T22:13:20.002000000Z stdout P ",
            head,
            b"\n2023-11-14T22:13:20.002000000Z stdout F ",
            tail,
        ]),
        3 => join(&[head, b"=\n=3D=20", tail]),
        4 => join(&[b"4,7,9,-,ncfrag=0/99;", head, b"4,7,9,-,ncfrag=50/99;", tail]),
        5 => join(&[b"4,7,9,c,caller=T1;", head, b"\n KEY=value\n4,8,9,+;", tail]),
        6 => join(&[b"\x1b[31m\x1b]0;&lt;&amp;amp;lt;#033[", line, b"#0"]),
        7 => join(&[b"Tue 2023-11-14 22:13:20 UTC [s=0;b=1;m=2]\n    MESSAGE=", head, b"\n        ", tail]),
        8 => join(&[b"__CURSOR=x\nMESSAGE\n\x08\0\0\0\0\0\0\0", line]),
        9 => join(&[b"   \"time\": 1.000001,\n   \"msg\": \"", line, b"\""]),
        10 => join(&[head, b"\r[   12.000001][ T77] ", tail]),
        _ => line.iter().flat_map(|b| [*b, 0]).collect(),
    }
}

/// A changed log: lines torn, repeated, swapped, shuffled, mixed with each other, put into carriers, made huge; numbers
/// and bytes changed.
fn mutated_log(base: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut lines: Vec<Vec<u8>> = base.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    for _ in 0..1 + random.below(20) {
        let count = lines.len() as u64;
        let at = random.below(count) as usize;
        let other = random.below(count) as usize;
        match random.below(11) {
            0 => lines.swap(at, other),
            1 => {
                let keep = random.below(lines[at].len() as u64 + 1) as usize;
                lines[at].truncate(keep);
            }
            2 => lines.insert(at, lines[other].clone()),
            3 => {
                lines.remove(at);
                if lines.is_empty() {
                    lines.push(Vec::new());
                }
            }
            4 => {
                let byte = random.next() as u8;
                let place = random.below(lines[at].len() as u64) as usize;
                if let Some(b) = lines[at].get_mut(place) {
                    *b = byte;
                }
            }
            5 => {
                for b in &mut lines[at] {
                    if b.is_ascii_digit() {
                        *b = b'0' + (random.next() % 10) as u8;
                    }
                }
            }
            6 => {
                let tail = lines[other].clone();
                lines[at].extend(tail);
            }
            7 => {
                // A window in another order, as when several CPUs print at once.
                let end = (at + 2 + random.below(40) as usize).min(lines.len());
                for i in (at + 1..end).rev() {
                    lines.swap(i, at + random.below((i - at) as u64 + 1) as usize);
                }
            }
            8 => {
                // Lines of one place between those of another.
                let n = random.below(40).min(count - at as u64).min(count - other as u64) as usize;
                let mixed: Vec<Vec<u8>> = lines[other..other + n].to_vec();
                for (i, line) in mixed.into_iter().enumerate() {
                    lines.insert(at + 2 * i + 1, line);
                }
            }
            9 => {
                let end = (at + 1 + random.below(12) as usize).min(lines.len());
                for line in &mut lines[at..end] {
                    *line = carried(line, &mut random);
                }
            }
            _ if random.below(16) == 0 => {
                // A megabyte without a newline.
                let times = (1 << 20) / lines[at].len().max(1);
                lines[at] = lines[at].repeat(times.min(1 << 20));
            }
            _ => {
                let times = 1 + random.below(64) as usize;
                lines[at] = lines[at].repeat(times);
            }
        }
    }
    lines.join(&b'\n')
}

fn run(what: &str, seed: u64, failures: &mut Vec<String>, work: impl Fn()) {
    let mut start = Instant::now();
    let mut panicked = catch_unwind(AssertUnwindSafe(&work)).is_err();
    if !panicked && start.elapsed() > LIMIT {
        // A busy machine may have held it up: what is really slow is slow again.
        start = Instant::now();
        panicked = catch_unwind(AssertUnwindSafe(&work)).is_err();
    }
    if panicked {
        failures.push(format!("{what}:{seed} panicked"));
    } else if start.elapsed() > LIMIT {
        failures.push(format!("{what}:{seed} took {:.1} s", start.elapsed().as_secs_f64()));
    }
}

fn files(folder: &Path, ending: &str, out: &mut Vec<Vec<u8>>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, ending, out);
        } else if path.to_string_lossy().ends_with(ending) {
            out.extend(std::fs::read(&path).ok());
        }
    }
}

fn main() -> ExitCode {
    let mut seconds = None;
    let (mut dumps, mut logs, mut first, mut only) = (u64::MAX, u64::MAX, 1u64, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().unwrap_or_default();
        match arg.as_str() {
            "--seconds" => seconds = value.parse().ok(),
            "--dumps" => dumps = value.parse().unwrap_or(0),
            "--logs" => logs = value.parse().unwrap_or(0),
            "--seed" => first = value.parse().unwrap_or(1),
            "--only" => only = Some(value),
            _ => {
                eprintln!("usage: mutate [--seconds N] [--dumps N] [--logs N] [--seed N] [--only dump:SEED|log:SEED]");
                return ExitCode::from(2);
            }
        }
    }
    if seconds.is_none() && dumps == u64::MAX && logs == u64::MAX {
        seconds = Some(60);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules = Rules::embedded().expect("the rules load");
    let options = Options::default();
    let bases: Vec<Source> = ["testdata/vmcores/sysrq-crash.kdump", "testdata/vmcores/netdev-leak.kdump"]
        .iter()
        .filter_map(|path| Source::map(&root.join(path)).ok())
        .collect();
    let mut texts = Vec::new();
    files(&root.join("rules"), ".log", &mut texts);
    assert!(!bases.is_empty() && !texts.is_empty(), "run it inside the repository");

    let dump_run = |seed: u64| {
        let base = &bases[(seed % bases.len() as u64) as usize];
        if let Ok(dump) = Dump::from_sources(vec![("mutated".to_owned(), mutated(base, seed))]) {
            let opened = Opened { member: "mutated".to_owned(), dump };
            let verdict = examine(&dump_case(&opened, &options), &rules);
            std::hint::black_box(serde_json::to_string(&verdict).map(|t| t.len()).unwrap_or(0));
        }
    };
    let log_run = |seed: u64| {
        let base = &texts[(seed % texts.len() as u64) as usize];
        for case in text_cases("mutated", &mutated_log(base, seed)) {
            std::hint::black_box(vmcoroner::report::text(&examine(&case, &rules), vmcoroner::report::Style::default()));
        }
    };
    let mut failures = Vec::new();
    if let Some(only) = only {
        let (what, seed) = only.split_once(':').unwrap_or(("", ""));
        let seed = seed.parse().unwrap_or(0);
        match what {
            "dump" => dump_run(seed),
            _ => log_run(seed),
        }
        return ExitCode::SUCCESS;
    }
    let start = Instant::now();
    let left = || seconds.is_none_or(|s| start.elapsed() < Duration::from_secs(s));
    let (mut done_dumps, mut done_logs) = (0u64, 0u64);
    while left() && (done_dumps < dumps || done_logs < logs) {
        if done_dumps < dumps {
            let seed = first + done_dumps;
            run("dump", seed, &mut failures, || dump_run(seed));
            done_dumps += 1;
        }
        for _ in 0..5 {
            if done_logs < logs {
                let seed = first + done_logs;
                run("log", seed, &mut failures, || log_run(seed));
                done_logs += 1;
            }
        }
    }
    println!("{done_dumps} mutated dumps, {done_logs} mutated logs, {} failures", failures.len());
    for failure in &failures {
        println!("{failure}");
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
