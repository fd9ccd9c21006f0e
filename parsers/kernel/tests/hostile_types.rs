//! Damaged types, packs, ISF files and VMCOREINFO: every reader ends, and in time.

mod evidence;

use std::sync::Arc;
use std::time::{Duration, Instant};

use dump::Dump;
use evidence::committed;
use kernel::types::pack::Pack;
use kernel::types::{Btf, Source, isf};
use kernel::{Arch, Found, Kernel, Sources, Types};

/// Numbers at which sums and shifts go wrong.
const NUMBERS: [u64; 10] =
    [0, 1, 63, 64, 0xffff, i32::MAX as u64, u32::MAX as u64, i64::MAX as u64, i64::MIN as u64, u64::MAX];

fn mix(mut n: u64) -> u64 {
    n = (n ^ n >> 31).wrapping_mul(0x7fb5_d329_728e_a185);
    n = (n ^ n >> 27).wrapping_mul(0x81da_def4_bc2d_d44d);
    n ^ n >> 33
}

fn ask(source: Arc<dyn Source>) {
    let mut types = Types::none();
    types.add(source);
    for name in ["task_struct", "net_device", "page", "zone", "super_block", "unnamed_1"] {
        let _ = (types.member(name, "absent"), types.member(name, "absent.more[3]"), types.size_of(name));
        for ty in types.find_all(name).into_iter().take(4) {
            for (name, member) in types.layout(ty).map(|layout| layout.members).unwrap_or_default() {
                if let Some(ty) = member.ty {
                    let _ = (types.declaration(ty, &name, member.bits.map(|(_, width)| width)), types.type_name(ty));
                }
                let _ = member.decode(&[0xff; 16]);
            }
            let _ = (types.leaves(ty, 8, 8), types.leaves(ty, u64::MAX, 8));
        }
    }
}

#[test]
fn a_union_in_itself_costs_no_more_than_another() {
    // Two anonymous members of its own type: 2^32 ways to an absent member.
    let own = r#"{"offset": 0, "anonymous": true, "type": {"kind": "union", "name": "unnamed_1"}}"#;
    let text = format!(
        r#"{{"base_types": {{}}, "enums": {{}}, "user_types": {{
            "unnamed_1": {{"size": 8, "kind": "union", "fields": {{"a": {own}, "b": {own}}}}},
            "task_struct": {{"size": 64, "kind": "struct", "fields": {{"x": {own}}}}}}}}}"#
    );
    let start = Instant::now();
    ask(Arc::new(isf::open(text.as_bytes()).unwrap().types().unwrap()));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn damaged_types_end_in_answers() {
    let pack = std::fs::read(committed().join("packs/3.10.0-1062.el7.lab.pack")).unwrap();
    let length = 16 + u32::from_le_bytes(pack[12..16].try_into().unwrap()) as usize;
    let mut raw = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(&pack[length..]), &mut raw).unwrap();
    let start = Instant::now();
    for seed in 0..60u64 {
        let mut bytes = raw.clone();
        for nth in 0..1 + seed % 40 {
            let n = mix(seed << 32 | nth);
            // Records are words; the header is damaged too.
            let at = if n & 7 == 0 { n >> 8 & 31 } else { (n >> 8) % (bytes.len() as u64 - 8) } as usize & !3;
            let number = NUMBERS[(n >> 50) as usize % NUMBERS.len()];
            let word = if n & 1 == 0 { number as u32 } else { n as u32 & 0xffff };
            bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        }
        if let Ok(btf) = Btf::parse("test", bytes, None) {
            ask(Arc::new(btf));
        }
    }
    for seed in 0..200u64 {
        let mut bytes = pack.clone();
        let at = (mix(seed) % bytes.len() as u64) as usize;
        bytes[at] = mix(seed ^ 0xff) as u8;
        let _ = Pack::parse(&bytes);
    }
    assert!(start.elapsed() < Duration::from_secs(120), "{:?}", start.elapsed());
}

