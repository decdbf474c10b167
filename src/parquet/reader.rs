//! Entries read back: the footer alone, or the rows of some ranges as a stream of small batches.
//!
//! A row group is read with one request, and its checksum is compared before anything in it is decoded. One stream
//! holds one row group (compressed) and one batch, so that the streams of many entries can be merged at once.
//!
//! Texts are written out, unless they are asked for as keys of the dictionaries in which they stand.

mod keyed;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, RecordBatch};
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelector,
};
use parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder};

use self::keyed::Keyed;
use super::error::EntryError;
use super::footer::{self, Footer, checksum};
use super::index::Segment;
use super::source::{Part, ReadAt};
use crate::engine::state::LaneState;

pub(super) use self::keyed::{GroupBytes, KeyedBytes};

/// The length of Parquet's magic number, behind which the first row group begins.
const MAGIC_BYTES: u64 = 4;
/// The most rows of a batch.
const BATCH_ROWS: u64 = 1_024;
/// The size in memory that a batch should not pass, in bytes.
const BATCH_BYTES: u64 = 4 << 20;

/// Reads the state that an entry carries: its footer, and no rows.
///
/// # Errors
/// When the source fails, or the bytes are no sound entry of a known version.
pub fn read_state(source: &dyn ReadAt) -> Result<LaneState, EntryError> {
    footer::load(source).map(|footer| footer.state)
}

/// An entry that is open for reading.
#[derive(Clone)]
pub struct EntryReader {
    source: Arc<dyn ReadAt>,
    parquet: ArrowReaderMetadata,
    state: Arc<LaneState>,
    partition_by: Vec<String>,
    segments: Arc<[Segment]>,
    groups: Arc<[GroupPlace]>,
    /// The place of the page index, and its checksum.
    page_index: Option<(Range<u64>, String)>,
    /// The footer with the page index, once it was read.
    indexed: Arc<OnceLock<ParquetMetaData>>,
}

impl std::fmt::Debug for EntryReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EntryReader").field("entry", &self.state.entry).finish_non_exhaustive()
    }
}

/// Where a row group is, and what it holds.
struct GroupPlace {
    number: usize,
    bytes: Range<u64>,
    rows: Range<u64>,
    /// The size of its rows in memory, in bytes.
    decoded_bytes: u64,
    batch_rows: usize,
    checksum: String,
}

impl EntryReader {
    /// Opens an entry: reads its footer.
    ///
    /// # Errors
    /// When the source fails, or the bytes are no sound entry of a known version.
    pub fn open(source: Arc<dyn ReadAt>) -> Result<Self, EntryError> {
        let mut footer = footer::load(source.as_ref())?;
        let groups = group_places(&footer)?;
        let segments = footer.index.take_segments()?;
        let rows = groups.last().map_or(0, |group| group.rows.end);
        if segments.last().map_or(0, |segment| segment.start.saturating_add(segment.rows)) != rows {
            return Err(EntryError::damaged("its segments are not its rows"));
        }
        let end = groups.last().map_or(MAGIC_BYTES, |group| group.bytes.end);
        let page_index = footer.page_index.map(|checksum| (end..footer.start, checksum));
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let parquet = ArrowReaderMetadata::try_new(Arc::new(footer.parquet), options)
            .map_err(EntryError::parquet("read the columns of an entry"))?;
        Ok(Self {
            source,
            parquet,
            state: Arc::new(footer.state),
            partition_by: footer.index.partition_by,
            segments: segments.into(),
            groups: groups.into(),
            page_index,
            indexed: Arc::default(),
        })
    }

    /// Returns the state of the lane that the entry carries.
    #[must_use]
    pub fn state(&self) -> &LaneState {
        &self.state
    }

    /// Returns the partition columns that the values of its rows belong to.
    #[must_use]
    pub fn partition_by(&self) -> &[String] {
        &self.partition_by
    }

    /// Returns where the rows of each scope and bucket are, in row order.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Returns the size of row group `number` as it is stored, in bytes: so much is read at once.
    pub(super) fn stored_bytes(&self, number: usize) -> u64 {
        self.groups.get(number).map_or(0, |group| group.bytes.end - group.bytes.start)
    }

