//! The log as `dmesg` prints it.

use super::Log;

/// How to print a log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Render {
    /// Show who printed each line, as kernels with CONFIG_PRINTK_CALLER do: `[    T1]`.
    pub caller: bool,
    /// Print wall-clock times as `dmesg -T` does. Nanoseconds since 1970 of the boot, see
    /// [`crate::Kernel::boot_time_ns`]. Times are about right: printk's clock drifts and stands still in suspend.
    pub boot_time_ns: Option<i64>,
}

impl Log {
    /// The text, bytes as they are in the records. Every line of a record of several lines gets the prefix, as the
    /// kernel prints it.
    pub fn render(&self, how: Render) -> Vec<u8> {
        let mut out = Vec::new();
        let mut open = false;
        for record in &self.records {
            if open && !record.continues {
                out.push(b'\n');
            }
            let mut prefix = match (record.ts_ns, how.boot_time_ns) {
                (None, _) => String::new(),
                (Some(ts), Some(boot)) => format!("[{}] ", wall(boot.saturating_add_unsigned(ts))),
                (Some(ts), None) => format!("[{:5}.{:06}] ", ts / 1_000_000_000, ts % 1_000_000_000 / 1000),
            };
            if let (true, Some(caller)) = (how.caller, record.caller) {
                prefix.truncate(prefix.trim_end().len());
                prefix.push_str(&format!("[{:>6}] ", caller.to_string()));
            }
            for (nth, line) in record.text.split(|byte| *byte == b'\n').enumerate() {
                if nth > 0 {
                    out.push(b'\n');
                }
                if nth > 0 || !(record.continues && open) {
                    out.extend_from_slice(prefix.as_bytes());
                }
                out.extend_from_slice(line);
            }
            open = record.open;
            if !open {
                out.push(b'\n');
            }
        }
        if open {
            out.push(b'\n');
        }
        out
    }
}

/// Year, month (1 to 12) and day; hour, minute and second, in UTC, of a number of seconds since 1970.
pub(crate) fn calendar(seconds: i64) -> ((i64, i64, i64), (i64, i64, i64)) {
    let (days, second) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
    // Days since 0000-03-01, so that the leap day is the last of its year.
    let z = days.saturating_add(719_468);
    let (era, doe) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let yoe = (doe - doe / 1460 + doe / 36524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    ((year, month, day), (second / 3600, second / 60 % 60, second % 60))
}

/// `Thu Nov 26 10:32:11 2026`, in UTC: the dump does not say which zone its machine was in.
fn wall(ns: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 13] = ["", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = ns.div_euclid(1_000_000_000);
    let ((year, month, day), (hour, minute, second)) = calendar(seconds);
    format!(
        "{} {} {day:2} {hour:02}:{minute:02}:{second:02} {year}",
        DAYS.get(seconds.div_euclid(86400).rem_euclid(7) as usize).unwrap_or(&""),
        MONTHS.get(month as usize).unwrap_or(&"")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_is_the_calendar_s() {
        // `date -u -d @N` of GNU coreutils.
        assert_eq!(wall(0), "Thu Jan  1 00:00:00 1970");
        assert_eq!(wall(951_782_400_000_000_000), "Tue Feb 29 00:00:00 2000");
        assert_eq!(wall(1_795_689_131_999_999_999), "Thu Nov 26 10:32:11 2026");
    }
}
