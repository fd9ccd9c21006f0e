//! Character devices: which driver has which numbers.

use facts::Gap;
use serde::Serialize;

use crate::{Kernel, VirtAddr, Walk};

/// CHRDEV_MAJOR_HASH_SIZE
const BUCKETS: u64 = 255;
const MAX_RANGES: usize = 100_000;

/// A range of character device numbers that a driver registered.
#[derive(Clone, Debug, Serialize)]
pub struct CharacterDevices {
    /// Major number.
    pub major: u32,
    /// First minor number.
    pub first_minor: u32,
    /// How many.
    pub minors: u32,
    /// Name given by the driver.
    pub name: String,
}

impl Kernel<'_> {
    /// Whether a table is that of the character devices: each chain has the numbers of its bucket.
    fn is_chrdevs(&self, table: VirtAddr) -> bool {
        let mut filled = 0;
        (0..BUCKETS).all(|bucket| match self.ptr(table + bucket * 8) {
            Ok(VirtAddr(0)) => true,
            Ok(at) if self.arch.is_kernel(at) => {
                filled += 1;
                let major = self.value(at, "char_device_struct", "major").map(|major| major & 0xffff_ffff);
                major.is_some_and(|major| major % BUCKETS == bucket)
            }
            _ => false,
        }) && filled > 2
    }

    /// Registered ranges of character devices, by number: the table `chrdevs` of chains.
    pub fn character_devices(&self) -> Walk<CharacterDevices> {
        let types = self.types();
        let table = self
            .symbol_at("chrdevs")
            .or_else(|| self.code_references("chrdev_show").into_iter().find(|at| self.is_chrdevs(*at)));
        let (Some(table), Some(next)) = (table, types.offset("char_device_struct", "next")) else {
            return Walk::gap(Gap::new(
                "character devices",
                self.member(),
                "no symbol chrdevs, or the layout of struct char_device_struct is not known",
                "a vmlinux or a pack of this kernel (--vmlinux, --pack)",
            ));
        };
        let mut walk: Walk<CharacterDevices> = Walk::default();
        let mut visits = 0;
        for bucket in 0..BUCKETS {
            let mut at = self.ptr(table + bucket * 8).unwrap_or(VirtAddr(0));
            while self.arch.is_kernel(at) {
                visits += 1;
                let value = |path: &str| self.value(at, "char_device_struct", path).map(|n| n as u32);
                let numbers = value("major").zip(value("baseminor")).zip(value("minorct"));
                let (Some(((major, first_minor), minors)), true) = (numbers, visits <= MAX_RANGES) else {
                    walk.gaps.push(Gap::new("character devices", format!("{at}"), "it is absent, or a cycle", ""));
                    break;
                };
                let name = self.text(at, "char_device_struct", "name").unwrap_or_default();
                walk.items.push(CharacterDevices { major, first_minor, minors, name });
                at = self.ptr(at + next).unwrap_or(VirtAddr(0));
            }
        }
        walk.items.sort_by_key(|range| (range.major, range.first_minor));
        walk
    }
}
