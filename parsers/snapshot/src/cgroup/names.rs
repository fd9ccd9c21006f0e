//! What a cgroup's path names: slice, unit, QoS class, pod, container.

/// The names in one path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) qos: Option<&'static str>,
    /// Pod uid with dashes.
    pub(crate) pod: Option<String>,
    /// Container id, 64 hex digits (12 at least).
    pub(crate) container: Option<String>,
    pub(crate) runtime: Option<&'static str>,
    /// systemd unit.
    pub(crate) unit: Option<String>,
}

/// Reads the names out of a path of kubelet (cgroupfs and systemd drivers), docker, containerd, CRI-O, podman and
/// systemd.
pub(crate) fn of(path: &str) -> Names {
    let mut names = Names::default();
    let kube = path.contains("kubepods");
    for part in path.split('/') {
        if part == "docker" {
            names.runtime = Some("docker");
        }
        if kube && names.qos.is_none() {
            if part == "burstable" || part.contains("-burstable") {
                names.qos = Some("burstable");
            } else if part == "besteffort" || part.contains("-besteffort") {
                names.qos = Some("besteffort");
            }
        }
        if let Some(uid) = pod_uid(part) {
            names.pod = Some(uid);
            continue;
        }
        let (stem, scope) = match part.strip_suffix(".scope") {
            Some(stem) => (stem, true),
            None => (part, false),
        };
        const RUNTIMES: &[(&str, &str)] = &[
            ("docker-", "docker"),
            ("cri-containerd-", "containerd"),
            ("containerd-", "containerd"),
            ("crio-", "cri-o"),
            ("libpod-", "podman"),
        ];
        let (id, runtime) = RUNTIMES
            .iter()
            .find_map(|(prefix, runtime)| stem.strip_prefix(prefix).map(|id| (id, Some(*runtime))))
            .unwrap_or((stem, None));
        if id.len() >= 12 && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
            names.container = Some(id.to_owned());
            names.runtime = runtime.or(names.runtime);
        } else if part.ends_with(".service") || scope || part.ends_with(".mount") || part.ends_with(".socket") {
            names.unit = Some(part.to_owned());
        }
    }
    if kube && names.pod.is_some() && names.qos.is_none() {
        names.qos = Some("guaranteed");
    }
    names
}

fn pod_uid(part: &str) -> Option<String> {
    let stem = part.strip_suffix(".slice").unwrap_or(part);
    let uid = match stem.strip_prefix("pod") {
        Some(uid) => uid,
        None if stem.starts_with("kubepods") => stem.rsplit_once("-pod")?.1,
        None => return None,
    };
    let plain = uid.replace(['_', '-'], "");
    // Static pods have the hash of their manifest for a uid.
    let fits = plain.len() == 32 && plain.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| uid.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_driver_names_pod_and_container() {
        let id = "8aff".repeat(16);
        let uid = "0ca6e3f0-1111-2222-3333-444455556666";
        let names = of(&format!("/kubepods/burstable/pod{uid}/{id}"));
        assert_eq!(
            (names.qos, names.pod.as_deref(), names.container.as_deref()),
            (Some("burstable"), Some(uid), Some(&*id))
        );
        let under = uid.replace('-', "_");
        let path = format!(
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{under}.slice/cri-containerd-{id}.scope"
        );
        let names = of(&path);
        assert_eq!((names.qos, names.pod.as_deref()), (Some("besteffort"), Some(uid)));
        assert_eq!((names.runtime, names.container.as_deref()), (Some("containerd"), Some(&*id)));
        let names = of(&format!("/kubepods.slice/kubepods-pod{under}.slice/crio-{id}.scope"));
        assert_eq!((names.qos, names.runtime), (Some("guaranteed"), Some("cri-o")));
        let names = of(&format!("/docker/{id}"));
        assert_eq!((names.qos, names.runtime, names.pod), (None, Some("docker"), None));
        assert_eq!(of("/system.slice/ssh.service").unit.as_deref(), Some("ssh.service"));
    }
}
