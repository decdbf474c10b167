//! A member of the consumer group: the poll thread, the rebalance bridge and the commits.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use super::cluster::ClusterError;
use super::ffi::{self, Queue};
use crate::engine::commit::Committed;
use crate::engine::event::Ticket;
use crate::engine::state::{Offset, PartitionId};

/// How long one poll waits, unless something of the group comes: how late a commit may be sent, and its answer be noticed.
const POLL: Duration = Duration::from_millis(50);
/// How long the committed offsets of new partitions may take.
const FETCH_COMMITTED: Duration = Duration::from_secs(10);
/// How long leaving the group may take.
const LEAVE: Duration = Duration::from_secs(5);
/// How long a question may take whose answer nobody needs.
const WAKE: Duration = Duration::from_secs(1);

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: PartitionId,
}

/// A commit to send.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// Of which partition.
    pub partition: TopicPartition,
    /// The next offset to read.
    pub offset: Offset,
    /// The text beside it.
    pub metadata: String,
    /// Comes back with the answer.
    pub ticket: Ticket,
}

/// Who is told what the group decides. Called on the poll thread; the callbacks return when the answer is true.
pub trait Assignments: Send + Sync + 'static {
    /// Partitions are ours from now on; their records come by the split queues. `None`: the committed offset could not be learnt.
    fn assigned(&self, partitions: Vec<(TopicPartition, Committed)>);
    /// Partitions are being taken away. Returns the commits to send before they are, when all their lanes are gone.
    fn revoked(&self, partitions: Vec<TopicPartition>) -> Vec<CommitRequest>;
    /// Partitions were taken away: returns when their lanes are gone.
    fn lost(&self, partitions: Vec<TopicPartition>);
    /// A commit was answered; `None`: acknowledged.
    fn committed(&self, request: &CommitRequest, error: Option<String>);
    /// A step of a rebalance is done.
    fn rebalanced(&self);
    /// Returns the queue that takes the records of a partition.
    fn queue(&self, partition: &TopicPartition) -> Option<Arc<Queue<Bridge>>>;
}

/// The callbacks of librdkafka, handed on. Has no state of its own.
pub struct Bridge {
    assignments: Arc<dyn Assignments>,
}

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bridge").finish_non_exhaustive()
    }
}

/// The group's consumer.
pub type GroupConsumer = BaseConsumer<Bridge>;

impl ClientContext for Bridge {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::warn!(facility, "librdkafka: {message}");
            }
            RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(facility, "librdkafka: {message}");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Brokers come and go: reading resumes by itself. What does not is seen by the poll.
        tracing::warn!(%error, reason, "librdkafka reports an error");
    }
}

impl ConsumerContext for Bridge {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let done = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => self.revoke(consumer, list),
            other => {
                tracing::error!(error = %RDKafkaErrorCode::from(other), "rebalance failed");
                consumer.unassign()
            }
        };
        if let Err(error) = done {
            tracing::error!(%error, "cannot follow a rebalance");
        }
        self.assignments.rebalanced();
    }
}

impl Bridge {
    fn assign(&self, consumer: &GroupConsumer, list: &TopicPartitionList) -> KafkaResult<()> {
        let partitions = partitions(list);
        let committed = self.fetch_committed(consumer, list);
        let mut assignment = TopicPartitionList::new();
        for partition in &partitions {
            let queue = self.assignments.queue(partition);
            let taken = queue.map(|queue| queue.take_partition(&partition.topic, partition.partition.0));
            if !matches!(taken, Some(Ok(()))) {
                // Its records stay in the main queue, where nobody takes them: nothing is lost, and the lane shows no progress.
                tracing::error!(topic = %partition.topic, partition = %partition.partition, ?taken, "no queue takes this partition");
            }
            // The lane seeks to its position when it has recovered.
            let begin = fetch_from(committed.get(partition));
            assignment.add_partition_offset(&partition.topic, partition.partition.0, begin)?;
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&assignment)?,
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(&assignment)?,
        }
        let known = partitions.into_iter().map(|partition| {
            let found = committed.get(&partition).cloned().unwrap_or(Committed::Unknown);
            (partition, found)
        });
        self.assignments.assigned(known.collect());
        Ok(())
    }

    /// Without an answer the lane log alone decides, as it does anyway; a lane without a log asks again.
    fn fetch_committed(
        &self,
        consumer: &GroupConsumer,
        list: &TopicPartitionList,
    ) -> HashMap<TopicPartition, Committed> {
        let found = match consumer.committed_offsets(list.clone(), FETCH_COMMITTED) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "cannot learn the committed offsets; going on with the lane log alone");
                return HashMap::new();
            }
        };
        committed(&found)
    }

    fn revoke(&self, consumer: &GroupConsumer, list: &TopicPartitionList) -> KafkaResult<()> {
        let partitions = partitions(list);
        if consumer.assignment_lost() {
            self.assignments.lost(partitions);
        } else {
            let commits = self.assignments.revoked(partitions);
            commit_now(consumer, &commits);
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
        }
    }
}

