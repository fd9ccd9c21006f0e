//! The numbers and pages of real dumps, against what other tools found in them.

mod support;

use std::collections::BTreeMap;

use dump::Dump;
use support::{formats, sha256_start};

/// Page frame numbers and the start of each page's SHA-256, found equal through libkdumpfile
/// in every format.
fn expected_pages() -> BTreeMap<u64, String> {
    let text = std::fs::read_to_string(formats("a.sha256.txt")).unwrap();
    text.lines()
        .map(|line| {
            let (pfn, sum) = line.split_once(' ').unwrap();
            (pfn.parse().unwrap(), sum.to_owned())
        })
        .collect()
}

fn pages(dump: &Dump) -> BTreeMap<u64, String> {
    dump.ranges().flatten().filter_map(|pfn| Some((pfn, sha256_start(&dump.page(pfn).ok()?)))).collect()
}

fn open(names: &[&str]) -> Dump {
    Dump::open(&names.iter().map(|name| formats(name)).collect::<Vec<_>>()).unwrap()
}

#[test]
fn every_codec_gives_the_same_pages() {
    let expected = expected_pages();
    for name in ["a-zlib.kdump", "a-lzo.kdump", "a-zstd.kdump", "a-snappy.kdump", "a-stored.kdump"] {
        assert_eq!(pages(&open(&[name])), expected, "{name}");
    }
}

#[test]
fn a_flattened_file_gives_the_same_pages() {
    assert_eq!(pages(&open(&["a-zlib.flat"])), expected_pages());
}

#[test]
fn split_parts_in_any_order_give_the_same_pages() {
    assert_eq!(pages(&open(&["a-split.3", "a-split.1", "a-split.2"])), expected_pages());
}