    /// Returns what it takes to decode `rows`, in bytes: the largest of their row groups as it is stored, and some of its rows.
    pub(super) fn decoding_bytes(&self, rows: &Range<u64>) -> u64 {
        let touched = self.groups.iter().filter(|group| group.rows.start < rows.end && rows.start < group.rows.end);
        touched.map(|group| group.bytes.end - group.bytes.start).max().unwrap_or(0).saturating_add(BATCH_BYTES)
    }

    /// Returns how many rows are decoded at once, at most, in the row groups that `rows` touch.
    pub(super) fn batch_rows(&self, rows: &Range<u64>) -> usize {
        let touched = self.groups.iter().filter(|group| group.rows.start < rows.end && rows.start < group.rows.end);
        touched.map(|group| group.batch_rows).min().unwrap_or(1)
    }

    /// Returns the size in memory of `rows`, in bytes, if those of a row group are about equal.
    pub(super) fn decoded_bytes(&self, rows: &Range<u64>) -> u64 {
        let of_group = |group: &GroupPlace| {
            let touched = rows.end.min(group.rows.end).saturating_sub(rows.start.max(group.rows.start));
            group.decoded_bytes.div_ceil((group.rows.end - group.rows.start).max(1)).saturating_mul(touched)
        };
        self.groups.iter().map(of_group).fold(0, u64::saturating_add)
    }

    /// Streams the rows of `ranges`, which are ascending and do not overlap, in the columns that `wanted` names.
    #[must_use]
    pub fn rows(&self, ranges: Vec<Range<u64>>, wanted: &dyn Fn(&str) -> bool) -> RowStream {
        self.rows_by_keys(ranges, wanted, &|_| false)
    }

    /// The same; texts of the columns that `by_keys` names stay keys where their row group has a dictionary of them. Batches of a row
    /// group share its dictionaries.
    pub(super) fn rows_by_keys(
        &self,
        ranges: Vec<Range<u64>>,
        wanted: &dyn Fn(&str) -> bool,
        by_keys: &dyn Fn(&str) -> bool,
    ) -> RowStream {
        let schema = self.parquet.parquet_schema();
        let fields = schema.root_schema().get_fields().iter().enumerate();
        let columns = ProjectionMask::roots(schema, fields.filter(|(_, f)| wanted(f.name())).map(|(i, _)| i));
        let keyed = Keyed::new(&self.parquet, by_keys);
        RowStream { entry: self.clone(), columns, keyed, ranges, group: 0, batches: None }
    }

    /// Returns what rows take in memory that are streamed so.
    pub(super) fn keyed_bytes(&self, wanted: &dyn Fn(&str) -> bool, by_keys: &dyn Fn(&str) -> bool) -> KeyedBytes {
        KeyedBytes::new(&self.parquet, &self.groups, &Keyed::new(&self.parquet, by_keys), wanted)
    }

    /// Reads every row group, and compares its checksum. The footer's was compared when the entry was opened.
    ///
    /// # Errors
    /// When the source fails, or a checksum does not agree.
    pub fn check_groups(&self) -> Result<(), EntryError> {
        self.groups.iter().try_for_each(|group| self.read_group(group).map(|_| ()))
    }

    /// Returns the footer as it was written, without the page index.
    pub(super) fn metadata(&self) -> &ParquetMetaData {
        self.parquet.metadata()
    }

    /// Returns the row groups that are exactly the rows of a segment and have a page index; `None` if it shares its row group.
    pub(super) fn groups_of(&self, segment: usize) -> Option<Range<usize>> {
        let Segment { start, rows, .. } = self.segments.get(segment)?;
        let end = start.checked_add(*rows)?;
        self.page_index.as_ref()?;
        let first = self.groups.iter().position(|group| group.rows.start == *start)?;
        let last = self.groups.iter().position(|group| group.rows.end == end)?;
        let groups = first..last + 1;
        let has_index = |group: &usize| {
            let mut columns = self.metadata().row_group(*group).columns().iter();
            columns.all(|column| column.offset_index_offset().is_some() && column.column_index_offset().is_some())
        };
        (first <= last && groups.clone().all(|group| has_index(&group))).then_some(groups)
    }

