//! Columns of an older schema in the place of newer ones: a schema only ever widens.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;

/// Returns the column `name` of `rows` as `kind`: null if there is none, widened if it is of a narrower type.
pub(super) fn column(rows: &RecordBatch, name: &str, kind: &DataType) -> Result<ArrayRef, ArrowError> {
    match rows.column_by_name(name) {
        None => Ok(new_null_array(kind, rows.num_rows())),
        Some(column) if column.data_type() == kind => Ok(Arc::clone(column)),
        Some(column) => cast_with_options(column, kind, &CastOptions { safe: false, ..CastOptions::default() }),
    }
}

/// Returns `rows` with the columns of `schema`.
pub(super) fn rows(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| column(rows, field.name(), field.data_type()));
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<_, _>>()?)
}
