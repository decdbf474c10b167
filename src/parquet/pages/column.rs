//! Columns in the forms that can be written page by page.

use std::borrow::Cow;
use std::hash::BuildHasher as _;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::datatypes::{Date32Type, Int32Type, Int64Type, TimestampMicrosecondType, UInt32Type};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use parquet::basic::Type;
use parquet::schema::types::ColumnDescPtr;

use super::bounds::Cut;
use super::prefixed::Prefixed;
use super::{index, place, present};

/// A column whose values can be written page by page.
pub(in crate::parquet) enum Column {
    /// Texts or byte strings that stand in a dictionary.
    Dictionary(Dictionary),
    /// Texts or byte strings, one behind the other.
    Bytes(BinaryArray, Cut),
    /// 64-bit integers and times.
    Long(ScalarBuffer<i64>, Option<NullBuffer>),
    /// 32-bit integers and days.
    Integer(ScalarBuffer<i32>, Option<NullBuffer>),
    /// `true` or `false`.
    Boolean(BooleanArray),
    /// Nulls alone, of any type.
    Null,
}

impl Column {
    /// Returns `array` in such a form, if it has one.
    pub(in crate::parquet) fn of(array: &ArrayRef) -> Option<Self> {
        if array.nulls().is_some_and(|nulls| nulls.null_count() == array.len()) {
            return Some(Self::Null);
        }
        let nulls = || array.nulls().cloned();
        if let Some(dictionary) = Dictionary::of(array) {
            Some(Self::Dictionary(dictionary))
        } else if let Some((values, cut)) = byte_strings(array) {
            Some(Self::Bytes(values, cut))
        } else if let Some(numbers) = array.as_primitive_opt::<Int64Type>() {
            Some(Self::Long(numbers.values().clone(), nulls()))
        } else if let Some(times) = array.as_primitive_opt::<TimestampMicrosecondType>() {
            Some(Self::Long(times.values().clone(), nulls()))
        } else if let Some(numbers) = array.as_primitive_opt::<Int32Type>() {
            Some(Self::Integer(numbers.values().clone(), nulls()))
        } else if let Some(days) = array.as_primitive_opt::<Date32Type>() {
            Some(Self::Integer(days.values().clone(), nulls()))
        } else {
            array.as_boolean_opt().cloned().map(Self::Boolean)
        }
    }

    /// The same; texts and byte strings that repeat are put into a dictionary.
    pub(in crate::parquet) fn interned(array: &ArrayRef) -> Option<Self> {
        let column = Self::of(array)?;
        let Self::Bytes(values, cut) = &column else { return Some(column) };
        Some(Dictionary::intern(values, *cut).map_or(column, Self::Dictionary))
    }

    pub(super) fn nulls(&self) -> Option<&NullBuffer> {
        match self {
            Self::Dictionary(dictionary) => dictionary.nulls(),
            Self::Bytes(values, _) => values.nulls(),
            Self::Long(_, nulls) | Self::Integer(_, nulls) => nulls.as_ref(),
            Self::Boolean(values) => values.nulls(),
            Self::Null => None,
        }
    }

    pub(super) fn has_nulls(&self) -> bool {
        matches!(self, Self::Null) || self.nulls().is_some_and(|nulls| nulls.null_count() > 0)
    }

    /// Whether the values are of the type that `descr` describes.
    pub(super) fn fits(&self, descr: &ColumnDescPtr) -> bool {
        let kind = match self {
            // Bytes under the name of texts would be a file that nobody can read.
            Self::Dictionary(Dictionary { cut, .. }) | Self::Bytes(_, cut) if *cut != Cut::of(descr) => return false,
            Self::Dictionary(_) | Self::Bytes(..) => Type::BYTE_ARRAY,
            Self::Long(..) => Type::INT64,
            Self::Integer(..) => Type::INT32,
            Self::Boolean(_) => Type::BOOLEAN,
            Self::Null => return true,
        };
        kind == descr.physical_type()
    }
}

/// Returns the values of an array of texts or byte strings, without copying them.
fn byte_strings(array: &ArrayRef) -> Option<(BinaryArray, Cut)> {
    let texts = || Some((array.as_string_opt::<i32>()?.clone().into(), Cut::Characters));
    texts().or_else(|| Some((array.as_binary_opt::<i32>()?.clone(), Cut::Bytes)))
}

