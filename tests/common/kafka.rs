//! A real Apache Kafka (KRaft), started from the jars that `tests/pom.xml` pins.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

use futures::executor::block_on;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::OwnedMessage,
    producer::{BaseProducer, BaseRecord, Producer},
};
use tempfile::TempDir;

use super::{
    fetched, free_port,
    process::{Process, Signal},
    proxy::Proxy,
    python::python,
    scratch, wait_for,
};

/// How long a cluster may take until it creates topics and knows its groups.
const READY: Duration = Duration::from_secs(60);
/// A single request to a broker that is up.
const REQUEST: Duration = Duration::from_secs(10);
/// A run of one of Kafka's own tools: a second for the JVM, when the machine is idle.
const TOOL: Duration = Duration::from_secs(60);
/// Any identifier will do, as every cluster has folders of its own.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";

/// Brokers that are also controllers, on free ports of 127.0.0.1; killed when dropped.
#[derive(Debug)]
pub struct KafkaCluster {
    brokers: Vec<Broker>,
    folder: TempDir,
}

#[derive(Debug)]
struct Broker {
    id: usize,
    port: u16,
    controller_port: u16,
    properties: PathBuf,
    /// A second listener, which clients are told to reach through the proxy.
    proxied: Option<(u16, Proxy)>,
    /// `None` once it has been killed.
    process: Mutex<Option<Process>>,
}

/// What Kafka's own `kafka-consumer-groups --describe` says of one partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupOffset {
    /// Topic.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// Committed offset: the next to read. `None` when nothing was committed.
    pub committed: Option<i64>,
    /// The log's end.
    pub end: i64,
    /// `end - committed`, as the tool says it.
    pub lag: Option<i64>,
}

/// A record with exact bytes for [`KafkaCluster::produce_raw`].
#[derive(Debug, Clone, Default)]
pub struct RawRecord<'a> {
    /// Partition; `None` leaves it to the client.
    pub partition: Option<i32>,
    /// Key.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Kafka timestamp, ms since the Unix epoch; `None` is now.
    pub timestamp_ms: Option<i64>,
}

/// One broker for all tests of a test file, as starting one takes seconds: use topics and groups with [`super::unique`]
/// names. It ends with the test process, by the watchdog.
pub fn shared_kafka() -> &'static KafkaCluster {
    static SHARED: OnceLock<KafkaCluster> = OnceLock::new();
    SHARED.get_or_init(|| KafkaCluster::start(1))
}

impl KafkaCluster {
    /// Starts 1 or 3 brokers and waits until they do their work.
    pub fn start(brokers: usize) -> Self {
        Self::start_with(brokers, &[])
    }

    /// The same, with these server properties, too; they win over those of the harness.
    pub fn start_with(brokers: usize, properties: &[(&str, &str)]) -> Self {
        Self::start_as(brokers, properties, false)
    }

    /// The same, each broker with a second listener behind a [`Proxy`]: see [`Self::bootstrap_by_proxy`].
    pub fn start_by_proxy(brokers: usize, properties: &[(&str, &str)]) -> Self {
        Self::start_as(brokers, properties, true)
    }

    fn start_as(brokers: usize, properties: &[(&str, &str)], by_proxy: bool) -> Self {
        // A port that was free may be taken when the broker gets to it. Then: once more, with other ports.
        for _ in 0..3 {
            let cluster = Self::launch(brokers, properties, by_proxy);
            match cluster.until_ready() {
                Ok(()) => return cluster,
                Err(_) if cluster.tails().contains("Address already in use") => {}
                Err(problem) => panic!("{problem}"),
            }
        }
        panic!("three times, a port that had been free was taken");
    }

