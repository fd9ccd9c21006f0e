//! A directory on disk, sorted; links in it are not followed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::limits::Account;
use crate::member::{Lazy, Raw};
use crate::names;
use crate::walk::{Flow, Visit, member};

/// Walks `root`; members are named by their path below it.
pub(crate) fn walk<'x>(root: &Path, account: &'x Account<'x>, visit: &mut Visit<'_>) -> Flow {
    let mut stack: Vec<Child> = Vec::new();
    push_children(root, "", account, &mut stack);
    let mut special = 0u64;
    while let Some(Child { path, name, kind }) = stack.pop() {
        if kind.is_dir() {
            push_children(&path, &name, account, &mut stack);
        } else if kind.is_file() {
            // Its size is asked for when somebody needs it: most files of a report are never opened.
            let lazy = Lazy::new(name, None, account, Raw::File(path));
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
    path: PathBuf,
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
    let mut children: Vec<(OsString, Child)> = Vec::new();
    for entry in entries {
        match entry.and_then(|entry| Ok((entry.file_type()?, entry))) {
            Ok((kind, entry)) => {
                let file = entry.file_name();
                let (leaf, _) = names::clean(file.as_encoded_bytes(), account.limits.name_bytes);
                let name = if name.is_empty() { leaf } else { format!("{name}/{leaf}") };
                children.push((file, Child { path: entry.path(), name, kind }));
            }
            Err(error) => account.gap("directory entry", name, error.to_string(), "read permission"),
        }
    }
    // Taken from the end, so the greatest goes first.
    children.sort_by(|a, b| b.0.cmp(&a.0));
    let mut children = children.into_iter().map(|(_, child)| child).collect();
    stack.append(&mut children);
}
