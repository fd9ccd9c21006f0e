//! What a block device is made of: devices below a device-mapper target, members of a RAID array.

use std::collections::HashSet;

use crate::{Kernel, VirtAddr};

/// Targets of one table.
const MAX_TARGETS: u64 = 4096;
/// Devices below one device.
const MAX_BELOW: usize = 4096;

/// What a block device is stacked on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stacked {
    /// Name that device mapper gives it, `vg-root`.
    pub(crate) label: Option<String>,
    /// Devices right below it, `sda2`, each once.
    pub(crate) below: Vec<String>,
    /// Of a device of device mapper that is suspended: how many bios wait for it to be resumed.
    pub(crate) suspended: Option<usize>,
    /// The targets of its table, each kind once.
    pub(crate) targets: Vec<String>,
}

/// Bit 0 of `mapped_device.flags`, the same from 3.10 to 7.3 (`DMF_BLOCK_IO_FOR_SUSPEND`): bios are put off. Bit 1
/// (`DMF_SUSPENDED`) stays for a while after that is over: a resume thaws the file system first.
const PUT_OFF: u64 = 1;
/// Bytes of a `struct mapped_device` that are looked at; it has some 1,500.
const MAX_DEVICE: usize = 2048;
/// Bios put off that are counted.
const MAX_DEFERRED: usize = 100_000;

