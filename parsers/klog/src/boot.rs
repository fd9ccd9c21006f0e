//! Where boots begin, and whose they are.

use facts::{Gap, Identity};

use crate::cursor::{Cursor, after, has, number_after};
use crate::event::{Event, Severity};
use crate::line::Writer;
use crate::scanner::Item;
use crate::{Line, class};

/// Collects what the text says about the boot it is in.
#[derive(Default)]
pub(crate) struct BootBuilder {
    identity: Identity,
    cmdline: Option<String>,
    /// The release in the name of the image that was booted, where the banner is lost.
    release: Option<String>,
    first_line: u64,
    last_line: u64,
    time: Option<facts::Stamp>,
    /// Wall clock at the start of the boot, from the line that sets the system clock.
    start_wall_ns: Option<i64>,
}

impl BootBuilder {
    /// Is this `Linux version ...`, printed by the kernel as its first line?
    pub(crate) fn is_banner(&self, line: &Line<'_>) -> bool {
        let text = line.text();
        text.starts_with("Linux version ")
            && line.writer != Writer::Program
            && text["Linux version ".len()..].starts_with(|c: char| c.is_ascii_digit())
            && (text.contains('(') || text.contains('#'))
    }

    /// A boot begins with this line.
    pub(crate) fn begin(&mut self, line: &Line<'_>, sink: &mut dyn FnMut(Item)) {
        let text = line.text();
        self.finish(sink);
        let host = line.host.map(str::to_owned).or_else(|| self.identity.host.clone());
        self.identity = Identity {
            host,
            kernel: after(text, "Linux version ").map(|t| Cursor::new(t).word().to_owned()),
            banner: Some(text.to_owned()),
            arch: arch(text).map(str::to_owned),
            ..Identity::default()
        };
        self.release = None;
        self.first_line = line.number;
        self.last_line = line.number;
        self.time = line.time;
        self.start_wall_ns = None;
        sink(Item::Boot(Box::new(self.identity.clone())));
    }

    /// Other lines that say something about the boot.
    pub(crate) fn note(&mut self, line: &Line<'_>) {
        self.see(line);
        let text = line.text();
        if line.writer == Writer::Program {
            return;
        }
        if let Some(cmdline) =
            text.strip_prefix("Command line: ").or_else(|| text.strip_prefix("Kernel command line: "))
        {
            if self.identity.banner.is_none() && self.cmdline.is_none() {
                self.release = release_of(cmdline).map(str::to_owned);
            }
            self.cmdline.get_or_insert_with(|| cmdline.to_owned());
            self.last_line = line.number;
        }
        // `rtc_cmos rtc_cmos: setting system clock to 2026-11-21 10:15:55 UTC (1795256155)`
        if let Some(rest) = after(text, "setting system clock to ")
            && let Some(seconds) = number_after(rest, "UTC (")
            && let Some(ns) = line.time.and_then(|t| t.since_boot_ns)
        {
            self.start_wall_ns = seconds.checked_mul(1_000_000_000).and_then(|wall| wall.checked_sub(ns));
        }
        // `audit: type=2000 audit(1578241785.265:1): state=initialized`: the wall clock, once a boot.
        if let Some(stamp) = after(text, "type=2000 audit(")
            && let Some(ns) = line.time.and_then(|t| t.since_boot_ns)
            && self.start_wall_ns.is_none()
            && let Some((seconds, rest)) = stamp.split_once('.')
            && let Ok(seconds) = seconds.parse::<i64>()
        {
            let millis = rest.split(':').next().and_then(|ms| ms.parse::<i64>().ok()).unwrap_or(0).min(999);
            let wall = seconds.checked_mul(1_000_000_000).and_then(|s| s.checked_add(millis * 1_000_000));
            self.start_wall_ns = wall.and_then(|wall| wall.checked_sub(ns)).filter(|_| seconds > 946_684_800);
        }
        if let Some(model) = text.strip_prefix("DMI: ") {
            self.identity.model.get_or_insert_with(|| model.to_owned());
            self.last_line = line.number;
        }
    }

    /// A line of which the prefix was read: it may name the host.
    pub(crate) fn see(&mut self, line: &Line<'_>) {
        if let Some(host) = line.host
            && self.identity.host.is_none()
        {
            self.identity.host = Some(host.to_owned());
        }
    }

    /// The release that the command line tells, once: the banner of this boot is not in the text.
    pub(crate) fn take_release(&mut self) -> Option<String> {
        self.release.take()
    }

