//! Clocks: monotonic time, jiffies, and how many jiffies make a second.

use std::ops::Range;

use crate::{Kernel, VirtAddr};

/// Boot and wall-clock times are only believed between these years (1980 and 2200).
const PLAUSIBLE: Range<i64> = 315_532_800..7_258_118_400;
const SECOND: i64 = 1_000_000_000;
/// How far the uptime may be from the clocks of run queues.
const CLOCKS_DIFFER_S: u64 = 600;

/// What the timekeeper says, in seconds and nanoseconds.
struct Times {
    wall_s: i64,
    to_monotonic_s: i64,
    to_monotonic_ns: i64,
    /// Nanoseconds beyond `wall_s`.
    fraction_ns: i64,
}

impl Kernel<'_> {
    fn times(&self) -> Option<Times> {
        let types = self.types();
        let member = |path: &str| types.offset("timekeeper", path);
        let (sec, nsec) = (member("wall_to_monotonic.tv_sec")?, member("wall_to_monotonic.tv_nsec")?);
        let xtime = member("xtime_sec")?;
        // 22c62b9a84b8 "timekeeping: Introduce auxiliary timekeepers" (v6.17): timekeeper_data[]; `tk_core` before, an
        // anonymous structure of a sequence counter and the timekeeper; plain `timekeeper` before 3.17.
        let candidates: Vec<VirtAddr> = match self.symbol_at("timekeeper_data") {
            Some(at) => types.offset("tk_data", "timekeeper").into_iter().map(|offset| at + offset).collect(),
            None => match self.symbol_at("tk_core") {
                Some(at) => [8u64, 16, 32, 40, 64].into_iter().map(|offset| at + offset).collect(),
                None => self.symbol_at("timekeeper").into_iter().chain(self.timekeeper_in_code(xtime)).collect(),
            },
        };
        candidates.into_iter().find_map(|at| {
            let wall_s = self.u64(at + xtime).ok()? as i64;
            let to_monotonic_s = self.u64(at + sec).ok()? as i64;
            let to_monotonic_ns = self.u64(at + nsec).ok()? as i64;
            let uptime = wall_s.checked_add(to_monotonic_s)?;
            // Self-check: the two give an uptime of a machine.
            let sound = PLAUSIBLE.contains(&wall_s)
                && (0..20 * 366 * 86400).contains(&uptime)
                && (0..SECOND).contains(&to_monotonic_ns);
            if !sound {
                return None;
            }
            // In the timekeeper itself before d28ede83791d "timekeeping: Create struct tk_read_base" (v3.17).
            let part = |name: &str| {
                let read_base = format!("tkr_mono.{name}");
                self.first_value(at, "timekeeper", &[read_base.as_str(), name])
            };
            let fraction = part("xtime_nsec").zip(part("shift")).map(|(ns, shift)| ns >> (shift & 31));
            let fraction_ns = fraction.and_then(|ns| i64::try_from(ns).ok()).filter(|ns| *ns < 64 * SECOND);
            Some(Times { wall_s, to_monotonic_s, to_monotonic_ns, fraction_ns: fraction_ns.unwrap_or(0) })
        })
    }

    /// The timekeeper whose seconds `ktime_get_real_seconds()` returns: its uptime is about that of the run queues' clocks,
    /// which count from before the kernel began.
    fn timekeeper_in_code(&self, xtime: u64) -> Option<VirtAddr> {
        let seconds = *self.code_references("ktime_get_real_seconds").last()?;
        let at = seconds - xtime;
        let wall = self.u64(seconds).ok()?;
        let boot =
            self.types().offset("timekeeper", "wall_to_monotonic.tv_sec").and_then(|sec| self.u64(at + sec).ok())?;
        let newest = self.run_queues().iter().map(|queue| queue.clock_ns).max()? / 1_000_000_000;
        (wall.wrapping_add(boot).abs_diff(newest) < CLOCKS_DIFFER_S).then_some(at)
    }

    /// Wall-clock time of the boot in nanoseconds since 1970: realtime less monotonic time, which is minus the
    /// timekeeper's `wall_to_monotonic`.
    pub fn boot_time_ns(&self) -> Option<i64> {
        let times = self.times()?;
        times.to_monotonic_s.checked_neg()?.checked_mul(SECOND)?.checked_sub(times.to_monotonic_ns)
    }

    /// Wall-clock time of the dumped moment, nanoseconds since 1970, at the last update of the timekeeper.
    pub(crate) fn wall_ns(&self) -> Option<i64> {
        let times = self.times()?;
        times.wall_s.checked_mul(SECOND)?.checked_add(times.fraction_ns)
    }

    /// Monotonic time in nanoseconds as the timekeeper has it. The clocks of run queues may be some seconds ahead: on arm64
    /// they count from before the kernel began.
    pub(crate) fn timekeeper_ns(&self) -> Option<u64> {
        let times = self.times()?;
        let seconds = times.wall_s.checked_add(times.to_monotonic_s)?.checked_mul(SECOND)?;
        u64::try_from(seconds.checked_add(times.to_monotonic_ns)?.checked_add(times.fraction_ns)?).ok()
    }

    /// Monotonic time in nanoseconds at the last update of the timekeeper, which is at most a tick ago while any CPU
    /// takes ticks. Where the timekeeper has no symbol, the newest clock of a run queue, which counts almost the same.
    pub fn monotonic_ns(&self) -> Option<u64> {
        self.timekeeper_ns().or_else(|| self.run_queues().iter().map(|queue| queue.clock_ns).max())
    }

    /// `jiffies_64`.
    pub fn jiffies(&self) -> Option<u64> {
        self.symbol_at("jiffies_64").or_else(|| self.symbol_at("jiffies")).and_then(|at| self.u64(at).ok())
    }

    /// Ticks a second. No variable has it: `jiffies_64` starts 300 s before its low half wraps, which with the uptime
    /// tells the frequencies that kernels are built with apart.
    pub fn ticks_per_second(&self) -> Option<u64> {
        ticks_per_second(self.jiffies()?, self.monotonic_ns()?)
    }
}

fn ticks_per_second(jiffies: u64, monotonic_ns: u64) -> Option<u64> {
    // How far the uptime by ticks is from the uptime by the clock. Near 300 s of uptime all frequencies fit, and the
    // best one is taken.
    let error = |hz: u64| {
        let ticks = jiffies.checked_sub((1u64 << 32) - 300 * hz)?;
        let by_ticks = u128::from(ticks) * 1_000_000_000 / u128::from(hz);
        let error = by_ticks.abs_diff(u128::from(monotonic_ns));
        // Ticks start with the timer, some seconds late at most; a guest that was stopped loses some.
        (error <= 5_000_000_000 + u128::from(monotonic_ns) / 20).then_some(error)
    };
    let rates = [250, 1000, 100, 300, 1024, 512, 1200];
    rates.into_iter().filter_map(|hz| Some((error(hz)?, hz))).min_by_key(|(error, _)| *error).map(|(_, hz)| hz)
}

#[cfg(test)]
mod tests {
    use super::ticks_per_second;

    #[test]
    fn the_tick_rate_follows_from_jiffies_and_uptime() {
        assert_eq!(ticks_per_second(4_294_900_035, 30_950_000_000), Some(250));
        assert_eq!(ticks_per_second(4_294_667_296 + 1000 * 86_400, 86_400_000_000_000), Some(1000));
        assert_eq!(ticks_per_second(5, 86_400_000_000_000), None);
    }
}