    fn launch(count: usize, properties: &[(&str, &str)], by_proxy: bool) -> Self {
        assert!(count >= 1, "a cluster has brokers");
        let folder = scratch("kafka");
        let brokers: Vec<_> = (1..=count)
            .map(|id| Broker {
                id,
                port: free_port(),
                controller_port: free_port(),
                properties: folder.path().join(format!("{id}.properties")),
                proxied: by_proxy.then(free_port).map(|port| (port, Proxy::before(port))),
                process: Mutex::new(None),
            })
            .collect();
        let cluster = Self { brokers, folder };
        let mut formats = Vec::new();
        for broker in &cluster.brokers {
            fs::write(&broker.properties, cluster.server_properties(broker, properties)).unwrap();
            let file = broker.properties.to_str().unwrap();
            formats.push(tool("format", "kafka.tools.StorageTool", &["format", "-t", CLUSTER_ID, "-c", file]));
        }
        for mut format in formats {
            format.succeed(TOOL);
        }
        for broker in &cluster.brokers {
            broker.start();
        }
        cluster
    }

    fn server_properties(&self, broker: &Broker, more: &[(&str, &str)]) -> String {
        let (id, port, controller) = (broker.id, broker.port, broker.controller_port);
        let voters: Vec<_> = self.brokers.iter().map(|b| format!("{}@127.0.0.1:{}", b.id, b.controller_port)).collect();
        let replicas = self.brokers.len().min(3);
        let in_sync = if replicas == 3 { 2 } else { 1 };
        let mut text = format!(
            "process.roles=broker,controller\n\
             node.id={id}\n\
             controller.quorum.voters={voters}\n\
             controller.listener.names=CONTROLLER\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             log.dirs={folder}/{id}\n\
             default.replication.factor={replicas}\n\
             min.insync.replicas={in_sync}\n\
             offsets.topic.replication.factor={replicas}\n\
             offsets.topic.num.partitions=1\n\
             transaction.state.log.replication.factor={replicas}\n\
             transaction.state.log.min.isr={in_sync}\n\
             transaction.state.log.num.partitions=1\n\
             share.coordinator.state.topic.replication.factor={replicas}\n\
             share.coordinator.state.topic.min.isr={in_sync}\n\
             # A topic that a test did not create is a mistake, of the test or of our program.\n\
             auto.create.topics.enable=false\n\
             # Records with made-up timestamps are not old.\n\
             log.retention.ms=-1\n\
             # Short sessions, so that tests of crashes need not wait long; in the new protocol the broker chooses them.\n\
             group.initial.rebalance.delay.ms=0\n\
             group.min.session.timeout.ms=1000\n\
             group.consumer.min.session.timeout.ms=1000\n\
             group.consumer.session.timeout.ms=6000\n\
             group.consumer.min.heartbeat.interval.ms=100\n\
             group.consumer.heartbeat.interval.ms=500\n",
            voters = voters.join(","),
            folder = self.folder.path().display(),
        );
        if let Some((to, proxy)) = &broker.proxied {
            let by = proxy.port();
            text.push_str(&format!(
                "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT\n\
                 inter.broker.listener.name=PLAINTEXT\n\
                 listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{to},CONTROLLER://127.0.0.1:{controller}\n\
                 advertised.listeners=PLAINTEXT://127.0.0.1:{port},PROXIED://127.0.0.1:{by}\n"
            ));
        }
        // Of a property that is there twice, Java takes the last.
        more.iter().for_each(|(name, value)| text.push_str(&format!("{name}={value}\n")));
        text
    }

    /// Ready is what a client sees: a topic with all replicas can be created, and the group coordinator answers.
    fn until_ready(&self) -> Result<(), String> {
        const PROBE: &str = "ready-probe";
        let (admin, consumer) = (self.admin(), self.consumer("ready-probe"));
        let mut partition = TopicPartitionList::new();
        partition.add_partition(PROBE, 0);
        let start = Instant::now();
        loop {
            for broker in &self.brokers {
                let mut process = broker.process.lock().unwrap();
                if let Some(process) = process.as_mut()
                    && process.ended().is_some()
                {
                    return Err(format!("broker {} ended at its start", broker.id));
                }
            }
            let created = self.create(&admin, PROBE, 1, &[]);
            let coordinated = created.is_ok() && consumer.committed_offsets(partition.clone(), REQUEST).is_ok();
            if coordinated {
                break;
            }
            if start.elapsed() > READY {
                return Err(format!("Kafka is not ready after {READY:?} ({created:?})"));
            }
            thread::sleep(Duration::from_millis(100));
        }
        self.delete_topic(PROBE);
        Ok(())
    }

