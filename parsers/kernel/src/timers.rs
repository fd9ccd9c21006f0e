//! Timers: how many each CPU has, and which should have run long ago.

use facts::FieldType::{Bool, Int, Text};
use facts::field;
use facts::{Fact, Gap, KindDef};
use serde::Serialize;

use crate::{Kernel, VirtAddr, Walk};

/// Timers looked at in all.
const MAX_TIMERS: usize = 2_000_000;
/// Lists of one wheel: 512 or 576 (LVL_SIZE times LVL_DEPTH).
const MAX_LISTS: u64 = 1024;
/// A timer that is overdue by less may be late because the dump was taken just then.
const OVERDUE_FROM_NS: u64 = 5_000_000_000;
/// From so often on an interrupt that gives up is no accident.
const STORM_FROM: u64 = 1000;
/// A timer that is due within this time is due at once.
const AT_ONCE_NS: u64 = 1_000_000;
/// Wheels of a CPU in the order of their numbers, with a tick that stops when idle. Global since 6.9.
const WHEELS: [&str; 3] = ["standard", "deferrable", "global"];

/// The timers of a CPU of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct TimerQueue {
    /// CPU.
    pub cpu: u32,
    /// `standard`, `deferrable`, `global`: lists by jiffy; `high-resolution`: trees by nanosecond.
    pub kind: &'static str,
    /// Address of its base.
    pub address: VirtAddr,
    /// Timers, or `None` where they are not counted.
    pub timers: Option<usize>,
    /// The timer that is due first.
    pub first: Option<Timer>,
    /// How long that timer is overdue, nanoseconds.
    pub overdue_ns: Option<u64>,
    /// All its timers, those due first first; empty where only the first was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub all: Vec<Timer>,
    /// Timers that cannot be read.
    #[serde(skip)]
    pub(crate) unread: Vec<VirtAddr>,
    /// What the interrupt of the high-resolution timers counts.
    #[serde(flatten)]
    pub interrupt: Option<TimerInterrupt>,
}

/// Counts of `hrtimer_interrupt()` on a CPU.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TimerInterrupt {
    /// Times it came.
    pub events: u64,
    /// Times it gave up for a while, because timers were due again as fast as they ran.
    pub hangs: u64,
    /// Whether the last one did.
    pub hang_detected: bool,
}

/// A timer.
#[derive(Clone, Debug, Serialize)]
pub struct Timer {
    /// Address of its `struct timer_list` or `struct hrtimer`.
    pub address: VirtAddr,
    /// When it is due: jiffies, nanoseconds of monotonic time for a high-resolution one.
    pub expires: u64,
    /// Its function.
    pub function: Option<String>,
    /// Of a high-resolution timer that does not count monotonic time: `realtime`, `boottime`, `tai`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<&'static str>,
    /// Address of its function.
    #[serde(skip)]
    pub(crate) code: Option<VirtAddr>,
}

/// Clocks of the high-resolution timers in the order of their bases (`enum hrtimer_base_type`); since 4.16 each comes
/// twice, the second time for timers that run in a softirq.
const CLOCKS: [Option<&str>; 4] = [None, Some("realtime"), Some("boottime"), Some("tai")];

/// The kinds of facts made here.
pub(crate) const KINDS: &[KindDef] = &[
    KindDef {
        kind: "mem.timer_overdue",
        doc: "A CPU whose first timer should have run long ago: it takes no timer interrupts, or does not get to run timers.",
        fields: &[
            field("cpu", Int, "", "the CPU"),
            field("kind", Text, "", "standard, global, high-resolution"),
            field("function", Text, "", "function of the timer"),
            field("overdue_s", Int, "s", "how long ago it was due"),
            field("timers", Int, "", "timers of that kind on the CPU"),
        ],
    },
    KindDef {
        kind: "mem.hrtimer_storm",
        doc: "A CPU whose interrupt of high-resolution timers did not get done again and again: timers were due as fast as they ran.",
        fields: &[
            field("cpu", Int, "", "the CPU"),
            field("events", Int, "", "times the interrupt came on it"),
            field("hangs", Int, "", "times it gave up for a while"),
            field("now", Bool, "", "the last one gave up, too"),
            field("others", Int, "", "most times that it came on any other CPU"),
            field(
                "function",
                Text,
                "",
                "function of the timer that is due, where it is the module's own or due at once again",
            ),
            field("module", Text, "", "module of that function"),
        ],
    },
];

