//! A boot that ended before the system was there: the root was not found or not mounted, or a file system that the system
//! needs. User space says so, on the console.

use facts::FieldType;

use super::{Before, Family, From, Opened, field, kind};
use crate::cursor::{after, has, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "initramfs",
    anchors: &[
        "Gave up waiting for ",
        "Dropping to a shell!",
        "Warning: Could not boot.",
        "No or empty root= argument",
        "Don't know how to handle 'root=",
        "Timed out waiting for device ",
        "Dependency failed for ",
        "Failed to mount ",
    ],
    from: From::Anybody,
    open,
    body,
    finish,
    kind: kind(
        "log.initramfs",
        "A boot that ended in a shell: the root, or a file system that the system needs, was not found or not mounted",
        &[
            field("what", FieldType::Text, "", "no-root, emergency"),
            field("device", FieldType::Text, "", "device or mount point that was waited for"),
            field("detail", FieldType::Text, "", "the text"),
        ],
    ),
};

/// Targets without which systemd does not go on.
const NEEDED: &[&str] = &["Local File Systems", "Initrd Root ", "/sysroot", "Initrd File Systems"];
/// The end of such a boot. initramfs-tools and dracut say it in the line that begins the report.
const ENDS: &[&str] = &[
    "Started Emergency Shell",
    "Started emergency.service",
    "Reached target Emergency Mode",
    "Reached target emergency.target",
    "Starting Dracut Emergency Shell",
    "Starting dracut-emergency.service",
    "ou are in emergency mode",
    "Entering emergency mode",
];

fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let new = |what: &'static str| {
        Event::new(FAMILY.name, class::NO_ROOT, Severity::Failure)
            .titled("boot: the root was not found")
            .with("what", what)
            .with("detail", text)
    };
    // initramfs-tools, scripts/local
    if text.starts_with("Gave up waiting for root") {
        return Opened::trace(new("no-root").with("ended", true));
    }
    if let Some(device) = missing(text) {
        return Opened::trace(new("no-root").with("ended", true).with("device", device));
    }
    // dracut, dracut-initqueue.sh and dracut-lib.sh
    if has(text, "Warning: Could not boot.") && (text.starts_with("dracut") || text.starts_with("Warning: ")) {
        return Opened::trace(new("no-root").with("ended", true));
    }
    // Of the heads `dracut: FATAL: ` a carrier may take one for the tag of a program.
    let why = text.trim_start_matches("dracut: ").trim_start_matches("FATAL: ");
    if why.starts_with("No or empty root= argument") || why.starts_with("Don't know how to handle 'root=") {
        return Opened::trace(new("no-root").with("ended", true));
    }
    let told = is_systemd(text) && (has(text, "Timed out waiting for device ") || needed(text));
    let mut event = new("emergency");
    event.title = "boot: emergency mode".to_owned();
    told.then(|| Opened::trace(event.with_opt("device", waited_for(text)))).flatten()
}

/// `ALERT!  UUID=6c3a1b70 does not exist.  Dropping to a shell!`
fn missing(text: &str) -> Option<&str> {
    let (device, _) = split(text.strip_prefix("ALERT!")?.trim_start(), " does not exist.")?;
    (has(text, "Dropping to a shell") && !device.contains(' ')).then_some(device)
}

/// As the journal, the console and a log without tags have its lines.
fn is_systemd(text: &str) -> bool {
    const HEADS: &[&str] =
        &["systemd[1]: ", "[DEPEND]", "[ TIME ]", "[FAILED]", "Timed out ", "Dependency ", "Failed "];
    HEADS.iter().any(|head| text.starts_with(head))
}

fn needed(text: &str) -> bool {
    let about = has(text, "Dependency failed for ") || has(text, "Failed to mount ");
    about && NEEDED.iter().any(|target| has(text, target))
}

