//! ORC: the tables by which x86-64 kernels since 4.14 describe each address of their code.
//!
//! Two parallel arrays in the image, one of code addresses (each stored relative to itself) and one of packed
//! 6-byte entries. Four layouts of the entry exist; all are normalised to [`Entry`] here and everything above sees
//! one form.

use std::collections::HashMap;
use std::sync::RwLock;

use super::Target;

/// Layout of the packed entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 4.14 to 6.2: `sp_reg:4 bp_reg:4 type:2 end:1`.
    V1,
    /// 6.3, ffb1b4a41016 ("x86/unwind/orc: Add 'signal' field to ORC metadata"): `... type:2 signal:1 end:1`.
    V2,
    /// 6.4 to 7.0, fb799447ae29 ("x86,objtool: Split UNWIND_HINT_EMPTY in two"): `... type:3 signal:1`.
    V3,
    /// 7.1 on, 1735858caa4b: as before, with other numbers for the registers.
    V4,
}

/// A hash of the ORC headers' layout in `.orc_header` (b9f174c811e3 "x86/unwind/orc: Add ELF section with ORC
/// version identifier", 6.4, and stable 6.3), by layout.
const HEADERS: [([u8; 20], Version); 3] = [
    (
        [
            0x13, 0x7c, 0x36, 0xad, 0x76, 0x27, 0xc4, 0xdd, 0x55, 0x93, 0x21, 0x76, 0xbb, 0x0e, 0xcd, 0xbd, 0x50, 0x41,
            0xfc, 0x82,
        ],
        Version::V4,
    ),
    (
        [
            0xfe, 0x5d, 0x32, 0xbf, 0x58, 0x1b, 0xd6, 0x3b, 0x2c, 0xa9, 0xa5, 0xc6, 0x5b, 0xa5, 0xa6, 0x25, 0xea, 0xb3,
            0xfe, 0x24,
        ],
        Version::V3,
    ),
    (
        [
            0xdb, 0x84, 0xae, 0xd4, 0x10, 0x3b, 0x31, 0xdd, 0x51, 0xe0, 0x17, 0xf8, 0xf7, 0x97, 0x83, 0xca, 0x98, 0x5c,
            0x2c, 0x51,
        ],
        Version::V2,
    ),
];

impl Version {
    /// By the kernel's own `.orc_header`.
    pub fn from_header(header: &[u8]) -> Option<Version> {
        HEADERS.iter().find(|(known, _)| known == header).map(|(_, version)| *version)
    }

    /// By what the entries themselves say: the layout under which most of `samples` are entries that the
    /// compiler's ordinary functions have (a call frame, counted from the stack pointer or the frame pointer).
    pub fn from_entries(samples: &[[u8; 6]]) -> Option<Version> {
        let ordinary = |version| {
            let usual = |raw: &&[u8; 6]| {
                let entry = Entry::decode(**raw, version);
                let odd = u16::from_le_bytes([raw[4], raw[5]]) >> 12 != 0;
                let based = match entry.sp_reg {
                    Reg::Sp => entry.sp_offset >= 8 && entry.sp_offset % 8 == 0,
                    Reg::Bp => entry.sp_offset == 16,
                    _ => false,
                };
                let bp = matches!(entry.bp_reg, Reg::Undefined | Reg::PrevSp);
                entry.kind == Kind::Call && based && bp && !odd
            };
            samples.iter().filter(usual).count()
        };
        let versions = [Version::V1, Version::V3, Version::V4];
        let best = versions.into_iter().max_by_key(|v| ordinary(*v))?;
        (ordinary(best) * 2 > samples.len()).then_some(best)
    }
}

/// A register as ORC names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reg {
    /// None.
    Undefined,
    /// The caller's stack pointer.
    PrevSp,
    /// rax.
    Ax,
    /// rdx.
    Dx,
    /// rdi.
    Di,
    /// rbp.
    Bp,
    /// rsp.
    Sp,
    /// r10.
    R10,
    /// r13.
    R13,
    /// The word at rbp plus the offset.
    BpIndirect,
    /// The word at rsp, plus the offset.
    SpIndirect,
}

