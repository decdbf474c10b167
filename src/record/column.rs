//! One growing column: values, and which of them are null.
//!
//! A column can be cut back to any earlier length, so that a row is added to all columns or to none. Its buffers become
//! Arrow arrays without being copied.

mod flat;
mod nested;
mod table;
mod texts;

use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType,
};
use arrow::error::ArrowError;

use super::timestamp;
use crate::engine::time::EventTime;
use crate::schema::{self, Type};

pub(crate) use flat::{Bits, Bytes, Primitive};
pub(crate) use nested::{Array, Map, Struct};
pub(crate) use table::Table;
pub(crate) use texts::{MOST_AT_ONCE, Texts};

/// The values of one field, row after row.
#[derive(Debug)]
pub(crate) enum Column {
    /// Texts of a field of the record.
    Text(Texts),
    /// Texts inside of a struct, list or map.
    String(Bytes),
    Binary(Bytes),
    Boolean(Bits),
    Byte(Primitive<Int8Type>),
    Short(Primitive<Int16Type>),
    Integer(Primitive<Int32Type>),
    Long(Primitive<Int64Type>),
    Float(Primitive<Float32Type>),
    Double(Primitive<Float64Type>),
    Decimal(Primitive<Decimal128Type>, u8, u8),
    Date(Primitive<Date32Type>),
    Timestamp(Primitive<TimestampMicrosecondType>),
    Struct(Struct),
    Array(Array),
    Map(Map),
}

/// Does the same to whatever a column is made of.
macro_rules! each {
    ($column:expr, $inner:ident => $body:expr) => {
        match $column {
            Column::Text($inner) => $body,
            Column::String($inner) | Column::Binary($inner) => $body,
            Column::Boolean($inner) => $body,
            Column::Byte($inner) => $body,
            Column::Short($inner) => $body,
            Column::Integer($inner) => $body,
            Column::Long($inner) => $body,
            Column::Float($inner) => $body,
            Column::Double($inner) => $body,
            Column::Decimal($inner, _, _) => $body,
            Column::Date($inner) => $body,
            Column::Timestamp($inner) => $body,
            Column::Struct($inner) => $body,
            Column::Array($inner) => $body,
            Column::Map($inner) => $body,
        }
    };
}

impl Column {
    /// Returns the empty column of a field of the record.
    pub(crate) fn of_record(kind: &Type) -> Self {
        if *kind == Type::String { Self::Text(Texts::new()) } else { Self::new(kind) }
    }

    /// Returns an empty column of what lies inside of another.
    pub(crate) fn new(kind: &Type) -> Self {
        match kind {
            Type::String => Self::String(Bytes::new()),
            Type::Binary => Self::Binary(Bytes::new()),
            Type::Boolean => Self::Boolean(Bits::new()),
            Type::Byte => Self::Byte(Primitive::new()),
            Type::Short => Self::Short(Primitive::new()),
            Type::Integer => Self::Integer(Primitive::new()),
            Type::Long => Self::Long(Primitive::new()),
            Type::Float => Self::Float(Primitive::new()),
            Type::Double => Self::Double(Primitive::new()),
            Type::Decimal { precision, scale } => Self::Decimal(Primitive::new(), *precision, *scale),
            Type::Date => Self::Date(Primitive::new()),
            Type::Timestamp => Self::Timestamp(Primitive::new()),
            Type::Struct(fields) => Self::Struct(Struct::new(fields)),
            Type::Array(element) => Self::Array(Array::new(element)),
            Type::Map(value) => Self::Map(Map::new(kind.arrow(), value)),
        }
    }

    /// Adds a null.
    pub(crate) fn push_null(&mut self) {
        each!(self, inner => inner.push_null());
    }

    /// Forgets all rows from `rows` on.
    pub(crate) fn truncate(&mut self, rows: usize) {
        each!(self, inner => inner.truncate(rows));
    }

    pub(crate) fn len(&self) -> usize {
        each!(self, inner => inner.len())
    }

