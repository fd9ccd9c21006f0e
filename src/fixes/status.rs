//! Whether a kernel has a fix, and why that is known.
//!
//! In this order: what the machine itself shows (a symbol, a member, a live patch); mainline order (a commit released
//! not later than the base is in every family); the vendor's changelog by build; the stable branch's record; the day of
//! the build (a kernel built before a fix was written cannot have it). Where none of them decides, the answer is unknown.

use facts::Fact;
use serde::Serialize;

use super::curated::{Curated, Elsewhere, Fix, Introduced, Proves, Role, StableFirst, VendorLine, numbers};
use super::evidence::{self, Livepatch};
use super::mainline::{Date, not_written_before};
use super::release::{Family, Release, Tree};
use super::version::Version;
use super::{Build, Line, printed};

/// The answer about one commit and one kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Missing, present, not needed, unknown.
    pub state: State,
    /// One sentence that a person can check.
    pub why: String,
    /// The vendor adds patches to its stable base, so a missing or unneeded commit may be there all the same.
    pub on_top_possible: bool,
}

/// Whether a kernel has a fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The bug is there and the fix is not.
    Missing,
    /// The fix is there.
    Present,
    /// The bug was never there.
    NotNeeded,
    /// No data decide it.
    Unknown,
}

impl State {
    /// The word used in output.
    pub const fn word(self) -> &'static str {
        match self {
            State::Missing => "missing",
            State::Present => "present",
            State::NotNeeded => "not-needed",
            State::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl Status {
    fn new(state: State, why: impl Into<String>) -> Self {
        Status { state, why: why.into(), on_top_possible: false }
    }

    fn unknown(why: impl Into<String>) -> Self {
        Status::new(State::Unknown, why)
    }
}

/// Whether the kernel of `release` has the commit, by the data built in. `facts` are those of the same machine; a
/// commit that is not on record is unknown.
pub fn status(sha: &str, release: &Release, facts: &[Fact]) -> Status {
    status_in(Curated::embedded(), sha, release, facts)
}

/// The same with other data.
pub fn status_in(curated: &Curated, sha: &str, release: &Release, facts: &[Fact]) -> Status {
    let Some(fix) = curated.find(sha) else {
        return Status::unknown("no data on this commit");
    };
    with_proofs(fix, facts, || match release.base {
        Some(base) => from_release(fix, release, base),
        None => by_print(fix, facts, format!("{:?} is not a kernel release this tool can read", release.raw)),
    })
}

/// The same where nothing names the release.
pub fn status_without_release(sha: &str, facts: &[Fact]) -> Status {
    let nameless = "the kernel release of this case is not known";
    let Some(fix) = Curated::embedded().find(sha) else { return Status::unknown(nameless) };
    with_proofs(fix, facts, || by_print(fix, facts, nameless.to_owned()))
}

/// What the machine itself shows goes before what the kernel as built has, and a live patch may change that.
fn with_proofs(fix: &Fix, facts: &[Fact], as_built: impl FnOnce() -> Status) -> Status {
    if let Some((proves, why)) = evidence::symbol_proof(fix, facts) {
        let state = match proves {
            Proves::Present => State::Present,
            Proves::Missing => State::Missing,
        };
        return Status::new(state, why);
    }
    let as_built = as_built();
    match evidence::livepatch(fix, facts) {
        Some(Livepatch::Replaces { patch, function }) if as_built.state != State::Present => Status::new(
            State::Present,
            format!("the enabled live patch {patch} replaces {function}, which the fix changes"),
        ),
        Some(Livepatch::Unclear { patch }) if as_built.state == State::Missing => Status::unknown(format!(
            "the kernel as built lacks it ({}), but the live patch {patch} is loaded and does not say whether it carries the fix",
            as_built.why
        )),
        _ => as_built,
    }
}

/// How old the kernel can be at most by what it printed; `unknown` says why nothing better is known.
fn by_print(fix: &Fix, facts: &[Fact], unknown: String) -> Status {
    match (fix.first, printed::oldest(facts)) {
        (Some(first), Some((version, what))) if first.branch() <= version.branch() => Status::new(
            State::Present,
            format!("it is in mainline {first}, and no kernel before {version} prints {what}"),
        ),
        _ => Status::unknown(unknown),
    }
}

fn from_release(fix: &Fix, release: &Release, base: Version) -> Status {
    let by_tree = match mainline(fix, base) {
        Some(present) => present,
        None => match (release.tree, &release.build) {
            (Tree::Rhel, Some(build)) => vendor(fix, base, build),
            (Tree::Stable | Tree::StableAndMore, _) => stable(fix, release, release.level.unwrap_or(base)),
            _ => floor(fix, release, base),
        },
    };
    match by_tree.state {
        State::Unknown => by_date(fix, release, base).unwrap_or(by_tree),
        State::Missing if by_tree.on_top_possible => by_date(fix, release, base).unwrap_or(by_tree),
        _ => by_tree,
    }
}

/// Rule 1: a commit released in mainline not later than the base is in every family.
fn mainline(fix: &Fix, base: Version) -> Option<Status> {
    let first = fix.first?;
    let verb = if fix.role == Role::Cause { "came" } else { "is" };
    let present = |what: String| {
        Some(Status::new(State::Present, format!("it {verb} in mainline {first}, and this kernel is {what}")))
    };
    if base.rc.is_some() && base.c == 0 {
        // A release candidate has what the version before had; of its own version only what an earlier candidate had.
        if first.branch() < base.branch() || first.rc.is_some() && first <= base {
            return present(format!("a candidate of {}.{}", base.a, base.b));
        }
        return None;
    }
    (first.branch() <= base.branch()).then(|| present(format!("based on {}.{}", base.a, base.b)))?
}

/// Whether a kernel has the bug at all.
enum Bug {
    There,
    NotThere(String),
    Unclear,
}

fn names(introduced: &Introduced) -> String {
    match &introduced.sha {
        Some(sha) => format!("commit {}", sha.get(..12).unwrap_or(sha)),
        None => "the change".to_owned(),
    }
}

/// The bug came with a mainline version this tree is based on, or is as old as anything on record.
fn bug_in_base(fix: &Fix, base: Version) -> bool {
    fix.introduced.is_empty() || fix.introduced.iter().any(|i| i.release.c == 0 && i.release.branch() <= base.branch())
}

/// Rules 2 and 5, for a tree whose stable level is known.
fn stable(fix: &Fix, release: &Release, level: Version) -> Status {
    let branch = level.branch();
    let on_top = release.tree == Tree::StableAndMore;
    let line = format!("{}.{}", branch.0, branch.1);
    let with_caveat = |state, why: String| {
        let why = match (on_top, release.family) {
            (false, _) => why,
            (true, Family::Upstream) => format!("{why}; the build may carry changes of its own"),
            (true, _) => format!("{why}; the vendor may have added it on top"),
        };
        Status { state, why, on_top_possible: on_top }
    };
    if level.rc.is_some() && fix.first.is_some_and(|first| first.branch() == branch) {
        return Status::unknown(format!(
            "it came during the {line} cycle, and which candidate had it first is not on record"
        ));
    }
    if release.family == Family::Upstream
        && on_top
        && level.c == 0
        && fix.first.is_some_and(|first| {
            first.branch() == (branch.0, branch.1.saturating_add(1))
                || first.branch() == (branch.0.saturating_add(1), 0)
        })
    {
        return Status::unknown(format!(
            "a development tree after {line} may or may not have it, as it came in the next cycle"
        ));
    }
    let listed = fix.branch(branch);
    match listed {
        Some(Some(first)) if level >= first.version() => {
            return Status::new(
                State::Present,
                format!("{} has it in branch {line}, and this is {level}", first.version()),
            );
        }
        Some(Some(StableFirst::NotAfter(first))) => {
            return Status::unknown(format!(
                "branch {line} got it not later than {first}; whether {level} has it is not on record"
            ));
        }
        _ => {}
    }
    let covered = fix.records_from.is_none_or(|from| branch >= from.branch());
    match bug_in_branch(fix, level, listed.flatten().is_some(), covered) {
        Bug::NotThere(why) => return Status { state: State::NotNeeded, why, on_top_possible: on_top },
        Bug::Unclear => return Status::unknown(format!("the records do not reach back to branch {line}")),
        Bug::There => {}
    }
    match listed {
        Some(Some(first)) => with_caveat(
            State::Missing,
            format!("{} is the first release of branch {line} with it; this is {level}", first.version()),
        ),
        Some(None) => with_caveat(State::Missing, format!("branch {line} never got it; this is {level}")),
        None if fix.elsewhere == Elsewhere::Never && covered => {
            let first = fix.first.map_or_else(String::new, |first| format!("it came in {first}; "));
            with_caveat(
                State::Missing,
                format!("{first}no backport to branch {line} is on record, and this is {level}"),
            )
        }
        None => Status::unknown(format!("whether branch {line} got it is not on record")),
    }
}

fn bug_in_branch(fix: &Fix, level: Version, branch_was_fixed: bool, covered: bool) -> Bug {
    let branch = level.branch();
    // A branch that got the bug by a backport has its own entry, and that one decides.
    let mut own = fix.introduced.iter().filter(|i| i.release.c > 0 && i.release.branch() == branch).peekable();
    if own.peek().is_some() {
        return match own.min_by_key(|i| i.release) {
            Some(i) if i.release > level => {
                Bug::NotThere(format!("{} brought the bug to this branch in {}; this is {level}", names(i), i.release))
            }
            _ => Bug::There,
        };
    }
    if bug_in_base(fix, level) || branch_was_fixed {
        return Bug::There;
    }
    let first = fix.introduced.iter().filter(|i| i.release.c == 0).min_by_key(|i| i.release).or(fix.introduced.first());
    match first {
        Some(i) if covered => Bug::NotThere(format!(
            "{} brought the bug in {}, and no backport of it to branch {}.{} is on record",
            names(i),
            i.release,
            branch.0,
            branch.1
        )),
        _ => Bug::Unclear,
    }
}

/// Trees with a known base and an unknown number of backports: only what the base has is certain.
fn floor(fix: &Fix, release: &Release, base: Version) -> Status {
    let floor = release.floor().unwrap_or(base);
    if let Some(Some(first)) = fix.branch(floor.branch())
        && floor >= first.version()
    {
        return Status::new(State::Present, format!("{} has it, and this kernel is based on {floor}", first.version()));
    }
    let first = fix.first.map_or_else(|| "no mainline release".to_owned(), |first| format!("mainline {first}"));
    Status::unknown(format!(
        "it came in {first}, after the base {floor}, and this vendor's backports are not on record"
    ))
}

/// What the changelog of a vendor says about one change and one build.
enum Entry {
    In(String),
    Out(String),
    NotOnRecord,
}

fn entry(line: &VendorLine, build: &Build) -> Entry {
    let tag = format!("el{}", build.major);
    let parsed = |text: &Option<String>| text.as_deref().and_then(numbers);
    if line.never {
        return Entry::Out(format!("no {tag} build has it"));
    }
    for (text, numbers) in [(&line.main, parsed(&line.main)), (&line.seen, parsed(&line.seen))] {
        if let (Some(text), Some(numbers)) = (text, numbers)
            && build.reaches(&numbers)
        {
            let how =
                if line.main.as_ref() == Some(text) { "the first build with it" } else { "a build seen to have it" };
            return Entry::In(format!("-{text}.{tag} is {how}; this is {build}"));
        }
    }
    if build.line == Line::ZStream {
        let stream = build.stream();
        if let Some(first) = line.z.get(&stream)
            && let Some(numbers) = numbers(first)
        {
            let why = format!("-{stream}.{first}.{tag} is the first build of this z-stream with it; this is {build}");
            return if build.z() >= numbers.as_slice() { Entry::In(why) } else { Entry::Out(why) };
        }
        return match line.absent_z.get(&stream) {
            Some(last) if last == "*" => {
                Entry::Out(format!("the z-stream of -{stream}.{tag} does not have it; this is {build}"))
            }
            Some(last) if numbers(last).is_some_and(|last| build.z() <= last.as_slice()) => {
                Entry::Out(format!("-{stream}.{last}.{tag} still lacks it; this is {build}"))
            }
            _ => Entry::NotOnRecord,
        };
    }
    match (&line.main, &line.absent) {
        (Some(main), _) => Entry::Out(format!("-{main}.{tag} is the first build with it; this is {build}")),
        (None, Some(absent)) if numbers(absent).is_some_and(|absent| build.numbers <= absent) => {
            Entry::Out(format!("-{absent}.{tag} still lacks it; this is {build}"))
        }
        _ => match line.z.iter().find(|(stream, _)| [**stream].as_slice() >= build.numbers.as_slice()) {
            Some((stream, first)) => Entry::Out(format!(
                "-{stream}.{first}.{tag}, a later build, is the first on record with it; this is {build}"
            )),
            None => Entry::NotOnRecord,
        },
    }
}

/// Rule 3: the changelog by build and stream.
fn vendor(fix: &Fix, base: Version, build: &Build) -> Status {
    let fixed = fix.rhel.get(&build.major).map_or(Entry::NotOnRecord, |line| entry(line, build));
    let no_data = || Status::unknown(format!("no changelog data on it for build {build} of el{}", build.major));
    if let Entry::In(why) = fixed {
        return Status::new(State::Present, why);
    }
    let bug = if bug_in_base(fix, base) {
        Bug::There
    } else {
        let line = fix.introduced.iter().find_map(|i| Some((i, i.rhel.get(&build.major)?)));
        match line.map(|(i, line)| (i, entry(line, build))) {
            Some((_, Entry::In(_))) => Bug::There,
            Some((i, Entry::Out(why))) => Bug::NotThere(format!("{} brought the bug, and {why}", names(i))),
            _ => Bug::Unclear,
        }
    };
    match (bug, fixed) {
        (Bug::NotThere(why), _) => Status::new(State::NotNeeded, why),
        (Bug::There, Entry::Out(why)) => Status::new(State::Missing, why),
        (Bug::Unclear, Entry::Out(why)) => {
            Status::unknown(format!("{why}, but whether this build has the bug at all is not on record"))
        }
        _ => no_data(),
    }
}

/// Rule 4: a kernel built before a change was written cannot have it.
fn by_date(fix: &Fix, release: &Release, base: Version) -> Option<Status> {
    let built = release.built?;
    let before = |written: Option<Date>, branch: Option<(u32, u32)>| {
        written.or_else(|| not_written_before(branch?)).filter(|day| built < *day)
    };
    if let Some(day) = before(fix.written, fix.first.map(Version::branch))
        && bug_in_base(fix, base)
    {
        return Some(Status::new(State::Missing, format!("built on {built}; the fix was not written before {day}")));
    }
    let youngest = fix.introduced.iter().map(|i| i.release).filter(|v| v.c == 0).min()?;
    let day = before(None, Some(youngest.branch()))?;
    Some(Status::new(
        State::NotNeeded,
        format!("built on {built}; the change that brought the bug was not written before {day}"),
    ))
}
