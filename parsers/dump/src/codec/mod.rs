//! One file per page codec. Each decodes a whole page into a buffer of exactly one page.

mod lzo;
mod snappy;
mod zlib;
mod zstd;

use crate::error::{Codec, Problem};

/// Decodes `data` into `page`, which it must fill.
pub(crate) fn decode(codec: Codec, data: &[u8], page: &mut [u8]) -> Result<(), Problem> {
    let got = match codec {
        Codec::Stored => {
            let n = data.len().min(page.len());
            if let (Some(to), Some(from)) = (page.get_mut(..n), data.get(..n)) {
                to.copy_from_slice(from);
            }
            Some(data.len())
        }
        Codec::Zlib => zlib::decode(data, page),
        Codec::Lzo => lzo::decode(data, page),
        Codec::Snappy => snappy::decode(data, page),
        Codec::Zstd => zstd::decode(data, page),
    };
    match got {
        None => Err(Problem::BadStream(codec)),
        Some(got) if got != page.len() => Err(Problem::WrongSize { codec, got }),
        Some(_) => Ok(()),
    }
}
