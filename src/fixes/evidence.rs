//! Direct proof from a machine's own data: symbols, structure members, live patches.

use facts::{Fact, FieldDef, FieldType, KindDef};

use super::curated::{Curated, Fix, Proves};

/// The fact kinds that decide about a fix by themselves. Parsers of memory and of node state make them.
pub const KINDS: &[KindDef] = &[
    KindDef {
        kind: "mem.symbol_proof",
        doc: "Whether the kernel in the dump has a symbol, or a structure member, that a fix adds or removes",
        fields: &[
            FieldDef { name: "symbol", ty: FieldType::Text, unit: "", doc: "symbol name, or type.member" },
            FieldDef {
                name: "there",
                ty: FieldType::Bool,
                unit: "",
                doc: "false only from a complete symbol or type table",
            },
        ],
    },
    KindDef {
        kind: "mem.livepatch",
        doc: "A live patch loaded in the kernel; other parsers say the same as node.livepatch or log.livepatch",
        fields: &[
            FieldDef { name: "name", ty: FieldType::Text, unit: "", doc: "name of the patch" },
            FieldDef { name: "enabled", ty: FieldType::Bool, unit: "", doc: "switched on" },
            FieldDef { name: "transition", ty: FieldType::Bool, unit: "", doc: "tasks are still being moved" },
            FieldDef { name: "function", ty: FieldType::Text, unit: "", doc: "a function it replaces" },
            FieldDef {
                name: "functions",
                ty: FieldType::List,
                unit: "",
                doc: "the functions it replaces, those of modules as object:function",
            },
        ],
    },
];

/// Names of the symbols and members (`type.member`) that some commit on record can be proved by; what a reader of memory
/// should look for.
pub fn probes() -> impl Iterator<Item = &'static str> {
    Curated::embedded().fixes.iter().flat_map(|fix| &fix.proofs).map(|proof| proof.name.as_str())
}

/// What the facts prove about a fix, with the sentence that says so.
pub(super) fn symbol_proof(fix: &Fix, facts: &[Fact]) -> Option<(Proves, String)> {
    facts.iter().filter(|fact| fact.kind == "mem.symbol_proof").find_map(|fact| {
        let name = fact.text("symbol")?;
        let there = fact.get("there")?.as_bool()?;
        let proof = fix.proofs.iter().find(|proof| proof.name == name)?;
        let proves = if there { proof.there } else { proof.not_there }?;
        let kind = if name.contains('.') { "member" } else { "symbol" };
        let verb = if there { "has" } else { "lacks" };
        let means = match proves {
            Proves::Present => "so the fix is in",
            Proves::Missing => "so the fix is not in",
        };
        Some((proves, format!("this kernel {verb} the {kind} {name}, {means}")))
    })
}

/// What a live patch says about a fix.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Livepatch {
    /// An enabled patch replaces the function that the fix changes.
    Replaces { patch: String, function: String },
    /// A patch is in, and it cannot be said whether it carries the fix.
    Unclear { patch: String },
}

/// Looks for live patches; an enabled one that names a function of the fix comes first.
pub(super) fn livepatch(fix: &Fix, facts: &[Fact]) -> Option<Livepatch> {
    let mut unclear = None;
    for fact in facts.iter().filter(|fact| fact.kind.ends_with(".livepatch")) {
        let flag = |name: &str| fact.get(name).and_then(facts::Value::as_bool);
        if flag("enabled") == Some(false) {
            continue;
        }
        let patch = fact.text("name").unwrap_or("without a name").to_owned();
        let listed = fact.get("functions").and_then(facts::Value::as_list).unwrap_or(&[]);
        let named = fact.text("function").into_iter().chain(listed.iter().filter_map(facts::Value::as_text));
        let hit = named
            .map(|name| name.rsplit(':').next().unwrap_or(name))
            .find(|name| fix.functions.iter().any(|function| function == name));
        match hit {
            Some(function) if flag("enabled") == Some(true) && flag("transition") != Some(true) => {
                return Some(Livepatch::Replaces { patch, function: function.to_owned() });
            }
            _ => unclear = unclear.or(Some(Livepatch::Unclear { patch })),
        }
    }
    unclear
}

#[cfg(test)]
mod tests {
    use facts::Origin;

    use super::super::{Release, State, status};
    use super::*;

    fn fact(kind: &'static str) -> Fact {
        Fact::new(kind, Origin::whole("vmcore"))
    }

    fn state(sha: &str, release: &str, facts: &[Fact]) -> State {
        status(sha, &Release::parse(release, None, None), facts).state
    }

    const FNHE: &str = "ee60ad219f5c";
    const EL7_6: &str = "3.10.0-957.el7.x86_64";

    #[test]
    fn a_symbol_beats_the_build_number() {
        let symbol =
            |there: bool| [fact("mem.symbol_proof").with("symbol", "__kmemcg_cache_deactivate").with("there", there)];
        assert_eq!(state("d6e0b7fa1186", EL7_6, &[]), State::Missing);
        assert_eq!(state("d6e0b7fa1186", EL7_6, &symbol(true)), State::Present);
        // Later kernels dropped the function, so its absence proves nothing.
        assert_eq!(state("d6e0b7fa1186", "6.1.1", &symbol(false)), State::Present);
    }

    #[test]
    fn a_live_patch_counts_only_when_enabled_and_through() {
        let patch = || fact("mem.livepatch").with("name", "kpatch_957").with("function", "ip_del_fnhe");
        assert_eq!(state(FNHE, EL7_6, &[patch().with("enabled", true)]), State::Present);
        assert_eq!(state(FNHE, EL7_6, &[patch().with("enabled", false)]), State::Missing);
        let listed = fact("node.livepatch").with("name", "lp").with("enabled", true);
        assert_eq!(
            state("ac1499fcd40f", "6.1.1", &[listed.with("functions", vec!["ip:fnhe_remove_oldest"])]),
            State::Present
        );
        assert_eq!(state(FNHE, EL7_6, &[patch().with("enabled", true).with("transition", true)]), State::Unknown);
        assert_eq!(state(FNHE, EL7_6, &[patch()]), State::Unknown);
    }

    #[test]
    fn a_live_patch_of_unknown_content_leaves_the_status_open() {
        let patch = fact("node.livepatch").with("name", "lp").with("enabled", true).with("functions", vec!["sys_open"]);
        assert_eq!(state(FNHE, EL7_6, std::slice::from_ref(&patch)), State::Unknown);
        assert_eq!(state(FNHE, "3.10.0-1160.el7.x86_64", &[patch]), State::Present);
    }

    #[test]
    fn the_probes_are_names() {
        assert!(probes().count() >= 5);
        assert!(probes().all(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.".contains(&b))));
    }
}
