//! A worker thread: takes records from its queue, and runs the lanes that are its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SendError, Sender};
use std::time::Duration;

use super::board::Board;
use super::clock;
use super::fail_point::fail_point;
use super::helping::{Away, Crew, Job, Part, divide, sheet_of};
use super::horizon::Reach;
use super::io::{Io, Shared};
use super::lull::{BATCH, Lull};
use super::runner::{Runner, Runners, With};
use super::sheet::Sheet;
use super::tally::Tally;
use super::topic::Topic;
use crate::engine::commit::Committed;
use crate::engine::event::{Input, Ticket};
use crate::engine::state::{Offset, PartitionId};
use crate::kafka::ffi::{Batch, Queue, Run, Taking};
use crate::kafka::member::{Bridge, CommitRequest, TopicPartition};

/// The fewest records that are divided among workers: below, what they tell each other costs more than it saves, and nobody is behind.
const LEAST_DIVIDED: usize = BATCH / 4;
/// The same for large records, of which fewer make a full batch.
const LEAST_LARGE_DIVIDED: usize = LEAST_DIVIDED / 8;
/// How many offsets a log must have before its end for records to be taken together: a batch that has not been placed, and the next.
const FAR: usize = 2 * BATCH;
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
    /// Partitions of the group have moved.
    Rebalanced,
    /// Another worker is behind, and has claimed this one while it waited.
    Help(Box<Job>),
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
        let _ = self.try_send(message);
    }

    /// The same; a message that nobody will hear comes back.
    pub(super) fn try_send(&self, message: ToWorker) -> Result<(), ToWorker> {
        self.messages.send(message).map_err(|SendError(message)| message)?;
        self.queue.wake();
        Ok(())
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
    /// Partitions whose records in the batch in hand, or in that which comes next, were served before a seek.
    pub(super) outdated: BTreeSet<TopicPartition>,
    /// How many elements of the queue must still be taken one by one.
    pub(super) singly: usize,
    /// How many workers share the memory.
    pub(super) workers: usize,
    /// All workers, of which this one has the number `number`.
    pub(super) crew: Arc<Crew>,
    pub(super) number: usize,
}

fn partition_of(run: &Run<'_>) -> TopicPartition {
    TopicPartition { topic: run.topic.into(), partition: PartitionId(run.partition) }
}

