//! The settings that the kernel has registered: the tables behind /proc/sys, walked from their root as the kernel walks
//! them. They name every setting, also where the variables behind them have no symbols.

use std::collections::{BTreeMap, HashSet};

use facts::Gap;

use crate::settings::Sysctl;
use crate::{Kernel, VirtAddr, Walk};

/// Settings and directories of one tree. A machine has some 1,500; each network device has 60 of its own.
const MAX_ENTRIES: usize = 200_000;
/// Directories inside one another: net.ipv4.conf.eth0 has four.
const MAX_DEPTH: usize = 16;
/// Entries of one table.
const MAX_TABLE: u64 = 4096;
/// Numbers of one setting that are shown.
const MAX_NUMBERS: u64 = 64;
/// Bytes of a setting that is text.
const MAX_TEXT: u64 = 4096;
/// USER_HZ: clock ticks a second as programs see them, on x86-64 and arm64.
const USER_HZ: i128 = 100;
/// Beyond it a number is no longer exact where JSON is read as floating point.
const MAX_EXACT: i128 = 1 << 53;
/// S_IFMT, S_IFDIR, S_IFLNK
const TYPE_MASK: u64 = 0o170_000;
const DIRECTORY: u64 = 0o040_000;
const LINK: u64 = 0o120_000;

/// Functions that name the root of the tables, newest first; where variables have no symbols it is found by their code
/// (`grab_header()` is part of those of proc_sys_*).
const USERS: [&str; 9] = [
    "register_sysctl_sz",
    "__register_sysctl_init",
    "register_sysctl",
    "register_sysctl_table",
    "__register_sysctl_paths",
    "register_sysctl_paths",
    "proc_sys_lookup",
    "proc_sys_readdir",
    "proc_sys_permission",
];

/// How the bytes of a setting are shown, which its `proc_handler` decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Numbers of that many bytes, signed or not, in that unit.
    Numbers { size: u64, signed: bool, unit: Unit },
    /// One byte, whatever length the table tells.
    Bool,
    /// Text up to its NUL.
    Text,
    /// A handler of a subsystem, which may show something else than what is stored.
    Own,
}

/// What a stored number counts, and so what is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Shown as it is.
    Plain,
    /// Stored in ticks of the timer, shown in seconds.
    Seconds,
    /// Stored in ticks, shown in clock ticks of [`USER_HZ`].
    ClockTicks,
    /// Stored in ticks, shown in milliseconds.
    Milliseconds,
}

impl Form {
    /// By the name of the handler: those of kernel/sysctl.c say in their name what they read, and those that check a value
    /// before they store it (`proc_dointvec_minmax_sysadmin`, `neigh_proc_dointvec_jiffies`) have such a name in theirs.
    fn of(handler: &str) -> Form {
        let unit = match handler {
            name if name.contains("userhz_jiffies") => Unit::ClockTicks,
            name if name.contains("ms_jiffies") => Unit::Milliseconds,
            name if name.contains("jiffies") => Unit::Seconds,
            _ => Unit::Plain,
        };
        match handler {
            // Counts packets where bytes are stored.
            name if name.contains("unres_qlen") => Form::Own,
            // Check what is written and show what proc_doulongvec_minmax does.
            name if name.contains("doulongvec") || name.starts_with("proc_dohung_task_") => {
                Form::Numbers { size: 8, signed: false, unit }
            }
            name if name.contains("douintvec") => Form::Numbers { size: 4, signed: false, unit },
            name if name.contains("dointvec") => Form::Numbers { size: 4, signed: true, unit },
            // a2071573d634 "sysctl: introduce new proc handler proc_dobool" (v5.15), cb9444130662 "sysctl: add
            // proc_dou8vec_minmax()" (v5.13).
            name if name.contains("dou8vec") => Form::Numbers { size: 1, signed: false, unit },
            name if name.contains("proc_dobool") => Form::Bool,
            name if name.starts_with("proc_dostring") => Form::Text,
            _ => Form::Own,
        }
    }
}

impl Unit {
    fn shown(self, stored: i128, hz: Option<u64>) -> Option<i128> {
        let hz = |per: i128| stored.checked_mul(per)?.checked_div(i128::from(hz?));
        match self {
            Unit::Plain => Some(stored),
            Unit::Seconds => hz(1),
            Unit::ClockTicks => hz(USER_HZ),
            Unit::Milliseconds => hz(1000),
        }
    }
}

