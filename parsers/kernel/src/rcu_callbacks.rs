//! Callbacks that wait for a grace period of RCU: what they would free stays in memory until then.

use std::collections::BTreeMap;

use facts::FieldType::{Int, Text};
use facts::plain_field as field;
use facts::{Fact, Gap, KindDef};

use crate::Kernel;

/// Fewer are the daily work of a busy machine: from 10,000 on (`qhimark`) a CPU hurries its grace periods.
const LEAST: u64 = 100_000;
/// Callbacks of a CPU whose functions are counted.
const MAX_SAMPLE: usize = 1000;
/// What stands for a function where `kfree_rcu()` queued an object: the offset of its head (before v5.9).
const MAX_OFFSET: u64 = 4096;

/// The kinds of facts made here.
pub(crate) const KINDS: &[KindDef] = &[KindDef {
    kind: "mem.rcu_callbacks",
    doc: "Very many callbacks wait for a grace period of RCU.",
    fields: &[
        field("waiting", Int, "callbacks on all CPUs"),
        field("cpu", Int, "CPU with the most"),
        field("function", Text, "function of most of those that were looked at"),
        field("module", Text, "module of that function"),
        field("sampled", Int, "how many were looked at"),
        field("share", Int, "percent of these that have that function"),
    ],
}];

impl Kernel<'_> {
    /// The `mem.rcu_callbacks` fact.
    pub fn rcu_callback_facts(&self) -> (Vec<Fact>, Vec<Gap>) {
        // da1df50d1617 "rcu: Remove rcu_state structure's ->rda field" (v4.20): one variable; one for each flavour before.
        let variable =
            ["rcu_data", "rcu_preempt_data", "rcu_sched_data"].into_iter().find_map(|name| self.symbol_at(name));
        let Some(variable) = variable else { return (Vec::new(), Vec::new()) };
        let mut queues = Vec::new();
        for cpu in self.cpus_possible() {
            let Some(at) = self.per_cpu(variable, *cpu) else { continue };
            // 15fecf89e46a "srcu: Abstract multi-tail callback list handling" (v4.12) and what followed: a list with segments.
            let length = self.first_value(at, "rcu_data", &["cblist.len.counter", "cblist.len", "qlen"]);
            // While callbacks are run the count may be below zero.
            let length = length.map(|n| n as i64).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
            queues.push((length, *cpu, at));
        }
        let waiting = queues.iter().fold(0u64, |sum, (length, ..)| sum.saturating_add(*length));
        let Some((_, most, _)) = queues.iter().max().filter(|_| waiting >= LEAST) else {
            return (Vec::new(), Vec::new());
        };
        let mut functions: BTreeMap<u64, usize> = BTreeMap::new();
        for (_, _, at) in &queues {
            let mut next = self.first_value(*at, "rcu_data", &["cblist.head", "nxtlist"]).unwrap_or(0);
            for _ in 0..MAX_SAMPLE {
                let head = crate::VirtAddr(next);
                let (true, Some(function)) = (next != 0, self.value(head, "callback_head", "func")) else { break };
                *functions.entry(function).or_default() += 1;
                next = self.value(head, "callback_head", "next").unwrap_or(0);
            }
        }
        let sampled: usize = functions.values().sum();
        let top = functions.into_iter().max_by_key(|(_, count)| *count);
        let named = top.map(|(function, count)| {
            let symbol = self.symbolize(crate::VirtAddr(function)).filter(|symbol| symbol.offset == 0);
            let module = symbol.as_ref().and_then(|symbol| symbol.module.clone());
            let name = match symbol {
                Some(symbol) => symbol.name,
                None if function < MAX_OFFSET => "kfree_rcu()".to_owned(),
                None => format!("{function:#x}"),
            };
            (name, module, count * 100 / sampled.max(1))
        });
        let of = named.as_ref().map(|(name, ..)| format!(", most of them for {name}")).unwrap_or_default();
        let (name, module, share) =
            named.map_or((None, None, None), |(name, module, share)| (Some(name), module, Some(share)));
        let fact = Fact::new("mem.rcu_callbacks", self.origin(variable, "struct rcu_data"))
            .with("waiting", waiting)
            .with("cpu", *most)
            .with_opt("function", name)
            .with_opt("module", module)
            .with("sampled", sampled)
            .with_opt("share", share)
            .quoting(format!("{waiting} callbacks wait for a grace period of RCU{of}"))
            .recheck(format!("crash> struct rcu_data.cblist rcu_data:{most}"))
            .recheck(format!("drgn> per_cpu(prog['rcu_data'], {most}).cblist"));
        (vec![fact], Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn callbacks_count_from_a_hundred_thousand_on_and_name_their_function() {
        let memory = Memory::new();
        let (data, first) = (BASE + 0x2_0000, BASE + 0x3_0000);
        memory.put64(data, first);
        memory.put64(data + 8, 250_000);
        for nth in 0..3u64 {
            let at = first + nth * 32;
            memory.put64(at, if nth < 2 { at + 32 } else { 0 });
            memory.put64(at + 8, 0xffff_ffff_8100_0000 + if nth == 0 { 0x100 } else { 0 });
        }
        let members = [
            ("rcu_data", "cblist.head", 0, 8),
            ("rcu_data", "cblist.len", 8, 8),
            ("callback_head", "next", 0, 8),
            ("callback_head", "func", 8, 8),
        ];
        let info = format!("SYMBOL(rcu_data)={data:x}\nSYMBOL(i_callback)=ffffffff81000000\n");
        let (facts, _) = memory.kernel_with(&info, &members).rcu_callback_facts();
        let [found] = facts.as_slice() else { panic!("{facts:?}") };
        assert_eq!(
            (found.int("waiting"), found.text("function"), found.int("share")),
            (Some(250_000), Some("i_callback"), Some(66))
        );
        memory.put64(data + 8, 99_999);
        assert!(memory.kernel_with(&info, &members).rcu_callback_facts().0.is_empty());
        memory.put64(data + 8, u64::MAX);
        assert!(memory.kernel_with(&info, &members).rcu_callback_facts().0.is_empty());
    }
}
