//! Each step from a record's bytes to a published file, on the 20,000 real events: one file of `cargo bench`, for comparisons on one machine.
//!
//!     cargo bench --bench steps
//!     cargo bench --bench steps -- decode     one of them

use std::collections::BTreeMap;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use chrono_tz::Tz;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flate2::read::GzDecoder;
use streams_to_parquet::engine::state::{
    ChainId, Close, EntryId, EntryNumber, EntryRef, Held, LaneIdentity, LaneState, Offset, PartitionId, Recipe, Scope,
    Totals,
};
use streams_to_parquet::engine::time::{EpochLength, EventTime};
use streams_to_parquet::parquet::{
    Assembly, AssemblyOptions, Content, EntryOptions, EntryReader, EntryRows, FolderName, RowTag, write_entry,
};
use streams_to_parquet::partition::{Buckets, PartitionBy, hive};
use streams_to_parquet::record::timestamp::{TimeUnit, TimestampParser};
use streams_to_parquet::record::{Columns, Coordinates, Decoder, DecoderOptions, OnMisfit, Record, Rejection};
use streams_to_parquet::schema::Schema;
use streams_to_parquet::schema::infer::infer;

const PARTITION_BY: [&str; 4] = ["year", "month", "day", "page_url_path"];
const QUARTER_US: i64 = 900_000_000;

fn events() -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fake_web_events-20k.jsonl.gz");
    let lines = BufReader::new(GzDecoder::new(File::open(path).expect("the real events")));
    lines.split(b'\n').map(|line| line.expect("a line")).filter(|line| !line.is_empty()).collect()
}

fn schema(events: &[Vec<u8>]) -> Arc<Schema> {
    Arc::new(infer(events.iter().take(1_000).map(Vec::as_slice), "event_timestamp", &[]).schema)
}

fn decoder(schema: &Arc<Schema>) -> Decoder {
    let options = DecoderOptions {
        timestamp_field: "event_timestamp".into(),
        timestamps: TimestampParser::new(TimeUnit::Auto, Tz::UTC),
        max_future: None,
        on_misfit: OnMisfit::Extra,
    };
    Decoder::new(Arc::clone(schema), options)
}

fn decode(decoder: &mut Decoder, events: &[Vec<u8>], columns: &mut Columns) -> Vec<EventTime> {
    let at = |offset| Coordinates { offset: Offset(offset), kafka_timestamp_ms: 1_795_367_416_500 };
    let all =
        (0..).zip(events).map(|(offset, event)| Record { coordinates: at(offset), key: None, value: Some(event) });
    let mut times = Vec::with_capacity(events.len());
    let place = |_: &Record<'_>, time: Result<EventTime, Rejection>| {
        times.push(time.expect("a real event"));
        true
    };
    decoder.decode_all(all, columns, place).expect("room");
    times
}

fn buckets(schema: &Schema) -> Buckets {
    Buckets::new(PartitionBy::parse(&PARTITION_BY.map(str::to_owned), schema).expect("known columns"))
}

/// The rows of one lane: scopes and buckets are found as a lane finds them.
fn content(events: &[Vec<u8>], schema: &Arc<Schema>) -> Content {
    let mut decoder = decoder(schema);
    let mut columns = decoder.columns();
    let times = decode(&mut decoder, events, &mut columns);
    let (mut buckets, mut scopes) = (buckets(schema), Vec::<Scope>::new());
    let length = EpochLength::from_us(QUARTER_US).expect("15 minutes");
    let tag = |(row, time): (usize, &EventTime)| {
        let scope = Scope::OnTime(length.epoch_of(*time));
        let place = scopes.iter().position(|known| *known == scope).unwrap_or_else(|| {
            scopes.push(scope);
            scopes.len() - 1
        });
        RowTag { scope: u32::try_from(place).expect("few epochs"), bucket: buckets.bucket(&columns, row, *time) }
    };
    let tags = times.iter().enumerate().map(tag).collect();
    let values = |bucket| buckets.values(u32::try_from(bucket).expect("few buckets")).to_vec();
    let all = (0..buckets.len()).map(values).collect();
    let rows = Some(EntryRows { rows: columns.finish().expect("columns of one length"), tags });
    Content { partition_by: PARTITION_BY.map(str::to_owned).to_vec(), scopes, buckets: all, rows, dead: None }
}

