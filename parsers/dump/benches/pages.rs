//! What a page costs in each codec, from opening the dump to the bytes: 358 pages, of which 134 are
//! compressed and 224 share one page of zeros.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dump::{Dump, Source};

fn read_all_pages(c: &mut Criterion) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/formats");
    let mut group = c.benchmark_group("read all pages");
    for name in ["a-stored.kdump", "a-zlib.kdump", "a-lzo.kdump", "a-snappy.kdump", "a-zstd.kdump"] {
        let source = Source::bytes(std::fs::read(folder.join(name)).expect("a committed sample"));
        let open = || Dump::from_sources(vec![(name.into(), source.clone())]).expect("a whole sample");
        group.throughput(Throughput::Elements(open().ranges().flatten().count() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let dump = open();
                for pfn in dump.ranges().flatten() {
                    black_box(dump.page(pfn).expect("every page is there"));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, read_all_pages);
criterion_main!(benches);
