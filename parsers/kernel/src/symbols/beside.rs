//! Which vmlinux is used: the one that was given, else one that lies beside the dump and is of its kernel.

use std::path::{Path, PathBuf};

use facts::Gap;

use super::Lookup;
use crate::Kernel;
use crate::identity::Build;
use crate::types::pack::Header;
use crate::types::vmlinux::Vmlinux;

/// The vmlinux to use. One that was given and is of another kernel is an error, unless it is used by force; one that lies
/// beside the dump and does not fit is passed over.
///
/// # Errors
/// A sentence that names the file.
pub(super) fn vmlinux(kernel: &Kernel<'_>, memory: Option<&dyn Lookup>) -> Result<Option<Vmlinux>, String> {
    let sources = &kernel.sources;
    let own = kernel.build_by(|name| memory.and_then(|table| table.first(name)));
    if let Some(path) = sources.vmlinux.as_deref() {
        let file = Vmlinux::open(path)?;
        if let Some(arch) = file.arch().filter(|arch| *arch != kernel.arch()) {
            let (theirs, ours) = (arch.name(), kernel.arch().name());
            return Err(format!("{}: it is a kernel of {theirs}, the dump's machine is {ours}", file.name()));
        }
        // Where the dump does not tell its build, the symbols that VMCOREINFO has must agree.
        let known = own.id.is_some() || own.banner.is_some();
        match fits(&file, &own) {
            Err(why) if known && sources.force => kernel.gap(Gap::new(
                "symbols from a file",
                file.name(),
                format!("used by force, though {why}"),
                "the file of exactly this kernel",
            )),
            Err(why) if known => return Err(format!("{}: {why}; --force uses it all the same", file.name())),
            _ => {}
        }
        return Ok(Some(file));
    }
    let Some(folder) = sources.beside.as_deref() else { return Ok(None) };
    let files = names(folder, kernel.vmcoreinfo().release(), own.id.as_deref());
    let opened = files.iter().filter(|path| path.is_file()).filter_map(|path| Vmlinux::open(path).ok());
    Ok(opened.into_iter().find(|file| fits(file, &own).is_ok()))
}

fn fits(file: &Vmlinux, own: &Build) -> Result<(), String> {
    let id = file.build_id();
    // To find the banner all symbols are read.
    let banner = if own.id.is_some() && id.is_some() { None } else { file.banner() };
    Header { build_id: id, banner, ..Header::default() }.fits(own)
}

/// Names under which distributions and administrators keep a vmlinux. Compressed ones are left out: to know which kernel
/// they are of each would be decompressed by every command.
fn names(folder: &Path, release: Option<&str>, id: Option<&str>) -> Vec<PathBuf> {
    let mut names = vec!["vmlinux".to_owned(), "vmlinux.debug".to_owned()];
    if let Some(release) = release.filter(|name| !name.contains(['/', '\\']) && !name.starts_with('.')) {
        for name in [format!("vmlinux-{release}"), format!("{release}/vmlinux")] {
            names.extend([format!("{name}.debug"), name]);
        }
        for tree in ["usr/lib/debug", "debug"] {
            names.extend([
                format!("{tree}/lib/modules/{release}/vmlinux"),
                format!("{tree}/usr/lib/modules/{release}/vmlinux"),
                format!("{tree}/boot/vmlinux-{release}"),
                format!("{tree}/boot/vmlinux-{release}.debug"),
            ]);
        }
    }
    if let Some((first, rest)) = id.and_then(|id| id.split_at_checked(2)) {
        names.extend(["usr/lib/debug", "debug"].map(|tree| format!("{tree}/.build-id/{first}/{rest}.debug")));
    }
    names.into_iter().map(|name| folder.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_the_folder_of_the_dump() {
        let all = names(Path::new("d"), Some("6.1.0-1-amd64"), Some("abcd"));
        assert!(all.contains(&PathBuf::from("d/vmlinux-6.1.0-1-amd64")), "{all:?}");
        assert!(all.contains(&PathBuf::from("d/usr/lib/debug/.build-id/ab/cd.debug")), "{all:?}");
        assert_eq!(names(Path::new("d"), Some("../../etc"), None).len(), 2);
    }
}
