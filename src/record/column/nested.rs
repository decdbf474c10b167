//! Values that hold other values: structs, lists and maps.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, MapArray, StructArray};
use arrow::datatypes::{DataType, Field as ArrowField, FieldRef, Fields};
use arrow::error::ArrowError;

use super::Column;
use super::flat::{Bytes, Ends, Nulls};
use crate::record::lookup::Lookup;
use crate::schema::{Field, Type};

/// Objects with known fields.
#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) lookup: Lookup,
    fields: Fields,
    pub(crate) children: Vec<Column>,
    nulls: Nulls,
}

impl Struct {
    pub(super) fn new(fields: &[Field]) -> Self {
        Self {
            lookup: Lookup::new(fields.iter().map(|field| field.name.as_str())),
            fields: fields.iter().map(|field| ArrowField::new(&field.name, field.kind.arrow(), true)).collect(),
            children: fields.iter().map(|field| Column::new(&field.kind)).collect(),
            nulls: Nulls::new(),
        }
    }

    /// Adds a value, whose fields are added to every child.
    pub(crate) fn end_row(&mut self) {
        self.nulls.push(true);
    }

    pub(super) fn push_null(&mut self) {
        self.children.iter_mut().for_each(Column::push_null);
        self.nulls.push(false);
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.children.iter_mut().for_each(|child| child.truncate(rows));
        self.nulls.truncate(rows);
    }

    pub(super) fn len(&self) -> usize {
        self.nulls.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.children.iter().map(Column::bytes).sum::<usize>() + self.nulls.bytes()
    }

    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
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
    pub(super) fn new(element: &Type) -> Self {
        Self {
            field: Arc::new(ArrowField::new("element", element.arrow(), true)),
            ends: Ends::new(),
            element: Box::new(Column::new(element)),
            nulls: Nulls::new(),
        }
    }

    /// Ends a row behind the last element; `false` if the column has no room.
    #[must_use]
    pub(crate) fn end_row(&mut self) -> bool {
        let room = self.ends.push(self.element.len());
        if room {
            self.nulls.push(true);
        }
        room
    }

    pub(super) fn push_null(&mut self) {
        self.ends.repeat_last(1);
        self.nulls.push(false);
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.element.truncate(self.ends.start(rows.min(self.len())));
        self.ends.truncate(rows);
        self.nulls.truncate(rows);
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.element.bytes() + self.ends.bytes() + self.nulls.bytes()
    }

    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
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
    /// Returns a column of the Arrow type `kind`, a map, for values of type `value`.
    pub(super) fn new(kind: DataType, value: &Type) -> Self {
        let (ends, keys, nulls) = (Ends::new(), Bytes::new(), Nulls::new());
        Self { kind, ends, keys, values: Box::new(Column::new(value)), nulls }
    }

    /// Ends a row behind the last member; `false` if the column has no room.
    #[must_use]
    pub(crate) fn end_row(&mut self) -> bool {
        let room = self.ends.push(self.keys.len());
        if room {
            self.nulls.push(true);
        }
        room
    }

    pub(super) fn push_null(&mut self) {
        self.ends.repeat_last(1);
        self.nulls.push(false);
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        let members = self.ends.start(rows.min(self.len()));
        self.keys.truncate(members);
        self.values.truncate(members);
        self.ends.truncate(rows);
        self.nulls.truncate(rows);
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.keys.bytes() + self.values.bytes() + self.ends.bytes() + self.nulls.bytes()
    }

    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
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
