//! A zoo of hostile and damaged archives: each is answered in bounded time and memory, with a gap that says what was
//! wrong, and what is readable is read.

use std::io::{Cursor, Write};
use std::time::{Duration, Instant};

use bundle::{Flow, Limits, Source, walk};
use facts::Gap;

type Seen = Vec<(String, usize)>;

fn run(bytes: &[u8]) -> (Seen, Vec<Gap>) {
    run_with(bytes, &Limits::default())
}

fn run_with(bytes: &[u8], limits: &Limits) -> (Seen, Vec<Gap>) {
    let start = Instant::now();
    let mut seen = Vec::new();
    let gaps = walk(Source::Reader(&mut Cursor::new(bytes), "in"), limits, &mut |mut member| {
        if !member.content().is_archive() {
            let length = member.read(512 << 20).data.len();
            seen.push((member.name().to_owned(), length));
        }
        Flow::Continue
    })
    .unwrap();
    assert!(start.elapsed() < Duration::from_secs(60), "took {:?}", start.elapsed());
    (seen, gaps)
}

fn names(seen: &Seen) -> Vec<&str> {
    seen.iter().map(|(n, _)| n.as_str()).collect()
}

fn why(gaps: &[Gap]) -> String {
    gaps.iter().map(|g| format!("{} {} {}\n", g.what, g.place, g.why)).collect()
}

