//! Any bytes as an archive or a compressed file: a bounded walk.
#![no_main]

use bundle::{Flow, Limits, Source, walk};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = Limits { total_floor: 4 << 20, stream_floor: 1 << 20, members: 10_000, ..Limits::default() };
    let mut data = data;
    let _ = walk(Source::Reader(&mut data, "fuzz"), &limits, &mut |mut member| {
        if !member.content().is_archive() {
            let _ = member.read(1 << 20);
        }
        Flow::Continue
    });
});
