//! Row groups of entries that published files take as they are, without decoding them.

use std::io::Write;

use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::Compression;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescriptor;

use super::AssembleError;
use super::shape::{Origin, Shape};
use crate::parquet::names::KAFKA_OFFSET;
use crate::parquet::pages::{Encoder, Packer};
use crate::parquet::plan::FilePlan;
use crate::parquet::reader::EntryReader;

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Copied {
    pub(super) rows: u64,
    /// The lowest and the highest offset.
    pub(super) offsets: (i64, i64),
}

/// Decides which parts of `files` are copied.
///
/// # Errors
/// When the columns of the files are none that Parquet knows.
pub(super) fn plan(
    files: &mut [FilePlan],
    entries: &[EntryReader],
    shape: &Shape,
    codec: Compression,
) -> Result<(), ParquetError> {
    let file = ArrowSchemaConverter::new().with_coerce_types(true).convert(shape.schema())?;
    let alike: Vec<bool> = entries.iter().map(|entry| is_alike(entry, shape, &file, codec)).collect();
    // What is added to `_extra` changes the rows.
    let buckets = files.iter_mut().flat_map(|file| &mut file.buckets).filter(|bucket| bucket.keeps.is_empty());
    for part in buckets.flat_map(|bucket| &mut bucket.parts) {
        if alike.get(part.entry).is_some_and(|alike| *alike) {
            part.copied = entries.get(part.entry).and_then(|entry| entry.groups_of(part.segment));
        }
    }
    Ok(())
}

/// Whether the columns of the entry's row groups are those of the files, value for value.
fn is_alike(entry: &EntryReader, shape: &Shape, file: &SchemaDescriptor, codec: Compression) -> bool {
    let groups = entry.metadata().row_groups();
    let (Some(group), Some(sources)) = (groups.first(), groups.first().and_then(|group| sources(group, shape))) else {
        return false;
    };
    let alike = |(place, source): (usize, &Option<usize>)| {
        source.is_none_or(|leaf| {
            let column = group.column(leaf);
            column.column_descr() == file.column(place).as_ref() && column.compression() == codec
        })
    };
    sources.len() == file.num_columns() && sources.iter().enumerate().all(alike)
}

/// Returns the leaf of the entry for each leaf of the files; within, `None` for the number that all rows share. `None` if a column is
/// missing, or is made of something else.
fn sources(group: &RowGroupMetaData, shape: &Shape) -> Option<Vec<Option<usize>>> {
    let mut sources = Vec::new();
    for origin in shape.origins() {
        match origin {
            Origin::Text(_) => return None,
            Origin::Number(_) => sources.push(None),
            Origin::Entry(name) => {
                let leaves = group.columns().iter().enumerate();
                let of_column = leaves.filter(|(_, column)| column.column_path().parts().first() == Some(name));
                let before = sources.len();
                sources.extend(of_column.map(|(leaf, _)| Some(leaf)));
                if sources.len() == before {
                    return None;
                }
            }
        }
    }
    Some(sources)
}

/// Appends row group `number` of `entry` to `file`.
///
/// # Errors
/// When the entry cannot be read, or the file cannot be written.
pub(super) fn copy<W: Write + Send>(
    entry: &EntryReader,
    number: usize,
    shape: &Shape,
    file: &mut SerializedFileWriter<W>,
) -> Result<Copied, AssembleError> {
    let failed = |source| AssembleError::Entry { entry: entry.state().entry, source };
    let bytes = entry.group(number).map_err(failed)?;
    let indexed = entry.indexed().map_err(failed)?;
    let (group, page_index) = (indexed.row_group(number), indexed.page_index_for_row_group(number));
    let contradiction = |what: &str| AssembleError::Contradiction { what: format!("row group {number}: {what}") };
    let sources = sources(group, shape).ok_or_else(|| contradiction("columns are missing"))?;
    let write = |source| AssembleError::Write { source };
    let rows = usize::try_from(group.num_rows()).map_err(|_| contradiction("a negative number of rows"))?;
    let mut encoder = Encoder::new(Packer::None);
    let descr = file.schema_descr().columns().to_vec();
    let mut offsets = None;
    let mut out = file.next_row_group().map_err(write)?;
    let mut numbers = shape.origins().iter().filter_map(|origin| match origin {
        Origin::Number(number) => Some(*number),
        Origin::Entry(_) | Origin::Text(_) => None,
    });
    for (source, descr) in sources.into_iter().zip(&descr) {
        let Some(leaf) = source else {
            let number = numbers.next().unwrap_or_default();
            let chunk = encoder.constant(number, rows, descr).map_err(write)?;
            chunk.append_to(&mut out, true).map_err(write)?;
            continue;
        };
        let metadata = group.column(leaf).clone();
        if descr.name() == KAFKA_OFFSET
            && let Some(Statistics::Int64(values)) = metadata.statistics()
        {
            offsets = values.min_opt().copied().zip(values.max_opt().copied());
        }
        let close = ColumnCloseResult {
            bytes_written: u64::try_from(metadata.compressed_size()).unwrap_or(0),
            rows_written: u64::try_from(rows).unwrap_or(0),
            metadata,
            bloom_filter: None,
            column_index: page_index.column_index(leaf).cloned(),
            offset_index: page_index.offset_index(leaf).cloned(),
        };
        out.append_column(&bytes, close).map_err(write)?;
    }
    out.close().map_err(write)?;
    let offsets = offsets.ok_or_else(|| contradiction("no bounds of its offsets"))?;
    Ok(Copied { rows: u64::try_from(rows).unwrap_or(0), offsets })
}
