//! The rows of a lane in shared columns: what a [`Decoder`](super::Decoder) fills and a Parquet writer takes.
//!
//! # Invariants
//! Outside of a call that adds a row, every column has the same number of rows.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{Int64Type, Schema as ArrowSchema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;

use super::Coordinates;
use super::column::{Bytes, Column, Primitive};
use super::phrases::Phrases;
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
            phrases: Phrases::new(),
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
    }

    /// Forgets all rows from `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        self.fields.iter_mut().for_each(|column| column.truncate(rows));
        self.extra.truncate(rows);
        self.offsets.truncate(rows);
        self.timestamps.truncate(rows);
    }

    /// Returns all rows without copying their buffers, spare room given back; there are no rows afterwards.
    ///
    /// Texts that repeat come as an Arrow dictionary with keys of 32 bits, others as they are.
    ///
    /// # Errors
    /// Arrow's own checks failed, which would be a bug here.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        self.phrases = Phrases::new();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.fields.len() + 3);
        for column in &mut self.fields {
            arrays.push(column.finish()?);
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
        let column = self.fields.get(column)?;
        if let Column::Text(texts) = column {
            return texts.get(row).map(String::from_utf8_lossy);
        }
        let mut text = String::new();
        column.write_text(row, &mut text).then_some(Cow::Owned(text))
    }

    /// Appends what [`Columns::value_text`] returns to `out`; `false` if that is nothing.
    pub(crate) fn write_value(&self, column: usize, row: usize, out: &mut String) -> bool {
        self.fields.get(column).is_some_and(|column| column.write_text(row, out))
    }

    /// Returns a number that rows with the same text in a column of texts share until [`Columns::finish`]; `None` if it is null, or the
    /// column has no such numbers now.
    pub(crate) fn key(&self, column: usize, row: usize) -> Option<u32> {
        let Column::Text(texts) = self.fields.get(column)? else { return None };
        texts.key(row)
    }

    /// Whether many rows have a text of their own in a column of texts, as far as its dictionary tells.
    pub(super) fn differs(&self, column: usize) -> bool {
        matches!(self.fields.get(column), Some(Column::Text(texts)) if texts.differs())
    }

    /// Adds what is kept of a row to `_extra`; `false`, and nothing added, if there is no room for it.
    pub(super) fn push_extra(&mut self, kept: Vec<Kept<'_>>) -> bool {
        if kept.is_empty() {
            self.extra.push_null();
            return true;
        }
        self.extra.push(object_text(kept).as_bytes())
    }

    /// Ends a row whose fields and `_extra` have been added.
    pub(super) fn end_row(&mut self, coordinates: Coordinates) {
        self.offsets.push(coordinates.offset.0);
        self.timestamps.push_option(coordinates.kafka_time().map(|EventTime(us)| us));
    }
}
