//! What a lane is told and what it asks for: facts in, actions out.

use super::commit::Committed;
use super::state::{Close, EntryNumber, EntryRef, Held, LaneState, Offset, Scope};
use super::time::EventTime;

/// The time that a lane is told. It never reads a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Now {
    /// Milliseconds of a clock that never goes back; paces retries and commits.
    pub mono_ms: u64,
    /// The wall clock; only idleness looks at it.
    pub wall: EventTime,
}

/// Names one request, so that an answer that comes after the lane has moved on is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What became of a create-only PUT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PutOutcome {
    /// The object is there now, and these are its bytes.
    Created,
    /// An object of that name was there before.
    AlreadyThere,
    /// Nobody knows: it may have worked, it may work later.
    NoAnswer,
}

/// What a load of an entry's footer found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LoadOutcome {
    /// The entry's state.
    Found(Box<LaneState>),
    /// There is no such object now.
    Absent,
    /// The store did not answer.
    NoAnswer,
    /// The object is no entry that this program can read; the text says why.
    Unreadable(String),
}

/// What became of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PublishOutcome {
    /// The receipt is in the store.
    Published,
    /// An entry that the close names is gone, or has another id: somebody else may be ahead.
    Stale,
    /// What lies in the place of the receipt is not that of this close; the text says why. Somebody else may be ahead.
    Refused(String),
    /// It failed, and may be tried again; the text says why.
    Failed(String),
}

/// Rows of older entries that an entry holds, too, and is named for from then on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TakeOver {
    /// Which rows.
    pub scope: Scope,
    /// The entries that hold them, oldest first.
    pub held: Vec<Held>,
}

/// A request that a lane wants carried out. Each but [`Action::Forget`], [`Action::Collect`] and [`Action::Stop`] is answered by an [`Input`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// List the numbers of the lane log at or above `from` (all of them without it). Answer: [`Input::Listed`].
    List {
        /// Comes back with the answer.
        ticket: Ticket,
        /// The least number wanted.
        from: Option<EntryNumber>,
    },
    /// Load the footer of an entry. Answer: [`Input::Loaded`].
    Load {
        /// Comes back with the answer.
        ticket: Ticket,
        /// The entry.
        number: EntryNumber,
    },
    /// Say whether the output holds receipts of this partition. Answer: [`Input::ReceiptsFound`].
    LookForReceipts {
        /// Comes back with the answer.
        ticket: Ticket,
    },
    /// Say what the group has committed: it could not be learnt when the partition was assigned. Answer: [`Input::CommittedFound`].
    AskCommitted {
        /// Comes back with the answer.
        ticket: Ticket,
    },
    /// Say where Kafka's log ends now. Answer: [`Input::EndFound`].
    AskEnd {
        /// Comes back with the answer.
        ticket: Ticket,
    },
    /// Say where the partition begins (`--start earliest`) or ends (`latest`). Answer: [`Input::Resolved`].
    ResolveStart {
        /// Comes back with the answer.
        ticket: Ticket,
    },
    /// Read the partition from `offset` on. Answer: [`Input::Started`] or [`Input::OutOfRange`]. Until then the lane takes no record.
    Start {
        /// Comes back with the answer.
        ticket: Ticket,
        /// The next offset to read.
        offset: Offset,
    },
    /// Build the entry that carries `state` out of the rows that came since the last cut, behind those that it takes over; keep its bytes,
    /// and create it. Answer: [`Input::Appended`], or [`Input::TakeOverGone`] before anything is created.
    Append {
        /// Comes back with the answer.
        ticket: Ticket,
        /// The state of the lane with this entry.
        state: Box<LaneState>,
        /// The rows of older entries that this one holds, too.
        take_over: Vec<TakeOver>,
    },
    /// Send the very same bytes again. Answer: [`Input::Appended`].
    AppendAgain {
        /// Comes back with the answer.
        ticket: Ticket,
        /// The entry whose bytes were kept.
        entry: EntryRef,
    },
    /// Commit to Kafka. Answer: [`Input::Committed`].
    Commit {
        /// Comes back with the answer.
        ticket: Ticket,
        /// The position of the entry that is mirrored.
        offset: Offset,
        /// The text beside it.
        metadata: String,
    },
    /// Publish a close by [`PublishJob`](super::publish::PublishJob). Answer: [`Input::Published`].
    Publish {
        /// Comes back with the answer.
        ticket: Ticket,
        /// What to publish.
        close: Box<Close>,
    },
    /// Put this lane's closed-through object, *then* look at those of all partitions, and put the markers of the epochs that
    /// all have passed. Answer: [`Input::Marked`].
    Mark {
        /// Comes back with the answer.
        ticket: Ticket,
        /// The lane is closed and published through this time.
        through: EventTime,
    },
    /// Delete these entries of the lane log.
    Collect {
        /// Their numbers.
        numbers: Vec<EntryNumber>,
    },
    /// Drop every row and every kept byte of this lane from memory: another owner is ahead.
    Forget,
    /// Read no further: the lane cannot go on by itself.
    Stop {
        /// Why, and what to do.
        reason: StopReason,
    },
}

