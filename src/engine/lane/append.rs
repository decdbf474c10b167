//! Cut, append, commit: how what was read becomes durable.
//!
//! The append of entry n + 1 is the one atomic point of the protocol and its fence. A PUT without an answer decides nothing: the
//! very same bytes are sent again until the store says what became of them (L-3).

use super::super::commit::{CommitMetadata, Committed};
use super::super::event::{Action, LoadOutcome, PutOutcome, StopReason, Ticket};
use super::super::mutation::Mutation;
use super::super::state::{ChainId, Close, EntryId, EntryNumber, EntryRef, Held, LaneState, Offset, Scope};
use super::super::time::{Epoch, EventTime};
use super::{Fresh, Lane, Live, Phase};

/// The shortest and the longest wait before the same bytes are sent again, in milliseconds.
const SEND_AGAIN_MS: (u64, u64) = (200, 10_000);
/// How long to wait before a commit that failed is repeated, in milliseconds.
const COMMIT_AGAIN_MS: u64 = 5_000;
/// How often in a row rows to take over may be gone, although recovering shows nobody ahead, before the lane stops.
const MOST_GONE: u32 = 5;

/// The append under way.
#[derive(Debug, Clone, Hash)]
pub(super) struct Pending {
    pub(super) state: LaneState,
    ticket: Ticket,
    step: PendingStep,
    attempts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum PendingStep {
    /// The PUT is on its way.
    Sent,
    /// It was there already: whose is it?
    Asked,
    /// Send (or ask) again at this time.
    Waiting { until_ms: u64, ask: bool },
}

/// Whether an idle partition is known to be idle: an end that was seen long ago is no proof that nothing was written since.
#[derive(Debug, Clone, Default, Hash)]
pub(super) struct Idle {
    asked: Option<Ticket>,
    again_at_ms: u64,
    confirmed: bool,
}

/// How far Kafka's commits mirror the lane log.
#[derive(Debug, Clone, Default, Hash)]
pub(super) struct CommitProgress {
    sent: Option<(Ticket, EntryNumber)>,
    acknowledged: Option<EntryNumber>,
    again_at_ms: Option<u64>,
}

impl CommitProgress {
    pub(super) fn is_acknowledged(&self, number: EntryNumber) -> bool {
        self.acknowledged >= Some(number)
    }

