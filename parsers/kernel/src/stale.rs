//! What modules left behind when they were unloaded and the kernel still leads to: handlers of interrupts, timers, work.

use facts::FieldType::{Address as Addr, Int, Text};
use facts::plain_field as field;
use facts::{Address, Fact, Gap, KindDef};

use crate::{Arch, Kernel, ReadError, VirtAddr};

/// Handlers that are told.
const MAX_TOLD: usize = 20;

/// The byte of the instruction INT3, and how many of it no function begins with.
const INT3: u8 = 0xcc;
const FILLED: usize = 16;

/// The kinds of facts made here.
pub(crate) const KINDS: &[KindDef] = &[KindDef {
    kind: "mem.stale_handler",
    doc: "Something that the kernel will call or touch, in the area of modules where none is loaded, and nothing is mapped or the text was filled: a module was unloaded and left it behind.",
    fields: &[
        field("kind", Text, "interrupt, timer, high-resolution timer, work"),
        field("of", Text, "what leads to it: `interrupt 9`, `a timer of CPU 1`"),
        field("object", Addr, "what holds the address: irqaction, timer_list, hrtimer, work_struct"),
        field("function", Addr, "the address that is gone: the function, or the object itself"),
        field("irq", Int, "number of the interrupt"),
        field("cpu", Int, "CPU of the timer"),
        field("unloaded", Text, "modules that were unloaded, as far as the kernel remembers"),
        field("has_to", Text, "what the module's exit has to do"),
    ],
}];

/// An address of code that is gone, and what holds it.
struct Stale {
    kind: &'static str,
    type_name: &'static str,
    of: String,
    object: VirtAddr,
    function: VirtAddr,
    number: Option<(&'static str, u64)>,
    has_to: &'static str,
}

impl Kernel<'_> {
    /// Whether an address lies where modules are loaded, in none of them and in no page. Programs of BPF and trampolines
    /// have pages. So has, on x86-64, text that was given back since 2e45474ab14f "execmem: add support for cache of large
    /// ROX pages" (v6.13): it is filled with INT3.
    fn is_gone(&self, at: VirtAddr) -> bool {
        let filled = || self.bytes(at, FILLED).is_ok_and(|code| code.iter().all(|byte| *byte == INT3));
        self.in_area_of_no_module(at)
            && match self.bytes(at, 1) {
                Err(ReadError::NotMapped(_)) => true,
                Err(_) => false,
                Ok(_) => self.arch() == Arch::X86_64 && filled(),
            }
    }

    /// `mem.stale_handler` facts. Lists that break elsewhere are told by their own readers.
    pub fn stale_facts(&self) -> (Vec<Fact>, Vec<Gap>) {
        let mut found = self.stale_interrupts();
        found.extend(self.stale_timers());
        let unloaded: Vec<String> = self.unloaded_modules().into_iter().map(|module| module.name).collect();
        let unloaded = Some(unloaded.join(", ")).filter(|names| !names.is_empty());
        let fact = |stale: Stale| {
            let by = unloaded.as_ref().map(|names| format!(" (unloaded: {names})")).unwrap_or_default();
            let fact = Fact::new("mem.stale_handler", self.origin(stale.object, stale.type_name))
                .with("kind", stale.kind)
                .with("of", stale.of.as_str())
                .with("object", Address::from(stale.object))
                .with("function", Address::from(stale.function))
                .with_opt("unloaded", unloaded.clone())
                .with("has_to", stale.has_to)
                .quoting(format!(
                    "{} leads to {:#x}, in the area of modules where none is loaded{by}",
                    stale.of, stale.function.0
                ))
                .recheck(format!("crash> {} {:#x}", stale.type_name, stale.object.0))
                .recheck(format!("drgn> Object(prog, '{}', address={:#x})", stale.type_name, stale.object.0));
            match stale.number {
                Some((name, number)) => fact.with(name, number),
                None => fact,
            }
        };
        (found.into_iter().take(MAX_TOLD).map(fact).collect(), Vec::new())
    }

