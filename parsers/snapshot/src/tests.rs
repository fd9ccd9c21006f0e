//! Whole nodes: the recorded 3.10 guest, a real sosreport's files, and composed pastes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use facts::{Fact, Value};

use crate::Node;
use crate::kinds::keeps_to_table;

fn shared(path: &str) -> Option<PathBuf> {
    let root = std::env::var_os("VMCORONER_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")), PathBuf::from);
    Some(root.join(path)).filter(|p| p.exists())
}

fn finish(node: Node) -> Vec<Fact> {
    let (facts, _) = node.finish();
    for fact in &facts {
        keeps_to_table(fact).unwrap();
    }
    facts
}

fn of_files(files: &[(&str, &str)]) -> Vec<Fact> {
    let mut node = Node::default();
    for (path, text) in files {
        node.add(path, path, text.as_bytes());
    }
    finish(node)
}

fn of_directory(dir: &Path) -> Vec<Fact> {
    let mut node = Node::default();
    let mut names: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    names.sort();
    for path in names.iter().filter(|p| p.is_file() && !p.to_string_lossy().ends_with(".gz")) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        node.add(&name, &name, &std::fs::read(path).unwrap());
    }
    finish(node)
}

fn kind<'f>(facts: &'f [Fact], kind: &str) -> Vec<&'f Fact> {
    facts.iter().filter(|f| f.kind == kind).collect()
}

fn accounting(facts: &[Fact]) -> BTreeMap<String, String> {
    let text = |f: &Fact, name: &str| f.text(name).unwrap().to_owned();
    kind(facts, "cgroup.kmem").into_iter().map(|f| (text(f, "path"), text(f, "accounting"))).collect()
}

