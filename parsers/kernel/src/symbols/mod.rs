//! Names of addresses: kallsyms from memory, exported symbols, modules' own tables, System.map, vmlinux.

mod beside;
mod code;
mod elf;
mod exports;
mod found;
mod kallsyms;
mod lookup;
mod packed;
mod scan;
mod system_map;
mod table;

use facts::Gap;

pub(crate) use lookup::Lookup;
pub use table::Symbol;
pub(crate) use table::Table;

use crate::types::vmlinux::Vmlinux;
use crate::{Kernel, VirtAddr};

/// The function or variable at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Symbol name, with the compiler's suffixes.
    pub name: String,
    /// Bytes from the symbol's start.
    pub offset: u64,
    /// Size of the symbol; in tables without sizes the distance to the next symbol.
    pub size: Option<u64>,
    /// The module it belongs to; `None` for the kernel itself.
    pub module: Option<String>,
}

/// Symbols of the kernel itself.
pub(crate) struct Symbols {
    pub(crate) kernel: Box<dyn Lookup>,
    /// Exported symbols, where the table has functions only.
    exports: Table,
}

impl Symbols {
    fn open(kernel: &Kernel<'_>) -> Symbols {
        let table = kallsyms::read(kernel);
        let file = Symbols::from_files(kernel, table.as_deref().ok());
        if let Some(table) = file {
            return Symbols { kernel: Box::new(table), exports: Table::default() };
        }
        let table = table.unwrap_or_else(|why| {
            kernel.gap(Gap::new(
                "kernel symbols",
                kernel.member(),
                why,
                "a vmlinux or System.map of this kernel (--vmlinux, --system-map)",
            ));
            Box::new(Table::default())
        });
        // Without CONFIG_KALLSYMS_ALL the table has functions only. Every kernel has init_task.
        let functions_only = table.first("init_task").is_none();
        let exports = if functions_only { exports::read(kernel) } else { Some(Table::default()) };
        if functions_only && table.len() > 0 {
            let found = exports.as_ref().map_or(0, Lookup::len);
            kernel.gap(Gap::new(
                "names of data that is not exported",
                kernel.member(),
                format!("the kernel was built without CONFIG_KALLSYMS_ALL; {found} exported symbols were found"),
                "a vmlinux or System.map of this kernel (--vmlinux, --system-map)",
            ));
        }
        Symbols { kernel: table, exports: exports.unwrap_or_default() }
    }

    /// The table of a vmlinux or a System.map that the user gave. One that is not of this kernel is refused.
    fn from_files(kernel: &Kernel<'_>, memory: Option<&dyn Lookup>) -> Option<Table> {
        let refuse = |why: String| kernel.refuse(why, "the file of exactly this kernel");
        let file = kernel.vmlinux.get_or_init(|| {
            beside::vmlinux(kernel, memory).unwrap_or_else(|why| {
                refuse(why);
                None
            })
        });
        if let Some(file) = file {
            match elf::read(kernel, file) {
                Ok(table) => return Some(table),
                // A bzImage has no symbols, but may have types.
                Err(why) if file.has_types() => kernel.gap(Gap::new(
                    "symbols from a file",
                    kernel.member(),
                    why,
                    "the vmlinux of exactly this kernel, not stripped",
                )),
                Err(why) if kernel.sources.vmlinux.is_some() => refuse(why),
                Err(_) => {}
            }
        }
        let path = kernel.sources.system_map.as_deref()?;
        system_map::read(kernel, path).map_err(refuse).ok()
    }
}

impl Kernel<'_> {
    /// The vmlinux that the user gave or that lies beside the dump, when it is of this kernel or taken by force.
    pub(crate) fn vmlinux(&self) -> Option<&Vmlinux> {
        self.symbol_tables();
        self.vmlinux.get()?.as_ref()
    }

    pub(crate) fn symbol_tables(&self) -> &Symbols {
        self.symbols.get_or_init(|| Symbols::open(self))
    }

    /// The value of a kernel symbol: VMCOREINFO's first, then kallsyms, then exported symbols. Of several symbols of
    /// one name the first.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        self.info.symbol(name).or_else(|| {
            let tables = self.symbol_tables();
            tables.kernel.first(name).or_else(|| tables.exports.first(name))
        })
    }

    /// The address of a kernel symbol.
    pub fn symbol_at(&self, name: &str) -> Option<VirtAddr> {
        self.symbol(name).map(VirtAddr)
    }

    /// The values of all kernel symbols of that name.
    pub fn symbols(&self, name: &str) -> Vec<u64> {
        let tables = self.symbol_tables();
        [tables.kernel.addresses(name), tables.exports.addresses(name)].concat()
    }

    /// Whether variables have names. False for a table of functions (no CONFIG_KALLSYMS_ALL), where only exported ones
    /// have: that a variable has no symbol then says nothing.
    pub fn names_data(&self) -> bool {
        let tables = self.symbol_tables();
        tables.kernel.len() > 0 && tables.kernel.first("init_task").is_some()
    }

    /// Number of kernel symbols.
    pub fn symbol_count(&self) -> usize {
        self.symbol_tables().kernel.len()
    }

    /// All symbols of the kernel itself by ascending value.
    pub fn all_symbols(&self) -> impl Iterator<Item = Symbol<'_>> {
        let table = &self.symbol_tables().kernel;
        (0..table.len()).filter_map(|nth| table.symbol(nth))
    }

    /// The symbol that contains an address, of the kernel or of a module.
    pub fn symbolize(&self, at: VirtAddr) -> Option<Resolved> {
        if !self.arch.is_kernel(at) {
            return None;
        }
        match self.symbol_tables().kernel.containing(at.0) {
            // Per-CPU symbols are small numbers on x86-64 before 6.15: they contain no address.
            Some((symbol, size)) if self.arch.is_kernel(VirtAddr(symbol.address)) => {
                // Behind the last symbol lies something else.
                let size = size.or((at.0 == symbol.address).then_some(0));
                if size.is_some() {
                    return Some(Resolved {
                        name: symbol.name.into_owned(),
                        offset: at.0 - symbol.address,
                        size: size.filter(|size| *size > 0),
                        module: None,
                    });
                }
                self.symbolize_module(at).or_else(|| self.data_symbol(at)).or_else(|| self.generated_symbol(at))
            }
            _ => self.symbolize_module(at).or_else(|| self.data_symbol(at)).or_else(|| self.generated_symbol(at)),
        }
    }

    /// Where the table has functions only: the exported variable, or the one that VMCOREINFO names, that begins at an
    /// address. Their sizes are not known.
    fn data_symbol(&self, at: VirtAddr) -> Option<Resolved> {
        let exported = self.symbol_tables().exports.containing(at.0).map(|(symbol, _)| symbol);
        let exported = exported.filter(|symbol| symbol.address == at.0).map(|symbol| symbol.name.into_owned());
        let name = exported.or_else(|| {
            let mut names: Vec<&str> =
                self.info.symbols().filter(|(_, to)| *to == at.0).map(|(name, _)| name).collect();
            names.sort_unstable();
            names.first().map(|name| (*name).to_owned())
        })?;
        Some(Resolved { name, offset: 0, size: None, module: None })
    }
}
