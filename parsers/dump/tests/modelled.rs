//! Layouts of which there is no real sample: the pages of a real dump, rewritten. This shows
//! that the reader agrees with the description of the format, not that a machine writes it so.

mod support;

use dump::{Arch, Dump, Endian, PhysAddr, Why};
use support::rewrite::{Layout, VMCOREINFO, kdump};
use support::{expected_sums, open, sums};

const RAM: u64 = 10_240;
const MAX_MAPNR: u64 = 32_768;

/// The sample's pages, in blocks of any size (whole blocks only by repeating pages).
fn sample(block_size: usize) -> Vec<(u64, Vec<u8>)> {
    let dump = open(&["a-stored.kdump"]);
    let pages = dump.ranges().flatten().map(|pfn| (pfn, dump.page(pfn).unwrap().repeat(block_size / 4096)));
    pages.collect()
}

fn rewritten(layout: Layout) -> Dump {
    let file = kdump(layout, &sample(layout.block_size), RAM, MAX_MAPNR);
    Dump::from_bytes(vec![("rewritten".into(), file)]).unwrap()
}

#[test]
fn header_versions_one_to_six_give_the_same_pages() {
    for version in 1..=6 {
        let dump = rewritten(Layout { version, ..Layout::X86_64 });
        assert_eq!(sums(&dump), expected_sums(), "version {version}");
        assert_eq!(dump.vmcoreinfo(), (version >= 3).then_some(VMCOREINFO), "version {version}");
        assert_eq!(dump.end_pfn(), MAX_MAPNR);
    }
}

#[test]
fn big_endian_gives_the_same_pages() {
    let dump = rewritten(Layout { big_endian: true, machine: "s390x", ..Layout::X86_64 });
    assert_eq!(dump.machine().endian, Endian::Big);
    assert_eq!(dump.machine().arch, Arch::S390x);
    assert_eq!(dump.vmcoreinfo(), Some(VMCOREINFO));
    assert_eq!(sums(&dump), expected_sums());
}

#[test]
fn thirty_two_bit_headers_give_the_same_pages() {
    for (machine, aligned) in [("i686", false), ("armv7l", true)] {
        for version in [1, 3, 5, 6] {
            let dump = rewritten(Layout { is_64bit: false, aligned, machine, version, ..Layout::X86_64 });
            assert!(!dump.machine().is_64bit);
            assert_eq!(dump.vmcoreinfo(), (version >= 3).then_some(VMCOREINFO), "{machine} {version}");
            assert_eq!(sums(&dump), expected_sums(), "{machine} {version}");
        }
    }
}

#[test]
fn blocks_of_64_kib_are_read() {
    let layout = Layout { block_size: 65_536, machine: "ppc64le", ..Layout::X86_64 };
    let dump = rewritten(layout);
    assert_eq!(dump.page_size(), 65_536);
    assert_eq!(dump.machine().to_string(), "ppc64le");
    for (pfn, page) in sample(65_536) {
        assert!(*dump.page(pfn).unwrap() == *page, "{pfn}");
    }
    let mut two = [0; 8192];
    dump.read(PhysAddr(256 * 65_536 - 100 + 65_536), &mut two).unwrap();
}

#[test]
fn one_bitmap_is_the_dumpable_one() {
    let layout = Layout { two_bitmaps: false, version: 1, ..Layout::X86_64 };
    let dump = rewritten(layout);
    assert_eq!(sums(&dump), expected_sums());
    assert_eq!(dump.info().pages.ram, None);
}

#[test]
fn an_absent_page_says_whether_it_was_ram() {
    let dump = rewritten(Layout::X86_64);
    assert_eq!(dump.page(1).unwrap_err().why, Why::ExcludedByFilter);
    assert_eq!(dump.page(RAM).unwrap_err().why, Why::NotRam);
    assert_eq!(dump.page(u64::MAX).unwrap_err().why, Why::NotRam);
}

/// An ELF core of one note segment and one segment of memory at 1 MiB.
fn elf(is_64bit: bool, big: bool, machine: u16, page: &[u8]) -> Vec<u8> {
    let mut file = vec![0u8; 4096];
    let mut put = |at: usize, value: u64, len: usize| {
        let bytes = if big { value.to_be_bytes()[8 - len..].to_vec() } else { value.to_le_bytes()[..len].to_vec() };
        file[at..at + len].copy_from_slice(&bytes);
    };
    put(16, 4, 2);
    put(18, machine.into(), 2);
    if is_64bit {
        [(32, 64, 8), (54, 56, 2), (56, 1, 2)].into_iter().for_each(|(at, value, len)| put(at, value, len));
        put(64, 1, 4);
        [(72, 4096), (88, 1 << 20), (96, 4096), (104, 8192)].into_iter().for_each(|(at, value)| put(at, value, 8));
    } else {
        [(28, 52, 4), (42, 32, 2), (44, 1, 2)].into_iter().for_each(|(at, value, len)| put(at, value, len));
        [(52, 1), (56, 4096), (64, 1 << 20), (68, 4096), (72, 8192)]
            .into_iter()
            .for_each(|(at, value)| put(at, value, 4));
    }
    file[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 1 + u8::from(is_64bit), 1 + u8::from(big), 1]);
    file.extend_from_slice(page);
    file
}