/// An entry of a table.
struct Entry {
    name: String,
    /// Its `struct ctl_table`.
    at: VirtAddr,
    header: VirtAddr,
    mode: u64,
}

/// Where the members lie that every entry is read by.
struct Layout {
    node: u64,
    node_header: u64,
    node_size: u64,
    nodes: u64,
    table: u64,
    entry_size: u64,
    name: u64,
    mode: u64,
    dir_header: u64,
    tree: u64,
}

impl Kernel<'_> {
    /// All settings that this kernel has registered, of the first network namespace where there are several, by name.
    /// `wanted` is asked for the name of each setting, and for that of each directory, with a dot at its end.
    pub fn registered_sysctls(&self, wanted: &dyn Fn(&str) -> bool) -> Walk<Sysctl> {
        let gap = |why: &str, closes: &str| Walk::gap(Gap::new("registered settings", self.member(), why, closes));
        let Some(layout) = self.sysctl_layout() else {
            return gap(
                "the layout of struct ctl_table_header or ctl_table is not known",
                "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
            );
        };
        let Some(root) = self.sysctl_root() else {
            return gap(
                "no symbol sysctl_table_root, and no code that leads to it",
                "a vmlinux or System.map of this kernel (--vmlinux, --system-map)",
            );
        };
        // What belongs to a network namespace stands in a tree of its own: 4344475797a1 "[NET]: Implement the per network
        // namespace sysctl infrastructure" (v2.6.25), merged with the other when it is looked at.
        let net = self.symbol_at("init_net").and_then(|net| self.place(net, "net", "sysctls.dir"));
        let mut tree =
            Tree { kernel: self, layout, wanted, seen: HashSet::new(), found: BTreeMap::new(), gaps: Vec::new() };
        for directory in [Some(root), net].into_iter().flatten() {
            tree.directory(directory, "", 0);
        }
        let hz = self.ticks_per_second();
        let mut walk = Walk { items: Vec::new(), gaps: tree.gaps };
        let mut unread = Vec::new();
        for (name, entry) in tree.found {
            let setting = self.setting(name, &entry, hz, &mut unread);
            walk.items.extend(setting);
        }
        if let Some(first) = unread.first() {
            walk.gaps.push(Gap::new(
                format!("values of {} settings, {first} among them", unread.len()),
                self.member(),
                "their variables are not in the dump",
                "a dump with fewer pages left out",
            ));
        }
        walk
    }

    fn sysctl_layout(&self) -> Option<Layout> {
        let types = self.types();
        Some(Layout {
            node: types.offset("ctl_node", "node")?,
            node_header: types.offset("ctl_node", "header")?,
            node_size: types.size_of("ctl_node").filter(|size| *size > 0)?,
            nodes: types.offset("ctl_table_header", "node")?,
            table: types.offset("ctl_table_header", "ctl_table")?,
            entry_size: types.size_of("ctl_table").filter(|size| *size > 0)?,
            name: types.offset("ctl_table", "procname")?,
            mode: types.offset("ctl_table", "mode")?,
            dir_header: types.offset("ctl_dir", "header")?,
            tree: types.offset("ctl_dir", "root.rb_node")?,
        })
    }

    /// The `struct ctl_dir` of the root. Its header knows the root and the set that it is of.
    fn sysctl_root(&self) -> Option<VirtAddr> {
        let types = self.types();
        let set = types.offset("ctl_table_root", "default_set")?;
        let dir = types.offset("ctl_table_set", "dir")?;
        let header = types.offset("ctl_dir", "header")?;
        let fits = |root: &VirtAddr| {
            let at = *root + set + dir + header;
            self.pointer(at, "ctl_table_header", "root") == Some(*root)
                && self.pointer(at, "ctl_table_header", "set") == Some(*root + set)
        };
        let named = self.symbol_at("sysctl_table_root").filter(fits);
        let root = named.or_else(|| {
            // Functions name the root, its set, or what is registered in it.
            let places = USERS.iter().flat_map(|name| self.code_references(name));
            let roots = places.flat_map(|at| [at, at - set, at - (set + dir), at - (set + dir + header)]);
            { roots }.find(fits)
        })?;
        Some(root + set + dir)
    }

    /// The variable of a setting whose entry names none: its handler reads it.
    fn shown_by(&self, handler: &str) -> Option<VirtAddr> {
        match handler {
            // eaee41727e6d "sysctl/sysrq: Remove __sysrq_enabled copy" (v5.11): sysrq_mask() is 1 or the variable, which is
            // the last that it reads.
            "sysrq_sysctl_handler" => {
                let named = self.symbol_at("sysrq_enabled");
                named.or_else(|| self.code_references("sysrq_mask").last().copied())
            }
            "sysctl_max_threads" => {
                let named = self.symbol_at("max_threads");
                // It stands in the structure that the first reference begins, or is that reference.
                named.or_else(|| self.max_threads_in_code())
            }
            _ => None,
        }
    }

    /// `max_threads` as `set_max_threads()` has computed it: half of the memory in stacks of tasks at most, 20 at least.
    fn max_threads_in_code(&self) -> Option<VirtAddr> {
        let least = self.tasks().items.len() as u64 / 2;
        let sound = |at: &VirtAddr| self.u32(*at).is_ok_and(|n| (least.max(20)..0x3fff_ffff).contains(&u64::from(n)));
        self.code_references("sysctl_max_threads").into_iter().skip(1).find(sound)
    }

    /// What stands in an entry. `None` for one without a value: a setting that is only a place to write to.
    fn setting(&self, name: String, entry: &Entry, hz: Option<u64>, unread: &mut Vec<String>) -> Option<Sysctl> {
        let handler = self.pointer(entry.at, "ctl_table", "proc_handler")?;
        let handler = self.symbolize(handler).filter(|symbol| symbol.offset == 0).map(|symbol| symbol.name);
        let data = self.pointer(entry.at, "ctl_table", "data");
        let bytes = self.value(entry.at, "ctl_table", "maxlen").unwrap_or(0) & 0xffff_ffff;
        let form = handler.as_deref().map_or(Form::Own, Form::of);
        let mut setting =
            Sysctl { name, value: None, text: None, stored: false, address: entry.at, symbol: None, handler };
        let Some(data) = data.or_else(|| self.shown_by(setting.handler.as_deref()?)) else { return Some(setting) };
        // What a handler of its own reads is one int in all of these.
        let bytes = if bytes == 0 { 4 } else { bytes };
        setting.address = data;
        let symbol = self.symbolize(data).filter(|symbol| symbol.offset == 0 && symbol.module.is_none());
        setting.symbol = symbol.map(|symbol| symbol.name);
        let read = match form {
            Form::Text => self.cstr(data, bytes.min(MAX_TEXT) as usize).ok().map(|text| (None, text)),
            Form::Bool => self.numbers(data, 1, (1, false), Some),
            Form::Numbers { size, signed, unit } => self.numbers(data, bytes, (size, signed), |n| unit.shown(n, hz)),
            Form::Own => {
                setting.stored = true;
                match bytes {
                    4 => self.numbers(data, 4, (4, true), Some),
                    // One number, or two in a row.
                    8 => self.u64(data).ok().map(|word| (None, format!("{word:#x}"))),
                    _ => return Some(setting),
                }
            }
        };
        match read {
            Some((value, text)) => {
                setting.value =
                    value.filter(|value| value.abs() <= MAX_EXACT).and_then(|value| i64::try_from(value).ok());
                setting.text = Some(text);
            }
            None => unread.push(setting.name.clone()),
        }
        Some(setting)
    }

    /// Numbers in a row: the only one, and all as the kernel writes them.
    fn numbers(
        &self,
        at: VirtAddr,
        bytes: u64,
        (size, signed): (u64, bool),
        shown: impl Fn(i128) -> Option<i128>,
    ) -> Option<(Option<i128>, String)> {
        let count = (bytes / size).min(MAX_NUMBERS);
        let numbers = (0..count).map(|nth| {
            let stored = self.uint(at + nth * size, size).ok()?;
            shown(match (signed, size) {
                (true, 4) => i128::from(stored as i32),
                (true, _) => i128::from(stored as i64),
                (false, _) => i128::from(stored),
            })
        });
        let numbers = numbers.collect::<Option<Vec<i128>>>()?;
        let only = match numbers.as_slice() {
            [only] => Some(*only),
            _ => None,
        };
        let text: Vec<String> = numbers.iter().map(i128::to_string).collect();
        Some((only, text.join("\t")))
    }
}

