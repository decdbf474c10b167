//! A lane: the owner of one assigned Kafka partition, as a sans-IO state machine.
//!
//! [`Lane::place`] is the hot path: where does this record belong? Everything else is protocol: [`Lane::handle`] takes facts,
//! [`Lane::poll_action`] says what to do. Opens no socket, reads no clock, spawns nothing: one input sequence, one action sequence.
//!
//! # Invariants
//! * **L-1** every record below the position of the newest entry is in an entry that it names, in a published file,
//!   or counted as dropped;
//! * **L-2** whether a row is late depends on the records before it (and on what earlier entries closed) alone;
//! * **L-3** one append at a time, and its bytes are sent until the store says what became of them;
//! * **L-4** nothing is published, marked or collected but on the word of an entry that a later listing showed to be the newest;
//! * **L-5** an answer to a request of an earlier life of the lane changes nothing.

mod append;
mod merge;
mod publish;
mod recover;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, VecDeque};

use rand::Rng;
use rand_pcg::Pcg64Mcg;

use super::commit::Committed;
use super::event::{Action, Input, Now, StopReason, Ticket};
use super::mutation::Mutation;
use super::state::{EntryNumber, LaneIdentity, LaneState, Offset, Recipe, Scope, Totals};
use super::time::{EpochLength, EventTime};

pub use self::merge::MergeConfig;

/// What becomes of a late row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum LatePolicy {
    /// It is published with the lane's next close, in a file of its own.
    #[default]
    Append,
    /// It becomes a dead letter.
    DeadLetter,
    /// It is counted, and dropped.
    Drop,
}

/// What to do when a tool has moved the group's offset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ForeignOffsetPolicy {
    /// Stop the partition.
    #[default]
    Stop,
    /// Go on where the lane log ends.
    Resume,
    /// Go on at the offset that the tool has set.
    Accept,
}

/// What to do when Kafka's log does not hold the next offset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum DataLossPolicy {
    /// Stop the partition.
    #[default]
    Stop,
    /// Count what is lost, and go on behind it.
    Skip,
}

/// The settings of a lane. Every instance of a group has the same.
#[derive(Debug, Clone, Hash)]
pub struct LaneConfig {
    /// The length of an epoch.
    pub epoch: EpochLength,
    /// How far behind the newest event the watermark is, in microseconds.
    pub allowed_lateness_us: i64,
    /// What becomes of late rows.
    pub late: LatePolicy,
    /// The longest time that a record stays in memory alone, in milliseconds.
    pub commit_interval_ms: u64,
    /// How long a lane that is behind gathers complete epochs before one entry closes them all, in milliseconds; if there are several, for how
    /// much longer it may wait for the next one. A lane at the log's end does not wait.
    pub gather_closes_ms: u64,
    /// How long no record comes before a lane at the log's end is idle, in milliseconds.
    pub idle_timeout_ms: u64,
    /// How long an entry that is no longer needed is kept, in milliseconds.
    pub collect_grace_ms: u64,
    /// When rows of older entries are taken over.
    pub merge: MergeConfig,
    /// How files are made.
    pub recipe: Recipe,
    /// What to do with an offset that a tool has set.
    pub on_foreign_offset: ForeignOffsetPolicy,
    /// What to do with offsets that Kafka no longer holds.
    pub on_data_loss: DataLossPolicy,
    /// A rule to break, in the simulation and the fault suite; always [`Mutation::None`] elsewhere.
    pub mutation: Mutation,
}

/// Where a record belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Placement {
    /// Into the rows of this scope.
    Row(Scope),
    /// It is late, and late rows become dead letters.
    LateDeadLetter,
    /// It is late, and late rows are dropped.
    Dropped,
}

#[derive(Debug, Clone, Hash)]
enum Phase {
    Recovering(recover::Recovery),
    Running,
    Stopped,
}

