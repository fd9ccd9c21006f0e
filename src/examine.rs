//! From cases to verdicts: fix statuses as facts, the rules, the verdict.

use facts::{Fact, Origin};

use crate::case::Case;
use crate::engine::{Rules, evaluate};
use crate::fixes;
use crate::trace::trace;
use crate::verdict::{BootEnd, Evidence, Machine, Register, SCHEMA, Verdict};

/// Name and version as printed in verdicts.
pub const TOOL: &str = concat!("vmcoroner ", env!("CARGO_PKG_VERSION"));

/// Evaluates the rules on a case. The case is not changed: what is concluded on top of its facts is not saved.
pub fn examine(case: &Case, rules: &Rules) -> Verdict {
    examine_last(case.clone(), rules)
}

/// The same for a case that nobody needs any more.
pub fn examine_last(mut case: Case, rules: &Rules) -> Verdict {
    case.facts.extend(statuses(&case, rules));
    let mut outcome = evaluate(&case, rules);
    for (finding, facts) in outcome.findings.iter_mut().zip(&outcome.rests_on) {
        finding.trace = trace(&case, facts);
    }
    let boots = case.facts.iter().filter(|f| f.kind == "derived.boot_end").map(boot_end).collect();
    let registers = registers(&case.facts);
    let machine = case.facts.iter().find(|f| f.kind == "mem.kernel").map(machine);
    Verdict {
        boots,
        schema: SCHEMA,
        tool: TOOL.to_owned(),
        identity: case.identity,
        machine,
        findings: outcome.findings,
        ruled_out: outcome.ruled_out,
        candidates: Vec::new(),
        not_evaluated: outcome.not_evaluated,
        gaps: {
            let mut gaps = coalesced(case.gaps.into_iter().chain(outcome.gaps).collect());
            gaps.sort_by_key(|gap| gap.what != kernel::REFUSED);
            gaps
        },
        next: outcome.next,
        registers,
    }
}

/// A `mem.kernel` fact as the verdict shows it.
fn machine(fact: &Fact) -> Machine {
    let text = |name: &str| fact.text(name).map(str::to_owned);
    Machine {
        command_line: text("command_line"),
        uptime_s: fact.int("uptime_s"),
        taint: text("taint"),
        cpus: fact.int("cpus_present"),
    }
}

/// A `derived.boot_end` fact as the verdict shows it.
fn boot_end(fact: &Fact) -> BootEnd {
    let text = |name: &str| fact.text(name).map(str::to_owned);
    BootEnd {
        ended: text("ended").unwrap_or_default(),
        sure: fact.get("sure").and_then(facts::Value::as_bool).unwrap_or(false),
        kernel: text("kernel"),
        boot_id: text("boot_id"),
        time: text("time"),
        dump: text("dump"),
        dump_why: text("dump_why"),
        evidence: Evidence { origin: fact.origin.to_string(), text: fact.quote.clone() },
    }
}

/// What the registers of the first oops with any point at.
fn registers(facts: &[Fact]) -> Vec<Register> {
    let of = |fact: &&Fact| fact.kind == "mem.register";
    let text = |fact: &Fact, name: &str| fact.get(name).map(ToString::to_string).unwrap_or_default();
    let Some(function) = facts.iter().find(of).map(|fact| text(fact, "function")) else { return Vec::new() };
    let mut found: Vec<Register> = Vec::new();
    for fact in facts.iter().filter(of).filter(|fact| text(fact, "function") == function) {
        let register = text(fact, "register");
        // A second oops in the same function has its own.
        if found.iter().any(|r| r.register == register) {
            break;
        }
        found.push(Register {
            function: function.clone(),
            register,
            value: text(fact, "value"),
            what: text(fact, "what"),
        });
    }
    found
}

/// One `fix.status` fact for each commit that some rule names.
fn statuses(case: &Case, rules: &Rules) -> Vec<Fact> {
    let identity = &case.identity;
    let release = identity
        .kernel
        .as_deref()
        .map(|kernel| fixes::Release::parse(kernel, identity.banner.as_deref(), case.version_signature.as_deref()));
    rules
        .commits()
        .into_iter()
        .map(|sha| {
            let fact = Fact::new("fix.status", Origin::derived("case", "data on releases"))
                .with("sha", sha)
                .with_opt("subject", fixes::subject(sha));
            let status = match &release {
                Some(release) => fixes::status(sha, release, &case.facts),
                None => fixes::status_without_release(sha, &case.facts),
            };
            fact.with("state", status.state.word()).with("why", status.why)
        })
        .collect()
}

/// Gaps that say the same of several places, told once.
fn coalesced(gaps: Vec<facts::Gap>) -> Vec<facts::Gap> {
    let mut out: Vec<(facts::Gap, usize)> = Vec::new();
    for gap in gaps {
        match out.iter_mut().find(|(o, _)| o.what == gap.what && o.why == gap.why && o.closes == gap.closes) {
            Some((_, more)) => *more += 1,
            None => out.push((gap, 0)),
        }
    }
    out.into_iter()
        .map(|(mut gap, more)| {
            if more > 0 {
                gap.place = format!("{}, and {more} more places", gap.place);
            }
            gap
        })
        .collect()
}
