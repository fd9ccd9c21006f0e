//! Logs with the class an independent project gave them, and thousands of mutations of them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use klog::{Item, Scanner, Severity};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/klog")
}

fn inputs() -> Vec<(String, Vec<u8>, String, String)> {
    let table = std::fs::read_to_string(folder().join("labels.tsv")).expect("testdata/klog/labels.tsv");
    table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut columns = line.split('\t');
            let mut next = || columns.next().unwrap_or("").to_owned();
            let (file, class, also) = (next(), next(), next());
            let bytes = std::fs::read(folder().join("labelled").join(&file)).expect("a file of labels.tsv");
            (file, bytes, class, also)
        })
        .collect()
}

/// Classes whose text is no kernel's.
const NOT_KERNEL: &[&str] = &["user-space", "reboot", "no-output"];

#[test]
fn the_first_report_has_the_class_of_the_label() {
    for (file, bytes, class, also) in inputs() {
        if NOT_KERNEL.contains(&class.as_str()) {
            continue;
        }
        let reading = klog::read(&file, &bytes);
        let first = reading.boots.iter().flat_map(|b| &b.events).find(|e| e.severity >= Severity::Report);
        let said = first.map_or("-", |e| e.class);
        assert!(said == class || also.split(',').any(|a| a == said), "{file}: {said}, label {class}");
    }
}

/// A generator of numbers without state outside: the same seed, the same mutations.
struct Seed(u64);

impl Seed {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

fn mutate(bytes: &[u8], seed: &mut Seed) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = bytes.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    for _ in 0..=seed.below(6) {
        let at = seed.below(lines.len());
        let other = seed.below(lines.len());
        match seed.below(12) {
            0 => lines.swap(at, other),
            1 => {
                let cut = seed.below(lines[at].len() + 1);
                lines[at].truncate(cut);
            }
            2 => {
                let cut = seed.below(lines[at].len() + 1);
                lines[at].drain(..cut);
            }
            3 => {
                let tail = lines[other].clone();
                lines[at].extend(tail);
            }
            4 => {
                let byte = seed.next() as u8;
                let place = seed.below(lines[at].len() + 1);
                lines[at].insert(place, byte);
            }
            5 => {
                let copy = lines[other].clone();
                lines.insert(at, copy);
            }
            6 => {
                lines.remove(at);
                if lines.is_empty() {
                    lines.push(Vec::new());
                }
            }
            7 => lines[at] = [b"{\"log\":\"", lines[at].as_slice(), b"\\n\",\"x\":{\"log\":\""].concat(),
            8 => lines[at] = [b"\x1b[31m\x1b]0;&lt;&amp;lt;#033[", lines[at].as_slice()].concat(),
            9 => {
                let repeated = lines[at].repeat(1 + seed.below(64));
                lines[at] = repeated;
            }
            10 => lines[at] = [b"> > ", lines[at].as_slice()].concat(),
            _ => {
                let digits = lines[at].iter().map(|b| if b.is_ascii_digit() { b'9' } else { *b }).collect();
                lines[at] = digits;
            }
        }
    }
    lines.join(&b'\n')
}

#[test]
fn mutated_logs_end_in_an_answer() {
    let inputs = inputs();
    let rounds = std::env::var("KLOG_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(1500usize);
    let mut seed = Seed(0x005e_ed0f_c0de);
    for round in 0..rounds {
        let (file, bytes, ..) = &inputs[seed.below(inputs.len())];
        let mutated = mutate(bytes, &mut seed);
        let start = Instant::now();
        let mut scanner = Scanner::new();
        // Pieces of any size give the same as the whole.
        let mut pieces = 0;
        for piece in mutated.chunks(1 + seed.below(mutated.len() + 1)) {
            scanner.push(piece, &mut |item| pieces += usize::from(matches!(item, Item::Event(_))));
        }
        scanner.finish(&mut |item| pieces += usize::from(matches!(item, Item::Event(_))));
        let whole: usize = klog::read(file, &mutated).boots.iter().map(|b| b.events.len()).sum();
        assert_eq!(pieces, whole, "round {round} of {file}");
        assert!(start.elapsed() < Duration::from_secs(20), "round {round} of {file}");
    }
}

#[test]
fn a_line_of_a_megabyte_costs_linear_time() {
    for unit in [
        "[    1.000000] ",
        "BUG: ",
        "&lt;",
        "f+0x1/0x2 ",
        "<IRQ> ",
        "Modules linked in: a b c ",
        "\u{1b}[",
        "{\"log\":\"",
        "\0",
        "> ",
    ] {
        for head in [
            "",
            "[    1.000000] WARNING: CPU: 0 PID: 1 at a/b.c:1 f+0x1/0x2\n",
            "[ 1.000000] x invoked oom-killer: gfp_mask=0x0, order=0\n",
        ] {
            let text = format!("{head}{}\n", unit.repeat((1 << 20) / unit.len()));
            let start = Instant::now();
            klog::read("x", text.as_bytes());
            // Debug builds on a busy machine; a quadratic scanner takes minutes.
            assert!(start.elapsed() < Duration::from_secs(20), "{unit:?} {head:?}: {:?}", start.elapsed());
        }
    }
}