/// Texts or byte strings that stand in a dictionary, and the key of each row: equal ones have one.
pub(in crate::parquet) struct Dictionary {
    /// Where the key of each row is among `keys`, if columns share this; they are without nulls then. Else the keys are those of the rows.
    shared: Option<ScalarBuffer<u32>>,
    keys: ScalarBuffer<u32>,
    nulls: Option<NullBuffer>,
    texts: BinaryArray,
    cut: Cut,
    /// The keys in the order of their texts.
    sorted: Vec<u32>,
}

/// What of a dictionary some rows use.
pub(super) struct Used<'a> {
    /// The keys of the rows that are not null, or what stands for them in a column that shares its rows.
    pub(super) keys: Cow<'a, [u32]>,
    /// For each of these its place in `sorted`; for one that is not used some number.
    pub(super) places: Vec<u32>,
    /// The keys in the order of their texts.
    pub(super) sorted: Vec<u32>,
    /// The size of the texts of all rows.
    pub(super) text_bytes: usize,
}

impl Dictionary {
    fn of(array: &ArrayRef) -> Option<Self> {
        let array = array.as_dictionary_opt::<UInt32Type>()?;
        let inner = array.values().as_dictionary_opt::<UInt32Type>();
        if inner.is_some_and(|inner| inner.null_count() + array.null_count() > 0) {
            return None;
        }
        let shared = inner.map(|_| array.keys().values().clone());
        let keyed = inner.unwrap_or(array);
        let (texts, cut) = byte_strings(keyed.values()).filter(|(texts, _)| texts.null_count() == 0)?;
        let nulls = keyed.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
        Some(Self { shared, ..Self::new(keyed.keys().values().clone(), nulls, texts, cut) })
    }

    /// Finds out which texts are equal; `None` if most rows have a text of their own.
    fn intern(texts: &BinaryArray, cut: Cut) -> Option<Self> {
        let hasher = RandomState::default();
        let text = |row: u32| texts.value(index(row));
        // For each key the row where its text came first.
        let (mut first, mut keys) = (Vec::<u32>::new(), Vec::with_capacity(texts.len()));
        let mut known = HashTable::<u32>::new();
        for row in 0..texts.len() {
            if texts.is_null(row) {
                keys.push(0);
                continue;
            }
            let hash = hasher.hash_one(text(place(row)));
            let equal = |key: &u32| text(first[index(*key)]) == text(place(row));
            let key = match known.find(hash, equal) {
                Some(key) => *key,
                None => {
                    let key = place(first.len());
                    first.push(place(row));
                    known.insert_unique(hash, key, |key| hasher.hash_one(text(first[index(*key)])));
                    key
                }
            };
            keys.push(key);
            if first.len() > 1 && first.len() * 2 > texts.len() {
                return None;
            }
        }
        let texts_once = first.iter().map(|row| texts.value(index(*row))).collect::<Vec<_>>();
        Some(Self::new(keys.into(), texts.nulls().cloned(), BinaryArray::from(texts_once), cut))
    }

    fn new(keys: ScalarBuffer<u32>, nulls: Option<NullBuffer>, texts: BinaryArray, cut: Cut) -> Self {
        let mut by_text: Vec<(Prefixed<'_>, u32)> =
            (0..texts.len()).map(|key| (Prefixed::new(texts.value(key)), place(key))).collect();
        // (Stable, since that is quick where dictionaries that are in order already stand behind each other.)
        by_text.sort();
        // Where the rows of several threads were joined, a text may stand in the dictionary more than once: its first key stays.
        let mut first: Vec<u32> = Vec::new();
        for equal in by_text.chunk_by(|(a, _), (b, _)| a == b).filter(|equal| equal.len() > 1) {
            if first.is_empty() {
                first = (0..place(texts.len())).collect();
            }
            equal.iter().for_each(|(_, key)| first[index(*key)] = equal[0].1);
        }
        let keys = match first.is_empty() {
            true => keys,
            // A null has any key.
            false => keys.iter().map(|key| first.get(index(*key)).copied().unwrap_or(0)).collect(),
        };
        by_text.dedup_by_key(|(text, _)| *text);
        let sorted = by_text.into_iter().map(|(_, key)| key).collect();
        Self { shared: None, keys, nulls, texts, cut, sorted }
    }

    pub(super) const fn nulls(&self) -> Option<&NullBuffer> {
        self.nulls.as_ref()
    }

    fn key(&self, row: usize) -> u32 {
        self.keys[self.shared.as_ref().map_or(row, |shared| index(shared[row]))]
    }

    pub(super) fn text_of(&self, key: u32) -> &[u8] {
        self.texts.value(index(key))
    }

    pub(super) fn text(&self, row: usize) -> &[u8] {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) { &[] } else { self.text_of(self.key(row)) }
    }

