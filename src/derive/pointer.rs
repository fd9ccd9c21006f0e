//! Values that a register or a fault address may hold, and what they tell.

/// What a value is, as an engineer reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// The word for it.
    pub(super) meaning: &'static str,
    /// In a sentence.
    pub(super) text: String,
    /// Distance from the pattern: the offset of a member.
    pub(super) offset: Option<u64>,
}

/// Members of one structure lie within this of its start.
const MEMBERS: u64 = 0x1000;
/// User space has no page below this (`vm.mmap_min_addr`), so an access here is through NULL, if far from it.
const LOWEST: u64 = 0x1_0000;
/// The greatest errno that is used as a pointer.
const MAX_ERRNO: u64 = 4095;

/// Names of error numbers (`include/uapi/asm-generic/errno-base.h` and `errno.h`, `include/linux/errno.h`). Alpha, MIPS,
/// PA-RISC and SPARC number some of those above 34 otherwise.
const ERRNO: &[(u64, &str)] = &[
    (1, "EPERM"),
    (2, "ENOENT"),
    (3, "ESRCH"),
    (4, "EINTR"),
    (5, "EIO"),
    (6, "ENXIO"),
    (7, "E2BIG"),
    (8, "ENOEXEC"),
    (9, "EBADF"),
    (10, "ECHILD"),
    (11, "EAGAIN"),
    (12, "ENOMEM"),
    (13, "EACCES"),
    (14, "EFAULT"),
    (15, "ENOTBLK"),
    (16, "EBUSY"),
    (17, "EEXIST"),
    (18, "EXDEV"),
    (19, "ENODEV"),
    (20, "ENOTDIR"),
    (21, "EISDIR"),
    (22, "EINVAL"),
    (23, "ENFILE"),
    (24, "EMFILE"),
    (25, "ENOTTY"),
    (26, "ETXTBSY"),
    (27, "EFBIG"),
    (28, "ENOSPC"),
    (29, "ESPIPE"),
    (30, "EROFS"),
    (31, "EMLINK"),
    (32, "EPIPE"),
    (33, "EDOM"),
    (34, "ERANGE"),
    (35, "EDEADLK"),
    (36, "ENAMETOOLONG"),
    (38, "ENOSYS"),
    (39, "ENOTEMPTY"),
    (40, "ELOOP"),
    (52, "EBADE"),
    (61, "ENODATA"),
    (62, "ETIME"),
    (67, "ENOLINK"),
    (70, "ECOMM"),
    (71, "EPROTO"),
    (74, "EBADMSG"),
    (75, "EOVERFLOW"),
    (84, "EILSEQ"),
    (90, "EMSGSIZE"),
    (92, "ENOPROTOOPT"),
    (93, "EPROTONOSUPPORT"),
    (95, "EOPNOTSUPP"),
    (97, "EAFNOSUPPORT"),
    (98, "EADDRINUSE"),
    (99, "EADDRNOTAVAIL"),
    (100, "ENETDOWN"),
    (101, "ENETUNREACH"),
    (103, "ECONNABORTED"),
    (104, "ECONNRESET"),
    (105, "ENOBUFS"),
    (107, "ENOTCONN"),
    (108, "ESHUTDOWN"),
    (110, "ETIMEDOUT"),
    (111, "ECONNREFUSED"),
    (112, "EHOSTDOWN"),
    (113, "EHOSTUNREACH"),
    (114, "EALREADY"),
    (115, "EINPROGRESS"),
    (116, "ESTALE"),
    (117, "EUCLEAN"),
    (121, "EREMOTEIO"),
    (122, "EDQUOT"),
    (125, "ECANCELED"),
    (126, "ENOKEY"),
    (127, "EKEYEXPIRED"),
    (128, "EKEYREVOKED"),
    (129, "EKEYREJECTED"),
    (512, "ERESTARTSYS"),
    (517, "EPROBE_DEFER"),
    (524, "ENOTSUPP"),
];

/// Words that the kernel writes into dead or fresh memory.
const PATTERNS: &[(u64, &str, &str)] = &[
    (0x6b6b_6b6b_6b6b_6b6b, "poison-freed", "the slab allocator's poison 6b: read from a freed object"),
    (
        0x5a5a_5a5a_5a5a_5a5a,
        "poison-uninitialised",
        "the slab allocator's poison 5a: read from an object never written",
    ),
    (0xa5a5_a5a5_a5a5_a5a5, "poison-end", "the slab allocator's end mark a5"),
    (0xbbbb_bbbb_bbbb_bbbb, "redzone-freed", "the red zone of a freed object"),
    (0xaaaa_aaaa_aaaa_aaaa, "poison-page", "the page allocator's poison aa: read from a freed page"),
    (0xcccc_cccc_cccc_cccc, "poison-init", "freed init memory or a red zone, cc"),
];

