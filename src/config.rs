//! Flags: raw as they are given, and checked as the program uses them. The only reader of the environment (through clap).

pub mod recover;
#[cfg(test)]
mod tests;
pub mod verify;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use chrono_tz::Tz;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use rdkafka::config::ClientConfig;
use thiserror::Error;

use self::recover::RecoverConfig;
use self::verify::VerifyConfig;
use crate::engine::lane::{DataLossPolicy, ForeignOffsetPolicy, LatePolicy};
use crate::engine::time::EpochLength;
use crate::generate::GenerateConfig;
use crate::kafka;
use crate::parquet::parse_codec;

/// A mistake in the flags that clap cannot see.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A flag's value, or a combination of flags.
    #[error("{0}")]
    Flag(String),
    /// The properties file.
    #[error("cannot read --kafka-config `{path}`: {why}")]
    KafkaConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; never its contents.
        why: String,
    },
}

/// Turns a Kafka topic of JSON events into partitioned Parquet files, exactly once.
#[derive(Debug, Parser)]
#[command(name = "streams-to-parquet", version, about, max_term_width = 110, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How to log.
    #[command(flatten)]
    pub log: LogConfig,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Join the consumer group and write Parquet until stopped.
    Run(Box<RunConfig>),
    /// Produce fake web events.
    Generate {
        /// What and where to.
        #[command(flatten)]
        events: Box<GenerateConfig>,
        /// Properties of the client.
        #[command(flatten)]
        client: ClientFlags,
    },
    /// Prove that nothing is lost and nothing doubled in an output. Exit code 0: proved; 1: violated; 2: could not check.
    Verify(Box<VerifyConfig>),
    /// Give up rows whose entries are gone from the lane log, so that a stopped partition can go on. Look with --dry-run first.
    Recover(RecoverConfig),
    /// See it work: broker, events and three instances in one process, for half a minute.
    Demo(DemoConfig),
    /// Print the schema file that fits the records of a topic or of a JSON-lines file.
    InferSchema(InferConfig),
    /// Print a shell's completion script.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// How to log.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logging")]
pub struct LogConfig {
    /// What to log: a level (`error`, `warn`, `info`, `debug`, `trace`), or filters for each module
    /// [default: `info`; `error` for `demo` and `verify`, which show their progress instead].
    #[arg(long, env = "LOG", value_name = "FILTER", global = true)]
    pub log: Option<String>,
    /// How to write log lines to standard error.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The flags of `run`.
#[derive(Debug, Clone, Args)]
pub struct RunConfig {
    /// Where the records come from.
    #[command(flatten)]
    pub kafka: KafkaConfig,
    /// Where the files go.
    #[command(flatten)]
    pub output: OutputConfig,
    /// What the clock is.
    #[command(flatten)]
    pub time: TimeConfig,
    /// What a row is.
    #[command(flatten)]
    pub rows: RowConfig,
    /// When it ends, and what happens when something outside went wrong.
    #[command(flatten)]
    pub operation: OperationConfig,
}

/// Where the records come from.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Kafka")]
pub struct KafkaConfig {
    /// Kafka brokers to connect to first, separated by commas.
    #[arg(long, env = "BROKERS", value_name = "HOST:PORT,...")]
    pub brokers: Option<String>,
    /// Topic to read; may be given several times.
    #[arg(long = "topic", env = "TOPIC", value_name = "NAME", required = true, value_delimiter = ',')]
    pub topics: Vec<String>,
    /// Consumer group. All instances that share the work have the same.
    #[arg(long, env = "GROUP", value_name = "NAME", default_value = "streams-to-parquet")]
    pub group: String,
    /// Where a partition begins that this group has never read.
    #[arg(long, env = "START", value_enum, default_value_t = StartAt::Earliest)]
    pub start: StartAt,
    /// Properties of the client.
    #[command(flatten)]
    pub client: ClientFlags,
}

/// Properties of the Kafka client.
#[derive(Clone, Args)]
#[command(next_help_heading = "Kafka")]
pub struct ClientFlags {
    /// Any librdkafka property; may be given several times. TLS and SASL go here or into the file.
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = property)]
    pub property: Vec<(String, String)>,
    /// Properties file with librdkafka properties, for what must not be seen in a process list.
    #[arg(long, env = "KAFKA_CONFIG", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub kafka_config: Option<PathBuf>,
}