/// What the lane knows beyond its newest entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Live {
    position: Offset,
    max_event_time: Option<EventTime>,
    closed_through: Option<EventTime>,
    totals: Totals,
    /// The rows in memory which no entry holds yet.
    fresh: BTreeMap<Scope, Fresh>,
}

/// Rows of one scope that no entry holds yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Fresh {
    rows: u64,
    bytes: u64,
}

/// The owner of one assigned Kafka partition.
#[derive(Debug, Clone, Hash)]
pub struct Lane {
    config: LaneConfig,
    identity: LaneIdentity,
    ids: Draws,
    next_ticket: u64,
    actions: VecDeque<Action>,
    now: Now,
    phase: Phase,
    /// What Kafka held when the lane was assigned.
    committed: Committed,
    /// The state that the newest entry carries; number 0 before the first.
    base: LaneState,
    live: Live,
    pending: Option<append::Pending>,
    /// When the oldest thing to say was first seen.
    unsaid_since_ms: Option<u64>,
    /// Since when epochs are complete that no entry closes.
    complete_since_ms: Option<u64>,
    /// Whether another one has become complete since.
    completes_more: bool,
    /// Through which time epochs were complete when it was last looked.
    seen_through: Option<EventTime>,
    flush: bool,
    /// Kafka did not serve the next offset.
    interrupted: bool,
    finish: Option<Finish>,
    handing_over: bool,
    /// When the last record came, or reading began.
    last_record_ms: u64,
    at_end: bool,
    idle: append::Idle,
    commit: append::CommitProgress,
    publication: publish::Publication,
    /// How often in a row an entry whose rows were to be taken over was gone.
    gone: u32,
    existing: BTreeMap<EntryNumber, Option<u64>>,
}

/// A stream of random numbers as plain data: two lanes whose fields are equal go on alike.
#[derive(Debug, Clone, Hash)]
struct Draws {
    seed: u128,
    drawn: u64,
}

impl Draws {
    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        let mut stream = Pcg64Mcg::new(self.seed);
        stream.advance(u128::from(self.drawn));
        stream.next_u64()
    }
}

/// A bounded run's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Finish {
    keep_open: bool,
}

impl Lane {
    /// Returns the lane of a partition that has just been assigned; it recovers first.
    ///
    /// `seed` must differ between any two lanes that ever live, in all processes: entry ids are drawn from it.
    #[must_use]
    pub fn assigned(config: LaneConfig, identity: LaneIdentity, committed: Committed, seed: u128, now: Now) -> Self {
        let base = LaneState::before_the_first_entry(&identity);
        let mut lane = Self {
            ids: Draws { seed, drawn: 0 },
            // Tickets of two lanes of one partition do not meet, either.
            next_ticket: u64::try_from(seed >> 65).unwrap_or(0),
            actions: VecDeque::new(),
            now,
            phase: Phase::Stopped,
            committed,
            live: Live::of(&base),
            base,
            pending: None,
            unsaid_since_ms: None,
            complete_since_ms: None,
            completes_more: false,
            seen_through: None,
            flush: false,
            interrupted: false,
            finish: None,
            handing_over: false,
            last_record_ms: now.mono_ms,
            at_end: false,
            idle: append::Idle::default(),
            commit: append::CommitProgress::default(),
            publication: publish::Publication::default(),
            gone: 0,
            existing: BTreeMap::new(),
            config,
            identity,
        };
        lane.recover();
        lane
    }

