//! The debugger of powerpc kernels, xmon: what it prints when an exception brings the kernel into it, in place of an oops.

use super::{Before, Family, From, Opened, kind};
use crate::cursor::{Cursor, after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step, location};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "xmon",
    anchors: &[": Vector: "],
    from: From::Kernel,
    open,
    body,
    finish,
    kind: kind("log.oops", "", &[]),
};

/// Below this a fault address is a NULL pointer and the offset of a member.
const NULL_PAGE: u64 = 4096;

/// `cpu 0x2c: Vector: 300 (Data Access) at [c000001ff74d36d0]`; those of a reset, an interrupt or a system call were asked for.
fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let (cpu, rest) = split(line.text().strip_prefix("cpu 0x")?, ": Vector: ")?;
    let (class, title) = match Cursor::new(rest).hex()? {
        0x300 | 0x380 | 0x400 | 0x480 => (class::PAGING_FAULT, "BUG: unable to handle kernel paging request"),
        0x200 => (class::HARDWARE_MCE, "machine check exception"),
        0x600 => (class::TRAP, "alignment exception"),
        0x700 | 0xe40 => (class::TRAP, "program check"),
        _ => return None,
    };
    let mut event = Event::new("oops", class, Severity::Report).titled(title);
    event.cpu = u32::from_str_radix(cpu, 16).ok();
    event.set("header", line.text());
    Opened::trace(event)
}

/// The oops that brought the kernel into the debugger: the debugger prints the registers and the trace in its stead.
pub(super) fn takes_over(report: &mut Report, line: &Line<'_>) -> bool {
    let opens = report.event.place.is_none() && line.text().starts_with("cpu 0x");
    let Some(entry) = opens.then(|| open(line, Before::default())).flatten() else { return false };
    report.event.cpu = report.event.cpu.or(entry.event.cpu);
    report.family = &FAMILY;
    true
}

fn body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text().trim_start();
    // `pc: c00000000047d72c: __do_softirq+0xd4/0x2b0`
    let place = |rest: &str| split(rest, ": ").and_then(|(_, symbol)| location(symbol));
    if let Some(rest) = text.strip_prefix("pc: ") {
        if let Some(place) = place(rest) {
            report.set_place(place);
        }
        return Step::Take;
    }
    let event = &mut report.event;
    if let Some(rest) = text.strip_prefix("lr: ") {
        if let Some(place) = place(rest) {
            event.set("return_to", place.function);
        }
        return Step::Take;
    }
    if let Some(rest) = text.strip_prefix("dar: ") {
        event.address = Cursor::new(rest).hex();
        return Step::Take;
    }
    if text.starts_with("pid ") && text.contains(", comm = ") {
        event.pid = after(text, "= ").and_then(|pid| Cursor::new(pid).int());
        event.comm = after(text, ", comm = ").map(|comm| comm.trim().to_owned());
        return Step::Take;
    }
    const OTHERS: &[&str] =
        &["sp: ", "msr: ", "dsisr: ", "current ", "paca ", "[link register ", "kernel BUG at ", "--- Exception: "];
    if text.starts_with("enter ? for help") {
        return Step::End;
    }
    if OTHERS.iter().any(|head| text.starts_with(head)) { Step::Take } else { Step::Pass }
}

fn finish(report: &mut Report) {
    let event = &mut report.event;
    if event.class == class::PAGING_FAULT && event.address.is_some_and(|address| address < NULL_PAGE) {
        event.class = class::NULL_DEREF;
        event.title = "BUG: unable to handle kernel NULL pointer dereference".to_owned();
    }
    if let Some(place) = &event.place {
        event.title = format!("{} in {}", event.title, place.function);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn an_exception_that_the_debugger_took_is_read() {
        let of = |vector: &str, dar: &str| {
            format!(
                "cpu 0x2c: Vector: {vector} at [c000001ff74d36d0]\n    pc: c00000000047d72c: __do_softirq+0xd4/0x2b0\n    \
                 lr: c00000000047d8ac: __do_softirq+0x254/0x2b0\n    sp: c000001ff74d3960\n   msr: 9000000000009033\n   \
                 dar: {dar}\n dsisr: 42000000\n  current = 0xc000001ff73cca80\n  paca    = 0xc00000000fd4d800\t softe: 0\t irq_happened: 0x01\n    \
                 pid   = 0, comm = swapper/44\n"
            )
        };
        let names = ["class", "title", "cpu", "comm", "address", "function"];
        assert_eq!(
            fields(&of("300 (Data Access)", "1ffdbc0004"), &names),
            [
                "paging-fault",
                "BUG: unable to handle kernel paging request in __do_softirq",
                "44",
                "swapper/44",
                "0x0000001ffdbc0004",
                "__do_softirq"
            ]
        );
        assert_eq!(fields(&of("300 (Data Access)", "10"), &["class"]), ["null-deref"]);
        assert!(events(&of("100 (System Reset)", "0")).is_empty());
        assert!(events(&of("0 ", "0")).is_empty());
    }

    #[test]
    fn the_debugger_prints_the_trace_of_what_brought_the_kernel_into_it() {
        let found = events(
            "[   21.083519] kernel BUG at arch/powerpc/mm/pgtable.c:304!\n\
             cpu 0x0: Vector: 700 (Program Check) at [c000000c6d1e76c0]\n    pc: c00000000009a5ec: assert_pte_locked+0x14c/0x380\n    \
             lr: c0000000005eeeec: pte_update+0x11c/0x190\n    sp: c000000c6d1e7950\n   msr: 8000000002029033\n  \
             current = 0xc000000c6d172c80\n  paca    = 0xc000000003ba0000   irqmask: 0x03   irq_happened: 0x01\n    \
             pid   = 1, comm = swapper/0\nkernel BUG at arch/powerpc/mm/pgtable.c:304!\n\
             [link register   ] c0000000005eeeec pte_update+0x11c/0x190\n[c000000c6d1e7950] 0000000000000001 (unreliable)\n\
             [c000000c6d1e79b0] c0000000005eee14 pte_update+0x44/0x190\n\
             [c000000c6d1e7a10] c000000001a2ca9c pte_advanced_tests+0x160/0x3d8\n",
        );
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].class, found[0].pid), ("bug-on", Some(1)));
        assert_eq!(found[0].title, "kernel BUG at arch/powerpc/mm/pgtable.c in assert_pte_locked");
        let frames: Vec<&str> = found[0].stacks.iter().flat_map(|stack| stack.functions()).collect();
        assert!(frames.ends_with(&["pte_update", "pte_advanced_tests"]), "{frames:?}");
    }
}
