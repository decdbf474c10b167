//! Rows to an entry: one Parquet file, with the whole state of the lane in its footer.
//!
//! Rows are sorted by scope, bucket and arrival, and gathered one column at a time; row groups run across buckets, and
//! the index in the footer says where each bucket is. A big piece of a bucket has row groups of its own, with statistics and
//! page index as published files have them: they are copied as they are. Dead letters stand behind the rows, in columns of
//! their own that are there only if they are needed.

mod groups;
mod writer;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema, SchemaRef};
use bytes::Bytes;

use self::groups::{GroupRows, Grouping};
use self::writer::GroupWriter;
use super::error::EntryError;
use super::index::{Index, Segment};
use super::names::{DEAD, KAFKA_OFFSET, KAFKA_TIMESTAMP};
use super::pages;
use super::sort::{Sorted, sort};
use crate::engine::state::{LaneState, Scope};

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
    /// The size in memory that the rows of a row group should not pass, in bytes: whoever assembles a close has one of each entry.
    pub group_bytes: usize,
    /// From this many rows on, a piece of a bucket has row groups of its own, which published files copy.
    pub piece_rows: usize,
    /// The same by the size of the rows in memory, in bytes: rows may be few and long. Sizes are averages of all rows of the entry.
    pub piece_bytes: usize,
    /// The same as [`Self::piece_rows`] for a piece of what the entry closes, if it holds most of it: the file gets few row groups anyway.
    pub closing_piece_rows: usize,
    /// The same by their size in bytes; for dead letters, too, whatever closes: nobody reads them often, and so their row groups may be small.
    pub closing_piece_bytes: usize,
    /// The entry holds a good part of each epoch that it has rows of, so that no file gets many row groups, whatever is copied.
    pub is_long: bool,
    /// The most rows of a row group that is copied.
    pub copied_rows: usize,
    /// The size in memory that the rows of such a row group should not pass, in bytes: it is read compressed, and not decoded.
    pub copied_bytes: usize,
    /// Fewer rows are not compressed by Zstandard, unless they are large: below, creating its contexts costs more than it saves.
    pub zstd_from_rows: usize,
    /// From this many bytes in memory on, fewer rows are compressed, too.
    pub zstd_from_bytes: usize,
}

impl Default for EntryOptions {
    fn default() -> Self {
        Self {
            group_rows: 32_768,
            group_bytes: 8 << 20,
            piece_rows: 20_000,
            piece_bytes: 4 << 20,
            // To copy a row group costs about what it costs to decode and encode 200 rows.
            closing_piece_rows: 1_000,
            closing_piece_bytes: 2 << 20,
            is_long: false,
            copied_rows: 131_072,
            copied_bytes: 32 << 20,
            zstd_from_rows: 1_000,
            zstd_from_bytes: 1 << 20,
        }
    }
}

/// Returns the bytes of the entry that carries `state` and `content`.
///
/// # Errors
/// When the rows do not fit their tags, lack a column, or cannot be written as Parquet.
pub fn write_entry(state: &LaneState, content: &Content, options: &EntryOptions) -> Result<Bytes, EntryError> {
    write_entry_watched(state, content, options, &mut |_| ())
}

/// The same; `grown` hears the size of the entry after each row group, in bytes.
///
/// # Errors
/// See [`write_entry`].
pub fn write_entry_watched(
    state: &LaneState,
    content: &Content,
    options: &EntryOptions,
    grown: &mut dyn FnMut(usize),
) -> Result<Bytes, EntryError> {
    let rows = Part::of_rows(content)?;
    let dead = Part::of_dead(content)?;
    let schema = entry_schema(&rows, &dead)?;
    let (count, bytes) = (rows.count() + dead.count(), rows.bytes() + dead.bytes());

    let mut file = GroupWriter::new(schema, count >= options.zstd_from_rows || bytes >= options.zstd_from_bytes)?;
    for part in [&rows, &dead] {
        for GroupRows { rows, is_piece } in
            Grouping::new(state, options, part.bytes() / part.count().max(1)).groups(&part.sorted.segments)
        {
            file.write(part.sorted.order.get(rows).unwrap_or_default(), &part.columns, is_piece)?;
            grown(file.len());
        }
    }
    let mut segments = rows.sorted.segments;
    let shift = u64::try_from(rows.sorted.order.len()).unwrap_or(u64::MAX);
    segments.extend(dead.sorted.segments.into_iter().map(|s| Segment { start: s.start + shift, ..s }));
    file.finish(state, |groups| Index::new(content.partition_by.clone(), groups, &segments))
}

/// Rows or dead letters, under the names that their columns have in an entry.
struct Part {
    columns: Vec<PartColumn>,
    sorted: Sorted,
}

/// A column of rows or dead letters.
struct PartColumn {
    field: FieldRef,
    array: ArrayRef,
    /// The same values, if they can be written page by page.
    plain: Option<pages::Column>,
}

impl PartColumn {
    fn new(name: &str, array: &ArrayRef) -> Self {
        // Where a text stands in memory is no matter of its type.
        let mut kind = array.data_type();
        while let DataType::Dictionary(_, values) = kind {
            kind = values;
        }
        let field = Arc::new(Field::new(name, kind.clone(), name != KAFKA_OFFSET));
        Self { field, array: Arc::clone(array), plain: pages::Column::of(array) }
    }
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
        let fields = rows.schema_ref().fields().iter().zip(rows.columns());
        let columns = fields.map(|(field, array)| PartColumn::new(name(field.name()), array)).collect();
        Ok(Self { columns, sorted })
    }

    fn count(&self) -> usize {
        self.sorted.order.len()
    }

    /// Returns the size of the rows in memory.
    fn bytes(&self) -> usize {
        self.columns.iter().map(|column| bytes_of(&column.array)).sum()
    }
}

/// Returns the size of the values of a column in memory.
fn bytes_of(column: &ArrayRef) -> usize {
    column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_buffer_memory_size())
}

/// Returns the columns of the entry: those of its rows, then those that only dead letters have.
fn entry_schema(rows: &Part, dead: &Part) -> Result<SchemaRef, EntryError> {
    let mut fields: Vec<FieldRef> = rows.columns.iter().map(|column| Arc::clone(&column.field)).collect();
    for PartColumn { field, .. } in &dead.columns {
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

#[cfg(test)]
mod tests;