impl Worker {
    /// Works until it is told to end.
    pub(super) fn run(mut self) {
        // What is taken now, and what was taken from the queue while others helped.
        let (mut batch, mut coming) = (Batch::with_capacity(BATCH), Batch::with_capacity(BATCH));
        let mut in_hand = self.shared.budget.hold(0);
        let (mut next, mut taken, mut shown) = (0, 0, Duration::ZERO);
        // Whether there was more to take than was taken.
        let mut is_behind = false;
        let mut lull = Lull::default();
        loop {
            let mut message = self.next_message(lull.wait());
            while let Some(told) = message {
                if matches!(told, ToWorker::End) {
                    return;
                }
                self.handle(told);
                message = self.next_message(Duration::ZERO);
            }
            let mut away = Vec::new();
            if next >= batch.len() {
                next = 0;
                batch.clear();
                in_hand.resize(coming.bytes());
                if !coming.is_empty() {
                    // What a message says of the batch in hand was said of this one.
                    std::mem::swap(&mut batch, &mut coming);
                } else if self.shared.budget.is_spent() {
                    // Librdkafka's queues fill up, and fetching pauses by itself.
                    self.outdated.clear();
                    std::thread::sleep(Duration::from_millis(5));
                } else {
                    self.outdated.clear();
                    self.consume(&mut batch, is_behind, lull.gathers());
                    self.crew.note_taken(self.number, batch.len(), clock::elapsed());
                    is_behind = batch.is_full();
                }
                in_hand.resize(batch.bytes());
                taken = batch.len();
                // Whoever lets records gather is not behind.
                away = if lull.gathers() && !is_behind { Vec::new() } else { self.divide(&mut batch) };
            }
            fail_point!("worker.turn");
            next = self.take(&batch, next);
            if !away.is_empty() {
                if !self.shared.budget.is_spent() {
                    self.consume(&mut coming, true, false);
                    self.crew.note_taken(self.number, coming.len(), clock::elapsed());
                    is_behind = coming.is_full();
                    in_hand.grow(coming.bytes());
                }
                if let Err(why) = self.take_back(away, next >= batch.len()) {
                    // A lane that went on here would pass over records. What it has in memory is read again.
                    return self.board.fail(why);
                }
                // No message has been handled since: this batch is done with, and the coming one is as it should be.
                self.outdated.clear();
            }
            let lag = |runner: &Runner| runner.lag().and_then(|lag| usize::try_from(lag).ok()).unwrap_or(0);
            let has_more = || self.runners.values().any(|runner| lag(runner) > BATCH);
            lull.note(taken, is_behind || next < batch.len() || !coming.is_empty() || has_more());
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

    /// Returns the message that comes within `wait`; others may claim this worker meanwhile.
    fn next_message(&self, wait: Duration) -> Option<ToWorker> {
        if wait.is_zero() {
            return self.messages.try_recv().ok();
        }
        self.crew.while_waiting(self.number, || self.messages.recv_timeout(wait).ok())
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
                // One that nobody waits for, of a lane that is gone, must not drop what this lane has in hand.
                if let Some(runner) = self.runners.get_mut(&partition).filter(|runner| runner.awaits(ticket)) {
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
            ToWorker::Rebalanced => self.runners.values_mut().for_each(Runner::expect_end_again),
            ToWorker::Help(job) => job.run(),
            ToWorker::End => {}
        }
    }

    /// Takes records from the queue; others may claim this worker while there are none.
    fn consume(&mut self, batch: &mut Batch, is_behind: bool, are_few: bool) {
        let taking = if are_few { Taking::Singly } else { self.taking() };
        let queue = &self.mailbox.queue;
        if is_behind {
            // There are more for sure: nobody should think that this worker waits. If there are none all the same, it waits the next time,
            // when it has looked into its mailbox: whatever was to end this wait has perhaps ended the look.
            queue.consume(Duration::ZERO, batch, taking);
        } else {
            self.crew.while_waiting(self.number, || queue.consume(WAIT, batch, taking));
        }
        self.singly = self.singly.saturating_sub(batch.len());
    }

    /// Returns how the next records are to be taken: together, if there are many in some log, and none ends among them by what is known.
    fn taking(&mut self) -> Taking {
        // New records and the end behind them may be there by now.
        self.runners.values_mut().filter(|runner| runner.stands_at_end()).for_each(Runner::look_ahead);
        let reach = |runner: &Runner| runner.reach(FAR);
        let are_many = self.runners.values().map(reach).try_fold(false, |are_many, reach| match reach {
            Reach::Near => None,
            Reach::Quiet => Some(are_many),
            Reach::Far => Some(true),
        });
        if self.singly == 0 && are_many != Some(true) {
            // Ends that have been told by now are in the queue, and later ones are where the logs end now, or beyond.
            self.runners.values_mut().for_each(Runner::look_ahead);
            self.singly = self.mailbox.queue.len().max(1);
        }
        if self.singly == 0 { Taking::Together } else { Taking::Singly }
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
            let taken = self.take_run(&run);
            next += taken;
            if taken < run.len() {
                break;
            }
        }
        next
    }

    fn take_run(&mut self, run: &Run<'_>) -> usize {
        let partition = partition_of(run);
        // A record of a partition that is not ours any more is nobody's here.
        let runner = if self.outdated.contains(&partition) { None } else { self.runners.get_mut(&partition) };
        runner.map_or(run.len(), |runner| runner.take(run))
    }

    /// Has others decode a part of the batch, if it is large and they have nothing to do. All that is divided finds room.
    fn divide(&mut self, batch: &mut Batch) -> Vec<Away> {
        let least = if batch.is_full() { LEAST_LARGE_DIVIDED } else { LEAST_DIVIDED };
        if batch.len() < least || !self.crew.may_help(self.number) {
            return Vec::new();
        }
        let bytes = batch.bytes();
        let (crew, outdated, runners) = (&self.crew, &self.outdated, &mut self.runners);
        let is_helped =
            |partition: &TopicPartition, runner: &Runner| !outdated.contains(partition) && runner.is_reading();
        if runners.iter().any(|(partition, runner)| is_helped(partition, runner) && !runner.has_room(bytes)) {
            return Vec::new();
        }
        divide((crew, self.number), batch, |part, helper| {
            let mut lent: Vec<(TopicPartition, Sheet)> = Vec::new();
            for run in part.runs() {
                if sheet_of(&mut lent, &run).is_none() {
                    let partition = partition_of(&run);
                    let runner = runners.get_mut(&partition).filter(|runner| is_helped(&partition, runner));
                    lent.extend(runner.map(|runner| (partition, runner.lend(helper))));
                }
            }
            lent
        })
    }

    /// Takes what others have decoded, behind what was before it.
    ///
    /// # Errors
    /// Says why lanes of this worker would pass over records if it went on.
    fn take_back(&mut self, away: Vec<Away>, is_rest_taken: bool) -> Result<(), String> {
        let is_divided = !away.is_empty();
        if is_divided && !is_rest_taken {
            return Err("a batch was divided that finds no room".to_owned());
        }
        for away in away {
            let lost = "a worker ended while it decoded records of another";
            let Part { batch, helper, mut lent, decoded } = away.wait().ok_or(lost)?;
            let mut untouched = Vec::new();
            match decoded {
                Some(decoded) => decoded.map_err(|rejection| format!("no room for a row: {rejection}"))?,
                None => untouched.append(&mut lent),
            }
            for run in batch.runs() {
                if let Some(sheet) = sheet_of(&mut lent, &run) {
                    let runner = self.runners.get_mut(&partition_of(&run));
                    runner.into_iter().for_each(|runner| runner.take_helped(&run, helper, sheet));
                } else if self.take_run(&run) < run.len() {
                    return Err("a part of a batch finds no room".to_owned());
                }
            }
            for (partition, sheet) in lent.into_iter().chain(untouched) {
                if let Some(runner) = self.runners.get_mut(&partition) {
                    runner.give_back(helper, sheet);
                }
            }
        }
        Ok(())
    }

    /// When the rows of all workers take more than their part of the memory, whoever has the average or more of it has its largest lane append
    /// early. What is being written already does not count here: it is on its way out, and more small entries would not make it go faster.
    fn relieve(&mut self) {
        let rows: usize = self.runners.values().map(Runner::bytes).sum();
        let all = self.crew.note_rows(self.number, rows);
        if all <= self.shared.budget.rows() || rows.saturating_mul(self.workers) < all {
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
