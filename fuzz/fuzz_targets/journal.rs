//! Any bytes as a journal file, an export or JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = bundle::journal::read(data, &mut |entry| {
        let _ = (entry.kernel_line(), entry.text_line());
        bundle::Flow::Continue
    });
});
