//! One growing column: values, and which of them are null.
//!
//! A column can be cut back to any earlier length, so that a row is added to all columns or to none. Its buffers become
//! Arrow arrays without being copied.

use std::fmt;
use std::fmt::Write as _;
use std::mem::take;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, BooleanBufferBuilder, ListArray, MapArray, PrimitiveArray,
    StringArray, StructArray,
};
use arrow::array::NullBufferBuilder;
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field as ArrowField, FieldRef, Fields, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use arrow::error::ArrowError;

use super::lookup::Lookup;
use super::timestamp;
use crate::engine::time::EventTime;
use crate::schema::{self, Type};

/// The values of one field, row after row.
#[derive(Debug)]
pub(crate) enum Column {
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
            Type::Struct(fields) => Self::Struct(Struct {
                lookup: Lookup::new(fields.iter().map(|field| field.name.as_str())),
                fields: fields.iter().map(|field| ArrowField::new(&field.name, field.kind.arrow(), true)).collect(),
                children: fields.iter().map(|field| Self::new(&field.kind)).collect(),
                nulls: Nulls::new(),
            }),
            Type::Array(element) => Self::Array(Array {
                field: Arc::new(ArrowField::new("element", element.arrow(), true)),
                ends: Ends::new(),
                element: Box::new(Self::new(element)),
                nulls: Nulls::new(),
            }),
            Type::Map(value) => Self::Map(Map {
                kind: kind.arrow(),
                ends: Ends::new(),
                keys: Bytes::new(),
                values: Box::new(Self::new(value)),
                nulls: Nulls::new(),
            }),
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

    /// Returns the greatest offset in use, here or inside.
    pub(crate) fn greatest_offset(&self) -> usize {
        match self {
            Self::String(inner) | Self::Binary(inner) => inner.values.len(),
            Self::Struct(inner) => inner.children.iter().map(Self::greatest_offset).max().unwrap_or(0),
            Self::Array(inner) => inner.element.len().max(inner.element.greatest_offset()),
            Self::Map(inner) => {
                inner.values.len().max(inner.values.greatest_offset()).max(inner.keys.values.len())
            }
            Self::Boolean(_)
            | Self::Byte(_)
            | Self::Short(_)
            | Self::Integer(_)
            | Self::Long(_)
            | Self::Float(_)
            | Self::Double(_)
            | Self::Decimal(..)
            | Self::Date(_)
            | Self::Timestamp(_) => 0,
        }
    }

    /// Returns the rows as an Arrow array, and is empty afterwards.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        Ok(match self {
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
            Self::String(inner) => inner.get(row).map(|text| out.push_str(&String::from_utf8_lossy(text))).is_some(),
            Self::Boolean(inner) => inner.get(row).map(|bit| out.push_str(if bit { "true" } else { "false" })).is_some(),
            Self::Byte(inner) => inner.show(row, out, |value| value),
            Self::Short(inner) => inner.show(row, out, |value| value),
            Self::Integer(inner) => inner.show(row, out, |value| value),
            Self::Long(inner) => inner.show(row, out, |value| value),
            Self::Decimal(inner, _, scale) => inner.show(row, out, |unscaled| Plain { unscaled, scale: *scale }),
            Self::Date(inner) => inner.show(row, out, timestamp::day),
            Self::Timestamp(inner) => {
                inner.show(row, out, |us| EventTime(us).utc().format("%Y-%m-%d %H:%M:%S%.6f"))
            }
            Self::Binary(_) | Self::Float(_) | Self::Double(_) | Self::Struct(_) | Self::Array(_) | Self::Map(_) => false,
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

/// Which rows have a value: no memory until the first null.
#[derive(Debug)]
struct Nulls(NullBufferBuilder);

impl Nulls {
    fn new() -> Self {
        Self(NullBufferBuilder::new(0))
    }

    fn push(&mut self, valid: bool) {
        self.0.append(valid);
    }

    fn is_valid(&self, row: usize) -> bool {
        row < self.0.len() && self.0.is_valid(row)
    }

    fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows);
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn bytes(&self) -> usize {
        self.0.allocated_size()
    }

    fn finish(&mut self) -> Option<NullBuffer> {
        self.0.finish().filter(|nulls| nulls.null_count() > 0)
    }
}

/// Values that are `true` or `false`.
#[derive(Debug)]
pub(crate) struct Bits {
    values: BooleanBufferBuilder,
    nulls: Nulls,
}

impl Bits {
    fn new() -> Self {
        Self { values: BooleanBufferBuilder::new(0), nulls: Nulls::new() }
    }

    pub(crate) fn push(&mut self, value: bool) {
        self.values.append(value);
        self.nulls.push(true);
    }

