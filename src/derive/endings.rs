//! How each boot of a machine ended, from all its logs together, and why a dump that was due is not there.
//!
//! Order of proof: the boot's own text, hardware records of the next boot, what others noted (a cluster, the board, a
//! hypervisor), absence. What others noted counts only at the time at which the boot's text stops.

use facts::{Fact, Identity, Origin};

/// Seconds within which two clocks mean the same event.
const SAME: i64 = 600;
/// Seconds after a crash within which its dump is written.
const WRITTEN: i64 = 2 * 3600;

/// A moment as facts carry it: `2026-11-26 03:00:00`, or without the year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    year: Option<i64>,
    seconds: i64,
}

impl Moment {
    fn of(fact: &Fact) -> Option<Moment> {
        Self::named(fact, "time")
    }

    fn named(fact: &Fact, name: &str) -> Option<Moment> {
        Self::parse(fact.text(name)?)
    }

    /// Reads it as facts carry it.
    pub(crate) fn parse(text: &str) -> Option<Moment> {
        let (date, clock) = text.split_once(' ')?;
        let mut parts = date.rsplit('-').map(|part| part.parse::<i64>().ok());
        let (day, month) = (parts.next()??, parts.next()??);
        let year = parts.next().flatten();
        let mut clock = clock.split(':').map(|part| part.parse::<i64>().ok());
        let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
        const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let days = BEFORE.get(usize::try_from(month - 1).ok()?)? + day;
        Some(Moment { year, seconds: days * 86_400 + hour * 3600 + minute * 60 + second })
    }

    /// Seconds from `self` to `other`; `None` when they lie in different years.
    pub(crate) fn until(self, other: Moment) -> Option<i64> {
        let different = matches!((self.year, other.year), (Some(a), Some(b)) if a != b);
        (!different).then(|| other.seconds - self.seconds)
    }
}

/// One boot and how it ended.
struct Boot<'f> {
    fact: &'f Fact,
    how: &'f str,
    sure: bool,
    moment: Option<Moment>,
    /// Who else said so, in place of the boot's own text.
    other: Option<&'f Fact>,
}

