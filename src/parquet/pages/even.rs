//! Pages of random texts of one length, as ids are, in the Zstandard format (RFC 8878).
//!
//! A compressor looks for repetitions at nearly every byte. In ids it finds two kinds: the length before each text, in the same distance each
//! time, and whole texts that were there before. Here nothing else is looked for: one look for each text, and a [code](huffman) for the
//! bytes of those that are new. That takes less than half of the time, for fewer bytes. Any decoder reads it.
//!
//! # Invariants
//! * What a decoder makes of a frame is the page.
//! * A frame is a function of the page.

mod bits;
mod huffman;
mod states;

use std::ops::{Range, RangeInclusive};

use self::bits::Bits;
use self::states::Code;
use super::{LENGTH_BYTES, index, place};

/// Fewer texts are not worth the description of a code.
const LEAST_TEXTS: usize = 256;
/// How long texts may be.
const LENGTHS: RangeInclusive<usize> = 10..=127;

/// The largest page, in bytes: distances take so many bits.
const MOST_BYTES: usize = 1 << MOST_DISTANCE_BITS;
const MOST_DISTANCE_BITS: usize = 22;

/// How many texts are looked at before the others, each with the one behind it.
const SAMPLE: usize = 32;
/// Texts are no random ones if so many bytes in a row,
const GRAM: usize = 6;
/// are there more than once in one of so many of them, or begin both of one of so many neighbours.
const MOST_ALIKE: usize = 4;
/// Nor if more than one of so many repeats what the text before it repeats: a general compressor takes such runs together.
const MOST_IN_RUNS: usize = 16;
/// Between so many texts and twice as many are counted: bytes that are rare have a longer code than they could have.
const COUNTED: usize = 1_000;

/// With which a frame begins.
const MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();
/// The size of the content follows, in four bytes, and there is one window for all of it.
const FRAME: u8 = 2 << 6 | 1 << 5;
/// The most bytes of a block, and of what a decoder makes of it.
const BLOCK_BYTES: usize = 128 << 10;
const BLOCK_HEADER_BYTES: usize = 3;
const RAW_BLOCK: u32 = 0;
const COMPRESSED_BLOCK: u32 = 2;

/// Fewer literals are not encoded.
const LEAST_LITERALS: usize = 64;
/// How literals are told: as they are, with a code before them, or by the code of a block before.
const RAW: u32 = 0;
const WITH_CODE: u32 = 2;
const BY_SAME_CODE: u32 = 3;
/// Sizes are as long as they can be; encoded literals are in four streams.
const LONG: u32 = 3;
const RAW_HEADER_BYTES: usize = 3;
const HEADER_BYTES: usize = 5;
const SIZE_BITS: u32 = 18;

/// Kinds of lengths: up to the first of these each is one; then where each begins, and the bits that say how much more it is.
const LITERALS: [(u32, u32); 10] =
    [(16, 1), (18, 1), (20, 1), (22, 1), (24, 2), (28, 2), (32, 3), (40, 3), (48, 4), (64, 6)];
const MATCHES: [(u32, u32); 12] =
    [(35, 1), (37, 1), (39, 1), (41, 1), (43, 2), (47, 2), (51, 3), (59, 3), (67, 4), (83, 4), (99, 5), (131, 7)];
/// The shortest match of the format: its kind is 0.
const SHORTEST_MATCH: u32 = 3;
/// The bits of three states, a number of literals, a length and a distance, at most.
const MOST_SEQUENCE_BITS: usize = 3 * 6 + 6 + 7 + MOST_DISTANCE_BITS;
/// How many distances are known by their place among the last ones; others are told by so much more.
const KNOWN_DISTANCES: usize = 3;

/// Packs pages; keeps what it needs for the next.
pub(super) struct EvenPacker {
    code: huffman::Code,
    /// By its hash the last text that was there, counted from 1.
    known: Vec<u32>,
    literals: Vec<u8>,
    sequences: Vec<Sequence>,
    /// How many texts of the page were found in the same distance as the text before.
    in_runs: usize,
}

/// What is told of one text and the length behind it.
#[derive(Debug, Clone, Copy)]
struct Sequence {
    is_new: bool,
    /// The distance of what repeats, as the format tells it.
    distance: u32,
}