    /// Returns the footer with the page index, which is read and checked once.
    ///
    /// # Errors
    /// When the source fails, or the page index is damaged.
    pub(super) fn indexed(&self) -> Result<&ParquetMetaData, EntryError> {
        if let Some(indexed) = self.indexed.get() {
            return Ok(indexed);
        }
        let (range, expected) = self.page_index.as_ref().ok_or_else(|| EntryError::damaged("it has no page index"))?;
        let bytes = self.source.read_at(range.clone()).map_err(|source| EntryError::Read { source })?;
        if checksum(&[&bytes]) != *expected {
            return Err(EntryError::damaged("the checksum of its page index does not agree"));
        }
        let mut decoder =
            ParquetMetaDataPushDecoder::try_new_with_metadata(self.source.size(), self.metadata().clone())
                .map(|decoder| decoder.with_page_index_policy(PageIndexPolicy::Optional))
                .map_err(EntryError::parquet("read the page index of an entry"))?;
        let pushed = decoder.push_range(range.clone(), bytes).and_then(|()| decoder.try_decode());
        let read = match pushed.map_err(EntryError::parquet("read the page index of an entry"))? {
            DecodeResult::Data(read) => read,
            DecodeResult::NeedsData(_) | DecodeResult::Finished => {
                return Err(EntryError::damaged("its page index is elsewhere"));
            }
        };
        Ok(self.indexed.get_or_init(|| read))
    }

    /// Reads and checks a row group.
    ///
    /// # Errors
    /// When the source fails, or the row group is damaged.
    pub(super) fn group(&self, number: usize) -> Result<Part, EntryError> {
        let group = self.groups.get(number).ok_or_else(|| EntryError::damaged(format!("no row group {number}")))?;
        self.read_group(group)
    }

    /// Decodes one leaf of row group `number`, which was read.
    ///
    /// # Errors
    /// When the row group is damaged.
    pub(super) fn leaf(&self, bytes: &Part, number: usize, leaf: usize) -> Result<ArrayRef, EntryError> {
        let rows = self.groups.get(number).map_or(0, |group| group.rows.end - group.rows.start);
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let mut batches = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), self.parquet.clone())
            .with_row_groups(vec![number])
            .with_projection(ProjectionMask::leaves(self.parquet.parquet_schema(), [leaf]))
            .with_batch_size(rows)
            .build()
            .map_err(EntryError::parquet("decode a column of an entry"))?;
        let batch = batches.next().transpose().map_err(EntryError::parquet("decode a column of an entry"))?;
        let column = batch.filter(|batch| batch.num_rows() == rows).and_then(|batch| batch.columns().first().cloned());
        column.ok_or_else(|| EntryError::damaged(format!("row group {number} has fewer rows")))
    }

    fn read_group(&self, group: &GroupPlace) -> Result<Part, EntryError> {
        let bytes = self.source.read_at(group.bytes.clone()).map_err(|source| EntryError::Read { source })?;
        if checksum(&[&bytes]) != group.checksum {
            return Err(EntryError::damaged(format!("the checksum of its row group {} does not agree", group.number)));
        }
        Ok(Part { base: group.bytes.start, bytes })
    }

    /// Reads and checks a row group, and begins to decode what `selection` names of it.
    fn decode(
        &self,
        group: &GroupPlace,
        selection: RowSelection,
        columns: &ProjectionMask,
        keyed: &Keyed,
    ) -> Result<ParquetRecordBatchReader, EntryError> {
        let metadata = keyed.metadata(&self.parquet, group.number);
        let metadata = metadata.map_err(EntryError::parquet("read the columns of an entry"))?;
        ParquetRecordBatchReaderBuilder::new_with_metadata(self.read_group(group)?, metadata)
            .with_row_groups(vec![group.number])
            .with_row_selection(selection)
            .with_projection(columns.clone())
            .with_batch_size(group.batch_rows)
            .build()
            .map_err(EntryError::parquet("decode a row group of an entry"))
    }
}

