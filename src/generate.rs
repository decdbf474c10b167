//! The bundled producer of fake web events.
//!
//! [`EventGenerator`] is the pure stream of events, which the demo and the benchmarks use, too; [`run`] paces it and
//! sends it to a Kafka topic or writes JSON lines. Reads no clock: the caller passes one in.

mod device;
mod error;
mod flags;
mod model;
mod pace;
mod pages;
mod producer;
mod progress;
mod random;
mod sink;
mod tables;
mod text;
mod visitor;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use chrono::{DateTime, Utc};
use rdkafka::config::ClientConfig;

pub use self::error::GenerateError;
pub use self::flags::{EventsConfig, GenerateConfig, KafkaTimestamps, PaceConfig, TargetConfig};
pub use self::model::{EventGenerator, EventInfo, Malformed, ModelConfig, Timing};
pub use self::pages::Site;
pub use self::random::Fraction;

use self::pace::{Due, Pace};
use self::producer::{KafkaSink, Target};
use self::progress::{Progress, per_second};
use self::sink::{Lines, Sink};

/// How many events are made between two looks at the clock and the stop flag.
const BATCH: u64 = 256;
/// The shortest wait for the next event: high rates come in small bursts, instead of spinning.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);
/// The longest wait before looking at the stop flag again.
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// How far event time may run ahead of Kafka's timestamps before a warning, in microseconds: `run --max-future`.
const AHEAD_US: i64 = 3_600_000_000;
/// The warning.
const AHEAD: &str = "event time is more than an hour ahead of the wall clock: readers refuse such events; \
    see `--start` and `--kafka-timestamps`";

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Events made, of all kinds.
    pub events: u64,
    /// Bytes of the events, without keys and newlines.
    pub bytes: u64,
    /// Wall time that it took.
    pub elapsed: Duration,
    /// Events that lie 2 seconds to 2 minutes behind.
    pub out_of_order: u64,
    /// Events that lie 30 minutes to 2 hours behind.
    pub late: u64,
    /// Events that cannot become rows.
    pub malformed: u64,
    /// Different keys.
    pub keys: u64,
    /// Events that the brokers acknowledged, or that were written.
    pub stored: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, bytes, elapsed, out_of_order, late, malformed, keys, stored } = self;
        let seconds = elapsed.as_secs_f64();
        let (bytes, rate) = (ByteSize(*bytes), per_second(*events, *elapsed));
        write!(f, "{events} events, {bytes}, in {seconds:.1} s ({rate} events/s); {stored} stored; {keys} keys; ")?;
        write!(f, "{out_of_order} out of order, {late} late, {malformed} malformed")
    }
}

/// Makes events and sends them to Kafka, or writes them as JSON lines, until the flags' limits or until `stop` is set.
///
/// `client` holds the user's properties of the Kafka client, if there are any. Progress and the summary are shown on
/// standard error. `clock` is asked for the wall time.
///
/// # Errors
/// Fails if the target cannot be reached or written, or if any event was not acknowledged.
pub fn run(
    config: &GenerateConfig,
    client: Option<ClientConfig>,
    stop: &AtomicBool,
    clock: &dyn Fn() -> SystemTime,
) -> Result<Summary, GenerateError> {
    let model = config.model(clock())?;
    let target = &config.target;
    if let Some(path) = &target.output {
        return produce(Lines::open(path)?, config, &model, None, stop, clock);
    }
    let client = client.unwrap_or_default();
    let given = client.get("bootstrap.servers").or_else(|| client.get("metadata.broker.list")).map(str::to_owned);
    let brokers = given.or_else(|| target.brokers.clone()).ok_or(GenerateError::NoTarget)?;
    let to = Target {
        brokers: &brokers,
        topic: &target.topic,
        create: target.create_topic.then_some((target.partitions, target.replication_factor)),
        timestamps: target.kafka_timestamps,
    };
    let (sink, partitions) = KafkaSink::open(&to, client)?;
    let note = format!("topic `{}` with {partitions} partitions at {brokers}", target.topic);
    produce(sink, config, &model, Some(&note), stop, clock)
}

/// Makes events into `sink`, paced, until a limit.
fn produce(
    mut sink: impl Sink,
    config: &GenerateConfig,
    model: &ModelConfig,
    note: Option<&str>,
    stop: &AtomicBool,
    clock: &dyn Fn() -> SystemTime,
) -> Result<Summary, GenerateError> {
    let pace = Pace::new(&config.pace);
    let mut progress = Progress::start(pace.limit);
    if let Some(note) = note {
        progress.note(note);
    }
    let mut warn_ahead = note.is_some() && config.target.kafka_timestamps == KafkaTimestamps::Now;
    let mut generator = EventGenerator::new(model);
    let mut summary = Summary::default();
    let start = clock();
    'made: while !stop.load(Ordering::Relaxed) {
        let now = clock();
        let elapsed = now.duration_since(start).unwrap_or(summary.elapsed); // a clock set back stands still
        summary.elapsed = elapsed;
        progress.update(elapsed, summary.events, generator.event_time());
        if warn_ahead && generator.event_time().0 - DateTime::<Utc>::from(now).timestamp_micros() > AHEAD_US {
            warn_ahead = false;
            progress.note(AHEAD);
        }
        match pace.due(elapsed, summary.events) {
            Due::Nothing => break,
            Due::In(wait) => sink.wait(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT))?,
            Due::Now(events) => {
                for _ in 0..events.min(BATCH) {
                    let buffer = sink.buffer();
                    let before = buffer.len();
                    let event = generator.next_event(buffer);
                    let bytes = buffer.len() - before;
                    if !sink.emit(event.key, event.event_time, stop)? {
                        break 'made;
                    }
                    summary.events += 1;
                    summary.bytes += bytes as u64;
                    summary.out_of_order += u64::from(event.timing == Timing::OutOfOrder);
                    summary.late += u64::from(event.timing == Timing::Late);
                    summary.malformed += u64::from(event.malformed.is_some());
                }
            }
        }
    }
    summary.stored = sink.finish(stop)?;
    summary.keys = generator.keys();
    summary.elapsed = clock().duration_since(start).unwrap_or(summary.elapsed);
    progress.finish();
    progress.note(&summary.to_string());
    Ok(summary)
}

#[cfg(test)]
mod tests;
