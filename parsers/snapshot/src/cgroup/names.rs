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
        // `kubepods-burstable-pod0ca6.slice:cri-containerd:8aff...`: the systemd names where the cgroupfs driver runs.
        let mut fields = part.split(':');
        let part = match (fields.next(), fields.next(), fields.next(), fields.next()) {
            (Some(slice), Some(prefix), Some(id), None) if !prefix.is_empty() && is_container_id(id) => {
                names.runtime = match prefix {
                    "cri-containerd" | "containerd" => Some("containerd"),
                    "crio" => Some("cri-o"),
                    "docker" => Some("docker"),
                    "libpod" => Some("podman"),
                    _ => names.runtime,
                };
                names.container = Some(id.to_owned());
                slice
            }
            _ => part,
        };
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
        if is_container_id(id) {
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

/// A path as a person says it: `container 8aff71103b35 of pod 0ca6e3f0-1b2c-4d5e-8f90-a1b2c3d4e5f6`.
pub(crate) fn spoken(path: &str) -> String {
    let names = of(path);
    let last = path.rsplit('/').next().unwrap_or(path);
    let container = names.container.as_deref().filter(|id| last.contains(id)).and_then(|id| id.get(..12));
    match (container, names.pod) {
        (Some(id), Some(pod)) => format!("container {id} of pod {pod}"),
        (Some(id), None) => format!("container {id}"),
        (None, Some(pod)) if last.contains("pod") => format!("pod {pod}"),
        _ => path.to_owned(),
    }
}

/// 64 hex digits, or the 12 that docker prints. Other lengths are names that people gave.
fn is_container_id(id: &str) -> bool {
    (id.len() == 64 || id.len() == 12) && id.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
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
    fn look_alikes_are_neither_pods_nor_containers() {
        let id = "8aff".repeat(16);
        for path in [
            "/user.slice/user-1000.slice/session-3.scope",
            "/system.slice/podman.service",
            "/system.slice/docker.service",
            "/batch/pod7/worker",
            "/podcast.slice",
            "/facade/deadbeef",
            "/a/0123456789abcdef0123",
            "/DEADBEEFCAFE",
            "/x:y:z",
            "/",
        ] {
            let names = of(path);
            assert_eq!((names.pod, names.container, names.qos), (None, None, None), "{path}");
        }
        // The monitor of a container is not the container.
        assert_eq!(of(&format!("/machine.slice/crio-conmon-{id}.scope")).container, None);
        assert_eq!(of(&format!("/machine.slice/libpod-conmon-{id}.scope")).container, None);
        // Words of a QoS class outside kubelet's tree are only words.
        assert_eq!(of("/burstable/besteffort").qos, None);
    }

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
        let names =
            of(&format!("/system.slice/containerd.service/kubepods-burstable-pod{under}.slice:cri-containerd:{id}"));
        assert_eq!((names.qos, names.pod.as_deref()), (Some("burstable"), Some(uid)));
        assert_eq!((names.runtime, names.container.as_deref()), (Some("containerd"), Some(&*id)));
        let names = of(&format!("/machine.slice/libpod-{id}.scope"));
        assert_eq!((names.runtime, names.container.as_deref()), (Some("podman"), Some(&*id)));
        let names = of(&format!("/kubepods/besteffort/pod{uid}/crio-{id}"));
        assert_eq!(
            (names.runtime, names.container.as_deref(), names.qos),
            (Some("cri-o"), Some(&*id), Some("besteffort"))
        );
        let names = of(&format!("/system.slice/docker-{id}.scope"));
        assert_eq!((names.runtime, names.container.as_deref()), (Some("docker"), Some(&*id)));
        // A static pod has the hash of its manifest.
        let hash = "0ca6".repeat(8);
        assert_eq!(of(&format!("/kubepods/burstable/pod{hash}")).pod.as_deref(), Some(&*hash));
        assert_eq!(
            spoken(&format!("/kubepods/burstable/pod{uid}/{id}")),
            format!("container 8aff8aff8aff of pod {uid}")
        );
        assert_eq!(spoken(&format!("/kubepods.slice/kubepods-pod{under}.slice")), format!("pod {uid}"));
        assert_eq!(spoken(&format!("/docker/{id}/init.scope")), format!("/docker/{id}/init.scope"));
        assert_eq!(of("/system.slice/ssh.service").unit.as_deref(), Some("ssh.service"));
    }
}
