//! Log scanning, log extraction from a dump, and whole verdicts.
//!
//!     cargo bench --bench log

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dump::Dump;
use kernel::{Kernel, Sources};
use vmcoroner::engine::Rules;
use vmcoroner::examine::examine;
use vmcoroner::extract::{Opened, Options, dump_case, text_cases};

/// Bytes of the texts that are scanned.
const SIZE: usize = 8 << 20;

fn crash_free() -> Vec<u8> {
    let mut text = Vec::with_capacity(SIZE + 200);
    let mut n = 0u64;
    while text.len() < SIZE {
        text.extend_from_slice(
            format!(
                "[{:5}.{:06}] usb 1-{}: new high-speed USB device number {n} using xhci_hcd\n",
                n / 100,
                n % 100,
                n % 9
            )
            .as_bytes(),
        );
        n += 1;
    }
    text
}

fn crash_dense() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/ip6mr-sk-done-null-deref/fires/chain-862.log");
    let one = std::fs::read(path).expect("the rule's input is there");
    one.iter().copied().cycle().take(SIZE).collect()
}

fn scanning(c: &mut Criterion) {
    let mut group = c.benchmark_group("scan a log");
    group.sample_size(10);
    for (name, text) in [("crash-free", crash_free()), ("crash-dense", crash_dense())] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(name, |b| b.iter(|| black_box(klog::read("log", &text).boots.len())));
    }
    group.finish();
}

fn dumps(c: &mut Criterion) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/vmcores");
    let rules = Rules::embedded().expect("the rules load");
    for name in ["netdev-leak", "ip6mr-null"] {
        let path = root.join(format!("{name}.kdump"));
        c.bench_function(&format!("log of {name}"), |b| {
            b.iter(|| {
                let dump = Dump::open(&[&path]).expect("the dump opens");
                let kernel = Kernel::open(&dump, Sources::default()).expect("it has a kernel");
                black_box(kernel.log().records.len())
            });
        });
        c.bench_function(&format!("verdict on {name}"), |b| {
            b.iter(|| {
                let dump = Dump::open(&[&path]).expect("the dump opens");
                let case = dump_case(&Opened { member: name.to_owned(), dump, folder: None }, &Options::default());
                black_box(examine(&case, &rules).findings.len())
            });
        });
    }
}

fn verdict_on_a_log(c: &mut Criterion) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/ip6mr-sk-done-null-deref/fires/chain-862.log");
    let text = std::fs::read(path).expect("the rule's input is there");
    let rules = Rules::embedded().expect("the rules load");
    c.bench_function("verdict on a crash log", |b| {
        b.iter(|| text_cases("log", &text).iter().map(|case| examine(case, &rules).findings.len()).sum::<usize>());
    });
}

criterion_group!(benches, scanning, dumps, verdict_on_a_log);
criterion_main!(benches);
