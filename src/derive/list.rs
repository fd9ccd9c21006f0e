//! What the checks of `struct list_head` found (lib/list_debug.c): the addresses in the message, and what lies there.

use facts::Fact;

use super::fault::number;
use super::pointer;

/// The addresses of a message with their parts in the list: `list entry`, `list prev`, `list next`, and `list has`, what
/// stood in the neighbour in place of the entry. Kernels that hash what they print give none.
pub(crate) fn words(report: &Fact) -> Vec<(&'static str, u64)> {
    const LABELS: [(&str, &str); 8] = [
        ("list_del corruption, ", "list entry"),
        ("new=", "list entry"),
        ("should be next (", "list next"),
        ("should be prev (", "list prev"),
        ("should be ", "list entry"),
        ("but was ", "list has"),
        ("prev=", "list prev"),
        ("next=", "list next"),
    ];
    let Some(message) = message(report) else { return Vec::new() };
    let mut found: Vec<(&'static str, u64)> = Vec::new();
    for (label, part) in LABELS {
        let Some((_, rest)) = message.split_once(label) else { continue };
        let digits: String = rest.trim_start_matches("0x").chars().take_while(char::is_ascii_hexdigit).collect();
        if let Ok(value) = u64::from_str_radix(&digits, 16)
            && digits.len() >= 8
            && !found.iter().any(|(known, _)| *known == part)
        {
            found.push((part, value));
        }
    }
    found
}

fn message(report: &Fact) -> Option<&str> {
    if report.text("class") != Some("list-corruption") {
        return None;
    }
    let of = |text: &&str| text.contains("list_add") || text.contains("list_del");
    report.text("message").filter(of).or(Some(report.quote.as_str()).filter(of))
}

/// The report with what its message and memory tell together, in words.
pub(super) fn with_meaning(facts: &[Fact], report: &Fact) -> Option<Fact> {
    let message = message(report).filter(|_| report.get("consequence").is_none())?;
    let of = |part: &str| {
        let (_, value) = words(report).into_iter().find(|(known, _)| *known == part)?;
        facts.iter().find(|known| {
            known.kind == "mem.register"
                && known.origin.member == report.origin.member
                && known.text("register") == Some(part)
                && number(known.get("value")) == Some(value)
        })
    };
    let state = |part: &str| of(part).and_then(|fact| fact.get("allocated")?.as_bool());
    let object = |part: &str| of(part).and_then(|fact| Some(format!("its {} object", fact.text("cache")?)));
    let entry = state("list entry").zip(object("list entry"));
    let taken_off = message.contains("is LIST_POISON");
    let was = words(report).into_iter().find(|(part, _)| *part == "list has").map(|(_, value)| value);
    let told = match (taken_off, entry) {
        (true, Some((true, object))) => {
            format!(
                "the entry was taken off its list before, and {object} is still allocated: it is taken off twice, no use after free"
            )
        }
        (true, Some((false, object))) => {
            format!("the entry was taken off its list before, and {object} is free: it is used after it was freed")
        }
        (true, None) => {
            "the entry was taken off its list before: it is taken off twice, or used after it was freed".to_owned()
        }
        (false, Some((false, object))) => format!("the entry is used after it was freed: {object} is free"),
        (false, _) => {
            let neighbour = ["list prev", "list next"].into_iter().find_map(|part| {
                let freed = state(part) == Some(false);
                object(part).filter(|_| freed).map(|object| (part, object))
            });
            let held = was.and_then(|value| pointer::read(value, true));
            match (neighbour, held) {
                (Some((part, object)), _) => {
                    let side = part.trim_start_matches("list ");
                    format!("the {side} entry was freed while it was on the list: {object} is free")
                }
                (None, Some(held)) => {
                    format!("the neighbour is overwritten: in place of a pointer it holds {}", held.text)
                }
                (None, None) if message.contains("double add") => {
                    "an entry is added that is on the list already".to_owned()
                }
                (None, None) => return None,
            }
        }
    };
    Some(report.clone().with("consequence", told))
}

#[cfg(test)]
mod tests {
    use facts::{Address, Origin};

    use super::*;

    fn report(message: &str) -> Fact {
        Fact::new("log.warning", Origin::lines("dmesg", 1, 9))
            .with("class", "list-corruption")
            .with("severity", "report")
            .with("message", message)
    }

    fn place(part: &str, value: u64, allocated: bool) -> Fact {
        Fact::new("mem.register", Origin::derived("dmesg", "memory"))
            .with("register", part)
            .with("value", Address(value))
            .with("cache", "kmalloc-32")
            .with("allocated", allocated)
    }

    #[test]
    fn the_addresses_of_a_message_have_their_parts() {
        let of = |message: &str| words(&report(message));
        assert_eq!(
            of("list_del corruption, ffff8bca82ddd188->next is LIST_POISON1 (dead000000000100)"),
            [("list entry", 0xffff_8bca_82dd_d188)]
        );
        assert_eq!(
            of(
                "list_del corruption. prev->next should be ffff888100000010, but was ffff888100000020. (prev=ffff888100000030)"
            ),
            [
                ("list entry", 0xffff_8881_0000_0010),
                ("list has", 0xffff_8881_0000_0020),
                ("list prev", 0xffff_8881_0000_0030)
            ]
        );
        assert_eq!(
            of(
                "list_add corruption. next->prev should be prev (ffffffff82a01010), but was 0000000000000000. (next=ffff888100000030)."
            ),
            [("list prev", 0xffff_ffff_82a0_1010), ("list has", 0), ("list next", 0xffff_8881_0000_0030)]
        );
        assert_eq!(
            of("list_add double add: new=ffff888100000010, prev=ffff888100000010, next=ffff888100000030."),
            [
                ("list entry", 0xffff_8881_0000_0010),
                ("list prev", 0xffff_8881_0000_0010),
                ("list next", 0xffff_8881_0000_0030)
            ]
        );
        assert!(of("refcount_t: underflow; use-after-free.").is_empty());
    }

    #[test]
    fn message_and_memory_tell_what_happened() {
        let told = |message: &str, facts: &[Fact]| {
            let fact = with_meaning(facts, &report(message))?;
            fact.text("consequence").map(str::to_owned)
        };
        let poison = "list_del corruption, ffff8bca82ddd188->next is LIST_POISON1 (dead000000000100)";
        let at = 0xffff_8bca_82dd_d188;
        assert!(told(poison, &[place("list entry", at, true)]).is_some_and(|t| t.contains("taken off twice, no use")));
        assert!(told(poison, &[place("list entry", at, false)]).is_some_and(|t| t.contains("after it was freed")));
        assert!(told(poison, &[]).is_some_and(|t| t.contains("or used after")));
        let broken = "list_del corruption. prev->next should be ffff888100000010, but was ffff888100000020. (prev=ffff888100000030)";
        let prev = 0xffff_8881_0000_0030;
        assert!(
            told(broken, &[place("list prev", prev, false)]).is_some_and(|t| t.contains("the prev entry was freed"))
        );
        assert_eq!(told(broken, &[place("list prev", prev, true)]), None, "nobody knows");
        let text = "list_del corruption. next->prev should be ffff888100000010, but was 4141414141414141. (next=ffff888100000030)";
        assert!(told(text, &[]).is_some_and(|t| t.contains("overwritten")));
    }
}
