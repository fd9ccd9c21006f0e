//! Kernel release strings of every family, read field by field as integers.

use serde::Serialize;

use super::banner;
use super::build::Build;
use super::grammar::{development, leading_numbers, marker, marker_at, number, package, tencent};
use super::mainline::{Date, plausible};
use super::version::Version;

/// Who built the kernel, as far as the string tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Mainline, a release candidate or a stable release, perhaps with a local version.
    Upstream,
    /// RHEL, CentOS and rebuilds of the same source.
    Rhel,
    /// A clone that adds patches of its own to RHEL's source (Anolis on 3.10 or 4.18, Virtuozzo, CloudLinux, CentOS Plus).
    RhelClone,
    /// Oracle Unbreakable Enterprise Kernel.
    OracleUek,
    /// ELRepo `kernel-lt` and `kernel-ml`: stable releases; `.elN` is only the build host.
    Elrepo,
    /// Ubuntu, every flavour.
    Ubuntu,
    /// Debian and Kali.
    Debian,
    /// Proxmox VE, built from Ubuntu's tree.
    Proxmox,
    /// SUSE Linux Enterprise and openSUSE Leap.
    Suse,
    /// openSUSE Tumbleweed.
    Tumbleweed,
    /// Fedora.
    Fedora,
    /// Amazon Linux.
    Amazon,
    /// CBL-Mariner and Azure Linux.
    AzureLinux,
    /// Container-Optimized OS: a stable base and a plus sign.
    ContainerOptimized,
    /// Flatcar Container Linux.
    Flatcar,
    /// CoreOS Container Linux.
    CoreOs,
    /// Alibaba Cloud Linux and the Anolis cloud kernel.
    Alibaba,
    /// TencentOS, tlinux.
    Tencent,
    /// openEuler and its relatives.
    OpenEuler,
    /// Android common kernels.
    Android,
    /// The kernel of the Windows Subsystem for Linux 2.
    Wsl,
    /// Civil Infrastructure Platform.
    Cip,
    /// Raspberry Pi OS.
    RaspberryPi,
    /// Photon OS.
    Photon,
    /// Nothing known about who built it.
    Unknown,
}

/// What the version numbers say about the content of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tree {
    /// A stable release without additions.
    Stable,
    /// A stable release to which the vendor may have added patches.
    StableAndMore,
    /// At least the base, with an unknown number of backports on it.
    Base,
    /// RHEL's numbering: the changelog by build decides.
    Rhel,
}

/// A kernel release string and what it says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Release {
    /// The string as it was found.
    pub raw: String,
    /// Who built it.
    pub family: Family,
    /// What its numbers say about its content.
    pub tree: Tree,
    /// A.B.C (with the release candidate); none if the string does not begin with a version.
    pub base: Option<Version>,
    /// The stable release whose content is in it, when it is known: equals `base` in stable-based families, comes from
    /// the banner in Debian's and from `/proc/version_signature` in Ubuntu's.
    pub level: Option<Version>,
    /// RHEL's build numbers.
    pub build: Option<Build>,
    /// The vendor's own numbers after the version, as text: `160.339`, `150500.55.39`.
    pub package: Option<String>,
    /// ABI number of Debian, Ubuntu and Proxmox.
    pub abi: Option<u32>,
    /// Upload number of Ubuntu, from the banner: `86~20.04.2`.
    pub upload: Option<String>,
    /// `generic`, `cloud-amd64`, `default`, `debug`, `rt` ...
    pub flavour: Option<String>,
    /// Architecture at the end of the string.
    pub arch: Option<String>,
    /// Day of the build, from the banner; left out when it cannot be true.
    pub built: Option<Date>,
}

const ARCHES: &[&str] =
    &["x86_64", "aarch64", "ppc64le", "ppc64", "s390x", "i686", "i386", "armv7hl", "armv7l", "riscv64", "loongarch64"];