/// The state of a lane whose first entry holds these rows, and the close of its fullest epoch.
fn closed(content: &Content) -> (LaneState, Close) {
    let tags = content.rows.as_ref().map_or(&[][..], |rows| &rows.tags);
    let mut rows: BTreeMap<u32, u64> = BTreeMap::new();
    for tag in tags {
        *rows.entry(tag.scope).or_default() += 1;
    }
    let (scope, rows) = rows.into_iter().max_by_key(|(_, rows)| *rows).expect("rows");
    let scope = content.scopes[usize::try_from(scope).expect("few epochs")];
    let identity = LaneIdentity {
        group: "writers".to_owned(),
        cluster_id: "cluster".to_owned(),
        topic: "web-events".to_owned(),
        topic_id: "id".to_owned(),
        partition: PartitionId(0),
    };
    let all = u64::try_from(tags.len()).expect("few rows");
    let mut state = LaneState::before_the_first_entry(&identity);
    state.entry = EntryRef { number: EntryNumber(1), id: EntryId(1) };
    state.chain = ChainId(1);
    state.totals = Totals { records: all, rows: all, ..Totals::default() };
    state.closes_decided = 1;
    let recipe = Recipe {
        partition_by: content.partition_by.clone(),
        max_buckets: 10_000,
        layout: 1,
        schema: 1,
        compression: "zstd:1".to_owned(),
    };
    let close = Close {
        scope,
        sequence: 1,
        entry: state.entry,
        position: state.position,
        totals: state.totals,
        rows: vec![Held { entry: state.entry, rows, bytes: rows * 1_000 }],
        recipe,
    };
    state.closes = vec![close.clone()];
    (state, close)
}

fn folder(column: &str, value: Option<&str>) -> FolderName {
    let hive::Folder { name, exact } = hive::folder(column, value);
    FolderName { name, exact }
}

fn steps(criterion: &mut Criterion) {
    let events = events();
    let schema = schema(&events);
    let count = u64::try_from(events.len()).expect("20,000");

    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(count));
    group.bench_function("20,000 web events", |bench| {
        let mut decoder = decoder(&schema);
        let mut columns = decoder.columns();
        bench.iter(|| {
            black_box(decode(&mut decoder, &events, &mut columns));
            columns.truncate(0);
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("route");
    group.throughput(Throughput::Elements(count));
    group.bench_function("20,000 rows, 4 partition columns", |bench| {
        let mut decoder = decoder(&schema);
        let mut columns = decoder.columns();
        let times = decode(&mut decoder, &events, &mut columns);
        bench.iter_batched(
            || buckets(&schema),
            |mut buckets| {
                for (row, time) in times.iter().enumerate() {
                    black_box(buckets.bucket(&columns, row, *time));
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();

    let content = content(&events, &schema);
    let (state, close) = closed(&content);
    let mut group = criterion.benchmark_group("append");
    group.throughput(Throughput::Elements(count));
    group.bench_function("an entry of 20,000 rows", |bench| {
        bench.iter(|| write_entry(&state, &content, &EntryOptions::default()).expect("an entry"));
    });
    group.finish();

    let entry = write_entry(&state, &content, &EntryOptions::default()).expect("an entry");
    let mut group = criterion.benchmark_group("assemble");
    group.throughput(Throughput::Elements(close.row_count()));
    group.bench_function("the files of an epoch", |bench| {
        bench.iter(|| {
            let reader = EntryReader::open(Arc::new(entry.clone())).expect("a sound entry");
            let columns = schema.columns();
            let opened = Assembly::open(&close, vec![reader], &columns, &folder, &AssemblyOptions::default());
            let mut assembly = opened.expect("an entry of the close");
            while assembly.next_file().is_some() {
                black_box(assembly.write_file(std::io::sink()).expect("a file"));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
