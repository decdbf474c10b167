//! What the group decides, handed to the workers.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use super::board::lock;
use super::clock;
use super::fail_point::fail_point;
use super::topic::Topic;
use super::worker::{Mailbox, ToWorker};
use crate::engine::commit::Committed;
use crate::engine::event::Input;
use crate::kafka::ffi::Queue;
use crate::kafka::member::{Assignments, Bridge, CommitRequest, TopicPartition};
use crate::metrics::{Metrics, Rebalance};

/// How much longer than the workers the callback waits for their answer.
const SLACK: Duration = Duration::from_millis(500);

/// Spreads partitions over the workers. A partition has the same worker as long as the process lives.
pub(super) struct Group {
    pub(super) topics: BTreeMap<Arc<str>, (usize, Arc<Topic>)>,
    /// Empty before the beginning and after the end: a queue holds its client, and the client its callbacks.
    pub(super) workers: Mutex<Vec<Mailbox>>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) handover_timeout: Duration,
    pub(super) assigned: Mutex<BTreeMap<TopicPartition, u64>>,
    /// Told after each step of a rebalance.
    pub(super) rebalanced: Notify,
}

impl Group {
    fn worker_of(&self, partition: &TopicPartition) -> Option<Mailbox> {
        let (place, _) = self.topics.get(&partition.topic)?;
        let number = usize::try_from(partition.partition.0).ok()?;
        let workers = lock(&self.workers);
        let worker = (place + number).checked_rem(workers.len())?;
        workers.get(worker).cloned()
    }

    fn send(&self, partition: &TopicPartition, message: ToWorker) {
        if let Some(worker) = self.worker_of(partition) {
            worker.send(message);
        }
    }

    /// Has lanes append what they hold, all at once; returns what to commit when they are gone, or time is up.
    pub(super) fn hand_over(&self, partitions: &[TopicPartition]) -> Vec<CommitRequest> {
        fail_point!("handover.before");
        let (reply, replies) = channel();
        let deadline = clock::elapsed() + self.handover_timeout / 2;
        for partition in partitions {
            self.send(partition, ToWorker::HandOver { partition: partition.clone(), deadline, reply: reply.clone() });
        }
        drop(reply);
        let mut commits = Vec::new();
        loop {
            let left = (deadline + SLACK).saturating_sub(clock::elapsed());
            match replies.recv_timeout(left) {
                Ok(commit) => commits.extend(commit),
                Err(RecvTimeoutError::Disconnected) => {
                    fail_point!("handover.after");
                    return commits;
                }
                Err(RecvTimeoutError::Timeout) => {
                    tracing::warn!("not all lanes could append in time; the next owners read again what is missing");
                    return commits;
                }
            }
        }
    }

    /// Has lanes dropped, with all that they hold.
    pub(super) fn lose(&self, partitions: &[TopicPartition]) {
        fail_point!("lose.before");
        let (reply, gone) = channel();
        for partition in partitions {
            self.send(partition, ToWorker::Lose { partition: partition.clone(), reply: reply.clone() });
        }
        drop(reply);
        // Disconnected: every lane is dropped.
        let _ = gone.recv_timeout(self.handover_timeout / 2);
    }

    fn note(&self, partitions: &[TopicPartition], kind: Rebalance) {
        // Partitions that stay are paused and resumed meanwhile: the ends of their logs are told once more.
        lock(&self.workers).iter().for_each(|worker| worker.send(ToWorker::Rebalanced));
        let mut assigned = lock(&self.assigned);
        for partition in partitions {
            if kind == Rebalance::Assigned {
                assigned.insert(partition.clone(), 0);
            } else {
                assigned.remove(partition);
            }
        }
        self.metrics.count_rebalance(kind);
        self.metrics.set_assigned_partitions(u64::try_from(assigned.len()).unwrap_or(0));
        let list: Vec<String> = partitions.iter().map(|of| format!("{}/{}", of.topic, of.partition)).collect();
        tracing::info!(partitions = list.join(" "), assigned = assigned.len(), "partitions {kind:?}");
    }
}

impl Assignments for Group {
    fn assigned(&self, partitions: Vec<(TopicPartition, Committed)>) {
        let names: Vec<TopicPartition> = partitions.iter().map(|(partition, _)| partition.clone()).collect();
        self.note(&names, Rebalance::Assigned);
        for (partition, committed) in partitions {
            if let Some((_, topic)) = self.topics.get(&partition.topic) {
                let topic = Arc::clone(topic);
                self.send(&partition.clone(), ToWorker::Assign { partition, topic, committed });
            }
        }
    }

    fn revoked(&self, partitions: Vec<TopicPartition>) -> Vec<CommitRequest> {
        let commits = self.hand_over(&partitions);
        self.note(&partitions, Rebalance::Revoked);
        commits
    }

    fn lost(&self, partitions: Vec<TopicPartition>) {
        self.lose(&partitions);
        self.note(&partitions, Rebalance::Lost);
    }

    fn committed(&self, request: &CommitRequest, error: Option<String>) {
        if let Some(error) = &error {
            tracing::warn!(
                topic = %request.partition.topic, partition = %request.partition.partition, offset = %request.offset, %error,
                "a commit failed; it is repeated, and nothing depends on it"
            );
        }
        fail_point!("commit.after");
        let input = Input::Committed { ticket: request.ticket, acknowledged: error.is_none() };
        self.send(&request.partition, ToWorker::Fact { partition: request.partition.clone(), input });
    }

    fn rebalanced(&self) {
        self.rebalanced.notify_one();
    }

    fn queue(&self, partition: &TopicPartition) -> Option<Arc<Queue<Bridge>>> {
        self.worker_of(partition).map(|worker| worker.queue)
    }
}
