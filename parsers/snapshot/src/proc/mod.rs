//! Files of `/proc`, one reader each.

pub(crate) mod cgroups;
pub(crate) mod cmdline;
pub(crate) mod counters;
pub(crate) mod load;
pub(crate) mod meminfo;
pub(crate) mod modules;
pub(crate) mod mounts;
pub(crate) mod net;
pub(crate) mod task;
pub(crate) mod version;
pub(crate) mod zones;
