//! Hand-worked rows, entries and closes for the tests of this edge.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::names::OTHER;
use super::{
    Assembly, Content, DeadRows, EntryOptions, EntryReader, EntryRows, FolderName, PlannedFile, RowTag, WrittenFile,
    write_entry,
};
use crate::engine::state::{
    ChainId, Close, EntryId, EntryNumber, EntryRef, Held, LaneIdentity, LaneState, Offset, PartitionId, Recipe,
    STATE_VERSION, Scope, Totals,
};
use crate::engine::time::{Epoch, EventTime};

pub(super) fn epoch(start: i64) -> Epoch {
    Epoch { start: EventTime(start * 900_000_000), end: EventTime((start + 1) * 900_000_000) }
}

pub(super) const CHAIN: ChainId = ChainId(0x7f3a_9c1e);

pub(super) fn entry_ref(number: u64) -> EntryRef {
    EntryRef { number: EntryNumber(number), id: EntryId(number + 0xabc0) }
}

/// What a close says of an entry; how many rows there are the index of the entry says, too.
fn held(number: u64) -> Held {
    Held { entry: entry_ref(number), rows: 1, bytes: 100 }
}

pub(super) fn state(number: u64) -> LaneState {
    LaneState {
        version: STATE_VERSION,
        identity: LaneIdentity {
            group: "writers".to_owned(),
            cluster_id: "c1".to_owned(),
            topic: "events".to_owned(),
            topic_id: "t1".to_owned(),
            partition: PartitionId(3),
        },
        chain: CHAIN,
        entry: entry_ref(number),
        start: Offset(0),
        position: Offset(100),
        max_event_time: Some(EventTime(5)),
        closed_through: None,
        waiting: BTreeMap::from([(Scope::OnTime(epoch(0)), vec![held(1)])]),
        closes_decided: 1,
        closes: Vec::new(),
        totals: Totals { records: 100, rows: 100, ..Totals::default() },
        accepted_offset: None,
        jumps: Vec::new(),
        given_up: Vec::new(),
    }
}

pub(super) fn close(scope: Scope, entries: &[u64]) -> Close {
    Close {
        scope,
        sequence: 1,
        entry: entry_ref(9),
        position: Offset(100),
        totals: Totals::default(),
        rows: entries.iter().map(|number| held(*number)).collect(),
        recipe: Recipe {
            partition_by: vec!["day".to_owned(), "path".to_owned()],
            max_buckets: 100,
            layout: 1,
            schema: 1,
            compression: "zstd:1".to_owned(),
        },
    }
}

/// The user's columns: `path` is a partition column, `n` is not.
pub(super) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("path", DataType::Utf8, true), Field::new("n", DataType::Int64, true)]))
}

/// One row: its scope, its day, its path, its offset. `n` is ten times the offset, and `_extra` is null.
pub(super) type Row<'a> = (Scope, &'a str, Option<&'a str>, i64);

pub(super) fn times(offsets: &[i64]) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(offsets.to_vec()).with_timezone("UTC"))
}

pub(super) fn content(rows: &[Row<'_>]) -> Content {
    let offsets: Vec<i64> = rows.iter().map(|row| row.3).collect();
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("path", Arc::new(rows.iter().map(|row| row.2).collect::<StringArray>()), true),
        ("n", Arc::new(offsets.iter().map(|offset| offset * 10).collect::<Int64Array>()), true),
        ("_extra", Arc::new(StringArray::new_null(rows.len())), true),
        ("_kafka_offset", Arc::new(Int64Array::from(offsets.clone())), false),
        ("_kafka_timestamp", times(&offsets), true),
    ];
    let rows_batch = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
    let mut scopes = Vec::new();
    let mut buckets = Vec::new();
    let mut tags = Vec::new();
    for (scope, day, path, _) in rows {
        let values = vec![Some((*day).to_owned()), path.map(str::to_owned)];
        tags.push(RowTag { scope: number_of(&mut scopes, *scope), bucket: number_of(&mut buckets, values) });
    }
    let rows = (!rows.is_empty()).then_some(EntryRows { rows: rows_batch, tags });
    Content { partition_by: vec!["day".to_owned(), "path".to_owned()], scopes, buckets, rows, dead: None }
}

