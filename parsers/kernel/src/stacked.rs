//! What a block device is made of: devices below a device-mapper target, members of a RAID array.

use std::collections::HashSet;

use crate::{Kernel, VirtAddr};

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
}

/// Bits of `mapped_device.flags`, the same from 3.10 to 7.3: bios are put off, and the suspend is done.
const SUSPENDING: u64 = 1;
const SUSPENDED: u64 = 2;
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
        Stacked { label, below: once(below), suspended: self.suspended(device) }
    }

    fn suspended(&self, device: VirtAddr) -> Option<usize> {
        let flags = self.value(device, "mapped_device", "flags")?;
        if flags & (SUSPENDING | SUSPENDED) == 0 {
            return None;
        }
        let mut seen = HashSet::new();
        let mut next = self.pointer(device, "mapped_device", "deferred.head");
        while let Some(bio) = next.filter(|bio| seen.len() < MAX_DEFERRED && seen.insert(bio.0)) {
            next = self.pointer(bio, "bio", "bi_next");
        }
        Some(seen.len())
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
