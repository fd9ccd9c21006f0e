//! How old a kernel can be at most, by what it printed: for logs from which the release was lost.
//!
//! Only forms and functions count that no vendor took into an older base.

use facts::Fact;

use super::version::Version;

/// Functions in traces: the start of their names, and the version that brought it.
const FUNCTIONS: &[(&str, Version)] = &[
    // 1e423bff959e, x86/entry/64: migrate the 64-bit syscall slow path to C
    ("do_syscall_64", Version::new(4, 6, 0)),
    // d5a00528b58c, syscalls/core, syscalls/x86: rename struct pt_regs-based sys_*() to __x64_sys_*()
    ("__x64_sys_", Version::new(4, 17, 0)),
    // 4378a7d4be30, arm64: implement syscall wrappers
    ("__arm64_sys_", Version::new(4, 19, 0)),
    // 91eeafea1e4b, x86/entry: switch page fault exception to IDTENTRY_RAW
    ("asm_exc_", Version::new(5, 8, 0)),
];

/// ___GFP_KSWAPD_RECLAIM of 4.4 (d0164adc89f6): in 3.10 no flag was that high.
const HIGH_FLAGS: i64 = 0x200_0000;

/// The oldest mainline version that can have printed these facts, and what shows it.
pub(super) fn oldest(facts: &[Fact]) -> Option<(Version, String)> {
    facts.iter().flat_map(of).max_by_key(|(version, _)| *version)
}

fn of(fact: &Fact) -> Vec<(Version, String)> {
    let mut found = Vec::new();
    if !fact.kind.starts_with("log.") {
        return found;
    }
    for function in fact.stacks.iter().flat_map(|stack| stack.functions()) {
        let known = FUNCTIONS.iter().find(|(start, _)| function.starts_with(start));
        if let Some((_, version)) = known
            && !found.iter().any(|(other, _)| other == version)
        {
            found.push((*version, format!("{function} in a trace")));
        }
    }
    if fact.text("gfp_names").is_some() {
        // 5b3810e5c6e1, mm, sl[au]b: print gfp_flags as strings in slab_out_of_memory(), and its siblings
        found.push((Version::new(4, 6, 0), "the names of the allocation flags".to_owned()));
    } else if let Some(flags) = fact.int("gfp").filter(|flags| flags & HIGH_FLAGS != 0) {
        found.push((Version::new(4, 4, 0), format!("the allocation flags {flags:#x}")));
    }
    found
}

#[cfg(test)]
mod tests {
    use facts::{Frame, Origin, Stack};

    use super::super::{Release, State, status, status_without_release};
    use super::*;

    fn slub(gfp: i64) -> Fact {
        Fact::new("log.slab_alloc_failure", Origin::lines("dmesg", 1, 3)).with("gfp", gfp)
    }

    #[test]
    fn what_was_printed_rules_old_kernels_out() {
        let state = |facts: &[Fact]| status_without_release("d6e0b7fa1186", facts).state;
        // 0x20 is GFP_ATOMIC of 3.10; 0x2088020 has a flag of 4.4, and the fix is in 4.0.
        assert_eq!(state(&[slub(0x20)]), State::Unknown);
        assert_eq!(state(&[slub(0x208_8020)]), State::Present);
        assert_eq!(state(&[slub(0x20).with("gfp_names", "GFP_ATOMIC")]), State::Present);
        let mut trace = Stack::printed("call trace");
        trace.frames = ["schedule", "__x64_sys_read", "do_syscall_64"].map(Frame::printed).to_vec();
        let mut hung = Fact::new("log.hung_task", Origin::lines("dmesg", 9, 20));
        hung.stacks.push(trace.into());
        assert_eq!(oldest(std::slice::from_ref(&hung)).map(|(version, _)| version), Some(Version::new(4, 17, 0)));
        assert_eq!(state(&[slub(0x20), hung]), State::Present);
        // A release that nobody can read is no better than none.
        let garbled = Release::parse("x86_64", None, None);
        assert_eq!(status("d6e0b7fa1186", &garbled, &[slub(0x208_8020)]).state, State::Present);
        assert_eq!(status("d6e0b7fa1186", &garbled, &[slub(0x20)]).state, State::Unknown);
        // A fix that is newer than what was printed stays open.
        assert_eq!(status_without_release("4ee806d51176", &[slub(0x208_8020)]).state, State::Unknown);
    }
}
