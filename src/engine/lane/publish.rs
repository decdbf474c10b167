//! Check, publish, mark, collect: what follows from an entry that is known to be the newest.
//!
//! # Invariants
//! * An entry is *checked* by a listing that began after it was created or loaded and shows no higher number. While that listing is
//!   under way no append of our own is begun, so that a higher number is always somebody else's.
//! * A close that a checked entry lists is a fact for ever: its publication goes on through later appends.
//! * A close leaves the state after its receipt *and* its marker step.

use std::collections::{BTreeMap, BTreeSet};

use super::super::event::{Action, PublishOutcome, StopReason, Ticket};
use super::super::mutation::Mutation;
use super::super::state::{Close, EntryNumber, EntryRef, LaneState, Scope};
use super::super::time::EventTime;
use super::Lane;

/// How long to wait before a listing, a publication or a marker step that failed is tried again, in milliseconds.
const TRY_AGAIN_MS: u64 = 1_000;
/// The entry that begins a chain. It has no rows.
const FIRST: EntryNumber = EntryNumber(1);
/// How often a publication may find an entry gone or its receipt another's, although a check shows nobody ahead, before the lane stops.
const MOST_STALE: u32 = 5;

type CloseKey = (EntryRef, Scope);

fn key(close: &Close) -> CloseKey {
    (close.entry, close.scope)
}

/// Whether the newest entry is known to be the newest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
enum Check {
    /// Not yet; a listing may begin at this time.
    #[default]
    Unknown,
    Wait {
        until_ms: u64,
    },
    Listing(Ticket),
    Confirmed,
}

/// What is under way, and what is done but not yet said in an entry.
#[derive(Debug, Clone, Default, Hash)]
pub(super) struct Publication {
    check: Check,
    jobs: BTreeMap<Ticket, CloseKey>,
    published: BTreeSet<CloseKey>,
    finished: BTreeSet<CloseKey>,
    finished_since_ms: Option<u64>,
    marking: Option<(Ticket, Vec<CloseKey>)>,
    try_again_at_ms: u64,
    stale: u32,
}

impl Publication {
    pub(super) fn is_finished(&self, close: &Close) -> bool {
        self.finished.contains(&key(close))
    }

    pub(super) fn has_finished(&self) -> bool {
        !self.finished.is_empty()
    }

    pub(super) const fn finished_since_ms(&self) -> Option<u64> {
        self.finished_since_ms
    }

    pub(super) const fn is_checking(&self) -> bool {
        matches!(self.check, Check::Listing(_))
    }

    /// A listing that is under way is asked for again later.
    pub(super) fn abandon_check(&mut self) {
        if self.is_checking() {
            self.check = Check::Unknown;
        }
    }

    /// There is a new newest entry, which nothing has confirmed yet.
    pub(super) fn newest_changed(&mut self, state: &LaneState, keeps_listing: bool) {
        if !(keeps_listing && self.is_checking()) {
            self.check = Check::Unknown;
        }
        self.retain_listed(state);
    }

    fn retain_listed(&mut self, state: &LaneState) {
        let listed: BTreeSet<CloseKey> = state.closes.iter().map(key).collect();
        self.published.retain(|done| listed.contains(done));
        self.finished.retain(|done| listed.contains(done));
        if self.finished.is_empty() {
            self.finished_since_ms = None;
        }
    }

    /// A close whose rows (if it has any) are not known to be published.
    fn is_unpublished(&self, close: &Close) -> bool {
        !close.rows.is_empty() && !self.published.contains(&key(close)) && !self.finished.contains(&key(close))
    }
}

impl Lane {
    /// Whether closes wait for the newest entry to be confirmed: then the listing comes before the next append.
    pub(super) fn wants_check(&self) -> bool {
        let waits = self.base.closes.iter().any(|close| !self.publication.is_finished(close));
        let may_list = match self.publication.check {
            Check::Unknown => true,
            Check::Wait { until_ms } => until_ms <= self.now.mono_ms,
            Check::Listing(_) | Check::Confirmed => false,
        };
        waits && may_list && self.pending.is_none()
    }

    /// Begins the listing that confirms the newest entry.
    pub(super) fn begin_check(&mut self) {
        let ticket = self.ticket();
        self.publication.check = Check::Listing(ticket);
        self.actions.push_back(Action::List { ticket, from: None });
    }

