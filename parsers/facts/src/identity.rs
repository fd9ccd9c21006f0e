//! Which machine, which boot.

use serde::{Deserialize, Serialize};

/// Host, boot and kernel. Every field may be absent. Facts of different identities are never joined as proof.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Host name (`utsname.nodename`, syslog host column, `/etc/hostname`).
    pub host: Option<String>,
    /// `/etc/machine-id`: 32 hex digits.
    pub machine_id: Option<String>,
    /// `/proc/sys/kernel/random/boot_id`: 32 hex digits, dashes dropped.
    pub boot_id: Option<String>,
    /// Wall-clock time of the boot, RFC 3339.
    pub boot_time: Option<String>,
    /// Kernel release, `uname -r`.
    pub kernel: Option<String>,
    /// The whole `Linux version ...` banner.
    pub banner: Option<String>,
    /// Architecture as `uname -m` says it.
    pub arch: Option<String>,
    /// Hardware model as DMI or the oops header names it.
    pub model: Option<String>,
}

impl Identity {
    /// The name of the first field in which the two certainly differ, if any. A field absent on either side proves nothing.
    pub fn conflict(&self, other: &Identity) -> Option<&'static str> {
        fn differ(a: &Option<String>, b: &Option<String>) -> bool {
            matches!((a, b), (Some(a), Some(b)) if a != b)
        }
        if differ(&self.machine_id, &other.machine_id) {
            Some("machine id")
        } else if differ(&self.boot_id, &other.boot_id) {
            Some("boot id")
        } else if differ(&self.host, &other.host) {
            Some("host")
        } else if differ(&self.banner, &other.banner) {
            Some("banner")
        } else if differ(&self.kernel, &other.kernel) {
            Some("kernel")
        } else if differ(&self.arch, &other.arch) {
            Some("arch")
        } else {
            None
        }
    }

    /// Fills the fields absent here from `other`.
    pub fn fill(&mut self, other: &Identity) {
        fn take(a: &mut Option<String>, b: &Option<String>) {
            if a.is_none() {
                a.clone_from(b);
            }
        }
        take(&mut self.host, &other.host);
        take(&mut self.machine_id, &other.machine_id);
        take(&mut self.boot_id, &other.boot_id);
        take(&mut self.boot_time, &other.boot_time);
        take(&mut self.kernel, &other.kernel);
        take(&mut self.banner, &other.banner);
        take(&mut self.arch, &other.arch);
        take(&mut self.model, &other.model);
    }
}
