//! Losses that healed: a server that does not answer and then does, a connection that is lost and comes back.

use facts::{Fact, Place};

/// A loss and its recovery.
pub(super) struct Recovery {
    /// Position of the loss.
    pub(super) event: usize,
    /// Position of the word that all is well again.
    pub(super) by: usize,
    /// Time between them, where both tell one.
    pub(super) seconds: Option<i64>,
    /// It is worth telling: links and peers come up one after the other while a machine starts.
    pub(super) worth: bool,
}

/// Links and peers that a machine which starts waits for.
const STARTING_NS: i64 = 300_000_000_000;

impl Recovery {
    pub(super) fn text(&self) -> String {
        match self.seconds {
            Some(seconds) => format!("recovered after {seconds} s"),
            None if self.by == self.event => "recovered: its link came back".to_owned(),
            None => "recovered later".to_owned(),
        }
    }
}

/// The losses of which a later line of the same boot says that they are over.
pub(super) fn recoveries(facts: &[Fact]) -> Vec<Recovery> {
    let well = |fact: &Fact| fact.text("what") == Some("ok") && fact.kind.starts_with("log.");
    let mut found = links_back(facts);
    if !facts.iter().any(well) {
        return found;
    }
    let mut boot = 0usize;
    let boots: Vec<usize> = facts
        .iter()
        .map(|fact| {
            boot += usize::from(fact.kind == "log.boot");
            boot
        })
        .collect();
    let words: Vec<usize> = facts.iter().enumerate().filter(|(_, f)| well(f)).map(|(at, _)| at).collect();
    for (at, loss) in facts.iter().enumerate().filter(|(_, f)| is_loss(f)) {
        let from = words.partition_point(|word| *word < at);
        let over = words[from..].iter().copied().take(400).find(|word| {
            boots.get(*word) == boots.get(at)
                && facts
                    .get(*word)
                    .is_some_and(|word| word.origin.member == loss.origin.member && is_of_same(loss, word))
        });
        if let Some(by) = over.filter(|by| !has_lost_data(loss, facts.get(at..*by).unwrap_or_default())) {
            let ns = facts.get(by).and_then(|f| f.time).zip(loss.time).and_then(|(b, a)| b.since(&a));
            let starting = loss.time.and_then(|t| t.since_boot_ns).is_some_and(|ns| ns < STARTING_NS);
            let worth = !starting || loss.get("filesystem").is_some() || loss.kind == "log.nvme_error";
            found.push(Recovery { event: at, by, seconds: ns.map(|ns| ns.max(0) / 1_000_000_000), worth });
        }
    }
    found.sort_by_key(|recovery| recovery.event);
    found
}

/// Links of SATA ports that came back when they were reset, as long as no request was given up and no port speaks again.
fn links_back(facts: &[Fact]) -> Vec<Recovery> {
    let bad = |fact: &Fact| {
        matches!(&*fact.kind, "log.ata_error" | "log.block_io_error" | "log.scsi_error")
            && fact.get("link_back").is_none()
            && fact.text("severity") != Some("notice")
            && fact.text("what") != Some("ok")
    };
    let back = |fact: &Fact| fact.get("link_back").is_some() && fact.get("error").is_none();
    if facts.iter().any(bad) {
        return Vec::new();
    }
    let healed = facts.iter().enumerate().filter(|(_, fact)| back(fact) && fact.int("repeats").unwrap_or(1) < 3);
    healed.map(|(at, _)| Recovery { event: at, by: at, seconds: None, worth: true }).collect()
}

fn is_loss(fact: &Fact) -> bool {
    let lost = match &*fact.kind {
        "log.link" => matches!(fact.text("what"), Some("down" | "no-link")),
        "log.drbd" => fact.text("what") == Some("peer-lost"),
        "log.raid_error" => matches!(fact.text("what"), Some("path" | "disk-failure")),
        "log.host_adapter" => fact.text("what") == Some("connection-lost"),
        "log.nvme_error" => matches!(fact.text("what"), Some("timeout" | "down" | "not-ready" | "connection-lost")),
        "log.gpu_error" => matches!(fact.text("what"), Some("ring-timeout" | "reset" | "hang")),
        _ => fact.get("filesystem").is_some() && matches!(fact.text("what"), Some("not-responding" | "server-down")),
    };
    fact.kind.starts_with("log.") && lost && matches!(fact.origin.place, Place::Lines { .. })
}

