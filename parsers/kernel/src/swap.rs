//! Pages that are on their way from or to a swap device.

use crate::{Kernel, VirtAddr};

/// Low bits of a swap entry are the place on the device, the rest its number: 5 bits of 63 since 3159f943aafd "xarray:
/// Replace exceptional entries" (v4.20).
const TYPE_SHIFT: u64 = 58;
/// `MAX_SWAPFILES_SHIFT` is 5.
const MAX_DEVICES: u64 = 32;

impl Kernel<'_> {
    /// The swap device of a page in the swap cache, or the one that its swap file lies on; `None` for any other page.
    pub(crate) fn swap_device(&self, page: VirtAddr) -> Option<String> {
        let types = self.types();
        types.member("xa_node", "shift")?;
        let bit = u32::try_from(types.enumerator("PG_swapcache")?).ok()?;
        let flags = self.first_value(page, "page", &["flags", "flags.f"])?;
        if 1u64.checked_shl(bit).is_none_or(|bit| flags & bit == 0) {
            return None;
        }
        // The bit means other things of pages that are not backed by swap: these have a mapping of a file.
        let mapping = self.value(page, "page", "mapping")?;
        if mapping & 3 != 1 && mapping != 0 {
            return None;
        }
        let device = self.value(page, "page", "private")? >> TYPE_SHIFT;
        let devices = self.symbol_at("swap_info").filter(|_| device < MAX_DEVICES)?;
        let info = self.ptr(devices + device * 8).ok().filter(|at| self.arch().is_kernel(*at))?;
        // Each knows its own number.
        if self.value(info, "swap_info_struct", "type") != Some(device) {
            return None;
        }
        self.block_device_name(self.pointer(info, "swap_info_struct", "bdev")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn pages_outside_the_swap_cache_have_no_swap_device() {
        let memory = Memory::new();
        memory.put64(BASE + 0x1_0000, 0);
        let kernel = memory.kernel_with("", &[("page", "flags", 0, 8), ("page", "mapping", 8, 8)]);
        assert_eq!(kernel.swap_device(VirtAddr(BASE + 0x1_0000)), None, "nor where the layout is not known");
    }
}
