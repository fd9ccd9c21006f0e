//! Any bytes as an archive or a compressed file: a bounded walk. Sums of headers are made right after each mutation.
#![no_main]

use bundle::{Flow, Limits, Source, walk};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

#[path = "../repair.rs"]
mod repair;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, _seed: u32| {
    let size = fuzzer_mutate(data, size, max_size);
    repair::repair(&mut data[..size]);
    size
});

fuzz_target!(|data: &[u8]| {
    let limits = Limits { total_floor: 4 << 20, stream_floor: 1 << 20, members: 10_000, ..Limits::default() };
    // LZMA alone has no magic: its name tells.
    let name = if data.first() == Some(&0x5d) { "fuzz.lzma" } else { "fuzz" };
    let mut data = data;
    let _ = walk(Source::Reader(&mut data, name), &limits, &mut |mut member| {
        if !member.content().is_archive() {
            let _ = member.read(1 << 20);
        }
        Flow::Continue
    });
});