impl Reg {
    fn decode(number: u16, version: Version) -> Reg {
        const OLD: [Reg; 10] = [
            Reg::Undefined,
            Reg::PrevSp,
            Reg::Dx,
            Reg::Di,
            Reg::Bp,
            Reg::Sp,
            Reg::R10,
            Reg::R13,
            Reg::BpIndirect,
            Reg::SpIndirect,
        ];
        const NEW: [Reg; 11] = [
            Reg::Undefined,
            Reg::Ax,
            Reg::Dx,
            Reg::Sp,
            Reg::Bp,
            Reg::Di,
            Reg::R10,
            Reg::R13,
            Reg::PrevSp,
            Reg::SpIndirect,
            Reg::BpIndirect,
        ];
        let table: &[Reg] = if version == Version::V4 { &NEW } else { &OLD };
        table.get(usize::from(number)).copied().unwrap_or(Reg::Undefined)
    }
}

/// What lies at the frame's base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is known of this code.
    Undefined,
    /// The outermost frame.
    End,
    /// A return address.
    Call,
    /// A whole `pt_regs`.
    Regs,
    /// Only the part of `pt_regs` that the processor pushes.
    RegsPartial,
}

/// One entry, normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Added to the base register.
    pub sp_offset: i16,
    /// Where the caller's rbp is, from the register `bp_reg` names.
    pub bp_offset: i16,
    /// From what the base is counted.
    pub sp_reg: Reg,
    /// From what the place of the caller's rbp is counted.
    pub bp_reg: Reg,
    /// What lies at the base.
    pub kind: Kind,
    /// Whether the *next* program counter is exact; a return address otherwise.
    pub signal: bool,
}

impl Entry {
    /// Unpacks an entry.
    pub fn decode(raw: [u8; 6], version: Version) -> Entry {
        let bits = u16::from_le_bytes([raw[4], raw[5]]);
        let (kind, signal) = match version {
            Version::V1 | Version::V2 => {
                let end = bits >> (if version == Version::V1 { 10 } else { 11 }) & 1 == 1;
                let kind = match (end, bits >> 8 & 3, bits & 15) {
                    (true, _, _) => Kind::End,
                    (false, 0, 0) => Kind::Undefined,
                    (false, 0, _) => Kind::Call,
                    (false, 1, _) => Kind::Regs,
                    (false, _, _) => Kind::RegsPartial,
                };
                let signal = match version {
                    Version::V1 => matches!(kind, Kind::Regs | Kind::RegsPartial),
                    _ => bits >> 10 & 1 == 1,
                };
                (kind, signal)
            }
            Version::V3 | Version::V4 => {
                let kind = match bits >> 8 & 7 {
                    1 => Kind::End,
                    2 => Kind::Call,
                    3 => Kind::Regs,
                    4 => Kind::RegsPartial,
                    _ => Kind::Undefined,
                };
                (kind, bits >> 11 & 1 == 1)
            }
        };
        Entry {
            sp_offset: i16::from_le_bytes([raw[0], raw[1]]),
            bp_offset: i16::from_le_bytes([raw[2], raw[3]]),
            sp_reg: Reg::decode(bits & 15, version),
            bp_reg: Reg::decode(bits >> 4 & 15, version),
            kind,
            signal,
        }
    }
}

/// One table in memory: the kernel's, or a module's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Address of the array of code addresses, 4 bytes each.
    pub ips: u64,
    /// Address of the array of entries, 6 bytes each.
    pub entries: u64,
    /// Number of elements in both.
    pub count: u64,
    /// The code it describes.
    pub code: (u64, u64),
}

/// All ORC tables of a kernel. Entries found are remembered, since many stacks share their frames.
pub struct Orc {
    version: Version,
    tables: Vec<Table>,
    /// Code that is a copy of other code: start, end, start of the other.
    copies: Vec<(u64, u64, u64)>,
    found: RwLock<HashMap<u64, Option<Entry>>>,
}

impl Orc {
    /// Tables of one layout; a later table may overlap no earlier one.
    pub fn new(version: Version, tables: Vec<Table>) -> Orc {
        Orc { version, tables, copies: Vec::new(), found: RwLock::default() }
    }

    /// With pieces of code (start and end) that are copies of other code (its start), whose entries they have.
    pub fn with_copies(self, copies: Vec<(u64, u64, u64)>) -> Orc {
        Orc { copies, ..self }
    }

    /// Layout of the entries.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The entry for the instruction at `pc`.
    pub fn lookup(&self, target: &dyn Target, pc: u64) -> Option<Entry> {
        if let Ok(found) = self.found.read()
            && let Some(entry) = found.get(&pc)
        {
            return *entry;
        }
        let entry = self.search(target, pc);
        if let Ok(mut found) = self.found.write() {
            found.insert(pc, entry);
        }
        entry
    }

