//! Reports of collectors, composed after what their scripts write: supportconfig (SUSE), OpenShift's must-gather, Rancher,
//! abrt; and dumps inside archives.

use std::io::Write;
use std::path::{Path, PathBuf};

use vmcoroner::case::Case;
use vmcoroner::engine::Rules;
use vmcoroner::examine::examine;
use vmcoroner::extract::{Options, gather};

/// A folder for one test, emptied first.
fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("collectors").join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).expect("a scratch folder");
    path
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, name, *bytes).expect("an entry");
    }
    builder.into_inner().expect("an archive")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("gzip");
    encoder.finish().expect("gzip")
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).expect("xz");
    encoder.write_all(bytes).expect("xz");
    encoder.finish().expect("xz")
}

fn cases_of(path: &Path) -> Vec<Case> {
    gather(&[path.to_owned()], &Options::default()).expect("cases")
}

fn log_facts(case: &Case) -> Vec<(String, String)> {
    let facts = case.facts.iter().filter(|f| f.kind.starts_with("log."));
    facts.map(|f| (f.kind.to_string(), f.origin.to_string())).collect()
}

/// One section as supportconfig writes it.
fn section(kind: &str, target: &str, text: &str) -> String {
    format!("#==[ {kind} ]{}#\n# {target}\n{text}\n\n", "=".repeat(40))
}

#[test]
fn the_logs_in_the_sections_of_supportconfig_are_logs_of_their_own() {
    const BANNER: &str = "Linux version 5.14.21-150500.55.39-default (geeko@buildhost) (gcc (SUSE Linux) 7.5.0) #1 SMP";
    let messages = section(
        "Log File",
        "/var/log/messages - Last 5000 Lines",
        &format!(
            "2024-01-05T10:00:01.000001+01:00 sles1 systemd[1]: Started Session 4 of user root.\n\
             2024-01-05T10:11:12.000001+01:00 sles1 kernel: [  733.000001][T4711] INFO: task kworker/u8:2:4711 blocked for \
             more than 120 seconds.\n\
             2024-01-05T10:30:00.000001+01:00 sles1 kernel: [    0.000000][    T0] {BANNER}\n\
             2024-01-05T10:30:09.000001+01:00 sles1 systemd[1]: Startup finished in 2s (kernel) + 7s (userspace) = 9s."
        ),
    );
    let boot = [
        section("Command", "/bin/uname -a", "Linux sles1 5.14.21-150500.55.39-default #1 SMP x86_64 x86_64 GNU/Linux"),
        section("Configuration File", "/proc/cmdline", "root=/dev/sda2 crashkernel=319M,high"),
        section("Command", "/usr/bin/journalctl --no-pager --list-boot", "-1 aa Fri BUG: soft lockup - is no log line"),
        section("Command", "/usr/bin/dmesg -T", &format!("[Fri Jan  5 10:30:00 2024] {BANNER}")),
    ]
    .concat();
    let crash = [
        section("Command", "/bin/uname -r", "5.14.21-150500.55.39-default"),
        section("Configuration File", "/sys/kernel/kexec_crash_loaded", "1"),
        section(
            "Configuration File",
            "/var/crash/2024-01-05-10:12/vmcore-dmesg.txt",
            &format!(
                "[    0.000000] {BANNER}\n\
                 [  770.000000] BUG: kernel NULL pointer dereference, address: 0000000000000008\n\
                 [  770.000001] RIP: 0010:ip6_mr_forward+0x5/0x10\n\
                 [  770.000002] Kernel panic - not syncing: Fatal exception"
            ),
        ),
        section(
            "Configuration File",
            "/var/crash/2024-01-05-10:12/kexec-dmesg.log",
            &format!(
                "[    0.000000] {BANNER}\n\
                 [   11.000000] kdump invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n\
                 [   11.000001] Out of memory: Killed process 99 (kdump) total-vm:1kB"
            ),
        ),
        section(
            "Command",
            "/usr/bin/find /var/crash/",
            "/var/crash/\n/var/crash/2024-01-05-10:12\n/var/crash/2024-01-05-10:12/vmcore-dmesg.txt\n\
             /var/crash/2024-01-05-10:12/README.txt",
        ),
    ]
    .concat();
    let health = [
        section("Command", "/usr/bin/uptime", " 10:45:00  up   0:15,  1 user,  load average: 0.10, 0.20, 0.30"),
        section("Configuration File", "/proc/sys/kernel/tainted", "0"),
    ]
    .concat();
    let files = [
        ("basic-health-check.txt", health),
        ("boot.txt", boot),
        ("crash.txt", crash.clone()),
        ("messages.txt", messages),
        ("memory.txt", section("Configuration File", "/proc/meminfo", "MemTotal: 8000000 kB\nMemFree: 1000 kB")),
        ("supportconfig.txt", "x\n".to_owned()),
    ];
    let top = "scc_sles1_240105_1045/";
    let named: Vec<_> = files.iter().map(|(name, text)| (format!("{top}{name}"), text.as_bytes())).collect();
    let packed: Vec<_> = named.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    let at = scratch("supportconfig");
    let archive = at.join("scc_sles1_240105_1045.txz");
    std::fs::write(&archive, xz(&tar(&packed))).expect("an archive");

    let cases = cases_of(&archive);
    assert!(cases.iter().all(|c| c.identity.host.as_deref().is_none_or(|host| host == "sles1")));
    // The crash is the gravest report: its case is the first, and its lines are those of the file.
    let panic = cases[0].facts.iter().find(|f| f.kind == "log.oops").expect("the oops of vmcore-dmesg.txt");
    let line = 1 + crash.lines().position(|l| l.contains("NULL pointer")).expect("a line");
    assert_eq!(panic.origin.to_string(), format!("crash.txt:{line}-{}", line + 1), "{:?}", log_facts(&cases[0]));
    let all: Vec<_> = cases.iter().flat_map(log_facts).collect();
    assert!(all.iter().any(|(kind, origin)| kind == "log.hung_task" && origin.starts_with("messages.txt")), "{all:?}");
    // What the capture kernel printed and a list of boots are no reports.
    let strange = |kind: &str, origin: &str| kind == "log.oom" || origin.starts_with("boot.txt") && kind != "log.boot";
    assert!(!all.iter().any(|(kind, origin)| strange(kind, origin)), "{all:?}");
    let facts: Vec<_> = cases.iter().flat_map(|c| &c.facts).collect();
    let listed = facts.iter().find(|f| f.kind == "node.dump_file").expect("the folder that find lists");
    assert_eq!(listed.text("state"), Some("absent"));
    assert!(facts.iter().any(|f| f.kind == "node.kdump" && f.origin.member == "crash.txt"));
    assert!(facts.iter().any(|f| f.kind == "node.meminfo"));
}

