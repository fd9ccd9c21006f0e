//! Any bytes as a log, whole and in pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let whole = klog::read("fuzz", data);
    let mut builder = klog::ReadingBuilder::new("fuzz", Default::default());
    let size = 1 + data.first().map_or(0, |b| usize::from(*b));
    for piece in data.chunks(size) {
        builder.push(piece, &mut |_| {});
    }
    builder.finish(&mut |_| {});
    for event in whole.boots.iter().flat_map(|b| &b.events) {
        let _ = event.to_fact("fuzz");
    }
});