    pub(super) const fn acknowledge(&mut self, number: EntryNumber) {
        self.acknowledged = Some(number);
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl Lane {
    /// Looks what there is to do now.
    pub(super) fn decide(&mut self) {
        match self.phase {
            Phase::Stopped => {}
            Phase::Recovering(_) => self.ask_again(),
            Phase::Running => {
                self.send_again();
                self.commit_again();
                if self.wants_check() && !self.handing_over {
                    self.begin_check();
                }
                let has_just_completed = self.note_complete();
                if self.pending.is_none() && self.cut_is_due(has_just_completed) {
                    self.cut();
                }
                self.ask_end();
                if !self.handing_over {
                    self.advance_publication();
                    self.resume();
                }
            }
        }
    }

    /// Whether records were taken that no entry holds.
    pub(super) fn has_unsaid_records(&self) -> bool {
        self.live.position != self.base.position || self.live.totals != self.base.totals
    }

    /// Whether an entry would say anything that the newest one does not. Nothing new to say: nothing is appended.
    pub(super) fn has_something_to_say(&self) -> bool {
        let published = self.publication.has_finished() && !self.breaks(Mutation::PublicationIsNothingToSay);
        let begun = self.base.entry.number > EntryNumber(0);
        !begun
            || self.has_unsaid_records()
            || published
            || self.through_at_cut() > self.base.closed_through
            || self.flush_is_due()
    }

    fn cut_is_due(&self, has_just_completed: bool) -> bool {
        if !self.has_something_to_say() {
            return false;
        }
        if self.handing_over {
            return self.has_unsaid_records();
        }
        if self.publication.is_checking() {
            // The listing that confirms the newest entry must not meet an append of our own.
            return false;
        }
        let since = self.unsaid_since_ms.unwrap_or(self.publication.finished_since_ms().unwrap_or(self.now.mono_ms));
        let interval = self.now.mono_ms >= since.saturating_add(self.config.commit_interval_ms);
        let closes = self.through_at_cut() > self.base.closed_through && self.closes_are_gathered(has_just_completed);
        // The first entry makes durable where the chain begins.
        let begins = self.base.entry.number == EntryNumber(0);
        begins || self.flush || self.interrupted || interval || closes || self.flush_is_due() || self.is_finishing()
    }

    /// Notes since when there are epochs to close; returns whether one is complete that was not.
    fn note_complete(&mut self) -> bool {
        let through = self.through_at_cut();
        let complete = through > self.base.closed_through;
        let has_just_completed = through > std::mem::replace(&mut self.seen_through, through);
        self.completes_more |= has_just_completed && self.complete_since_ms.is_some();
        self.complete_since_ms = complete.then(|| self.complete_since_ms.unwrap_or(self.now.mono_ms));
        has_just_completed
    }

    /// Whether the epochs that are complete should wait no longer. While a lane catches up, epochs pass by in a moment; an entry for each
    /// would hold the beginning of the next one, too, whose file is then encoded again instead of copied. That beginning is shortest
    /// when an epoch has just become complete. What is late does not depend on when an entry closes an epoch (L-2).
    fn closes_are_gathered(&self, has_just_completed: bool) -> bool {
        let waited = self.now.mono_ms.saturating_sub(self.complete_since_ms.unwrap_or(self.now.mono_ms));
        let gather = self.config.gather_closes_ms;
        let is_best_moment = has_just_completed || !self.completes_more || waited >= gather.saturating_mul(2);
        self.at_end || (waited >= gather && is_best_moment)
    }

    /// Returns the time through which epochs are closed if the lane is cut now.
    fn through_at_cut(&self) -> Option<EventTime> {
        let mut through = self.complete_through();
        if self.is_idle() {
            through = through.max(Some(self.passed_by_the_wall()));
        }
        if self.closes_all() {
            through = through.max(self.open().filter_map(|scope| scope.epoch()).map(|epoch| epoch.end).max());
        }
        through
    }

    /// Returns the scopes that have rows which no close has taken, in memory or in entries.
    fn open(&self) -> impl Iterator<Item = Scope> + '_ {
        self.base.waiting.keys().chain(self.live.fresh.keys()).copied()
    }

    /// Whether late rows and dead letters must be published although no epoch closes.
    fn flush_is_due(&self) -> bool {
        let flushes = (self.is_idle() && !self.breaks(Mutation::IdleKeepsLate)) || self.closes_all();
        flushes && self.open().any(|scope| !matches!(scope, Scope::OnTime(_)))
    }

    /// Returns the time that an idle lane is closed through: what the wall clock has not passed stays open.
    fn passed_by_the_wall(&self) -> EventTime {
        self.config.epoch.floor(self.now.wall.plus_us(-self.config.allowed_lateness_us))
    }

    /// Whether the partition is idle: read to its end, no record for the idle timeout, and Kafka has just said that its end is where we are.
    fn is_idle(&self) -> bool {
        self.seems_idle() && self.idle.confirmed
    }

    fn seems_idle(&self) -> bool {
        let since = self.last_record_ms.saturating_add(self.config.idle_timeout_ms);
        self.at_end && self.finish.is_none() && self.now.mono_ms >= since
    }

    /// Asks where the log ends, before idleness closes anything: a broker that was away hides records.
    fn ask_end(&mut self) {
        let would_close = Some(self.passed_by_the_wall()) > self.live.closed_through
            || self.open().any(|scope| !matches!(scope, Scope::OnTime(_)));
        let due = self.idle.asked.is_none() && !self.idle.confirmed && self.idle.again_at_ms <= self.now.mono_ms;
        if due && would_close && self.seems_idle() && !self.handing_over && self.pending.is_none() {
            let ticket = self.ticket();
            self.idle.asked = Some(ticket);
            self.actions.push_back(Action::AskEnd { ticket });
        }
    }

    /// Takes where the log ends.
    pub(super) fn end_found(&mut self, ticket: Ticket, offset: Option<Offset>) {
        if self.idle.asked.take_if(|asked| *asked == ticket).is_some() {
            self.idle.confirmed = offset == Some(self.live.position);
            self.idle.again_at_ms = self.now.mono_ms + COMMIT_AGAIN_MS;
        }
    }

    fn is_finishing(&self) -> bool {
        self.finish.is_some()
    }

    fn closes_all(&self) -> bool {
        self.finish.is_some_and(|finish| !finish.keep_open)
    }

    /// Decides the next entry: what was read until now, and what is closed by it.
    fn cut(&mut self) {
        // A handover does not wait for a listing, which might now show our own next entry: its answer counts no more.
        if !self.breaks(Mutation::CheckByOlderListing) {
            self.publication.abandon_check();
        }
        let (through, flushes) = (self.through_at_cut(), self.flush_is_due());
        // What is idle now must be found idle anew before it closes more.
        self.idle = Idle { again_at_ms: self.idle.again_at_ms, ..Idle::default() };
        let number = self.base.entry.number.next();
        let id =
            if self.breaks(Mutation::IdOfTheWriter) { EntryId(u64::from(self.writer())) } else { EntryId(self.draw()) };
        let entry = EntryRef { number, id };

        let mut state = self.base.clone();
        if number == EntryNumber(1) {
            state.chain = ChainId(u32::try_from(self.draw() >> 32).unwrap_or(0));
        }
        state.entry = entry;
        state.position = self.live.position;
        state.max_event_time = self.live.max_event_time;
        state.closed_through = through;
        state.totals = self.live.totals;
        if self.base.entry.number > EntryNumber(0) && self.commit.is_acknowledged(self.base.entry.number) {
            state.accepted_offset = None;
        }
        for (scope, Fresh { rows, bytes }) in std::mem::take(&mut self.live.fresh) {
            state.waiting.entry(scope).or_default().push(Held { entry, rows, bytes });
        }
        state.closes.retain(|close| !self.publication.is_finished(close));
        self.close(&mut state, flushes);
        let take_over = self.merge(&mut state);
        self.live.closed_through = through;
        self.unsaid_since_ms = None;
        self.complete_since_ms = None;
        self.completes_more = false;
        self.flush = false;

        if self.breaks(Mutation::PublishBeforeAppend) {
            for close in state.closes.iter().filter(|close| close.entry == entry && !close.rows.is_empty()) {
                let ticket = Ticket(0);
                self.actions.push_back(Action::Publish { ticket, close: Box::new(close.clone()) });
            }
        }
        let ticket = self.ticket();
        self.actions.push_back(Action::Append { ticket, state: Box::new(state.clone()), take_over });
        self.pending = Some(Pending { state, ticket, step: PendingStep::Sent, attempts: 0 });
    }

    /// Moves what is complete from the waiting rows to the closes. A cut that moves closed-through or flushes closes all late rows
    /// and dead letters too; one that moves it without rows lists a close without rows, so that its marker step is done.
    fn close(&self, state: &mut LaneState, flushes: bool) {
        let Some(through) = state.closed_through else {
            if flushes {
                self.close_all(state, |scope| !matches!(scope, Scope::OnTime(_)));
            }
            return;
        };
        let moved = state.closed_through > self.base.closed_through;
        let first_new = state.closes.len();
        self.close_all(state, |scope| matches!(scope, Scope::OnTime(epoch) if epoch.end <= through));
        if moved && state.closes.len() == first_new {
            let last = self.config.epoch.epoch_of(through.plus_us(-1));
            let close = self.decide_close(state, Scope::OnTime(last), Vec::new());
            state.closes.push(close);
        }
        if moved || flushes {
            self.close_all(state, |scope| !matches!(scope, Scope::OnTime(_)));
        }
    }

    fn close_all(&self, state: &mut LaneState, is_due: impl Fn(&Scope) -> bool) {
        let due: Vec<Scope> = state.waiting.keys().filter(|scope| is_due(scope)).copied().collect();
        for scope in due {
            let rows = state.waiting.remove(&scope).unwrap_or_default();
            if self.breaks(Mutation::LateOfTheClosingEntryTwice) && matches!(scope, Scope::Late(_)) {
                let here: Vec<Held> = rows.iter().filter(|held| held.entry == state.entry).copied().collect();
                if !here.is_empty() {
                    state.waiting.insert(scope, here);
                }
            }
            let close = self.decide_close(state, scope, rows);
            state.closes.push(close);
        }
    }

    fn decide_close(&self, state: &mut LaneState, scope: Scope, rows: Vec<Held>) -> Close {
        state.closes_decided += u64::from(!rows.is_empty());
        let sequence = if rows.is_empty() { 0 } else { state.closes_decided };
        let LaneState { entry, position, totals, .. } = *state;
        Close { scope, sequence, entry, position, totals, rows, recipe: self.config.recipe.clone() }
    }

    /// Takes what became of the PUT.
    pub(super) fn appended(&mut self, ticket: Ticket, outcome: PutOutcome) {
        let now_ms = self.now.mono_ms;
        let Some(pending) = self.pending.as_mut().filter(|pending| pending.ticket == ticket) else { return };
        match outcome {
            PutOutcome::Created => self.created(),
            PutOutcome::AlreadyThere => self.ask_whose(),
            PutOutcome::NoAnswer => {
                pending.attempts += 1;
                let until_ms = now_ms + backoff_ms(pending.attempts);
                let ask = self.config.mutation == Mutation::RebuildAfterNoAnswer && cfg!(test);
                pending.step = PendingStep::Waiting { until_ms, ask };
            }
        }
    }

    /// An entry whose rows were to be taken over is gone: somebody else is ahead. Nothing was created: forget what is in memory, and recover.
    pub(super) fn take_over_gone(&mut self, ticket: Ticket) {
        let Some(pending) = self.pending.as_ref().filter(|pending| pending.ticket == ticket) else { return };
        let what = format!("entry {}, which takes rows over,", pending.state.entry.number);
        self.gone += 1;
        if self.gone >= MOST_GONE {
            return self.stop(StopReason::MissingRows { what });
        }
        self.conflict();
    }

    fn ask_whose(&mut self) {
        let ticket = self.ticket();
        let Some(pending) = &mut self.pending else { return };
        pending.ticket = ticket;
        pending.step = PendingStep::Asked;
        let number = pending.state.entry.number;
        self.actions.push_back(Action::Load { ticket, number });
    }

    fn send_again(&mut self) {
        let ticket = Ticket(self.next_ticket + 1);
        let Some(pending) = &mut self.pending else { return };
        let PendingStep::Waiting { until_ms, ask } = pending.step else { return };
        if until_ms > self.now.mono_ms {
            return;
        }
        if ask {
            return self.ask_whose();
        }
        self.next_ticket = ticket.0;
        pending.ticket = ticket;
        pending.step = PendingStep::Sent;
        let entry = pending.state.entry;
        self.actions.push_back(Action::AppendAgain { ticket, entry });
    }

    pub(super) fn is_question_about_append(&self, ticket: Ticket) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.ticket == ticket && pending.step == PendingStep::Asked)
    }

