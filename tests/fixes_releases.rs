//! Real release strings against twenty fixes: the table in `testdata/fixes` was worked out without this program.

use vmcoroner::fixes::{Release, State, status};

/// Cells in which the table and the data on record differ, each with its reason.
const DIFFERENT: &[(&str, &str, char, &str)] = &[
    (
        "5.14.0-570.32.1.el9_6.x86_64",
        "8f905c0e7354",
        'P',
        "the table has U; the RHEL 9 changelog lists the subject under 5.14.0-103.el9, long before 9.6",
    ),
    ("4.4.227-1.el7.elrepo.x86_64", "4ee806d51176", 'P', "the table has U; the changelog of 4.4.114 lists the subject"),
];

/// The table writes M on this kernel where its own rule for vendors that build on a stable base gives m: tlinux 2 is a
/// vendor's tree, so the caveat stays. The state is the same.
const CAVEAT_KEPT: &str = "3.10.104-1-tlinux2-0041.tl2";

fn letter(state: State, on_top_possible: bool) -> char {
    match (state, on_top_possible) {
        (State::Present, _) => 'P',
        (State::Missing, false) => 'M',
        (State::Missing, true) => 'm',
        (State::NotNeeded, _) => 'N',
        (State::Unknown, _) => 'U',
    }
}

#[test]
fn every_cell_of_the_table_of_real_releases() {
    let table = include_str!("../testdata/fixes/releases.tsv");
    let mut lines = table.lines();
    let shas: Vec<&str> = lines.next().unwrap().split('\t').skip(2).collect();
    assert_eq!(shas.len(), 20);
    let (mut cells, mut faults) = (0, Vec::new());
    for line in lines {
        let mut fields = line.split('\t');
        let (name, banner) = (fields.next().unwrap(), fields.next().unwrap());
        let release = Release::parse(name, Some(banner).filter(|b| !b.is_empty()), None);
        for (sha, expected) in shas.iter().zip(fields) {
            let expected = expected.chars().next().unwrap();
            let answer = status(sha, &release, &[]);
            let found = letter(answer.state, answer.on_top_possible);
            let different = DIFFERENT.iter().find(|(r, s, _, _)| (*r, *s) == (name, *sha));
            let wanted = match different {
                Some((_, _, letter, _)) => *letter,
                None if name == CAVEAT_KEPT && expected == 'M' => 'm',
                None => expected,
            };
            assert!(!answer.why.is_empty());
            cells += 1;
            if found != wanted {
                faults.push(format!("{name} {sha}: expected {wanted}, found {found}: {}", answer.why));
            }
        }
    }
    assert_eq!(cells, 73 * 20);
    assert!(faults.is_empty(), "{} of {cells} cells differ:\n{}", faults.len(), faults.join("\n"));
}

fn state(sha: &str, release: &str, banner: Option<&str>) -> (State, bool) {
    let answer = status(sha, &Release::parse(release, banner, None), &[]);
    (answer.state, answer.on_top_possible)
}

const FNHE_OLDEST: &str = "ac1499fcd40f";
const FNHE: &str = "ee60ad219f5c";

#[test]
fn the_debian_banner_tells_the_stable_level() {
    let banner = |level: &str| {
        format!(
            "Linux version 6.1.0-50-cloud-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0, \
             GNU ld (GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian {level} (2026-07-09)"
        )
    };
    let release = "6.1.0-50-cloud-amd64";
    assert_eq!(state(FNHE_OLDEST, release, Some(&banner("6.1.176-1"))), (State::Present, false));
    assert_eq!(state(FNHE_OLDEST, release, Some(&banner("6.1.158-1"))), (State::Missing, true));
    assert_eq!(state(FNHE_OLDEST, release, None), (State::Unknown, false));
    assert_eq!(state(FNHE, release, None), (State::Present, false));
    // Kali prints the same form; since 6.10 Debian writes the level into the release.
    assert_eq!(state(FNHE_OLDEST, "6.12.43+deb13-amd64", None), (State::Missing, true));
    assert_eq!(state(FNHE_OLDEST, "6.12.73+deb13-cloud-arm64", None), (State::Present, false));
}

