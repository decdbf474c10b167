//! Huffman codes of the Zstandard format (RFC 8878, 4.2), for ASCII.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::bits::Bits;

/// How many bytes may have a code.
pub(super) const SYMBOLS: usize = 128;
/// The longest code that the format knows, in bits.
const MOST_BITS: u8 = 11;
/// How many streams literals are written in: a decoder reads them side by side.
const STREAMS: usize = 4;
/// In the description of a code, so much more than the number of weights says that each has four bits.
const PLAIN_WEIGHTS: usize = 127;

/// How often each byte is there.
pub(super) type Counts = [u32; SYMBOLS];

/// A code for some bytes, in tables for one byte and for pairs.
pub(super) struct Code {
    single: [Entry; SYMBOLS],
    pairs: Vec<Entry>,
    /// What tells a decoder the code.
    description: Vec<u8>,
    /// The longest code, in bits.
    longest: u8,
    /// The bytes that have a code.
    used: Vec<u8>,
}

/// The code of a byte or a pair, and below it how many bits it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry(u32);

/// So that the number of bits is a shift by itself.
const COUNT_BITS: u32 = u64::BITS.ilog2();

impl Entry {
    /// A flag that no code reaches: it has two bytes, at most.
    const UNKNOWN: Self = Self(1 << (u32::BITS - 1));

    const fn new(code: u32, bits: u32) -> Self {
        Self(code << COUNT_BITS | bits)
    }

    const fn code(self) -> u32 {
        self.0 >> COUNT_BITS
    }

    const fn bits(self) -> u32 {
        self.0 % (1 << COUNT_BITS)
    }

    /// Returns the entry for two bytes, of which the second is written first.
    const fn before(self, second: Self) -> Self {
        Self::new(self.code() << second.bits() | second.code(), self.bits() + second.bits())
    }

    #[inline]
    fn add_to(self, bits: &mut Bits<'_>) {
        bits.add(u64::from(self.code()), self.bits());
    }
}

/// How many literals take as long to encode as a pair takes to be put into the table.
const LITERALS_A_PAIR: usize = 16;
/// How many pairs of bytes there are.
const PAIRS: usize = 1 << 16;

fn pair_at([first, second]: [u8; 2]) -> usize {
    usize::from(u16::from_le_bytes([first, second]))
}

impl Code {
    pub(super) fn new() -> Self {
        Self {
            single: [Entry::UNKNOWN; SYMBOLS],
            pairs: Vec::new(),
            description: Vec::new(),
            longest: 0,
            used: Vec::new(),
        }
    }

    /// Makes this the best code for bytes that are there so often; `false` if fewer than two are, or `literals` are so few that the tables take
    /// longer than they.
    pub(super) fn fit(&mut self, counts: &Counts, literals: usize) -> bool {
        let used: Vec<(u8, u32)> =
            (0..).zip(counts).filter(|(_, count)| **count > 0).map(|(symbol, count)| (symbol, *count)).collect();
        let Some((last, _)) = used.last().filter(|_| used.len() > 1) else { return false };
        if used.len().pow(2) * LITERALS_A_PAIR > literals {
            return false;
        }
        let lengths = lengths(&used);
        self.longest = lengths.iter().copied().max().unwrap_or(0);
        // A weight says how much of all codes begin like this one: twice as many for each bit that it is shorter.
        let mut weights = [0_u8; SYMBOLS];
        for ((symbol, _), length) in used.iter().zip(&lengths) {
            weights[usize::from(*symbol)] = self.longest + 1 - length;
        }
        self.describe(weights.get(..usize::from(*last)).unwrap_or_default());
        self.single = [Entry::UNKNOWN; SYMBOLS];
        let mut at = 0_u32;
        for weight in 1..=self.longest {
            for (symbol, _) in used.iter().filter(|(symbol, _)| weights[usize::from(*symbol)] == weight) {
                let bits = u32::from(self.longest + 1 - weight);
                self.single[usize::from(*symbol)] = Entry::new(at >> (weight - 1), bits);
                at += 1 << (weight - 1);
            }
        }
        self.pairs.resize(PAIRS, Entry::UNKNOWN);
        self.set_pairs(false);
        self.used.clear();
        self.used.extend(used.iter().map(|(symbol, _)| *symbol));
        self.set_pairs(true);
        true
    }

    /// Sets or forgets the entries of all pairs of bytes that have a code.
    fn set_pairs(&mut self, are_known: bool) {
        for first in &self.used {
            for second in &self.used {
                let [one, two] = [first, second].map(|symbol| self.single[usize::from(*symbol)]);
                self.pairs[pair_at([*first, *second])] = if are_known { one.before(two) } else { Entry::UNKNOWN };
            }
        }
    }

