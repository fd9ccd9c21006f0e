//! Joins pieces of one machine and one boot to cases.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use facts::{Fact, Gap, Identity};

use super::piece::Piece;
use super::{boots, crash_session, cut_report, same_events};
use crate::case::Case;
use crate::derive;

/// How many cases that were set aside are named one by one.
const MAX_ASIDES: usize = 32;
const ALL_CASES: &str = "vmcoroner examine --format jsonl prints every case";

/// A case in the making.
struct Draft {
    case: Case,
    /// Streams of which one boot is already in.
    streams: Vec<usize>,
    members: Vec<String>,
    root: String,
    has_dump: bool,
    boot: boots::Known,
}

/// The cases, the one to report first in front: that of a dump, else the one with the gravest report, else the last.
/// Other machines and other boots are named in the gaps of the first. What logs tell of the whole machine goes to every
/// case of it; `log_only` leaves that out, for those who look at the events of logs alone.
pub(super) fn cases(mut pieces: Vec<Piece>, log_only: bool) -> Vec<Case> {
    // A dump says which machine and boot its case is about; logs name boots; the state of a node joins the last boot.
    // Of a log that was rotated the older parts come first.
    pieces.sort_by_key(|p| (!p.is_dump, p.stream.is_none(), Reverse(derive::rotation(&p.member).1)));
    let mut boots: BTreeMap<usize, usize> = BTreeMap::new();
    for stream in pieces.iter().filter_map(|p| p.stream) {
        *boots.entry(stream).or_default() += 1;
    }
    let mut drafts: Vec<Draft> = Vec::new();
    for piece in pieces {
        let only = piece.stream.and_then(|stream| boots.get(&stream)) == Some(&1);
        let of = |draft: &&Draft| belongs(draft, &piece) && (!draft.has_dump || of_the_dump(draft, &piece, only));
        // What is proven goes first; else a piece is of the last boot of which it can be.
        let proven = |draft: &Draft| boots::proven(&draft.boot, &draft.case.identity, &draft.case.facts, &piece);
        let fits = |draft: &Draft| !boots::differs(&draft.boot, &piece);
        let place = drafts
            .iter()
            .rposition(|draft| of(&draft) && proven(draft))
            .or_else(|| drafts.iter().rposition(|draft| of(&draft) && fits(draft)));
        match place.and_then(|at| drafts.get_mut(at)) {
            Some(draft) => add(draft, piece),
            None => {
                let mut draft = Draft {
                    case: Case::default(),
                    streams: Vec::new(),
                    members: Vec::new(),
                    root: String::new(),
                    has_dump: false,
                    boot: boots::Known::default(),
                };
                add(&mut draft, piece);
                drafts.push(draft);
            }
        }
    }
    let mut order: Vec<usize> = (0..drafts.len()).collect();
    order.sort_by_cached_key(|at| {
        let draft = drafts.get(*at);
        Reverse((draft.is_some_and(|d| d.has_dump), draft.map(|d| gravity(&d.case)), *at))
    });
    if !log_only {
        share(&mut drafts);
    }
    let mut asides: Vec<Gap> = order.iter().skip(1).filter_map(|at| aside(&drafts, *order.first()?, *at)).collect();
    if asides.len() > MAX_ASIDES {
        let more = asides.len() - MAX_ASIDES;
        asides.truncate(MAX_ASIDES);
        let why = format!("{more} more boots or machines; not joined");
        asides.push(Gap::new("facts set aside", "the rest of the inputs", why, ALL_CASES));
    }
    let mut slots: Vec<Option<Draft>> = drafts.into_iter().map(Some).collect();
    let mut cases: Vec<Case> =
        order.into_iter().filter_map(|at| slots.get_mut(at)?.take()).map(|draft| draft.case).collect();
    if let Some(first) = cases.first_mut() {
        first.gaps.extend(asides);
    }
    cases
}

/// Adds to each case what follows from its facts.
pub(super) fn concluded(mut cases: Vec<Case>) -> Vec<Case> {
    for case in &mut cases {
        case.facts.extend(crash_session::crash(&case.facts));
        case.facts.extend(crash_session::blocked(&case.facts));
        derive::clock::by_time(&mut case.facts);
        let derived = derive::derive(&case.facts);
        let endings = derive::endings(&case.facts, &case.identity);
        case.facts.extend(derived);
        case.facts.extend(endings);
    }
    cases
}

