//! A call through a pointer that leads to no code: who made it, and where the pointer had been read from.

use facts::{Address, Fact, FieldDef, FieldType, KindDef, Origin};

use crate::fault::Oops;
use crate::flow::Slot;
use crate::symbols::Resolved;
use crate::{Arch, Kernel, VirtAddr};

/// The kinds made here.
pub const KINDS: &[KindDef] = &[KindDef {
    kind: "mem.bad_call",
    doc: "A call through a pointer that leads to no code: by the return address that the call left, and the code before it.",
    fields: &[
        FieldDef { name: "called", ty: FieldType::Address, unit: "", doc: "what was called" },
        FieldDef { name: "function", ty: FieldType::Text, unit: "", doc: "function that called it" },
        FieldDef { name: "module", ty: FieldType::Text, unit: "", doc: "module of that function" },
        FieldDef { name: "offset", ty: FieldType::Int, unit: "bytes", doc: "from its start to where the call returns" },
        FieldDef {
            name: "slot",
            ty: FieldType::Address,
            unit: "",
            doc: "where the pointer was read from; memory still holds what was called there",
        },
        FieldDef {
            name: "member",
            ty: FieldType::Text,
            unit: "",
            doc: "the structure member that is, inferred from the code",
        },
        FieldDef { name: "path", ty: FieldType::Text, unit: "", doc: "how the code came by the structure; inferred" },
        FieldDef { name: "object", ty: FieldType::Text, unit: "", doc: "what lies there: a slab object, a symbol" },
        FieldDef { name: "cache", ty: FieldType::Text, unit: "", doc: "slab cache of that object" },
        FieldDef { name: "allocated", ty: FieldType::Bool, unit: "", doc: "whether that object is allocated" },
        FieldDef {
            name: "content",
            ty: FieldType::Text,
            unit: "",
            doc: "what the object is filled with, where that tells",
        },
        FieldDef {
            name: "overrun",
            ty: FieldType::Text,
            unit: "",
            doc: "where what was written over the pointer began, where that is in another object",
        },
    ],
}];

/// Bytes of an object that are looked at.
const SAMPLE: usize = 64;

