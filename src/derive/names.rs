//! Function names in the one form that signatures and tables use.

/// Marks that compilers append to the names of copies and parts of a function.
const SUFFIXES: &[&str] = &[
    ".isra",
    ".constprop",
    ".part",
    ".cold",
    ".llvm",
    ".lto_priv",
    ".localalias",
    ".__uniq",
    ".cfi_jt",
    ".cfi",
    ".clone",
    ".warm",
];

/// Prefixes of one system call's entry points on the way from the entry code to its body.
const SYSCALL_PREFIXES: &[&str] = &[
    "__x64_sys_",
    "__ia32_sys_",
    "__arm64_sys_",
    "__s390x_sys_",
    "__s390_sys_",
    "__riscv_sys_",
    "__powerpc_sys_",
    "__ia32_compat_sys_",
    "__x32_compat_sys_",
    "__arm64_compat_sys_",
    "__se_compat_sys_",
    "__do_compat_sys_",
    "__se_sys_",
    "__do_sys_",
    "compat_SYSC_",
    "compat_SyS_",
    "C_SYSC_",
    "SYSC_",
    "SyS_",
];

/// The name without what compilers add: `foo.isra.3.cold`, `__pfx_foo`, the dot of ppc64; and without `__pi_`.
pub fn plain(name: &str) -> &str {
    let mut name = name.strip_prefix('.').unwrap_or(name);
    name = name.strip_prefix("__pfx_").unwrap_or(name);
    // A second name of what runs before the kernel is at its place.
    name = name.strip_prefix("__pi_").filter(|name| !name.is_empty()).unwrap_or(name);
    // Every suffix begins with a dot, and few names have one.
    if !name.contains('.') {
        return name;
    }
    let end = SUFFIXES.iter().filter_map(|suffix| find_suffix(name, suffix)).min().unwrap_or(name.len());
    name.get(..end).filter(|n| !n.is_empty()).unwrap_or(name)
}

/// Where `suffix` stands in `name`, followed by a dot, a digit or nothing.
fn find_suffix(name: &str, suffix: &str) -> Option<usize> {
    let at = name.find(suffix)?;
    let rest = &name[at + suffix.len()..];
    (rest.is_empty() || rest.starts_with('.') || rest.starts_with(|c: char| c.is_ascii_digit())).then_some(at)
}

/// The name as signatures use it: [`plain`], one name for all entry points of a system call, no address in the name of
/// a BPF program, no hash in that of a Rust function.
pub fn stable(name: &str) -> String {
    let plain = plain(name);
    for prefix in SYSCALL_PREFIXES {
        if let Some(call) = plain.strip_prefix(prefix) {
            return format!("sys_{call}");
        }
    }
    if let Some(rest) = plain.strip_prefix("bpf_prog_")
        && let Some((hash, tail)) = rest.split_once('_')
        && hash.len() == 16
        && hash.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return format!("bpf_prog_{tail}");
    }
    // Rust's legacy mangling ends in `17h<16 hex>E`.
    if let Some(at) = plain.rfind("17h")
        && plain.ends_with('E')
        && plain.len() == at + 3 + 16 + 1
        && plain[at + 3..at + 19].bytes().all(|b| b.is_ascii_hexdigit())
    {
        return plain[..at].to_owned();
    }
    plain.to_owned()
}

/// The module's name: `-` and `_` are one.
pub fn module(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_compiler_adds_is_dropped() {
        for (printed, want) in [
            ("tcp_ack", "tcp_ack"),
            ("ext4_fill_super.isra.12", "ext4_fill_super"),
            ("foo.isra.5.cold.7", "foo"),
            ("foo.part.0", "foo"),
            ("foo.llvm.1234567890", "foo"),
            ("foo.cold", "foo"),
            ("__pfx_worker_thread", "worker_thread"),
            ("__pi_memcpy", "memcpy"),
            ("__pi___x86_indirect_thunk_rax", "__x86_indirect_thunk_rax"),
            (".worker_thread", "worker_thread"),
            ("__x64_sys_mount", "sys_mount"),
            ("SyS_mount", "sys_mount"),
            ("__do_sys_mount", "sys_mount"),
            ("bpf_prog_6deef7357e7b4530_drop", "bpf_prog_drop"),
            ("_ZN4core9panicking5panic17h0123456789abcdefE", "_ZN4core9panicking5panic"),
            ("free.partly", "free.partly"),
        ] {
            assert_eq!(stable(printed), want, "{printed}");
        }
    }
}
