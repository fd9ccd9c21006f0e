//! The numbers and pages of real dumps, against what other tools found in them.

mod support;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use dump::{Arch, Dump, Info, PhysAddr, Registers, Why};
use serde_json::Value;
use support::{expected_sums, formats, open, open_cut, shared_vmcores, sums};

#[test]
fn every_codec_gives_the_same_pages() {
    for name in ["a-zlib.kdump", "a-lzo.kdump", "a-zstd.kdump", "a-snappy.kdump", "a-stored.kdump"] {
        assert_eq!(sums(&open(&[name])), expected_sums(), "{name}");
    }
}

#[test]
fn threads_share_a_dump() {
    let (dump, expected) = (open(&["a-zlib.kdump"]), expected_sums());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..3).for_each(|_| assert_eq!(sums(&dump), expected)));
        }
    });
}

#[test]
fn a_flattened_file_gives_the_same_pages() {
    let dump = open(&["a-zlib.flat"]);
    assert_eq!(sums(&dump), expected_sums());
    assert!(dump.info().flattened && dump.gaps().is_empty());
}

#[test]
fn split_parts_in_any_order_give_the_same_pages() {
    let dump = open(&["a-split.3", "a-split.1", "a-split.2"]);
    assert_eq!(sums(&dump), expected_sums());
    assert!(dump.gaps().is_empty(), "{:?}", dump.gaps());
}

#[test]
fn a_part_that_was_not_given_is_a_gap_and_its_pages_are_missing() {
    let dump = open(&["a-split.3", "a-split.1"]);
    assert!(matches!(dump.page(560).unwrap_err().why, Why::MissingFromFile { .. }));
    assert_eq!(dump.page(559).unwrap_err().why, Why::NotRam);
    assert_eq!(dump.gaps().len(), 1, "{:?}", dump.gaps());
    assert_eq!(dump.info().pages.in_missing_part, 170);
}

#[test]
fn an_elf_serves_what_its_segments_have_in_the_file() {
    let dump = open(&["a.elf"]);
    let (expected, got) = (expected_sums(), sums(&dump));
    assert_eq!(got.len(), 290);
    assert!(got.iter().all(|(pfn, sum)| expected.get(pfn) == Some(sum)));
    // The rest of each segment was left out by the filter. In this dump those pages were zeros,
    // which nothing in the file says.
    for pfn in expected.keys().filter(|pfn| !got.contains_key(pfn)) {
        assert_eq!(dump.page(*pfn).unwrap_err().why, Why::ExcludedByFilter);
    }
}

fn number(value: &Value) -> u64 {
    match value.as_str() {
        Some(hex) => u64::from_str_radix(hex.trim_start_matches("0x"), 16).unwrap(),
        None => value.as_u64().unwrap(),
    }
}

/// Header fields that both forms of the oracles name alike.
fn check_header(name: &str, info: &Info, oracle: &Value) {
    let header = info.kdump.as_ref().unwrap();
    let pairs = [
        ("header_version", u64::from(header.header_version)),
        ("status", header.status.into()),
        ("block_size", header.block_size.into()),
        ("sub_hdr_size", header.sub_hdr_size.into()),
        ("bitmap_blocks", header.bitmap_blocks.into()),
        ("max_mapnr", header.max_mapnr),
        ("nr_cpus", header.nr_cpus as u64),
        ("dump_level", header.dump_level as u64),
        ("split", header.split.into()),
    ];
    for (field, value) in pairs {
        assert_eq!(value, number(&oracle[field]), "{name} {field}");
    }
    assert_eq!(header.phys_base, oracle["phys_base"].as_i64().unwrap(), "{name}");
}

