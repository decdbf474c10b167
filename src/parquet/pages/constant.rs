//! Columns with one value: a dictionary of one, whose places take no bits.

use parquet::basic::{BoundaryOrder, Encoding, Type};
use parquet::errors::ParquetError;
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::ColumnDescPtr;

use super::bounds::{Cut, lower, upper};
use super::chunk::{Body, Chunk, ChunkWriter};
use super::{Encoder, PAGE_ROWS, hybrid, is_flat, push_text, text_statistics};

/// The value of a column that has no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::parquet) enum Constant<'a> {
    /// A number.
    Number(i32),
    /// A text.
    Text(&'a str),
}

impl Encoder {
    /// Writes a column with the same value in each of `rows` rows.
    ///
    /// # Errors
    /// When the column is of another type.
    pub(in crate::parquet) fn constant(
        &mut self,
        value: Constant<'_>,
        rows: usize,
        descr: &ColumnDescPtr,
    ) -> Result<Chunk, ParquetError> {
        let cut = Cut::of(descr);
        let fits = match value {
            Constant::Number(_) => descr.physical_type() == Type::INT32,
            Constant::Text(_) => descr.physical_type() == Type::BYTE_ARRAY && cut == Cut::Characters,
        };
        if !fits || !is_flat(descr) {
            return Err(ParquetError::General(format!("column {} is of another type", descr.path())));
        }
        let mut chunk = ChunkWriter::new(descr, Encoding::RLE_DICTIONARY);
        self.body.clear();
        let bounds = match value {
            Constant::Number(number) => {
                self.body.extend_from_slice(&number.to_le_bytes());
                (number.to_le_bytes().to_vec(), number.to_le_bytes().to_vec())
            }
            Constant::Text(text) => {
                push_text(text.as_bytes(), &mut self.body);
                (lower(text.as_bytes(), cut).0.to_vec(), upper(text.as_bytes(), cut).0)
            }
        };
        chunk.dictionary(Body::Bytes(&self.body), 1, &mut self.packer)?;
        let mut left = rows;
        while left > 0 {
            let rows = left.min(PAGE_ROWS);
            left -= rows;
            self.begin(&vec![0; rows], None, descr);
            // Places in a dictionary of one take no bits.
            self.body.push(0);
            hybrid::push_run(0, rows, 0, &mut self.body);
            chunk.page(Body::Bytes(&self.body), rows, 0, Some(bounds.clone()), &mut self.packer)?;
        }
        let of = |nulls| match value {
            Constant::Number(number) => {
                let values = ValueStatistics::new(Some(number), Some(number), None, Some(nulls), false);
                Statistics::Int32(values.with_backwards_compatible_min_max(true))
            }
            Constant::Text(text) => text_statistics(Some((text.as_bytes(), text.as_bytes())), cut, nulls),
        };
        chunk.finish(of, BoundaryOrder::ASCENDING)
    }
}
