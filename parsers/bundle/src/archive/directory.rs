//! A directory on disk, sorted; links in it are not followed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::limits::Account;
use crate::member::{Lazy, Raw};
use crate::names;
use crate::walk::{Flow, Visit, member};

/// Walks `root`; members are named by their path below it.
pub(crate) fn walk<'x>(root: &Path, account: &'x Account<'x>, visit: &mut Visit<'_>) -> Flow {
    let mut stack: Vec<(PathBuf, String)> = vec![(root.to_owned(), String::new())];
    let mut special = 0u64;
    while let Some((path, name)) = stack.pop() {
        let meta = match if name.is_empty() { fs::metadata(&path) } else { fs::symlink_metadata(&path) } {
            Ok(meta) => meta,
            Err(error) => {
                account.gap("file", &name, error.to_string(), "read permission");
                continue;
            }
        };
        if meta.is_dir() {
            push_children(&path, &name, account, &mut stack);
        } else if meta.is_file() {
            let lazy = Lazy::new(name, Some(meta.len()), account, Raw::File(path));
            if member(lazy, 0, account, visit) == Flow::Stop {
                return Flow::Stop;
            }
        } else if !meta.file_type().is_symlink() {
            special += 1;
        }
    }
    if special > 0 {
        account.gap("special files", "directory", format!("{special} devices, pipes or sockets are not read"), "");
    }
    Flow::Continue
}

fn push_children(path: &Path, name: &str, account: &Account<'_>, stack: &mut Vec<(PathBuf, String)>) {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => {
            account.gap("directory", name, error.to_string(), "read permission");
            return;
        }
    };
    let mut children: Vec<(PathBuf, String)> = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => {
                let (leaf, _) = names::clean(entry.file_name().as_encoded_bytes(), account.limits.name_bytes);
                let full = if name.is_empty() { leaf } else { format!("{name}/{leaf}") };
                children.push((entry.path(), full));
            }
            Err(error) => account.gap("directory entry", name, error.to_string(), ""),
        }
    }
    // Taken from the end, so the greatest goes first.
    children.sort_by(|a, b| b.0.cmp(&a.0));
    stack.append(&mut children);
}