#[test]
fn page_counts_equal_those_of_another_reader() {
    let text = std::fs::read_to_string(formats("info.json")).unwrap();
    let oracle: Value = serde_json::from_str(&text).unwrap();
    for (name, oracle) in oracle.as_object().unwrap() {
        let size = number(&oracle["size"]);
        let dump = match name.as_str() {
            "a-elf.cut" => open_cut("a.elf", size).unwrap(),
            name if name.starts_with("a-zlib.cut") => open_cut("a-zlib.kdump", size).unwrap(),
            name if formats(name).exists() => open(&[name]),
            _ => continue,
        };
        let info = dump.info();
        let pages = &info.pages;
        if let Some(elf) = &info.elf {
            assert_eq!(u64::from(elf.flags), number(&oracle["e_flags"]), "{name}");
            let got = [elf.phnum, elf.loads, elf.pages_file, elf.pages_memory, elf.whole_pages_in_file];
            let fields = ["e_phnum", "pt_load", "pages_file", "pages_memory", "whole_pages_in_file"];
            assert_eq!(got, fields.map(|field| number(&oracle[field])), "{name}");
            assert_eq!(sums(&dump).len() as u64, elf.whole_pages_in_file, "{name}");
            continue;
        }
        check_header(name, &info, oracle);
        assert_eq!(pages.ram, Some(number(&oracle["ram"])), "{name}");
        let got = [
            pages.dumpable,
            pages.present + pages.zero_descriptor + pages.beyond_end_of_file,
            pages.present,
            pages.zero_descriptor,
            pages.beyond_end_of_file,
            pages.sharing_the_most_shared_page,
        ];
        let fields = ["bits2", "descriptors", "present", "offset_zero", "beyond_end", "shared_zero"];
        assert_eq!(got, fields.map(|field| number(&oracle[field])), "{name}");
        // And every page that is present is the right one; the sums are those of guest a.
        let (expected, sums) = (expected_sums(), sums(&dump));
        assert_eq!(sums.len() as u64, pages.present, "{name}");
        let right = |(pfn, sum): (&u64, &String)| expected.get(pfn) == Some(sum);
        assert!(!name.starts_with("a-") || sums.iter().all(right), "{name}");
        let lost = pages.zero_descriptor + pages.beyond_end_of_file + pages.in_missing_part;
        assert_eq!(dump.gaps().is_empty(), lost == 0, "{name}");
    }
}

#[test]
fn notes_have_registers_and_vmcoreinfo() {
    for names in [&["a-zlib.kdump"][..], &["a.elf"], &["a-split.2", "a-split.1", "a-split.3"]] {
        let dump = open(names);
        let notes = dump.notes();
        assert_eq!(dump.machine().arch, Arch::X86_64);
        assert_eq!(notes.prstatus.len(), 2, "{names:?}");
        assert!(notes.from_qemu());
        assert_eq!(notes.prstatus.iter().map(|status| status.pid).collect::<Vec<_>>(), [1, 2]);
        let Registers::X86_64(registers) = &notes.prstatus[0].registers else { panic!("no registers") };
        // QEMU's own note says the same of the same CPU.
        assert_eq!(registers.rip, notes.qemu[0].rip);
        assert_eq!(registers.rsp, notes.qemu[0].general[6]);
        assert_eq!(registers.rflags, notes.qemu[0].rflags);
        let text = dump.vmcoreinfo().unwrap();
        assert!(text.starts_with("OSRELEASE=6.1.192-lab\n"), "{text}");
        assert_eq!(text.len(), 3189);
    }
}

#[test]
fn vmcoreinfo_is_found_in_memory() {
    let dump = open(&["a-zlib.kdump"]);
    let found = dump.find_vmcoreinfo(16);
    assert!(!found.is_empty());
    assert_eq!(found[0].get("OSRELEASE"), Some("6.1.192-lab"));
}

/// Dumps beside the repository, each with what another reader found in it. Those in `kernels` are
/// packed: `DUMP_KERNELS` names the folder they were unpacked to.
#[test]
fn large_dumps_have_the_oracles_numbers() {
    let Some(folder) = shared_vmcores() else { return };
    check_folder(&folder, &folder);
    if let Some(unpacked) = std::env::var_os("DUMP_KERNELS") {
        check_folder(unpacked.as_ref(), &folder.join("kernels"));
    }
}

