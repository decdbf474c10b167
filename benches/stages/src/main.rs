//! Parts of the job, each alone, over the records of a topic. `benches/end-to-end --compare` runs it:
//!
//! * `read`: a plain poll loop that drops what it reads, until the end of every partition. Its caller measures the process;
//! * `parts`: keeps some records in memory, decodes them, and encodes their rows as an entry. Prints CPU seconds a million records, as JSON.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use streams_to_parquet::engine::state::{LaneIdentity, LaneState, Offset, PartitionId, Scope};
use streams_to_parquet::engine::time::EpochLength;
use streams_to_parquet::parquet::{Content, EntryOptions, EntryRows, RowTag, write_entry};
use streams_to_parquet::partition::{Buckets, PartitionBy};
use streams_to_parquet::record::timestamp::{TimeUnit, TimestampParser};
use streams_to_parquet::record::{Coordinates, Decoder, DecoderOptions, OnMisfit, Record};
use streams_to_parquet::schema::infer::infer;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How many records the parts are measured with: about what an entry of a backfill holds.
const RECORDS: usize = 200_000;
/// How often each part is done; the quickest time counts.
const ROUNDS: usize = 5;
/// How many records the schema is inferred from.
const SAMPLE: usize = 10_000;
const EPOCH_US: i64 = 15 * 60 * 1_000_000;
const TIMESTAMP: &str = "event_timestamp";
const PARTITION_BY: [&str; 4] = ["year", "month", "day", "page_url_path"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Read,
    Parts,
}

#[derive(Debug, Parser)]
struct Flags {
    part: Part,
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    topic: String,
}

fn main() -> Outcome<()> {
    streams_to_parquet::heap::keep_little();
    let flags = Flags::parse();
    match flags.part {
        Part::Read => {
            let mut bytes = 0;
            let records = read(&flags, usize::MAX, |message| bytes += message.payload_len())?;
            println!("{records} records, {bytes} bytes");
            Ok(())
        }
        Part::Parts => parts(&flags),
    }
}

/// Calls `each` with up to `most` records of the topic; returns how many there were.
fn read(flags: &Flags, most: usize, mut each: impl FnMut(&BorrowedMessage<'_>)) -> Outcome<usize> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &flags.brokers).set("group.id", "reads-alone");
    // As the run that it is compared with; with librdkafka's default of a second, a quick reader waits most of the time.
    config.set("fetch.queue.backoff.ms", "20").set("fetch.wait.max.ms", "50").set("fetch.min.bytes", "262144");
    config.set("fetch.max.bytes", "1000000").set("enable.metrics.push", "false");
    config.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create()?;
    let metadata = consumer.fetch_metadata(Some(&flags.topic), Duration::from_secs(10))?;
    let partitions = metadata.topics().first().map(|topic| topic.partitions()).unwrap_or_default();
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition_offset(&flags.topic, partition.id(), KafkaOffset::Beginning)?;
    }
    consumer.assign(&list)?;
    let (mut records, mut ends) = (0, 0);
    while records < most && ends < partitions.len() {
        match consumer.poll(Duration::from_secs(30)) {
            Some(Ok(message)) => {
                each(&message);
                records += 1;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ends += 1,
            Some(Err(error)) => return Err(error.into()),
            None => return Err("the broker has nothing to say".into()),
        }
    }
    Ok(records)
}

/// Does `part` some times; returns the CPU microseconds for each of `records`, and what came out of the last time.
fn measured<T>(records: usize, mut part: impl FnMut() -> Outcome<T>) -> Outcome<(f64, T)> {
    let (mut best, mut last) = (f64::INFINITY, None);
    for _ in 0..ROUNDS {
        let before = cpu_ns()?;
        let outcome = black_box(part()?);
        best = best.min((cpu_ns()? - before) / 1e3);
        last = Some(outcome);
    }
    Ok((best / f64::from(u32::try_from(records)?), last.ok_or("no round")?))
}

/// Returns the CPU time of this thread in nanoseconds.
fn cpu_ns() -> Outcome<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().ok_or("no time")?.parse()?)
}

fn parts(flags: &Flags) -> Outcome<()> {
    let mut records: Vec<Vec<u8>> = Vec::new();
    read(flags, RECORDS, |message| records.push(message.payload().unwrap_or_default().to_vec()))?;
    let derived = PARTITION_BY[..3].iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let schema = Arc::new(infer(records.iter().take(SAMPLE).map(Vec::as_slice), TIMESTAMP, &derived).schema);
    let names = PARTITION_BY.map(str::to_owned);
    let by = PartitionBy::parse(&names, &schema)?;
    let options = DecoderOptions {
        timestamp_field: TIMESTAMP.to_owned(),
        timestamps: TimestampParser::new(TimeUnit::Auto, chrono_tz::UTC),
        max_future: None,
        on_misfit: OnMisfit::Extra,
    };
    let (decode, content) = measured(records.len(), || {
        let mut decoder = Decoder::new(Arc::clone(&schema), options.clone());
        rows(&records, &mut decoder, &by, &names)
    })?;
    let state = state();
    let (encode, _) = measured(records.len(), || Ok(write_entry(&state, &content, &EntryOptions::default())?))?;
    println!(
        r#"{{"decoding alone": {decode:.3}, "encoding alone": {encode:.3}, "both (floor)": {:.3}}}"#,
        decode + encode
    );
    Ok(())
}

/// Decodes records, and finds the epoch and the bucket of each row.
fn rows(records: &[Vec<u8>], decoder: &mut Decoder, by: &PartitionBy, names: &[String]) -> Outcome<Content> {
    let mut columns = decoder.columns();
    let mut buckets = Buckets::new(by.clone());
    let length = EpochLength::from_us(EPOCH_US).ok_or("no length of an epoch")?;
    let at = |offset| Coordinates { offset: Offset(offset), kafka_timestamp_ms: 0 };
    let all = (0..).zip(records).map(|(offset, value)| Record { coordinates: at(offset), key: None, value: Some(value) });
    let mut times = Vec::with_capacity(records.len());
    let place = |_: &Record<'_>, time| {
        times.push(time);
        true
    };
    decoder.decode_all(all, &mut columns, place)?;
    let (mut scopes, mut tags) = (Vec::<Scope>::new(), Vec::with_capacity(records.len()));
    for (row, time) in times.into_iter().enumerate() {
        let time = time?;
        let scope = Scope::OnTime(length.epoch_of(time));
        let place = scopes.iter().rposition(|known| *known == scope).unwrap_or_else(|| {
            scopes.push(scope);
            scopes.len() - 1
        });
        tags.push(RowTag { scope: u32::try_from(place)?, bucket: buckets.bucket(&columns, row, time) });
    }
    let values = (0..u32::try_from(buckets.len())?).map(|bucket| buckets.values(bucket).to_vec());
    let values = values.collect();
    let rows = Some(EntryRows { rows: columns.finish()?, tags });
    Ok(Content { partition_by: names.to_vec(), scopes, buckets: values, rows, dead: None })
}

/// Returns the state of a lane that has done nothing yet.
fn state() -> LaneState {
    LaneState::before_the_first_entry(&LaneIdentity {
        group: String::new(),
        cluster_id: String::new(),
        topic: String::new(),
        topic_id: String::new(),
        partition: PartitionId(0),
    })
}