/// Did a controller come back too late for requests to its namespaces?
fn has_lost_data(loss: &Fact, between: &[Fact]) -> bool {
    let of_it = |fact: &Fact| {
        let rest = fact.text("device").zip(loss.text("device")).and_then(|(name, of)| name.strip_prefix(of));
        fact.kind == "log.block_io_error" && rest.is_some_and(|rest| rest.starts_with('n'))
    };
    let given_up = |fact: &Fact| {
        matches!(&*fact.kind, "log.block_io_error" | "log.scsi_error") && fact.text("severity") != Some("notice")
    };
    loss.kind == "log.host_adapter" && between.iter().any(given_up)
        || loss.kind == "log.nvme_error" && between.iter().any(of_it)
}

fn is_of_same(loss: &Fact, word: &Fact) -> bool {
    let same = |name: &str| loss.text(name).is_some_and(|value| !value.is_empty() && word.text(name) == Some(value));
    if loss.kind == word.kind && loss.get("filesystem").is_none() {
        let peer = loss.text("peer").is_none() || word.text("peer").is_none() || same("peer");
        if loss.kind == "log.gpu_error" {
            // Lines of one driver name the card or not.
            let other = loss.text("device").zip(word.text("device")).is_some_and(|(a, b)| a != b);
            return same("driver") && !other;
        }
        if loss.kind == "log.host_adapter" {
            return same("driver");
        }
        // A member that failed was replaced when the array is whole again.
        if loss.text("what") == Some("disk-failure") || loss.kind == "log.raid_error" && word.get("device").is_none() {
            return loss.text("what") == Some("disk-failure") && word.get("device").is_none() && same("array");
        }
        return same("device") && peer && loss.text("of") == word.text("of");
    }
    same("filesystem") && (same("device") || import(loss).is_some_and(|import| self::import(word) == Some(import)))
}

/// The client's end of a connection of Lustre: `Lustre: fs-OST0035-osc-MDT0001: Connection ...`
fn import(fact: &Fact) -> Option<&str> {
    let rest = fact.text("detail")?.strip_prefix("Lustre")?;
    let rest = rest.strip_prefix("Error").unwrap_or(rest).strip_prefix(": ")?;
    rest.split(": ")
        .find(|part| part.contains("-osc") || part.contains("-mdc") || part.contains("-osp") || part.starts_with("MGC"))
}

#[cfg(test)]
mod tests {
    use facts::{Origin, Stamp};

    use super::*;

    fn line(what: &str, device: &str, seconds: i64) -> Fact {
        let number = u64::try_from(seconds).unwrap_or(1);
        let mut fact = Fact::new("log.network_filesystem", Origin::lines("dmesg", number, number))
            .with("filesystem", "nfs")
            .with("what", what)
            .with("device", device);
        fact.time = Some(Stamp::since_boot(seconds * 1_000_000_000));
        fact
    }

    #[test]
    fn a_loss_is_paired_with_the_next_good_word_of_its_server() {
        let facts = [
            line("not-responding", "fs1", 100),
            line("not-responding", "fs2", 101),
            line("ok", "fs1", 120),
            line("not-responding", "fs1", 200),
        ];
        let found: Vec<_> = recoveries(&facts).iter().map(|r| (r.event, r.by, r.seconds)).collect();
        assert_eq!(found, [(0, 2, Some(20))]);
    }