/// Adds columns before those that the rows have.
pub(super) fn add_columns(content: &mut Content, columns: Vec<(&str, ArrayRef)>) {
    let rows = &mut content.rows.as_mut().expect("rows").rows;
    let mut all: Vec<(&str, ArrayRef, bool)> = columns.into_iter().map(|(name, column)| (name, column, true)).collect();
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        all.push((field.name(), Arc::clone(column), field.is_nullable()));
    }
    *rows = RecordBatch::try_from_iter_with_nullable(all).expect("columns of one length");
}

fn number_of<T: PartialEq>(things: &mut Vec<T>, thing: T) -> u32 {
    let at = things.iter().position(|known| *known == thing).unwrap_or_else(|| {
        things.push(thing);
        things.len() - 1
    });
    u32::try_from(at).expect("few things")
}

/// Adds dead letters: the day and the offset of each; the reason is `not_json` and the value `[offset]`.
pub(super) fn with_dead(mut content: Content, dead: &[(&str, i64)]) -> Content {
    let offsets: Vec<i64> = dead.iter().map(|row| row.1).collect();
    let values: Vec<String> = offsets.iter().map(|offset| format!("[{offset}]")).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("_kafka_offset", Arc::new(Int64Array::from(offsets.clone()))),
        ("_kafka_timestamp", times(&offsets)),
        ("reason", Arc::new(StringArray::from(vec!["not_json"; dead.len()]))),
        ("detail", Arc::new(StringArray::from(vec!["expected value"; dead.len()]))),
        ("key", Arc::new(BinaryArray::from(vec![None::<&[u8]>; dead.len()]))),
        ("value", Arc::new(BinaryArray::from_iter_values(values))),
    ];
    let rows = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let values = |day: &str| ["2026", "11", day].map(|part| Some(part.to_owned())).to_vec();
    let buckets = dead.iter().map(|(day, _)| number_of(&mut content.buckets, values(day))).collect();
    content.dead = Some(DeadRows { rows, buckets });
    content
}

pub(super) fn entry(number: u64, content: &Content) -> EntryReader {
    open(write_entry(&state(number), content, &EntryOptions::default()).expect("an entry"))
}

pub(super) fn open(bytes: Bytes) -> EntryReader {
    EntryReader::open(Arc::new(bytes)).expect("a sound entry")
}

/// Names folders as `column=value`; the empty text has the folder of null, and texts of ten bytes and more are cut.
pub(super) fn folder(column: &str, value: Option<&str>) -> FolderName {
    match value {
        None => FolderName { name: format!("{column}=null"), exact: true },
        Some("") => FolderName { name: format!("{column}=null"), exact: false },
        Some(value) if value.len() >= 10 => FolderName { name: format!("{column}={}~", &value[..5]), exact: false },
        Some(value) => FolderName { name: format!("{column}={value}"), exact: value != OTHER },
    }
}

/// Writes all files of a close.
pub(super) fn write_all(assembly: &mut Assembly) -> Vec<(PlannedFile, WrittenFile, Bytes)> {
    let mut files = Vec::new();
    while let Some(planned) = assembly.next_file() {
        let mut bytes = Vec::new();
        let written = assembly.write_file(&mut bytes).expect("a file");
        files.push((planned, written, bytes.into()));
    }
    files
}

/// Reads a whole file with Parquet's own reader.
pub(super) fn read(file: &Bytes) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).expect("Parquet").build().expect("a reader");
    let schema = arrow::array::RecordBatchReader::schema(&reader);
    let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>().expect("rows");
    arrow::compute::concat_batches(&schema, &batches).expect("one schema")
}

pub(super) fn longs(rows: &RecordBatch, column: &str) -> Vec<i64> {
    let column = rows.column_by_name(column).expect("the column").as_primitive::<Int64Type>();
    assert_eq!(arrow::array::Array::null_count(column), 0);
    column.values().to_vec()
}

pub(super) fn texts(rows: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let column = rows.column_by_name(column).expect("the column").as_string::<i32>();
    column.iter().map(|text| text.map(str::to_owned)).collect()
}

/// Repeats the rows of a batch.
pub(super) fn repeat(rows: &RecordBatch, indices: impl IntoIterator<Item = u32>) -> RecordBatch {
    let indices = UInt32Array::from_iter_values(indices);
    arrow::compute::take_record_batch(rows, &indices).expect("rows that are there")
}
