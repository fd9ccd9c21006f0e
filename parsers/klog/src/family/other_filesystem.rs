//! Filesystems that say one thing in one line: cluster and network filesystems, pools, flash, compressed images.

use super::filesystem::{FIELDS, event};
use super::words::{Word, anchors, find, word};
use super::{Before, Family, From, Opened, kind, no_body, no_finish};
use crate::cursor::{after, between, has, number_after};
use crate::event::Severity;
use crate::{Line, class};

const LUSTRE: &[&str] = &["Lustre", "LNet"];
const CIFS: &[&str] = &["CIFS"];
/// Since v6.7 with the cluster's id and the epoch behind the name.
const CEPH: &[&str] = &["ceph: ", "libceph: ", "rbd: ", "libceph (", "ceph ("];
const OSD: &[&str] = &["libceph: osd", "libceph ("];
const RBD: &[&str] = &["rbd: rbd"];
const NBD: &[&str] = &["block nbd", "nbd"];
const SPL: &[&str] = &["Possible memory allocation deadlock", "SPL: Possible memory"];
const BCACHEFS: &[&str] = &["bcachefs"];

const WORDS: &[Word] = &[
    word(LUSTRE, "was lost; in progress operations", "not-responding"),
    word(LUSTRE, "@@@ Request sent has ", "not-responding"),
    word(LUSTRE, "imed out RDMA with", "not-responding"),
    word(LUSTRE, ") Timed out tx for ", "not-responding"),
    word(LUSTRE, "This client was evicted by", "evicted"),
    word(LUSTRE, "lock callback timer expired", "evicted"),
    word(LUSTRE, "Connection restored to", "ok"),
    word(LUSTRE, "The thread might be hung", "hung"),
    word(RBD, " at objno ", "io-error"),
    word(RBD, " result -", "io-error"),
    word(RBD, "encountered watch error", "watch"),
    word(RBD, "failed to reregister watch", "evicted"),
    word(NBD, ": Connection timed out", "not-responding"),
    word(NBD, "Dead connection, failed to find a fallback", "not-responding"),
    word(NBD, "Other side returned error", "io-error"),
    word(NBD, "Possible stuck request", "not-responding"),
    word(SPL, "ossible memory allocation deadlock: size=", "no-memory"),
    word(&["WARNING: Pool '"], "uncorrectable I/O failure and has been suspended", "shutdown"),
    word(&["zio pool="], "zio pool=", "io-error"),
    word(BCACHEFS, "error validating btree node", "corruption"),
    word(BCACHEFS, "inconsistency detected", "corruption"),
    word(BCACHEFS, "emergency read only", "read-only"),
    word(BCACHEFS, "btree write error", "io-error"),
    word(BCACHEFS, "data read error", "io-error"),
    word(BCACHEFS, "data write error", "io-error"),
    word(&["OCFS2: ERROR (device "], "OCFS2: ERROR (device ", "corruption"),
    word(&["(", "o2hb"], "eartbeat write timeout to device ", "io-error"),
    word(&["*** ocfs2 "], "is very sorry to be fencing", "shutdown"),
    word(&["(", "o2quo"], "ERROR: fencing this node", "shutdown"),
    word(&["jffs2: "], " failed immediately: errno -", "io-error"),
    word(&["OCFS2: "], "File system is now read-only", "read-only"),
    word(&["o2net: "], "No longer connected to node", "not-responding"),
    word(&["o2net: "], "has been idle for ", "not-responding"),
    word(CIFS, "has not responded in ", "not-responding"),
    word(CIFS, "Error connecting to socket", "not-responding"),
    word(CIFS, "sends on sock", "not-responding"),
    word(CIFS, " sending data on socket", "not-responding"),
    word(CIFS, "cifs_mount failed w/return code", "mount"),
    word(CIFS, "No writable handle", "write-lost"),
    word(CIFS, "Write2 ret -", "write-lost"),
    word(CIFS, "reconnect tcon failed rc", "not-responding"),
    word(CIFS, "Send error in SessSetup = ", "not-responding"),
    word(CIFS, "BAD_NETWORK_NAME", "mount"),
    word(CEPH, " closed our session", "evicted"),
    word(CEPH, " reconnect denied", "evicted"),
    word(CEPH, " caps stale", "not-responding"),
    word(CEPH, " client was blocklisted", "evicted"),
    word(CEPH, " rejected session", "evicted"),
    word(CEPH, " session lost, hunting for new mon", "not-responding"),
    word(CEPH, " session established", "ok"),
    word(CEPH, " caps renewed", "ok"),
    word(CEPH, " came back", "ok"),
    word(CEPH, " recovery completed", "ok"),
    word(CEPH, " reconnect success", "ok"),
    word(CEPH, "feature set mismatch, my ", "mount"),
    word(CEPH, "missing required protocol features", "mount"),
    word(CEPH, " authentication failed: -", "mount"),
    word(CEPH, "No mds server is up or the cluster is laggy", "mount"),
    word(CEPH, "!= exp. ", "damaged-packet"),
    word(OSD, " down", "server-down"),
    word(OSD, " up", "ok"),
    word(&["ceph: "], " hung", "not-responding"),
    word(&["lockd: server "], " not responding", "not-responding"),
    word(&["NFS: nfs4_reclaim_open_state", "nfs4_reclaim_open_state"], "nfs4_reclaim_open_state", "state-recovery"),
    word(&["NFS: "], "returned a bad sequence-id error", "state-recovery"),
    word(&["NFS: "], "unhandled error -", "mount"),
    word(&["NFS: server"], "fileid changed", "renumbered"),
    word(&["RPC: ", "AUTH_GSS"], "AUTH_GSS upcall timed out", "not-responding"),
    word(&["lockd: "], "cannot monitor ", "state-recovery"),
    word(&["SQUASHFS error: "], "SQUASHFS error: ", "corruption"),
    word(&["UBIFS error ("], "UBIFS error (", "corruption"),
    word(&["UBIFS warning ("], "switched to read-only mode", "read-only"),
    word(&["ubi", "UBI"], "error: ubi_io_", "io-error"),
    word(&["exFAT-fs ("], "exFAT-fs (", "fat"),
    word(&["REISERFS error (device "], "REISERFS error (device ", "corruption"),
    word(&["REISERFS abort (device "], "REISERFS abort (device ", "abort"),
    word(&["NILFS error (device "], "NILFS error (device ", "corruption"),
    word(&["ERROR: (device "], "ERROR: (device ", "corruption"),
    word(&["erofs"], "failed to decompress", "corruption"),
];

