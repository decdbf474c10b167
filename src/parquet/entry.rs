//! Rows to an entry: one Parquet file, with the whole state of the lane in its footer.
//!
//! Rows are sorted by scope, bucket and arrival, and gathered one column at a time; row groups run across buckets, and
//! the index in the footer says where each bucket is. Dead letters stand behind the rows, in columns of their own that
//! are there only if they are needed. There are no statistics and no page index: nobody searches in an entry.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use arrow::{array::AsArray, datatypes::FieldRef};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;

use super::error::EntryError;
use super::footer::{UNSEALED, checksum, seal};
use super::index::{Group, Index, Segment};
use super::names::{CHECKSUM, CREATED_BY, DEAD, FORMAT, KAFKA_OFFSET, KAFKA_TIMESTAMP, SEGMENTS, STATE};
use super::sort::{Sorted, sort};
use crate::engine::state::{LaneState, STATE_VERSION, Scope};

/// The length of Parquet's magic number, with which a file begins.
const MAGIC_BYTES: usize = 4;

/// Where a row belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowTag {
    /// Its scope, a number in [`Content::scopes`].
    pub scope: u32,
    /// Its bucket, a number in [`Content::buckets`].
    pub bucket: u32,
}

/// The rows of an entry, in the order in which they arrived.
#[derive(Debug, Clone)]
pub struct EntryRows {
    /// The user's columns, `_extra`, `_kafka_offset` and `_kafka_timestamp`.
    pub rows: RecordBatch,
    /// One tag for each row.
    pub tags: Vec<RowTag>,
}

/// The dead letters of an entry, in the order in which they arrived.
#[derive(Debug, Clone)]
pub struct DeadRows {
    /// `_kafka_offset`, `_kafka_timestamp`, `reason`, `detail`, `key` and `value`.
    pub rows: RecordBatch,
    /// The bucket of each row, a number in [`Content::buckets`].
    pub buckets: Vec<u32>,
}

/// All that came since the entry before.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// The partition columns that the buckets of rows are made of.
    pub partition_by: Vec<String>,
    /// The scopes that tags name.
    pub scopes: Vec<Scope>,
    /// The buckets that tags name: one value for each of `partition_by`; for dead letters year, month and day.
    pub buckets: Vec<Vec<Option<String>>>,
    /// The rows.
    pub rows: Option<EntryRows>,
    /// The dead letters.
    pub dead: Option<DeadRows>,
}

/// How entries are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryOptions {
    /// The most rows of a row group.
    pub group_rows: usize,
    /// The size in memory that the rows of a row group should not pass, in bytes.
    pub group_bytes: usize,
    /// Fewer rows are compressed with LZ4: below, creating the contexts of Zstandard costs more than it saves.
    pub zstd_from_rows: usize,
}

impl Default for EntryOptions {
    fn default() -> Self {
        Self { group_rows: 32_768, group_bytes: 32 << 20, zstd_from_rows: 1_000 }
    }
}

/// Returns the bytes of the entry that carries `state` and `content`.
///
/// # Errors
/// When the rows do not fit their tags, lack a column, or cannot be written as Parquet.
pub fn write_entry(state: &LaneState, content: &Content, options: &EntryOptions) -> Result<Bytes, EntryError> {
    let rows = Part::of_rows(content)?;
    let dead = Part::of_dead(content)?;
    let schema = entry_schema(&rows, &dead)?;
    let total = rows.sorted.order.len() + dead.sorted.order.len();

    let mut file = GroupWriter::new(schema, total >= options.zstd_from_rows)?;
    for part in [&rows, &dead] {
        let group_rows = part.group_rows(options);
        for order in part.sorted.order.chunks(group_rows) {
            file.write(order, &part.columns)?;
        }
    }
    let mut segments = rows.sorted.segments;
    let shift = u64::try_from(rows.sorted.order.len()).unwrap_or(u64::MAX);
    segments.extend(dead.sorted.segments.into_iter().map(|s| Segment { start: s.start + shift, ..s }));
    file.finish(state, |groups| Index::new(content.partition_by.clone(), groups, &segments))
}

/// Rows or dead letters, under the names that their columns have in an entry.
struct Part {
    columns: Vec<(FieldRef, ArrayRef)>,
    sorted: Sorted,
}

