//! The usual record, taken apart quickly: an object of plain strings, numbers and literals.
//!
//! Accepts a part of JSON and nothing beyond JSON. Whatever is unusual (an escape, a nested value, an error) is left to the full
//! parser, which starts again from the beginning.

/// The highest bit of each of eight bytes.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Calls `each` with key and value of every member, as [`members`](super::members) does; `None`, after any number of calls, if
/// `text` is not such an object.
pub(in crate::record) fn members<'de>(text: &'de str, mut each: impl FnMut(&'de str, &'de str)) -> Option<()> {
    let (bytes, high) = (text.as_bytes(), &mut 0);
    let mut at = expect(bytes, 0, b'{')?;
    loop {
        let key = expect(bytes, at, b'"')?;
        let key_end = string_end(bytes, key, high)?;
        let value = skip_space(bytes, expect(bytes, key_end + 1, b':')?);
        let value_end = value_end(bytes, value, high)?;
        each(text.get(key..key_end)?, text.get(value..value_end)?);
        at = skip_space(bytes, value_end);
        match bytes.get(at)? {
            b',' => at += 1,
            b'}' => return (skip_space(bytes, at + 1) == bytes.len()).then_some(()),
            _ => return None,
        }
    }
}

/// Returns the place behind the value at `at`: a string without escapes, a number, `true`, `false` or `null`. In `high` its bytes that are
/// no ASCII leave a bit.
#[inline]
pub(in crate::record) fn value_end(bytes: &[u8], at: usize, high: &mut u64) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => string_end(bytes, at + 1, high).map(|quote| quote + 1),
        b'-' | b'0'..=b'9' => number_end(bytes, at),
        b't' => literal_end(bytes, at, b"true"),
        b'f' => literal_end(bytes, at, b"false"),
        b'n' => literal_end(bytes, at, b"null"),
        _ => None,
    }
}

/// Returns the place behind white space and `byte`.
fn expect(bytes: &[u8], at: usize, byte: u8) -> Option<usize> {
    let at = skip_space(bytes, at);
    (*bytes.get(at)? == byte).then_some(at + 1)
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Returns the place of the quote that ends the string whose content begins at `at`; `None` if it holds an escape.
#[inline]
fn string_end(bytes: &[u8], mut at: usize, high: &mut u64) -> Option<usize> {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        // What follows the string may leave bits, too: they are looked at in vain.
        *high |= word & HIGH;
        if let marks @ 1.. = marks_of_eight(word) {
            at += usize::try_from(marks.trailing_zeros() / 8).ok()?;
            return (*bytes.get(at)? == b'"').then_some(at);
        }
        at += 8;
    }
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' | 0..0x20 => return None,
            byte => *high |= u64::from(*byte) & HIGH,
        }
        at += 1;
    }
}

/// Returns a word whose lowest bit that is set marks the first of eight bytes that is a quote, a backslash or below a space.
fn marks_of_eight(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (quote, backslash) = (word ^ (ONES * 0x22), word ^ (ONES * 0x5c));
    let marks = (quote.wrapping_sub(ONES) & !quote)
        | (backslash.wrapping_sub(ONES) & !backslash)
        | (word.wrapping_sub(ONES * 0x20) & !word);
    marks & HIGH
}

fn literal_end(bytes: &[u8], at: usize, literal: &[u8]) -> Option<usize> {
    bytes.get(at..)?.starts_with(literal).then_some(at + literal.len())
}

fn number_end(bytes: &[u8], at: usize) -> Option<usize> {
    let whole = at + usize::from(*bytes.get(at)? == b'-');
    let mut end = digits_end(bytes, whole)?;
    if *bytes.get(whole)? == b'0' && end > whole + 1 {
        return None;
    }
    if let Some(b'.') = bytes.get(end) {
        end = digits_end(bytes, end + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(end) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        end = digits_end(bytes, end + 1 + sign)?;
    }
    Some(end)
}

/// Returns the place behind one digit or more.
fn digits_end(bytes: &[u8], at: usize) -> Option<usize> {
    let digits = bytes.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (digits > 0).then_some(at + digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{members as full_members, string};
    use super::*;

    fn plain(text: &str) -> Option<Vec<(String, String)>> {
        let mut found = Vec::new();
        members(text, |key, value| found.push((key.to_owned(), value.to_owned()))).map(|()| found)
    }

    fn full(text: &str) -> Option<Vec<(String, String)>> {
        let mut found = Vec::new();
        full_members(text, |key, value| found.push((key.into_owned(), value.to_owned()))).ok().map(|()| found)
    }

    #[test]
    fn the_usual_record_is_taken_apart() {
        let text = "\n{ \"a\" : -0.5e+3 ,\"é\":\"0123456\u{7f}89\",\"c\":null,\"c\":true}\t";
        assert!(plain(text).is_some());
        assert_eq!(plain(text), full(text));
    }

    #[test]
    fn what_is_unusual_is_left_to_the_full_parser() {
        for text in [
            "{}",
            "{\"a\":[]}",
            "{\"a\":{}}",
            r#"{"a\n":1}"#,
            r#"{"a":"\n"}"#,
            "{\"a\":01}",
            "{\"a\":1.}",
            "{\"a\":1}}",
        ] {
            assert_eq!(plain(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_accepted_that_the_full_parser_refuses(text in "[ \t]{0,2}\\{( ?\"(\\PC|[\\x00-\\x20]){0,12}\"? ?: ?[\"0-9a-fntrulse.+-]{1,6}[,}]){1,3}") {
            if let Some(found) = plain(&text) {
                prop_assert_eq!(Some(found), full(&text));
            }
        }

        #[test]
        fn every_string_ends_where_the_full_parser_says(value in any::<String>(), pad in " {0,9}") {
            let text = format!("{{{pad}\"k\":{}}}", serde_json::Value::from(value.as_str()));
            if let Some(found) = plain(&text) {
                prop_assert_eq!(string(&found[0].1).unwrap(), value.as_str());
            } else {
                prop_assert!(text.contains('\\'));
            }
        }
    }
}