fn header(name: &[u8], size: u64, kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    let field = &mut header.as_old_mut().name;
    field[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    header
}

fn entry(name: &[u8], data: &[u8]) -> Vec<u8> {
    let mut out = header(name, data.len() as u64, tar::EntryType::Regular).as_bytes().to_vec();
    out.extend(data);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

fn end() -> Vec<u8> {
    vec![0; 1024]
}

fn gz(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zeros_gz(megabytes: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let block = vec![0u8; 1 << 20];
    for _ in 0..megabytes {
        encoder.write_all(&block).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn names_that_lead_outside_are_kept_inside() {
    let tar = [entry(b"../../etc/passwd", b"x"), entry(b"/abs/y", b"y"), entry(b"caf\xe9\n!z", b"z"), end()].concat();
    let (seen, gaps) = run(&tar);
    assert_eq!(names(&seen), ["in!etc/passwd", "in!abs/y", "in!caf\\xe9\\x0a\\x21z"]);
    assert!(why(&gaps).contains("1 names lead out of the archive"), "{gaps:?}");
}

#[test]
fn equal_names_stay_apart() {
    let tar = [entry(b"a", b"1"), entry(b"./a", b"22"), end()].concat();
    let (seen, gaps) = run(&tar);
    assert_eq!(seen, [("in!a".to_owned(), 1), ("in!a#2".to_owned(), 2)]);
    assert!(why(&gaps).contains("more than once"));
}

#[test]
fn links_devices_and_pipes_have_no_bytes() {
    let mut tar = Vec::new();
    for kind in [
        tar::EntryType::Link,
        tar::EntryType::Symlink,
        tar::EntryType::Char,
        tar::EntryType::Block,
        tar::EntryType::Fifo,
    ] {
        tar.extend(header(b"node", 0, kind).as_bytes());
    }
    tar.extend([entry(b"file", b"f"), end()].concat());
    assert_eq!(run(&tar), (vec![("in!file".to_owned(), 1)], vec![]));
}

#[test]
fn a_header_with_a_broken_checksum_costs_its_member_only() {
    let mut bad = entry(b"bad", b"bad");
    bad[0] ^= 0x55;
    let tar = [entry(b"a", b"1"), bad, entry(b"c", b"3"), end()].concat();
    let (seen, gaps) = run(&tar);
    assert_eq!(names(&seen), ["in!a", "in!c"]);
    assert!(why(&gaps).contains("no valid checksum"));
}

#[test]
fn a_size_beyond_the_end_is_a_cut_archive() {
    let tar =
        [entry(b"a", b"1"), header(b"huge", 1 << 40, tar::EntryType::Regular).as_bytes().to_vec(), b"rest".to_vec()]
            .concat();
    let (seen, gaps) = run(&tar);
    assert_eq!(seen, [("in!a".to_owned(), 1), ("in!huge".to_owned(), 4)]);
    assert!(why(&gaps).contains("bytes are missing"), "{gaps:?}");
}

#[test]
fn a_long_name_of_megabytes_is_passed_over() {
    let long = header(b"././@LongLink", 8 << 20, tar::EntryType::GNULongName).as_bytes().to_vec();
    let tar = [long, vec![b'n'; 8 << 20], entry(b"after", b"x"), end()].concat();
    let (seen, gaps) = run(&tar);
    assert_eq!(names(&seen), ["in!after"]);
    assert!(why(&gaps).contains("extension header"));
}

#[test]
fn a_sparse_file_of_holes_is_bounded() {
    let mut header = header(b"sparse", 512, tar::EntryType::GNUSparse);
    {
        let gnu = header.as_gnu_mut().unwrap();
        gnu.realsize.copy_from_slice(b"77777777777\0");
        gnu.sparse[0].offset.copy_from_slice(b"77777777000\0");
        gnu.sparse[0].numbytes.copy_from_slice(b"00000001000\0");
    }
    header.set_cksum();
    let tar = [header.as_bytes().to_vec(), vec![1; 512], entry(b"after", b"x"), end()].concat();
    let limits = Limits { total_floor: 8 << 20, ..Limits::default() };
    let (seen, gaps) = run_with(&tar, &limits);
    assert_eq!(names(&seen), ["in!sparse", "in!after"]);
    assert!(why(&gaps).contains("archive bomb"), "{gaps:?}");
}

#[test]
fn a_sparse_file_has_its_holes() {
    let mut header = header(b"sparse", 512, tar::EntryType::GNUSparse);
    {
        let gnu = header.as_gnu_mut().unwrap();
        gnu.realsize.copy_from_slice(b"00000003000\0");
        gnu.sparse[0].offset.copy_from_slice(b"00000001000\0");
        gnu.sparse[0].numbytes.copy_from_slice(b"00000001000\0");
    }
    header.set_cksum();
    let tar = [header.as_bytes().to_vec(), vec![1; 512], end()].concat();
    let mut data = Vec::new();
    walk(Source::Reader(&mut Cursor::new(&tar), "in"), &Limits::default(), &mut |mut member| {
        data = member.read(1 << 20).data;
        Flow::Continue
    })
    .unwrap();
    assert_eq!(data, [vec![0; 512], vec![1; 512], vec![0; 512]].concat());
}

#[test]
fn a_bomb_is_stopped_and_its_neighbours_are_read() {
    let bomb = zeros_gz(256);
    let tar = [entry(b"bomb.gz", &bomb), entry(b"dmesg", b"text"), end()].concat();
    let (seen, gaps) = run(&tar);
    assert_eq!(names(&seen), ["in!bomb.gz", "in!dmesg"]);
    assert!(seen[0].1 < 200 << 20 && seen[1].1 == 4, "{seen:?}");
    assert!(why(&gaps).contains("compression bomb"), "{gaps:?}");
}

#[test]
fn a_bomb_of_nested_bombs_is_stopped_by_the_sum() {
    // Eight layers of a hundred members would be 10^16 files.
    let mut layer = entry(b"leaf", &vec![0; 1 << 20]);
    layer.extend(end());
    for _ in 0..3 {
        let packed = gz(&layer);
        layer = (0..60).flat_map(|i| entry(format!("{i}.tar.gz").as_bytes(), &packed)).collect();
        layer.extend(end());
    }
    let limits = Limits { total_floor: 16 << 20, ratio: 100, ..Limits::default() };
    let (_, gaps) = run_with(&gz(&layer), &limits);
    assert!(why(&gaps).contains("bomb"), "{:?}", gaps.first());
}

#[test]
fn nesting_has_an_end() {
    let mut tar = [entry(b"leaf", b"x"), end()].concat();
    for _ in 0..12 {
        tar = [entry(b"a.tar", &tar), end()].concat();
    }
    let (seen, gaps) = run(&tar);
    assert_eq!(seen, []);
    assert!(why(&gaps).contains("nested deeper than 8"));
}

#[test]
fn members_are_counted() {
    let tar: Vec<u8> = (0..50).flat_map(|i| entry(format!("{i}").as_bytes(), b"")).chain(end()).collect();
    let limits = Limits { members: 20, ..Limits::default() };
    let (seen, gaps) = run_with(&tar, &limits);
    assert_eq!(seen.len(), 20);
    assert!(why(&gaps).contains("more than 20 members"));
}

#[test]
fn broken_checksums_of_streams_are_gaps_and_the_bytes_are_kept() {
    let text = vec![b't'; 3000];
    let mut bad = gz(&text);
    let at = bad.len() - 6;
    bad[at] ^= 0xff;
    let tar = [entry(b"dmesg.gz", &bad), entry(b"after", b"x"), end()].concat();
    let (seen, gaps) = run(&tar);
    assert_eq!(seen, [("in!dmesg.gz".to_owned(), 3000), ("in!after".to_owned(), 1)]);
    assert!(why(&gaps).contains("after 3000 bytes"), "{gaps:?}");
}

#[test]
fn archives_cut_anywhere_yield_what_stands_before() {
    let tar = [entry(b"a", &[b'a'; 700]), entry(b"b", &[b'b'; 700]), end()].concat();
    let packed = gz(&tar);
    for i in 0..50 {
        let cut = &packed[..packed.len() * i / 50];
        let (seen, gaps) = run(cut);
        assert!(seen.len() <= 2 && (i == 0 || !gaps.is_empty() || !seen.is_empty()), "{i}: {seen:?} {gaps:?}");
        let (seen, gaps) = run(&tar[..tar.len() * i / 50]);
        assert!(seen.len() <= 2 && (i == 0 || !gaps.is_empty() || !seen.is_empty()), "{i}: {seen:?} {gaps:?}");
    }
}

#[test]
fn a_zip_without_its_directory_is_read_from_the_front() {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for name in ["a", "../b"] {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(&[b'x'; 2000]).unwrap();
    }
    let whole = writer.finish().unwrap().into_inner();
    let (seen, _) = run(&whole);
    assert_eq!(names(&seen), ["in!a", "in!b"]);
    let directory = whole.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    let (seen, gaps) = run(&whole[..directory]);
    assert_eq!(names(&seen), ["in!a", "in!b"]);
    assert!(why(&gaps).contains("directory of the zip file"));
}

#[test]
fn a_decoder_that_asks_for_gigabytes_is_refused() {
    // A zstd frame header with a window of 2 GiB, and an xz block with a dictionary of 1.5 GiB.
    let zstd = [b"\x28\xb5\x2f\xfd\x00\xa8".as_slice(), &[0x01, 0x00, 0x00]].concat();
    let (_, gaps) = run(&zstd);
    assert!(!gaps.is_empty());
    let mut options = lzma_rust2::XzOptions::with_preset(1);
    options.lzma_options.dict_size = 1 << 20;
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    xz.write_all(&[0; 4096]).unwrap();
    let xz = xz.finish().unwrap();
    let limits = Limits { decoder_memory: 64 << 10, ..Limits::default() };
    let (_, gaps) = run_with(&xz, &limits);
    assert!(why(&gaps).contains("mem"), "{gaps:?}");
}

#[test]
fn cpio_with_absurd_numbers_is_a_gap() {
    let mut bytes = b"070701".to_vec();
    bytes.extend([b'F'; 104]);
    let (seen, gaps) = run(&bytes);
    assert_eq!(seen, []);
    assert!(why(&gaps).contains("a name of 4294967295 bytes"));
    bytes[30] = b'x';
    bytes[60] = b'y';
    assert!(!run(&bytes).1.is_empty());
}

#[test]
fn mutated_archives_end_in_an_answer() {
    let inner = gz(&[entry(b"x", b"inner text"), end()].concat());
    let tar = [entry(b"a.tar.gz", &inner), entry(b"dmesg", &[b'm'; 900]), end()].concat();
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("a.tar", zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(&tar).unwrap();
    let zipped = writer.finish().unwrap().into_inner();
    // A fixed pseudo-random sequence (xorshift), so that a failure repeats.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for seed in [
        tar.clone(),
        gz(&tar),
        zipped,
        ruzstd::encoding::compress_to_vec(Cursor::new(&tar), ruzstd::encoding::CompressionLevel::Fastest),
    ] {
        for _ in 0..400 {
            let mut bytes = seed.clone();
            for _ in 0..1 + next() % 6 {
                let at = next() as usize % bytes.len();
                bytes[at] = next() as u8;
            }
            let limits = Limits { total_floor: 4 << 20, stream_floor: 1 << 20, ..Limits::default() };
            drop(run_with(&bytes, &limits));
        }
    }
}

fn cpio_entry(name: &str, mode: u32, data: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "070701{:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}",
        1,
        0,
        0,
        1,
        0,
        data.len(),
        0,
        0,
        0,
        0,
        name.len() + 1,
        0
    )
    .into_bytes();
    out.extend(name.bytes().chain([0]));
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(data);
    out.resize(out.len().next_multiple_of(4), 0);
    out
}

fn cpio(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), cpio_entry("TRAILER!!!", 0, b"")].concat()
}

fn zipped(files: &[(&str, &[u8])], method: zip::CompressionMethod) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in files {
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        writer.start_file(*name, options).unwrap();
        writer.write_all(data).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn xz(data: &[u8]) -> Vec<u8> {
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    writer.write_all(data).unwrap();
    writer.finish().unwrap()
}

#[test]
fn cpio_links_devices_and_names_outside_are_harmless() {
    let archive = cpio(&[
        cpio_entry("link", 0o120_777, b"/etc/shadow"),
        cpio_entry("device", 0o020_600, b""),
        cpio_entry("../../etc/x", 0o100_644, b"xx"),
        cpio_entry("/abs", 0o100_644, b"y"),
        cpio_entry("/abs", 0o100_644, b"zzz"),
    ]);
    let (seen, gaps) = run(&archive);
    assert_eq!(seen, [("in!etc/x".to_owned(), 2), ("in!abs".to_owned(), 1), ("in!abs#2".to_owned(), 3)]);
    assert!(why(&gaps).contains("lead out of the archive") && why(&gaps).contains("more than once"), "{gaps:?}");
}

#[test]
fn every_container_cut_anywhere_ends_in_an_answer() {
    let text: Vec<u8> = (0..4000u32).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    let tar = [entry(b"a", &text), entry(b"b", &[b'b'; 700]), end()].concat();
    let containers = [
        cpio(&[cpio_entry("a", 0o100_644, &text), cpio_entry("b", 0o100_644, b"bb")]),
        zipped(&[("a", &text), ("b", b"bb")], zip::CompressionMethod::Deflated),
        xz(&tar),
        ruzstd::encoding::compress_to_vec(Cursor::new(&tar), ruzstd::encoding::CompressionLevel::Fastest),
    ];
    for (which, whole) in containers.iter().enumerate() {
        assert_eq!(run(whole).0.len(), 2, "{which}");
        for i in 1..40 {
            let (seen, gaps) = run(&whole[..whole.len() * i / 40]);
            assert!(seen.len() <= 2, "{which} {i}: {seen:?}");
            assert!(!gaps.is_empty(), "{which} {i}: a cut container without a gap, {seen:?}");
        }
    }
}

#[test]
fn a_zip_that_lies_about_sizes_is_bounded_and_said() {
    let text = vec![b't'; 50_000];
    let whole = zipped(&[("lies", &text), ("after", b"x")], zip::CompressionMethod::Deflated);
    let central = whole.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    for size in [10u32, 0xfff0_0000] {
        let mut bytes = whole.clone();
        // Uncompressed size, in the local header and in the directory.
        bytes[22..26].copy_from_slice(&size.to_le_bytes());
        bytes[central + 24..central + 28].copy_from_slice(&size.to_le_bytes());
        let (seen, gaps) = run(&bytes);
        assert!(seen.iter().any(|(name, length)| name == "in!after" && *length == 1), "{seen:?} {gaps:?}");
        assert!(seen.iter().all(|(_, length)| *length <= 50_000), "{seen:?}");
    }
    // A checksum that is not that of the bytes.
    let mut bytes = whole.clone();
    bytes[14] ^= 0xff;
    bytes[central + 16] ^= 0xff;
    let (seen, gaps) = run(&bytes);
    assert!(why(&gaps).to_lowercase().contains("checksum"), "{gaps:?}");
    assert!(seen.iter().any(|(name, _)| name == "in!after"), "{seen:?}");
}

#[test]
fn a_zip_bomb_is_stopped() {
    let bomb = zipped(&[("bomb", &vec![0; 96 << 20]), ("after", b"x")], zip::CompressionMethod::Deflated);
    let limits = Limits { total_floor: 16 << 20, stream_floor: 8 << 20, ratio: 50, ..Limits::default() };
    let (seen, gaps) = run_with(&bomb, &limits);
    assert!(seen[0].1 < 40 << 20, "{seen:?}");
    assert!(why(&gaps).contains("bomb"), "{gaps:?}");
}

#[test]
fn a_checksum_of_xz_that_is_broken_is_a_gap() {
    let mut bytes = xz(&vec![b'x'; 100_000]);
    let tar = |inner: &[u8]| [entry(b"dmesg.xz", inner), entry(b"after", b"x"), end()].concat();
    assert_eq!(run(&tar(&bytes)).1, []);
    // The check of the only block stands before the index.
    let at = bytes.len() - 12 - 8 - 4;
    for byte in &mut bytes[at - 8..at] {
        *byte ^= 0x5a;
    }
    let (seen, gaps) = run(&tar(&bytes));
    assert!(seen.iter().any(|(name, _)| name == "in!after"), "{seen:?}");
    assert!(why(&gaps).contains("in!dmesg.xz"), "{gaps:?}");
}

#[test]
fn pax_sizes_that_lie_are_a_cut_archive() {
    let record = b"23 size=99999999999999\n";
    let pax = [header(b"pax", record.len() as u64, tar::EntryType::XHeader).as_bytes().to_vec(), {
        let mut data = record.to_vec();
        data.resize(512, 0);
        data
    }]
    .concat();
    let (seen, gaps) = run(&[entry(b"a", b"1"), pax, entry(b"b", b"22"), end()].concat());
    assert_eq!(seen.first(), Some(&("in!a".to_owned(), 1)));
    assert!(why(&gaps).contains("missing") || why(&gaps).contains("cut") || why(&gaps).contains("middle"), "{gaps:?}");
}

#[test]
fn a_gzip_header_without_end_is_bounded() {
    // FNAME set, and a name of 40 MB without its NUL.
    let mut bytes = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03".to_vec();
    bytes.resize(40 << 20, b'n');
    let (seen, gaps) = run(&bytes);
    assert!(seen.iter().all(|(_, length)| *length == 0), "{seen:?}");
    assert!(!gaps.is_empty());
}
