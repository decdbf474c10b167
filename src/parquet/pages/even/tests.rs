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
        packed(&[], &hex(LENGTHS.end() + 1, 200)).is_none() && packed(&[], &hex(LENGTHS.start() - 1, 200)).is_none()
    );
    assert!(packed(&[], &hex(20, LEAST_TEXTS - 1)).is_none() && packed(&[], &hex(20, LEAST_TEXTS)).is_some());
    let times: Vec<Vec<u8>> = (0..1_000).map(|n| format!("2026-11-22 12:{:02}:{:02}", n / 60, n % 60).into()).collect();
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
        [format!("{:012x}", 1_795_000_000_000_u64 + 50 * at as u64).into_bytes(), random[at][12..].to_vec()].concat()
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
    for (length, rare, count) in [(36, 3_276, 20_000), (127, 1_000, 8_256), (64, 1_927, 16_384), (10, 9_362, 70_000)] {
        let strange: Vec<u8> = (b'!'..b'~').filter(|byte| !HEX.contains(byte)).collect();
        let mut page = texts(&strange, length, rare);
        page.extend(texts(HEX, length, count - rare));
        // Either it is left to others, or decoders find it.
        packed(&[], &page);
    }
}

#[test]
fn a_byte_without_a_code_is_not_passed_over() {
    const TEXTS: usize = 3 * COUNTED;
    for stranger in [b'x', 0xe9] {
        for row in [0, 1, 2, 3, 31, 32, TEXTS - 3, TEXTS - 1] {
            for column in 0..19 {
                let mut texts = texts(HEX, 19, TEXTS);
                texts[row][column] = stranger;
                // Counted, it has a code; not counted, the page is left to others.
                assert_eq!(packed(&[], &texts).is_some(), stranger.is_ascii() && row % 3 == 0, "{row} {column}");
            }
        }
    }
}
