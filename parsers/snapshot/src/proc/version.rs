//! `/proc/version` and Ubuntu's `/proc/version_signature`.

use facts::Fact;

use crate::node::{Input, Node};
use crate::text::quote;

pub(crate) fn read(node: &mut Node, input: &Input<'_>) -> bool {
    let Some(line) = input.text.lines().find(|l| l.starts_with("Linux version ")) else { return false };
    if input.text.lines().count() > 3 {
        // A log that begins with the banner is not this file.
        return false;
    }
    let release = line.split_ascii_whitespace().nth(2).unwrap_or_default();
    node.identity.kernel.get_or_insert_with(|| release.to_owned());
    node.identity.banner.get_or_insert_with(|| line.trim().to_owned());
    node.push(
        Fact::new("node.uname", input.whole())
            .with("release", release)
            .with("banner", line.trim())
            .with_opt("arch", arch(release))
            .quoting(quote(line)),
    );
    true
}

/// Ubuntu's build: `Ubuntu 5.4.0-97.110-generic 5.4.162`.
pub(crate) fn signature(node: &mut Node, input: &Input<'_>) -> bool {
    let mut words = input.text.split_ascii_whitespace();
    let (Some(vendor), Some(build)) = (words.next(), words.next()) else { return false };
    node.push(
        Fact::new("node.version_signature", input.whole())
            .with("vendor", vendor)
            .with("build", build)
            .with_opt("upstream", words.next())
            .quoting(quote(input.text)),
    );
    true
}

/// The architecture at the end of a release string, as `uname -m` names it.
pub(crate) fn arch(release: &str) -> Option<&'static str> {
    const ARCHES: &[(&str, &str)] = &[
        ("x86_64", "x86_64"),
        ("amd64", "x86_64"),
        ("aarch64", "aarch64"),
        ("arm64", "aarch64"),
        ("ppc64le", "ppc64le"),
        ("ppc64", "ppc64"),
        ("s390x", "s390x"),
        ("riscv64", "riscv64"),
        ("i686", "i686"),
    ];
    ARCHES.iter().find(|(end, _)| release.ends_with(end)).map(|(_, arch)| *arch)
}