#[test]
fn the_hosts_in_a_service_log_of_must_gather_are_machines_of_their_own() {
    let mut log =
        String::from("-- Logs begin at Fri 2024-01-05 08:00:00 UTC, end at Fri 2024-01-05 12:00:00 UTC. --\n");
    for minute in 0..30 {
        for host in ["w0", "w1", "w2.example.net"] {
            log.push_str(&format!("Jan 05 10:{minute:02}:00.000001 {host} kubelet[12]: I0105 sync loop {minute}\n"));
        }
    }
    log.push_str(
        "Jan 05 10:31:00.000001 w1 kernel: unregister_netdevice: waiting for eth0 to become free. Usage count = 1\n\
         Jan 05 10:31:05.000001 w0 kernel: INFO: task runc:[2:INIT]:77 blocked for more than 120 seconds.\n\
         Jan 05 10:31:10.000001 w1 kernel: unregister_netdevice: waiting for eth0 to become free. Usage count = 1\n\
         Jan 05 10:31:20.000001 w1 kernel: unregister_netdevice: waiting for eth0 to become free. Usage count = 1\n\
         Jan 05 10:31:30.000001 w1 kernel: unregister_netdevice: waiting for eth0 to become free. Usage count = 1\n",
    );
    let top = "must-gather.local.1/quay-io-x/";
    let at = scratch("must-gather");
    let archive = at.join("must-gather.tar.gz");
    let node = "kind: Node\nmetadata:\n  name: w0\nstatus:\n  nodeInfo:\n    kernelVersion: 5.14.0-284.el9.x86_64\n    bootID: \
                31111111-2222-3333-4444-555555555555\n";
    let compressed = gzip(log.as_bytes());
    for (name, bytes) in [("kubelet_service.log", log.as_bytes()), ("kubelet_service.log.gz", &compressed)] {
        let path = format!("{top}host_service_logs/workers/{name}");
        let files = [
            (path.as_str(), bytes),
            (&format!("{top}cluster-scoped-resources/core/nodes/w0.yaml"), node.as_bytes()),
            (&format!("{top}version"), b"openshift/must-gather\n4.15\n".as_slice()),
        ];
        std::fs::write(&archive, gzip(&tar(&files))).expect("an archive");
        let cases = cases_of(&archive);
        let of = |host: &str| {
            let found: Vec<_> = cases.iter().filter(|c| c.identity.host.as_deref() == Some(host)).collect();
            assert_eq!(found.len(), 1, "{host} in {:?}", cases.iter().map(|c| &c.identity).collect::<Vec<_>>());
            found[0]
        };
        let waits = of("w1").facts.iter().filter(|f| f.kind == "log.unregister_netdevice").collect::<Vec<_>>();
        assert!(!waits.is_empty() && waits[0].origin.to_string().contains(":92"), "{:?}", log_facts(of("w1")));
        assert!(!of("w1").facts.iter().any(|f| f.kind == "log.hung_task"));
        let hung = of("w0").facts.iter().find(|f| f.kind == "log.hung_task").expect("the hung task of w0");
        assert!(hung.origin.to_string().contains(":93"), "{}", hung.origin);
        // The API object of the node and its log are of one machine.
        assert_eq!(of("w0").identity.kernel.as_deref(), Some("5.14.0-284.el9.x86_64"));
    }
}

