//! Decides which member of the input goes to which parser, and joins the facts of one machine and boot to a case.
//! The only module that calls parsers.

mod apport;
mod boots;
mod cluster;
mod crash_session;
mod cut_report;
mod describe;
mod dump;
mod hosts;
mod inputs;
mod join;
pub mod layouts;
mod log;
mod memory;
mod naming;
mod piece;
mod pstore;
mod recognise;
mod same_events;
mod sections;
mod temporary;

pub use describe::{Described, Outline, describe, outline};
pub use dump::{Rendered, dump_log, log_reports};
pub use inputs::{Error, Opened, dump_case, dump_members, gather, gather_facts, text_cases};

/// What to read and how far.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Judge a dump by its log alone.
    pub log_only: bool,
    /// Where a dump inside an archive may be unpacked to; without it such a dump is read into memory. The file is
    /// removed before the answer is there.
    pub temp_dir: Option<std::path::PathBuf>,
    /// Debugging data for dumps.
    pub kernel: kernel::Sources,
}

#[cfg(test)]
mod tests {
    use super::*;

    const OOPS: &str = "[root@web01 ~]# uname -a\nLinux web01 5.4.0 #1 SMP x86_64\nMemTotal: 100 kB\nMemFree: 10 kB\n\
        [ 5403.123456] BUG: kernel NULL pointer dereference, address: 0000000000000018\n[ 5403.123457] Oops: 0000 [#1] SMP\n\
        [ 5403.123458] CPU: 3 PID: 77 Comm: foo Not tainted 5.4.0 #1\n[ 5403.123459] RIP: 0010:bar_do_it+0x12/0x40 [bar]\n";

    /// What the log of a text says when its file has that name.
    fn told(folder: &std::path::Path, name: &str, text: &str) -> Vec<(String, String)> {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        let cases = gather_facts(&[path], &Options::default()).unwrap();
        let facts = cases.into_iter().flat_map(|case| case.facts);
        facts.filter(|f| f.kind.starts_with("log.")).map(|f| (f.kind.to_string(), f.quote)).collect()
    }

    #[test]
    fn the_name_of_a_file_never_hides_the_log_in_it() {
        let folder = std::env::temp_dir().join(format!("vmcoroner-names-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let want = told(&folder, "a.txt", OOPS);
        assert_eq!(want.len(), 1, "{want:?}");
        for name in ["memcg.txt", "kmem.txt", "meminfo.txt", "slabinfo.txt", "cgroup_dmesg.txt", "memory.stat"] {
            assert_eq!(told(&folder, name, OOPS), want, "{name}");
        }
        let table = "MemTotal:  16384 kB\nMemFree:    1024 kB\nSlab:        512 kB\n";
        assert!(told(&folder, "meminfo.txt", table).is_empty());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_log_that_is_newest_first_is_read_from_its_end() {
        let text = "Oct 03 10:12:43 web01 kernel: XFS (nvme0n1p2): Log I/O Error Detected. Shutting down filesystem\n\
            Oct 03 10:12:42 web01 kernel: blk_update_request: I/O error, dev nvme0n1, sector 4096\n\
            Oct 03 10:11:42 web01 kernel: nvme nvme0: I/O 123 QID 4 timeout, reset controller\n\
            Oct 03 10:11:12 web01 kernel: nvme nvme0: I/O 123 QID 4 timeout, aborting\n";
        let case = text_cases("log", text.as_bytes()).remove(0);
        let lines: Vec<String> =
            case.facts.iter().filter(|f| f.kind.starts_with("log.")).map(|f| f.origin.to_string()).collect();
        assert_eq!(lines, ["log:4", "log:3", "log:2", "log:1"]);
        assert!(case.gaps.iter().any(|gap| gap.why.contains("newest first")));
    }
}
