//! One published file, as it is written.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::{concat_batches, max, min};
use arrow::datatypes::Int64Type;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves};
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;

use super::copy::{Copied, copy};
use super::shape::Shape;
use super::texts::put_together;
use super::{AssembleError, AssemblyOptions, WrittenFile};
use crate::engine::state::{Close, LaneState, Scope};
use crate::parquet::extra;
use crate::parquet::names::{CREATED_BY, SAYS};
use crate::parquet::pages::{Column, Encoder, Others, is_flat, leaves_of};
use crate::parquet::plan::FilePlan;
use crate::parquet::reader::EntryReader;

/// Returns how a file is written, and what it says of itself.
pub(super) fn file_properties(
    close: &Close,
    lane: &LaneState,
    file: &FilePlan,
    codec: Compression,
) -> WriterProperties {
    let kind = match close.scope {
        Scope::OnTime(_) => "on_time",
        Scope::Late(_) => "late",
        Scope::DeadLetter => "dead_letter",
    };
    let mut says = vec![
        ("topic", lane.identity.topic.clone()),
        ("kafka_partition", lane.identity.partition.to_string()),
        ("chain", lane.chain.to_string()),
        ("closing_entry", close.entry.number.to_string()),
        ("kind", kind.to_owned()),
    ];
    if let Some(epoch) = close.scope.epoch() {
        says.push(("epoch_start", epoch.start.to_string()));
        says.push(("epoch_end", epoch.end.to_string()));
    }
    says.extend([
        ("rows", file.rows().to_string()),
        ("first_offset", file.first_offset().to_string()),
        ("last_offset", file.last_offset().to_string()),
        ("schema", close.recipe.schema.to_string()),
        ("layout", close.recipe.layout.to_string()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    let says = says.into_iter().map(|(key, value)| KeyValue::new(format!("{SAYS}{key}"), value));
    WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_key_value_metadata(Some(says.collect()))
        .set_compression(codec)
        // Lists and maps under the names that the format gives to their inner fields.
        .set_coerce_types(true)
        .set_statistics_enabled(EnabledStatistics::Page)
        .build()
}

/// Encodes rows in chunks of one size, whatever pieces they come in: where pages end depends on how rows are handed over.
pub(super) struct FileWriter<'a, W: Write + Send> {
    file: SerializedFileWriter<W>,
    factory: ArrowRowGroupWriterFactory,
    shape: &'a Shape,
    options: &'a AssemblyOptions,
    chunk_rows: usize,
    waiting: VecDeque<RecordBatch>,
    waiting_rows: usize,
    /// The row group that is being encoded.
    group: Option<OpenGroup>,
    /// For a file with few rows to encode: they are written at once, page by page.
    pages: Option<&'a mut Encoder>,
    /// Texts that are keys wait as such.
    by_keys: bool,
    row_groups: usize,
    rows: u64,
    /// The lowest and the highest offset so far.
    offsets: Option<(i64, i64)>,
}

/// A row group that is being encoded.
struct OpenGroup {
    columns: Vec<ArrowColumnWriter>,
    rows: usize,
}

impl OpenGroup {
    /// Returns the size that it has so far, about.
    fn bytes(&self) -> usize {
        self.columns.iter().map(ArrowColumnWriter::get_estimated_total_bytes).sum()
    }
}

fn write_error(source: impl Into<ParquetError>) -> AssembleError {
    AssembleError::Write { source: source.into() }
}

impl<'a, W: Write + Send> FileWriter<'a, W> {
    pub(super) fn new(
        to: W,
        properties: WriterProperties,
        shape: &'a Shape,
        options: &'a AssemblyOptions,
        chunk_rows: usize,
        pages: Option<&'a mut Encoder>,
        by_keys: bool,
    ) -> Result<Self, AssembleError> {
        let writer_options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let (file, factory) = ArrowWriter::try_new_with_options(to, Arc::clone(shape.schema()), writer_options)
            .and_then(ArrowWriter::into_serialized_writer)
            .map_err(write_error)?;
        Ok(Self {
            file,
            factory,
            shape,
            options,
            chunk_rows: chunk_rows.max(1),
            waiting: VecDeque::new(),
            waiting_rows: 0,
            group: None,
            by_keys: by_keys && pages.is_some(),
            pages,
            row_groups: 0,
            rows: 0,
            offsets: None,
        })
    }

    /// Takes rows of one bucket; `kept` has the partition values that go into their `_extra`.
    pub(super) fn push(&mut self, rows: RecordBatch, kept: &[(&str, Option<&str>)]) -> Result<(), AssembleError> {
        let rows = if self.by_keys { rows } else { self.shape.write_out(rows)? };
        let mut rows = if kept.is_empty() { rows } else { keep(rows, self.shape, kept)? };
        self.count_rows(&rows);
        while self.pages.is_none() && self.waiting_rows + rows.num_rows() >= self.chunk_rows {
            let taken = self.chunk_rows - self.waiting_rows;
            self.waiting.push_back(rows.slice(0, taken));
            rows = rows.slice(taken, rows.num_rows() - taken);
            self.encode()?;
        }
        if rows.num_rows() > 0 {
            self.waiting_rows += rows.num_rows();
            self.waiting.push_back(rows);
        }
        Ok(())
    }

    /// Takes a row group of an entry as it is.
    pub(super) fn copy(&mut self, entry: &EntryReader, group: usize) -> Result<(), AssembleError> {
        self.encode()?;
        self.end_group()?;
        let Copied { rows, offsets: (low, high) } = copy(entry, group, self.shape, &mut self.file)?;
        self.row_groups += 1;
        self.count(rows, low, high);
        Ok(())
    }

    fn count_rows(&mut self, rows: &RecordBatch) {
        let offsets = rows.column(self.shape.offset()).as_primitive_opt::<Int64Type>();
        let Some((low, high)) = offsets.and_then(|offsets| min(offsets).zip(max(offsets))) else { return };
        self.count(u64::try_from(rows.num_rows()).unwrap_or(0), low, high);
    }

    fn count(&mut self, rows: u64, low: i64, high: i64) {
        self.rows += rows;
        let (first, last) = self.offsets.unwrap_or((low, high));
        self.offsets = Some((first.min(low), last.max(high)));
    }

    fn encode(&mut self) -> Result<(), AssembleError> {
        self.waiting_rows = 0;
        let mut waiting = std::mem::take(&mut self.waiting);
        if self.pages.is_some() {
            return self.write_pages(waiting.make_contiguous());
        }
        let mut rows = match waiting.len() {
            0 => return Ok(()),
            1 => waiting.into_iter().next(),
            _ => Some(concat_batches(self.shape.schema(), &waiting).map_err(write_error)?),
        };
        while let Some(batch) = rows.take() {
            let number = self.row_groups;
            let group = match &mut self.group {
                Some(group) => group,
                none => {
                    let columns = self.factory.create_column_writers(number).map_err(write_error)?;
                    none.insert(OpenGroup { columns, rows: 0 })
                }
            };
            let fits = batch.num_rows().min(self.options.group_rows.max(1) - group.rows);
            let mut columns = group.columns.iter_mut();
            for (field, column) in self.shape.schema().fields().iter().zip(batch.slice(0, fits).columns()) {
                for leaf in compute_leaves(field, column).map_err(write_error)? {
                    columns.next().map_or(Ok(()), |writer| writer.write(&leaf)).map_err(write_error)?;
                }
            }
            group.rows += fits;
            if group.rows >= self.options.group_rows || group.bytes() >= self.options.group_bytes {
                self.end_group()?;
            }
            rows = (fits < batch.num_rows()).then(|| batch.slice(fits, batch.num_rows() - fits));
        }
        Ok(())
    }

    /// Writes rows as row groups, page by page.
    fn write_pages(&mut self, rows: &[RecordBatch]) -> Result<(), AssembleError> {
        let most = self.options.group_rows.max(1);
        let (mut group, mut group_rows) = (Vec::new(), 0);
        for batch in rows {
            let mut batch = batch.clone();
            while group_rows + batch.num_rows() >= most {
                let taken = most - group_rows;
                group.push(batch.slice(0, taken));
                batch = batch.slice(taken, batch.num_rows() - taken);
                self.write_group(&std::mem::take(&mut group))?;
                group_rows = 0;
            }
            group_rows += batch.num_rows();
            group.push(batch);
        }
        if group_rows > 0 { self.write_group(&group) } else { Ok(()) }
    }

    /// Writes rows as one row group, page by page; columns that are not plain by Parquet's own writer. One column at a time is put
    /// together, so that there is no second copy of all rows.
    fn write_group(&mut self, rows: &[RecordBatch]) -> Result<(), AssembleError> {
        let Some(encoder) = &mut self.pages else { return Ok(()) };
        let schema = self.shape.schema();
        let descr = self.file.schema_descr();
        let (columns, leaves) = (descr.columns().to_vec(), leaves_of(schema.fields().len(), descr));
        let count = rows.iter().map(RecordBatch::num_rows).sum::<usize>();
        let order: Vec<u32> = (0..u32::try_from(count).map_err(write_error)?).collect();
        let mut others = Others::new(&self.factory, self.row_groups);
        let mut group = self.file.next_row_group().map_err(write_error)?;
        for (place, (field, leaves)) in schema.fields().iter().zip(leaves).enumerate() {
            let pieces: Vec<&dyn Array> = rows.iter().map(|rows| rows.column(place).as_ref()).collect();
            let array = put_together(&pieces).map_err(write_error)?;
            let flat = columns.get(leaves.start).filter(|leaf| is_flat(leaf));
            let written = match flat.and_then(|leaf| Some((Column::interned(&array)?, leaf))) {
                Some((column, leaf)) => {
                    encoder.chunk(&column, &order, leaf).and_then(|chunk| chunk.append_to(&mut group, true))
                }
                None => others.write(field, &array, leaves, &mut group, true),
            };
            written.map_err(write_error)?;
        }
        group.close().map_err(write_error)?;
        self.row_groups += 1;
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), AssembleError> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let mut out = self.file.next_row_group().map_err(write_error)?;
        for column in group.columns {
            column.close().and_then(|chunk| chunk.append_to_row_group(&mut out)).map_err(write_error)?;
        }
        out.close().map_err(write_error)?;
        self.row_groups += 1;
        Ok(())
    }

    /// Writes the rest and the footer, and compares what was written with the plan.
    pub(super) fn finish(mut self, plan: &FilePlan) -> Result<WrittenFile, AssembleError> {
        self.encode()?;
        self.end_group()?;
        let (first_offset, last_offset) = self.offsets.unwrap_or_default();
        let written = (self.rows, first_offset, last_offset);
        let planned = (plan.rows(), plan.first_offset(), plan.last_offset());
        if written != planned {
            let what = format!("(rows, first offset, last offset) are {written:?} instead of {planned:?}");
            return Err(AssembleError::Contradiction { what });
        }
        self.file.finish().map_err(write_error)?;
        let bytes = u64::try_from(self.file.bytes_written()).unwrap_or(u64::MAX);
        Ok(WrittenFile { rows: self.rows, first_offset, last_offset, bytes, row_groups: self.row_groups })
    }
}

/// Returns `rows` with partition values added to each row's `_extra`.
fn keep(rows: RecordBatch, shape: &Shape, kept: &[(&str, Option<&str>)]) -> Result<RecordBatch, AssembleError> {
    let Some(place) = shape.extra() else { return Ok(rows) };
    let Some(texts) = rows.column(place).as_string_opt::<i32>() else { return Ok(rows) };
    let texts: StringArray = texts.iter().map(|text| extra::with_values(text, kept)).collect();
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    if let Some(column) = columns.get_mut(place) {
        *column = Arc::new(texts) as ArrayRef;
    }
    RecordBatch::try_new(rows.schema(), columns)
        .map_err(|source| AssembleError::Column { column: crate::parquet::names::EXTRA.to_owned(), source })
}
