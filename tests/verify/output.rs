//! An output as instances leave it, written by the program's own writers, without a broker.
//!
//! Each partition has a lane log of three entries: 1 begins the chain; 2 holds rows of every epoch and a dead letter, and closes the
//! epochs; 3 holds a row of an epoch that stays open. Offsets are 0, 1, 2, …, and offset 3 is one of Kafka's gaps.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use streams_to_parquet::engine::state::{
    ChainId, Close, EntryId, EntryNumber, EntryRef, Held, LaneIdentity, LaneState, Offset, PartitionId, Recipe, Scope,
    Totals,
};
use streams_to_parquet::engine::time::{Epoch, EpochLength, EventTime};
use streams_to_parquet::parquet::{
    Assembly, AssemblyOptions, Content, DeadRows, EntryOptions, EntryReader, EntryRows, FolderName, RowTag, write_entry,
};
use streams_to_parquet::partition::hive;
use streams_to_parquet::schema::Schema;
use streams_to_parquet::store::Layout;
use streams_to_parquet::store::claim::{CLAIM_VERSION, Claim};
use streams_to_parquet::store::receipt::{FileReceipt, Marker, RECEIPT_VERSION, Receipt};
use tempfile::TempDir;

use crate::common::process::Process;
use crate::common::scratch;

/// A look at a small output takes moments, and a machine may be busy.
const LIMIT: Duration = Duration::from_secs(120);
/// 2026-11-22T22:00:00Z: the epochs go past midnight.
const FIRST_EPOCH_US: i64 = 1_795_384_800_000_000;
const QUARTER_US: i64 = 900_000_000;
pub(crate) const TOPIC: &str = "web";
/// Columns beside the event time and the path, so that footers are as long as those of web events.
const FILLERS: usize = 26;

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) partitions: i32,
    pub(crate) epochs: i64,
    pub(crate) buckets: i64,
    /// Rows of each bucket.
    pub(crate) rows: i64,
}

/// A small output: 2 partitions, 9 epochs (the last two are of another day), 3 buckets of 4 rows each.
pub(crate) const SMALL: Size = Size { partitions: 2, epochs: 9, buckets: 3, rows: 4 };

/// The output.
#[derive(Debug)]
pub(crate) struct Output {
    folder: TempDir,
}

/// What `verify --json` said, and its exit code.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) report: Value,
    pub(crate) stderr: String,
}

impl Said {
    /// The kinds of what is wrong, each once.
    pub(crate) fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> =
            self.violations().iter().map(|found| found["kind"].as_str().unwrap().to_owned()).collect();
        kinds.dedup();
        kinds
    }

    pub(crate) fn violations(&self) -> Vec<Value> {
        let topics = self.report["topics"].as_array().unwrap();
        topics.iter().flat_map(|topic| topic["violations"].as_array().unwrap().clone()).collect()
    }
}

/// Runs `verify --json` over an output.
pub(crate) fn verify(output: &Path, flags: &[&str]) -> Said {
    let args = ["verify", "--output", output.to_str().unwrap(), "--json"];
    let mut process = Process::ours(&[&args, flags].concat());
    let code = process.wait(LIMIT).code().unwrap();
    let report = serde_json::from_str(&process.stdout()).unwrap_or(Value::Null);
    Said { code, report, stderr: process.stderr() }
}