/// What tells one machine from another: host name, machine id, folder of its report.
type Machine = (Option<String>, Option<String>, String);

fn machine(draft: &Draft) -> Machine {
    let identity = &draft.case.identity;
    (identity.host.clone(), identity.machine_id.clone(), draft.root.clone())
}

/// Whether the two may be the same machine, and something says so.
fn same_machine((host, id, root): &Machine, draft: &Draft) -> bool {
    let (other_host, other_id, other_root) = machine(draft);
    let differ = |a: &Option<String>, b: &Option<String>| matches!((a, b), (Some(a), Some(b)) if a != b);
    let equal = |a: &Option<String>, b: &Option<String>| matches!((a, b), (Some(a), Some(b)) if a == b);
    let unknown = root.is_empty() || other_root.is_empty();
    !differ(host, &other_host)
        && !differ(id, &other_id)
        && (equal(host, &other_host) || equal(id, &other_id) || unknown || *root == other_root)
}

/// How boots ended and what became of their dumps is told by logs of the whole machine, whichever boot wrote them:
/// every case of the machine gets it. A peer's word goes to the machine it names.
///
/// A log of very many boots tells each case the last of them only, so that all together stay bounded.
fn share(drafts: &mut [Draft]) {
    const MOST: usize = 256;
    const MOST_IN_ALL: usize = 32 << 10;
    let mut told: Vec<(usize, Fact, Machine)> = Vec::new();
    for (at, draft) in drafts.iter().enumerate() {
        let shared = draft.case.facts.iter().filter(|fact| match fact.kind.as_ref() {
            "node.boot_end" | "node.dump_file" | "node.reset_by_others" => true,
            // What a log said; the state of one boot stays with it.
            "node.kdump" => fact.int("boot").is_some(),
            _ => false,
        });
        let shared: Vec<&Fact> = shared.collect();
        told.extend(
            shared.iter().skip(shared.len().saturating_sub(MOST)).map(|fact| (at, (*fact).clone(), machine(draft))),
        );
    }
    let last = MOST_IN_ALL / drafts.len().max(1);
    for (to, draft) in drafts.iter_mut().enumerate() {
        for (from, fact, machine) in told.iter().skip(told.len().saturating_sub(last)) {
            let own = *from == to;
            let named = fact.text("target").zip(draft.case.identity.host.as_deref()).is_some_and(|(a, b)| a == b);
            if !own && (named || same_machine(machine, draft)) {
                draft.case.facts.push(fact.clone());
            }
        }
    }
}

fn belongs(draft: &Draft, piece: &Piece) -> bool {
    let same_stream = piece.stream.is_some_and(|stream| draft.streams.contains(&stream));
    let two_dumps = draft.has_dump && piece.is_dump;
    !same_stream
        && !two_dumps
        && (draft.root.is_empty() || piece.root.is_empty() || draft.root == piece.root)
        && (draft.case.identity.conflict(&piece.identity).is_none() || renamed(draft, piece))
}

/// Names that a machine bears until it is told its own.
const EARLY_NAMES: &[&str] = &[
    "localhost",
    "localhost.localdomain",
    "(none)",
    "ubuntu",
    "debian",
    "raspberrypi",
    "fedora",
    "archlinux",
    "host",
    "linux",
];

/// Has the machine not got its own name yet?
fn early(identity: &Identity) -> bool {
    identity.host.as_deref().is_some_and(|name| EARLY_NAMES.contains(&name))
}

/// Whether the two differ in the host name alone, and one of the names is that of a machine which starts; or one machine wrote
/// both, by the banner and the second in which its boot began.
fn renamed(draft: &Draft, piece: &Piece) -> bool {
    let (known, new) = (&draft.case.identity, &piece.identity);
    let same_boot = known.banner.is_some() && known.banner == new.banner && draft.boot.began_with(piece);
    let nameless = Identity { host: None, ..new.clone() };
    (early(known) || early(new) || same_boot) && known.conflict(&nameless).is_none()
}

/// Whether something says that a piece is of the very boot that a dump is of: logs and state are mostly collected after
/// the reboot. `only`: the log has no other boot.
fn of_the_dump(draft: &Draft, piece: &Piece, only: bool) -> bool {
    let (dump, other) = (&draft.case.identity, &piece.identity);
    let same_boot = dump.boot_id.is_some() && dump.boot_id == other.boot_id
        || dump.booted().is_some() && other.booted().is_some()
        || boots::began_at(dump, piece);
    let crashed = draft.case.facts.iter().any(|f| match f.kind.as_ref() {
        "dump.state" => f.get("live") == Some(&false.into()),
        "log.panic" => true,
        _ => false,
    });
    // A log of one boot may reach further back than the ring in the dump.
    let log = piece.stream.is_some() && (only || boots::share_a_line(&draft.case.facts, piece));
    same_boot || log || piece.stream.is_none() && !crashed
}

