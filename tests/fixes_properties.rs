//! Release strings come from damaged memory and cut logs: any text must give an answer.

use proptest::prelude::*;
use vmcoroner::fixes::{Release, catalogue, status};

/// Texts near the grammar: pieces of real strings in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("3.10.0-"),
        Just("4.18.0"),
        Just("5.14.0-"),
        Just("6.1.176"),
        Just("6.12.0-rc3"),
        Just("957"),
        Just(".27.2"),
        Just(".el7"),
        Just(".el8_4"),
        Just(".an8"),
        Just("_"),
        Just("-"),
        Just("."),
        Just("+"),
        Just("~"),
        Just(".x86_64"),
        Just("-generic"),
        Just("-default"),
        Just("-amd64"),
        Just(".rt56"),
        Just(".fc34"),
        Just("-android13-"),
        Just("Debian "),
        Just("#1 SMP "),
        Just("("),
        Just("2018-08-13"),
        Just("Nov 8 23:39:32 UTC 2018"),
        Just("-Ubuntu"),
        Just("4294967295"),
        Just("6.4294967295.0"),
        Just("20.4294967295.4294967295-rc1"),
        Just("99999999999"),
        Just("é"),
        Just(" "),
        Just("Linux version "),
        Just("+deb13"),
        Just("-150300."),
        Just("uek"),
        Just(".elrepo"),
        Just("-pve"),
        Just("0"),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn answers(release: &str, banner: Option<&str>, signature: Option<&str>) {
    let release = Release::parse(release, banner, signature);
    for fix in catalogue() {
        assert!(!status(&fix.sha, &release, &[]).why.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_gives_an_answer(release in any::<String>(), banner in any::<Option<String>>(), signature in any::<Option<String>>()) {
        answers(&release, banner.as_deref(), signature.as_deref());
    }

    #[test]
    fn text_near_the_grammar_gives_an_answer(release in pieces(), banner in pieces(), signature in pieces()) {
        answers(&release, Some(&banner), Some(&signature));
    }

    #[test]
    fn a_later_release_of_a_branch_never_loses_a_fix(branch in prop::sample::select(vec!["4.4", "4.14", "4.19", "5.4", "5.10", "5.15", "6.1", "6.6", "6.12"]), c in 1u32..400) {
        use vmcoroner::fixes::State::Present;
        let at = |c| Release::parse(&format!("{branch}.{c}"), None, None);
        for fix in catalogue() {
            if status(&fix.sha, &at(c), &[]).state == Present {
                prop_assert_eq!(status(&fix.sha, &at(c + 1), &[]).state, Present, "{} {}.{}", &fix.sha, branch, c);
            }
        }
    }

    #[test]
    fn the_unknown_keeps_its_text(release in "[a-z ]{1,20}") {
        prop_assert_eq!(Release::parse(release.trim(), None, None).raw, release.trim());
    }
}
