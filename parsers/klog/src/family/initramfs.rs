//! A boot that ended before the system was there: the root was not found or not mounted, or a file system that the system
//! needs. User space says so, on the console.

use facts::{FieldType, Value};

use super::{Before, Family, From, Opened, field, kind};
use crate::cursor::{after, has, number_after, split};
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
        "VFS: Cannot open root device ",
    ],
    from: From::Anybody,
    open,
    body,
    finish,
    kind: kind(
        "log.initramfs",
        "A boot that ended in a shell: the root, or a file system that the system needs, was not found or not mounted",
        &[
            field("what", FieldType::Text, "", "no-root, no-device, emergency"),
            field("device", FieldType::Text, "", "device or mount point that was waited for or asked for"),
            field("errno", FieldType::Int, "", "why the kernel could not open it"),
            field("present", FieldType::List, "", "block devices that the kernel saw in its place"),
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
    // init/do_mounts.c: `VFS: Cannot open root device "sda1" or unknown-block(0,0): error -6`; the panic follows.
    if let Some(rest) = text.strip_prefix("VFS: Cannot open root device ") {
        let (device, rest) = rest.trim_start_matches('"').split_once(['"', ' ']).unwrap_or((rest, ""));
        return Opened::lines(
            new("no-device")
                .with("ended", true)
                .with("device", device)
                .with_opt("errno", number_after(rest, "error -")),
        );
    }
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
    if report.event.fields.get("what").and_then(|what| what.as_text()) == Some("no-device") {
        return present(&mut report.event, text);
    }
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

/// The devices that the kernel has: `0800        976762584 sda`, `  0801 524288 sda1 a1b2-01`, ` driver: sd`.
fn present(event: &mut Event, text: &str) -> Step {
    if text.starts_with("Please append a correct \"root=\"") || text.trim_start().starts_with("driver: ") {
        return Step::Take;
    }
    let mut words = text.split_ascii_whitespace();
    let (Some(number), Some(size), Some(name)) = (words.next(), words.next(), words.next()) else { return Step::Pass };
    let is_number = number.len() >= 4 && number.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
    if !is_number || !size.bytes().all(|b| b.is_ascii_digit()) {
        return Step::Pass;
    }
    match event.fields.get_mut("present") {
        Some(Value::List(names)) if names.len() < 64 => names.push(name.into()),
        Some(_) => {}
        None => event.set("present", vec![name]),
    }
    Step::Take
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
    fn the_root_asked_for_and_the_devices_there_are_read() {
        let text = "[    0.981116] VFS: Cannot open root device \"UUID=96991ead-b3b0\" or unknown-block(0,0): error -6\n\
             [    0.982578] Please append a correct \"root=\" boot option; here are the available partitions:\n\
             [    0.983625] 0b00         1048575 sr0 \n\
             [    0.983627]  driver: sr\n\
             [    0.983628] 0800       976762584 sda \n\
             [    0.983629]   0801          524288 sda1 0f1e2d3c-01\n\
             [    0.984593] List of all bdev filesystems:\n\
             [    0.987030] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n";
        assert_eq!(
            fields(text, &["what", "device", "errno", "present", "class"]),
            ["no-device", "UUID=96991ead-b3b0", "6", "sr0, sda, sda1", "no-root"]
        );
        assert_eq!(events(text).len(), 2);
        let old = "[    0.981116] VFS: Cannot open root device \"mtdblock1\" or unknown-block(31,1)";
        assert_eq!(fields(old, &["device", "errno"]), ["mtdblock1", ""]);
    }

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
