//! A directory on disk, sorted; links in it are not followed.

use std::fs;
use std::path::Path;
use std::rc::Rc;

use crate::limits::Account;
use crate::member::{Lazy, Place, Raw};
use crate::names;
use crate::walk::{Flow, Visit, member};

/// Walks `root`; members are named by their path below it.
pub(crate) fn walk<'x>(root: &Path, account: &'x Account<'x>, visit: &mut Visit<'_>) -> Flow {
    let mut stack: Vec<Child> = Vec::new();
    push_children(root, "", account, &mut stack);
    let mut special = 0u64;
    while let Some(Child { place, name, kind }) = stack.pop() {
        if kind.is_dir() {
            push_children(&place.path(), &name, account, &mut stack);
        } else if kind.is_file() {
            // Its size is asked for when somebody needs it: most files of a report are never opened.
            let lazy = Lazy::new(name, None, account, Raw::File(place));
            if member(lazy, 0, account, visit) == Flow::Stop {
                return Flow::Stop;
            }
        } else if !kind.is_symlink() {
            special += 1;
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
    kind: fs::FileType,
}

fn push_children(path: &Path, name: &str, account: &Account<'_>, stack: &mut Vec<Child>) {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => {
            account.gap("directory", name, error.to_string(), "read permission");
            return;
        }
    };
    let folder: Rc<Path> = path.into();
    let mut children: Vec<Child> = Vec::new();
    for entry in entries {
        match entry.and_then(|entry| Ok((entry.file_type()?, entry))) {
            Ok((kind, entry)) => {
                let file = entry.file_name();
                let (leaf, _) = names::clean(file.as_encoded_bytes(), account.limits.name_bytes);
                let name = if name.is_empty() { leaf } else { [name, "/", &leaf].concat() };
                children.push(Child { place: Place { folder: folder.clone(), file }, name, kind });
            }
            Err(error) => account.gap("directory entry", name, error.to_string(), "read permission"),
        }
    }
    // Taken from the end, so the greatest goes first.
    children.sort_by(|a, b| b.place.file.cmp(&a.place.file));
    stack.append(&mut children);
}
