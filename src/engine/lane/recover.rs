//! Recovery: from an assigned partition to a lane that reads on. The one path for a cold start, a crash, a handover and a lost race.
//!
//! # Invariants
//! * The newest entry is found by listing, never by trying number after number: a collected entry leaves a hole.
//! * An empty answer is believed only of a listing of the whole lane log.

use super::super::commit::{CommitMetadata, Committed};
use super::super::event::{Action, Input, LoadOutcome, StopReason, Ticket};
use super::super::mutation::Mutation;
use super::super::state::{EntryNumber, Jump, JumpReason, LaneIdentity, LaneState, Offset};
use super::{DataLossPolicy, ForeignOffsetPolicy, Lane, Live, Phase};

/// How long to wait before a question that got no answer is asked again, in milliseconds.
const ASK_AGAIN_MS: u64 = 500;

/// Where a recovery stands.
#[derive(Debug, Clone, Hash)]
pub(super) struct Recovery {
    step: Step,
    ticket: Ticket,
    /// Ask again at this time: there was no answer.
    again_at_ms: Option<u64>,
}

impl Recovery {
    /// Whether the [`Action::Start`] with this ticket has not been answered.
    pub(super) fn awaits_start(&self, ticket: Ticket) -> bool {
        matches!(self.step, Step::Start { .. }) && self.ticket == ticket
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    List {
        from: Option<EntryNumber>,
    },
    Load {
        number: EntryNumber,
    },
    LookForReceipts,
    /// There are receipts, and there was no log: somebody may have begun one in between.
    ListOnceMore,
    AskCommitted,
    ResolveStart,
    Start {
        offset: Offset,
    },
}

impl Lane {
    /// Begins at the beginning: everything that is only in memory is forgotten.
    pub(super) fn recover(&mut self) {
        self.pending = None;
        self.publication = super::publish::Publication::default();
        self.commit.forget();
        self.existing.clear();
        self.unsaid_since_ms = None;
        self.complete_since_ms = None;
        self.completes_more = false;
        self.seen_through = None;
        self.flush = false;
        self.interrupted = false;
        self.at_end = false;
        let from = match &self.committed {
            Committed::Ours { metadata, .. } => Some(EntryNumber(metadata.entry.0.saturating_sub(1))),
            Committed::Unknown | Committed::Nothing | Committed::Foreign { .. } | Committed::Unreadable { .. } => None,
        };
        self.ask(Step::List { from });
    }

    fn ask(&mut self, step: Step) {
        let ticket = self.ticket();
        self.phase = Phase::Recovering(Recovery { step, ticket, again_at_ms: None });
        self.actions.push_back(match step {
            Step::List { from } => Action::List { ticket, from },
            Step::ListOnceMore => Action::List { ticket, from: None },
            Step::Load { number } => Action::Load { ticket, number },
            Step::LookForReceipts => Action::LookForReceipts { ticket },
            Step::AskCommitted => Action::AskCommitted { ticket },
            Step::ResolveStart => Action::ResolveStart { ticket },
            Step::Start { offset } => Action::Start { ticket, offset },
        });
    }

    /// Starts anew at the position, after what was read before is durable: Kafka's log may have lost the rest.
    pub(super) fn resume(&mut self) {
        if self.interrupted && self.pending.is_none() && !self.has_unsaid_records() {
            self.interrupted = false;
            self.at_end = false;
            self.ask(Step::Start { offset: self.live.position });
        }
    }

    /// Asks again what got no answer, when its time has come.
    pub(super) fn ask_again(&mut self) {
        if let Phase::Recovering(Recovery { step, again_at_ms: Some(at), .. }) = &self.phase
            && *at <= self.now.mono_ms
        {
            let step = *step;
            self.ask(step);
        }
    }

    /// Takes the answer to a question of the recovery, or to a check; answers to earlier questions change nothing (L-5).
    pub(super) fn answer(&mut self, input: Input) {
        if let Input::Listed { ticket, numbers } = &input
            && self.checked(*ticket, numbers.as_deref())
        {
            return;
        }
        if let Input::Loaded { ticket, outcome } = input {
            if self.is_question_about_append(ticket) {
                return self.loaded_after_conflict(outcome);
            }
            return self.answer_recovery(Input::Loaded { ticket, outcome });
        }
        self.answer_recovery(input);
    }

