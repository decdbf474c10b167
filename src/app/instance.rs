//! One instance, from the checks before the first record to the summary after the last.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, watch};

use super::board::{Board, lock};
use super::budget::Budget;
use super::clock;
use super::group::Group;
use super::guard::Guard;
use super::helping::Crew;
use super::io::Shared;
use super::pulse::Pulse;
use super::runner::LaneStatus;
use super::tally::{Summary, Tally};
use super::topic::{self, Topic};
use super::worker::{Mailbox, ToWorker, Worker};
use crate::config::RunConfig;
use crate::engine::commit::Committed;
use crate::engine::state::{Offset, PartitionId};
use crate::error::Error;
use crate::http::{self, Health};
use crate::kafka::cluster::Reader;
use crate::kafka::ffi::{self, Queue};
use crate::kafka::member::{self, GroupConsumer, Member, Request, TopicPartition};
use crate::kafka::{cluster, member_config, reader_config};
use crate::metrics::Metrics;
use crate::record::Reason;
use crate::schema::Schema;
use crate::store::Store;

/// How often the instance looks how its lanes stand.
const LOOK: Duration = Duration::from_millis(100);
/// How often it is looked whether a thread has ended.
const JOIN: Duration = Duration::from_millis(5);
/// How often a bounded run asks Kafka whether the other members are done.
const ASK_GROUP: Duration = Duration::from_millis(500);

/// An instance before its first record: everything is checked.
pub struct Instance {
    config: RunConfig,
    store: Store,
    topics: Vec<Arc<Topic>>,
    client: rdkafka::config::ClientConfig,
    reader: Arc<Reader>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    progress: Progress,
    stop: watch::Receiver<bool>,
}

/// How far an instance has come: a handle that others may keep and look at.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    board: Arc<Board>,
    tally: Arc<Tally>,
}

