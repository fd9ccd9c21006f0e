//! Which kind of file this is, from its first bytes.

use std::fmt;

/// Kinds of dump files, read here or only named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// kdump-compressed, signature `KDUMP`.
    Kdump,
    /// Its predecessor, signature `DISKDUMP`.
    Diskdump,
    /// Flattened (`makedumpfile -F`, QEMU's kdump output); inside is kdump or ELF.
    Flattened,
    /// ELF core.
    Elf,
    /// VMware suspend or snapshot state (`.vmss`, `.vmsn`).
    Vmware,
    /// LiME memory image.
    Lime,
    /// AVML memory image.
    Avml,
    /// ELF core of a Xen domain (`xl dump-core`).
    XenDomain,
    /// Old Xen core of a paravirtualised or HVM domain.
    XenCore,
    /// s390 stand-alone dump.
    S390,
    /// Fujitsu's stand-alone dump.
    Sadump,
    /// LKCD, before 2.6.
    Lkcd,
    /// Crash dump of Windows.
    Windows,
    /// QEMU migration stream (`virsh save`, old `virsh dump`).
    QemuMigration,
    /// The same behind libvirt's header.
    LibvirtSave,
    /// A compressed file or archive around something.
    Compressed(&'static str),
    /// Nothing that is known here.
    Unknown,
}

impl Format {
    /// Whether [`Dump`](crate::Dump) reads it.
    pub fn is_read(self) -> bool {
        matches!(self, Format::Kdump | Format::Diskdump | Format::Flattened | Format::Elf)
    }

    /// How to get a file that can be read, for the formats that are only named.
    pub fn advice(self) -> Option<&'static str> {
        Some(match self {
            Format::Kdump | Format::Diskdump | Format::Flattened | Format::Elf | Format::Unknown => {
                return None;
            }
            Format::Vmware => {
                "convert it with `vmss2core -N6 FILE.vmss FILE.vmem` (both files are needed) and open the resulting vmss.core"
            }
            Format::Lime => "take it again as ELF, or open it with crash or Volatility",
            Format::Avml => "convert it to LiME with `avml-convert`, then open it with crash or Volatility",
            Format::XenDomain | Format::XenCore => "open it with crash; for a new one take a kdump inside the guest",
            Format::S390 => "convert it with `zgetdump -f elf DUMP > vmcore`",
            Format::Sadump => {
                "convert it with `makedumpfile -l -d 31 DUMP vmcore` (all members of a disk set together)"
            }
            Format::Lkcd => "open it with the lkcd tools; the format ended with Linux 2.4",
            Format::Windows => "it is a Windows dump, not a Linux one; open it with WinDbg",
            Format::QemuMigration | Format::LibvirtSave => {
                "open it with crash; next time dump with `virsh dump --memory-only --format elf`"
            }
            Format::Compressed("gzip") => "unpack it first with `gzip -d`",
            Format::Compressed("xz") => "unpack it first with `xz -d`",
            Format::Compressed("zstd") => "unpack it first with `zstd -d`",
            Format::Compressed("bzip2") => "unpack it first with `bzip2 -d`",
            Format::Compressed(_) => "unpack it first",
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Kdump => "kdump-compressed",
            Format::Diskdump => "diskdump",
            Format::Flattened => "flattened dump",
            Format::Elf => "ELF vmcore",
            Format::Vmware => "VMware suspend or snapshot state",
            Format::Lime => "LiME memory image",
            Format::Avml => "AVML memory image",
            Format::XenDomain => "Xen domain core",
            Format::XenCore => "old Xen core",
            Format::S390 => "s390 stand-alone dump",
            Format::Sadump => "SADUMP",
            Format::Lkcd => "LKCD dump",
            Format::Windows => "Windows crash dump",
            Format::QemuMigration => "QEMU migration stream",
            Format::LibvirtSave => "libvirt save file",
            Format::Compressed(how) => return write!(f, "{how}-compressed file"),
            Format::Unknown => "unknown format",
        })
    }
}

/// Bytes that [`sniff`] wants to see: the start of the file, more than the signatures need so
/// that an ELF's sections can tell a Xen core.
pub const SNIFF_LEN: usize = 4096;

/// Names the format of a file from its first bytes ([`SNIFF_LEN`], fewer when it is shorter).
///
/// A flattened file is named as such: what is inside is known only after opening it.
///
/// ```
/// assert_eq!(dump::sniff(b"KDUMP   \x06\0\0\0"), dump::Format::Kdump);
/// let vmss = dump::sniff(b"\xd2\xbe\xd2\xbe");
/// assert!(!vmss.is_read());
/// assert!(vmss.advice().unwrap().contains("vmss2core"));
/// ```
pub fn sniff(start: &[u8]) -> Format {
    let le32 = |at: usize| start.get(at..)?.first_chunk().copied().map(u32::from_le_bytes);
    let be64 = start.first_chunk().copied().map(u64::from_be_bytes);
    let le64 = start.first_chunk().copied().map(u64::from_le_bytes);
    const LKCD: [u64; 2] = [0xa819_0173_618f_23ed, 0xa819_0173_618f_23cd];
    match start {
        s if s.starts_with(b"makedumpfile") => return Format::Flattened,
        s if s.starts_with(b"KDUMP   ") => return Format::Kdump,
        s if s.starts_with(b"DISKDUMP") => return Format::Diskdump,
        s if s.starts_with(b"\x7fELF") => return Format::Elf,
        s if s.starts_with(b"EMiL") => return Format::Lime,
        s if s.starts_with(b"AVML") => return Format::Avml,
        s if s.starts_with(b"PAGEDUMP") || s.starts_with(b"PAGEDU64") => return Format::Windows,
        s if s.starts_with(b"QEVM") => return Format::QemuMigration,
        s if s.starts_with(b"LibvirtQemud") => return Format::LibvirtSave,
        s if s.starts_with(b"\x1f\x8b") => return Format::Compressed("gzip"),
        s if s.starts_with(b"\xfd7zXZ\0") => return Format::Compressed("xz"),
        s if s.starts_with(b"\x28\xb5\x2f\xfd") => return Format::Compressed("zstd"),
        s if s.starts_with(b"BZh") => return Format::Compressed("bzip2"),
        s if s.starts_with(b"\x89LZO\0") => return Format::Compressed("lzop"),
        _ => {}
    }
    match le32(0) {
        Some(0xbed2_bed2 | 0xbed0_bed0 | 0xbed3_bed3 | 0xbad1_bad1 | 0xbad2_bad2) => {
            return Format::Vmware;
        }
        Some(0xf00f_ebed | 0xf00f_ebee) => return Format::XenCore,
        Some(0x7564_6173) if le32(4) == Some(0x0000_706d) => return Format::Sadump,
        _ => {}
    }
    if be64.is_some_and(|magic| LKCD.contains(&magic)) || le64.is_some_and(|magic| LKCD.contains(&magic)) {
        return Format::Lkcd;
    }
    // s390 and its extended form share all but the last byte and a half.
    if be64.is_some_and(|magic| magic >> 12 == 0x000a_8190_1736_18f2) {
        return Format::S390;
    }
    Format::Unknown
}