    fn stale_interrupts(&self) -> Vec<Stale> {
        let mut found = Vec::new();
        for (irq, action) in self.interrupt_action_list() {
            let function =
                ["handler", "thread_fn"].into_iter().filter_map(|name| self.pointer(action, "irqaction", name));
            if let Some(function) = { function }.find(|at| self.is_gone(*at)) {
                found.push(Stale {
                    kind: "interrupt",
                    type_name: "struct irqaction",
                    of: format!("interrupt {irq}"),
                    object: action,
                    function,
                    number: Some(("irq", irq)),
                    has_to: "give its interrupts back (free_irq)",
                });
            }
        }
        found
    }

    fn stale_timers(&self) -> Vec<Stale> {
        let types = self.types();
        let work = types.offset("delayed_work", "timer").zip(types.offset("delayed_work", "work.func"));
        let mut found = Vec::new();
        for queue in self.all_timers().items {
            let high = queue.kind == "high-resolution";
            let (kind, type_name, has_to) = match high {
                true => {
                    ("high-resolution timer", "struct hrtimer", "cancel its high-resolution timers (hrtimer_cancel)")
                }
                false => {
                    ("timer", "struct timer_list", "stop its timers (timer_shutdown_sync, del_timer_sync before 6.2)")
                }
            };
            let timer = |object, function| Stale {
                kind,
                type_name,
                of: format!("a {kind} of CPU {}", queue.cpu),
                object,
                function,
                number: Some(("cpu", queue.cpu.into())),
                has_to,
            };
            for at in queue.unread.iter().filter(|at| self.is_gone(**at)) {
                found.push(timer(*at, *at));
            }
            for each in &queue.all {
                let Some(function) = each.code else { continue };
                if self.is_gone(function) {
                    found.push(timer(each.address, function));
                } else if each.function.as_deref() == Some("delayed_work_timer_fn")
                    && let Some((offset, func)) = work
                    && let Ok(function) = self.ptr(each.address - offset + func)
                    && self.is_gone(function)
                {
                    found.push(Stale {
                        kind: "work",
                        of: format!("delayed work of CPU {}", queue.cpu),
                        has_to: "cancel its work items (cancel_work_sync, cancel_delayed_work_sync)",
                        type_name: "struct delayed_work",
                        ..timer(each.address - offset, function)
                    });
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use crate::VirtAddr;
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn code_is_gone_where_modules_are_and_no_page_is() {
        let memory = Memory::new();
        let (list, module) = (BASE + 0x2_0000, BASE + 0x2_1000);
        memory.put64(list, module + 8);
        memory.put64(list + 8, module + 8);
        memory.put64(module + 8, list);
        memory.put64(module + 16, list);
        memory.put(module + 24, b"loop\0");
        memory.put64(module + 0x60, 0xffff_ffff_c000_0000);
        memory.put32(module + 0x68, 0x1000);
        let members = [
            ("module", "list", 8, 16),
            ("module", "name", 24, 56),
            ("module", "core_layout.base", 0x60, 8),
            ("module", "core_layout.size", 0x68, 4),
            ("module", "state", 0, 4),
        ];
        let kernel = memory.kernel_with(&format!("SYMBOL(modules)={list:x}\n"), &members);
        assert_eq!(kernel.modules().items.len(), 1, "{:?}", kernel.modules());
        assert!(kernel.is_gone(VirtAddr(0xffff_ffff_c050_0000)));
        // A large page, which stays when text in it is given back.
        for (at, entry) in [(0x1000 + 511 * 8, 0x3003), (0x3000 + 511 * 8, 0x4003), (0x4000 + 3 * 8, 0x20_0083u64)] {
            memory.put64(BASE + at, entry);
        }
        memory.put(BASE + 0x20_0000, &[0xcc; 64]);
        memory.put(BASE + 0x20_0040, &[0x55, 0x48, 0x89, 0xe5]);
        assert!(kernel.is_gone(VirtAddr(0xffff_ffff_c060_0010)));
        assert!(!kernel.is_gone(VirtAddr(0xffff_ffff_c060_0038)), "what follows is code");
        // In the module, in the direct map, in no area of modules.
        for at in [0xffff_ffff_c000_0800, BASE + 0x2_0000, 0xffff_ffff_8100_0000, 0] {
            assert!(!kernel.is_gone(VirtAddr(at)), "{at:#x}");
        }
    }
}