/// A fact that a lane is told.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Input {
    /// The answer to [`Action::List`]; `None`: the store did not answer.
    Listed {
        /// Of the request.
        ticket: Ticket,
        /// The numbers that were found.
        numbers: Option<Vec<EntryNumber>>,
    },
    /// The answer to [`Action::Load`].
    Loaded {
        /// Of the request.
        ticket: Ticket,
        /// What was found.
        outcome: LoadOutcome,
    },
    /// The answer to [`Action::LookForReceipts`]; `None`: the store did not answer.
    ReceiptsFound {
        /// Of the request.
        ticket: Ticket,
        /// Whether there are any.
        found: Option<bool>,
    },
    /// The answer to [`Action::AskCommitted`]; [`Committed::Unknown`]: Kafka did not answer.
    CommittedFound {
        /// Of the request.
        ticket: Ticket,
        /// What Kafka holds.
        committed: Committed,
    },
    /// The answer to [`Action::AskEnd`]; `None`: Kafka did not answer.
    EndFound {
        /// Of the request.
        ticket: Ticket,
        /// The next offset that will be written.
        offset: Option<Offset>,
    },
    /// The answer to [`Action::ResolveStart`].
    Resolved {
        /// Of the request.
        ticket: Ticket,
        /// Where to start.
        offset: Offset,
    },
    /// The answer to [`Action::Start`]: records from there on follow.
    Started {
        /// Of the request.
        ticket: Ticket,
    },
    /// The answer to [`Action::Start`]: Kafka's log does not hold that offset.
    OutOfRange {
        /// Of the request.
        ticket: Ticket,
        /// The first offset that the log holds.
        low: Offset,
        /// The log's end.
        high: Offset,
    },
    /// The answer to [`Action::Start`]: the topic is another than the one that was read.
    Recreated {
        /// Of the request.
        ticket: Ticket,
        /// The id that it has now.
        id: String,
    },
    /// The answer to [`Action::Append`] and [`Action::AppendAgain`].
    Appended {
        /// Of the request.
        ticket: Ticket,
        /// What became of it.
        outcome: PutOutcome,
    },
    /// The answer to an [`Action::Append`] that takes over rows of an entry that is gone, or has another id. Nothing was created.
    TakeOverGone {
        /// Of the request.
        ticket: Ticket,
    },
    /// The answer to [`Action::Commit`].
    Committed {
        /// Of the request.
        ticket: Ticket,
        /// Whether Kafka acknowledged it.
        acknowledged: bool,
    },
    /// The answer to [`Action::Publish`].
    Published {
        /// Of the request.
        ticket: Ticket,
        /// What became of it.
        outcome: PublishOutcome,
    },
    /// The answer to [`Action::Mark`].
    Marked {
        /// Of the request.
        ticket: Ticket,
        /// Whether all of it worked.
        done: bool,
    },
    /// The lane has read to the log's end, `offset`.
    AtEnd {
        /// The next offset that will be written.
        offset: Offset,
    },
    /// Kafka does not serve the next offset: append what was read, then look where the log begins and ends.
    Interrupted,
    /// Memory is short: append soon.
    Flush,
    /// A bounded run has reached its end: close everything, unless `keep_open`.
    Finish {
        /// Leave open what the watermark has not closed.
        keep_open: bool,
    },
    /// The partition is being taken away: append what there is, and nothing else.
    HandOver,
}

