//! Which kernel, which machine, which boot.

use facts::Identity;

use crate::{Kernel, VirtAddr};

/// Which build of a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Build {
    /// GNU build-id in hex.
    pub id: Option<String>,
    /// The exact banner, without its line end.
    pub banner: Option<String>,
}

impl Kernel<'_> {
    /// Build-id and banner.
    pub(crate) fn build(&self) -> Build {
        Build { id: self.build_id(), banner: self.banner() }
    }

    /// The same by a symbol table that is not this kernel's yet.
    pub(crate) fn build_by(&self, address: impl Fn(&str) -> Option<u64>) -> Build {
        let notes = address("__start_notes").zip(address("__stop_notes"));
        Build {
            id: notes.and_then(|(start, stop)| self.build_id_between(start, stop)),
            banner: address("linux_banner").and_then(|at| self.banner_at(VirtAddr(at))),
        }
    }

    /// Kernel release: VMCOREINFO's, else that of the name in memory.
    pub fn release(&self) -> Option<String> {
        self.info.release().map(str::to_owned).or_else(|| self.uts_name(2))
    }

    /// One of the six texts of `struct new_utsname`: sysname, nodename, release, version, machine, domainname.
    pub(crate) fn uts_name(&self, nth: u64) -> Option<String> {
        let at = self.symbol_at("init_uts_ns")?;
        // A reference count of 4 bytes came first before 9a56493f6942 "uts: Use generic ns_common::count" (v5.11).
        let offset = self
            .info
            .offset("uts_namespace.name")
            .or_else(|| self.types().offset("uts_namespace", "name"))
            .or_else(|| [0, 4].into_iter().find(|n| self.cstr(at + *n, 8).is_ok_and(|name| name == "Linux")))?;
        let text = self.cstr(at + offset + nth * 65, 65).ok()?;
        (!text.is_empty()).then_some(text)
    }

    /// The banner, `Linux version ...`.
    pub fn banner(&self) -> Option<String> {
        self.banner_at(self.symbol_at("linux_banner").filter(|at| at.0 != 0)?)
    }

    fn banner_at(&self, at: VirtAddr) -> Option<String> {
        let text = self.cstr(at, 1024).ok()?;
        text.starts_with("Linux version ").then(|| text.trim_end().to_owned())
    }

    /// The GNU build-id from the kernel's `.notes`, in hex. VMCOREINFO's is absent before 5.9 and wrong in some stable kernels
    /// of the time of 6.12 (905415ff3ffb "lib/buildid: harden build ID parsing logic"): where no symbol leads to the notes it
    /// counts if the image has a note with it.
    pub fn build_id(&self) -> Option<String> {
        match self.symbol("__start_notes").zip(self.symbol("__stop_notes")) {
            Some((start, stop)) => self.build_id_between(start, stop),
            None => self.printed_build_id(),
        }
    }

    fn printed_build_id(&self) -> Option<String> {
        let printed = self.info.get("BUILD-ID")?.to_ascii_lowercase();
        let digits = printed.as_bytes().as_chunks::<2>().0;
        let id: Option<Vec<u8>> =
            digits.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
        let id = id.filter(|id| id.len() * 2 == printed.len() && id.len() >= 8)?;
        let words = [4u32, id.len() as u32, 3].into_iter().flat_map(u32::to_le_bytes);
        let note: Vec<u8> = words.chain(*b"GNU\0").chain(id).collect();
        self.image_holds(&note).then_some(printed)
    }

    pub(crate) fn build_id_between(&self, start: u64, stop: u64) -> Option<String> {
        let size = stop.checked_sub(start).filter(|n| *n <= 64 << 10)?;
        let notes = self.bytes(VirtAddr(start), size as usize).ok()?;
        build_id(&notes)
    }

    /// Taint bits of the kernel.
    pub fn taint(&self) -> Option<u64> {
        self.symbol_at("tainted_mask").and_then(|at| self.u64(at).ok())
    }

    /// The kernel's command line; where no symbol leads to it, as the log has it.
    pub fn command_line(&self) -> Option<String> {
        let kept = self.symbol_at("saved_command_line").and_then(|at| self.ptr(at).ok());
        kept.and_then(|at| self.cstr(at, 4096).ok()).or_else(|| {
            let log = self.log();
            let mut lines = log.records.iter().map(crate::Record::text_lossy);
            lines.find_map(|line| Some(line.strip_prefix("Kernel command line: ")?.trim_end().to_owned()))
        })
    }

    /// Taint letters of the last report in the log, `G` and blanks left out.
    pub(crate) fn taint_in_log(&self) -> Option<String> {
        let log = self.log();
        let lines = log.records.iter().rev().map(crate::Record::text_lossy);
        lines
            .filter(|line| line.contains(" PID: ") || line.contains("Not tainted"))
            .find_map(|line| taint_letters(&line))
    }

    /// The boot id, 32 hex digits: the 16 bytes that the first reader of /proc/sys/kernel/random/boot_id made.
    pub fn boot_id(&self) -> Option<String> {
        let bytes = self.symbol_at("sysctl_bootid").and_then(|at| self.bytes(at, 16).ok())?;
        // All zero: nobody read it yet. Version 4, variant 1 otherwise.
        let uuid = bytes.get(6).is_some_and(|b| b >> 4 == 4) && bytes.get(8).is_some_and(|b| b >> 6 == 2);
        uuid.then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Host, boot and kernel.
    pub fn identity(&self) -> Identity {
        Identity {
            host: self.uts_name(1).filter(|name| name != "(none)"),
            machine_id: None,
            boot_id: self.boot_id(),
            boot_time: self.boot_time_ns().map(rfc3339),
            kernel: self.release(),
            banner: self.banner(),
            arch: Some(self.arch.name().to_owned()),
            model: None,
        }
    }
}

