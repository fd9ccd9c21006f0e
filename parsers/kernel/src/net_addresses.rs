//! IP addresses of network devices.

use std::net::{Ipv4Addr, Ipv6Addr};

use facts::Gap;

use crate::{Kernel, VirtAddr, Walk};

/// More addresses than an administrator gives one device.
const MAX_ADDRESSES: usize = 4096;

impl Kernel<'_> {
    /// The addresses of a device with their prefix lengths, `10.0.0.1/24`: IPv4 first, each in the kernel's order. A device
    /// that has some of unknown layout is a gap.
    pub fn net_addresses(&self, device: VirtAddr) -> Walk<String> {
        let mut walk = Walk::default();
        let found = &mut walk.items;
        let set = |at: VirtAddr| self.arch.is_kernel(at);
        let v4 = self.pointer(device, "net_device", "ip_ptr").filter(|at| set(*at));
        let mut next = v4.and_then(|device| self.pointer(device, "in_device", "ifa_list")).filter(|at| set(*at));
        while let Some(at) = next.filter(|_| found.len() < MAX_ADDRESSES) {
            let value = |member| self.value(at, "in_ifaddr", member);
            let Some(local) = value("ifa_local") else {
                walk.gaps.push(Gap::new(
                    "IPv4 addresses",
                    self.member(),
                    "struct in_ifaddr cannot be read, or its layout is not known",
                    "a vmlinux or a new pack of this kernel (--vmlinux, --pack)",
                ));
                break;
            };
            let prefix = value("ifa_prefixlen").unwrap_or(32);
            // Network byte order.
            found.push(format!("{}/{prefix}", Ipv4Addr::from((local as u32).to_le_bytes())));
            next = self.pointer(at, "in_ifaddr", "ifa_next").filter(|next| set(*next));
        }
        let types = self.types();
        let v6 = self.pointer(device, "net_device", "ip6_ptr").filter(|at| set(*at));
        let places = (
            types.offset("inet6_dev", "addr_list"),
            types.offset("inet6_ifaddr", "if_list"),
            types.offset("inet6_ifaddr", "addr"),
        );
        if let (Some(device), (Some(head), Some(node), Some(addr))) = (v6, places) {
            for at in self.list(device + head, MAX_ADDRESSES, "IPv6 addresses").items {
                let at = at - node;
                let Some(bytes) = self.bytes(at + addr, 16).ok().and_then(|b| <[u8; 16]>::try_from(b).ok()) else {
                    continue;
                };
                let prefix = self.value(at, "inet6_ifaddr", "prefix_len").unwrap_or(128);
                found.push(format!("{}/{prefix}", Ipv6Addr::from(bytes)));
            }
        }
        walk
    }
}
