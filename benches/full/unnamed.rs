//! What a kernel without the names of its data (arm64, no CONFIG_KALLSYMS_ALL) tells all the same: found in code.

use std::path::Path;

use dump::Dump;
use kernel::{Kernel, Sources};
use vmcoroner::extract::{Options, gather};
use vmcoroner::look;

/// Settings that have no variable with a name there.
const SETTINGS: [&str; 5] =
    ["kernel.sysrq", "kernel.threads-max", "vm.dirty_bytes", "vm.dirty_background_bytes", "kernel.core_pattern"];

/// Reads them. The text says what was read, or what was not.
pub fn check(path: &Path) -> Result<String, String> {
    let dump = Dump::open(&[path]).map_err(|error| error.to_string())?;
    let kernel = Kernel::open(&dump, Sources::default()).map_err(|error| error.to_string())?;
    let overview = kernel.memory_overview();
    for line in ["vmalloc", "percpu", "percpu_boot", "hugetlb", "swap_total"] {
        overview.bytes(line).ok_or_else(|| format!("{line} is not counted"))?;
    }
    if let Some(gap) = overview.gaps.first() {
        return Err(format!("{}: {}", gap.what, gap.why));
    }
    let boot = kernel.boot_time_ns().ok_or("when it booted is not known")?;
    let devices = kernel.character_devices().items.len();
    if devices < 10 {
        return Err(format!("{devices} ranges of character devices"));
    }
    if kernel.memcg_ids_used() != Some(6) {
        return Err(format!("{:?} ids of memory cgroups are used, not 6", kernel.memcg_ids_used()));
    }
    let settings = kernel.sysctls().items;
    if let Some(name) = SETTINGS.iter().find(|name| !settings.iter().any(|setting| setting.name == **name)) {
        return Err(format!("{name} is not known"));
    }
    // The log names a call that never returns by the function behind it.
    let mut traces = look::backtraces(&kernel, &look::Which::default()).map_err(|why| format!("traces: {why}"))?.traces;
    let options = Options { log_only: true, ..Options::default() };
    let cases = gather(&[path.to_path_buf()], &options).map_err(|error| error.to_string())?;
    let (Some(trace), Some(case)) = (traces.first_mut(), cases.first()) else { return Err("no trace".to_owned()) };
    look::join(&kernel, trace, &case.facts);
    let joined = trace.joined.as_ref().ok_or("no trace is joined with the log's")?;
    if joined.differ != 0 {
        return Err(format!("{} frames differ from the log's: {:?}", joined.differ, joined.frames));
    }
    Ok(format!(
        "booted at {} s, {devices} ranges of character devices, {} settings",
        boot / 1_000_000_000,
        settings.len()
    ))
}
