//! The machine at a glance, as crash's `sys` shows it: names, date, load, memory.

use crate::Kernel;

/// Fraction bits of `avenrun` (FSHIFT, include/linux/sched/loadavg.h).
const FRACTION_BITS: u32 = 11;
/// A load that no machine has: more than pid_max tasks.
const MAX_LOAD: u64 = 4_194_304;

impl Kernel<'_> {
    /// Host name as the kernel has it; `(none)` where none was set.
    pub fn nodename(&self) -> Option<String> {
        self.uts_name(1)
    }

    /// Number and date of the build, `#1 SMP PREEMPT_DYNAMIC ...`.
    pub fn version(&self) -> Option<String> {
        self.uts_name(3)
    }

    /// What `uname -m` prints.
    pub fn machine(&self) -> Option<String> {
        self.uts_name(4)
    }

    /// When the memory was dumped or the kernel crashed, RFC 3339 in UTC: the time that the crash wrote down, else that
    /// of the timekeeper.
    pub fn date(&self) -> Option<String> {
        let crashed = self.vmcoreinfo().crash_time().and_then(|s| s.checked_mul(1_000_000_000));
        crashed.or_else(|| self.wall_ns()).map(crate::identity::rfc3339)
    }

    /// Load averages of 1, 5 and 15 minutes.
    pub fn load_averages(&self) -> Option<[f64; 3]> {
        let at = self.symbol_at("avenrun")?;
        let mut loads = [0.0; 3];
        for (nth, load) in (0..).zip(&mut loads) {
            let fixed = self.u64(at + nth * 8).ok().filter(|n| n >> FRACTION_BITS < MAX_LOAD)?;
            *load = fixed as f64 / f64::from(1u32 << FRACTION_BITS);
        }
        Some(loads)
    }

    /// Bytes of memory that the kernel manages (MemTotal).
    pub fn memory_bytes(&self) -> Option<u64> {
        self.total_memory().map(|(_, bytes)| bytes)
    }

    /// The same, with the counter that has it: an atomic_long_t of another name since ca79b0c211af "mm: convert
    /// totalram_pages and totalhigh_pages variables to atomic" (v5.0).
    pub(crate) fn total_memory(&self) -> Option<(&'static str, u64)> {
        ["_totalram_pages", "totalram_pages"].into_iter().find_map(|name| {
            let pages = self.symbol_at(name).and_then(|at| self.u64(at).ok())?;
            Some((name, pages.saturating_mul(self.page_bytes())))
        })
    }
}