impl Output {
    /// Writes an output.
    pub(crate) fn new(size: Size) -> Self {
        let output = Self { folder: scratch("output") };
        let layout = Layout::new(TOPIC);
        let claim = Claim {
            version: CLAIM_VERSION,
            group: "writers".to_owned(),
            cluster_id: "c1".to_owned(),
            topic: TOPIC.to_owned(),
            topic_id: "t1".to_owned(),
            epoch_us: EpochLength::from_us(QUARTER_US).unwrap(),
            partition_by: partition_by(),
        };
        output.put(layout.claim().as_ref(), &serde_json::to_vec_pretty(&claim).unwrap());
        let stored = json!({
            "version": 1,
            "timestamp_field": "event_timestamp",
            "schema": serde_json::from_str::<Value>(&schema().to_json()).unwrap(),
        });
        output.put(layout.schema(1).as_ref(), stored.to_string().as_bytes());
        let partitions: Vec<PartitionId> = (0..size.partitions).map(PartitionId).collect();
        for partition in &partitions {
            output.lane(&layout, *partition, size);
            output.put(layout.closed_through(*partition, closed(size.epochs)).as_ref(), b"");
        }
        for number in 0..size.epochs {
            let marker = Marker::new(TOPIC, "t1", epoch(number), &partitions);
            output.put(layout.marker(epoch(number)).as_ref(), &serde_json::to_vec_pretty(&marker).unwrap());
        }
        output
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A copy, to be damaged.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self { folder: scratch("output") };
        for file in below(self.path()) {
            let to = copy.path().join(file.strip_prefix(self.path()).unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&file, to).unwrap();
        }
        copy
    }

    /// Writes an object.
    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        let path = self.path().join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// The keys below a folder, sorted.
    pub(crate) fn keys(&self, folder: &str) -> Vec<String> {
        let key = |path: PathBuf| path.strip_prefix(self.path()).unwrap().to_str().unwrap().to_owned();
        let mut keys: Vec<String> = below(&self.path().join(folder)).into_iter().map(key).collect();
        keys.sort();
        keys
    }

    pub(crate) fn verify(&self, flags: &[&str]) -> Said {
        verify(self.path(), flags)
    }

    fn lane(&self, layout: &Layout, partition: PartitionId, size: Size) {
        let mut state = first(partition);
        self.entry(layout, &state, &Content::default());

        // Entry 2: rows of all epochs, a dead letter.
        let entry = entry_ref(partition, 2);
        let (content, next) = content(size);
        let each = u64::try_from(size.buckets * size.rows).unwrap();
        let rows = each * u64::try_from(size.epochs).unwrap();
        state.entry = entry;
        state.position = Offset(next);
        state.totals = Totals { records: rows + 1, rows, dead_letters: 1, ..Totals::default() };
        state.closed_through = Some(closed(size.epochs));
        let scopes =
            (0..size.epochs).map(|number| (Scope::OnTime(epoch(number)), each)).chain([(Scope::DeadLetter, 1)]);
        state.closes = scopes
            .zip(1..)
            .map(|((scope, rows), sequence)| Close {
                scope,
                sequence,
                entry,
                position: state.position,
                totals: state.totals,
                rows: vec![Held { entry, rows, bytes: 1 }],
                recipe: recipe(),
            })
            .collect();
        state.closes_decided = u64::try_from(state.closes.len()).unwrap();
        let reader = self.entry(layout, &state, &content);
        for close in &state.closes {
            self.publish(layout, partition, state.chain, close, &reader);
        }

        // Entry 3: a row of an epoch that stays open.
        let entry = entry_ref(partition, 3);
        let open = epoch(size.epochs);
        state.entry = entry;
        state.closes.clear();
        state.position = Offset(next + 1);
        state.totals.records += 1;
        state.totals.rows += 1;
        state.waiting = BTreeMap::from([(Scope::OnTime(open), vec![Held { entry, rows: 1, bytes: 1 }])]);
        let rows = rows_of(&[(open, 0, next)]);
        let tags = vec![RowTag { scope: 0, bucket: 0 }];
        let content = Content {
            partition_by: partition_by(),
            scopes: vec![Scope::OnTime(open)],
            buckets: vec![bucket(open, 0)],
            rows: Some(EntryRows { rows, tags }),
            dead: None,
        };
        self.entry(layout, &state, &content);
    }

    fn entry(&self, layout: &Layout, state: &LaneState, content: &Content) -> EntryReader {
        EntryReader::open(Arc::new(self.put_entry(layout, state, content))).unwrap()
    }

    fn put_entry(&self, layout: &Layout, state: &LaneState, content: &Content) -> bytes::Bytes {
        let bytes = write_entry(state, content, &EntryOptions::default()).unwrap();
        self.put(layout.entry(state.identity.partition, state.entry.number).as_ref(), &bytes);
        bytes
    }

