//! Finding the types of a kernel: its BTF in memory, its modules' BTF.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use facts::Gap;

use super::btf::{self, Btf, Header};
use super::pack::{self, Pack};
use super::{Source, Types};
use super::{check, infer, isf};
use crate::identity::Build;
use crate::{Kernel, Sources, VirtAddr};

/// More than any BTF seen (5.3 MB in 7.3), also of kernels with everything built in.
const MAX_BTF: usize = 64 << 20;
/// Packs looked at in a folder.
const MAX_PACKS: usize = 10_000;
/// Bytes of one pack or ISF: the JSON of a large kernel has some 60 MB.
const MAX_PACK: u64 = 256 << 20;
/// Bytes of all packs and ISF files looked at, decompressed.
const MAX_READ: u64 = 4 << 30;
/// Bytes of the types of all modules: a distribution's kernel with all its modules has some 20 MB.
const MAX_MODULE_BTF: usize = 128 << 20;
/// Places in the image that look like types, of which there is one.
const MAX_HITS: usize = 8;
/// Modules with BTF; a loaded machine has some hundred.
const MAX_MODULES: usize = 8192;
/// Image bytes searched for BTF when no symbol tells where it is.
const MAX_IMAGE: u64 = 128 << 20;

impl Types {
    /// What the user gave comes first: a vmlinux, then a pack; then what the dump itself has.
    pub(crate) fn open(kernel: &Kernel<'_>, sources: &Sources) -> Types {
        let mut types = Types::none();
        if let Some(file) = kernel.vmlinux() {
            match file.types() {
                // A stripped one was refused already.
                Err(_) if !file.has_types() => {}
                Ok(source) => {
                    for why in check::misfits(kernel, &source) {
                        kernel.gap(Gap::new(
                            "structure layouts",
                            file.name(),
                            why,
                            "the vmlinux of exactly this kernel",
                        ));
                    }
                    types.add(source);
                }
                Err(why) => kernel.gap(Gap::new("structure layouts", file.name(), why, "")),
            }
        }
        if !sources.packs.is_empty() {
            let identity = kernel.build();
            if let Some(pack) = find_pack(kernel, &identity, sources) {
                types.add(pack);
            }
        }
        let given = !types.is_empty();
        match kernel_btf(kernel) {
            Ok(btf) => {
                let btf = Arc::new(btf);
                types.add(btf.clone());
                let modules = module_btf(kernel, &types, &btf, MAX_MODULE_BTF);
                for module in modules {
                    types.add(Arc::new(module));
                }
            }
            Err(_) if given => {}
            Err(why) if sources.packs.iter().any(|path| path.is_dir()) => {
                let build = kernel.build();
                let build = build.id.or(build.banner).unwrap_or_else(|| "not known".to_owned());
                kernel.gap(Gap::new(
                    "structure layouts",
                    kernel.member(),
                    format!("{why}; no pack in the folders given is of this kernel, whose build is {build}"),
                    "`vmcoroner pack make` with the vmlinux of this kernel",
                ));
            }
            Err(why) => kernel.gap(Gap::new(
                "structure layouts",
                kernel.member(),
                why,
                "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
            )),
        }
        if types.is_empty() {
            let concluded = infer::members(kernel);
            if !concluded.is_empty() {
                let paths: Vec<_> = concluded.iter().map(|m| m.path).collect();
                kernel.gap(Gap::new(
                    "structure layouts",
                    kernel.member(),
                    format!(
                        "only these members of task_struct are known, inferred from init_task: {}",
                        paths.join(", ")
                    ),
                    "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
                ));
            }
            types.conclude(&concluded);
        }
        types
    }
}

/// In a folder: packs, and ISF files by the endings Volatility uses.
fn is_pack(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    [".pack", ".json", ".json.xz", ".json.gz"].iter().any(|ending| name.ends_with(ending))
}

/// Why a pack or an ISF is not used.
struct Refusal {
    /// Whether it says that it is of this kernel.
    fits: bool,
    /// Whether it is a pack or an ISF at all.
    known: bool,
    why: String,
}

/// A pack or an ISF that is used, and what of it does not fit.
type Given = (Arc<dyn Source>, Vec<String>);