    /// Does what the newest entry allows.
    pub(super) fn advance_publication(&mut self) {
        if self.base.entry.number == EntryNumber(0) {
            return;
        }
        let confirmed = self.publication.check == Check::Confirmed;
        if confirmed || self.breaks(Mutation::PublishUnchecked) {
            self.publish();
        }
        if confirmed || self.breaks(Mutation::MarkUnchecked) {
            self.mark();
        }
        if confirmed || self.breaks(Mutation::CollectUnchecked) {
            self.collect();
        }
        let may_list = match self.publication.check {
            Check::Unknown => true,
            Check::Wait { until_ms } => until_ms <= self.now.mono_ms,
            Check::Listing(_) | Check::Confirmed => false,
        };
        let has_lower = self.existing.is_empty()
            || self.existing.keys().any(|number| (FIRST.next()..self.base.entry.number).contains(number));
        let wanted = has_lower || !self.base.closes.is_empty();
        if may_list && wanted && (self.pending.is_none() || self.breaks(Mutation::CheckByOlderListing)) {
            self.begin_check();
        }
    }

    /// Takes a listing, if it is the one that confirms the newest entry.
    pub(super) fn checked(&mut self, ticket: Ticket, numbers: Option<&[EntryNumber]>) -> bool {
        if self.publication.check != Check::Listing(ticket) {
            return false;
        }
        let Some(numbers) = numbers else {
            self.publication.check = Check::Wait { until_ms: self.now.mono_ms + TRY_AGAIN_MS };
            return true;
        };
        let newest = self.base.entry.number;
        let own = self.pending.as_ref().map(|pending| pending.state.entry.number);
        let own = own.filter(|_| self.breaks(Mutation::CheckByOlderListing));
        if numbers.iter().any(|number| *number > newest && Some(*number) != own) {
            self.conflict();
            return true;
        }
        let known = std::mem::take(&mut self.existing);
        self.existing = numbers.iter().map(|number| (*number, known.get(number).copied().flatten())).collect();
        self.existing.entry(newest).or_default();
        self.publication.check = Check::Confirmed;
        true
    }

    fn publish(&mut self) {
        if self.publication.try_again_at_ms > self.now.mono_ms {
            return;
        }
        let under_way: BTreeSet<CloseKey> = self.publication.jobs.values().copied().collect();
        let due: Vec<Close> = self
            .base
            .closes
            .iter()
            .filter(|close| self.publication.is_unpublished(close) && !under_way.contains(&key(close)))
            .cloned()
            .collect();
        for mut close in due {
            let ticket = self.ticket();
            self.publication.jobs.insert(ticket, key(&close));
            if self.breaks(Mutation::NameByNewestEntry) {
                close.entry = self.base.entry;
            }
            if self.breaks(Mutation::RecipeOfToday) {
                close.recipe = self.config.recipe.clone();
            }
            self.actions.push_back(Action::Publish { ticket, close: Box::new(close) });
        }
    }

    /// Takes how a publication ended.
    pub(super) fn published(&mut self, ticket: Ticket, outcome: PublishOutcome) {
        let Some(done) = self.publication.jobs.remove(&ticket) else { return };
        match outcome {
            PublishOutcome::Published => {
                self.publication.stale = 0;
                self.publication.published.insert(done);
                self.publication.retain_listed(&self.base);
            }
            PublishOutcome::Failed(_) => self.publication.try_again_at_ms = self.now.mono_ms + TRY_AGAIN_MS,
            PublishOutcome::Stale | PublishOutcome::Refused(_) => {
                // Counted once for each check: several jobs may find the same.
                if self.publication.check == Check::Confirmed {
                    self.publication.stale += 1;
                }
                self.publication.try_again_at_ms = self.now.mono_ms + TRY_AGAIN_MS;
                if !self.publication.is_checking() {
                    self.publication.check = Check::Unknown;
                }
                if self.publication.stale >= MOST_STALE
                    && let Some(close) = self.base.closes.iter().find(|close| key(close) == done)
                {
                    let close = close.to_string();
                    self.stop(match outcome {
                        PublishOutcome::Refused(why) => StopReason::Receipt { close, why },
                        PublishOutcome::Published | PublishOutcome::Failed(_) | PublishOutcome::Stale => {
                            StopReason::MissingRows { what: format!("the files of {close}") }
                        }
                    });
                }
            }
        }
    }

