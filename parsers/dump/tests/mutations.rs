//! Damaged dumps end in an answer or in a clear error: no panic, no hang.
//!
//! `DUMP_MUTATIONS=20000` sets how many are tried, `DUMP_SEED` where they start.

mod support;

use std::time::{Duration, Instant};

use dump::{Dump, PhysAddr, Source};
use support::source;

const SAMPLES: [&str; 7] =
    ["a-zlib.kdump", "a-lzo.kdump", "a-zstd.kdump", "a-snappy.kdump", "a-zlib.flat", "a.elf", "a-split.2"];

/// SplitMix64: small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// Asks a dump everything.
fn use_all(files: Vec<(String, Source)>, what: &str) {
    let start = Instant::now();
    match Dump::from_sources(files) {
        Err(error) => assert!(!error.to_string().is_empty()),
        Ok(dump) => {
            let info = dump.info();
            let gaps = dump.gaps();
            assert!(gaps.iter().all(|gap| !gap.what.is_empty() && !gap.why.is_empty()));
            for pfn in dump.ranges().flatten().take(600) {
                if let Ok(page) = dump.page(pfn) {
                    assert_eq!(page.len(), info.page_size);
                }
            }
            for pfn in [0, 1, dump.end_pfn().saturating_sub(1), dump.end_pfn(), u64::MAX] {
                let _ = dump.page(pfn);
            }
            let mut buffer = [0; 9000];
            for at in [0, 0x100f00, u64::MAX - 10] {
                if let Err(short) = dump.read(PhysAddr(at), &mut buffer) {
                    assert!(short.done < buffer.len());
                }
            }
            if info.pages.present < 2000 {
                let _ = dump.find_vmcoreinfo(2);
            }
        }
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{what} took {:?}", start.elapsed());
}

#[test]
fn cuts_at_fifty_places_are_served() {
    for name in SAMPLES {
        let whole = source(name);
        for nth in 0..50 {
            let len = whole.len() * nth / 50;
            let cut = Source::overlay(&whole, [], Some(len));
            use_all(vec![(name.into(), cut)], &format!("{name} cut at {len}"));
        }
    }
}

#[test]
fn large_dumps_cut_at_fifty_places_are_served() {
    let Some(folder) = support::shared_vmcores() else { return };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "kdump") {
            let whole = Source::map(&path).unwrap();
            for nth in 0..50 {
                let len = whole.len() * nth / 50;
                let what = format!("{} cut at {len}", path.display());
                use_all(vec![(what.clone(), Source::overlay(&whole, [], Some(len)))], &what);
            }
        }
    }
}

#[test]
fn mutated_dumps_are_survived() {
    let from_env = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    let count: u64 = from_env("DUMP_MUTATIONS").unwrap_or(2000);
    let seed: u64 = from_env("DUMP_SEED").unwrap_or(1);
    let wholes = SAMPLES.map(|name| (name, source(name)));
    for nth in seed..seed + count {
        let mut random = Random(nth);
        let (name, whole) = &wholes[random.below(SAMPLES.len() as u64) as usize];
        // Headers, bitmaps and descriptors matter more than page data.
        let edge = [512, 5000, 30_000, whole.len()][random.below(4) as usize].min(whole.len());
        let patches: Vec<(u64, Vec<u8>)> = (0..1 + random.below(8))
            .map(|_| {
                let at = random.below(edge);
                let bytes = match random.below(4) {
                    0 => vec![0xff; 1 + random.below(8) as usize],
                    1 => vec![0; 1 + random.below(8) as usize],
                    2 => vec![1 << random.below(8)],
                    _ => (0..1 + random.below(16)).map(|_| random.below(256) as u8).collect(),
                };
                (at, bytes)
            })
            .collect();
        let cut = (random.below(4) == 0).then(|| random.below(whole.len()));
        let what = format!("seed {nth}: {name} with {patches:x?} cut {cut:?}");
        let mutated = Source::overlay(whole, patches, cut);
        use_all(vec![((*name).into(), mutated)], &what);
    }
}