    fn push_null(&mut self) {
        self.values.append(false);
        self.nulls.push(false);
    }

    fn get(&self, row: usize) -> Option<bool> {
        self.nulls.is_valid(row).then(|| self.values.get_bit(row))
    }

    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.nulls.truncate(rows);
    }

    fn len(&self) -> usize {
        self.values.len()
    }

    fn bytes(&self) -> usize {
        self.values.capacity() / 8 + self.nulls.bytes()
    }

    fn finish(&mut self) -> ArrayRef {
        let nulls = self.nulls.finish();
        Arc::new(BooleanArray::new(self.values.finish(), nulls))
    }
}

/// Values of one width.
pub(crate) struct Primitive<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    nulls: Nulls,
}

impl<T: ArrowPrimitiveType> fmt::Debug for Primitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Primitive").field("rows", &self.values.len()).finish_non_exhaustive()
    }
}

impl<T: ArrowPrimitiveType> Primitive<T> {
    pub(crate) fn new() -> Self {
        Self { values: Vec::new(), nulls: Nulls::new() }
    }

    pub(crate) fn push(&mut self, value: T::Native) {
        self.values.push(value);
        self.nulls.push(true);
    }

    pub(crate) fn push_null(&mut self) {
        self.values.push(T::Native::default());
        self.nulls.push(false);
    }

    pub(crate) fn push_option(&mut self, value: Option<T::Native>) {
        match value {
            Some(value) => self.push(value),
            None => self.push_null(),
        }
    }

    pub(crate) fn get(&self, row: usize) -> Option<T::Native> {
        self.nulls.is_valid(row).then(|| self.values.get(row).copied())?
    }

    fn show<D: fmt::Display>(&self, row: usize, out: &mut String, view: impl Fn(T::Native) -> D) -> bool {
        self.get(row).is_some_and(|value| write!(out, "{}", view(value)).is_ok())
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.nulls.truncate(rows);
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<T::Native>() + self.nulls.bytes()
    }

    pub(crate) fn finish(&mut self) -> PrimitiveArray<T> {
        PrimitiveArray::new(ScalarBuffer::from(tight(&mut self.values)), self.nulls.finish())
    }
}

/// Takes a buffer without the spare room behind it.
fn tight<V>(values: &mut Vec<V>) -> Vec<V> {
    let mut values = take(values);
    values.shrink_to_fit();
    values
}

/// Where each row begins and ends in what it is made of: a zero, then the end of every row.
#[derive(Debug)]
struct Ends(Vec<i32>);

impl Ends {
    fn new() -> Self {
        Self(vec![0])
    }

    /// Adds a row that ends at `end`; `false`, and nothing added, if that is beyond what a column can hold.
    fn push(&mut self, end: usize) -> bool {
        let Ok(end) = i32::try_from(end) else { return false };
        self.0.push(end);
        true
    }

    /// Returns where `row` begins, which is where the one before ends.
    fn start(&self, row: usize) -> usize {
        self.0.get(row).map_or(0, |end| usize::try_from(*end).unwrap_or(0))
    }

    fn repeat_last(&mut self) {
        self.0.push(self.0.last().copied().unwrap_or(0));
    }

    fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows + 1);
    }

    fn len(&self) -> usize {
        self.0.len() - 1
    }

    fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<i32>()
    }

    fn finish(&mut self) -> OffsetBuffer<i32> {
        let offsets = tight(&mut self.0);
        self.0.push(0);
        OffsetBuffer::new(offsets.into())
    }
}

/// Texts or byte strings, one behind the other.
#[derive(Debug)]
pub(crate) struct Bytes {
    ends: Ends,
    values: Vec<u8>,
    nulls: Nulls,
}

impl Bytes {
    pub(crate) fn new() -> Self {
        Self { ends: Ends::new(), values: Vec::new(), nulls: Nulls::new() }
    }

    /// Adds a value; `false`, and nothing added, if the column has no room for it.
    #[must_use]
    pub(crate) fn push(&mut self, value: &[u8]) -> bool {
        if !self.ends.push(self.values.len() + value.len()) {
            return false;
        }
        self.values.extend_from_slice(value);
        self.nulls.push(true);
        true
    }

    pub(crate) fn push_null(&mut self) {
        self.ends.repeat_last();
        self.nulls.push(false);
    }

    pub(crate) fn get(&self, row: usize) -> Option<&[u8]> {
        if !self.nulls.is_valid(row) {
            return None;
        }
        self.values.get(self.ends.start(row)..self.ends.start(row + 1))
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.values.truncate(self.ends.start(rows.min(self.len())));
        self.ends.truncate(rows);
        self.nulls.truncate(rows);
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.values.capacity() + self.ends.bytes() + self.nulls.bytes()
    }

