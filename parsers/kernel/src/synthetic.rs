//! Small memories made for tests: a page table that maps a direct map one to one, and bytes in it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use crate::types::{Shape, Source, Type, TypeId};
use crate::{Arch, Found, Kernel, Missing, Physical, Sources, Types, VirtAddr, Why};

/// Start of the direct map: virtual address of physical 0.
pub(crate) const BASE: u64 = 0xffff_8880_0000_0000;

/// Pages that were written exist, all others are excluded.
#[derive(Default)]
pub(crate) struct Memory {
    pages: Mutex<BTreeMap<u64, Box<[u8; 4096]>>>,
}

impl Memory {
    /// An empty memory with page tables for 512 GiB.
    pub(crate) fn new() -> Self {
        let memory = Memory::default();
        memory.put(BASE + 0x1000 + (BASE >> 39 & 511) * 8, &(0x2000u64 | 3).to_le_bytes());
        for gib in 0..512u64 {
            memory.put(BASE + 0x2000 + gib * 8, &(gib << 30 | 0x83).to_le_bytes());
        }
        memory
    }

    pub(crate) fn put(&self, at: u64, bytes: &[u8]) {
        let mut pages = self.pages.lock().unwrap();
        for (nth, byte) in bytes.iter().enumerate() {
            let phys = at - BASE + nth as u64;
            pages.entry(phys >> 12).or_insert_with(|| Box::new([0; 4096]))[(phys & 4095) as usize] = *byte;
        }
    }

    pub(crate) fn put32(&self, at: u64, value: u32) {
        self.put(at, &value.to_le_bytes());
    }

    pub(crate) fn put64(&self, at: u64, value: u64) {
        self.put(at, &value.to_le_bytes());
    }

    /// The kernel over this memory with members of structures: structure, path, offset, size. Those of 8 bytes are
    /// pointers.
    pub(crate) fn kernel_with(&self, vmcoreinfo: &str, members: &[(&str, &str, u64, u64)]) -> Kernel<'_> {
        self.kernel_with_sizes(vmcoreinfo, members, &[])
    }

    /// The same with sizes of structures, and values of enumerators by their names.
    pub(crate) fn kernel_with_sizes(
        &self,
        vmcoreinfo: &str,
        members: &[(&str, &str, u64, u64)],
        sizes: &'static [(&'static str, u64)],
    ) -> Kernel<'_> {
        let mut types = Types::none();
        types.add(Arc::new(Sizes(sizes)));
        for (structure, path, offset, size) in members {
            let shape = if *size == 8 { Shape::Pointer } else { Shape::Int { signed: false } };
            types.infer(structure, path, *offset, *size, shape);
        }
        let kernel = self.kernel(vmcoreinfo);
        assert!(kernel.types.set(types).is_ok());
        kernel
    }

    /// The kernel over this memory, with these lines of VMCOREINFO besides those that find the page table.
    pub(crate) fn kernel(&self, vmcoreinfo: &str) -> Kernel<'_> {
        let text = format!(
            "OSRELEASE=test\nPAGESIZE=4096\nSYMBOL(init_top_pgt)=ffffffff80001000\nNUMBER(phys_base)=0\n{vmcoreinfo}"
        );
        let found = Found { arch: Arch::X86_64, vmcoreinfo: Some(text), phys_base: None, member: "test".into() };
        Kernel::over(self, found, Sources::default()).unwrap()
    }
}

/// Structures of which only the size is known, and enumerators; the first has number 1.
struct Sizes(&'static [(&'static str, u64)]);

impl Source for Sizes {
    fn get(&self, id: TypeId) -> Type<'_> {
        let found = id.checked_sub(1).and_then(|nth| self.0.get(nth as usize));
        found.map_or(Type::Void, |(name, size)| Type::Struct {
            name: (*name).into(),
            union: false,
            size: *size,
            fields: Vec::new(),
        })
    }

    fn find(&self, name: &str) -> Vec<TypeId> {
        let place = self.0.iter().position(|(known, _)| *known == name);
        place.map(|nth| nth as TypeId + 1).into_iter().collect()
    }

    fn enumerator(&self, name: &str) -> Option<i64> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value as i64)
    }

    fn name(&self) -> &str {
        "test"
    }
}

impl Physical for Memory {
    fn read(&self, at: u64, buf: &mut [u8]) -> Result<(), Missing> {
        let pages = self.pages.lock().unwrap();
        for (nth, byte) in buf.iter_mut().enumerate() {
            let phys = at + nth as u64;
            let page = pages.get(&(phys >> 12)).ok_or(Missing { at: phys, why: Why::Excluded })?;
            *byte = page[(phys & 4095) as usize];
        }
        Ok(())
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        self.pages.lock().unwrap().keys().map(|pfn| pfn << 12..(pfn + 1) << 12).collect()
    }
}

#[test]
fn lists_close_break_and_turn_in_circles() {
    let memory = Memory::new();
    let (head, a, b) = (BASE + 0x10000, BASE + 0x11000, BASE + 0x12000);
    memory.put64(head, a);
    memory.put64(a, b);
    memory.put64(b, head);
    let kernel = memory.kernel("");
    let walk = kernel.list(VirtAddr(head), 10, "test");
    assert_eq!((walk.items, walk.gaps.len()), (vec![VirtAddr(a), VirtAddr(b)], 0));
    memory.put64(b, a);
    let walk = kernel.list(VirtAddr(head), 10, "test");
    assert_eq!((walk.items.len(), walk.gaps.len()), (2, 1));
    // A node in an absent page: what lies behind it is reached from the other end.
    let (lost, c) = (BASE + 0x50_0000, BASE + 0x13000);
    memory.put64(b, lost);
    memory.put64(c, head);
    memory.put64(c + 8, lost);
    memory.put64(head + 8, c);
    let walk = kernel.list(VirtAddr(head), 10, "test");
    assert_eq!((walk.items, walk.gaps.len()), (vec![VirtAddr(a), VirtAddr(b), VirtAddr(c)], 1));
}
