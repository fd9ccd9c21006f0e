//! Modules that are gone: what they left behind (timers, notifiers, work) is the usual cause of a crash in memory that
//! belongs to nobody.

use serde::Serialize;

use crate::{Arch, Kernel, VirtAddr};

/// Names with taints that are listed.
const MAX_UNLOADED: usize = 1000;
/// MODULES_VADDR with and without a random place of the image, MODULES_END.
const X86_64_RANDOM: u64 = 0xffff_ffff_c000_0000;
const X86_64_FIXED: u64 = 0xffff_ffff_a000_0000;
const X86_64_END: u64 = 0xffff_ffff_ff00_0000;
/// MODULE_NAME_LEN
const MAX_NAME: usize = 56;

/// A module that was unloaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnloadedModule {
    /// Its name.
    pub name: String,
    /// Letters of its taints.
    pub taints: Option<String>,
    /// How often it was unloaded.
    pub times: Option<u64>,
    /// Whether it was the last one.
    pub last: bool,
}

impl Kernel<'_> {
    /// The module that was unloaded last, and those with taints (99bd9956551b "module: Introduce module unload taint
    /// tracking", v5.19).
    pub fn unloaded_modules(&self) -> Vec<UnloadedModule> {
        // A name, since 17dd25c29cda "module: Show the last unloaded module's taint flag(s)" (v6.1) with letters behind it.
        let last = self.symbol_at("last_unloaded_module").and_then(|at| self.module_name(at));
        let mut found = Vec::new();
        let types = self.types();
        let members = (types.offset("mod_unload_taint", "list"), types.offset("mod_unload_taint", "name"));
        if let (Some(head), (Some(list), Some(name))) = (self.symbol_at("unloaded_tainted_modules"), members) {
            for at in self.list(head, MAX_UNLOADED, "unloaded modules").items.into_iter().map(|node| node - list) {
                let Some(name) = self.module_name(at + name) else { continue };
                let taints = self.value(at, "mod_unload_taint", "taints");
                found.push(UnloadedModule {
                    last: last.as_ref() == Some(&name),
                    taints: taints.map(crate::modules::letters),
                    times: self.value(at, "mod_unload_taint", "count"),
                    name,
                });
            }
        }
        if let Some(name) = last
            && found.iter().all(|module| !module.last)
        {
            found.push(UnloadedModule { name, taints: None, times: None, last: true });
        }
        found
    }

    /// What an address is where modules are loaded, that belongs to none; for addresses that are not mapped.
    pub(crate) fn memory_of_gone_module(&self, at: VirtAddr) -> Option<String> {
        if !self.in_area_of_no_module(at) {
            return None;
        }
        let gone: Vec<String> = self.unloaded_modules().into_iter().map(|module| module.name).collect();
        Some(match gone.is_empty() {
            true => "in the area of modules, of none that is loaded".to_owned(),
            false => format!("in the area of modules, of none that is loaded; unloaded: {}", gone.join(", ")),
        })
    }

    /// Whether an address lies where modules are loaded, and in none.
    pub(crate) fn in_area_of_no_module(&self, at: VirtAddr) -> bool {
        let parts = || self.modules().items.iter().flat_map(|module| &module.parts);
        let bounds = parts().map(|part| part.start).min().zip(parts().map(|part| part.end).max());
        // On x86-64 they have the area behind the image, which is 512 MiB or, where its place is random, 1 GiB.
        let area = bounds.and_then(|(low, high)| match self.arch() {
            Arch::X86_64 => {
                [X86_64_RANDOM, X86_64_FIXED].into_iter().find(|start| *start <= low).map(|low| low..X86_64_END)
            }
            Arch::Aarch64 => Some(low..high),
        });
        area.is_some_and(|area| area.contains(&at.0)) && !parts().any(|part| part.contains(&at.0))
    }

    fn module_name(&self, at: VirtAddr) -> Option<String> {
        let name = self.cstr(at, MAX_NAME).ok()?;
        let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        plain.then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn the_last_one_is_told_once_with_its_taints() {
        let memory = Memory::new();
        let (last, head, entry) = (BASE + 0x2_0000, BASE + 0x2_1000, BASE + 0x2_2000);
        memory.put(last, b"nvx\0");
        memory.put64(head, entry);
        memory.put64(head + 8, entry);
        memory.put64(entry, head);
        memory.put64(entry + 8, head);
        memory.put(entry + 16, b"nvx\0");
        memory.put64(entry + 72, 1 << 12);
        memory.put64(entry + 80, 3);
        let members = [
            ("mod_unload_taint", "list", 0, 16),
            ("mod_unload_taint", "name", 16, 56),
            ("mod_unload_taint", "taints", 72, 8),
            ("mod_unload_taint", "count", 80, 8),
        ];
        let symbols = format!("SYMBOL(last_unloaded_module)={last:x}\nSYMBOL(unloaded_tainted_modules)={head:x}\n");
        let kernel = memory.kernel_with(&symbols, &members);
        let found = kernel.unloaded_modules();
        let [module] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            (module.name.as_str(), module.taints.as_deref(), module.times, module.last),
            ("nvx", Some("O"), Some(3), true)
        );
        memory.put(last, b"acme\0");
        assert_eq!(kernel.unloaded_modules().len(), 2);
        memory.put(last, b"\0\xff");
        assert_eq!(kernel.unloaded_modules().len(), 1);
    }
}