    fn search(&self, target: &dyn Target, pc: u64) -> Option<Entry> {
        let copy = self.copies.iter().find(|(start, end, _)| (*start..*end).contains(&pc));
        let pc = copy.map_or(pc, |(start, _, of)| of.wrapping_add(pc - start));
        let table = self.tables.iter().find(|t| (t.code.0..t.code.1).contains(&pc))?;
        let code_address = |n: u64| {
            let at = table.ips.wrapping_add(4 * n);
            let mut raw = [0; 4];
            target.read(at, &mut raw).then(|| at.wrapping_add_signed(i32::from_le_bytes(raw).into()))
        };
        // The last element at or below pc.
        let (mut low, mut high) = (0, table.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if code_address(middle)? <= pc {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let mut raw = [0; 6];
        let at = table.entries.wrapping_add(6 * low.checked_sub(1)?);
        target.read(at, &mut raw).then(|| Entry::decode(raw, self.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(sp_offset: i16, bp_offset: i16, bits: u16) -> [u8; 6] {
        let (s, b, f) = (sp_offset.to_le_bytes(), bp_offset.to_le_bytes(), bits.to_le_bytes());
        [s[0], s[1], b[0], b[1], f[0], f[1]]
    }

    #[test]
    fn the_same_frame_reads_alike_in_all_four_layouts() {
        let call = Entry {
            sp_offset: 16,
            bp_offset: -16,
            sp_reg: Reg::Sp,
            bp_reg: Reg::PrevSp,
            kind: Kind::Call,
            signal: false,
        };
        assert_eq!(Entry::decode(raw(16, -16, 5 | 1 << 4), Version::V1), call);
        assert_eq!(Entry::decode(raw(16, -16, 5 | 1 << 4), Version::V2), call);
        assert_eq!(Entry::decode(raw(16, -16, 5 | 1 << 4 | 2 << 8), Version::V3), call);
        assert_eq!(Entry::decode(raw(16, -16, 3 | 8 << 4 | 2 << 8), Version::V4), call);
    }

    #[test]
    fn end_and_holes_are_told_apart() {
        assert_eq!(Entry::decode(raw(0, 0, 0), Version::V1).kind, Kind::Undefined);
        assert_eq!(Entry::decode(raw(0, 0, 1 << 10), Version::V1).kind, Kind::End);
        assert_eq!(Entry::decode(raw(0, 0, 1 << 11), Version::V2).kind, Kind::End);
        assert_eq!(Entry::decode(raw(0, 0, 1 << 8), Version::V3).kind, Kind::End);
        assert_eq!(Entry::decode(raw(0, 0, 0), Version::V4).kind, Kind::Undefined);
    }

    #[test]
    fn the_signal_bit_is_implied_by_registers_in_the_first_layout() {
        let regs = Entry::decode(raw(0, 0, 5 | 1 << 8), Version::V1);
        assert!(regs.kind == Kind::Regs && regs.signal);
        let regs = Entry::decode(raw(0, 0, 5 | 1 << 8), Version::V2);
        assert!(regs.kind == Kind::Regs && !regs.signal);
    }

    #[test]
    fn layout_is_recognised_by_header_or_by_entries() {
        assert_eq!(Version::from_header(&HEADERS[0].0), Some(Version::V4));
        assert_eq!(Version::from_header(&[0; 20]), None);
        let old = [raw(8, 0, 5), raw(16, -16, 5 | 1 << 4), raw(16, -16, 4 | 1 << 4), raw(0, 0, 0)];
        assert_eq!(Version::from_entries(&old), Some(Version::V1));
        let new = [raw(8, 0, 5 | 2 << 8), raw(16, -16, 5 | 1 << 4 | 2 << 8), raw(24, 0, 5 | 2 << 8)];
        assert_eq!(Version::from_entries(&new), Some(Version::V3));
        let newest = [raw(8, 0, 3 | 2 << 8), raw(16, -16, 3 | 8 << 4 | 2 << 8), raw(24, 0, 3 | 2 << 8)];
        assert_eq!(Version::from_entries(&newest), Some(Version::V4));
        assert_eq!(Version::from_entries(&[[0; 6]; 5]), None);
    }
}
