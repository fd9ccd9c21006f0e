//! Readers of the whole machine (memory counters, super blocks, disks) against what drgn says of the same dumps:
//! `overview.oracle.json`, an object by the dump's name.

mod evidence;

use dump::Dump;
use kernel::{Kernel, Sources};
use serde_json::Value;

/// Dumps with an entry: the committed ones, and those in the folder that `VMCORONER_KERNELS` names.
fn dumps() -> Vec<(String, std::path::PathBuf, Value)> {
    let mut folders = vec![evidence::committed().join("vmcores")];
    folders.extend(std::env::var_os("VMCORONER_KERNELS").map(std::path::PathBuf::from));
    let mut found = Vec::new();
    for folder in folders {
        let Ok(text) = std::fs::read_to_string(folder.join("overview.oracle.json")) else { continue };
        let Value::Object(all) = serde_json::from_str(&text).unwrap() else { panic!("no object") };
        found.extend(all.into_iter().map(|(name, said)| (name.clone(), folder.join(format!("{name}.kdump")), said)));
    }
    assert!(!found.is_empty());
    found
}

#[test]
fn page_counters_equal_drgn_s() {
    // Our line, the kernel's counter. The oracle has bytes, the CPUs' differences added.
    const LINES: &[(&str, &[&str])] = &[
        ("total", &["total"]),
        ("free", &["NR_FREE_PAGES"]),
        ("free_on_cpus", &["pcp"]),
        ("page_cache", &["NR_FILE_PAGES"]),
        ("anonymous", &["NR_ANON_MAPPED", "NR_ANON_PAGES"]),
        ("slab_reclaimable", &["NR_SLAB_RECLAIMABLE_B", "NR_SLAB_RECLAIMABLE"]),
        ("slab_unreclaimable", &["NR_SLAB_UNRECLAIMABLE_B", "NR_SLAB_UNRECLAIMABLE"]),
        ("page_tables", &["NR_PAGETABLE"]),
        ("shmem", &["NR_SHMEM"]),
        ("mapped", &["NR_FILE_MAPPED"]),
    ];
    for (name, path, said) in dumps() {
        let dump = Dump::open(&[&path]).unwrap();
        let kernel = Kernel::open(&dump, Sources::default()).unwrap();
        let overview = kernel.memory_overview();
        for (line, counters) in LINES {
            let want = counters.iter().find_map(|counter| said["counters"][*counter].as_i64());
            let want = want.map(|n| u64::try_from(n).unwrap_or(0));
            assert_eq!(overview.bytes(line), want, "{name}: {line}");
        }
        if let Some(pages) = said["counters"]["nr_vmalloc_pages"].as_u64() {
            assert_eq!(overview.bytes("vmalloc"), Some(pages * 4096), "{name}");
        }
        if let Some(pages) = said["counters"]["pcpu_nr_populated"].as_u64() {
            let units = said["counters"]["pcpu_nr_units"].as_u64().unwrap();
            let ours = overview.bytes("percpu").zip(overview.bytes("percpu_boot")).map(|(a, b)| a + b);
            assert_eq!(ours, Some(pages * units * 4096), "{name}");
        }
        // What no counter explains is little on machines where nothing leaks.
        let (total, left) = (overview.bytes("total").unwrap(), overview.unaccounted.unwrap());
        assert!((0..total as i64 / 10).contains(&left), "{name}: {left} of {total} unaccounted");
    }
}

#[test]
fn super_blocks_and_mounts_equal_drgn_s() {
    for (name, path, said) in dumps() {
        let dump = Dump::open(&[&path]).unwrap();
        let kernel = Kernel::open(&dump, Sources::default()).unwrap();
        let walk = kernel.super_blocks();
        assert_eq!(walk.gaps, [], "{name}");
        let states = ["no", "writes", "page-faults", "internal", "complete"];
        let seen: Vec<Value> = walk
            .items
            .iter()
            .map(|sb| {
                let frozen = states.iter().position(|state| Some(*state) == sb.frozen);
                serde_json::json!([sb.id, sb.fs_type, sb.device.0, sb.device.1, frozen])
            })
            .collect();
        assert_eq!(Value::from(seen), said["super_blocks"], "{name}");
        let mounts = kernel.mounts();
        assert_eq!(mounts.gaps, [], "{name}");
        let mut seen: Vec<_> =
            mounts.items.into_iter().map(|m| (m.source, m.fs_type, m.path.unwrap_or_default())).collect();
        seen.sort_unstable();
        assert_eq!(serde_json::json!(seen), said["mounts"], "{name}");
    }
}

#[test]
fn disks_and_their_requests_equal_drgn_s() {
    for (name, path, said) in dumps() {
        let Some(want) = said["disks"].as_array() else { continue };
        let dump = Dump::open(&[&path]).unwrap();
        let kernel = Kernel::open(&dump, Sources::default()).unwrap();
        let walk = kernel.disks();
        assert_eq!(walk.gaps, [], "{name}");
        let seen: Vec<Value> = walk
            .items
            .iter()
            .map(|disk| {
                let mut requests: Vec<_> = disk.requests.iter().map(|r| r.address.0).collect();
                requests.sort_unstable();
                serde_json::json!([disk.name, disk.queue.map(|at| at.0), requests])
            })
            .collect();
        assert_eq!(&seen, want, "{name}");
    }
}

