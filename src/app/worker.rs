//! A worker thread: takes records from its queue, and runs the lanes that are its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use super::board::Board;
use super::clock;
use super::fail_point::fail_point;
use super::io::{Io, Shared};
use super::runner::{Runner, Runners, With};
use super::tally::Tally;
use super::topic::Topic;
use crate::engine::commit::Committed;
use crate::engine::event::{Input, Ticket};
use crate::engine::state::{Offset, PartitionId};
use crate::kafka::ffi::{Batch, Queue};
use crate::kafka::member::{Bridge, CommitRequest, TopicPartition};

/// The most records taken at once.
const BATCH: usize = 2_048;
/// How long a worker waits for records; a message ends the wait.
const WAIT: Duration = Duration::from_millis(100);
/// How often the gauges and the board are brought up to date.
const SHOW: Duration = Duration::from_millis(200);
/// A lane with less in memory is not worth an early append, in bytes.
const LEAST_FLUSH: usize = 1 << 20;

/// What a worker is told.
#[derive(Debug)]
pub(super) enum ToWorker {
    /// A partition is ours.
    Assign { partition: TopicPartition, topic: Arc<Topic>, committed: Committed },
    /// A partition is taken away: append what there is until `deadline` (on our clock), then say what to commit.
    HandOver { partition: TopicPartition, deadline: Duration, reply: Sender<Option<CommitRequest>> },
    /// A partition is lost: drop its lane.
    Lose { partition: TopicPartition, reply: Sender<Option<CommitRequest>> },
    /// Kafka's log holds `offset`: serve the lane from there. `attempt` counts from 0.
    Seek { partition: TopicPartition, ticket: Ticket, offset: Offset, attempt: u32 },
    /// An answer for a lane; its ticket tells the lane from an earlier one of the same partition.
    Fact { partition: TopicPartition, input: Input },
    /// End: no lane is left.
    End,
}

/// Where a worker is told things.
#[derive(Debug, Clone)]
pub(super) struct Mailbox {
    pub(super) messages: Sender<ToWorker>,
    pub(super) queue: Arc<Queue<Bridge>>,
}

impl Mailbox {
    /// Tells the worker, and ends its wait for records. A worker that has ended has no lane that could mind.
    pub(super) fn send(&self, message: ToWorker) {
        if self.messages.send(message).is_ok() {
            self.queue.wake();
        }
    }
}

/// A lane that hands over, and who waits for it.
#[derive(Debug)]
pub(super) struct Leaving {
    deadline: Duration,
    reply: Sender<Option<CommitRequest>>,
}

/// A worker thread's state.
pub(super) struct Worker {
    pub(super) messages: Receiver<ToWorker>,
    pub(super) mailbox: Mailbox,
    pub(super) shared: Shared,
    pub(super) board: Arc<Board>,
    pub(super) tally: Arc<Tally>,
    pub(super) keep_open: bool,
    pub(super) runners: Runners,
    /// Lanes that hand over.
    pub(super) leaving: BTreeMap<TopicPartition, Leaving>,
    /// Partitions whose records in the batch in hand were served before a seek.
    pub(super) outdated: BTreeSet<TopicPartition>,
    /// How many workers share the budget.
    pub(super) workers: usize,
}

impl Worker {
    /// Works until it is told to end.
    pub(super) fn run(mut self) {
        let mut batch = Batch::with_capacity(BATCH);
        let (mut next, mut shown) = (0, Duration::ZERO);
        loop {
            while let Ok(message) = self.messages.try_recv() {
                if matches!(message, ToWorker::End) {
                    return;
                }
                self.handle(message);
            }
            if next >= batch.len() {
                next = 0;
                self.outdated.clear();
                if self.shared.budget.is_spent() {
                    // Librdkafka's queues fill up, and fetching pauses by itself.
                    batch.clear();
                    std::thread::sleep(Duration::from_millis(5));
                } else {
                    self.mailbox.queue.consume(WAIT, &mut batch);
                }
            }
            fail_point!("worker.turn");
            next = self.take(&batch, next);
            self.relieve();
            for runner in self.runners.values_mut() {
                runner.advance();
            }
            self.let_go();
            let now = clock::elapsed();
            if now.saturating_sub(shown) >= SHOW {
                shown = now;
                self.show();
            }
        }
    }

