//! One line of a log, freed from the prefix of its carrier.

use facts::Stamp;

/// In which context a line was printed (`CONFIG_PRINTK_CALLER`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Caller {
    /// `T1234`: a task, by its pid.
    Task(u32),
    /// `C3`: an interrupt on that CPU.
    Cpu(u32),
}

/// Who wrote a line, as far as the carrier says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Writer {
    /// Nothing says who.
    #[default]
    Unknown,
    /// A kernel time stamp, level or tag stands before it.
    Kernel,
    /// A program's tag stands before it.
    Program,
}

/// One line of a log: what the kernel (or a program) printed, and what the carrier said about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line<'a> {
    /// Number in the member, counted from 1.
    pub number: u64,
    /// When, as far as the carrier says.
    pub time: Option<Stamp>,
    /// Who printed it, if the kernel says so.
    pub caller: Option<Caller>,
    /// Level, 0 (emergency) to 7 (debug).
    pub level: Option<u8>,
    /// Syslog facility; 0 is the kernel.
    pub facility: Option<u8>,
    /// Host name in the carrier's prefix.
    pub host: Option<&'a str>,
    /// Tag of the program that wrote it, without its pid: `kubelet`.
    pub tag: Option<&'a str>,
    /// Who wrote it.
    pub writer: Writer,
    /// The text without any prefix; blanks at its start are kept, at its end not.
    pub body: &'a str,
}

impl<'a> Line<'a> {
    /// A line without prefix.
    pub fn bare(number: u64, body: &'a str) -> Self {
        Line { number, body, ..Line::default() }
    }

    /// Was it printed in the first seconds after the kernel started? Not known without a stamp that counts from there.
    pub(crate) fn is_of_boot(&self, seconds: i64) -> bool {
        let since = self.time.and_then(|time| time.since_boot_ns);
        since.is_some_and(|ns| (0..seconds.saturating_mul(1_000_000_000)).contains(&ns))
    }

    /// The body without leading blanks.
    pub fn text(&self) -> &'a str {
        // Asked for many times a line: blanks are bytes.
        let blanks = self.body.bytes().take_while(|b| matches!(b, b' ' | b'\t')).count();
        self.body.get(blanks..).unwrap_or_default()
    }
}