    /// Something was there already, and this is it.
    pub(super) fn loaded_after_conflict(&mut self, outcome: LoadOutcome) {
        let now_ms = self.now.mono_ms;
        let (rebuild, absent_is_conflict) =
            (self.breaks(Mutation::RebuildAfterNoAnswer), self.breaks(Mutation::AbsentIsConflict));
        let Some(pending) = &mut self.pending else { return };
        match outcome {
            LoadOutcome::Found(found) if found.entry.id == pending.state.entry.id => self.created(),
            LoadOutcome::Found(_) => self.conflict(),
            LoadOutcome::Absent if rebuild => {
                let own = pending.state.entry;
                let of = |held: &[Held]| held.iter().find(|held| held.entry == own).copied();
                let fresh = pending.state.waiting.iter().filter_map(|(scope, held)| Some((*scope, of(held)?)));
                self.live.fresh =
                    fresh.map(|(scope, Held { rows, bytes, .. })| (scope, Fresh { rows, bytes })).collect();
                self.pending = None;
                self.flush = true;
            }
            LoadOutcome::Absent if absent_is_conflict => self.conflict(),
            LoadOutcome::Absent | LoadOutcome::NoAnswer => {
                pending.attempts += 1;
                // Absent: the "already there" was no answer, as S3 says 409 while another PUT is under way.
                let ask = outcome == LoadOutcome::NoAnswer;
                pending.step = PendingStep::Waiting { until_ms: now_ms + backoff_ms(pending.attempts), ask };
            }
            LoadOutcome::Unreadable(why) => {
                let number = pending.state.entry.number;
                self.stop(StopReason::Unreadable { number, why });
            }
        }
    }