impl Progress {
    /// Returns how many partitions the instance holds now.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.board.lanes().len()
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Runs an instance until `stop` says so, or a bounded run has reached its end.
///
/// # Errors
/// Mistakes of the operator, before anything is read; and whatever keeps the instance from going on.
pub async fn run(
    config: RunConfig,
    environment: &BTreeMap<String, String>,
    stop: watch::Receiver<bool>,
) -> Result<Summary, Error> {
    let mut stopped = stop.clone();
    tokio::select! {
        prepared = Instance::prepare(config, environment, stop) => prepared?.run().await,
        // Before the first record there is nothing to hand over.
        _ = stopped.wait_for(|stop| *stop) => Ok(Summary::default()),
    }
}

impl Instance {
    /// Checks everything that can be checked before the first record is read.
    ///
    /// # Errors
    /// Mistakes of the operator.
    pub async fn prepare(
        config: RunConfig,
        environment: &BTreeMap<String, String>,
        stop: watch::Receiver<bool>,
    ) -> Result<Self, Error> {
        config.check()?;
        let client = config.kafka.client.client(config.kafka.brokers.as_deref())?;
        let schema = match &config.rows.schema {
            None => None,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Error::Mistake(format!("--schema: cannot read `{}`: {error}", path.display())))?;
                Some(Schema::from_json(&text)?)
            }
        };
        let (metrics, health) = (Arc::new(Metrics::new()?), Arc::new(Health::default()));
        if let Some(address) = config.operation.http {
            let mut stopped = stop.clone();
            let shutdown = async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            let bound = http::serve(address, Arc::clone(&metrics), Arc::clone(&health), shutdown).await?;
            tracing::info!(address = %bound, "serving /metrics, /livez and /readyz");
        }
        let store = Store::open(&config.output.output, environment)?;
        let brokers = client.get("bootstrap.servers").or(client.get("metadata.broker.list")).unwrap_or("-").to_owned();
        let reader = Arc::new(cluster::reader(&reader_config(&client, &config.kafka.group))?);
        let (asked, names) = (Arc::clone(&reader), config.kafka.topics.clone());
        let described = tokio::task::spawn_blocking(move || cluster::describe(&asked, &brokers, &names));
        let (cluster_id, infos) = described.await.map_err(|error| Error::Failed(error.to_string()))??;
        health.set_not_ready("looking at the output and the schema");
        let mut topics = Vec::new();
        for info in infos {
            let random = rand::random();
            let topic = topic::prepare(&config, &store, &reader, &cluster_id, info, schema.as_ref(), random).await?;
            metrics.declare_topic(&topic.info.name, Reason::ALL.map(Reason::as_str));
            topics.push(Arc::new(topic));
        }
        Ok(Self { config, store, topics, client, reader, metrics, health, progress: Progress::default(), stop })
    }

    /// Returns a handle to look at how far the instance has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Joins the group and works until the end.
    ///
    /// # Errors
    /// Whatever keeps the instance from going on.
    pub async fn run(self) -> Result<Summary, Error> {
        let began = clock::elapsed();
        let limit = usize::try_from(self.config.operation.memory_limit.as_u64()).unwrap_or(usize::MAX);
        let budget = Budget::new(limit);
        self.metrics.set_memory_limit(self.config.operation.memory_limit.as_u64());
        let Progress { board, tally } = self.progress();
        let Started { group, consumer, ask, threads } = self.start(&budget, &board, &tally)?;
        let outcome = self.watch(&group, &consumer, &board, &budget, &threads, &ask).await;
        // After a failure nothing more is appended: what is in memory may not be what it should be.
        let failed = board.failure().is_some();
        let ended = tokio::task::spawn_blocking(move || shut_down(&group, &ask, threads, failed));
        let left = ended.await.map_err(|error| Error::Failed(error.to_string()))?;
        outcome?;
        left.map_err(|error| Error::Failed(format!("the consumer group ended this member: {error}")))?;
        if let Some(why) = board.failure() {
            return Err(Error::Failed(why));
        }
        Ok(tally.summary(clock::elapsed().saturating_sub(began)))
    }

    fn start(&self, budget: &Arc<Budget>, board: &Arc<Board>, tally: &Arc<Tally>) -> Result<Started, Error> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = match self.config.operation.workers {
            0 => cores,
            given => given,
        };
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel()).unzip();
        let topics = self.topics.iter().enumerate();
        let group = Arc::new(Group {
            topics: topics
                .map(|(place, topic)| (topic.info.name.as_str().into(), (place, Arc::clone(topic))))
                .collect(),
            workers: Mutex::new(Vec::new()),
            metrics: Arc::clone(&self.metrics),
            handover_timeout: self.config.operation.handover_timeout,
            assigned: Mutex::new(BTreeMap::new()),
            rebalanced: Notify::new(),
        });
        let config = member_config(&self.client, &self.config.kafka.group, self.queued_kbytes(budget));
        let (member, consumer, ask) = Member::new(&config, Arc::clone(&group) as Arc<dyn member::Assignments>)?;
        let made = (0..workers).map(|_| Queue::new(&consumer).map(Arc::new)).collect::<Option<Vec<_>>>();
        let queues = made.ok_or_else(|| Error::Failed("librdkafka made no queue".to_owned()))?;
        let mailboxes: Vec<Mailbox> =
            senders.into_iter().zip(queues).map(|(messages, queue)| Mailbox { messages, queue }).collect();
        lock(&group.workers).clone_from(&mailboxes);
        let crew = Crew::new(&mailboxes);
        let shared = Shared {
            store: self.store.clone(),
            runtime: Handle::current(),
            consumer: Arc::clone(&consumer),
            reader: Arc::clone(&self.reader),
            member: ask.clone(),
            metrics: Arc::clone(&self.metrics),
            budget: Arc::clone(budget),
            writing: Arc::new(Semaphore::new(cores.max(workers))),
            assembly: Arc::new(Semaphore::new(workers)),
        };
        let mut threads = Vec::new();
        for (number, (messages, mailbox)) in receivers.into_iter().zip(mailboxes).enumerate() {
            let worker = Worker {
                messages,
                mailbox,
                shared: shared.clone(),
                board: Arc::clone(board),
                tally: Arc::clone(tally),
                keep_open: self.config.operation.keep_open,
                runners: BTreeMap::new(),
                leaving: BTreeMap::new(),
                outdated: BTreeSet::new(),
                singly: 0,
                workers,
                crew: Arc::clone(&crew),
                number,
            };
            threads.push(spawn(format!("worker-{number}"), move || worker.run())?);
        }
        member.subscribe(&self.config.kafka.topics).map_err(|error| Error::Failed(error.to_string()))?;
        let board = Arc::clone(board);
        let poll = spawn("poll".to_owned(), move || {
            let ended = member.run();
            if let Err(error) = &ended {
                board.fail(format!("the consumer group ended this member: {error}"));
            }
            ended
        })?;
        Ok(Started { group, consumer, ask, threads: Threads { workers: threads, poll } })
    }

    /// What each partition's queue may hold, in KiB: librdkafka counts by partition once queues are split.
    fn queued_kbytes(&self, budget: &Budget) -> u32 {
        let partitions: usize = self.topics.iter().map(|topic| topic.info.partitions.len()).sum();
        let share = budget.queues() / 1024 / partitions.max(1);
        u32::try_from(share.clamp(1024, 65_536)).unwrap_or(65_536)
    }

    /// Watches until it is time to end.
    async fn watch(
        &self,
        group: &Group,
        consumer: &Arc<GroupConsumer>,
        board: &Board,
        budget: &Budget,
        threads: &Threads,
        ask: &Sender<Request>,
    ) -> Result<(), Error> {
        let mut stop = self.stop.clone();
        let mut asked = Duration::ZERO;
        let (mut guard, mut pulse) =
            (Guard::new(self.config.operation.stall_timeout), Pulse::new(self.config.operation.stall_timeout));
        self.health.set_not_ready("joining the consumer group");
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => {
                    tracing::info!("stopping: every partition appends and commits what it holds");
                    return Ok(());
                }
                () = group.rebalanced.notified() => {
                    let consumer = Arc::clone(consumer);
                    // Nobody waits for it.
                    drop(tokio::task::spawn_blocking(move || member::wake_fetchers(&consumer)));
                }
                () = tokio::time::sleep(LOOK) => {}
            }
            if let Some(why) = board.failure() {
                self.health.set_dead(why.clone());
                return Err(Error::Failed(why));
            }
            if threads.workers.iter().any(JoinHandle::is_finished) || threads.poll.is_finished() {
                let why = "a thread died; what it had not appended is read again".to_owned();
                self.health.set_dead(why.clone());
                board.fail(why);
                continue;
            }
            let lanes = board.lanes();
            let joined = ffi::generation(consumer) >= 0;
            let stopped: Vec<String> = lanes
                .iter()
                .filter(|(_, lane)| lane.stopped.is_some())
                .map(|(of, _)| format!("{}/{}", of.topic, of.partition))
                .collect();
            self.metrics.set_lanes_stopped(u64::try_from(stopped.len()).unwrap_or(0));
            self.metrics.set_memory_used(u64::try_from(budget.held()).unwrap_or(0));
            let why = pulse.feel(clock::elapsed(), ask);
            if let Some(why) = why.or(self.stands_still(&mut guard, group, &lanes).await) {
                board.fail(why);
                continue;
            }
            if !stopped.is_empty() {
                self.health.set_not_ready(format!("stopped partitions: {}", stopped.join(" ")));
            } else if joined {
                self.health.set_ready();
            }
            let done = joined
                && lanes.values().all(|lane| lane.settled || lane.stopped.is_some())
                && lanes.len() == lock(&group.assigned).len();
            if self.config.operation.until_end && done && clock::elapsed().saturating_sub(asked) >= ASK_GROUP {
                asked = clock::elapsed();
                if self.group_is_done(consumer, &lanes.keys().cloned().collect::<Vec<_>>()).await {
                    let reasons: Vec<String> = lanes.iter().filter_map(why_stopped).collect();
                    return match reasons.is_empty() {
                        true => Ok(()),
                        false => Err(Error::Failed(format!(
                            "not everything was read; stopped partitions: {}",
                            reasons.join("; ")
                        ))),
                    };
                }
            }
        }
    }

    /// Returns why the instance should leave, if a lane stands still for too long.
    async fn stands_still(
        &self,
        guard: &mut Guard,
        group: &Group,
        lanes: &BTreeMap<TopicPartition, LaneStatus>,
    ) -> Option<String> {
        let mut lanes = lanes.clone();
        // A partition that no worker has taken up stands still, too.
        for partition in lock(&group.assigned).keys() {
            lanes.entry(partition.clone()).or_default();
        }
        let round = guard.go_on(&lanes, &self.reader).await?;
        self.metrics.set_lanes_stalled(u64::try_from(round.standing.len()).unwrap_or(0));
        for one in &round.standing {
            tracing::warn!("{one}");
        }
        round.too_long
    }

    /// Whether every partition that is not ours has reached its end, too: read, closed, published and committed by its owner.
    async fn group_is_done(&self, consumer: &Arc<GroupConsumer>, ours: &[TopicPartition]) -> bool {
        let mut list = TopicPartitionList::new();
        let mut wanted: HashMap<TopicPartition, (Offset, Offset)> = HashMap::new();
        for topic in &self.topics {
            for (partition, bounds) in topic.bounds.iter().flatten() {
                let place =
                    TopicPartition { topic: topic.info.name.as_str().into(), partition: PartitionId(partition.0) };
                if ours.contains(&place) {
                    continue;
                }
                if list.add_partition_offset(&place.topic, partition.0, KafkaOffset::Invalid).is_ok() {
                    wanted.insert(place, *bounds);
                }
            }
        }
        if wanted.is_empty() {
            return true;
        }
        let consumer = Arc::clone(consumer);
        let asked = tokio::task::spawn_blocking(move || consumer.committed_offsets(list, Duration::from_secs(5)));
        let Ok(Ok(found)) = asked.await else { return false };
        let committed = member::committed(&found);
        let keep_open = self.config.operation.keep_open;
        wanted.iter().all(|(place, (_, end))| match committed.get(place) {
            Some(Committed::Ours { offset, metadata }) => {
                offset >= end && (metadata.is_settled() || keep_open && metadata.closes == 0)
            }
            _ => false,
        })
    }
}

