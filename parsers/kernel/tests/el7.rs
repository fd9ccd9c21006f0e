//! A 3.10-era kernel: layouts from a pack, stacks by frame pointers, against what drgn and crash say of one.

mod evidence;

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use kernel::types::Types;
use kernel::types::pack::Pack;
use kernel::unwind::{StackBounds, Target, x86_64};

fn pack() -> Pack {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/packs/3.10.0-1062.el7.lab.pack");
    Pack::parse(&std::fs::read(path).unwrap()).unwrap()
}

/// A text of the corpus beside the repository, if it is there.
fn facts(name: &str) -> Option<String> {
    let path = evidence::shared()?.parent()?.join("corpora/el7/facts").join(name);
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).ok()?).read_to_string(&mut text).unwrap();
    Some(text)
}

#[test]
fn a_pack_names_its_kernel() {
    let pack = pack();
    assert_eq!(pack.header.build_id.as_deref(), Some("9afcec8ff454a06c46d4fc73c2468bbc99ca77f3"));
    assert!(pack.header.banner.unwrap().starts_with("Linux version 3.10.0-1062.el7.lab.x86_64"));
    assert_eq!(pack.header.made_from, "DWARF");
}

#[test]
fn layouts_of_3_10_are_where_the_kernel_has_them() {
    // Numbers that VMCOREINFO of such a kernel states, or its sources.
    let mut types = Types::none();
    types.add(pack().types());
    let offset = |structure, path| types.offset(structure, path);
    assert_eq!(types.size_of("page"), Some(64));
    assert_eq!(offset("page", "_count.counter"), Some(28));
    assert_eq!(offset("page", "lru"), Some(32));
    assert_eq!(offset("page", "private"), Some(48));
    assert_eq!(types.size_of("zone"), Some(2048));
    assert_eq!(offset("zone", "vm_stat"), Some(1496));
    assert_eq!(offset("pglist_data", "nr_zones"), Some(156_736));
    assert_eq!(types.size_of("thread_union"), Some(16384));
    assert_eq!(offset("mempool_s", "curr_nr"), Some(8));
    assert_eq!(offset("mempool_s", "wait.task_list"), Some(56));
    assert_eq!(offset("mutex", "owner"), Some(24));
    assert!(types.member("task_struct", "__state").is_none());
}

#[test]
fn every_member_lies_where_drgn_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/packs/3.10.0-1062.el7.lab.offsets.tsv");
    let text = std::fs::read_to_string(path).unwrap();
    let mut types = Types::none();
    types.add(pack().types());
    let mut compared = 0;
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let columns: Vec<_> = line.split('\t').collect();
        let [structure, member, offset, size] = columns.as_slice() else { panic!("{line}") };
        let offset: u64 = offset.parse().unwrap();
        match (*member, size.strip_prefix(':')) {
            ("(size)", _) => assert_eq!(types.size_of(structure), size.parse().ok(), "{line}"),
            (member, Some(width)) => {
                let m = types.member(structure, member).unwrap_or_else(|| panic!("{line}"));
                let (shift, bits) = m.bits.unwrap();
                assert_eq!((m.offset * 8 + u64::from(shift), bits), (offset, width.parse().unwrap()), "{line}");
            }
            (member, None) => {
                let m = types.member(structure, member).unwrap_or_else(|| panic!("{line}"));
                assert_eq!((m.offset * 8, m.size), (offset, size.parse().unwrap()), "{line}");
            }
        }
        compared += 1;
    }
    assert!(compared > 1000, "{compared}");
}

/// A task's stack as its dump had it; every address of the kernel image is code.
struct Stack {
    low: u64,
    words: HashMap<u64, u64>,
    high: u64,
}

impl Target for Stack {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        for (n, byte) in into.iter_mut().enumerate() {
            let at = address.wrapping_add(n as u64);
            let Some(word) = self.words.get(&(at & !7)) else { return false };
            *byte = word.to_le_bytes()[(at & 7) as usize];
        }
        true
    }

    fn is_text(&self, address: u64) -> bool {
        (0xffff_ffff_8000_0000..0xffff_ffff_ff00_0000).contains(&address)
    }

    fn function_start(&self, _address: u64) -> Option<u64> {
        None
    }
}

#[test]
fn stacks_by_frame_pointers_have_drgn_s_frames() {
    let Some(text) = facts("stacks.txt.gz") else { return };
    let hex = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap();
    let mut lines = text.lines().peekable();
    let mut checked = 0;
    while let Some(line) = lines.next() {
        let Some(head) = line.strip_prefix("task ") else { continue };
        let columns: Vec<_> = head.split(' ').collect();
        let (sp, low) = (hex(columns[columns.len() - 2]), hex(columns[columns.len() - 1]));
        let mut stack = Stack { low, words: HashMap::new(), high: low + 16384 };
        let mut at = sp;
        let mut want = Vec::new();
        while let Some(line) = lines.next_if(|l| l.starts_with("  ")) {
            if let Some(frame) = line.trim().strip_prefix("frame ") {
                let columns: Vec<_> = frame.split(' ').collect();
                // Inlined frames have no place on a stack; drgn goes on past the end of 3.10's entry code.
                if columns.get(3) != Some(&"i") {
                    want.push(hex(columns[0]));
                }
                continue;
            }
            for word in line.split_whitespace() {
                stack.words.insert(at, hex(word));
                at += 8;
            }
        }
        let end = want.iter().position(|pc| !stack.is_text(*pc)).unwrap_or(want.len());
        want.truncate(end);
        let bounds = Some(StackBounds { low: stack.low, high: stack.high });
        let start = x86_64::sleeping(&stack, sp, false, bounds, None).unwrap();
        let trace = x86_64::unwind(&stack, x86_64::Tables::default(), &start);
        let seen: Vec<_> = trace.frames.iter().map(|f| f.pc).collect();
        assert_eq!(seen, want, "{head}");
        assert_eq!(trace.ended, facts::Ended::Properly, "{head}");
        checked += 1;
    }
    assert!(checked > 20, "{checked}");
}
