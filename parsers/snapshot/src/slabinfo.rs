//! `/proc/slabinfo`, `memory.kmem.slabinfo` and RHEL 8's `memcg_slabinfo`.

use std::collections::HashSet;

use facts::Fact;
use rustc_hash::FxHashMap;

use crate::node::{Input, Node};

/// One row: a cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cache {
    pub(crate) name: String,
    pub(crate) active: i64,
    pub(crate) total: i64,
    /// Bytes of one object.
    pub(crate) size: i64,
}

impl Cache {
    /// Reads `name active total objsize objs/slab pages/slab : ...`.
    pub(crate) fn row(line: &str) -> Option<Cache> {
        let mut words = line.split_ascii_whitespace();
        let name = words.next()?.to_owned();
        if name.starts_with('#') {
            return None;
        }
        let mut number = || words.next()?.parse::<i64>().ok().filter(|n| *n >= 0);
        Some(Cache { name, active: number()?, total: number()?, size: number()? })
    }

    /// A per-cgroup child: `dentry(123:0a1b...)`.
    pub(crate) fn is_child(&self) -> bool {
        self.name.ends_with(')') && self.name.contains('(')
    }
}

/// Sums over a table, and its largest caches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) caches: i64,
    pub(crate) children: i64,
    pub(crate) dead: i64,
    pub(crate) objs: i64,
    pub(crate) active_objs: i64,
    pub(crate) bytes: i64,
    pub(crate) largest: Vec<Cache>,
}

const LARGEST: usize = 12;

impl Totals {
    pub(crate) fn of(text: &str) -> Totals {
        let mut totals = Totals::default();
        // On kernels that give the caches of a removed cgroup to its parent (5.3 to 5.8, RHEL 8) a table has a row of
        // the same name for each of them.
        let mut caches: FxHashMap<String, Cache> = FxHashMap::default();
        for cache in text.lines().filter_map(Cache::row) {
            totals.caches += 1;
            totals.children += i64::from(cache.is_child());
            totals.dead += i64::from(cache.name.contains(":dead") || cache.name.ends_with("dead"));
            totals.objs = totals.objs.saturating_add(cache.total);
            totals.active_objs = totals.active_objs.saturating_add(cache.active);
            totals.bytes = totals.bytes.saturating_add(cache.total.saturating_mul(cache.size));
            if cache.total > 0 {
                match caches.get_mut(&cache.name) {
                    Some(known) => {
                        known.active = known.active.saturating_add(cache.active);
                        known.total = known.total.saturating_add(cache.total);
                    }
                    None => {
                        caches.insert(cache.name.clone(), cache);
                    }
                }
            }
        }
        totals.largest = largest(caches.into_values().collect());
        totals
    }
}

fn largest(mut caches: Vec<Cache>) -> Vec<Cache> {
    caches.sort_by(|a, b| {
        let size = |c: &Cache| c.total.saturating_mul(c.size);
        size(b).cmp(&size(a)).then_with(|| a.name.cmp(&b.name))
    });
    caches.truncate(LARGEST);
    caches
}

/// `/proc/slabinfo`.
pub(crate) fn read(node: &mut Node, input: &Input<'_>) -> bool {
    if !input.text.contains("<active_objs>") && !input.text.contains("slabinfo - version") {
        return false;
    }
    let totals = Totals::of(input.text);
    if totals.caches == 0 {
        return true;
    }
    node.push(
        Fact::new("node.slab_totals", input.whole())
            .with("caches", totals.caches)
            .with("per_memcg", totals.children)
            .with("objs", totals.objs)
            .with("active_objs", totals.active_objs)
            .with("bytes", totals.bytes)
            .quoting(format!("slabinfo: {} caches, {} bytes", totals.caches, totals.bytes)),
    );
    for cache in &totals.largest {
        node.push(
            Fact::new("node.slabinfo", input.whole())
                .with("cache", cache.name.as_str())
                .with("active_objs", cache.active)
                .with("num_objs", cache.total)
                .with("object_bytes", cache.size)
                .with("bytes", cache.total.saturating_mul(cache.size))
                .quoting(format!("{} {} of {} objects of {} bytes", cache.name, cache.active, cache.total, cache.size)),
        );
    }
    true
}