#[test]
fn own_builds_of_stable_releases_and_new_majors_are_read() {
    assert_eq!(state(FNHE_OLDEST, "6.1.192-lab", None), (State::Present, false));
    assert_eq!(state(FNHE_OLDEST, "6.1.58-lab", None), (State::Missing, true));
    for release in ["7.0.0", "7.0", "7.1.3-arch1-1", "7.2.0-rc1", "10.0.1"] {
        assert_eq!(state(FNHE_OLDEST, release, None).0, State::Present, "{release}");
    }
    // Nobody knows at which stable level an unknown vendor's A.B.0 is.
    assert_eq!(state(FNHE_OLDEST, "6.1.0-acme3", None).0, State::Unknown);
}

#[test]
fn fields_are_compared_as_numbers() {
    assert_eq!(state(FNHE_OLDEST, "5.4.99", None).0, State::NotNeeded);
    assert_eq!(state(FNHE_OLDEST, "5.4.301", None).0, State::Missing);
    assert_eq!(state(FNHE_OLDEST, "5.4.1000", None).0, State::Present);
    assert_eq!(state(FNHE, "3.10.0-957.3.1.el7.x86_64", None).0, State::Missing);
    assert_eq!(state(FNHE, "3.10.0-957.100.1.el7.x86_64", None).0, State::Present);
}

#[test]
fn the_version_signature_tells_ubuntus_stable_level() {
    let read =
        |signature| Release::parse("5.4.0-97-generic", Some("#110-Ubuntu SMP Thu Jan 13 18:22:13 UTC 2022"), signature);
    let without = status("cdef485217d3", &read(None), &[]);
    let with = status("cdef485217d3", &read(Some("Ubuntu 5.4.0-97.110-generic 5.4.162")), &[]);
    assert_eq!((without.state, with.state), (State::Unknown, State::Missing));
    assert!(with.why.contains("5.4.164") && with.why.contains("5.4.162"), "{}", with.why);
}

#[test]
fn a_kernel_built_before_the_fix_was_written_cannot_have_it() {
    let built = |date: &str| format!("#1 SMP {date}");
    // A z-stream without changelog data is unknown by its number; the day in the banner decides.
    assert_eq!(state("d6e0b7fa1186", "3.10.0-123.20.1.el7.x86_64", None).0, State::Unknown);
    assert_eq!(
        state("d6e0b7fa1186", "3.10.0-123.20.1.el7.x86_64", Some(&built("Thu Jan 29 18:05:33 UTC 2015"))).0,
        State::Missing
    );
    // A build day before the kernel existed is no evidence.
    assert_eq!(
        state("9e4b7a99a03a", "5.15.0-79-generic", Some(&built("Tue Jan 1 00:00:00 UTC 1980"))).0,
        State::Unknown
    );
    assert_eq!(
        state("9e4b7a99a03a", "5.15.0-30-generic", Some(&built("Thu Apr 28 12:00:00 UTC 2022"))).0,
        State::Missing
    );
}

#[test]
fn candidates_and_development_trees_have_what_came_before_them() {
    // First released in 5.4; a candidate of a stable release of 5.4 has it, a candidate of 5.4 itself may.
    let throttling = "de53fd7aedb1";
    assert_eq!(state(throttling, "5.4.114-rc1", None).0, State::Present);
    assert_eq!(state(throttling, "5.4.0-rc3", None).0, State::Unknown);
    assert_eq!(state("15e668070a64", "4.11.0-rc2", None).0, State::Unknown);
    assert_eq!(state("15e668070a64", "4.11.0-rc4+", None).0, State::Present);
    // A stable candidate may already carry what its release will have.
    assert_eq!(state(FNHE_OLDEST, "6.1.160-rc1", None).0, State::Present);
    assert_eq!(state(FNHE_OLDEST, "6.1.159-rc1", None), (State::Missing, true));
    // A tree on the way from 6.17 to 6.18.
    assert_eq!(state(FNHE_OLDEST, "6.17.0-next-20251105", None).0, State::Unknown);
    assert_eq!(state(FNHE_OLDEST, "6.14.0-syzkaller-12456-gacc4d5ff0b61", None).0, State::Missing);
}
