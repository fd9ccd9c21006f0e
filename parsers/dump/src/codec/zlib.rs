//! zlib (RFC 1950), as `makedumpfile -c` and QEMU write it.

use std::cell::RefCell;

#[cfg(not(feature = "c-codecs"))]
use flate2::{Decompress, FlushDecompress, Status};

#[cfg(not(feature = "c-codecs"))]
thread_local! {
    // The inflate state is some 40 KB; making it anew for each page costs as much as decoding a small one.
    static STATE: RefCell<Decompress> = RefCell::new(Decompress::new(true));
}

/// Bytes written to `page`, or `None` for a corrupt stream or one that does not fit.
#[cfg(not(feature = "c-codecs"))]
pub(super) fn decode(data: &[u8], page: &mut [u8]) -> Option<usize> {
    STATE.with_borrow_mut(|state| {
        state.reset(true);
        match state.decompress(data, page, FlushDecompress::Finish) {
            Ok(Status::StreamEnd) => usize::try_from(state.total_out()).ok(),
            _ => None,
        }
    })
}

#[cfg(feature = "c-codecs")]
thread_local! {
    static STATE: RefCell<libdeflater::Decompressor> = RefCell::new(libdeflater::Decompressor::new());
}

/// Bytes written to `page`, or `None` for a corrupt stream or one that does not fit.
#[cfg(feature = "c-codecs")]
pub(super) fn decode(data: &[u8], page: &mut [u8]) -> Option<usize> {
    STATE.with_borrow_mut(|state| state.zlib_decompress(data, page).ok())
}
