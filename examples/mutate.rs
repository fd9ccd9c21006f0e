//! Feeds mutated dumps and logs to the whole chain and reports every panic and every input that takes too long.
//!
//!     cargo run --example mutate -- --seconds 120 --seed 1
//!     cargo run --release --example mutate -- --dumps 20000 --logs 100000
//!
//! Archives, journals and files of a node are mutated too, and read each by its own entry point.
//!
//! Dumps are mutated through an overlay, never by copying. A failing input is named by its seed; run it alone with
//! `--only dump:SEED`, `--only log:SEED` or `--only other:SEED`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use dump::{Dump, Source};
use vmcoroner::engine::Rules;
use vmcoroner::examine::examine;
use vmcoroner::extract::{Opened, Options, dump_case, text_cases};

#[path = "../fuzz/repair.rs"]
mod repair;

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

/// A line some times over, a megabyte at most: the time limit is one for an input of a few megabytes.
fn repeated(line: &[u8], times: usize) -> Vec<u8> {
    line.repeat(times.min((1 << 20) / line.len().max(1)).max(1))
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
                lines[at] = repeated(&lines[at], 1 << 20);
            }
            _ => {
                let times = 1 + random.below(64) as usize;
                lines[at] = repeated(&lines[at], times);
            }
        }
    }
    lines.join(&b'\n')
}

/// Something that is neither dump nor log.
enum Other {
    Archive(Vec<u8>),
    /// The report of a collector, read by the whole chain.
    Report(Vec<u8>),
    Journal(Vec<u8>),
    /// A file of a node: its path and its bytes.
    State(String, Vec<u8>),
}

/// Changed bytes: a few places overwritten, a piece repeated or left out, sometimes cut.
fn mutated_bytes(base: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut bytes = base.to_vec();
    for _ in 0..1 + random.below(12) {
        if bytes.is_empty() {
            break;
        }
        let len = bytes.len() as u64;
        let at = if random.below(3) == 0 { random.below(len.min(600)) } else { random.below(len) } as usize;
        let end = (at + 1 + random.below(64) as usize).min(bytes.len());
        match random.below(6) {
            0 => bytes[at..end].fill(0xff),
            1 => bytes[at..end].fill(0),
            2 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => drop(bytes.drain(at..end)),
            _ => bytes[at] = random.next() as u8,
        }
    }
    if random.below(4) == 0 {
        bytes.truncate(random.below(bytes.len() as u64 + 1) as usize);
    }
    // Half of them get past the checks of headers.
    if random.below(2) == 0 {
        repair::repair(&mut bytes);
    }
    bytes
}