    /// Edits the state of a partition's newest entry, and writes the entry as the program does.
    pub(crate) fn forge_newest(&self, partition: i32, edit: impl Fn(&mut LaneState)) {
        let (layout, partition) = (Layout::new(TOPIC), PartitionId(partition));
        let key = self.keys(layout.lane_log(partition).as_ref()).pop().unwrap();
        let reader = EntryReader::open(Arc::new(bytes::Bytes::from(fs::read(self.path().join(key)).unwrap()))).unwrap();
        let mut state = reader.state().clone();
        edit(&mut state);
        // Its only row, as it was.
        let open = *state.waiting.keys().next().unwrap();
        let rows = rows_of(&[(open.epoch().unwrap(), 0, reader.segments()[0].first_offset)]);
        let content = Content {
            partition_by: partition_by(),
            scopes: vec![open],
            buckets: vec![bucket(open.epoch().unwrap(), 0)],
            rows: Some(EntryRows { rows, tags: vec![RowTag { scope: 0, bucket: 0 }] }),
            dead: None,
        };
        self.put_entry(&layout, &state, &content);
    }

    fn publish(&self, layout: &Layout, partition: PartitionId, chain: ChainId, close: &Close, entry: &EntryReader) {
        let schema = schema().columns();
        let options = AssemblyOptions::default();
        let mut assembly = Assembly::open(close, vec![entry.clone()], &schema, &folder, &options).unwrap();
        let columns = assembly.partition_columns().to_vec();
        let mut files = Vec::new();
        while let Some(planned) = assembly.next_file() {
            let folders: Vec<String> = columns
                .iter()
                .zip(&planned.values)
                .map(|(column, value)| folder(column, value.as_deref()).name)
                .collect();
            let key = layout.file(partition, &chain.to_string(), close, &folders).unwrap();
            let mut bytes = Vec::new();
            let written = assembly.write_file(&mut bytes).unwrap();
            self.put(key.as_ref(), &bytes);
            files.push(FileReceipt {
                path: key.to_string(),
                rows: written.rows,
                first_offset: written.first_offset,
                last_offset: written.last_offset,
                bytes: u64::try_from(bytes.len()).unwrap(),
                sha256: hex::encode(Sha256::digest(&bytes)),
            });
        }
        let receipt = Receipt {
            version: RECEIPT_VERSION,
            topic: TOPIC.to_owned(),
            topic_id: "t1".to_owned(),
            partition,
            chain,
            entry: close.entry.number,
            sequence: close.sequence,
            scope: close.scope,
            position: close.position,
            totals: close.totals,
            schema: close.recipe.schema,
            rows: files.iter().map(|file| file.rows).sum(),
            bytes: files.iter().map(|file| file.bytes).sum(),
            files,
            program: "test".to_owned(),
        };
        let key = layout.receipt(partition, &chain.to_string(), close);
        self.put(key.as_ref(), &serde_json::to_vec_pretty(&receipt).unwrap());
    }
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

fn partition_by() -> Vec<String> {
    ["year", "month", "day", "page_url_path"].map(str::to_owned).to_vec()
}

pub(crate) fn epoch(number: i64) -> Epoch {
    EpochLength::from_us(QUARTER_US).unwrap().epoch_of(EventTime(FIRST_EPOCH_US + number * QUARTER_US))
}

fn closed(epochs: i64) -> EventTime {
    epoch(epochs - 1).end
}

fn entry_ref(partition: PartitionId, number: u64) -> EntryRef {
    EntryRef { number: EntryNumber(number), id: EntryId(u64::try_from(partition.0).unwrap() * 100 + number) }
}

fn recipe() -> Recipe {
    Recipe { partition_by: partition_by(), max_buckets: 100_000, layout: 1, schema: 1, compression: "none".to_owned() }
}

fn first(partition: PartitionId) -> LaneState {
    let identity = LaneIdentity {
        group: "writers".to_owned(),
        cluster_id: "c1".to_owned(),
        topic: TOPIC.to_owned(),
        topic_id: "t1".to_owned(),
        partition,
    };
    LaneState {
        chain: ChainId(0x7f3a_9c00 + u32::try_from(partition.0).unwrap()),
        entry: entry_ref(partition, 1),
        ..LaneState::before_the_first_entry(&identity)
    }
}

fn schema() -> Schema {
    let mut fields = vec![
        json!({"name": "event_timestamp", "type": "timestamp", "nullable": true, "metadata": {}}),
        json!({"name": "page_url_path", "type": "string", "nullable": true, "metadata": {}}),
    ];
    fields.extend(
        (0..FILLERS)
            .map(|i| json!({"name": format!("filler_{i}"), "type": "string", "nullable": true, "metadata": {}})),
    );
    Schema::from_json(&json!({"type": "struct", "fields": fields}).to_string()).unwrap()
}

fn folder(column: &str, value: Option<&str>) -> FolderName {
    let hive::Folder { name, exact } = hive::folder(column, value);
    FolderName { name, exact }
}

fn bucket(epoch: Epoch, number: i64) -> Vec<Option<String>> {
    let civil = epoch.start.civil();
    let values = [civil.year.to_string(), civil.month.to_string(), civil.day.to_string(), format!("/page/{number}")];
    values.map(Some).to_vec()
}

fn times(times: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
}

/// Rows of these epochs, buckets and offsets; each is one second into its epoch.
fn rows_of(rows: &[(Epoch, i64, i64)]) -> RecordBatch {
    let mut columns: Vec<ArrayRef> = vec![
        times(rows.iter().map(|(epoch, _, _)| epoch.start.0 + 1_000_000)),
        Arc::new(rows.iter().map(|(_, bucket, _)| Some(format!("/page/{bucket}"))).collect::<StringArray>()),
    ];
    for i in 0..FILLERS {
        columns
            .push(Arc::new(rows.iter().map(|(_, _, offset)| Some(format!("{i}-{offset}"))).collect::<StringArray>()));
    }
    columns.push(Arc::new(StringArray::new_null(rows.len())));
    columns.push(Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, _, offset)| *offset))));
    columns.push(times(rows.iter().map(|(epoch, _, _)| epoch.start.0 + 2_000_000)));
    RecordBatch::try_new(schema().entry_columns(), columns).unwrap()
}