/// Why a lane cannot go on by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum StopReason {
    /// A tool, or another program, has moved the group's offset.
    #[error(
        "the group's committed offset {committed} was not written by this program, which is at offset {ours}: a tool moved it. \
         Choose with --on-foreign-offset: `resume` goes on at {ours}, `accept` goes on at {committed}"
    )]
    ForeignOffset {
        /// What Kafka holds.
        committed: Offset,
        /// Where the lane log ends, or where the partition would be started.
        ours: String,
    },
    /// The commit names an entry that this lane log does not have.
    #[error(
        "the group's committed offset mirrors entry {entry} of chain {chain}, but this output's lane log {log}: \
         does every instance of the group write to the same --output? If the end of the lane log was deleted, restore it"
    )]
    OtherOutput {
        /// The chain in the commit.
        chain: String,
        /// The entry in the commit.
        entry: EntryNumber,
        /// What the lane log has instead.
        log: String,
    },
    /// There are receipts, but no lane log.
    #[error(
        "the output holds receipts of this partition, but its lane log is gone: reading it again would double its rows. \
         Restore the control folder, or choose another --output or --group"
    )]
    ReceiptsWithoutLog,
    /// The log belongs to something else.
    #[error("the lane log belongs to {found}, not to {expected}")]
    OtherIdentity {
        /// What the newest entry says.
        found: String,
        /// What we are.
        expected: String,
    },
    /// Kafka's log begins behind our position.
    #[error(
        "offsets {missing} are lost: Kafka's log now begins at {low} (retention). \
         Go on behind the loss with --on-data-loss skip"
    )]
    DataLoss {
        /// The missing range.
        missing: String,
        /// The first offset that the log holds.
        low: Offset,
    },
    /// Kafka's log ends before our position.
    #[error(
        "the next offset to read is {position}, but Kafka's log ends at {high}: the topic was recreated or truncated. \
         Go on at the log's end with --on-data-loss skip"
    )]
    BeyondEnd {
        /// Our position.
        position: Offset,
        /// The log's end.
        high: Offset,
    },
    /// The topic was deleted and created again.
    #[error(
        "the topic was deleted and created again (its id is now {id}): choose another --output for its new records"
    )]
    Recreated {
        /// The id that it has now.
        id: String,
    },
    /// An entry cannot be read.
    #[error("entry {number} of the lane log cannot be read: {why}")]
    Unreadable {
        /// The entry.
        number: EntryNumber,
        /// What is wrong with it.
        why: String,
    },
    /// The commit is of a newer version.
    #[error(
        "the group's committed offset {offset} was written by a newer version of this program (format {version}): update this instance"
    )]
    NewerCommit {
        /// What Kafka holds.
        offset: Offset,
        /// The format's version.
        version: u32,
    },
    /// What lies in the place of a receipt is no receipt of the close.
    #[error("{close} cannot be published: {why}. Remove that object, and the close is published anew")]
    Receipt {
        /// The close.
        close: String,
        /// What lies where, and what is wrong with it.
        why: String,
    },
    /// Rows that the log promises are gone.
    #[error(
        "{what} cannot be written: an entry of the lane log that holds its rows is missing, damaged or replaced, and no other instance is ahead. \
         Restore the entry from a backup, or give its rows up with `recover` (--dry-run says which they are)"
    )]
    MissingRows {
        /// The close, or the entry, that needs the rows.
        what: String,
    },
}