fn add(draft: &mut Draft, piece: Piece) {
    // The name that it was given last is its own.
    if let (Some(name), Some(new)) = (&draft.case.identity.host, &piece.identity.host)
        && EARLY_NAMES.contains(&name.as_str())
    {
        draft.case.identity.host = Some(new.clone());
    }
    draft.case.identity.fill(&piece.identity);
    draft.has_dump |= piece.is_dump;
    draft.boot.add(&piece);
    if draft.root.is_empty() {
        draft.root = piece.root;
    }
    draft.streams.extend(piece.stream);
    draft.members.push(piece.member);
    // The same line in two logs of one boot (console and journal, say) is one observation.
    let mut new = piece.facts;
    cut_report::join(&mut draft.case.facts, &mut new);
    let same = same_events::find(&mut draft.case.facts, &mut new);
    let known: BTreeMap<usize, usize> = same.pairs.into_iter().collect();
    for (at, fact) in new.into_iter().enumerate() {
        match known.get(&at).and_then(|old| draft.case.facts.get_mut(*old)) {
            Some(old) => same_events::complete(old, fact),
            None => draft.case.facts.push(fact),
        }
    }
    for gap in piece.gaps {
        if !draft.case.gaps.contains(&gap) {
            draft.case.gaps.push(gap);
        }
    }
    draft.case.sources.extend(piece.sources);
    if draft.case.version_signature.is_none() {
        draft.case.version_signature = piece.version_signature;
    }
}

/// How grave the gravest report of a case is. What the capture kernel meets is told where nothing else is.
fn gravity(case: &Case) -> u8 {
    let boots = case.facts.iter().filter(|f| f.kind == "log.boot");
    if boots.map(|f| f.get("capture") == Some(&true.into())).next_back() == Some(true) {
        return 0;
    }
    case.facts
        .iter()
        .map(|f| match f.text("severity") {
            Some("panic") => 3,
            Some("report") => 2,
            Some("failure") => 1,
            _ => 0,
        })
        .max()
        .unwrap_or(0)
}

/// The line of the first of the gravest reports.
fn gravest(facts: &[Fact]) -> Option<String> {
    const MOST: usize = 100;
    let rank = |fact: &&Fact| match fact.text("severity") {
        Some("panic" | "report") => 0,
        Some("failure") => 1,
        _ => 2,
    };
    let fact = facts.iter().filter(|fact| fact.kind.starts_with("log.")).min_by_key(rank).filter(|f| rank(f) < 2)?;
    let cut = fact.quote.char_indices().nth(MOST).map_or(fact.quote.as_str(), |(at, _)| &fact.quote[..at]);
    Some(cut.trim_end().to_owned())
}

/// The gap that names a case set aside, with both identities.
fn aside(drafts: &[Draft], first: usize, at: usize) -> Option<Gap> {
    let (first, other) = (drafts.get(first)?, drafts.get(at)?);
    if other.case.facts.is_empty() {
        return None;
    }
    let name = |draft: &Draft| {
        let id = &draft.case.identity;
        let parts: Vec<&str> =
            [&id.host, &id.kernel, &id.boot_id, &id.boot_time].into_iter().flatten().map(String::as_str).collect();
        if parts.is_empty() { "unnamed".to_owned() } else { parts.join(" ") }
    };
    let why = match first.case.identity.conflict(&other.case.identity) {
        // A machine that starts has not got its name yet.
        Some("host") if early(&other.case.identity) || early(&first.case.identity) => {
            format!("another boot, {}", name(other))
        }
        Some(field) => format!("another {field}: {} here, {} in the case", name(other), name(first)),
        None if first.has_dump => {
            format!("{}: nothing proves that it is the boot of the dump, {}", name(other), name(first))
        }
        None => format!("another boot of {}", name(other)),
    };
    let why = match gravest(&other.case.facts) {
        Some(said) => format!("{why}, in which the log says: {said}"),
        None => why,
    };
    Some(Gap::new("facts set aside", other.members.join(", "), format!("{why}; not joined"), ALL_CASES))
}
