//! JSON text taken apart without being copied: members, elements, strings, and how deep it nests.
//!
//! Values stay the very text that the record held, so that numbers keep every digit and anything may be kept verbatim.
//! Memory and stack do not grow with the nesting of a value that nobody looks into.

mod escapes;
pub(super) mod plain;

use std::borrow::Cow;
use std::fmt;

use memchr::memchr2_iter;
use serde::de::{DeserializeSeed, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Deserializer, Error};

/// How deep a record may nest; the record itself counts 1.
pub(crate) const MAX_NESTING: usize = 128;

/// Calls `each` with the key and the text of every member of the object that `text` is, in order, repeated keys included.
///
/// Members may be told twice: `restart` is called when they are told from the beginning again.
pub(crate) fn members_quickly<'de, S>(
    text: &'de str,
    state: &mut S,
    restart: impl FnOnce(&mut S),
    mut each: impl FnMut(&mut S, Cow<'de, str>, &'de str),
) -> Result<(), Error> {
    if plain::members(text, |key, value| each(state, Cow::Borrowed(key), value)).is_some() {
        return Ok(());
    }
    restart(state);
    members(text, |key, value| each(state, key, value))
}

/// Calls `each` with the key and the text of every member of the object that `text` is, in order, repeated keys included.
pub(crate) fn members<'de>(text: &'de str, each: impl FnMut(Cow<'de, str>, &'de str)) -> Result<(), Error> {
    let mut json = Deserializer::from_str(text);
    json.deserialize_map(Members(each))?;
    json.end()
}

/// Calls `each` with the text of every element of the array that `text` is, in order.
pub(crate) fn elements<'de>(text: &'de str, each: impl FnMut(&'de str)) -> Result<(), Error> {
    let mut json = Deserializer::from_str(text);
    json.deserialize_seq(Elements(each))?;
    json.end()
}

/// Returns what the JSON string `text` says, or `None` if it is no string or says half a surrogate pair.
pub(crate) fn string(text: &str) -> Option<Cow<'_, str>> {
    let inside = text.strip_prefix('"')?.strip_suffix('"')?;
    if inside.as_bytes().contains(&b'\\') {
        escapes::unescape(inside).map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inside))
    }
}

/// Appends `text` as a JSON string.
pub(crate) fn push_string(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

/// Keeps the last of the members with the same key, in the order of appearance.
pub(crate) fn keep_last<K: Ord>(members: &mut Vec<(K, &str)>) {
    if members.len() < 2 {
        return;
    }
    let start = |text: &str| text.as_ptr().addr();
    members.sort_by(|a, b| a.0.cmp(&b.0).then(start(b.1).cmp(&start(a.1))));
    members.dedup_by(|later, kept| later.0 == kept.0);
    members.sort_by_key(|member| start(member.1));
}

/// Whether arrays and objects nest deeper than `limit` in `text`, which need not be sound JSON.
pub(crate) fn nests_deeper(text: &str, limit: usize) -> bool {
    // Mostly there are not even that many brackets, and finding them is quick.
    if memchr2_iter(b'[', b'{', text.as_bytes()).take(limit + 1).count() <= limit {
        return false;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Whether `text`, a sound JSON value, is an array or an object.
pub(crate) fn is_nested(text: &str) -> bool {
    text.starts_with(['[', '{'])
}

struct Members<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, &'de str)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            let value: &'de RawValue = map.next_value()?;
            (self.0)(key, value.get());
        }
        Ok(())
    }
}

struct Elements<F>(F);

impl<'de, F: FnMut(&'de str)> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some(value) = seq.next_element::<&'de RawValue>()? {
            (self.0)(value.get());
        }
        Ok(())
    }
}

/// A key, borrowed from the record unless it holds an escape.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }

    fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Self::Value, E> {
        Err(E::custom("a key is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_repeated_keys_stays_in_its_place() {
        let text = r#"{"a":1,"b":2,"a":3,"c":4}"#;
        let mut found = Vec::new();
        members(text, |key, value| found.push((key, value))).unwrap();
        keep_last(&mut found);
        assert_eq!(found, [("b".into(), "2"), ("a".into(), "3"), ("c".into(), "4")]);
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert!(!nests_deeper(r#"["[[[[\"[[["]"#, 1));
        assert!(nests_deeper("[[[", 2) && !nests_deeper("[[[", 3));
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text() {
        assert_eq!(string(r#""\ud83d\ude00""#).as_deref(), Some("😀"));
        assert_eq!(string(r#""\ud800""#), None);
        assert_eq!(string("1"), None);
    }
}