/// Everything of entry 2, and the next offset to read: the rows, epoch by epoch, and behind them a dead letter. Kafka has no offset 3.
fn content(size: Size) -> (Content, i64) {
    let (mut rows, mut tags, mut buckets, mut next) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for number in 0..size.epochs {
        for of_bucket in 0..size.buckets {
            let place = u32::try_from(buckets.len()).unwrap();
            buckets.push(bucket(epoch(number), of_bucket));
            for _ in 0..size.rows {
                next += i64::from(next == 3);
                rows.push((epoch(number), of_bucket, next));
                tags.push(RowTag { scope: u32::try_from(number).unwrap(), bucket: place });
                next += 1;
            }
        }
    }
    let dead_at = epoch(0).start;
    let dead = RecordBatch::try_from_iter::<_, &str>([
        ("_kafka_offset", Arc::new(Int64Array::from(vec![next])) as ArrayRef),
        ("_kafka_timestamp", times([dead_at.0].into_iter())),
        ("reason", Arc::new(StringArray::from(vec!["not_json"]))),
        ("detail", Arc::new(StringArray::from(vec!["expected value"]))),
        ("key", Arc::new(BinaryArray::from(vec![None::<&[u8]>]))),
        ("value", Arc::new(BinaryArray::from_iter_values(["["]))),
    ]);
    let place = u32::try_from(buckets.len()).unwrap();
    buckets.push(bucket(epoch(0), 0)[..3].to_vec());
    let content = Content {
        partition_by: partition_by(),
        scopes: (0..size.epochs).map(|number| Scope::OnTime(epoch(number))).collect(),
        buckets,
        rows: Some(EntryRows { rows: rows_of(&rows), tags }),
        dead: Some(DeadRows { rows: dead.unwrap(), buckets: vec![place] }),
    };
    (content, next + 1)
}
