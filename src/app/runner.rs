//! A lane at work: the engine's [`Lane`], its rows in memory, and the carrying out of what it asks for.

mod taking;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::budget::{Budget, Holding};
use super::clock;
use super::draft::Draft;
use super::horizon::Horizon;
use super::io::Io;
use super::rows::Rows;
use super::tally::Tally;
use super::topic::Topic;
use crate::engine::commit::{CommitMetadata, Committed};
use crate::engine::event::{Action, Input, TakeOver, Ticket};
use crate::engine::lane::Lane;
use crate::engine::state::{EntryNumber, EntryRef, LaneState, Offset, Scope};
use crate::kafka::member::{CommitRequest, TopicPartition};
use crate::metrics::LaneMetrics;

/// The bytes of the entry under way, kept until the store says what became of them.
pub(super) type Kept = Arc<Mutex<Option<(EntryRef, Bytes)>>>;

/// What others may know of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LaneStatus {
    /// Everything is closed, published, said and committed.
    pub(super) settled: bool,
    /// Why the lane cannot go on by itself, if it cannot.
    pub(super) stopped: Option<Arc<str>>,
    /// Records are welcome, or all of a bounded run are read.
    pub(super) recovered: bool,
    /// All records of a bounded run are read.
    pub(super) finishing: bool,
    /// An append is under way.
    pub(super) appending: bool,
    /// The next offset to read, records in memory included.
    pub(super) position: Offset,
    /// The newest entry.
    pub(super) entry: EntryNumber,
    /// The newest entry has no acknowledged commit.
    pub(super) uncommitted: bool,
    /// Commits that Kafka has acknowledged.
    pub(super) commits: u64,
}

impl Default for LaneStatus {
    /// A lane that has just been assigned.
    fn default() -> Self {
        Self {
            settled: false,
            stopped: None,
            recovered: false,
            finishing: false,
            appending: false,
            position: Offset(0),
            entry: EntryNumber(0),
            uncommitted: false,
            commits: 0,
        }
    }
}

/// An epoch may lie in so many entries, about, and its files still copy the row groups of them all.
const MOST_ENTRIES_OF_A_COPY: i64 = 4;

/// A lane at work.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) partition: TopicPartition,
    topic: Arc<Topic>,
    lane: Lane,
    rows: Rows,
    kept: Kept,
    memory: Holding,
    budget: Arc<Budget>,
    io: Io,
    metrics: Arc<LaneMetrics>,
    tally: Arc<Tally>,
    /// For a bounded run: where the partition ends.
    end: Option<Offset>,
    keep_open: bool,
    finishing: bool,
    handing_over: bool,
    /// Why the lane has stopped, if it has.
    stop_reason: Option<Arc<str>>,
    /// Librdkafka has given the partition up after an error.
    given_up: bool,
    /// Where Kafka's log ends.
    horizon: Horizon,
    unknown_fields: u64,
    misfits: Vec<u64>,
    /// Records counted when the lane was last told something.
    told_at: u64,
    /// Commits that Kafka has acknowledged.
    commits: u64,
}

/// What a lane has from its worker.
pub(super) struct With<'a> {
    pub(super) budget: &'a Arc<Budget>,
    pub(super) tally: &'a Arc<Tally>,
    pub(super) metrics: LaneMetrics,
    pub(super) keep_open: bool,
}

impl Runner {
    /// Returns the lane of a partition that has just been assigned.
    pub(super) fn new(
        partition: TopicPartition,
        topic: &Arc<Topic>,
        committed: Committed,
        io: Io,
        with: With<'_>,
    ) -> Self {
        let With { budget, tally, metrics, keep_open } = with;
        let identity = topic.identity(partition.partition);
        let lane = Lane::assigned(topic.lane.clone(), identity, committed, rand::random(), clock::now());
        let rows = Rows::new(&topic.schema, &topic.decoder, topic.partition_by.clone());
        // A partition that was added since the start of a bounded run has none of its records.
        let end =
            topic.bounds.as_ref().map(|bounds| bounds.get(&partition.partition).map_or(Offset(0), |(_, end)| *end));
        Self {
            misfits: vec![0; topic.schema.fields().len()],
            lane,
            rows,
            kept: Kept::default(),
            memory: budget.hold(0),
            budget: Arc::clone(budget),
            io,
            metrics: Arc::new(metrics),
            tally: Arc::clone(tally),
            end,
            keep_open,
            finishing: false,
            handing_over: false,
            stop_reason: None,
            given_up: false,
            horizon: Horizon::default(),
            unknown_fields: 0,
            told_at: 0,
            commits: 0,
            topic: Arc::clone(topic),
            partition,
        }
    }

