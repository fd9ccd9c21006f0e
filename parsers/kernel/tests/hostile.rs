//! Damaged memory: every reader ends, and in time.

mod evidence;

use std::ops::Range;
use std::time::{Duration, Instant};

use dump::Dump;
use evidence::committed;
use kernel::{Arch, Found, Kernel, Missing, Physical, Sources, Why};

/// A memory in which bytes differ and pages are absent, by a seed.
struct Mutated<'a> {
    dump: &'a Dump,
    seed: u64,
    /// One page in this many is damaged.
    one_in: u64,
}

fn mix(mut n: u64) -> u64 {
    n = (n ^ n >> 31).wrapping_mul(0x7fb5_d329_728e_a185);
    n = (n ^ n >> 27).wrapping_mul(0x81da_def4_bc2d_d44d);
    n ^ n >> 33
}

impl Physical for Mutated<'_> {
    fn read(&self, at: u64, buf: &mut [u8]) -> Result<(), Missing> {
        Physical::read(self.dump, at, buf)?;
        for (nth, byte) in buf.iter_mut().enumerate() {
            let at = at + nth as u64;
            let page = mix(at >> 12 ^ self.seed);
            if page.is_multiple_of(self.one_in) {
                match page >> 32 & 3 {
                    0 => return Err(Missing { at, why: Why::Lost }),
                    // Some words of the page: the greatest and the least of signed numbers.
                    1 if mix(at >> 3 ^ page).is_multiple_of(256) => {
                        let number = if page >> 40 & 1 == 0 { i64::MAX } else { i64::MIN };
                        *byte = number.to_le_bytes()[(at & 7) as usize];
                    }
                    // Pointers to elsewhere, small numbers, ones.
                    kind if mix(at >> 3 ^ page).is_multiple_of(64) => {
                        *byte = match kind {
                            1 => mix(at ^ page) as u8,
                            2 => 0,
                            _ => 0xff,
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        Physical::ranges(self.dump)
    }
}

fn read_everything(kernel: &Kernel<'_>) -> usize {
    let log = kernel.log();
    let _ = log.render(kernel::Render { caller: true, boot_time_ns: kernel.boot_time_ns() });
    let mut count = log.records.len() + kernel.symbol_count() + kernel.modules().items.len();
    count += kernel.module_facts().0.len() + kernel.net_facts().0.len() + kernel.slab_facts(20).0.len();
    count += kernel.memcg_facts().0.len() + kernel.ip6mr_facts().0.len() + kernel.fault_injection_facts().len();
    count += kernel.tasks().items.len();
    for facts in [
        kernel.memory_facts(),
        kernel.super_block_facts(),
        kernel.block_facts(),
        kernel.interrupt_facts(),
        kernel.timer_facts(),
        kernel.workqueue_facts(),
        kernel.settings_facts(),
        kernel.stale_facts(),
        kernel.memory_holder_facts(),
        kernel.rcu_callback_facts(),
    ] {
        count += facts.0.len();
    }
    count += kernel.mounts().items.len() + kernel.character_devices().items.len() + kernel.neighbours().items.len();
    count += kernel.all_timers().items.len() + usize::from(kernel.stack_text_fact().is_some());
    count += kernel.machine_interrupts().len()
        + kernel.cpu_interrupts().len()
        + kernel.registered_sysctls(&|_| true).items.len();
    let _ = (kernel.identity(), kernel.build_id(), kernel.command_line());
    // Who waits for whom, with all stacks; run queues; what objects of caches point at.
    count += kernel.task_facts().0.len() + kernel.unloaded_modules().len();
    count += kernel.run_queues().iter().map(|queue| kernel.queued_tasks(queue).items.len()).sum::<usize>();
    for cache in kernel.slab_caches().items.iter().take(2) {
        count += usize::from(kernel.common_pointer(cache.address).is_some());
    }
    for module in kernel.modules().items.iter().take(8) {
        count += kernel.symbols_of_module(&module.name).len();
    }
    count + kernel.gaps().len()
}

#[test]
fn damaged_memory_ends_in_answers_and_gaps() {
    for name in ["netdev-leak", "memcg-zombies"] {
        let dump = Dump::open(&[committed().join(format!("vmcores/{name}.kdump"))]).unwrap();
        for (seed, one_in) in [(1, 3), (2, 10), (3, 30), (4, 100), (5, 300), (6, 1000)] {
            let memory = Mutated { dump: &dump, seed, one_in };
            let found = Found {
                arch: Arch::X86_64,
                vmcoreinfo: dump.vmcoreinfo().map(str::to_owned),
                phys_base: None,
                member: name.into(),
            };
            let kernel = Kernel::over(&memory, found, Sources::default()).unwrap();
            let start = Instant::now();
            assert!(read_everything(&kernel) > 0);
            // Unoptimised, and through a memory that damages byte by byte.
            assert!(start.elapsed() < Duration::from_secs(60), "{name}, seed {seed}: {:?}", start.elapsed());
        }
    }
}

#[test]
fn cut_and_incomplete_dumps_say_what_is_missing() {
    let whole = std::fs::read(committed().join("vmcores/sysrq-crash.kdump")).unwrap();
    let mut dumps = Vec::new();
    for name in ["vmcores/cut.kdump", "formats/a-zlib.incomplete", "formats/a-elf.incomplete"] {
        dumps.push((name.to_owned(), std::fs::read(committed().join(name)).unwrap()));
    }
    for len in [20_000, 100_000, 300_000, 1_500_000, 2_400_000, 2_600_000] {
        dumps.push((format!("sysrq-crash cut to {len} bytes"), whole[..len].to_vec()));
    }
    for (name, bytes) in dumps {
        let Ok(dump) = Dump::from_bytes(vec![(name.clone(), bytes)]) else { continue };
        let Ok(kernel) = Kernel::open(&dump, Sources::default()) else { continue };
        assert!(kernel.release().is_some(), "{name}");
        let log = kernel.log();
        let lost = kernel.vmcoreinfo().text().contains("OSRELEASE=") && log.records.is_empty();
        assert!(!lost || !log.gaps.is_empty(), "{name}: neither records nor gaps");
        assert!(read_everything(&kernel) > 0, "{name}");
    }
}

#[test]
fn a_dump_without_the_note_is_opened_by_the_text_in_its_memory() {
    let formats = committed().join("formats");
    let packed = std::fs::read(formats.join("n-qemu-novmcoreinfo.elf.zst")).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut ruzstd::decoding::StreamingDecoder::new(&packed[..]).unwrap(), &mut bytes).unwrap();
    let dump = Dump::from_bytes(vec![("n".into(), bytes)]).unwrap();
    assert!(dump.vmcoreinfo().is_none());
    let kernel = Kernel::open(&dump, Sources::default()).unwrap();
    assert_eq!(kernel.release().as_deref(), Some("6.1.192-lab"));
    let ours =
        String::from_utf8_lossy(&kernel.log().render(kernel::Render { caller: true, boot_time_ns: None })).into_owned();
    // makedumpfile's caller column is wider; the rest of each line is the same.
    let theirs = std::fs::read_to_string(formats.join("n.makedumpfile.txt")).unwrap();
    let strip = |line: &str| {
        let (time, rest) = line.split_at(14);
        let (caller, text) = rest.trim_start().split_once("] ").unwrap();
        (time.to_owned(), caller.trim_start_matches(['[', ' ']).to_owned(), text.trim_end().to_owned())
    };
    assert_eq!(ours.lines().count(), theirs.lines().count());
    for (a, b) in ours.lines().zip(theirs.lines()) {
        assert_eq!(strip(a), strip(b), "{a:?} {b:?}");
    }
}