static ANCHORS: [&str; WORDS.len()] = anchors(WORDS);

pub(super) static FAMILY: Family = Family {
    name: "other_filesystem",
    anchors: &ANCHORS,
    from: From::Kernel,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.other_filesystem",
        "A cluster, network, flash or image filesystem is damaged, cut off from its server, or stopped",
        FIELDS,
    ),
};

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let found = find(WORDS, text)?;
    let name = match found.by.first().copied().unwrap_or_default() {
        "Lustre" => "lustre",
        "WARNING: Pool '" | "zio pool=" | "Possible memory allocation deadlock" => "zfs",
        "block nbd" => "nbd",
        "bcachefs" => "bcachefs",
        "jffs2: " => "jffs2",
        by if by == "(" || by == "*** ocfs2 " || by.starts_with("OCFS2") || by == "o2net: " => "ocfs2",
        "CIFS" => "cifs",
        "ceph: " | "rbd: rbd" if text.starts_with("rbd: ") => "rbd",
        "ceph: " | "libceph: osd" => "ceph",
        "ubi" => "ubi",
        by if by.starts_with("UBIFS") => "ubifs",
        by if by.starts_with("SQUASHFS") => "squashfs",
        by if by.starts_with("REISERFS") => "reiserfs",
        by if by.starts_with("NILFS") => "nilfs2",
        by if by.starts_with("exFAT") => "exfat",
        "ERROR: (device " => "jfs",
        "erofs" => "erofs",
        _ => "nfs",
    };
    let mut what = found.what;
    // `libceph: osd12 down` ends there.
    if found.by.first() == Some(&"libceph: osd") && !(text.ends_with(" down") || text.ends_with(" up")) {
        return None;
    }
    if what == "fat" {
        // `exFAT-fs (sda1): error, ...`; volumes that were pulled out are advice.
        what = if has(text, "): error, ") {
            "corruption"
        } else if has(text, "has been set read-only") {
            "read-only"
        } else {
            return None;
        };
    }
    if found.text == " hung" && !text.ends_with(" hung") || found.text == "ERROR: (device " && !has(text, "): ") {
        return None;
    }
    let device = between(text, "(device ", ")")
        .or_else(|| between(text, "Pool '", "'"))
        .or_else(|| between(text, " vdev=", " "))
        .or_else(|| between(text, "exFAT-fs (", ")"))
        .or_else(|| between(text, "bcachefs (", ")"))
        .or_else(|| between(text, "timeout to device ", " "))
        .or_else(|| between(text, "server ", " "))
        .or_else(|| between(text, "Server ", " has"))
        .or_else(|| between(text, "VFS: \\\\", " has"))
        .or_else(|| ceph_server(text).filter(|_| name == "ceph"))
        .or_else(|| after(text, "rbd: ").and_then(|t| t.split([':', ' ']).next()).filter(|_| name == "rbd"))
        .or_else(|| {
            after(text, "nbd")
                .and_then(|_| text.trim_start_matches("block ").split(':').next())
                .filter(|_| name == "nbd")
        })
        .or_else(|| {
            let restored = || between(text, "Connection restored to ", " ");
            between(text, "onnection to ", " ")
                .or_else(restored)
                .or_else(|| between(text, ") Timed out tx for ", ":"))
                .filter(|_| name == "lustre")
        })
        .unwrap_or_default();
    let mut event = event(&FAMILY, name, what, device).with("detail", text).with_opt(
        "errno",
        number_after(text, "return code = ")
            .or_else(|| {
                number_after(text, "Error ")
                    .or_else(|| number_after(text, " error="))
                    .or_else(|| number_after(text, " result "))
            })
            .map(i64::abs),
    );
    // A request that Lustre sends again says nothing yet; that the connection is lost comes in a line of its own.
    // So is a share that lets nobody in, or does not exist: what an administrator mistyped.
    let refused = matches!(what, "mount" | "not-responding")
        && name == "cifs"
        && ["= -13", "= -2", "= -22", "= -1", "= -126", "= -127", "= -128", "= -129"]
            .iter()
            .any(|errno| text.ends_with(errno));
    let consequence = match what {
        _ if found.text.starts_with(" session lost") => {
            Some("the connection to a monitor was lost; the client looks for another one")
        }
        "watch" => Some("the image's watch was lost with the connection to its server; the driver takes it anew"),
        "server-down" => Some("a storage server of the cluster went down; what waited for it goes to its replicas"),
        "renumbered" => Some("the server gives a file another number than before: the export changed below the mount"),
        _ => None,
    };
    if let Some(consequence) = consequence {
        event.severity = Severity::Notice;
        event.set("consequence", consequence);
    }
    if found.by.first() == Some(&"Possible memory allocation deadlock") {
        // The porting layer of ZFS shows who asks.
        return Opened::trace(event);
    }
    if name == "exfat" || refused || found.text == "@@@ Request sent has " {
        event.severity = Severity::Notice;
    }
    if what == "hung" {
        // Lustre's own watchdog shows the stack of the thread.
        event.class = class::HUNG_TASK;
        event.severity = Severity::Report;
        event.pid = number_after(text, "pid ");
        return Opened::trace(event);
    }
    Opened::line(event)
}