    fn answer_recovery(&mut self, input: Input) {
        let Phase::Recovering(recovery) = &mut self.phase else { return };
        let again_at_ms = self.now.mono_ms + ASK_AGAIN_MS;
        match (recovery.step, input) {
            (Step::List { from }, Input::Listed { ticket, numbers }) if ticket == recovery.ticket => match numbers {
                Some(numbers) => self.listed(from, &numbers),
                None => recovery.again_at_ms = Some(again_at_ms),
            },
            (Step::ListOnceMore, Input::Listed { ticket, numbers }) if ticket == recovery.ticket => {
                match numbers.map(|numbers| numbers.into_iter().max()) {
                    Some(Some(number)) => self.ask(Step::Load { number }),
                    Some(None) => self.stop(StopReason::ReceiptsWithoutLog),
                    None => recovery.again_at_ms = Some(again_at_ms),
                }
            }
            (Step::Load { number }, Input::Loaded { ticket, outcome }) if ticket == recovery.ticket => match outcome {
                LoadOutcome::NoAnswer => recovery.again_at_ms = Some(again_at_ms),
                LoadOutcome::Found(_) | LoadOutcome::Absent | LoadOutcome::Unreadable(_) => {
                    self.loaded(number, outcome)
                }
            },
            (Step::LookForReceipts, Input::ReceiptsFound { ticket, found }) if ticket == recovery.ticket => match found
            {
                Some(true) => self.ask(Step::ListOnceMore),
                Some(false) => self.start_without_log(),
                None => recovery.again_at_ms = Some(again_at_ms),
            },
            (Step::AskCommitted, Input::CommittedFound { ticket, committed }) if ticket == recovery.ticket => {
                match committed {
                    Committed::Unknown => recovery.again_at_ms = Some(again_at_ms),
                    Committed::Nothing
                    | Committed::Ours { .. }
                    | Committed::Foreign { .. }
                    | Committed::Unreadable { .. } => {
                        self.committed = committed;
                        self.start_without_log();
                    }
                }
            }
            (Step::Start { .. }, Input::Recreated { ticket, id }) if ticket == recovery.ticket => {
                self.stop(StopReason::Recreated { id });
            }
            (Step::ResolveStart, Input::Resolved { ticket, offset }) if ticket == recovery.ticket => {
                self.start_chain(offset);
            }
            (Step::Start { .. }, Input::Started { ticket }) if ticket == recovery.ticket => {
                self.phase = Phase::Running;
                self.last_record_ms = self.now.mono_ms;
            }
            (Step::Start { offset }, Input::OutOfRange { ticket, low, high }) if ticket == recovery.ticket => {
                self.out_of_range(offset, low, high);
            }
            _ => {}
        }
    }

    fn listed(&mut self, from: Option<EntryNumber>, numbers: &[EntryNumber]) {
        match numbers.iter().max() {
            Some(&number) => self.ask(Step::Load { number }),
            None if from.is_some() => self.ask(Step::List { from: None }),
            None => self.ask(Step::LookForReceipts),
        }
    }

    fn loaded(&mut self, number: EntryNumber, outcome: LoadOutcome) {
        match outcome {
            LoadOutcome::Found(state) if state.entry.number != number => {
                let why = format!("it carries the state of entry {}: it was copied or renamed", state.entry.number);
                self.stop(StopReason::Unreadable { number, why });
            }
            LoadOutcome::Found(state) => self.carry_on(*state),
            // Collected since the listing: somebody was ahead.
            LoadOutcome::Absent => self.ask(Step::List { from: None }),
            LoadOutcome::Unreadable(why) => self.stop(StopReason::Unreadable { number, why }),
            LoadOutcome::NoAnswer => {}
        }
    }

    /// The newest entry is found: compare it with what Kafka holds, and go on at its position.
    fn carry_on(&mut self, state: LaneState) {
        if state.identity != self.identity {
            let (found, expected) = (describe(&state.identity), describe(&self.identity));
            return self.stop(StopReason::OtherIdentity { found, expected });
        }
        self.base = state;
        self.live = Live::of(&self.base);
        if self.breaks(Mutation::ForgetWatermark) {
            self.live.max_event_time = None;
            self.live.closed_through = None;
        }
        match self.committed.clone() {
            Committed::Unknown | Committed::Nothing => self.mirror(),
            Committed::Ours { offset, metadata } => {
                if let Some(reason) = self.contradiction(&metadata) {
                    return self.stop(reason);
                }
                if offset != self.base.position || metadata.entry < self.base.entry.number {
                    self.mirror();
                } else {
                    self.commit.acknowledge(self.base.entry.number);
                }
            }
            Committed::Foreign { offset } => match self.config.on_foreign_offset {
                _ if self.base.accepted_offset == Some(offset) => self.mirror(),
                ForeignOffsetPolicy::Resume => self.mirror(),
                ForeignOffsetPolicy::Accept => self.accept(offset),
                ForeignOffsetPolicy::Stop => {
                    let ours = self.base.position.to_string();
                    return self.stop(StopReason::ForeignOffset { committed: offset, ours });
                }
            },
            Committed::Unreadable { offset, version } => return self.stop(StopReason::NewerCommit { offset, version }),
        }
        self.ask(Step::Start { offset: self.live.position });
    }

