//! Whole nodes as they were recorded: what their state alone says, their log alone, both together, and two states of
//! one node compared. The guests' recordings are in `testdata/nodestate`, see its PROVENANCE.md.

use std::path::{Path, PathBuf};

use vmcoroner::case::Case;
use vmcoroner::compare::compare;
use vmcoroner::engine::Rules;
use vmcoroner::examine::examine;
use vmcoroner::extract::{Options, gather};
use vmcoroner::verdict::{Finding, Verdict};

fn judged(paths: &[PathBuf]) -> (Case, Verdict) {
    let cases = gather(paths, &Options::default()).unwrap_or_else(|e| panic!("{paths:?}: {e}"));
    assert_eq!(cases.len(), 1, "{paths:?} are of one machine");
    let case = cases.into_iter().next().unwrap_or_default();
    let verdict = examine(&case, &Rules::embedded().expect("the rules load"));
    (case, verdict)
}

/// A folder of the corpus of 3.10 recordings, or `None` where it is not at hand.
fn el7(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("VMCORONER_SHARED")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared")), PathBuf::from);
    Some(root.join("corpora/el7").join(name)).filter(|p| p.is_dir())
}

fn files(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|e| e.expect("an entry").path())
        .filter(|p| p.is_file() && p.file_name().is_some_and(|n| wanted(&n.to_string_lossy())))
        .collect();
    paths.sort();
    paths
}

/// What the node's files say, without any kernel log. Where a scenario did not record `/proc/version`, the banner of
/// its log tells the kernel and nothing else.
fn state_alone(name: &str) -> Option<Verdict> {
    let folder = el7(name)?;
    let mut paths = files(&folder, |n| {
        !n.contains("dmesg") && !n.contains("console") && !n.contains("sysrq-w") && !n.ends_with(".gz")
    });
    let log = std::fs::read_to_string(folder.join(format!("{name}.dmesg.txt"))).expect("the log");
    let banner = log.lines().find_map(|l| Some(&l[l.find("Linux version ")?..])).expect("the banner");
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&scratch).expect("a scratch folder");
    let version = scratch.join("version");
    std::fs::write(&version, format!("{banner}\n")).expect("written");
    paths.push(version);
    Some(judged(&paths).1)
}

fn log_alone(name: &str) -> Option<Verdict> {
    Some(judged(&[el7(name)?.join(format!("{name}.dmesg.txt"))]).1)
}

fn joined(name: &str) -> Option<Verdict> {
    Some(judged(&[el7(name)?]).1)
}

fn found<'v>(verdict: &'v Verdict, rule: &str) -> Option<&'v Finding> {
    verdict.findings.iter().find(|f| f.rule == rule)
}

fn grade(verdict: &Verdict, rule: &str) -> &'static str {
    found(verdict, rule).map_or("none", |f| f.grade.map_or("no grade", |g| g.word()))
}

/// Rules that read the state of a node.
const STATE_RULES: &[&str] = &[
    "kmem-accounting-leak",
    "kmem-limit-reached",
    "kmem-soft-lockup",
    "memcg-id-exhaustion",
    "memcg-pinned",
    "memcg-rstat-flush",
    "memcg-stat-slow",
];

#[test]
fn a_healthy_3_10_node_raises_nothing() {
    let Some(state) = state_alone("healthy") else { return };
    assert!(state.findings.is_empty(), "{:?}", state.findings.iter().map(|f| &f.rule).collect::<Vec<_>>());
    for verdict in [state, log_alone("healthy").unwrap(), joined("healthy").unwrap()] {
        for rule in STATE_RULES {
            assert_eq!(grade(&verdict, rule), "none", "{rule}");
        }
    }
}

/// The recorder set a kernel-memory limit of 1.8 MB, and it was reached: the log alone cannot know that.
#[test]
fn a_reached_kernel_memory_limit_weakens_the_leak() {
    const RULE: &str = "kmem-accounting-leak";
    let Some(state) = state_alone("slubkmem") else { return };
    assert_eq!(grade(&state, RULE), "exposed");
    let log = log_alone("slubkmem").unwrap();
    assert_eq!((grade(&log, RULE), log.findings[0].rule.as_str()), ("probable", RULE));
    let both = joined("slubkmem").unwrap();
    assert_eq!((grade(&both, RULE), both.findings[0].rule.as_str()), ("consistent", RULE));
    let caveats = found(&both, RULE).unwrap().caveats.join(" ");
    assert!(caveats.contains("limit is set and was reached"), "{caveats}");
    assert!(
        found(&both, RULE).unwrap().evidence.iter().any(|e| e.text.contains("kmem 1.8 MiB, limit 1.8 MiB, failcnt"))
    );
}