#[test]
fn files_of_ranchers_collector_are_one_node() {
    let files: Vec<(&str, &[u8])> = vec![
        ("r1-2024/systeminfo/hostname", b"r1\n"),
        ("r1-2024/systeminfo/uname", b"Linux r1 5.4.0-42-generic #46-Ubuntu SMP x86_64 x86_64 GNU/Linux\n"),
        ("r1-2024/systeminfo/uptime", b" 10:45:00 up 15 min,  1 user,  load average: 0.10, 0.20, 0.30\n"),
        ("r1-2024/systeminfo/osrelease", b"NAME=\"Ubuntu\"\nVERSION_ID=\"20.04\"\nID=ubuntu\n"),
        (
            "r1-2024/systeminfo/vmstat",
            b"procs -----------memory---------- ---swap-- -----io---- -system-- ------cpu-----\n r b\n",
        ),
        (
            "r1-2024/systeminfo/dmesg",
            b"[Fri Jan  5 10:00:00 2024] Linux version 5.4.0-42-generic (buildd@x) (gcc) #46-Ubuntu SMP\n\
              [Fri Jan  5 10:31:00 2024] INFO: task runc:77 blocked for more than 120 seconds.\n",
        ),
        (
            "r1-2024/systemlogs/syslog",
            b"Jan  5 10:31:00 r1 kernel: [ 1860.000000] INFO: task runc:77 blocked for more than 120 seconds.\n",
        ),
        ("r1-2024/journald/rke2-agent", b"Jan 05 10:31:00 r1 rke2[1]: level=info msg=\"x\"\n"),
        ("r1-2024/rke2/kubectl/nodes", b"NAME STATUS\nr1 Ready\n"),
    ];
    let at = scratch("rancher");
    std::fs::write(at.join("r1-2024.tar.gz"), gzip(&tar(&files))).expect("an archive");
    let cases = cases_of(&at.join("r1-2024.tar.gz"));
    let identity = &cases[0].identity;
    assert_eq!((identity.host.as_deref(), identity.kernel.as_deref()), (Some("r1"), Some("5.4.0-42-generic")));
    assert!(cases[0].facts.iter().any(|f| f.kind == "log.hung_task"));
    assert!(cases.iter().flat_map(|c| &c.facts).any(|f| f.kind == "node.load"));
}