/// A few fields of headers set to what a hostile writer would choose, by their place in the format.
fn hostile_fields(bytes: &mut [u8], random: &mut Random) {
    let numbers: [&[u8]; 6] = [
        b"77777777777\0",
        b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
        b"00000000000\0",
        b"-1         \0",
        &[0xff; 12],
        &[0; 12],
    ];
    let number = numbers[random.below(6) as usize];
    let at = |marks: &[&[u8]], bytes: &[u8], random: &mut Random| -> Option<usize> {
        let found: Vec<usize> =
            (0..bytes.len()).filter(|at| marks.iter().any(|mark| bytes[*at..].starts_with(mark))).take(200).collect();
        (!found.is_empty()).then(|| found[random.below(found.len() as u64) as usize])
    };
    // The size, the type or the name of a tar member; a field of a zip record; of a header of xz; of a journal's object.
    if let Some(ustar) = at(&[b"ustar"], bytes, random)
        && let Some(start) = ustar.checked_sub(257)
    {
        let (from, value) = match random.below(4) {
            0 => (start + 124, number),
            1 => (start + 156, &b"SLKxgVMN017"[random.below(11) as usize..][..1]),
            2 => (start, &b"../../../../etc/"[..]),
            _ => (start + 482, &[1; 12][..]),
        };
        put(bytes, from, value);
    } else if let Some(zip) = at(&[b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"PK\x06\x06"], bytes, random) {
        put(bytes, zip + 4 + 2 * random.below(21) as usize, &number[..2 + 2 * random.below(2) as usize]);
    } else if bytes.starts_with(b"\xfd7zXZ\0") {
        put(bytes, 6 + random.below(30) as usize, &[random.next() as u8]);
    } else if bytes.starts_with(b"LPKSHHRH") {
        // The header, or the head of an object: type, flags, size, then offsets of 8 bytes.
        let objects = (bytes.len() / 8).max(1) as u64;
        let place = if random.below(2) == 0 { 8 * random.below(34) } else { 8 * random.below(objects) } as usize;
        let value = [random.next(), u64::MAX, 0, 8 * random.below(objects)][random.below(4) as usize];
        put(bytes, place, &value.to_le_bytes());
    }
    repair::repair(bytes);
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// Archives made here of files of the rules' cases, journals that systemd wrote, files of nodes.
fn others(root: &Path) -> Vec<Other> {
    let mut others = Vec::new();
    let mut states = Vec::new();
    state_files(&root.join("rules"), &mut states);
    states.truncate(400);
    let pack = |files: &[(String, Vec<u8>)]| -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            drop(builder.append_data(&mut header, path.trim_start_matches('/'), bytes.as_slice()));
        }
        builder.into_inner().unwrap_or_default()
    };
    let gzip = |bytes: &[u8]| {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        drop(encoder.write_all(bytes));
        encoder.finish().unwrap_or_default()
    };
    let small: Vec<_> = states.iter().filter(|(_, bytes)| bytes.len() < 4096).take(12).cloned().collect();
    let tar = pack(&small);
    let nested = pack(&[("inner.tar.gz".to_owned(), gzip(&tar)), ("dmesg".to_owned(), b"[    1.0] x\n".to_vec())]);
    let zip = {
        use std::io::Write as _;
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (path, bytes) in &small {
            drop(writer.start_file(path.as_str(), zip::write::SimpleFileOptions::default()));
            drop(writer.write_all(bytes));
        }
        writer.finish().map(std::io::Cursor::into_inner).unwrap_or_default()
    };
    let xz = |bytes: &[u8], check, block: u64| {
        use std::io::Write as _;
        let mut options = lzma_rust2::XzOptions::with_preset(1);
        options.set_check_sum_type(check);
        options.set_block_size(std::num::NonZeroU64::new(block));
        let Ok(mut writer) = lzma_rust2::XzWriter::new(Vec::new(), options) else { return Vec::new() };
        drop(writer.write_all(bytes));
        writer.finish().unwrap_or_default()
    };
    others.extend([tar.clone(), gzip(&tar), nested, zip].map(Other::Archive));
    others.push(Other::Archive(xz(&tar, lzma_rust2::CheckType::Crc64, 4096)));
    others.push(Other::Archive(xz(&tar, lzma_rust2::CheckType::Crc32, 1 << 20)));
    others.push(Other::Archive(xz(&tar, lzma_rust2::CheckType::Sha256, 1 << 20)));
    others.push(Other::Report(pack(&reports(root))));
    let mut packed = Vec::new();
    files(&root.join("testdata/bundle"), "xz", &mut packed);
    for bytes in packed {
        let walk =
            bundle::walk(bundle::Source::Reader(&mut bytes.as_slice(), "x"), &Default::default(), &mut |mut m| {
                others.push(Other::Journal(m.read(8 << 20).data));
                bundle::Flow::Continue
            });
        drop(walk);
        others.push(Other::Archive(bytes));
    }
    others.extend(states.into_iter().map(|(path, bytes)| Other::State(path, bytes)));
    others
}

