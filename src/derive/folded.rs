//! Watchdogs repeat themselves, and a finding is one for all that they say of one place: it tells every CPU and the
//! longest time, where the first report alone knows one CPU and the shortest.

use std::collections::{BTreeMap, BTreeSet};

use facts::{Fact, Value};

use super::sequence::{Near, SECOND};
use super::{hardware, headline, origin};

/// The time that a watchdog says, by what it grows.
const LENGTHS: &[&str] = &["seconds", "jiffies"];

/// Gives the reports of one failure one headline, the one of all of them together.
pub(super) fn fold(facts: &[Fact], derived: &mut Vec<Fact>) {
    let event_of = |d: &Fact| d.int("event").and_then(|at| usize::try_from(at).ok());
    let of_kind = |kind: &'static str| derived.iter().filter(move |d| d.kind == kind);
    let blamed: BTreeMap<usize, &str> =
        of_kind("derived.blamed").filter_map(|d| Some((event_of(d)?, d.text("function")?))).collect();
    let mut set_aside: BTreeSet<usize> = of_kind("derived.passing").filter_map(event_of).collect();
    set_aside.extend(of_kind("derived.copy").filter_map(event_of));
    let mut groups: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (at, fact) in facts.iter().enumerate().filter(|(at, f)| is_watchdog(f) && !set_aside.contains(at)) {
        let function = blamed.get(&at).copied().or(fact.text("function")).unwrap_or("");
        groups.entry((fact.text("class").unwrap_or(""), function)).or_default().push(at);
    }
    let mut titles: Vec<(usize, String, String)> = groups.values().flat_map(|group| titles(facts, group)).collect();
    titles.extend(senses(facts));
    titles.extend(outcomes(facts));
    titles.extend(not_recovered(facts));
    for (at, old, new) in titles {
        let is_it = |d: &&mut Fact| d.kind == "derived.headline" && event_of(d) == Some(at);
        match derived.iter_mut().find(is_it) {
            Some(headline) => {
                let title = headline.text("title").unwrap_or_default().replacen(&old, &new, 1);
                headline.values.insert("title".into(), title.into());
            }
            None => {
                let Some(fact) = facts.get(at) else { continue };
                derived.push(Fact::new("derived.headline", origin(fact)).with("event", at).with("title", new));
            }
        }
    }
}

/// The block layer has its words for a command, the drive its own: where the drive says what is wrong with it, that is the
/// headline, whatever line stands first.
fn senses(facts: &[Fact]) -> Vec<(usize, String, String)> {
    const OWN_WORDS: &[&str] = &["Medium Error", "Hardware Error", "Data Protect", "Blank Check"];
    const WHILE: Near = Near { ns: 60 * SECOND, lines: 200 };
    let speaks = |fact: &Fact| {
        fact.kind == "log.scsi_error" && fact.text("sense_key").is_some_and(|key| OWN_WORDS.contains(&key))
    };
    let drives: Vec<&Fact> = facts.iter().filter(|fact| speaks(fact)).collect();
    let title = |(at, fact): (usize, &Fact)| {
        let device = fact.text("device").filter(|_| fact.kind == "log.block_io_error")?;
        let drive = drives.iter().find(|d| d.text("device") == Some(device) && WHILE.holds(fact, d))?;
        Some((at, headline::headline(fact)?, headline::headline(drive)?))
    };
    facts.iter().enumerate().filter_map(title).collect()
}

/// What came of the resets after a ring that stood still belongs to it.
fn outcomes(facts: &[Fact]) -> Vec<(usize, String, String)> {
    const AFTER: Near = Near { ns: 60 * SECOND, lines: 300 };
    let of = |fact: &Fact| fact.get("outcome").and_then(Value::as_list).unwrap_or_default().to_vec();
    let title = |(at, fact): (usize, &Fact)| {
        (fact.kind == "log.gpu_error" && fact.text("what") == Some("ring-timeout")).then_some(())?;
        let same = |late: &&Fact| {
            late.kind == "log.gpu_error"
                && matches!(late.text("what"), Some("reset" | "not-responding"))
                && late.text("driver") == fact.text("driver")
                && late.text("device").zip(fact.text("device")).is_none_or(|(a, b)| a == b)
                && AFTER.holds(fact, late)
        };
        let resets: Vec<Value> = facts.iter().skip(at + 1).filter(same).take(2).flat_map(of).collect();
        (!resets.is_empty()).then_some(())?;
        let mut all = of(fact);
        all.extend(resets);
        Some((at, headline::headline(fact)?, headline::headline(&fact.clone().with("outcome", all))?))
    };
    facts.iter().enumerate().filter_map(title).collect()
}

/// That a device was not recovered is told with the error it was to be recovered from, also where a log is newest first.
fn not_recovered(facts: &[Fact]) -> Vec<(usize, String, String)> {
    let is_failure = |fact: &Fact| fact.kind == "log.pcie_error" && fact.text("what") == Some("recovery-failed");
    let mut titles = Vec::new();
    for (at, failed) in facts.iter().enumerate().filter(|(_, fact)| is_failure(fact)) {
        let own = |(_, error): &(usize, &Fact)| error.text("device") == failed.text("device");
        let Some((of, error)) = hardware::error_of(facts, failed).filter(own) else { continue };
        let why = match error.get("no_callback") {
            Some(_) => "; it was not recovered, as a driver below it takes no part in recoveries",
            None => "; it was not recovered",
        };
        let (Some(old), Some(said)) = (headline::headline(failed), headline::headline(error)) else { continue };
        let new = format!("{said}{why}");
        titles.push((at, old, new.clone()));
        titles.push((of, said, new));
    }
    titles
}

