//! What a scenario plays on: a topic, a group, an output, a producer, instances; and the book in which faults are written down.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;

use crate::{
    common::{
        free_port,
        kafka::{KafkaCluster, RawRecord},
        process::Process,
        target, unique, wait_for,
    },
    flags::Protocol,
    group_view::GroupView,
    instance::{Instance, PATIENCE},
    producer::Producer,
    program,
    verdict::{self, Evidence, Verdict},
};

/// Short, so that a run meets many of them.
const EPOCH_US: u64 = 2_000_000;
/// How long a member may be silent before the group goes on without it.
pub(crate) const SESSION: Duration = Duration::from_secs(3);
/// How long instances may take to catch up after a fault: much longer than the session and the work that piled up, so that a busy machine
/// does not decide.
pub(crate) const CATCH_UP: Duration = Duration::from_secs(180);

const SCHEMA: &str = r#"{"type":"struct","fields":[
    {"name":"event_timestamp","type":"timestamp","nullable":true,"metadata":{}},
    {"name":"page_url_path","type":"string","nullable":true,"metadata":{}},
    {"name":"event_id","type":"string","nullable":true,"metadata":{}},
    {"name":"number","type":"long","nullable":true,"metadata":{}}]}"#;

/// A user without rights, for what root may do all the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User(pub(crate) u32);

/// How an instance is started.
#[derive(Debug, Default)]
pub(crate) struct Start<'a> {
    /// Fail points, as the crate `fail` reads them.
    pub(crate) fail_points: &'a [String],
    /// Flags beside those that all have.
    pub(crate) flags: &'a [&'a str],
    /// Through the proxies.
    pub(crate) by_proxy: bool,
    pub(crate) user: Option<User>,
}

/// A stage, set for one run.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) kafka: Arc<KafkaCluster>,
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) partitions: i32,
    pub(crate) protocol: Protocol,
    pub(crate) random: Pcg64Mcg,
    /// How long faults go on that know no end by themselves.
    pub(crate) duration: Duration,
    /// Fail points of every instance.
    pub(crate) fail_points: Vec<String>,
    pub(crate) commit_interval: &'static str,
    /// How long instances may take to catch up.
    pub(crate) catch_up: Duration,
    /// One round of what has several, and half of the fail points: the other half is for the other protocol.
    pub(crate) short: bool,
    /// The topic forgets records.
    pub(crate) compacted: bool,
    pub(crate) measured: BTreeMap<String, f64>,
    pub(crate) seed: u64,
    label: String,
    folder: PathBuf,
    began: Instant,
    producers: Vec<Producer>,
    view: GroupView,
    faults: usize,
    recovered: Duration,
}

impl Stage {
    /// Sets a stage with a new topic.
    pub(crate) fn set(
        name: &str,
        kafka: Arc<KafkaCluster>,
        protocol: Protocol,
        seed: u64,
        duration: Duration,
        partitions: i32,
        topic_configs: &[(&str, &str)],
    ) -> Self {
        let topic = unique(&name.replace('@', "-"));
        kafka.create_topic(&topic, partitions, topic_configs);
        let folder = target().join("tmp/chaos").join(&topic);
        fs::create_dir_all(folder.join("out")).unwrap();
        fs::write(folder.join("schema.json"), SCHEMA).unwrap();
        let view = GroupView::new(kafka.consumer(&format!("{topic}-readers")), topic.clone(), partitions);
        Self {
            group: format!("{topic}-readers"),
            label: format!("{name} {} {seed}", protocol.name()),
            random: Pcg64Mcg::seed_from_u64(seed),
            fail_points: Vec::new(),
            commit_interval: "300ms",
            catch_up: CATCH_UP,
            short: false,
            compacted: false,
            measured: BTreeMap::new(),
            began: Instant::now(),
            producers: Vec::new(),
            faults: 0,
            recovered: Duration::ZERO,
            kafka,
            topic,
            partitions,
            protocol,
            duration,
            seed,
            folder,
            view,
        }
    }

    /// Rounds of a scenario that has several.
    pub(crate) const fn rounds(&self, most: usize) -> usize {
        if self.short { 1 } else { most }
    }

    /// The folder that instances write to.
    pub(crate) fn output(&self) -> PathBuf {
        self.folder.join("out")
    }

    /// The folder of the output in which everything but published files is.
    pub(crate) fn meta(&self) -> PathBuf {
        self.output().join("_meta").join(&self.topic)
    }

    /// The lane log of a partition, oldest entry first.
    pub(crate) fn entries(&self, partition: i32) -> Vec<PathBuf> {
        let folder = self.meta().join(format!("control/p{partition}"));
        let all = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
        let mut entries: Vec<_> = all.filter(|path| path.extension().is_some_and(|end| end == "entry")).collect();
        entries.sort();
        entries
    }

    /// Writes into the book.
    pub(crate) fn say(&self, what: &str) {
        eprintln!("[{} {:>6.1}s] {what}", self.label, self.began.elapsed().as_secs_f64());
    }

    /// Writes a fault into the book, and counts it.
    pub(crate) fn fault(&mut self, what: &str) {
        self.faults += 1;
        self.say(what);
    }

    pub(crate) const fn faults(&self) -> usize {
        self.faults
    }