/// Members that have readers of their own in the whole chain, with logs in them.
fn reports(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut logs = Vec::new();
    files(&root.join("rules"), ".log", &mut logs);
    files(&root.join("rules"), "dmesg", &mut logs);
    logs.retain(|log| log.len() < 16 << 10);
    let log = |at: usize| logs.get(at % logs.len().max(1)).cloned().unwrap_or_default();
    let section =
        |target: &str, text: &[u8]| [b"#==[ Log File ]====#\n# ", target.as_bytes(), b"\n", text, b"\n"].concat();
    let crash = [
        section("/proc/meminfo", b"MemTotal: 1 kB"),
        section("/var/crash/2024-01-05-10:12/vmcore-dmesg.txt", &log(0)),
        section("/var/crash/2024-01-05-10:12/kexec-dmesg.log", &log(1)),
        section("/bin/find /var/crash/", b"/var/crash/2024-01-05-10:12/vmcore-dmesg.txt"),
    ];
    let hosts: Vec<u8> = String::from_utf8_lossy(&log(2))
        .lines()
        .enumerate()
        .flat_map(|(n, line)| format!("Jan 05 10:31:{:02}.000001 w{} kernel: {line}\n", n % 60, n % 3).into_bytes())
        .collect();
    let last = b"reboot   system boot  5.10.0 Fri Feb 21 08:00:07 2025   still running\n\
        reboot   system boot  5.10.0 Thu Feb 20 08:00:07 2025 - Fri Feb 21 07:59:00 2025 (23:58)\n";
    let named = [
        ("scc_n1_1/crash.txt", crash.concat()),
        ("scc_n1_1/messages.txt", section("/var/log/messages - Last 9 Lines", &log(3))),
        ("scc_n1_1/boot.txt", section("/usr/bin/dmesg -T", &log(4))),
        ("m/host_service_logs/masters/kubelet_service.log", hosts),
        ("m/cluster-scoped-resources/core/nodes/w0.yaml", b"kind: Node\nmetadata:\n  name: w0\n".to_vec()),
        ("pstore/dmesg-efi-150989600302002", [b"Panic#1 Part2\n", log(5).as_slice()].concat()),
        ("sosreport-n2/sos_commands/login/last_-F", last.to_vec()),
        ("sosreport-n2/sos_commands/kernel/dmesg", log(6)),
        (
            "a.crash",
            b"ProblemType: KernelCrash\nUname: Linux 5.15.0 x86_64\nVmCoreDmesg: base64\n H4sIAAAAAAAC/w==\n".to_vec(),
        ),
    ];
    named.into_iter().map(|(path, bytes)| (path.to_owned(), bytes)).collect()
}

/// Small files below the folders of the rules, with their paths.
fn state_files(folder: &Path, out: &mut Vec<(String, Vec<u8>)>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            state_files(&path, out);
        } else if !path.to_string_lossy().ends_with(".yaml")
            && let Ok(bytes) = std::fs::read(&path)
            && bytes.len() < 64 << 10
        {
            out.push((path.to_string_lossy().into_owned(), bytes));
        }
    }
}

/// Bytes mutated anywhere, or in the fields of their format's headers.
fn mutated_other(base: &[u8], seed: u64) -> Vec<u8> {
    let mut random = Random(seed ^ 0x0ff1_ce00);
    let mut bytes = if random.below(2) == 0 { mutated_bytes(base, seed) } else { base.to_vec() };
    for _ in 0..random.below(4) {
        hostile_fields(&mut bytes, &mut random);
    }
    bytes
}