impl std::fmt::Debug for ClientFlags {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.property.iter().map(|(key, _)| key.as_str()).collect();
        f.debug_struct("ClientFlags").field("property", &names).field("kafka_config", &self.kafka_config).finish()
    }
}

impl ClientFlags {
    /// Returns the client's properties: those of the file, those of `-X` over them, and `brokers` unless they name some.
    ///
    /// # Errors
    /// When the file cannot be read, or a property is set that this program depends on.
    pub fn client(&self, brokers: Option<&str>) -> Result<ClientConfig, ConfigError> {
        let mut config = ClientConfig::new();
        let mut all = BTreeMap::new();
        if let Some(path) = &self.kafka_config {
            let unreadable = |why: String| ConfigError::KafkaConfig { path: path.clone(), why };
            let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
            let read = java_properties::read(BufReader::new(file)).map_err(|error| unreadable(error.to_string()))?;
            all.extend(read);
        }
        all.extend(self.property.iter().cloned());
        for (key, value) in all {
            if let Some(why) = kafka::fixed_property(&key, &value) {
                return Err(ConfigError::Flag(why));
            }
            config.set(key, value);
        }
        if let Some(brokers) = brokers
            && config.get("bootstrap.servers").is_none()
            && config.get("metadata.broker.list").is_none()
        {
            config.set("bootstrap.servers", brokers);
        }
        Ok(config)
    }
}

/// Where a new group begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StartAt {
    /// At the oldest record that Kafka holds.
    Earliest,
    /// With the records that come from now on.
    Latest,
}

/// Where the files go.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputConfig {
    /// Folder or URL (`s3://bucket/prefix`, `gs://…`, `az://…`) that gets the files; all instances have the same.
    ///
    /// Object stores take their credentials and settings from the environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`).
    #[arg(long, env = "OUTPUT", value_name = "PATH|URL", value_hint = ValueHint::DirPath)]
    pub output: String,
    /// Columns that become folders, in this order. `year`, `month`, `day` and `hour` come from the event time, in UTC.
    #[arg(
        long,
        env = "PARTITION_BY",
        value_name = "COLUMN,...",
        value_delimiter = ',',
        default_value = "year,month,day,page_url_path"
    )]
    pub partition_by: Vec<String>,
    /// Folders of their own for at most this many combinations of partition values in an epoch and Kafka partition; the rest share `__OTHER__`.
    #[arg(long, env = "MAX_BUCKETS", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_buckets: u32,
    /// Codec of the published files: `zstd:1` to `zstd:22`, `snappy`, `lz4`, `gzip` or `none`.
    #[arg(long, env = "COMPRESSION", value_name = "CODEC", default_value = "zstd:1", value_parser = codec)]
    pub compression: String,
}

/// What the clock is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Event time")]
pub struct TimeConfig {
    /// Field of the event that holds its time.
    #[arg(long, env = "TIMESTAMP_FIELD", value_name = "FIELD", default_value = "event_timestamp")]
    pub timestamp_field: String,
    /// Unit of timestamps that are numbers; `auto` tells it by their size.
    #[arg(long, env = "TIMESTAMP_UNIT", value_enum, default_value_t = Unit::Auto)]
    pub timestamp_unit: Unit,
    /// Time zone of timestamps that name none: an IANA name.
    #[arg(long, env = "TIMEZONE", value_name = "ZONE", default_value = "UTC")]
    pub timezone: Tz,
    /// Length of an epoch; must divide a day.
    #[arg(long, env = "EPOCH", value_name = "DURATION", default_value = "15m", value_parser = epoch)]
    pub epoch: EpochLength,
    /// How far behind the newest event a record may be before it counts as late.
    #[arg(long, env = "ALLOWED_LATENESS", value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub allowed_lateness: Duration,
    /// What becomes of late rows.
    #[arg(long, env = "LATE", value_enum, default_value_t = Late::Append)]
    pub late: Late,
    /// How far ahead of its record's Kafka timestamp an event time may be; beyond it is a dead letter.
    #[arg(long, env = "MAX_FUTURE", value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub max_future: Duration,
    /// How long a partition that is read to its end gets no record before the wall clock closes its epochs.
    #[arg(long, env = "IDLE_TIMEOUT", value_name = "DURATION", default_value = "5m", value_parser = duration)]
    pub idle_timeout: Duration,
}

