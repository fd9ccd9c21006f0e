//! What each file system prints, in the words of its eras.

use super::super::tests::{events, fields};

#[test]
fn what_ext4_refuses_to_mount_is_damage() {
    for text in [
        "EXT4-fs (sdb1): bad geometry: block count 1953506385 exceeds size of device (1953506304 blocks)",
        "EXT4-fs (sdb1): group descriptors corrupted!",
    ] {
        assert_eq!(fields(&format!("[ 5252.261501] {text}"), &["what", "device"]), ["corruption", "sdb1"], "{text}");
    }
    let cookie =
        "[ 5252.261501] netfs: fscache_begin_operation: cookie state change wait timed out: cookie->state=1 state=1";
    assert_eq!(fields(cookie, &["filesystem", "what"]), ["fscache", "hung"]);
    assert!(events("[    5.261501] EXT4-fs (sdb1): mounted filesystem with ordered data mode").is_empty());
    for text in [
        "EXT4-fs (mmcblk1p2): couldn't mount RDWR because of unsupported optional features (400)",
        "EXT4-fs (sdb1): error loading journal",
    ] {
        assert_eq!(fields(&format!("[    4.015655] {text}"), &["what", "severity"]), ["mount", "notice"], "{text}");
    }
    let probed = "[    2.015655] EXT3-fs (sda2): error: couldn't mount because of unsupported optional features (240)";
    assert!(events(probed).is_empty());
    let damaged = "[    3.768000] EXT2-fs (sda1): error: ext2_lookup: deleted inode referenced: 32905";
    assert_eq!(fields(damaged, &["what", "device", "class"]), ["corruption", "sda1", "fs-corruption"]);
}

#[test]
fn a_block_that_is_damaged_before_it_is_written_is_told_apart() {
    let leaf = "[  653.364370] BTRFS critical (device dm-0): corrupt leaf: root=7 block=6071604133888 slot=159, unexpected item end, have 2768254010 expect 13379\n";
    let write =
        "[  653.364766] BTRFS error (device dm-0): block=6071604133888 write time tree block corruption detected\n";
    let read =
        "[  653.364766] BTRFS error (device dm-0): block=6071604133888 read time tree block corruption detected\n";
    assert_eq!(fields(&format!("{leaf}{write}"), &["what", "moment"]), ["corruption", "write"]);
    assert_eq!(events(&format!("{leaf}{write}")).len(), 1);
    assert_eq!(fields(&format!("{leaf}{read}"), &["what", "moment"]), ["corruption", ""]);
}

#[test]
fn every_filesystem_names_device_and_kind_of_failure() {
    for (text, filesystem, device, what, class) in [
        (
            "EXT4-fs error (device sda1): ext4_lookup:1601: inode #2: comm ls: deleted inode referenced: 12",
            "ext4",
            "sda1",
            "corruption",
            "fs-corruption",
        ),
        (
            "EXT4-fs error (device sda1) in ext4_do_update_inode:5021: Journal has aborted",
            "ext4",
            "sda1",
            "abort",
            "fs-shutdown",
        ),
        ("EXT4-fs (sda1): Remounting filesystem read-only", "ext4", "sda1", "read-only", "fs-shutdown"),
        ("Aborting journal on device sda1-8.", "jbd2", "sda1-8", "abort", "fs-shutdown"),
        (
            "JBD2: Error -5 detected when updating journal superblock for sda1-8.",
            "jbd2",
            "sda1-8",
            "io-error",
            "io-error",
        ),
        (
            "XFS (dm-4): Metadata corruption detected at xfs_inode_buf_verify+0x1/0x2 [xfs], xfs_inode block 0x2fc4e0",
            "xfs",
            "dm-4",
            "corruption",
            "fs-corruption",
        ),
        (
            "XFS (dm-0): metadata I/O error in \"xfs_trans_read_buf_map\" at daddr 0x2 len 8 error 5",
            "xfs",
            "dm-0",
            "io-error",
            "io-error",
        ),
        (
            "XFS (dm-11): xfs_imap_to_bp: xfs_trans_read_buf() returned error -117.",
            "xfs",
            "dm-11",
            "corruption",
            "fs-corruption",
        ),
        (
            "XFS (nvme0n1p1): Corruption of in-memory data detected.  Shutting down filesystem",
            "xfs",
            "nvme0n1p1",
            "shutdown",
            "fs-shutdown",
        ),
        (
            "BTRFS warning (device sda1): csum failed root 5 ino 257 off 0 csum 0x1 expected csum 0x2 mirror 1",
            "btrfs",
            "sda1",
            "corruption",
            "fs-corruption",
        ),
        (
            "BTRFS: error (device dm-0: state A) in btrfs_run_delayed_refs:2150: errno=-5 IO failure",
            "btrfs",
            "dm-0",
            "abort",
            "io-error",
        ),
        ("BTRFS info (device sda: state EA): forced readonly", "btrfs", "sda", "read-only", "fs-shutdown"),
        ("nfs: server 10.0.0.1 not responding, still trying", "nfs", "10.0.0.1", "not-responding", "io-error"),
        (
            "FAT-fs (sdb1): error, fat_get_cluster: invalid cluster chain (i_pos 0)",
            "fat",
            "sdb1",
            "corruption",
            "fs-corruption",
        ),
    ] {
        let text = format!("[   52.261501] {text}");
        assert_eq!(
            fields(&text, &["filesystem", "device", "what", "class"]),
            [filesystem, device, what, class],
            "{text}"
        );
        assert_eq!(events(&text).len(), 1);
    }
}