    /// The ends of all brokers' logs, for a failure message.
    pub fn tails(&self) -> String {
        let processes = self.brokers.iter().map(|broker| broker.process.lock().unwrap());
        processes.filter_map(|process| process.as_ref().map(Process::tails)).collect()
    }

    /// What `--brokers` takes.
    pub fn bootstrap(&self) -> String {
        let addresses: Vec<_> = self.brokers.iter().map(|broker| format!("127.0.0.1:{}", broker.port)).collect();
        addresses.join(",")
    }

    /// What `--brokers` takes to reach all brokers through their proxies alone.
    pub fn bootstrap_by_proxy(&self) -> String {
        let addresses: Vec<_> = self.proxies().map(|proxy| format!("127.0.0.1:{}", proxy.port())).collect();
        addresses.join(",")
    }

    /// The proxies before the brokers, in their order.
    pub fn proxies(&self) -> impl Iterator<Item = &Proxy> {
        self.brokers.iter().filter_map(|broker| broker.proxied.as_ref()).map(|(_, proxy)| proxy)
    }

    /// Kills a broker (counted from 0) at once, as a power failure would.
    pub fn kill_broker(&self, index: usize) {
        drop(self.brokers[index].process.lock().unwrap().take());
    }

    /// Starts a killed broker again, on the same ports and data. Does not wait until it is back in the cluster.
    pub fn restart_broker(&self, index: usize) {
        self.kill_broker(index);
        self.brokers[index].start();
    }

    /// Kills the only broker and starts it again with the log of a partition as it was `kept` before, e.g. from a snapshot of its disk.
    /// Topic ids and groups are as they were.
    pub fn restore_log(&self, topic: &str, partition: i32, kept: &Path) {
        self.kill_broker(0);
        copy_files(kept, &self.log_folder(topic, partition));
        self.brokers[0].start();
        self.until_ready().unwrap();
    }

    /// Copies what the only broker has of a partition's log.
    pub fn keep_log(&self, topic: &str, partition: i32, to: &Path) {
        copy_files(&self.log_folder(topic, partition), to);
    }

    fn log_folder(&self, topic: &str, partition: i32) -> PathBuf {
        self.folder.path().join(format!("{}/{topic}-{partition}", self.brokers[0].id))
    }

    /// Sends a signal to a broker, e.g. to freeze it.
    pub fn signal_broker(&self, index: usize, signal: Signal) {
        if let Some(process) = self.brokers[index].process.lock().unwrap().as_mut() {
            process.signal(signal);
        }
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", self.bootstrap()).create().unwrap()
    }

    /// A consumer that commits nothing by itself and reads only committed records.
    pub fn consumer(&self, group: &str) -> BaseConsumer {
        ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap()
    }