/// `Timed out waiting for device dev-disk-by\x2duuid-6c3a.device - /dev/disk/by-uuid/6c3a.`, `... device /dev/sdb1.`
fn waited_for(text: &str) -> Option<&str> {
    let device = after(text, "Timed out waiting for device ").or_else(|| after(text, "Failed to mount "))?;
    let device = device.rsplit(" - ").next().unwrap_or(device).trim_end_matches('.');
    (!device.contains(' ')).then_some(device)
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if ENDS.iter().any(|end| has(text, end)) {
        report.event.set("ended", true);
        return Step::End;
    }
    let of_dracut = || {
        let (_, rest) = split(text, "Warning: ").filter(|(head, _)| head.is_empty() || head.starts_with("dracut"))?;
        rest.strip_suffix(" does not exist").map(|device| device.trim_matches('"'))
    };
    let device = missing(text).or_else(of_dracut);
    let device = device.or_else(|| waited_for(text).filter(|_| is_systemd(text)));
    if let Some(device) = device {
        report.event.fields.entry("device".into()).or_insert_with(|| device.into());
        return Step::Take;
    }
    if is_systemd(text) && needed(text) { Step::Take } else { Step::Pass }
}

fn finish(report: &mut Report) {
    // What is waited for in vain and not needed ends no boot.
    report.discard = report.event.fields.remove("ended").is_none();
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    const WANT: [&str; 4] = ["what", "device", "class", "severity"];

    #[test]
    fn a_root_that_is_not_found_ends_the_boot() {
        let tools = "Begin: Waiting for root file system ... Begin: Running /scripts/local-block ... done.\n\
             Gave up waiting for root file system device.  Common problems:\n - Boot args (cat /proc/cmdline)\n\
             ALERT!  UUID=6c3a1b70-2f4e does not exist.  Dropping to a shell!\n\n(initramfs)\n";
        assert_eq!(fields(tools, &WANT), ["no-root", "UUID=6c3a1b70-2f4e", "no-root", "failure"]);
        assert_eq!(events(tools).len(), 1);
        let dracut = "[  131.500000] dracut-initqueue[412]: Warning: dracut-initqueue: timeout, still waiting for following initqueue hooks:\n\
             [  195.500000] dracut-initqueue[412]: Warning: Could not boot.\n\
             [  195.700000] dracut-initqueue[412]: Warning: /dev/mapper/rhel-root does not exist\n\
             [  195.800000] systemd[1]: Starting Dracut Emergency Shell...\n";
        assert_eq!(fields(dracut, &WANT), ["no-root", "/dev/mapper/rhel-root", "no-root", "failure"]);
        let root =
            "[    2.100000] dracut: FATAL: No or empty root= argument\n[    2.200000] dracut: Refusing to continue\n";
        assert_eq!(fields(root, &["what"]), ["no-root"]);
    }

    #[test]
    fn a_file_system_of_the_table_that_is_missing_ends_in_emergency_mode() {
        let journal = "[   91.500100] systemd[1]: Timed out waiting for device dev-disk-by\\x2duuid-6c3a.device - /dev/disk/by-uuid/6c3a.\n\
             [   91.500200] systemd[1]: Dependency failed for data.mount - /data.\n\
             [   91.500300] systemd[1]: Dependency failed for local-fs.target - Local File Systems.\n\
             [   91.500500] systemd[1]: Started emergency.service - Emergency Shell.\n";
        assert_eq!(fields(journal, &WANT), ["emergency", "/dev/disk/by-uuid/6c3a", "no-root", "failure"]);
        let console = "[ TIME ] Timed out waiting for device /dev/sdb1.\n[DEPEND] Dependency failed for /data.\n\
             [DEPEND] Dependency failed for Local File Systems.\n[  OK  ] Started Emergency Shell.\n\
             [  OK  ] Reached target Emergency Mode.\n";
        assert_eq!(fields(console, &WANT), ["emergency", "/dev/sdb1", "no-root", "failure"]);
        assert_eq!(events(console).len(), 1);
    }

    #[test]
    fn what_ends_no_boot_is_silent() {
        for text in [
            "[  131.500000] dracut-initqueue[412]: Warning: dracut-initqueue: timeout, still waiting for following initqueue hooks:\n\
             [  140.500000] systemd[1]: Reached target Initrd Root File System.\n",
            "[   91.500000] systemd[1]: Timed out waiting for device dev-sdb1.device - /dev/sdb1.\n\
             [   91.600000] systemd[1]: Dependency failed for swap.target - Swaps.\n\
             [   91.700000] systemd[1]: Reached target local-fs.target - Local File Systems.\n",
            "[   91.500000] systemd[1]: Dependency failed for Network File Systems.\n",
            "systemd[1]: Failed to mount /mnt/usb.\nsystemd[1]: Reached target Multi-User System.\n",
        ] {
            assert!(events(text).is_empty(), "{text}");
        }
    }
}
