//! Loaded modules and their symbols.

use std::ops::Range;

use facts::{Fact, Gap};
use serde::Serialize;

use crate::symbols::{Lookup, Table};
use crate::{Kernel, Resolved, VirtAddr, Walk};

/// More modules than any machine loads.
const MAX_MODULES: usize = 4096;
/// More symbols than any module has.
const MAX_SYMBOLS: u64 = 200_000;
/// More symbols than all modules of a machine have.
const MAX_ALL_SYMBOLS: u64 = 4_000_000;
const MAX_NAME: usize = 512;

/// These three have lain here in every 64-bit kernel from 3.10 to 7.3; they anchor everything else.
const LIST: u64 = 8;
const NAME: u64 = 24;
const NAME_LEN: usize = 56;

/// `enum module_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModuleState {
    /// Running.
    Live,
    /// Its init function is running.
    Coming,
    /// It is being unloaded.
    Going,
    /// It is being set up.
    Unformed,
    /// A value that no kernel knows.
    Unknown,
}

/// One loaded module.
#[derive(Clone, Debug, Serialize)]
pub struct Module {
    /// Address of its `struct module`.
    pub address: VirtAddr,
    /// Name.
    pub name: String,
    /// State.
    pub state: ModuleState,
    /// Its memory, text first, without what init used and gave back.
    #[serde(skip)]
    pub parts: Vec<Range<u64>>,
    /// The memory of its init function, text first, until it is given back.
    #[serde(skip)]
    pub init: Vec<Range<u64>>,
    /// Start of its text, what `/proc/modules` prints.
    pub base: u64,
    /// Bytes it occupies in all, what `/proc/modules` prints.
    pub size: u64,
    /// Taint bits it set, numbered as in `tainted_mask`; `None` when the structure's layout is not known.
    pub taints: Option<u64>,
    /// `srcversion` of its source, if it carries one.
    pub srcversion: Option<String>,
    /// `version`, if it carries one.
    pub version: Option<String>,
}

/// Letters of a module's taints.
pub(crate) fn letters(taints: u64) -> String {
    // Only these are ever set for a module: kernel/panic.c, taint_flags[].module.
    const LETTERS: [(u32, char); 8] =
        [(0, 'P'), (1, 'F'), (10, 'C'), (12, 'O'), (13, 'E'), (15, 'K'), (16, 'X'), (18, 'N')];
    LETTERS.iter().filter(|(bit, _)| taints >> bit & 1 == 1).map(|(_, letter)| *letter).collect()
}

impl Module {
    /// Taint letters as the module list of an oops prints them, `OE`.
    pub fn taint_letters(&self) -> String {
        letters(self.taints.unwrap_or(0))
    }

    /// Whether it was built outside the kernel's tree (taint `O`).
    pub fn out_of_tree(&self) -> bool {
        self.taints.is_some_and(|taints| taints >> 12 & 1 == 1)
    }

    /// Whether an address lies in its text or data.
    pub fn contains(&self, at: VirtAddr) -> bool {
        self.parts.iter().chain(&self.init).any(|part| part.contains(&at.0))
    }

    /// Its code: text, and that of init while it is there.
    pub(crate) fn text(&self) -> impl Iterator<Item = &Range<u64>> {
        self.parts.first().into_iter().chain(self.init.first())
    }
}

/// Where a module keeps its symbols.
struct SymbolPlace {
    symtab: VirtAddr,
    count: u64,
    strtab: VirtAddr,
    typetab: Option<VirtAddr>,
}