/// `Tainted: G           OE      6.1.0-56-arm64 #1`, `Not tainted 6.1.0`.
fn taint_letters(line: &str) -> Option<String> {
    if line.contains("Not tainted") {
        return Some(String::new());
    }
    let (_, rest) = line.split_once("Tainted: ")?;
    let words = rest.split_ascii_whitespace().take_while(|word| word.bytes().all(|b| b.is_ascii_uppercase()));
    Some(words.flat_map(str::chars).filter(|letter| *letter != 'G').collect())
}

/// The GNU build-id among notes, in hex. Namesz, descsz, type; name and desc each padded to 4.
pub(crate) fn build_id(notes: &[u8]) -> Option<String> {
    let mut rest = notes;
    while let Some((header, after)) = rest.split_at_checked(12) {
        let word = |at: usize| header.get(at..).and_then(|b| b.first_chunk::<4>()).map(|b| u32::from_le_bytes(*b));
        let (name, desc, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
        let padded = name.checked_next_multiple_of(4)?;
        let end = padded.checked_add(desc)?;
        if kind == 3 && after.get(..name)? == b"GNU\0" {
            return Some(after.get(padded..end)?.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        rest = after.get(end.checked_next_multiple_of(4)?..)?;
    }
    None
}

pub(crate) fn rfc3339(ns: i64) -> String {
    let (date, time) = crate::log::calendar(ns.div_euclid(1_000_000_000));
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", date.0, date.1, date.2, time.0, time.1, time.2)
}

#[cfg(test)]
mod tests {
    use super::taint_letters;

    #[test]
    fn taint_letters_of_a_report_are_those_before_the_release() {
        let line = "CPU: 1 PID: 1 Comm: init Tainted: G           OE      6.1.0-56-rt-arm64 #1 Debian 6.1.0";
        assert_eq!(taint_letters(line).as_deref(), Some("OE"));
        assert_eq!(taint_letters("CPU: 0 PID: 9 Comm: x Tainted: P      D W  O    5.10.0 #1").as_deref(), Some("PDWO"));
        assert_eq!(taint_letters("CPU: 0 PID: 9 Comm: x Not tainted 6.1.0").as_deref(), Some(""));
        assert_eq!(taint_letters("acme: loading"), None);
    }
}
