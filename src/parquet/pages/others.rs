//! The columns of a row group that are not plain: Parquet's own writer has them.

use std::io::Write;
use std::ops::Range;

use arrow::array::ArrayRef;
use arrow::datatypes::Field;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::SchemaDescriptor;

/// Writers for the columns of a row group, which are made when the first of them is needed.
pub(in crate::parquet) struct Others<'a> {
    factory: &'a ArrowRowGroupWriterFactory,
    number: usize,
    /// One for each leaf, until it is used.
    writers: Option<Vec<Option<ArrowColumnWriter>>>,
}

impl<'a> Others<'a> {
    /// Returns writers for row group `number`.
    pub(in crate::parquet) const fn new(factory: &'a ArrowRowGroupWriterFactory, number: usize) -> Self {
        Self { factory, number, writers: None }
    }

    /// Writes `rows` as the next column of a row group; `leaves` are its own among those of the file. Without its page index if
    /// `indexed` is false.
    ///
    /// # Errors
    /// When the column cannot be written.
    pub(in crate::parquet) fn write<W: Write + Send>(
        &mut self,
        field: &Field,
        rows: &ArrayRef,
        leaves: Range<usize>,
        group: &mut SerializedRowGroupWriter<'_, W>,
        indexed: bool,
    ) -> Result<(), ParquetError> {
        let writers = match &mut self.writers {
            Some(writers) => writers,
            none => none.insert(self.factory.create_column_writers(self.number)?.into_iter().map(Some).collect()),
        };
        let mut writers = writers.get_mut(leaves).unwrap_or_default().iter_mut();
        for leaf in compute_leaves(field, rows)? {
            let writer = writers.next().and_then(Option::take);
            let mut writer = writer.ok_or_else(|| ParquetError::General("fewer columns than leaves".to_owned()))?;
            writer.write(&leaf)?;
            let mut chunk = writer.close()?;
            if !indexed {
                let close = chunk.close_mut();
                (close.column_index, close.offset_index) = (None, None);
            }
            chunk.append_to_row_group(group)?;
        }
        Ok(())
    }
}

/// Returns the leaves of each column.
pub(in crate::parquet) fn leaves_of(columns: usize, descr: &SchemaDescriptor) -> Vec<Range<usize>> {
    let of_root = |root: usize| {
        let is_before = |leaf: &usize| descr.get_column_root_idx(*leaf) < root;
        let start = (0..descr.num_columns()).take_while(is_before).count();
        let is_within = |leaf: &usize| descr.get_column_root_idx(*leaf) == root;
        start..start + (start..descr.num_columns()).take_while(is_within).count()
    };
    (0..columns).map(of_root).collect()
}
