//! Drives that are lost at one moment: the fault is in what they share. Names tell what that is, or only the time does.

use std::collections::{BTreeMap, BTreeSet};

use facts::Fact;

use super::sequence::SECOND;

/// Losses no further apart than this, each from the one before, are one.
const TOGETHER_NS: i64 = 5 * SECOND;
/// So many drives at one moment are no accident, whatever their names say.
const MANY: usize = 3;
/// Drives that are named.
const MAX_NAMED: usize = 8;

/// Drives that were lost together.
pub(super) struct Shared {
    /// Positions of the events.
    pub(super) events: Vec<usize>,
    pub(super) drives: usize,
    pub(super) text: String,
}

/// A drive, and what its name says that it hangs on.
#[derive(Clone)]
struct Drive {
    name: String,
    sort: &'static str,
    parent: Option<String>,
}

/// The groups of drives that were lost together. `explained` holds the events of which the cause is known.
pub(super) fn shared(facts: &[Fact], explained: &BTreeSet<usize>) -> Vec<Shared> {
    let mut groups: Vec<Vec<(usize, Drive)>> = Vec::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    // Some lines name a drive by its address alone.
    let mut by_address: BTreeMap<&str, &str> = BTreeMap::new();
    for (at, fact) in facts.iter().enumerate() {
        if fact.kind == "log.boot" {
            groups.push(Vec::new());
            seen.clear();
            by_address.clear();
        }
        if let (Some(target), Some(device)) = (fact.text("target"), fact.text("device")) {
            by_address.insert(target, device);
        }
        if fact.kind == "log.block_io_error"
            && let Some(group) = groups.last_mut()
            && let Some(of) = group.iter().position(|(_, known)| fact.text("device") == Some(&*known.name))
            && let Some(drive) = group.get(of).map(|(_, known)| known.clone())
        {
            // What the layer above says of the same.
            group.push((at, drive));
            continue;
        }
        let Some(mut drive) = drive(fact).filter(|_| !explained.contains(&at)) else { continue };
        if let Some(device) = by_address.get(drive.name.as_str()) {
            (*device).clone_into(&mut drive.name);
        }
        // A drive that failed before is lost already, and belongs to the group in which that was.
        if !seen.insert(drive.name.clone()) {
            if let Some(group) =
                groups.last_mut().filter(|group| group.iter().any(|(_, known)| known.name == drive.name))
            {
                group.push((at, drive));
            }
            continue;
        }
        let joins = groups.last().and_then(|group| group.iter().rfind(|(at, _)| is_loss(facts, *at))).is_some_and(
            |(last, known)| {
                let between = facts.get(*last).and_then(|f| f.time).zip(fact.time).and_then(|(a, b)| b.since(&a));
                known.sort == drive.sort
                    && facts.get(*last).is_some_and(|f| f.origin.member == fact.origin.member)
                    && between.is_some_and(|ns| (0..=TOGETHER_NS).contains(&ns))
            },
        );
        match groups.last_mut() {
            Some(group) if joins || group.is_empty() => group.push((at, drive)),
            _ => groups.push(vec![(at, drive)]),
        }
    }
    groups.iter().filter_map(|group| told(group)).collect()
}

fn is_loss(facts: &[Fact], at: usize) -> bool {
    facts.get(at).is_some_and(|fact| fact.kind != "log.block_io_error")
}

fn told(group: &[(usize, Drive)]) -> Option<Shared> {
    let names: BTreeSet<&str> = group.iter().map(|(_, drive)| drive.name.as_str()).collect();
    let parents: BTreeSet<Option<&str>> = group.iter().map(|(_, drive)| drive.parent.as_deref()).collect();
    let parent = match parents.iter().collect::<Vec<_>>().as_slice() {
        [Some(parent)] => Some(*parent),
        _ => None,
    };
    if names.len() < if parent.is_some() { 2 } else { MANY } {
        return None;
    }
    let list: Vec<&str> = names.iter().copied().take(MAX_NAMED).collect();
    let dots = if names.len() > MAX_NAMED { ", ..." } else { "" };
    let what = match (parent, group.first().map(|(_, drive)| drive.sort)) {
        (Some(parent), _) => format!("all hang on {parent}: its adapter, cable, enclosure or power"),
        (None, Some("ata")) => "what their ports share: controller, backplane or power".to_owned(),
        (None, _) => "what they share is not in their names: controller, enclosure, power or the way there".to_owned(),
    };
    Some(Shared {
        events: group.iter().map(|(at, _)| *at).collect(),
        drives: names.len(),
        text: format!("{} drives failed at one moment ({}{dots}); {what}", names.len(), list.join(", ")),
    })
}

