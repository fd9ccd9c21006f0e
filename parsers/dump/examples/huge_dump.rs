//! Writes a sparse kdump of a 2 TB machine, opens it and reads its last page, and says what that cost.
//!
//! `cargo run --release -p vmcoroner-dump --example huge_dump [FILE]`. 2^29 page frames, 20 million of
//! them in the dump and spread evenly, so that both bitmaps (64 MiB each) are really there; of the
//! descriptors only the last is not a hole. Fails when opening and reading take 0.1 s or 200 MB.

use std::error::Error;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::time::Instant;

const MAX_MAPNR: u64 = 1 << 29;
const PAGES: u64 = 20_000_000;
const BLOCK: u64 = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).unwrap_or_else(|| "huge.kdump".into());
    let last = write(&File::create(&path)?)?;

    let start = Instant::now();
    let dump = dump::Dump::open(&[&path])?;
    let opened = start.elapsed();
    let page = dump.page(last)?;
    let read = start.elapsed();
    assert!(page.iter().all(|&byte| byte == 0x5a));
    let peak = peak_rss();
    println!("opened after {opened:?}, last page after {read:?}, peak memory {} MB", peak / 1000);
    std::fs::remove_file(&path)?;
    if read.as_secs_f64() > 0.1 || peak > 200_000 {
        return Err("slower than 0.1 s, or more than 200 MB".into());
    }
    Ok(())
}

/// Writes the dump; the number of its last page.
fn write(mut file: &File) -> Result<u64, Box<dyn Error>> {
    let bitmap = MAX_MAPNR / 8;
    let mut header = vec![0u8; 2 * BLOCK as usize];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"KDUMP   ");
    put(8, &6u32.to_le_bytes());
    put(272, b"x86_64");
    put(428, &(BLOCK as u32).to_le_bytes());
    put(432, &1u32.to_le_bytes());
    put(436, &((2 * bitmap / BLOCK) as u32).to_le_bytes());
    put(440, &(MAX_MAPNR as u32).to_le_bytes());
    put(BLOCK as usize + 96, &MAX_MAPNR.to_le_bytes());
    file.write_all(&header)?;
    file.write_all(&vec![0xff; bitmap as usize])?;
    let mut bits = vec![0u8; bitmap as usize];
    let mut last = 0;
    for nth in 0..PAGES {
        last = (nth + 1) * MAX_MAPNR / PAGES - 1;
        bits[(last / 8) as usize] |= 1 << (last % 8);
    }
    file.write_all(&bits)?;
    let descriptors = 2 * BLOCK + 2 * bitmap;
    let data = descriptors + 24 * PAGES;
    file.seek(SeekFrom::Start(data - 24))?;
    file.write_all(&data.to_le_bytes())?;
    file.write_all(&(BLOCK as u32).to_le_bytes())?;
    file.write_all(&[0; 12])?;
    file.write_all(&[0x5a; BLOCK as usize])?;
    Ok(last)
}

/// Peak resident memory in KB, as the kernel counts it; the writer's buffers are in it.
fn peak_rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