/// The types in a pack or an ISF, when it is of this kernel or taken by force. An ISF has no build-id. What the memory
/// of the dump contradicts is refused; by force it is used, and said.
fn given_types(
    kernel: &Kernel<'_>,
    bytes: &[u8],
    budget: &mut u64,
    identity: &Build,
    force: bool,
) -> Result<Given, Refusal> {
    let foreign = |why| Refusal { fits: false, known: true, why };
    let unread = |why| Refusal { fits: false, known: false, why };
    let mut misfits = Vec::new();
    let mut fits = |header: &pack::Header| match header.fits(identity) {
        Err(why) if force => {
            misfits.push(why);
            Ok(())
        }
        other => other.map_err(foreign),
    };
    let types = if isf::looks_like(bytes) {
        let isf = isf::open(bytes).map_err(unread)?;
        *budget = budget.saturating_sub(isf.size());
        fits(&pack::Header { banner: isf.banner.clone(), ..pack::Header::default() })?;
        Arc::new(isf.types().map_err(|why| Refusal { fits: true, known: true, why })?) as Arc<dyn Source>
    } else {
        fits(&pack::header(bytes).map_err(unread)?)?;
        Pack::parse(bytes).map_err(|why| Refusal { fits: true, known: true, why })?.types()
    };
    let found = check::misfits(kernel, &types);
    if !force && !found.is_empty() {
        return Err(Refusal { fits: true, known: true, why: found.join("; ") });
    }
    misfits.extend(found);
    Ok((types, misfits))
}

/// A file's bytes, at most `limit`.
fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    match bytes.len() as u64 <= limit {
        true => Ok(bytes),
        false => Err(format!("it has more than {} MiB", limit >> 20)),
    }
}

/// The first pack of this kernel among the files and folders given. A folder may hold packs of many kernels, so only
/// a file that was named or says that it is of this kernel, and does not fit, is worth a word.
fn find_pack(kernel: &Kernel<'_>, identity: &Build, sources: &Sources) -> Option<Arc<dyn Source>> {
    let gap = |path: &Path, why: String| {
        kernel.gap(Gap::new("structure layouts", path.display().to_string(), why, "a pack of exactly this kernel"));
    };
    let refuse = |path: &Path, why: String| {
        kernel.refuse(format!("{}: {why}", path.display()), "a pack of exactly this kernel");
    };
    let mut budget = MAX_READ;
    for given in &sources.packs {
        let mut files = vec![given.clone()];
        let named = !given.is_dir();
        if !named {
            let entries = std::fs::read_dir(given).into_iter().flatten().flatten().map(|entry| entry.path());
            files = entries.filter(|path| is_pack(path)).take(MAX_PACKS).collect();
            files.sort();
        }
        for path in files {
            if budget == 0 {
                gap(given, format!("no pack of this kernel was among the first {} MiB", MAX_READ >> 20));
                break;
            }
            let read = read_file(&path, MAX_PACK).map_err(|why| Refusal { fits: false, known: false, why });
            budget = budget.saturating_sub(read.as_ref().map_or(0, |bytes| bytes.len() as u64));
            let force = named && sources.force;
            match read.and_then(|bytes| given_types(kernel, &bytes, &mut budget, identity, force)) {
                Ok((types, misfits)) => {
                    for why in misfits {
                        gap(&path, format!("used by force, though {why}"));
                    }
                    return Some(types);
                }
                Err(Refusal { fits: false, known: true, why }) if named => {
                    refuse(&path, format!("{why}; --force uses it all the same"));
                }
                Err(refusal) if named => refuse(&path, refusal.why),
                Err(refusal) if refusal.fits => gap(&path, refusal.why),
                Err(_) => {}
            }
        }
    }
    None
}

fn read_btf(
    kernel: &Kernel<'_>,
    at: VirtAddr,
    label: &str,
    limit: usize,
    base: Option<Arc<Btf>>,
) -> Result<Btf, String> {
    let mut head = [0; 32];
    kernel.read(at, &mut head).map_err(|e| format!("the header of {label} cannot be read: {e}"))?;
    let header = Header::parse(&head).ok_or_else(|| format!("no {label} at {at}"))?;
    if header.total() > limit as u64 {
        return Err(format!("{label} at {at} says it has {} bytes", header.total()));
    }
    let (bytes, hole) = kernel.bytes_with_holes(at, header.total() as usize);
    if hole.is_some() {
        kernel.gap(Gap::new(
            "structure layouts",
            format!("{label} at {at}"),
            "some of its pages are absent; types on them are unknown",
            "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
        ));
    }
    Btf::parse(label, bytes, base).map_err(|e: btf::Error| e.to_string())
}

fn kernel_btf(kernel: &Kernel<'_>) -> Result<Btf, String> {
    if let Some(at) = kernel.symbol_at("__start_BTF") {
        return read_btf(kernel, at, "BTF", MAX_BTF, None);
    }
    search(kernel).ok_or_else(|| {
        // Where the start of the image is not there nothing can be said of the rest.
        let start = kernel.vmcoreinfo().symbol("_stext").map(VirtAddr);
        match start.is_some_and(|start| kernel.u64(start).is_ok()) && kernel.symbol_count() > 0 {
            true => "no symbol __start_BTF, and no BTF in the kernel image: this kernel has none".into(),
            false => "no BTF in what the dump has of the kernel image".into(),
        }
    })
}

