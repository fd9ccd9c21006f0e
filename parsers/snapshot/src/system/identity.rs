//! Host name, machine id, boot id, `uname -a`.

use facts::Fact;

use crate::node::{Input, Node};
use crate::proc::version::arch;
use crate::text::quote;

fn one_word<'t>(input: &Input<'t>) -> Option<&'t str> {
    let text = input.text.trim();
    (!text.is_empty() && text.len() <= 253 && !text.contains(char::is_whitespace)).then_some(text)
}

pub(crate) fn hex_id(text: &str) -> Option<String> {
    let id: String = text.trim().chars().filter(|c| *c != '-').collect();
    (id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| id.to_ascii_lowercase())
}

pub(crate) fn hostname(node: &mut Node, input: &Input<'_>) -> bool {
    let Some(name) = one_word(input).filter(|n| !n.starts_with('#') && *n != "localhost") else { return false };
    node.identity.host.get_or_insert_with(|| name.to_owned());
    identity_fact(node, input, "host", name.to_owned());
    true
}

pub(crate) fn machine_id(node: &mut Node, input: &Input<'_>) -> bool {
    let Some(id) = hex_id(input.text) else { return false };
    node.identity.machine_id.get_or_insert_with(|| id.clone());
    identity_fact(node, input, "machine_id", id);
    true
}

pub(crate) fn boot_id(node: &mut Node, input: &Input<'_>) -> bool {
    let Some(id) = hex_id(input.text) else { return false };
    node.identity.boot_id.get_or_insert_with(|| id.clone());
    identity_fact(node, input, "boot_id", id);
    true
}

pub(crate) fn osrelease(node: &mut Node, input: &Input<'_>) -> bool {
    let Some(release) = one_word(input).filter(|r| r.starts_with(|c: char| c.is_ascii_digit()) && r.contains('.'))
    else {
        return false;
    };
    node.identity.kernel.get_or_insert_with(|| release.to_owned());
    node.push(Fact::new("node.uname", input.whole()).with("release", release).with_opt("arch", arch(release)));
    true
}

fn identity_fact(node: &mut Node, input: &Input<'_>, field: &'static str, value: String) {
    let fact = Fact::new("node.identity", input.whole()).with(field, value).quoting(quote(input.text));
    node.push(fact);
}

/// `Linux host 5.4.0-97-generic #110-Ubuntu SMP Thu Jan 13 ... x86_64 x86_64 x86_64 GNU/Linux`
pub(crate) fn uname(node: &mut Node, input: &Input<'_>) -> bool {
    let Some(line) = input.text.lines().find(|l| l.starts_with("Linux ")) else { return false };
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, host, release, version, ..] = words[..] else { return false };
    if !version.starts_with('#') {
        return false;
    }
    // The machine stands behind the build date; distributions print it up to three times.
    const MACHINES: &[&str] = &["x86_64", "aarch64", "ppc64le", "ppc64", "s390x", "riscv64", "i686", "armv7l"];
    let machine = words.iter().rev().find_map(|w| MACHINES.iter().find(|m| *m == w));
    if host != "(none)" {
        node.identity.host.get_or_insert_with(|| host.to_owned());
    }
    node.identity.kernel.get_or_insert_with(|| release.to_owned());
    if let Some(machine) = machine {
        node.identity.arch.get_or_insert_with(|| (*machine).to_owned());
    }
    node.push(
        Fact::new("node.uname", input.whole())
            .with("release", release)
            .with("host", host)
            .with("build", words.get(3..).unwrap_or_default().join(" "))
            .with_opt("arch", machine.copied().or_else(|| arch(release)))
            .quoting(quote(line)),
    );
    true
}

/// `container=lxc` in the environment of process 1.
pub(crate) fn container(node: &mut Node, input: &Input<'_>) -> bool {
    let found = input.text.split(['\0', '\n']).find_map(|w| w.trim().strip_prefix("container="));
    let Some(kind) = found.filter(|k| !k.is_empty()) else { return !input.text.trim().is_empty() };
    node.push_once(
        Fact::new("node.container", input.whole())
            .with("runtime", kind)
            .quoting(format!("process 1 runs in a container ({kind}): kernel files are those of its host")),
    );
    true
}

/// `hostnamectl status`: host, model, and whether it is a container.
pub(crate) fn hostnamectl(node: &mut Node, input: &Input<'_>) -> bool {
    let mut found = false;
    for line in input.text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.trim() {
            "Static hostname" if !value.is_empty() => {
                node.identity.host.get_or_insert_with(|| value.to_owned());
            }
            "Machine ID" => {
                if let Some(id) = hex_id(value) {
                    node.identity.machine_id.get_or_insert(id);
                }
            }
            "Boot ID" => {
                if let Some(id) = hex_id(value) {
                    node.identity.boot_id.get_or_insert(id);
                }
            }
            "Virtualization" | "Chassis"
                if matches!(
                    value.split(' ').next(),
                    Some("lxc" | "docker" | "container" | "systemd-nspawn" | "podman")
                ) =>
            {
                let fact = Fact::new("node.container", input.whole()).with("runtime", value).quoting(quote(line));
                node.push_once(fact);
            }
            "Hardware Model" => {
                node.identity.model.get_or_insert_with(|| value.to_owned());
            }
            _ => continue,
        }
        found = true;
    }
    found
}