    /// Tells the lane a fact.
    pub(super) fn tell(&mut self, input: Input) {
        if let Input::Committed { acknowledged: true, .. } = &input {
            self.commits += 1;
            self.metrics.set_committed_position(self.lane.newest().position);
        }
        tracing::trace!(topic = %self.partition.topic, partition = %self.partition.partition, ?input, "told");
        if matches!(input, Input::Started { .. }) {
            self.given_up = false;
        }
        self.told_at = self.lane.totals().records;
        self.lane.handle(clock::now(), input);
    }

    /// Lets time pass, and carries out what the lane asks for.
    pub(super) fn advance(&mut self) {
        self.lane.tick(clock::now());
        if let (Some(end), Some(position), false) = (self.end, self.lane.reads_from(), self.finishing)
            && position >= end
        {
            self.finishing = true;
            let keep_open = self.keep_open;
            self.tell(Input::Finish { keep_open });
        }
        // librdkafka tells the end of a partition by an answer without records, and a busy topic has none. But each answer says where the log
        // ended when it was given.
        let position = self.lane.position();
        if self.lane.is_gathering() && self.io.known_end() == Some(position) {
            self.tell(Input::AtEnd { offset: position });
        }
        while let Some(action) = self.lane.poll_action() {
            self.carry_out(action);
        }
        self.memory.resize(self.bytes());
    }

    fn carry_out(&mut self, action: Action) {
        tracing::trace!(topic = %self.partition.topic, partition = %self.partition.partition, ?action, "asked");
        match action {
            Action::Append { ticket, state, take_over } => self.append(ticket, state, take_over),
            Action::AppendAgain { ticket, entry } => self.io.append_again(ticket, entry, &self.kept, &self.metrics),
            Action::Commit { ticket, offset, metadata } => {
                if !self.handing_over {
                    let partition = self.partition.clone();
                    self.io.commit(CommitRequest { partition, offset, metadata, ticket });
                }
            }
            Action::Forget => {
                self.count_as_forgotten(self.told_at);
                // A lane that stops forgets, too, and nobody is ahead.
                if !self.lane.is_stopped() {
                    self.metrics.append_conflicts.inc();
                    tracing::warn!(
                        topic = %self.partition.topic, partition = %self.partition.partition,
                        "another instance is ahead in this partition's lane log; going on from what it wrote"
                    );
                }
                self.forget();
            }
            Action::Stop { reason } => {
                tracing::error!(
                    topic = %self.partition.topic, partition = %self.partition.partition, "partition stopped: {reason}"
                );
                self.stop_reason = Some(reason.to_string().into());
            }
            Action::List { ticket, from } => self.io.list(ticket, from),
            Action::Load { ticket, number } => self.io.load(ticket, number),
            Action::LookForReceipts { ticket } => self.io.look_for_receipts(ticket),
            Action::AskCommitted { ticket } => self.io.ask_committed(ticket),
            Action::AskEnd { ticket } => self.io.ask_end(ticket),
            Action::ResolveStart { ticket } => self.io.resolve_start(ticket),
            Action::Start { ticket, offset } => {
                self.io.start(ticket, offset, self.given_up);
            }
            Action::Publish { ticket, close } => {
                let chain = self.lane.newest().chain;
                self.io.publish(ticket, *close, chain, &self.metrics, &self.tally);
            }
            Action::Mark { ticket, through } => self.io.mark(ticket, through),
            Action::Collect { numbers } => self.io.collect(numbers),
        }
    }

    /// Takes the rows out of memory and has the entry built and created.
    fn append(&mut self, ticket: Ticket, state: Box<LaneState>, take_over: Vec<TakeOver>) {
        self.count(&state);
        let is_long = self.is_long(&state);
        let held = self.budget.hold(self.bytes());
        match self.rows.cut() {
            Ok((content, helped)) => {
                let draft = Draft { state: *state, take_over, content, helped, is_long };
                self.io.append(ticket, draft, &self.kept, held, &self.metrics);
            }
            Err(error) => self.io.fail(format!("rows of {}: {error}", self.place())),
        }
    }

    /// Whether the entry with `state` brings event time on by so much that few entries share an epoch. The first entry of a lane is reckoned from
    /// the beginning of its first epoch.
    fn is_long(&self, state: &LaneState) -> bool {
        let least = self.topic.lane.epoch.as_us() / MOST_ENTRIES_OF_A_COPY;
        let scopes = state.waiting.keys().chain(state.closes.iter().map(|close| &close.scope));
        let first = || scopes.filter_map(Scope::epoch).map(|epoch| epoch.start).min();
        let (before, now) = (self.lane.newest().max_event_time.or_else(first), state.max_event_time);
        before.zip(now).is_some_and(|(before, now)| now.0.saturating_sub(before.0) >= least)
    }