    /// Returns what of the dictionary `rows` use; `None` if most of them have a text of their own. `known` is what was found out for other
    /// columns.
    pub(super) fn used<'a>(&self, rows: &[u32], known: &'a mut KnownRows) -> Option<Used<'a>> {
        let mut counts = vec![0; self.texts.len()];
        let (keys, said) = match &self.shared {
            None => {
                let mut keys = Vec::with_capacity(rows.len());
                match self.nulls() {
                    // (An iterator that knows its length takes a third of the time.)
                    None => keys.extend(rows.iter().map(|row| self.key(index(*row)))),
                    nulls => present(rows, nulls, |row| keys.push(self.key(row))),
                }
                keys.iter().for_each(|key| counts[index(*key)] += 1);
                (Cow::Owned(keys), None)
            }
            Some(shared) => {
                let Said { numbers, counts: said, .. } = known.of(shared, rows);
                said.iter().for_each(|(number, count)| counts[index(self.keys[index(*number)])] += count);
                (Cow::Borrowed(numbers.as_slice()), Some(said))
            }
        };
        let distinct = counts.iter().filter(|count| **count > 0).count();
        if distinct > 1 && distinct * 2 > rows.len() {
            return None;
        }
        let (mut sorted, mut text_bytes, mut places) = (Vec::with_capacity(distinct), 0, counts);
        for key in &self.sorted {
            // First how often it is used, then its place.
            let place_of = &mut places[index(*key)];
            if *place_of > 0 {
                text_bytes += self.text_of(*key).len() * index(*place_of);
                *place_of = place(sorted.len());
                sorted.push(*key);
            }
        }
        if let Some(said) = said {
            let mut all = vec![0; self.keys.len()];
            said.iter().for_each(|(number, _)| all[index(*number)] = places[index(self.keys[index(*number)])]);
            places = all;
        }
        Some(Used { keys, places, sorted, text_bytes })
    }
}

/// What rows of columns that share them say: looked at once for all of these columns.
#[derive(Default)]
pub(super) struct KnownRows(Vec<Said>);

/// What some rows say, by numbers that the columns of one set share.
struct Said {
    /// The numbers of all rows. (They stay in memory, so no others are where these are.)
    shared: ScalarBuffer<u32>,
    rows: Vec<u32>,
    /// The numbers of `rows`.
    numbers: Vec<u32>,
    /// Each of these once, and how often it is there.
    counts: Vec<(u32, u32)>,
}

impl KnownRows {
    /// How many sets of columns are remembered.
    const MOST: usize = 8;

    fn of(&mut self, shared: &ScalarBuffer<u32>, rows: &[u32]) -> &Said {
        let is_same = |said: &Said| said.shared.ptr_eq(shared) && said.rows == rows;
        let place = self.0.iter().position(is_same).unwrap_or_else(|| {
            self.0.retain(|said| !said.shared.ptr_eq(shared));
            self.0.truncate(Self::MOST - 1);
            self.0.push(Said::new(shared, rows));
            self.0.len() - 1
        });
        &self.0[place]
    }
}

impl Said {
    fn new(shared: &ScalarBuffer<u32>, rows: &[u32]) -> Self {
        let numbers: Vec<u32> = rows.iter().map(|row| shared[index(*row)]).collect();
        let most = numbers.iter().max().map_or(0, |most| index(*most) + 1);
        let mut all = vec![0_u32; most];
        numbers.iter().for_each(|number| all[index(*number)] += 1);
        let mut counts = Vec::new();
        for number in &numbers {
            match std::mem::take(&mut all[index(*number)]) {
                0 => {}
                count => counts.push((*number, count)),
            }
        }
        Self { shared: shared.clone(), rows: rows.to_vec(), numbers, counts }
    }
}
