//! Profiles: folded stacks, `pprof -raw`, `pprof -top`, `perf report --stdio`.

use std::collections::{BTreeMap, BTreeSet};

use facts::{Fact, Origin};

use crate::node::{Input, Node};
use crate::text::quote;

/// Functions kept of one profile.
const KEPT: usize = 40;

#[derive(Default)]
struct Profile {
    /// Samples in which a function takes part, and samples that it ends.
    cumulative: BTreeMap<String, i64>,
    own: BTreeMap<String, i64>,
    total: i64,
    first: usize,
    last: usize,
}

impl Profile {
    fn add(&mut self, stack: &[&str], samples: i64, line: usize) {
        if self.total == 0 {
            self.first = line;
        }
        self.last = line;
        self.total = self.total.saturating_add(samples);
        if self.cumulative.len() > 100_000 {
            return;
        }
        let unique: BTreeSet<&str> = stack.iter().copied().collect();
        for function in unique {
            *self.cumulative.entry(function.to_owned()).or_default() += samples;
        }
        if let Some(leaf) = stack.last() {
            *self.own.entry((*leaf).to_owned()).or_default() += samples;
        }
    }

    fn emit(self, node: &mut Node, input: &Input<'_>, tool: &str) {
        if self.total <= 0 {
            return;
        }
        let mut rows: Vec<(&String, i64)> = self.cumulative.iter().map(|(f, n)| (f, *n)).collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let share = |n: i64| n as f64 * 100.0 / self.total as f64;
        for (function, samples) in rows.into_iter().take(KEPT).filter(|(_, n)| share(*n) >= 1.0) {
            let first = input.before + self.first as u64 + 1;
            let last = input.before + self.last as u64 + 1;
            let own = self.own.get(function).copied().unwrap_or_default();
            node.push(
                Fact::new("node.profile", Origin::lines(input.member, first, last))
                    .with("function", function.as_str())
                    .with("share", share(samples))
                    .with("own_share", share(own))
                    .with("samples", samples)
                    .with("tool", tool)
                    .quoting(format!("{function}: {:.1} % of the samples", share(samples))),
            );
        }
    }
}

pub(super) fn raw(node: &mut Node, input: &Input<'_>) {
    if let Some(at) = input.text.find("PeriodType:")
        && input.text.get(at..).is_some_and(|t| t.contains("Samples:"))
    {
        pprof_raw(node, input);
    }
}

/// `a;b;c 12`: at least two such lines.
pub(super) fn folded(node: &mut Node, input: &Input<'_>) {
    let mut profile = Profile::default();
    let mut lines = 0;
    for (i, line) in input.text.lines().enumerate() {
        let line = line.trim_end();
        if !line.as_bytes().last().is_some_and(u8::is_ascii_digit) {
            continue;
        }
        let Some((stack, count)) = line.rsplit_once(' ') else { continue };
        if !stack.contains(';') || count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let frames: Vec<&str> = stack.split(';').map(str::trim).filter(|f| !f.is_empty()).collect();
        let Ok(count) = count.parse::<i64>() else { continue };
        // A frame is a symbol: prose with semicolons and a number at the end has blanks in its parts.
        let symbols = frames.iter().filter(|f| !f.contains(' ') || f.starts_with('[')).count();
        if frames.len() < 2 || symbols + 1 < frames.len() {
            continue;
        }
        lines += 1;
        profile.add(&frames, count, i);
    }
    if lines >= 2 {
        profile.emit(node, input, "folded stacks");
    }
}

