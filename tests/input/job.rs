//! One topic, one output, and the program between them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::kafka::{RawRecord, shared_kafka};
use crate::common::process::Process;
use crate::common::{python::python, scratch, unique};

/// A bounded run over a few records: some seconds, and much patience for a busy machine.
const LIMIT: Duration = Duration::from_secs(90);
/// The Kafka timestamp of every record here, ms: 2025-06-01T12:00:00.123Z. Brokers refuse those of the future.
pub(crate) const KAFKA_MS: i64 = 1_748_779_200_123;

/// A topic of its own on the shared broker, and a folder in which `out` is the output.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) topic: String,
    folder: TempDir,
}

/// The numbers of the summary at a run's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) records: u64,
    pub(crate) rows: u64,
    pub(crate) dead_letters: u64,
    pub(crate) dropped: u64,
}

impl Job {
    pub(crate) fn new(name: &str, partitions: i32) -> Self {
        let topic = unique(name);
        shared_kafka().create_topic(&topic, partitions, &[("max.message.bytes", "20000000")]);
        Self { topic, folder: scratch(name) }
    }

    /// The folder around the output: nothing but `out` and what a test puts there may be in it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn output(&self) -> PathBuf {
        self.folder().join("out")
    }

    /// Writes a file beside the output and returns its path.
    pub(crate) fn file(&self, name: &str, content: &str) -> String {
        let path = self.folder().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Produces values to partition 0, all with [`KAFKA_MS`].
    pub(crate) fn produce<V: AsRef<[u8]>>(&self, values: &[V]) {
        let raw = |value| RawRecord { partition: Some(0), value: Some(value), timestamp_ms: Some(KAFKA_MS), key: None };
        let records: Vec<RawRecord<'_>> = values.iter().map(|value| raw(value.as_ref())).collect();
        shared_kafka().produce_raw(&self.topic, &records);
    }

    /// Starts `run` with these flags beside those that every run needs.
    pub(crate) fn start(&self, flags: &[&str]) -> Process {
        let (brokers, output) = (shared_kafka().bootstrap(), self.output());
        let own = ["run", "--brokers", &brokers, "--topic", &self.topic, "--output", output.to_str().unwrap()];
        Process::ours(&[&own, flags].concat())
    }

    /// Runs until the topic's end.
    pub(crate) fn run(&self, flags: &[&str]) -> Summary {
        let said = self.start(&[&["--until-end"], flags].concat()).succeed(LIMIT);
        let number = |label: &str| {
            let line = said.lines().find_map(|line| line.trim_start().strip_prefix(label));
            let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
            number.unwrap_or_else(|| panic!("no `{label}` in the summary:\n{said}"))
        };
        let (records, rows) = (number("records read"), number("rows"));
        Summary { records, rows, dead_letters: number("dead letters"), dropped: number("dropped") }
    }

    /// What DuckDB says to `sql`, in which `{rows}` and `{dead}` stand for the published rows and dead letters.
    pub(crate) fn ask(&self, sql: &str) -> Vec<Value> {
        let read = |folder: PathBuf| {
            format!(
                "read_parquet('{}/**/*.parquet', hive_partitioning = true, hive_types_autocast = false)",
                folder.display()
            )
        };
        let rows = read(self.output().join(&self.topic));
        let dead = read(self.output().join("_dead_letter").join(&self.topic));
        let said = python("query.py", &[&sql.replace("{rows}", &rows).replace("{dead}", &dead)]);
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Reads the values of a metric: the labels as they are shown, and the value.
pub(crate) fn metric(text: &str, name: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("streams_to_parquet_")?.strip_prefix(name));
    let samples = lines.filter_map(|rest| {
        let (labels, value) = rest.rsplit_once(' ')?;
        labels.starts_with('{').then(|| Some((labels.to_owned(), value.parse().ok()?)))?
    });
    samples.collect()
}
