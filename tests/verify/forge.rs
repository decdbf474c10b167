//! Damage that leaves no trace where a simple look would find it: files rewritten together with their receipts, as a mistake of the
//! program itself would write them.

use std::fs;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchReader, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::output::{Output, TOPIC};

impl Output {
    /// Rewrites the rows of a file, and has its footer and its receipt say what is in it then.
    pub(crate) fn forge(&self, key: &str, change: impl Fn(RecordBatch) -> RecordBatch) {
        self.rewrite(key, change, usize::MAX);
        self.describe(key);
    }

    /// Writes a file anew with `group_rows` rows in a row group.
    pub(crate) fn rewrite(&self, key: &str, change: impl Fn(RecordBatch) -> RecordBatch, group_rows: usize) {
        let old = Bytes::from(fs::read(self.path().join(key)).unwrap());
        let builder = ParquetRecordBatchReaderBuilder::try_new(old).unwrap();
        let pairs = builder.metadata().file_metadata().key_value_metadata().cloned().unwrap();
        let reader = builder.build().unwrap();
        let schema = reader.schema();
        let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        let rows = change(concat_batches(&schema, &batches).unwrap());
        let (first, last) = range(&rows);
        let says = pairs.into_iter().filter(|pair| !pair.key.starts_with("ARROW")).map(|pair| {
            let value = match pair.key.rsplit('.').next().unwrap() {
                "rows" => Some(rows.num_rows().to_string()),
                "first_offset" => Some(first.to_string()),
                "last_offset" => Some(last.to_string()),
                _ => pair.value,
            };
            KeyValue { key: pair.key, value }
        });
        let properties = WriterProperties::builder()
            .set_key_value_metadata(Some(says.collect()))
            .set_max_row_group_row_count(Some(group_rows))
            .build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let mut writer = ArrowWriter::try_new_with_options(Vec::new(), rows.schema(), options).unwrap();
        writer.write(&rows).unwrap();
        self.put(key, &writer.into_inner().unwrap());
    }

    /// Has the receipt of a file say what the file is now.
    pub(crate) fn describe(&self, key: &str) {
        let bytes = fs::read(self.path().join(key)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(bytes.clone())).unwrap().build().unwrap();
        let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let (first, last) =
            batches.iter().map(range).reduce(|one, other| (one.0.min(other.0), one.1.max(other.1))).unwrap();
        self.edit_receipt(key, |file| {
            file["rows"] = rows.into();
            file["first_offset"] = first.into();
            file["last_offset"] = last.into();
            file["bytes"] = bytes.len().into();
            file["sha256"] = hex::encode(Sha256::digest(&bytes)).into();
        });
    }

    /// Edits what the receipt of a file says of it, and the sums of the receipt.
    pub(crate) fn edit_receipt(&self, key: &str, edit: impl Fn(&mut Value)) {
        let (path, mut receipt) = self.receipt_of(key);
        let files = receipt["files"].as_array_mut().unwrap();
        edit(files.iter_mut().find(|file| file["path"] == key).unwrap());
        for total in ["rows", "bytes"] {
            let files = receipt["files"].as_array().unwrap();
            let sum: u64 = files.iter().map(|file| file[total].as_u64().unwrap()).sum();
            receipt[total] = sum.into();
        }
        self.put(&path, receipt.to_string().as_bytes());
    }

    /// The receipt that names a file: its key, and what it says.
    pub(crate) fn receipt_of(&self, key: &str) -> (String, Value) {
        let found = self
            .receipts()
            .into_iter()
            .find(|(_, receipt)| receipt["files"].as_array().unwrap().iter().any(|file| file["path"] == key));
        found.unwrap()
    }

    /// All receipts, by their keys.
    pub(crate) fn receipts(&self) -> Vec<(String, Value)> {
        let folders = [format!("_meta/{TOPIC}/epochs"), format!("_meta/{TOPIC}/dead_letter")];
        let keys = folders.iter().flat_map(|folder| self.keys(folder));
        let read = |key: String| {
            let value: Value = serde_json::from_slice(&fs::read(self.path().join(&key)).unwrap()).unwrap();
            (key, value)
        };
        keys.map(read).filter(|(_, value)| !value["files"].is_null()).collect()
    }
}

fn range(rows: &RecordBatch) -> (i64, i64) {
    let offsets = longs(rows, "_kafka_offset");
    (*offsets.iter().min().unwrap(), *offsets.iter().max().unwrap())
}

/// The values of a column of integers.
pub(crate) fn longs(rows: &RecordBatch, column: &str) -> Vec<i64> {
    let column = rows.column_by_name(column).unwrap();
    column.as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec()
}

/// Replaces a column.
pub(crate) fn with_column(rows: &RecordBatch, name: &str, values: ArrayRef) -> RecordBatch {
    let place = rows.schema().index_of(name).unwrap();
    let mut columns = rows.columns().to_vec();
    columns[place] = values;
    RecordBatch::try_new(rows.schema(), columns).unwrap()
}

/// Replaces the offsets.
pub(crate) fn with_offsets(rows: &RecordBatch, change: impl Fn(&mut Vec<i64>)) -> RecordBatch {
    let mut offsets = longs(rows, "_kafka_offset");
    change(&mut offsets);
    with_column(rows, "_kafka_offset", std::sync::Arc::new(Int64Array::from(offsets)))
}

/// Moves the event time of the first row.
pub(crate) fn with_first_time_moved(rows: &RecordBatch, by_us: i64) -> RecordBatch {
    let column = rows.column_by_name("event_timestamp").unwrap();
    let mut times = column.as_any().downcast_ref::<TimestampMicrosecondArray>().unwrap().values().to_vec();
    times[0] += by_us;
    with_column(
        rows,
        "event_timestamp",
        std::sync::Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
    )
}
