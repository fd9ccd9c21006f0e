//! Interrupts that nobody expects: NMIs of the hardware, lines without a handler.

use facts::{FieldType, Value};

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{Cursor, after, between, hex_after, number_after, split};
use crate::event::{Event, Severity};
use crate::report::{Report, Step};
use crate::{Line, class};

pub(super) static NMI: Family = Family {
    name: "nmi",
    anchors: &[
        "NMI received for unknown reason",
        "NMI: PCI system error",
        "NMI: IOCK error",
        "NMI: Memory parity error",
    ],
    from: From::Kernel,
    open: open_nmi,
    body: nmi_body,
    finish: no_finish,
    kind: kind(
        "log.nmi",
        "A non-maskable interrupt that the hardware raised",
        &[
            field("what", FieldType::Text, "", "unknown, pci-serr, iock, memory-parity"),
            field("reason", FieldType::Int, "", "reason byte of port 0x61"),
        ],
    ),
};

pub(super) static IRQ: Family = Family {
    name: "irq_nobody_cared",
    anchors: &[": nobody cared (try booting with"],
    from: From::Kernel,
    open: open_irq,
    body: irq_body,
    finish: no_finish,
    kind: kind(
        "log.irq_nobody_cared",
        "No handler claims an interrupt line that keeps firing; the line is switched off",
        &[
            field("irq", FieldType::Int, "", "interrupt number"),
            field("handlers", FieldType::List, "", "handlers that were asked"),
            field("disabled", FieldType::Bool, "", "the line was switched off"),
        ],
    ),
};

pub(super) static CONFLICT: Family = Family {
    name: "irq_conflict",
    anchors: &["genirq: Flags mismatch irq "],
    from: From::Kernel,
    open: open_conflict,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.irq_conflict",
        "Two drivers want one interrupt line in ways that exclude each other; the second did not get it",
        &[
            field("irq", FieldType::Int, "", "interrupt number"),
            field("wants", FieldType::Text, "", "driver that was refused"),
            field("has", FieldType::Text, "", "driver that holds the line"),
        ],
    ),
};

fn open_conflict(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let rest = line.text().strip_prefix("genirq: Flags mismatch irq ")?;
    Opened::line(
        Event::new(CONFLICT.name, class::WARNING, Severity::Failure)
            .titled("irq: flags mismatch")
            .with_opt("irq", Cursor::new(rest).number())
            .with_opt("wants", between(rest, "(", ")"))
            .with_opt("has", after(rest, " vs. ").and_then(|t| between(t, "(", ")"))),
    )
}

fn open_nmi(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let (what, class) = if text.starts_with("Uhhuh. NMI received for unknown reason") {
        ("unknown", class::HARDWARE_MCE)
    } else if text.starts_with("NMI: PCI system error") {
        ("pci-serr", class::HARDWARE_PCIE)
    } else if text.starts_with("NMI: IOCK error") {
        ("iock", class::HARDWARE_MCE)
    } else if text.starts_with("NMI: Memory parity error") {
        ("memory-parity", class::HARDWARE_MEMORY)
    } else {
        return None;
    };
    let mut event = Event::new(NMI.name, class, Severity::Failure)
        .titled(format!("NMI: {what}"))
        .with("what", what)
        .with_opt("reason", hex_after(text, "reason "));
    event.cpu = number_after(text, "on CPU ").and_then(|n| u32::try_from(n).ok());
    Opened::lines(event)
}

fn nmi_body(_: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    if text.starts_with("Dazed and confused") {
        Step::End
    } else if text.starts_with("Do you have a strange power saving") {
        Step::Take
    } else {
        Step::Pass
    }
}

fn open_irq(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let mut c = Cursor::new(line.text());
    c.take("irq ").then_some(())?;
    let irq = c.number()?;
    c.take(": nobody cared").then_some(())?;
    Opened::trace(
        Event::new(IRQ.name, class::WARNING, Severity::Report)
            .titled("irq: nobody cared")
            .with("irq", irq)
            .with("disabled", false),
    )
}

fn irq_body(report: &mut Report, line: &Line<'_>) -> Step {
    let text = line.text();
    let event = &mut report.event;
    if text.starts_with("handlers:") {
        event.set("handlers", Value::List(Vec::new()));
        return Step::Take;
    }
    if text.starts_with("Disabling IRQ #") {
        event.set("disabled", true);
        return Step::End;
    }
    if let Some(Value::List(handlers)) = event.fields.get_mut("handlers")
        && text.starts_with('[')
    {
        let name = split(text, "] ").map_or(text, |(_, rest)| rest);
        if handlers.len() < 32 {
            handlers.push(name.split(['+', ' ']).next().unwrap_or(name).into());
        }
        return Step::Take;
    }
    Step::Pass
}

#[cfg(test)]
mod tests {
    use super::super::tests::fields;

    #[test]
    fn nmis_and_stray_interrupts_name_their_source() {
        let text = "[   52.261501] Uhhuh. NMI received for unknown reason 3d on CPU 1.\n\
             [   52.261501] Do you have a strange power saving mode enabled?\n\
             [   52.261501] Dazed and confused, but trying to continue\n";
        assert_eq!(fields(text, &["what", "reason", "cpu"]), ["unknown", "61", "1"]);
        let text = "[   52.261501] irq 16: nobody cared (try booting with the \"irqpoll\" option)\n\
             [   52.261501] CPU: 0 PID: 0 Comm: swapper/0 Not tainted 5.10.0 #1\n[   52.261501] Call Trace:\n\
             [   52.261501]  __report_bad_irq+0x30/0xa0\n[   52.261501] handlers:\n\
             [   52.261501] [<00000000a1b2c3d4>] usb_hcd_irq\n[   52.261501] Disabling IRQ #16\n";
        assert_eq!(fields(text, &["irq", "handlers", "disabled"]), ["16", "usb_hcd_irq", "true"]);
    }
}