/// A walk through directories.
struct Tree<'k, 'm> {
    kernel: &'k Kernel<'m>,
    layout: Layout,
    wanted: &'k dyn Fn(&str) -> bool,
    /// Directories that were entered.
    seen: HashSet<u64>,
    found: BTreeMap<String, Entry>,
    gaps: Vec<Gap>,
}

impl Tree<'_, '_> {
    fn directory(&mut self, directory: VirtAddr, prefix: &str, depth: usize) {
        if depth >= MAX_DEPTH || !self.seen.insert(directory.0) {
            self.gaps.push(Gap::new(
                "registered settings",
                format!("directory {directory}, {prefix}"),
                "it stands in itself, or too deep",
                "",
            ));
            return;
        }
        let left = MAX_ENTRIES.saturating_sub(self.found.len() + self.seen.len());
        let root = self.kernel.ptr(directory + self.layout.tree).ok().filter(|root| root.0 != 0);
        let nodes = self.kernel.rb_tree(root, left, "registered settings");
        self.gaps.extend(nodes.gaps);
        let mut unread = 0usize;
        for node in nodes.items {
            let Some(entry) = self.entry(node) else {
                unread += 1;
                continue;
            };
            let name = format!("{prefix}{}", entry.name);
            match entry.mode & TYPE_MASK {
                DIRECTORY => {
                    let name = format!("{name}.");
                    if (self.wanted)(&name) {
                        self.directory(entry.header - self.layout.dir_header, &name, depth + 1);
                    }
                }
                // To the same name in the tree of a namespace.
                LINK => {}
                _ if (self.wanted)(&name) => {
                    self.found.insert(name, entry);
                }
                _ => {}
            }
        }
        if unread > 0 {
            let place = format!("directory {directory}, {prefix}");
            let why = format!("{unread} entries cannot be read");
            self.gaps.push(Gap::new("registered settings", place, why, ""));
        }
    }