    /// Writes down the weights of all bytes but the last, whose weight follows.
    fn describe(&mut self, weights: &[u8]) {
        self.description.clear();
        self.description.push(u8::try_from(PLAIN_WEIGHTS + weights.len()).unwrap_or(u8::MAX));
        self.description.extend(weights.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).copied().unwrap_or(0)));
    }

    /// Returns what tells a decoder the code.
    pub(super) fn description(&self) -> &[u8] {
        &self.description
    }

    /// Appends `literals` in four streams, behind where these end; `None`, and `out` to be thrown away, if a byte has no code. Fewer than ten
    /// literals do not fill four streams.
    pub(super) fn encode(&self, literals: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let jumps = out.len();
        out.resize(jumps + 2 * (STREAMS - 1), 0);
        for (number, stream) in literals.chunks(literals.len().div_ceil(STREAMS).max(1)).enumerate() {
            let start = out.len();
            self.encode_stream(stream, out)?;
            let length = u16::try_from(out.len() - start).ok()?.to_le_bytes();
            if number + 1 < STREAMS {
                out.get_mut(jumps + 2 * number..)?.get_mut(..2)?.copy_from_slice(&length);
            }
        }
        Some(())
    }

    /// Appends a stream, of which the last byte is written first.
    fn encode_stream(&self, literals: &[u8], out: &mut Vec<u8>) -> Option<()> {
        // What fits between two flushes.
        if self.longest <= 7 { self.encode_by::<8>(literals, out) } else { self.encode_by::<4>(literals, out) }
    }

    #[inline]
    fn encode_by<const N: usize>(&self, literals: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let mut bits = Bits::behind(out, literals.len() * usize::from(self.longest));
        let pairs: &[Entry; PAIRS] = self.pairs.first_chunk()?;
        let mut seen = 0;
        let (rest, groups) = literals.as_rchunks::<N>();
        for group in groups.iter().rev() {
            for pair in group.as_chunks::<2>().0.iter().rev() {
                let entry = pairs[pair_at(*pair)];
                seen |= entry.0;
                entry.add_to(&mut bits);
            }
            bits.flush();
        }
        for (number, symbol) in rest.iter().rev().enumerate() {
            let entry = self.single.get(usize::from(*symbol)).copied().unwrap_or(Entry::UNKNOWN);
            seen |= entry.0;
            entry.add_to(&mut bits);
            if number % 4 == 3 {
                bits.flush();
            }
        }
        bits.end().filter(|()| seen < Entry::UNKNOWN.0)
    }
}

/// Returns the lengths of the best codes, in bits, for symbols that are there so often; two or more of them.
fn lengths(used: &[(u8, u32)]) -> Vec<u8> {
    // Codes would be too long if some symbols were very rare: then these are taken to be less so.
    let mut least = 1;
    loop {
        let mut nodes: BinaryHeap<Reverse<(u32, usize)>> =
            used.iter().enumerate().map(|(node, (_, count))| Reverse((*count.max(&least), node))).collect();
        let mut parents = vec![0; used.len()];
        while let (Some(Reverse((a, left))), Some(Reverse((b, right)))) = (nodes.pop(), nodes.pop()) {
            let parent = parents.len();
            (parents[left], parents[right]) = (parent, parent);
            parents.push(parent);
            nodes.push(Reverse((a.saturating_add(b), parent)));
        }
        // Parents have greater numbers than what is below them, and the root is its own.
        let mut depths = vec![0_u8; parents.len()];
        for node in (0..parents.len() - 1).rev() {
            depths[node] = depths[parents[node]].saturating_add(1);
        }
        depths.truncate(used.len());
        if depths.iter().all(|depth| *depth <= MOST_BITS) {
            return depths;
        }
        least = least.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn used(counts: &[u32]) -> Vec<(u8, u32)> {
        (0..).zip(counts).filter(|(_, count)| **count > 0).map(|(symbol, count)| (symbol, *count)).collect()
    }

    proptest! {
        #[test]
        fn codes_are_whole_and_short(counts in prop::collection::vec(prop_oneof![0_u32..3, any::<u32>()], 2..SYMBOLS)) {
            let used = used(&counts);
            prop_assume!(used.len() > 1);
            let whole: u32 = lengths(&used).iter().map(|length| 1 << (MOST_BITS - length)).sum();
            prop_assert_eq!(whole, 1 << MOST_BITS);
        }

        #[test]
        fn who_is_there_more_often_has_no_longer_code(counts in prop::collection::vec(10_u32..50, 2..SYMBOLS)) {
            let used = used(&counts);
            let mut codes: Vec<(u32, u8)> = used.iter().map(|(_, count)| *count).zip(lengths(&used)).collect();
            codes.sort_unstable_by(|(a, a_bits), (b, b_bits)| b.cmp(a).then(a_bits.cmp(b_bits)));
            prop_assert!(codes.is_sorted_by_key(|(_, bits)| *bits), "{codes:?}");
        }
    }
}
