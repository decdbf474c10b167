//! Texts of a column: each once in a dictionary while they repeat, one behind the other when they do not.
//!
//! Rows that share their texts take four bytes each in place of the text, and whoever writes them need not look for equal ones again.
//! Which of the two it is, is decided by the data, anew for each batch of rows: a column begins with a dictionary, and gives it up when
//! most of its rows have a text of their own.

use std::mem::take;
use std::sync::Arc;

use ahash::RandomState;
use arrow::array::{ArrayRef, DictionaryArray, PrimitiveArray, StringArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::UInt32Type;
use arrow::error::ArrowError;
use hashbrown::HashTable;

use super::flat::{Bytes, Nulls, tight};
use crate::record::compare::equal;

/// After how many rows a column first looks whether its dictionary pays; then each time that it has doubled.
const FIRST_LOOK: usize = 4_096;

/// Texts, row after row.
#[derive(Debug)]
pub(crate) enum Texts {
    /// By keys.
    Keys(Keys),
    /// One behind the other.
    Plain(Bytes),
}

/// Texts by their keys in a dictionary.
#[derive(Debug)]
pub(crate) struct Keys {
    keys: Vec<u32>,
    nulls: Nulls,
    /// Each text once, in the order of appearance.
    texts: Bytes,
    places: HashTable<Place>,
    hasher: RandomState,
    /// The number of rows at which to look whether this pays.
    look_at: usize,
}

/// Where a text of the dictionary is, beside its key: looking it up touches the fewest places in memory.
#[derive(Debug, Clone, Copy)]
struct Place {
    key: u32,
    start: u32,
    length: u32,
}

impl Place {
    fn of(self, bytes: &[u8]) -> &[u8] {
        let start = index(self.start);
        bytes.get(start..start + index(self.length)).unwrap_or_default()
    }
}

impl Keys {
    fn new() -> Self {
        let (keys, places) = (Vec::new(), HashTable::new());
        // The keys do not depend on the hashes, which nobody outside can foresee.
        let hasher = RandomState::new();
        Self { keys, nulls: Nulls::new(), texts: Bytes::new(), places, hasher, look_at: FIRST_LOOK }
    }

    /// Adds a value; `false`, and nothing added, if the dictionary has no room for it.
    fn push(&mut self, text: &[u8]) -> bool {
        let Some(key) = self.intern(text) else { return false };
        self.keys.push(key);
        self.nulls.push(true);
        true
    }

    fn intern(&mut self, text: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(text);
        let bytes = self.texts.all();
        if let Some(place) = self.places.find(hash, |place| equal(place.of(bytes), text)) {
            return Some(place.key);
        }
        let key = u32::try_from(self.texts.len()).ok()?;
        let place = Place { key, start: u32::try_from(bytes.len()).ok()?, length: u32::try_from(text.len()).ok()? };
        if !self.texts.push(text) {
            return None;
        }
        let (bytes, hasher) = (self.texts.all(), &self.hasher);
        self.places.insert_unique(hash, place, |place| hasher.hash_one(place.of(bytes)));
        Some(key)
    }

    /// Whether it is time to look, and most rows have a text of their own.
    fn should_end(&mut self) -> bool {
        if self.keys.len() < self.look_at {
            return false;
        }
        self.look_at = self.keys.len() * 2;
        self.texts.len() * 2 > self.keys.len()
    }

    fn get(&self, row: usize) -> Option<&[u8]> {
        self.nulls.is_valid(row).then(|| self.keys.get(row).map(|key| self.texts.value(index(*key))))?
    }

    /// Returns the texts of all rows, one behind the other; `None` if a column has no room for them.
    fn spread(&self) -> Option<Bytes> {
        let mut plain = Bytes::new();
        for row in 0..self.keys.len() {
            match self.get(row) {
                Some(text) if plain.push(text) => {}
                Some(_) => return None,
                None => plain.push_null(),
            }
        }
        Some(plain)
    }

    fn bytes(&self) -> usize {
        let places = self.places.capacity() * (size_of::<Place>() + 1);
        self.keys.capacity() * size_of::<u32>() + self.nulls.bytes() + self.texts.bytes() + places
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let Self { mut keys, mut nulls, mut texts, .. } = std::mem::replace(self, Self::new());
        let keys = PrimitiveArray::<UInt32Type>::new(ScalarBuffer::from(tight(&mut keys)), nulls.finish());
        let (offsets, values, none) = texts.parts();
        let texts = StringArray::try_new(offsets, values, none)?;
        Ok(Arc::new(DictionaryArray::try_new(keys, Arc::new(texts))?))
    }
}

impl Texts {
    pub(crate) fn new() -> Self {
        Self::Keys(Keys::new())
    }

    /// Adds a value; `false`, and nothing added, if the column has no room for it.
    #[must_use]
    pub(crate) fn push(&mut self, text: &[u8]) -> bool {
        match self {
            Self::Plain(plain) => plain.push(text),
            Self::Keys(keys) => {
                if keys.should_end()
                    && let Some(plain) = keys.spread()
                {
                    *self = Self::Plain(plain);
                    return self.push(text);
                }
                keys.push(text)
            }
        }
    }

    pub(super) fn push_null(&mut self) {
        match self {
            Self::Plain(plain) => plain.push_null(),
            Self::Keys(keys) => {
                keys.keys.push(0);
                keys.nulls.push(false);
            }
        }
    }

    pub(crate) fn get(&self, row: usize) -> Option<&[u8]> {
        match self {
            Self::Plain(plain) => plain.get(row),
            Self::Keys(keys) => keys.get(row),
        }
    }

    /// Returns the key of a row: equal texts have equal keys until the rows are taken out. `None` without a dictionary, or if it is null.
    pub(crate) fn key(&self, row: usize) -> Option<u32> {
        match self {
            Self::Plain(_) => None,
            Self::Keys(keys) => keys.nulls.is_valid(row).then(|| keys.keys.get(row).copied())?,
        }
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        match self {
            Self::Plain(plain) => plain.truncate(rows),
            Self::Keys(keys) => {
                // A text that no row has any more stays in the dictionary; nobody sees it.
                keys.keys.truncate(rows);
                keys.nulls.truncate(rows);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Plain(plain) => plain.len(),
            Self::Keys(keys) => keys.keys.len(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Plain(plain) => plain.bytes(),
            Self::Keys(keys) => keys.bytes(),
        }
    }

    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        match take(self) {
            Self::Plain(mut plain) => plain.finish_string(),
            Self::Keys(keys) if keys.texts.len() == 0 => {
                // Without a text there is no dictionary that its keys could name.
                keys.spread().unwrap_or_else(Bytes::new).finish_string()
            }
            Self::Keys(mut keys) => keys.finish(),
        }
    }
}

impl Default for Texts {
    fn default() -> Self {
        Self::new()
    }
}

fn index(key: u32) -> usize {
    usize::try_from(key).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::compute::cast;
    use arrow::datatypes::DataType;

    use super::*;

    fn shown(texts: &mut Texts) -> Vec<Option<String>> {
        let array = texts.finish().unwrap();
        let plain = cast(&array, &DataType::Utf8).unwrap();
        plain.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
    }

    #[test]
    fn texts_that_repeat_stand_in_a_dictionary_once() {
        let mut texts = Texts::new();
        for text in ["a", "b", "a", "", "b"] {
            assert!(texts.push(text.as_bytes()));
        }
        texts.push_null();
        assert_eq!(
            (0..6).map(|row| texts.key(row)).collect::<Vec<_>>(),
            [Some(0), Some(1), Some(0), Some(2), Some(1), None]
        );
        assert_eq!((texts.get(2), texts.get(5), texts.len()), (Some(&b"a"[..]), None, 6));
        texts.truncate(5);
        assert!(texts.push(b"c"));
        let array = texts.finish().unwrap();
        assert_eq!(array.as_dictionary::<UInt32Type>().values().len(), 4);
        assert_eq!((texts.len(), texts.key(0)), (0, None));
        assert!(texts.push(b"b") && texts.key(0) == Some(0));
        assert_eq!(shown(&mut texts), [Some("b".to_owned())]);
    }

    #[test]
    fn texts_of_their_own_stand_one_behind_the_other() {
        let text = |row: usize| if row % 5 == 4 { None } else { Some(format!("text {}", row / 6)) };
        let own = |row: usize| (!row.is_multiple_of(7)).then(|| format!("text {row}"));
        let fill = |texts: &mut Texts, text: &dyn Fn(usize) -> Option<String>| {
            for row in 0..2 * FIRST_LOOK {
                match text(row) {
                    Some(text) => assert!(texts.push(text.as_bytes())),
                    None => texts.push_null(),
                }
            }
        };
        let mut texts = Texts::new();
        fill(&mut texts, &own);
        assert!(matches!(texts, Texts::Plain(_)) && texts.key(1).is_none());
        assert_eq!(texts.get(1), Some(&b"text 1"[..]));
        assert_eq!(shown(&mut texts), (0..2 * FIRST_LOOK).map(own).collect::<Vec<_>>());
        // The next rows are another matter.
        fill(&mut texts, &text);
        assert!(matches!(texts, Texts::Keys(_)));
        assert_eq!(shown(&mut texts), (0..2 * FIRST_LOOK).map(text).collect::<Vec<_>>());
    }

    #[test]
    fn nulls_alone_need_no_dictionary() {
        let mut texts = Texts::new();
        texts.push_null();
        texts.push_null();
        assert_eq!(shown(&mut texts), [None, None]);
        assert!(shown(&mut texts).is_empty());
    }
}
