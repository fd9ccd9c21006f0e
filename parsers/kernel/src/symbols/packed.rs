//! Symbols whose names stay as kallsyms has them, compressed by tokens: a kernel has some megabytes of names, of which
//! a reader asks for a few hundred. Names are found by a hash that is computed token by token, and expanded one at a time.

use std::borrow::Cow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Symbol;
use super::lookup::Lookup;

/// KSYM_NAME_LEN is 512 since b8a94bfb3395 "kallsyms: increase maximum kernel symbol length to 512" (v6.1).
const MAX_NAME: usize = 1024;
/// Of so many names the place of the first is kept.
const STRIDE: usize = 16;
/// Any odd number with bits all over.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of a text is a polynomial, so that hashes of parts can be joined. Names come from the dump; equal hashes
/// cost time only.
fn hash(text: &[u8]) -> u64 {
    text.iter().fold(0, |hash, byte| step(hash, *byte))
}

fn step(hash: u64, byte: u8) -> u64 {
    hash.wrapping_mul(BASE).wrapping_add(u64::from(byte) + 1)
}

/// What a token does to the hash of a name.
#[derive(Clone, Copy, Default)]
struct Effect {
    /// Of `hash(before + token)`: what `hash(before)` is multiplied by, and what is added.
    factor: u64,
    hash: u64,
    /// The hash without the first character, which at the start of a name is its type.
    rest: u64,
    len: usize,
}

impl Effect {
    fn of(token: &str) -> Effect {
        let bytes = token.as_bytes();
        Effect {
            factor: bytes.iter().fold(1u64, |factor, _| factor.wrapping_mul(BASE)),
            hash: hash(bytes),
            rest: hash(bytes.get(1..).unwrap_or_default()),
            len: bytes.len(),
        }
    }
}

/// Compressed names in the order of their table.
pub(super) struct Names {
    bytes: Vec<u8>,
    /// The texts that the bytes of a name stand for.
    tokens: Vec<String>,
    /// Where every [`STRIDE`]th name starts.
    starts: Vec<u32>,
    count: usize,
    /// Names by the upper bits of their hashes: where each bucket starts in `order`, and the end of the last.
    buckets: Vec<u32>,
    order: Vec<u32>,
    shift: u32,
}

/// Length of the next name in tokens: one byte, or two when bit 7 of the first is set (73bbb94466fd "kallsyms:
/// support "big" kernel symbols", v6.1; no older kernel has a length of 128 or more).
pub(super) fn name_len(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [first, second, rest @ ..] if first & 0x80 != 0 => {
            Some((usize::from(first & 0x7f) | usize::from(*second) << 7, rest))
        }
        [first, rest @ ..] if first & 0x80 == 0 => Some((usize::from(*first), rest)),
        _ => None,
    }
}

fn next(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, after) = name_len(bytes)?;
    after.split_at_checked(len)
}

