//! Who points at an address: words in the data of modules, with the symbol that holds them.

use std::collections::HashSet;

use serde::Serialize;

use crate::{Kernel, VirtAddr};

/// Bytes of module memory searched in all.
const MAX_BYTES: u64 = 256 << 20;

/// A word in a module's data that holds an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reference {
    /// The address it holds.
    pub target: VirtAddr,
    /// Where the word lies.
    pub at: VirtAddr,
    /// The module.
    pub module: String,
    /// Whether the module was built outside the kernel's tree.
    pub out_of_tree: bool,
    /// The variable that the word is part of.
    pub symbol: Option<String>,
}

impl Kernel<'_> {
    /// Words in modules' memory that hold one of these addresses, out-of-tree modules first.
    pub fn module_references(&self, targets: &HashSet<u64>) -> Vec<Reference> {
        let mut found = Vec::new();
        if targets.is_empty() {
            return found;
        }
        let mut modules: Vec<_> = self.modules().items.iter().collect();
        modules.sort_by_key(|module| !module.out_of_tree());
        let mut left = MAX_BYTES;
        for module in modules {
            for part in &module.parts {
                let mut at = part.start & !4095;
                while at < part.end && left > 0 {
                    let mut page = [0u8; 4096];
                    if self.read(VirtAddr(at), &mut page).is_ok() {
                        for (nth, word) in page.as_chunks::<8>().0.iter().enumerate() {
                            let value = u64::from_le_bytes(*word);
                            if !targets.contains(&value) {
                                continue;
                            }
                            let here = VirtAddr(at) + nth as u64 * 8;
                            found.push(Reference {
                                target: VirtAddr(value),
                                at: here,
                                module: module.name.clone(),
                                out_of_tree: module.out_of_tree(),
                                symbol: self.symbolize_module(here).map(|s| match s.offset {
                                    0 => s.name,
                                    offset => format!("{}+{offset:#x}", s.name),
                                }),
                            });
                        }
                    }
                    at += 4096;
                    left = left.saturating_sub(4096);
                }
            }
        }
        found
    }
}
