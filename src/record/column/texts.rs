//! Texts of a column: each once in a dictionary while they repeat, one behind the other when they do not.
//!
//! Rows that share their texts take four bytes each in place of the text, and whoever writes them need not look for equal ones again.
//! Which of the two it is, is decided by the data: a column begins with a dictionary, and gives it up when most of its rows have a text of
//! their own, or a third of them if the texts are short. The next batches of rows have none then either, until it is tried again.

use std::mem::take;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, PrimitiveArray, StringArray};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::UInt32Type;
use arrow::error::ArrowError;

use super::flat::{Bytes, Nulls, gathered, tight};
use super::table::Table;

/// After how many rows a column first looks whether its dictionary pays; then each time that it has doubled.
const FIRST_LOOK: usize = 4_096;
/// How long texts may be on average to be short, in bytes.
const SHORT: usize = 64;
/// How many batches of rows after the one in which a dictionary was given up have none.
const PLAIN_BATCHES: usize = 15;
/// The most values that are added at once.
pub(crate) const MOST_AT_ONCE: usize = 64;

/// Texts, row after row.
#[derive(Debug)]
pub(crate) enum Texts {
    /// By keys.
    Keys(Keys),
    /// One behind the other; and for how many batches of rows after this one.
    Plain(Bytes, usize),
}

/// Texts by their keys in a dictionary.
#[derive(Debug)]
pub(crate) struct Keys {
    keys: Vec<u32>,
    nulls: Nulls,
    /// Each text once, in the order of appearance.
    texts: Bytes,
    table: Table,
    /// The number of rows at which to look whether this pays.
    look_at: usize,
    /// How many rows and texts there were at the last look.
    looked: (usize, usize),
}

impl Keys {
    fn new() -> Self {
        let (keys, nulls, texts) = (Vec::new(), Nulls::new(), Bytes::new());
        Self { keys, nulls, texts, table: Table::new(), look_at: FIRST_LOOK, looked: (0, 0) }
    }

    /// Adds values, at most [`MOST_AT_ONCE`]; returns how many: fewer, if the dictionary has no room for the next.
    fn push_all(&mut self, values: &[Option<&[u8]>]) -> usize {
        let mut hashes = [0; MOST_AT_ONCE];
        for (hash, value) in hashes.iter_mut().zip(values) {
            *hash = value.map_or(0, |text| self.table.hash(text));
        }
        self.table.touch(hashes.get(..values.len()).unwrap_or_default(), self.texts.all());
        let (table, texts) = (&mut self.table, &mut self.texts);
        let keys = hashes.iter().zip(values).map_while(|(hash, value)| match value {
            Some(text) => table.intern(*hash, text, texts),
            None => Some(0),
        });
        let before = self.keys.len();
        self.keys.extend(keys);
        let added = self.keys.len() - before;
        self.nulls.push_all(values.get(..added).unwrap_or_default().iter().map(Option::is_some));
        added
    }

    /// Whether it is time to look, and too many rows since the last look have a text that no row before them has.
    ///
    /// Looking a text up in a large dictionary waits for memory, which takes longer than to write a short one. At the first look, texts may be
    /// new that are said again and again later.
    fn should_end(&mut self) -> bool {
        if self.keys.len() < self.look_at {
            return false;
        }
        let (rows, texts) = std::mem::replace(&mut self.looked, (self.keys.len(), self.texts.len()));
        let (is_first, is_short) = (rows == 0, self.texts.all().len() <= SHORT * self.texts.len());
        self.look_at = self.keys.len() * 2;
        let parts = if is_short && !is_first { 3 } else { 2 };
        self.texts.len().saturating_sub(texts) * parts > self.keys.len().saturating_sub(rows)
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
        self.keys.capacity() * size_of::<u32>() + self.nulls.bytes() + self.texts.bytes() + self.table.bytes()
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
        self.push_all(&[Some(text)]) == 1
    }

    /// Gives the dictionary up if it does not pay. To be called before values are added.
    pub(crate) fn settle(&mut self) {
        if let Self::Keys(keys) = self
            && keys.should_end()
            && let Some(plain) = keys.spread()
        {
            *self = Self::Plain(plain, PLAIN_BATCHES);
        }
    }

    /// Whether there is a dictionary, and a text in each row.
    pub(crate) fn is_keyed_throughout(&self) -> bool {
        matches!(self, Self::Keys(keys) if keys.nulls.are_none() && keys.texts.len() > 0)
    }

    /// Whether there is a dictionary.
    pub(super) const fn has_keys(&self) -> bool {
        matches!(self, Self::Keys(_))
    }

    /// Adds values, at most [`MOST_AT_ONCE`]; returns how many: fewer, if the column has no room for the next.
    #[must_use]
    pub(crate) fn push_all(&mut self, values: &[Option<&[u8]>]) -> usize {
        match self {
            Self::Keys(keys) => keys.push_all(values),
            Self::Plain(plain, _) => plain.push_all(values.iter().copied()),
        }
    }

    /// Whether more than a quarter of `rows` rows have a text that no row before them has; `false` while they are few.
    pub(crate) fn differs(&self, rows: usize) -> bool {
        match self {
            Self::Plain(..) => true,
            Self::Keys(keys) => rows >= FIRST_LOOK && keys.texts.len() * 4 > rows,
        }
    }

