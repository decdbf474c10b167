//! The rows of one published file: their offsets, their epoch, their folder.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::{BoxFuture, FutureExt};
use object_store::path::Path;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use roaring::RoaringTreemap;

use super::files::Expectations;
use super::names::Named;
use super::violation::Kind;
use crate::engine::state::Scope;
use crate::engine::time::EventTime;
use crate::parquet::names::{EXTRA, KAFKA_OFFSET, KAFKA_PARTITION, KAFKA_TIMESTAMP};
use crate::parquet::published::Published;
use crate::partition::{DERIVED, hive};
use crate::store::{Store, StoreError, chain};

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 8_192;
/// The most rows of a file that are told one by one.
const TOLD: usize = 10;

/// Where a file's bytes come from.
pub(super) struct Source {
    pub(super) store: Store,
    pub(super) key: Path,
    /// All of them, if they were read already.
    pub(super) whole: Option<Bytes>,
    pub(super) footer: Published,
}

impl AsyncFileReader for Source {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move {
            if let Some(bytes) = &self.whole {
                let place = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
                let inside = place.filter(|(start, end)| start <= end && *end <= bytes.len());
                let (start, end) = inside.ok_or_else(|| ParquetError::EOF(format!("no bytes {range:?}")))?;
                return Ok(bytes.slice(start..end));
            }
            match self.store.get_range(&self.key, range).await {
                Ok(Some(bytes)) => Ok(bytes),
                Ok(None) => Err(ParquetError::EOF("the file is gone".to_owned())),
                Err(error) => Err(ParquetError::External(Box::new(error))),
            }
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        let parquet = Arc::clone(self.footer.parquet());
        async move { Ok(parquet) }.boxed()
    }
}

/// What is wrong with a row: the kind, its offset, and what.
type Wrong = (Kind, Option<i64>, String);

/// Reads the rows. Returns what is wrong with them, and their offsets.
///
/// # Errors
/// When the store fails.
pub(super) async fn look(
    source: Source,
    named: Named<'_>,
    expected: &Expectations,
) -> Result<(Vec<Wrong>, RoaringTreemap), StoreError> {
    let mut seen = Seen::new(named, expected);
    match read(source, &mut seen).await {
        Ok(()) => {}
        Err(ParquetError::External(error)) => match error.downcast::<StoreError>() {
            Ok(error) => return Err(*error),
            Err(error) => seen.tell(Kind::FileUnreadable, None, error.to_string()),
        },
        Err(error) => seen.tell(Kind::FileUnreadable, None, format!("its rows cannot be decoded: {}", chain(&error))),
    }
    Ok((seen.wrong, seen.offsets))
}

async fn read(source: Source, seen: &mut Seen<'_>) -> Result<(), ParquetError> {
    let builder = ParquetRecordBatchStreamBuilder::new(source).await?;
    let fields = builder.parquet_schema().root_schema().get_fields().iter().enumerate();
    let wanted: Vec<usize> = fields.filter(|(_, field)| seen.wants(field.name())).map(|(place, _)| place).collect();
    let columns = ProjectionMask::roots(builder.parquet_schema(), wanted);
    let mut batches = builder.with_projection(columns).with_batch_size(BATCH_ROWS).build()?;
    while let Some(batch) = batches.try_next().await? {
        seen.take(&batch);
    }
    Ok(())
}

/// What was seen of a file.
struct Seen<'a> {
    named: Named<'a>,
    expected: &'a Expectations,
    /// The file's folders: column and value.
    folders: BTreeMap<String, Option<String>>,
    /// The folders whose names do not tell the very value: column, and the folder's name.
    inexact: Vec<(String, String)>,
    offsets: RoaringTreemap,
    wrong: Vec<Wrong>,
}

impl<'a> Seen<'a> {
    fn new(named: Named<'a>, expected: &'a Expectations) -> Self {
        let (mut folders, mut inexact) = (BTreeMap::new(), Vec::new());
        for name in named.file.path.split('/') {
            let Some((column, value)) = hive::decode(name) else { continue };
            if !DERIVED.contains(&column.as_str()) && is_inexact(&column, value.as_deref(), name) {
                inexact.push((column.clone(), name.to_owned()));
            }
            folders.insert(column, value);
        }
        Self { named, expected, folders, inexact, offsets: RoaringTreemap::new(), wrong: Vec::new() }
    }

    fn is_dead(&self) -> bool {
        matches!(self.named.receipt.scope, Scope::DeadLetter)
    }

    /// The column whose time decides on the folder.
    fn time_column(&self) -> Option<&str> {
        if self.is_dead() { Some(KAFKA_TIMESTAMP) } else { self.expected.event_time.as_deref() }
    }