/// What a row is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Rows")]
pub struct RowConfig {
    /// Schema file (Spark's StructType as JSON); without it, the schema is inferred from the topic's first records and kept in the output.
    #[arg(long, env = "SCHEMA", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub schema: Option<PathBuf>,
    /// What becomes of a value that does not fit its column.
    #[arg(long, env = "ON_MISFIT", value_enum, default_value_t = Misfit::Extra)]
    pub on_misfit: Misfit,
}

/// When it ends, and what happens when something outside went wrong.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Operation")]
pub struct OperationConfig {
    /// End when every partition has reached the end that it had at the start.
    #[arg(long, env = "UNTIL_END")]
    pub until_end: bool,
    /// With --until-end: leave open what the watermark has not closed; the next run goes on with it.
    #[arg(long, env = "KEEP_OPEN", requires = "until_end")]
    pub keep_open: bool,
    /// Only say what each partition would do first (where it goes on, what it would skip, why it would stop), and end: exit code 1 if one would
    /// stop. Joins no group, and changes nothing.
    #[arg(long, env = "DRY_RUN")]
    pub dry_run: bool,
    /// How often what was read is made durable and committed; the most that a crash makes us read again.
    #[arg(long, env = "COMMIT_INTERVAL", value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub commit_interval: Duration,
    /// How long a rebalance or a shutdown may wait for what was read to be made durable.
    #[arg(long, env = "HANDOVER_TIMEOUT", value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub handover_timeout: Duration,
    /// How long a partition that has something to read or to append may make no progress before this process leaves the group and ends, with
    /// the reason; `0s` waits for ever. A Kafka that does not answer is waited for all the same.
    #[arg(long, env = "STALL_TIMEOUT", value_name = "DURATION", default_value = "10m", value_parser = duration)]
    pub stall_timeout: Duration,
    /// Entries of the lane log that may hold rows of one open epoch before they are merged.
    #[arg(long, env = "MERGE_ENTRIES", value_name = "ENTRIES", default_value_t = 32, value_parser = clap::value_parser!(u32).range(2..))]
    pub merge_entries: u32,
    /// How long an entry that is no longer needed is kept for those who may be reading it.
    #[arg(long, env = "COLLECT_GRACE", value_name = "DURATION", default_value = "2m", value_parser = duration)]
    pub collect_grace: Duration,
    /// What to do when a tool has moved the group's committed offset.
    #[arg(long, env = "ON_FOREIGN_OFFSET", value_enum, default_value_t = ForeignOffset::Stop)]
    pub on_foreign_offset: ForeignOffset,
    /// What to do when Kafka no longer holds the next offset.
    #[arg(long, env = "ON_DATA_LOSS", value_enum, default_value_t = DataLoss::Stop)]
    pub on_data_loss: DataLoss,
    /// Memory that the process may use. Below 384MiB it is given back sooner, for a fifth more CPU.
    #[arg(long, env = "MEMORY_LIMIT", value_name = "SIZE", default_value = "512MiB", value_parser = memory)]
    pub memory_limit: ByteSize,
    /// Threads that decode records, also those of one partition; 0 is one for each core.
    #[arg(long, env = "WORKERS", default_value_t = 0)]
    pub workers: usize,
    /// Address of metrics and health (`/metrics`, `/livez`, `/readyz`), such as `0.0.0.0:9090`; none without it.
    #[arg(long, env = "HTTP", value_name = "ADDRESS:PORT")]
    pub http: Option<SocketAddr>,
}

/// The flags of `demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoConfig {
    /// Folder that gets the files: absent, empty, or a demo's before, which is replaced.
    #[arg(long, value_name = "PATH", default_value = "demo-output", value_hint = ValueHint::DirPath)]
    pub output: PathBuf,
    /// Events to produce. Many more than the default take longer than a minute.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1_000..=2_000_000))]
    pub events: u64,
}