impl Names {
    /// Indexes at most `count` names; fewer where the bytes end or cannot be names. `tokens` has 256.
    pub(super) fn new(bytes: Vec<u8>, count: usize, tokens: Vec<String>) -> Names {
        let mut effects = [Effect::default(); 256];
        for (effect, token) in effects.iter_mut().zip(&tokens) {
            *effect = Effect::of(token);
        }
        let shift = 64 - (count / 2).max(2).ilog2();
        let (starts, count) = starts(&bytes, count);
        let mut of_names = vec![0u32; count];
        // In two halves by two threads: not rayon's, since this runs where others wait for its result. Where there is no
        // second thread, the first does both.
        let half = starts.len().div_ceil(2);
        let (first, second) = of_names.split_at_mut((half * STRIDE).min(count));
        let (of_first, of_second) = starts.split_at(half);
        let whole = first.len();
        let good = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let queue = Mutex::new(vec![(&good[1], of_second, second), (&good[0], of_first, first)]);
        let run = || {
            let next = || queue.lock().ok().and_then(|mut queue| queue.pop());
            while let Some((good, starts, into)) = next() {
                good.store(hash_all(&bytes, starts, &effects, shift, into), Ordering::Relaxed);
            }
        };
        std::thread::scope(|scope| {
            let _ = std::thread::Builder::new().spawn_scoped(scope, run);
            run();
        });
        let [first, second] = good.map(AtomicUsize::into_inner);
        let good = if first < whole { first } else { first + second };
        of_names.truncate(good);
        let (buckets, order) = sorted(&of_names, 1 << (64 - shift));
        Names { count: good, bytes, tokens, starts, buckets, order, shift }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Leaves only the first ones.
    pub(super) fn truncate(&mut self, count: usize) {
        self.count = self.count.min(count);
    }

    /// Tokens of the nth name.
    fn tokens(&self, nth: usize) -> impl Iterator<Item = &str> {
        let start = self.starts.get(nth / STRIDE).filter(|_| nth < self.count).map(|at| *at as usize);
        let mut rest = start.and_then(|start| self.bytes.get(start..)).unwrap_or_default();
        for _ in 0..nth % STRIDE {
            rest = next(rest).map_or(&[], |(_, after)| after);
        }
        let name = next(rest).map_or(&[] as &[u8], |(name, _)| name);
        name.iter().filter_map(|token| self.tokens.get(usize::from(*token)).map(String::as_str))
    }

    /// Type letter and name of the nth.
    pub(super) fn get(&self, nth: usize) -> Option<(u8, String)> {
        let mut name: String = self.tokens(nth).collect();
        let kind = name.bytes().next()?;
        name.remove(0);
        Some((kind, name))
    }

    /// Whether the nth has this name.
    fn is(&self, nth: usize, name: &str) -> bool {
        let mut left = name;
        let mut first = true;
        for token in self.tokens(nth).filter(|token| !token.is_empty()) {
            let token = if first { token.get(1..).unwrap_or_default() } else { token };
            first = false;
            match left.strip_prefix(token) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
        left.is_empty() && !first
    }

    /// Places of all symbols of that name, ascending.
    pub(super) fn find<'n>(&'n self, name: &'n str) -> impl Iterator<Item = usize> + 'n {
        let bucket = (hash(name.as_bytes()).wrapping_mul(BASE) >> self.shift) as usize;
        let at = |nth: usize| self.buckets.get(nth).map(|at| *at as usize);
        let range = at(bucket).zip(at(bucket + 1)).map_or(0..0, |(start, end)| start..end);
        let members = self.order.get(range).unwrap_or_default();
        members.iter().map(|nth| *nth as usize).filter(move |nth| self.is(*nth, name))
    }
}

/// Where every [`STRIDE`]th name starts, and how many names there are.
fn starts(bytes: &[u8], count: usize) -> (Vec<u32>, usize) {
    let mut starts = Vec::with_capacity(count / STRIDE + 1);
    let mut rest = bytes;
    for nth in 0..count {
        let Some((_, after)) = next(rest) else { return (starts, nth) };
        if nth % STRIDE == 0 {
            starts.push((bytes.len() - rest.len()) as u32);
        }
        rest = after;
    }
    (starts, count)
}

/// The bucket of each name from the first start on, and how many of them can be names.
fn hash_all(bytes: &[u8], starts: &[u32], effects: &[Effect; 256], shift: u32, into: &mut [u32]) -> usize {
    let mut rest = starts.first().and_then(|start| bytes.get(*start as usize..)).unwrap_or_default();
    for (nth, bucket) in into.iter_mut().enumerate() {
        let Some((name, after)) = next(rest) else { return nth };
        let (mut hash, mut len) = (0u64, 0usize);
        for token in name {
            let effect = &effects[usize::from(*token)];
            hash = if len == 0 { effect.rest } else { hash.wrapping_mul(effect.factor).wrapping_add(effect.hash) };
            len += effect.len;
        }
        // A damaged token table has tokens of any length.
        if len == 0 || len > MAX_NAME {
            return nth;
        }
        *bucket = (hash.wrapping_mul(BASE) >> shift) as u32;
        rest = after;
    }
    into.len()
}

/// Sorts numbers into buckets: where each starts, with the end of the last, and the places of the numbers in them.
fn sorted(buckets: &[u32], count: usize) -> (Vec<u32>, Vec<u32>) {
    let mut starts = vec![0u32; count + 1];
    for bucket in buckets {
        if let Some(next) = starts.get_mut(*bucket as usize + 1) {
            *next += 1;
        }
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    let mut order = vec![0u32; buckets.len()];
    // From the last on, each bucket is filled from its end; its end is then its start.
    for (nth, bucket) in buckets.iter().enumerate().rev() {
        if let Some(end) = starts.get_mut(*bucket as usize + 1) {
            *end -= 1;
            if let Some(place) = order.get_mut(*end as usize) {
                *place = nth as u32;
            }
        }
    }
    // What was the end of each bucket is now the start of it.
    starts.remove(0);
    starts.push(buckets.len() as u32);
    (starts, order)
}

/// Names with their addresses.
pub(super) struct Packed<V> {
    names: Names,
    /// The address of the nth name.
    value: V,
    /// The names in the order of their addresses, where that is not their own.
    by_address: Option<Vec<u32>>,
}

impl<V: Fn(usize) -> Option<u64> + Send + Sync> Packed<V> {
    /// `value` has an address for each of the names.
    pub(super) fn new(names: Names, value: V) -> Packed<V> {
        let mut ascending = true;
        let mut before = 0;
        for nth in 0..names.len() {
            let address = value(nth).unwrap_or_default();
            ascending &= before <= address;
            before = address;
        }
        let by_address = (!ascending).then(|| {
            let mut order: Vec<u32> = (0..names.len() as u32).collect();
            order.sort_by_key(|nth| value(*nth as usize));
            order
        });
        Packed { names, value, by_address }
    }

    /// The place in the table of the nth by address.
    fn place(&self, nth: usize) -> Option<usize> {
        match &self.by_address {
            Some(order) => order.get(nth).map(|place| *place as usize),
            None => Some(nth),
        }
    }
}

impl<V: Fn(usize) -> Option<u64> + Send + Sync> Lookup for Packed<V> {
    fn len(&self) -> usize {
        self.names.len()
    }

    fn address(&self, nth: usize) -> Option<u64> {
        (self.value)(self.place(nth).filter(|place| *place < self.names.len())?)
    }

    fn symbol(&self, nth: usize) -> Option<Symbol<'_>> {
        let (kind, name) = self.names.get(self.place(nth)?)?;
        Some(Symbol { address: self.address(nth)?, size: 0, kind, name: Cow::Owned(name) })
    }

    fn addresses(&self, name: &str) -> Vec<u64> {
        let mut found: Vec<u64> = self.names.find(name).filter_map(|place| (self.value)(place)).collect();
        found.sort_unstable();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[(&str, &[u8])]) -> Names {
        let mut tokens: Vec<String> =
            (0..=255u8).map(|c| if c.is_ascii() { char::from(c).into() } else { String::new() }).collect();
        tokens[200] = "Tsys_".to_owned();
        tokens[201] = "read".to_owned();
        let mut bytes = Vec::new();
        for (name, packed) in names {
            bytes.push(packed.len() as u8);
            bytes.extend_from_slice(packed);
            let _ = name;
        }
        Names::new(bytes, names.len() + 3, tokens)
    }

    #[test]
    fn names_are_found_however_they_are_divided_into_tokens() {
        let all: [(&str, &[u8]); 6] = [
            ("sys_read", &[200, 201]),
            ("sys_read", b"tsys_read"),
            ("read", &[b't', 201]),
            ("x", b"Dx"),
            ("", b"A"),
            ("sys_readv", &[200, 201, b'v']),
        ];
        let names = table(&all);
        assert_eq!(names.len(), 6, "the bytes end behind the sixth");
        assert_eq!(names.find("sys_read").collect::<Vec<_>>(), [0, 1]);
        assert_eq!(names.find("sys_rea").count(), 0);
        for (nth, (name, _)) in all.iter().enumerate() {
            assert!(names.find(name).any(|found| found == nth), "{name}");
            assert_eq!(names.get(nth).unwrap().1, *name);
        }
        assert_eq!(names.get(0).unwrap().0, b'T');
        assert!(names.get(6).is_none());
    }

    #[test]
    fn all_of_many_names_are_found_and_addresses_may_be_in_disorder() {
        let texts: Vec<String> = (0..5000).map(|n| format!("t{n}")).collect();
        let all: Vec<(&str, &[u8])> = texts.iter().map(|t| (&t[1..], t.as_bytes())).collect();
        let packed = Packed::new(table(&all), |nth| Some(10_000 - nth as u64));
        for (nth, (name, _)) in all.iter().enumerate() {
            assert_eq!(packed.addresses(name), [10_000 - nth as u64]);
        }
        let (symbol, size) = packed.containing(9000).unwrap();
        assert_eq!((symbol.name.as_ref(), size), ("1000", Some(1)));
    }
}