    /// Says where the record at `offset` with event time `time` belongs, and counts it. Call it only for offsets at or above [`Lane::reads_from`].
    ///
    /// `kafka_timestamp` caps how far the watermark moves; without it (the record has none) the event time alone counts. `bytes` is the size of key and value.
    pub fn place(
        &mut self,
        offset: Offset,
        time: EventTime,
        kafka_timestamp: Option<EventTime>,
        bytes: usize,
    ) -> Placement {
        self.take(offset);
        let epoch = self.config.epoch.epoch_of(time);
        // An epoch ends at a boundary: whether it is complete through the last boundary before the watermark is told by the watermark itself.
        let late = self.live.closed_through.max(self.watermark()).is_some_and(|through| epoch.end <= through);
        let capped = kafka_timestamp.map_or(time, |cap| cap.min(time));
        self.live.max_event_time = self.live.max_event_time.max(Some(capped));
        if !late {
            return self.row(Scope::OnTime(epoch), bytes);
        }
        match self.config.late {
            LatePolicy::Append => {
                self.live.totals.late += 1;
                self.row(Scope::Late(epoch), bytes)
            }
            LatePolicy::DeadLetter => {
                self.live.totals.dead_letters += 1;
                self.fresh(Scope::DeadLetter, bytes);
                Placement::LateDeadLetter
            }
            LatePolicy::Drop => {
                self.live.totals.dropped += 1;
                Placement::Dropped
            }
        }
    }

    /// Counts the record at `offset`, whose key and value have `bytes` bytes, as a dead letter.
    pub fn dead_letter(&mut self, offset: Offset, bytes: usize) {
        self.take(offset);
        self.live.totals.dead_letters += 1;
        self.fresh(Scope::DeadLetter, bytes);
    }

    /// Whether records are welcome, and from which offset on; those below it were taken before.
    #[must_use]
    pub fn reads_from(&self) -> Option<Offset> {
        let welcome =
            matches!(self.phase, Phase::Running) && self.finish.is_none() && !self.handing_over && !self.interrupted;
        welcome.then_some(self.live.position)
    }

    /// Whether epochs are complete whose close waits for others, which it does not at the log's end.
    #[must_use]
    pub const fn is_gathering(&self) -> bool {
        self.complete_since_ms.is_some() && !self.at_end
    }