/// The distances that are known by their place.
struct Distances([u32; KNOWN_DISTANCES]);

impl Distances {
    /// Tells a distance of literals and a match, as the format does.
    fn tell(&mut self, distance: u32) -> u32 {
        let known = self.0.iter().position(|known| *known == distance);
        let told = known.map_or(distance + place(KNOWN_DISTANCES), |known| place(known) + 1);
        self.0[..=known.unwrap_or(KNOWN_DISTANCES - 1)].rotate_right(1);
        self.0[0] = distance;
        told
    }

    /// Tells a distance of a match without literals before it: there, places mean other distances, and none is told by its place.
    fn tell_alone(&mut self, distance: u32) -> u32 {
        self.0.rotate_right(1);
        self.0[0] = distance;
        distance + place(KNOWN_DISTANCES)
    }
}

/// A kind, and which one of that kind: so many bits.
#[derive(Debug, Clone, Copy)]
struct Kind {
    kind: u8,
    more: u64,
    bits: u32,
}

impl Kind {
    /// The kind of no literals.
    const NONE: Self = Self { kind: 0, more: 0, bits: 0 };

    /// Returns the kind of `number`, which counts from `least` on.
    fn of(number: u32, least: u32, kinds: &[(u32, u32)]) -> Option<Self> {
        let first = kinds.first().map_or(0, |(first, _)| first - least);
        let of_kind = (first..).zip(kinds).take_while(|(_, (from, _))| *from <= number).last();
        let (kind, more, bits) =
            of_kind.map_or((number - least, 0, 0), |(kind, (from, bits))| (kind, number - from, *bits));
        Some(Self { kind: u8::try_from(kind).ok()?, more: u64::from(more), bits })
    }

    #[inline]
    fn of_distance(told: u32) -> Self {
        let bits = told.ilog2();
        Self { kind: bits.to_le_bytes()[0], more: u64::from(told - (1 << bits)), bits }
    }
}

/// What is the same for all texts of a page: for a new one how many literals there are, and the length behind them; for another that there
/// are none, and both together.
struct Same {
    new: Kind,
    length: Kind,
    text_and_length: Kind,
}

impl Same {
    #[inline]
    fn kinds(&self, sequence: &Sequence) -> [Kind; 3] {
        let distance = Kind::of_distance(sequence.distance);
        match sequence.is_new {
            true => [self.new, self.length, distance],
            false => [Kind::NONE, self.text_and_length, distance],
        }
    }
}

impl EvenPacker {
    pub(super) fn new() -> Self {
        Self { code: huffman::Code::new(), known: Vec::new(), literals: Vec::new(), sequences: Vec::new(), in_runs: 0 }
    }

    /// Returns a page as a frame: `levels`, and behind them texts, each behind its length. `None` if the texts are few, or not of one length, or
    /// not random.
    pub(super) fn pack(&mut self, levels: &[u8], texts: &[&[u8]]) -> Option<Vec<u8>> {
        let length = texts.first().map(|text| text.len()).filter(|length| LENGTHS.contains(length))?;
        let stride = LENGTH_BYTES + length;
        let bytes = levels.len() + texts.len() * stride;
        let is_even = texts.len() >= LEAST_TEXTS && texts.iter().all(|text| text.len() == length);
        if !is_even || bytes > MOST_BYTES || are_alike(texts) || !self.code.fit(&counts(texts), texts.len() * length) {
            return None;
        }
        let mut frame = Vec::with_capacity(bytes);
        frame.extend_from_slice(&MAGIC);
        frame.push(FRAME);
        frame.extend_from_slice(&u32::try_from(bytes).ok()?.to_le_bytes());
        let (length, stride) = (place(length), place(stride));
        // What is before the first text.
        frame.extend_from_slice(&block_header(false, RAW_BLOCK, levels.len() + LENGTH_BYTES)?);
        frame.extend_from_slice(levels);
        frame.extend_from_slice(&length.to_le_bytes());
        self.known.clear();
        self.known.resize((2 * texts.len()).next_power_of_two(), 0);
        self.in_runs = 0;
        // (The format begins with these.)
        let (mut distances, mut has_code, mut first) = (Distances([1, 4, 8]), false, 0);
        let matched = |length| Kind::of(length, SHORTEST_MATCH, &MATCHES);
        let same = Same {
            new: Kind::of(length, 0, &LITERALS)?,
            length: matched(place(LENGTH_BYTES))?,
            text_and_length: matched(stride)?,
        };
        for block in texts.chunks(BLOCK_BYTES / index(stride)) {
            let next = first + block.len();
            self.find(texts, first..next, stride, &mut distances);
            if self.in_runs * MOST_IN_RUNS > next {
                return None;
            }
            self.block(next == texts.len(), &same, &mut has_code, &mut frame)?;
            first = next;
        }
        (frame.len() < bytes).then_some(frame)
    }