#[test]
fn interrupts_and_softirqs_equal_drgn_s() {
    for (name, path, said) in dumps() {
        let dump = Dump::open(&[&path]).unwrap();
        let kernel = Kernel::open(&dump, Sources::default()).unwrap();
        let walk = kernel.interrupts();
        assert_eq!(walk.gaps, [], "{name}");
        let seen: Vec<Value> =
            walk.items.iter().map(|irq| serde_json::json!([irq.irq, irq.actions, irq.counts])).collect();
        assert_eq!(Value::from(seen), said["irqs"], "{name}");
        let Some(want) = said["softirqs"].as_array() else { continue };
        let seen: Vec<Value> = kernel
            .cpu_interrupts()
            .iter()
            .map(|cpu| {
                let ran: Vec<u64> = cpu.softirqs.iter().map(|(_, n)| *n).collect();
                serde_json::json!([cpu.cpu, ran, cpu.interrupts])
            })
            .collect();
        assert_eq!(&seen, want, "{name}");
    }
}

#[test]
fn timers_equal_drgn_s() {
    for (name, path, said) in dumps() {
        let Some(want) = said["timers"].as_array() else { continue };
        let dump = Dump::open(&[&path]).unwrap();
        let kernel = Kernel::open(&dump, Sources::default()).unwrap();
        let walk = kernel.timer_queues();
        assert_eq!(walk.gaps, [], "{name}");
        let wheels = walk.items.iter().filter(|queue| queue.kind != "high-resolution");
        let seen: Vec<Value> =
            wheels.map(|q| serde_json::json!([q.cpu, q.timers, q.first.as_ref().map(|t| t.expires)])).collect();
        let want: Vec<Value> = want.iter().map(|row| serde_json::json!([row[0], row[2], row[3]])).collect();
        assert_eq!(seen, want, "{name}");
        // Nothing is stuck in these guests, and no clock is misread by more than a tick or two.
        let (late, _) = kernel.timer_facts();
        assert!(late.is_empty(), "{name}: {late:?}");
    }
}

#[test]
fn pools_of_workers_equal_drgn_s() {
    for (name, path, said) in dumps() {
        let dump = Dump::open(&[&path]).unwrap();
        let kernel = Kernel::open(&dump, Sources::default()).unwrap();
        let walk = kernel.worker_pools();
        assert_eq!(walk.gaps, [], "{name}");
        let seen: Vec<Value> = walk
            .items
            .iter()
            .map(|pool| {
                let mut busy: Vec<_> =
                    pool.busy.iter().map(|w| (w.pid, w.function.clone(), w.workqueue.clone())).collect();
                busy.sort_unstable();
                let cpu = pool.cpu.map_or(-1, i64::from);
                serde_json::json!([pool.id, cpu, pool.workers, pool.idle, pool.pending, busy])
            })
            .collect();
        // drgn had no symbols of modules, and says null.
        let mut want = said["pools"].clone();
        for (pool, ours) in want.as_array_mut().unwrap().iter_mut().zip(&seen) {
            for (nth, worker) in pool[5].as_array_mut().unwrap().iter_mut().enumerate() {
                if worker[1].is_null() {
                    worker[1] = ours[5][nth][1].clone();
                }
            }
        }
        assert_eq!(Value::from(seen), want, "{name}");
    }
}

#[test]
fn pages_of_free_blocks_are_as_many_as_drgn_counts() {
    for (name, path, said) in dumps() {
        let Some(want) = said["counters"]["NR_FREE_PAGES"].as_u64() else { continue };
        let dump = Dump::open(&[&path]).unwrap();
        let kernel = Kernel::open(&dump, Sources::default()).unwrap();
        let places = kernel.whereabouts();
        // The guests have less than 256 MiB.
        let addresses = (0..65_536u64).filter_map(|frame| kernel.phys_to_virt(frame << 12));
        let free = addresses.filter(|at| places.what(*at).page_state.is_some_and(|page| page.free)).count();
        assert_eq!(free as u64 * 4096, want, "{name}");
    }
}

#[test]
fn sysctls_equal_drgn_s() {
    for (name, path, said) in dumps() {
        let dump = Dump::open(&[&path]).unwrap();
        let kernel = Kernel::open(&dump, Sources::default()).unwrap();
        let seen = kernel.sysctls().items;
        for (sysctl, want) in said["sysctls"].as_object().unwrap() {
            let ours = seen.iter().find(|s| s.name == *sysctl).and_then(|s| s.value);
            // Without CONFIG_KALLSYMS_ALL a variable may have no symbol.
            assert!(
                ours == want.as_i64() || (ours.is_none() && name.starts_with("aarch64")),
                "{name}: {sysctl} {ours:?}"
            );
        }
    }
}

#[test]
fn neighbours_equal_drgn_s() {
    for (name, path, said) in dumps() {
        let dump = Dump::open(&[&path]).unwrap();
        let kernel = Kernel::open(&dump, Sources::default()).unwrap();
        let walk = kernel.neighbours();
        assert_eq!(walk.gaps, [], "{name}");
        let mut seen: Vec<_> =
            walk.items.iter().map(|n| (n.address.0, n.device.0, n.references.unwrap_or(0))).collect();
        seen.sort_unstable();
        assert_eq!(serde_json::json!(seen), said["neighbours"], "{name}");
    }
}

#[test]
fn the_largest_caches_are_those_of_the_whole_list() {
    for (name, path, _) in dumps() {
        let dump = Dump::open(&[&path]).unwrap();
        let kernel = Kernel::open(&dump, Sources::default()).unwrap();
        let bytes = |cache: &kernel::SlabCache| cache.total.unwrap_or(0) * cache.size;
        let mut all: Vec<u64> = kernel.slab_caches().items.iter().map(bytes).collect();
        all.sort_unstable_by(|a, b| b.cmp(a));
        let largest: Vec<u64> = kernel.largest_slab_caches(5).items.iter().map(bytes).collect();
        assert_eq!(largest, all.into_iter().take(5).collect::<Vec<_>>(), "{name}");
    }
}