    /// The entry is in the log: it is the state of the lane now.
    fn created(&mut self) {
        let Some(pending) = self.pending.take() else { return };
        self.base = pending.state;
        self.gone = 0;
        self.existing.insert(self.base.entry.number, None);
        let keeps_listing = self.breaks(Mutation::CheckByOlderListing);
        self.publication.newest_changed(&self.base, keeps_listing);
        self.mirror();
    }

    /// Another entry has our number: the lane has, or had, another owner. Forget what is in memory, delete nothing, recover.
    pub(super) fn conflict(&mut self) {
        if self.breaks(Mutation::DeleteAtConflict)
            && let Some(pending) = &self.pending
        {
            let numbers = vec![pending.state.entry.number];
            self.actions.push_back(Action::Collect { numbers });
        }
        self.live = Live::of(&self.base);
        self.committed = Committed::Nothing;
        self.actions.push_back(Action::Forget);
        if self.breaks(Mutation::DropAtConflict) {
            self.phase = Phase::Stopped;
            self.pending = None;
            return;
        }
        self.recover();
    }

    /// Commits what the newest entry says.
    pub(super) fn mirror(&mut self) {
        if self.base.entry.number == EntryNumber(0) {
            return;
        }
        let ticket = self.ticket();
        let offset = self.base.position;
        let metadata = CommitMetadata::mirroring(&self.base);
        self.commit.sent = Some((ticket, self.base.entry.number));
        self.commit.again_at_ms = None;
        self.actions.push_back(Action::Commit { ticket, offset, metadata: metadata.to_text() });
    }

