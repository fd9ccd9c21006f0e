//! One title for the same failure, whatever numbers, addresses and devices its report printed.

use super::names;

/// The title of an event with the blamed function, and with what changes from report to report taken out.
pub(super) fn title(printed: &str, function: Option<&str>) -> String {
    // The parser names the function of the place; the blamed one stands in its stead.
    let head = match printed.rsplit_once(" in ") {
        Some((head, tail)) if function.is_some() && is_name(tail) => head,
        _ => printed,
    };
    let head = head.split(' ').map(word).collect::<Vec<_>>().join(" ");
    match function {
        Some(function) => format!("{head} in {}", names::stable(function)),
        None => head,
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':'))
}

/// Names of devices that are counted up.
const DEVICES: &[&str] = &[
    "eth", "veth", "ens", "eno", "bond", "br", "tun", "tap", "wlan", "dummy", "bridge", "team", "lo", "loop", "sd",
    "vd", "xvd", "nvme", "md", "dm-", "sr", "zram", "nbd", "cpu", "CPU#", "ata", "host", "node",
];

fn word(word: &str) -> String {
    let bare = word.trim_end_matches([':', ',', ';', ')', ']', '.', '!']);
    let tail = &word[bare.len()..];
    let core = bare.trim_start_matches(['(', '[', '#']);
    let lead = &bare[..bare.len() - core.len()];
    let hex = core.strip_prefix("0x").unwrap_or(core);
    let is_hex = !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
    let new = if core.is_empty() {
        return word.to_owned();
    } else if let Some(file) = source_file(core) {
        file.to_owned()
    } else if core.bytes().all(|b| b.is_ascii_digit()) {
        "N".to_owned()
    } else if is_hex && (core.len() != hex.len() || hex.len() >= 8 && hex.bytes().any(|b| b.is_ascii_digit())) {
        "ADDR".to_owned()
    } else if let Some((name, number)) = core.rsplit_once(['/', ':'])
        && number.bytes().all(|b| b.is_ascii_digit())
        && !number.is_empty()
    {
        let mark = &core[name.len()..name.len() + 1];
        format!("{name}{mark}N")
    } else if DEVICES.iter().any(|d| core.strip_prefix(d).is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit())))
    {
        "DEV".to_owned()
    } else {
        core.to_owned()
    };
    format!("{lead}{new}{tail}")
}

/// A source file by its path in the kernel tree, without the directory it was built in and without the line.
fn source_file(word: &str) -> Option<&str> {
    let end = word.find(".c").or_else(|| word.find(".h"))?;
    let path = word.get(..end + 2)?;
    const TOPS: &[&str] = &[
        "arch/",
        "block/",
        "crypto/",
        "drivers/",
        "fs/",
        "include/",
        "io_uring/",
        "ipc/",
        "kernel/",
        "lib/",
        "mm/",
        "net/",
        "security/",
        "sound/",
        "virt/",
    ];
    let start = TOPS
        .iter()
        .filter_map(|top| if path.starts_with(top) { Some(0) } else { path.find(&format!("/{top}")).map(|at| at + 1) })
        .min()?;
    path.get(start..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_from_report_to_report_is_taken_out() {
        for (printed, function, want) in [
            ("KASAN: use-after-free Read in __list_del", Some("tcp_close"), "KASAN: use-after-free Read in tcp_close"),
            ("INFO: rcu detected stall", Some("__x64_sys_futex"), "INFO: rcu detected stall in sys_futex"),
            (
                "unregister_netdevice: waiting for eth0 to become free",
                None,
                "unregister_netdevice: waiting for DEV to become free",
            ),
            ("kernel panic: stuck on CPU 12 at 0xffff8880", None, "kernel panic: stuck on CPU N at ADDR"),
            ("WARNING in foo.isra.3", Some("foo.isra.3"), "WARNING in foo"),
            (
                "kernel BUG at /build/linux/fs/xfs/xfs_message.c:110! in assfail",
                Some("xfs_ag_resv_init"),
                "kernel BUG at fs/xfs/xfs_message.c! in xfs_ag_resv_init",
            ),
            ("hung task kworker/3", None, "hung task kworker/N"),
            ("error in the ext4 journal", None, "error in the ext4 journal"),
        ] {
            assert_eq!(title(printed, function), want);
        }
    }
}
