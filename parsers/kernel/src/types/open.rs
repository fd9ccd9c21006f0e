//! Finding the types of a kernel: its BTF in memory, its modules' BTF.

use std::path::Path;
use std::sync::Arc;

use facts::Gap;

use super::btf::{self, Btf, Header};
use super::pack::{self, Pack};
use super::vmlinux::Vmlinux;
use super::{Source, Types};
use super::{infer, isf};
use crate::{Kernel, Sources, VirtAddr};

/// More than any BTF seen (5.3 MB in 7.3), also of kernels with everything built in.
const MAX_BTF: u64 = 64 << 20;
/// Packs looked at in a folder.
const MAX_PACKS: usize = 10_000;
/// Modules with BTF; a loaded machine has some hundred.
const MAX_MODULES: usize = 8192;
/// Image bytes searched for BTF when no symbol tells where it is.
const MAX_IMAGE: u64 = 128 << 20;

impl Types {
    /// What the user gave comes first: a vmlinux, then a pack; then what the dump itself has.
    pub(crate) fn open(kernel: &Kernel<'_>, sources: &Sources) -> Types {
        let mut types = Types::none();
        let identity = Identity { build_id: kernel.build_id(), banner: kernel.banner() };
        if let Some(path) = &sources.vmlinux {
            match from_vmlinux(path, &identity, sources.force) {
                Ok(source) => types.add(source),
                Err(why) => kernel.gap(Gap::new("structure layouts", path.display().to_string(), why, "")),
            }
        }
        if let Some(pack) = find_pack(kernel, &identity, sources) {
            types.add(pack);
        }
        let given = !types.is_empty();
        match kernel_btf(kernel) {
            Ok(btf) => {
                let btf = Arc::new(btf);
                types.add(btf.clone());
                let modules = module_btf(kernel, &types, &btf);
                for module in modules {
                    types.add(Arc::new(module));
                }
            }
            Err(_) if given => {}
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

/// Which kernel the dump has.
struct Identity {
    build_id: Option<String>,
    banner: Option<String>,
}

impl Kernel<'_> {
    /// The vmlinux the user gave, when it is of this kernel or taken by force.
    pub(crate) fn vmlinux(&self) -> Option<Result<Vmlinux, String>> {
        let path = self.sources.vmlinux.as_deref()?;
        let identity = Identity { build_id: self.build_id(), banner: self.banner() };
        Some(open_vmlinux(path, &identity, self.sources.force))
    }
}

fn from_vmlinux(path: &Path, identity: &Identity, force: bool) -> Result<Arc<dyn Source>, String> {
    open_vmlinux(path, identity, force)?.types()
}

fn open_vmlinux(path: &Path, identity: &Identity, force: bool) -> Result<Vmlinux, String> {
    let file = Vmlinux::open(path)?;
    let header = pack::Header { build_id: file.build_id(), banner: file.banner(), ..pack::Header::default() };
    match header.fits(identity.build_id.as_deref(), identity.banner.as_deref()) {
        Err(why) if !force => Err(format!("{why}; --force uses it all the same")),
        _ => Ok(file),
    }
}

/// In a folder: packs, and ISF files by the endings Volatility uses.
fn is_pack(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    [".pack", ".json", ".json.xz", ".json.gz"].iter().any(|ending| name.ends_with(ending))
}

/// The types in a pack or an ISF, when it is of this kernel. An ISF has no build-id.
fn given_types(bytes: &[u8], identity: &Identity, force: bool) -> Result<Arc<dyn Source>, String> {
    let (header, types) = if isf::looks_like(bytes) {
        let (graph, banner) = isf::parse(bytes)?;
        (pack::Header { banner, ..pack::Header::default() }, Arc::new(graph) as Arc<dyn Source>)
    } else {
        let pack = Pack::parse(bytes)?;
        (pack.header.clone(), pack.types())
    };
    match header.fits(identity.build_id.as_deref(), identity.banner.as_deref()) {
        Err(why) if !force => Err(why),
        _ if !pack::is_sound(&types) => Err("its layout of task_struct cannot be".to_owned()),
        _ => Ok(types),
    }
}

/// The first pack of this kernel among the files and folders given. A folder may hold packs of many kernels, so only
/// a file that was named and does not fit is worth a word.
fn find_pack(kernel: &Kernel<'_>, identity: &Identity, sources: &Sources) -> Option<Arc<dyn Source>> {
    for given in &sources.packs {
        let mut files = vec![given.clone()];
        let named = !given.is_dir();
        if !named {
            let entries = std::fs::read_dir(given).into_iter().flatten().flatten().map(|entry| entry.path());
            files = entries.filter(|path| is_pack(path)).take(MAX_PACKS).collect();
            files.sort();
        }
        for path in files {
            let read = std::fs::read(&path).map_err(|e| e.to_string());
            let pack = read.and_then(|bytes| given_types(&bytes, identity, named && sources.force));
            match pack {
                Ok(types) => return Some(types),
                Err(why) if named => {
                    kernel.gap(Gap::new("structure layouts", path.display().to_string(), why, ""));
                }
                Err(_) => {}
            }
        }
    }
    None
}

fn read_btf(kernel: &Kernel<'_>, at: VirtAddr, label: &str, base: Option<Arc<Btf>>) -> Result<Btf, String> {
    let mut head = [0; 32];
    kernel.read(at, &mut head).map_err(|e| format!("the header of {label} cannot be read: {e}"))?;
    let header = Header::parse(&head).ok_or_else(|| format!("no {label} at {at}"))?;
    if header.total() > MAX_BTF {
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
        return read_btf(kernel, at, "BTF", None);
    }
    search(kernel).ok_or_else(|| "no symbol __start_BTF, and no BTF in the kernel image: this kernel has none".into())
}

/// Without symbols: BTF is found by its header, and believed when it parses whole and describes a task.
fn search(kernel: &Kernel<'_>) -> Option<Btf> {
    let start = kernel.vmcoreinfo().symbol("_stext")? & !4095;
    let magic = memchr::memmem::Finder::new(&[0x9f, 0xeb, 0x01, 0x00]);
    let mut page = [0; 4096];
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
            if plain
                && let Ok(btf) = read_btf(kernel, at, "BTF", None)
                && !btf.find("task_struct").is_empty()
            {
                return Some(btf);
            }
        }
    }
    None
}

/// The split BTF of each module, from `btf_modules` (36e68442d1af "bpf: Load and verify kernel module BTFs", 5.11).
fn module_btf(kernel: &Kernel<'_>, types: &Types, base: &Arc<Btf>) -> Vec<Btf> {
    let mut found = Vec::new();
    let (Some(head), Some(list)) = (kernel.symbol_at("btf_modules"), types.offset("btf_module", "list")) else {
        return found;
    };
    let (Some(to_btf), Some(data), Some(name)) =
        (types.offset("btf_module", "btf"), types.offset("btf", "data"), types.offset("btf", "name"))
    else {
        return found;
    };
    for node in kernel.list(head, MAX_MODULES, "modules' types").items {
        let Ok(btf) = kernel.ptr(node - list + to_btf) else { continue };
        let name = kernel.cstr(btf + name, 64).unwrap_or_default();
        let Ok(data) = kernel.ptr(btf + data) else { continue };
        match read_btf(kernel, data, &format!("BTF of {name}"), Some(base.clone())) {
            Ok(btf) => found.push(btf),
            Err(why) => kernel.gap(Gap::new("structure layouts", format!("module {name}"), why, "")),
        }
    }
    found
}