fn read_other(other: &Other, seed: u64) {
    match other {
        Other::Archive(base) => {
            let limits = bundle::Limits { total_floor: 8 << 20, stream_floor: 2 << 20, ..Default::default() };
            let bytes = mutated_other(base, seed);
            let source = &mut bytes.as_slice();
            let walk = bundle::walk(bundle::Source::Reader(source, "mutated"), &limits, &mut |mut member| {
                if !member.content().is_archive() {
                    std::hint::black_box(member.read(1 << 20));
                }
                bundle::Flow::Continue
            });
            drop(walk);
        }
        Other::Report(base) => {
            let file = std::env::temp_dir().join(format!("vmcoroner-mutate-{}.tar", std::process::id()));
            if std::fs::write(&file, mutated_other(base, seed)).is_ok() {
                drop(std::hint::black_box(vmcoroner::extract::gather(
                    std::slice::from_ref(&file),
                    &Options::default(),
                )));
            }
            drop(std::fs::remove_file(&file));
        }
        Other::Journal(base) => {
            std::hint::black_box(bundle::journal::read(&mutated_other(base, seed), &mut |entry| {
                std::hint::black_box((entry.kernel_line(), entry.text_line()));
                bundle::Flow::Continue
            }));
        }
        Other::State(path, base) => {
            let bytes = mutated_bytes(base, seed);
            std::hint::black_box(snapshot::read(path, &bytes));
            let mut log = snapshot::NodeLog::new("mutated");
            String::from_utf8_lossy(&bytes).lines().for_each(|line| log.line(line));
            std::hint::black_box(log.finish());
        }
    }
}

/// Time this thread ran, where the system says it: what other programs take of the machine does not count.
fn ran() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
}

fn run(what: &str, seed: u64, failures: &mut Vec<String>, work: impl Fn()) {
    let (start, before) = (Instant::now(), ran());
    let panicked = catch_unwind(AssertUnwindSafe(&work)).is_err();
    let time = ran().zip(before).map_or_else(|| start.elapsed(), |(after, before)| after.saturating_sub(before));
    if panicked {
        failures.push(format!("{what}:{seed} panicked"));
    } else if time > LIMIT {
        failures.push(format!("{what}:{seed} took {:.1} s", time.as_secs_f64()));
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
    let (mut dumps, mut logs, mut other, mut first, mut only) = (u64::MAX, u64::MAX, u64::MAX, 1u64, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().unwrap_or_default();
        match arg.as_str() {
            "--seconds" => seconds = value.parse().ok(),
            "--dumps" => dumps = value.parse().unwrap_or(0),
            "--logs" => logs = value.parse().unwrap_or(0),
            "--others" => other = value.parse().unwrap_or(0),
            "--seed" => first = value.parse().unwrap_or(1),
            "--only" => only = Some(value),
            _ => {
                eprintln!(
                    "usage: mutate [--seconds N] [--dumps N] [--logs N] [--others N] [--seed N] [--only KIND:SEED]"
                );
                return ExitCode::from(2);
            }
        }
    }
    if seconds.is_none() && dumps == u64::MAX && logs == u64::MAX && other == u64::MAX {
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
            let opened = Opened { member: "mutated".to_owned(), dump, folder: None };
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
    let others = others(root);
    let other_run = |seed: u64| read_other(&others[(seed % others.len() as u64) as usize], seed);
    let mut failures = Vec::new();
    if let Some(only) = only {
        let (what, seed) = only.split_once(':').unwrap_or(("", ""));
        let seed = seed.parse().unwrap_or(0);
        match what {
            "dump" => dump_run(seed),
            "other" => other_run(seed),
            _ => log_run(seed),
        }
        return ExitCode::SUCCESS;
    }
    let start = Instant::now();
    let left = || seconds.is_none_or(|s| start.elapsed() < Duration::from_secs(s));
    let (mut done_dumps, mut done_logs, mut done_others) = (0u64, 0u64, 0u64);
    while left() && (done_dumps < dumps || done_logs < logs || done_others < other) {
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
            if done_others < other {
                let seed = first + done_others;
                run("other", seed, &mut failures, || other_run(seed));
                done_others += 1;
            }
        }
    }
    println!(
        "{done_dumps} mutated dumps, {done_logs} mutated logs, {done_others} mutated archives, journals and files, {} failures",
        failures.len()
    );
    for failure in &failures {
        println!("{failure}");
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
