//! Reads the state that a node left behind: cgroup trees, `/proc` and `/sys` files, package lists, and what
//! engineers paste into tickets, into facts.
//!
//! [`read`] judges one file. A directory tree is more than its files (a cgroup's accounting shows in five of them,
//! and the number of directories proves dying groups), so a walk over a bundle feeds a [`Node`] and takes its facts
//! at the end.
//!
//! ```
//! use snapshot::Node;
//! let mut node = Node::default();
//! let dir = "sys/fs/cgroup/memory/docker/0a1b";
//! node.add(&format!("{dir}/memory.kmem.slabinfo"), "m1", b"cat: read error: Input/output error\n");
//! node.add(&format!("{dir}/memory.kmem.usage_in_bytes"), "m2", b"0\n");
//! let (facts, _gaps) = node.finish();
//! assert_eq!(facts[0].kind, "cgroup.kmem");
//! assert_eq!(facts[0].text("accounting"), Some("off"));
//! ```
#![forbid(unsafe_code)]

mod cgroup;
mod cluster;
mod kinds;
mod node;
mod nodelog;
mod paste;
mod paths;
mod proc;
mod slabinfo;
mod stamp;
mod system;
#[cfg(test)]
mod tests;
mod text;

use facts::{Fact, Gap, Identity};

pub use cluster::{cluster_events, cluster_nodes, is_cluster_objects};
pub use kinds::KINDS;
pub use node::Node;
pub use nodelog::{NodeLog, Span};

/// Facts of one file of a node: by its path, then by its content.
pub fn read(path_in_node: &str, bytes: &[u8]) -> (Vec<Fact>, Vec<Gap>) {
    let mut node = Node::default();
    node.add(path_in_node, path_in_node, bytes);
    node.finish()
}

/// Whether the path alone says that the file is worth decompressing. A file of unknown name may still be one:
/// [`recognises`] its first bytes.
pub fn wants(path_in_node: &str) -> bool {
    paths::is_routed(path_in_node)
}

/// Whether a file is one of `/proc` or `/sys`: there the name alone tells what it holds.
pub fn is_virtual(path_in_node: &str) -> bool {
    path_in_node.rsplit_once('/').is_some_and(|(directory, _)| paths::is_virtual(directory))
}

/// Whether the first bytes of a file of unknown name look like something that [`read`] understands.
pub fn recognises(head: &[u8]) -> bool {
    paths::by_content(&String::from_utf8_lossy(head)).is_some()
}

/// What one file says about which machine and which boot it comes from.
pub fn identity(path_in_node: &str, bytes: &[u8]) -> Identity {
    let mut node = Node::default();
    node.add(path_in_node, path_in_node, bytes);
    node.identity()
}
