//! Values that hold no other values, one behind the other, and the small parts that all columns are made of.

use std::fmt::{self, Write as _};
use std::mem::take;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, BooleanBufferBuilder, NullBufferBuilder, PrimitiveArray,
    StringArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::error::ArrowError;

/// Which rows have a value: no memory until the first null.
#[derive(Debug)]
pub(super) struct Nulls(NullBufferBuilder);

impl Nulls {
    pub(super) fn new() -> Self {
        Self(NullBufferBuilder::new(0))
    }

    pub(super) fn push(&mut self, valid: bool) {
        self.0.append(valid);
    }

    /// Notes that some values are there.
    pub(super) fn push_valid(&mut self, count: usize) {
        self.0.append_n_non_nulls(count);
    }

    /// Notes that some are not.
    pub(super) fn push_nulls(&mut self, count: usize) {
        self.0.append_n_nulls(count);
    }

    /// Notes which of some values are there.
    pub(super) fn push_all(&mut self, valid: impl ExactSizeIterator<Item = bool> + Clone) {
        if valid.clone().all(|valid| valid) {
            self.0.append_n_non_nulls(valid.len());
        } else {
            valid.for_each(|valid| self.push(valid));
        }
    }

    /// Whether every row has a value, and had one since there are rows.
    pub(super) fn are_none(&self) -> bool {
        self.0.as_slice().is_none()
    }