#[test]
fn a_problem_directory_of_abrt_says_which_kernel_and_what_it_printed() {
    let at = scratch("abrt");
    let problem = at.join("oops-2024-01-05-10:31:00-1234-0");
    std::fs::create_dir_all(&problem).expect("a folder");
    for (item, text) in [
        ("analyzer", "abrt-oops"),
        ("type", "Kerneloops"),
        ("reason", "BUG: unable to handle kernel NULL pointer dereference at 0000000000000008"),
        ("kernel", "3.10.0-1062.el7.x86_64"),
        ("hostname", "rhel7.example.net"),
        ("architecture", "x86_64"),
        ("os_release", "Red Hat Enterprise Linux Server release 7.7 (Maipo)"),
        ("time", "1704447060"),
        ("last_occurrence", "1704447060"),
        ("component", "kernel"),
        ("duphash", "0123456789abcdef0123456789abcdef01234567"),
        (
            "backtrace",
            "BUG: unable to handle kernel NULL pointer dereference at 0000000000000008\n\
             IP: [<ffffffffc0a01005>] lab_close+0x5/0x10 [lab]\n\
             Oops: 0000 [#1] SMP \n\
             CPU: 1 PID: 77 Comm: cat Not tainted 3.10.0-1062.el7.x86_64 #1\n\
             Call Trace:\n [<ffffffff8124a2ac>] __fput+0xec/0x230\n",
        ),
    ] {
        std::fs::write(problem.join(item), text).expect("an item");
    }
    let cases = cases_of(&at);
    let identity = &cases[0].identity;
    assert_eq!(identity.kernel.as_deref(), Some("3.10.0-1062.el7.x86_64"));
    assert_eq!(identity.host.as_deref(), Some("rhel7.example.net"));
    assert_eq!(cases.len(), 1, "{:?}", cases.iter().map(|c| &c.identity).collect::<Vec<_>>());
    let verdict = examine(&cases[0], &Rules::embedded().expect("rules"));
    assert_eq!(verdict.findings[0].rule, "generic-null-deref", "{:?}", verdict.findings[0]);
}

/// The dump of a test, inside each kind of archive.
fn dump_in_archives(at: &Path) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/vmcores/sysrq-crash.kdump");
    let dump = std::fs::read(path).expect("the dump");
    let member = "127.0.0.1-2026-11-21-11:40:00/vmcore";
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file(member, zip::write::SimpleFileOptions::default()).expect("an entry");
    zip.write_all(&dump).expect("its bytes");
    let zip = zip.finish().expect("an archive").into_inner();
    let archives = [("a.tar.gz", gzip(&tar(&[(member, &dump)]))), ("a.zip", zip), ("vmcore.xz", xz(&dump))];
    let write = |(name, bytes): (&str, Vec<u8>)| {
        std::fs::write(at.join(name), bytes).expect("an archive");
        at.join(name)
    };
    archives.into_iter().map(write).collect()
}

#[test]
fn a_dump_in_an_archive_is_the_same_from_memory_and_from_a_temporary_file() {
    let at = scratch("dumps");
    let temp = at.join("temporary");
    std::fs::create_dir_all(&temp).expect("a folder");
    for archive in dump_in_archives(&at) {
        let from_memory = gather(std::slice::from_ref(&archive), &Options::default()).expect("cases");
        let options = Options { temp_dir: Some(temp.clone()), ..Options::default() };
        let from_file = gather(std::slice::from_ref(&archive), &options).expect("cases");
        assert!(from_memory[0].facts.iter().any(|f| f.kind == "dump.state"), "{}", archive.display());
        let json = |cases: &[Case]| cases.iter().map(|c| c.to_json().expect("JSON")).collect::<Vec<_>>();
        assert_eq!(json(&from_memory), json(&from_file), "{}", archive.display());
        assert_eq!(std::fs::read_dir(&temp).expect("the folder").count(), 0, "nothing is left behind");
    }
}

#[test]
fn a_temporary_file_goes_also_when_the_dump_is_cut_or_none() {
    let at = scratch("cut-dumps");
    let temp = at.join("temporary");
    std::fs::create_dir_all(&temp).expect("a folder");
    for archive in dump_in_archives(&at) {
        let bytes = std::fs::read(&archive).expect("the archive");
        std::fs::write(&archive, &bytes[..bytes.len() / 2]).expect("half of it");
        let options = Options { temp_dir: Some(temp.clone()), ..Options::default() };
        let cases = gather(std::slice::from_ref(&archive), &options);
        if let Ok(cases) = cases {
            let gaps: Vec<_> = cases.iter().flat_map(|c| &c.gaps).map(|g| g.what.as_str()).collect();
            assert!(!gaps.is_empty(), "{}", archive.display());
        }
        assert_eq!(std::fs::read_dir(&temp).expect("the folder").count(), 0, "nothing is left behind");
    }
    let archive = at.join("none.tar");
    std::fs::write(&archive, tar(&[("vmcore", b"KDUMP   and nothing else")])).expect("an archive");
    let options = Options { temp_dir: Some(temp.clone()), ..Options::default() };
    assert!(gather(std::slice::from_ref(&archive), &options).is_err());
    assert_eq!(std::fs::read_dir(&temp).expect("the folder").count(), 0, "nothing is left behind");
    // A folder that is not there is said, and which option names it.
    let options = Options { temp_dir: Some(at.join("absent")), ..Options::default() };
    let said = match gather(&[at.join("vmcore.xz")], &options) {
        Ok(cases) => cases.iter().flat_map(|c| &c.gaps).map(|g| format!("{} {}", g.why, g.closes)).collect(),
        Err(error) => error.to_string(),
    };
    assert!(said.contains("--temp-dir"), "{said}");
}