fn check_folder(dumps: &Path, oracles: &Path) {
    for entry in std::fs::read_dir(dumps).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".kdump") else { continue };
        let file = std::fs::File::open(oracles.join(format!("{stem}.oracle.json.gz"))).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        let oracle: Value = serde_json::from_str(&text).unwrap();
        let dump = Dump::open(&[&path]).unwrap();
        let info = dump.info();
        check_header(&name, &info, &oracle["dump"]);
        let (pages, want) = (&info.pages, &oracle["dump"]["pages"]);
        let got = [
            pages.ram.unwrap(),
            pages.dumpable,
            pages.excluded.unwrap(),
            pages.present,
            pages.zero_descriptor,
            pages.beyond_end_of_file,
            pages.not_ram.unwrap(),
            pages.sharing_the_most_shared_page,
        ];
        let fields = [
            "ram",
            "in_bitmap2",
            "excluded",
            "present",
            "zero_descriptor",
            "beyond_end_of_file",
            "not_ram",
            "sharing_the_most_shared_page",
        ];
        assert_eq!(got, fields.map(|field| number(&want[field])), "{name}");
        let codecs: BTreeMap<String, u64> =
            pages.by_codec.iter().map(|(codec, n)| (codec.to_string().replace("stored", "raw"), *n)).collect();
        let want: BTreeMap<String, u64> =
            want["by_compression"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), number(v))).collect();
        assert_eq!(codecs, want, "{name}");
        let registers = dump.notes().prstatus.iter().map(|status| &status.registers);
        assert!(registers.clone().all(|registers| *registers != Registers::Other), "{name}");
        let cpus = oracle["cpus"]["present"].as_array().map_or(2, Vec::len);
        assert_eq!(registers.count(), cpus, "{name}");
        if let Some(text) = oracle["vmcoreinfo"].as_str() {
            assert_eq!(dump.vmcoreinfo().map(str::trim_end), Some(text.trim_end()), "{name}");
        }
    }
}

/// QEMU's own ELF, packed; its program headers are not where other tools look for them.
fn open_qemu(name: &str) -> Option<Dump> {
    let packed = std::fs::File::open(shared_vmcores()?.join("formats").join(format!("{name}.zst"))).unwrap();
    let mut bytes = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(packed).unwrap().read_to_end(&mut bytes).unwrap();
    Some(Dump::from_bytes(vec![(name.into(), bytes)]).unwrap())
}

#[test]
fn the_elf_of_qemu_gives_the_same_pages() {
    let Some(dump) = open_qemu("a-qemu.elf") else { return };
    for (pfn, sum) in expected_sums() {
        assert_eq!(support::sha256_start(&dump.page(pfn).unwrap()), sum, "{pfn}");
    }
    let notes = dump.notes();
    assert_eq!((notes.prstatus.len(), notes.qemu.len()), (2, 2));
    assert_eq!(dump.vmcoreinfo(), open(&["a-zlib.kdump"]).vmcoreinfo());
    // Firmware just below 4 GiB is its own segment; between it and the RAM there is nothing.
    assert!(dump.page(0xfffc0).is_ok());
    assert_eq!(dump.page(0xfffbf).unwrap_err().why, Why::NotRam);
}

#[test]
fn without_a_note_vmcoreinfo_is_found_where_the_kernel_keeps_it() {
    let Some(dump) = open_qemu("n-qemu-novmcoreinfo.elf") else { return };
    assert_eq!(dump.vmcoreinfo(), None);
    assert_eq!((dump.notes().prstatus.len(), dump.notes().qemu.len()), (1, 1));
    let found = dump.find_vmcoreinfo(16);
    assert_eq!(found.iter().map(|found| found.at).collect::<Vec<_>>(), [PhysAddr(0x22f000), PhysAddr(0x230018)]);
    assert!(found.iter().all(|found| found.get("OSRELEASE") == Some("6.1.192-lab")));
}

/// The two damaged ones are copies of a whole dump of the same guest.
#[test]
fn every_page_left_in_a_damaged_dump_is_the_right_one() {
    let Some(folder) = shared_vmcores() else { return };
    let whole = Dump::open(&[folder.join("sysrq-crash.kdump")]).unwrap();
    for (name, present) in [("cut.kdump", 2107), ("incomplete.kdump", 1389)] {
        let damaged = Dump::open(&[folder.join(name)]).unwrap();
        let mut seen = 0;
        for pfn in whole.ranges().flatten() {
            match damaged.page(pfn) {
                Ok(page) => {
                    seen += 1;
                    assert!(*page == *whole.page(pfn).unwrap(), "{name} {pfn:#x}");
                }
                Err(absent) => assert!(matches!(absent.why, Why::MissingFromFile { .. }), "{name}: {absent}"),
            }
        }
        assert_eq!(seen, present, "{name}");
    }
}
