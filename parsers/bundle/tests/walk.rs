//! Walks over archives made here and over a real sosreport.

use std::io::{Cursor, Write};
use std::path::PathBuf;

use bundle::{ContentKind, Flow, Limits, Source, walk};

type Seen = Vec<(String, Vec<u8>)>;

/// A file of the evidence folder beside the repository (or where `VMCORONER_SHARED` points), if it is there.
fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("VMCORONER_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from);
    Some(root.join(path)).filter(|p| p.exists())
}

fn collect(source: Source<'_>) -> (Seen, Vec<facts::Gap>) {
    collect_with(source, &Limits::default())
}

fn collect_with(source: Source<'_>, limits: &Limits) -> (Seen, Vec<facts::Gap>) {
    let mut seen = Vec::new();
    let gaps = walk(source, limits, &mut |mut member| {
        if !member.content().is_archive() {
            let bytes = member.read(64 << 20);
            seen.push((member.name().to_owned(), bytes.data));
        }
        Flow::Continue
    })
    .unwrap();
    (seen, gaps)
}

fn of_bytes(bytes: &[u8]) -> (Seen, Vec<facts::Gap>) {
    collect(Source::Reader(&mut Cursor::new(bytes), "in"))
}

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, data) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *data).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gz(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn xz(data: &[u8]) -> Vec<u8> {
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    writer.write_all(data).unwrap();
    writer.finish().unwrap()
}

fn bz2(data: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zst(data: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
}

fn lz4(data: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(data).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// `newc` archive, written by hand from the format's definition.
fn cpio_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |name: &str, mode: u32, data: &[u8]| {
        let fields = [1, mode, 0, 0, 1, 0, data.len() as u32, 0, 0, 0, 0, name.len() as u32 + 1, 0];
        out.extend_from_slice(b"070701");
        for field in fields {
            out.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        out.extend_from_slice(name.as_bytes());
        out.push(0);
        while out.len() % 4 != 0 {
            out.push(0);
        }
        out.extend_from_slice(data);
        while out.len() % 4 != 0 {
            out.push(0);
        }
    };
    for (name, data) in files {
        put(name, 0o100_644, data);
    }
    put("TRAILER!!!", 0, b"");
    out
}

#[test]
fn a_plain_or_compressed_file_is_one_member() {
    let text = b"[    0.000000] Linux version 5.10.0\n";
    for (codec, bytes) in [
        ("none", text.to_vec()),
        ("gz", gz(text)),
        ("xz", xz(text)),
        ("bz2", bz2(text)),
        ("zst", zst(text)),
        ("lz4", lz4(text)),
        ("gz twice", gz(&gz(text))),
        ("two gz", [gz(b"[    0.000000] Linux "), gz(b"version 5.10.0\n")].concat()),
        ("two zst", [zst(b"[    0.000000] Linux "), zst(b"version 5.10.0\n")].concat()),
    ] {
        let (seen, gaps) = of_bytes(&bytes);
        assert_eq!(seen, [("in".to_owned(), text.to_vec())], "{codec}");
        assert_eq!(gaps, [], "{codec}");
    }
}

#[test]
fn archives_in_archives_are_walked_with_their_path() {
    let inner = tar_of(&[("var/log/messages", b"one")]);
    let middle = zip_of(&[("deep/inner.tar.xz", &xz(&inner)), ("note.txt", b"two")]);
    let cpio = cpio_of(&[("middle.zip", &middle), ("dmesg.gz", &gz(b"three"))]);
    let outer = gz(&tar_of(&[("a.cpio.zst", &zst(&cpio)), ("b", b"four")]));
    let (seen, gaps) = of_bytes(&outer);
    let names: Vec<&str> = seen.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(
        names,
        [
            "in!a.cpio.zst!middle.zip!deep/inner.tar.xz!var/log/messages",
            "in!a.cpio.zst!middle.zip!note.txt",
            "in!a.cpio.zst!dmesg.gz",
            "in!b",
        ]
    );
    let texts: Vec<&[u8]> = seen.iter().map(|(_, d)| d.as_slice()).collect();
    assert_eq!(texts, [b"one".as_slice(), b"two", b"three", b"four"]);
    assert_eq!(gaps, []);
}

#[test]
fn a_skipped_or_unread_member_does_not_shift_the_next_one() {
    let tar = tar_of(&[("a", &[7u8; 5000]), ("b.tar", &tar_of(&[("x", b"x")])), ("c", b"c")]);
    let mut names = Vec::new();
    let mut last = Vec::new();
    let gaps = walk(Source::Reader(&mut Cursor::new(&tar), "in"), &Limits::default(), &mut |mut member| {
        names.push(member.path().to_owned());
        match member.path() {
            "a" => drop(member.read(10)),
            "b.tar" => return Flow::Skip,
            _ => last = member.read(100).data,
        }
        Flow::Continue
    })
    .unwrap();
    assert_eq!((names, last, gaps), (vec!["a".into(), "b.tar".into(), "c".into()], b"c".to_vec(), vec![]));
}

#[test]
fn the_callers_limit_is_told_from_the_end() {
    let mut whole = Vec::new();
    for limit in [4, 5, 6] {
        walk(Source::Reader(&mut Cursor::new(b"12345"), "in"), &Limits::default(), &mut |mut member| {
            let bytes = member.read(limit);
            whole.push((bytes.data.len(), bytes.whole));
            Flow::Stop
        })
        .unwrap();
    }
    assert_eq!(whole, [(4, false), (5, true), (5, true)]);
}

#[test]
fn directory_and_archive_of_it_have_the_same_members() {
    let dir = std::env::temp_dir().join(format!("vmcoroner-bundle-{}", std::process::id()));
    let sub = dir.join("var/log");
    std::fs::create_dir_all(&sub).unwrap();
    std::fs::write(sub.join("messages"), "m").unwrap();
    std::fs::write(dir.join("uname"), "u").unwrap();
    std::fs::write(dir.join("nested.tgz"), gz(&tar_of(&[("x", b"x")]))).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.join("link")).unwrap();
    let (seen, gaps) = collect(Source::Path(&dir));
    std::fs::remove_dir_all(&dir).unwrap();
    assert_eq!(gaps, []);
    let seen: Vec<(&str, &[u8])> = seen.iter().map(|(n, d)| (n.as_str(), d.as_slice())).collect();
    assert_eq!(seen, [("nested.tgz!x", b"x".as_slice()), ("uname", b"u"), ("var/log/messages", b"m")]);
}

#[test]
fn a_real_sosreport_is_walked_whole() {
    let Some(path) = shared("corpora/sosreport/sosreport-juju-04f1e3-1-lxd-5.tar.xz") else { return };
    let mut files = 0;
    let (mut slabinfo, mut empty) = (0, 0);
    let mut nested = 0;
    let gaps = walk(Source::Path(&path), &Limits::default(), &mut |mut member| {
        files += 1;
        if member.path().ends_with("memory.kmem.slabinfo") {
            slabinfo += 1;
            match member.content() {
                ContentKind::Empty => empty += 1,
                _ => assert!(member.head().starts_with(b"slabinfo - version: 2.1")),
            }
        }
        nested += usize::from(member.name().contains("kallsyms.tgz!"));
        Flow::Continue
    })
    .unwrap();
    assert_eq!(gaps, []);
    // `find -name memory.kmem.slabinfo [-empty] | wc -l` on the unpacked archive says 102 and 66; sys.tgz inside it
    // holds the same tree once more.
    assert_eq!((slabinfo, empty, nested), (204, 132, 1));
    assert!(files > 9000, "{files}");
}

#[test]
fn reading_streams_is_possible() {
    let mut text = String::new();
    walk(Source::Reader(&mut Cursor::new(gz(b"abc")), "in"), &Limits::default(), &mut |mut member| {
        member.reader().read_to_string(&mut text).unwrap();
        Flow::Continue
    })
    .unwrap();
    assert_eq!(text, "abc");
}
