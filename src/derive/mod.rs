//! What follows from facts without knowledge of any single bug: the blamed frame and the signature of each event.
//!
//! Works on facts only. Each conclusion names the fact it is about by `event`, its position in the input.

mod blame;
mod fault;
pub mod functions;
mod hardware;
mod instruction;
mod kinds;
mod lockup;
pub mod names;
mod path;
mod pointer;
mod signature;

use std::collections::BTreeMap;

use facts::{Address, Fact, Origin, Value};

pub use kinds::KINDS;

/// Concludes from the facts of one case. The result is in the order of the facts.
///
/// ```
/// use facts::{Fact, Origin};
/// let oops = Fact::new("log.oops", Origin::lines("dmesg", 5, 30))
///     .with("class", "null-deref")
///     .with("severity", "report")
///     .with("function", "ip6mr_sk_done");
/// let derived = vmcoroner::derive::derive(&[oops]);
/// assert_eq!(derived[0].text("function"), Some("ip6mr_sk_done"));
/// ```
pub fn derive(facts: &[Fact]) -> Vec<Fact> {
    let mut derived = Vec::new();
    for (at, fact) in facts.iter().enumerate() {
        if let Some(sign) = hardware::hardware(fact) {
            derived.push(
                Fact::new("derived.hardware", origin(fact))
                    .with("event", at)
                    .with("sign", sign.kind)
                    .with("uncorrected", sign.uncorrected)
                    .with("what", sign.what.as_str())
                    .quoting(sign.what),
            );
        }
        if speaks_of_code(fact) {
            let fact = path::joined(fact, facts.get(at + 1));
            event(at, &fact, &mut derived);
        }
    }
    derived.extend(lockup::lockups(facts).into_iter().map(|lockup| lockup_fact(facts, lockup)));
    derived
}

fn lockup_fact(facts: &[Fact], lockup: lockup::Lockup) -> Fact {
    let member = lockup.events.first().and_then(|at| facts.get(*at)).map_or("", |f| f.origin.member.as_str());
    let how = match lockup::lines(facts, &lockup.events) {
        Some((first, last)) => format!("from {} lockups at {first}-{last}", lockup.events.len()),
        None => format!("from {} lockups", lockup.events.len()),
    };
    let mut fact = Fact::new("derived.lockup", Origin::derived(member, how))
        .with_opt("event", lockup.events.first().copied())
        .with("events", lockup.events)
        .with_opt("culprit_cpu", lockup.culprit)
        .with("waiting_cpus", lockup.waiting)
        .with("reason", lockup.reason.as_str())
        .quoting(lockup.reason.as_str());
    if let Some(hop) = lockup.function {
        fact = fact.with("function", hop.function).with_opt("module", hop.module);
    }
    fact
}

/// Events whose frames mean something: reports, panics, and failures that print a trace.
fn speaks_of_code(fact: &Fact) -> bool {
    fact.kind.starts_with("log.")
        && match fact.text("severity") {
            Some("report" | "panic") => true,
            Some("failure") => !fact.stacks.is_empty(),
            _ => false,
        }
}

fn event(at: usize, fact: &Fact, derived: &mut Vec<Fact>) {
    if let Some(fault) = fault::fault(fact) {
        derived.push(
            Fact::new("derived.fault", origin(fact))
                .with("event", at)
                .with("meaning", fault.meaning)
                .with("text", fault.text.as_str())
                .with_opt("register", fault.register)
                .with_opt("value", fault.value.map(Address))
                .with_opt("instruction", fault.instruction)
                .with_opt("offset", fault.offset)
                .quoting(fault.text),
        );
    }
    let Some(blame) = blame::blame(fact) else { return };
    let Some(first) = blame.candidates.first() else { return };
    let class = fact.text("class").unwrap_or("");
    let candidates: Vec<Value> = blame
        .candidates
        .iter()
        .map(|c| {
            let mut record: BTreeMap<String, Value> = BTreeMap::new();
            record.insert("function".to_owned(), c.function.as_str().into());
            if let Some(module) = &c.module {
                record.insert("module".to_owned(), module.as_str().into());
            }
            record.insert("reason".to_owned(), c.reason.as_str().into());
            Value::Record(record)
        })
        .collect();
    derived.push(
        Fact::new("derived.blamed", origin(fact))
            .with("event", at)
            .with("class", class)
            .with("function", first.function.as_str())
            .with_opt("module", first.module.as_deref())
            .with("reason", first.reason.as_str())
            .with("candidates", candidates)
            .with("alternatives", blame.alternatives.clone())
            .with_opt("freed_by", blame.freed_by.as_deref())
            .with_opt("allocated_by", blame.allocated_by.as_deref())
            .quoting(format!("{}: {}", first.function, first.reason)),
    );
    let signature = signature::signature(class, &blame);
    derived.push(
        Fact::new("derived.signature", origin(fact))
            .with("event", at)
            .with("class", class)
            .with("signature", signature.key)
            .with("frames", signature.frames)
            .with_opt("module", signature.module)
            .with("alternatives", signature.alternatives),
    );
}

/// The origin of what is concluded from a fact.
fn origin(fact: &Fact) -> Origin {
    let place = fact.origin.to_string();
    let place = place.strip_prefix(fact.origin.member.as_str()).unwrap_or(&place).trim_start_matches([':', ' ']);
    Origin::derived(fact.origin.member.clone(), format!("from {} at {}", fact.kind, place))
}
