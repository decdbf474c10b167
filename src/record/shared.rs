//! Columns that share rows: they hold what is said once, and a row of the lane is one number for all of them.
//!
//! # Invariants
//! * Outside of a call that adds rows, columns that share them are as long as each other.
//! * What they hold is named by rows, by phrases, or by nobody.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, DictionaryArray, UInt32Array};
use arrow::datatypes::UInt32Type;
use arrow::error::ArrowError;

use super::column::Column;

/// Columns that share rows.
#[derive(Debug)]
pub(super) struct Shared {
    /// Which columns, in ascending order.
    columns: Vec<usize>,
    /// For each row what it says: a place in these columns.
    rows: Vec<u32>,
    /// The first row of the records that were added last.
    first: usize,
    /// Which of these records said what was not known, by their numbers.
    fresh: Vec<usize>,
    /// What the columns held before.
    held: usize,
    /// Whether a phrase names what they hold since.
    is_learned: bool,
    /// The number of rows at which to look whether this pays.
    look_at: usize,
    /// How many rows there were at the last look, and how many the columns held.
    looked: (usize, usize),
}

impl Shared {
    /// Makes columns share their rows, each of `rows` by itself; it is first looked whether that pays when there are `first_look` more.
    pub(super) fn new(columns: Vec<usize>, rows: usize, first_look: usize) -> Self {
        let all = (0..number(rows)).collect();
        let (looked, look_at) = ((rows, rows), rows + first_look);
        Self { columns, rows: all, first: rows, fresh: Vec::new(), held: rows, is_learned: false, look_at, looked }
    }

    /// Returns the columns, in ascending order.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Whether a column is one of them.
    #[inline]
    pub(super) fn has(&self, column: usize) -> bool {
        self.columns.binary_search(&column).is_ok()
    }

    /// Returns the column that stands for all: in the place of its value, a record has the number of what it says.
    pub(super) fn lead(&self) -> usize {
        self.columns.first().copied().unwrap_or(usize::MAX)
    }

    /// Adds rows of records: of each what it says, or that this is not known. Then it comes behind the `held` that the columns hold.
    pub(super) fn add_rows(&mut self, said: impl Iterator<Item = Option<u32>>, held: usize) {
        (self.first, self.held, self.is_learned) = (self.rows.len(), held, false);
        self.fresh.clear();
        for (record, said) in said.enumerate() {
            self.rows.push(said.unwrap_or_else(|| number(held + self.fresh.len())));
            if said.is_none() {
                self.fresh.push(record);
            }
        }
    }

    /// Returns the records whose values the columns do not hold yet.
    pub(super) fn fresh(&self) -> &[usize] {
        &self.fresh
    }

    /// Returns what a record says of those that were added last, for a phrase.
    pub(super) fn learn(&mut self, record: usize) -> Option<u32> {
        self.is_learned = true;
        self.rows.get(self.first + record).copied()
    }

    /// Returns for each row what it says.
    pub(super) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Returns the rows, without spare room.
    pub(super) fn into_rows(self) -> SharedRows {
        let Self { columns, mut rows, .. } = self;
        rows.shrink_to_fit();
        SharedRows { columns, rows: rows.into(), dictionary: None }
    }

    /// Forgets all rows from `rows` on, and what only they said, if they are those that were added last; `fields` are all columns.
    pub(super) fn truncate(&mut self, rows: usize, fields: &mut [Column]) {
        self.rows.truncate(rows);
        if rows <= self.first && !self.is_learned {
            self.columns.iter().for_each(|column| {
                fields.get_mut(*column).into_iter().for_each(|column| column.truncate(self.held));
            });
        }
    }

    /// Gives each row to its columns by itself; `fields` are all columns.
    pub(super) fn spread(&self, fields: &mut [Column]) {
        for column in &self.columns {
            if let Some(column) = fields.get_mut(*column).filter(|column| self.fits(column.len())) {
                column.gather(&self.rows);
            }
        }
    }

    /// Whether every row is there in columns that hold so many.
    pub(super) fn fits(&self, held: usize) -> bool {
        self.rows.iter().max().is_none_or(|most| usize::try_from(*most).is_ok_and(|most| most < held))
    }

    /// Whether it is time to look, and most rows since the last look said something new; `held` is what the columns hold.
    pub(super) fn should_end(&mut self, held: usize) -> bool {
        if self.rows.len() < self.look_at {
            return false;
        }
        let (rows, before) = std::mem::replace(&mut self.looked, (self.rows.len(), held));
        self.look_at = self.rows.len() * 2;
        held.saturating_sub(before) * 2 > self.rows.len().saturating_sub(rows)
    }

    /// Returns the memory that the rows take, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<u32>()
    }
}

/// The rows of columns that share them, to be taken out.
#[derive(Debug)]
pub(super) struct SharedRows {
    /// Which columns, in ascending order.
    pub(super) columns: Vec<usize>,
    /// For each row what it says.
    pub(super) rows: UInt32Array,
    /// The first of the columns that has been made a dictionary.
    dictionary: Option<DictionaryArray<UInt32Type>>,
}

impl SharedRows {
    /// Returns a column as a dictionary: its rows name what it holds, which are `values`.
    pub(super) fn dictionary(&mut self, values: ArrayRef) -> Result<ArrayRef, ArrowError> {
        // Whether all rows are there is looked at once: the columns are as long as each other.
        let known = self.dictionary.as_ref().filter(|known| known.values().len() == values.len());
        Ok(Arc::new(match known {
            Some(known) => known.with_values(values),
            None => self.dictionary.insert(DictionaryArray::try_new(self.rows.clone(), values)?).clone(),
        }))
    }
}

fn number(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}