const UBUNTU_FLAVOURS: &[&str] = &[
    "generic",
    "lowlatency",
    "virtual",
    "server",
    "aws",
    "azure",
    "gcp",
    "gke",
    "gkeop",
    "oracle",
    "kvm",
    "ibm",
    "raspi",
    "raspi2",
    "oem",
    "hwe",
    "nvidia",
    "fips",
    "realtime",
    "intel",
    "xilinx",
    "snapdragon",
    "bluefield",
    "euclid",
    "dell300x",
    "starfive",
    "laptop",
    "iot",
    "euclid",
    "powerpc64",
];

const DEBIAN_FLAVOURS: &[&str] = &[
    "amd64",
    "arm64",
    "armmp",
    "686",
    "i386",
    "486",
    "586",
    "cloud",
    "rt",
    "powerpc64le",
    "powerpc64",
    "powerpc",
    "s390x",
    "mips64el",
    "mipsel",
    "4kc",
    "5kc",
    "octeon",
    "loongson",
    "riscv64",
    "loong64",
    "marvell",
    "rpi",
    "versatile",
    "kirkwood",
    "vserver",
    "openvz",
    "xen",
    "sparc64",
    "alpha",
    "parisc",
    "common",
];

const SUSE_FLAVOURS: &[&str] = &[
    "default", "azure", "rt", "preempt", "kvmsmall", "pae", "desktop", "xen", "ec2", "trace", "vanilla", "longterm",
    "debug", "64kb", "lpae", "rt_debug",
];

impl Release {
    /// Reads a release string; never fails: what is not recognised keeps the raw string and the family
    /// [`Family::Unknown`]. The banner is the line `Linux version ...` or its tail from `#1 SMP` on;
    /// `version_signature` the content of `/proc/version_signature`.
    pub fn parse(release: &str, banner: Option<&str>, version_signature: Option<&str>) -> Release {
        let text = release.trim();
        let text = text.strip_prefix("Linux version ").or_else(|| text.strip_prefix("kernel-")).unwrap_or(text);
        let mut words = text.splitn(2, char::is_whitespace);
        let mut word = words.next().unwrap_or("");
        let tail = words.next();
        if word.is_empty() {
            word = banner.and_then(banner::release).unwrap_or("");
        }
        let mut parsed = Release::from_word(word);
        if !release.trim().is_empty() {
            parsed.raw = release.trim().to_owned();
        }
        for text in [tail, banner].into_iter().flatten() {
            parsed.read_banner(text);
        }
        if parsed.family == Family::Ubuntu
            && let Some(level) = version_signature.and_then(banner::signature_level)
            && parsed.base.is_some_and(|base| base.branch() == level.branch())
        {
            parsed.level = Some(level);
            parsed.tree = Tree::StableAndMore;
        }
        parsed
    }

    /// The content that is certainly in: the stable level if known, else the base.
    pub(crate) fn floor(&self) -> Option<Version> {
        self.level.or(self.base)
    }

    fn read_banner(&mut self, text: &str) {
        if let Some(package) = banner::debian_package(text)
            && matches!(self.family, Family::Debian | Family::Unknown | Family::Upstream)
            && let Some(level) = banner::version_prefix(package)
            && self.base.is_none_or(|base| base.branch() == level.branch())
        {
            self.family = Family::Debian;
            self.tree = Tree::StableAndMore;
            self.level = Some(level);
            self.package = Some(package.to_owned());
        }
        if self.family == Family::Proxmox
            && let Some(package) = banner::proxmox_package(text)
        {
            self.package = Some(package.to_owned());
        }
        if let Some(upload) = banner::ubuntu_upload(text) {
            if self.family == Family::Unknown {
                self.family = Family::Ubuntu;
            }
            self.upload = Some(upload.to_owned());
        }
        if let Some(date) = banner::built(text)
            && self.base.is_some_and(|base| plausible(base.branch(), date))
        {
            self.built = Some(date);
        }
    }