/// RHEL 8's `/sys/kernel/debug/memcg_slabinfo`: `name css_id[:dead|deact] active num active_slabs num_slabs`, below a row
/// `name root ...` for each cache. `:dead` marks the caches of a cgroup that was removed and lives on; `:deact` those of a
/// removed cgroup that its parent took over (since fb2f2b0adb98): the number is the parent's then, and the removed cgroup
/// is kept by something else if it lives.
pub(crate) fn memcg_slabinfo(node: &mut Node, input: &Input<'_>) -> bool {
    let (mut rows, mut dead, mut taken_over, mut objs) = (0i64, 0i64, 0i64, 0i64);
    let (mut living, mut gone) = (HashSet::new(), HashSet::new());
    for line in input.text.lines().filter(|l| !l.starts_with('#')) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (Some(id), Some(total)) = (words.get(1), words.get(3).and_then(|w| w.parse::<i64>().ok())) else {
            continue;
        };
        if !id.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        rows += 1;
        let (number, state) = id.split_once(':').unwrap_or((id, ""));
        let is_dead = state.split(':').any(|word| word == "dead");
        dead += i64::from(is_dead);
        taken_over += i64::from(state.split(':').any(|word| word == "deact"));
        let groups = if is_dead { &mut gone } else { &mut living };
        if groups.len() < 1_000_000 {
            groups.insert(number);
        }
        objs = objs.saturating_add(total);
    }
    if rows == 0 {
        return false;
    }
    node.push(
        Fact::new("node.memcg_caches", input.whole())
            .with("caches", rows)
            .with("dead", dead)
            .with("taken_over", taken_over)
            .with("objs", objs)
            .with("living_cgroups", count(&living))
            .with("dead_cgroups", count(&gone))
            .quoting(format!(
                "memcg_slabinfo: {rows} per-cgroup caches of {} cgroups, {dead} of them of {} that were removed, {taken_over} \
                 taken over by parents",
                living.len() + gone.len(),
                gone.len()
            )),
    );
    true
}

fn count(groups: &HashSet<&str>) -> i64 {
    i64::try_from(groups.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_cgroups_of_memcg_slabinfo_are_counted_once() {
        let text = "# <name> <css_id[:dead|deact]> <active_objs> <num_objs> <active_slabs> <num_slabs>\n\
                    dentry             root      1000   1200     10     12\n\
                    dentry                 71      10     20      1      1\n\
                    dentry                 72:dead      10     20      1      1\n\
                    inode_cache        root       500    600     10     12\n\
                    inode_cache            72:dead       5     20      1      1\n\
                    inode_cache            73:deact      5     20      1      1\n";
        let (facts, _) = crate::read("memcg_slabinfo", text.as_bytes());
        let value = |name: &str| facts[0].int(name);
        assert_eq!((value("caches"), value("dead"), value("taken_over")), (Some(4), Some(2), Some(1)));
        assert_eq!((value("living_cgroups"), value("dead_cgroups")), (Some(2), Some(1)));
    }

    #[test]
    fn rows_of_one_name_are_one_cache() {
        let rows = "buffer_head 3 39 104 39 1 : tunables 0 0 0 : slabdata 1 1 0\n".repeat(5000);
        let totals = Totals::of(&format!("{rows}dentry 9 21 192 21 1 : tunables 0 0 0 : slabdata 1 1 0\n"));
        let told: Vec<_> = totals.largest.iter().map(|c| (c.name.as_str(), c.active, c.total)).collect();
        assert_eq!(told, [("buffer_head", 15_000, 195_000), ("dentry", 9, 21)]);
        assert_eq!(totals.caches, 5001);
    }

    #[test]
    fn rows_of_both_kinds_are_read() {
        let text = "slabinfo - version: 2.1\n# name <active_objs> <num_objs>\n\
                    dentry(12:0a1b)      210    420    192   21    1 : tunables    0    0    0 : slabdata 10 10 0\n\
                    UDP                  210    210   1088   15    4 : tunables    0    0    0 : slabdata 14 14 0\n";
        let totals = Totals::of(text);
        assert_eq!((totals.caches, totals.children, totals.objs, totals.active_objs), (2, 1, 630, 420));
        assert_eq!(totals.bytes, 420 * 192 + 210 * 1088);
        assert_eq!(totals.largest[0].name, "UDP");
    }
}
