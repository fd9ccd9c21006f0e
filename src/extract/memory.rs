//! What is read from the memory of a dump: first what is cheap and always wanted, then probes.

use kernel::Kernel;

use super::piece::Piece;

/// Adds the facts of a dump's memory to its piece.
pub(super) fn read(kernel: &Kernel<'_>, piece: &mut Piece) {
    let (facts, gaps) = kernel.module_facts();
    if !facts.is_empty() {
        piece.sources.insert("mem.module".to_owned());
    }
    piece.facts.extend(facts);
    piece.gaps.extend(gaps);
}