/// The drive that an event says is lost. What a drive says of its own sectors is its own matter.
fn drive(fact: &Fact) -> Option<Drive> {
    if !matches!(fact.text("severity"), Some("failure" | "report")) {
        return None;
    }
    match &*fact.kind {
        "log.scsi_error" => {
            let lost = fact.text("hostbyte").is_some_and(|byte| {
                ["DID_NO_CONNECT", "DID_TRANSPORT", "DID_TIME_OUT", "DID_BAD_TARGET", "DID_BUS_BUSY", "DID_ERROR"]
                    .iter()
                    .any(|word| byte.starts_with(word))
            }) || matches!(fact.text("what"), Some("offline" | "rejecting"));
            let target = fact.text("target").filter(|target| target.split(':').count() == 4);
            let name = fact.text("device").or(target).filter(|_| lost && fact.text("sense_key").is_none())?;
            let host = target.and_then(|target| target.split(':').next());
            Some(Drive { name: name.to_owned(), sort: "scsi", parent: host.map(|host| format!("SCSI host {host}")) })
        }
        "log.ata_error" => {
            let port = fact.text("port")?.split('.').next()?;
            let own = fact.text("error").is_some_and(|error| error.contains("UNC"))
                || fact.text("cause").is_some_and(|cause| cause.contains("media"));
            let name = (!own).then(|| port.to_owned())?;
            Some(Drive { name, sort: "ata", parent: None })
        }
        "log.nvme_error" => {
            let lost =
                matches!(fact.text("what"), Some("down" | "timeout" | "not-ready" | "removed" | "connection-lost"));
            let name = fact.text("device").filter(|name| lost && name.starts_with("nvme"))?;
            let rest = name.strip_prefix("nvme")?;
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let name = format!("nvme{}", rest.get(..digits)?);
            Some(Drive { name, sort: "nvme", parent: None })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use facts::{Origin, Stamp};

    use super::*;

    fn scsi(device: &str, target: &str, seconds: i64) -> Fact {
        let line = u64::try_from(seconds).unwrap_or(1);
        let mut fact = Fact::new("log.scsi_error", Origin::lines("dmesg", line, line))
            .with("severity", "failure")
            .with("device", device)
            .with("target", target)
            .with("hostbyte", "DID_NO_CONNECT");
        fact.time = Some(Stamp::since_boot(seconds * SECOND));
        fact
    }

    fn told_of(facts: &[Fact]) -> Vec<(usize, String)> {
        shared(facts, &BTreeSet::new()).into_iter().map(|found| (found.drives, found.text)).collect()
    }

    #[test]
    fn drives_of_one_host_that_are_lost_at_once_share_it() {
        let told = told_of(&[scsi("sda", "3:0:0:0", 10), scsi("sdb", "3:0:1:0", 11), scsi("sda", "3:0:0:0", 11)]);
        assert!(told.len() == 1 && told[0].0 == 2 && told[0].1.contains("SCSI host 3"), "{told:?}");
        let far = [scsi("sda", "3:0:0:0", 10), scsi("sdb", "3:0:1:0", 100)];
        assert!(told_of(&far).is_empty());
        let offline = Fact::new("log.scsi_error", Origin::lines("dmesg", 11, 11)).with("severity", "failure");
        let mut offline = offline.with("target", "3:0:0:0").with("what", "offline");
        offline.time = Some(Stamp::since_boot(11 * SECOND));
        assert!(told_of(&[scsi("sda", "3:0:0:0", 10), offline]).is_empty(), "one drive under two names");
        let two_hosts = [scsi("sda", "3:0:0:0", 10), scsi("sdb", "4:0:1:0", 11)];
        assert!(told_of(&two_hosts).is_empty(), "two may be an accident");
        let three = [scsi("sda", "3:0:0:0", 10), scsi("sdb", "4:0:1:0", 11), scsi("sdc", "5:0:1:0", 12)];
        assert!(told_of(&three)[0].1.contains("not in their names"));
    }

    #[test]
    fn what_has_a_cause_and_what_a_drive_says_of_its_sectors_is_not_shared() {
        let facts = [scsi("sda", "3:0:0:0", 10), scsi("sdb", "3:0:1:0", 11)];
        assert!(shared(&facts, &BTreeSet::from([1])).is_empty());
        let medium = scsi("sdb", "3:0:1:0", 11).with("sense_key", "Medium Error");
        assert!(told_of(&[facts[0].clone(), medium]).is_empty());
    }
}
