//! Signs of failing hardware: they are said before software is blamed.

use facts::Fact;

use super::{fault, pointer};

/// What in an event speaks for hardware.
pub(super) fn hardware(fact: &Fact) -> Option<String> {
    if !matches!(fact.text("severity"), Some("failure" | "report" | "panic")) {
        return None;
    }
    let title = fact.text("title").unwrap_or("");
    match fact.text("class")? {
        "hardware-mce" => return Some(format!("machine check: {title}")),
        "hardware-memory" => return Some(format!("memory error: {title}")),
        "hardware-pcie" => return Some(format!("PCI Express error: {title}")),
        "hardware-thermal" => return Some(format!("temperature: {title}")),
        _ => {}
    }
    let reason = fact.text("reason").unwrap_or("");
    if reason.contains("An NMI occurred") || reason.contains("hpwdt") || title.contains("hpwdt") {
        return Some("the board's own watchdog or management processor raised an NMI".to_owned());
    }
    let byte = |name| fault::number(fact.get(name));
    if let (Some(found), Some(expected)) = (byte("found_byte"), byte("expected_byte"))
        && matches!(fact.int("length"), None | Some(1))
        && pointer::byte_one_bit_off(found, expected)
    {
        return Some(format!("one bit of the poison is flipped: {found:#04x} in place of {expected:#04x}"));
    }
    fault::fault(fact)?.flipped
}