impl Kernel<'_> {
    /// The queues of timers of each CPU that is present, with the timer of each that is due first.
    pub fn timer_queues(&self) -> Walk<TimerQueue> {
        self.read_timers(false)
    }

    /// The same with all timers.
    pub fn all_timers(&self) -> Walk<TimerQueue> {
        self.read_timers(true)
    }

    fn read_timers(&self, whole: bool) -> Walk<TimerQueue> {
        let mut walk = Walk::default();
        let mut left = MAX_TIMERS;
        let now = self.jiffies().zip(self.ticks_per_second());
        let monotonic = self.timekeeper_ns();
        let bases = (self.timer_bases(), self.hrtimer_bases());
        for cpu in self.cpus_present() {
            for mut queue in self.wheels(*cpu, bases.0, whole, &mut left, &mut walk.gaps) {
                queue.overdue_ns = queue.first.as_ref().zip(now).and_then(|(timer, (jiffies, hz))| {
                    let ticks = (jiffies as i64).wrapping_sub(timer.expires as i64);
                    u64::try_from(ticks).ok()?.checked_mul(1_000_000_000)?.checked_div(hz)
                });
                walk.items.push(queue);
            }
            if let Some(mut queue) = bases.1.and_then(|bases| self.high_resolution(*cpu, bases)) {
                if let Some(bases) = bases.1.filter(|_| whole) {
                    queue.all = self.all_high_resolution(*cpu, bases, &mut walk.gaps);
                    queue.timers = Some(queue.all.len());
                }
                let due = queue.first.as_ref().map(|timer| timer.expires);
                queue.overdue_ns = due.zip(monotonic).and_then(|(due, now)| now.checked_sub(due));
                walk.items.push(queue);
            }
        }
        if left == 0 {
            walk.gaps.push(Gap::new("timers", self.member(), format!("more than {MAX_TIMERS} timers"), ""));
        }
        if walk.items.is_empty() {
            walk.gaps.push(Gap::new(
                "timers",
                self.member(),
                "no symbols of the timer bases, or their layout is not known",
                "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
            ));
        }
        walk
    }

    /// The wheels of a CPU: `timer_bases[]` since 500462a9de65 "timers: Switch to a non-cascading wheel" (v4.8); before,
    /// `tvec_bases` with five arrays of lists.
    fn wheels(
        &self,
        cpu: u32,
        bases: Option<VirtAddr>,
        whole: bool,
        left: &mut usize,
        gaps: &mut Vec<Gap>,
    ) -> Vec<TimerQueue> {
        let types = self.types();
        let mut found = Vec::new();
        if let (Some(variable), Some(vectors), Some(size)) =
            (bases, types.member("timer_base", "vectors"), types.size_of("timer_base"))
        {
            let Some(bases) = self.per_cpu(variable, cpu) else { return found };
            // One without NO_HZ, two with it, three since 6.9, where timers that may move to another CPU have their own.
            let own = |nth: u64| {
                let base = bases + nth * size;
                let clock = self.value(base, "timer_base", "clk").zip(self.jiffies());
                let near =
                    clock.is_some_and(|(clock, now)| clock.abs_diff(now) < 1 << 32 || clock == now & 0xffff_ffff);
                self.value(base, "timer_base", "cpu") == Some(cpu.into()) && near
            };
            let last = (0..3).take_while(|nth| own(*nth)).count() as u64;
            for nth in 0..last {
                let base = bases + nth * size;
                let lists = self.hlists(base + vectors.offset, (vectors.size / 8).min(MAX_LISTS));
                let kind = match (last, nth) {
                    (_, 0) => WHEELS[0],
                    (3, 1) => WHEELS[2],
                    _ => WHEELS[1],
                };
                found.push(self.wheel((cpu, kind, base), lists, whole, left, gaps));
            }
            return found;
        }
        let base = self.symbol_at("tvec_bases").and_then(|variable| self.per_cpu(variable, cpu));
        let Some(base) = base.and_then(|at| self.ptr(at).ok()).filter(|at| self.arch.is_kernel(*at)) else {
            return found;
        };
        // Without the layout there would be no list, which is not the same as no timer.
        if types.member("tvec_base", "tv1.vec").is_none() {
            return found;
        }
        let mut lists = Vec::new();
        for member in ["tv1.vec", "tv2.vec", "tv3.vec", "tv4.vec", "tv5.vec"] {
            let Some(array) = types.member("tvec_base", member) else { continue };
            for nth in 0..(array.size / 16).min(MAX_LISTS) {
                let head = base + array.offset + nth * 16;
                match self.ptr(head) {
                    Ok(first) if first != head && self.arch.is_kernel(first) => lists.push(head),
                    _ => {}
                }
            }
        }
        found.push(self.wheel((cpu, WHEELS[0], base), lists, whole, left, gaps));
        found
    }

    /// Heads of the lists in an array that are not empty.
    fn hlists(&self, array: VirtAddr, count: u64) -> Vec<VirtAddr> {
        let Ok(bytes) = self.bytes(array, (count * 8) as usize) else { return Vec::new() };
        let words = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word));
        (0u64..).zip(words).filter(|(_, word)| *word != 0).map(|(nth, _)| array + nth * 8).collect()
    }

    fn wheel(
        &self,
        (cpu, kind, base): (u32, &'static str, VirtAddr),
        lists: Vec<VirtAddr>,
        whole: bool,
        left: &mut usize,
        gaps: &mut Vec<Gap>,
    ) -> TimerQueue {
        let types = self.types();
        let chained = types.member("timer_list", "entry").is_some_and(|entry| entry.size == 16)
            && types.member("timer_list", "entry.pprev").is_some();
        let (entry, expires) =
            (types.offset("timer_list", "entry").unwrap_or(0), types.offset("timer_list", "expires"));
        let (mut count, mut first, mut found) = (0usize, None::<(u64, VirtAddr)>, Vec::new());
        let mut unread = Vec::new();
        for head in lists {
            let walk = match chained {
                true => self.hlist(head, *left, "timers"),
                false => self.list(head, *left, "timers"),
            };
            *left = left.saturating_sub(walk.items.len());
            gaps.extend(walk.gaps);
            count += walk.items.len();
            for node in walk.items {
                let at = node - entry;
                let due = expires.and_then(|offset| self.u64(at + offset).ok());
                match due {
                    Some(due) if whole => found.push((due, at)),
                    Some(_) => {}
                    None => unread.push(at),
                }
                if let Some(due) = due.filter(|due| first.is_none_or(|(other, _)| *due < other)) {
                    first = Some((due, at));
                }
            }
        }
        let timer = |(expires, address)| {
            let code = self.pointer(address, "timer_list", "function");
            let function = code.and_then(|at| self.symbolize(at));
            Timer { address, expires, function: function.map(|s| s.name), clock: None, code }
        };
        found.sort_unstable();
        let (first, all) = (first.map(timer), found.into_iter().map(timer).collect());
        TimerQueue {
            cpu,
            kind,
            address: base,
            timers: Some(count),
            first,
            overdue_ns: None,
            all,
            unread,
            interrupt: None,
        }
    }

    /// The per-CPU variable that code mentions and of which every CPU's copy knows its own number.
    fn numbered_bases(&self, users: &[&str], structure: &str) -> Option<VirtAddr> {
        let cpus = self.cpus_present();
        let number = self.types().offset(structure, "cpu")?;
        users.iter().flat_map(|name| self.code_references(name)).find(|at| {
            let own =
                |cpu: &u32| self.per_cpu(*at, *cpu).is_some_and(|base| self.u32(base + number).ok() == Some(*cpu));
            // One CPU has number 0, as much memory has.
            cpus.len() > 1 && cpus.iter().all(own)
        })
    }

    pub(crate) fn timer_bases(&self) -> Option<VirtAddr> {
        let users =
            ["get_next_timer_interrupt", "add_timer_on", "run_timer_softirq", "timers_prepare_cpu", "mod_timer"];
        self.symbol_at("timer_bases").or_else(|| self.numbered_bases(&users, "timer_base"))
    }

    pub(crate) fn hrtimer_bases(&self) -> Option<VirtAddr> {
        let users = ["hrtimer_interrupt", "hrtimer_get_next_event", "hrtimer_run_softirq", "hrtimers_prepare_cpu"];
        self.symbol_at("hrtimer_bases").or_else(|| self.numbered_bases(&users, "hrtimer_cpu_base"))
    }

    /// The first high-resolution timer of a CPU on the monotonic clock: base 0, since 4.16 also base 4,
    /// whose timers run in a softirq.
    fn high_resolution(&self, cpu: u32, bases: VirtAddr) -> Option<TimerQueue> {
        let types = self.types();
        let base = self.per_cpu(bases, cpu)?;
        let clocks = types.member("hrtimer_cpu_base", "clock_base")?;
        let size = types.size_of("hrtimer_clock_base")?;
        // The first node: `active.next` until 511885d7061e "lib/timerqueue: Rely on rbtree semantics for next timer"
        // (v5.4), then the tree's leftmost one.
        let paths = ["active.rb_root.rb_leftmost", "active.next", "active.head.rb_leftmost"];
        let node = types.offset("hrtimer", "node").unwrap_or(0);
        let clocks = [0u64, 4]
            .into_iter()
            .filter(|nth| (nth + 1) * size <= clocks.size)
            .map(|nth| base + clocks.offset + nth * size);
        let first = clocks.filter_map(|clock| {
            let at = self.first_value(clock, "hrtimer_clock_base", &paths).filter(|at| *at != 0)?;
            self.hrtimer(VirtAddr(at) - node, None)
        });
        let first = first.min_by_key(|timer| timer.expires);
        let kind = "high-resolution";
        let (all, unread) = (Vec::new(), Vec::new());
        let interrupt = self.timer_interrupt(base);
        Some(TimerQueue { cpu, kind, address: base, timers: None, first, overdue_ns: None, all, unread, interrupt })
    }

    /// Absent without CONFIG_HIGH_RES_TIMERS.
    fn timer_interrupt(&self, base: VirtAddr) -> Option<TimerInterrupt> {
        let count = |name: &str| self.value(base, "hrtimer_cpu_base", name);
        Some(TimerInterrupt {
            events: count("nr_events")? & 0xffff_ffff,
            hangs: count("nr_hangs")? & 0xffff_ffff,
            hang_detected: count("hang_detected")? & 1 == 1,
        })
    }

    fn hrtimer(&self, address: VirtAddr, clock: Option<&'static str>) -> Option<Timer> {
        let expires = self.first_value(address, "hrtimer", &["node.expires.tv64", "node.expires"])?;
        let code = self.pointer(address, "hrtimer", "function");
        let function = code.and_then(|at| self.symbolize(at));
        Some(Timer { address, expires, function: function.map(|s| s.name), clock, code })
    }

    /// All high-resolution timers of a CPU, clock after clock.
    fn all_high_resolution(&self, cpu: u32, bases: VirtAddr, gaps: &mut Vec<Gap>) -> Vec<Timer> {
        let types = self.types();
        let mut found = Vec::new();
        let places = (types.member("hrtimer_cpu_base", "clock_base"), types.size_of("hrtimer_clock_base"));
        let (Some(base), (Some(clocks), Some(size))) = (self.per_cpu(bases, cpu), places) else { return found };
        // The root stands behind the first node or around it, see above.
        let roots = ["active.rb_root.rb_root.rb_node", "active.head.rb_node", "active.head.rb_root.rb_node"];
        let node = types.offset("hrtimer", "node").unwrap_or(0);
        for nth in 0..(clocks.size / size.max(1)).min(16) {
            let clock = base + clocks.offset + nth * size;
            let Some(root) = self.first_value(clock, "hrtimer_clock_base", &roots) else {
                let why = "the layout of their trees is not known";
                gaps.push(Gap::new("high-resolution timers", format!("CPU {cpu}"), why, ""));
                return found;
            };
            let walk = self.rb_tree(Some(VirtAddr(root)).filter(|at| at.0 != 0), MAX_TIMERS, "high-resolution timers");
            gaps.extend(walk.gaps);
            let name = CLOCKS.get((nth % 4) as usize).copied().flatten();
            found.extend(walk.items.into_iter().filter_map(|at| self.hrtimer(at - node, name)));
        }
        found
    }

    /// `mem.timer_overdue` facts. A deferrable timer may wait as long as its CPU is idle.
    pub fn timer_facts(&self) -> (Vec<Fact>, Vec<Gap>) {
        let walk = self.timer_queues();
        let late = walk
            .items
            .iter()
            .filter(|queue| queue.kind != "deferrable" && queue.overdue_ns.is_some_and(|late| late >= OVERDUE_FROM_NS));
        let facts = late.map(|queue| {
            let late = queue.overdue_ns.unwrap_or(0) / 1_000_000_000;
            let function = queue.first.as_ref().and_then(|timer| timer.function.clone());
            Fact::new("mem.timer_overdue", self.origin(queue.address, "timer base"))
                .with("cpu", queue.cpu)
                .with("kind", queue.kind)
                .with_opt("function", function.clone())
                .with("overdue_s", late)
                .with_opt("timers", queue.timers)
                .quoting(format!(
                    "on CPU {} the {} timer {} is {late} s overdue",
                    queue.cpu,
                    queue.kind,
                    function.as_deref().unwrap_or("?")
                ))
                .recheck(format!("crash> timer -C {}", queue.cpu))
                .recheck(format!("drgn> per_cpu(prog['timer_bases'], {})", queue.cpu))
        });
        let facts = facts.chain(self.timer_storms(&walk.items)).collect();
        (facts, walk.gaps)
    }

    /// `mem.hrtimer_storm` facts. The interrupt gives up after three rounds in which timers were due again; that happens now
    /// and then in a guest that got no CPU.
    fn timer_storms(&self, queues: &[TimerQueue]) -> Vec<Fact> {
        let now = self.timekeeper_ns();
        let mut found = Vec::new();
        for queue in queues {
            let Some(counts) = queue.interrupt.filter(|counts| counts.hangs >= STORM_FROM) else { continue };
            let others = queues.iter().filter(|other| other.cpu != queue.cpu);
            let others = others.filter_map(|other| other.interrupt).map(|counts| counts.events).max();
            let first = queue.first.as_ref().filter(|timer| now.is_some_and(|now| timer.expires <= now + AT_ONCE_NS));
            let function = first.and_then(|timer| timer.code).and_then(|at| self.symbolize(at));
            let name = function.as_ref().map(|symbol| symbol.name.clone());
            let of = name.as_ref().map(|name| format!(", {name} is due")).unwrap_or_default();
            found.push(
                Fact::new("mem.hrtimer_storm", self.origin(queue.address, "struct hrtimer_cpu_base"))
                    .with("cpu", queue.cpu)
                    .with("events", counts.events)
                    .with("hangs", counts.hangs)
                    .with("now", counts.hang_detected)
                    .with_opt("others", others)
                    .with_opt("function", name)
                    .with_opt("module", function.and_then(|symbol| symbol.module))
                    .quoting(format!(
                        "on CPU {} the interrupt of high-resolution timers came {} times and gave up {} times{of}",
                        queue.cpu, counts.events, counts.hangs
                    ))
                    .recheck(format!("crash> struct hrtimer_cpu_base.nr_events,nr_hangs hrtimer_bases:{}", queue.cpu))
                    .recheck(format!("drgn> per_cpu(prog['hrtimer_bases'], {})", queue.cpu)),
            );
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn an_interrupt_that_gives_up_thousands_of_times_is_a_storm_and_hundreds_are_none() {
        let memory = Memory::new();
        let base = BASE + 0x2_0000;
        memory.put32(base + 8, 1_607_043);
        memory.put32(base + 12, 33_543);
        memory.put(base + 16, &[1]);
        let members = [
            ("hrtimer_cpu_base", "nr_events", 8, 4),
            ("hrtimer_cpu_base", "nr_hangs", 12, 4),
            ("hrtimer_cpu_base", "hang_detected", 16, 1),
            ("hrtimer_cpu_base", "clock_base", 64, 512),
        ];
        let sizes = &[("hrtimer_clock_base", 64)];
        let kernel = memory.kernel_with_sizes(&format!("SYMBOL(hrtimer_bases)={base:x}\n"), &members, sizes);
        let (facts, _) = kernel.timer_facts();
        let [storm] = facts.as_slice() else { panic!("{facts:?}") };
        assert_eq!(
            (&*storm.kind, storm.int("events"), storm.int("hangs")),
            ("mem.hrtimer_storm", Some(1_607_043), Some(33_543))
        );
        memory.put32(base + 12, 543);
        let kernel = memory.kernel_with_sizes(&format!("SYMBOL(hrtimer_bases)={base:x}\n"), &members, sizes);
        assert_eq!(kernel.timer_facts().0.len(), 0);
    }
}