    /// Returns the memory that the buffers hold, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        each!(self, inner => inner.bytes())
    }

    /// Returns what a row takes in memory, in bytes, about, if rows can be [gathered](Self::gather): those of texts in a dictionary, and of
    /// what has one width.
    pub(crate) fn row_bytes(&self) -> Option<usize> {
        match self {
            Self::Text(texts) => texts.has_keys().then_some(size_of::<u32>()),
            Self::Boolean(_) | Self::Byte(_) => Some(1),
            Self::Short(_) => Some(2),
            Self::Integer(_) | Self::Float(_) | Self::Date(_) => Some(4),
            Self::Long(_) | Self::Double(_) | Self::Timestamp(_) => Some(8),
            Self::Decimal(..) => Some(16),
            Self::String(_) | Self::Binary(_) | Self::Struct(_) | Self::Array(_) | Self::Map(_) => None,
        }
    }

    /// Becomes the column whose rows are these of its rows, if they can be gathered.
    pub(crate) fn gather(&mut self, rows: &[u32]) {
        match self {
            Self::Text(inner) => inner.gather(rows),
            Self::Boolean(inner) => inner.gather(rows),
            Self::Byte(inner) => inner.gather(rows),
            Self::Short(inner) => inner.gather(rows),
            Self::Integer(inner) => inner.gather(rows),
            Self::Long(inner) => inner.gather(rows),
            Self::Float(inner) => inner.gather(rows),
            Self::Double(inner) => inner.gather(rows),
            Self::Decimal(inner, _, _) => inner.gather(rows),
            Self::Date(inner) => inner.gather(rows),
            Self::Timestamp(inner) => inner.gather(rows),
            Self::String(_) | Self::Binary(_) | Self::Struct(_) | Self::Array(_) | Self::Map(_) => {}
        }
    }

    /// Returns the rows as an Arrow array, and is empty afterwards.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
            Self::Text(inner) => inner.finish()?,
            Self::String(inner) => inner.finish_string()?,
            Self::Binary(inner) => inner.finish_binary()?,
            Self::Boolean(inner) => inner.finish(),
            Self::Byte(inner) => Arc::new(inner.finish()),
            Self::Short(inner) => Arc::new(inner.finish()),
            Self::Integer(inner) => Arc::new(inner.finish()),
            Self::Long(inner) => Arc::new(inner.finish()),
            Self::Float(inner) => Arc::new(inner.finish()),
            Self::Double(inner) => Arc::new(inner.finish()),
            Self::Decimal(inner, precision, scale) => {
                let scale = i8::try_from(*scale).unwrap_or(i8::MAX);
                Arc::new(inner.finish().with_precision_and_scale(*precision, scale)?)
            }
            Self::Date(inner) => Arc::new(inner.finish()),
            Self::Timestamp(inner) => Arc::new(inner.finish().with_data_type(schema::timestamp())),
            Self::Struct(inner) => inner.finish()?,
            Self::Array(inner) => inner.finish()?,
            Self::Map(inner) => inner.finish()?,
        })
    }

    /// Appends the text of a value as a partition shows it; `false` if it is null or has no exact text.
    pub(crate) fn write_text(&self, row: usize, out: &mut String) -> bool {
        match self {
            Self::Text(inner) => inner.get(row).map(|text| out.push_str(&String::from_utf8_lossy(text))).is_some(),
            Self::String(inner) => inner.get(row).map(|text| out.push_str(&String::from_utf8_lossy(text))).is_some(),
            Self::Boolean(inner) => {
                inner.get(row).map(|bit| out.push_str(if bit { "true" } else { "false" })).is_some()
            }
            Self::Byte(inner) => inner.show(row, out, |value| value),
            Self::Short(inner) => inner.show(row, out, |value| value),
            Self::Integer(inner) => inner.show(row, out, |value| value),
            Self::Long(inner) => inner.show(row, out, |value| value),
            Self::Decimal(inner, _, scale) => inner.show(row, out, |unscaled| Plain { unscaled, scale: *scale }),
            Self::Date(inner) => inner.show(row, out, timestamp::day),
            Self::Timestamp(inner) => inner.show(row, out, |us| EventTime(us).utc().format("%Y-%m-%d %H:%M:%S%.6f")),
            Self::Binary(_) | Self::Float(_) | Self::Double(_) | Self::Struct(_) | Self::Array(_) | Self::Map(_) => {
                false
            }
        }
    }
}

/// A decimal written out, without an exponent.
struct Plain {
    unscaled: i128,
    scale: u8,
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = usize::from(self.scale);
        let digits = format!("{:0>width$}", self.unscaled.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let sign = if self.unscaled < 0 { "-" } else { "" };
        if fraction.is_empty() { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{fraction}") }
    }
}