impl Kernel<'_> {
    /// The loaded modules, newest first as the kernel lists them.
    pub fn modules(&self) -> &Walk<Module> {
        self.modules.get_or_init(|| self.read_modules())
    }

    /// The module whose text or data holds an address.
    pub fn module_of(&self, at: VirtAddr) -> Option<&Module> {
        self.modules().items.iter().find(|module| module.contains(at))
    }

    /// Names of the modules that use one.
    pub fn module_users(&self, module: &Module) -> Vec<String> {
        let types = self.types();
        let (Some(head), Some(node)) =
            (types.offset("module", "source_list"), types.offset("module_use", "source_list"))
        else {
            return Vec::new();
        };
        let uses = self.list(module.address + head, MAX_MODULES, "users of a module").items.into_iter();
        uses.filter_map(|at| self.pointer(at - node, "module_use", "source"))
            .filter_map(|user| self.cstr(user + NAME, NAME_LEN).ok())
            .collect()
    }

    /// References to a module: those of `lsmod`. One is the module's own since 3.19 (2f35c41f58a9 "module: Replace
    /// module_ref with atomic_t refcnt") and is left out; `None` where the counts are of each CPU, or not known.
    pub fn module_use_count(&self, module: &Module) -> Option<i64> {
        let count = self.value(module.address, "module", "refcnt")? as u32 as i32;
        Some(i64::from(count) - 1)
    }

    fn looks_like_module(&self, node: VirtAddr) -> bool {
        let module = node - LIST;
        self.cstr_bytes(module + NAME, NAME_LEN).is_ok_and(|name| is_module_name(&name))
            && self.u32(module).is_ok_and(|state| state <= 3)
    }

    /// Head of the list of modules: by its symbol, or by the code that walks it.
    pub(crate) fn modules_head(&self) -> Option<VirtAddr> {
        self.symbol_at("modules").or_else(|| {
            self.list_in_code(&["print_modules", "find_module_all", "module_kallsyms_lookup_name"], |node| {
                self.looks_like_module(node)
            })
        })
    }

    fn read_modules(&self) -> Walk<Module> {
        let Some(head) = self.modules_head() else {
            return Walk::gap(Gap::new(
                "modules",
                self.member(),
                "no symbol `modules`, and no code that leads to the list",
                "a vmlinux or System.map of this kernel",
            ));
        };
        let nodes = self.list(head, MAX_MODULES, "modules");
        let mut walk = Walk { items: Vec::new(), gaps: nodes.gaps };
        for node in nodes.items {
            let at = node - LIST;
            if !self.looks_like_module(node) {
                walk.gaps.push(Gap::new("module", format!("struct module at {at}"), "its name is no name", ""));
                continue;
            }
            walk.items.push(self.read_module(at, &mut walk.gaps));
        }
        walk
    }

    fn read_module(&self, at: VirtAddr, gaps: &mut Vec<Gap>) -> Module {
        let name = self.cstr(at + NAME, NAME_LEN).unwrap_or_default();
        let text = |member: &str| {
            let at = self.pointer(at, "module", member).filter(|p| p.0 != 0)?;
            self.cstr(at, 128).ok().filter(|text| !text.is_empty())
        };
        let (parts, init) = self.module_parts(at);
        // Since ac3b43283923 (v6.4) /proc/modules counts what init has, too.
        let size = parts.iter().map(|part| part.end - part.start).sum::<u64>();
        let of_init = init.iter().map(|part| part.end - part.start).sum::<u64>();
        let counted = if self.types().member("module", "mem").is_some() { of_init } else { 0 };
        if parts.is_empty() {
            gaps.push(Gap::new(
                format!("place of module {name}"),
                format!("struct module at {at}"),
                "the structure's layout is not known",
                "a vmlinux or pack of this kernel",
            ));
        }
        Module {
            address: at,
            state: match self.u32(at) {
                Ok(0) => ModuleState::Live,
                Ok(1) => ModuleState::Coming,
                Ok(2) => ModuleState::Going,
                Ok(3) => ModuleState::Unformed,
                _ => ModuleState::Unknown,
            },
            base: parts.first().map_or(0, |part| part.start),
            size: size + counted,
            taints: self.value(at, "module", "taints"),
            srcversion: text("srcversion"),
            version: text("version"),
            parts,
            init,
            name,
        }
    }

    /// Where a module lies, and where its init does, newest layout first.
    fn module_parts(&self, at: VirtAddr) -> (Vec<Range<u64>>, Vec<Range<u64>>) {
        let part = |base: Option<u64>, size: Option<u64>| {
            let (base, size) = (base?, size?);
            (size > 0 && size < 1 << 30 && self.arch.is_kernel(VirtAddr(base))).then_some(base..base.checked_add(size)?)
        };
        let types = self.types();
        // struct module_memory mem[] since ac3b43283923 "module: replace module_layout with module_memory" (v6.4).
        if let (Some(mem), Some(size)) = (types.member("module", "mem"), types.size_of("module_memory")) {
            let count = (mem.size / size.max(1)).min(16);
            let read = |nth: u64| {
                let at = at + mem.offset + nth * size;
                part(self.value(at, "module_memory", "base"), self.value(at, "module_memory", "size"))
            };
            // enum mod_mem_type: text, three kinds of data, then those of init.
            return ((0..count.min(4)).filter_map(read).collect(), (4..count).filter_map(read).collect());
        }
        // struct module_layout since 7523e4dc5057 "module: use a structure to encapsulate layout." (v4.5); members of
        // struct module itself before.
        let layout = |base: &str, size: &str| part(self.value(at, "module", base), self.value(at, "module", size));
        for (core, init) in [
            (("core_layout.base", "core_layout.size"), ("init_layout.base", "init_layout.size")),
            (("module_core", "core_size"), ("module_init", "init_size")),
        ] {
            if let Some(part) = layout(core.0, core.1) {
                return (vec![part], layout(init.0, init.1).into_iter().collect());
            }
        }
        (self.module_parts_by_structure(at), Vec::new())
    }

    /// Without types: `struct module` lies in its module's own memory, so the word pair of a page-aligned base and a
    /// size that encloses the structure is the module's layout (or its data part).
    fn module_parts_by_structure(&self, at: VirtAddr) -> Vec<Range<u64>> {
        let Ok(bytes) = self.bytes(at, 1024) else { return Vec::new() };
        let words = bytes.as_chunks::<8>().0;
        let u32_at = |at: usize| bytes.get(at..).and_then(|b| b.first_chunk::<4>()).map(|b| u32::from_le_bytes(*b));
        for (nth, word) in words.iter().enumerate() {
            let base = u64::from_le_bytes(*word);
            let encloses = |size: u32| base <= at.0 && at.0 - base < u64::from(size) && size < 1 << 28;
            if base & 4095 != 0 || !self.arch.is_kernel(VirtAddr(base)) {
                continue;
            }
            for size_at in [8usize, 12, 16] {
                // 16: module_core, (init_size,) core_size of 3.10, see corpora of that kernel.
                let Some(size) = u32_at(nth * 8 + size_at).filter(|size| encloses(*size)) else { continue };
                let own = base..base.saturating_add(u64::from(size));
                // In mem[] the text part comes one entry (72 bytes) before the data part.
                let before = (nth * 8).checked_sub(72);
                let text = before.and_then(|before| {
                    let base = bytes.get(before..)?.first_chunk::<8>().map(|b| u64::from_le_bytes(*b))?;
                    let size = u32_at(before + size_at)?;
                    (base & 4095 == 0 && self.arch.is_kernel(VirtAddr(base)) && size > 0 && size < 1 << 28)
                        .then_some(base..base.saturating_add(u64::from(size)))
                });
                return text.into_iter().chain([own]).collect();
            }
        }
        Vec::new()
    }

    fn symbol_place(&self, at: VirtAddr) -> Option<SymbolPlace> {
        // struct mod_kallsyms since 8244062ef1e5 "modules: fix longstanding /proc/kallsyms vs module insertion race."
        // (v4.5); after loading, `kallsyms` points at the module's own `core_kallsyms`.
        let table = self.pointer(at, "module", "kallsyms").or_else(|| self.kallsyms_by_structure(at));
        if let Some(table) = table.filter(|p| p.0 != 0) {
            return Some(SymbolPlace {
                symtab: self.ptr(table).ok()?,
                count: u64::from(self.u32(table + 8).ok()?),
                strtab: self.ptr(table + 16).ok()?,
                // 1c7651f43777 "kallsyms: store type information in its own array", v5.2
                typetab: self.ptr(table + 24).ok().filter(|p| self.arch.is_kernel(*p)),
            });
        }
        let members = || {
            Some(SymbolPlace {
                symtab: self.pointer(at, "module", "symtab")?,
                count: self.value(at, "module", "num_symtab")?,
                strtab: self.pointer(at, "module", "strtab")?,
                typetab: None,
            })
        };
        members().or_else(|| self.symtab_by_structure(at))
    }

    /// Before 4.5, once a module is loaded, `symtab` equals `core_symtab`, `num_symtab` equals `core_num_syms` and
    /// `strtab` equals `core_strtab`: five words in a row, of which the pointers lead into the module.
    fn symtab_by_structure(&self, at: VirtAddr) -> Option<SymbolPlace> {
        let bytes = self.bytes(at, 1024).ok()?;
        let words: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        words.windows(5).find_map(|row| {
            let &[symtab, core_symtab, counts, strtab, core_strtab] = row else { return None };
            let (count, core) = (counts & 0xffff_ffff, counts >> 32);
            let near = |word: u64| word.abs_diff(at.0) < 1 << 28 && self.arch.is_kernel(VirtAddr(word));
            let fits = symtab == core_symtab && strtab == core_strtab && count == core && count > 0;
            (fits && near(symtab) && near(strtab)).then_some(SymbolPlace {
                symtab: VirtAddr(symtab),
                count,
                strtab: VirtAddr(strtab),
                typetab: None,
            })
        })
    }

    /// The word that points right behind itself: `kallsyms`, followed by `core_kallsyms`.
    fn kallsyms_by_structure(&self, at: VirtAddr) -> Option<VirtAddr> {
        let bytes = self.bytes(at, 1536).ok()?;
        bytes.as_chunks::<8>().0.iter().enumerate().find_map(|(nth, word)| {
            let behind = at + nth as u64 * 8 + 8;
            (u64::from_le_bytes(*word) == behind.0).then_some(behind)
        })
    }

    fn module_table(&self, module: &Module, left: &mut u64) -> Option<Table> {
        let place = self.symbol_place(module.address)?;
        if place.count > MAX_SYMBOLS.min(*left) {
            return None;
        }
        *left -= place.count;
        let mut table = Table::default();
        // Entry 0 is empty.
        for nth in 1..place.count {
            let mut entry = [0u8; 24];
            if self.read(place.symtab + nth * 24, &mut entry).is_err() {
                self.gap(Gap::new(
                    format!("symbols of module {}", module.name),
                    format!("symbol {nth} of {} at {}", place.count, place.symtab),
                    "its page is not in the dump",
                    "",
                ));
                break;
            }
            let Some((name, rest)) = entry.split_first_chunk::<4>() else { continue };
            let word =
                |at: usize| rest.get(at..).and_then(|b| b.first_chunk::<8>()).map_or(0, |b| u64::from_le_bytes(*b));
            let section = rest
                .get(2..4)
                .map_or(0, |b| u16::from(*b.first().unwrap_or(&0)) | u16::from(*b.get(1).unwrap_or(&0)) << 8);
            let (info, value, size) = (rest.first().copied().unwrap_or(0), word(4), word(12));
            if section == 0 || value == 0 {
                continue;
            }
            let name = self.cstr(place.strtab + u64::from(u32::from_le_bytes(*name)), MAX_NAME).unwrap_or_default();
            if name.is_empty() || name.starts_with('$') {
                continue;
            }
            let kind = place.typetab.and_then(|types| self.u8(types + nth).ok());
            // Before typetab the kernel kept the letter in st_info.
            let kind = kind.unwrap_or(info);
            let kind = if kind.is_ascii_alphabetic() { kind } else { b't' };
            table.push(value, size, kind, &name);
        }
        Some(table.finish())
    }

    /// Symbol tables of the modules, in the order of [`Kernel::modules`].
    fn module_tables(&self) -> &[Option<Table>] {
        self.module_symbols.get_or_init(|| {
            let mut left = MAX_ALL_SYMBOLS;
            self.modules().items.iter().map(|m| self.module_table(m, &mut left)).collect()
        })
    }

    pub(crate) fn symbolize_module(&self, at: VirtAddr) -> Option<Resolved> {
        let nth = self.modules().items.iter().position(|module| module.contains(at))?;
        let module = self.modules().items.get(nth)?;
        let found = self.module_tables().get(nth)?.as_ref().and_then(|table| table.containing(at.0));
        let (symbol, size) = found?;
        Some(Resolved {
            name: symbol.name.into_owned(),
            offset: at.0 - symbol.address,
            size,
            module: Some(module.name.clone()),
        })
    }

    /// Addresses of all symbols of that name in modules, with the module's name.
    pub fn module_symbols(&self, name: &str) -> Vec<(VirtAddr, &str)> {
        let tables = self.module_tables().iter().zip(&self.modules().items);
        tables
            .filter_map(|(table, module)| table.as_ref().map(|table| (table, module)))
            .flat_map(|(table, module)| {
                table.addresses(name).into_iter().map(|at| (VirtAddr(at), module.name.as_str()))
            })
            .collect()
    }

    /// Names of the symbols of all modules.
    pub fn module_symbol_names(&self) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
        let tables = self.module_tables().iter().flatten();
        tables.flat_map(|table| (0..table.len()).filter_map(|nth| table.symbol(nth))).map(|symbol| symbol.name)
    }

    /// Symbols of one module's data and text by ascending address, with their sizes.
    pub fn symbols_of_module(&self, module: &str) -> Vec<(VirtAddr, u64, String)> {
        let Some(nth) = self.modules().items.iter().position(|m| m.name == module) else { return Vec::new() };
        let table = self.module_tables().get(nth).and_then(Option::as_ref);
        table
            .into_iter()
            .flat_map(|table| (0..table.len()).filter_map(|nth| table.symbol(nth)))
            .map(|s| (VirtAddr(s.address), u64::from(s.size), s.name.into_owned()))
            .collect()
    }

    /// One `mem.module` fact per module.
    pub fn module_facts(&self) -> (Vec<Fact>, Vec<Gap>) {
        let walk = self.modules();
        let facts = walk.items.iter().map(|module| {
            Fact::new("mem.module", self.origin(module.address, "struct module"))
                .with("name", module.name.as_str())
                .with("address", facts::Address::from(module.address))
                .with("base", facts::Address(module.base))
                .with("size", module.size)
                .with("state", state_name(module.state))
                .with_opt("taints", module.taints.map(|_| module.taint_letters()))
                .with_opt("out_of_tree", module.taints.map(|_| module.out_of_tree()))
                .with_opt("version", module.version.clone())
                .with_opt("srcversion", module.srcversion.clone())
                .quoting(format!(
                    "module {} at {:#x}, {} bytes{}",
                    module.name,
                    module.base,
                    module.size,
                    if module.out_of_tree() { ", built out of tree" } else { "" }
                ))
                .recheck(format!("crash> struct module {:#x} | head", module.address.0))
                .recheck(format!("drgn> Object(prog, 'struct module', address={:#x})", module.address.0))
        });
        (facts.collect(), walk.gaps.clone())
    }
}

fn state_name(state: ModuleState) -> &'static str {
    match state {
        ModuleState::Live => "live",
        ModuleState::Coming => "coming",
        ModuleState::Going => "going",
        ModuleState::Unformed => "unformed",
        ModuleState::Unknown => "unknown",
    }
}

fn is_module_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() < NAME_LEN
        && name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'+'))
}
