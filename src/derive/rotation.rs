//! Logs that were rotated: `messages`, `messages.1`, `messages-20231001`, each perhaps compressed.

/// The name of the series that a file is of, and how old it is in it: 0 for the one that is written to.
pub(crate) fn rotation(member: &str) -> (&str, u64) {
    let plain = [".gz", ".xz", ".bz2", ".zst"].iter().find_map(|end| member.strip_suffix(end)).unwrap_or(member);
    let digits = plain.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (head, number) = plain.split_at(plain.len() - digits);
    let Ok(number) = number.parse::<u64>() else { return (plain, 0) };
    match (head.strip_suffix('.'), head.strip_suffix('-')) {
        (Some(series), _) if digits <= 3 && !series.is_empty() => (series, number),
        (_, Some(series)) if digits == 8 && (19_700_101..=29_991_231).contains(&number) => {
            (series, 30_000_000 - number)
        }
        _ => (plain, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::rotation;

    #[test]
    fn older_files_of_a_series_are_known() {
        for (member, series, age) in [
            ("var/log/messages", "var/log/messages", 0),
            ("var/log/messages.1", "var/log/messages", 1),
            ("kern.log.12.gz", "kern.log", 12),
            ("messages-20231001", "messages", 30_000_000 - 20_231_001),
            ("vmcore-dmesg.txt", "vmcore-dmesg.txt", 0),
            ("dmesg-2023", "dmesg-2023", 0),
            ("log-12345678", "log-12345678", 0),
            ("10.0.0.1", "10.0.0", 1),
        ] {
            assert_eq!(rotation(member), (series, age), "{member}");
        }
        assert!(rotation("messages-20230901").1 > rotation("messages-20231001.gz").1);
    }
}