    /// Takes a fact.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.tick(now);
        match input {
            Input::Listed { .. }
            | Input::Loaded { .. }
            | Input::ReceiptsFound { .. }
            | Input::CommittedFound { .. }
            | Input::Recreated { .. }
            | Input::Resolved { .. }
            | Input::Started { .. }
            | Input::OutOfRange { .. } => self.answer(input),
            Input::Appended { ticket, outcome } => self.appended(ticket, outcome),
            Input::TakeOverGone { ticket } => self.take_over_gone(ticket),
            Input::Committed { ticket, acknowledged } => self.committed(ticket, acknowledged),
            Input::Published { ticket, outcome } => self.published(ticket, outcome),
            Input::Marked { ticket, done } => self.marked(ticket, done),
            Input::AtEnd { offset } => self.reached_end(offset),
            Input::EndFound { ticket, offset } => self.end_found(ticket, offset),
            Input::Interrupted => self.interrupted = matches!(self.phase, Phase::Running),
            Input::Flush => self.flush = true,
            Input::Finish { keep_open } => self.finish = Some(Finish { keep_open }),
            Input::HandOver => self.handing_over = true,
        }
    }

    /// Takes the time.
    pub const fn tick(&mut self, now: Now) {
        self.now = now;
    }

    /// Returns the next thing to do, if any. An [`Action::Append`] must be begun before the next record is placed.
    pub fn poll_action(&mut self) -> Option<Action> {
        if self.actions.is_empty() {
            self.decide();
        }
        self.actions.pop_front()
    }

    /// Whether nothing is left to append and to hear: what was read is durable, or nothing was read.
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        match self.phase {
            Phase::Running => self.pending.is_none() && !self.has_unsaid_records(),
            Phase::Recovering(_) | Phase::Stopped => true,
        }
    }

    /// Whether a finished lane has nothing left to do: all is closed, published, said and committed.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Running)
            && self.pending.is_none()
            && !self.has_something_to_say()
            && self.base.closes.is_empty()
            && self.commit.is_acknowledged(self.base.entry.number)
    }

    /// Whether Kafka has acknowledged a commit of the newest entry, or there is none yet.
    #[must_use]
    pub fn is_mirrored(&self) -> bool {
        self.base.entry.number.0 == 0 || self.commit.is_acknowledged(self.base.entry.number)
    }

    /// Whether an append may begin: rows in memory can become an entry.
    #[must_use]
    pub const fn can_append(&self) -> bool {
        matches!(self.phase, Phase::Running) && self.pending.is_none()
    }

    /// Whether the lane has recovered and is at work.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// Whether the [`Action::Start`] with this ticket is the last thing that was asked for, and has not been answered.
    #[must_use]
    pub fn awaits_start(&self, ticket: Ticket) -> bool {
        matches!(&self.phase, Phase::Recovering(recovery) if recovery.awaits_start(ticket))
    }

    /// Whether the lane cannot go on by itself.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped)
    }

    /// Returns the state that the newest entry carries.
    #[must_use]
    pub const fn newest(&self) -> &LaneState {
        &self.base
    }

    /// Returns the totals, records in memory included.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.live.totals
    }

    /// Returns the next offset to read, records in memory included.
    #[must_use]
    pub const fn position(&self) -> Offset {
        self.live.position
    }

    /// Returns how far event time is believed complete.
    #[must_use]
    pub fn watermark(&self) -> Option<EventTime> {
        self.live.max_event_time.map(|time| time.plus_us(-self.config.allowed_lateness_us))
    }

    /// Returns the number of epochs that are open, in memory or in entries.
    #[must_use]
    pub fn open_epochs(&self) -> usize {
        let held = self.pending.as_ref().map_or(&self.base, |pending| &pending.state);
        let fresh = self.live.fresh.keys().filter(|scope| !held.waiting.contains_key(scope));
        held.waiting.keys().chain(fresh).filter(|scope| matches!(scope, Scope::OnTime(_))).count()
    }

    fn row(&mut self, scope: Scope, bytes: usize) -> Placement {
        self.live.totals.rows += 1;
        self.fresh(scope, bytes);
        Placement::Row(scope)
    }

    fn fresh(&mut self, scope: Scope, bytes: usize) {
        let fresh = self.live.fresh.entry(scope).or_default();
        fresh.rows += 1;
        fresh.bytes += u64::try_from(bytes).unwrap_or(0);
    }

    fn take(&mut self, offset: Offset) {
        self.live.position = Offset(offset.0.saturating_add(1));
        self.live.totals.records += 1;
        self.last_record_ms = self.now.mono_ms;
        self.at_end = false;
        self.idle = append::Idle::default();
        self.unsaid_since_ms.get_or_insert(self.now.mono_ms);
    }

    /// Returns the time through which epochs are complete: closed before, or behind the watermark now. Keeps L-2.
    fn complete_through(&self) -> Option<EventTime> {
        let passed = self.watermark().map(|watermark| self.config.epoch.floor(watermark));
        self.live.closed_through.max(passed)
    }

    /// The position may be moved by what is no record: aborted and control records, compaction. Not when records are no longer welcome:
    /// some may have been turned away before the end was seen (L-1).
    fn reached_end(&mut self, offset: Offset) {
        if self.reads_from().is_none() {
            return;
        }
        self.at_end = true;
        if offset > self.live.position {
            self.live.position = offset;
            self.unsaid_since_ms.get_or_insert(self.now.mono_ms);
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    fn draw(&mut self) -> u64 {
        self.ids.draw()
    }

    fn stop(&mut self, reason: StopReason) {
        self.phase = Phase::Stopped;
        self.pending = None;
        // What another publication finds behind this is no news.
        self.publication = publish::Publication::default();
        self.live = Live::of(&self.base);
        self.actions.push_back(Action::Forget);
        self.actions.push_back(Action::Stop { reason });
    }

    fn breaks(&self, rule: Mutation) -> bool {
        cfg!(any(test, feature = "fail-points")) && self.config.mutation == rule
    }
}

impl Live {
    fn of(state: &LaneState) -> Self {
        Self {
            position: state.position,
            max_event_time: state.max_event_time,
            closed_through: state.closed_through,
            totals: state.totals,
            fresh: BTreeMap::new(),
        }
    }
}
