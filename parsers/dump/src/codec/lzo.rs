//! LZO1X, as `makedumpfile -l` writes it.

/// Bytes written to `page`, or `None` for a corrupt stream or one that does not fit.
pub(super) fn decode(data: &[u8], page: &mut [u8]) -> Option<usize> {
    ::lzo::decompress_into(data, page).ok()
}
