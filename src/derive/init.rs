//! The end of the first process, without which the kernel does not go on.

use facts::Fact;

use super::fault::number;
use super::sequence::lines;

/// Where [`with_fault`] puts what the process did.
const USER_FAULT: &str = "user_fault";
/// Lines between the fault of the process and the panic: those that it is killed by, and what others print.
const NEAR: u64 = 60;

/// How init ended, from the code it left: a signal in the low bits, else an exit status.
pub(super) fn ended(fact: &Fact) -> Option<String> {
    let (_, code) = fact.text("reason")?.split_once("Attempted to kill init!")?.1.split_once("exitcode=0x")?;
    let digits: String = code.chars().take_while(char::is_ascii_hexdigit).collect();
    let code = u32::from_str_radix(&digits, 16).ok()?;
    let (signal, status) = (code & 0x7f, code >> 8 & 0xff);
    let how = match (signal, status) {
        (0, 0) => "it exited as if all was done".to_owned(),
        (0, 126) => "it exited with 126: found, but not executable".to_owned(),
        (0, 127) => "it exited with 127: a program or library it needs was not found".to_owned(),
        (0, status) => format!("it exited with {status} by itself, look at its own messages above"),
        (4, _) => "killed by signal 4 (illegal instruction: built for another processor, or damaged)".to_owned(),
        (7, _) => "killed by signal 7 (bus error: its file could not be read)".to_owned(),
        (9, _) => "killed by signal 9 (an oops in the kernel, or out of memory)".to_owned(),
        (11, _) => "killed by signal 11 (segmentation fault)".to_owned(),
        (signal, _) => format!("killed by signal {signal}"),
    };
    Some(match fact.text(USER_FAULT) {
        Some(fault) if signal != 0 => format!("{how}: {fault}"),
        _ => how,
    })
}

/// The panic with the fault in user space for which init was killed, where the log shows it shortly before.
pub(super) fn with_fault(facts: &[Fact], at: usize, panic: &Fact) -> Option<Fact> {
    let killed = panic.text("reason").is_some_and(|reason| reason.contains("Attempted to kill init!"));
    if panic.kind != "log.panic" || !killed {
        return None;
    }
    let before = facts.get(..at)?.iter().rev().take(32);
    let mut before = before.filter(|f| f.kind == "log.init_fault" && f.origin.member == panic.origin.member);
    let (first, _) = lines(panic)?;
    let fault =
        before.next().filter(|fault| lines(fault).is_some_and(|(_, last)| first.saturating_sub(last) <= NEAR))?;
    let access = fault.text("access").map(|access| match access {
        "execute" => "a jump",
        other => other,
    });
    let what = match (access, number(fault.get("address"))) {
        (Some(access), Some(address)) => format!("{access} to {address:#x}").replace("read to", "read of"),
        _ => fault.text("what")?.to_owned(),
    };
    let ip = number(fault.get("ip")).map(|ip| format!(" at {ip:#x}")).unwrap_or_default();
    let file = fault.text("file").map(|file| format!(" in {file}")).unwrap_or_default();
    Some(panic.clone().with(USER_FAULT, format!("{what}{ip}{file}, a fault of that program and not of the kernel")))
}

#[cfg(test)]
mod tests {
    use facts::{Address, Origin};

    use super::*;

    #[test]
    fn init_that_was_killed_for_a_fault_of_its_own_is_told_with_it() {
        let fault = |line: u64| {
            Fact::new("log.init_fault", Origin::lines("dmesg", line, line))
                .with("what", "segfault")
                .with("access", "write")
                .with("address", Address(0x10))
                .with("ip", Address(0x401dfa))
                .with("file", "u")
        };
        let panic = |code: &str| {
            Fact::new("log.panic", Origin::lines("dmesg", 100, 120))
                .with("reason", format!("Attempted to kill init! exitcode=0x{code}"))
        };
        let said = |facts: &[Fact]| {
            let panic = with_fault(facts, facts.len() - 1, &facts[facts.len() - 1]);
            ended(panic.as_ref().unwrap_or(&facts[facts.len() - 1])).unwrap_or_default()
        };
        let killed = said(&[fault(98), panic("0000000b")]);
        assert!(killed.contains("signal 11") && killed.contains("write to 0x10 at 0x401dfa in u"), "{killed}");
        // Long before, or of a process that ended by itself.
        assert!(!said(&[fault(2), panic("0000000b")]).contains("0x401dfa"));
        assert!(!said(&[fault(98), panic("00000100")]).contains("0x401dfa"));
    }
}
