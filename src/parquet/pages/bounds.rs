//! The least and the greatest value of pages and chunks.

use parquet::basic::BoundaryOrder;

/// The longest text that statistics and indexes hold, in bytes: longer ones are cut to a bound.
const MOST_BYTES: usize = 64;

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

/// Returns a text that is not above `text`, and whether it is all of it.
pub(super) fn lower(text: &[u8]) -> (&[u8], bool) {
    let kept = cut(text);
    (kept, kept.len() == text.len())
}

/// Returns a text that is not below `text`, and whether it is all of it.
pub(super) fn upper(text: &[u8]) -> (Vec<u8>, bool) {
    let kept = cut(text);
    if kept.len() == text.len() {
        return (text.to_vec(), true);
    }
    // The next greater text of this length at most: the last character that has a successor is raised, and ends it.
    let chars: Vec<char> = String::from_utf8_lossy(kept).chars().collect();
    for end in (0..chars.len()).rev() {
        if let Some(raised) = chars.get(end).and_then(|last| successor(*last)) {
            let raised: String = chars.iter().take(end).copied().chain([raised]).collect();
            return (raised.into_bytes(), false);
        }
    }
    (text.to_vec(), true)
}

/// Returns the beginning of `text`, whole characters of at most [`MOST_BYTES`] bytes.
fn cut(text: &[u8]) -> &[u8] {
    if text.len() <= MOST_BYTES {
        return text;
    }
    let mut end = MOST_BYTES;
    while end > 0 && text.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
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
        assert_eq!(lower(text.as_bytes()), ("a".repeat(63).as_bytes(), false));
        assert_eq!(upper(text.as_bytes()), (format!("{}b", "a".repeat(62)).into_bytes(), false));
        assert_eq!(upper("a".repeat(64).as_bytes()), ("a".repeat(64).into_bytes(), true));
        let greatest = "\u{10ffff}".repeat(20);
        assert_eq!(upper(greatest.as_bytes()), (greatest.clone().into_bytes(), true));
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
            prop_assert!(lower(text).0 <= text && *upper(text).0 >= *text);
            prop_assert!(std::str::from_utf8(&upper(text).0).is_ok());
        }
    }
}
