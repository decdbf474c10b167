//! The generator's own random numbers: the same on every platform and with every version of the dependencies.
//!
//! PCG64 MCG is a published algorithm with published test vectors. Everything above it (integers in a range, picks,
//! fractions) is derived here, since the distributions of the `rand` crate may change their output between versions.

use std::str::FromStr;

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::Rng as _;

/// How many parts a [`Fraction`] counts in.
const PARTS: u64 = 1_000_000_000;

/// A share of the events, from 0 (none) to 1 (all), in parts of a thousand million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fraction(u64);

impl Fraction {
    /// None of the events.
    pub const NONE: Self = Self(0);

    /// Whether kinds of events that exclude each other can have these shares.
    pub(super) fn fit(shares: &[Self]) -> bool {
        shares.iter().map(|share| share.0).sum::<u64>() <= PARTS
    }

    /// Returns the given fraction, or `None` unless it lies in 0 to 1.
    #[must_use]
    pub fn new(fraction: f64) -> Option<Self> {
        // A `Duration` is the standard library's exact decimal rounding: nanoseconds are the parts.
        let parts = std::time::Duration::try_from_secs_f64(fraction).ok()?.as_nanos();
        u64::try_from(parts).ok().filter(|parts| *parts <= PARTS).map(Self)
    }
}

impl FromStr for Fraction {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().ok().and_then(Self::new).ok_or("expected a fraction from 0 to 1, such as 0.05")
    }
}

/// A seeded source of random numbers.
#[derive(Debug, Clone)]
pub(super) struct Random(Pcg64Mcg);

impl Random {
    /// Returns the source that `seed` names. Seeds that differ in one bit have nothing in common.
    pub(super) fn new(seed: u64) -> Self {
        let mut state = seed;
        let high = split_mix(&mut state);
        let low = split_mix(&mut state);
        Self(Pcg64Mcg::new((u128::from(high) << 64) | u128::from(low)))
    }

    /// Returns 64 random bits.
    #[inline]
    pub(super) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Returns an integer in `0..bound` (0 if `bound` is 0): the high word of `64 random bits x bound`.
    ///
    /// The multiply-shift favours some values by less than one part in 2^64 / `bound`.
    #[inline]
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.bits()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0) // the shift leaves 64 bits
    }

    /// Returns an integer in `first..=last`.
    pub(super) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// Returns an index into a slice of `len` elements (0 if it is empty).
    #[inline]
    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0) // below `len`, which is a `usize`
    }

    /// Returns one of `items`, each as probable as the others; the default of the type if there is none.
    pub(super) fn pick<T: Copy + Default>(&mut self, items: &[T]) -> T {
        items.get(self.index(items.len())).copied().unwrap_or_default()
    }

    /// Returns one of `items` in proportion to its weight; the default of the type if there is none.
    #[inline]
    pub(super) fn pick_weighted<T: Copy + Default>(&mut self, items: &[(u64, T)]) -> T {
        let mut rest = self.below(items.iter().map(|(weight, _)| weight).sum());
        for (weight, item) in items {
            match rest.checked_sub(*weight) {
                Some(less) => rest = less,
                None => return *item,
            }
        }
        T::default()
    }

    /// Returns which of the kinds an event is that have these shares of all events; `None` if it is of none of them.
    ///
    /// Draws nothing when all shares are zero.
    #[inline]
    pub(super) fn kind<const KINDS: usize>(&mut self, shares: [Fraction; KINDS]) -> Option<usize> {
        if shares == [Fraction::NONE; KINDS] {
            return None;
        }
        let drawn = self.below(PARTS);
        let mut end = 0;
        shares.iter().position(|share| {
            end += share.0;
            drawn < end
        })
    }

    /// Appends a UUID of version 4, in lower case with hyphens, to `out`.
    #[inline]
    pub(super) fn uuid(&mut self, out: &mut Vec<u8>) {
        const VERSION: u128 = 0xf << 76;
        const VARIANT: u128 = 0b11 << 62;
        let bits = (u128::from(self.bits()) << 64) | u128::from(self.bits());
        let bytes = ((bits & !VERSION & !VARIANT) | (4 << 76) | (0b10 << 62)).to_be_bytes();
        let mut text = *b"00000000-0000-4000-8000-000000000000";
        for (at, byte) in PLACES.iter().zip(bytes) {
            text[*at] = HEX[usize::from(byte >> 4)];
            text[*at + 1] = HEX[usize::from(byte & 15)];
        }
        out.extend_from_slice(&text);
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";
/// Where the two digits of each byte of a UUID stand.
const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];

/// One step of SplitMix64 (Steele, Lea and Flood, 2014): spreads a seed over all bits.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_lies_between_zero_and_one() {
        assert_eq!(Fraction::new(0.25), Some(Fraction(250_000_000)));
        assert_eq!(Fraction::new(1.0), Some(Fraction(PARTS)));
        for wrong in [-0.1, 1.000_001, f64::NAN, f64::INFINITY] {
            assert_eq!(Fraction::new(wrong), None, "{wrong}");
        }
        assert_eq!("0.05".parse(), Ok(Fraction(50_000_000)));
        assert!("5%".parse::<Fraction>().is_err());
    }

    #[test]
    fn certainty_always_happens_and_zero_never() {
        let mut random = Random::new(1);
        assert!((0..1000).all(|_| random.kind([Fraction(PARTS), Fraction(0)]) == Some(0)));
        assert!((0..1000).all(|_| random.kind([Fraction(0), Fraction(PARTS)]) == Some(1)));
        assert!((0..1000).all(|_| random.kind([Fraction(0), Fraction(0)]).is_none()));
    }

    #[test]
    fn kinds_have_their_shares_of_all_events() {
        let mut random = Random::new(1);
        let shares = [0.25, 0.5].map(|share| Fraction::new(share).expect("a fraction"));
        let mut counts = [0_u32; 3];
        (0..100_000).for_each(|_| counts[random.kind(shares).unwrap_or(2)] += 1);
        assert!(counts[0].abs_diff(25_000) < 500 && counts[1].abs_diff(50_000) < 500, "{counts:?}");
        assert!(Fraction::fit(&shares) && !Fraction::fit(&[shares[1], shares[1], shares[0]]));
    }

    #[test]
    fn integers_stay_in_their_range_and_reach_both_ends() {
        let mut random = Random::new(7);
        let drawn: std::collections::BTreeSet<u64> = (0..1000).map(|_| random.between(3, 9)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn a_weighted_pick_follows_the_weights() {
        let mut random = Random::new(7);
        let picks = (0..10_000).filter(|_| random.pick_weighted(&[(1, 'a'), (0, 'b'), (3, 'c')]) == 'c').count();
        assert!((7300..7700).contains(&picks), "{picks}");
        assert!((0..10_000).all(|_| random.pick_weighted(&[(1, 'a'), (0, 'b'), (3, 'c')]) != 'b'));
    }

    #[test]
    fn split_mix_agrees_with_its_published_vector() {
        let mut state = 1_234_567;
        assert_eq!(split_mix(&mut state), 6_457_827_717_110_365_317);
        assert_eq!(split_mix(&mut state), 3_203_168_211_198_807_973);
    }

    #[test]
    fn a_uuid_says_version_4_and_variant_1() {
        let mut random = Random::new(7);
        for _ in 0..1000 {
            let mut out = Vec::new();
            random.uuid(&mut out);
            let text = String::from_utf8(out).expect("digits and hyphens");
            assert_eq!(text.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
            assert_eq!(text.as_bytes()[14], b'4');
            assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
        }
    }
}