impl Kernel<'_> {
    /// What a disk is made of. Drivers are told apart by their own structure pointing back at the disk; its layout is
    /// that of the module.
    pub(crate) fn stacked_on(&self, disk: VirtAddr) -> Stacked {
        let Some(private) = self.pointer(disk, "gendisk", "private_data") else { return Stacked::default() };
        if self.pointer(private, "mapped_device", "disk") == Some(disk) {
            return self.mapped(private);
        }
        if let Some(suspended) = self.mapped_without_types(private, disk) {
            return Stacked { suspended, ..Stacked::default() };
        }
        if self.pointer(private, "mddev", "gendisk") == Some(disk) {
            return Stacked { below: self.members(private), ..Stacked::default() };
        }
        Stacked::default()
    }

    /// A device-mapper device: its live table knows each device that its targets use.
    fn mapped(&self, device: VirtAddr) -> Stacked {
        // struct hash_cell, of dm-ioctl.c, is the other end of `interface_ptr`.
        let cell = self.pointer(device, "mapped_device", "interface_ptr");
        let cell = cell.filter(|cell| self.pointer(*cell, "hash_cell", "md") == Some(device));
        let label = cell.and_then(|cell| self.pointer(cell, "hash_cell", "name"));
        let label = label.and_then(|at| self.cstr(at, 128).ok());
        let mut below = Vec::new();
        let types = self.types();
        let table = self.pointer(device, "mapped_device", "map");
        let list = table.and_then(|table| self.place(table, "dm_table", "devices"));
        if let (Some(list), Some(link)) = (list, types.offset("dm_dev_internal", "list")) {
            for entry in self.list(list, MAX_BELOW, "devices of a table").items.into_iter().map(|at| at - link) {
                // A pointer since 86f1152b117a "dm: allow active and inactive tables to share dm_devs" (v3.19).
                let used = match types.member("dm_dev_internal", "dm_dev").map(|member| member.shape) {
                    Some(crate::types::Shape::Pointer) => self.pointer(entry, "dm_dev_internal", "dm_dev"),
                    _ => self.place(entry, "dm_dev_internal", "dm_dev"),
                };
                let name = used.and_then(|used| {
                    let block = self.pointer(used, "dm_dev", "bdev").and_then(|at| self.block_device_name(at));
                    block.or_else(|| self.text(used, "dm_dev", "name"))
                });
                below.extend(name);
            }
        }
        let targets = table.map(|table| self.targets(table)).unwrap_or_default();
        Stacked { label, below: once(below), suspended: self.suspended(device), targets }
    }

    /// The kinds of targets in a table.
    fn targets(&self, table: VirtAddr) -> Vec<String> {
        let count = self.value(table, "dm_table", "num_targets").map_or(0, |n| n & 0xffff_ffff).min(MAX_TARGETS);
        let (Some(first), Some(size)) = (self.pointer(table, "dm_table", "targets"), self.types().size_of("dm_target"))
        else {
            return Vec::new();
        };
        let kinds = (0..count).filter_map(|nth| {
            let kind = self.pointer(first + nth * size, "dm_target", "type")?;
            self.cstr(self.pointer(kind, "target_type", "name")?, 64).ok()
        });
        once(kinds.collect())
    }

    fn suspended(&self, device: VirtAddr) -> Option<usize> {
        let flags = self.value(device, "mapped_device", "flags")?;
        if flags & PUT_OFF == 0 {
            return None;
        }
        let mut seen = HashSet::new();
        let mut next = self.pointer(device, "mapped_device", "deferred.head");
        while let Some(bio) = next.filter(|bio| seen.len() < MAX_DEFERRED && seen.insert(bio.0)) {
            next = self.pointer(bio, "bio", "bi_next");
        }
        Some(seen.len())
    }

    /// Whether a disk is one of device mapper's and suspended, where no types of modules are known (before 36e68442d1af
    /// "bpf: Load and verify kernel module BTFs", v5.11): short functions of dm_mod say where they read. `None` for other
    /// disks, and where the types are known.
    fn mapped_without_types(&self, device: VirtAddr, disk: VirtAddr) -> Option<Option<usize>> {
        if self.types().find("mapped_device").is_some() {
            return None;
        }
        let of_disk = self.read_by("dm_disk")?;
        if self.ptr(device + of_disk) != Ok(disk) {
            return None;
        }
        let flags = self.read_by("dm_suspended_md").and_then(|of_flags| self.u64(device + of_flags).ok());
        let suspended = flags.is_some_and(|flags| flags & PUT_OFF != 0);
        Some(suspended.then(|| self.deferred_in(device, disk)))
    }

    /// Where a function of dm_mod first reads in what its first parameter points at.
    fn read_by(&self, function: &str) -> Option<u64> {
        let (at, _) = self.module_symbols(function).into_iter().find(|(_, module)| *module == "dm_mod")?;
        self.accesses(at, None).into_iter().find_map(|(_, access)| {
            let held = access.held.filter(|held| held.parameter == Some(0) && held.plus == 0)?;
            (held.to.is_none() && !access.indexed).then(|| u64::try_from(access.offset).ok())?
        })
    }

    /// The bios that a device put off: the list in it (first and last one) whose bios are all for this disk.
    fn deferred_in(&self, device: VirtAddr, disk: VirtAddr) -> usize {
        let (bytes, _) = self.bytes_with_holes(device, MAX_DEVICE);
        let words: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let ours = |bio: VirtAddr| {
            let direct = self.pointer(bio, "bio", "bi_disk");
            let by_block = || self.pointer(self.pointer(bio, "bio", "bi_bdev")?, "block_device", "bd_disk");
            direct.or_else(by_block) == Some(disk)
        };
        let mut lists = words.windows(2).filter_map(|pair| {
            let [first, last] = pair else { return None };
            let mut seen = HashSet::new();
            let mut next = Some(VirtAddr(*first)).filter(|bio| self.arch.is_kernel(*bio));
            let mut at = VirtAddr(0);
            while let Some(bio) = next.filter(|bio| seen.len() < MAX_DEFERRED && ours(*bio) && seen.insert(bio.0)) {
                at = bio;
                next = self.pointer(bio, "bio", "bi_next");
            }
            (next.is_none() && at.0 == *last && !seen.is_empty()).then_some(seen.len())
        });
        lists.next().unwrap_or(0)
    }

    /// The members of a RAID array.
    fn members(&self, array: VirtAddr) -> Vec<String> {
        let (Some(list), Some(link)) =
            (self.place(array, "mddev", "disks"), self.types().offset("md_rdev", "same_set"))
        else {
            return Vec::new();
        };
        let members = self.list(list, MAX_BELOW, "members of an array").items.into_iter().map(|at| at - link);
        once(members.filter_map(|at| self.block_device_name(self.pointer(at, "md_rdev", "bdev")?)).collect())
    }

    /// Name of a disk or partition. Its device is in the block device since 0d02129e76ed "block: merge struct block_device
    /// and struct hd_struct" (v5.11), in its partition before.
    pub(crate) fn block_device_name(&self, device: VirtAddr) -> Option<String> {
        let name = self.pointer(device, "block_device", "bd_device.kobj.name").or_else(|| {
            let part = self.pointer(device, "block_device", "bd_part")?;
            self.pointer(part, "hd_struct", "__dev.kobj.name")
        })?;
        self.cstr(name, 64).ok().filter(|name| !name.is_empty())
    }
}

fn once(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}