    fn create(
        &self,
        admin: &AdminClient<DefaultClientContext>,
        topic: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<(), String> {
        let replicas = i32::try_from(self.brokers.len().min(3)).unwrap();
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replicas));
        for (name, value) in configs {
            new = new.set(name, value);
        }
        let options = AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST));
        match block_on(admin.create_topics([&new], &options)) {
            Ok(results) => match results.into_iter().next() {
                Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
                other => Err(format!("cannot create topic {topic}: {other:?}")),
            },
            Err(error) => Err(format!("cannot create topic {topic}: {error}")),
        }
    }

    /// Creates a topic, on three replicas if there are three brokers, and waits until each partition has a leader.
    pub fn create_topic(&self, topic: &str, partitions: i32, configs: &[(&str, &str)]) {
        // A client that has just heard of all brokers may drop the one that it was asking. Who asks again may find the topic there.
        let began = Instant::now();
        while let Err(why) = self.create(&self.admin(), topic, partitions, configs) {
            assert!(began.elapsed() < READY, "{why}");
            thread::sleep(Duration::from_millis(100));
        }
        wait_for("the new topic's leaders", READY, || {
            let all = self.partitions(topic).filter(|found| found.len() == usize::try_from(partitions).unwrap());
            all.filter(|found| found.iter().all(|(_, leader)| *leader >= 0))
        });
    }

    /// Adds partitions to a topic, so that it has `partitions`, and waits until each has a leader.
    pub fn add_partitions(&self, topic: &str, partitions: usize) {
        let options = AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST));
        let wanted = NewPartitions::new(topic, partitions);
        block_on(self.admin().create_partitions([&wanted], &options)).unwrap().into_iter().for_each(|result| {
            result.unwrap();
        });
        wait_for("the new partitions' leaders", READY, || {
            let all = self.partitions(topic).filter(|found| found.len() == partitions);
            all.filter(|found| found.iter().all(|(_, leader)| *leader >= 0))
        });
    }

    /// Deletes a topic and waits until the brokers know it no more.
    pub fn delete_topic(&self, topic: &str) {
        let options = AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST));
        // Without an answer (the client may give up the handle of the broker that it asked) nobody knows whether the topic is gone.
        wait_for("an answer", READY, || block_on(self.admin().delete_topics(&[topic], &options)).ok());
        wait_for("the topic's end", READY, || self.partitions(topic).is_none().then_some(()));
    }

    /// Partition numbers and the broker ids of their leaders; `None` when there is no such topic.
    fn partitions(&self, topic: &str) -> Option<Vec<(i32, i32)>> {
        // A client of its own: one that has seen the topic would answer from memory.
        let metadata = wait_for("an answer of a broker", READY, || {
            self.consumer("metadata").fetch_metadata(Some(topic), REQUEST).ok()
        });
        let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none())?;
        Some(found.partitions().iter().map(|partition| (partition.id(), partition.leader())).collect())
    }

    /// The broker (counted from 0) that leads a partition; `None` while none does. The coordinator of every group is that of
    /// `__consumer_offsets`, which has one partition here.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<usize> {
        let (_, leader) = self.partitions(topic)?.into_iter().find(|(number, _)| *number == partition)?;
        self.brokers.iter().position(|broker| i32::try_from(broker.id) == Ok(leader))
    }

    /// Whether every replica of a topic is in sync.
    pub fn is_in_sync(&self, topic: &str) -> bool {
        let found = self.consumer("metadata").fetch_metadata(Some(topic), REQUEST);
        found.is_ok_and(|metadata| {
            let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
            partitions.all(|partition| partition.isr().len() == partition.replicas().len())
        })
    }

    /// Has another broker (counted from 0) lead a partition, as an operator would: by Kafka's own tools.
    pub fn move_leader(&self, topic: &str, partition: i32, to: usize) {
        let mut replicas: Vec<_> = self.brokers.iter().map(|broker| broker.id).collect();
        replicas.rotate_left(to);
        let plan = serde_json::json!({
            "version": 1,
            "partitions": [{"topic": topic, "partition": partition, "replicas": replicas}],
        });
        let file = self.folder.path().join(format!("plan-{topic}-{partition}.json"));
        fs::write(&file, plan.to_string()).unwrap();
        let (bootstrap, file) = (self.bootstrap(), file.to_str().unwrap());
        const REASSIGN: &str = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand";
        let args = ["--bootstrap-server", &bootstrap, "--reassignment-json-file", file, "--execute"];
        tool("reassign-partitions", REASSIGN, &args).succeed(TOOL);
        const ELECT: &str = "org.apache.kafka.tools.LeaderElectionCommand";
        let number = partition.to_string();
        let args = [
            "--bootstrap-server",
            &bootstrap,
            "--election-type",
            "preferred",
            "--topic",
            topic,
            "--partition",
            &number,
        ];
        tool("leader-election", ELECT, &args).succeed(TOOL);
        wait_for("the new leader", READY, || (self.leader(topic, partition) == Some(to)).then_some(()));
    }

    /// The end offset of each partition, in their order.
    pub fn end_offsets(&self, topic: &str) -> Vec<i64> {
        let consumer = self.consumer("end-offsets");
        let mut partitions = self.partitions(topic).expect("no such topic");
        partitions.sort_unstable();
        let end = |partition| {
            let watermarks = || consumer.fetch_watermarks(topic, partition, REQUEST).ok();
            wait_for("an answer of the partition's leader", READY, watermarks).1
        };
        partitions.into_iter().map(|(partition, _)| end(partition)).collect()
    }

    /// Every record of a topic up to its present end, partition by partition in order.
    pub fn records(&self, topic: &str) -> Vec<OwnedMessage> {
        let consumer = self.consumer("records");
        let mut list = TopicPartitionList::new();
        let partitions = self.partitions(topic).expect("no such topic");
        for (partition, _) in &partitions {
            list.add_partition_offset(topic, *partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut records, mut at_end, mut problem) = (Vec::new(), BTreeSet::new(), None);
        let mut progress = Instant::now();
        while at_end.len() < partitions.len() {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    records.push(message.detach());
                    progress = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    at_end.insert(partition);
                }
                // A broker that is away, perhaps on purpose: the client comes back to it by itself.
                Some(Err(error)) => problem = Some(error),
                None => {}
            }
            assert!(progress.elapsed() < READY, "cannot read {topic} to its end: nothing for {READY:?} ({problem:?})");
        }
        records.sort_by_key(|record| (record.partition(), record.offset()));
        records
    }

    /// When the record at an offset was made, since the Unix epoch; `None` if there is none yet.
    pub fn timestamp_of(&self, topic: &str, partition: i32, offset: i64) -> Option<Duration> {
        let consumer = self.consumer("timestamps");
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        consumer.assign(&list).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < READY {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(record)) => {
                    let ms = record.timestamp().to_millis().expect("records have timestamps");
                    return Some(Duration::from_millis(u64::try_from(ms).unwrap()));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => return None,
                Some(Err(_)) | None => {}
            }
        }
        panic!("cannot read {topic} {partition} at {offset}");
    }

    /// Produces the lines of a file by a client that is not ours (`produce.py`, which says what `more` may be).
    pub fn produce(&self, topic: &str, file: &str, more: &[&str]) {
        let bootstrap = self.bootstrap();
        python("produce.py", &[&["--brokers", &bootstrap, "--topic", topic, "--file", file], more].concat());
    }

    /// Produces exact bytes by a client that is not ours; returns each record's partition and offset.
    ///
    /// That client refuses a record that has neither key nor value.
    pub fn produce_raw(&self, topic: &str, records: &[RawRecord<'_>]) -> Vec<(i32, i64)> {
        let folder = scratch("records");
        let file = folder.path().join("records.json");
        let hex = |bytes: Option<&[u8]>| bytes.map(hex::encode);
        let lines: Vec<_> = records
            .iter()
            .map(|record| {
                serde_json::json!({
                    "partition": record.partition,
                    "key_hex": hex(record.key),
                    "value_hex": hex(record.value),
                    "timestamp_ms": record.timestamp_ms,
                })
            })
            .collect();
        fs::write(&file, serde_json::to_vec(&lines).unwrap()).unwrap();
        let args = ["--brokers", &self.bootstrap(), "--topic", topic, file.to_str().unwrap()];
        let said = python("produce_raw.py", &args);
        said.lines().map(|line| serde_json::from_str::<(i32, i64)>(line).unwrap()).collect()
    }

    /// Produces `count` records to each of the first `partitions` in one transaction, and aborts it: offsets that no reader of what is committed
    /// ever sees.
    pub fn produce_and_abort(&self, topic: &str, partitions: i32, count: usize) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.bootstrap()).set("transactional.id", format!("{topic}-aborted"));
        let producer: BaseProducer = config.create().unwrap();
        producer.init_transactions(READY).unwrap();
        producer.begin_transaction().unwrap();
        for partition in 0..partitions {
            for _ in 0..count {
                producer.send(BaseRecord::<(), str>::to(topic).partition(partition).payload("aborted")).unwrap();
            }
            producer.flush(READY).unwrap();
        }
        producer.abort_transaction(READY).unwrap();
    }

    /// A group's offsets and lag, as Kafka's own command line tool tells them to an operator; empty for no such group.
    pub fn describe_group(&self, group: &str) -> Vec<GroupOffset> {
        let said = self.group_tool(&["--describe", "--offsets", "--group", group]);
        parse_group(&said)
    }

    /// Moves a group's offset as an operator would: with Kafka's tool, which leaves no metadata. The group must be empty.
    pub fn reset_offset(&self, group: &str, topic: &str, partition: i32, offset: i64) {
        let (of, to) = (format!("{topic}:{partition}"), offset.to_string());
        self.group_tool(&["--reset-offsets", "--group", group, "--topic", &of, "--to-offset", &to, "--execute"]);
        let moved = self.committed(group, topic, partition).map(|(committed, _)| committed);
        assert_eq!(moved, Some(offset), "the tool did not move {group} in {of}");
    }

    /// Whether a group has no members.
    pub fn is_group_empty(&self, group: &str) -> bool {
        let found = self.consumer("groups").fetch_group_list(Some(group), REQUEST);
        found.is_ok_and(|list| list.groups().iter().all(|found| found.members().is_empty()))
    }

    /// Deletes a group with all its offsets, as Kafka does when they have expired. The group must be empty.
    pub fn delete_group(&self, group: &str) {
        let options = AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST));
        for result in block_on(self.admin().delete_groups(&[group], &options)).unwrap() {
            result.unwrap();
        }
    }

    fn group_tool(&self, args: &[&str]) -> String {
        const CLASS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
        tool("consumer-groups", CLASS, &[&["--bootstrap-server", &self.bootstrap()], args].concat()).succeed(TOOL)
    }

    /// A group's committed offset and its metadata.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<(i64, String)> {
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, partition);
        let found = self.consumer(group).committed_offsets(list, REQUEST).unwrap();
        let element = found.find_partition(topic, partition)?;
        let Offset::Offset(offset) = element.offset() else { return None };
        Some((offset, element.metadata().to_owned()))
    }

    /// Commits an offset with metadata from outside, e.g. an older commit of ours once more. The group must be empty.
    pub fn commit(&self, group: &str, topic: &str, partition: i32, offset: i64, metadata: &str) {
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition(topic, partition);
        element.set_offset(Offset::Offset(offset)).unwrap();
        element.set_metadata(metadata);
        self.consumer(group).commit(&list, CommitMode::Sync).unwrap();
    }
}

