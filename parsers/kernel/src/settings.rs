//! What the machine was told and how it stands: command line, uptime, taint, sysctls, live patches.

use facts::FieldType::{Int, List, Text};
use facts::field;
use facts::{Fact, Gap, KindDef, Value};
use serde::Serialize;

use crate::{Kernel, Walk};

const MAX_PATCHES: usize = 1000;
const MAX_FUNCTIONS: usize = 100_000;

/// A sysctl: its name, the variables it may be (newest first), bytes.
const SYSCTLS: &[(&str, &[&str], u64)] = &[
    ("kernel.hardlockup_panic", &["hardlockup_panic"], 4),
    ("kernel.hung_task_panic", &["sysctl_hung_task_panic"], 4),
    ("kernel.hung_task_timeout_secs", &["sysctl_hung_task_timeout_secs"], 8),
    ("kernel.modules_disabled", &["modules_disabled"], 4),
    ("kernel.panic", &["panic_timeout"], 4),
    ("kernel.panic_on_oops", &["panic_on_oops"], 4),
    ("kernel.panic_on_rcu_stall", &["sysctl_panic_on_rcu_stall"], 4),
    ("kernel.panic_on_unrecovered_nmi", &["panic_on_unrecovered_nmi"], 4),
    ("kernel.panic_on_warn", &["panic_on_warn"], 4),
    ("kernel.pid_max", &["pid_max"], 4),
    // Below 0 real-time tasks may take a CPU whole.
    ("kernel.sched_rt_runtime_us", &["sysctl_sched_rt_runtime"], 4),
    ("kernel.softlockup_panic", &["softlockup_panic"], 4),
    ("kernel.sysrq", &["sysrq_enabled"], 4),
    ("kernel.threads-max", &["max_threads"], 4),
    ("kernel.watchdog_thresh", &["watchdog_thresh"], 4),
    ("vm.dirty_background_bytes", &["dirty_background_bytes"], 8),
    ("vm.dirty_background_ratio", &["dirty_background_ratio"], 4),
    ("vm.dirty_bytes", &["vm_dirty_bytes"], 8),
    ("vm.dirty_ratio", &["vm_dirty_ratio"], 4),
    ("vm.max_map_count", &["sysctl_max_map_count"], 4),
    ("vm.min_free_kbytes", &["min_free_kbytes"], 4),
    ("vm.oom_kill_allocating_task", &["sysctl_oom_kill_allocating_task"], 4),
    ("vm.overcommit_memory", &["sysctl_overcommit_memory"], 4),
    ("vm.overcommit_ratio", &["sysctl_overcommit_ratio"], 4),
    ("vm.panic_on_oom", &["sysctl_panic_on_oom"], 4),
    ("vm.swappiness", &["vm_swappiness"], 4),
    ("vm.zone_reclaim_mode", &["node_reclaim_mode", "zone_reclaim_mode"], 4),
];

const CORE_PATTERN: &str = "kernel.core_pattern";

/// Taint letters by bit, with what sets them (kernel/panic.c, Documentation/admin-guide/tainted-kernels.rst).
const TAINTS: [(char, &str); 20] = [
    ('P', "a proprietary module was loaded"),
    ('F', "a module was loaded by force"),
    ('S', "the CPU is out of specification"),
    ('R', "a module was unloaded by force"),
    ('M', "the processor reported a machine check"),
    ('B', "a bad page was found"),
    ('U', "a user asked for it"),
    ('D', "the kernel died before (oops or BUG)"),
    ('A', "an ACPI table was overridden"),
    ('W', "a warning was printed"),
    ('C', "a staging driver was loaded"),
    ('I', "a firmware bug is worked around"),
    ('O', "a module from outside the kernel's tree was loaded"),
    ('E', "an unsigned module was loaded"),
    ('L', "a soft lockup was seen"),
    ('K', "the kernel was live-patched"),
    ('X', "set by the distribution"),
    ('T', "structures were laid out at random"),
    ('N', "an in-kernel test was run"),
    ('J', "userspace used a mutating debug operation of fwctl"),
];

/// A taint of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Taint {
    /// Its letter.
    pub letter: char,
    /// What sets it.
    pub meaning: &'static str,
}

