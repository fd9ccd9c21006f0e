//! The log buffer up to 3.4: plain text in a ring, lines with `<N>` and perhaps a time stamp in front.

use facts::Gap;

use super::{Log, Record};
use crate::Kernel;

const MAX_BUFFER: u64 = 64 << 20;

pub(super) fn read(kernel: &Kernel<'_>) -> Option<Log> {
    let (buffer, len, end) =
        (kernel.symbol_at("log_buf")?, kernel.symbol_at("log_buf_len")?, kernel.symbol_at("log_end")?);
    let mut log = Log::default();
    let text = (|| {
        let data = kernel.ptr(buffer).map_err(|e| e.to_string())?;
        let size = u64::from(kernel.u32(len).map_err(|e| e.to_string())?);
        let end = u64::from(kernel.u32(end).map_err(|e| e.to_string())?);
        if !size.is_power_of_two() || size > MAX_BUFFER {
            return Err(format!("log_buf_len is {size}, which cannot be"));
        }
        let mut ring = kernel.bytes(data, size as usize).map_err(|e| e.to_string())?;
        if end < size {
            ring.truncate(end as usize);
        } else {
            ring.rotate_left((end & (size - 1)) as usize);
        }
        Ok(ring)
    })();
    match text {
        Ok(text) => log.records = lines(&text),
        Err(why) => log.gaps.push(Gap::new("kernel log", format!("log_buf at {buffer}"), why, "")),
    }
    Some(log)
}

fn lines(text: &[u8]) -> Vec<Record> {
    let mut level = 4;
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.split(|byte| *byte == b'\n')
        .enumerate()
        .map(|(nth, line)| {
            let mut line = line;
            if let [b'<', digit @ b'0'..=b'7', b'>', rest @ ..] = line {
                level = digit - b'0';
                line = rest;
            }
            let (ts_ns, body) = stamp(line).map_or((None, line), |(ts, body)| (Some(ts), body));
            Record {
                seq: nth as u64,
                ts_ns,
                facility: 0,
                level,
                caller: None,
                continues: false,
                open: false,
                text: body.to_vec(),
                subsystem: String::new(),
                device: String::new(),
                unfinished: false,
            }
        })
        .collect()
}

/// `[ssss.uuuuuu] ` and what follows.
fn stamp(line: &[u8]) -> Option<(u64, &[u8])> {
    let inner = line.strip_prefix(b"[")?;
    let close = memchr::memchr(b']', inner)?;
    let number = std::str::from_utf8(inner.get(..close)?).ok()?.trim_start();
    let (seconds, micros) = number.split_once('.')?;
    let ts = seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?;
    let ts = ts.checked_add(micros.parse::<u64>().ok()?.checked_mul(1000)?)?;
    let body = inner.get(close + 1..)?;
    Some((ts, body.strip_prefix(b" ").unwrap_or(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_stamps_are_taken_off_the_lines() {
        let records = lines(b"<6>[    1.500000] one\n<4>two\nthree\n");
        let seen: Vec<_> = records.iter().map(|r| (r.level, r.ts_ns, r.text.as_slice())).collect();
        assert_eq!(seen, [(6, Some(1_500_000_000), &b"one"[..]), (4, None, b"two"), (4, None, b"three")]);
    }
}
