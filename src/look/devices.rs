//! `dev`: block devices with their requests in flight, and the numbers of character devices.

use facts::{Address, Gap};
use kernel::{Kernel, Request};
use serde::Serialize;

/// A disk.
#[derive(Clone, Debug, Serialize)]
pub struct DiskRow {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Name.
    pub name: String,
    /// Address of its gendisk.
    pub gendisk: Address,
    /// Address of its request_queue.
    pub queue: Option<Address>,
    /// Size in bytes.
    pub bytes: Option<u64>,
    /// Whether it hands requests to hardware queues.
    pub multi_queue: bool,
    /// Whether its queue is frozen.
    pub queue_frozen: bool,
    /// Requests that the driver has.
    pub in_flight: usize,
    /// Reads and writes in flight by the device's own counters.
    pub counted: Option<Counted>,
    /// Age of the oldest request in flight, nanoseconds.
    pub oldest_ns: Option<u64>,
    /// Device of the file system that the file of a loop device lies in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backing: Option<String>,
    /// Name that device mapper gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Devices that one of device mapper, or an array, is made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<String>,
    /// Of a suspended device of device mapper: bios that wait until it is resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended: Option<usize>,
    /// The requests, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<Request>,
}

/// Requests in flight by a device's own counters.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Counted {
    /// Reads.
    pub reads: i64,
    /// Writes.
    pub writes: i64,
}

/// A range of character devices.
#[derive(Clone, Debug, Serialize)]
pub struct MajorRow {
    /// Major number.
    pub major: u32,
    /// First minor number.
    pub first_minor: u32,
    /// How many.
    pub minors: u32,
    /// Name of its driver.
    pub name: String,
}

/// The devices.
#[derive(Clone, Debug, Serialize)]
pub struct DiskView {
    /// Block devices, partitions left out.
    pub disks: Vec<DiskRow>,
    /// Character devices.
    pub characters: Vec<MajorRow>,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

/// Block devices with requests in flight, and character devices.
pub fn disks(kernel: &Kernel<'_>) -> DiskView {
    let walk = kernel.disks();
    let mut gaps = walk.gaps;
    let disks = walk.items.into_iter().map(|disk| {
        let in_flight = || disk.requests.iter().filter(|request| request.state == "in-flight");
        DiskRow {
            major: disk.device.0,
            minor: disk.device.1,
            gendisk: disk.address.into(),
            queue: disk.queue.map(Address::from),
            bytes: disk.bytes,
            multi_queue: disk.multi_queue,
            queue_frozen: disk.queue_frozen,
            in_flight: in_flight().count(),
            counted: disk.counted.map(|(reads, writes)| Counted { reads, writes }),
            oldest_ns: in_flight().filter_map(|request| request.age_ns).max(),
            backing: disk.backing.map(|(_, name)| name),
            label: disk.label,
            below: disk.below,
            suspended: disk.suspended,
            name: disk.name,
            requests: disk.requests,
        }
    });
    let disks = disks.collect();
    let characters = kernel.character_devices();
    gaps.extend(characters.gaps);
    let characters = characters.items.into_iter().map(|range| MajorRow {
        major: range.major,
        first_minor: range.first_minor,
        minors: range.minors,
        name: range.name,
    });
    DiskView { disks, characters: characters.collect(), gaps }
}
