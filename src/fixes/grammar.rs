//! Small pieces of release strings: numbers, markers before a digit, vendors' number groups.

/// Up to four numbers at the start, separated by dots, and what follows them.
pub(super) fn leading_numbers(word: &str) -> Option<(Vec<u32>, &str)> {
    let mut numbers = Vec::with_capacity(4);
    let (first, mut rest) = number(word);
    numbers.push(first?);
    while numbers.len() < 4 {
        let Some(after_dot) = rest.strip_prefix('.') else { break };
        let (Some(next), after) = number(after_dot) else { break };
        numbers.push(next);
        rest = after;
    }
    // No Linux kernel has such a version: the text is something else.
    (numbers.len() >= 2 && numbers.first().is_some_and(|a| (1..=20).contains(a))).then_some((numbers, rest))
}

/// The decimal number at the start, and what follows it.
pub(super) fn number(text: &str) -> (Option<u32>, &str) {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    match digits.parse() {
        Ok(n) => (Some(n), rest),
        Err(_) => (None, text),
    }
}

/// Where `tag` stands directly before a digit.
pub(super) fn marker_at(text: &str, tag: &str) -> Option<usize> {
    text.match_indices(tag)
        .map(|(at, _)| at)
        .find(|at| text.as_bytes().get(at + tag.len()).is_some_and(u8::is_ascii_digit))
}

pub(super) fn marker(text: &str, tag: &str) -> bool {
    marker_at(text, tag).is_some()
}

/// The vendor's numbers after the first dash: digits and dots, up to a letter or the next dash.
pub(super) fn package(rest: &str) -> Option<String> {
    let rest = rest.strip_prefix('-')?;
    let fields: Vec<&str> = rest
        .split('-')
        .next()?
        .split('.')
        .take_while(|f| !f.is_empty() && f.bytes().all(|b| b.is_ascii_digit()))
        .collect();
    (!fields.is_empty()).then(|| fields.join("."))
}

/// TencentOS without a suffix: `-19-0009.11`.
pub(super) fn tencent(rest: &str) -> bool {
    let Some((first, second)) = rest.strip_prefix('-').and_then(|r| r.split_once('-')) else { return false };
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let mut fields = second.split('.');
    digits(first) && fields.next().is_some_and(|f| f.len() == 4 && digits(f)) && fields.all(digits)
}

/// A tree between two mainline releases: `-00012-g1a2b3c4d5e6f`, `-next-20230705`, those of syzbot, each perhaps with
/// more behind it.
pub(super) fn development(rest: &str) -> bool {
    if rest.starts_with("-syzkaller") || rest.strip_prefix("-next-").is_some_and(|day| number(day).0.is_some()) {
        return true;
    }
    let rest = rest.strip_suffix("-dirty").unwrap_or(rest);
    let Some(rest) = rest.strip_prefix('-') else { return false };
    let (count, hash) = rest.split_once("-g").unwrap_or(("0", rest.strip_prefix('g').unwrap_or("")));
    !count.is_empty()
        && count.bytes().all(|b| b.is_ascii_digit())
        && hash.len() >= 7
        && hash.bytes().all(|b| b.is_ascii_hexdigit())
}