fn why_stopped((of, lane): (&TopicPartition, &LaneStatus)) -> Option<String> {
    lane.stopped.as_ref().map(|why| format!("{}/{}: {why}", of.topic, of.partition))
}

/// An instance that is under way.
struct Started {
    group: Arc<Group>,
    consumer: Arc<GroupConsumer>,
    ask: Sender<Request>,
    threads: Threads,
}

/// The threads of an instance.
struct Threads {
    workers: Vec<JoinHandle<()>>,
    poll: JoinHandle<Result<(), KafkaError>>,
}

fn spawn<T: Send + 'static>(name: String, work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>, Error> {
    let spawned = std::thread::Builder::new().name(name).spawn(work);
    spawned.map_err(|error| Error::Failed(format!("cannot start a thread: {error}")))
}

/// All lanes append and commit *before* the group is left, so that the next owners read nothing twice.
fn shut_down(group: &Group, ask: &Sender<Request>, threads: Threads, failed: bool) -> Result<(), KafkaError> {
    let partitions: Vec<TopicPartition> = lock(&group.assigned).keys().cloned().collect();
    let commits = if failed {
        group.lose(&partitions);
        Vec::new()
    } else {
        group.hand_over(&partitions)
    };
    // A member that is dead already does not listen.
    let _ = ask.send(Request::Leave(commits));
    let deadline = clock::elapsed() + group.handover_timeout;
    let left = join_until(deadline, threads.poll).unwrap_or(Ok(()));
    for worker in std::mem::take(&mut *lock(&group.workers)) {
        worker.send(ToWorker::End);
    }
    for worker in threads.workers {
        join_until(deadline, worker);
    }
    left
}

/// Waits for the end of a thread. One that hangs, perhaps the very reason to end, is left behind: it ends with the process.
fn join_until<T>(deadline: Duration, thread: JoinHandle<T>) -> Option<T> {
    while !thread.is_finished() {
        if clock::elapsed() >= deadline {
            tracing::warn!(name = thread.thread().name(), "a thread does not end; it is left behind");
            return None;
        }
        std::thread::sleep(JOIN);
    }
    thread.join().ok()
}
