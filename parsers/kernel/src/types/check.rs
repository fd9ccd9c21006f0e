//! Whether layouts that a user gave are those of the dump's kernel: they must be possible, agree with VMCOREINFO, and
//! lead to what every kernel's memory holds. What cannot be read contradicts nothing.

use std::sync::Arc;

use super::{Source, Type, Types, pack, size_of, strip};
use crate::{Kernel, VirtAddr};

/// Contradictions told of one source.
const MAX_TOLD: usize = 4;
/// Slab caches looked at for a known name.
const MAX_CACHES: usize = 4096;

/// What contradicts the layouts, in sentences without a full stop that name the member; empty when nothing does.
pub(super) fn misfits(kernel: &Kernel<'_>, source: &Arc<dyn Source>) -> Vec<String> {
    let mut found = possible(source.as_ref());
    let mut types = Types::none();
    types.add(source.clone());
    let memory = Memory { kernel, types: &types };
    found.extend(memory.vmcoreinfo());
    found.extend(memory.names());
    found.extend(memory.init_task());
    found.extend(memory.lists());
    found.extend(memory.slab_caches());
    found.truncate(MAX_TOLD);
    found
}

/// Members of a structure lie side by side and inside it; whatever stands at a wrong place overlaps its neighbour, unless
/// there is padding.
fn possible(source: &dyn Source) -> Vec<String> {
    let mut found = Vec::new();
    for (name, path, size) in [("task_struct", "comm", 16), ("task_struct", "tasks", 16), ("task_struct", "pid", 4)] {
        let id = source.find(name).first().copied();
        if id.and_then(|id| super::walk(source, 0, id, path)).is_none_or(|member| member.size != size) {
            found.push(format!("it has no {name}.{path} of {size} bytes"));
        }
    }
    for name in pack::ROOTS {
        for id in source.find(name) {
            let Type::Struct { union, size, fields, .. } = source.get(strip(source, id)) else { continue };
            let mut places: Vec<(u64, u64, &str)> = fields
                .iter()
                .map(|field| {
                    let bits = match field.bit_size {
                        Some(width) => u64::from(width),
                        None => size_of(source, field.ty, 0).unwrap_or(0).saturating_mul(8),
                    };
                    (field.bit_offset, field.bit_offset.saturating_add(bits), field.name.as_ref())
                })
                .collect();
            places.sort_unstable();
            if let Some((.., field)) = places.iter().find(|(_, end, _)| *end > size.saturating_mul(8)) {
                found.push(format!("its {name}.{field} does not fit into the structure's {size} bytes"));
            }
            let next = places.iter().skip(1);
            let overlap = places.iter().zip(next).find(|((_, end, _), (start, after, _))| end > start && after > start);
            if let Some(((.., one), (.., other))) = overlap.filter(|_| !union) {
                found.push(format!("its {name}.{one} and {name}.{other} overlap"));
            }
        }
    }
    found
}

struct Memory<'a, 'k, 'd> {
    kernel: &'k Kernel<'d>,
    types: &'a Types,
}