/// Returns where a partition is fetched from until its lane knows better: never beyond the lane's position.
///
/// Not from the end: a seek while librdkafka still asks the broker where that is makes it ask once more, half a second later, and go on there
/// (`rd_kafka_toppar_handle_Offset`: "outdated offset response"); everything between would be skipped. The beginning is asked for in the same way, yet what it brings
/// again is no news to the lane.
const fn fetch_from(committed: Option<&Committed>) -> KafkaOffset {
    match committed {
        Some(Committed::Ours { offset, .. }) => KafkaOffset::Offset(offset.0),
        Some(Committed::Unknown | Committed::Nothing | Committed::Foreign { .. } | Committed::Unreadable { .. })
        | None => KafkaOffset::Beginning,
    }
}

/// Reads a list of committed offsets.
#[must_use]
pub fn committed(list: &TopicPartitionList) -> HashMap<TopicPartition, Committed> {
    let read = ffi::committed_offsets(list).into_iter().map(|element| {
        let partition = TopicPartition { topic: element.topic.into(), partition: PartitionId(element.partition) };
        let found = match element.offset {
            _ if element.failed => Committed::Unknown,
            offset if offset >= 0 => Committed::read(Offset(offset), &element.metadata),
            _ => Committed::Nothing,
        };
        (partition, found)
    });
    read.collect()
}

fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let elements = list.elements();
    let read = elements
        .iter()
        .map(|element| TopicPartition { topic: element.topic().into(), partition: PartitionId(element.partition()) });
    read.collect()
}

fn list_of(commits: &[CommitRequest]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for commit in commits {
        let (topic, partition) = (&commit.partition.topic, commit.partition.partition.0);
        list.add_partition_offset(topic, partition, KafkaOffset::Offset(commit.offset.0))?;
        if let Some(mut element) = list.find_partition(topic, partition) {
            element.set_metadata(&commit.metadata);
        }
    }
    Ok(list)
}

/// Commits before partitions are given up. A failure loses nothing: the next owner commits what the lane log says.
fn commit_now(consumer: &GroupConsumer, commits: &[CommitRequest]) {
    if commits.is_empty() || ffi::generation(consumer) < 0 {
        return;
    }
    let sent = list_of(commits).and_then(|list| consumer.commit(&list, CommitMode::Sync));
    if let Err(error) = sent {
        tracing::warn!(%error, "the last commit before a handover failed; the next owner repeats it");
    }
}

/// Has librdkafka look at once whether there is something to fetch; to be called after a rebalance. Blocks.
///
/// While a rebalance is under way librdkafka pauses the partitions that stay, too. When it goes on with them it wakes none of the threads that
/// fetch (`rd_kafka_toppar_pause_resume`), and one that had found nothing to do looks again within a second (`rd_kafka_max_block_ms`). A
/// question to the leader of a partition wakes its thread, whatever is asked.
pub fn wake_fetchers(consumer: &GroupConsumer) {
    let asked = consumer.assignment().and_then(|mut list| {
        list.set_all_offsets(KafkaOffset::End)?;
        if list.count() == 0 { Ok(list) } else { consumer.offsets_for_times(list, WAKE) }
    });
    if let Err(error) = asked {
        tracing::debug!(%error, "cannot wake who fetches: they look by themselves within a second");
    }
}

/// What the poll thread is asked to do.
#[derive(Debug)]
pub enum Request {
    /// Send a commit, if the partition is still ours.
    Commit(CommitRequest),
    /// Fetch a partition anew from this offset, if it is still ours, and say that it is done: after an error librdkafka has given the
    /// partition up, and does not even seek in it.
    Restart(TopicPartition, Offset, Sender<()>),
    /// Say that the thread lives.
    Beat(Sender<()>),
    /// Send these commits, leave the group, and end.
    Leave(Vec<CommitRequest>),
}

/// The poll thread's side of a member.
pub struct Member {
    consumer: Arc<GroupConsumer>,
    assignments: Arc<dyn Assignments>,
    answers: Queue<Bridge>,
    requests: Receiver<Request>,
    under_way: HashMap<usize, CommitRequest>,
    next_tag: usize,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

impl Member {
    /// Makes a member; it joins the group when it is polled, after [`Member::subscribe`].
    ///
    /// # Errors
    /// When librdkafka refuses the configuration.
    pub fn new(
        config: &ClientConfig,
        assignments: Arc<dyn Assignments>,
    ) -> Result<(Self, Arc<GroupConsumer>, Sender<Request>), ClusterError> {
        let refused = |source| ClusterError::Config { source: super::without_value(source) };
        let bridge = Bridge { assignments: Arc::clone(&assignments) };
        let consumer: Arc<GroupConsumer> = Arc::new(config.create_with_context(bridge).map_err(refused)?);
        let answers = Queue::new(&consumer)
            .ok_or_else(|| refused(KafkaError::ClientCreation("librdkafka made no queue".to_owned())))?;
        let (ask, requests) = channel();
        let member = Self {
            consumer: Arc::clone(&consumer),
            assignments,
            answers,
            requests,
            under_way: HashMap::new(),
            next_tag: 1,
        };
        Ok((member, consumer, ask))
    }