    /// Finds out which of some texts are new, and in what distance others are there before. Behind the last of all there is no length: it
    /// is taken to be new.
    fn find(&mut self, texts: &[&[u8]], of: Range<usize>, stride: u32, distances: &mut Distances) {
        self.literals.clear();
        self.sequences.clear();
        let mask = self.known.len() - 1;
        for (row, text) in texts.iter().enumerate().take(of.end).skip(of.start) {
            let known = hash(text).and_then(|hash| self.known.get_mut(hash & mask));
            let before = known.map_or(0, |known| std::mem::replace(known, place(row) + 1));
            let before = index(before).checked_sub(1).filter(|before| texts.get(*before) == Some(text));
            match before.filter(|_| row + 1 < texts.len()) {
                Some(before) => {
                    let distance = distances.tell_alone(place(row - before) * stride);
                    let is_run = self.sequences.last().is_some_and(|last| !last.is_new && last.distance == distance);
                    self.in_runs += usize::from(is_run);
                    self.sequences.push(Sequence { is_new: false, distance });
                }
                None => {
                    self.literals.extend_from_slice(text);
                    if row + 1 < texts.len() {
                        self.sequences.push(Sequence { is_new: true, distance: distances.tell(stride) });
                    }
                }
            }
        }
    }

    /// Appends a block: what was found, and the literals.
    fn block(&mut self, is_last: bool, same: &Same, has_code: &mut bool, frame: &mut Vec<u8>) -> Option<()> {
        let start = frame.len();
        frame.extend_from_slice(&[0; BLOCK_HEADER_BYTES]);
        let count = self.literals.len();
        if count < LEAST_LITERALS {
            let header = RAW | LONG << 2 | place(count) << 4;
            frame.extend_from_slice(header.to_le_bytes().get(..RAW_HEADER_BYTES)?);
            frame.extend_from_slice(&self.literals);
        } else {
            let header = frame.len();
            frame.extend_from_slice(&[0; HEADER_BYTES]);
            let packed = frame.len();
            let told = if std::mem::replace(has_code, true) {
                BY_SAME_CODE
            } else {
                frame.extend_from_slice(self.code.description());
                WITH_CODE
            };
            self.code.encode(&self.literals, frame)?;
            let [count, packed_bytes] = [count, frame.len() - packed]
                .map(|size| u64::try_from(size).ok().filter(|size| size >> SIZE_BITS == 0));
            let told = u64::from(told | LONG << 2) | count? << 4 | packed_bytes? << (4 + SIZE_BITS);
            frame.get_mut(header..packed)?.copy_from_slice(told.to_le_bytes().get(..HEADER_BYTES)?);
        }
        tell_sequences(&self.sequences, same, frame)?;
        let header = block_header(is_last, COMPRESSED_BLOCK, frame.len() - start - BLOCK_HEADER_BYTES)?;
        frame.get_mut(start..start + BLOCK_HEADER_BYTES)?.copy_from_slice(&header);
        Some(())
    }
}

