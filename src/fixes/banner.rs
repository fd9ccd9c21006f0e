//! What the `Linux version ...` banner adds to the release string.

use super::mainline::Date;
use super::version::Version;

/// The release: the word after `Linux version`.
pub(super) fn release(banner: &str) -> Option<&str> {
    let (_, rest) = banner.split_once("Linux version ")?;
    rest.split_whitespace().next()
}

/// The package version after the word `Debian`: `6.1.176-1`, `4.9.110-3+deb9u2`. The builder's own version
/// (`(Debian 12.2.0-14) 12.2.0`) stands in parentheses with the compiler and is passed over, as it comes before `#1 SMP`.
pub(super) fn debian_package(banner: &str) -> Option<&str> {
    let after_build_number = banner.rsplit_once('#').map_or(banner, |(_, tail)| tail);
    let (_, rest) = after_build_number.split_once("Debian ")?;
    let word = rest.split_whitespace().next()?;
    version_prefix(word).is_some().then_some(word)
}

/// The Proxmox package version after `PMX`.
pub(super) fn proxmox_package(banner: &str) -> Option<&str> {
    let (_, rest) = banner.split_once(" PMX ")?;
    rest.split_whitespace().next()
}

/// The upload of an Ubuntu kernel: `86~20.04.2` of `#86~20.04.2-Ubuntu`.
pub(super) fn ubuntu_upload(banner: &str) -> Option<&str> {
    let (head, _) = banner.split_once("-Ubuntu")?;
    let (_, upload) = head.rsplit_once('#')?;
    upload.bytes().all(|b| b.is_ascii_digit() || b".~+-".contains(&b)).then_some(upload)
}

/// The stable level in `/proc/version_signature`: the third word of `Ubuntu 5.4.0-97.110-generic 5.4.162`.
pub(super) fn signature_level(signature: &str) -> Option<Version> {
    let mut words = signature.split_whitespace();
    if words.next()? != "Ubuntu" {
        return None;
    }
    version_prefix(words.nth(1)?)
}

/// `A.B` or `A.B.C` at the start of a word.
pub(super) fn version_prefix(word: &str) -> Option<Version> {
    let end = word.bytes().position(|b| !b.is_ascii_digit() && b != b'.').unwrap_or(word.len());
    Version::parse(word.get(..end)?.trim_end_matches('.'))
}

/// The day of the build: an ISO date in parentheses (Debian, Proxmox), or `Thu Nov 8 23:39:32 UTC 2018` at the end.
pub(super) fn built(banner: &str) -> Option<Date> {
    let tail = banner.rsplit_once('#').map_or(banner, |(_, tail)| tail);
    if let Some(date) = tail.match_indices('(').find_map(|(at, _)| Date::parse(tail.get(at + 1..)?)) {
        return Some(date);
    }
    let words: Vec<&str> = tail.split_whitespace().collect();
    words.windows(3).enumerate().find_map(|(i, w)| {
        let month = month(w.first()?)?;
        let day = w.get(1)?.parse::<u8>().ok()?;
        if !w.get(2)?.contains(':') {
            return None;
        }
        // The year stands after the time, with or without a time zone between.
        let year = words.get(i + 3..)?.iter().take(2).find_map(|y| y.parse::<u16>().ok().filter(|y| *y >= 1970))?;
        Date::checked(year, month, day)
    })
}

fn month(word: &str) -> Option<u8> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let position = MONTHS.iter().position(|m| *m == word)?;
    u8::try_from(position + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "Linux version 6.1.0-50-cloud-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian 6.1.176-1 (2026-07-09)";
    const CENTOS: &str = "Linux version 3.10.0-957.el7.x86_64 (mockbuild@kbuilder.bsys.centos.org) (gcc version 4.8.5 20150623 (Red Hat 4.8.5-36) (GCC) ) #1 SMP Thu Nov 8 23:39:32 UTC 2018";

    #[test]
    fn the_debian_package_is_not_taken_from_the_compiler() {
        assert_eq!(debian_package(DEBIAN), Some("6.1.176-1"));
        assert_eq!(debian_package("x (gcc (Debian 12.2.0-14)) #1 SMP"), None);
        assert_eq!(debian_package("#1 SMP Debian 4.9.110-3+deb9u2 (2018-08-13)"), Some("4.9.110-3+deb9u2"));
    }

    #[test]
    fn the_build_day_is_read_in_both_forms() {
        assert_eq!(built(DEBIAN).map(|d| d.to_string()).as_deref(), Some("2026-07-09"));
        assert_eq!(built(CENTOS).map(|d| d.to_string()).as_deref(), Some("2018-11-08"));
        let pve =
            "Linux version 6.8.12-9-pve (build@proxmox) (gcc) #1 SMP PREEMPT_DYNAMIC PMX 6.8.12-9 (2025-03-16T19:18Z)";
        assert_eq!(built(pve).map(|d| d.to_string()).as_deref(), Some("2025-03-16"));
        assert_eq!(proxmox_package(pve), Some("6.8.12-9"));
        assert_eq!(built("#1 SMP"), None);
    }

    #[test]
    fn ubuntu_words_are_read() {
        assert_eq!(ubuntu_upload("(gcc) #86~20.04.2-Ubuntu SMP Mon Jul 17"), Some("86~20.04.2"));
        assert_eq!(signature_level("Ubuntu 5.4.0-97.110-generic 5.4.162"), Version::parse("5.4.162"));
        assert_eq!(signature_level("Ubuntu 3.13.0-68.111-generic 3.13.11-ckt27"), Version::parse("3.13.11"));
        assert_eq!(signature_level("5.4.162"), None);
    }
}
