//! Real reports labelled by reading (`testdata/klog/reports.tsv`): what is found, what is right, and what is raised
//! where nothing stands. The logs lie beside the repository; where they do not, only the table itself is checked.
//!
//! `cargo test -p vmcoroner-klog --test reports -- --nocapture` prints the table of docs/logs.md.

mod more_oops;

use std::collections::BTreeMap;
use std::path::Path;

use klog::{Event, Severity};
use more_oops::{collection, read};

struct Label {
    file: String,
    line: u64,
    family: String,
    classes: Vec<String>,
    values: Vec<(String, String)>,
    more: bool,
}

fn labels() -> Vec<Label> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/klog/reports.tsv");
    let text = std::fs::read_to_string(path).expect("testdata/klog/reports.tsv");
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut columns = line.split('\t');
            let mut next = || columns.next().unwrap_or("");
            Label {
                file: next().to_owned(),
                line: next().parse().expect("a line number"),
                family: next().to_owned(),
                classes: next().split('|').map(str::to_owned).collect(),
                values: next()
                    .split(';')
                    .filter_map(|pair| pair.split_once('='))
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
                more: next() == "+",
            }
        })
        .collect()
}

/// The label's family of an event's kind.
fn family_of(event: &Event) -> &'static str {
    match event.family {
        "oom" | "memcg_oom" => "oom",
        "page_alloc_failure" => "page-alloc",
        "slab_alloc_failure" => "slab-alloc",
        "ext4" => "ext4",
        "xfs" => "xfs",
        "btrfs" => "btrfs",
        "block_io_error" => "block",
        "scsi_error" | "host_adapter" => "scsi",
        "nvme_error" => "nvme",
        "ata_error" => "ata",
        "raid_error" => "md",
        "mce" => "mce",
        "edac" => "edac",
        "firmware_error_record" => "ghes",
        "pcie_error" => "aer",
        "net_watchdog" => "net-watchdog",
        "unregister_netdevice" => "netdev",
        "limit_reached" => "limit",
        _ => "other",
    }
}

fn right(label: &Label, event: &Event) -> bool {
    let fact = event.to_fact("x");
    label.classes.iter().any(|c| c == event.class)
        && label.values.iter().all(|(name, value)| fact.get(name).map(ToString::to_string).as_ref() == Some(value))
}

#[derive(Default)]
struct Count {
    labels: usize,
    found: usize,
    right: usize,
    raised: usize,
    labelled: usize,
}

#[test]
fn reports_labelled_by_hand_are_found_with_their_values() {
    let labels = labels();
    let known = klog::class::ALL;
    for label in labels.iter().filter(|l| l.family != "none") {
        assert!(label.classes.iter().all(|c| known.contains(&c.as_str())), "{}: {:?}", label.file, label.classes);
    }
    assert!(labels.iter().filter(|l| l.family != "other" && l.family != "none").count() > 100);
    let Some(collection) = collection() else { return };
    let mut files: BTreeMap<&str, Vec<&Label>> = BTreeMap::new();
    for label in &labels {
        files.entry(&label.file).or_default().push(label);
    }
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for (file, labels) in files {
        let Some(bytes) = read(&collection.join(file)) else { continue };
        let events: Vec<Event> = klog::read(file, &bytes).boots.into_iter().flat_map(|boot| boot.events).collect();
        let covers = |label: &Label, event: &Event| {
            event.first_line <= label.line + 1 && label.line <= event.last_line + 1 && event.class != "clean"
        };
        for label in labels.iter().filter(|l| l.family != "none") {
            let count = counts.entry(label.family.clone()).or_default();
            count.labels += 1;
            let at: Vec<&Event> = events.iter().filter(|e| covers(label, e)).collect();
            let near: Vec<&&Event> =
                at.iter().filter(|e| label.family == "other" || family_of(e) == label.family).collect();
            count.found += usize::from(!near.is_empty());
            if near.iter().any(|e| right(label, e)) {
                count.right += 1;
            } else {
                println!("{file}:{} {} {:?} {:?}", label.line, label.family, label.classes, label.values);
                for event in at {
                    println!(
                        "    {} {} {}-{}: {:?}",
                        event.family, event.class, event.first_line, event.last_line, event.fields
                    );
                }
            }
        }
        for event in events.iter().filter(|e| e.severity >= Severity::Failure) {
            let family = family_of(event);
            let count = counts.entry(family.to_owned()).or_default();
            count.raised += 1;
            let known =
                labels.iter().any(|l| covers(l, event) || l.more && l.family == family && l.line <= event.last_line);
            count.labelled += usize::from(known);
            if !known {
                println!("{file}:{} raised without a label: {} {}", event.first_line, event.family, event.quote);
            }
        }
    }
    println!(
        "| family | labels | found | with class and values | raised | of these labelled |\n|---|---|---|---|---|---|"
    );
    let (mut all, mut right, mut raised, mut labelled) = (0, 0, 0, 0);
    for (family, count) in &counts {
        println!(
            "| {family} | {} | {} | {} | {} | {} |",
            count.labels, count.found, count.right, count.raised, count.labelled
        );
        all += count.labels;
        right += count.right;
        raised += count.raised;
        labelled += count.labelled;
    }
    println!("| all | {all} | | {right} | {raised} | {labelled} |");
    assert!(right * 100 >= all * 92, "{right} of {all} labels");
    assert!(labelled * 100 >= raised * 97, "{labelled} of {raised} events");
}
