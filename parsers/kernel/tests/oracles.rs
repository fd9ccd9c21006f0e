//! The reader against what drgn and makedumpfile say of the same dumps.
//!
//! The small dumps lie in `testdata`; the others are used when the folder with the evidence lies beside the
//! repository.

mod evidence;

use dump::Dump;
use evidence::{committed, dumps, hex, sources};
use kernel::{Kernel, Render, Sources, VirtAddr};
use serde_json::Value;

#[test]
fn log_records_equal_the_oracle_s() {
    for (name, path, oracle) in dumps() {
        let dump = Dump::open(&[&path]).unwrap();
        let kernel = Kernel::open(&dump, Sources::default()).unwrap();
        let log = kernel.log();
        assert_eq!(log.gaps, [], "{name}");
        let expected = oracle["log"]["records"].as_array().unwrap();
        assert_eq!(log.records.len(), expected.len(), "{name}");
        for (record, expected) in log.records.iter().zip(expected) {
            let seen = (record.seq, record.ts_ns.unwrap(), u64::from(record.facility), u64::from(record.level));
            let want = |key: &str| expected[key].as_u64().unwrap();
            assert_eq!(seen, (want("seq"), want("ts_ns"), want("facility"), want("level")), "{name}");
            assert_eq!(record.text_lossy(), expected["text"].as_str().unwrap(), "{name}");
            let caller = match record.caller {
                Some(kernel::Caller::Thread(id)) => (Some(u64::from(id)), None),
                Some(kernel::Caller::Cpu(id)) => (None, Some(u64::from(id))),
                None => (None, None),
            };
            assert_eq!(caller, (expected["caller_tid"].as_u64(), expected["caller_cpu"].as_u64()), "{name}");
        }
        // drgn leaves continuation lines without prefix; else the text is the same.
        let ours = String::from_utf8_lossy(&log.render(Render::default())).into_owned();
        let theirs = oracle["log"]["text"].as_str().unwrap();
        let differing: Vec<_> = ours.lines().zip(theirs.lines()).filter(|(a, b)| a != b).collect();
        assert!(differing.iter().all(|(a, b)| a.ends_with(b) && a.starts_with('[')), "{name}: {differing:?}");
        assert_eq!(ours.lines().count(), theirs.lines().count(), "{name}");
    }
}

#[test]
fn symbols_equal_the_oracle_s() {
    for (name, path, oracle) in dumps() {
        let dump = Dump::open(&[&path]).unwrap();
        let kernel = Kernel::open(&dump, Sources::default()).unwrap();
        assert!(kernel.symbol_count() > 10_000, "{name}: {} symbols, {:?}", kernel.symbol_count(), kernel.gaps());
        let Some(expected) = oracle["symbols"].as_object() else { continue };
        let all = kernel.symbol("saved_command_line").is_some();
        for (symbol, expected) in expected {
            let want = hex(&expected["address"]);
            // The oracles have arm64's `_end` as linked, not as relocated.
            if symbol == "_end" && kernel.arch() == kernel::Arch::Aarch64 {
                continue;
            }
            match kernel.symbol(symbol) {
                Some(seen) => assert!(
                    Some(seen) == want
                        || kernel.symbols(symbol).contains(&want.unwrap_or(0))
                        || kernel.vmcoreinfo().symbol(symbol).is_some(),
                    "{name}: {symbol} {seen:#x} {want:x?}"
                ),
                // kallsyms leaves itself out.
                None => {
                    assert!(want.is_none() || !all || symbol.starts_with("kallsyms_"), "{name}: {symbol} is missing")
                }
            }
        }
        if let Some(at) = kernel.symbol("linux_banner") {
            let banner = kernel.cstr(VirtAddr(at), 1024).unwrap();
            assert_eq!(banner.trim_end(), oracle["banner"].as_str().unwrap().trim_end(), "{name}");
        }
    }
}

#[test]
fn stack_frames_resolve_to_the_oracle_s_symbols() {
    for (name, path, oracle) in dumps() {
        let dump = Dump::open(&[&path]).unwrap();
        let kernel = Kernel::open(&dump, Sources::default()).unwrap();
        let (mut equal, mut other) = (0, Vec::new());
        for task in oracle["tasks"].as_array().unwrap() {
            for frame in task["stack"].as_array().into_iter().flatten() {
                let (Some(symbol), Some(pc)) = (frame["symbol"].as_str(), hex(&frame["pc"])) else { continue };
                // A return address may be the first byte behind a function that does not return.
                let at = pc - u64::from(frame["interrupted"] != true);
                match kernel.symbolize(VirtAddr(at)) {
                    Some(found) if found.name == symbol => equal += 1,
                    found => other.push((symbol.to_owned(), found.map(|f| f.name), format!("{pc:#x}"))),
                }
            }
        }
        println!("{name}: {equal} frames, {} differ: {:?}", other.len(), &other[..other.len().min(12)]);
        // Two names of one address: which of them drgn takes, the order of the vmlinux's symbols decides. And an oracle
        // made without a vmlinux names labels inside functions.
        other.retain(|(want, _, pc)| {
            let at = u64::from_str_radix(&pc[2..], 16).unwrap() - 1;
            let found = kernel.symbolize(VirtAddr(at)).map(|found| (at - found.offset, found.size.unwrap_or(0)));
            found.is_none_or(|(start, size)| {
                !kernel.symbols(want).iter().any(|address| (start..start + size).contains(address))
            })
        });
        assert!(other.len() * 500 < equal, "{name}: {equal} frames agree, these differ: {other:?}");
    }
}