impl Part {
    fn of_rows(content: &Content) -> Result<Self, EntryError> {
        let Some(EntryRows { rows, tags }) = &content.rows else {
            return Ok(Self { columns: Vec::new(), sorted: Sorted::default() });
        };
        let scope_is_dead = |tag: &RowTag| {
            let scope = usize::try_from(tag.scope).ok().and_then(|scope| content.scopes.get(scope));
            matches!(scope, Some(Scope::DeadLetter))
        };
        if tags.iter().any(scope_is_dead) {
            return Err(EntryError::rows("a row in the scope of dead letters"));
        }
        let tags = tags.iter().map(|tag| (tag.scope, tag.bucket)).collect::<Vec<_>>();
        Self::new(rows, &tags, &content.scopes, &content.buckets, |name| name)
    }

    fn of_dead(content: &Content) -> Result<Self, EntryError> {
        let Some(DeadRows { rows, buckets }) = &content.dead else {
            return Ok(Self { columns: Vec::new(), sorted: Sorted::default() });
        };
        if let Some((lacks, _)) = DEAD.iter().find(|(name, _)| rows.column_by_name(name).is_none()) {
            return Err(EntryError::rows(format!("dead letters lack the column `{lacks}`")));
        }
        if rows.column_by_name("reason").is_some_and(|reasons| reasons.null_count() > 0) {
            return Err(EntryError::rows("a dead letter without a reason"));
        }
        let tags = buckets.iter().map(|bucket| (0, *bucket)).collect::<Vec<_>>();
        Self::new(rows, &tags, &[Scope::DeadLetter], &content.buckets, |name| {
            DEAD.iter().find(|(published, _)| *published == name).map_or(name, |(_, entry)| entry)
        })
    }

    fn new(
        rows: &RecordBatch,
        tags: &[(u32, u32)],
        scopes: &[Scope],
        buckets: &[Vec<Option<String>>],
        name: impl Fn(&str) -> &str,
    ) -> Result<Self, EntryError> {
        if tags.len() != rows.num_rows() {
            return Err(EntryError::rows(format!("{} tags for {} rows", tags.len(), rows.num_rows())));
        }
        if rows.num_rows() == 0 {
            return Ok(Self { columns: Vec::new(), sorted: Sorted::default() });
        }
        let offsets = rows.column_by_name(KAFKA_OFFSET).and_then(|column| column.as_primitive_opt::<Int64Type>());
        let offsets = offsets.filter(|column| column.null_count() == 0);
        let offsets =
            offsets.ok_or_else(|| EntryError::rows(format!("no column `{KAFKA_OFFSET}` of 64-bit integers")))?;
        if rows.column_by_name(KAFKA_TIMESTAMP).is_none() {
            return Err(EntryError::rows(format!("no column `{KAFKA_TIMESTAMP}`")));
        }
        let sorted = sort(tags, scopes, buckets, offsets.values())?;
        let field = |field: &FieldRef| {
            let nullable = field.name() != KAFKA_OFFSET;
            Arc::new(Field::new(name(field.name()), field.data_type().clone(), nullable))
        };
        let columns = rows.schema_ref().fields().iter().map(field).zip(rows.columns().iter().cloned()).collect();
        Ok(Self { columns, sorted })
    }

    /// Returns how many rows a row group takes, from the size that they have on average.
    fn group_rows(&self, options: &EntryOptions) -> usize {
        let bytes: usize = self.columns.iter().map(|(_, column)| bytes_of(column)).sum();
        let row_bytes = bytes / self.sorted.order.len().max(1);
        (options.group_bytes / row_bytes.max(1)).clamp(1, options.group_rows.max(1))
    }
}

/// Returns the size of the values of a column in memory.
fn bytes_of(column: &ArrayRef) -> usize {
    column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_buffer_memory_size())
}

