/*!
Reads Linux crash dumps: kdump-compressed files, flattened and split ones, and ELF vmcores.

A dump is opened from one or more files and gives physical memory and the notes that came
with it. It knows nothing of kernels: what the bytes mean is for the layer above.

```no_run
let dump = dump::Dump::open(&["vmcore"])?;
println!("{}", dump.vmcoreinfo().unwrap_or("no VMCOREINFO note"));
# Ok::<(), dump::Error>(())
```

Every page is either there or [`Absent`] for a stated reason; nothing is filled with zeros.
Pages stored as they were in memory are borrowed from the memory map, compressed ones are
decoded once and kept in a bounded cache, so a page is never copied:

```no_run
use dump::{Dump, PhysAddr, Why};

let dump = Dump::open(&["vmcore.part1", "vmcore.part2"])?; // in any order
println!("{}, {} bytes a page", dump.machine(), dump.page_size());

match dump.page(0x1234) {
    Ok(page) => println!("{:02x?}", &page[..16]),
    Err(absent) => match absent.why {
        Why::ExcludedByFilter => println!("makedumpfile left it out"),
        Why::MissingFromFile { offset } => println!("the file is cut, at byte {offset}"),
        Why::NotRam => println!("no memory there"),
        other => println!("{other}"),
    },
}

let mut word = [0; 8];
match dump.read(PhysAddr(0x1234_5678), &mut word) {
    Ok(()) => println!("{:#x}", u64::from_le_bytes(word)),
    Err(short) => println!("{short}"),
}

for gap in dump.gaps() {
    println!("lost: {}, because {}", gap.what, gap.why);
}
# Ok::<(), dump::Error>(())
```

Input is not trusted: no bytes make this crate panic, loop, or take memory out of proportion.
What is cut off or damaged is a gap, and the rest is served.

# Formats

| format | read |
|---|---|
| kdump-compressed, header versions 1 to 6, 32 and 64 bits, both byte orders | yes; pages stored, zlib, lzo, snappy, zstd |
| flattened (`makedumpfile -F`, QEMU) | yes, in place |
| split (`makedumpfile --split`), or cut by size (`split -b`) | yes |
| ELF (`/proc/vmcore`, `makedumpfile -E`, QEMU, libvirt) | yes |
| VMware, LiME, Xen, s390, SADUMP, LKCD, Windows, QEMU migration | named by [`sniff`], with the way to convert them |

# Features

`c-codecs`: decode zlib with libdeflate and zstd with the C library, instead of Rust code.
*/

#![deny(unsafe_code)]

mod address;
mod bytes;
mod cache;
mod codec;
mod dump;
mod elf;
mod error;
mod extents;
mod flattened;
mod image;
mod info;
mod kdump;
mod machine;
mod notes;
mod page;
mod registers;
mod sniff;
// The only place with unsafe code: making a memory map.
#[allow(unsafe_code)]
mod source;
mod vmcoreinfo;

pub use address::PhysAddr;
pub use bytes::Endian;
pub use dump::Dump;
pub use error::{Absent, Codec, Error, Gap, Problem, Short, Why};
pub use info::{ElfHeader, Info, KdumpHeader, PageCounts, Utsname};
pub use machine::{Arch, Machine};
pub use notes::{Note, Notes, PrStatus};
pub use page::Page;
pub use registers::{Aarch64Registers, QemuCpu, QemuSegment, Registers, X86_64Registers};
pub use sniff::{Format, SNIFF_LEN, sniff};
pub use source::Source;
pub use vmcoreinfo::FoundVmcoreinfo;
