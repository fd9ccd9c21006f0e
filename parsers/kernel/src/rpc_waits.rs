//! Which server a task waits for that waits for a call of SunRPC: NFS, its locks, its mounts.

use crate::wait_queues::{QueueWait, WaitKind};
use crate::{Kernel, VirtAddr};

/// `XPRT_CONNECTED`, the second bit of a transport's state in every kernel.
const CONNECTED: u64 = 1 << 1;
/// `RPC_DISPLAY_ADDR`, the first.
const DISPLAY_ADDRESS: &str = "address_strings[0]";

impl Kernel<'_> {
    /// Fills in the server that answers the call of which tasks wait for a bit. Types are those of the module.
    pub(crate) fn rpc_waits(&self, waits: &mut [QueueWait]) {
        for wait in waits.iter_mut().filter(|wait| wait.kind == WaitKind::Bit && wait.waker.is_none()) {
            let Some((transport, name)) = self.server_of(wait.object) else { continue };
            // A call that is tried again wakes its task for a moment.
            wait.since_ns = self.call_of(wait.object).and_then(|call| {
                self.first_value(call, "rpc_task", &["tk_start.tv64", "tk_start"]).filter(|at| *at != 0)
            });
            (wait.kind, wait.object) = (WaitKind::Server, transport);
            (wait.symbol, wait.bit) = (Some(name), None);
        }
    }

    /// The call whose state this word is.
    fn call_of(&self, word: VirtAddr) -> Option<VirtAddr> {
        Some(word - self.types().offset("rpc_task", "tk_runstate")?)
    }

    /// The transport of the call whose state this word is, and its server in words.
    fn server_of(&self, word: VirtAddr) -> Option<(VirtAddr, String)> {
        let task = self.call_of(word)?;
        // By its own member since v3.8 or so, by way of its client where the call has not got one.
        let transport = self.pointer(task, "rpc_task", "tk_xprt").or_else(|| {
            let client = self.pointer(task, "rpc_task", "tk_client").filter(|at| self.arch().is_kernel(*at))?;
            self.pointer(client, "rpc_clnt", "cl_xprt")
        });
        let transport = transport.filter(|at| self.arch().is_kernel(*at))?;
        // Its operations are a variable: `xs_tcp_ops`.
        let operations = self.pointer(transport, "rpc_xprt", "ops").and_then(|at| self.symbolize(at))?;
        if operations.offset != 0 || !operations.name.ends_with("_ops") {
            return None;
        }
        let text = |path: &str| {
            let at = self.pointer(transport, "rpc_xprt", path)?;
            self.cstr(at, 128).ok().filter(|text| !text.is_empty())
        };
        let (server, address) = (text("servername"), text(DISPLAY_ADDRESS));
        let name = match (server, address) {
            (Some(server), Some(address)) if server != address => format!("server {server} ({address})"),
            (Some(name), _) | (None, Some(name)) => format!("server {name}"),
            (None, None) => return None,
        };
        let connected = self.value(transport, "rpc_xprt", "state")? & CONNECTED != 0;
        let link = if connected { "" } else { ", to which there is no connection" };
        Some((transport, format!("{name}{link}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{BASE, Memory};

    #[test]
    fn a_bit_of_a_call_leads_to_its_server_only_by_way_of_a_transport() {
        let memory = Memory::new();
        let (task, transport) = (BASE + 0x1_0000, BASE + 0x1_1000);
        memory.put64(task + 8, transport);
        memory.put64(transport, 0xffff_ffff_8100_0000);
        memory.put64(transport + 8, BASE + 0x1_2000);
        memory.put64(transport + 16, BASE + 0x1_2000);
        memory.put64(transport + 24, 4);
        memory.put(BASE + 0x1_2000, b"10.9.0.2\0");
        let members = [
            ("rpc_task", "tk_runstate", 0x20, 8),
            ("rpc_task", "tk_xprt", 8, 8),
            ("rpc_task", "tk_start", 0x28, 8),
            ("rpc_xprt", "ops", 0, 8),
            ("rpc_xprt", "servername", 8, 8),
            ("rpc_xprt", "address_strings[0]", 16, 8),
            ("rpc_xprt", "state", 24, 8),
        ];
        let known = memory.kernel_with("SYMBOL(xs_tcp_ops)=ffffffff81000000\n", &members);
        assert!(known.symbolize(VirtAddr(0xffff_ffff_8100_0000)).is_some());
        let expected = "server 10.9.0.2, to which there is no connection".to_owned();
        let found = known.server_of(VirtAddr(task + 0x20));
        assert_eq!(found, Some((VirtAddr(transport), expected)));
        memory.put64(task + 0x28, 5_000_000_000);
        let mut waits = [QueueWait::of(VirtAddr(BASE), WaitKind::Bit, VirtAddr(task + 0x20))];
        memory.kernel_with("SYMBOL(xs_tcp_ops)=ffffffff81000000\n", &members).rpc_waits(&mut waits);
        assert_eq!((waits[0].kind, waits[0].since_ns), (WaitKind::Server, Some(5_000_000_000)));
        memory.put64(transport, 0);
        assert_eq!(memory.kernel_with("", &members).server_of(VirtAddr(task + 0x20)), None);
    }
}
