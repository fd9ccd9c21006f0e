//! `info` as text.

use std::fmt::Write as _;

use super::printable;
use crate::extract::Described;

/// One dump.
pub fn described(d: &Described) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "{name:16}{}", printable(&value));
    };
    for (name, size) in &d.files {
        row("file", format!("{name}, {size} bytes"));
    }
    let mut format = d.format.clone();
    if d.flattened {
        format.push_str(", flattened");
    }
    if d.split {
        let _ = write!(format, ", split in {} parts", d.files.len());
    }
    if d.says_incomplete {
        format.push_str(", says of itself that it is incomplete");
    }
    row("format", format);
    if !d.compression.is_empty() {
        row("compression", d.compression.join(", "));
    }
    row("machine", format!("{}, {} endian, pages of {} bytes", d.arch, d.endian, d.page_size));
    if let Some(kernel) = &d.identity.kernel {
        row("kernel", kernel.clone());
    }
    if let Some(banner) = &d.identity.banner {
        row("banner", banner.clone());
    }
    if let Some(host) = &d.identity.host {
        row("host", host.clone());
    }
    if let Some(time) = &d.identity.boot_time {
        row("boot time", time.clone());
    }
    if let Some(id) = &d.build_id {
        row("build-id", id.clone());
    }
    if let Some(offset) = &d.kaslr_offset {
        row("KASLR offset", offset.clone());
    }
    let header: Vec<String> = d.header.iter().map(|(k, v)| format!("{k}={v}")).collect();
    if !header.is_empty() {
        row("header", header.join(" "));
    }
    let p = &d.pages;
    let tell = |n: Option<u64>| n.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
    row("pages", format!("{} present of {} to be dumped", p.present, p.in_bitmap2));
    row("", format!("RAM {}, excluded by the filter {}, not RAM {}", tell(p.ram), tell(p.excluded), tell(p.not_ram)));
    if p.zero_descriptor + p.beyond_end_of_file + p.in_missing_part > 0 {
        row(
            "",
            format!(
                "without data {}, beyond the end of the file {}, in a part not given {}",
                p.zero_descriptor, p.beyond_end_of_file, p.in_missing_part
            ),
        );
    }
    let codecs: Vec<String> = p.by_compression.iter().map(|(codec, n)| format!("{codec} {n}")).collect();
    if !codecs.is_empty() {
        row("", format!("by codec: {}; {} share one stored page", codecs.join(", "), p.sharing_the_most_shared_page));
    }
    for (at, note) in d.prstatus.iter().enumerate() {
        let (pc, sp) = (note.pc.as_deref().unwrap_or("?"), note.sp.as_deref().unwrap_or("?"));
        row(if at == 0 { "NT_PRSTATUS" } else { "" }, format!("pid {} pc {pc} sp {sp}", note.pid));
    }
    if d.qemu_cpus > 0 {
        row("QEMU state", format!("{} CPUs", d.qemu_cpus));
    }
    if d.eraseinfo {
        row("ERASEINFO", "yes".to_owned());
    }
    match (&d.vmcoreinfo, d.vmcoreinfo_in_memory.is_empty()) {
        (Some(text), true) => row("VMCOREINFO", format!("{} bytes, {} lines", text.len(), text.lines().count())),
        (Some(_), false) => row("VMCOREINFO", format!("no note; in memory at {}", d.vmcoreinfo_in_memory.join(", "))),
        (None, _) => row("VMCOREINFO", "none".to_owned()),
    }
    for gap in &d.gaps {
        row("not known", format!("{} ({}): {}", gap.what, gap.place, gap.why));
    }
    out
}