/// The flags of `infer-schema`.
#[derive(Debug, Clone, Args)]
pub struct InferConfig {
    /// JSON-lines file to read; `-` is standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "topic", conflicts_with = "topic", value_hint = ValueHint::FilePath)]
    pub input: Option<PathBuf>,
    /// Topic to read instead.
    #[arg(long, env = "TOPIC", value_name = "NAME")]
    pub topic: Option<String>,
    /// Kafka brokers to connect to first.
    #[arg(long, env = "BROKERS", value_name = "HOST:PORT,...")]
    pub brokers: Option<String>,
    /// Properties of the client.
    #[command(flatten)]
    pub client: ClientFlags,
    /// Field of the event that holds its time.
    #[arg(long, env = "TIMESTAMP_FIELD", value_name = "FIELD", default_value = "event_timestamp")]
    pub timestamp_field: String,
    /// Records to look at.
    #[arg(long, default_value_t = 10_000)]
    pub records: usize,
}

/// Unit of timestamps that are numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Unit {
    /// Told by their size.
    Auto,
    /// Seconds.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

/// `--late`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Late {
    /// An additional file, whose name says so.
    Append,
    /// A dead letter.
    DeadLetter,
    /// Counted, and dropped.
    Drop,
}

/// `--on-misfit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Misfit {
    /// The column is null, the value is kept in `_extra`.
    Extra,
    /// The record becomes a dead letter.
    DeadLetter,
}

/// `--on-foreign-offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ForeignOffset {
    /// Stop the partition.
    Stop,
    /// Go on where the lane log ends.
    Resume,
    /// Go on at the offset that the tool has set.
    Accept,
}

/// `--on-data-loss`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DataLoss {
    /// Stop the partition.
    Stop,
    /// Count what is lost, and go on behind it.
    Skip,
}

impl From<Late> for LatePolicy {
    fn from(late: Late) -> Self {
        match late {
            Late::Append => Self::Append,
            Late::DeadLetter => Self::DeadLetter,
            Late::Drop => Self::Drop,
        }
    }
}

impl From<ForeignOffset> for ForeignOffsetPolicy {
    fn from(policy: ForeignOffset) -> Self {
        match policy {
            ForeignOffset::Stop => Self::Stop,
            ForeignOffset::Resume => Self::Resume,
            ForeignOffset::Accept => Self::Accept,
        }
    }
}

impl From<DataLoss> for DataLossPolicy {
    fn from(policy: DataLoss) -> Self {
        match policy {
            DataLoss::Stop => Self::Stop,
            DataLoss::Skip => Self::Skip,
        }
    }
}

impl RunConfig {
    /// Finds the mistakes that no single flag shows.
    ///
    /// # Errors
    /// When flags contradict each other.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mistake = |text: String| Err(ConfigError::Flag(text));
        for topic in &self.kafka.topics {
            if topic.is_empty() || topic.starts_with("_meta") || topic.starts_with("_dead_letter") {
                return mistake(format!("--topic `{topic}`: its folder would be one of this program's own"));
            }
            if self.kafka.topics.iter().filter(|other| *other == topic).count() > 1 {
                return mistake(format!("--topic `{topic}` is given twice"));
            }
        }
        if self.operation.commit_interval.is_zero() {
            return mistake("--commit-interval must be more than zero".to_owned());
        }
        names_brokers(&self.kafka.client.client(self.kafka.brokers.as_deref())?)
    }
}

/// Finds that a client's properties name no broker.
///
/// # Errors
/// When they name none.
pub fn names_brokers(client: &ClientConfig) -> Result<(), ConfigError> {
    match ["bootstrap.servers", "metadata.broker.list"].into_iter().any(|key| client.get(key).is_some()) {
        true => Ok(()),
        false => Err(ConfigError::Flag("--brokers is needed (or `bootstrap.servers` in --kafka-config)".to_owned())),
    }
}

fn property(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    if key.is_empty() {
        return Err("expected KEY=VALUE".to_owned());
    }
    Ok((key.trim().to_owned(), value.to_owned()))
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; expected something like `90s`, `5m` or `1h 30m`"))
}

fn epoch(text: &str) -> Result<EpochLength, String> {
    let us = i64::try_from(duration(text)?.as_micros()).map_err(|_| "too long")?;
    EpochLength::from_us(us)
        .ok_or_else(|| "must be at least 1s, at most 1d, and divide a day (15m, 1h, 1d …)".to_owned())
}

fn codec(text: &str) -> Result<String, String> {
    parse_codec(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn memory(text: &str) -> Result<ByteSize, String> {
    let size = ByteSize::from_str(text).map_err(|error| format!("{error}; expected something like `512MiB`"))?;
    if size < ByteSize::mib(64) { Err("must be at least 64MiB".to_owned()) } else { Ok(size) }
}