/// A sosreport that was made after the reboot: two logs have both boots, `dmesg` the second, and the state of the node
/// is of the second, too. A record of the crash lies in the crash folder.
#[test]
fn the_state_of_a_report_is_of_the_boot_in_which_it_was_made() {
    const BANNER: &str = "Linux version 5.15.0-91-generic (buildd@lcy02) (gcc (Ubuntu 11.4.0) 11.4.0) #101-Ubuntu SMP";
    let syslog = |clock: &str, line: &str| format!("Jan  5 {clock} host0 kernel: {line}\n");
    let crash = "BUG: kernel NULL pointer dereference, address: 0000000000000038\n#PF: supervisor read access in kernel mode\n\
        Oops: 0000 [#1] SMP NOPTI\nCPU: 3 PID: 2231 Comm: kworker/3:1 Not tainted 5.15.0-91-generic #101-Ubuntu\n\
        RIP: 0010:nf_flow_offload_gc_step+0x2d/0x180 [nf_flow_table]\nCall Trace:\n <TASK>\n \
        nf_flow_offload_work_gc+0x3d/0x60 [nf_flow_table]\n process_one_work+0x22b/0x3d0\n worker_thread+0x53/0x420\n \
        kthread+0x12a/0x150\n </TASK>\n---[ end trace 4b6cbb8be6cbcf21 ]---\nKernel panic - not syncing: Fatal exception\n\
        ---[ end Kernel panic - not syncing: Fatal exception ]---\n";
    let stamped = |lines: &str| lines.lines().map(|line| format!("[ 7872.500000] {line}\n")).collect::<String>();
    let first = syslog("08:00:00", &format!("[    0.000000] {BANNER}"))
        + &syslog("08:00:00", "[    0.000000] Command line: BOOT_IMAGE=/boot/vmlinuz root=/dev/sda1 ro quiet");
    let dead: String = stamped(crash).lines().map(|line| syslog("10:11:12", line)).collect();
    let second =
        syslog("10:14:30", &format!("[    0.000000] {BANNER}")) + &syslog("10:14:39", "[    9.000000] eth0: link up");
    let log = [first, dead, second].concat();
    let dmesg = format!("[    0.000000] {BANNER}\n[    9.000000] eth0: link up\n");
    let record = format!("[    0.000000] {BANNER}\n{}", stamped(crash));
    let files: [(&str, &[u8]); 9] = [
        ("s/version.txt", b"sosreport: 4.5.6\n"),
        ("s/sos_commands/kernel/dmesg", dmesg.as_bytes()),
        ("s/var/log/kern.log", log.as_bytes()),
        ("s/var/log/syslog", log.as_bytes()),
        ("s/var/crash/202401051011/dmesg.202401051011", record.as_bytes()),
        ("s/hostname", b"host0\n"),
        ("s/proc/sys/kernel/random/boot_id", b"11112222-3333-4444-5555-666677778888\n"),
        ("s/proc/meminfo", b"MemTotal: 16384000 kB\nMemFree: 8000000 kB\n"),
        ("s/sys/kernel/kexec_crash_size", b"0\n"),
    ];
    let at = scratch("two-boots");
    std::fs::write(at.join("s.tar.gz"), gzip(&tar(&files))).expect("written");
    let cases = cases_of(&at);
    let told: Vec<_> = cases
        .iter()
        .map(|case| {
            let oopses = case.facts.iter().filter(|f| f.kind == "log.oops").count();
            let state = case.facts.iter().any(|f| f.kind == "node.meminfo");
            (oopses, state, case.identity.boot_id.as_deref())
        })
        .collect();
    assert_eq!(told, [(1, false, None), (0, true, Some("11112222333344445555666677778888"))]);
    let verdict = examine(&cases[0], &Rules::embedded().expect("the rules load"));
    assert_eq!(verdict.findings[0].rule, "generic-null-deref");
    // The boot that crashed had not asked for memory for a capture kernel.
    let missing = cases[0].facts.iter().find(|f| f.kind == "derived.missing_dump");
    assert_eq!(missing.and_then(|f| f.text("reason")), Some("not-reserved"));
}