    /// Yields the boot's own event.
    pub(crate) fn finish(&mut self, sink: &mut dyn FnMut(Item)) {
        let cmdline = self.cmdline.take();
        let Some(banner) = self.identity.banner.take() else { return };
        let mut event = Event::new("boot", class::CLEAN, Severity::Notice).titled("boot");
        event.quote.clone_from(&banner);
        event.first_line = self.first_line;
        event.last_line = self.last_line;
        event.host.clone_from(&self.identity.host);
        event.time = self.time;
        if let Some(start) = self.start_wall_ns {
            let mut time = self.time.unwrap_or_default();
            let since_boot = *time.since_boot_ns.get_or_insert(0);
            time.wall_ns = start.checked_add(since_boot);
            time.wall_exact = time.wall_ns.is_some();
            event.time = Some(time);
        }
        event.release.clone_from(&self.identity.kernel);
        let capture = cmdline.as_deref().is_some_and(|c| has(c, "elfcorehdr="));
        event = event
            .with("banner", banner)
            .with_opt("arch", self.identity.arch.as_deref())
            .with_opt("model", self.identity.model.as_deref())
            .with_opt("cmdline", cmdline)
            .with("capture", capture);
        sink(Item::Event(Box::new(event)));
    }
}

/// `BOOT_IMAGE=/boot/vmlinuz-5.4.0-42-generic`, `BOOT_IMAGE=(hd0,gpt2)/vmlinuz-4.18.0-348.el8.x86_64`
fn release_of(cmdline: &str) -> Option<&str> {
    let image = cmdline.split(' ').find_map(|word| word.strip_prefix("BOOT_IMAGE="))?;
    let (_, release) = image.rsplit_once("vmlinuz-")?;
    (release.starts_with(|c: char| c.is_ascii_digit()) && release.contains('.')).then_some(release)
}

/// The architecture a release or a banner names.
fn arch(banner: &str) -> Option<&'static str> {
    const NAMES: &[(&str, &str)] = &[
        ("x86_64", "x86_64"),
        ("amd64", "x86_64"),
        ("aarch64", "aarch64"),
        ("arm64", "aarch64"),
        ("ppc64le", "ppc64le"),
        ("powerpc64le", "ppc64le"),
        ("s390x", "s390x"),
        ("riscv64", "riscv64"),
        ("armv7", "armv7l"),
        ("arm-linux", "armv7l"),
        ("loongarch64", "loongarch64"),
        ("mips", "mips"),
        ("i686", "i686"),
        ("i386", "i686"),
    ];
    NAMES.iter().find(|(word, _)| banner.contains(word)).map(|(_, arch)| *arch)
}

/// Lines that say that other lines are missing.
pub(crate) fn loss(line: &Line<'_>) -> Option<Gap> {
    let text = line.text();
    let place = format!("line {}", line.number);
    let why = if has(text, "printk messages dropped") {
        let n = after(text, "** ").and_then(|t| Cursor::new(t).number());
        format!("the kernel dropped {} messages: its console was too slow", n.map_or("some".into(), |n| n.to_string()))
    } else if has(text, "callbacks suppressed") {
        "rate limit: messages of this kind were suppressed, so counts are lower bounds".to_owned()
    } else if text.starts_with("Missed ") && has(text, "kernel messages") {
        format!("journald missed {} kernel messages", number_after(text, "Missed ").unwrap_or(0))
    } else if has(text, "messages lost") || has(text, "imuxsock lost") {
        "the collector lost messages".to_owned()
    } else if has(text, "recent printk recursion") {
        "printk was called inside itself: messages were lost".to_owned()
    } else if has(text, "output lines suppressed due to ratelimiting") {
        "rate limit: lines of this kind were suppressed, so counts are lower bounds".to_owned()
    } else {
        return None;
    };
    Some(Gap::new("kernel messages", place, why, "the kernel's ring buffer (dmesg, a vmcore), if it still holds them"))
}

/// What a carrier lost.
pub(crate) fn lost(line: u64, why: String) -> Gap {
    Gap::new(
        "kernel messages",
        format!("line {line}"),
        why,
        "the kernel's ring buffer (dmesg, a vmcore), if it still holds them",
    )
}

/// A report that another one was mixed with, line by line, and nothing says for certain whose line is whose.
pub(crate) fn mixed(event: &Event) -> Gap {
    let name = if event.title.is_empty() { &event.quote } else { &event.title };
    Gap::new(
        "whose lines these are",
        format!("lines {}-{}", event.first_line, event.last_line),
        format!("`{}` is mixed with another report; its lines were told apart by CPU, pid and shape", name),
        "a log with caller ids (CONFIG_PRINTK_CALLER), or the stacks in a vmcore",
    )
}
