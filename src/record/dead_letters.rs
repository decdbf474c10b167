//! Records that cannot become a row, kept with their bytes, coordinates and reason.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;

use super::column::{Bytes, Primitive};
use super::{Coordinates, Reason};
use crate::engine::time::EventTime;
use crate::schema::{self, KAFKA_OFFSET, KAFKA_TIMESTAMP};

/// Growing columns of dead letters.
#[derive(Debug)]
pub struct DeadLetters {
    schema: SchemaRef,
    offsets: Primitive<Int64Type>,
    timestamps: Primitive<TimestampMicrosecondType>,
    reasons: Bytes,
    details: Bytes,
    keys: Bytes,
    values: Bytes,
}

impl Default for DeadLetters {
    fn default() -> Self {
        Self::new()
    }
}

impl DeadLetters {
    /// Returns columns without dead letters.
    #[must_use]
    pub fn new() -> Self {
        Self {
            schema: Self::columns(),
            offsets: Primitive::new(),
            timestamps: Primitive::new(),
            reasons: Bytes::new(),
            details: Bytes::new(),
            keys: Bytes::new(),
            values: Bytes::new(),
        }
    }

    /// Returns the Arrow schema of dead letters.
    #[must_use]
    pub fn columns() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new(KAFKA_OFFSET, DataType::Int64, false),
            Field::new(KAFKA_TIMESTAMP, schema::timestamp(), true),
            Field::new("reason", DataType::Utf8, false),
            Field::new("detail", DataType::Utf8, false),
            Field::new("key", DataType::Binary, true),
            Field::new("value", DataType::Binary, true),
        ]))
    }

    /// Adds a dead letter; `false`, and nothing added, if there is no room until the next [`DeadLetters::finish`].
    #[must_use = "a dead letter without room must be pushed again after `finish`"]
    pub fn push(
        &mut self,
        coordinates: Coordinates,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        reason: Reason,
        detail: &str,
    ) -> bool {
        let rows = self.len();
        let room = self.reasons.push(reason.as_str().as_bytes())
            && self.details.push(detail.as_bytes())
            && push_option(&mut self.keys, key)
            && push_option(&mut self.values, value);
        if room {
            self.offsets.push(coordinates.offset.0);
            self.timestamps.push_options(std::iter::once(coordinates.kafka_time().map(|EventTime(us)| us)));
        } else {
            for column in [&mut self.reasons, &mut self.details, &mut self.keys, &mut self.values] {
                column.truncate(rows);
            }
        }
        room
    }

    /// Returns the number of dead letters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the memory that the buffers hold, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let texts = [&self.reasons, &self.details, &self.keys, &self.values];
        texts.into_iter().map(Bytes::bytes).sum::<usize>() + self.offsets.bytes() + self.timestamps.bytes()
    }

    /// Forgets all dead letters from `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        for column in [&mut self.reasons, &mut self.details, &mut self.keys, &mut self.values] {
            column.truncate(rows);
        }
        self.offsets.truncate(rows);
        self.timestamps.truncate(rows);
    }

    /// Returns all dead letters; there are none afterwards.
    ///
    /// # Errors
    /// Arrow's own checks failed, which would be a bug here.
    pub fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        RecordBatch::try_new(
            Arc::clone(&self.schema),
            vec![
                Arc::new(self.offsets.finish()),
                Arc::new(self.timestamps.finish().with_data_type(schema::timestamp())),
                self.reasons.finish_string()?,
                self.details.finish_string()?,
                self.keys.finish_binary()?,
                self.values.finish_binary()?,
            ],
        )
    }
}

fn push_option(column: &mut Bytes, value: Option<&[u8]>) -> bool {
    match value {
        Some(value) => column.push(value),
        None => {
            column.push_null();
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};

    use super::*;
    use crate::engine::state::Offset;

    #[test]
    fn a_dead_letter_keeps_its_bytes_whatever_they_are() {
        let mut letters = DeadLetters::new();
        let at = |offset, kafka_timestamp_ms| Coordinates { offset: Offset(offset), kafka_timestamp_ms };
        assert!(letters.push(at(7, 1500), Some(b"\xff"), Some(b"\x00{"), Reason::NotUtf8, "byte 0"));
        assert!(letters.push(at(8, -1), None, None, Reason::NullValue, ""));
        let batch = letters.finish().unwrap();
        assert_eq!(batch.column(5).as_binary::<i32>().value(0), b"\x00{");
        assert_eq!(batch.column(2).as_string::<i32>().value(1), "null_value");
        assert_eq!(batch.column(1).as_primitive::<TimestampMicrosecondType>().value(0), 1_500_000);
        assert!(batch.column(1).is_null(1) && batch.column(4).is_null(1) && batch.column(5).is_null(1));
        assert!(letters.is_empty());
    }
}