#[test]
fn four_answers_for_accounting() {
    let d = "sys/fs/cgroup/memory";
    let facts = of_files(&[
        (&format!("{d}/on/memory.kmem.slabinfo"), "slabinfo - version: 2.1\n# name <active_objs>\n"),
        (&format!("{d}/off/memory.kmem.slabinfo"), "cat: memory.kmem.slabinfo: Input/output error\n"),
        (&format!("{d}/empty/memory.kmem.slabinfo"), ""),
        (&format!("{d}/none/memory.kmem.usage_in_bytes"), "0\n"),
    ]);
    let answers: Vec<(String, String)> = accounting(&facts).into_iter().collect();
    let expected = [("/empty", "empty"), ("/none", "not-collected"), ("/off", "off"), ("/on", "on")];
    assert_eq!(answers, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
}

#[test]
fn limits_are_told_apart() {
    let limits = |kmem: &str, memory: &str| {
        let facts = of_files(&[
            ("sys/fs/cgroup/memory/a/memory.kmem.limit_in_bytes", kmem),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", memory),
        ]);
        let fact = kind(&facts, "cgroup.kmem")[0].clone();
        (fact.text("limit_relation").unwrap().to_owned(), fact.get("memory_limit_unlimited").cloned())
    };
    assert_eq!(limits("9223372036854771712", "1073741824"), ("none".into(), Some(Value::Bool(false))));
    assert_eq!(limits("9223372036854775807", "9223372036854771712"), ("none".into(), Some(Value::Bool(true))));
    assert_eq!(limits("1843200", "1073741824").0, "below-memory-limit");
    assert_eq!(limits("1073741824", "1073741824").0, "at-or-above-memory-limit");
}

#[test]
fn version_two_tree_with_dying_groups() {
    let pod = "sys/fs/cgroup/kubepods.slice/kubepods-pod0ca6e3f0_1111_2222_3333_444455556666.slice";
    let facts = of_files(&[
        ("sys/fs/cgroup/cgroup.procs", "1\n"),
        ("sys/fs/cgroup/cgroup.stat", "nr_descendants 70\nnr_dying_descendants 4812\n"),
        (&format!("{pod}/memory.current"), "2048\n"),
        (&format!("{pod}/memory.max"), "max\n"),
        (&format!("{pod}/memory.events"), "low 0\nhigh 0\nmax 17\noom 2\noom_kill 1\n"),
        (&format!("{pod}/memory.stat"), "anon 1000\nfile 500\ninactive_file 48\nslab 77\n"),
        ("proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t4882\t1\n"),
    ]);
    let dying = kind(&facts, "cgroup.dying")[0];
    assert_eq!((dying.int("dying"), dying.int("descendants")), (Some(4812), Some(70)));
    let memory = kind(&facts, "cgroup.memory")[0];
    assert_eq!((memory.int("version"), memory.int("events_max"), memory.int("oom_kill")), (Some(2), Some(17), Some(1)));
    assert_eq!(memory.int("working_set_bytes"), Some(2000));
    assert_eq!(memory.get("limit_unlimited"), Some(&Value::Bool(true)));
    assert_eq!(memory.text("pod"), Some("0ca6e3f0-1111-2222-3333-444455556666"));
    let tree = kind(&facts, "cgroup.tree")[0];
    assert_eq!((tree.int("directories"), tree.int("excess")), (Some(3), Some(4879)));
}

#[test]
fn a_container_view_never_counts_as_excess() {
    let facts = of_files(&[
        ("sys/fs/cgroup/memory/memory.stat", "cache 1\n"),
        ("proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t6\t1214\t1\n"),
    ]);
    let tree = kind(&facts, "cgroup.tree")[0];
    assert_eq!((tree.int("num_cgroups"), tree.int("excess"), tree.get("from_root")), (Some(1214), None, None));
}

/// What the folder's README says of each scenario, and what `cat` shows in its files.
#[test]
fn recorded_el7_node_states() {
    let Some(healthy) = shared("corpora/el7/healthy") else { return };
    let facts = of_directory(&healthy);
    let answers = accounting(&facts);
    let of = |name: &str| answers.get(name).map(String::as_str);
    assert_eq!((of("/memcg-on"), of("/memcg-off"), of("/memcg-root")), (Some("on"), Some("off"), Some("off")));
    let uname = kind(&facts, "node.uname")[0];
    assert_eq!(uname.text("release"), Some("3.10.0-1062.el7.lab.x86_64"));
    assert_eq!(kind(&facts, "node.cmdline")[0].get("nokmem"), Some(&Value::Bool(false)));
    assert!(kind(&facts, "node.meminfo")[0].int("SUnreclaim").is_some());
    assert!(kind(&facts, "node.slab_names")[0].int("total").is_some_and(|n| n > 50));
    assert!(!kind(&facts, "node.zone").is_empty() && !kind(&facts, "node.buddyinfo").is_empty());

    let facts = of_directory(&healthy.with_file_name("slubkmem"));
    let kmem = kind(&facts, "cgroup.kmem");
    let pod = kmem.iter().find(|f| f.text("path") == Some("/slubkmem.pod")).unwrap();
    assert_eq!(
        (pod.int("failcnt"), pod.int("memory_failcnt"), pod.int("limit_bytes")),
        (Some(6), Some(0), Some(1_843_200))
    );
    assert_eq!(pod.text("accounting"), Some("on"));
    assert_eq!(pod.text("limit_relation"), Some("below-memory-limit"));

    let facts = of_directory(&healthy.with_file_name("zombie"));
    let names = kind(&facts, "node.slab_names")[0];
    assert_eq!((names.int("total"), names.int("per_memcg")), (Some(1715), Some(1498)));
    assert_eq!(accounting(&facts).get("/zombie.jobs").map(String::as_str), Some("off"));
    let memory = |f: &&&Fact| f.text("controller") == Some("memory");
    assert_eq!(kind(&facts, "cgroup.controllers").iter().find(memory).unwrap().int("num_cgroups"), Some(3));
    let facts = of_directory(&healthy.with_file_name("netdev"));
    assert!(kind(&facts, "cgroup.kmem").is_empty());
}

#[test]
fn crash_output_is_read() {
    let Some(dir) = shared("corpora/el7/healthy/crash") else { return };
    let facts = of_directory(&dir);
    assert!(!kind(&facts, "node.backtrace").is_empty());
    let banner = kind(&facts, "node.crash_banner")[0];
    assert_eq!(banner.text("release"), Some("3.10.0-1062.el7.lab.x86_64"));
    assert!(!kind(&facts, "node.tasks").is_empty());
    assert!(!kind(&facts, "node.slabinfo").is_empty());
}

const ARTICLE: &str = "\
[root@node1 ~]# uname -r
4.4.227-1.el7.elrepo.x86_64
[root@node1 ~]# time cat /sys/fs/cgroup/memory/memory.stat >/dev/null

real\t0m9.065s
user\t0m0.000s
sys\t0m9.064s
[root@node1 ~]# strace -fp 1545 -c
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 95.01   12.345678        1234     10005      4321 futex
  4.99    0.648000          64     10125           read
------ ----------- ----------- --------- --------- ----------------
100.00   12.993678                 20130      4321 total
[root@node1 ~]# grep memory /proc/cgroups
[root@node1 ~]# cat /proc/cgroups
#subsys_name\thierarchy\tnum_cgroups\tenabled
memory\t4\t64734\t1
[root@node1 ~]# cat kubelet.folded
kubelet;housekeeping;manager.(*containerData).updateStats;fs.(*MemoryGroup).GetStats;read;memcg_stat_show 907
kubelet;gc 93
[root@node1 ~]#
";

/// Composed from the printed lines of an article on the slow `memory.stat`.
#[test]
fn pasted_evidence_of_a_slow_memory_stat() {
    let facts = of_files(&[("ticket.txt", ARTICLE)]);
    let timed = kind(&facts, "node.timed_read")[0];
    assert_eq!(timed.text("name"), Some("memory.stat"));
    assert_eq!(
        (timed.get("seconds"), timed.get("sys_seconds")),
        (Some(&Value::Float(9.065)), Some(&Value::Float(9.064)))
    );
    assert_eq!(timed.origin.to_string(), "ticket.txt:5");
    let futex = kind(&facts, "node.syscalls")[0];
    assert_eq!(
        (futex.text("syscall"), futex.int("calls"), futex.int("errors")),
        (Some("futex"), Some(10005), Some(4321))
    );
    let stats = kind(&facts, "node.profile");
    let get = stats.iter().find(|f| f.text("function").is_some_and(|t| t.ends_with("GetStats"))).unwrap();
    assert_eq!(get.get("share"), Some(&Value::Float(90.7)));
    assert_eq!(kind(&facts, "cgroup.controllers")[0].int("num_cgroups"), Some(64734));
    assert_eq!(kind(&facts, "node.uname")[0].text("release"), Some("4.4.227-1.el7.elrepo.x86_64"));
}

#[test]
fn dumps_with_path_marks_are_cut_into_files() {
    let grep = "/sys/fs/cgroup/memory/docker/0123456789ab/memory.failcnt:12\n\
                /sys/fs/cgroup/memory/docker/0123456789ab/memory.stat:cache 5\n\
                /sys/fs/cgroup/memory/docker/0123456789ab/memory.stat:total_inactive_file 2\n\
                /sys/fs/cgroup/memory/docker/0123456789ab/memory.usage_in_bytes:9\n";
    let head = "==> /sys/fs/cgroup/memory/docker/0123456789ab/memory.kmem.slabinfo <==\n\
                cat: /sys/fs/cgroup/memory/docker/0123456789ab/memory.kmem.slabinfo: Input/output error\n\n\
                ==> /sys/fs/cgroup/memory/docker/0123456789ab/memory.failcnt <==\n12\n";
    let facts = of_files(&[("grep.txt", grep), ("heads.txt", head)]);
    let memory = kind(&facts, "cgroup.memory")[0];
    assert_eq!(memory.text("container"), Some("0123456789ab"));
    assert_eq!((memory.int("failcnt"), memory.int("working_set_bytes")), (Some(12), Some(7)));
    assert_eq!(accounting(&facts).values().collect::<Vec<_>>(), ["off"]);
}

/// Composed: the answers of a node to the commands that a verdict asks for.
#[test]
fn counts_that_were_typed_prove_as_much_as_files() {
    let text = "[root@n1 ~]# grep memory /proc/cgroups\nmemory\t4\t65512\t1\n\
                [root@n1 ~]# find /sys/fs/cgroup/memory -type d | wc -l\n318\n";
    let facts = of_files(&[("ticket.txt", text)]);
    let tree = kind(&facts, "cgroup.tree")[0];
    assert_eq!(
        (tree.int("num_cgroups"), tree.int("directories"), tree.int("excess")),
        (Some(65512), Some(318), Some(65194))
    );
    assert_eq!(tree.origin.to_string(), "ticket.txt:4");
    assert_eq!(kind(&facts, "cgroup.controllers")[0].origin.to_string(), "ticket.txt:2");
    // A container sees the count of the machine and directories of its own.
    let facts = of_files(&[("ticket.txt", text), ("proc/1/environ", "container=lxc\0")]);
    assert_eq!(kind(&facts, "cgroup.tree")[0].int("excess"), None);
    // Rows of four words elsewhere are no controllers.
    assert!(kind(&of_files(&[("cgroups.txt", "disk 1 2 1\n")]), "cgroup.controllers").is_empty());
}

#[test]
fn grep_dumps_keep_refused_reads_and_know_their_root() {
    let text = "./cgroup.sane_behavior:0\n./memory.stat:cache 1\n./a/memory.usage_in_bytes:7\n\
                grep: ./a/memory.kmem.slabinfo: Input/output error\n./a/memory.kmem.failcnt:0\n";
    let facts = of_files(&[("grep-r.txt", text), ("proc/cgroups", "#subsys_name\nmemory\t1\t9\t1\n")]);
    assert_eq!(accounting(&facts).into_iter().collect::<Vec<_>>(), [("/a".to_owned(), "off".to_owned())]);
    let tree = kind(&facts, "cgroup.tree")[0];
    assert_eq!(
        (tree.text("controller"), tree.int("directories"), tree.int("excess")),
        (Some("memory"), Some(2), Some(7))
    );
    assert!(crate::recognises(text.as_bytes()));
    // From inside of a container's directory, nothing says which tree it is.
    let facts = of_files(&[("grep-r.txt", "./memory.stat:cache 1\n./memory.usage_in_bytes:7\n")]);
    assert!(kind(&facts, "cgroup.tree").is_empty());
    assert!(!crate::recognises(b"./configure: line 3\n./a: x\n"));
}

#[test]
fn control_files_without_any_content_are_no_answer() {
    let d = "sys/fs/cgroup/memory/a";
    let names = ["memory.usage_in_bytes", "memory.kmem.slabinfo", "memory.failcnt"].map(|n| format!("{d}/{n}"));
    let mut node = Node::default();
    for name in &names {
        node.add(name, name, b"");
    }
    let (facts, gaps) = node.finish();
    assert_eq!(kind(&facts, "cgroup.kmem")[0].text("accounting"), Some("not-collected"));
    assert_eq!(gaps.len(), 1);
    // One file with content shows that files were really read: an empty table is then the kernel's answer.
    let mut node = Node::default();
    for name in &names {
        node.add(name, name, if name.ends_with("failcnt") { b"0\n" } else { b"" });
    }
    let (facts, gaps) = node.finish();
    assert_eq!((kind(&facts, "cgroup.kmem")[0].text("accounting"), gaps.len()), (Some("empty"), 0));
}

#[test]
fn cgroups_are_told_apart_by_the_names_of_their_caches() {
    let listing = ":at-0000192\ndentry\ndentry(1:a)\nkmalloc-64(1:a)\ndentry(2:b)\n";
    let names = |file: &str, text: &str| {
        let facts = of_files(&[(file, text)]);
        let fact = kind(&facts, "node.slab_names")[0].clone();
        (fact.int("total"), fact.int("per_memcg"), fact.int("memcgs"))
    };
    assert_eq!(names("sys-slab-ls.txt", listing), (Some(5), Some(3), Some(2)));
    assert_eq!(
        names("slab-count.txt", "1715\n   1498 kmalloc-64\n    12 dentry\n"),
        (Some(1715), Some(1510), Some(1498))
    );
}

/// Composed from the output of `kubectl describe node` and `docker info`.
#[test]
fn descriptions_name_kernel_and_boot() {
    let text = "System Info:\n Machine ID:   4c2f1d3e5a6b7c8d9e0f1a2b3c4d5e6f\n Boot ID:   0b1c2d3e-4f50-6172-8394-a5b6c7d8e9fa\n \
                Kernel Version:   3.10.0-514.el7.x86_64\n Kubelet Version:   v1.13.5\nEvents:  <none>\n";
    let mut node = Node::default();
    node.add("describe-node.txt", "describe-node.txt", text.as_bytes());
    assert_eq!(node.identity().kernel.as_deref(), Some("3.10.0-514.el7.x86_64"));
    assert_eq!(node.identity().boot_id.as_deref(), Some("0b1c2d3e4f5061728394a5b6c7d8e9fa"));
    let facts = finish(node);
    assert_eq!(kind(&facts, "node.uname")[0].origin.to_string(), "describe-node.txt:4");
    let info = "Server Version: 18.09.1\nCgroup Driver: cgroupfs\nKernel Version: 3.10.0-957.el7.x86_64\n";
    assert_eq!(
        kind(&of_files(&[("docker-info.txt", info)]), "node.uname")[0].text("release"),
        Some("3.10.0-957.el7.x86_64")
    );
    assert!(of_files(&[("x.txt", "Kernel Version: 5.4.0 is old\nKernel Version: 5.4\n")]).is_empty());
}

#[test]
fn refused_forks_and_throttled_time_are_read() {
    let d = "sys/fs/cgroup/kubepods.slice";
    let facts = of_files(&[
        (&format!("{d}/pids.max"), "100\n"),
        (&format!("{d}/pids.current"), "100\n"),
        (&format!("{d}/pids.events"), "max 31\n"),
        (&format!("{d}/cpu.stat"), "usage_usec 9\nnr_periods 10\nnr_throttled 4\nthrottled_usec 2500000\n"),
        (
            &format!("{d}/memory.pressure"),
            "some avg10=12.50 avg60=3.00 avg300=1.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
        ),
        ("sys/fs/cgroup/cpu,cpuacct/docker/cpu.stat", "nr_periods 10\nnr_throttled 4\nthrottled_time 7000000\n"),
        (&format!("{d}/memory.stat"), "anon 1\nfile 2\nkernel 66478080\npercpu 30430464\nslab 31\nshmem 6148096\n"),
        (&format!("{d}/memory.events"), "low 0\nhigh 0\nmax 7\noom 2\noom_kill 1\noom_group_kill 0\n"),
    ]);
    let pids = kind(&facts, "cgroup.pids")[0];
    assert_eq!((pids.int("limit"), pids.int("current"), pids.int("refused")), (Some(100), Some(100), Some(31)));
    let throttled: Vec<_> = kind(&facts, "cgroup.cpu_throttling").iter().map(|f| f.int("throttled_us")).collect();
    assert_eq!(throttled, [Some(7000), Some(2_500_000)]);
    assert_eq!(kind(&facts, "cgroup.pressure").len(), 1, "a row without waiting says nothing");
    let memory = kind(&facts, "cgroup.memory")[0];
    assert_eq!((memory.int("version"), memory.int("events_max"), memory.int("oom_kill")), (Some(2), Some(7), Some(1)));
    assert_eq!((memory.int("percpu_bytes"), memory.int("shmem_bytes")), (Some(30_430_464), Some(6_148_096)));
    assert!(kind(&facts, "cgroup.kmem").is_empty(), "v2 has no kernel-memory accounting of its own to ask for");
}

#[test]
fn supportconfig_sections_are_cut() {
    let text = "#==[ Command ]======================================#\n# /bin/cat /proc/meminfo\nMemTotal:       100 kB\n\
                SUnreclaim:      90 kB\n\n#==[ Command ]==#\n# /bin/uname -a\nLinux n1 5.14.21-default #1 SMP x86_64 GNU/Linux\n";
    let facts = of_files(&[("scc_n1/memory.txt", text)]);
    assert_eq!(kind(&facts, "node.meminfo")[0].int("SUnreclaim"), Some(90));
    assert_eq!(kind(&facts, "node.uname")[0].text("release"), Some("5.14.21-default"));
}

#[test]
fn last_tells_clean_from_unclean() {
    let text = "reboot   system boot  5.10.0-30-amd64 Fri Feb 21 08:00   still running\n\
                reboot   system boot  5.10.0-30-amd64 Thu Feb 20 08:00 - 07:59 (23:59)\n\
                shutdown system down  5.10.0-30-amd64 Thu Feb 20 07:59 - 08:00  (00:00)\n\
                reboot   system boot  5.10.0-30-amd64 Wed Feb 19 08:00 - 07:59 (23:59)\n\nwtmp begins\n";
    let facts = of_files(&[("sos_commands/login/last_-x", text)]);
    let ends: Vec<_> = kind(&facts, "node.boot_end").iter().map(|f| f.text("how").unwrap().to_owned()).collect();
    assert_eq!(ends, ["unclean", "clean"]);
}

#[test]
fn last_tells_when_a_boot_began_and_ended() {
    let text = "reboot   system boot  5.10.0-30-amd64  Fri Feb 21 08:00:07 2025   still running\n\
                reboot   system boot  5.10.0-30-amd64  Thu Feb 20 08:00:07 2025 - Fri Feb 21 07:59:00 2025 (23:58)\n\
                shutdown system down  5.10.0-30-amd64  Thu Feb 20 07:59:11 2025 - Thu Feb 20 08:00:07 2025  (00:00)\n\
                reboot   system boot  5.10.0-30-amd64  Wed Feb 19 08:00:00 2025 - Thu Feb 20 07:59:11 2025 (23:59)\n";
    let facts = of_files(&[("sos_commands/login/last_-F", text)]);
    let text = |fact: &Fact, name: &str| fact.text(name).unwrap_or_default().to_owned();
    let ends: Vec<_> =
        kind(&facts, "node.boot_end").iter().map(|f| [text(f, "how"), text(f, "started"), text(f, "time")]).collect();
    assert_eq!(
        ends,
        [
            ["unclean", "2025-02-20 08:00:07", "2025-02-21 08:00:07"],
            ["clean", "2025-02-19 08:00:00", "2025-02-20 07:59:11"]
        ]
    );
}

#[test]
fn packages_of_both_families() {
    let facts = of_files(&[
        (
            "installed-rpms",
            "kernel-3.10.0-957.el7.x86_64   Mon\ncontainerd.io-1.2.6-3.3.el7.x86_64\nbash-4.2-1.x86_64\n",
        ),
        (
            "sos_commands/dpkg/dpkg_-l",
            "ii  linux-image-5.4.0-97-generic  5.4.0-97.110  amd64  x\nrc  runc  1.0  amd64  x\n",
        ),
    ]);
    let names: Vec<_> = kind(&facts, "node.package").iter().map(|f| f.quote.clone()).collect();
    assert_eq!(
        names,
        ["kernel 3.10.0-957.el7", "containerd.io 1.2.6-3.3.el7", "linux-image-5.4.0-97-generic 5.4.0-97.110"]
    );
}

#[test]
fn slab_names_by_directory() {
    let mut node = Node::default();
    for name in ["dentry", "dentry(12:a)", "kmalloc-64"] {
        node.seen(&format!("x/sys/kernel/slab/{name}/objects"));
        node.seen(&format!("x/sys/kernel/slab/{name}/slabs"));
    }
    node.seen("x/sys/kernel/slab/kmalloc-64/cgroup/kmalloc-64(1:b)/objects");
    let facts = finish(node);
    assert_eq!((facts[0].int("total"), facts[0].int("per_memcg")), (Some(4), Some(2)));
}

#[test]
fn healthy_logs_are_no_node_state() {
    let text = "[    0.000000] Linux version 5.10.0 (x)\n[    0.000000] Command line: BOOT_IMAGE=/vmlinuz root=/dev/sda1\n\
                [    1.000000] # cat is a program\n[    2.0] real 0m1.0s; a;b 3\n";
    assert_eq!(of_files(&[("dmesg.txt", text)]), []);
}