/// A sysctl.
#[derive(Clone, Debug, Serialize)]
pub struct Sysctl {
    /// `kernel.panic_on_oops`.
    pub name: String,
    /// Its value, where it is one number.
    pub value: Option<i64>,
    /// The value as /proc/sys shows it, several numbers with tabulators between; `None` where a handler of its own makes
    /// it of something else than a number, or where it cannot be read.
    pub text: Option<String>,
    /// Whether `text` is what is stored: a handler of its own may show something else.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stored: bool,
    /// Address of the variable; of an entry without one that of its `struct ctl_table`.
    pub address: crate::VirtAddr,
    /// The variable.
    pub symbol: Option<String>,
    /// The function that shows it (`proc_handler`), of a setting that was read through the registered tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handler: Option<String>,
}

/// A live patch.
#[derive(Clone, Debug, Serialize)]
pub struct LivePatch {
    /// Address of its `struct klp_patch`.
    pub address: crate::VirtAddr,
    /// Its module.
    pub module: String,
    /// Whether it is in force.
    pub enabled: bool,
    /// Whether tasks are still being moved to or from it.
    pub in_transition: bool,
    /// Functions it replaces, those of modules as `object:function`.
    pub functions: Vec<String>,
}

impl LivePatch {
    /// The functions of a module that it replaces.
    pub fn functions_of<'p>(&'p self, module: &'p str) -> impl Iterator<Item = &'p str> {
        let of = move |name: &'p str| name.split_once(':').filter(|(object, _)| *object == module);
        self.functions.iter().filter_map(move |name| of(name)).map(|(_, function)| function)
    }

    /// Whether it is in force, in a word.
    pub fn state(&self) -> &'static str {
        match (self.in_transition, self.enabled) {
            (true, _) => "in transition",
            (false, true) => "enabled",
            (false, false) => "disabled",
        }
    }
}

/// The kinds of facts made here.
pub(crate) const KINDS: &[KindDef] = &[
    KindDef {
        kind: "mem.kernel",
        doc: "How the kernel was started and how it stands.",
        fields: &[
            field("command_line", Text, "", "its command line"),
            field("uptime_s", Int, "s", "monotonic time since boot"),
            field("taint", Text, "", "taint letters, as in a report"),
            field("taint_modules", List, "", "modules with a taint: name and letters"),
            field("cpus_online", Int, "", "CPUs online; a panic takes the others off"),
            field("cpus_present", Int, "", "CPUs present"),
        ],
    },
    KindDef {
        kind: "mem.sysctl",
        doc: "A setting that decides what the machine does when something goes wrong.",
        fields: &[field("name", Text, "", "kernel.panic_on_oops"), field("value", Int, "", "its value")],
    },
];

