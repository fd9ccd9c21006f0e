//! What says which system this is and how it is set up.

pub(crate) mod config;
pub(crate) mod identity;
pub(crate) mod kdump;
pub(crate) mod last;
pub(crate) mod livepatch;
pub(crate) mod os_release;
pub(crate) mod packages;
pub(crate) mod sel;
pub(crate) mod slab_names;
pub(crate) mod sysctl;