    #[test]
    fn links_and_peers_come_back() {
        let link = |what: &str, seconds| {
            let mut fact = line(what, "eth0", seconds);
            fact.kind = "log.link".into();
            fact.values.remove("filesystem");
            fact.with("of", "bond0")
        };
        let found = |facts: &[Fact]| recoveries(facts).iter().map(|r| (r.event, r.by, r.worth)).collect::<Vec<_>>();
        assert_eq!(found(&[link("down", 10), link("ok", 14)]), [(0, 1, false)]);
        assert_eq!(found(&[link("down", 4000), link("ok", 4014)]), [(0, 1, true)]);
        assert!(found(&[link("ok", 10), link("down", 14)]).is_empty());
    }

    #[test]
    fn a_controller_that_was_reset_is_back_unless_requests_failed() {
        let nvme = |what: &str, seconds| {
            let mut fact = line(what, "nvme0", seconds);
            fact.kind = "log.nvme_error".into();
            fact.values.remove("filesystem");
            fact
        };
        let found = |facts: &[Fact]| recoveries(facts).iter().map(|r| (r.event, r.by, r.worth)).collect::<Vec<_>>();
        assert_eq!(found(&[nvme("timeout", 100), nvme("ok", 103)]), [(0, 1, true)]);
        assert!(found(&[nvme("ok", 2), nvme("timeout", 100)]).is_empty(), "the word of the start is none of a reset");
        assert!(found(&[nvme("removed", 100), nvme("ok", 103)]).is_empty());
        let failed = |device: &str| {
            let mut fact = line("I/O", device, 101);
            fact.kind = "log.block_io_error".into();
            fact
        };
        assert!(found(&[nvme("timeout", 100), failed("nvme0n1"), nvme("ok", 103)]).is_empty());
        assert_eq!(found(&[nvme("timeout", 100), failed("nvme1n1"), nvme("ok", 103)]).len(), 1);
    }

    #[test]
    fn connections_arrays_and_links_come_back() {
        let event = |kind: &'static str, name: &'static str, value: &str, what: &str, seconds| {
            let mut fact = line(what, value, seconds);
            fact.kind = kind.into();
            fact.values.remove("filesystem");
            fact.values.remove("device");
            fact.with(name, value)
        };
        let lost = event("log.block_io_error", "device", "sdb", "I/O", 101).with("severity", "failure");
        let found = |facts: &[Fact]| recoveries(facts).iter().map(|r| (r.event, r.by)).collect::<Vec<_>>();
        let iscsi = |what: &str, seconds| event("log.host_adapter", "driver", "connection1:0", what, seconds);
        assert_eq!(found(&[iscsi("connection-lost", 100), iscsi("ok", 110)]), [(0, 1)]);
        assert!(found(&[iscsi("connection-lost", 100), lost, iscsi("ok", 110)]).is_empty());
        let raid = |what: &str, seconds| event("log.raid_error", "array", "md0", what, seconds);
        let failed = raid("disk-failure", 100).with("device", "sdb1");
        assert_eq!(found(&[failed, raid("ok", 900)]), [(0, 1)]);
        let path = raid("path", 100).with("device", "8:32");
        assert!(found(&[path, raid("ok", 900)]).is_empty());
        let ata = |back: bool, seconds| {
            event("log.ata_error", "port", "ata3.00", "exception", seconds).with_opt("link_back", back.then_some(true))
        };
        assert_eq!(found(&[ata(true, 100)]), [(0, 0)]);
        assert!(found(&[ata(true, 100), ata(false, 200)]).is_empty());
    }

    #[test]
    fn a_lustre_connection_is_known_by_the_client_s_end() {
        let lustre = |what: &str, device: &str, detail: &str, seconds| {
            let mut fact = line(what, device, seconds);
            fact.set("filesystem", "lustre");
            fact.with("detail", detail)
        };
        let facts = [
            lustre(
                "not-responding",
                "f2-OST0035",
                "Lustre: f2-OST0035-osc-MDT0001: Connection to f2-OST0035 was lost",
                1,
            ),
            lustre("ok", "10.0.0.1@o2ib", "Lustre: f2-OST0035-osc-MDT0001: Connection restored to 10.0.0.1@o2ib", 31),
        ];
        assert_eq!(recoveries(&facts).first().and_then(|r| r.seconds), Some(30));
    }
}