    pub(crate) fn greatest_offset(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn finish_string(&mut self) -> Result<ArrayRef, ArrowError> {
        let (offsets, values, nulls) = self.parts();
        Ok(Arc::new(StringArray::try_new(offsets, values, nulls)?))
    }

    pub(crate) fn finish_binary(&mut self) -> Result<ArrayRef, ArrowError> {
        let (offsets, values, nulls) = self.parts();
        Ok(Arc::new(BinaryArray::try_new(offsets, values, nulls)?))
    }

    fn parts(&mut self) -> (OffsetBuffer<i32>, Buffer, Option<NullBuffer>) {
        (self.ends.finish(), Buffer::from_vec(tight(&mut self.values)), self.nulls.finish())
    }
}

/// Objects with known fields.
#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) lookup: Lookup,
    fields: Fields,
    pub(crate) children: Vec<Column>,
    nulls: Nulls,
}

impl Struct {
    /// Adds a value, whose fields are added to every child.
    pub(crate) fn end_row(&mut self) {
        self.nulls.push(true);
    }

    fn push_null(&mut self) {
        self.children.iter_mut().for_each(Column::push_null);
        self.nulls.push(false);
    }

    fn truncate(&mut self, rows: usize) {
        self.children.iter_mut().for_each(|child| child.truncate(rows));
        self.nulls.truncate(rows);
    }

    fn len(&self) -> usize {
        self.nulls.len()
    }

    fn bytes(&self) -> usize {
        self.children.iter().map(Column::bytes).sum::<usize>() + self.nulls.bytes()
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let rows = self.len();
        let children = self.children.iter_mut().map(Column::finish).collect::<Result<_, _>>()?;
        let nulls = self.nulls.finish();
        Ok(Arc::new(StructArray::try_new_with_length(self.fields.clone(), children, nulls, rows)?))
    }
}

/// Lists of one type.
#[derive(Debug)]
pub(crate) struct Array {
    field: FieldRef,
    ends: Ends,
    pub(crate) element: Box<Column>,
    nulls: Nulls,
}

impl Array {
    /// Ends a row behind the last element; `false` if the column has no room.
    #[must_use]
    pub(crate) fn end_row(&mut self) -> bool {
        let room = self.ends.push(self.element.len());
        if room {
            self.nulls.push(true);
        }
        room
    }

    fn push_null(&mut self) {
        self.ends.repeat_last();
        self.nulls.push(false);
    }

    fn truncate(&mut self, rows: usize) {
        self.element.truncate(self.ends.start(rows.min(self.len())));
        self.ends.truncate(rows);
        self.nulls.truncate(rows);
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn bytes(&self) -> usize {
        self.element.bytes() + self.ends.bytes() + self.nulls.bytes()
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let element = self.element.finish()?;
        let nulls = self.nulls.finish();
        Ok(Arc::new(ListArray::try_new(Arc::clone(&self.field), self.ends.finish(), element, nulls)?))
    }
}

/// Objects with any keys.
#[derive(Debug)]
pub(crate) struct Map {
    kind: DataType,
    ends: Ends,
    pub(crate) keys: Bytes,
    pub(crate) values: Box<Column>,
    nulls: Nulls,
}

impl Map {
    /// Ends a row behind the last member; `false` if the column has no room.
    #[must_use]
    pub(crate) fn end_row(&mut self) -> bool {
        let room = self.ends.push(self.keys.len());
        if room {
            self.nulls.push(true);
        }
        room
    }

    fn push_null(&mut self) {
        self.ends.repeat_last();
        self.nulls.push(false);
    }

    fn truncate(&mut self, rows: usize) {
        let members = self.ends.start(rows.min(self.len()));
        self.keys.truncate(members);
        self.values.truncate(members);
        self.ends.truncate(rows);
        self.nulls.truncate(rows);
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn bytes(&self) -> usize {
        self.keys.bytes() + self.values.bytes() + self.ends.bytes() + self.nulls.bytes()
    }

    fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let members: [ArrayRef; 2] = [self.keys.finish_string()?, self.values.finish()?];
        let nulls = self.nulls.finish();
        let DataType::Map(entry, sorted) = &self.kind else {
            return Err(ArrowError::SchemaError("a map column without a map type".into()));
        };
        let DataType::Struct(fields) = entry.data_type() else {
            return Err(ArrowError::SchemaError("a map column without entries".into()));
        };
        let entries = StructArray::try_new(fields.clone(), members.into(), None)?;
        Ok(Arc::new(MapArray::try_new(Arc::clone(entry), self.ends.finish(), entries, nulls, *sorted)?))
    }
}
