//! Variables without a name in any table that were found by what lies there: heads of lists and per-CPU variables. For
//! kernels whose symbols are functions only.

use crate::{Kernel, VirtAddr};

impl Kernel<'_> {
    /// Names and addresses of these variables; of per-CPU ones what [`Kernel::per_cpu`] takes. Empty where variables have
    /// symbols.
    pub fn found_variables(&self) -> &[(&'static str, VirtAddr)] {
        self.found_variables.get_or_init(|| {
            if self.names_data() {
                return Vec::new();
            }
            let all = [
                ("modules", self.modules_head()),
                ("slab_caches", self.slab_caches_head()),
                ("super_blocks", self.super_blocks_head()),
                ("block_class", self.block_class()),
                ("worker_pool_idr", self.worker_pool_ids()),
                ("runqueues", self.run_queue_variable()),
                ("timer_bases", self.timer_bases()),
                ("hrtimer_bases", self.hrtimer_bases()),
            ];
            all.into_iter().filter_map(|(name, at)| Some((name, at?))).collect()
        })
    }

    /// The variable of that name that was found so.
    pub fn found_variable(&self, name: &str) -> Option<VirtAddr> {
        self.found_variables().iter().find(|(known, _)| *known == name).map(|(_, at)| *at)
    }

    /// The variable that begins at an address.
    pub fn found_variable_at(&self, at: VirtAddr) -> Option<&'static str> {
        self.found_variables().iter().find(|(_, known)| *known == at).map(|(name, _)| *name)
    }
}
