//! The words by which lines of a node's logs are known.

/// Words in a line that say how the boot ended. A higher rank wins; among equals the later one.
pub(super) const ENDINGS: &[(&str, &str, u8)] = &[
    ("Kernel panic - not syncing", "panic", 9),
    ("We were allegedly just fenced", "fenced", 8),
    ("watchdog: BUG: soft lockup", "", 0),
    ("hpwdt: Unexpected close", "", 0),
    ("NMI watchdog: Watchdog detected hard LOCKUP", "", 0),
    ("hpwdt: NMI: ", "watchdog", 7),
    ("Watchdog pre-timeout", "watchdog", 7),
    ("pretimeout event", "watchdog", 7),
    ("HARDWARE PROTECTION shutdown", "thermal", 8),
    ("critical temperature reached", "thermal", 8),
    ("hv_utils: Shutdown request received", "hypervisor", 7),
    ("sysrq: Resetting", "reset-by-hand", 7),
    ("SysRq : Resetting", "reset-by-hand", 7),
    ("sysrq: Trigger a crash", "crash-requested", 8),
    ("SysRq : Trigger a crash", "crash-requested", 8),
    ("kexec_core: Starting new kernel", "kexec", 6),
    ("kexec: Starting new kernel", "kexec", 6),
    ("Executing automatic power-fail shutdown", "power", 8),
    ("Initiating system shutdown due to power failure", "power", 8),
    ("battery charge below low limit", "power", 7),
    ("sbd: notice: Rebooting system", "fenced", 8),
    // sbd's last words: `emerg: do_exit: Rebooting system: reboot`, `crashdump` or `off`.
    ("do_exit: Rebooting system: ", "fenced", 8),
    ("emerg: Rebooting system: ", "fenced", 8),
    ("very sorry to be fencing this system by restarting", "fenced", 8),
    // The watchdog daemon takes the machine down in order: what follows looks like a wanted shutdown.
    ("shutting down the system because of error ", "watchdog", 7),
    ("Self-fencing", "fenced", 8),
    ("reboot: Restarting system", "requested", 6),
    ("reboot: Power down", "requested", 6),
    ("reboot: System halted", "requested", 6),
    ("Restarting system.", "requested", 5),
    ("systemd-shutdown[1]: Syncing filesystems", "requested", 5),
    ("systemd[1]: Shutting down.", "requested", 5),
    ("Reached target Reboot", "requested", 5),
    ("Reached target Power-Off", "requested", 5),
    ("Reached target reboot.target", "requested", 5),
    ("Reached target poweroff.target", "requested", 5),
    // Session managers of users reach a target of this name too, whenever somebody logs out.
    ("systemd[1]: Reached target Shutdown", "requested", 4),
    ("systemd[1]: Reached target shutdown.target", "requested", 4),
    ("System is rebooting", "requested", 5),
    ("System is powering down", "requested", 5),
    ("Power key pressed", "requested", 5),
    ("Journal stopped", "requested", 3),
];

/// Words of user space, once in a boot whose whole text was kept: such a text would have said that it ends.
pub(super) const USER_SPACE: &[&str] =
    &["Startup finished in ", "Reached target Multi-User", "Reached target multi-user", "origin software=\"rsyslogd\""];

/// Trouble in the last lines of a boot: without an ending it says that the machine hung first.
pub(super) const TROUBLE: &[&str] = &[
    "blocked for more than ",
    "soft lockup - CPU#",
    "hard LOCKUP",
    "rcu_sched detected stalls",
    "self-detected stall",
    "detected stalls on CPUs",
    "Out of memory: Kill",
];

/// What a boot says about the end of the one before.
pub(super) const HINDSIGHT: &[(&str, &str, u8)] = &[
    ("BERT: Error records from previous boot", "hardware", 6),
    ("Previous system reset reason", "", 5),
    ("uncleanly shut down", "silent-reset", 2),
    ("uncleanly shut down, renaming", "silent-reset", 2),
    ("recovery complete", "silent-reset", 1),
    ("Starting recovery", "silent-reset", 1),
    ("orphan cleanup on readonly fs", "silent-reset", 1),
];