impl Kernel<'_> {
    /// The `mem.bad_call` fact of a report whose program counter is the bad address `called`. The call left its return
    /// address on top of the stack (x86-64), or in the link register, which `back` names (arm64). `None` where no call
    /// returns there.
    pub fn bad_call_fact(&self, oops: &Oops<'_>, called: u64, back: Option<(&str, Option<&str>, u64)>) -> Option<Fact> {
        let held = |name: &str| oops.register(name);
        let back = match self.arch() {
            Arch::X86_64 => VirtAddr(self.u64(VirtAddr(held("RSP")?)).ok()?),
            Arch::Aarch64 => {
                let (function, module, within) = back?;
                let mut starts = self.starts(function, module).into_iter();
                starts.next().filter(|_| starts.next().is_none())? + within
            }
        };
        let call = self.call_before(back)?;
        let caller = self.symbolize(back - 1)?;
        let target = call.target.and_then(|to| self.symbolize(to));
        let thunk = target.as_ref().is_some_and(|to| to.name.starts_with("__x86_indirect_"));
        if let Some(tail) = target.filter(|_| !thunk) {
            // The function that was called jumped on.
            let quote = format!("{} called {}, which jumped to {called:#x}", named(&caller), named(&tail));
            return Some(self.by(&tail, called).quoting(quote));
        }
        let mut fact = self.by(&caller, called).with("offset", caller.offset + 1);
        let slot = call.slot.and_then(|slot| Some((self.slot_address(&slot, &held)?, slot)));
        // What was overwritten since proves nothing.
        // arm64 leaves the highest byte of an address out of account.
        let same = |word: u64| match self.arch() {
            Arch::X86_64 => word == called,
            Arch::Aarch64 => (word ^ called) << 8 == 0,
        };
        let slot = slot.filter(|(place, _)| self.u64(VirtAddr(*place)).is_ok_and(same));
        let Some((place, slot)) = slot else {
            let through = call.register.map(|register| format!(", through {register}")).unwrap_or_default();
            return Some(fact.quoting(format!("{} called it{through}", named(&caller))));
        };
        fact.set("slot", Address(place));
        let mut quote = format!("{} read it from {}", named(&caller), slot.text());
        if slot.base.is_some() {
            quote.push_str(&format!(" = {place:#x}"));
        }
        if let Some(access) = self.access_at(slot.at) {
            let (member, path) = self.member_of(&access, oops, slot.at);
            if let Some(member) = &member {
                quote.push_str(&format!(", {member} (inferred from the code)"));
            }
            fact = fact.with_opt("member", member).with_opt("path", path);
        }
        let what = self.whereabouts().what(VirtAddr(place));
        let object = what.slab.as_ref().map(|object| object.object.0);
        quote.push_str(&format!("; that is {}", what.summary()));
        fact.set("object", what.summary());
        if let Some(slab) = what.slab {
            fact = fact.with("cache", slab.cache).with_opt("allocated", slab.allocated);
        }
        if let Some(content) = object.and_then(|at| self.bytes(VirtAddr(at), SAMPLE).ok()).and_then(|b| content(&b)) {
            quote.push_str(&format!(", filled with {content}"));
            fact.set("content", content);
        }
        if let Some(overrun) = self.overrun(place, called) {
            quote.push_str(&format!("; {overrun}"));
            fact.set("overrun", overrun);
        }
        Some(fact.quoting(quote).recheck(format!("crash> rd {place:#x}")))
    }

    fn by(&self, caller: &Resolved, called: u64) -> Fact {
        let origin = Origin::derived(self.member(), "the return address of the call, and the code before it");
        Fact::new("mem.bad_call", origin)
            .with("called", Address(called))
            .with("function", caller.name.as_str())
            .with_opt("module", caller.module.as_deref())
            .recheck(format!("crash> dis -rl {}", caller.name))
    }

    /// The address of a slot, by the registers as the report has them.
    pub(crate) fn slot_address(&self, slot: &Slot, held: &dyn Fn(&str) -> Option<u64>) -> Option<u64> {
        let base = match (&slot.from, slot.base) {
            (Some(from), _) => self.u64(VirtAddr(self.slot_address(from, held)?)).ok()?,
            (None, Some(register)) => held(register)?,
            (None, None) => 0,
        };
        Some(base.wrapping_add(slot.offset as u64)).filter(|at| self.arch().is_kernel(VirtAddr(*at)))
    }
}

fn named(function: &Resolved) -> String {
    let module = function.module.as_ref().map(|module| format!(" [{module}]")).unwrap_or_default();
    format!("{}{module}", function.name)
}

/// What all bytes say together: one byte over and over, or text.
fn content(bytes: &[u8]) -> Option<String> {
    let first = *bytes.first()?;
    if bytes.iter().all(|byte| *byte == first) {
        // include/linux/poison.h
        let meaning = match first {
            0x6b => ", the poison of freed objects".to_owned(),
            0x5a => ", the poison of objects never written".to_owned(),
            _ if first.is_ascii_graphic() => format!(" ({:?})", char::from(first)),
            _ => String::new(),
        };
        return Some(format!("the byte {first:#04x}{meaning}"));
    }
    let printable = bytes.iter().take_while(|byte| byte.is_ascii_graphic() || **byte == b' ').count();
    // A name at the start of a structure is no text over all of it.
    (printable == bytes.len()).then(|| format!("text: {:?}", String::from_utf8_lossy(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_fills_an_object_is_its_content() {
        assert_eq!(content(&[b'A'; 64]).as_deref(), Some("the byte 0x41 ('A')"));
        assert_eq!(content(&[0x6b; 64]).as_deref(), Some("the byte 0x6b, the poison of freed objects"));
        assert_eq!(
            content(b"GET /index.html HTTP/1.1 Host: www").as_deref(),
            Some("text: \"GET /index.html HTTP/1.1 Host: www\"")
        );
        assert_eq!(content(b"eth0\0\0\0\0\x40\x12\x34\x56\xff\xff\x88\x88"), None);
        assert_eq!(content(&[]), None);
    }
}