    /// Becomes the column whose rows are these of its rows, if it has a dictionary.
    pub(super) fn gather(&mut self, rows: &[u32]) {
        if let Self::Keys(keys) = self {
            keys.keys = gathered(&keys.keys, rows);
            keys.nulls.gather(rows);
        }
    }

    pub(super) fn push_null(&mut self) {
        match self {
            Self::Plain(plain, _) => plain.push_null(),
            Self::Keys(keys) => {
                keys.keys.push(0);
                keys.nulls.push(false);
            }
        }
    }

    pub(crate) fn get(&self, row: usize) -> Option<&[u8]> {
        match self {
            Self::Plain(plain, _) => plain.get(row),
            Self::Keys(keys) => keys.get(row),
        }
    }

    /// Returns the key of a row: equal texts have equal keys until the rows are taken out. `None` without a dictionary, or if it is null.
    pub(crate) fn key(&self, row: usize) -> Option<u32> {
        match self {
            Self::Plain(..) => None,
            Self::Keys(keys) => keys.nulls.is_valid(row).then(|| keys.keys.get(row).copied())?,
        }
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        match self {
            Self::Plain(plain, _) => plain.truncate(rows),
            Self::Keys(keys) => {
                // A text that no row has any more stays in the dictionary; nobody sees it.
                keys.keys.truncate(rows);
                keys.nulls.truncate(rows);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Plain(plain, _) => plain.len(),
            Self::Keys(keys) => keys.keys.len(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Plain(plain, _) => plain.bytes(),
            Self::Keys(keys) => keys.bytes(),
        }
    }

    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        match take(self) {
            Self::Plain(mut plain, batches) => {
                if let Some(batches) = batches.checked_sub(1) {
                    *self = Self::Plain(Bytes::new(), batches);
                }
                plain.finish_string()
            }
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
                texts.settle();
                match text(row) {
                    Some(text) => assert!(texts.push(text.as_bytes())),
                    None => texts.push_null(),
                }
            }
        };
        let mut texts = Texts::new();
        fill(&mut texts, &own);
        assert!(matches!(texts, Texts::Plain(..)) && texts.key(1).is_none());
        assert_eq!(texts.get(1), Some(&b"text 1"[..]));
        assert_eq!(shown(&mut texts), (0..2 * FIRST_LOOK).map(own).collect::<Vec<_>>());
        // The next rows have none either, but not for ever.
        for _ in 0..PLAIN_BATCHES {
            assert!(texts.differs(1) && texts.push(b"a") && texts.key(0).is_none());
            assert_eq!(shown(&mut texts), [Some("a".to_owned())]);
        }
        assert!(!texts.differs(FIRST_LOOK));
        fill(&mut texts, &text);
        assert!(texts.has_keys() && !texts.differs(2 * FIRST_LOOK));
        assert_eq!(shown(&mut texts), (0..2 * FIRST_LOOK).map(text).collect::<Vec<_>>());
    }

    #[test]
    fn short_texts_give_the_dictionary_up_sooner_once_they_are_known_to_stay_new() {
        // Two of five rows have a text of their own, the others one text.
        let own = |row: usize| if row % 5 < 2 { row } else { 0 };
        let only_first = |row: usize| if row < FIRST_LOOK { own(row) } else { 0 };
        let short = |number: usize| format!("{number:036}");
        let long = |number: usize| format!("{number:0100}");
        let is_plain_after = |rows: usize, text: &dyn Fn(usize) -> String| {
            let mut texts = Texts::new();
            for row in 0..=rows {
                texts.settle();
                assert!(texts.push(text(row).as_bytes()));
            }
            matches!(texts, Texts::Plain(..))
        };
        assert!(!is_plain_after(FIRST_LOOK, &|row| short(own(row))));
        assert!(is_plain_after(2 * FIRST_LOOK, &|row| short(own(row))));
        assert!(!is_plain_after(4 * FIRST_LOOK, &|row| short(only_first(row))));
        assert!(!is_plain_after(4 * FIRST_LOOK, &|row| long(own(row))));
    }

    #[test]
    fn texts_differ_if_more_than_a_quarter_is_new() {
        for (rows_of_a_text, differs) in [(1, true), (3, true), (4, false), (100, false)] {
            let mut texts = Texts::new();
            for row in 0..FIRST_LOOK {
                assert!(!texts.differs(row));
                assert!(texts.push((row / rows_of_a_text).to_string().as_bytes()));
            }
            assert_eq!(texts.differs(FIRST_LOOK), differs, "{rows_of_a_text}");
        }
    }

    #[test]
    fn rows_are_gathered_with_their_nulls() {
        let mut texts = Texts::new();
        assert!(texts.push(b"a") && texts.push(b"b"));
        texts.gather(&[1, 1, 0]);
        assert_eq!(texts.len(), 3);
        texts.push_null();
        texts.gather(&[3, 0, 2]);
        assert_eq!((texts.get(0), texts.key(1), texts.key(2)), (None, Some(1), Some(0)));
        assert_eq!(shown(&mut texts), [None, Some("b".to_owned()), Some("a".to_owned())]);
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