/// Poisons of list entries that were taken off: `LIST_POISON1`, `LIST_POISON2`, the latter ...122 from 4.17 on, both with
/// 0x100 in place of the first hole before 4.3.
const LISTS: &[(u64, &str)] = &[
    (0xdead_0000_0000_0122, "LIST_POISON2 (prev)"),
    (0xdead_0000_0000_0200, "LIST_POISON2 (prev)"),
    (0xdead_0000_0020_0200, "LIST_POISON2 (prev)"),
    (0xdead_0000_0010_0100, "LIST_POISON1 (next)"),
    (0xdead_0000_0000_0100, "LIST_POISON1 (next)"),
    (0x0020_0200, "LIST_POISON2 (prev)"),
    (0x0010_0100, "LIST_POISON1 (next)"),
];

/// Shadow of address 0 on x86-64 with KASAN.
const SHADOW: u64 = 0xdfff_fc00_0000_0000;

const OVER_POINTER: &str = ": text was written over a pointer";

/// Reads a value. `wide` says that the machine has 64-bit pointers.
pub(super) fn read(value: u64, wide: bool) -> Option<Reading> {
    let reading = |meaning, text: String, offset| Some(Reading { meaning, text, offset });
    let near = |pattern: u64| {
        let forward = value.wrapping_sub(pattern);
        if forward < MEMBERS { Some(forward) } else { None }
    };
    if value < LOWEST {
        return reading("null-pointer", null(value), Some(value));
    }
    let top = if wide { u64::MAX } else { u64::from(u32::MAX) };
    if value <= top && value > top - MAX_ERRNO {
        let errno = top - value + 1;
        return reading("error-pointer", error(errno, wide), None);
    }
    // The nearest below is the pattern; the small ones are of 32-bit machines.
    let list = LISTS
        .iter()
        .filter(|(pattern, _)| wide == (*pattern > u64::from(u32::MAX)))
        .filter_map(|(pattern, name)| {
            let distance = value.wrapping_sub(*pattern);
            let back = pattern.wrapping_sub(value);
            if distance < 0x80 {
                Some((distance, name, distance))
            } else if back <= 0x40 {
                Some((back, name, 0))
            } else {
                None
            }
        })
        .min_by_key(|(distance, ..)| *distance);
    if let Some((_, name, offset)) = list {
        return reading("list-poison", format!("{name}: an entry that was already taken off its list"), Some(offset));
    }
    for (pattern, meaning, text) in PATTERNS {
        let pattern = if wide { *pattern } else { *pattern & u64::from(u32::MAX) };
        if let Some(offset) = near(pattern) {
            return reading(meaning, (*text).to_owned(), Some(offset));
        }
    }
    if wide && (SHADOW..SHADOW + (MEMBERS >> 3)).contains(&value) {
        let address = (value - SHADOW) << 3;
        return reading(
            "null-pointer",
            format!("the KASAN shadow of {address:#x}: NULL plus a member's offset"),
            Some(address),
        );
    }
    if wide && value.to_le_bytes().iter().all(|b| b.is_ascii_graphic() || *b == b' ') {
        let text: String = value.to_le_bytes().iter().map(|b| char::from(*b)).collect();
        return reading("text", format!("the characters {text:?}{OVER_POINTER}"), None);
    }
    None
}

/// What a 64-bit value is that is no address: a poison, an error number, NULL and an offset, text.
pub(crate) fn meaning(value: u64) -> Option<String> {
    // Text in a register that was not used as an address is only text.
    read(value, true).map(|reading| match reading.text.strip_suffix(OVER_POINTER) {
        Some(characters) => characters.to_owned(),
        None => reading.text,
    })
}

/// An error number that was used as a pointer, in words; `container_of` of NULL makes some of the same values, multiples of
/// a pointer's size.
fn error(errno: u64, wide: bool) -> String {
    let name = ERRNO.iter().find(|(number, _)| *number == errno).map(|(_, name)| *name);
    match (name, errno.is_multiple_of(if wide { 8 } else { 4 })) {
        (Some(name), false) => format!("-{errno} ({name}): an error pointer that was not checked"),
        (Some(name), true) => {
            format!("-{errno} ({name}): an error pointer that was not checked, or what contains a member that is NULL")
        }
        (None, true) => format!("-{errno}: what contains a member that is NULL, or an error pointer"),
        (None, false) => format!("-{errno}: an error number used as a pointer, or just below NULL"),
    }
}

/// The error that a pointer holds, `-19 (ENODEV)`, where it can be nothing else.
pub(super) fn sure_error(value: u64, wide: bool) -> Option<String> {
    let top = if wide { u64::MAX } else { u64::from(u32::MAX) };
    let errno = top.checked_sub(value).filter(|below| *below < MAX_ERRNO)? + 1;
    let known = ERRNO.iter().find(|(number, _)| *number == errno)?;
    (!errno.is_multiple_of(if wide { 8 } else { 4 })).then(|| format!("-{errno} ({})", known.1))
}

/// An access at that offset from NULL, in words.
pub(super) fn null(offset: u64) -> String {
    match offset {
        0 => "NULL itself".to_owned(),
        1..MEMBERS => format!("NULL plus offset {offset:#x}: a member of a structure that is not there"),
        _ => format!("NULL plus offset {offset:#x}: an element or a far member of something that is not there"),
    }
}