    fn from_word(word: &str) -> Release {
        let mut release = Release {
            raw: word.to_owned(),
            family: Family::Unknown,
            tree: Tree::Base,
            base: None,
            level: None,
            build: None,
            package: None,
            abi: None,
            upload: None,
            flavour: None,
            arch: None,
            built: None,
        };
        let Some((numbers, rest)) = leading_numbers(word) else { return release };
        let (Some(&a), Some(&b)) = (numbers.first(), numbers.get(1)) else { return release };
        let c = numbers.get(2).copied().unwrap_or(0);
        release.base = Some(Version::new(a, b, c));
        let rest = release.strip_arch(rest);
        release.classify(rest, numbers.len());
        if matches!(release.tree, Tree::Stable | Tree::StableAndMore) && release.level.is_none() {
            release.level = release.base;
        }
        release
    }

    /// Takes `.x86_64`, `+debug`, `.debug` and the like off the end.
    fn strip_arch<'a>(&mut self, rest: &'a str) -> &'a str {
        for arch in ARCHES {
            let Some(at) = rest.rfind(arch) else { continue };
            let Some(head) = rest.get(..at).and_then(|h| h.strip_suffix('.')) else { continue };
            let tail = rest.get(at + arch.len()..).unwrap_or("");
            let flavour = tail.strip_prefix(['+', '.', '-']);
            if tail.is_empty() || flavour.is_some() {
                self.arch = Some((*arch).to_owned());
                self.flavour = flavour.map(str::to_owned);
                return head;
            }
        }
        rest
    }

    fn classify(&mut self, rest: &str, fields: usize) {
        let lower = rest.to_ascii_lowercase();
        let has = |needle: &str| lower.contains(needle);
        let c = self.base.map_or(0, |base| base.c);
        let stable = |release: &mut Release, family| {
            release.family = family;
            release.tree = Tree::StableAndMore;
        };
        self.package = package(rest);

        if has("microsoft-standard") {
            stable(self, Family::Wsl);
        } else if has(".elrepo") {
            self.family = Family::Elrepo;
            self.tree = Tree::Stable;
        } else if has("uek") {
            self.family = Family::OracleUek;
        } else if has(".amzn") {
            stable(self, Family::Amazon);
        } else if marker(&lower, ".fc") {
            stable(self, Family::Fedora);
            self.candidate(&lower, ".rc");
        } else if marker(&lower, "-cip") {
            stable(self, Family::Cip);
        } else if has("+rpt") || (has("-v7") || has("-v8")) && lower.ends_with('+') {
            stable(self, Family::RaspberryPi);
        } else if marker(&lower, "-android") {
            stable(self, Family::Android);
        } else if lower.ends_with("-pve") {
            self.family = Family::Proxmox;
            self.abi = self.package.as_deref().and_then(|p| p.parse().ok());
        } else if has("-flatcar") || has("-coreos") {
            self.family = if has("-flatcar") { Family::Flatcar } else { Family::CoreOs };
            self.tree = Tree::Stable;
        } else if marker(&lower, ".cm") || marker(&lower, ".azl") {
            stable(self, Family::AzureLinux);
        } else if marker(&lower, ".ph") {
            stable(self, Family::Photon);
        } else if marker(&lower, ".tl") || has("tlinux") || tencent(rest) {
            stable(self, Family::Tencent);
        } else if ["openeuler", "bclinux", "eulerosv", "vhulk"].iter().any(|m| has(m))
            || [".oe", ".ky", ".uel", ".uelc"].iter().any(|m| marker(&lower, m))
        {
            self.based_on_point_release(Family::OpenEuler, c);
        } else if self.rhel(&lower) {
        } else if marker(&lower, ".al") || marker(&lower, ".an") {
            self.based_on_point_release(Family::Alibaba, c);
        } else if !self.suse(rest, c) && !self.debian_or_ubuntu(rest, c) {
            self.upstream(rest, fields, c);
        }
    }

    /// A vendor that starts from a point release: at `.0` the number says nothing about the stable level.
    fn based_on_point_release(&mut self, family: Family, c: u32) {
        self.family = family;
        self.tree = if c > 0 { Tree::StableAndMore } else { Tree::Base };
    }

    fn candidate(&mut self, lower: &str, before: &str) {
        let rc = lower.split_once(before).map(|(_, digits)| number(digits)).and_then(|(n, _)| n);
        if let (Some(rc), Some(base)) = (rc, self.base.as_mut()) {
            base.rc = Some(rc);
            if let Some(before) = base.c.checked_sub(1) {
                // A candidate of a stable release: the release before it is certainly in.
                self.level = Some(Version::new(base.a, base.b, before));
            }
        }
    }

    /// `-BUILD[.z..].elN[_M]`, the same with Anolis' `.anN`, or Virtuozzo's `.vzN`, on a base that RHEL uses.
    fn rhel(&mut self, lower: &str) -> bool {
        let major = match self.base.map(|base| (base.a, base.b, base.c)) {
            Some((2, 6, 32)) => 6,
            Some((3, 10, 0)) => 7,
            Some((4, 18, 0)) => 8,
            Some((5, 14, 0)) => 9,
            Some((6, 12, 0)) => 10,
            _ => {
                if marker(lower, ".el") {
                    // Somebody's package of an upstream release, built for an EL host.
                    self.based_on_point_release(Family::Unknown, self.base.map_or(0, |base| base.c));
                    return true;
                }
                return false;
            }
        };
        let Some((at, tag)) = [".el", ".an", ".vz", ".lve"]
            .iter()
            .filter_map(|tag| Some((marker_at(lower, tag)?, *tag)))
            .min_by_key(|(at, _)| *at)
        else {
            return false;
        };
        let Some(head) = lower.get(..at).and_then(|head| head.strip_prefix('-')) else { return false };
        // Real-time builds put their own numbers after the build: 957.rt56.910.
        let (head, rt) = match head.split_once(".rt") {
            Some((head, _)) => (head, true),
            None => (head, false),
        };
        let numbers: Option<Vec<u32>> = head.split('.').map(|field| field.parse().ok()).collect();
        let Some(numbers) = numbers.filter(|numbers| !numbers.is_empty() && numbers.len() <= 8) else { return false };
        let after = lower.get(at + tag.len()..).unwrap_or("");
        let (_, after) = number(after);
        let (stream, after) = match after.strip_prefix('_') {
            Some(rest) => number(rest),
            None => (None, after),
        };
        self.family = if tag == ".el" && !after.contains("plus") { Family::Rhel } else { Family::RhelClone };
        self.tree = Tree::Rhel;
        self.package = Some(head.to_owned());
        self.build = Some(Build::new(major, numbers, stream));
        if rt {
            self.flavour = Some("rt".to_owned());
        }
        true
    }

    /// `-BUILD-FLAVOUR` of SUSE; since 15 SP3 the first number is the product (150300).
    fn suse(&mut self, rest: &str, c: u32) -> bool {
        let Some((build, flavour)) = rest.strip_prefix('-').and_then(|r| r.split_once('-')) else { return false };
        let first = number(build).0;
        let product = first.is_some_and(|n| (150_000..200_000).contains(&n));
        let suse = SUSE_FLAVOURS.contains(&flavour) && (flavour == "default" || c > 0 || product);
        if !suse || first.is_none() {
            return false;
        }
        let enterprise = matches!(
            self.base.map(|v| (v.a, v.b, v.c)),
            Some((2, 6, _) | (3, 0 | 12, _) | (4, 4, _) | (4, 12, 14) | (5, 3, 18) | (5, 14, 21))
        );
        if product || enterprise {
            self.family = Family::Suse;
        } else {
            self.family = Family::Tumbleweed;
            self.tree = Tree::StableAndMore;
        }
        self.flavour = Some(flavour.to_owned());
        true
    }

    /// `-ABI-FLAVOUR`, told apart by the flavour; Debian from 6.10 on writes the stable level: `6.12.43+deb13-amd64`.
    fn debian_or_ubuntu(&mut self, rest: &str, c: u32) -> bool {
        let known =
            |flavour: &str, list: &[&str]| flavour.split(['-', '_']).next().is_some_and(|first| list.contains(&first));
        if let Some(tail) = rest.strip_prefix("+deb").or_else(|| rest.strip_prefix("+kali")) {
            self.based_on_point_release(Family::Debian, c);
            self.flavour = tail.split_once('-').map(|(_, flavour)| flavour.to_owned());
            return true;
        }
        let Some(tail) = rest.strip_prefix('-') else { return false };
        if c > 0 && known(tail, DEBIAN_FLAVOURS) && !tail.starts_with("rt") {
            self.based_on_point_release(Family::Debian, c);
            self.flavour = Some(tail.to_owned());
            return true;
        }
        let Some((abi, flavour)) = tail.split_once('-') else { return false };
        if known(flavour, UBUNTU_FLAVOURS) {
            let digits = abi.bytes().all(|b| b.is_ascii_digit());
            if !digits {
                return false;
            }
            self.family = Family::Ubuntu;
            if c > 0 && abi.len() == 6 && abi.starts_with('0') {
                // Ubuntu's archive of plain upstream builds: 5.15.60-051560-generic.
                self.family = Family::Upstream;
                self.tree = Tree::Stable;
            }
        } else if known(flavour, DEBIAN_FLAVOURS) {
            self.family = Family::Debian;
        } else {
            return false;
        }
        self.abi = abi.rsplit(['.', 'i']).next().and_then(|digits| digits.parse().ok());
        self.flavour = Some(flavour.to_owned());
        true
    }

    fn upstream(&mut self, rest: &str, fields: usize, c: u32) {
        let lower = rest.to_ascii_lowercase();
        self.package = None;
        if fields > 3 {
            return;
        }
        if lower.starts_with("-rc") {
            self.family = Family::Upstream;
            self.candidate(&lower, "-rc");
            let (_, after) = number(lower.get(3..).unwrap_or(""));
            self.tree = if after.is_empty() && c == 0 { Tree::Stable } else { Tree::StableAndMore };
        } else if matches!(rest, "" | "-") {
            self.family = Family::Upstream;
            self.tree = Tree::Stable;
        } else if rest == "+" && c > 0 {
            self.family = Family::ContainerOptimized;
            self.tree = Tree::StableAndMore;
        } else if c > 0 || rest.starts_with('+') || rest == "-dirty" || development(rest) {
            self.family = Family::Upstream;
            self.tree = Tree::StableAndMore;
            self.flavour = Some(rest.trim_start_matches(['-', '+', '.', '_']).to_owned()).filter(|f| !f.is_empty());
        }
        // A.B.0 with a local version that nobody is known for: the tree may be at any stable level.
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::Line;
    use super::*;

    fn parse(text: &str) -> Release {
        Release::parse(text, None, None)
    }

    #[test]
    fn families_are_told_apart() {
        for (text, family, tree) in [
            ("3.10.0-957.el7.x86_64", Family::Rhel, Tree::Rhel),
            ("3.10.0-957.el7.x86_64.debug", Family::Rhel, Tree::Rhel),
            ("3.10.0-957.el7.centos.plus.x86_64", Family::RhelClone, Tree::Rhel),
            ("3.10.0-957.12.2.vz7.96.21", Family::RhelClone, Tree::Rhel),
            ("3.10.0-1062.an7.x86_64", Family::RhelClone, Tree::Rhel),
            ("4.4.227-1.el7.elrepo.x86_64", Family::Elrepo, Tree::Stable),
            ("5.15.0-200.131.27.el8uek.x86_64", Family::OracleUek, Tree::Base),
            ("6.8.0-1018-aws", Family::Ubuntu, Tree::Base),
            ("5.15.60-051560-generic", Family::Upstream, Tree::Stable),
            ("4.9.0-7-amd64", Family::Debian, Tree::Base),
            ("6.1.0-0.deb11.21-cloud-amd64", Family::Debian, Tree::Base),
            ("6.12.43+deb13-amd64", Family::Debian, Tree::StableAndMore),
            ("6.8.12-9-pve", Family::Proxmox, Tree::Base),
            ("5.14.21-150500.55.39-default", Family::Suse, Tree::Base),
            ("4.12.14-122.26-default", Family::Suse, Tree::Base),
            ("6.4.0-150600.23.73-default", Family::Suse, Tree::Base),
            ("6.13.1-1-default", Family::Tumbleweed, Tree::StableAndMore),
            ("5.14.21-150500.33.20-azure", Family::Suse, Tree::Base),
            ("5.4.0-1094-azure", Family::Ubuntu, Tree::Base),
            ("5.13.4-200.fc34.x86_64", Family::Fedora, Tree::StableAndMore),
            ("4.14.209-160.339.amzn2.x86_64", Family::Amazon, Tree::StableAndMore),
            ("5.15.48.1-8.cm2", Family::AzureLinux, Tree::StableAndMore),
            ("5.4.89+", Family::ContainerOptimized, Tree::StableAndMore),
            ("5.4.119-19-0009.11", Family::Tencent, Tree::StableAndMore),
            ("5.10.134-18.al8.x86_64", Family::Alibaba, Tree::StableAndMore),
            ("5.10.0-60.18.0.50.oe2203.x86_64", Family::OpenEuler, Tree::Base),
            ("5.10.102.1-microsoft-standard-WSL2", Family::Wsl, Tree::StableAndMore),
            ("5.10.149-android13-4-00003-g05231a35ff43-ab9850636", Family::Android, Tree::StableAndMore),
            ("6.12.20+rpt-rpi-2712", Family::RaspberryPi, Tree::StableAndMore),
            ("6.1.192-lab", Family::Upstream, Tree::StableAndMore),
            ("6.1.0-00012-g1a2b3c4d5e6f-dirty", Family::Upstream, Tree::StableAndMore),
            ("4.19.81-", Family::Upstream, Tree::Stable),
            ("6.4.0-next-20230705", Family::Upstream, Tree::StableAndMore),
            ("6.14.0-syzkaller-12456-gacc4d5ff0b61", Family::Upstream, Tree::StableAndMore),
            ("6.1.0-acme3", Family::Unknown, Tree::Base),
            ("not a kernel", Family::Unknown, Tree::Base),
            ("192.168.1.1", Family::Unknown, Tree::Base),
        ] {
            let release = parse(text);
            assert_eq!((release.family, release.tree), (family, tree), "{text}");
            assert_eq!(release.raw, text);
        }
    }

    #[test]
    fn rhel_fields_are_split() {
        let z = parse("4.18.0-305.28.1.el8_4.x86_64+debug");
        let build = z.build.unwrap();
        assert_eq!(
            (build.major, build.minor, build.line, build.stream(), build.z()),
            (8, Some(4), Line::ZStream, 305, &[28, 1][..])
        );
        assert_eq!((z.arch.as_deref(), z.flavour.as_deref()), (Some("x86_64"), Some("debug")));
        let rt = parse("3.10.0-957.rt56.910.el7.x86_64");
        assert_eq!((rt.build.unwrap().numbers, rt.flavour.as_deref()), (vec![957], Some("rt")));
        let oracle = parse("3.10.0-1160.119.1.0.1.el7.x86_64").build.unwrap();
        assert_eq!((oracle.minor, oracle.to_string().as_str()), (Some(9), "1160.119.1.0.1"));
    }

    #[test]
    fn candidates_and_abi_numbers_are_read() {
        assert_eq!(parse("6.14.0-rc3").base, Version::parse("6.14-rc3"));
        assert_eq!(parse("6.14.0-0.rc3.29.fc43.x86_64").base, Version::parse("6.14-rc3"));
        let ubuntu = Release::parse("5.15.0-79-generic #86~20.04.2-Ubuntu", None, None);
        assert_eq!((ubuntu.abi, ubuntu.upload.as_deref()), (Some(79), Some("86~20.04.2")));
        assert_eq!(parse("6.1.0-50-cloud-amd64").abi, Some(50));
    }

    #[test]
    fn an_empty_release_is_taken_from_the_banner() {
        let release = Release::parse("", Some("Linux version 6.1.192-lab (me@host) (gcc) #1 SMP"), None);
        assert_eq!((release.raw.as_str(), release.base), ("6.1.192-lab", Version::parse("6.1.192")));
    }
}