#[test]
fn an_internal_error_keeps_its_trace() {
    let text = "[   52.261501] XFS (dm-4): Internal error xfs_iunlink_remove at line 2038 of file fs/xfs/xfs_inode.c.  Caller xfs_ifree+0x33/0x130 [xfs]\n\
         [   52.261501] CPU: 1 PID: 77 Comm: rm Not tainted 4.18.0 #1\n[   52.261501] Call Trace:\n\
         [   52.261501]  dump_stack+0x5c/0x80\n[   52.261501]  xfs_ifree+0x33/0x130 [xfs]\n\
         [   52.261501] XFS (dm-4): Corruption detected. Unmount and run xfs_repair\n";
    assert_eq!(events(text).len(), 1);
    assert_eq!(fields(text, &["severity", "function", "line", "comm"]), ["report", "xfs_ifree", "2038", "rm"]);
}

#[test]
fn why_a_superblock_is_refused_is_kept() {
    let text = "[   52.261501] XFS (sdb1): SB stripe unit sanity check failed\n\
         [   52.261502] XFS (sdb1): Metadata corruption detected at xfs_sb_read_verify+0xab/0x110 [xfs], xfs_sb block 0xf\n\
         [   52.261503] XFS (sdb1): Unmount and run xfs_repair\n\
         [   52.261504] XFS (sdb1): SB validate failed with error -117.\n";
    assert_eq!(events(text).len(), 1);
    assert_eq!(fields(text, &["detail", "function"]), ["SB stripe unit sanity check failed", "xfs_sb_read_verify"]);
    let text =
        "[   52.261501] XFS: kworker/0:1(123) possible memory allocation deadlock in kmem_alloc (mode:0x2400240)";
    assert_eq!(fields(text, &["what", "class"]), ["no-memory", "resource-exhaustion"]);
}

#[test]
fn healthy_mounts_say_nothing() {
    for text in [
        "EXT4-fs (sda1): mounted filesystem with ordered data mode. Opts: (null)",
        "EXT4-fs (sda1): warning: maximal mount count reached, running e2fsck is recommended",
        "XFS (dm-0): Mounting V5 Filesystem",
        "XFS (sda1): EXPERIMENTAL online scrub feature enabled.  Use at your own risk!",
        "BTRFS info (device sda): disk space caching is enabled",
        "BTRFS info (device sda): bdev /dev/sda errs: wr 0, rd 1, flush 0, corrupt 0, gen 0",
    ] {
        assert!(events(&format!("[   52.261501] {text}")).is_empty(), "{text}");
    }
}

#[test]
fn what_was_mended_or_is_refused_is_a_notice() {
    for (text, what) in [
        ("BTRFS info (device sda3): read error corrected: ino 257 off 0 (dev /dev/sdb sector 1)", "corrected"),
        ("BTRFS warning (device sdb): failed setting block group ro: -28", "no-space"),
        ("XFS (sdb): Filesystem has duplicate UUID 6fb9e1a7-7e0e-4c2c - can't mount", "mount"),
        (
            "EXT4-fs warning (device sda1): ext4_dx_add_entry:2513: inode #2: comm x: Directory (ino: 1234) index full, reach max htree level :2",
            "no-space",
        ),
    ] {
        let text = format!("[ 5252.261501] {text}");
        assert_eq!(fields(&text, &["what", "severity"]), [what, "notice"], "{text}");
        assert!(!fields(&text, &["consequence"])[0].is_empty(), "{text}");
    }
    let text = "[ 5252.261501] XFS (dm-3): Failing async write on buffer block 0x1234. Retrying async write.";
    assert_eq!(fields(text, &["what", "severity"]), ["io-error", "failure"]);
}
