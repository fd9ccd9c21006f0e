//! What one parser made of one member.

use std::collections::BTreeSet;

use facts::{Fact, Gap, Identity};
use snapshot::Span;

/// Facts of one source and one boot, before it is known which case they belong to.
#[derive(Clone, Debug, Default)]
pub struct Piece {
    /// As far as this source names it.
    pub identity: Identity,
    /// Its facts.
    pub facts: Vec<Fact>,
    /// Its gaps.
    pub gaps: Vec<Gap>,
    /// Which sources were read.
    pub sources: BTreeSet<String>,
    /// Number of the log stream it is a boot of: two boots of one stream are never one case.
    pub stream: Option<usize>,
    /// `/proc/version_signature`.
    pub version_signature: Option<String>,
    /// What a person would call it, for gaps.
    pub member: String,
    /// The folder or archive of the node's report it was found in: pieces of different roots are never one case.
    pub root: String,
    /// The node's state, or what `dmesg` printed when the report was made: of the boot in which that was.
    pub of_collection: bool,
    /// Of a log: when its boot began and ended.
    pub span: Span,
    /// Its boot was over when the report was made: another one follows in the log, or it is the record of a crash.
    pub over: bool,
    /// A dump: it says which machine the case is about.
    pub is_dump: bool,
}