    /// Says which topics the member wants.
    ///
    /// # Errors
    /// When librdkafka refuses.
    pub fn subscribe(&self, topics: &[String]) -> Result<(), KafkaError> {
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        self.consumer.subscribe(&names)
    }

    /// Polls until it is asked to leave, and leaves.
    ///
    /// # Errors
    /// When the member cannot go on: a fatal error of librdkafka, or the group or the topic is not ours.
    pub fn run(mut self) -> Result<(), KafkaError> {
        loop {
            self.poll_once()?;
            loop {
                match self.requests.recv_timeout(Duration::ZERO) {
                    Ok(Request::Commit(request)) => self.commit(request),
                    Ok(Request::Restart(partition, offset, done)) => {
                        if let Err(error) = self.restart(&partition, offset) {
                            tracing::warn!(
                                topic = %partition.topic, partition = %partition.partition, %error, "cannot fetch the partition anew"
                            );
                        }
                        // Nobody listens any more when the lane is gone.
                        let _ = done.send(());
                    }
                    Ok(Request::Beat(reply)) => {
                        // Nobody listens any more when the instance ends.
                        let _ = reply.send(());
                    }
                    Ok(Request::Leave(commits)) => {
                        self.leave(&commits);
                        return Ok(());
                    }
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => {
                        self.leave(&[]);
                        return Ok(());
                    }
                }
            }
            while let Some((tag, error)) = self.answers.poll_commit() {
                if error == Some(RDKafkaErrorCode::GroupIdNotFound) {
                    // The broker has lost the group (seen under KIP-848, after its crash soon after the group began). librdkafka goes on for ever as
                    // if it were a member, and so would we: only who joins anew makes the group anew.
                    return Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::GroupIdNotFound));
                }
                if let Some(request) = self.under_way.remove(&tag) {
                    self.assignments.committed(&request, error.map(|code| code.to_string()));
                }
            }
        }
    }

    fn poll_once(&self) -> Result<(), KafkaError> {
        match self.consumer.poll(POLL) {
            // All partitions are split off: nothing comes by the main queue but a record that was on its way.
            None | Some(Ok(_)) => Ok(()),
            Some(Err(error)) => {
                if let Some((code, why)) = self.consumer.client().fatal_error() {
                    tracing::error!(%code, why, "the group member is dead");
                    return Err(error);
                }
                match error.rdkafka_error_code() {
                    Some(
                        RDKafkaErrorCode::GroupAuthorizationFailed
                        | RDKafkaErrorCode::TopicAuthorizationFailed
                        | RDKafkaErrorCode::FencedInstanceId,
                    ) => Err(error),
                    _ => {
                        tracing::warn!(%error, "Kafka reports an error; reading resumes when it is over");
                        Ok(())
                    }
                }
            }
        }
    }

    fn commit(&mut self, request: CommitRequest) {
        let refused = if ffi::generation(&self.consumer) < 0 {
            Some("not a member of the group".to_owned())
        } else if !self.owns(&request.partition) {
            Some("the partition is not ours any more".to_owned())
        } else {
            let tag = self.next_tag;
            self.next_tag += 1;
            let sent = list_of(std::slice::from_ref(&request)).and_then(|list| self.answers.commit(&list, tag));
            match sent {
                Ok(()) => {
                    self.under_way.insert(tag, request);
                    return;
                }
                Err(error) => Some(error.to_string()),
            }
        };
        self.assignments.committed(&request, refused);
    }

    /// Takes a partition out of the assignment and puts it back: between two polls, so that no rebalance is under way in a callback.
    fn restart(&self, partition: &TopicPartition, offset: Offset) -> KafkaResult<()> {
        if !self.owns(partition) || !matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative) {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&partition.topic, partition.partition.0, KafkaOffset::Offset(offset.0))?;
        self.consumer.incremental_unassign(&list)?;
        if let Some(queue) = self.assignments.queue(partition) {
            queue.take_partition(&partition.topic, partition.partition.0)?;
        }
        self.consumer.incremental_assign(&list)
    }

    fn owns(&self, partition: &TopicPartition) -> bool {
        let assigned = self.consumer.assignment().map(|list| partitions(&list).into_iter().collect::<BTreeSet<_>>());
        assigned.is_ok_and(|assigned| assigned.contains(partition)) && !self.consumer.assignment_lost()
    }

    fn leave(&self, commits: &[CommitRequest]) {
        commit_now(&self.consumer, commits);
        self.consumer.unsubscribe();
        let polls = LEAVE.as_millis() / POLL.as_millis();
        for _ in 0..polls {
            // Serves the revocation that ends the membership.
            let _ = self.consumer.poll(POLL);
            if self.consumer.assignment().is_ok_and(|list| list.count() == 0) {
                return;
            }
        }
    }
}
