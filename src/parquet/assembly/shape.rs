//! The columns of published files, and how the rows of an entry take that shape.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

use super::AssembleError;
use crate::engine::state::{LaneIdentity, Scope};
use crate::parquet::names::{DEAD, EXTRA, KAFKA_OFFSET, KAFKA_PARTITION, KAFKA_TIMESTAMP, TOPIC};
use crate::parquet::widen;

/// What a published column is made of.
#[derive(Debug)]
pub(super) enum Origin {
    /// The column of this name of the entry.
    Entry(String),
    /// The same text in every row.
    Text(String),
    /// The same number in every row.
    Number(i32),
}

/// The columns of the published files of one close.
#[derive(Debug)]
pub(super) struct Shape {
    schema: SchemaRef,
    origins: Vec<Origin>,
    extra: Option<usize>,
    offset: usize,
}

impl Shape {
    /// Returns the shape of the files of `scope`; `user` has the user's columns, `partition_by` those that are folders.
    pub(super) fn new(scope: Scope, user: &Schema, partition_by: &[String], lane: Option<&LaneIdentity>) -> Self {
        let partition = Origin::Number(lane.map_or(0, |lane| lane.partition.0));
        let topic = Origin::Text(lane.map_or_else(String::new, |lane| lane.topic.clone()));
        let mut columns = Vec::new();
        let mut column = |name: &str, kind: DataType, nullable: bool, origin: Origin| {
            columns.push((Arc::new(Field::new(name, kind, nullable)), origin));
        };
        let entry = |name: &str| Origin::Entry(name.to_owned());
        let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        match scope {
            Scope::OnTime(_) | Scope::Late(_) => {
                for field in user.fields().iter().filter(|field| !partition_by.contains(field.name())) {
                    column(field.name(), field.data_type().clone(), true, entry(field.name()));
                }
                column(EXTRA, DataType::Utf8, true, entry(EXTRA));
                column(KAFKA_PARTITION, DataType::Int32, false, partition);
                column(KAFKA_OFFSET, DataType::Int64, false, entry(KAFKA_OFFSET));
                column(KAFKA_TIMESTAMP, time(), true, entry(KAFKA_TIMESTAMP));
            }
            Scope::DeadLetter => {
                column(TOPIC, DataType::Utf8, false, topic);
                column(KAFKA_PARTITION, DataType::Int32, false, partition);
                column(KAFKA_OFFSET, DataType::Int64, false, entry(KAFKA_OFFSET));
                column(KAFKA_TIMESTAMP, time(), true, entry(KAFKA_TIMESTAMP));
                for (name, in_entry) in DEAD {
                    let kind = if matches!(name, "key" | "value") { DataType::Binary } else { DataType::Utf8 };
                    column(name, kind, name != "reason", entry(in_entry));
                }
            }
        }
        let (fields, origins): (Vec<FieldRef>, Vec<Origin>) = columns.into_iter().unzip();
        let place = |name: &str| fields.iter().position(|field| field.name() == name);
        let (extra, offset) = (place(EXTRA), place(KAFKA_OFFSET).unwrap_or(0));
        Self { schema: Arc::new(Schema::new(fields)), origins, extra, offset }
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Returns what each column is made of.
    pub(super) fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// Returns the place of `_extra`, which dead letters have not.
    pub(super) fn extra(&self) -> Option<usize> {
        self.extra
    }

    /// Returns the place of `_kafka_offset`.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// Whether a column of an entry is needed.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.origins.iter().any(|origin| matches!(origin, Origin::Entry(wanted) if wanted == name))
    }

    /// Whether a column of an entry may be keys of a dictionary: texts that are published as they are. Not `_extra`, whose texts are added to.
    pub(super) fn takes_keys(&self, name: &str) -> bool {
        let mut columns = self.schema.fields().iter().zip(&self.origins);
        let is_it = |origin: &Origin| matches!(origin, Origin::Entry(wanted) if wanted == name);
        name != EXTRA && columns.any(|(field, origin)| is_it(origin) && field.data_type() == &DataType::Utf8)
    }

    /// Brings the rows of an entry into this shape: a column that the entry has not is null, one of a narrower type
    /// (an older schema) is widened. Keys stay keys.
    pub(super) fn take_on(&self, rows: &RecordBatch) -> Result<RecordBatch, AssembleError> {
        let mut columns = Vec::with_capacity(self.origins.len());
        for (field, origin) in self.schema.fields().iter().zip(&self.origins) {
            let column = self::column(field, origin, rows);
            columns.push(column.map_err(|source| AssembleError::Column { column: field.name().clone(), source })?);
        }
        let with_keys = |(field, column): (&FieldRef, &ArrayRef)| match column.data_type() {
            kind if kind == field.data_type() => Arc::clone(field),
            kind => Arc::new(Field::clone(field).with_data_type(kind.clone())),
        };
        let schema = match columns.iter().any(is_keys) {
            true => Arc::new(Schema::new(self.schema.fields().iter().zip(&columns).map(with_keys).collect::<Vec<_>>())),
            false => Arc::clone(&self.schema),
        };
        RecordBatch::try_new(schema, columns)
            .map_err(|source| AssembleError::Column { column: KAFKA_OFFSET.to_owned(), source })
    }

    /// Writes out the texts of all keys in rows of this shape.
    pub(super) fn write_out(&self, rows: RecordBatch) -> Result<RecordBatch, AssembleError> {
        if !rows.columns().iter().any(is_keys) {
            return Ok(rows);
        }
        widen::rows(&rows, &self.schema)
            .map_err(|source| AssembleError::Column { column: KAFKA_OFFSET.to_owned(), source })
    }
}

fn is_keys(column: &ArrayRef) -> bool {
    matches!(column.data_type(), DataType::Dictionary(..))
}

fn column(field: &Field, origin: &Origin, rows: &RecordBatch) -> Result<ArrayRef, ArrowError> {
    let count = rows.num_rows();
    match origin {
        Origin::Text(text) => Ok(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, count)))),
        Origin::Number(number) => Ok(Arc::new(Int32Array::from_value(*number, count))),
        Origin::Entry(name) => match rows.column_by_name(name) {
            Some(keys) if is_keys(keys) => Ok(Arc::clone(keys)),
            _ => widen::column(rows, name, field.data_type()),
        },
    }
}