    /// The entry of a node: nodes and entries of one header stand in the same order.
    fn entry(&self, node: VirtAddr) -> Option<Entry> {
        let (kernel, layout) = (self.kernel, &self.layout);
        let node = node - layout.node;
        let header = kernel.ptr(node + layout.node_header).ok().filter(|at| kernel.arch.is_kernel(*at))?;
        let first = kernel.ptr(header + layout.nodes).ok()?;
        let behind = node.0.checked_sub(first.0)?;
        let nth = behind / layout.node_size;
        // 18d4b42eda46 "sysctl: Add ctl_table_size to ctl_table_header" (v6.6); an empty entry at the end before.
        let count = kernel.value(header, "ctl_table_header", "ctl_table_size").unwrap_or(MAX_TABLE);
        if behind % layout.node_size != 0 || nth >= count.min(MAX_TABLE) {
            return None;
        }
        let at = kernel.ptr(header + layout.table).ok()? + nth * layout.entry_size;
        let name = kernel.ptr(at + layout.name).ok()?;
        let name = kernel.cstr(name, 256).ok().filter(|name| !name.is_empty())?;
        let mode = u64::from(kernel.u16(at + layout.mode).ok()?);
        Some(Entry { name, at, header, mode })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn a_handler_s_name_says_how_a_setting_is_shown() {
        let numbers = |size, signed, unit| Form::Numbers { size, signed, unit };
        for (handler, form) in [
            ("proc_dointvec", numbers(4, true, Unit::Plain)),
            ("proc_dointvec_minmax_sysadmin", numbers(4, true, Unit::Plain)),
            ("proc_douintvec_minmax", numbers(4, false, Unit::Plain)),
            ("proc_doulongvec_minmax", numbers(8, false, Unit::Plain)),
            ("proc_doulongvec_ms_jiffies_minmax", numbers(8, false, Unit::Milliseconds)),
            ("proc_dointvec_jiffies", numbers(4, true, Unit::Seconds)),
            ("neigh_proc_dointvec_userhz_jiffies", numbers(4, true, Unit::ClockTicks)),
            ("neigh_proc_dointvec_unres_qlen", Form::Own),
            ("proc_dou8vec_minmax", numbers(1, false, Unit::Plain)),
            ("proc_dostring_coredump", Form::Text),
            ("proc_dohung_task_timeout_secs", numbers(8, false, Unit::Plain)),
            ("nf_log_proc_dostring", Form::Own),
            ("proc_do_large_bitmap", Form::Own),
            ("sysctl_max_threads", Form::Own),
        ] {
            assert_eq!(Form::of(handler), form, "{handler}");
        }
        assert_eq!(Unit::Seconds.shown(7500, Some(250)), Some(30));
        assert_eq!(Unit::ClockTicks.shown(25, Some(250)), Some(10));
        assert_eq!(Unit::Milliseconds.shown(-250, Some(250)), Some(-1000));
        assert_eq!(Unit::Seconds.shown(7500, None), None);
    }

    const MEMBERS: &[(&str, &str, u64, u64)] = &[
        ("ctl_table_root", "default_set", 0, 0x80),
        ("ctl_table_set", "dir", 8, 0x70),
        ("ctl_dir", "header", 0, 0x60),
        ("ctl_dir", "root.rb_node", 0x60, 8),
        ("ctl_node", "node", 0, 24),
        ("ctl_node", "header", 24, 8),
        ("ctl_table_header", "ctl_table", 0, 8),
        ("ctl_table_header", "ctl_table_size", 8, 4),
        ("ctl_table_header", "root", 16, 8),
        ("ctl_table_header", "set", 24, 8),
        ("ctl_table_header", "node", 32, 8),
        ("ctl_table", "procname", 0, 8),
        ("ctl_table", "data", 8, 8),
        ("ctl_table", "maxlen", 16, 4),
        ("ctl_table", "mode", 20, 2),
        ("ctl_table", "proc_handler", 24, 8),
    ];

    #[test]
    fn settings_are_found_in_their_directories_and_a_circle_ends_in_a_gap() {
        let memory = Memory::new();
        let root = BASE + 0x2_0000;
        let directory = root + 8;
        memory.put64(directory + 16, root);
        memory.put64(directory + 24, root);
        // The root's only entry: the directory kernel, whose header lies in its ctl_dir.
        let (kernel_dir, nodes, table, names) = (BASE + 0x2_1000, BASE + 0x2_2000, BASE + 0x2_3000, BASE + 0x2_4000);
        let entry = |node: u64, header: u64, right: u64, at: u64, name: u64, mode: u32| {
            memory.put64(node + 8, right);
            memory.put64(node + 16, 0);
            memory.put64(node + 24, header);
            memory.put64(at, name);
            memory.put32(at + 20, mode);
        };
        memory.put64(directory + 0x60, nodes);
        memory.put64(kernel_dir, table);
        memory.put32(kernel_dir + 8, 1);
        memory.put64(kernel_dir + 32, nodes);
        entry(nodes, kernel_dir, 0, table, names, 0o040_555);
        memory.put(names, b"kernel\0");
        // Two settings of one header in it; a third node belongs to no entry of the table.
        let (header, first, settings) = (BASE + 0x2_5000, BASE + 0x2_6000, BASE + 0x2_7000);
        memory.put64(kernel_dir + 0x60, first);
        memory.put64(header, settings);
        memory.put32(header + 8, 2);
        memory.put64(header + 32, first);
        entry(first, header, first + 32, settings, names + 0x20, 0o644);
        entry(first + 32, header, first + 64, settings + 32, names + 0x40, 0o644);
        entry(first + 64, header, 0, settings + 64, names + 0x40, 0o644);
        memory.put(names + 0x20, b"panic\0");
        memory.put(names + 0x40, b"sysrq\0");
        for (nth, value) in [(0, -1i32), (1, 176)] {
            memory.put64(settings + nth * 32 + 8, BASE + 0x2_8000 + nth * 4);
            memory.put32(settings + nth * 32 + 16, 4);
            memory.put64(settings + nth * 32 + 24, BASE + 0x3_0000);
            memory.put32(BASE + 0x2_8000 + nth * 4, value as u32);
        }
        let sizes: &[(&str, u64)] = &[("ctl_node", 32), ("ctl_table", 32)];
        let kernel = memory.kernel_with_sizes(&format!("SYMBOL(sysctl_table_root)={root:x}\n"), MEMBERS, sizes);
        let walk = kernel.registered_sysctls(&|_| true);
        let found: Vec<_> = walk.items.iter().map(|s| (s.name.as_str(), s.value, s.stored)).collect();
        assert_eq!(found, [("kernel.panic", Some(-1), true), ("kernel.sysrq", Some(176), true)]);
        assert_eq!(walk.gaps.len(), 1, "{:?}", walk.gaps);
        let walk = kernel.registered_sysctls(&|name| name != "kernel.");
        assert!(walk.items.is_empty() && walk.gaps.is_empty());
        // kernel.panic becomes the directory it stands in.
        memory.put32(settings + 20, 0o040_555);
        memory.put64(first + 24, kernel_dir);
        memory.put64(kernel_dir, settings);
        memory.put64(kernel_dir + 32, first);
        assert!(!kernel.registered_sysctls(&|_| true).gaps.is_empty());
    }
}