    fn wants(&self, column: &str) -> bool {
        [KAFKA_OFFSET, KAFKA_PARTITION].contains(&column)
            || self.time_column() == Some(column)
            || (column == EXTRA && !self.inexact.is_empty() && !self.is_dead())
    }

    fn tell(&mut self, kind: Kind, offset: Option<i64>, what: String) {
        if self.wrong.len() < TOLD {
            self.wrong.push((kind, offset, what));
        }
    }

    fn take(&mut self, batch: &RecordBatch) {
        let offsets = batch.column_by_name(KAFKA_OFFSET).and_then(|column| column.as_primitive_opt::<Int64Type>());
        let Some(offsets) = offsets.filter(|offsets| offsets.null_count() == 0) else {
            return self.tell(Kind::FileUnreadable, None, format!("rows without `{KAFKA_OFFSET}`"));
        };
        let partitions =
            batch.column_by_name(KAFKA_PARTITION).and_then(|column| column.as_primitive_opt::<Int32Type>());
        let times = self.time_column().and_then(|name| batch.column_by_name(name));
        let times = times.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        let extras = batch.column_by_name(EXTRA).and_then(|column| column.as_string_opt::<i32>());
        for (row, offset) in offsets.values().iter().copied().enumerate() {
            self.take_offset(offset);
            if let Some(partitions) = partitions
                && (partitions.is_null(row) || partitions.value(row) != self.named.receipt.partition.0)
            {
                self.tell(Kind::RowPartition, Some(offset), "the row names another Kafka partition".to_owned());
            }
            if let Some(times) = times {
                let time = (!times.is_null(row)).then(|| EventTime(times.value(row)));
                self.take_time(offset, time);
            }
            if !self.inexact.is_empty() && !self.is_dead() {
                let extra = extras.filter(|extras| !extras.is_null(row)).map(|extras| extras.value(row));
                self.take_extra(offset, extra);
            }
        }
    }

    fn take_offset(&mut self, offset: i64) {
        let file = self.named.file;
        if !(file.first_offset..=file.last_offset).contains(&offset) {
            let what = format!("its receipt says offsets {} to {}", file.first_offset, file.last_offset);
            self.tell(Kind::OffsetOutside, Some(offset), what);
        }
        if !u64::try_from(offset).is_ok_and(|offset| self.offsets.insert(offset)) {
            self.tell(Kind::OffsetTwice, Some(offset), "twice in this file".to_owned());
        }
    }

    fn take_time(&mut self, offset: i64, time: Option<EventTime>) {
        match (self.named.receipt.scope.epoch(), time) {
            (Some(epoch), Some(time)) if !(epoch.start..epoch.end).contains(&time) => {
                let what = format!("event time {time} is not of epoch {}", epoch.label());
                return self.tell(Kind::RowEpoch, Some(offset), what);
            }
            (Some(_), None) => {
                return self.tell(Kind::RowEpoch, Some(offset), "a row without an event time".to_owned());
            }
            // A dead letter without a Kafka timestamp lies in 1970.
            _ => {}
        }
        let civil = time.unwrap_or(EventTime(0)).civil();
        let values = [
            ("year", civil.year.to_string()),
            ("month", civil.month.to_string()),
            ("day", civil.day.to_string()),
            ("hour", civil.hour.to_string()),
        ];
        for (column, value) in values {
            if let Some(folder) = self.folders.get(column)
                && folder.as_deref() != Some(value.as_str())
            {
                let what =
                    format!("the row's {column} is {value}, its folder's {}", folder.as_deref().unwrap_or("null"));
                self.tell(Kind::RowFolder, Some(offset), what);
            }
        }
    }

    /// Where a folder's name does not tell the value, the row keeps it, and the name must follow from it.
    fn take_extra(&mut self, offset: i64, extra: Option<&str>) {
        let kept: Option<BTreeMap<String, serde_json::Value>> = extra.and_then(|text| serde_json::from_str(text).ok());
        for (column, name) in self.inexact.clone() {
            let value = kept.as_ref().and_then(|kept| kept.get(&column));
            let follows = match value {
                Some(serde_json::Value::String(text)) => {
                    let own = hive::folder(&column, Some(text)).name;
                    own == name || name == hive::other(&column).name
                }
                // Another JSON value: what did not fit the column, whose partition value is null then.
                Some(_) => true,
                None => false,
            };
            if !follows {
                let what = format!(
                    "the folder {name} does not tell `{column}`, and the row keeps no value that has this folder"
                );
                self.tell(Kind::RowFolder, Some(offset), what);
            }
        }
    }
}

/// Whether the folder `name` does not tell the very value: shortened, or shared.
fn is_inexact(column: &str, value: Option<&str>, name: &str) -> bool {
    if name == hive::other(column).name {
        return true;
    }
    let own = hive::folder(column, value);
    own.name != name || !own.exact
}