impl<'f> Boot<'f> {
    fn of(fact: &'f Fact) -> Option<Boot<'f>> {
        let sure = fact.get("sure").and_then(facts::Value::as_bool).unwrap_or(true);
        Some(Boot { fact, how: fact.text("how")?, sure, moment: Moment::of(fact), other: None })
    }

    /// Whether two logs tell of the same boot.
    fn is(&self, other: &Boot<'_>) -> bool {
        match (self.fact.text("boot_id"), other.fact.text("boot_id")) {
            (Some(a), Some(b)) => a == b,
            _ if self.fact.origin.member == other.fact.origin.member => false,
            _ => match (self.moment, other.moment) {
                (Some(a), Some(b)) => a.until(b).is_some_and(|seconds| seconds.abs() <= SAME),
                _ => false,
            },
        }
    }

    fn panicked(&self) -> bool {
        matches!(self.how, "panic" | "crash-requested")
    }
}

fn flag(boot: &Boot<'_>, name: &str) -> Option<bool> {
    boot.fact.get(name).and_then(facts::Value::as_bool)
}

/// One `derived.boot_end` for each boot that is known to have ended, oldest first, and `derived.missing_dump`.
pub(super) fn endings(facts: &[Fact], identity: &Identity) -> Vec<Fact> {
    let mut boots = boots(facts);
    let noted: Vec<&Fact> =
        facts.iter().filter(|f| f.kind == "node.reset_by_others" && concerns(f, identity)).collect();
    hear_others(&mut boots, &noted);
    // A log of the kernel alone does not tell that a boot was not shut down in order: nothing is said of its end.
    boots.retain(|b| b.sure || b.how != "silent-reset" || flag(b, "user_space") != Some(false));
    boots.sort_by_key(|boot| boot.moment.map(|m| (m.year, m.seconds)));
    let mut out = Vec::new();
    let panics = boots.iter().filter(|boot| boot.panicked()).count();
    let last_panic = boots.iter().rposition(Boot::panicked);
    for (at, boot) in boots.iter().enumerate() {
        let dump = boot.panicked().then(|| dump_of(boot, facts, panics == 1, last_panic == Some(at)));
        let source = boot.other.unwrap_or(boot.fact);
        let mut fact = Fact::new("derived.boot_end", origin(source))
            .with("ended", boot.how)
            .with("sure", boot.sure)
            .with_opt("user_space", boot.fact.get("user_space").cloned())
            .with_opt("kernel", boot.fact.text("kernel"))
            .with_opt("boot_id", boot.fact.text("boot_id"))
            .with_opt("time", boot.fact.text("time"))
            .with_opt("last_line", boot.fact.text("last_line"))
            .quoting(source.quote.clone());
        if let Some(dump) = dump {
            fact = fact.with("dump", dump.state);
            if let Some((reason, evidence)) = dump.reason {
                let text = sentence(reason);
                fact = fact.with("dump_why", text);
                out.push(
                    Fact::new("derived.missing_dump", origin(evidence))
                        .with("state", dump.state)
                        .with("reason", reason)
                        .with("text", text)
                        .with("ended", boot.how)
                        .with_opt("kernel", boot.fact.text("kernel"))
                        .with_opt("time", boot.fact.text("time"))
                        .quoting(evidence.quote.clone()),
                );
            }
        }
        out.push(fact);
    }
    out
}

/// The boots that the logs show, each once, with the best account of its end; those of `last` where there is no log.
fn boots(facts: &[Fact]) -> Vec<Boot<'_>> {
    let all = || facts.iter().filter(|f| f.kind == "node.boot_end");
    let of = |source: &'static str| all().filter(move |f| f.text("source") == Some(source)).filter_map(Boot::of);
    let mut boots: Vec<Boot<'_>> = Vec::new();
    // The end of the capture kernel is no end of a boot of the machine.
    let own = of("log").filter(|b| flag(b, "capture_kernel") != Some(true));
    for boot in own {
        match boots.iter_mut().find(|known| known.is(&boot)) {
            Some(known) if (boot.sure, boot.how == "panic") > (known.sure, known.how == "panic") => *known = boot,
            Some(_) => {}
            None => boots.push(boot),
        }
    }
    // `last` stands newest first.
    let mut rows: Vec<Boot<'_>> = of("last").collect();
    rows.reverse();
    if boots.is_empty() {
        return rows;
    }
    let first = boots.iter().filter_map(|boot| boot.moment).min_by_key(|m| (m.year, m.seconds));
    for row in rows {
        let Some(ended) = row.moment else { continue };
        match boots.iter_mut().find(|boot| lived_in(boot, &row)) {
            // The record of logins knows of every orderly shutdown; what a log says itself stands above it.
            Some(boot) if !boot.sure && row.how == "clean" => {
                (boot.how, boot.sure, boot.other) = ("clean", true, Some(row.fact));
            }
            Some(boot) if boot.how == "silent-reset" => boot.sure = true,
            Some(_) => {}
            // A boot between those that the logs tell of; what came before them all is another story.
            None if first.is_some_and(|first| first.until(ended).is_some_and(|seconds| seconds > SAME)) => {
                boots.push(row)
            }
            None => {}
        }
    }
    boots
}

/// Whether the text of a boot stops in the time that a row of `last` spans.
fn lived_in(boot: &Boot<'_>, row: &Boot<'_>) -> bool {
    let (Some(stops), Some(ended)) = (boot.moment, row.moment) else { return false };
    let Some(started) = Moment::named(row.fact, "started") else { return boot.is(row) };
    let kernels = (boot.fact.text("kernel"), row.fact.text("kernel"));
    // An old `last` cuts the release.
    let same_kernel = !matches!(kernels, (Some(a), Some(b)) if !a.starts_with(b.trim_end_matches('.')));
    let within = |from: Moment, to: Moment| from.until(to).is_some_and(|seconds| seconds >= -60);
    same_kernel && within(started, stops) && within(stops, ended)
}

