//! Traces of a module that was unloaded and left something behind: a timer, a notifier, a callback, an entry of a list.

use facts::Fact;

use super::fault::{self, number};
use super::{functions, names, path};

/// Where x86-64 keeps modules if the kernel's place is random (arch/x86/include/asm/pgtable_64_types.h), up to the fixed
/// maps; an address here without a page is of no module that is loaded.
const AREA: std::ops::Range<u64> = 0xffff_ffff_c000_0000..0xffff_ffff_ff00_0000;
/// The bit of an x86 page fault's error code that says that there was a page.
const PRESENT: i64 = 1;

/// What is concluded of one oops.
pub(super) struct Unloaded {
    /// In a sentence.
    pub(super) what: String,
    /// The module that was unloaded last, where the report tells.
    pub(super) module: Option<String>,
}

/// Was the oops after something that a module had left behind? By memory: an address in the area of modules where none is
/// loaded, or a structure that lies in the code of another module, which was loaded there later. By the log alone: the
/// fault address, where the report names the module that was unloaded last.
pub(super) fn unloaded(facts: &[Fact], fact: &Fact) -> Option<Unloaded> {
    if fact.kind != "log.oops" {
        return None;
    }
    let module = fact.text("last_unloaded").map(str::to_owned);
    let last = module.as_ref().map(|name| format!(" (last unloaded: {name})")).unwrap_or_default();
    let jump = fault::jump(fact);
    let address = number(fact.get("address")).or_else(|| jump.as_ref().map(|jump| jump.address));
    let of = |known: &&Fact| known.origin.member == fact.origin.member;
    let access = facts.iter().filter(of).find(|known| {
        known.kind == "mem.fault" && known.text("function").is_some() && known.text("function") == fact.text("function")
    });
    if let Some(access) = access
        && access.text("slot_section") == Some("text")
        && let (Some(slot), Some(other)) = (number(access.get("slot")), access.text("slot_module"))
    {
        let register = access.text("register").unwrap_or("the pointer");
        return Some(Unloaded {
            what: format!(
                "{register} came from {slot:#x}, which is code of {other}: a structure of a module that was loaded there before, and that left it behind when it was unloaded{last}"
            ),
            module: module.filter(|name| name != other),
        });
    }
    let address = address?;
    let left = left_behind(facts, fact).map(|left| format!("; its exit has to {left}")).unwrap_or_default();
    let looked_up = facts.iter().filter(of).any(|known| {
        known.kind == "mem.register"
            && known.text("kind") == Some("module-area")
            && number(known.get("value")) == Some(address)
    });
    let unmapped =
        fact.text("class") == Some("paging-fault") && fact.int("error_code").is_some_and(|code| code & PRESENT == 0);
    // Where the text of a module was, and the memory is still mapped.
    let filled = jump.is_some() && fact.text("class") == Some("invalid-opcode");
    let by_log = module.is_some() && AREA.contains(&address) && (unmapped || filled);
    (looked_up || by_log).then(|| Unloaded {
        what: format!(
            "{address:#x} is in the area of modules, and none is loaded there: it belonged to a module that was unloaded{last}{left}"
        ),
        module,
    })
}

/// What the exit of a module has to do so that nothing of it is called later, by the function that calls it. Only where
/// that one stands at the top: what it calls is the module's.
const REMEDIES: &[(&[&str], &str)] = &[
    (
        &["rcu_do_batch", "rcu_process_callbacks", "rcu_nocb_kthread", "srcu_invoke_callbacks"],
        "wait for its callbacks of RCU (rcu_barrier)",
    ),
    (
        &["call_timer_fn", "run_timers", "expire_timers", "run_timer_softirq", "run_timer_base"],
        "stop its timers (timer_shutdown_sync, del_timer_sync before 6.2)",
    ),
    (&["hrtimer_run_queues", "run_hrtimer", "hrtimer_interrupt"], "cancel its high-resolution timers (hrtimer_cancel)"),
    (&["process_one_work", "worker_thread"], "cancel its work items (cancel_work_sync, cancel_delayed_work_sync)"),
    (&["tasklet_action*"], "kill its tasklets (tasklet_kill)"),
    (&["handle_irq_event*", "irq_thread*"], "give its interrupts back (free_irq)"),
    (&["*notifier_call_chain*", "notifier_call_chain*"], "unregister its notifiers"),
    (&["irq_work_run*", "irq_work_single"], "wait for its irq_work (irq_work_sync)"),
    (&["nf_hook_slow*"], "unregister its netfilter hooks"),
];

fn left_behind(facts: &[Fact], fact: &Fact) -> Option<&'static str> {
    let remedy = |name: &str| {
        let name = names::plain(name).trim_start_matches('_');
        REMEDIES.iter().find(|(callers, _)| functions::any(callers, name)).map(|(_, remedy)| *remedy)
    };
    // Who called what is gone: a trace of arm64 begins with the caller of that one.
    let caller = fault::caller(facts, fact).and_then(|call| call.text("function")).or(fact.text("return_to"));
    caller.and_then(remedy).or_else(|| {
        let way = path::way(fact);
        remedy(&way.iter().find(|hop| !hop.helps(functions::Helper::Reporting))?.function)
    })
}

