//! The least and the greatest value of pages and chunks.

use parquet::basic::{BoundaryOrder, ConvertedType, LogicalType};
use parquet::schema::types::ColumnDescPtr;

/// The longest value that statistics and indexes hold, in bytes: longer ones are cut to a bound.
const MOST_BYTES: usize = 64;

/// Where a value may be cut: a bound of texts must be a text, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::parquet) enum Cut {
    /// Between the characters of a text.
    Characters,
    /// Anywhere: the bytes mean nothing.
    Bytes,
}

impl Cut {
    /// Returns how the values of the column that `descr` describes are cut.
    pub(super) fn of(descr: &ColumnDescPtr) -> Self {
        let is_text = descr.logical_type_ref() == Some(&LogicalType::String);
        if is_text || descr.converted_type() == ConvertedType::UTF8 { Self::Characters } else { Self::Bytes }
    }
}

/// The bounds of the pages of a chunk, as they come.
#[derive(Debug)]
pub(super) struct Bounds<T> {
    whole: Option<(T, T)>,
    last: Option<(T, T)>,
    ascending: bool,
    descending: bool,
}

impl<T: Ord + Copy> Bounds<T> {
    pub(super) const fn new() -> Self {
        Self { whole: None, last: None, ascending: true, descending: true }
    }

    /// Takes the bounds of the next page that has any.
    pub(super) fn add(&mut self, min: T, max: T) {
        if let Some((last_min, last_max)) = self.last.replace((min, max)) {
            self.ascending &= last_min <= min && last_max <= max;
            self.descending &= last_min >= min && last_max >= max;
        }
        let (least, greatest) = self.whole.unwrap_or((min, max));
        self.whole = Some((least.min(min), greatest.max(max)));
    }

    pub(super) const fn whole(&self) -> Option<(T, T)> {
        self.whole
    }

    pub(super) fn order(&self) -> BoundaryOrder {
        match (self.ascending, self.descending) {
            (true, _) => BoundaryOrder::ASCENDING,
            (false, true) => BoundaryOrder::DESCENDING,
            (false, false) => BoundaryOrder::UNORDERED,
        }
    }
}

/// Returns a value that is not above `value`, and whether it is all of it.
pub(super) fn lower(value: &[u8], cut: Cut) -> (&[u8], bool) {
    let kept = beginning(value, cut);
    (kept, kept.len() == value.len())
}

/// Returns a value that is not below `value`, and whether it is all of it.
pub(super) fn upper(value: &[u8], cut: Cut) -> (Vec<u8>, bool) {
    let kept = beginning(value, cut);
    if kept.len() == value.len() {
        return (value.to_vec(), true);
    }
    let raised = match cut {
        Cut::Characters => raised_text(kept),
        Cut::Bytes => raised_bytes(kept),
    };
    raised.map_or_else(|| (value.to_vec(), true), |raised| (raised, false))
}

/// Returns the next greater number of as many bytes; `None` if there is none.
fn raised_bytes(kept: &[u8]) -> Option<Vec<u8>> {
    let last = kept.iter().rposition(|byte| *byte < u8::MAX)?;
    // As Parquet's own writer: what is behind the byte that is raised becomes zeros, which a bound could do without.
    let raise = |(place, byte): (usize, &u8)| if place < last { *byte } else { byte.wrapping_add(1) };
    Some(kept.iter().enumerate().map(raise).collect())
}

/// Returns the next greater text that takes no more bytes; `None` if there is none.
fn raised_text(kept: &[u8]) -> Option<Vec<u8>> {
    // The next greater text of this length at most: the last character that has a successor is raised, and ends it.
    let chars: Vec<char> = String::from_utf8_lossy(kept).chars().collect();
    for end in (0..chars.len()).rev() {
        if let Some(raised) = chars.get(end).and_then(|last| successor(*last)) {
            let raised: String = chars.iter().take(end).copied().chain([raised]).collect();
            return Some(raised.into_bytes());
        }
    }
    None
}