    fn handle(&mut self, message: ToWorker) {
        match message {
            ToWorker::Assign { partition, topic, committed } => self.assign(partition, &topic, committed),
            ToWorker::HandOver { partition, deadline, reply } => match self.runners.get_mut(&partition) {
                Some(runner) => {
                    runner.hand_over();
                    self.leaving.insert(partition, Leaving { deadline, reply });
                }
                None => drop(reply),
            },
            ToWorker::Lose { partition, reply } => {
                self.drop_lane(&partition);
                drop(reply);
            }
            ToWorker::Seek { partition, ticket, offset, attempt } => {
                if let Some(runner) = self.runners.get_mut(&partition) {
                    // What is left of the batch in hand was served from somewhere else.
                    self.outdated.insert(partition);
                    runner.seek(ticket, offset, attempt);
                }
            }
            ToWorker::Fact { partition, input } => {
                if let Some(runner) = self.runners.get_mut(&partition) {
                    runner.tell(input);
                }
            }
            ToWorker::End => {}
        }
    }

    fn assign(&mut self, partition: TopicPartition, topic: &Arc<Topic>, committed: Committed) {
        let (board, mailbox) = (Arc::clone(&self.board), self.mailbox.clone());
        let io = Io::new(self.shared.clone(), Arc::clone(topic), partition.clone(), mailbox, board);
        let metrics = self.shared.metrics.lane(&partition.topic, partition.partition);
        let with = With { budget: &self.shared.budget, tally: &self.tally, metrics, keep_open: self.keep_open };
        let runner = Runner::new(partition.clone(), topic, committed, io, with);
        self.leaving.remove(&partition);
        self.outdated.insert(partition.clone());
        self.board.post(&partition, runner.status());
        self.runners.insert(partition, runner);
    }

    fn drop_lane(&mut self, partition: &TopicPartition) -> Option<Runner> {
        // Whoever waits for a handover of this lane hears that it is gone.
        self.leaving.remove(partition);
        self.board.remove(partition);
        let runner = self.runners.remove(partition);
        if let Some(runner) = &runner {
            runner.count_forgotten();
        }
        runner
    }

    /// Takes records from `next` on; returns the first that found no room.
    fn take(&mut self, batch: &Batch, mut next: usize) -> usize {
        while let Some(run) = batch.run(next) {
            let partition = TopicPartition { topic: run.topic.into(), partition: PartitionId(run.partition) };
            // A record of a partition that is not ours any more is nobody's here.
            let runner = if self.outdated.contains(&partition) { None } else { self.runners.get_mut(&partition) };
            let taken = runner.map_or(run.len(), |runner| runner.take(&run));
            next += taken;
            if taken < run.len() {
                break;
            }
        }
        next
    }

    /// When rows take more than this worker's part of the memory, the largest lane appends early. What is being written already does not
    /// count here: it is on its way out, and more small entries would not make it go faster.
    fn relieve(&mut self) {
        let rows: usize = self.runners.values().map(Runner::bytes).sum();
        if rows * self.workers <= self.shared.budget.rows() {
            return;
        }
        let largest =
            self.runners.values_mut().filter(|runner| runner.can_append()).max_by_key(|runner| runner.bytes());
        if let Some(runner) = largest.filter(|runner| runner.bytes() >= LEAST_FLUSH) {
            runner.tell(Input::Flush);
        }
    }

    fn let_go(&mut self) {
        let now = clock::elapsed();
        let done: Vec<TopicPartition> = self
            .leaving
            .iter()
            .filter(|(partition, leave)| {
                let handed_over = self.runners.get(partition).is_none_or(Runner::is_handed_over);
                handed_over || now >= leave.deadline
            })
            .map(|(partition, _)| partition.clone())
            .collect();
        for partition in done {
            let leave = self.leaving.remove(&partition);
            let commit = self.drop_lane(&partition).and_then(|runner| runner.last_commit());
            if let Some(leave) = leave {
                // Nobody listens any more when the callback has given up.
                let _ = leave.reply.send(commit);
            }
        }
    }

    fn show(&self) {
        for (partition, runner) in &self.runners {
            runner.show();
            self.board.post(partition, runner.status());
        }
    }
}
