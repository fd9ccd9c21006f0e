//! Logs in which lines of several machines stand between each other: `oc adm node-logs --role=...` merges the journals of
//! all nodes in the order of their lines.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use facts::{Fact, Identity};

use super::log::Reader;
use super::piece::Piece;

/// More machines than this in one log are not told apart.
const MOST: usize = 1000;
/// The longest line.
const LINE: u64 = 1 << 20;

/// Reads such a log: the pieces of each machine, and how many of its lines belonged to none. `stream` numbers the first
/// machine's log; there are as many streams as machines.
pub(super) fn read(member: &str, source: &mut dyn Read, mut stream: usize) -> (Vec<Piece>, usize) {
    let mut source = BufReader::with_capacity(1 << 16, source);
    let mut machines: BTreeMap<String, (Reader<'_>, Vec<u32>)> = BTreeMap::new();
    let mut last = String::new();
    let (mut line, mut number) = (Vec::new(), 0u32);
    // An error is a gap of the walk that opened the member; what was read before it counts.
    while source.by_ref().take(LINE).read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        number = number.saturating_add(1);
        if let Some(host) = host(&line) {
            host.clone_into(&mut last);
        }
        // Text before the first line of a machine is a remark of the tool; a line without a head goes on the last one.
        if !last.is_empty() && (machines.len() < MOST || machines.contains_key(&last)) {
            let machine = machines.entry(last.clone()).or_insert_with(|| (Reader::new(member, false), Vec::new()));
            machine.0.push(&line);
            machine.1.push(number);
        }
        line.clear();
    }
    let mut pieces = Vec::new();
    let count = machines.len();
    for (host, (reader, numbers)) in machines {
        let (mut found, mut lines) = reader.finish(stream);
        stream += 1;
        // Its lines have other numbers in the file.
        let there = |n: u64| {
            let at = usize::try_from(n).ok().and_then(|n| n.checked_sub(1));
            at.and_then(|at| numbers.get(at)).map_or(n, |n| u64::from(*n))
        };
        found.iter_mut().for_each(|piece| renumber(&mut piece.facts, &there));
        renumber(&mut lines, &there);
        let identity = Identity { host: Some(host), ..Identity::default() };
        for piece in &mut found {
            piece.identity.host.clone_from(&identity.host);
        }
        pieces.extend(found);
        if !lines.is_empty() {
            let sources = std::iter::once("node".to_owned()).collect();
            pieces.push(Piece { identity, facts: lines, sources, member: member.to_owned(), ..Piece::default() });
        }
    }
    (pieces, count)
}

/// Gives facts the numbers that their lines have elsewhere.
pub(super) fn renumber(facts: &mut [Fact], there: &dyn Fn(u64) -> u64) {
    for fact in facts {
        if let facts::Place::Lines { first, last } = &mut fact.origin.place {
            (*first, *last) = (there(*first), there(*last));
        }
    }
}

/// The host in the head of a journal's line: `Jan 05 10:11:12.123456 HOST unit[1]: ...`, `2024-01-05T10:11:12+0000 HOST ...`.
fn host(line: &[u8]) -> Option<&str> {
    let head = line.get(..line.len().min(200))?;
    let head = head.utf8_chunks().next()?.valid();
    let mut words = head.split(' ').filter(|word| !word.is_empty());
    let first = words.next()?;
    let clock = |word: &str| {
        let (hours, rest) = word.split_once(':').unwrap_or_default();
        hours.len() == 2 && rest.len() >= 5 && rest.bytes().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.'))
    };
    let month = first.len() == 3 && first.bytes().all(|b| b.is_ascii_alphabetic());
    let iso = first.len() >= 19 && first.bytes().next()?.is_ascii_digit() && first.contains('T') && first.contains(':');
    if month {
        words.next().filter(|day| day.bytes().all(|b| b.is_ascii_digit()))?;
        words.next().filter(|time| clock(time))?;
    } else if !iso {
        return None;
    }
    let host = words.next()?;
    let unit = words.next()?;
    let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    (plain && unit.trim_end().ends_with(':')).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_line_names_its_host() {
        assert_eq!(host(b"Jan 05 10:11:12.123456 worker-0 kernel: x\n"), Some("worker-0"));
        assert_eq!(
            host(b"Jan  5 10:11:12 ip-10-0-1-2.ec2.internal kubelet[12]: x\n"),
            Some("ip-10-0-1-2.ec2.internal")
        );
        assert_eq!(host(b"2024-01-05T10:11:12+0000 w1 crio[1]: x"), Some("w1"));
        for line in
            ["-- Logs begin at Fri 2024-01-05 --\n", "Jan 05 words of a text: x", "", "\tgoroutine 1 [running]:"]
        {
            assert_eq!(host(line.as_bytes()), None, "{line}");
        }
    }
}
