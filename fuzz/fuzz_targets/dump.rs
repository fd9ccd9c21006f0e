//! Any bytes as a dump: an answer or an error.
#![no_main]

use dump::Dump;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(dump) = Dump::from_bytes(vec![("fuzz".into(), data.to_vec())]) else { return };
    let _ = (dump.info(), dump.gaps());
    for pfn in dump.ranges().flatten().take(600) {
        let _ = dump.page(pfn);
    }
    let _ = dump.page(dump.end_pfn());
    let _ = dump.find_vmcoreinfo(2);
});
