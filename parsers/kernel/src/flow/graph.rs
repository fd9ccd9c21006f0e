//! The instructions of a function that can be reached from its start, and where control joins.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::step::{Next, Step};
use super::{arm64, x86_64};
use crate::{Arch, Kernel, VirtAddr};

/// Instructions followed in one function; the largest of a kernel have some ten thousand.
const MAX_INSTRUCTIONS: usize = 40_000;
/// Bytes of one function.
const MAX_BYTES: u64 = 1 << 20;

/// Code of one function, in one or two pieces: gcc puts what rarely runs elsewhere.
pub(super) struct Graph {
    pub(super) start: u64,
    pub(super) steps: BTreeMap<u64, Step>,
    /// Addresses at which control may arrive from more than one place.
    pub(super) leaders: BTreeSet<u64>,
}

struct Piece {
    start: u64,
    code: Vec<u8>,
}

impl Graph {
    /// What can be reached from the start of the function `name`, which takes `size` bytes.
    pub(super) fn read(kernel: &Kernel<'_>, name: &str, start: VirtAddr, size: u64) -> Option<Graph> {
        let mut pieces = vec![piece(kernel, start, size)?];
        let mut graph = Graph { start: start.0, steps: BTreeMap::new(), leaders: BTreeSet::new() };
        let mut foreign: HashMap<u64, bool> = HashMap::new();
        let mut todo = vec![start.0];
        while let Some(at) = todo.pop() {
            let mut at = at;
            while !graph.steps.contains_key(&at) {
                if graph.steps.len() >= MAX_INSTRUCTIONS {
                    return None;
                }
                let Some(step) = decode(kernel.arch(), &pieces, at) else { break };
                let (length, next) = (step.length, step.next);
                graph.steps.insert(at, step);
                let mut goes_to = |target: u64| {
                    if !pieces.iter().any(|piece| piece.holds(target)) {
                        let known = foreign.entry(target).or_insert_with(|| {
                            let part = kernel.symbolize(VirtAddr(target)).filter(|s| is_part_of(&s.name, name));
                            let Some((part, size)) = part.and_then(|s| Some((target - s.offset, s.size?))) else {
                                return false;
                            };
                            match piece(kernel, VirtAddr(part), size) {
                                Some(found) => {
                                    pieces.push(found);
                                    true
                                }
                                None => false,
                            }
                        });
                        if !*known {
                            return;
                        }
                    }
                    graph.leaders.insert(target);
                    todo.push(target);
                };
                match next {
                    Next::Jumps(target) => {
                        goes_to(target);
                        break;
                    }
                    Next::Branches(target) => goes_to(target),
                    Next::Leaves => break,
                    Next::Falls | Next::Calls(..) => {}
                }
                at = at.wrapping_add(length);
            }
        }
        Some(graph)
    }
}

impl Graph {
    /// The instructions that stand directly before `end`, the last first.
    pub(super) fn before(&self, end: u64) -> impl Iterator<Item = (u64, &Step)> {
        let mut end = end;
        std::iter::from_fn(move || {
            let (at, step) = self.steps.range(..end).next_back()?;
            let touches = at.checked_add(step.length) == Some(end);
            end = *at;
            touches.then_some((*at, step))
        })
    }
}

impl Piece {
    fn holds(&self, at: u64) -> bool {
        at.checked_sub(self.start).is_some_and(|within| within < self.code.len() as u64)
    }
}

fn piece(kernel: &Kernel<'_>, start: VirtAddr, size: u64) -> Option<Piece> {
    let size = usize::try_from(size).ok().filter(|n| (1..=MAX_BYTES as usize).contains(n))?;
    Some(Piece { start: start.0, code: kernel.bytes(start, size).ok()? })
}

fn decode(arch: Arch, pieces: &[Piece], at: u64) -> Option<Step> {
    let piece = pieces.iter().find(|piece| piece.holds(at))?;
    let code = piece.code.get((at - piece.start) as usize..)?;
    match arch {
        Arch::X86_64 => x86_64::step(code, at),
        Arch::Aarch64 => arm64::step(code, at),
    }
}

/// Whether a symbol is the rarely run part of a function, or the function that it is a part of.
fn is_part_of(name: &str, function: &str) -> bool {
    let whole = |name: &str| name.find(".cold").and_then(|at| name.get(..at)).map(str::to_owned);
    name == function || whole(name).is_some_and(|whole| whole == function)
}
