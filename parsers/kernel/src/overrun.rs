//! What was written too far: from where to where it runs, whose memory it began in, and where the same stands.

use std::collections::HashSet;
use std::time::Duration;

use facts::field;
use facts::{Address, Fact, FieldType, KindDef, Origin};

use crate::search::{Bounds, Needle};
use crate::stacks::CallStack;
use crate::{Kernel, VirtAddr};

/// How far it is followed each way.
const MAX_RUN: u64 = 64 << 10;
/// Bytes read at a time.
const STEP: u64 = 64;
/// Text in a stack that is shorter may be there by chance, or be a name that belongs there.
const LEAST_TEXT: usize = 16;
/// Bytes of a stack above the frame that was overwritten.
const MAX_FRAME: usize = 1024;
/// Bytes that are looked for elsewhere, and places that are told.
const SAMPLE: usize = 24;
const MAX_PLACES: usize = 16;
const MAX_SHOWN: usize = 64;

/// The kinds made here.
pub(crate) const KINDS: &[KindDef] = &[KindDef {
    kind: "mem.stack_text",
    doc: "Text that was written over a stack: the return address of the frame is part of it.",
    fields: &[
        field("function", FieldType::Text, "", "function of the innermost frame whose return address it is"),
        field("address", FieldType::Address, "", "where the text begins"),
        field("length", FieldType::Int, "bytes", "how long it is"),
        field("text", FieldType::Text, "", "its start"),
        field("source", FieldType::Text, "", "slab objects that hold the same"),
        field("what", FieldType::Text, "", "all of it in words"),
    ],
}];

/// Which bytes are part of what was written.
#[derive(Clone, Copy)]
enum Pattern {
    Byte(u8),
    Text,
}

impl Pattern {
    /// Of a pointer that was written over: one byte again and again, or text. Poison is no such thing.
    fn of(word: u64) -> Option<Pattern> {
        let bytes = word.to_le_bytes();
        let first = bytes[0];
        let one = bytes.iter().all(|byte| *byte == first);
        // Two kinds of poison are letters.
        let poison = matches!(first, 0 | 0xff | 0x6b | 0x5a | 0xa5 | 0xcc | 0xbb);
        match one {
            true => (!poison).then_some(Pattern::Byte(first)),
            false => bytes.iter().all(|byte| is_text(*byte)).then_some(Pattern::Text),
        }
    }

    fn has(self, byte: u8) -> bool {
        match self {
            Pattern::Byte(own) => own == byte,
            Pattern::Text => is_text(byte),
        }
    }
}

fn is_text(byte: u8) -> bool {
    byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\n')
}