    /// Gives the memory back, too: what is kept for later counts as held.
    fn forget(&mut self) {
        self.rows.forget();
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Counts what an entry makes durable.
    fn count(&mut self, state: &LaneState) {
        let (before, now) = (self.lane.newest().totals, state.totals);
        self.tally.add(&before, &now);
        self.metrics.records.inc_by(now.records - before.records);
        self.metrics.rows.inc_by(now.rows - before.rows);
        self.metrics.late_rows.inc_by(now.late - before.late);
        self.metrics.dropped.inc_by(now.dropped - before.dropped);
        self.metrics.skipped_offsets.inc_by(now.skipped_offsets - before.skipped_offsets);
        let counts = self.rows.counts();
        self.metrics.count_unknown_fields(counts.unknown_fields - self.unknown_fields);
        self.unknown_fields = counts.unknown_fields;
        for ((field, now), before) in self.topic.schema.fields().iter().zip(&counts.misfits).zip(&mut self.misfits) {
            if now > before {
                self.metrics.count_misfits(&field.name, now - *before);
                *before = *now;
            }
        }
    }

    /// Shows the gauges of the lane.
    pub(super) fn show(&self) {
        let newest = self.lane.newest();
        self.metrics.set_position(self.lane.position());
        if let Some(watermark) = self.lane.watermark() {
            self.metrics.set_watermark(watermark);
        }
        if let Some(through) = newest.closed_through {
            self.metrics.set_closed_through(through);
        }
        self.metrics.set_open_epochs(u64::try_from(self.lane.open_epochs()).unwrap_or(0));
        self.metrics.set_pending_closes(u64::try_from(newest.closes.len()).unwrap_or(0));
        if let Some(lag) = self.lag() {
            self.metrics.set_lag(lag);
        }
    }

    pub(super) fn status(&self) -> LaneStatus {
        LaneStatus {
            settled: self.finishing && self.lane.is_settled(),
            stopped: self.stop_reason.clone().filter(|_| self.lane.is_stopped()),
            recovered: self.finishing || self.lane.reads_from().is_some(),
            finishing: self.finishing,
            appending: self.lane.is_running() && !self.lane.can_append(),
            position: self.lane.position(),
            entry: self.lane.newest().entry.number,
            uncommitted: self.lane.is_running() && !self.lane.is_mirrored(),
            commits: self.commits,
        }
    }

    /// Returns the memory that rows, dead letters and their buckets hold.
    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    /// Returns how many offsets there are to take, as far as is known without asking the broker.
    pub(super) fn lag(&self) -> Option<u64> {
        let end = self.io.known_end().or(self.horizon.told())?;
        Some(u64::try_from(end.0 - self.lane.position().0).unwrap_or(0))
    }

    /// Whether the lane waits for this seek, and not for a later one, or none.
    pub(super) fn awaits(&self, seek: Ticket) -> bool {
        self.lane.awaits_start(seek)
    }

    /// Makes Kafka serve the partition from `offset` on. Only the thread that takes the records may do this, and what it had taken before
    /// must be dropped: so that nothing that is served from there is looked at before the lane is told that it has started.
    pub(super) fn seek(&mut self, ticket: Ticket, offset: Offset, attempt: u32) {
        if self.io.seek(ticket, offset, attempt) {
            self.tell(Input::Started { ticket });
        }
    }

    /// Whether memory can be relieved by an append of this lane.
    pub(super) const fn can_append(&self) -> bool {
        self.lane.can_append()
    }

    /// Begins the handover: what is in memory is appended, and nothing else.
    pub(super) fn hand_over(&mut self) {
        self.handing_over = true;
        self.tell(Input::HandOver);
    }

    pub(super) fn is_handed_over(&self) -> bool {
        self.lane.is_handed_over()
    }

    /// Counts what the lane takes with it when it is dropped: records that no entry holds, as far as is known.
    pub(super) fn count_forgotten(&self) {
        self.count_as_forgotten(self.lane.totals().records);
    }

    fn count_as_forgotten(&self, taken: u64) {
        let forgotten = taken.saturating_sub(self.lane.newest().totals.records);
        self.metrics.forgotten.inc_by(forgotten);
        self.tally.add_forgotten(forgotten);
    }

    /// Returns the commit that mirrors the newest entry, for the end of a handover.
    pub(super) fn last_commit(&self) -> Option<CommitRequest> {
        let newest = self.lane.newest();
        (newest.entry.number > EntryNumber(0) && self.lane.is_running()).then(|| CommitRequest {
            partition: self.partition.clone(),
            offset: newest.position,
            metadata: CommitMetadata::mirroring(newest).to_text(),
            ticket: Ticket(0),
        })
    }

    fn place(&self) -> String {
        format!("topic `{}` partition {}", self.partition.topic, self.partition.partition)
    }
}

/// The lanes of a worker.
pub(super) type Runners = BTreeMap<TopicPartition, Runner>;
