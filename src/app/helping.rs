//! A worker that is behind has workers that wait help it: they decode a part of its records, and it places them.
//!
//! A partition has one lane, and a lane one worker, since records are placed in the order of the log. But what placing takes is little beside
//! decoding. So a large batch is divided: the worker decodes the first part itself, while others decode the rest into [sheets](Sheet) that
//! they alone decode into; then it places those records as if it had decoded them. It waits for the answers before it does anything else: no
//! entry is cut and no message is handled in between.
//!
//! # Invariants
//! * Only a worker that waits for records is claimed. So nobody waits in a circle: whoever waits for an answer was running when it claimed,
//!   and whoever was claimed was not.
//! * What was lent comes back whole, or the worker ends: what its lanes hold in memory is then read again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::sheet::Sheet;
use super::worker::{Mailbox, ToWorker};
use crate::kafka::ffi::{Batch, Run};
use crate::kafka::member::TopicPartition;
use crate::record::Rejection;

/// The most workers that help one: placing the records of more would take as long as they save.
const MOST_HELPERS: usize = 3;
/// How a batch is divided: a helper gets more records than the worker keeps, who also takes them from the queue and places all of them.
const OWN_SHARE: usize = 1;
const HELPER_SHARE: usize = 4;

/// Who has taken more than this part of what another has, as numerator and denominator, does not help it: both have their hands full, and
/// one waits because the broker has not answered yet. What it decoded would take a dictionary of its own, and be joined with the rest.
const MOST_LOAD: (usize, usize) = (1, 2);
/// After how long a record that was taken counts half.
const HALF_LIFE_MS: u64 = 200;

/// The workers of an instance, as they see each other.
#[derive(Debug)]
pub(super) struct Crew {
    members: Vec<Crewman>,
    /// When what they have taken was last halved, in milliseconds on our clock.
    halved_ms: AtomicU64,
}

#[derive(Debug)]
struct Crewman {
    /// Whether it waits for records, and nobody has claimed it since it began to.
    waits: AtomicBool,
    /// What the rows of its lanes take in memory, as it last said.
    rows: AtomicUsize,
    /// How many records it has taken from its queue of late.
    taken: AtomicUsize,
    mailbox: Mailbox,
}

impl Crew {
    pub(super) fn new(mailboxes: &[Mailbox]) -> Arc<Self> {
        let member = |mailbox: &Mailbox| Crewman {
            waits: AtomicBool::new(false),
            rows: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            mailbox: mailbox.clone(),
        };
        Arc::new(Self { members: mailboxes.iter().map(member).collect(), halved_ms: AtomicU64::new(0) })
    }

    /// Notes what the rows of worker `number` take in memory, in bytes, and returns what those of all workers take.
    pub(super) fn note_rows(&self, number: usize, bytes: usize) -> usize {
        if let Some(member) = self.members.get(number) {
            member.rows.store(bytes, Ordering::Relaxed);
        }
        self.members.iter().map(|member| member.rows.load(Ordering::Relaxed)).sum()
    }

    /// Waits as `wait` does; meanwhile worker `number` may be claimed.
    pub(super) fn while_waiting<R>(&self, number: usize, wait: impl FnOnce() -> R) -> R {
        let waits = self.members.get(number).map(|member| &member.waits);
        waits.inspect(|waits| waits.store(true, Ordering::Release));
        let came = wait();
        waits.inspect(|waits| waits.store(false, Ordering::Release));
        came
    }

    /// Notes that worker `number` has taken so many records from its queue, `now` on our clock.
    pub(super) fn note_taken(&self, number: usize, records: usize, now: Duration) {
        if let Some(member) = self.members.get(number) {
            member.taken.fetch_add(records, Ordering::Relaxed);
        }
        // What was taken earlier counts half, for all at the same time: they are compared.
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let halved = self.halved_ms.load(Ordering::Relaxed);
        let is_time = now.saturating_sub(halved) >= HALF_LIFE_MS;
        if is_time && self.halved_ms.compare_exchange(halved, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            for member in &self.members {
                let half = |taken| Some(taken / 2);
                let _ = member.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, half);
            }
        }
    }

    /// Whether a member waits, and has so little to do that it should help one that has taken so many records of late.
    fn is_idle(member: &Crewman, taken: usize) -> bool {
        let own = member.taken.load(Ordering::Relaxed);
        member.waits.load(Ordering::Relaxed) && own.saturating_mul(MOST_LOAD.1) <= taken.saturating_mul(MOST_LOAD.0)
    }

    /// Whether somebody may help worker `number`: a look, for those who have no time for more.
    pub(super) fn may_help(&self, number: usize) -> bool {
        let taken = self.taken(number);
        self.members.iter().any(|member| Self::is_idle(member, taken))
    }

    fn taken(&self, number: usize) -> usize {
        self.members.get(number).map_or(0, |member| member.taken.load(Ordering::Relaxed))
    }

    /// Claims workers that wait and have less to do than worker `number`, at most [`MOST_HELPERS`]; each is sent something to do.
    fn claim(&self, number: usize) -> Vec<usize> {
        let taken = self.taken(number);
        let claimed = |member: &Crewman| {
            Self::is_idle(member, taken)
                && member.waits.compare_exchange(true, false, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        let claimed = self.members.iter().enumerate().filter(|(_, member)| claimed(member)).map(|(number, _)| number);
        claimed.take(MOST_HELPERS).collect()
    }
}

/// A part of a batch, and the sheets of the lanes whose records are in it.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) batch: Batch,
    /// The worker that decodes it.
    pub(super) helper: usize,
    pub(super) lent: Vec<(TopicPartition, Sheet)>,
    /// Whether the helper has decoded it, or why it could not; `None` if there was no helper.
    pub(super) decoded: Option<Result<(), Rejection>>,
}

