//! The table of what is concluded.

use facts::{FieldDef, FieldType, KindDef};

const fn field(name: &'static str, ty: FieldType, doc: &'static str) -> FieldDef {
    FieldDef { name, ty, unit: "", doc }
}

use FieldType::{Bool, Int, List, Text};

const EVENT: FieldDef = field("event", Int, "position of the fact it is concluded from, counted from 0");

/// Every kind of fact that is concluded from other facts.
pub const KINDS: &[KindDef] = &[
    KindDef {
        kind: "derived.blamed",
        doc: "The function an engineer would open first, helpers passed over",
        fields: &[
            EVENT,
            field("class", Text, "event class"),
            field("function", Text, "the function"),
            field("module", Text, "its module; absent for the kernel itself"),
            field("reason", Text, "why this one"),
            field("candidates", List, "up to three functions, best first: function, module, reason"),
            field("callers", List, "modules of the other candidates"),
            field("alternatives", List, "functions that others would name"),
            field("freed_by", Text, "use after free: the function that freed the object"),
            field("allocated_by", Text, "the function that allocated the object"),
        ],
    },
    KindDef {
        kind: "derived.signature",
        doc: "A stable key of the failure: class, deciding frames, module",
        fields: &[
            EVENT,
            field("signature", Text, "the key"),
            field("class", Text, "event class"),
            field("frames", List, "up to three deciding frames, innermost first"),
            field("module", Text, "module of the first"),
            field("alternatives", List, "keys the same failure may have with other compilers or kernels"),
        ],
    },
    KindDef {
        kind: "derived.fault",
        doc: "What a faulting access was after, from address, registers and code bytes",
        fields: &[
            EVENT,
            field(
                "meaning",
                Text,
                "null-pointer, error-pointer, poison-freed, poison-uninitialised, list-poison, text, non-canonical, user-address, kernel-address, unmapped, bad-jump, overwritten-code, damaged-page-table, read-only, ...",
            ),
            field("text", Text, "the same in a sentence"),
            field("register", Text, "register the access went through"),
            field("value", FieldType::Address, "what it held"),
            field("instruction", Text, "the faulting instruction"),
            FieldDef { name: "offset", ty: Int, unit: "bytes", doc: "offset from NULL or from the poisoned pointer" },
        ],
    },
    KindDef {
        kind: "derived.cache_owner",
        doc: "Whose the slab cache is that holds the memory of a shortage",
        fields: &[EVENT, field("module", Text, "its module"), field("what", Text, "what shows it, in a sentence")],
    },
    KindDef {
        kind: "derived.unloaded",
        doc: "An oops after something that a module left behind when it was unloaded: a timer, a notifier, an entry of a list",
        fields: &[
            EVENT,
            field("module", Text, "the module that was unloaded last before"),
            field("what", Text, "what shows it, in a sentence"),
        ],
    },
    KindDef {
        kind: "derived.lockup",
        doc: "Lockups and stalls that belong together, and the CPU that holds the others up",
        fields: &[
            EVENT,
            field("events", List, "positions of all its events"),
            field("culprit_cpu", Int, "the only CPU with a trace that waits for nobody"),
            field("waiting_cpus", List, "CPUs that wait for a lock, for another CPU, for a grace period"),
            field("function", Text, "what the culprit runs"),
            field("module", Text, "its module"),
            field("reason", Text, "in a sentence"),
        ],
    },
    KindDef {
        kind: "derived.stalled_cpu",
        doc: "A CPU that takes no interrupts while it runs the kernel, as memory shows it",
        fields: &[
            field("cpu", Int, "the CPU"),
            field("seconds", Int, "how far its run-queue clock is behind the newest"),
            field("pid", Int, "of the task it runs"),
            field("comm", Text, "command name of that task"),
            field("function", Text, "what it runs"),
            field("module", Text, "module of that function"),
        ],
    },
    KindDef {
        kind: "derived.lost_lock",
        doc: "A lock that nobody will give back, as memory tells",
        fields: &[
            EVENT,
            field("lock", Text, "its address"),
            field("kind", Text, "mutex, rwsem, ..."),
            field("symbol", Text, "its name when it is a variable"),
            field(
                "how",
                Text,
                "died, exited, returned (its owner is back in user space), unclear (took it twice, or exited)",
            ),
            field("owner_pid", Int, "thread id of its owner, or of who has that task_struct"),
            field("owner_comm", Text, "its command name"),
            field("tasks", List, "command names and pids of those that wait for it"),
            field("pids", List, "their pids"),
            field("died", Text, "command name of the task that the only oops of the log killed"),
            field("title", Text, "the same in a sentence"),
        ],
    },
    KindDef {
        kind: "derived.hang",
        doc: "Hung tasks that belong together, and the one that holds the others up",
        fields: &[
            EVENT,
            field("events", List, "positions of all its events"),
            field("tasks", Int, "how many tasks hang"),
            field("waits", List, "what they wait for, with counts"),
            field("holder_comm", Text, "command name of the task that holds the others up"),
            field("holder_pid", Int, "its pid"),
            field("function", Text, "where that task is"),
            field("module", Text, "module of that function"),
            field("reason", Text, "in a sentence"),
        ],
    },
    KindDef {
        kind: "derived.chain",
        doc: "A task, or a device, that holds others up, as memory shows who waits for whom: the root of a tree of waiters",
        fields: &[
            EVENT,
            field("task_at", Int, "position of its mem.task"),
            field("reported", Bool, "the log has a hung-task report of it"),
            field("pid", Int, "thread id of the root"),
            field("comm", Text, "its command name"),
            field("pids", List, "thread ids of those held up"),
            field("tasks", Int, "how many they are"),
            field("who", List, "the first of them as comm:pid"),
            field("holds", List, "what the root holds, with how many wait for it"),
            field("waits_for", Text, "what the root itself waits for"),
            field("device", Text, "device whose I/O it waits for"),
            field("function", Text, "where the root is"),
            field("module", Text, "module of what it waits for, else of that function"),
            FieldDef { name: "seconds", ty: Int, unit: "s", doc: "how long the root waits" },
            field("dump", Text, "the dump"),
            field("title", Text, "in a sentence"),
        ],
    },
    KindDef {
        kind: "derived.io_hang",
        doc: "A disk whose I/O tasks are proved to wait for while it has had a request for long, or whose queue is frozen",
        fields: &[
            field("device", Text, "the disk: of those that are made of others the lowest"),
            field("driver", Text, "its driver"),
            FieldDef { name: "oldest_s", ty: Int, unit: "s", doc: "age of its oldest request, from 5 s on" },
            field("in_flight", Int, "requests that the driver has"),
            field("tasks", Int, "how many wait for it, or for who does"),
            field("pids", List, "their thread ids"),
            field("who", List, "the first of them as comm:pid"),
            FieldDef { name: "longest_s", ty: Int, unit: "s", doc: "how long one of them has waited at most" },
            field("entering", Int, "tasks that wait to enter its queue, which is frozen"),
            field("freezer", Text, "command name of the task that freezes it"),
            field("freezer_pid", Int, "its thread id"),
            field("through", Text, "devices made of it that they wait for"),
            field("title", Text, "in a sentence"),
        ],
    },
    KindDef {
        kind: "derived.blocked",
        doc: "What a task of a hung-task report waits for, as memory shows it",
        fields: &[
            EVENT,
            field("pid", Int, "thread id"),
            field("comm", Text, "command name"),
            field("proven", Bool, "memory proves who holds it"),
            field("root_pid", Int, "the task at the end of the way from owner to owner"),
            field("waits_for", Text, "what it waits for"),
            field("function", Text, "where it waits"),
            field("module", Text, "module of what it waits for, else of that function"),
            FieldDef { name: "seconds", ty: Int, unit: "s", doc: "how long it waits" },
            field("wait_at", Int, "position of the fact about its wait"),
            field("title", Text, "in a sentence"),
        ],
    },
    KindDef {
        kind: "derived.self_deadlock",
        doc: "A task that waits for a lock which it holds itself, or for work that it has to do itself, as memory shows it",
        fields: &[
            field("pid", Int, "thread id"),
            field("comm", Text, "command name"),
            field("lock", Text, "the lock, or the work queue"),
            field("what", Text, "what it waits for and why that never ends"),
            field("by_work", Bool, "it waits for work, not for a lock"),
            field("function", Text, "where it waits"),
            field("module", Text, "module of that function"),
            field("task_at", Int, "position of its mem.task"),
        ],
    },
    KindDef {
        kind: "derived.title",
        doc: "The title of an event with the blamed function, without numbers, addresses and device names",
        fields: &[EVENT, field("title", Text, "the title")],
    },
    KindDef {
        kind: "derived.boot_end",
        doc: "How a boot ended, from all logs and what others noted",
        fields: &[
            field("ended", Text, "as node.boot_end.how"),
            field("sure", FieldType::Bool, "said by somebody, not inferred from the lack of a word"),
            field(
                "user_space",
                FieldType::Bool,
                "user space wrote to the boot's log too, so that the lack of a word counts",
            ),
            field("kernel", Text, "release"),
            field("boot_id", Text, "32 hex digits"),
            field("time", Text, "wall clock of the last line, of an unknown zone"),
            field("last_line", Text, "the boot's last line"),
            field("dump", Text, "of a panic: given, saved, partial, absent, unknown"),
            field("dump_why", Text, "why it is partial or absent"),
        ],
    },
    KindDef {
        kind: "derived.missing_dump",
        doc: "Why a dump that was due is partial or absent",
        fields: &[
            field("state", Text, "partial, absent"),
            field(
                "reason",
                Text,
                "capture-oom, disk-full, capture-failed, reservation-failed, not-reserved, not-armed, not-loaded, incomplete, no-dump-in-folder",
            ),
            field("text", Text, "the same in words"),
            field("ended", Text, "how the boot ended"),
            field("kernel", Text, "its kernel"),
            field("time", Text, "wall clock of its last line"),
        ],
    },
    KindDef {
        kind: "derived.hardware",
        doc: "A sign of failing hardware, to be settled before software is blamed",
        fields: &[
            EVENT,
            field("sign", Text, "machine-check, logged, memory, gpu-memory, pcie, thermal, nmi, deferred, bit-flip"),
            field("uncorrected", Bool, "data was lost or changed: not a corrected error, not mere heat"),
            field("what", Text, "the sign in words"),
            field("advice", Text, "what to do about that sort of hardware"),
            field("verify", Text, "how to see that it took"),
        ],
    },
    KindDef {
        kind: "derived.headline",
        doc: "The title of an event with the device, driver and numbers it speaks of",
        fields: &[EVENT, field("title", Text, "the title")],
    },
    KindDef {
        kind: "derived.earlier_oops",
        doc: "An oops came before this report, and is not in the log",
        fields: &[EVENT, field("text", Text, "the same in a sentence")],
    },
    KindDef {
        kind: "derived.netdev_wait",
        doc: "Lines of one wait for the references of a network device: no pause between them is longer than the kernel's",
        fields: &[
            EVENT,
            field("device", Text, "interface"),
            field("usage", Int, "references left"),
            field("lines", Int, "lines of this wait"),
            FieldDef { name: "seconds", ty: Int, unit: "s", doc: "from the first of them to the last" },
        ],
    },
    KindDef {
        kind: "derived.next",
        doc: "What to collect to learn more about an event",
        fields: &[EVENT, field("datum", Text, "what it would tell"), field("command", Text, "how to get it")],
    },
    KindDef {
        kind: "derived.recovered",
        doc: "A loss that a later line of the same boot says is over",
        fields: &[
            EVENT,
            field("by", Int, "position of the event that says so"),
            field("worth", Bool, "it is worth telling: the machine was not starting"),
            FieldDef { name: "seconds", ty: Int, unit: "s", doc: "time between them" },
        ],
    },
    KindDef {
        kind: "derived.shared_fault",
        doc: "Drives that were lost at one moment",
        fields: &[
            field("events", FieldType::List, "positions of the events"),
            field("drives", Int, "how many drives"),
            field("text", Text, "which, and what they share"),
        ],
    },
    KindDef {
        kind: "derived.passing",
        doc: "A failure that whoever met it is made for",
        fields: &[EVENT, field("why", Text, "why it does no harm")],
    },
    KindDef {
        kind: "derived.one_bit",
        doc: "A value that is one bit off; by itself no sign of failing hardware",
        fields: &[EVENT, field("what", Text, "the value and what it should be")],
    },
    KindDef {
        kind: "derived.slab",
        doc: "What the slab allocator's complaint means",
        fields: &[
            EVENT,
            field("class", Text, "use-after-free, slab-corruption"),
            field("title", Text, "in a sentence"),
        ],
    },
    KindDef {
        kind: "derived.copy",
        doc: "An event that is told twice: cited before the log, or spoken of in prose",
        fields: &[
            EVENT,
            field("what", Text, "copy, mention"),
            field("of", Int, "position of the fuller report of the same"),
            field("line", Int, "its first line"),
        ],
    },
    KindDef {
        kind: "derived.follows",
        doc: "An event that follows from an earlier one of the same boot",
        fields: &[EVENT, field("of", Int, "position of the earlier event"), field("why", Text, "why it does")],
    },
];
