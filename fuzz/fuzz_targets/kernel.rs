//! Any bytes as what describes a kernel: BTF, a pack, an ISF, the text of VMCOREINFO over the bytes as memory. The first
//! byte tells which.
#![no_main]

use std::ops::Range;
use std::sync::Arc;

use kernel::types::{Btf, Source, isf, pack::Pack};
use kernel::{Arch, Found, Kernel, Missing, Physical, Sources, Types, VirtAddr, Why};
use libfuzzer_sys::fuzz_target;

struct Memory<'a>(&'a [u8]);

impl Physical for Memory<'_> {
    fn read(&self, at: u64, buf: &mut [u8]) -> Result<(), Missing> {
        let end = at.saturating_add(buf.len() as u64) as usize;
        let bytes = self.0.get(at as usize..end).ok_or(Missing { at, why: Why::Excluded })?;
        buf.copy_from_slice(bytes);
        Ok(())
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        vec![0..self.0.len() as u64]
    }
}

fn ask(source: Arc<dyn Source>) {
    let mut types = Types::none();
    types.add(source);
    for name in ["task_struct", "net_device", "page"] {
        let _ = (types.member(name, "absent.more[3]"), types.size_of(name));
        for ty in types.find_all(name).into_iter().take(2) {
            let _ = (types.layout(ty), types.declaration(ty, "x", None), types.leaves(ty, 8, 8));
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((which, rest)) = data.split_first() else { return };
    match which & 3 {
        0 => {
            if let Ok(btf) = Btf::parse("fuzz", rest.to_vec(), None) {
                ask(Arc::new(btf));
            }
        }
        1 => {
            if let Ok(pack) = Pack::parse(rest) {
                ask(pack.types());
            }
        }
        2 => {
            if let Ok(graph) = isf::open(rest).and_then(|isf| isf.types()) {
                ask(Arc::new(graph));
            }
        }
        _ => {
            let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
            let text = String::from_utf8_lossy(&rest[..end]).into_owned();
            let memory = Memory(&rest[end..]);
            for arch in [Arch::X86_64, Arch::Aarch64] {
                let found = Found { arch, vmcoreinfo: Some(text.clone()), phys_base: None, member: "fuzz".into() };
                let Ok(kernel) = Kernel::over(&memory, found, Sources::default()) else { continue };
                let _ = (kernel.log(), kernel.release(), kernel.u64(VirtAddr(u64::MAX - 7)));
            }
        }
    }
});
