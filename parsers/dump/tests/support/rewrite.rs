//! Writes pages as a kdump in layouts of which there is no real sample.

/// A layout.
#[derive(Clone, Copy)]
pub struct Layout {
    pub version: u32,
    pub is_64bit: bool,
    /// On a 32-bit machine: whether a 64-bit `off_t` is aligned to 8.
    pub aligned: bool,
    pub big_endian: bool,
    pub block_size: usize,
    pub two_bitmaps: bool,
    pub machine: &'static str,
}

impl Layout {
    pub const X86_64: Layout = Layout {
        version: 6,
        is_64bit: true,
        aligned: false,
        big_endian: false,
        block_size: 4096,
        two_bitmaps: true,
        machine: "x86_64",
    };
}

/// A growing file in one byte order.
struct Out {
    bytes: Vec<u8>,
    big: bool,
}

impl Out {
    fn put(&mut self, at: usize, value: u64, len: usize) {
        if self.bytes.len() < at + len {
            self.bytes.resize(at + len, 0);
        }
        let target = &mut self.bytes[at..at + len];
        match self.big {
            true => target.copy_from_slice(&value.to_be_bytes()[8 - len..]),
            false => target.copy_from_slice(&value.to_le_bytes()[..len]),
        }
    }

    fn put_bytes(&mut self, at: usize, bytes: &[u8]) {
        if self.bytes.len() < at + bytes.len() {
            self.bytes.resize(at + bytes.len(), 0);
        }
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

/// The text every rewritten dump has as VMCOREINFO, from version 3 on.
pub const VMCOREINFO: &str = "OSRELEASE=6.1.192-lab\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=ffffffff82a134c0\n";

/// A kdump with the given pages (stored); page frames below `ram` that are not given are
/// excluded, the rest up to `max_mapnr` is no RAM.
pub fn kdump(layout: Layout, pages: &[(u64, Vec<u8>)], ram: u64, max_mapnr: u64) -> Vec<u8> {
    let Layout { version, is_64bit, aligned, block_size: bs, .. } = layout;
    let mut out = Out { bytes: Vec::new(), big: layout.big_endian };
    let bitmap_bytes = (max_mapnr as usize).div_ceil(8);
    let each = bitmap_bytes.div_ceil(bs);
    let bitmap_blocks = if layout.two_bitmaps { 2 * each } else { each };
    out.put_bytes(0, b"KDUMP   ");
    out.put(8, version.into(), 4);
    out.put_bytes(12, b"Linux");
    out.put_bytes(142, b"6.1.192-lab");
    out.put_bytes(272, layout.machine.as_bytes());
    let status = if is_64bit { 424 } else { 412 };
    for (nth, value) in [0, bs as u64, 1, bitmap_blocks as u64, max_mapnr].into_iter().enumerate() {
        out.put(status + 4 * nth, value, 4);
    }
    let word = if is_64bit { 8 } else { 4 };
    let text_at = (bs + 512) as u64;
    let (level_at, info_at, wide_at) = match (is_64bit, aligned) {
        (true, _) => (8, (32, 40), 80),
        (false, false) => (4, (20, 28), 56),
        (false, true) => (4, (24, 32), 72),
    };
    out.put(bs + level_at, 31, 4);
    if version >= 3 {
        out.put(bs + info_at.0, text_at, 8);
        out.put(bs + info_at.1, VMCOREINFO.len() as u64, word);
        out.put_bytes(text_at as usize, VMCOREINFO.as_bytes());
    }
    if version >= 6 {
        out.put(bs + wide_at + 16, max_mapnr, 8);
    }
    let bitmaps = 2 * bs;
    let dumped = if layout.two_bitmaps { bitmaps + each * bs } else { bitmaps };
    let end = bitmaps + bitmap_blocks * bs;
    out.put(end - 1, 0, 1);
    if layout.two_bitmaps {
        (0..ram as usize).for_each(|pfn| out.bytes[bitmaps + pfn / 8] |= 1 << (pfn % 8));
    }
    let mut data = end + 24 * pages.len();
    for (nth, (pfn, page)) in pages.iter().enumerate() {
        out.bytes[dumped + *pfn as usize / 8] |= 1 << (pfn % 8);
        let at = end + 24 * nth;
        out.put(at, data as u64, 8);
        out.put(at + 8, bs as u64, 4);
        out.put(at + 12, 0, 4);
        out.put(at + 16, 0, 8);
        out.put_bytes(data, page);
        data += bs;
    }
    out.bytes
}
