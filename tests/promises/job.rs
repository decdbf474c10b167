//! A topic, the group that reads it and the folder that it goes to; and the instances that do it.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::executor::block_on;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
};
use tempfile::TempDir;

use crate::common::{
    EVENTS, free_port,
    kafka::{KafkaCluster, shared_kafka},
    process::{Process, http_get},
    python, scratch, unique, wait_for,
};

/// Until something happens that takes seconds, on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// The number of events in [`EVENTS`].
pub(crate) const ALL: u64 = 20_000;
/// Sessions as short as the brokers of the harness allow, so that the group notices a crash within seconds.
const SHORT_SESSIONS: [&str; 4] = ["-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=500"];

/// A topic, a group and an output that belong together.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) kafka: &'static KafkaCluster,
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) partitions: i32,
    output: TempDir,
}

impl Job {
    /// A new topic, which nobody has read.
    pub(crate) fn new(name: &str, partitions: i32) -> Self {
        Self::on(shared_kafka(), name, partitions)
    }

    /// The same, on brokers that are not all tests'.
    pub(crate) fn on(kafka: &'static KafkaCluster, name: &str, partitions: i32) -> Self {
        let topic = unique(name);
        kafka.create_topic(&topic, partitions, &[]);
        Self { kafka, group: format!("{topic}-readers"), topic, partitions, output: scratch(name) }
    }

    /// The folder that the instances write to.
    pub(crate) fn output(&self) -> &Path {
        self.output.path()
    }

    /// Produces these lines of the events: `from:to`, counted from 0, where either may be missing.
    pub(crate) fn produce(&self, slice: &str) {
        self.kafka.produce(&self.topic, EVENTS, &["--slice", slice]);
    }

    /// Goes on producing these lines, so many a second.
    pub(crate) fn produce_slowly(&self, slice: &str, rate: u32) -> Process {
        let (bootstrap, rate) = (self.kafka.bootstrap(), rate.to_string());
        let flags =
            ["--brokers", &bootstrap, "--topic", &self.topic, "--file", EVENTS, "--slice", slice, "--rate", &rate];
        python::start("produce.py", &flags)
    }

    /// Deletes the records of a partition below an offset, as retention would.
    pub(crate) fn delete_records(&self, partition: i32, below: i64) {
        let admin: AdminClient<_> =
            ClientConfig::new().set("bootstrap.servers", self.kafka.bootstrap()).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, Offset::Offset(below)).unwrap();
        let deleted = block_on(admin.delete_records(&list, &AdminOptions::new())).unwrap();
        deleted.elements().iter().for_each(|element| element.error().unwrap());
    }

    /// Starts an instance that writes to this job's folder.
    pub(crate) fn start(&self, flags: &[&str]) -> Instance {
        self.start_to(self.output().to_str().unwrap(), &[], flags)
    }

    /// Starts an instance that writes elsewhere.
    pub(crate) fn start_to(&self, output: &str, environment: &[(&str, String)], flags: &[&str]) -> Instance {
        let port = free_port();
        let (bootstrap, http) = (self.kafka.bootstrap(), format!("127.0.0.1:{port}"));
        let known = ["run", "--brokers", &bootstrap, "--topic", &self.topic, "--output", output, "--http", &http];
        let group = if flags.contains(&"--group") { vec![] } else { vec!["--group", self.group.as_str()] };
        let args = [&known, group.as_slice(), &SHORT_SESSIONS, flags].concat();
        Instance { process: Process::ours_with(&args, environment), port }
    }

    /// Reads what is there with one instance, to the end; returns how many records it read.
    pub(crate) fn run_until_end(&self) -> u64 {
        self.start(&["--until-end"]).finish()
    }

    /// The group's offset and our metadata in each partition, where there is one.
    pub(crate) fn committed(&self) -> Vec<Option<(i64, String)>> {
        (0..self.partitions).map(|partition| self.kafka.committed(&self.group, &self.topic, partition)).collect()
    }

    /// Waits until everything that is in the topic now is committed.
    pub(crate) fn wait_until_all_is_committed(&self) {
        let ends = self.kafka.end_offsets(&self.topic);
        wait_for("everything is committed", PATIENCE, || {
            let offsets = self.committed().into_iter().map(|found| found.map_or(0, |(offset, _)| offset));
            offsets.eq(ends.iter().copied()).then_some(())
        });
    }

    /// Proves that the output holds exactly the events, in the layout that is promised.
    pub(crate) fn check(&self) {
        self.check_in(self.output());
    }

    /// The same for an output elsewhere.
    pub(crate) fn check_in(&self, output: &Path) {
        python::check_events(output, &self.topic, usize::try_from(self.partitions).unwrap());
    }

    /// The published files, by their paths below the output.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.below(&self.topic, "parquet")
    }

    /// A folder below `_meta/<topic>`, relative to the output.
    pub(crate) fn meta(&self, folder: &str) -> String {
        format!("_meta/{}/{folder}", self.topic)
    }

    /// The files below a folder of the output that end like this, relative to the output.
    pub(crate) fn below(&self, folder: &str, extension: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.output().join(folder)];
        while let Some(folder) = folders.pop() {
            // What is not there (yet) holds no files.
            for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension() == Some(OsStr::new(extension)) {
                    found.push(path.strip_prefix(self.output()).unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }
}

/// A running instance.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) process: Process,
    port: u16,
}

impl Instance {
    /// The sum of a metric over its labels; `None` while there is none, or nobody answers.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = http_get(self.port, "/metrics")?;
        let prefix = format!("streams_to_parquet_{name}");
        let samples = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(&prefix)?;
            rest.starts_with(['{', ' ']).then(|| rest.rsplit_once(' ')?.1.parse::<f64>().ok())?
        });
        samples.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
    }

    /// Waits until a metric is as it should be, and returns it. Panics at once when the instance has ended.
    pub(crate) fn wait_for_metric(&mut self, name: &str, good: impl Fn(f64) -> bool) -> f64 {
        wait_for(&format!("{name} is as it should be"), PATIENCE, || {
            assert!(self.process.ended().is_none(), "the instance ended");
            self.metric(name).filter(|value| good(*value))
        })
    }

    /// Records that its entries hold: those it could still forget in a crash are not counted.
    pub(crate) fn records(&self) -> f64 {
        self.metric("records_total").unwrap_or(0.0)
    }

    /// Waits until a bounded run has ended with success; returns how many records it read.
    pub(crate) fn finish(mut self) -> u64 {
        records_in(&self.process.succeed(PATIENCE))
    }

    /// Stops it in order, within its own `--handover-timeout`; returns how many records it read.
    pub(crate) fn stop(mut self) -> u64 {
        let status = self.process.terminate(Duration::from_secs(30));
        assert!(status.success(), "ended with {status}");
        records_in(&self.process.stdout())
    }
}

/// Reads the number of records in the summary.
fn records_in(summary: &str) -> u64 {
    let line = summary.lines().find_map(|line| line.strip_prefix("records read")).expect("there is no summary");
    line.trim().parse().unwrap()
}