impl Memory<'_, '_, '_> {
    fn at(&self, symbol: &str, structure: &str, path: &str) -> Option<VirtAddr> {
        Some(self.kernel.symbol_at(symbol)? + self.types.offset(structure, path)?)
    }

    fn text(&self, at: VirtAddr) -> Option<String> {
        self.kernel.cstr(at, 64).ok()
    }

    /// Offsets and sizes that the kernel itself tells.
    fn vmcoreinfo(&self) -> Vec<String> {
        let info = self.kernel.vmcoreinfo();
        let mut found = Vec::new();
        for (path, told) in info.offsets() {
            // A name that many programs have: `struct log` of 3.10 is not in packs.
            let Some((structure, member)) = path.split_once('.').filter(|(name, _)| *name != "log") else { continue };
            let ours = self.types.offset(structure, member);
            if let Some(ours) = ours.filter(|ours| *ours != told) {
                found.push(format!("its {path} lies at {ours}, in the dump's kernel at {told}"));
            }
        }
        for (name, told) in info.sizes() {
            // Sizes of variables are told too; only structures are of interest.
            let ours = self.types.find(name).filter(|ty| self.types.is_structure(*ty));
            if let Some(ours) = ours.and_then(|ty| self.types.bytes_of(ty)).filter(|ours| *ours != told && *ours != 0) {
                found.push(format!("its {name} has {ours} bytes, in the dump's kernel {told}"));
            }
        }
        found.sort();
        found
    }

    /// The release in memory is VMCOREINFO's.
    fn names(&self) -> Option<String> {
        let release = self.kernel.vmcoreinfo().release()?;
        let at = self.at("init_uts_ns", "uts_namespace", "name")?;
        let found = self.text(at + self.types.offset("new_utsname", "release").unwrap_or(130))?;
        (found != release).then(|| format!("by its uts_namespace.name the release is \"{found}\", not \"{release}\""))
    }

    fn init_task(&self) -> Vec<String> {
        let mut found = Vec::new();
        let comm = self.at("init_task", "task_struct", "comm").and_then(|at| self.text(at));
        if let Some(comm) = comm.filter(|comm| comm != "swapper" && comm != "swapper/0") {
            found.push(format!("by its task_struct.comm init_task is called \"{}\"", comm.escape_default()));
        }
        let number = |path: &str| self.at("init_task", "task_struct", path).and_then(|at| self.kernel.u32(at).ok());
        for path in ["pid", "tgid"] {
            if let Some(pid) = number(path).filter(|pid| *pid != 0) {
                found.push(format!("by its task_struct.{path} init_task has the number {pid}"));
            }
        }
        // The first task of the list is init.
        let first = self.at("init_task", "task_struct", "tasks").and_then(|at| self.kernel.ptr(at).ok());
        let init = self.kernel.symbol_at("init_task");
        if let (Some(first), Some(tasks)) = (first, self.types.offset("task_struct", "tasks"))
            && init.is_some_and(|init| init + tasks != first)
        {
            for path in ["pid", "tgid"] {
                let at = self.types.offset("task_struct", path).map(|offset| first - tasks + offset);
                if let Some(pid) = at.and_then(|at| self.kernel.u32(at).ok()).filter(|pid| *pid != 1) {
                    found.push(format!("by its task_struct.{path} the first task has the number {pid}"));
                }
            }
        }
        let stack = self.at("init_task", "task_struct", "stack").and_then(|at| self.kernel.u64(at).ok());
        let known = ["init_stack", "init_thread_union"].into_iter().find_map(|name| self.kernel.symbol(name));
        if let (Some(stack), Some(known)) = (stack, known)
            && stack != known
        {
            found.push(format!("by its task_struct.stack the stack of init_task is {stack:#x}, not {known:#x}"));
        }
        found
    }

    /// Lists close on their heads in both directions, seen from the head.
    fn lists(&self) -> Vec<String> {
        let kernel = self.kernel;
        let closes = |head: VirtAddr| {
            let (next, prev) = (kernel.ptr(head).ok()?, kernel.ptr(head + 8).ok()?);
            // Neither may lie in an absent page.
            let (back, forth) = (kernel.ptr(next + 8), kernel.ptr(prev));
            let readable = |word: &Result<VirtAddr, _>| word.as_ref().ok().map(|at| *at == head);
            match (readable(&back), readable(&forth)) {
                (Some(false), Some(false)) => Some(false),
                (None, None) => (kernel.arch().is_kernel(next) && kernel.arch().is_kernel(prev)).then_some(true),
                _ => Some(true),
            }
        };
        let mut found = Vec::new();
        for (symbol, structure, path) in
            [("init_task", "task_struct", "tasks"), ("init_net", "net", "list"), ("init_net", "net", "dev_base_head")]
        {
            if self.at(symbol, structure, path).and_then(closes) == Some(false) {
                found.push(format!("the list at its {structure}.{path} of {symbol} does not close"));
            }
        }
        // The first entry of a list and what it is called.
        for (symbol, structure, link, path, pointer) in [
            ("modules", "module", "list", "name", false),
            ("super_blocks", "super_block", "s_list", "s_id", false),
            ("init_net", "net_device", "dev_list", "name", false),
            ("slab_caches", "kmem_cache", "list", "name", true),
        ] {
            let head = match symbol {
                "init_net" => self.at(symbol, "net", "dev_base_head"),
                _ => kernel.symbol_at(symbol),
            };
            let offsets = self.types.offset(structure, link).zip(self.types.offset(structure, path));
            let (Some(head), Some((link, name))) = (head, offsets) else { continue };
            let Some(node) = kernel.ptr(head).ok().filter(|node| *node != head && kernel.arch().is_kernel(*node))
            else {
                continue;
            };
            let at = node - link + name;
            let at = if pointer { kernel.ptr(at).ok().unwrap_or(VirtAddr(0)) } else { at };
            let text = match at.0 {
                0 => Some(String::new()),
                _ if !kernel.arch().is_kernel(at) => Some(String::new()),
                _ => self.text(at),
            };
            let plain = |text: &String| {
                !text.is_empty() && text.len() < 64 && text.bytes().all(|byte| (0x21..0x7f).contains(&byte))
            };
            if let Some(text) = text.filter(|text| !plain(text)) {
                let text = text.escape_default().to_string();
                found.push(format!("by its {structure}.{path} the first of {symbol} is called \"{text}\""));
            }
            if symbol == "init_net"
                && let Some(text) = self.text(at).filter(|text| plain(text) && text != "lo")
            {
                found.push(format!("by its net_device.name the first device is called \"{text}\", not \"lo\""));
            }
        }
        found
    }

    /// One cache is called `kmalloc-128`, and its objects have 128 bytes. Smaller ones not every architecture has.
    fn slab_caches(&self) -> Option<String> {
        let kernel = self.kernel;
        let head = kernel.symbol_at("slab_caches")?;
        let (list, name) = (self.types.offset("kmem_cache", "list")?, self.types.offset("kmem_cache", "name")?);
        let size =
            self.types.member("kmem_cache", "object_size").or_else(|| self.types.member("kmem_cache", "objsize"))?;
        let walk = kernel.list(head, MAX_CACHES, "slab caches");
        let mut seen = 0;
        for cache in walk.items.iter().map(|node| *node - list) {
            let Some(text) = kernel.ptr(cache + name).ok().and_then(|at| self.text(at)) else { continue };
            seen += 1;
            if text == "kmalloc-128" {
                let bytes = kernel.u32(cache + size.offset).ok()?;
                return (bytes != 128)
                    .then(|| format!("by its kmem_cache.object_size the objects of kmalloc-128 have {bytes} bytes"));
            }
        }
        (walk.gaps.is_empty() && seen == walk.items.len() && seen > 0)
            .then(|| "by its kmem_cache.list and name no slab cache is called kmalloc-128".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::{Field, Graph, Type};
    use super::*;

    fn task(comm: u64) -> Graph {
        let field = |name: &'static str, ty, at: u64| Field {
            name: Cow::Borrowed(name),
            ty,
            bit_offset: at * 8,
            bit_size: None,
        };
        Graph::new(
            "test",
            vec![
                Type::Void,
                Type::Int { size: 4, signed: true, name: Cow::Borrowed("int") },
                Type::Int { size: 1, signed: true, name: Cow::Borrowed("char") },
                Type::Array { element: 2, count: 16 },
                Type::Struct { name: Cow::Borrowed("list_head"), union: false, size: 16, fields: vec![] },
                Type::Struct {
                    name: Cow::Borrowed("task_struct"),
                    union: false,
                    size: 44,
                    fields: vec![
                        field("tasks", 4, 0),
                        field("comm", 3, comm),
                        field("pid", 1, 32),
                        field("tgid", 1, 36),
                    ],
                },
            ],
        )
    }

    #[test]
    fn a_member_at_a_wrong_place_overlaps_its_neighbour_or_leaves_the_structure() {
        assert_eq!(possible(&task(16)), Vec::<String>::new());
        assert_eq!(possible(&task(24)), ["its task_struct.comm and task_struct.pid overlap"]);
        assert_eq!(possible(&task(8)), ["its task_struct.tasks and task_struct.comm overlap"]);
        assert_eq!(possible(&task(40)), ["its task_struct.comm does not fit into the structure's 44 bytes"]);
    }

    #[test]
    fn init_task_must_be_called_swapper() {
        use crate::synthetic::{BASE, Memory as Pages};
        let pages = Pages::new();
        let init = BASE + 0x10_0000;
        pages.put64(init, init);
        pages.put64(init + 8, init);
        pages.put(init + 16, b"swapper/0\0");
        let kernel = pages.kernel(&format!("SYMBOL(init_task)={init:x}\n"));
        let misfits = |comm| {
            let source: Arc<dyn Source> = Arc::new(task(comm));
            let mut types = Types::none();
            types.add(source);
            Memory { kernel: &kernel, types: &types }.init_task()
        };
        assert!(!misfits(16).iter().any(|why| why.contains("comm")));
        assert!(misfits(24)[0].contains("init_task is called \"0\""), "{:?}", misfits(24));
    }
}