/// Returns the columns of the entry: those of its rows, then those that only dead letters have.
fn entry_schema(rows: &Part, dead: &Part) -> Result<SchemaRef, EntryError> {
    let mut fields: Vec<FieldRef> = rows.columns.iter().map(|(field, _)| Arc::clone(field)).collect();
    for (field, _) in &dead.columns {
        let is_dead_only = DEAD.iter().any(|(_, name)| name == field.name());
        if rows.columns.is_empty() || is_dead_only {
            fields.push(Arc::clone(field));
        }
    }
    if fields.is_empty() {
        fields.push(Arc::new(Field::new(KAFKA_OFFSET, DataType::Int64, false)));
    }
    let mut names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(EntryError::rows(format!("two columns are named `{}`", twice[0])));
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// Writes row groups one column at a time.
struct GroupWriter {
    schema: SchemaRef,
    file: SerializedFileWriter<Vec<u8>>,
    factory: ArrowRowGroupWriterFactory,
    groups: Vec<Group>,
    /// The end of the last row group.
    end: usize,
}

impl GroupWriter {
    fn new(schema: SchemaRef, zstd: bool) -> Result<Self, EntryError> {
        let codec = if zstd { Compression::ZSTD(ZstdLevel::default()) } else { Compression::LZ4_RAW };
        let properties = WriterProperties::builder()
            .set_created_by(CREATED_BY.to_owned())
            .set_compression(codec)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_offset_index_disabled(true)
            .set_data_page_size_limit(64 << 10)
            .set_data_page_row_count_limit(8_192)
            .set_dictionary_page_size_limit(256 << 10)
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let (file, factory) = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&schema), options)
            .and_then(ArrowWriter::into_serialized_writer)
            .map_err(EntryError::parquet("begin an entry"))?;
        Ok(Self { schema, file, factory, groups: Vec::new(), end: MAGIC_BYTES })
    }

    /// Writes the rows that `order` names as one row group; columns of the entry that are not given are null.
    fn write(&mut self, order: &[u32], columns: &[(FieldRef, ArrayRef)]) -> Result<(), EntryError> {
        let indices = UInt32Array::from(order.to_vec());
        let mut decoded_bytes = 0;
        self.write_group(|field| {
            let Some((_, column)) = columns.iter().find(|(given, _)| given.name() == field.name()) else {
                return Ok(new_null_array(field.data_type(), indices.len()));
            };
            let taken = take(column, &indices, None)?;
            decoded_bytes += bytes_of(&taken);
            Ok(taken)
        })
        .map_err(EntryError::parquet("write a row group of an entry"))?;
        let bytes = self.file.inner().get(self.end..).unwrap_or_default();
        self.end += bytes.len();
        self.groups.push(Group {
            end: u64::try_from(self.end).unwrap_or(u64::MAX),
            decoded_bytes: u64::try_from(decoded_bytes).unwrap_or(u64::MAX),
            checksum: checksum(&[bytes]),
        });
        Ok(())
    }

    fn write_group(
        &mut self,
        mut column: impl FnMut(&Field) -> Result<ArrayRef, ParquetError>,
    ) -> Result<(), ParquetError> {
        let mut writers = self.factory.create_column_writers(self.groups.len())?.into_iter();
        let mut group = self.file.next_row_group()?;
        for field in self.schema.fields() {
            for leaf in compute_leaves(field, &column(field)?)? {
                let writer = writers.next();
                let mut writer = writer.ok_or_else(|| ParquetError::General("fewer columns than leaves".to_owned()))?;
                writer.write(&leaf)?;
                writer.close()?.append_to_row_group(&mut group)?;
            }
        }
        group.close()?;
        self.file.flush()?;
        Ok(())
    }

    fn finish(mut self, state: &LaneState, index: impl FnOnce(Vec<Group>) -> Index) -> Result<Bytes, EntryError> {
        let state = serde_json::to_string(state).map_err(EntryError::json("write the state of a lane"))?;
        let index = index(std::mem::take(&mut self.groups));
        let index = serde_json::to_string(&index).map_err(EntryError::json("write the index of an entry"))?;
        let format = STATE_VERSION.to_string();
        // The checksum is the last: it is found by its key, which the values before it might mention.
        for (key, value) in [(FORMAT, format), (STATE, state), (SEGMENTS, index), (CHECKSUM, UNSEALED.to_owned())] {
            self.file.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        let bytes = self.file.into_inner();
        seal(bytes.map_err(EntryError::parquet("finish an entry"))?, self.end)
    }
}

#[cfg(test)]
mod tests;
