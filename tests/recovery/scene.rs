//! A topic with a few hand-made records, and the commands that an operator would give.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use serde_json::Value;

use crate::common::kafka::RawRecord;
use crate::common::process::Process;
use crate::job::{Job, PATIENCE};

/// 2025-06-01T12:00:00Z, ms: the first epoch of every test here.
const NOON_MS: i64 = 1_748_779_200_000;

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    fn of(mut process: Process) -> Self {
        let status = process.wait(PATIENCE);
        Self { status, stdout: process.stdout(), stderr: process.stderr() }
    }

    /// It ended with this exit code, and the last line that it wrote to standard error says all of `words`.
    pub(crate) fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.status.code(), Some(code), "{} {}", self.stdout, self.stderr);
        let last = self.stderr.lines().last().unwrap_or_default();
        for word in words {
            assert!(last.contains(word), "`{word}` is not in the last line: {last}");
        }
    }

    /// It succeeded, and said all of `words`.
    pub(crate) fn said(&self, words: &[&str]) {
        assert!(self.status.success(), "{} {}", self.stdout, self.stderr);
        for word in words {
            assert!(self.stdout.contains(word), "`{word}` is not in: {}", self.stdout);
        }
    }

    /// The number behind a label of the summary.
    pub(crate) fn number(&self, label: &str) -> u64 {
        assert!(self.status.success(), "{} {}", self.stdout, self.stderr);
        let line = self.stdout.lines().find_map(|line| line.trim_start().strip_prefix(label));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap()
    }
}

/// Every file below a folder, and its size.
fn everything(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(everything(&entry.path()));
        } else {
            found.insert(entry.path(), entry.metadata().unwrap().len());
        }
    }
    found
}

impl Job {
    /// Produces a record for each of these minutes after noon, one after the other.
    pub(crate) fn produce_at(&self, partition: i32, minutes: &[i64]) {
        let values: Vec<(String, i64)> = minutes
            .iter()
            .map(|minute| {
                let ms = NOON_MS + minute * 60_000;
                (format!(r#"{{"event_timestamp":{ms},"page_url_path":"/","minute":{minute}}}"#), ms)
            })
            .collect();
        let records: Vec<RawRecord<'_>> = values
            .iter()
            .map(|(value, ms)| RawRecord {
                partition: Some(partition),
                value: Some(value.as_bytes()),
                timestamp_ms: Some(*ms),
                key: None,
            })
            .collect();
        self.kafka.produce_raw(&self.topic, &records);
    }

    /// A bounded run.
    pub(crate) fn run(&self, flags: &[&str]) -> Ended {
        Ended::of(self.start(&[&["--until-end"], flags].concat()).process)
    }

    /// What a run would do.
    pub(crate) fn rehearse(&self, flags: &[&str]) -> Ended {
        let (before, committed) = (everything(self.output()), self.committed());
        let ended = Ended::of(self.start(&[&["--until-end", "--dry-run"], flags].concat()).process);
        assert_eq!(
            (everything(self.output()), self.committed()),
            (before, committed),
            "a dry run has changed something"
        );
        ended
    }

    pub(crate) fn recover(&self, flags: &[&str]) -> Ended {
        let args = ["recover", "--output", self.output().to_str().unwrap(), "--topic", &self.topic];
        Ended::of(Process::ours(&[&args, flags].concat()))
    }

    /// `verify --deep` with Kafka, which must prove the output; returns the lanes.
    pub(crate) fn proved(&self) -> Vec<Value> {
        let (output, brokers) = (self.output().to_str().unwrap(), self.kafka.bootstrap());
        let args = ["verify", "--output", output, "--deep", "--json", "--brokers", &brokers];
        let ended = Ended::of(Process::ours(&args));
        ended.said(&[]);
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        report["topics"][0]["partitions"].as_array().unwrap().clone()
    }

    /// `verify` without Kafka.
    pub(crate) fn verify(&self) -> Ended {
        Ended::of(Process::ours(&["verify", "--output", self.output().to_str().unwrap()]))
    }

    /// The entries of a lane log, oldest first.
    pub(crate) fn entries(&self, partition: i32) -> Vec<std::path::PathBuf> {
        self.below(&self.meta(&format!("control/p{partition}")), "entry")
    }

    pub(crate) fn read(&self, key: &std::path::Path) -> Vec<u8> {
        fs::read(self.output().join(key)).unwrap()
    }

    pub(crate) fn write(&self, key: &std::path::Path, bytes: &[u8]) {
        let path = self.output().join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn remove(&self, key: &std::path::Path) {
        fs::remove_file(self.output().join(key)).unwrap();
    }

    /// The markers, by the start of their epochs: the partitions that each names.
    pub(crate) fn markers(&self) -> Vec<(String, Value)> {
        let folder = self.meta("epochs");
        let keys = self.below(&folder, "json").into_iter().filter(|key| key.components().count() == 4);
        let read = |key: std::path::PathBuf| {
            let marker: Value = serde_json::from_slice(&self.read(&key)).unwrap();
            (marker["epoch"]["start"].as_str().unwrap().to_owned(), marker["partitions"].clone())
        };
        keys.map(read).collect()
    }
}
