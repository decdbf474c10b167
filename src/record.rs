//! JSON bytes to a row, and why not.
//!
//! A [`Decoder`] reads one record into shared [`Columns`]: one row if it is an event, none and a [`Rejection`] if it is not.
//! Nothing is dropped silently: what the schema does not know, and what does not fit its column, stays as JSON text in `_extra`.
//! No I/O, no clock.
//!
//! # What fits
//! * `null` fits every column. A repeated key counts once: the last one wins, everywhere.
//! * Whole-number columns take JSON's integers within their range, not `1.0` and not `1e3`. Text columns take strings alone.
//! * Decimals must be exact. Floating point columns take the nearest number, but a whole number only if they hold it exactly.
//! * Dates are `YYYY-MM-DD`, binary is standard base64 with padding, times are as [`timestamp`] says.
//! * A value that does not fit leaves a null, and its raw text in `_extra` under the name of its field. If it lies inside a struct,
//!   list or map, this holds for the whole of the outermost field.
//! * Fields inside structs that the schema does not know are kept in `_extra` under the same nesting. Elements of a list with
//!   nothing to keep are `null` there.
//! * A string with half a surrogate pair (`"\ud800"`) is JSON but no text: it does not fit.
//!
//! # Units
//! Event times are Unix microseconds (UTC), Kafka timestamps Unix milliseconds.

mod column;
mod columns;
mod compare;
mod dead_letters;
mod decode;
mod fill;
pub(crate) mod json;
mod layout;
mod lookup;
pub(crate) mod number;
mod phrases;
mod shared;
pub mod timestamp;
mod value;

use std::fmt;
use std::time::Duration;

use thiserror::Error;

pub use columns::Columns;
pub use dead_letters::DeadLetters;
pub use decode::{Counts, Decoder};
pub use layout::Sampling;

use crate::engine::state::Offset;
use crate::engine::time::EventTime;
use timestamp::TimestampParser;

/// Where in its Kafka partition a record lies, and when Kafka says it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coordinates {
    /// The record's own offset.
    pub offset: Offset,
    /// The record's Kafka timestamp in milliseconds; negative if it has none.
    pub kafka_timestamp_ms: i64,
}

impl Coordinates {
    /// Returns the Kafka timestamp, if the record has one.
    #[must_use]
    pub fn kafka_time(&self) -> Option<EventTime> {
        (self.kafka_timestamp_ms >= 0).then(|| EventTime::from_ms(self.kafka_timestamp_ms))
    }
}

/// A record of a Kafka partition.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Where it lies.
    pub coordinates: Coordinates,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is a null, not an empty value.
    pub value: Option<&'a [u8]>,
}

/// What becomes of a record with a value that does not fit its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnMisfit {
    /// It is a row; the column is null and the value is kept in `_extra`.
    #[default]
    Extra,
    /// It is a dead letter.
    DeadLetter,
}

/// How a [`Decoder`] reads records.
#[derive(Debug, Clone)]
pub struct DecoderOptions {
    /// The field with the event time. It need not be in the schema.
    pub timestamp_field: String,
    /// How times are read, in this field and in every timestamp column.
    pub timestamps: TimestampParser,
    /// How far an event time may be ahead of its record's Kafka timestamp. Records without one are not checked.
    pub max_future: Option<Duration>,
    /// What becomes of a record with a value that does not fit its column.
    pub on_misfit: OnMisfit,
}

/// Why a record is no row. The codes of [`Reason::as_str`] are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The record has a value of no bytes, or of white space alone.
    EmptyValue,
    /// The record has no value (a tombstone).
    NullValue,
    /// The value is not UTF-8.
    NotUtf8,
    /// The value is not JSON.
    NotJson,
    /// The value is JSON, but no object.
    NotAnObject,
    /// Arrays and objects nest deeper than 128.
    TooDeep,
    /// The timestamp field is not there.
    TimestampMissing,
    /// The timestamp field is null.
    TimestampNull,
    /// The timestamp field does not read as a time.
    TimestampUnparsable,
    /// The event time lies outside the years 1 to 9999.
    TimestampOutOfRange,
    /// The event time is further ahead of the Kafka timestamp than allowed.
    TimestampInFuture,
    /// A value does not fit its column, and the operator wants such records as dead letters.
    Misfit,
    /// The epoch was closed, and the operator wants late records as dead letters.
    Late,
}

impl Reason {
    /// All reasons, in the order of their declaration.
    pub const ALL: [Self; 13] = [
        Self::EmptyValue,
        Self::NullValue,
        Self::NotUtf8,
        Self::NotJson,
        Self::NotAnObject,
        Self::TooDeep,
        Self::TimestampMissing,
        Self::TimestampNull,
        Self::TimestampUnparsable,
        Self::TimestampOutOfRange,
        Self::TimestampInFuture,
        Self::Misfit,
        Self::Late,
    ];

    /// Returns the stable code, as dead letters and metrics show it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EmptyValue => "empty_value",
            Self::NullValue => "null_value",
            Self::NotUtf8 => "not_utf8",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::TooDeep => "too_deep",
            Self::TimestampMissing => "timestamp_missing",
            Self::TimestampNull => "timestamp_null",
            Self::TimestampUnparsable => "timestamp_unparsable",
            Self::TimestampOutOfRange => "timestamp_out_of_range",
            Self::TimestampInFuture => "timestamp_in_future",
            Self::Misfit => "misfit",
            Self::Late => "late",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A record that is no row: the code, and what a person wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{reason}: {detail}")]
pub struct Rejection {
    /// The stable code.
    pub reason: Reason,
    /// The particulars, of bounded length.
    pub detail: String,
}

impl Rejection {
    /// Returns a rejection with its particulars.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

#[cfg(test)]
mod tests;
