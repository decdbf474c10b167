//! The row groups of an entry, written one column at a time.

use std::ops::Range;

use arrow::array::{UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, ArrowWriterOptions};
use parquet::basic::ZstdLevel;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;

use super::{PartColumn, bytes_of};
use crate::engine::state::{LaneState, STATE_VERSION};
use crate::parquet::error::EntryError;
use crate::parquet::footer::{UNSEALED, checksum, seal};
use crate::parquet::index::{Group, Index};
use crate::parquet::names::{CHECKSUM, CREATED_BY, FORMAT, PAGE_INDEX, SEGMENTS, STATE};
use crate::parquet::pages::{self, Encoder, Others, Packer};

/// The length of Parquet's magic number, with which a file begins.
const MAGIC_BYTES: usize = 4;

/// Writes row groups one column at a time.
pub(super) struct GroupWriter {
    schema: SchemaRef,
    file: SerializedFileWriter<Vec<u8>>,
    /// The leaves of each column.
    leaves: Vec<Range<usize>>,
    encoder: Encoder,
    /// For columns that are not plain.
    factory: ArrowRowGroupWriterFactory,
    groups: Vec<Group>,
    has_page_index: bool,
    /// The end of the last row group.
    end: usize,
}

impl GroupWriter {
    pub(super) fn new(schema: SchemaRef, zstd: bool) -> Result<Self, EntryError> {
        let packer = if zstd { Packer::zstd(ZstdLevel::default()) } else { Ok(Packer::None) };
        let packer = packer.map_err(ParquetError::from).map_err(EntryError::parquet("make a compressor"))?;
        let encoder = Encoder::new(packer);
        let properties = WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_compression(encoder.codec())
            .set_statistics_enabled(EnabledStatistics::Page)
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let (file, factory) = ArrowWriter::try_new_with_options(Vec::new(), SchemaRef::clone(&schema), options)
            .and_then(ArrowWriter::into_serialized_writer)
            .map_err(EntryError::parquet("begin an entry"))?;
        let leaves = pages::leaves_of(schema.fields().len(), file.schema_descr());
        Ok(Self { schema, file, leaves, encoder, factory, groups: Vec::new(), has_page_index: false, end: MAGIC_BYTES })
    }

    /// Writes the rows that `order` names as one row group; columns of the entry that are not given are null. A group of one bucket
    /// keeps its page index.
    pub(super) fn write(&mut self, order: &[u32], columns: &[PartColumn], is_piece: bool) -> Result<(), EntryError> {
        let decoded_bytes =
            self.write_group(order, columns, is_piece).map_err(EntryError::parquet("write a row group of an entry"))?;
        self.has_page_index |= is_piece;
        let bytes = self.file.inner().get(self.end..).unwrap_or_default();
        self.end += bytes.len();
        self.groups.push(Group {
            end: u64::try_from(self.end).unwrap_or(u64::MAX),
            decoded_bytes: u64::try_from(decoded_bytes).unwrap_or(u64::MAX),
            checksum: checksum(&[bytes]),
        });
        Ok(())
    }

    /// Returns the size of the file so far.
    pub(super) const fn len(&self) -> usize {
        self.end
    }

    /// Returns the size of the group's rows in memory, as they are read back.
    fn write_group(&mut self, order: &[u32], columns: &[PartColumn], is_piece: bool) -> Result<usize, ParquetError> {
        let mut others = Others::new(&self.factory, self.groups.len());
        let descr = self.file.schema_descr().columns().to_vec();
        let mut group = self.file.next_row_group()?;
        let mut decoded_bytes = 0;
        for (field, leaves) in self.schema.fields().iter().zip(&self.leaves) {
            let given = columns.iter().find(|column| column.field.name() == field.name());
            let flat = descr.get(leaves.start).filter(|leaf| pages::is_flat(leaf));
            let plain = match given {
                None => Some(&pages::Column::Null),
                Some(column) => column.plain.as_ref(),
            };
            if let (Some(plain), Some(leaf)) = (plain, flat) {
                let chunk = self.encoder.chunk(plain, order, leaf)?;
                decoded_bytes += chunk.decoded_bytes();
                chunk.append_to(&mut group, is_piece)?;
                continue;
            }
            let rows = match given {
                None => new_null_array(field.data_type(), order.len()),
                Some(column) => take(&column.array, &UInt32Array::from(order.to_vec()), None)?,
            };
            decoded_bytes += bytes_of(&rows);
            others.write(field, &rows, leaves.clone(), &mut group, is_piece)?;
        }
        group.close()?;
        self.file.flush()?;
        Ok(decoded_bytes)
    }

    pub(super) fn finish(
        mut self,
        state: &LaneState,
        index: impl FnOnce(Vec<Group>) -> Index,
    ) -> Result<Bytes, EntryError> {
        let state = serde_json::to_string(state).map_err(EntryError::json("write the state of a lane"))?;
        let index = index(std::mem::take(&mut self.groups));
        let index = serde_json::to_string(&index).map_err(EntryError::json("write the index of an entry"))?;
        let mut says = vec![(FORMAT, STATE_VERSION.to_string()), (STATE, state), (SEGMENTS, index)];
        if self.has_page_index {
            says.push((PAGE_INDEX, UNSEALED.to_owned()));
        }
        // The checksums are the last: they are found by their keys, which the values before them might mention.
        says.push((CHECKSUM, UNSEALED.to_owned()));
        for (key, value) in says {
            self.file.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        let bytes = self.file.into_inner();
        seal(bytes.map_err(EntryError::parquet("finish an entry"))?, self.end)
    }
}
