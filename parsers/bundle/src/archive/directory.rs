//! A directory on disk, sorted; links in it are not followed.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::rc::Rc;

use super::folder::{Folder, Kind};
use crate::limits::Account;
use crate::member::{Lazy, Place, Raw};
use crate::names;
use crate::walk::{Flow, Visit, member};

/// Folders deeper than this are found by their paths: a process may hold only so many open.
const HELD: usize = 64;

/// Walks `root`; members are named by their path below it.
pub(crate) fn walk<'x>(root: &Path, account: &'x Account<'x>, visit: &mut Visit<'_>) -> Flow {
    let mut stack: Vec<Child> = Vec::new();
    push_children(Folder::open(root), "", 0, account, &mut stack);
    let mut special = 0u64;
    while let Some(Child { place, name, kind, depth }) = stack.pop() {
        match kind {
            Kind::Folder => {
                let folder = place.folder.below(&place.file);
                drop(place);
                push_children(folder, &name, depth + 1, account, &mut stack);
            }
            Kind::File => {
                // Its size is asked for when somebody needs it: most files of a report are never opened.
                let lazy = Lazy::new(name, None, account, Raw::File(place));
                if member(lazy, 0, account, visit) == Flow::Stop {
                    return Flow::Stop;
                }
            }
            Kind::Link => {}
            Kind::Special => special += 1,
        }
    }
    if special > 0 {
        account.gap("special files", "directory", format!("{special} devices, pipes or sockets are not read"), "");
    }
    Flow::Continue
}

/// An entry of a directory, with the kind that the directory itself tells.
struct Child {
    place: Place,
    name: String,
    kind: Kind,
    depth: usize,
}

fn push_children(folder: io::Result<Folder>, name: &str, depth: usize, account: &Account<'_>, stack: &mut Vec<Child>) {
    let mut folder = match folder {
        Ok(folder) => folder,
        Err(error) => {
            account.gap("directory", name, error.to_string(), "read permission");
            return;
        }
    };
    let mut found: Vec<(OsString, Kind)> = Vec::new();
    folder.entries(&mut |entry| match entry {
        Ok(entry) => found.push(entry),
        Err(error) => account.gap("directory entry", name, error.to_string(), "read permission"),
    });
    if depth >= HELD {
        folder.release();
    }
    // Taken from the end, so the greatest goes first.
    found.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
    let folder = Rc::new(folder);
    stack.extend(found.into_iter().map(|(file, kind)| {
        let (leaf, _) = names::clean(file.as_encoded_bytes(), account.limits.name_bytes);
        let name = if name.is_empty() { leaf.into_owned() } else { [name, "/", &leaf].concat() };
        Child { place: Place { folder: folder.clone(), file }, name, kind, depth }
    }));
}