impl Broker {
    fn start(&self) {
        let file = self.properties.to_str().unwrap();
        *self.process.lock().unwrap() = Some(tool(&format!("kafka-{}", self.id), "kafka.Kafka", &[file]));
    }
}

/// Has `to` hold the files of `from`, and no others.
fn copy_files(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

/// Starts a class of Kafka's jars. The JVM flags halve the time until it is ready, and the memory.
fn tool(name: &str, class: &str, args: &[&str]) -> Process {
    let mut command = Command::new("java");
    command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dlog4j2.level=INFO"]);
    // The tools' output is theirs alone: what they log goes nowhere.
    if class != "kafka.Kafka" {
        command.arg("-Dlog4j2.level=OFF");
    }
    command.arg("-cp").arg(fetched("kafka").join("*")).arg(class).args(args);
    Process::start(name, command)
}

/// Reads the table that `kafka-consumer-groups --describe` prints, by the names in its heading.
fn parse_group(said: &str) -> Vec<GroupOffset> {
    let mut lines = said.lines().skip_while(|line| !line.starts_with("GROUP "));
    let Some(heading) = lines.next() else { return Vec::new() };
    let heading: Vec<_> = heading.split_whitespace().collect();
    let column = |name| heading.iter().position(|have| *have == name).expect("a column is missing");
    let (topic, partition) = (column("TOPIC"), column("PARTITION"));
    let (committed, end, lag) = (column("CURRENT-OFFSET"), column("LOG-END-OFFSET"), column("LAG"));
    let mut offsets: Vec<_> = lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() == heading.len())
        .map(|fields| GroupOffset {
            topic: fields[topic].to_owned(),
            partition: fields[partition].parse().unwrap(),
            committed: fields[committed].parse().ok(),
            end: fields[end].parse().unwrap(),
            lag: fields[lag].parse().ok(),
        })
        .collect();
    offsets.sort();
    offsets
}