impl Kernel<'_> {
    /// In words, how far what was written over the word at `place` runs, where it crosses into the object of that word from
    /// another one: which one it began in, and who points there.
    pub(crate) fn overrun(&self, place: u64, word: u64) -> Option<String> {
        let pattern = Pattern::of(word)?;
        let (start, end) = (self.run_back(place, pattern), self.run_on(place, pattern));
        let victim = self.slab_object(VirtAddr(place))?;
        let first = self.slab_object(VirtAddr(start)).filter(|first| first.start != victim.start)?;
        let size = self.value(first.cache, "kmem_cache", "object_size").map(|size| size & 0xffff_ffff)?;
        let within = start - first.start.0;
        // The last bytes of an object may be the same by chance; what was written too far fills the object to its end.
        let holders = self.module_references(&HashSet::from([first.start.0]));
        let holder = holders.first().map(|holder| {
            let name = holder.symbol.clone().unwrap_or_else(|| holder.at.to_string());
            format!(", to which {name} [{}] points", holder.module)
        });
        let what = match pattern {
            Pattern::Byte(byte) => format!("the bytes {byte:#04x}"),
            Pattern::Text => "the text".to_owned(),
        };
        let at = if within == 0 { "the start".to_owned() } else { format!("offset {within:#x}") };
        Some(format!(
            "{what} begin{} at {at} of {} object {}{}: {} bytes from {start:#x} on, of which that object has room for {}",
            if matches!(pattern, Pattern::Text) { "s" } else { "" },
            first.cache_name,
            first.start,
            holder.unwrap_or_default(),
            end - start,
            size.saturating_sub(within),
        ))
    }

    fn run_back(&self, place: u64, pattern: Pattern) -> u64 {
        let mut start = place;
        while place - start < MAX_RUN {
            let Ok(bytes) = self.bytes(VirtAddr(start.wrapping_sub(STEP)), STEP as usize) else { break };
            let run = bytes.iter().rev().take_while(|byte| pattern.has(**byte)).count() as u64;
            start -= run;
            if run < STEP {
                break;
            }
        }
        start
    }

    fn run_on(&self, place: u64, pattern: Pattern) -> u64 {
        let mut end = place;
        while end - place < MAX_RUN {
            let Ok(bytes) = self.bytes(VirtAddr(end), STEP as usize) else { break };
            let run = bytes.iter().take_while(|byte| pattern.has(**byte)).count() as u64;
            end += run;
            if run < STEP {
                break;
            }
        }
        end
    }

    /// The `mem.stack_text` fact of the task that crashed: where a return address is text, and what it is part of.
    pub fn stack_text_fact(&self) -> Option<Fact> {
        let stack = self.cpu_stack(self.crashed()?.cpu)?;
        let (function, sp) = torn_frame(&stack)?;
        let bytes = (1..=MAX_FRAME / 64).rev().find_map(|n| self.bytes(VirtAddr(sp), n * 64).ok())?;
        let (offset, length) = longest_text(&bytes)?;
        let at = sp + offset as u64;
        let text = String::from_utf8_lossy(bytes.get(offset..offset + length.min(MAX_SHOWN))?).into_owned();
        let source = self.same_text(at, bytes.get(offset..)?.get(..SAMPLE.min(length))?);
        let cut = if length > MAX_SHOWN { "..." } else { "" };
        let from = source.as_ref().map(|source| format!("; the same stands in {source}")).unwrap_or_default();
        let what = format!(
            "text was written over the stack of {function}, {length} bytes from {at:#x} on: {text:?}{cut}{from}"
        );
        let origin = Origin::derived(self.member(), "the stack of the task that crashed");
        Some(
            Fact::new("mem.stack_text", origin)
                .with("function", without_module(&function))
                .with("address", Address(at))
                .with("length", length)
                .with("text", text)
                .with_opt("source", source)
                .with("what", what.as_str())
                .quoting(what)
                .recheck(format!("crash> rd -a {at:#x}")),
        )
    }

    /// Slab objects that hold these bytes.
    fn same_text(&self, own: u64, sample: &[u8]) -> Option<String> {
        let bounds = Bounds { limit: MAX_PLACES, time: Duration::from_secs(2) };
        let found = self.search(&Needle::Bytes(sample.to_vec()), bounds, &|_, _| ());
        let own = self.translate(VirtAddr(own)).ok();
        let elsewhere = found.places.items.into_iter().filter(|at| Some(*at) != own);
        let objects = elsewhere.filter_map(|at| {
            let object = self.slab_object(self.phys_to_virt(at.0)?)?;
            let state = if object.allocated == Some(false) { ", free" } else { "" };
            Some(format!("{} object {} + {:#x}{state}", object.cache_name, object.start, object.offset))
        });
        let objects: Vec<String> = objects.take(3).collect();
        (!objects.is_empty()).then(|| objects.join(", "))
    }
}

/// The innermost frame whose return address is eight characters, with its stack pointer.
fn torn_frame(stack: &CallStack) -> Option<(String, u64)> {
    let torn = stack
        .frames
        .iter()
        .position(|frame| frame.name.is_none() && frame.pc.0.to_le_bytes().iter().all(|b| is_text(*b)))?;
    let inner = torn.checked_sub(1)?;
    let frame = stack.frames.get(inner)?;
    let module = frame.module.as_ref().map(|module| format!(" [{module}]")).unwrap_or_default();
    Some((format!("{}{module}", frame.name.as_ref()?), *stack.sps.get(inner)?))
}

fn without_module(function: &str) -> &str {
    function.split(' ').next().unwrap_or(function)
}

/// The longest run of text: offset and bytes.
fn longest_text(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut best = (0, 0);
    let mut start = 0;
    for (at, byte) in bytes.iter().chain(&[0]).enumerate() {
        if !is_text(*byte) {
            if at - start > best.1 {
                best = (start, at - start);
            }
            start = at + 1;
        }
    }
    (best.1 >= LEAST_TEXT).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn poison_and_pointers_are_no_text() {
        assert!(matches!(Pattern::of(0x4141_4141_4141_4141), Some(Pattern::Byte(0x41))));
        assert!(matches!(Pattern::of(u64::from_le_bytes(*b"ong-for-")), Some(Pattern::Text)));
        for word in [0, u64::MAX, 0x6b6b_6b6b_6b6b_6b6b, 0xffff_8880_0123_4560, 0xcccc_cccc_cccc_cccc] {
            assert!(Pattern::of(word).is_none(), "{word:#x}");
        }
    }

    #[test]
    fn a_run_is_followed_both_ways_to_its_ends() {
        let memory = Memory::new();
        memory.put(BASE + 0x2_09c0, &[b'A'; 160]);
        let kernel = memory.kernel("");
        let pattern = Pattern::of(0x4141_4141_4141_4141).unwrap();
        assert_eq!(kernel.run_back(BASE + 0x2_0a40, pattern), BASE + 0x2_09c0);
        assert_eq!(kernel.run_on(BASE + 0x2_0a40, pattern), BASE + 0x2_0a60);
    }

    #[test]
    fn short_texts_are_names() {
        assert_eq!(longest_text(b"\0\0eth0\0backup-volume-name-too-long\0\x01"), Some((7, 27)));
        assert_eq!(longest_text(b"\0\0eth0\0swapper/0\0"), None);
    }
}