impl Kernel<'_> {
    /// The sysctls that matter to a crash. Where their variables have no symbols they are read through the tables of
    /// registered settings; what neither tells is a gap.
    pub fn sysctls(&self) -> Walk<Sysctl> {
        let read = |(name, symbols, size): &(&'static str, &'static [&'static str], u64)| {
            let variable = symbols.iter().find_map(|symbol| Some((*symbol, self.symbol_at(symbol)?)));
            let (symbol, at) = variable.or_else(|| {
                // Each namespace of processes has its own since 7863dcc72d0f "pid: allow pid_max to be set per pid
                // namespace", v6.14.
                let member = || self.types().offset("pid_namespace", "pid_max");
                let first = || Some(("init_pid_ns", self.symbol_at("init_pid_ns")? + member()?));
                (*name == "kernel.pid_max").then(first)?
            })?;
            let value = match size {
                4 => i64::from(self.u32(at).ok()? as i32),
                _ => self.u64(at).ok()? as i64,
            };
            Some(Sysctl {
                name: (*name).to_owned(),
                value: Some(value),
                text: Some(value.to_string()),
                stored: false,
                address: at,
                symbol: Some((*symbol).to_owned()),
                handler: None,
            })
        };
        // What is done with the memory of a program that dies.
        let pattern = self.symbol_at("core_pattern").and_then(|at| Some((at, self.cstr(at, 128).ok()?)));
        let pattern = pattern.map(|(address, text)| Sysctl {
            name: CORE_PATTERN.to_owned(),
            value: None,
            text: Some(text),
            stored: false,
            address,
            symbol: Some("core_pattern".to_owned()),
            handler: None,
        });
        let mut items: Vec<Sysctl> = pattern.into_iter().chain(SYSCTLS.iter().filter_map(read)).collect();
        // panic() clears it before it goes on, lest a warning on the way begin anew.
        let warn = items.iter_mut().find(|sysctl| sysctl.name == "kernel.panic_on_warn" && sysctl.value == Some(0));
        if let Some(warn) = warn
            && self.crashed().is_some()
            && self.log().records.iter().any(|record| record.text_lossy().contains("panic_on_warn set ..."))
        {
            (warn.value, warn.text) = (Some(1), Some("1".to_owned()));
        }
        let mut gaps = Vec::new();
        if !self.names_data() {
            let known = |items: &[Sysctl], name: &str| items.iter().any(|sysctl| sysctl.name == name);
            let wanted = |name: &str| {
                matches!(name, "kernel." | "vm." | CORE_PATTERN) || SYSCTLS.iter().any(|(sysctl, ..)| *sysctl == name)
            };
            let registered = self.registered_sysctls(&wanted);
            // A setting that a whole table does not have is none of this kernel.
            let whole = registered.gaps.is_empty();
            let named = |name: &str| !whole || known(&registered.items, name);
            let mut unknown: Vec<&str> = SYSCTLS.iter().map(|(name, ..)| *name).filter(|name| named(name)).collect();
            for sysctl in &registered.items {
                let wide = SYSCTLS.iter().any(|(name, _, size)| *name == sysctl.name && *size == 8);
                // A word that a handler of its own shows may be two numbers; of these it is known to be one.
                let word = || self.u64(sysctl.address).ok().filter(|_| wide && sysctl.stored).map(|word| word as i64);
                let value = sysctl.value.or_else(word);
                let text = value
                    .map(|value| value.to_string())
                    .or(sysctl.text.clone().filter(|_| sysctl.name == CORE_PATTERN));
                if text.is_some() && !known(&items, &sysctl.name) {
                    items.push(Sysctl { value, text, ..sysctl.clone() });
                }
            }
            unknown.retain(|name| !known(&items, name));
            items.sort_by(|a, b| a.name.cmp(&b.name));
            if !unknown.is_empty() {
                gaps.extend(registered.gaps);
                gaps.push(Gap::new(
                    format!("settings {}", unknown.join(", ")),
                    self.member(),
                    "no table of this kernel names their variables",
                    "a vmlinux or System.map of this kernel (--vmlinux, --system-map); `sysctl -a` of the machine",
                ));
            }
        }
        Walk { items, gaps }
    }

    /// The taints of the kernel; where no symbol leads to them, those of the last report in the log. `None` where neither
    /// tells.
    pub fn taints(&self) -> Option<Vec<Taint>> {
        let printed = match self.taint() {
            Some(_) => String::new(),
            None => self.taint_in_log()?,
        };
        let mask = self.taint().unwrap_or(0);
        let set = (0..).zip(TAINTS).filter(|(bit, (letter, _))| mask >> bit & 1 == 1 || printed.contains(*letter));
        Some(set.map(|(_, (letter, meaning))| Taint { letter, meaning }).collect())
    }

    /// Live patches (since b700e7f03df5 "livepatch: kernel: add support for live patching", v4.0).
    pub fn live_patches(&self) -> Walk<LivePatch> {
        let Some(head) = self.symbol_at("klp_patches") else {
            // A kernel without live patches has no function to enable one; of a kernel without symbols nobody knows.
            let unknown = !self.names_data() && (self.symbol("klp_enable_patch").is_some() || self.symbol_count() == 0);
            return match unknown {
                true => Walk::gap(Gap::new(
                    "live patches",
                    self.member(),
                    "no symbol klp_patches",
                    "a vmlinux or System.map of this kernel (--vmlinux, --system-map); /sys/kernel/livepatch of the machine",
                )),
                false => Walk::default(),
            };
        };
        let types = self.types();
        let Some(list) = types.offset("klp_patch", "list") else {
            return Walk::gap(Gap::new(
                "live patches",
                self.member(),
                "the layout of struct klp_patch is not known",
                "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
            ));
        };
        let walk = self.list(head, MAX_PATCHES, "live patches");
        let moving = self.symbol_at("klp_transition_patch").and_then(|at| self.ptr(at).ok());
        let patches = walk.items.into_iter().map(|node| {
            let at = node - list;
            let module = self.pointer(at, "klp_patch", "mod").and_then(|module| self.text(module, "module", "name"));
            // A state of three before 4.11 (d83a7cb375ee), of which 1 is enabled.
            let enabled = self.first_value(at, "klp_patch", &["enabled", "state"]);
            LivePatch {
                address: at,
                module: module.unwrap_or_else(|| "?".to_owned()),
                enabled: enabled.is_some_and(|state| state != 0),
                in_transition: moving == Some(at),
                functions: self.patched_functions(at),
            }
        });
        Walk { items: patches.collect(), gaps: walk.gaps }
    }

    /// Functions of the objects of a patch: arrays that end with an empty element.
    fn patched_functions(&self, patch: crate::VirtAddr) -> Vec<String> {
        let types = self.types();
        let mut names = Vec::new();
        let (Some(object_size), Some(function_size)) = (types.size_of("klp_object"), types.size_of("klp_func")) else {
            return names;
        };
        let Some(mut object) = self.pointer(patch, "klp_patch", "objs") else { return names };
        for _ in 0..MAX_PATCHES {
            let Some(mut function) = self.pointer(object, "klp_object", "funcs") else { break };
            // The kernel itself has no name.
            let module = self.pointer(object, "klp_object", "name").and_then(|name| self.cstr(name, 64).ok());
            while names.len() < MAX_FUNCTIONS {
                let Some(name) = self.pointer(function, "klp_func", "old_name") else { break };
                let Ok(name) = self.cstr(name, 256) else { break };
                names.push(match &module {
                    Some(module) => format!("{module}:{name}"),
                    None => name,
                });
                function = function + function_size;
            }
            object = object + object_size;
        }
        names
    }

    /// `mem.kernel`, `mem.sysctl` and `mem.livepatch` facts; the last kind's table is that of the statuses of fixes, which
    /// other parsers' facts on live patches share.
    pub fn settings_facts(&self) -> (Vec<Fact>, Vec<Gap>) {
        let mut facts = Vec::new();
        let place = self.symbol_at("tainted_mask");
        if let Some(taints) = self.taints() {
            let letters: String = taints.iter().map(|taint| taint.letter).collect();
            let origin = match place {
                Some(place) => self.origin(place, "tainted_mask"),
                None => facts::Origin::derived(self.member(), "the last report of the log"),
            };
            let modules = self.modules().items.iter().filter(|module| module.taints.is_some_and(|bits| bits != 0));
            let modules: Vec<Value> =
                modules.map(|module| Value::from(format!("{} ({})", module.name, module.taint_letters()))).collect();
            let uptime = self.monotonic_ns().map(|ns| ns / 1_000_000_000);
            let tainted = if letters.is_empty() { "not tainted".to_owned() } else { format!("tainted {letters}") };
            facts.push(
                Fact::new("mem.kernel", origin)
                    .with_opt("command_line", self.command_line())
                    .with_opt("uptime_s", uptime)
                    .with("taint", letters.as_str())
                    .with("taint_modules", modules)
                    .with("cpus_online", self.cpus_online().len())
                    .with("cpus_present", self.cpus_present().len())
                    .quoting(match uptime {
                        Some(uptime) => format!("up {uptime} s, {tainted}"),
                        None => tainted,
                    })
                    .recheck("crash> sys -t")
                    .recheck("drgn> prog['tainted_mask']"),
            );
        }
        let sysctls = self.sysctls();
        let mut gaps = sysctls.gaps;
        facts.extend(self.task_number_fact(&sysctls.items));
        for sysctl in sysctls.items {
            let Some(value) = sysctl.value else { continue };
            let fact = Fact::new("mem.sysctl", self.origin(sysctl.address, "sysctl"))
                .with("name", sysctl.name.as_str())
                .with("value", value)
                .quoting(format!("{} = {value}", sysctl.name));
            facts.push(match &sysctl.symbol {
                Some(symbol) => fact.recheck(format!("crash> p {symbol}")).recheck(format!("drgn> prog['{symbol}']")),
                None => fact.recheck(format!("crash> rd -32 {:#x}", sysctl.address.0)),
            });
        }
        let patches = self.live_patches();
        for patch in &patches.items {
            facts.push(
                Fact::new("mem.livepatch", self.origin(patch.address, "struct klp_patch"))
                    .with("name", patch.module.as_str())
                    .with("enabled", patch.enabled)
                    .with("transition", patch.in_transition)
                    .with("functions", patch.functions.clone())
                    .quoting(format!(
                        "live patch {} is {}, {} functions",
                        patch.module,
                        patch.state(),
                        patch.functions.len()
                    ))
                    .recheck(format!("crash> struct klp_patch {:#x}", patch.address.0))
                    .recheck(format!("drgn> Object(prog, 'struct klp_patch', address={:#x})", patch.address.0)),
            );
        }
        gaps.extend(patches.gaps);
        (facts, gaps)
    }
}