/// `perf report --stdio` and `pprof -top`: tables that already say shares.
pub(super) fn tables(node: &mut Node, input: &Input<'_>) {
    let mut perf = false;
    let mut top = false;
    let mut kept = 0;
    for (i, line) in input.text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.starts_with("# Overhead") || trimmed.starts_with("# Children") {
            (perf, top, kept) = (true, false, 0);
            continue;
        }
        if trimmed.starts_with("flat ") && trimmed.contains("flat%") && trimmed.contains("cum%") {
            (perf, top, kept) = (false, true, 0);
            continue;
        }
        if kept >= KEPT || trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let percent = |w: &str| w.strip_suffix('%').and_then(|w| w.parse::<f64>().ok());
        let words: Vec<&str> = trimmed.split_ascii_whitespace().collect();
        let found = if perf {
            // `12.34%  kubelet  [kernel.kallsyms]  [k] mem_cgroup_iter`, with a second share when there are children.
            let share = words.first().copied().and_then(percent);
            let function =
                words.iter().position(|w| matches!(*w, "[k]" | "[." | "[.]")).and_then(|at| words.get(at + 1));
            let own = words.get(1).copied().and_then(percent).or(share);
            share.zip(function.copied()).map(|(s, f)| (s, own.unwrap_or(s), f.to_owned(), "perf report"))
        } else if top {
            // `9.07s 90.61% 90.61%  9.07s 90.61%  runtime.futex`
            match words[..] {
                [_, own, _, _, share, ..] => percent(share)
                    .zip(percent(own))
                    .and_then(|(share, own)| Some((share, own, words.get(5..)?.join(" "), "pprof -top"))),
                _ => None,
            }
        } else {
            None
        };
        if let Some((share, own, function, tool)) = found
            && share >= 1.0
            && !function.is_empty()
        {
            kept += 1;
            node.push(
                Fact::new("node.profile", input.line(i))
                    .with("function", function)
                    .with("share", share)
                    .with("own_share", own)
                    .with("tool", tool)
                    .quoting(quote(trimmed)),
            );
        }
    }
}

/// `pprof -raw`: samples of location numbers, then the locations with their functions.
pub(crate) fn pprof_raw(node: &mut Node, input: &Input<'_>) -> bool {
    enum Part {
        Head,
        Samples,
        Locations,
        Done,
    }
    let mut part = Part::Head;
    let mut samples: Vec<(i64, Vec<u64>)> = Vec::new();
    let mut names: BTreeMap<u64, String> = BTreeMap::new();
    let mut span = (0, 0);
    for (i, line) in input.text.lines().enumerate() {
        match line.trim() {
            "Samples:" => {
                part = Part::Samples;
                span.0 = i;
                continue;
            }
            "Locations" => {
                part = Part::Locations;
                continue;
            }
            "Mappings" => {
                part = Part::Done;
                span.1 = i;
            }
            _ => {}
        }
        match part {
            Part::Samples if samples.len() < 1_000_000 => {
                // `         12  120000000: 1 2 3`
                let Some((values, stack)) = line.split_once(':') else { continue };
                let Some(Ok(count)) = values.split_ascii_whitespace().next().map(str::parse::<i64>) else { continue };
                samples.push((count, stack.split_ascii_whitespace().filter_map(|w| w.parse().ok()).collect()));
            }
            Part::Locations if names.len() < 1_000_000 => {
                // `     1: 0x43d1ab M=1 runtime.futex /usr/lib/go/src/runtime/sys.s:567 s=0`
                let Some((id, rest)) = line.split_once(':') else { continue };
                let Ok(id) = id.trim().parse::<u64>() else { continue };
                let name = rest.split_ascii_whitespace().find(|w| !w.starts_with("0x") && !w.starts_with("M="));
                if let Some(name) = name {
                    names.insert(id, name.to_owned());
                }
            }
            _ => {}
        }
    }
    let mut profile = Profile::default();
    for (count, stack) in &samples {
        // Innermost first in the file; the leaf stands last here.
        let frames: Vec<&str> = stack.iter().rev().filter_map(|id| names.get(id).map(String::as_str)).collect();
        if !frames.is_empty() {
            profile.add(&frames, *count, span.0);
        }
    }
    profile.last = span.1.max(span.0);
    let found = profile.total > 0;
    profile.emit(node, input, "pprof -raw");
    found
}