fn group_places(footer: &Footer) -> Result<Vec<GroupPlace>, EntryError> {
    let row_groups = footer.parquet.row_groups();
    if row_groups.len() != footer.index.groups.len() {
        return Err(EntryError::damaged("its index and its row groups differ in number"));
    }
    let mut places = Vec::with_capacity(row_groups.len());
    let (mut start, mut row) = (MAGIC_BYTES, 0_u64);
    for (number, (group, indexed)) in row_groups.iter().zip(&footer.index.groups).enumerate() {
        let rows = u64::try_from(group.num_rows()).map_err(|_| EntryError::damaged("a row group of negative size"))?;
        if indexed.end < start || indexed.end > footer.start {
            return Err(EntryError::damaged("a row group outside of the file"));
        }
        if !group.columns().iter().all(|column| lies_in(column, &(start..indexed.end))) {
            return Err(EntryError::damaged(format!("a column of row group {number} lies outside of it")));
        }
        let fit = BATCH_BYTES.saturating_mul(rows) / indexed.decoded_bytes.max(1);
        places.push(GroupPlace {
            number,
            bytes: start..indexed.end,
            rows: row..row.saturating_add(rows),
            decoded_bytes: indexed.decoded_bytes,
            batch_rows: usize::try_from(fit.clamp(1, BATCH_ROWS)).unwrap_or(1),
            checksum: indexed.checksum.clone(),
        });
        start = indexed.end;
        row = row.saturating_add(rows);
    }
    Ok(places)
}

/// Whether the bytes of a column are in `range`. Parquet's own reader panics at a place that is negative.
fn lies_in(column: &ColumnChunkMetaData, range: &Range<u64>) -> bool {
    let start = column.dictionary_page_offset().unwrap_or_else(|| column.data_page_offset());
    let (Ok(start), Ok(length)) = (u64::try_from(start), u64::try_from(column.compressed_size())) else { return false };
    range.start <= start && start.checked_add(length).is_some_and(|end| end <= range.end)
}

/// The rows of some ranges of an entry, batch by batch. Ends after an error.
pub struct RowStream {
    entry: EntryReader,
    columns: ProjectionMask,
    keyed: Keyed,
    ranges: Vec<Range<u64>>,
    /// The next row group to look at.
    group: usize,
    batches: Option<ParquetRecordBatchReader>,
}

impl std::fmt::Debug for RowStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowStream").field("entry", &self.entry).field("group", &self.group).finish_non_exhaustive()
    }
}

impl Iterator for RowStream {
    type Item = Result<RecordBatch, EntryError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.batches.as_mut().and_then(Iterator::next) {
                return Some(batch.map_err(EntryError::parquet("decode rows of an entry")));
            }
            self.batches = None;
            let group = self.entry.groups.get(self.group)?;
            self.group += 1;
            let Some(selection) = selection(&group.rows, &self.ranges) else { continue };
            match self.entry.decode(group, selection, &self.columns, &self.keyed) {
                Ok(batches) => self.batches = Some(batches),
                Err(error) => {
                    self.group = usize::MAX;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// Returns what of the rows `group` lies in `ranges` (ascending), or `None` if nothing does.
fn selection(group: &Range<u64>, ranges: &[Range<u64>]) -> Option<RowSelection> {
    let first = ranges.partition_point(|range| range.end <= group.start);
    let mut selectors = Vec::new();
    let mut at = group.start;
    let length = |range: Range<u64>| usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
    for range in ranges.iter().skip(first).take_while(|range| range.start < group.end) {
        let (start, end) = (range.start.max(at), range.end.min(group.end));
        if start >= end {
            continue;
        }
        if at < start {
            selectors.push(RowSelector::skip(length(at..start)));
        }
        selectors.push(RowSelector::select(length(start..end)));
        at = end;
    }
    (!selectors.is_empty()).then(|| RowSelection::from(selectors))
}

#[cfg(test)]
mod tests;