/// Without symbols: BTF is found by its header, and believed when it parses whole and describes a task.
fn search(kernel: &Kernel<'_>) -> Option<Btf> {
    let start = kernel.vmcoreinfo().symbol("_stext")? & !4095;
    let magic = memchr::memmem::Finder::new(&[0x9f, 0xeb, 0x01, 0x00]);
    let mut page = [0; 4096];
    let mut hits = 0;
    for at in kernel.image_without_code(start, MAX_IMAGE).into_iter().flat_map(|part| part.step_by(4096)) {
        let at = VirtAddr(at);
        if kernel.read(at, &mut page).is_err() {
            continue;
        }
        for hit in magic.find_iter(&page).filter(|n| n % 4 == 0) {
            let at = at + hit as u64;
            let mut head = [0; 32];
            let plain = kernel.read(at, &mut head).is_ok()
                && Header::parse(&head)
                    .is_some_and(|h| h.types.0 == 0 && h.strings.0 == h.types.1 && h.types.1 > 65536);
            hits += usize::from(plain);
            if hits > MAX_HITS {
                return None;
            }
            if plain
                && let Ok(btf) = read_btf(kernel, at, "BTF", MAX_BTF, None)
                && !btf.find("task_struct").is_empty()
            {
                return Some(btf);
            }
        }
    }
    None
}

/// The split BTF of each module, from `btf_modules` (36e68442d1af "bpf: Load and verify kernel module BTFs", 5.11).
fn module_btf(kernel: &Kernel<'_>, types: &Types, base: &Arc<Btf>, budget: usize) -> Vec<Btf> {
    let mut found = Vec::new();
    let (Some(head), Some(list)) = (kernel.symbol_at("btf_modules"), types.offset("btf_module", "list")) else {
        return found;
    };
    let (Some(to_btf), Some(data), Some(name)) =
        (types.offset("btf_module", "btf"), types.offset("btf", "data"), types.offset("btf", "name"))
    else {
        return found;
    };
    let (mut seen, mut left) = (HashSet::new(), budget);
    for node in kernel.list(head, MAX_MODULES, "modules' types").items {
        let Ok(btf) = kernel.ptr(node - list + to_btf) else { continue };
        let name = kernel.cstr(btf + name, 64).unwrap_or_default();
        let Ok(data) = kernel.ptr(btf + data) else { continue };
        if !seen.insert(data) {
            continue;
        }
        match read_btf(kernel, data, &format!("BTF of {name}"), left.min(MAX_BTF), Some(base.clone())) {
            Ok(btf) => {
                left = left.saturating_sub(btf.size());
                found.push(btf);
            }
            Err(why) => kernel.gap(Gap::new("structure layouts", format!("module {name}"), why, "")),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};

    /// BTF without types, with that many bytes of names.
    fn empty_btf(strings: u32) -> Vec<u8> {
        let words = [0x0001_eb9fu32, 24, 0, 0, 0, strings];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.resize(24 + strings as usize, 0);
        bytes
    }

    #[test]
    fn the_types_of_modules_share_a_budget_and_each_is_read_once() {
        let memory = Memory::new();
        let head = BASE + 0x2_0000;
        // Three modules with 100 bytes each, of which the third has the same bytes as the first.
        let modules: Vec<u64> = (0..3).map(|nth| BASE + 0x3_0000 + nth * 0x1000).collect();
        let ring: Vec<u64> = [head].iter().chain(&modules).copied().collect();
        for (nth, at) in ring.iter().enumerate() {
            let next = ring[(nth + 1) % ring.len()];
            memory.put64(*at, next);
            memory.put64(next + 8, *at);
        }
        for (nth, module) in modules.iter().enumerate() {
            memory.put64(module + 16, module + 0x100);
            memory.put64(module + 0x100, [BASE + 0x4_0000, BASE + 0x5_0000][nth % 2]);
            memory.put(module + 0x108, b"mod\0");
        }
        memory.put(BASE + 0x4_0000, &empty_btf(76));
        memory.put(BASE + 0x5_0000, &empty_btf(76));
        let members = [
            ("btf_module", "list", 0, 16),
            ("btf_module", "btf", 16, 8),
            ("btf", "data", 0, 8),
            ("btf", "name", 8, 64),
        ];
        let kernel = memory.kernel_with(&format!("SYMBOL(btf_modules)={head:x}\n"), &members);
        let base = Arc::new(Btf::parse("base", empty_btf(1), None).unwrap());
        let read = |budget| module_btf(&kernel, kernel.types(), &base, budget).len();
        assert_eq!((read(1000), kernel.gaps().len()), (2, 0));
        assert_eq!((read(199), kernel.gaps().len()), (1, 1));
        // That of the second stands there already.
        assert_eq!((read(99), kernel.gaps().len()), (0, 2));
    }
}
