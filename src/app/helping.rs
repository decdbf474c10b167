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
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::sheet::Sheet;
use super::worker::{Mailbox, ToWorker};
use crate::kafka::ffi::{Batch, Run};
use crate::kafka::member::TopicPartition;
use crate::record::Rejection;

/// The most workers that help one: placing the records of more would take as long as they save.
const MOST_HELPERS: usize = 3;
/// How a batch is divided: a helper gets more records than the worker keeps, who also takes them from the queue and places all of them.
const OWN_SHARE: usize = 2;
const HELPER_SHARE: usize = 3;

/// The workers of an instance, as they see each other.
#[derive(Debug)]
pub(super) struct Crew {
    members: Vec<Crewman>,
}

#[derive(Debug)]
struct Crewman {
    /// Whether it waits for records, and nobody has claimed it since it began to.
    waits: AtomicBool,
    /// What the rows of its lanes take in memory, as it last said.
    rows: AtomicUsize,
    mailbox: Mailbox,
}

impl Crew {
    pub(super) fn new(mailboxes: &[Mailbox]) -> Arc<Self> {
        let member = |mailbox: &Mailbox| Crewman {
            waits: AtomicBool::new(false),
            rows: AtomicUsize::new(0),
            mailbox: mailbox.clone(),
        };
        Arc::new(Self { members: mailboxes.iter().map(member).collect() })
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

    /// Whether somebody may wait: a look, for those who have no time for more.
    pub(super) fn may_help(&self) -> bool {
        self.members.iter().any(|member| member.waits.load(Ordering::Relaxed))
    }

    /// Claims workers that wait, at most [`MOST_HELPERS`]; each is sent something to do.
    fn claim(&self) -> Vec<usize> {
        let claimed = |member: &Crewman| {
            member.waits.load(Ordering::Relaxed)
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

/// Divides a batch among workers that wait, if there are any; `batch` keeps what comes first. `lend` hands out the sheets of the lanes
/// whose records are in a part, for the helper with this number.
pub(super) fn divide(
    crew: &Crew,
    batch: &mut Batch,
    mut lend: impl FnMut(&Batch, usize) -> Vec<(TopicPartition, Sheet)>,
) -> Vec<Away> {
    let helpers = crew.claim();
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
