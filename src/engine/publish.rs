//! The steps of a publication, in the only order that is safe.
//!
//! # Invariants
//! * A receipt that is there already ends the job: the files may have been compacted or deleted by others since.
//! * What is there in its place and is not the receipt of this close ends it, too: it must not let the entries be collected.
//! * The receipt is put last, so that it never promises a file that is not there.

use super::event::{PublishOutcome, PutOutcome};

/// The next thing to do for a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PublishStep {
    /// Say whether the receipt is in the store.
    LookForReceipt,
    /// Build each file from the entries that the close names, and create it under its final name; what is there already stays.
    PutFiles,
    /// Create the receipt.
    PutReceipt,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StepOutcome {
    /// [`PublishStep::LookForReceipt`]: whether it is there.
    Receipt(bool),
    /// [`PublishStep::LookForReceipt`]: something is there, and is not the receipt of this close; the text says why.
    ReceiptRefused(String),
    /// [`PublishStep::PutFiles`]: every file is in the store.
    FilesThere,
    /// [`PublishStep::PutFiles`]: an entry is missing, or has another id than the close says.
    EntryGone,
    /// [`PublishStep::PutReceipt`]: what became of it.
    ReceiptPut(PutOutcome),
    /// The step failed; the text says why.
    Failed(String),
}

/// One publication of one close.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PublishJob {
    step: PublishStep,
}

impl Default for PublishJob {
    fn default() -> Self {
        Self { step: PublishStep::LookForReceipt }
    }
}

impl PublishJob {
    /// Returns what to do next.
    #[must_use]
    pub const fn step(&self) -> PublishStep {
        self.step
    }

    /// Takes what became of the step; returns how the job ended, if it did.
    pub fn handle(&mut self, outcome: StepOutcome) -> Option<PublishOutcome> {
        match outcome {
            StepOutcome::Receipt(true) => Some(PublishOutcome::Published),
            StepOutcome::Receipt(false) => self.go_on(PublishStep::PutFiles),
            StepOutcome::ReceiptRefused(why) => Some(PublishOutcome::Refused(why)),
            StepOutcome::FilesThere => self.go_on(PublishStep::PutReceipt),
            StepOutcome::EntryGone => Some(PublishOutcome::Stale),
            StepOutcome::ReceiptPut(PutOutcome::Created) => Some(PublishOutcome::Published),
            // S3 says "already there" also while another PUT is under way, whatever becomes of that one: look.
            StepOutcome::ReceiptPut(PutOutcome::AlreadyThere) => self.go_on(PublishStep::LookForReceipt),
            StepOutcome::ReceiptPut(PutOutcome::NoAnswer) => {
                Some(PublishOutcome::Failed("the store did not say whether it has the receipt".to_owned()))
            }
            StepOutcome::Failed(why) => Some(PublishOutcome::Failed(why)),
        }
    }

    const fn go_on(&mut self, step: PublishStep) -> Option<PublishOutcome> {
        self.step = step;
        None
    }
}