/// Returns the beginning of `value`, at most [`MOST_BYTES`] bytes; of a text whole characters.
fn beginning(value: &[u8], cut: Cut) -> &[u8] {
    if value.len() <= MOST_BYTES {
        return value;
    }
    let mut end = MOST_BYTES;
    while cut == Cut::Characters && end > 0 && value.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
        end -= 1;
    }
    value.get(..end).unwrap_or(value)
}

/// Returns the next character that takes no more bytes.
fn successor(last: char) -> Option<char> {
    let next = match last {
        '\u{d7ff}' => '\u{e000}',
        _ => char::from_u32(u32::from(last) + 1)?,
    };
    (next.len_utf8() == last.len_utf8()).then_some(next)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn long_texts_are_cut_to_bounds_of_whole_characters() {
        let text = format!("{}é{}", "a".repeat(63), "b".repeat(9));
        let upper = |text: &[u8]| upper(text, Cut::Characters);
        assert_eq!(lower(text.as_bytes(), Cut::Characters), ("a".repeat(63).as_bytes(), false));
        assert_eq!(upper(text.as_bytes()), (format!("{}b", "a".repeat(62)).into_bytes(), false));
        assert_eq!(upper("a".repeat(64).as_bytes()), ("a".repeat(64).into_bytes(), true));
        let greatest = "\u{10ffff}".repeat(20);
        assert_eq!(upper(greatest.as_bytes()), (greatest.clone().into_bytes(), true));
    }

    #[test]
    fn long_bytes_are_cut_anywhere() {
        let value = |start: &[u8]| [start, &[b'z'; 9]].concat();
        let upper = |value: &[u8]| upper(value, Cut::Bytes);
        let text = value(format!("{}é", "a".repeat(63)).as_bytes());
        assert_eq!(lower(&text, Cut::Bytes), (&text[..64], false));
        assert_eq!(upper(&text), ([&[b'a'; 63][..], &[0xc4]].concat(), false));
        assert_eq!(upper(&value(&[&[7; 62][..], &[255; 2]].concat())), ([&[7; 61][..], &[8, 0, 0]].concat(), false));
        assert_eq!(upper(&[255; 64]), (vec![255; 64], true));
        // No 64 bytes are above these.
        assert_eq!(upper(&[255; 65]), (vec![255; 65], true));
    }

    #[test]
    fn pages_that_do_not_go_down_ascend() {
        let order = |pages: &[(i64, i64)]| {
            let mut bounds = Bounds::new();
            pages.iter().for_each(|(min, max)| bounds.add(*min, *max));
            (bounds.order(), bounds.whole())
        };
        assert_eq!(order(&[(1, 5), (1, 7), (2, 7)]), (BoundaryOrder::ASCENDING, Some((1, 7))));
        assert_eq!(order(&[(3, 5), (1, 5)]), (BoundaryOrder::DESCENDING, Some((1, 5))));
        assert_eq!(order(&[(3, 5), (1, 9)]), (BoundaryOrder::UNORDERED, Some((1, 9))));
        assert_eq!(order(&[]), (BoundaryOrder::ASCENDING, None));
    }

    proptest! {
        #[test]
        fn bounds_hold_the_text(text in "\\PC{0,40}") {
            let text = text.as_bytes();
            prop_assert!(lower(text, Cut::Characters).0 <= text && *upper(text, Cut::Characters).0 >= *text);
            prop_assert!(std::str::from_utf8(&upper(text, Cut::Characters).0).is_ok());
        }

        #[test]
        fn bounds_hold_the_bytes(value in prop::collection::vec(prop_oneof![Just(255), any::<u8>()], 0..90)) {
            let value = value.as_slice();
            prop_assert!(lower(value, Cut::Bytes).0 <= value && *upper(value, Cut::Bytes).0 >= *value);
        }
    }
}