#[cfg(test)]
mod tests {
    use facts::{Address, Origin};

    use super::*;

    fn oops() -> Fact {
        let origin = Origin::lines("dmesg", 1, 9);
        Fact::new("log.oops", origin).with("class", "paging-fault").with("function", "__run_timers")
    }

    #[test]
    fn an_address_where_no_module_is_loaded_is_of_one_that_was() {
        let address = Address(0xffff_ffff_c03c_47c8);
        let log = oops().with("address", address).with("error_code", 2).with("last_unloaded", "nvx");
        assert_eq!(unloaded(&[], &log).and_then(|u| u.module).as_deref(), Some("nvx"));
        // A page that is there belongs to somebody; without the list of modules nobody knows that one was unloaded.
        assert!(unloaded(&[], &log.clone().with("error_code", 3)).is_none());
        let unnamed = oops().with("address", address).with("error_code", 2);
        assert!(unloaded(&[], &unnamed).is_none());
        // Memory knows where modules are.
        let origin = Origin::derived("dmesg", "registers");
        let register = Fact::new("mem.register", origin).with("value", address).with("kind", "module-area");
        assert!(unloaded(&[register], &unnamed).is_some_and(|u| u.module.is_none()));
        let elsewhere = oops().with("address", Address(0xffff_8880_1234_5678)).with("error_code", 2);
        assert!(unloaded(&[], &elsewhere.with("last_unloaded", "nvx")).is_none());
    }

    #[test]
    fn freed_text_that_is_filled_with_int3_is_of_a_module_that_was_unloaded() {
        let code = format!("{}<cc> {}", "cc ".repeat(4), "cc ".repeat(12));
        let log = Fact::new("log.oops", Origin::lines("dmesg", 1, 9))
            .with("class", "invalid-opcode")
            .with("header", "Oops: int3: 0000 [#1] SMP NOPTI")
            .with("pc", Address(0xffff_ffff_c071_a011))
            .with("code", code.trim());
        let found = unloaded(&[], &log.clone().with("last_unloaded", "rtcache")).expect("a stale function pointer");
        assert_eq!(found.module.as_deref(), Some("rtcache"));
        assert!(found.what.starts_with("0xffffffffc071a010 is in the area of modules"), "{}", found.what);
        let register = Fact::new("mem.register", Origin::derived("dmesg", "registers"));
        let register = register.with("value", Address(0xffff_ffff_c071_a010)).with("kind", "module-area");
        assert!(unloaded(&[register], &log).is_some());
        // Of init code that was freed nobody says that a module was unloaded; a breakpoint in a function is no jump.
        assert!(unloaded(&[], &log).is_none());
        assert!(unloaded(&[], &log.with("function", "fn_of").with("last_unloaded", "rtcache")).is_none());
    }

    #[test]
    fn the_caller_tells_what_the_module_left_behind() {
        let of = |function: &str| {
            let log = oops().with("address", Address(0xffff_ffff_c03c_47c8)).with("error_code", 2);
            let log = log.with("last_unloaded", "nvx").with("function", function);
            unloaded(&[], &log).map(|u| u.what).unwrap_or_default()
        };
        assert!(of("rcu_do_batch").contains("rcu_barrier"), "{}", of("rcu_do_batch"));
        assert!(of("__run_timers").contains("timer_shutdown_sync"));
        assert!(!of("vfs_write").contains("its exit"));
        // A link register names the caller, which has no frame.
        let header = "Unable to handle kernel paging request at virtual address ffffffffc03c47c8";
        let log = oops().with("address", Address(0xffff_ffff_c03c_47c8)).with("error_code", 2);
        let log = log.with("header", header).with("last_unloaded", "nvx").with("function", "rcu_core");
        let what = unloaded(&[], &log.with("return_to", "rcu_do_batch")).map(|u| u.what).unwrap_or_default();
        assert!(what.contains("rcu_barrier"), "{what}");
    }

    #[test]
    fn a_structure_in_the_code_of_a_module_is_of_another() {
        let access = |section: &str| {
            Fact::new("mem.fault", Origin::derived("dmesg", "code"))
                .with("function", "__run_timers")
                .with("register", "RAX")
                .with("slot", Address(0xffff_ffff_c076_c2e8))
                .with("slot_section", section)
                .with("slot_module", "tun")
        };
        let log = oops().with("last_unloaded", "nvx");
        let found = unloaded(&[access("text")], &log).expect("a structure in code");
        assert_eq!(found.module.as_deref(), Some("nvx"));
        assert!(found.what.contains("code of tun"), "{}", found.what);
        assert!(unloaded(&[access("data")], &log).is_none());
    }
}
