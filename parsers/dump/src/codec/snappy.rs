//! Raw snappy (no framing), as `makedumpfile -p` writes it.

/// Bytes written to `page`, or `None` for a corrupt stream or one that does not fit.
pub(super) fn decode(data: &[u8], page: &mut [u8]) -> Option<usize> {
    snap::raw::Decoder::new().decompress(data, page).ok()
}