#[cfg(test)]
mod tests {
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn how_high_pids_go_is_a_variable_or_a_member_of_the_first_namespace() {
        let (variable, namespace) = (BASE + 0x2_0000, BASE + 0x2_1000);
        let memory = Memory::new();
        memory.put32(variable, 4_194_304);
        memory.put32(namespace + 0x58, 32_768);
        let of = |symbols: &str, members: &[(&str, &str, u64, u64)]| {
            let kernel = memory.kernel_with(symbols, members);
            let known = kernel.sysctls().items.into_iter().find(|sysctl| sysctl.name == "kernel.pid_max");
            known.map(|sysctl| (sysctl.value, sysctl.symbol.unwrap_or_default()))
        };
        let member = [("pid_namespace", "pid_max", 0x58, 4)];
        let (old, new) = (format!("SYMBOL(pid_max)={variable:x}\n"), format!("SYMBOL(init_pid_ns)={namespace:x}\n"));
        assert_eq!(of(&old, &[]), Some((Some(4_194_304), "pid_max".to_owned())));
        assert_eq!(of(&new, &member), Some((Some(32_768), "init_pid_ns".to_owned())));
        assert_eq!(of(&new, &[]), None);
    }

    #[test]
    fn a_live_patch_tells_whose_functions_it_replaces() {
        let functions = ["cleanup_net", "nfsd:nfsd_open", "nfsd:nfsd_read", "nfs:nfs_open"].map(str::to_owned).to_vec();
        let patch = super::LivePatch {
            address: crate::VirtAddr(BASE),
            module: "livepatch_fix".to_owned(),
            enabled: true,
            in_transition: false,
            functions,
        };
        assert_eq!(patch.functions_of("nfsd").collect::<Vec<_>>(), ["nfsd_open", "nfsd_read"]);
        assert_eq!((patch.functions_of("lockd").count(), patch.state()), (0, "enabled"));
    }

