//! A fault of the first process in user space. Of any other process it is that program's affair; without this one the
//! machine cannot go on.

use facts::{Address, FieldType};

use super::{Before, Family, From, Opened, field, kind, no_body, no_finish};
use crate::cursor::{after, has, hex_after, split};
use crate::event::{Event, Severity};
use crate::{Line, class};

pub(super) static FAMILY: Family = Family {
    name: "init_fault",
    anchors: &[
        "[1]: segfault ",
        "[1]: unhandled ",
        "[1] general protection ",
        "[1] trap ",
        "[1]: bus error ",
        "[1]: illegal instruction ",
    ],
    from: From::Anybody,
    open,
    body: no_body,
    finish: no_finish,
    kind: kind(
        "log.init_fault",
        "The first process had a fault in user space",
        &[
            field(
                "what",
                FieldType::Text,
                "",
                "as printed: segfault, general protection fault, trap invalid opcode, ...",
            ),
            field("access", FieldType::Text, "", "read, write or execute of an x86 page fault"),
            field("ip", FieldType::Address, "", "program counter in user space"),
            field("file", FieldType::Text, "", "program or library in which it is"),
        ],
    ),
};

/// Bits of an x86 page fault's error code (arch/x86/include/asm/trap_pf.h).
const WRITE: u64 = 1 << 1;
const EXECUTE: u64 = 1 << 4;

/// x86: `init[1]: segfault at 10 ip 0000000000401dfa sp 00007ffc error 6 in u[401000+8c000]` (arch/x86/mm/fault.c),
/// `traps: init[1] trap invalid opcode ip:401dfa sp:7ffc error:0 in u[401000+8c000]` (arch/x86/kernel/traps.c). arm64:
/// `init[1]: unhandled exception: DABT (lower EL), ESR 0x92000046, level 2 translation fault in u[400000+8c000]`. powerpc:
/// `init[1]: segfault (11) at 10 nip 10000abc lr 10000a10 code 1 in u[10000000+20000]`.
///
/// `init[1]:` reads like the tag of a program, and the carriers take it for one.
fn open(line: &Line<'_>, _: Before<'_>) -> Option<Opened> {
    let text = line.text();
    let text = text.strip_prefix("traps: ").unwrap_or(text);
    let (comm, rest) = match line.tag {
        Some(tag)
            if ["segfault ", "unhandled ", "bus error ", "illegal "].iter().any(|head| text.starts_with(head)) =>
        {
            (tag, text)
        }
        _ => split(text, "[1]")?,
    };
    // Names of tasks are short; a sentence that cites such a line is not one.
    if comm.is_empty() || comm.len() > 15 || comm.contains(' ') {
        return None;
    }
    let rest = rest.trim_start_matches(':').trim_start();
    let end = [" at ", " ip:", " in ", ", ", ": "].iter().filter_map(|mark| rest.find(mark)).min()?;
    let what = rest.get(..end)?.split(" (").next()?;
    let mut event = Event::new(FAMILY.name, class::TRAP, Severity::Notice)
        .titled("init had a fault in user space")
        .with("what", what);
    event.comm = Some(comm.to_owned());
    event.pid = Some(1);
    event.address = hex_after(rest, " at ");
    let ip = [" ip ", " ip:", " nip ", " pc "].iter().find_map(|mark| hex_after(rest, mark));
    event = event.with_opt("ip", ip.map(Address));
    if what == "segfault"
        && let Some(code) = hex_after(rest, " error ")
    {
        event.set(
            "access",
            if code & EXECUTE != 0 {
                "execute"
            } else if code & WRITE != 0 {
                "write"
            } else {
                "read"
            },
        );
    }
    if let Some((file, _)) = after(rest, " in ").and_then(|file| split(file, "["))
        && !file.is_empty()
        && !has(file, " ")
    {
        event.set("file", file);
    }
    Opened::line(event)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{events, fields};

    #[test]
    fn a_fault_of_the_first_process_is_told_with_its_place() {
        for (text, want) in [
            (
                "[    5.145791] init[1]: segfault at 10 ip 0000000000401dfa sp 00007ffcb1c2d3f0 error 6 in u[401000+8c000]\n",
                ["segfault", "write", "0x0000000000000010", "0x0000000000401dfa", "u"],
            ),
            (
                "[    5.145791] traps: systemd[1] general protection fault ip:7f1a2b3c4d5e sp:7ffc00001000 error:0 in libc-2.31.so[7f1a2b3a0000+14b000]\n",
                ["general protection fault", "", "", "0x00007f1a2b3c4d5e", "libc-2.31.so"],
            ),
            (
                "[    5.145791] traps: init[1] trap invalid opcode ip:401dfa sp:7ffc00001000 error:0 in busybox[400000+100000]\n",
                ["trap invalid opcode", "", "", "0x0000000000401dfa", "busybox"],
            ),
            (
                "[    5.145791] init[1]: unhandled exception: DABT (lower EL), ESR 0x0000000092000046, level 2 translation fault in u[aaaac0000000+8c000]\n",
                ["unhandled exception", "", "", "", "u"],
            ),
            (
                "[    5.145791] init[1]: segfault (11) at 10 nip 10000abc lr 10000a10 code 1 in u[10000000+20000]\n",
                ["segfault", "", "0x0000000000000010", "0x0000000010000abc", "u"],
            ),
        ] {
            assert_eq!(fields(text, &["what", "access", "address", "ip", "file"]), want, "{text}");
        }
        for text in [
            "[    5.145791] python3[4711]: segfault at 10 ip 00007f1234567890 sp 00007ffc12345678 error 4 in libpython3.8.so[7f1234500000+200000]\n",
            "[    5.145791] the line says init[1]: segfault at 10 ip 0 sp 0 error 6\n",
        ] {
            assert!(events(text).is_empty(), "{text}");
        }
    }
}