/// 1,500 removed groups left their caches; three groups exist.
#[test]
fn caches_of_removed_groups_show_without_any_log() {
    const RULE: &str = "kmem-accounting-leak";
    let Some(state) = state_alone("zombie") else { return };
    assert_eq!((grade(&state, RULE), state.findings[0].rule.as_str()), ("probable", RULE));
    assert_eq!(state.findings[0].captures.get("cgroups_with_caches").map(ToString::to_string).as_deref(), Some("1498"));
    assert_eq!(grade(&log_alone("zombie").unwrap(), RULE), "none", "its log is silent");
    assert_eq!(grade(&joined("zombie").unwrap(), RULE), "probable");
}

#[test]
fn a_leaked_device_is_no_matter_of_memory_groups() {
    let Some(state) = state_alone("netdev") else { return };
    for verdict in [&state, &log_alone("netdev").unwrap(), &joined("netdev").unwrap()] {
        for rule in STATE_RULES {
            assert_eq!(grade(verdict, rule), "none", "{rule}");
        }
    }
    assert_eq!(grade(&state, "netdev-reference-leak"), "none", "only the log and memory know");
    assert_ne!(grade(&joined("netdev").unwrap(), "netdev-reference-leak"), "none");
}

fn recorded(name: &str) -> (Case, Verdict) {
    judged(&[Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/nodestate").join(format!("{name}.tar.gz"))])
}

fn outcome(before: &str, after: &str, rule: &str) -> (&'static str, String) {
    let (before, after) = (recorded(before), recorded(after));
    let result = compare((&before.0, &before.1), (&after.0, &after.1));
    let found = result.remedies.into_iter().find(|r| r.rule == rule).unwrap_or_else(|| panic!("no word on {rule}"));
    (found.outcome, found.why)
}

#[test]
fn a_comparison_says_whether_the_remedy_took() {
    let (word, why) = outcome("v1-6.1-before", "v1-6.1-after", "memcg-pinned");
    assert_eq!(word, "took");
    assert!(why.contains("excess 5000 -> 9"), "{why}");
    assert_eq!(outcome("v2-6.1-before", "v2-6.1-after", "memcg-pinned").0, "took");
    assert_eq!(outcome("v2-6.12-before", "v2-6.12-after", "memcg-pinned").0, "took");
    // Dropping page cache freed those that it pinned, not those that files in tmpfs pin.
    assert_eq!(outcome("v1-6.1-before", "v1-6.1-dropped3", "memcg-pinned").0, "partly");
    let (word, why) = outcome("v2-6.1-before", "v2-6.1-reclaimed", "memcg-pinned");
    assert_eq!(word, "partly");
    assert!(why.contains("dying 5000 -> 1500"), "{why}");
    // Dropping dentries and inodes alone freed none.
    assert_eq!(outcome("v2-6.1-before", "v2-6.1-dropped2", "memcg-pinned").0, "did-not-take");
    assert_eq!(outcome("v1-6.1-before", "v1-6.1-dropped2", "memcg-pinned").0, "did-not-take");
    // On 4.18 inodes took their page cache with them, so that dentries and inodes alone were enough.
    let (word, why) = outcome("v1-4.18-before", "v1-4.18-dropped2", "memcg-pinned");
    assert!(word == "partly" && why.contains("excess 8000 -> 2217"), "{word}: {why}");
    assert_eq!(outcome("v1-4.18-before", "v1-4.18-forced", "memcg-pinned").0, "partly");
    for version in ["v1", "v2"] {
        let [before, after] = ["before", "after"].map(|state| format!("{version}-4.18-{state}"));
        for rule in ["memcg-pinned", "memcg-stat-slow"] {
            assert_eq!(outcome(&before, &after, rule).0, "took", "{version}: {rule}");
        }
    }
    // On 3.10 the caches of removed groups outlive every object in them.
    assert_eq!(outcome("v1-el7-before", "v1-el7-after", "kmem-accounting-leak").0, "did-not-take");
    // Files without content are no cure.
    let (word, why) = outcome("v1-el7-before", "v1-el7-hollow", "kmem-accounting-leak");
    assert_eq!(word, "cannot-tell", "{why}");
}

/// 8,000 dying cgroups of 4.18: its ids come back when a cgroup is removed, its caches go to the parent, and each read of
/// memory.stat walks over the dying ones still. The read itself took 20 ms, and that is said, too.
#[test]
fn a_4_18_node_is_exposed_to_slow_reads_and_to_nothing_else() {
    for name in ["v1-4.18-healthy", "v1-4.18-after", "v1-4.18-nokmem", "v2-4.18-healthy", "v2-4.18-after"] {
        let (_, verdict) = recorded(name);
        assert!(verdict.findings.is_empty(), "{name}: {:?}", verdict.findings);
    }
    for name in ["v1-4.18-before", "v2-4.18-before"] {
        let (case, verdict) = recorded(name);
        for (rule, wanted) in STATE_RULES.iter().map(|rule| match *rule {
            "memcg-pinned" => (rule, "consistent"),
            "memcg-stat-slow" => (rule, "exposed"),
            _ => (rule, "none"),
        }) {
            assert_eq!(grade(&verdict, rule), wanted, "{name}: {rule}");
        }
        let out: Vec<_> = verdict.ruled_out.iter().map(|r| (r.rule.as_str(), r.sha.as_deref().unwrap_or(""))).collect();
        assert!(out.contains(&("kmem-accounting-leak", "d6e0b7fa1186")), "{out:?}");
        let caches = case.facts.iter().find(|f| f.kind == "node.memcg_caches").expect("memcg_slabinfo");
        assert_eq!(caches.int("dead"), Some(0), "{name}");
        assert!(caches.int("taken_over") > Some(500), "{name}");
    }
    // More than 65,535 are counted, and the next one could be made.
    let (case, verdict) = recorded("v1-4.18-many-before");
    let counted = case.facts.iter().find(|f| f.kind == "cgroup.controllers" && f.text("controller") == Some("memory"));
    assert_eq!(counted.and_then(|f| f.int("num_cgroups")), Some(70_009));
    assert_eq!(grade(&verdict, "memcg-id-exhaustion"), "none");
    let out = verdict.ruled_out.iter().find(|r| r.rule == "memcg-id-exhaustion").expect("it is ruled out");
    assert!(out.why.contains("gives its id back"), "{}", out.why);
    // Accounting is on for every cgroup that holds caches, off with cgroup.memory=nokmem; both leave empty files.
    let accounting = |name: &str| {
        let (case, _) = recorded(name);
        let kmem = case.facts.iter().filter(|f| f.kind == "cgroup.kmem");
        let mut words: Vec<_> = kmem.filter_map(|f| f.text("accounting").map(str::to_owned)).collect();
        words.sort();
        words.dedup();
        words
    };
    assert_eq!(accounting("v1-4.18-before"), ["empty", "on"]);
    assert_eq!(accounting("v1-4.18-nokmem"), ["empty"]);
}

/// What v2 shows of kernel memory is in memory.stat; there is no accounting to switch on, so the 3.10 leak is out of
/// the question, and the verdict says why.
#[test]
fn version_two_trees_rule_the_3_10_leak_out() {
    for name in ["v2-6.1-before", "v2-6.12-before", "v1-6.1-before"] {
        let (case, verdict) = recorded(name);
        assert!(verdict.ruled_out.iter().any(|r| r.rule == "kmem-accounting-leak"), "{name}");
        let kmem: Vec<_> = case.facts.iter().filter(|f| f.kind == "cgroup.kmem").collect();
        if name.starts_with("v2") {
            assert!(kmem.is_empty(), "{name}");
            let top =
                case.facts.iter().find(|f| f.kind == "cgroup.memory" && f.text("path") == Some("/kubepods.slice"));
            let top = top.expect("the slice of all pods");
            assert!(top.int("kernel_bytes") > Some(10 << 20) && top.int("percpu_bytes") > Some(10 << 20), "{name}");
        } else {
            assert!(kmem.iter().all(|f| f.text("accounting") == Some("empty")), "{name}");
        }
    }
}

/// Composed from the pieces of an article on a slow memory.stat: together they prove, each alone is less.
#[test]
fn pieces_of_the_slow_read_add_up() {
    let rule = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/memcg-stat-slow/fires");
    let of = |names: &[&str]| {
        let paths: Vec<PathBuf> = names.iter().map(|n| rule.join(n)).collect();
        grade(&judged(&paths).1, "memcg-stat-slow")
    };
    assert_eq!(of(&["ticket-4.4.txt"]), "confirmed");
    assert_eq!(of(&["time-cat.txt", "kubelet.folded", "strace-c.txt"]), "probable");
    assert_eq!(of(&["time-cat.txt"]), "consistent");
    assert_eq!(of(&["kubelet.folded"]), "exposed");
    assert_eq!(of(&["strace-c.txt"]), "none");
}