#[test]
fn elf_is_read_in_both_sizes_and_byte_orders() {
    let page: Vec<u8> = (0..4096).map(|n| n as u8).collect();
    for (is_64bit, big, machine, arch) in [
        (true, true, 22, Arch::S390x),
        (true, false, 21, Arch::Ppc64),
        (false, false, 3, Arch::I386),
        (false, true, 8, Arch::Mips),
    ] {
        let dump = Dump::from_bytes(vec![("x".into(), elf(is_64bit, big, machine, &page))]).unwrap();
        assert_eq!(dump.machine().arch, arch);
        assert_eq!(&*dump.page(256).unwrap(), &*page);
        assert_eq!(dump.page(257).unwrap_err().why, Why::ExcludedByFilter);
        assert_eq!(dump.page(255).unwrap_err().why, Why::NotRam);
        let mut bytes = [0; 100];
        let short = dump.read(PhysAddr((1 << 20) + 4050), &mut bytes).unwrap_err();
        assert_eq!((short.done, short.absent.at), (46, PhysAddr((1 << 20) + 4096)));
    }
}

/// A flattened file of the given records, with its end marker or without.
fn flattened(records: &[(u64, &[u8])], end: bool) -> Vec<u8> {
    let mut file = b"makedumpfile".to_vec();
    file.resize(4096, 0);
    for (offset, bytes) in records {
        file.extend(offset.to_be_bytes());
        file.extend((bytes.len() as u64).to_be_bytes());
        file.extend_from_slice(bytes);
    }
    if end {
        file.extend([0xff; 16]);
    }
    file
}

#[test]
fn later_records_of_a_flattened_file_override_earlier_ones() {
    let whole = std::fs::read(support::formats("a-stored.kdump")).unwrap();
    let zeros = vec![0u8; 30_000];
    let (front, back) = whole.split_at(100_001);
    // A preliminary header and rubbish first, the true bytes later, in pieces that cross pages.
    let file = flattened(&[(0, &zeros), (90_000, &zeros), (100_001, back), (0, front)], true);
    let dump = Dump::from_bytes(vec![("flat".into(), file)]).unwrap();
    assert_eq!(sums(&dump), expected_sums());
    assert!(dump.gaps().is_empty(), "{:?}", dump.gaps());
}

#[test]
fn what_a_cut_flattened_file_never_wrote_is_missing() {
    let whole = std::fs::read(support::formats("a-stored.kdump")).unwrap();
    let (front, back) = whole.split_at(300_000);
    // The front is there, then a hole, then the tail: without the end marker the hole is no zeros.
    let file = flattened(&[(0, front), (400_000, &back[100_000..])], false);
    let dump = Dump::from_bytes(vec![("flat".into(), file)]).unwrap();
    let expected = expected_sums();
    let got = sums(&dump);
    assert!(got.len() < expected.len() && got.iter().all(|(pfn, sum)| expected.get(pfn) == Some(sum)));
    assert!(dump.gaps().iter().any(|gap| gap.why.contains("end marker")), "{:?}", dump.gaps());
}

#[test]
fn pieces_of_split_b_are_joined() {
    let whole = std::fs::read(support::formats("a-zlib.kdump")).unwrap();
    let pieces = whole.chunks(60_000).enumerate().map(|(nth, piece)| (format!("vmcore.a{nth}"), piece.to_vec()));
    assert_eq!(sums(&Dump::from_bytes(pieces.collect()).unwrap()), expected_sums());
}

#[test]
fn the_core_of_a_process_is_refused_by_name() {
    let mut file = elf(true, false, 62, &[0; 4096]);
    let header = file[64..120].to_vec();
    file[120..176].copy_from_slice(&header);
    file[56] = 2;
    for segment in [64, 120] {
        file[segment + 24..segment + 32].fill(0);
    }
    let error = Dump::from_bytes(vec![("core".into(), file)]).err().unwrap().to_string();
    assert!(error.contains("the core of a process"), "{error}");
}

#[test]
fn more_segments_than_the_header_can_count_are_counted_in_section_zero() {
    let mut file = elf(true, false, 62, &[7; 4096]);
    file[56..58].copy_from_slice(&[0xff, 0xff]);
    file[40..48].copy_from_slice(&1024u64.to_le_bytes());
    file[1024 + 44] = 1;
    let dump = Dump::from_bytes(vec![("x".into(), file)]).unwrap();
    assert_eq!(dump.info().elf.unwrap().phnum, 1);
    assert_eq!(dump.page(256).unwrap()[0], 7);
}

#[test]
fn formats_that_are_only_named_say_how_to_convert_them() {
    for (start, advice) in [
        (&b"\xd2\xbe\xd2\xbe"[..], "vmss2core"),
        (b"EMiL\x01\0\0\0", "crash"),
        (b"\xa8\x19\x01\x73\x61\x8f\x23\xfd", "zgetdump"),
        (b"sadump\0\0", "makedumpfile"),
        (b"PAGEDU64", "Windows"),
        (b"QEVM\0\0\0\x03", "--memory-only"),
        (b"\x1f\x8b\x08\0", "gzip"),
    ] {
        let error = Dump::from_bytes(vec![("vmcore".into(), start.to_vec())]).err().unwrap().to_string();
        assert!(error.contains(advice), "{error}");
    }
    let error = Dump::from_bytes(vec![("notes.txt".into(), b"hello".to_vec())]).err().unwrap().to_string();
    assert!(error.contains("hello"), "{error}");
}
