//! How members are named.
//!
//! With one input, names begin where its files part: the name of an archive and the folders that all its files share
//! are left out, so that a bundle has the same names as an archive, unpacked, and unpacked into a folder of another
//! name. A folder of a Linux root (`var`, `proc`) is never left out. With several inputs each name begins with that of
//! its input.

use std::path::Path;

use facts::Gap;

use super::piece::Piece;

/// Folders at the root of a Linux system.
const ROOT_FOLDERS: [&str; 20] = [
    "bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "proc", "root", "run", "sbin", "srv",
    "sys", "tmp", "usr", "var", "nodes",
];

/// What the state of a node is called whose report is the whole input.
pub(super) const NODE_STATE: &str = "the node's state";

/// The names of one input while its members go by.
pub(super) struct Naming {
    /// What is put before each name, when there are several inputs and this one is a directory.
    folder: Option<String>,
    directory: bool,
    /// The folder that the input as a whole lies in, as far as its first member tells: with a `/` at its end.
    top: Option<String>,
    /// What all names so far have in common.
    shared: Option<String>,
}

impl Naming {
    /// Of an input; `several` when there are others beside it.
    pub(super) fn of(input: &Path, several: bool) -> Self {
        let directory = input.is_dir();
        let base = || input.file_name().map(|name| name.to_string_lossy().into_owned());
        let folder = if several && directory { base() } else { None };
        Naming { folder, directory, top: if directory { only_folder(input) } else { None }, shared: None }
    }

    /// Puts the full name of a member that the walk calls `name` into `full`.
    pub(super) fn name(&mut self, name: &str, full: &mut String) {
        match &mut self.shared {
            // Most names go on where the others part.
            Some(so_far) if name.starts_with(so_far.as_str()) => {}
            None => {
                let shared = shared_part(name, self.directory);
                if !self.directory {
                    self.top = name.split_once('!').and_then(|(_, path)| first_folder(path)).map(str::to_owned);
                }
                self.shared = Some(shared.to_owned());
            }
            Some(so_far) => so_far.truncate(common(so_far, shared_part(name, self.directory))),
        }
        full.clear();
        if let Some(folder) = &self.folder {
            full.push_str(folder);
            full.push('/');
        }
        full.push_str(name);
    }

    /// How many folders below the top of its input a member lies.
    pub(super) fn depth(&self, path: &str) -> usize {
        let path = self.top.as_deref().and_then(|top| path.strip_prefix(top)).unwrap_or(path);
        path.matches('/').count()
    }

    /// What is left out of the names of a single input.
    pub(super) fn left_out(&self) -> &str {
        self.shared.as_deref().unwrap_or_default()
    }
}

/// Leaves `prefix` out of all names in a piece.
pub(super) fn shorten(piece: &mut Piece, prefix: &str) {
    // What is told by names alone (the folders of a cgroup tree) is named by the path in the archive.
    let inner = prefix.split_once('!').map_or(prefix, |(_, folders)| folders);
    for fact in &mut piece.facts {
        strip(&mut fact.origin.member, prefix);
        strip(&mut fact.origin.member, inner);
    }
    for gap in &mut piece.gaps {
        strip(&mut gap.place, prefix);
        strip(&mut gap.place, inner);
    }
    strip(&mut piece.member, prefix);
    if piece.member.is_empty() {
        NODE_STATE.clone_into(&mut piece.member);
    }
    // A root may be the very folder that is left out, or lie above it.
    if prefix.starts_with(piece.root.as_str()) {
        piece.root.clear();
    }
    strip(&mut piece.root, prefix);
}

/// Leaves `prefix` out of the place of a gap.
pub(super) fn shorten_gap(gap: &mut Gap, prefix: &str) {
    strip(&mut gap.place, prefix);
}

/// Leaves `prefix` out of a name.
pub(super) fn strip(name: &mut String, prefix: &str) {
    if !prefix.is_empty() && name.starts_with(prefix) {
        name.drain(..prefix.len());
    }
}

/// The one folder in a directory that holds nothing else.
fn only_folder(directory: &Path) -> Option<String> {
    let mut entries = std::fs::read_dir(directory).ok()?;
    let only = entries.next()?.ok()?;
    let alone = entries.next().is_none() && only.file_type().ok()?.is_dir();
    let folder = alone.then(|| format!("{}/", only.file_name().to_string_lossy()))?;
    first_folder(&folder).map(str::to_owned)
}

/// The first folder of a path unless it is one of a Linux root, with its `/`.
fn first_folder(path: &str) -> Option<&str> {
    let end = path.find('/')?;
    let folder = path.get(..end)?;
    if ROOT_FOLDERS.contains(&folder) { None } else { path.get(..=end) }
}

/// The archive and the folders of a name that may be left out of it.
fn shared_part(name: &str, directory: bool) -> &str {
    let mut end = if directory { 0 } else { name.find('!').map_or(0, |at| at + 1) };
    while let Some(folder) = name.get(end..).and_then(first_folder).filter(|folder| !folder.contains('!')) {
        end += folder.len();
    }
    name.get(..end).unwrap_or_default()
}

/// Length of what two names have in common, up to the end of a folder or an archive.
fn common(a: &str, b: &str) -> usize {
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    a.as_bytes().get(..same).and_then(|head| head.iter().rposition(|b| matches!(b, b'/' | b'!'))).map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_out(directory: bool, names: &[&str]) -> String {
        let mut naming = Naming { folder: None, directory, top: None, shared: None };
        for name in names {
            naming.name(name, &mut String::new());
        }
        naming.left_out().to_owned()
    }

    #[test]
    fn shared_folders_are_left_out_but_not_those_of_a_linux_root() {
        assert_eq!(left_out(false, &["a.tar!sos-x/date", "a.tar!sos-x/var/log/messages"]), "a.tar!sos-x/");
        assert_eq!(left_out(true, &["sos-x/date", "sos-x/var/log/messages"]), "sos-x/");
        assert_eq!(left_out(true, &["date", "var/log/messages"]), "");
        assert_eq!(left_out(false, &["a.tar!x/y/var/log/messages"]), "a.tar!x/y/");
        assert_eq!(left_out(false, &["a.tar!x/1", "a.tar!xy/1"]), "a.tar!");
        assert_eq!(left_out(false, &["a.tar!in.tar!x/1"]), "a.tar!");
        assert_eq!(left_out(true, &["in.tar!x/1"]), "");
        assert_eq!(left_out(false, &["dmesg"]), "");
    }

    #[test]
    fn depth_is_counted_below_the_top_folder() {
        let mut naming = Naming { folder: None, directory: false, top: None, shared: None };
        naming.name("a.tar!case/notes.txt", &mut String::new());
        assert_eq!(naming.depth("case/notes.txt"), 0);
        assert_eq!(naming.depth("case/b/notes.txt"), 1);
    }
}