    #[test]
    fn a_live_patch_is_read_with_the_functions_it_replaces() {
        let memory = Memory::new();
        let (head, patch, module) = (BASE + 0x2_0000, BASE + 0x2_1000, BASE + 0x2_2000);
        let (objects, functions, names) = (BASE + 0x2_3000, BASE + 0x2_4000, BASE + 0x2_5000);
        memory.put64(head, patch);
        memory.put64(head + 8, patch);
        memory.put64(patch, head);
        memory.put64(patch + 8, head);
        memory.put64(patch + 16, module);
        memory.put64(patch + 24, objects);
        memory.put32(patch + 32, 1);
        memory.put(module, b"livepatch_fix\0");
        // The kernel itself with two functions, a module with one, and the empty elements that end the arrays.
        for (object, name, first) in [(objects, 0, functions), (objects + 16, names + 0x40, functions + 24)] {
            memory.put64(object, name);
            memory.put64(object + 8, first);
        }
        // The third object has no functions.
        memory.put64(objects + 40, 0);
        memory.put64(functions, names);
        memory.put64(functions + 8, names + 0x20);
        memory.put64(functions + 16, 0);
        memory.put64(functions + 24, names + 0x60);
        memory.put64(functions + 32, 0);
        for (nth, name) in
            [b"ip6mr_sk_done\0".as_slice(), b"cleanup_net\0", b"nfsd\0", b"nfsd_open\0"].iter().enumerate()
        {
            memory.put(names + nth as u64 * 0x20, name);
        }
        let members = [
            ("klp_patch", "list", 0, 16),
            ("klp_patch", "mod", 16, 8),
            ("klp_patch", "objs", 24, 8),
            ("klp_patch", "enabled", 32, 1),
            ("klp_object", "name", 0, 8),
            ("klp_object", "funcs", 8, 8),
            ("klp_func", "old_name", 0, 8),
            ("module", "name", 0, 56),
        ];
        let info = format!("SYMBOL(klp_patches)={head:x}\nSYMBOL(klp_transition_patch)={:x}\n", BASE + 0x2_6000);
        memory.put64(BASE + 0x2_6000, 0);
        let kernel = memory.kernel_with_sizes(&info, &members, &[("klp_object", 16), ("klp_func", 8)]);
        let walk = kernel.live_patches();
        assert!(walk.gaps.is_empty());
        let [found] = walk.items.as_slice() else { panic!("{:?}", walk.items) };
        assert_eq!((found.module.as_str(), found.enabled, found.in_transition), ("livepatch_fix", true, false));
        assert_eq!(found.functions, ["ip6mr_sk_done", "cleanup_net", "nfsd:nfsd_open"]);
    }
}
