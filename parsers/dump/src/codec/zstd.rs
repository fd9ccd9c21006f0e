//! zstd, one frame per page, as `makedumpfile -z` writes it.

use std::cell::RefCell;

#[cfg(not(feature = "c-codecs"))]
use ruzstd::decoding::FrameDecoder;

/// A page's frame has a window of one page. A frame that asks for more than this is not a
/// page, and the decoder would allocate what it asks for.
#[cfg(not(feature = "c-codecs"))]
const MAX_WINDOW: u64 = 1 << 20;

#[cfg(not(feature = "c-codecs"))]
thread_local! {
    static STATE: RefCell<FrameDecoder> = RefCell::new(new_decoder());
}

#[cfg(not(feature = "c-codecs"))]
fn new_decoder() -> FrameDecoder {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MAX_WINDOW);
    decoder
}

/// Bytes written to `page`, or `None` for a corrupt stream or one that does not fit.
#[cfg(not(feature = "c-codecs"))]
pub(super) fn decode(data: &[u8], page: &mut [u8]) -> Option<usize> {
    STATE.with_borrow_mut(|state| state.decode_all(data, page).ok())
}

#[cfg(feature = "c-codecs")]
thread_local! {
    // `None` when the C library has no memory for it.
    static STATE: RefCell<Option<::zstd::bulk::Decompressor<'static>>> =
        RefCell::new(::zstd::bulk::Decompressor::new().ok());
}

/// Bytes written to `page`, or `None` for a corrupt stream or one that does not fit.
#[cfg(feature = "c-codecs")]
pub(super) fn decode(data: &[u8], page: &mut [u8]) -> Option<usize> {
    STATE.with_borrow_mut(|state| state.as_mut()?.decompress_to_buffer(data, page).ok())
}
