//! What the first bytes of a member say it is.

/// What a member holds, judged by its first bytes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentKind {
    /// No bytes at all.
    Empty,
    /// Text: nearly all printable, no NUL in the head.
    Text,
    /// UTF-16 text with a byte-order mark.
    Utf16,
    /// A systemd journal file.
    Journal,
    /// An ELF core, `/proc/vmcore` and its copies.
    ElfCore,
    /// Another ELF file: vmlinux, a module, a program.
    Elf,
    /// kdump-compressed (`KDUMP   ` or `DISKDUMP`).
    Kdump,
    /// makedumpfile's flattened format around a dump.
    Flattened,
    /// A memory dump in a format that is recognised and not read: LiME, VMware, Xen, LKCD, s390, Windows.
    OtherDump(&'static str),
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// LZMA alone; recognised only together with its file name.
    Lzma,
    /// bzip2.
    Bzip2,
    /// zstd.
    Zstd,
    /// An LZ4 frame.
    Lz4,
    /// tar.
    Tar,
    /// zip.
    Zip,
    /// cpio, `newc`, `crc` or `odc`.
    Cpio,
    /// An archive or compression that is recognised and not read: 7z, rar, compress, lzop.
    OtherArchive(&'static str),
    /// None of these.
    Binary,
}

impl ContentKind {
    /// An archive that [`crate::walk`] can enter.
    pub fn is_archive(self) -> bool {
        matches!(self, ContentKind::Tar | ContentKind::Zip | ContentKind::Cpio)
    }

    /// A compressed stream that [`crate::walk`] can decode.
    pub fn is_compressed(self) -> bool {
        use ContentKind::*;
        matches!(self, Gzip | Xz | Lzma | Bzip2 | Zstd | Lz4)
    }

    /// A memory dump that can be analysed.
    pub fn is_dump(self) -> bool {
        matches!(self, ContentKind::ElfCore | ContentKind::Kdump | ContentKind::Flattened)
    }
}

/// Bytes of the head that [`sniff`] can make use of.
pub(crate) const HEAD: usize = 4096;

const MAGICS: &[(&[u8], ContentKind)] = &[
    (b"LPKSHHRH", ContentKind::Journal),
    (b"KDUMP   ", ContentKind::Kdump),
    (b"DISKDUMP", ContentKind::Kdump),
    (b"makedumpfile\0\0\0\0", ContentKind::Flattened),
    (b"\x1f\x8b\x08", ContentKind::Gzip),
    (b"\xfd7zXZ\0", ContentKind::Xz),
    (b"\x28\xb5\x2f\xfd", ContentKind::Zstd),
    (b"\x04\x22\x4d\x18", ContentKind::Lz4),
    (b"PK\x03\x04", ContentKind::Zip),
    (b"PK\x05\x06", ContentKind::Zip),
    (b"PK\x07\x08PK\x03\x04", ContentKind::Zip),
    (b"070701", ContentKind::Cpio),
    (b"070702", ContentKind::Cpio),
    (b"070707", ContentKind::Cpio),
    (b"7z\xbc\xaf\x27\x1c", ContentKind::OtherArchive("7z")),
    (b"Rar!\x1a\x07", ContentKind::OtherArchive("rar")),
    (b"\x1f\x9d", ContentKind::OtherArchive("compress (.Z)")),
    (b"\x89LZO\0\r\n\x1a\n", ContentKind::OtherArchive("lzop")),
    (b"\xc7\x71", ContentKind::OtherArchive("old binary cpio")),
    (b"EMiL", ContentKind::OtherDump("LiME")),
    (b"\xd2\xbe\xd2\xbe", ContentKind::OtherDump("VMware vmss")),
    (b"\xd1\xba\xd1\xba", ContentKind::OtherDump("VMware vmss")),
    (b"\xd0\xbe\xd2\xbe", ContentKind::OtherDump("VMware vmss")),
    (b"XenSavedDomain", ContentKind::OtherDump("Xen saved domain")),
    (b"\xed\x23\x8f\x61\x73\x01\x19\xa8", ContentKind::OtherDump("LKCD")),
    (b"PAGEDUMP", ContentKind::OtherDump("Windows")),
    (b"PAGEDU64", ContentKind::OtherDump("Windows")),
    (b"\xa8\x19\x01\x73\x61\x8f\x23\xfd", ContentKind::OtherDump("s390")),
];

/// Says what bytes from the beginning of a member are. 512 bytes are enough for every archive, 4096 for text.
pub fn sniff(head: &[u8]) -> ContentKind {
    if head.is_empty() {
        return ContentKind::Empty;
    }
    for (magic, kind) in MAGICS {
        if head.starts_with(magic) {
            return *kind;
        }
    }
    if head.starts_with(b"BZh") && matches!(head.get(3), Some(b'1'..=b'9')) {
        let block = head.get(4..10);
        if block == Some(b"\x31\x41\x59\x26\x53\x59") || block == Some(b"\x17\x72\x45\x38\x50\x90") {
            return ContentKind::Bzip2;
        }
    }
    // A skippable frame may open a zstd file.
    if head.get(1..4) == Some(b"\x2a\x4d\x18") && head.first().is_some_and(|b| b & 0xf0 == 0x50) {
        return ContentKind::Zstd;
    }
    if head.starts_with(b"\x7fELF") {
        let kind = match (head.get(5), head.get(16), head.get(17)) {
            (Some(2), Some(a), Some(b)) => u16::from_be_bytes([*a, *b]),
            (_, Some(a), Some(b)) => u16::from_le_bytes([*a, *b]),
            _ => 0,
        };
        return if kind == 4 { ContentKind::ElfCore } else { ContentKind::Elf };
    }
    if crate::archive::tar::is_header(head) {
        return ContentKind::Tar;
    }
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return ContentKind::Utf16;
    }
    if is_text(head) { ContentKind::Text } else { ContentKind::Binary }
}

/// Console captures hold escape sequences, NUL runs and broken bytes: text is what is at least 85 % printable.
fn is_text(head: &[u8]) -> bool {
    let printable =
        head.iter().filter(|b| matches!(b, 0x20..=0x7e | b'\n' | b'\r' | b'\t' | 0x1b | 0x80..=0xff)).count();
    let high = head.iter().filter(|b| **b >= 0x80).count();
    printable * 100 >= head.len() * 85 && (high * 100 <= head.len() * 30 || std::str::from_utf8(head).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magics_are_told_apart() {
        assert_eq!(sniff(b""), ContentKind::Empty);
        assert_eq!(sniff(b"[    0.000000] Linux version 5.10\n"), ContentKind::Text);
        assert_eq!(sniff(b"LPKSHHRH\0\0\0"), ContentKind::Journal);
        assert_eq!(sniff(b"KDUMP   \x06\0\0\0"), ContentKind::Kdump);
        assert_eq!(sniff(b"makedumpfile\0\0\0\0\0\0\0\x01"), ContentKind::Flattened);
        let mut elf = vec![0u8; 64];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[16] = 4;
        assert_eq!(sniff(&elf), ContentKind::ElfCore);
        elf[16] = 2;
        assert_eq!(sniff(&elf), ContentKind::Elf);
        assert_eq!(sniff(b"BZh9 is no bzip2 file"), ContentKind::Text);
        assert_eq!(sniff(&[0u8; 600]), ContentKind::Binary);
        assert_eq!(sniff("Пт июл  3 00:00:50".as_bytes()), ContentKind::Text);
    }
}
