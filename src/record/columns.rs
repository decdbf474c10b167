//! The rows of a lane in shared columns: what a [`Decoder`](super::Decoder) fills and a Parquet writer takes.
//!
//! # Invariants
//! Outside of a call that adds a row, every column has the same number of rows; but for columns that share theirs
//! ([`shared`](super::shared)), of which each row is one.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{Int64Type, Schema as ArrowSchema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;

use super::Coordinates;
use super::column::{Bytes, Column, Primitive};
use super::phrases::{Limits, Phrases, RunId};
use super::shared::Shared;
use super::value::{Kept, object_text};
use crate::engine::time::EventTime;
use crate::schema::{self, Schema};

/// Growing columns of rows `[rows]`, in the order of [`Schema::entry_columns`].
#[derive(Debug)]
pub struct Columns {
    schema: SchemaRef,
    pub(super) fields: Vec<Column>,
    pub(super) extra: Bytes,
    offsets: Primitive<Int64Type>,
    timestamps: Primitive<TimestampMicrosecondType>,
    /// What is known by heart of the records that the rows came from.
    pub(super) phrases: Phrases,
}

impl Columns {
    /// Returns empty columns for the fields of `schema`.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        Self {
            schema: schema.entry_columns(),
            fields: schema.fields().iter().map(|field| Column::of_record(&field.kind)).collect(),
            extra: Bytes::new(),
            offsets: Primitive::new(),
            timestamps: Primitive::new(),
            phrases: Phrases::new(Limits::default()),
        }
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the memory that the buffers hold, spare room included. Looks at every column, so ask once a batch.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.fields.iter().map(Column::bytes).sum::<usize>()
            + self.extra.bytes()
            + self.offsets.bytes()
            + self.timestamps.bytes()
            + self.phrases.bytes()
            + self.phrases.shared().map(|shared| self.len() * self.row_bytes(shared.columns())).sum::<usize>()
    }

    /// Returns what a row takes in columns that share theirs, once each has its own: as those have that are joined with the rows of others.
    fn row_bytes(&self, columns: &[usize]) -> usize {
        columns.iter().filter_map(|column| self.fields.get(*column)?.row_bytes()).sum()
    }

    /// Forgets all rows from `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        let own = |(place, column)| self.phrases.of(place).is_none().then_some(column);
        self.fields.iter_mut().enumerate().filter_map(own).for_each(|column| column.truncate(rows));
        self.phrases.truncate(rows, &mut self.fields);
        self.extra.truncate(rows);
        self.offsets.truncate(rows);
        self.timestamps.truncate(rows);
    }

    /// Returns all rows without copying their buffers, spare room given back; there are no rows afterwards.
    ///
    /// Texts that repeat come as an Arrow dictionary with keys of 32 bits, others as they are. Columns that shared their rows, of which each has a
    /// text, come as a dictionary of such dictionaries: its keys are one buffer for all of them.
    ///
    /// # Errors
    /// Arrow's own checks failed, which would be a bug here.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        if let Some(shared) = self.phrases.shared().find(|shared| !self.holds(shared)) {
            let columns = shared.columns();
            return Err(ArrowError::ComputeError(format!("columns {columns:?} share rows that they do not hold")));
        }
        let none = Phrases::new(self.phrases.limits);
        let mut shared = std::mem::replace(&mut self.phrases, none).into_rows();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.fields.len() + 3);
        for (place, column) in self.fields.iter_mut().enumerate() {
            let rows = shared.iter_mut().find(|rows| rows.columns.binary_search(&place).is_ok());
            let is_keyed = matches!(column, Column::Text(texts) if texts.is_keyed_throughout());
            arrays.push(match rows {
                None => column.finish()?,
                Some(rows) if is_keyed => rows.dictionary(column.finish()?)?,
                Some(rows) => {
                    column.gather(rows.rows.values());
                    column.finish()?
                }
            });
        }
        arrays.push(self.extra.finish_string()?);
        arrays.push(Arc::new(self.offsets.finish()));
        arrays.push(Arc::new(self.timestamps.finish().with_data_type(schema::timestamp())));
        let fields = self.schema.fields().iter().zip(&arrays);
        let as_held = fields.map(|(field, array)| field.as_ref().clone().with_data_type(array.data_type().clone()));
        RecordBatch::try_new(Arc::new(ArrowSchema::new(as_held.collect::<Vec<_>>())), arrays)
    }

    /// Returns the value of a field as text, as a partition shows it; `None` if it is null or has no exact text.
    ///
    /// Text is itself, integers and decimals are plain digits, a date is `YYYY-MM-DD`, a time `YYYY-MM-DD hh:mm:ss.ffffff` in UTC.
    #[must_use]
    pub fn value_text(&self, column: usize, row: usize) -> Option<Cow<'_, str>> {
        let (column, row) = (self.fields.get(column)?, self.place_of(column, row));
        if let Column::Text(texts) = column {
            return texts.get(row).map(String::from_utf8_lossy);
        }
        let mut text = String::new();
        column.write_text(row, &mut text).then_some(Cow::Owned(text))
    }

    /// Appends what [`Columns::value_text`] returns to `out`; `false` if that is nothing.
    pub(crate) fn write_value(&self, column: usize, row: usize, out: &mut String) -> bool {
        let row = self.place_of(column, row);
        self.fields.get(column).is_some_and(|column| column.write_text(row, out))
    }

    /// Returns a number that rows with the same text in a column of texts share until [`Columns::finish`]; `None` if it is null, or the
    /// column has no such numbers now.
    pub(crate) fn key(&self, column: usize, row: usize) -> Option<u32> {
        let Column::Text(texts) = self.fields.get(column)? else { return None };
        texts.key(self.place_of(column, row))
    }

    /// Returns where a column has the value of a row.
    fn place_of(&self, column: usize, row: usize) -> usize {
        let shared = self.phrases.of(column).map(|shared| shared.rows().get(row));
        shared.map_or(row, |place| place.and_then(|place| usize::try_from(*place).ok()).unwrap_or(usize::MAX))
    }

    /// Whether many rows have a text of their own in a column, as far as its dictionary tells, or its rows cannot be shared.
    pub(super) fn differs(&self, column: usize) -> bool {
        match self.fields.get(column) {
            Some(Column::Text(texts)) => texts.differs(self.len()),
            column => column.is_none_or(|column| column.row_bytes().is_none()),
        }
    }

    /// Makes columns share their rows for the phrases of a run, and returns whether these can be remembered: see [`Phrases::share`].
    pub(super) fn share(
        &mut self,
        run: RunId,
        columns: impl Iterator<Item = usize> + Clone,
        is_beside: impl Fn(usize) -> bool,
    ) -> bool {
        let can_share = |column: usize| self.fields.get(column).is_some_and(|column| column.row_bytes().is_some());
        let rows = self.len();
        self.phrases.of_run(run).is_some()
            || columns.clone().all(can_share) && self.phrases.share(run, columns, is_beside, rows)
    }

    /// Whether columns that share rows hold what these say.
    fn holds(&self, shared: &Shared) -> bool {
        let fields = shared.columns().iter().filter_map(|column| self.fields.get(*column));
        let held = fields.clone().map(Column::len).min().unwrap_or(0);
        shared.fits(held) && fields.map(Column::len).all(|length| length == held)
    }

    /// Ends sharing where it does not pay. To be called when rows have been added.
    pub(super) fn settle(&mut self) {
        self.phrases.settle(&mut self.fields);
    }

    /// Adds what is kept of a row to `_extra`; `false`, and nothing added, if there is no room for it.
    pub(super) fn push_extra(&mut self, kept: Vec<Kept<'_>>) -> bool {
        if kept.is_empty() {
            self.extra.push_null();
            return true;
        }
        self.extra.push(object_text(kept).as_bytes())
    }

    /// Adds nothing to `_extra` for so many rows.
    pub(super) fn push_no_extra(&mut self, rows: usize) {
        self.extra.push_nulls(rows);
    }

    /// Ends rows whose fields and `_extra` have been added.
    pub(super) fn end_rows(&mut self, rows: impl ExactSizeIterator<Item = Coordinates> + Clone) {
        self.offsets.push_all(rows.clone().map(|row| row.offset.0));
        self.timestamps.push_options(rows.map(|row| row.kafka_time().map(|EventTime(us)| us)));
    }
}
