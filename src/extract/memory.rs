//! What is read from the memory of a dump: first what is cheap and always wanted, then probes.

use facts::{Fact, Gap};
use kernel::Kernel;

use super::piece::Piece;

/// Adds the facts of a dump's memory to its piece. A source counts as read when its reader found anything: an
/// empty list of modules or devices in a dump that was cut says nothing.
pub(super) fn read(kernel: &Kernel<'_>, piece: &mut Piece) {
    add(piece, "mem.module", kernel.module_facts());
    add(piece, "mem.net_device", kernel.net_facts());
}

fn add(piece: &mut Piece, source: &str, (facts, gaps): (Vec<Fact>, Vec<Gap>)) {
    if !facts.is_empty() && gaps.is_empty() {
        piece.sources.insert(source.to_owned());
    }
    piece.facts.extend(facts);
    piece.gaps.extend(gaps);
}
