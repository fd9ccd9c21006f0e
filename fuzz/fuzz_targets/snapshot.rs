//! Any bytes as a file of a node: the first line is its path.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|b| *b == b'\n').unwrap_or(0);
    let path = String::from_utf8_lossy(&data[..end]).into_owned();
    let _ = snapshot::wants(&path);
    let _ = snapshot::recognises(data);
    let _ = snapshot::read(&path, data.get(end + 1..).unwrap_or_default());
    let mut log = snapshot::NodeLog::new("fuzz");
    for line in String::from_utf8_lossy(data).lines() {
        log.line(line);
    }
    let _ = log.finish();
});
