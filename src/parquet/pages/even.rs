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
use super::LENGTH_BYTES;

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
/// One of this many texts is counted, and more if texts are few: bytes that are rare have a longer code than they could have.
const COUNTED: usize = 4;
/// Of so many texts all are.
const FEW_TEXTS: usize = 1_000;

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
        let place = self.0.iter().position(|known| *known == distance);
        let told = place.map_or(distance + number(KNOWN_DISTANCES), |place| number(place) + 1);
        self.0[..=place.unwrap_or(KNOWN_DISTANCES - 1)].rotate_right(1);
        self.0[0] = distance;
        told
    }

    /// Tells a distance of a match without literals before it: there, places mean other distances, and none is told by its place.
    fn tell_alone(&mut self, distance: u32) -> u32 {
        self.0.rotate_right(1);
        self.0[0] = distance;
        distance + number(KNOWN_DISTANCES)
    }
}

fn number(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A kind, and which one of that kind: so many bits.
#[derive(Debug, Clone, Copy)]
struct Kind {
    kind: u8,
    more: u64,
    bits: u32,
}

impl Kind {
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
    old: Kind,
    length: Kind,
    text_and_length: Kind,
}

impl Same {
    #[inline]
    fn kinds(&self, sequence: &Sequence) -> [Kind; 3] {
        let distance = Kind::of_distance(sequence.distance);
        match sequence.is_new {
            true => [self.new, self.length, distance],
            false => [self.old, self.text_and_length, distance],
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
        let (length, stride) = (number(length), number(stride));
        // What is before the first text.
        frame.extend_from_slice(&block_header(false, RAW_BLOCK, levels.len() + LENGTH_BYTES)?);
        frame.extend_from_slice(levels);
        frame.extend_from_slice(&length.to_le_bytes());
        self.known.clear();
        self.known.resize((2 * texts.len()).next_power_of_two(), 0);
        self.in_runs = 0;
        // (The format begins with these.)
        let (mut distances, mut has_code, mut first) = (Distances([1, 4, 8]), false, 0);
        let kind = |length, kinds| Kind::of(length, 0, kinds);
        let matched = |length| Kind::of(length, SHORTEST_MATCH, &MATCHES);
        let same = Same {
            new: kind(length, &LITERALS)?,
            old: kind(0, &LITERALS)?,
            length: matched(number(LENGTH_BYTES))?,
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
        for (place, text) in texts.iter().enumerate().take(of.end).skip(of.start) {
            let known = hash(text).and_then(|hash| self.known.get_mut(hash & mask));
            let before = known.map_or(0, |known| std::mem::replace(known, number(place) + 1));
            let before = index(before).checked_sub(1).filter(|before| texts.get(*before) == Some(text));
            match before.filter(|_| place + 1 < texts.len()) {
                Some(before) => {
                    let distance = distances.tell_alone(number(place - before) * stride);
                    let is_run = self.sequences.last().is_some_and(|last| !last.is_new && last.distance == distance);
                    self.in_runs += usize::from(is_run);
                    self.sequences.push(Sequence { is_new: false, distance });
                }
                None => {
                    self.literals.extend_from_slice(text);
                    if place + 1 < texts.len() {
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
            let header = RAW | LONG << 2 | number(count) << 4;
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
    let old = number(sequences.len()) - new;
    let literals = Code::of([(same.new.kind, new), (same.old.kind, old)].into_iter())?;
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
    let step = if texts.len() <= FEW_TEXTS { 1 } else { COUNTED };
    for byte in texts.iter().step_by(step).flat_map(|text| *text) {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    counts
}

/// Returns the header of a block; `None` if the block is longer than the format allows, packed or not.
fn block_header(is_last: bool, kind: u32, bytes: usize) -> Option<[u8; BLOCK_HEADER_BYTES]> {
    let bytes = number(Some(bytes).filter(|bytes| *bytes <= BLOCK_BYTES)?);
    (bytes << 3 | kind << 1 | u32::from(is_last)).to_le_bytes().first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::super::push_text;
    use super::*;

    /// Numbers that nobody can foresee, from a seed.
    fn random(seed: u64) -> impl FnMut() -> u64 {
        let mut state = seed;
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ mixed >> 31
        }
    }

    fn texts(alphabet: &[u8], length: usize, count: usize) -> Vec<Vec<u8>> {
        let mut random = random(u64::try_from(count * length).unwrap());
        let most = u64::try_from(alphabet.len()).unwrap();
        let mut byte = || alphabet[usize::try_from(random() % most).unwrap()];
        (0..count).map(|_| (0..length).map(|_| byte()).collect()).collect()
    }

    fn page(levels: &[u8], texts: &[Vec<u8>]) -> Vec<u8> {
        let mut page = levels.to_vec();
        texts.iter().for_each(|text| push_text(text, &mut page));
        page
    }

    /// Packs a page, and unpacks it by two decoders.
    fn packed(levels: &[u8], texts: &[Vec<u8>]) -> Option<usize> {
        let page = page(levels, texts);
        let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        let frame = EvenPacker::new().pack(levels, &texts)?;
        assert_eq!(zstd::bulk::decompress(&frame, page.len()).expect("a frame"), page);
        let (mut other, mut decoder) = (Vec::new(), ruzstd::decoding::StreamingDecoder::new(&*frame).expect("a frame"));
        decoder.read_to_end(&mut other).expect("a frame");
        assert_eq!(other, page);
        Some(frame.len())
    }

    const HEX: &[u8] = b"0123456789abcdef";

    /// Texts, of which so many of a hundred were there before.
    fn repeated(texts: Vec<Vec<u8>>, repeats: u64) -> Vec<Vec<u8>> {
        let (mut random, mut all) = (random(repeats), Vec::<Vec<u8>>::new());
        for text in texts {
            let before = usize::try_from(random()).unwrap().checked_rem(all.len());
            let before = before.filter(|_| random() % 100 < repeats).map(|before| all[before].clone());
            all.push(before.unwrap_or(text));
        }
        all
    }

    proptest! {
        #[test]
        fn decoders_find_the_page(
            levels in prop::collection::vec(any::<u8>(), 0..40),
            first in 0_u8..100,
            symbols in 2_u8..=100,
            length in LENGTHS,
            count in prop_oneof![LEAST_TEXTS..LEAST_TEXTS + 40, LEAST_TEXTS..20_000],
            repeats in prop_oneof![Just(0), 0..100_u64],
        ) {
            let alphabet: Vec<u8> = (first..).take(usize::from(symbols)).filter(u8::is_ascii).collect();
            let texts = repeated(texts(&alphabet, length, count), repeats);
            // Other texts than these may be left to others.
            let are_few = alphabet.len().pow(2) * 16 > count * length;
            prop_assert!(packed(&levels, &texts).is_some() || repeats > 50 || are_few || !(16..90).contains(&alphabet.len()));
        }
    }

    fn ids(count: usize) -> Vec<Vec<u8>> {
        let mut texts = texts(HEX, 36, count);
        texts.iter_mut().for_each(|text| [8, 13, 18, 23].into_iter().for_each(|at| text[at] = b'-'));
        texts
    }

    #[test]
    fn ids_take_fewer_bytes_than_if_all_repetitions_were_looked_for() {
        for (repeats, percent) in [(0, 97), (30, 99), (60, 100)] {
            let ids = repeated(ids(10_000), repeats);
            let found = zstd::bulk::compress(&page(&[], &ids), 1).unwrap().len();
            let bytes = packed(&[], &ids).unwrap();
            assert!(bytes * 100 < found * percent, "{repeats}: {bytes} {found}");
        }
    }

    #[test]
    fn blocks_end_anywhere() {
        // The last one has one text, or as many as there are in the others.
        let full = BLOCK_BYTES / (LENGTH_BYTES + 36);
        for count in [LEAST_TEXTS, full - 1, full, full + 1, full + 2, 2 * full, 3 * full + 1] {
            assert!(packed(&[1, 2], &ids(count)).is_some(), "{count}");
            assert!(packed(&[], &repeated(ids(count), 50)).is_some(), "{count}");
        }
    }

    #[test]
    fn a_block_without_literals_is_one() {
        let full = BLOCK_BYTES / (LENGTH_BYTES + 36);
        let mut texts = ids(full);
        // All of a block was there before, in another order, and then all but a text of the last one.
        texts.extend(texts.clone().into_iter().rev());
        texts.extend(ids(full).into_iter().take(full - 3));
        texts.extend(ids(full + 1).pop());
        let bytes = packed(&[], &texts).unwrap();
        assert!(bytes < 20 * full + 8 * full, "{bytes}");
    }

    #[test]
    fn what_is_not_random_is_left_to_others() {
        let hex = |length, count| texts(HEX, length, count);
        assert!(
            packed(&[], &hex(LENGTHS.end() + 1, 200)).is_none()
                && packed(&[], &hex(LENGTHS.start() - 1, 200)).is_none()
        );
        assert!(packed(&[], &hex(20, LEAST_TEXTS - 1)).is_none() && packed(&[], &hex(20, LEAST_TEXTS)).is_some());
        let times: Vec<Vec<u8>> =
            (0..1_000).map(|n| format!("2026-11-22 12:{:02}:{:02}", n / 60, n % 60).into()).collect();
        assert!(packed(&[], &times).is_none());
        let numbers: Vec<Vec<u8>> = (0..1_000).map(|n| format!("{:012}", n * 7_919).into()).collect();
        assert!(packed(&[], &numbers).is_none());
        assert!(packed(&[], &texts(b"a", 20, 200)).is_none(), "nothing is random");
    }

    #[test]
    fn texts_that_have_something_in_common_are_left_to_others() {
        let random = ids(20_000);
        // Times stand in front of ids that are in their order (UUIDv7), or not; texts repeat those before them.
        let timed = |at: usize| {
            [format!("{:012x}", 1_795_000_000_000_u64 + 50 * at as u64).into_bytes(), random[at][12..].to_vec()]
                .concat()
        };
        let in_order: Vec<Vec<u8>> = (0..20_000).map(timed).collect();
        let mixed: Vec<Vec<u8>> = (0..20_000).map(|at| timed(at * 7_919 % 20_000)).collect();
        let in_runs: Vec<Vec<u8>> = (0..20_000).map(|at| random[at / 3].clone()).collect();
        let in_turn: Vec<Vec<u8>> = (0..20_000).map(|at| random[at % 2].clone()).collect();
        for texts in [in_order, mixed, in_runs, in_turn] {
            assert!(packed(&[], &texts).is_none(), "{:?}", std::str::from_utf8(&texts[1]));
        }
    }

    #[test]
    fn no_block_is_longer_than_decoders_take() {
        // Bytes that are rare in the page, and have the longest codes, stand side by side.
        for (length, rare, count) in
            [(36, 3_276, 20_000), (127, 1_000, 8_256), (64, 1_927, 16_384), (10, 9_362, 70_000)]
        {
            let strange: Vec<u8> = (b'!'..b'~').filter(|byte| !HEX.contains(byte)).collect();
            let mut page = texts(&strange, length, rare);
            page.extend(texts(HEX, length, count - rare));
            // Either it is left to others, or decoders find it.
            packed(&[], &page);
        }
    }

    #[test]
    fn a_byte_without_a_code_is_not_passed_over() {
        for stranger in [b'x', 0xe9] {
            for row in [0, 1, 2, 3, 31, 32, 1_198, 1_199] {
                for column in 0..19 {
                    let mut texts = texts(HEX, 19, 1_200);
                    texts[row][column] = stranger;
                    // Counted, it has a code; not counted, the page is left to others.
                    assert_eq!(
                        packed(&[], &texts).is_some(),
                        stranger.is_ascii() && row % COUNTED == 0,
                        "{row} {column}"
                    );
                }
            }
        }
    }
}
