//! Which machine, which boot.

use serde::{Deserialize, Serialize};

/// Host, boot and kernel. Every field may be absent. Facts of different identities are never joined as proof.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Host name (`utsname.nodename`, syslog host column, `/etc/hostname`).
    pub host: Option<String>,
    /// `/etc/machine-id`: 32 hex digits.
    pub machine_id: Option<String>,
    /// `/proc/sys/kernel/random/boot_id`: 32 hex digits, dashes dropped.
    pub boot_id: Option<String>,
    /// Wall-clock time of the boot, RFC 3339.
    pub boot_time: Option<String>,
    /// Kernel release, `uname -r`.
    pub kernel: Option<String>,
    /// The whole `Linux version ...` banner.
    pub banner: Option<String>,
    /// Architecture as `uname -m` says it.
    pub arch: Option<String>,
    /// Hardware model as DMI or the oops header names it.
    pub model: Option<String>,
}

/// Two boot times within so many seconds may be one: clocks are set while a machine runs.
const SAME_BOOT_S: u64 = 300;

impl Identity {
    /// The name of the first field in which the two certainly differ, if any. A field absent on either side proves nothing.
    pub fn conflict(&self, other: &Identity) -> Option<&'static str> {
        fn differ(a: &Option<String>, b: &Option<String>) -> bool {
            matches!((a, b), (Some(a), Some(b)) if a != b)
        }
        if differ(&self.machine_id, &other.machine_id) {
            Some("machine id")
        } else if differ(&self.boot_id, &other.boot_id) {
            Some("boot id")
        } else if matches!((self.booted(), other.booted()), (Some(a), Some(b)) if a.abs_diff(b) > SAME_BOOT_S) {
            Some("boot time")
        } else if differ(&self.host, &other.host) {
            Some("host")
        } else if differ(&self.banner, &other.banner) {
            Some("banner")
        } else if differ(&self.kernel, &other.kernel) {
            Some("kernel")
        } else if differ(&self.arch, &other.arch) {
            Some("arch")
        } else {
            None
        }
    }

    /// When it booted, in seconds since 1970, where [`Identity::boot_time`] is in UTC.
    pub fn booted(&self) -> Option<u64> {
        let (date, clock) = self.boot_time.as_deref()?.strip_suffix('Z')?.split_once('T')?;
        let mut date = date.split('-').map(|part| part.parse::<u64>().ok());
        let (year, month, day) = (date.next()??, date.next()??, date.next()??);
        let mut clock = clock.split(':').map(|part| part.split('.').next()?.parse::<u64>().ok());
        let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
        if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || hour > 23 || minute > 59 || day > 31 {
            return None;
        }
        // Years that begin in March have their leap day last.
        let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let days = (365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day).checked_sub(719_469)?;
        Some(days * 86_400 + hour * 3600 + minute * 60 + second)
    }

    /// Fills the fields absent here from `other`.
    pub fn fill(&mut self, other: &Identity) {
        fn take(a: &mut Option<String>, b: &Option<String>) {
            if a.is_none() {
                a.clone_from(b);
            }
        }
        take(&mut self.host, &other.host);
        take(&mut self.machine_id, &other.machine_id);
        take(&mut self.boot_id, &other.boot_id);
        take(&mut self.boot_time, &other.boot_time);
        take(&mut self.kernel, &other.kernel);
        take(&mut self.banner, &other.banner);
        take(&mut self.arch, &other.arch);
        take(&mut self.model, &other.model);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_times_apart_are_boots_apart() {
        let at = |time: &str| Identity { boot_time: Some(time.to_owned()), ..Identity::default() };
        assert_eq!(at("1970-01-01T00:00:00Z").booted(), Some(0));
        assert_eq!(at("2023-11-14T22:13:20Z").booted(), Some(1_700_000_000));
        assert_eq!(at("2000-02-29T00:00:00Z").booted(), Some(951_782_400));
        assert_eq!(at("yesterday").booted(), None);
        assert_eq!(at("2026-11-26T03:00:00Z").conflict(&at("2026-11-26T03:00:41Z")), None);
        assert_eq!(at("2026-11-26T03:00:00Z").conflict(&at("2026-11-26T08:00:00Z")), Some("boot time"));
        assert_eq!(at("2026-11-26T03:00:00Z").conflict(&Identity::default()), None);
    }
}