    /// Starts the marker step of the closes that are published, or that have no rows.
    ///
    /// What is reported stays below every on-time close that is not published. A close above that waits for the next step.
    fn mark(&mut self) {
        if self.publication.marking.is_some() || self.publication.try_again_at_ms > self.now.mono_ms {
            return;
        }
        let through = self.published_through();
        let is_below = |scope: &Scope| match scope {
            Scope::OnTime(epoch) => through.is_some_and(|through| epoch.end <= through),
            Scope::Late(_) | Scope::DeadLetter => true,
        };
        let due: Vec<CloseKey> = self
            .base
            .closes
            .iter()
            .filter(|close| !self.publication.is_unpublished(close) && is_below(&close.scope))
            .map(key)
            .filter(|done| !self.publication.finished.contains(done))
            .collect();
        if due.is_empty() {
            return;
        }
        let Some(through) = through else {
            return self.finish_closes(due);
        };
        let ticket = self.ticket();
        self.publication.marking = Some((ticket, due));
        self.actions.push_back(Action::Mark { ticket, through });
    }

    fn published_through(&self) -> Option<EventTime> {
        if self.breaks(Mutation::MarkUnchecked) {
            return self.base.closed_through;
        }
        let unpublished = self.base.closes.iter().filter(|close| self.publication.is_unpublished(close));
        let held_up_by = unpublished.filter_map(|close| match close.scope {
            Scope::OnTime(epoch) => Some(epoch.start),
            Scope::Late(_) | Scope::DeadLetter => None,
        });
        self.base.closed_through.map(|through| held_up_by.min().map_or(through, |held_up| held_up.min(through)))
    }

    /// Takes how a marker step ended.
    pub(super) fn marked(&mut self, ticket: Ticket, done: bool) {
        let Some((_, closes)) = self.publication.marking.take_if(|(asked, _)| *asked == ticket) else { return };
        if done {
            self.finish_closes(closes);
        } else {
            self.publication.try_again_at_ms = self.now.mono_ms + TRY_AGAIN_MS;
        }
    }

    fn finish_closes(&mut self, closes: Vec<CloseKey>) {
        self.publication.finished.extend(closes);
        self.publication.retain_listed(&self.base);
        if self.publication.has_finished() {
            self.publication.finished_since_ms.get_or_insert(self.now.mono_ms);
        }
    }

    /// Collects lower entries that the newest does not need, a grace time after that was first seen.
    ///
    /// Entry 1 is never collected: whoever saw the log empty, and was frozen since, cannot begin a second chain in the hole.
    fn collect(&mut self) {
        let needed = self.needed();
        let (now_ms, grace_ms, newest) = (self.now.mono_ms, self.config.collect_grace_ms, self.base.entry.number);
        let mut numbers = Vec::new();
        let from = if self.breaks(Mutation::CollectTheFirst) { FIRST } else { FIRST.next() };
        for (number, unneeded_since) in self.existing.range_mut(from..newest.max(from)) {
            if needed.contains(number) {
                *unneeded_since = None;
            } else if *unneeded_since.get_or_insert(now_ms) + grace_ms <= now_ms {
                numbers.push(*number);
            }
        }
        if numbers.is_empty() {
            return;
        }
        for number in &numbers {
            self.existing.remove(number);
        }
        self.actions.push_back(Action::Collect { numbers });
    }

    /// Returns the entries that hold rows of open epochs, of waiting late rows, and of every close that is listed.
    fn needed(&self) -> BTreeSet<EntryNumber> {
        let (skip_late, skip_closes) =
            (self.breaks(Mutation::CollectWithoutLate), self.breaks(Mutation::CollectWithoutCloses));
        let waiting = self.base.waiting.iter().filter(|(scope, _)| !skip_late || matches!(scope, Scope::OnTime(_)));
        let waiting = waiting.flat_map(|(_, held)| held);
        let closes = self.base.closes.iter().filter(|_| !skip_closes).flat_map(|close| &close.rows);
        waiting.chain(closes).map(|held| held.entry.number).collect()
    }
}