#[test]
fn damaged_isf_ends_in_answers() {
    let field = |offset: u64, bits: u64, count: u64| {
        format!(
            r#"{{"base_types": {{"int": {{"size": {count}, "signed": true, "kind": "int"}}}}, "enums": {{}}, "user_types": {{
            "task_struct": {{"size": {bits}, "kind": "struct", "fields": {{
                "a": {{"offset": {offset}, "type": {{"kind": "base", "name": "int"}}}},
                "b": {{"offset": {offset}, "type": {{"kind": "bitfield", "bit_length": {bits}, "bit_position": {count},
                    "type": {{"kind": "base", "name": "int"}}}}}},
                "c": {{"offset": {offset}, "type": {{"kind": "array", "count": {count},
                    "subtype": {{"kind": "base", "name": "int"}}}}}}}}}}}}}}"#
        )
    };
    for offset in NUMBERS {
        for bits in NUMBERS {
            for count in NUMBERS {
                let text = field(offset, bits, count);
                let graph = isf::open(text.as_bytes()).unwrap().types().unwrap();
                let encoded = kernel::types::pack::encode(
                    &kernel::types::pack::Header::default(),
                    &graph,
                    &std::collections::HashSet::new(),
                );
                let _ = encoded.map(|bytes| Pack::parse(&bytes));
                ask(Arc::new(graph));
            }
        }
    }
}

#[test]
fn numbers_of_vmcoreinfo_may_be_anything() {
    for name in ["vmcores/netdev-leak.kdump", "formats/a-zlib.incomplete"] {
        let Ok(dump) = Dump::open(&[committed().join(name)]) else { continue };
        let Some(text) = dump.vmcoreinfo() else { continue };
        let lines: Vec<&str> = text.lines().collect();
        let numeric =
            |line: &str| ["OFFSET(", "SIZE(", "NUMBER(", "LENGTH(", "PAGESIZE"].iter().any(|p| line.starts_with(p));
        for seed in 0..40u64 {
            let damaged: String = lines
                .iter()
                .enumerate()
                .map(|(nth, line)| {
                    let n = mix(seed << 20 | nth as u64);
                    match line.split_once('=').filter(|_| numeric(line) && n.is_multiple_of(12)) {
                        Some((key, _)) => format!("{key}={}\n", NUMBERS[(n >> 40) as usize % NUMBERS.len()]),
                        None => format!("{line}\n"),
                    }
                })
                .collect();
            for arch in [Arch::X86_64, Arch::Aarch64] {
                let found = Found { arch, vmcoreinfo: Some(damaged.clone()), phys_base: None, member: name.into() };
                let Ok(kernel) = Kernel::over(&dump, found, Sources::default()) else { continue };
                let _ = (kernel.log(), kernel.release(), kernel.build_id());
            }
        }
        // Each number alone at its bounds: the log's readers add them.
        for (nth, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("printk") || line.contains("prb"))
        {
            for number in [i64::MAX as u64, u64::MAX, 1 << 20, (1 << 20) + 1] {
                let Some((key, _)) = line.split_once('=').filter(|_| numeric(line)) else { continue };
                let mut text = lines.clone();
                let damaged = format!("{key}={number}");
                text[nth] = &damaged;
                let found = Found {
                    arch: Arch::X86_64,
                    vmcoreinfo: Some(text.join("\n")),
                    phys_base: None,
                    member: name.into(),
                };
                if let Ok(kernel) = Kernel::over(&dump, found, Sources::default()) {
                    let _ = kernel.log();
                }
            }
        }
    }
}

#[test]
fn shifts_of_arm64_are_checked() {
    for va_bits in NUMBERS {
        for size in NUMBERS {
            for page in [4096, 16384, 65536u64] {
                let text = format!(
                    "OSRELEASE=x\nPAGESIZE={page}\nNUMBER(VA_BITS)={va_bits}\nNUMBER(TCR_EL1_T1SZ)={size}\nNUMBER(kimage_voffset)=0\n\
                     NUMBER(PHYS_OFFSET)=0\nSYMBOL(swapper_pg_dir)=1000\nSYMBOL(_stext)=1000\n"
                );
                let found = Found { arch: Arch::Aarch64, vmcoreinfo: Some(text), phys_base: None, member: "x".into() };
                let dump = Dump::open(&[committed().join("vmcores/netdev-leak.kdump")]).unwrap();
                if let Ok(kernel) = Kernel::over(&dump, found, Sources::default()) {
                    let _ = kernel.u8(kernel::VirtAddr(u64::MAX));
                }
            }
        }
    }
}
