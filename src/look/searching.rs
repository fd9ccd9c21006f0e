//! `search`: where a value stands in memory.

use std::collections::HashMap;
use std::time::Duration;

use facts::{Address, Gap};
use kernel::search::{Bounds, Needle};
use kernel::what::What;
use kernel::{Kernel, PhysAddr, VirtAddr};
use serde::Serialize;

/// Pages of stacks and modules that are looked up to name places outside the direct map.
const MAX_MAPPED: usize = 400_000;

/// What to look for, as typed.
#[derive(Clone, Debug, Default)]
pub struct SearchAsk {
    /// The value: a number, an address or a symbol; with `text` the text itself.
    pub value: String,
    /// Look for 32 bits.
    pub half: bool,
    /// The value is text.
    pub text: bool,
    /// Bits that may differ.
    pub mask: u64,
    /// The most places.
    pub limit: usize,
    /// The most seconds.
    pub seconds: u64,
}

/// Where a value stands.
#[derive(Clone, Debug, Serialize)]
pub struct SearchView {
    /// What was looked for, as a number or text.
    pub needle: String,
    /// Places, by physical address.
    pub hits: Vec<HitRow>,
    /// Pages looked at.
    pub pages: u64,
    /// Pages that the dump does not have.
    pub absent: u64,
    /// What was not looked at.
    pub gaps: Vec<Gap>,
}

/// One place.
#[derive(Clone, Debug, Serialize)]
pub struct HitRow {
    /// The virtual address: of the kernel image, of a stack or a module, else of the direct map.
    pub address: Option<Address>,
    /// The physical address.
    pub physical: Address,
    /// The value there, where a mask let it differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Address>,
    /// What lies there, in a sentence.
    pub what: String,
    /// The same in a word: `slab-object`, `stack`, `symbol`, `page`.
    pub kind: &'static str,
    /// The same in parts.
    pub detail: What,
}

/// Looks for a value in all memory that the dump has.
///
/// # Errors
/// A sentence when the value is none.
pub fn search(
    kernel: &Kernel<'_>,
    ask: &SearchAsk,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<SearchView, String> {
    let needle = needle(kernel, ask)?;
    let bounds = Bounds { limit: ask.limit.max(1), time: Duration::from_secs(ask.seconds.max(1)) };
    let found = kernel.search(&needle, bounds, progress);
    let whereabouts = kernel.whereabouts();
    let mapped = if found.places.items.is_empty() { HashMap::new() } else { mapped_elsewhere(kernel) };
    let hits = found.places.items.iter().map(|physical| {
        let at = virtual_of(kernel, &mapped, *physical);
        let detail = at.map(|at| whereabouts.what(at)).unwrap_or_default();
        let value = match needle {
            Needle::Word { mask: 0, .. } | Needle::Half { mask: 0, .. } | Needle::Bytes(_) => None,
            _ => kernel.found_value(&needle, *physical).map(Address),
        };
        HitRow {
            address: at.map(Into::into),
            physical: Address(physical.0),
            value,
            what: detail.summary(),
            kind: detail.kind(),
            detail,
        }
    });
    let needle = match &needle {
        Needle::Word { value, mask: 0 } => format!("{value:#x}"),
        Needle::Half { value, mask: 0 } => format!("{value:#x} (32 bits)"),
        Needle::Word { value, mask } => format!("{value:#x} but for the bits of {mask:#x}"),
        Needle::Half { value, mask } => format!("{value:#x} (32 bits) but for the bits of {mask:#x}"),
        Needle::Bytes(_) => format!("\"{}\"", ask.value),
    };
    Ok(SearchView { needle, hits: hits.collect(), pages: found.pages, absent: found.absent, gaps: found.places.gaps })
}

fn needle(kernel: &Kernel<'_>, ask: &SearchAsk) -> Result<Needle, String> {
    if ask.text {
        return match ask.value.is_empty() {
            true => Err("expected a text to look for, found an empty one".to_owned()),
            false => Ok(Needle::Bytes(ask.value.clone().into_bytes())),
        };
    }
    let value = match ask.value.parse::<i128>() {
        // A bare address of 16 digits is hex, as crash prints it.
        Ok(n) if ask.value.len() < 16 => u64::try_from(n).or_else(|_| i64::try_from(n).map(|n| n as u64)).ok(),
        _ => None,
    };
    let value = match value {
        Some(value) => value,
        None => super::resolve(kernel, &ask.value)?.0,
    };
    if !ask.half {
        return Ok(Needle::Word { value, mask: ask.mask });
    }
    let low = u32::try_from(value).ok().or_else(|| i32::try_from(value as i64).ok().map(|n| n as u32));
    let low = low.ok_or_else(|| format!("expected a value of 32 bits with --u32, found {value:#x}"))?;
    Ok(Needle::Half { value: low, mask: ask.mask as u32 })
}

/// Frames that the kernel uses through another mapping than the direct map: stacks in vmalloc memory, modules.
fn mapped_elsewhere(kernel: &Kernel<'_>) -> HashMap<u64, VirtAddr> {
    let mut pages = HashMap::new();
    let size = kernel.types().size_of("thread_union").unwrap_or(16 << 10).min(1 << 16);
    let stacks =
        kernel.tasks().items.into_iter().filter_map(|task| task.stack).map(|low| low.0..low.0.saturating_add(size));
    let modules = kernel.modules().items.iter().flat_map(|module| module.parts.iter().chain(&module.init).cloned());
    for range in stacks.chain(modules) {
        for page in (range.start & !4095..range.end).step_by(4096) {
            if pages.len() >= MAX_MAPPED {
                return pages;
            }
            if let Ok(physical) = kernel.translate(VirtAddr(page)) {
                pages.insert(physical.0 >> 12, VirtAddr(page));
            }
        }
    }
    pages
}

/// The address a person would use for a physical one.
fn virtual_of(kernel: &Kernel<'_>, mapped: &HashMap<u64, VirtAddr>, at: PhysAddr) -> Option<VirtAddr> {
    if let Some(page) = mapped.get(&(at.0 >> 12)) {
        return Some(*page + (at.0 & 4095));
    }
    let image = kernel.symbol("_text").or_else(|| kernel.symbol("_stext")).zip(kernel.symbol("_end"));
    if let Some((start, end)) = image
        && let Ok(first) = kernel.translate(VirtAddr(start))
        && let Some(within) = at.0.checked_sub(first.0).filter(|within| *within < end.wrapping_sub(start))
    {
        return Some(VirtAddr(start) + within);
    }
    kernel.phys_to_virt(at.0)
}
