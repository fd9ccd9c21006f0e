//! Names of addresses: kallsyms from memory, exported symbols, modules' own tables, System.map, vmlinux.

mod kallsyms;
mod table;

use facts::Gap;

pub use table::Symbol;
pub(crate) use table::Table;

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
    pub(crate) kernel: Table,
}

impl Symbols {
    fn open(kernel: &Kernel<'_>) -> Symbols {
        let table = match kallsyms::read(kernel) {
            Ok(table) => table,
            Err(why) => {
                kernel.gap(Gap::new(
                    "kernel symbols",
                    kernel.member(),
                    why,
                    "a vmlinux or System.map of this kernel (--vmlinux, --system-map)",
                ));
                Table::default()
            }
        };
        Symbols { kernel: table }
    }
}

impl Kernel<'_> {
    pub(crate) fn symbol_tables(&self) -> &Symbols {
        self.symbols.get_or_init(|| Symbols::open(self))
    }

    /// The value of a kernel symbol: VMCOREINFO's first, then kallsyms. Of several symbols of one name the first.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        self.info.symbol(name).or_else(|| self.symbol_tables().kernel.addresses(name).next())
    }

    /// The address of a kernel symbol.
    pub fn symbol_at(&self, name: &str) -> Option<VirtAddr> {
        self.symbol(name).map(VirtAddr)
    }

    /// The values of all kernel symbols of that name.
    pub fn symbols(&self, name: &str) -> Vec<u64> {
        self.symbol_tables().kernel.addresses(name).collect()
    }

    /// The symbol that contains an address.
    pub fn symbolize(&self, at: VirtAddr) -> Option<Resolved> {
        if !self.arch.is_kernel(at) {
            return None;
        }
        let (symbol, size) = self.symbol_tables().kernel.containing(at.0)?;
        Some(Resolved { name: symbol.name.to_owned(), offset: at.0 - symbol.address, size, module: None })
    }
}
