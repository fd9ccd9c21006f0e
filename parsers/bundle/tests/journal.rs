//! Journal files written by systemd, against what journalctl prints for them; and composed files for the codecs and
//! damages that systemd 252 does not write.

use std::io::{Cursor, Write};

use bundle::journal::{Entry, Form, read, sniff};
use bundle::{ContentKind, Flow, Limits, Source, walk};

fn testdata(name: &str) -> Vec<u8> {
    let path = format!("{}/../../testdata/bundle/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut bytes = Vec::new();
    let gaps = walk(Source::Path(path.as_ref()), &Limits::default(), &mut |mut member| {
        bytes = member.read(64 << 20).data;
        Flow::Continue
    })
    .unwrap();
    assert_eq!(gaps, []);
    bytes
}

fn entries(bytes: &[u8]) -> (Vec<Entry>, Vec<facts::Gap>) {
    let mut entries = Vec::new();
    let gaps = read(bytes, &mut |entry| {
        entries.push(entry);
        Flow::Continue
    });
    (entries, gaps)
}

#[test]
fn files_say_what_journalctl_prints() {
    let (oracle, gaps) = entries(&testdata("journal.json"));
    assert_eq!((oracle.len(), gaps), (48, vec![]));
    for name in [
        "regular.journal.xz",
        "compact.journal.xz",
        "xz-regular.journal.xz",
        "xz-compact.journal.xz",
        "lz4-regular.journal.xz",
        "lz4-compact.journal.xz",
        "journal.export.xz",
    ] {
        let bytes = testdata(name);
        let (found, gaps) = entries(&bytes);
        assert_eq!(gaps, [], "{name}");
        assert_eq!(found, oracle, "{name}");
    }
    assert_eq!(sniff(&testdata("journal.export.xz")), Some(Form::Export));
    assert_eq!(bundle::sniff(&testdata("regular.journal.xz")), ContentKind::Journal);
}

#[test]
fn kernel_lines_of_each_boot_can_be_handed_on() {
    let (found, _) = entries(&testdata("compact.journal.xz"));
    let kernel: Vec<&Entry> = found.iter().filter(|e| e.is_kernel()).collect();
    let boots: std::collections::BTreeSet<_> = kernel.iter().filter_map(|e| e.boot_id.as_deref()).collect();
    assert_eq!(boots.len(), 2);
    assert_eq!(
        kernel[3].kernel_line(),
        "[    1.000000] unregister_netdevice: waiting for eth0 to become free. Usage count = 2"
    );
    assert_eq!(kernel.last().unwrap().kernel_line(), "[    5.123456] late multi\n[    5.123456] line record");
    let kubelet = found.iter().find(|e| e.identifier.as_deref() == Some("kubelet")).unwrap();
    assert_eq!(kubelet.text_line(), "node1 kubelet[77]: first line\nsecond line");
}

/// A journal file made by hand: one boot, one entry for each message.
fn compose(messages: &[(u8, Vec<u8>)], compact: bool) -> Vec<u8> {
    let mut out = vec![0u8; 208];
    out[..8].copy_from_slice(b"LPKSHHRH");
    out[12..16].copy_from_slice(&(if compact { 31u32 } else { 15 }).to_le_bytes());
    out[88..96].copy_from_slice(&208u64.to_le_bytes());
    out[152..160].copy_from_slice(&(messages.len() as u64).to_le_bytes());
    let object = |out: &mut Vec<u8>, kind: u8, flags: u8, body: &[u8]| -> u64 {
        out.resize(out.len().next_multiple_of(8), 0);
        let at = out.len() as u64;
        out.extend([kind, flags, 0, 0, 0, 0, 0, 0]);
        out.extend((16 + body.len() as u64).to_le_bytes());
        out.extend(body);
        at
    };
    let mut offsets = Vec::new();
    for (i, (flags, payload)) in messages.iter().enumerate() {
        let mut body = vec![0u8; if compact { 56 } else { 48 }];
        body.extend(payload);
        let data = object(&mut out, 1, *flags, &body);
        let mut body = Vec::new();
        body.extend((i as u64 + 1).to_le_bytes());
        body.extend((1_700_000_000_000_000u64 + i as u64).to_le_bytes());
        body.extend((i as u64).to_le_bytes());
        body.extend([0xab; 16]);
        body.extend([0; 8]);
        if compact {
            body.extend((data as u32).to_le_bytes());
        } else {
            body.extend(data.to_le_bytes());
            body.extend([0; 8]);
        }
        offsets.push(object(&mut out, 3, 0, &body));
    }
    let mut body = vec![0u8; 8];
    for offset in offsets {
        if compact {
            body.extend((offset as u32).to_le_bytes());
        } else {
            body.extend(offset.to_le_bytes());
        }
    }
    let array = object(&mut out, 6, 0, &body);
    out[176..184].copy_from_slice(&array.to_le_bytes());
    out
}

fn all_codecs(text: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    xz.write_all(text).unwrap();
    let mut lz4 = (text.len() as u64).to_le_bytes().to_vec();
    lz4.extend(lz4_flex::block::compress(text));
    let zstd = ruzstd::encoding::compress_to_vec(Cursor::new(text), ruzstd::encoding::CompressionLevel::Fastest);
    vec![(0, text.to_vec()), (1, xz.finish().unwrap()), (2, lz4), (4, zstd)]
}

#[test]
fn every_codec_in_both_layouts() {
    let text = b"MESSAGE=some text, some text, some text, some text, some text".as_slice();
    for compact in [false, true] {
        let (found, gaps) = entries(&compose(&all_codecs(text), compact));
        assert_eq!(gaps, []);
        let messages: Vec<&str> = found.iter().map(|e| e.message.as_str()).collect();
        assert_eq!(messages, [std::str::from_utf8(&text[8..]).unwrap(); 4], "compact: {compact}");
    }
}

#[test]
fn a_broken_chain_is_searched_for_what_is_whole() {
    let mut bytes = compose(&all_codecs(b"MESSAGE=x"), false);
    bytes[176..184].copy_from_slice(&8u64.to_le_bytes());
    let (found, gaps) = entries(&bytes);
    assert_eq!(found.len(), 4);
    assert!(gaps[0].what.contains("4 by search"), "{gaps:?}");
}

#[test]
fn unknown_flags_and_cut_headers_are_named() {
    let mut bytes = compose(&[], false);
    bytes[12] |= 64;
    assert!(entries(&bytes).1[0].why.contains("0x40"));
    assert!(entries(&bytes[..100]).1[0].why.contains("100"));
}

#[test]
fn cut_and_mutated_files_end_in_an_answer() {
    let whole = testdata("compact.journal.xz");
    let used = whole.iter().rposition(|b| *b != 0).unwrap();
    for i in 0..64 {
        drop(entries(&whole[..used * i / 64]));
    }
    // A fixed pseudo-random sequence (xorshift), so that a failure repeats.
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let small = whole[..used + 1].to_vec();
    for _ in 0..300 {
        let mut bytes = small.clone();
        for _ in 0..8 {
            let at = next() as usize % bytes.len();
            bytes[at] = next() as u8;
        }
        drop(entries(&bytes));
    }
}

#[test]
fn one_compressed_object_named_very_often_is_paid_only_within_the_budget() {
    let mut bytes = compose(
        &[(
            4,
            ruzstd::encoding::compress_to_vec(
                Cursor::new(vec![b'M'; 1 << 20]),
                ruzstd::encoding::CompressionLevel::Fastest,
            ),
        )],
        false,
    );
    let grown = bytes.len();
    // The entry array points at the same entry over and over.
    let array = u64::from_le_bytes(bytes[176..184].try_into().unwrap()) as usize;
    let entry: Vec<u8> = bytes[array + 24..array + 32].to_vec();
    for _ in 0..10_000 {
        bytes.extend(&entry);
    }
    let size = (bytes.len() - array) as u64;
    bytes[array + 8..array + 16].copy_from_slice(&size.to_le_bytes());
    let (found, gaps) = entries(&bytes);
    assert_eq!((found.len(), gaps.is_empty()), (1, false), "{grown}");
}