/// Whether a note of somebody else is about this machine.
fn concerns(note: &Fact, identity: &Identity) -> bool {
    let short = |name: &str| name.split('.').next().unwrap_or(name).to_ascii_lowercase();
    match (note.text("target"), &identity.host) {
        (Some(target), Some(host)) => short(target) == short(host),
        (Some(_), None) => false,
        (None, _) => true,
    }
}

/// Lets others say what a boot's own text does not: at the time at which that text stops.
fn hear_others<'f>(boots: &mut Vec<Boot<'f>>, noted: &[&'f Fact]) {
    let unsure = boots.iter().filter(|boot| !boot.sure).count();
    for note in noted.iter().copied() {
        let Some(how) = note.text("how") else { continue };
        let moment = Moment::of(note);
        let named = note.text("target").is_some();
        let near = |boot: &Boot<'_>| match (boot.moment, moment) {
            (Some(end), Some(told)) => end.until(told).map(|seconds| match note.text("source") {
                // The board's clock may be set to another zone.
                Some("sel") if seconds.abs() <= 14 * 3600 => {
                    let rest = seconds.rem_euclid(3600);
                    (rest.min(3600 - rest) <= SAME, seconds.abs() <= SAME)
                }
                _ => (seconds.abs() <= SAME, true),
            }),
            _ => (named && unsure == 1).then_some((true, false)),
        };
        let heard = |(at, boot): (usize, &Boot<'_>)| match near(boot) {
            Some((true, sure)) if !boot.sure => Some((at, sure)),
            _ => None,
        };
        let known = boots.iter().any(|boot| near(boot).is_some_and(|(same, _)| same));
        let found = boots.iter().enumerate().find_map(heard);
        match found.and_then(|(at, sure)| Some((boots.get_mut(at)?, sure))) {
            Some((boot, sure)) => {
                (boot.how, boot.sure, boot.other) = (how, sure, Some(note));
            }
            // A peer names the machine: that is an end of a boot of which no log tells.
            None if named && !known => {
                boots.push(Boot { fact: note, how, sure: true, moment, other: Some(note) });
            }
            None => {}
        }
    }
}

struct Dump<'f> {
    /// `given`, `saved`, `partial`, `absent`, `unknown`.
    state: &'static str,
    reason: Option<(&'static str, &'f Fact)>,
}

/// What became of the dump of a panic. `only`: there is no other panic it could be of.
fn dump_of<'f>(boot: &Boot<'_>, facts: &'f [Fact], only: bool, last: bool) -> Dump<'f> {
    let after = |fact: &Fact| match (boot.moment, Moment::of(fact)) {
        (Some(end), Some(told)) => end.until(told).is_some_and(|seconds| (-SAME..WRITTEN).contains(&seconds)),
        _ => only,
    };
    let index = boot.fact.int("boot");
    let member = boot.fact.origin.member.as_str();
    let said = |fact: &Fact| {
        let same_log = fact.origin.member == member;
        match fact.int("boot") {
            // What the boot itself said, and the capture kernel that follows it in the log.
            Some(at) if same_log => {
                Some(at) == index || index == Some(at - 1) && fact.get("capture_kernel") == Some(&true.into())
            }
            Some(_) => fact.get("capture_kernel") == Some(&true.into()) && after(fact),
            // State of the boot that was collected: true of the one before in all likelihood.
            None => last,
        }
    };
    let words: Vec<&Fact> = facts.iter().filter(|f| f.kind == "node.kdump" && said(f)).collect();
    let files: Vec<&Fact> = facts.iter().filter(|f| f.kind == "node.dump_file" && after(f)).collect();
    let word = |what: &str| words.iter().copied().find(|f| f.text("what") == Some(what));
    let file = |state: &str| files.iter().copied().find(|f| f.text("state") == Some(state));
    let dead = |f: &&Fact| f.kind == "dump.state" && f.get("live") == Some(&false.into());
    if facts.iter().any(|f| dead(&f)) && (only || last) {
        return Dump { state: "given", reason: None };
    }
    if file("whole").is_some() || word("saved").is_some() {
        return Dump { state: "saved", reason: None };
    }
    let partial = file("incomplete").or(word("incomplete"));
    let state = if partial.is_some() { "partial" } else { "absent" };
    // What stopped the capture explains more than what it left behind; what hindered it from the start comes next.
    const REASONS: [&str; 7] =
        ["capture-oom", "disk-full", "capture-failed", "reservation-failed", "not-reserved", "not-armed", "not-loaded"];
    let reason = REASONS.iter().find_map(|reason| word(reason).map(|fact| (*reason, fact)));
    let left = partial.map(|fact| ("incomplete", fact));
    let listed = file("empty").or(file("absent")).map(|fact| ("no-dump-in-folder", fact));
    match reason.or(left).or(listed) {
        Some(reason) => Dump { state, reason: Some(reason) },
        None => Dump { state: "unknown", reason: None },
    }
}