/// Appends sequences, each with how many literals there are, how long the match is, and in what distance.
fn tell_sequences(sequences: &[Sequence], same: &Same, frame: &mut Vec<u8>) -> Option<()> {
    match u16::try_from(sequences.len()).ok()?.to_be_bytes() {
        [0, count] if count < 128 => frame.push(count),
        [high, low] => frame.extend_from_slice(&[high.checked_add(128).filter(|high| *high < u8::MAX)?, low]),
    }
    let Some((last, before)) = sequences.split_last() else { return Some(()) };
    let (mut new, mut distances) = (0, [0_u32; 32]);
    for sequence in sequences {
        new += u32::from(sequence.is_new);
        distances[index(sequence.distance.ilog2()) % 32] += 1;
    }
    let old = place(sequences.len()) - new;
    let literals = Code::of([(same.new.kind, new), (Kind::NONE.kind, old)].into_iter())?;
    let matches = Code::of([(same.length.kind, new), (same.text_and_length.kind, old)].into_iter())?;
    let distances = Code::of((0..).zip(distances).filter(|(_, count)| *count > 0))?;
    frame.push(literals.mode() << 6 | distances.mode() << 4 | matches.mode() << 2);
    [&literals, &distances, &matches].into_iter().try_for_each(|code| code.describe(frame))?;

    let mut bits = Bits::behind(frame, (sequences.len() + 1) * MOST_SEQUENCE_BITS);
    let more = |[literals, matched, distance]: [Kind; 3], bits: &mut Bits<'_>| {
        bits.add(literals.more, literals.bits);
        bits.add(matched.more, matched.bits);
        bits.add(distance.more, distance.bits);
        bits.flush();
    };
    let kinds = same.kinds(last);
    let [of_literals, of_matches, of_distances] = kinds.map(|kind| kind.kind);
    let mut literals = literals.last(of_literals);
    let mut matches = matches.last(of_matches);
    let mut distances = distances.last(of_distances);
    more(kinds, &mut bits);
    for sequence in before.iter().rev() {
        let kinds = same.kinds(sequence);
        let [of_literals, of_matches, of_distances] = kinds.map(|kind| kind.kind);
        distances.add(of_distances, &mut bits);
        matches.add(of_matches, &mut bits);
        literals.add(of_literals, &mut bits);
        more(kinds, &mut bits);
    }
    matches.end(&mut bits);
    distances.end(&mut bits);
    literals.end(&mut bits);
    bits.end()
}

/// Returns a number for a text: most texts have another.
fn hash(text: &[u8]) -> Option<usize> {
    let [first, last] = [text.first_chunk()?, text.last_chunk()?].map(|bytes| u64::from_le_bytes(*bytes));
    let mixed = (first ^ last.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> 32).ok()
}

/// Whether a sample of texts has many bytes in a row in common.
fn are_alike(texts: &[&[u8]]) -> bool {
    let step = texts.len().div_ceil(SAMPLE).max(1);
    let pairs = texts.windows(2).step_by(step);
    let begin_alike = pairs.clone().filter(|pair| pair[0] != pair[1] && pair[0].get(..GRAM) == pair[1].get(..GRAM));
    if begin_alike.count() * MOST_ALIKE > pairs.len() {
        return true;
    }
    let mut sample: Vec<&[u8]> = texts.iter().step_by(step).copied().collect();
    // Whole texts are looked for.
    sample.sort_unstable();
    sample.dedup();
    let number = |gram: &[u8]| gram.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let mut grams: Vec<u64> = sample.iter().flat_map(|text| text.windows(GRAM).map(number)).collect();
    grams.sort_unstable();
    grams.windows(2).filter(|pair| pair[0] == pair[1]).count() * MOST_ALIKE > sample.len()
}

fn counts(texts: &[&[u8]]) -> huffman::Counts {
    let mut counts = [0; huffman::SYMBOLS];
    for text in texts.iter().step_by((texts.len() / COUNTED).max(1)) {
        for byte in *text {
            if let Some(count) = counts.get_mut(usize::from(*byte)) {
                *count += 1;
            }
        }
    }
    counts
}

/// Returns the header of a block; `None` if the block is longer than the format allows, packed or not.
fn block_header(is_last: bool, kind: u32, bytes: usize) -> Option<[u8; BLOCK_HEADER_BYTES]> {
    let bytes = place(Some(bytes).filter(|bytes| *bytes <= BLOCK_BYTES)?);
    (bytes << 3 | kind << 1 | u32::from(is_last)).to_le_bytes().first_chunk().copied()
}

#[cfg(test)]
mod tests;