    fn commit_again(&mut self) {
        if self.commit.again_at_ms.is_some_and(|at| at <= self.now.mono_ms) {
            self.mirror();
        }
    }

    pub(super) fn committed(&mut self, ticket: Ticket, acknowledged: bool) {
        let Some((_, number)) = self.commit.sent.filter(|(sent, _)| *sent == ticket) else { return };
        if acknowledged {
            self.commit.acknowledged = self.commit.acknowledged.max(Some(number));
        } else {
            self.commit.again_at_ms = Some(self.now.mono_ms + COMMIT_AGAIN_MS);
        }
    }

    fn writer(&self) -> u32 {
        // One value for all lanes of a process in tests: the seed's first draw would differ.
        self.config.recipe.layout
    }
}

fn backoff_ms(attempts: u32) -> u64 {
    let (least, most) = SEND_AGAIN_MS;
    least.saturating_mul(1 << attempts.min(16)).min(most)
}

impl std::fmt::Display for Close {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let label = |epoch: &Epoch| epoch.label();
        match &self.scope {
            Scope::OnTime(epoch) => write!(f, "epoch {} by entry {}", label(epoch), self.entry.number),
            Scope::Late(epoch) => write!(f, "late rows of epoch {} by entry {}", label(epoch), self.entry.number),
            Scope::DeadLetter => write!(f, "dead letters by entry {}", self.entry.number),
        }
    }
}