    pub(super) fn is_valid(&self, row: usize) -> bool {
        row < self.0.len() && self.0.is_valid(row)
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows);
    }

    /// Becomes those of `rows`.
    pub(super) fn gather(&mut self, rows: &[u32]) {
        let mut gathered = Self::new();
        match self.are_none() {
            true => gathered.push_valid(rows.len()),
            false => rows.iter().for_each(|row| gathered.push(self.is_valid(index(*row)))),
        }
        *self = gathered;
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.allocated_size()
    }

    pub(super) fn finish(&mut self) -> Option<NullBuffer> {
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
    pub(super) fn new() -> Self {
        Self { values: BooleanBufferBuilder::new(0), nulls: Nulls::new() }
    }

    pub(crate) fn push(&mut self, value: bool) {
        self.values.append(value);
        self.nulls.push(true);
    }

    pub(super) fn push_null(&mut self) {
        self.values.append(false);
        self.nulls.push(false);
    }

    pub(super) fn get(&self, row: usize) -> Option<bool> {
        self.nulls.is_valid(row).then(|| self.values.get_bit(row))
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows);
        self.nulls.truncate(rows);
    }

    pub(super) fn gather(&mut self, rows: &[u32]) {
        let mut values = BooleanBufferBuilder::new(rows.len());
        rows.iter().for_each(|row| values.append(self.get(index(*row)).unwrap_or(false)));
        self.values = values;
        self.nulls.gather(rows);
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.values.capacity() / 8 + self.nulls.bytes()
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
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

    /// Adds values.
    pub(crate) fn push_all(&mut self, values: impl Iterator<Item = T::Native>) {
        let before = self.values.len();
        self.values.extend(values);
        self.nulls.push_valid(self.values.len() - before);
    }

    /// Adds values, or nulls.
    pub(crate) fn push_options(&mut self, values: impl ExactSizeIterator<Item = Option<T::Native>> + Clone) {
        self.nulls.push_all(values.clone().map(|value| value.is_some()));
        self.values.extend(values.map(Option::unwrap_or_default));
    }

    pub(crate) fn get(&self, row: usize) -> Option<T::Native> {
        self.nulls.is_valid(row).then(|| self.values.get(row).copied())?
    }

    pub(super) fn show<D: fmt::Display>(&self, row: usize, out: &mut String, view: impl Fn(T::Native) -> D) -> bool {
        self.get(row).is_some_and(|value| write!(out, "{}", view(value)).is_ok())
    }

    pub(super) fn gather(&mut self, rows: &[u32]) {
        self.values = gathered(&self.values, rows);
        self.nulls.gather(rows);
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

/// Returns the values of `rows`.
pub(super) fn gathered<V: Copy + Default>(values: &[V], rows: &[u32]) -> Vec<V> {
    rows.iter().map(|row| values.get(index(*row)).copied().unwrap_or_default()).collect()
}

fn index(row: u32) -> usize {
    usize::try_from(row).unwrap_or(usize::MAX)
}

/// Takes a buffer without the spare room behind it.
pub(super) fn tight<V>(values: &mut Vec<V>) -> Vec<V> {
    let mut values = take(values);
    values.shrink_to_fit();
    values
}

/// Where each row begins and ends in what it is made of: a zero, then the end of every row.
#[derive(Debug)]
pub(super) struct Ends(Vec<i32>);

impl Ends {
    pub(super) fn new() -> Self {
        Self(vec![0])
    }

    /// Adds a row that ends at `end`; `false`, and nothing added, if that is beyond what a column can hold.
    pub(super) fn push(&mut self, end: usize) -> bool {
        let Ok(end) = i32::try_from(end) else { return false };
        self.0.push(end);
        true
    }

    /// Returns where `row` begins, which is where the one before ends.
    pub(super) fn start(&self, row: usize) -> usize {
        self.0.get(row).map_or(0, |end| usize::try_from(*end).unwrap_or(0))
    }

    pub(super) fn repeat_last(&mut self, times: usize) {
        self.0.resize(self.0.len() + times, self.0.last().copied().unwrap_or(0));
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows + 1);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len() - 1
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<i32>()
    }

    pub(super) fn finish(&mut self) -> OffsetBuffer<i32> {
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

    /// Adds values; returns how many: fewer, if the column has no room for the next.
    pub(super) fn push_all<'a>(&mut self, values: impl Iterator<Item = Option<&'a [u8]>>) -> usize {
        // Nulls are noted when they come, and what is there before them all at once.
        let (mut added, mut noted) = (0, 0);
        for value in values {
            let bytes = value.unwrap_or_default();
            if !self.ends.push(self.values.len() + bytes.len()) {
                break;
            }
            self.values.extend_from_slice(bytes);
            if value.is_none() {
                self.nulls.push_valid(added - noted);
                self.nulls.push(false);
                noted = added + 1;
            }
            added += 1;
        }
        self.nulls.push_valid(added - noted);
        added
    }

    pub(crate) fn push_null(&mut self) {
        self.push_nulls(1);
    }

    pub(crate) fn push_nulls(&mut self, count: usize) {
        self.ends.repeat_last(count);
        self.nulls.push_nulls(count);
    }

    pub(crate) fn get(&self, row: usize) -> Option<&[u8]> {
        if !self.nulls.is_valid(row) {
            return None;
        }
        Some(self.value(row))
    }

    /// Returns the bytes of all rows, one behind the other.
    pub(in crate::record) fn all(&self) -> &[u8] {
        &self.values
    }

    /// Returns the bytes of a row, none if it is null.
    pub(super) fn value(&self, row: usize) -> &[u8] {
        self.values.get(self.ends.start(row)..self.ends.start(row + 1)).unwrap_or_default()
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

    pub(crate) fn finish_string(&mut self) -> Result<ArrayRef, ArrowError> {
        let (offsets, values, nulls) = self.parts();
        Ok(Arc::new(StringArray::try_new(offsets, values, nulls)?))
    }

    pub(crate) fn finish_binary(&mut self) -> Result<ArrayRef, ArrowError> {
        let (offsets, values, nulls) = self.parts();
        Ok(Arc::new(BinaryArray::try_new(offsets, values, nulls)?))
    }

    pub(super) fn parts(&mut self) -> (OffsetBuffer<i32>, Buffer, Option<NullBuffer>) {
        (self.ends.finish(), Buffer::from_vec(tight(&mut self.values)), self.nulls.finish())
    }
}
