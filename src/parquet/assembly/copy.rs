//! Row groups of entries that published files take as they are, without decoding them.

use std::io::Write;

use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Compression, LogicalType};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor};

use super::AssembleError;
use super::shape::{Origin, Shape};
use crate::parquet::names::KAFKA_OFFSET;
use crate::parquet::pages::{Column, Constant, Encoder, Packer, is_flat, leaves_of};
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

/// Whether row groups of the entry hold all that the files want, under the codec of the files.
fn is_alike(entry: &EntryReader, shape: &Shape, file: &SchemaDescriptor, codec: Compression) -> bool {
    let Some(group) = entry.metadata().row_groups().first() else { return false };
    let Some(sources) = sources(group, shape, file) else { return false };
    sources.iter().all(|source| match source {
        Source::Copied(leaf) => group.column(*leaf).compression() == codec,
        Source::Constant(_) | Source::Required(_) => true,
    })
}

/// What a column of a file is made of, where a row group of an entry is copied.
enum Source<'a> {
    /// What all rows share, which no entry holds.
    Constant(Constant<'a>),
    /// A leaf of the entry as it is, but for its name.
    Copied(usize),
    /// A leaf of texts that may be null in an entry, where other rows stand beside them, and never in a file: pages say so, or do not, and
    /// so it is written again.
    Required(usize),
}

/// Returns what each leaf of the files is made of. `None` if a column is missing, or is of another type.
fn sources<'a>(group: &RowGroupMetaData, shape: &'a Shape, file: &SchemaDescriptor) -> Option<Vec<Source<'a>>> {
    let mut sources = Vec::new();
    for (origin, wanted) in shape.origins().iter().zip(leaves_of(shape.origins().len(), file)) {
        match origin {
            Origin::Text(text) => sources.push(Source::Constant(Constant::Text(text))),
            Origin::Number(number) => sources.push(Source::Constant(Constant::Number(*number))),
            Origin::Entry(name) => {
                let leaves = group.columns().iter().enumerate();
                let of_column = leaves.filter(|(_, column)| column.column_path().parts().first() == Some(name));
                let wanted = file.columns().get(wanted)?;
                let (before, mut wanted) = (sources.len(), wanted.iter());
                for (leaf, column) in of_column {
                    sources.push(source(leaf, &column.column_descr_ptr(), wanted.next()?)?);
                }
                if sources.len() == before || wanted.next().is_some() {
                    return None;
                }
            }
        }
    }
    Some(sources)
}

/// Returns how the leaf `found` of an entry becomes the leaf `wanted` of a file; `None` if it must be decoded.
fn source<'a>(leaf: usize, found: &ColumnDescPtr, wanted: &ColumnDescPtr) -> Option<Source<'a>> {
    if found == wanted {
        return Some(Source::Copied(leaf));
    }
    let kind = |descr: &ColumnDescPtr| {
        let (logical, converted) = (descr.logical_type_ref().cloned(), descr.converted_type());
        (descr.physical_type(), logical, converted, descr.type_length(), descr.type_precision(), descr.type_scale())
    };
    if !is_flat(found) || !is_flat(wanted) || kind(found) != kind(wanted) {
        return None;
    }
    // Dead letters have other names in an entry, where they stand beside the user's columns.
    match (found.max_def_level(), wanted.max_def_level()) {
        (found, wanted) if found == wanted => Some(Source::Copied(leaf)),
        (1, 0) if wanted.logical_type_ref() == Some(&LogicalType::String) => Some(Source::Required(leaf)),
        _ => None,
    }
}

/// Returns what `metadata` says, as the metadata of the leaf `descr`.
fn renamed(metadata: &ColumnChunkMetaData, descr: &ColumnDescPtr) -> Result<ColumnChunkMetaData, ParquetError> {
    if metadata.column_descr() == descr.as_ref() {
        return Ok(metadata.clone());
    }
    let mut builder = ColumnChunkMetaData::builder(ColumnDescPtr::clone(descr))
        .set_compression_codec(metadata.compression_codec())
        .set_encodings_mask(*metadata.encodings_mask())
        .set_total_compressed_size(metadata.compressed_size())
        .set_total_uncompressed_size(metadata.uncompressed_size())
        .set_num_values(metadata.num_values())
        .set_data_page_offset(metadata.data_page_offset())
        .set_dictionary_page_offset(metadata.dictionary_page_offset());
    if let Some(statistics) = metadata.statistics() {
        builder = builder.set_statistics(statistics.clone());
    }
    if let Some(pages) = metadata.page_encoding_stats() {
        builder = builder.set_page_encoding_stats(pages.clone());
    } else if let Some(pages) = metadata.page_encoding_stats_mask() {
        builder = builder.set_page_encoding_stats_mask(*pages);
    }
    builder.build()
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
    let write = |source| AssembleError::Write { source };
    let rows = usize::try_from(group.num_rows()).map_err(|_| contradiction("a negative number of rows"))?;
    let mut encoder = Encoder::new(Packer::None);
    let descr = file.schema_descr().columns().to_vec();
    let sources = sources(group, shape, file.schema_descr())
        .ok_or_else(|| contradiction("its columns are not those of the file"))?;
    let mut offsets = None;
    let mut out = file.next_row_group().map_err(write)?;
    for (source, descr) in sources.into_iter().zip(&descr) {
        let leaf = match source {
            Source::Copied(leaf) => leaf,
            Source::Constant(value) => {
                let chunk = encoder.constant(value, rows, descr).map_err(write)?;
                chunk.append_to(&mut out, true).map_err(write)?;
                continue;
            }
            Source::Required(leaf) => {
                let values = entry.leaf(&bytes, number, leaf).map_err(failed)?;
                let column = Column::interned(&values).ok_or_else(|| contradiction("a column is no text"))?;
                let order: Vec<u32> = (0..u32::try_from(rows).unwrap_or(u32::MAX)).collect();
                let chunk = encoder.chunk(&column, &order, descr).map_err(write)?;
                chunk.append_to(&mut out, true).map_err(write)?;
                continue;
            }
        };
        let metadata = renamed(group.column(leaf), descr).map_err(write)?;
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
