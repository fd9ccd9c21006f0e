//! Helper functions by the source file that a symbolised log prints.

use super::Helper;
use Helper::{Allocator, Container, Core, Counting, Dispatch, Library, Locking, Reporting, Waiting};

/// Starts of paths; the first that fits counts.
const FILES: &[(&str, Helper)] = &[
    ("mm/kasan/", Reporting),
    ("mm/kmsan/", Reporting),
    ("mm/kfence/", Reporting),
    ("mm/kmemleak.c", Reporting),
    ("mm/usercopy.c", Reporting),
    ("kernel/kcsan/", Reporting),
    ("kernel/kcov.c", Reporting),
    ("kernel/panic.c", Reporting),
    ("kernel/printk/", Reporting),
    ("kernel/stacktrace.c", Reporting),
    ("kernel/watchdog", Reporting),
    ("kernel/hung_task.c", Reporting),
    ("kernel/entry/", Dispatch),
    ("lib/dump_stack.c", Reporting),
    ("lib/ubsan.c", Reporting),
    ("lib/bug.c", Reporting),
    ("lib/debugobjects.c", Reporting),
    ("lib/stackdepot.c", Reporting),
    ("lib/fault-inject", Reporting),
    ("lib/nmi_backtrace.c", Reporting),
    ("include/linux/kasan", Reporting),
    ("include/linux/instrumented.h", Reporting),
    ("mm/slub.c", Allocator),
    ("mm/slab", Allocator),
    ("mm/page_alloc.c", Allocator),
    ("mm/mempool.c", Allocator),
    ("mm/vmalloc.c", Allocator),
    ("mm/percpu", Allocator),
    ("mm/util.c", Library),
    ("include/linux/slab.h", Allocator),
    ("include/linux/gfp.h", Allocator),
    ("kernel/locking/", Locking),
    ("include/linux/spinlock", Locking),
    ("include/linux/rwlock", Locking),
    ("include/linux/seqlock", Locking),
    ("include/linux/rcupdate", Locking),
    ("include/linux/mutex.h", Locking),
    ("lib/refcount.c", Counting),
    ("include/linux/refcount.h", Counting),
    ("include/linux/kref.h", Counting),
    ("include/linux/atomic", Counting),
    ("include/asm-generic/bitops", Counting),
    ("include/linux/list", Container),
    ("include/linux/rculist", Container),
    ("include/linux/rbtree", Container),
    ("include/linux/rhashtable", Container),
    ("lib/list_debug.c", Container),
    ("lib/rbtree.c", Container),
    ("lib/radix-tree.c", Container),
    ("lib/xarray.c", Container),
    ("lib/idr.c", Container),
    ("lib/rhashtable.c", Container),
    ("lib/maple_tree.c", Container),
    ("lib/klist.c", Container),
    ("lib/kobject", Core),
    ("lib/", Library),
    ("virt/lib/", Library),
    ("include/asm-generic/", Library),
    ("include/linux/string", Library),
    ("include/linux/uaccess.h", Library),
    ("include/linux/fortify-string.h", Library),
    ("kernel/sched/wait", Locking),
    ("kernel/sched/completion.c", Locking),
    ("kernel/sched/", Waiting),
    ("kernel/workqueue.c", Dispatch),
    ("kernel/kthread.c", Dispatch),
    ("kernel/softirq.c", Dispatch),
    ("kernel/smp", Dispatch),
    ("kernel/time/", Dispatch),
    ("kernel/irq/", Dispatch),
    ("kernel/rcu/", Dispatch),
    ("drivers/base/core.c", Core),
    ("drivers/base/devres.c", Core),
    ("drivers/base/dd.c", Core),
    ("drivers/base/bus.c", Core),
    ("drivers/usb/core/urb.c", Core),
    ("drivers/usb/core/hcd.c", Core),
    ("drivers/usb/core/message.c", Core),
    ("fs/sysfs/", Core),
    ("fs/proc/generic.c", Core),
    ("net/core/skbuff.c", Core),
    ("mm/filemap.c", Core),
    ("mm/truncate.c", Core),
];

/// Files of an architecture, by what follows its name.
const ARCH: &[(&str, Helper)] = &[
    ("kernel/traps", Reporting),
    ("kernel/dumpstack", Reporting),
    ("kernel/stacktrace", Reporting),
    ("kernel/unwind", Reporting),
    ("mm/fault", Reporting),
    ("mm/physaddr.c", Reporting),
    ("entry/", Dispatch),
    ("kernel/entry", Dispatch),
    ("kernel/apic/", Dispatch),
    ("kernel/irq", Dispatch),
    ("kernel/smp", Dispatch),
    ("include/asm/atomic", Counting),
    ("include/asm/bitops.h", Counting),
    ("include/asm/", Library),
    ("lib/", Library),
];

/// The group of the functions of a source file, `mm/slub.c:123` or `mm/slub.c`; `None` when it holds no helpers.
pub fn of_file(file: &str) -> Option<Helper> {
    let file = file.trim_start_matches("./");
    let find = |table: &[(&str, Helper)], path: &str| {
        table.iter().find(|(start, _)| path.starts_with(start)).map(|(_, group)| *group)
    };
    match file.strip_prefix("arch/").and_then(|rest| rest.split_once('/')) {
        Some((_, rest)) => find(ARCH, rest),
        None => find(FILES, file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_tell_what_their_functions_do() {
        assert_eq!(of_file("mm/slub.c:2341"), Some(Allocator));
        assert_eq!(of_file("./include/linux/list.h:112"), Some(Container));
        assert_eq!(of_file("arch/x86/mm/fault.c:12"), Some(Reporting));
        assert_eq!(of_file("arch/x86/kvm/mmu.c"), None);
        assert_eq!(of_file("net/ipv4/tcp.c:12"), None);
    }
}