    pub(crate) const fn recovered(&self) -> Duration {
        self.recovered
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Starts a producer, and waits until it has begun; `more` are flags of `produce_steadily.py`.
    pub(crate) fn produce(&mut self, more: &[&str]) {
        let ledger = self.folder.join(format!("ledger-{}.json", self.producers.len()));
        let seed = self.seed * 1_000 + self.producers.len() as u64;
        let bootstrap = self.kafka.bootstrap();
        let mut producer = Producer::start(&bootstrap, &self.topic, self.partitions, seed, &ledger, more);
        producer.wait_until_it_works();
        self.producers.push(producer);
    }

    /// Ends the producers; what they sent is in the topic.
    pub(crate) fn stop_producing(&mut self) {
        self.producers.iter_mut().for_each(Producer::finish);
    }

    /// Starts an instance as all are.
    pub(crate) fn start(&self) -> Instance {
        self.start_with(&Start::default())
    }

    /// Starts an instance.
    pub(crate) fn start_with(&self, start: &Start<'_>) -> Instance {
        let (port, output) = (free_port(), self.output());
        let (http, schema) = (format!("127.0.0.1:{port}"), self.folder.join("schema.json"));
        let bootstrap = if start.by_proxy { self.kafka.bootstrap_by_proxy() } else { self.kafka.bootstrap() };
        let session = format!("session.timeout.ms={}", SESSION.as_millis());
        let protocol: &[&str] = match self.protocol {
            Protocol::Classic => &["-X", &session, "-X", "heartbeat.interval.ms=500"],
            Protocol::Consumer => &["-X", "group.protocol=consumer"],
        };
        let mut command = program::command();
        command.args(["run", "--brokers", &bootstrap, "--topic", &self.topic, "--group", &self.group, "--http", &http]);
        command.args(["--output", output.to_str().unwrap(), "--schema", schema.to_str().unwrap()]);
        command.args(["--epoch", "2s", "--allowed-lateness", "1s"]);
        command.args(["--handover-timeout", "10s", "--memory-limit", "128MiB", "--workers", "2"]);
        // By variables, over which the flags of a scenario win. Entries are merged and collected while a run lasts.
        command.env("IDLE_TIMEOUT", "5s").env("COMMIT_INTERVAL", self.commit_interval);
        command.env("MERGE_ENTRIES", "3").env("COLLECT_GRACE", "700ms");
        command.args(protocol).args(start.flags);
        let points: Vec<&str> = self.fail_points.iter().chain(start.fail_points).map(String::as_str).collect();
        command.env("FAILPOINTS", points.join(";"));
        if let Some(User(id)) = start.user {
            command.uid(id);
        }
        Instance { process: Process::start("run", command), port }
    }

    /// Starts an instance that meets `fate` at its `pass`-th pass of a point, counted from 0.
    pub(crate) fn start_with_fate(&self, point: &str, pass: u32, fate: &str) -> Instance {
        let skipped = if pass == 0 { String::new() } else { format!("{pass}*off->") };
        self.start_with(&Start { fail_points: &[format!("{point}={skipped}1*return({fate})")], ..Start::default() })
    }

    /// Produces records to partition 0 by hand, one after the other: their event times, and their ids.
    pub(crate) fn produce_by_hand(&self, records: &[(i64, String)]) {
        let values: Vec<String> = records
            .iter()
            .map(|(ms, id)| format!(r#"{{"event_timestamp":{ms},"page_url_path":"/","event_id":"{id}"}}"#))
            .collect();
        let records: Vec<RawRecord<'_>> = values
            .iter()
            .map(|value| RawRecord { partition: Some(0), value: Some(value.as_bytes()), ..RawRecord::default() })
            .collect();
        self.kafka.produce_raw(&self.topic, &records);
    }

    /// The end of each partition's log.
    pub(crate) fn ends(&self) -> Vec<i64> {
        wait_for("the brokers say where the logs end", PATIENCE, || self.view.ends())
    }

    /// The committed offset of each partition.
    pub(crate) fn committed(&self) -> Vec<i64> {
        wait_for("the broker says what is committed", PATIENCE, || self.view.committed())
    }

    /// Whether everything below these offsets is committed.
    pub(crate) fn has_caught_up(&self, ends: &[i64]) -> bool {
        let committed = self.view.committed();
        committed.is_some_and(|committed| committed.iter().zip(ends).all(|(committed, end)| committed >= end))
    }

    /// Waits until everything is committed that the topic holds now. Since `ended`, there is no fault any more.
    pub(crate) fn wait_until_caught_up(&mut self, ended: Instant) {
        let ends = self.ends();
        wait_for("the instances catch up", self.catch_up, || self.has_caught_up(&ends).then_some(()));
        self.recovered = self.recovered.max(ended.elapsed());
    }

    /// Ends everything in order, closes and publishes what is left, and counts.
    pub(crate) fn finish(&mut self, instances: Vec<Instance>) -> Verdict {
        self.stop_producing();
        self.wait_until_caught_up(Instant::now());
        for mut instance in instances {
            instance.stop();
        }
        self.judge()
    }

    /// Closes and publishes what is left, by an instance that nothing happens to, and counts.
    pub(crate) fn judge(&self) -> Verdict {
        let mut last = self.start_with(&Start { flags: &["--until-end"], ..Start::default() });
        let status = last.process.wait(PATIENCE);
        assert!(status.success(), "the last run ended with {status}: {}", last.last_words());
        let ledgers: Vec<PathBuf> = self.producers.iter().map(|producer| producer.ledger.clone()).collect();
        verdict::judge(&Evidence {
            brokers: &self.kafka.bootstrap(),
            topic: &self.topic,
            output: &self.output(),
            epoch_us: EPOCH_US,
            ledgers: &ledgers,
            compacted: self.compacted,
        })
    }

    /// Where everything is, for a look at a failure.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes the stage down after a good run.
    pub(crate) fn take_down(self) {
        let Self { folder, kafka, topic, .. } = self;
        let _ = fs::remove_dir_all(folder);
        kafka.delete_topic(&topic);
    }
}