#[test]
fn modules_equal_the_oracle_s() {
    for (name, path, oracle) in dumps() {
        let dump = Dump::open(&[&path]).unwrap();
        let kernel = Kernel::open(&dump, Sources::default()).unwrap();
        let walk = kernel.modules();
        let Some(expected) = oracle["modules"].as_array() else { continue };
        if expected.is_empty() && kernel.symbol("modules").is_none() {
            continue; // no CONFIG_MODULES
        }
        assert_eq!(walk.gaps, [], "{name}");
        let seen: Vec<_> = walk
            .items
            .iter()
            .map(|m| (m.name.clone(), m.address.0, m.base, m.size, m.taints.map(|_| m.taint_letters())))
            .collect();
        let want: Vec<_> = expected
            .iter()
            .map(|m| {
                (
                    m["name"].as_str().unwrap().to_owned(),
                    hex(&m["address"]).unwrap(),
                    hex(&m["base"]).unwrap(),
                    m["size"].as_u64().unwrap(),
                    m["taints"].as_str().filter(|_| !kernel.types().is_empty()).map(str::to_owned),
                )
            })
            .collect();
        assert_eq!(seen, want, "{name}");
    }
}

#[test]
fn formats_give_the_same_log() {
    let formats = committed().join("formats");
    for (log, records, names) in [
        (
            "a.dmesg",
            "a.records.jsonl.gz",
            &[
                "a-zlib.kdump",
                "a-lzo.kdump",
                "a-zstd.kdump",
                "a-snappy.kdump",
                "a-stored.kdump",
                "a-zlib.flat",
                "a.elf",
            ][..],
        ),
        ("w.dmesg.gz", "w.records.jsonl.gz", &["w-zlib.kdump"][..]),
    ] {
        let read = |name: &str| {
            let bytes = std::fs::read(formats.join(name)).unwrap();
            if !name.ends_with(".gz") {
                return bytes;
            }
            let mut out = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut out).unwrap();
            out
        };
        let (text, records) = (read(log), read(records));
        let sequence: Vec<u64> = String::from_utf8_lossy(&records)
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap())
            .collect();
        for name in names {
            let dump = Dump::open(&[formats.join(name)]).unwrap();
            let kernel = Kernel::open(&dump, Sources::default()).unwrap();
            let log = kernel.log();
            assert_eq!(log.gaps, [], "{name}");
            assert_eq!(log.records.iter().map(|r| r.seq).collect::<Vec<_>>(), sequence, "{name}");
            let ours = log.render(Render::default());
            let differ = ours.split(|b| *b == b'\n').zip(text.split(|b| *b == b'\n')).find(|(a, b)| a != b);
            assert_eq!(
                differ.map(|(a, b)| (String::from_utf8_lossy(a).into_owned(), String::from_utf8_lossy(b).into_owned())),
                None,
                "{name}"
            );
            assert_eq!(ours, text, "{name}");
        }
    }
}

#[test]
fn a_vmlinux_names_the_same_addresses_and_a_foreign_one_is_refused() {
    let all = dumps();
    for (name, path, oracle) in &all {
        let sources = sources(path, oracle);
        let Some(vmlinux) = sources.vmlinux.clone() else { continue };
        let dump = Dump::open(&[path]).unwrap();
        let kernel = Kernel::open(&dump, sources).unwrap();
        for (symbol, expected) in oracle["symbols"].as_object().into_iter().flatten() {
            if let Some(want) = hex(&expected["address"]).filter(|_| symbol != "_end") {
                assert_eq!(kernel.symbol(symbol), Some(want), "{name}: {symbol}");
            }
        }
        assert!(kernel.gaps().iter().all(|gap| gap.what != "symbols from a file"), "{name}: {:?}", kernel.gaps());
        // The same file for another kernel.
        let Some((other, path, _)) = all.iter().find(|(other, ..)| other.as_str() == "healthy-live") else { continue };
        let dump = Dump::open(&[path]).unwrap();
        let kernel = Kernel::open(&dump, Sources { vmlinux: Some(vmlinux), ..Sources::default() }).unwrap();
        assert!(kernel.symbol("init_task").is_some(), "{other}");
        assert!(kernel.gaps().iter().any(|gap| gap.what == "symbols from a file"), "{other}: {:?}", kernel.gaps());
    }
}