/// Why there is no whole dump, in words.
fn sentence(reason: &str) -> &'static str {
    match reason {
        "capture-oom" => "the capture kernel ran out of memory",
        "disk-full" => "the place for dumps was full",
        "capture-failed" => "the capture kernel could not save it",
        "reservation-failed" => "the memory for the capture kernel could not be reserved",
        "not-reserved" => "no memory was reserved for the capture kernel",
        "not-armed" => "the dump service did not load the capture kernel",
        "not-loaded" => "no capture kernel is loaded on the boot that was collected",
        "incomplete" => "saving it was not finished",
        _ => "its folder holds a log and no dump",
    }
}

fn origin(fact: &Fact) -> Origin {
    fact.origin.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(member: &str, boot: i64, how: &str, sure: bool, time: &str) -> Fact {
        Fact::new("node.boot_end", Origin::lines(member, 9, 9))
            .with("boot", boot)
            .with("how", how)
            .with("sure", sure)
            .with("source", "log")
            .with("time", time)
            .quoting("the last line")
    }

    fn kdump(member: &str, what: &str, boot: i64, capture: bool) -> Fact {
        Fact::new("node.kdump", Origin::lines(member, 10, 10))
            .with("what", what)
            .with("boot", boot)
            .with("capture_kernel", capture)
            .with("time", "11-26 03:05:00")
            .quoting(what)
    }

    fn told(facts: &[Fact], host: &str) -> Vec<(String, bool)> {
        let identity = Identity { host: Some(host.to_owned()), ..Identity::default() };
        let sure = |f: &Fact| f.get("sure").and_then(facts::Value::as_bool).unwrap();
        endings(facts, &identity)
            .iter()
            .filter(|f| f.kind == "derived.boot_end")
            .map(|f| (f.text("ended").unwrap().to_owned(), sure(f)))
            .collect()
    }

    #[test]
    fn the_same_boot_in_two_logs_is_told_once_by_the_one_that_knows() {
        let facts = [
            end("kern.log", 0, "silent-reset", false, "11-26 03:00:00"),
            end("syslog", 0, "requested", true, "11-26 03:00:20"),
            end("syslog", 1, "panic", true, "11-27 03:00:20"),
        ];
        assert_eq!(told(&facts, "n"), [("requested".to_owned(), true), ("panic".to_owned(), true)]);
    }

    #[test]
    fn peers_and_the_board_are_heard_at_the_time_the_text_stops() {
        let silent = end("messages", 0, "silent-reset", false, "11-26 03:00:00");
        let note = |how: &str, source: &str, target: Option<&str>, time: &str| {
            Fact::new("node.reset_by_others", Origin::lines("peer", 1, 1))
                .with("how", how)
                .with("source", source)
                .with_opt("target", target)
                .with("time", time)
                .quoting("x")
        };
        let is = |how: &str, sure| vec![(how.to_owned(), sure)];
        let fenced = note("fenced", "cluster", Some("node2.example"), "11-26 03:01:00");
        assert_eq!(told(&[silent.clone(), fenced.clone()], "node2"), is("fenced", true));
        assert_eq!(told(&[silent.clone(), fenced], "node3"), is("silent-reset", false));
        let late = note("fenced", "cluster", Some("node2"), "11-26 09:01:00");
        assert_eq!(told(&[silent.clone(), late], "node2").len(), 2);
        let board = note("watchdog", "sel", None, "2026-11-26 03:02:00");
        assert_eq!(told(&[silent.clone(), board], "n"), is("watchdog", true));
        let zone = note("watchdog", "sel", None, "2026-11-26 01:02:00");
        assert_eq!(told(&[silent.clone(), zone], "n"), is("watchdog", false));
        let old = note("watchdog", "sel", None, "2026-10-26 03:02:00");
        assert_eq!(told(&[silent, old], "n"), is("silent-reset", false));
    }

    #[test]
    fn the_record_of_logins_tells_what_a_log_does_not() {
        let row = |how: &str, started: &str, time: &str| {
            Fact::new("node.boot_end", Origin::lines("last", 1, 1))
                .with("how", how)
                .with("source", "last")
                .with("started", started)
                .with("time", time)
                .quoting("reboot system boot")
        };
        let silent = end("messages", 0, "silent-reset", false, "2026-11-26 03:00:00");
        let is = |how: &str, sure| vec![(how.to_owned(), sure)];
        // A shutdown that the log missed, hours after its last line.
        let clean = row("clean", "2026-11-25 08:00:00", "2026-11-26 05:00:00");
        assert_eq!(told(&[silent.clone(), clean.clone()], "n"), is("clean", true));
        // No shutdown there either.
        let unclean = row("unclean", "2026-11-25 08:00:00", "2026-11-26 03:04:00");
        assert_eq!(told(&[silent.clone(), unclean], "n"), is("silent-reset", true));
        // A panic that the log tells is one, whatever the record of logins makes of it.
        let panic = end("messages", 0, "panic", true, "2026-11-26 03:00:00");
        assert_eq!(told(&[panic, clean], "n"), is("panic", true));
        // Another boot, later: the logs do not tell of it.
        let later = row("unclean", "2026-11-26 06:00:00", "2026-11-26 09:00:00");
        assert_eq!(told(&[silent.clone(), later], "n").len(), 2);
        let before = row("unclean", "2026-10-01 06:00:00", "2026-10-02 09:00:00");
        assert_eq!(told(&[silent, before], "n"), is("silent-reset", false));
    }

    #[test]
    fn why_there_is_no_dump() {
        let panic = end("messages", 1, "panic", true, "11-26 03:00:00");
        let reason = |more: &[Fact]| {
            let facts: Vec<Fact> = std::iter::once(panic.clone()).chain(more.iter().cloned()).collect();
            let out = endings(&facts, &Identity::default());
            let end = out.iter().find(|f| f.kind == "derived.boot_end").unwrap();
            let missing = out.iter().find(|f| f.kind == "derived.missing_dump");
            let text = |f: &Fact, name: &str| f.text(name).unwrap_or_default().to_owned();
            (text(end, "dump"), missing.map(|f| text(f, "reason")).unwrap_or_default())
        };
        let is = |state: &str, reason: &str| (state.to_owned(), reason.to_owned());
        assert_eq!(reason(&[]), is("unknown", ""));
        assert_eq!(reason(&[kdump("messages", "not-reserved", 1, false)]), is("absent", "not-reserved"));
        assert_eq!(reason(&[kdump("messages", "not-reserved", 0, false)]), is("unknown", ""));
        assert_eq!(reason(&[kdump("messages", "saved", 2, true)]), is("saved", ""));
        assert_eq!(reason(&[kdump("c/kexec-dmesg.log", "capture-oom", 0, true)]), is("absent", "capture-oom"));
        let file = |state: &str| {
            Fact::new("node.dump_file", Origin::whole("l")).with("state", state).with("time", "2026-11-26 03:10:00")
        };
        assert_eq!(reason(&[file("whole")]), is("saved", ""));
        assert_eq!(reason(&[file("incomplete")]), is("partial", "incomplete"));
        let both = [file("incomplete"), kdump("k", "disk-full", 0, true)];
        assert_eq!(reason(&both), is("partial", "disk-full"));
    }
}
