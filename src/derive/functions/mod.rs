//! What kernel functions do, as far as blaming goes: which ones only help, wait or hand over. Facts about names; no code
//! decides here.
//!
//! Three sources, the most certain first: the source file of a symbolised frame ([`of_file`]), the table of functions
//! by the file that defines them (`data/kernel-functions.tsv`), and patterns for families of names that are made by
//! compilers and macros, or come and go with versions. A pattern is a name; a star at either end, or once inside, stands
//! for any rest. Patterns are compared without leading underscores.

mod allocation;
mod containers;
mod counting;
mod device_core;
mod dispatch;
mod entries;
mod files;
mod index;
mod library;
mod locking;
mod reporting;
mod table;
mod waiting;

use std::sync::LazyLock;

pub use files::of_file;
use index::Index;

/// What a function that is passed over does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Helper {
    /// Reports and exception entry: sanitizers, WARN, die, panic.
    Reporting,
    /// Allocators and their way to reclaim.
    Allocator,
    /// Copies and compares memory and strings, formats text.
    Library,
    /// Locks and their debugging.
    Locking,
    /// Atomic counters and bits, reference counts.
    Counting,
    /// Lists, trees, tables.
    Container,
    /// Goes to sleep.
    Waiting,
    /// Calls work given by others: interrupts, timers, work queues, system-call entry.
    Dispatch,
    /// Core functions of the device model, of buses, of socket buffers that act for a driver.
    Core,
}

impl Helper {
    const ALL: [Helper; 9] = [
        Helper::Reporting,
        Helper::Allocator,
        Helper::Library,
        Helper::Locking,
        Helper::Counting,
        Helper::Container,
        Helper::Waiting,
        Helper::Dispatch,
        Helper::Core,
    ];

    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Helper::Reporting => "reports",
            Helper::Allocator => "allocates or frees",
            Helper::Library => "is a library function",
            Helper::Locking => "locks or waits",
            Helper::Counting => "counts",
            Helper::Container => "keeps a list or tree",
            Helper::Waiting => "waits",
            Helper::Dispatch => "calls what others gave it",
            Helper::Core => "acts for a driver or a file system",
        }
    }

    fn patterns(self) -> &'static [&'static str] {
        match self {
            Helper::Reporting => reporting::PATTERNS,
            Helper::Allocator => allocation::PATTERNS,
            Helper::Library => library::PATTERNS,
            Helper::Locking => locking::PATTERNS,
            Helper::Counting => counting::PATTERNS,
            Helper::Container => containers::PATTERNS,
            Helper::Waiting => waiting::PATTERNS,
            Helper::Dispatch => dispatch::PATTERNS,
            Helper::Core => device_core::PATTERNS,
        }
    }
}

/// The groups a function is in. Some are in several: `mutex_lock` locks and waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Groups(u16);

impl Groups {
    /// Hands over to the code of a subsystem; behind the bits of the groups.
    const HANDS_OVER: Groups = Groups(1 << Helper::ALL.len());

    const fn of(helper: Helper) -> Groups {
        Groups(1 << helper as u16)
    }

    /// Is the group among them?
    pub fn has(self, helper: Helper) -> bool {
        self.0 & Groups::of(helper).0 != 0
    }

    /// Does the function hand over to the code of a subsystem?
    pub fn hands_over(self) -> bool {
        self.0 & Groups::HANDS_OVER.0 != 0
    }
}

/// The groups of a function. `name` may carry suffixes.
pub fn groups(name: &str) -> Groups {
    static INDEX: LazyLock<Index> = LazyLock::new(|| {
        let helpers = Helper::ALL.into_iter().map(|helper| (helper.patterns(), Groups::of(helper)));
        Index::of(helpers.chain([(entries::PATTERNS, Groups::HANDS_OVER)]))
    });
    INDEX.groups(super::names::plain(name).trim_start_matches('_'))
}

/// Is the function in that group?
pub fn is(helper: Helper, name: &str) -> bool {
    groups(name).has(helper)
}

/// The group of the file that defines the function.
pub fn of_defining_file(name: &str) -> Option<Helper> {
    table::group(super::names::plain(name))
}

/// Does one of the patterns match the name, which has no leading underscores?
pub fn any(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, name))
}

/// Does the pattern match? Stars stand only at the ends, or once inside.
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some(star) = pattern.bytes().position(|b| b == b'*') else { return name == pattern };
    let (head, tail) = (&pattern[..star], &pattern[star + 1..]);
    // Nearly all patterns of a list are ruled out here.
    let Some(rest) = name.strip_prefix(head) else { return false };
    match tail.strip_suffix('*') {
        Some(middle) => holds(rest, middle),
        None => rest.ends_with(tail),
    }
}

/// Does a name hold the text? Names are so short that a search which prepares nothing is the fastest.
fn holds(name: &str, text: &str) -> bool {
    let (name, text) = (name.as_bytes(), text.as_bytes());
    let Some(first) = text.first() else { return true };
    name.iter().enumerate().any(|(at, byte)| byte == first && name[at..].starts_with(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_at_their_ends() {
        for (pattern, name, want) in [
            ("kfree", "kfree", true),
            ("kfree", "kfree_skb", false),
            ("down_*", "down_read", true),
            ("*_trap", "do_error_trap", true),
            ("*spin_lock*", "raw_spin_lock_irqsave", true),
            ("handle_*_irq", "handle_edge_irq", true),
            ("handle_*_irq", "handle_irq", false),
            ("mem_cgroup_*charge*", "mem_cgroup_try_charge", true),
        ] {
            assert_eq!(matches(pattern, name), want, "{pattern} {name}");
        }
    }

    #[test]
    fn helpers_are_known_and_others_are_not() {
        use Helper::*;
        for (name, group) in [
            ("_raw_spin_lock_irqsave", Locking),
            ("__list_del_entry_valid", Reporting),
            ("kmem_cache_alloc_node.part.0", Allocator),
            ("__kasan_report", Reporting),
            ("dump_stack_lvl", Reporting),
            ("dump_backtrace", Reporting),
            ("vpanic", Reporting),
            ("check_preemption_disabled", Reporting),
            ("rhashtable_insert_slow", Container),
            ("__flush_work", Dispatch),
            ("iput", Counting),
        ] {
            assert!(is(group, name) || of_defining_file(name) == Some(group), "{name}");
        }
        assert!(is(Locking, "mutex_lock") && is(Waiting, "mutex_lock"));
        assert!(groups("vfs_read").hands_over() && !groups("tcp_ack").hands_over());
        for name in
            ["tcp_ack", "ext4_writepages", "updater", "ip6mr_sk_done", "get_user_pages", "rb_alloc", "bfs_rename"]
        {
            assert!(!Helper::ALL.iter().any(|group| is(*group, name)), "{name}");
            assert_eq!(of_defining_file(name), None, "{name}");
        }
    }
}