/// Lines about crash dumps: words, what they say.
pub(super) const KDUMP: &[(&str, &str)] = &[
    ("crashkernel reservation failed", "reservation-failed"),
    ("cannot allocate crashkernel", "reservation-failed"),
    ("Cannot reserve", "reservation-failed"),
    ("resulted in zero bytes", "reservation-failed"),
    ("Ignoring crashkernel for a Xen PV domain", "reservation-failed"),
    ("No memory reserved for crash kernel", "not-reserved"),
    ("no crashkernel= parameter in the kernel cmdline", "not-reserved"),
    ("please try smaller size", "reservation-failed"),
    ("crashkernel: memory value expected", "reservation-failed"),
    ("crashkernel: '-' expected", "reservation-failed"),
    ("crashkernel: ':' expected", "reservation-failed"),
    ("Starting kdump: [FAILED]", "not-armed"),
    ("Failed to start Crash recovery kernel arming", "not-armed"),
    ("kdump.service: Failed with result", "not-armed"),
    ("kexec: failed to load kdump kernel", "not-armed"),
    ("kexec_file_load failed", "not-armed"),
    ("kexec_load failed", "not-armed"),
    ("kexec of unsigned images is restricted", "not-armed"),
    ("failed to load kdump kernel", "not-armed"),
    ("mkdumprd: failed to make kdump initrd", "not-armed"),
    ("Dump target is invalid", "not-armed"),
    ("Not ready to kdump", "not-armed"),
    ("saving vmcore failed", "capture-failed"),
    ("saving vmcore-dmesg.txt failed", "capture-failed"),
    ("sync vmcore failed", "capture-failed"),
    ("Entering kdump emergency mode", "capture-failed"),
    ("makedumpfile Failed", "capture-failed"),
    ("The network still isn't ready after waiting", "capture-failed"),
    ("Failed to mount rootfs", "capture-failed"),
    ("is not mounted", "capture-failed"),
    ("dracut-initqueue: timeout", "capture-failed"),
    ("dracut-initqueue timeout", "capture-failed"),
    ("create_2nd_bitmap: Can't exclude unnecessary pages", "capture-failed"),
    ("__exclude_unnecessary_pages: Can't read the buffer of struct page", "capture-failed"),
    ("vmcore status: saving failed", "capture-failed"),
    ("This file will be overwritten when the dump is finished", "incomplete"),
    ("vmcore status: saved successfully", "saved"),
    ("No space left on device", "disk-full"),
    ("Can't write the dump file", "disk-full"),
    ("less than KDUMP_FREE_DISK_SIZE", "disk-full"),
    ("saving vmcore complete", "saved"),
    ("The dumpfile is saved to", "saved"),
    ("Kdump is operational", "armed"),
    ("kdump: kexec: loaded kdump kernel", "armed"),
    ("Starting kdump: [OK]", "armed"),
];

/// Container runtime and kubelet: words, what they say.
pub(super) const RUNTIME: &[(&str, &str)] = &[
    ("You specified a kernel memory limit on a kernel older than 4.0", "kernel-memory-limit-used"),
    ("PLEG is not healthy", "pleg-not-healthy"),
    ("Container runtime is down", "runtime-down"),
    ("fork/exec /proc/self/exe: cannot allocate memory", "fork-enomem"),
    ("memory.kmem.slabinfo: Input/output error", "kmem-accounting-off"),
];

/// What the capture kernel says of its own memory: in its log these explain a missing dump.
pub(super) const CAPTURE_MEMORY: &[&str] = &[
    "Out of memory: Kill",
    "Out of memory and no killable processes",
    "page allocation failure",
    "invoked oom-killer",
];

/// Words of lines by which others tell that they reset a machine, and what that makes of it. `OK` must stand in a line
/// about fencing: an operation that failed reset nobody.
pub(super) const OUTSIDE: &[(&str, &str)] = &[
    ("Operation reboot of ", "fenced"),
    ("Operation off of ", "fenced"),
    ("Operation 'reboot' ", "fenced"),
    ("Operation 'off' ", "fenced"),
    ("fenced: fence ", "fenced"),
    ("Writing reset to node slot ", "fenced"),
    ("terminating on signal 15 from pid", "hypervisor"),
    ("shutting down, reason=destroyed", "hypervisor"),
    ("shutting down, reason=crashed", "hypervisor"),
    ("compute.instances.hostError", "hypervisor"),
];
