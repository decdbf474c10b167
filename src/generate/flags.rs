//! The flags of `generate`, and the stream of events that they describe.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use clap::{Args, ValueEnum};

use super::pace::picoseconds;
use super::{Fraction, GenerateError, ModelConfig, Site};
use crate::engine::time::EventTime;

/// The event time that passes per event when no rate is given, at `--speed 1`, in seconds.
const UNPACED_STEP_SECONDS: f64 = 0.001;
/// The longest step between events: a day, in picoseconds.
const LONGEST_STEP_PS: u64 = 86_400 * 1_000_000_000_000;

/// Produces fake web events: visitors who walk through the pages of a site.
///
/// They go to a Kafka topic, or to a file or standard output as JSON lines. Ends at `--count` or `--duration`, or when it
/// is interrupted, after everything sent was acknowledged.
#[derive(Debug, Clone, Args)]
pub struct GenerateConfig {
    /// Where the events go.
    #[command(flatten)]
    pub target: TargetConfig,
    /// How many events, and how fast.
    #[command(flatten)]
    pub pace: PaceConfig,
    /// What the events are like.
    #[command(flatten)]
    pub events: EventsConfig,
}

/// Where the events go.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Target")]
pub struct TargetConfig {
    /// Kafka brokers to connect to first, separated by commas.
    #[arg(long, env = "BROKERS", value_name = "HOST:PORT,...")]
    pub brokers: Option<String>,
    /// Topic to produce to. The key of each record is its `page_url_path`.
    #[arg(long, env = "TOPIC", default_value = "web-events")]
    pub topic: String,
    /// Write JSON lines to this file instead of Kafka; `-` is standard output.
    #[arg(long, env = "GENERATE_OUTPUT", value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Create the topic if it does not exist.
    #[arg(long, env = "GENERATE_CREATE_TOPIC")]
    pub create_topic: bool,
    /// Partitions of a created topic.
    #[arg(long, env = "GENERATE_PARTITIONS", default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub partitions: i32,
    /// Replicas of each partition of a created topic; -1 takes the broker's default.
    #[arg(long, env = "GENERATE_REPLICATION_FACTOR", default_value_t = -1, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1..=100))]
    pub replication_factor: i32,
    /// What the records' Kafka timestamps say.
    ///
    /// With `now`, they are the wall clock, as with most producers. A reader's watermark never passes Kafka's
    /// timestamps, and it refuses event times more than an hour ahead of them: with `now`, let accelerated event time
    /// begin in the past (`--start`). With `event`, they are the event time; brokers refuse those that are more than
    /// an hour ahead of their own clock, unless the topic's `message.timestamp.after.max.ms` says otherwise.
    #[arg(long, env = "GENERATE_KAFKA_TIMESTAMPS", value_enum, default_value_t = KafkaTimestamps::Now)]
    pub kafka_timestamps: KafkaTimestamps,
}

/// What the records' Kafka timestamps say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KafkaTimestamps {
    /// The wall clock when the record is sent.
    Now,
    /// The record's event time.
    Event,
}

/// How many events, and how fast.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Pace")]
pub struct PaceConfig {
    /// Events a second of wall time [default: as fast as possible].
    #[arg(long, env = "GENERATE_RATE", value_name = "EVENTS/S", value_parser = rate)]
    pub rate: Option<f64>,
    /// How many events [default: no limit].
    #[arg(long, env = "GENERATE_COUNT", value_name = "EVENTS")]
    pub count: Option<u64>,
    /// How long, in wall time, such as `90s` or `10m`; with `--rate` exactly rate x duration events [default: no limit].
    #[arg(long, env = "GENERATE_DURATION", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
}

/// What the events are like.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Events")]
pub struct EventsConfig {
    /// Names the stream: the same seed, `--start` and flags give the same bytes.
    #[arg(long, env = "GENERATE_SEED", value_name = "NUMBER", default_value_t = 42)]
    pub seed: u64,
    /// Event time of the first event, as RFC 3339 such as `2026-11-22T17:00:00Z` [default: now].
    #[arg(long, env = "GENERATE_START", value_name = "TIME", value_parser = time)]
    pub start: Option<EventTime>,
    /// Seconds of event time that pass in a second of wall time at `--rate`, that is speed / rate seconds per event.
    /// Without `--rate`: milliseconds of event time per event.
    #[arg(long, env = "GENERATE_SPEED", value_name = "FACTOR", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
    /// Fraction of events, 0 to 1, whose event time lies 2 seconds to 2 minutes behind.
    #[arg(long, env = "GENERATE_OUT_OF_ORDER", value_name = "FRACTION", default_value = "0")]
    pub out_of_order: Fraction,
    /// Fraction of events, 0 to 1, whose event time lies 30 minutes to 2 hours behind.
    #[arg(long, env = "GENERATE_LATE", value_name = "FRACTION", default_value = "0")]
    pub late: Fraction,
    /// Fraction of events, 0 to 1, that are malformed: not JSON, truncated, an array, not UTF-8, without a timestamp,
    /// with one that is no time, null or in the year 0, or (not with `--output`) empty; each kind in turn.
    #[arg(long, env = "GENERATE_MALFORMED", value_name = "FRACTION", default_value = "0")]
    pub malformed: Fraction,
    /// How many pages, and so Kafka keys, with a skew: each doubling of the rank is as popular as the one before
    /// [default: the six pages of a shop].
    #[arg(long, env = "GENERATE_PAGES", value_name = "PAGES", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub pages: Option<u32>,
}

fn positive(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("expected a number from {least} to {most}"))
}

fn rate(text: &str) -> Result<f64, String> {
    positive(text, 0.001, 1e9)
}

fn speed(text: &str) -> Result<f64, String> {
    positive(text, 0.001, 1e6)
}

fn time(text: &str) -> Result<EventTime, String> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|error| error.to_string())?;
    let time = EventTime(time.timestamp_micros());
    if time.is_plausible() { Ok(time) } else { Err("expected a time in the years 1 to 9999".into()) }
}

impl GenerateConfig {
    /// Returns the stream of events that the flags describe; it begins at `now` unless they say otherwise.
    ///
    /// # Errors
    /// Fails if more than a day of event time would pass from one event to the next, or if the fractions exceed 1.
    pub fn model(&self, now: SystemTime) -> Result<ModelConfig, GenerateError> {
        let events = &self.events;
        let now = EventTime(DateTime::<Utc>::from(now).timestamp_micros());
        let step_seconds = events.speed * self.pace.rate.map_or(UNPACED_STEP_SECONDS, |rate| 1.0 / rate);
        if !Fraction::fit(&[events.out_of_order, events.late, events.malformed]) {
            return Err(GenerateError::Fractions);
        }
        let step_ps = picoseconds(step_seconds).filter(|step| *step <= LONGEST_STEP_PS);
        Ok(ModelConfig {
            step_ps: step_ps.ok_or(GenerateError::Step { seconds: step_seconds })?,
            out_of_order: events.out_of_order,
            late: events.late,
            malformed: events.malformed,
            may_be_empty: self.target.output.is_none(),
            site: events.pages.map_or(Site::Shop, Site::Catalog),
            ..ModelConfig::new(events.seed, events.start.unwrap_or(now))
        })
    }
}