/// A 64-bit address that no page table can map, however many levels it has: its highest byte is no sign extension.
pub(super) fn non_canonical(value: u64) -> bool {
    !matches!(value >> 56, 0 | 0xff)
}

/// The word of which `value` is one bit off: a poison, or a kernel pointer that one bit makes non-canonical.
pub(super) fn one_bit_off(value: u64) -> Option<String> {
    // The shadow of a low address is one bit off a kernel pointer, and no fault of the memory.
    let shadow = (SHADOW..SHADOW + (1 << 45)).contains(&value);
    if shadow {
        return None;
    }
    for (pattern, ..) in PATTERNS {
        if (value ^ pattern).is_power_of_two() {
            return Some(format!("{value:#018x} is the poison {pattern:#018x} with one bit flipped"));
        }
    }
    // Bits 48 to 63 of a kernel pointer are ones.
    let high = value >> 48;
    if (high ^ 0xffff).is_power_of_two() && value & (1 << 47) != 0 {
        return Some(format!(
            "{value:#018x} is the kernel pointer {:#018x} with one bit flipped",
            value | 0xffff_0000_0000_0000
        ));
    }
    None
}

/// What an access at a small address means.
pub(super) fn null_plus(offset: u64) -> String {
    match offset {
        0 => "NULL itself".to_owned(),
        // The kernel's own limit for what it calls a NULL pointer.
        1..0x1000 => format!("NULL plus offset {offset:#x}: a member of a structure that is not there"),
        _ => format!("{offset:#x}, no pointer: a number taken for one, or NULL and a far offset"),
    }
}

/// Whether a byte of poison has one bit flipped.
pub(super) fn byte_one_bit_off(found: u64, expected: u64) -> bool {
    found <= 0xff && expected <= 0xff && (found ^ expected).is_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_an_engineer_reads_them() {
        for (value, meaning, offset) in [
            (0u64, "null-pointer", Some(0)),
            (0x20, "null-pointer", Some(0x20)),
            (0x1044, "null-pointer", Some(0x1044)),
            (0x6b6b_6b6b_6b6b_6b6b, "poison-freed", Some(0)),
            (0x6b6b_6b6b_6b6b_6b83, "poison-freed", Some(0x18)),
            (0xdead_0000_0000_0100, "list-poison", Some(0)),
            (0xdead_0000_0000_0108, "list-poison", Some(8)),
            (0xdead_0000_0000_0122, "list-poison", Some(0)),
            (0xffff_ffff_ffff_fff4, "error-pointer", None),
            (0xdfff_fc00_0000_0004, "null-pointer", Some(0x20)),
            (0x6f6c_6c65_6820_6f74, "text", None),
        ] {
            let reading = read(value, true).unwrap_or_else(|| panic!("{value:#x}"));
            assert_eq!((reading.meaning, reading.offset), (meaning, offset), "{value:#x}");
        }
        assert_eq!(read(0xffff_8880_1234_5678, true), None);
        assert_eq!(read(0x0010_0104, false).map(|r| r.meaning), Some("list-poison"));
    }

    #[test]
    fn an_error_pointer_is_told_from_what_contains_null() {
        let text = |value: u64, wide| read(value, wide).map(|r| r.text).unwrap_or_default();
        assert_eq!(text(-19i64 as u64, true), "-19 (ENODEV): an error pointer that was not checked");
        assert!(text(-16i64 as u64, true).contains("(EBUSY): an error pointer that was not checked, or"));
        assert!(text(-0x130i64 as u64, true).starts_with("-304: what contains a member that is NULL"));
        assert_eq!(text(0xffff_fff4, false).split(':').next(), Some("-12 (ENOMEM)"));
        assert_eq!(sure_error(-19i64 as u64, true).as_deref(), Some("-19 (ENODEV)"));
        assert_eq!(sure_error(-16i64 as u64, true), None);
        assert_eq!(sure_error(0, true), None);
    }

    #[test]
    fn a_flipped_bit_is_seen_in_a_poison_and_in_a_pointer() {
        assert!(one_bit_off(0x6b6b_6b6b_6b6b_6b7b).is_some());
        assert!(one_bit_off(0xfffb_8880_1234_5678).is_some());
        for value in [
            0x6b6b_6b6b_6b6b_6b6b,
            0xffff_8880_1234_5678,
            0x0000_7fff_1234_5678,
            0x6b6b_6b6b_6b6b_6b68,
            0xdfff_fc00_0000_000b,
        ] {
            assert_eq!(one_bit_off(value), None, "{value:#x}");
        }
    }

    #[test]
    fn non_canonical_addresses() {
        assert!(non_canonical(0xdead_0000_0000_0100));
        assert!(non_canonical(0x0100_0000_0000_0000));
        assert!(!non_canonical(0xffff_8880_1234_5678));
        assert!(!non_canonical(0x0000_7fff_0000_0000));
    }
}
