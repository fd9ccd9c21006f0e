//! Makes the sums of mutated headers right again, so that a mutation reaches what stands behind the check of a sum.

/// tar headers, the stream and block headers of xz, its footer.
pub fn repair(data: &mut [u8]) {
    for block in data.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            tar_header(block);
        }
    }
    if data.starts_with(b"\xfd7zXZ\0") {
        xz(data);
    }
}

/// The sum of all bytes with blanks in the place of the sum, six octal digits, NUL and blank.
fn tar_header(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn xz(data: &mut [u8]) {
    put_sum(data, 6, 8, 8);
    let length = (usize::from(data.get(12).copied().unwrap_or(0)) + 1) * 4;
    put_sum(data, 12, 12 + length - 4, 12 + length - 4);
    if data.len() > 24 && data.ends_with(b"YZ") {
        let footer = data.len() - 12;
        put_sum(data, footer + 4, footer + 10, footer);
    }
}

/// Writes the CRC32 of `from..to` at `at`.
fn put_sum(data: &mut [u8], from: usize, to: usize, at: usize) {
    let Some(sum) = data.get(from..to).map(crc32fast::hash) else { return };
    if let Some(place) = data.get_mut(at..at + 4) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}