/// A part that a worker is asked to decode.
#[derive(Debug)]
pub(super) struct Job {
    part: Part,
    /// Dropped without an answer if the worker ends.
    reply: Sender<Part>,
}

impl Job {
    /// Decodes the part, and gives it back.
    pub(super) fn run(self) {
        let Self { mut part, reply } = self;
        part.decode();
        // Who does not wait any more has ended, and its lanes are gone.
        let _ = reply.send(part);
    }
}

impl Part {
    fn decode(&mut self) {
        let Self { batch, lent, decoded, .. } = self;
        let mut outcome = Ok(());
        for run in batch.runs() {
            if let Some(sheet) = sheet_of(lent, &run) {
                outcome = outcome.and_then(|()| sheet.decode(run.iter()));
            }
        }
        *decoded = Some(outcome);
    }
}

/// Returns the sheet into which the records of a run are decoded.
pub(super) fn sheet_of<'a>(lent: &'a mut [(TopicPartition, Sheet)], run: &Run<'_>) -> Option<&'a mut Sheet> {
    let is_of = |of: &TopicPartition| of.partition.0 == run.partition && *of.topic == *run.topic;
    lent.iter_mut().find(|(of, _)| is_of(of)).map(|(_, sheet)| sheet)
}

/// A part that is decoded elsewhere.
#[derive(Debug)]
pub(super) enum Away {
    /// A helper has it.
    Sent(Receiver<Part>),
    /// The helper has ended.
    Refused(Part),
}

impl Away {
    /// Waits for the part; `None` if it is lost with its helper, and the rows of its lanes with it.
    pub(super) fn wait(self) -> Option<Part> {
        match self {
            Self::Sent(answer) => answer.recv().ok(),
            Self::Refused(part) => Some(part),
        }
    }
}

/// Divides a batch of worker `number` among those who can help it, if there are any; `batch` keeps what comes first. `lend` hands out the sheets
/// of the lanes whose records are in a part, for the helper with this number.
pub(super) fn divide(
    (crew, number): (&Crew, usize),
    batch: &mut Batch,
    mut lend: impl FnMut(&Batch, usize) -> Vec<(TopicPartition, Sheet)>,
) -> Vec<Away> {
    let helpers = crew.claim(number);
    let starts = starts(batch.len(), helpers.len());
    // From behind, since a batch gives away its end.
    let parts = helpers.into_iter().zip(starts).rev().map(|(helper, start)| {
        let batch = batch.split_off(start);
        let lent = lend(&batch, helper);
        crew.send(Part { batch, helper, lent, decoded: None })
    });
    let mut away: Vec<Away> = parts.collect();
    away.reverse();
    away
}

/// Returns where the part of each helper begins.
fn starts(whole: usize, helpers: usize) -> Vec<usize> {
    let shares = OWN_SHARE + HELPER_SHARE * helpers;
    (0..helpers).map(|before| whole * (OWN_SHARE + HELPER_SHARE * before) / shares).collect()
}

impl Crew {
    fn send(&self, part: Part) -> Away {
        let Some(Crewman { mailbox, .. }) = self.members.get(part.helper) else { return Away::Refused(part) };
        let (reply, answer) = channel();
        match mailbox.try_send(ToWorker::Help(Box::new(Job { part, reply }))) {
            Err(ToWorker::Help(job)) => Away::Refused(job.part),
            Ok(()) | Err(_) => Away::Sent(answer),
        }
    }
}

#[cfg(test)]
mod tests;
