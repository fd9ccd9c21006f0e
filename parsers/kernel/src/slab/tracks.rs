//! Who allocated an object and who freed it, where the cache keeps that (`slub_debug=U`): a `struct track` for each behind
//! the object.

use serde::Serialize;

use crate::{Kernel, VirtAddr};

/// `SLAB_STORE_USER` before cc61eb85bc47 "mm, slab: use an enum to define SLAB_ cache creation flags" (v6.9).
const STORE_USER: u64 = 0x1_0000;
/// TRACK_ADDRS_COUNT
const MAX_ADDRESSES: u64 = 16;
/// More CPUs than any kernel is built for.
const MAX_CPUS: u32 = 65_536;
/// The byte that a freed object is filled with.
const POISON_FREE: u8 = 0x6b;
/// Bytes of an object that are looked at for it.
const LOOKED_AT: usize = 256;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Track {
    /// Functions, innermost first; only that which called the allocator where no stack was kept.
    pub functions: Vec<String>,
    /// Thread id of who did it.
    pub pid: i32,
    /// CPU it was done on.
    pub cpu: u32,
    /// How long ago, nanoseconds.
    pub ago_ns: Option<u64>,
}

impl Track {
    /// `pid 182 on CPU 0, 0.120 s ago, in acme_unlink < acme_write`.
    pub fn text(&self) -> String {
        let ago = self.ago_ns.map(|ns| format!(", {}.{:03} s ago", ns / 1_000_000_000, ns / 1_000_000 % 1000));
        format!(
            "pid {} on CPU {}{}, in {}",
            self.pid,
            self.cpu,
            ago.unwrap_or_default(),
            if self.functions.is_empty() { "?".to_owned() } else { self.functions.join(" < ") }
        )
    }
}

/// Both records of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tracks {
    /// The last allocation.
    pub allocated: Option<Track>,
    /// The last free, also of an object that was allocated again.
    pub freed: Option<Track>,
}

impl Kernel<'_> {
    /// Who allocated and who freed the object of a cache that begins at `object`; `None` where the cache keeps no such
    /// records.
    pub fn slab_tracks(&self, cache: VirtAddr, object: VirtAddr) -> Option<Tracks> {
        let types = self.types();
        let bit = types.enumerator("_SLAB_STORE_USER").and_then(|bit| 1u64.checked_shl(u32::try_from(bit).ok()?));
        if self.value(cache, "kmem_cache", "flags")? & bit.unwrap_or(STORE_USER) == 0 {
            return None;
        }
        let (inuse, link) = (self.value(cache, "kmem_cache", "inuse")?, self.value(cache, "kmem_cache", "offset")?);
        // get_info_end(): behind the pointer to the next free object, where that lies outside.
        let end = (inuse & 0xffff_ffff) + if link & 0xffff_ffff >= inuse & 0xffff_ffff { 8 } else { 0 };
        let size = types.size_of("track")?;
        let at = object + end;
        Some(Tracks { allocated: self.track(at), freed: self.track(at + size) })
    }

    fn track(&self, at: VirtAddr) -> Option<Track> {
        // Of a module that was unloaded since, it has no name.
        let caller = self.pointer(at, "track", "addr").filter(|caller| self.arch.is_kernel(*caller))?;
        let cpu = self.value(at, "track", "cpu").map(|cpu| cpu as u32).filter(|cpu| *cpu < MAX_CPUS)?;
        let types = self.types();
        // A number of the stack depot since 5cf909c553e9 "mm/slub: use stackdepot to save stack trace in objects" (v5.19),
        // return addresses before.
        let mut functions = match self.value(at, "track", "handle") {
            Some(handle) => self.depot_stack(handle as u32),
            None => Vec::new(),
        };
        if let (true, Some(member)) = (functions.is_empty(), types.member("track", "addrs")) {
            let addresses = (0..(member.size / 8).min(MAX_ADDRESSES)).map_while(|nth| {
                self.ptr(at + member.offset + nth * 8).ok().filter(|address| self.arch.is_kernel(*address))
            });
            functions = addresses.filter_map(|back| self.stored_caller(back)).collect();
        }
        if functions.is_empty() {
            functions.push(self.stored_caller(caller).unwrap_or_else(|| format!("{:#x}", caller.0)));
        }
        let ago = self.value(at, "track", "when").zip(self.jiffies()).zip(self.ticks_per_second());
        Some(Track {
            functions,
            pid: self.value(at, "track", "pid")? as u32 as i32,
            cpu,
            ago_ns: ago.and_then(|((when, now), hz)| Some(now.checked_sub(when)?.saturating_mul(1_000_000_000) / hz)),
        })
    }

    /// Whether an object is filled with what `slub_debug=P` fills freed objects with.
    pub fn slab_poisoned(&self, cache: VirtAddr, object: VirtAddr) -> bool {
        let size = self.value(cache, "kmem_cache", "object_size").unwrap_or(0) & 0xffff_ffff;
        let Ok(bytes) = self.bytes(object, usize::try_from(size).unwrap_or(0).min(LOOKED_AT)) else { return false };
        // The last byte is another, and who used it after it was freed may have written some.
        bytes.len() >= 8 && bytes.iter().filter(|byte| **byte == POISON_FREE).count() * 4 > bytes.len() * 3
    }
}

#[cfg(test)]
mod tests {
    use crate::VirtAddr;
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn the_records_lie_behind_the_pointer_to_the_next_free_object() {
        let memory = Memory::new();
        let (cache, object) = (BASE + 0x2_0000, BASE + 0x3_0000);
        memory.put64(cache, 0x1_0800);
        memory.put32(cache + 8, 200);
        memory.put32(cache + 12, 200);
        memory.put32(cache + 16, 192);
        memory.put(object, &[0x6b; 191]);
        memory.put(object + 191, &[0xa5]);
        // At 208: allocated by pid 7 on CPU 1; then freed by pid 9 on CPU 2.
        for (nth, (cpu, pid)) in (0u64..).zip([(1, 7), (2, 9)]) {
            let at = object + 208 + nth * 32;
            memory.put64(at, BASE + 0x100 + nth * 0x100);
            memory.put32(at + 12, cpu);
            memory.put32(at + 16, pid);
        }
        let members = [
            ("kmem_cache", "flags", 0, 8),
            ("kmem_cache", "inuse", 8, 4),
            ("kmem_cache", "offset", 12, 4),
            ("kmem_cache", "object_size", 16, 4),
            ("track", "addr", 0, 8),
            ("track", "cpu", 12, 4),
            ("track", "pid", 16, 4),
        ];
        let symbols = format!("SYMBOL(init_it)={:x}\nSYMBOL(exit_it)={:x}\n", BASE + 0x100, BASE + 0x200);
        let kernel = memory.kernel_with_sizes(&symbols, &members, &[("track", 32)]);
        let tracks = kernel.slab_tracks(VirtAddr(cache), VirtAddr(object)).expect("records");
        let who = |track: Option<super::Track>| track.map(|track| (track.pid, track.cpu));
        assert_eq!((who(tracks.allocated), who(tracks.freed)), (Some((7, 1)), Some((9, 2))));
        assert!(kernel.slab_poisoned(VirtAddr(cache), VirtAddr(object)));
        // Without the flag there are none.
        memory.put64(cache, 0x800);
        assert_eq!(kernel.slab_tracks(VirtAddr(cache), VirtAddr(object)), None);
        memory.put(object, &[0; 100]);
        assert!(!kernel.slab_poisoned(VirtAddr(cache), VirtAddr(object)));
    }
}