    /// Returns why a commit of ours and the log cannot belong together, if they cannot. An older commit is no contradiction.
    fn contradiction(&self, metadata: &CommitMetadata) -> Option<StopReason> {
        let newest = self.base.entry.number;
        let stale = self.breaks(Mutation::OlderCommitStops) && metadata.entry < newest;
        if metadata.chain == self.base.chain && metadata.entry <= newest && !stale {
            return None;
        }
        let log = format!("ends with entry {newest} of chain {}", self.base.chain);
        Some(StopReason::OtherOutput { chain: metadata.chain.to_string(), entry: metadata.entry, log })
    }

    /// Goes on where a tool has put the group's offset: what was open is closed, and the jump is remembered until Kafka has our commit.
    fn accept(&mut self, offset: Offset) {
        self.jump(offset, JumpReason::Accepted);
        if !self.breaks(Mutation::ForgetAcceptedOffset) {
            self.base.accepted_offset = Some(offset);
        }
        let open = self.base.waiting.keys().filter_map(|scope| scope.epoch().map(|epoch| epoch.end)).max();
        self.live.closed_through = self.live.closed_through.max(open);
        self.flush = true;
    }

    /// Moves the position, and has the next entry say so: else its records and its offsets would not add up.
    fn jump(&mut self, to: Offset, why: JumpReason) {
        let from = std::mem::replace(&mut self.live.position, to);
        if from != to {
            let entry = self.base.entry.number.next();
            self.base.jumps.push(Jump { entry, from, to, why });
        }
    }

    fn start_without_log(&mut self) {
        match self.committed.clone() {
            // Without a log the commit decides where to begin: it must be known.
            Committed::Unknown => self.ask(Step::AskCommitted),
            Committed::Nothing => self.ask(Step::ResolveStart),
            Committed::Foreign { offset } => match self.config.on_foreign_offset {
                ForeignOffsetPolicy::Stop => {
                    let ours = "the offset that --start names (the output has no lane log)".to_owned();
                    self.stop(StopReason::ForeignOffset { committed: offset, ours });
                }
                ForeignOffsetPolicy::Resume => self.ask(Step::ResolveStart),
                ForeignOffsetPolicy::Accept => self.start_chain_at_accepted(offset),
            },
            Committed::Ours { metadata, .. } => {
                let log = "is empty".to_owned();
                self.stop(StopReason::OtherOutput { chain: metadata.chain.to_string(), entry: metadata.entry, log });
            }
            Committed::Unreadable { offset, version } => self.stop(StopReason::NewerCommit { offset, version }),
        }
    }

    fn start_chain(&mut self, offset: Offset) {
        self.base = LaneState::before_the_first_entry(&self.identity);
        self.base.start = offset;
        self.base.position = offset;
        self.live = Live::of(&self.base);
        self.commit.acknowledge(EntryNumber(0));
        self.ask(Step::Start { offset });
    }

    /// The group had a foreign offset, and the lane log is empty: remember it, or the next start would take it for news.
    fn start_chain_at_accepted(&mut self, offset: Offset) {
        self.start_chain(offset);
        self.base.accepted_offset = Some(offset);
    }

    fn out_of_range(&mut self, offset: Offset, low: Offset, high: Offset) {
        match self.config.on_data_loss {
            DataLossPolicy::Stop if offset < low => {
                let missing = format!("{offset} to {}", low.0 - 1);
                self.stop(StopReason::DataLoss { missing, low });
            }
            DataLossPolicy::Stop => self.stop(StopReason::BeyondEnd { position: offset, high }),
            DataLossPolicy::Skip => {
                let to = if offset < low { low } else { high };
                let skipped = u64::try_from(to.0 - offset.0).unwrap_or(0);
                self.live.totals.skipped_offsets += skipped;
                self.jump(to, JumpReason::Skipped);
                self.unsaid_since_ms.get_or_insert(self.now.mono_ms);
                self.ask(Step::Start { offset: to });
            }
        }
    }
}

fn describe(identity: &LaneIdentity) -> String {
    format!(
        "topic `{}` (id {}) partition {} of cluster {}, group `{}`",
        identity.topic, identity.topic_id, identity.partition, identity.cluster_id, identity.group
    )
}
