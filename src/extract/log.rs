//! Logs: text members, and the ring buffer of a dump.

use std::io::Read;
use std::sync::{Arc, LazyLock};

use facts::{Fact, Gap};
use kernel::Log;
use snapshot::NodeLog;

use super::hosts;
use super::piece::Piece;

/// How much of a log is read at once.
const CHUNK: usize = 1 << 20;

/// The anchors of kernel reports and the words of node-level lines: one search finds both.
/// What every log is searched for.
static ANCHORS: LazyLock<Arc<klog::Anchors>> = LazyLock::new(|| Arc::new(klog::Anchors::with_words(NodeLog::words())));

/// The pieces of a text log: one for each boot in it.
pub(super) fn read_text(member: &str, bytes: &[u8], stream: usize) -> Vec<Piece> {
    match klog::Turned::of(bytes) {
        Some(turned) => {
            let mut pieces = pieces(member, klog::read(member, &turned.text), stream);
            pieces.iter_mut().for_each(|piece| turn_back(&mut piece.facts, &turned));
            said_turned(member, &mut pieces, TURNED, "");
            pieces
        }
        None => pieces(member, klog::read(member, bytes), stream),
    }
}

const TURNED: &str = "the text is newest first: it was read from its end";

fn turn_back(facts: &mut [Fact], turned: &klog::Turned) {
    hosts::renumber(facts, &|line| turned.number(line));
    for fact in facts {
        if let facts::Place::Lines { first, last } = &mut fact.origin.place {
            (*first, *last) = ((*first).min(*last), (*first).max(*last));
        }
    }
}

fn said_turned(member: &str, pieces: &mut [Piece], why: &str, closes: &str) {
    if let Some(piece) = pieces.first_mut() {
        piece.gaps.push(Gap::new("the order of the lines", member, why, closes));
    }
}

/// A log that comes in pieces: kernel reports and node-level lines in one pass.
pub(super) struct Reader<'m> {
    member: &'m str,
    lines: NodeLog,
    builder: klog::ReadingBuilder<'m>,
}

impl<'m> Reader<'m> {
    /// A log of which nothing was read yet; `capture` says that the kernel which takes dumps wrote it.
    pub(super) fn new(member: &'m str, capture: bool) -> Self {
        let lines = if capture { NodeLog::of_capture_kernel(member) } else { NodeLog::new(member) };
        Reader { member, lines, builder: klog::ReadingBuilder::new(member, Arc::clone(&ANCHORS)) }
    }

    /// Reads on; `bytes` may end anywhere.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let lines = &mut self.lines;
        self.builder.push(bytes, &mut |line| note(lines, line));
    }

    /// The pieces of its boots, and the facts that node-level lines tell.
    pub(super) fn finish(self, stream: usize) -> (Vec<Piece>, Vec<Fact>) {
        let Reader { member, mut lines, builder } = self;
        let reading = builder.finish(&mut |line| note(&mut lines, line));
        let mut pieces = pieces(member, reading, stream);
        let spans = lines.spans();
        let all = spans.len() == pieces.len();
        for (index, piece) in pieces.iter_mut().enumerate() {
            let line = piece.facts.first().map_or(0, |fact| match fact.origin.place {
                facts::Place::Lines { first, .. } => first,
                _ => 0,
            });
            // A boot without a report in it may be no piece.
            let by_line = || spans.iter().rposition(|span| line >= span.first_line);
            if let Some(at) = if all { Some(index) } else { by_line() } {
                piece.over = at + 1 < spans.len();
                piece.span = spans.get(at).cloned().unwrap_or_default();
            }
        }
        (pieces, lines.finish())
    }
}

fn note(lines: &mut NodeLog, line: klog::Seen) {
    if line.last {
        lines.end(line.number, &line.line);
    } else {
        lines.telling(line.number, &line.line, &line.previous);
    }
}

/// A log of any size: `head` is what was read of it already, and let go as soon as it is read.
pub(super) fn read_stream(
    member: &str,
    head: impl AsRef<[u8]>,
    rest: &mut dyn Read,
    stream: usize,
    capture: bool,
) -> (Vec<Piece>, Vec<Fact>) {
    let mut chunk = Vec::new();
    let newest_first = klog::Turned::is_newest_first(head.as_ref());
    if newest_first {
        let _ = rest.take(CHUNK as u64).read_to_end(&mut chunk);
        if chunk.is_empty()
            && let Some(turned) = klog::Turned::of(head.as_ref())
        {
            let mut reader = Reader::new(member, capture);
            turned.text.chunks(CHUNK).for_each(|part| reader.push(part));
            let (mut pieces, mut lines) = reader.finish(stream);
            pieces.iter_mut().for_each(|piece| turn_back(&mut piece.facts, &turned));
            turn_back(&mut lines, &turned);
            said_turned(member, &mut pieces, TURNED, "");
            return (pieces, lines);
        }
    }
    let mut reader = Reader::new(member, capture);
    let read = head.as_ref().len();
    head.as_ref().chunks(CHUNK).for_each(|part| reader.push(part));
    drop(head);
    reader.push(&chunk);
    loop {
        chunk.clear();
        // An error is a gap of the walk that opened the member; what was read before it counts.
        let failed = rest.take(CHUNK as u64).read_to_end(&mut chunk).is_err();
        if chunk.is_empty() {
            break;
        }
        reader.push(&chunk);
        if failed {
            break;
        }
    }
    let (mut pieces, lines) = reader.finish(stream);
    if newest_first {
        let why = format!(
            "the text is newest first and longer than the {read} bytes that are turned: causes and consequences stand \
             the wrong way round"
        );
        said_turned(member, &mut pieces, &why, "the log with its oldest line first: tac FILE");
    }
    (pieces, lines)
}

/// The piece of a dump's own log. Lines of its facts are positions of records, counted from 1.
pub(super) fn read_ring(member: &str, log: &Log) -> Piece {
    let texts: Vec<_> = log.records.iter().map(kernel::Record::text_lossy).collect();
    let records = log.records.iter().zip(&texts).map(|(record, text)| klog::Record {
        seq: record.seq,
        ts_ns: record.ts_ns.unwrap_or(0),
        level: record.level,
        facility: record.facility,
        caller: record.caller.map(|caller| match caller {
            kernel::Caller::Thread(id) => klog::Caller::Task(id),
            kernel::Caller::Cpu(id) => klog::Caller::Cpu(id),
        }),
        text,
    });
    // The ring holds one boot: a banner printed again inside it (a kexec log, /dev/kmsg) starts no other.
    let mut whole = Piece { member: member.to_owned(), ..Piece::default() };
    for piece in pieces(member, klog::read_records(member, records), 0) {
        whole.identity.fill(&piece.identity);
        whole.facts.extend(piece.facts);
        whole.gaps.extend(piece.gaps);
    }
    if !log.records.is_empty() {
        whole.sources.insert("log".to_owned());
    }
    whole.gaps.extend(log.gaps.iter().cloned());
    whole
}

fn pieces(member: &str, reading: klog::Reading, stream: usize) -> Vec<Piece> {
    let mut gaps = reading.gaps;
    reading
        .boots
        .into_iter()
        .map(|boot| Piece {
            identity: boot.identity,
            facts: boot.events.into_iter().map(|event| event.into_fact(member)).collect(),
            gaps: std::mem::take(&mut gaps),
            sources: std::iter::once("log".to_owned()).collect(),
            stream: Some(stream),
            member: member.to_owned(),
            ..Piece::default()
        })
        .collect()
}