/// The server that a line of Ceph names: `libceph: mon0 (1)10.0.0.1:6789 text`, `ceph: [fsid 4121]: mds0 text`. Any
/// monitor serves.
fn ceph_server(text: &str) -> Option<&str> {
    let rest = after(text, "ceph: ").or_else(|| after(text, "ceph (").and_then(|rest| after(rest, "): ")))?;
    let rest = rest.strip_prefix('[').and_then(|r| after(r, "]: ")).unwrap_or(rest);
    let name = rest.split(' ').next()?;
    Some(if name.starts_with("mon") { "monitors" } else { name })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn each_filesystem_says_what_happened() {
        for (text, name, what, class) in [
            (
                "Lustre: fs-OST0001-osc-ffff: Connection to fs-OST0001 (at 10.0.0.1@tcp) was lost; in progress operations using this service will wait for recovery to complete",
                "lustre",
                "not-responding",
                "io-error",
            ),
            (
                "LustreError: 167-0: fs-MDT0000-mdc-ffff: This client was evicted by fs-MDT0000; in progress operations using this service will fail.",
                "lustre",
                "evicted",
                "io-error",
            ),
            (
                "LNet: 2431:0:(o2iblnd_cb.c:3174:kiblnd_check_conns()) Timed out tx for 172.31.126.87@o2ib: 4 seconds",
                "lustre",
                "not-responding",
                "io-error",
            ),
            (
                "WARNING: Pool 'tank' has encountered an uncorrectable I/O failure and has been suspended.",
                "zfs",
                "shutdown",
                "fs-shutdown",
            ),
            ("bcachefs (sdb): emergency read only", "bcachefs", "read-only", "fs-shutdown"),
            ("bcachefs (sdb): btree write error: I/O", "bcachefs", "io-error", "io-error"),
            (
                "OCFS2: ERROR (device sdc1): ocfs2_validate_gd_self: Group descriptor #1 has bad signature",
                "ocfs2",
                "corruption",
                "fs-corruption",
            ),
            (
                "o2net: Connection to node n2 (num 1) at 10.0.0.2:7777 has been idle for 30.11 secs.",
                "ocfs2",
                "not-responding",
                "io-error",
            ),
            (
                "CIFS VFS: Server 10.1.1.1 has not responded in 120 seconds. Reconnecting...",
                "cifs",
                "not-responding",
                "io-error",
            ),
            (
                "CIFS: VFS: \\\\10.1.1.1 has not responded in 180 seconds. Reconnecting...",
                "cifs",
                "not-responding",
                "io-error",
            ),
            ("rbd: rbd2: write at objno 0 0~4096 result -108", "rbd", "io-error", "io-error"),
            ("CIFS VFS: cifs_mount failed w/return code = -115", "cifs", "mount", "io-error"),
            ("CIFS VFS: No writable handle in writepages rc=-22", "cifs", "write-lost", "io-error"),
            ("CIFS: VFS: reconnect tcon failed rc = -11", "cifs", "not-responding", "io-error"),
            ("CIFS VFS: Send error in SessSetup = -11", "cifs", "not-responding", "io-error"),
            ("block nbd0: Connection timed out", "nbd", "not-responding", "io-error"),
            ("rbd: rbd0:   result -108 xferred 1000", "rbd", "io-error", "io-error"),
            ("libceph: mon0 (1)10.0.0.1:6789 session lost, hunting for new mon", "ceph", "not-responding", "io-error"),
            ("libceph (fb30d64e-7a8c-46d3-bbd7-77a3b1f080d1 e857): osd2 down", "ceph", "server-down", "io-error"),
            ("libceph (fb30d64e-7a8c-46d3-bbd7-77a3b1f080d1 e859): osd2 up", "ceph", "ok", "clean"),
            (
                "libceph: mon0 10.0.0.1:6789 feature set mismatch, my 2b84a042aca < server's 40102b84a842aca, missing 401000000000000",
                "ceph",
                "mount",
                "io-error",
            ),
            (
                "Possible memory allocation deadlock: size=44037 lflags=0x4210",
                "zfs",
                "no-memory",
                "resource-exhaustion",
            ),
            ("nfs4_reclaim_open_state: Lock reclaim failed!", "nfs", "state-recovery", "io-error"),
            ("ceph: mds0 caps stale", "ceph", "not-responding", "io-error"),
            ("ceph: mds0 closed our session", "ceph", "evicted", "io-error"),
            (
                "SQUASHFS error: xz decompression failed, data probably corrupt",
                "squashfs",
                "corruption",
                "fs-corruption",
            ),
            (
                "UBIFS error (ubi0:0 pid 1): ubifs_read_node: bad node type (255 but expected 1)",
                "ubifs",
                "corruption",
                "fs-corruption",
            ),
        ] {
            let text = format!("[   52.261501] {text}");
            assert_eq!(fields(&text, &["filesystem", "what", "class"]), [name, what, class], "{text}");
            assert_eq!(events(&text).len(), 1, "{text}");
        }
        assert_eq!(
            fields("[   52.261501] CIFS VFS: Server 10.1.1.1 has not responded in 120 seconds", &["device"]),
            ["10.1.1.1"]
        );
    }

    #[test]
    fn everyday_lines_say_nothing() {
        for text in [
            "libceph: osd10 9.125.70.42:6801 socket closed (con state OPEN)",
            "ceph: mds0 reconnect start",
            "libceph: loaded (mon/osd proto 15/24)",
            "libceph: osd12 weight 0xe666 (in)",
            "CIFS VFS: \\\\srv Cancelling wait for mid 12 cmd: 5",
            "RPC: fragment too large: 1195725856",
            "block nbd0: shutting down sockets",
            "CIFS: Attempting to mount //10.1.1.1/share",
            "exFAT-fs (sda1): Volume was not properly unmounted. Some data may be corrupt. Please run fsck.",
            "UBIFS (ubi0:0): recovery needed",
            "Lustre: Lustre: Build Version: 2.15.5",
            "bcachefs (sdb): mounting version 1.4: member_seq",
        ] {
            assert!(events(&format!("[   52.261501] {text}")).is_empty(), "{text}");
        }
    }
}
