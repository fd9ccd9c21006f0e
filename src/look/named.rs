//! One device of `net`, one module of `mods`.

use facts::{Address, Gap};
use kernel::Kernel;
use serde::Serialize;

use super::{NetView, net};

/// The devices of that name or at that address, in every namespace.
///
/// # Errors
/// A sentence when there is none.
pub fn only_device(kernel: &Kernel<'_>, word: &str) -> Result<NetView, String> {
    let mut view = net(kernel);
    let at = super::address_word(word).map(Address);
    let names: Vec<String> = view.devices.iter().map(|device| device.name.clone()).collect();
    view.devices.retain(|device| device.name == word || Some(device.address) == at);
    if view.devices.is_empty() {
        let near = super::nearest::did_you_mean(word, names.iter().map(|name| name.as_str().into()));
        let member = kernel.member();
        return Err(format!("no network device of {member} is {word}{near}; `vmcoroner net {member}` lists them"));
    }
    Ok(view)
}

/// A module in detail.
#[derive(Clone, Debug, Serialize)]
pub struct ModuleDetail {
    /// Address of its struct module.
    pub module: Address,
    /// Name.
    pub name: String,
    /// State.
    pub state: kernel::ModuleState,
    /// Taint letters; `null` when not known.
    pub taints: Option<String>,
    /// Version, if it carries one.
    pub version: Option<String>,
    /// Checksum of its source, if it carries one.
    pub srcversion: Option<String>,
    /// Its memory, text first.
    pub parts: Vec<PartRow>,
    /// The memory of its init function, text first, until it is given back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub init: Vec<PartRow>,
    /// Bytes in all.
    pub size: u64,
    /// References, as lsmod counts them.
    pub references: Option<i64>,
    /// Modules that use it.
    pub users: Vec<String>,
    /// Live patches that it is, or that replace functions of it.
    pub live_patches: Vec<kernel::LivePatch>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

/// A piece of a module's memory.
#[derive(Clone, Debug, Serialize)]
pub struct PartRow {
    /// First address.
    pub start: Address,
    /// Bytes.
    pub size: u64,
}

impl PartRow {
    fn of(part: &std::ops::Range<u64>) -> PartRow {
        PartRow { start: Address(part.start), size: part.end.saturating_sub(part.start) }
    }
}

/// The module of that name, with `-` and `_` alike, or whose memory holds the address.
///
/// # Errors
/// A sentence when there is none.
pub fn module_detail(kernel: &Kernel<'_>, word: &str) -> Result<ModuleDetail, String> {
    let walk = kernel.modules();
    let plain = word.replace('-', "_");
    let at = super::address_word(word);
    let fits = |module: &&kernel::Module| {
        module.name.replace('-', "_") == plain
            || at.is_some_and(|at| module.address.0 == at || module.contains(kernel::VirtAddr(at)))
    };
    let Some(module) = walk.items.iter().find(fits) else {
        let near = super::nearest::did_you_mean(&plain, walk.items.iter().map(|module| module.name.as_str().into()));
        let member = kernel.member();
        return Err(format!("no module of {member} is {word}{near}; `vmcoroner mods {member}` lists them"));
    };
    let patches = kernel.live_patches();
    let touches = |patch: &kernel::LivePatch| {
        // Objects are named as lsmod names modules.
        patch.module == module.name || patch.functions_of(&module.name).next().is_some()
    };
    let live_patches = patches.items.into_iter().filter(touches).collect();
    Ok(ModuleDetail {
        module: module.address.into(),
        name: module.name.clone(),
        state: module.state,
        taints: module.taints.map(|_| module.taint_letters()),
        version: module.version.clone(),
        srcversion: module.srcversion.clone(),
        parts: module.parts.iter().map(PartRow::of).collect(),
        init: module.init.iter().map(PartRow::of).collect(),
        size: module.size,
        references: kernel.module_use_count(module),
        users: kernel.module_users(module),
        live_patches,
        gaps: walk.gaps.iter().cloned().chain(patches.gaps).collect(),
    })
}
