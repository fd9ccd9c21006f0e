//! The event classes: what the kernel said, in one word.

macro_rules! classes {
    ($($name:ident = $word:literal;)*) => {
        $(
            #[doc = concat!("`", $word, "`")]
            pub const $name: &str = $word;
        )*
        /// All event classes.
        pub const ALL: &[&str] = &[$($word),*];
    };
}

classes! {
    NULL_DEREF = "null-deref";
    PAGING_FAULT = "paging-fault";
    WILD_ACCESS = "wild-access";
    GPF = "gpf";
    TRAP = "trap";
    INVALID_OPCODE = "invalid-opcode";
    DIVIDE_ERROR = "divide-error";
    DOUBLE_FAULT = "double-fault";
    BUG_ON = "bug-on";
    USE_AFTER_FREE = "use-after-free";
    INVALID_FREE = "invalid-free";
    OUT_OF_BOUNDS = "out-of-bounds";
    UNINIT_VALUE = "uninit-value";
    INFO_LEAK = "info-leak";
    DATA_RACE = "data-race";
    UBSAN = "ubsan";
    SLAB_CORRUPTION = "slab-corruption";
    LIST_CORRUPTION = "list-corruption";
    BAD_PAGE = "bad-page";
    USERCOPY = "usercopy";
    ODEBUG = "odebug";
    STACK_CORRUPTION = "stack-corruption";
    STACK_OVERFLOW = "stack-overflow";
    REFCOUNT = "refcount";
    LEAK = "leak";
    LOCKDEP = "lockdep";
    ATOMIC_SLEEP = "atomic-sleep";
    PREEMPT_CHECK = "preempt-check";
    SOFT_LOCKUP = "soft-lockup";
    HARD_LOCKUP = "hard-lockup";
    RCU_STALL = "rcu-stall";
    HUNG_TASK = "hung-task";
    WORKQUEUE_LOCKUP = "workqueue-lockup";
    OOM = "oom";
    MEMCG_OOM = "memcg-oom";
    SLAB_ALLOC_FAILURE = "slab-alloc-failure";
    PAGE_ALLOC_FAILURE = "page-alloc-failure";
    RESOURCE_EXHAUSTION = "resource-exhaustion";
    UNREGISTER_NETDEVICE = "unregister-netdevice";
    FS_CORRUPTION = "fs-corruption";
    FS_SHUTDOWN = "fs-shutdown";
    IO_ERROR = "io-error";
    NET_WATCHDOG = "net-watchdog";
    HARDWARE_MCE = "hardware-mce";
    HARDWARE_MEMORY = "hardware-memory";
    HARDWARE_PCIE = "hardware-pcie";
    HARDWARE_THERMAL = "hardware-thermal";
    FIRMWARE = "firmware";
    LINK_DOWN = "link-down";
    PROBE_FAILURE = "probe-failure";
    TIMEKEEPING = "timekeeping";
    WARNING = "warning";
    KERNEL_PANIC = "kernel-panic";
    INIT_KILLED = "init-killed";
    NO_ROOT = "no-root";
    RUST_PANIC = "rust-panic";
    REBOOT = "reboot";
    NO_OUTPUT = "no-output";
    USER_SPACE = "user-space";
    CORRUPTED = "corrupted";
    CLEAN = "clean";
}
