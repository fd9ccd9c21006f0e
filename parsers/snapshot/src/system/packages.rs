//! Installed packages that bear on kernel trouble: kernels, container runtimes, kubelet, collectors of dumps.

use facts::Fact;

use crate::node::{Input, Node};

/// Names, and prefixes of names, that are kept.
fn wanted(name: &str) -> bool {
    const EXACT: &[&str] = &[
        "kernel",
        "kernel-core",
        "kernel-rt",
        "kernel-default",
        "kernel-uek",
        "runc",
        "containerd",
        "containerd.io",
        "docker",
        "docker.io",
        "docker-ce",
        "docker-engine",
        "podman",
        "cri-o",
        "cri-tools",
        "kubelet",
        "k3s",
        "rke2-server",
        "kexec-tools",
        "kdump",
        "kdump-tools",
        "kdump-utils",
        "makedumpfile",
        "systemd",
        "kpatch",
        "crash",
        "openvswitch",
        "zfs-dkms",
        "zfsutils-linux",
        "zfs",
    ];
    const PREFIX: &[&str] =
        &["linux-image-", "kernel-ml", "kernel-lt", "kpatch-patch-", "kernel-livepatch-", "nvidia-driver"];
    EXACT.contains(&name) || PREFIX.iter().any(|p| name.starts_with(p))
}

fn push(node: &mut Node, input: &Input<'_>, line: usize, name: &str, version: &str) {
    let fact = Fact::new("node.package", input.line(line))
        .with("name", name)
        .with("version", version)
        .quoting(format!("{name} {version}"));
    node.push(fact);
}

/// `dpkg -l`: `ii  name[:arch]  version  arch  text`.
pub(crate) fn dpkg(node: &mut Node, input: &Input<'_>) -> bool {
    let mut rows = 0;
    for (i, line) in input.text.lines().enumerate() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [state, name, version, ..] = words[..] else { continue };
        if state.len() > 3
            || !state.starts_with(['i', 'h', 'r', 'p', 'u'])
            || !version.starts_with(|c: char| c.is_ascii_digit())
        {
            continue;
        }
        rows += 1;
        let name = name.split(':').next().unwrap_or(name);
        if state.as_bytes().get(1) == Some(&b'i') && wanted(name) {
            push(node, input, i, name, version);
        }
    }
    rows > 0
}

/// `/var/lib/dpkg/status`: paragraphs.
pub(crate) fn dpkg_status(node: &mut Node, input: &Input<'_>) -> bool {
    let mut name = "";
    let mut installed = false;
    let mut any = false;
    for (i, line) in input.text.lines().enumerate() {
        if let Some(value) = line.strip_prefix("Package: ") {
            name = value.trim();
            installed = false;
            any = true;
        } else if let Some(value) = line.strip_prefix("Status: ") {
            installed = value.ends_with(" installed");
        } else if let Some(version) = line.strip_prefix("Version: ")
            && installed
            && wanted(name)
        {
            push(node, input, i, name, version.trim());
        }
    }
    any
}

/// `rpm -qa`: `name-version-release.arch`, with whatever columns a collector adds behind it.
pub(crate) fn rpm(node: &mut Node, input: &Input<'_>) -> bool {
    let mut rows = 0;
    for (i, line) in input.text.lines().enumerate() {
        let Some(word) = line.split_ascii_whitespace().next() else { continue };
        let word = word.split('\t').next().unwrap_or(word);
        let stem =
            [".x86_64", ".aarch64", ".noarch", ".ppc64le", ".s390x", ".i686"].iter().find_map(|a| word.strip_suffix(a));
        let Some(stem) = stem else { continue };
        let mut parts = stem.rsplitn(3, '-');
        let (Some(release), Some(version), Some(name)) = (parts.next(), parts.next(), parts.next()) else { continue };
        rows += 1;
        if wanted(name) {
            push(node, input, i, name, &format!("{version}-{release}"));
        }
    }
    rows > 0
}