fn is_watchdog(fact: &Fact) -> bool {
    matches!(&*fact.kind, "log.soft_lockup" | "log.hard_lockup" | "log.rcu_stall" | "log.workqueue_lockup")
}

/// For each event its own title and the one of the group, where they differ.
fn titles(facts: &[Fact], group: &[usize]) -> Vec<(usize, String, String)> {
    let members: Vec<(usize, &Fact)> = group.iter().filter_map(|at| Some((*at, facts.get(*at)?))).collect();
    let [(_, first), _, ..] = members.as_slice() else { return Vec::new() };
    let cpus: BTreeSet<i64> = members.iter().flat_map(|(_, fact)| cpus(fact)).collect();
    let mut all = (*first).clone();
    for length in LENGTHS {
        let longest = members.iter().filter_map(|(_, fact)| fact.int(length)).max();
        if let Some(longest) = longest.filter(|longest| members.iter().any(|(_, f)| f.int(length) != Some(*longest))) {
            all.set(*length, longest);
            all.set("longest", true);
        }
    }
    if cpus.len() > 1 {
        all.set("cpus", cpus.into_iter().collect::<Vec<_>>());
    }
    if members.iter().any(|(_, fact)| fact.text("comm") != first.text("comm")) {
        all.values.remove("comm");
    }
    let own = |fact: &Fact| headline::headline(fact).or_else(|| fact.text("title").map(str::to_owned));
    let Some(new) = own(&all) else { return Vec::new() };
    members
        .iter()
        .filter_map(|(at, fact)| Some((*at, own(fact)?, new.clone())))
        .filter(|(_, old, new)| old != new)
        .collect()
}

/// The CPUs that a report is about.
pub(super) fn cpus(fact: &Fact) -> Vec<i64> {
    match fact.get("cpus").and_then(Value::as_list) {
        Some(cpus) => cpus.iter().filter_map(Value::as_int).collect(),
        None => fact.int("cpu").into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use facts::Origin;

    use crate::derive::derive;

    use super::*;

    fn title_of(facts: &[Fact]) -> String {
        let derived = derive(facts);
        let first = derived.iter().find(|d| d.kind == "derived.headline" && d.int("event") == Some(0));
        first.or(facts.first()).and_then(|d| d.text("title")).unwrap_or_default().to_owned()
    }

    #[test]
    fn what_a_drive_says_of_itself_leads() {
        let block = |device: &str| {
            Fact::new("log.block_io_error", Origin::lines("dmesg", 1, 1))
                .with("class", "io-error")
                .with("severity", "failure")
                .with("title", "block: critical target error")
                .with("device", device)
        };
        let drive = Fact::new("log.scsi_error", Origin::lines("dmesg", 2, 5))
            .with("class", "io-error")
            .with("severity", "failure")
            .with("title", "scsi: Hardware Error")
            .with("sense_key", "Hardware Error")
            .with("sense", "No defect spare location available")
            .with("target", "0:0:5:0")
            .with("device", "sdf");
        assert_eq!(
            title_of(&[block("sdf"), drive.clone()]),
            "sdf (SCSI 0:0:5:0): Hardware Error (No defect spare location available); no spare sectors are left: replace it"
        );
        assert_eq!(title_of(&[block("sdg"), drive.clone()]), "sdg: critical target error");
        assert_eq!(title_of(&[block("sdf"), drive.with("sense_key", "Not Ready")]), "sdf: critical target error");
    }

    #[test]
    fn repeats_of_a_watchdog_tell_every_cpu_and_the_longest_time() {
        let soft = |cpu: i64, seconds: i64, function: Option<&str>| {
            let in_function = function.map(|f| format!(" in {f}")).unwrap_or_default();
            Fact::new("log.soft_lockup", Origin::lines("dmesg", cpu.unsigned_abs(), cpu.unsigned_abs()))
                .with("class", "soft-lockup")
                .with("severity", "report")
                .with("title", format!("BUG: soft lockup{in_function}"))
                .with("comm", "rtcwake")
                .with("cpu", cpu)
                .with("seconds", seconds)
                .with_opt("function", function)
        };
        assert_eq!(
            title_of(&[soft(1, 45, None), soft(1, 130, None), soft(1, 71, None)]),
            "BUG: soft lockup (CPU 1; up to 130 s; rtcwake)"
        );
        assert_eq!(
            title_of(&[soft(2, 22, Some("foo_poll")), soft(0, 23, Some("foo_poll")), soft(1, 22, Some("foo_poll"))]),
            "BUG: soft lockup in foo_poll (CPUs 0-2; up to 23 s)"
        );
        // One report, and reports of two places, stay what they are.
        assert_eq!(title_of(&[soft(1, 22, Some("foo_poll"))]), "BUG: soft lockup in foo_poll");
        let two = [soft(1, 22, Some("foo_poll")), soft(2, 99, Some("bar_poll"))];
        assert_eq!(title_of(&two), "BUG: soft lockup in foo_poll");
        let stall = |cpu: i64, jiffies: i64| {
            Fact::new("log.rcu_stall", Origin::lines("dmesg", 1, 1))
                .with("class", "rcu-stall")
                .with("severity", "report")
                .with("title", "INFO: rcu detected stall")
                .with("cpus", vec![cpu])
                .with("jiffies", jiffies)
        };
        assert_eq!(
            title_of(&[stall(0, 15000), stall(1, 60031)]),
            "INFO: rcu detected stall: CPUs 0, 1, up to 60031 jiffies"
        );
    }
}
