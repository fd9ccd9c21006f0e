//! Readers survive any bytes: seeded mutations of real shapes, and inputs grown eightfold in linear time.

use std::time::{Duration, Instant};

use snapshot::Node;

/// Path and text of each kind of file that has a reader of its own.
const SEEDS: &[(&str, &str)] = &[
    ("sys/fs/cgroup/memory/docker/a/memory.kmem.slabinfo", SLABINFO),
    ("proc/slabinfo", SLABINFO),
    (
        "sys/fs/cgroup/memory/a/memory.stat",
        "cache 4096\nrss 0\nhierarchical_memory_limit 9223372036854771712\ntotal_inactive_file 77\n",
    ),
    ("sys/fs/cgroup/a.slice/memory.stat", "anon 53248\nfile 21012480\nkernel 66478080\npercpu 30430464\n"),
    ("sys/fs/cgroup/a.slice/memory.events", "low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\n"),
    ("sys/fs/cgroup/cgroup.stat", "nr_descendants 8\nnr_dying_descendants 5000\n"),
    ("sys/fs/cgroup/a.slice/cpu.stat", "nr_periods 1\nnr_throttled 1\nthrottled_usec 9223372036854775807\n"),
    ("sys/fs/cgroup/a.slice/memory.pressure", "some avg10=1.00 avg60=2.00 avg300=3.00 total=4\n"),
    ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n"),
    ("proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t1\t5009\t1\n"),
    (
        "sys-slab-ls.txt",
        ":at-0000104\ndentry(4:8aff)\nkmalloc-64(4:8aff)\nlrwxrwxrwx 1 root root 0 Feb 10 09:40 x -> :0000192\n",
    ),
    ("slab-count.txt", "1715\n   1498 kmalloc-64\n"),
    ("memcg_slabinfo", "# <name> <css_id[:dead|deact]> <active_objs>\ndentry 12:dead 3 21 1 1\n"),
    (
        "grep-r.txt",
        "./cgroup.sane_behavior:0\n./memory.stat:cache 1\ngrep: ./a/memory.kmem.slabinfo: Input/output error\n./a/memory.failcnt:3\n",
    ),
    (
        "find-cat.txt",
        "==> /sys/fs/cgroup/memory/a/memory.failcnt <==\n12\n==> /sys/fs/cgroup/memory/a/memory.stat <==\ncache 3\n",
    ),
    (
        "ticket.txt",
        "[root@n ~]# grep memory /proc/cgroups\nmemory\t4\t64734\t1\n[root@n ~]# find /sys/fs/cgroup/memory -type d | wc -l\n31\n[root@n ~]# time cat memory.stat\n\nreal\t0m9.065s\nuser\t0m0.000s\nsys\t0m9.064s\n",
    ),
    (
        "describe.txt",
        " Machine ID: 4c2f1d3e5a6b7c8d9e0f1a2b3c4d5e6f\n Kernel Version: 3.10.0-514.el7.x86_64\n Kubelet Version: v1.13.5\n",
    ),
    ("kubelet.folded", "a;fs.(*MemoryGroup).GetStats;memcg_stat_show 812\nb 2\n"),
    (
        "strace-c.txt",
        "% time     seconds  usecs/call     calls    errors syscall\n------ ----------- ----------- --------- --------- ----------------\n 62.70   41.312543        4710      8771      1510 futex\n100.00   65.890121                 41003      1620 total\n",
    ),
    ("proc/meminfo", "MemTotal:         758280 kB\nSUnreclaim:        90000 kB\n"),
    ("proc/buddyinfo", "Node 0, zone   Normal  123  4  5  6  7  8  9  10  11  12  13\n"),
    ("proc/zoneinfo", "Node 0, zone      DMA\n  pages free     3971\n        min      10\n        low      12\n"),
    ("proc/version", "Linux version 3.10.0-957.el7.x86_64 (a@b) (gcc) #1 SMP Thu\n"),
    (
        "slabtop.txt",
        " Active / Total Objects (% used)    : 1 / 2 (50.0%)\n  OBJS ACTIVE  USE OBJ SIZE  SLABS OBJ/SLAB CACHE SIZE NAME\n   10     9  90%    0.19K      1       21         4K dentry\n",
    ),
    (
        "kmem_-s.txt",
        "CACHE             OBJSIZE  ALLOCATED     TOTAL  SLABS  SSIZE  NAME\nffff88017fc78a00      232          0         0      0     4k  fuse\n",
    ),
];

const SLABINFO: &str = "slabinfo - version: 2.1\n# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables\n\
    dentry(12:0a1b)      210    420    192   21    1 : tunables    0    0    0 : slabdata     20     20      0\n\
    kmalloc-64           640    640     64   64    1 : tunables    0    0    0 : slabdata     10     10      0\n";

/// A small generator with a fixed seed, so that a failure can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % end.max(1)
    }
}

fn mutate(random: &mut Random, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len() + 1);
        match random.below(7) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).unwrap_or(0),
            1 => bytes.truncate(at),
            2 => drop(bytes.splice(at..at, b"99999999999999999999999".iter().copied())),
            3 => {
                drop(bytes.splice(
                    at..at,
                    [b'-', b'(', b')', b':', b'\n', b'\0', 0xff][random.below(7)..][..1].iter().copied(),
                ))
            }
            4 => {
                let from = random.below(other.len());
                bytes.splice(at..at, other[from..].iter().copied());
            }
            5 => {
                let end = (at + random.below(40)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let end = (at + random.below(80)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    bytes
}

#[test]
fn no_bytes_make_a_reader_panic() {
    let mut random = Random(20_261_126);
    for round in 0..400 {
        let mut node = Node::default();
        for (path, seed) in SEEDS {
            let other = SEEDS[random.below(SEEDS.len())].1.as_bytes();
            let bytes = mutate(&mut random, seed.as_bytes(), other);
            // Its own name, and one that leaves the content alone to speak.
            let path = if round % 4 == 3 { "node/paste.txt" } else { path };
            snapshot::recognises(&bytes);
            node.add(path, path, &bytes);
        }
        let (facts, _) = node.finish();
        assert!(facts.len() < 50_000);
    }
}

#[test]
fn names_of_any_shape_make_no_reader_panic() {
    let mut random = Random(7);
    let names: Vec<&str> = SEEDS.iter().map(|(path, _)| *path).collect();
    let mut node = Node::default();
    for _ in 0..20_000 {
        let other = names[random.below(names.len())].as_bytes();
        let seed = names[random.below(names.len())].as_bytes();
        let name = mutate(&mut random, seed, other);
        let name = String::from_utf8_lossy(&name).into_owned();
        snapshot::wants(&name);
        node.seen(&name);
        node.add(&name, &name, b"1\n");
    }
    node.finish();
}

/// Eight times the text may take about eight times as long, not sixty-four times.
#[test]
fn time_grows_with_the_length_of_the_text() {
    for (path, seed) in SEEDS {
        let took = |times: usize| {
            let text = seed.repeat(times);
            let mut best = Duration::MAX;
            for _ in 0..3 {
                let start = Instant::now();
                let mut node = Node::default();
                node.add(path, path, text.as_bytes());
                node.finish();
                best = best.min(start.elapsed());
            }
            best
        };
        let (short, long) = (took(60_000 / seed.len()), took(480_000 / seed.len()));
        // Machines stumble: only a growth far from linear, and long enough to be measured, counts.
        assert!(long < short * 30 + Duration::from_millis(60), "{path}: {short:?} for 60 kB, {long:?} for 480 kB");
    }
}
