//! A process of the group: the real lane, and the little that the edges do around it.

use std::collections::{BTreeSet, VecDeque};

use super::store::{Answer, Object, Op, Row, Store, closed_key, entry_key};
use crate::engine::commit::Committed;
use crate::engine::event::{Action, Input, LoadOutcome, Now, PublishOutcome, PutOutcome, StopReason, TakeOver, Ticket};
use crate::engine::lane::{Lane, LaneConfig, Placement};
use crate::engine::mutation::Mutation;
use crate::engine::publish::{PublishJob, PublishStep, StepOutcome};
use crate::engine::state::{Close, EntryNumber, EntryRef, LaneIdentity, LaneState, Offset, Scope};

/// Buckets of the simulation: a record's bucket is its offset modulo this.
const BUCKETS: i64 = 2;
/// The size of a record.
const RECORD_BYTES: usize = 10;

/// Who waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    Lane { ticket: Ticket },
    Draft { ticket: Ticket },
    Job { ticket: Ticket },
    Mark { ticket: Ticket },
    Nobody,
}

/// A request on its way: sent by one life of one process.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) process: usize,
    pub(super) life: u64,
    pub(super) caller: Caller,
    pub(super) op: Op,
    /// The step before which it does not reach its goal.
    pub(super) not_before: u64,
    pub(super) answer: Option<Answer>,
}

impl Request {
    /// Returns the same request, for whose answer nobody waits.
    pub(super) fn nobodys(&self, not_before: u64) -> Self {
        Self { caller: Caller::Nobody, life: u64::MAX, not_before, ..self.clone() }
    }
}

/// An entry before it is bytes: rows of older ones are still to be read.
#[derive(Debug)]
struct Draft {
    ticket: Ticket,
    state: LaneState,
    reads: VecDeque<(EntryRef, Scope)>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Job {
    ticket: Ticket,
    close: Close,
    job: PublishJob,
    reads: VecDeque<EntryRef>,
    gathered: Vec<Row>,
    /// Files still to be created.
    files: VecDeque<(String, Vec<Row>)>,
    /// The file that was there already, and is being read back.
    reading_back: Option<String>,
    written: Vec<(String, u32)>,
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) id: usize,
    pub(super) life: u64,
    pub(super) frozen: bool,
    pub(super) build: u32,
    pub(super) lane: Option<Lane>,
    pub(super) stopped: Option<StopReason>,
    buffer: Vec<Row>,
    draft: Option<Draft>,
    kept: Option<(EntryRef, Op, Vec<Row>)>,
    jobs: Vec<Job>,
    /// The entries that this life has built.
    own: BTreeSet<EntryRef>,
    mutation: Mutation,
}

impl Process {
    pub(super) fn new(id: usize, mutation: Mutation) -> Self {
        Self {
            id,
            life: 0,
            frozen: false,
            build: 0,
            lane: None,
            stopped: None,
            buffer: Vec::new(),
            draft: None,
            kept: None,
            jobs: Vec::new(),
            own: BTreeSet::new(),
            mutation,
        }
    }

    /// The process dies, or loses the partition: whatever it knew is gone. What it has sent stays on its way.
    pub(super) fn forget(&mut self) {
        self.life += 1;
        self.lane = None;
        self.buffer.clear();
        self.draft = None;
        self.kept = None;
        self.jobs.clear();
        self.own.clear();
    }

    /// Returns the entries that this life has built.
    pub(super) const fn own_entries(&self) -> &BTreeSet<EntryRef> {
        &self.own
    }

    pub(super) fn assign(&mut self, config: LaneConfig, store: &Store, seed: u128, now: Now) {
        self.forget();
        let identity = LaneIdentity {
            group: "g".to_owned(),
            cluster_id: "c".to_owned(),
            topic: "t".to_owned(),
            topic_id: "i".to_owned(),
            partition: crate::engine::state::PartitionId(0),
        };
        let committed = match &store.committed {
            Some((offset, metadata)) => Committed::read(*offset, metadata.as_bytes()),
            None => Committed::Nothing,
        };
        self.stopped = None;
        self.lane = Some(Lane::assigned(config, identity, committed, seed, now));
    }

    /// Whether a job is past its look at the receipt of this close, here or frozen.
    pub(super) fn is_publishing(&self, receipt: &str) -> bool {
        self.jobs.iter().any(|job| receipt_key(&job.close) == receipt)
    }

    /// Places one record.
    pub(super) fn place(&mut self, offset: Offset, record: &super::Record) {
        let Some(lane) = &mut self.lane else { return };
        let scope = match record.time {
            None => {
                lane.dead_letter(offset, RECORD_BYTES);
                Scope::DeadLetter
            }
            Some(time) => match lane.place(offset, time, Some(record.kafka_timestamp), RECORD_BYTES) {
                Placement::Row(scope) => scope,
                Placement::LateDeadLetter => Scope::DeadLetter,
                Placement::Dropped => return,
            },
        };
        self.buffer.push(Row { scope, offset });
    }

    /// Carries out what the lane asks for; what it sends is added to `network`. Returns the newest entry of a lane that gave way.
    pub(super) fn act(
        &mut self,
        network: &mut Vec<Request>,
        now: Now,
        log_range: (Offset, Offset),
    ) -> Option<EntryNumber> {
        let mut gave_way = None;
        while let Some(action) = self.lane.as_mut().and_then(Lane::poll_action) {
            match action {
                Action::List { ticket, from } => self.send(network, ticket, Op::ListEntries { from }),
                Action::Load { ticket, number } => {
                    self.send(network, ticket, Op::Get { key: format!("log/{:020}", number.0) });
                }
                Action::LookForReceipts { ticket } => self.send(network, ticket, Op::ReceiptsExist),
                Action::AskCommitted { ticket } => {
                    self.tell(now, Input::CommittedFound { ticket, committed: Committed::Nothing });
                }
                Action::AskEnd { ticket } => {
                    let offset = Some(log_range.1);
                    self.tell(now, Input::EndFound { ticket, offset });
                }
                Action::ResolveStart { ticket } => self.tell(now, Input::Resolved { ticket, offset: log_range.0 }),
                Action::Start { ticket, offset } if offset < log_range.0 || offset > log_range.1 => {
                    let (low, high) = log_range;
                    self.tell(now, Input::OutOfRange { ticket, low, high });
                }
                Action::Start { ticket, .. } => self.tell(now, Input::Started { ticket }),
                Action::Append { ticket, state, take_over } => self.draft(network, ticket, *state, &take_over),
                Action::AppendAgain { ticket, entry } => {
                    if let Some((kept, op, _)) = &self.kept
                        && *kept == entry
                    {
                        let op = op.clone();
                        self.send(network, ticket, op);
                    }
                }
                Action::Commit { ticket, offset, metadata } => {
                    self.send(network, ticket, Op::Commit { offset, metadata })
                }
                Action::Publish { ticket, close } => self.start_job(network, ticket, *close),
                Action::Mark { ticket, through } => {
                    let op = Op::Create { key: closed_key(through), object: Object::ClosedThrough };
                    self.request(network, Caller::Mark { ticket }, op);
                }
                Action::Collect { numbers } => {
                    let keys = numbers.iter().map(|number| format!("log/{:020}", number.0)).collect();
                    self.request(network, Caller::Nobody, Op::Delete { keys });
                }
                Action::Forget => {
                    gave_way = self.lane.as_ref().map(|lane| lane.newest().entry.number);
                    self.buffer.clear();
                    self.draft = None;
                    self.kept = None;
                }
                Action::Stop { reason } => self.stopped = Some(reason),
            }
        }
        gave_way
    }

    fn draft(&mut self, network: &mut Vec<Request>, ticket: Ticket, state: LaneState, take_over: &[TakeOver]) {
        let reads = take_over.iter().flat_map(|taken| taken.held.iter().map(|older| (older.entry, taken.scope)));
        let rows = std::mem::take(&mut self.buffer);
        self.draft = Some(Draft { ticket, state, reads: reads.collect(), rows });
        self.go_on_drafting(network);
    }

    /// Reads the next of the rows that are taken over, or creates the entry.
    fn go_on_drafting(&mut self, network: &mut Vec<Request>) {
        let Some(draft) = self.draft.take() else { return };
        match draft.reads.front() {
            Some((older, _)) => {
                let (ticket, key) = (draft.ticket, format!("log/{:020}", older.number.0));
                self.draft = Some(draft);
                self.request(network, Caller::Draft { ticket }, Op::Get { key });
            }
            None => self.append(network, draft.ticket, &draft.state, draft.rows),
        }
    }

    fn draft_answered(&mut self, network: &mut Vec<Request>, ticket: Ticket, answer: Answer, now: Now) {
        let Some(draft) = self.draft.as_mut().filter(|draft| draft.ticket == ticket) else { return };
        let Answer::Got(found) = answer else { return self.go_on_drafting(network) };
        let Some((older, scope)) = draft.reads.pop_front() else { return };
        match found {
            Some(Object::Entry { entry, rows, .. })
                if entry.id == older.id || self.mutation == Mutation::IgnoreEntryIds =>
            {
                draft.rows.extend(rows.iter().filter(|row| row.scope == scope));
                self.go_on_drafting(network);
            }
            _ => {
                self.draft = None;
                self.tell(now, Input::TakeOverGone { ticket });
            }
        }
    }

    fn append(&mut self, network: &mut Vec<Request>, ticket: Ticket, state: &LaneState, mut rows: Vec<Row>) {
        if let Some((kept, _, held)) = &self.kept
            && kept.number == state.entry.number
        {
            // Only a mutated lane builds the same number twice.
            rows = held.iter().copied().chain(rows).collect();
        }
        let text = serde_json::to_string(state).expect("a state has a JSON form");
        self.own.insert(state.entry);
        let object = Object::Entry { entry: state.entry, state: text, rows: rows.clone() };
        let op = Op::Create { key: entry_key(state, self.mutation), object };
        self.kept = Some((state.entry, op.clone(), rows));
        self.send(network, ticket, op);
    }

    /// Takes an answer that has come.
    pub(super) fn answered(&mut self, network: &mut Vec<Request>, request: &Request, now: Now) {
        let answer = request.answer.clone().unwrap_or(Answer::Nothing);
        match &request.caller {
            Caller::Lane { ticket } => {
                let ticket = *ticket;
                let input = match (&request.op, answer) {
                    (Op::ListEntries { .. }, Answer::Entries(numbers)) => {
                        Input::Listed { ticket, numbers: Some(numbers) }
                    }
                    (Op::ListEntries { .. }, _) => Input::Listed { ticket, numbers: None },
                    (Op::Get { .. }, answer) => Input::Loaded { ticket, outcome: loaded(answer) },
                    (Op::ReceiptsExist, Answer::Exists(found)) => Input::ReceiptsFound { ticket, found: Some(found) },
                    (Op::ReceiptsExist, _) => Input::ReceiptsFound { ticket, found: None },
                    (Op::Commit { .. }, answer) => Input::Committed { ticket, acknowledged: answer == Answer::Done },
                    (_, answer) => Input::Appended { ticket, outcome: put(&answer) },
                };
                self.tell(now, input);
            }
            Caller::Mark { ticket } => {
                let done = matches!(answer, Answer::Created | Answer::AlreadyThere);
                self.tell(now, Input::Marked { ticket: *ticket, done });
            }
            Caller::Job { ticket } => self.job_answered(network, *ticket, answer, now),
            Caller::Draft { ticket } => self.draft_answered(network, *ticket, answer, now),
            Caller::Nobody => {}
        }
    }

    pub(super) fn tell(&mut self, now: Now, input: Input) {
        if let Some(lane) = &mut self.lane {
            lane.handle(now, input);
        }
    }

    fn start_job(&mut self, network: &mut Vec<Request>, ticket: Ticket, close: Close) {
        let reads = close.rows.iter().map(|held| held.entry).collect();
        let job = PublishJob::default();
        let (gathered, files, reading_back, written) = (Vec::new(), VecDeque::new(), None, Vec::new());
        let mut job = Job { ticket, close, job, reads, gathered, files, reading_back, written };
        if self.mutation == Mutation::PublishDespiteReceipt {
            job.job.handle(StepOutcome::Receipt(false));
        }
        self.jobs.push(job);
        self.go_on(network, self.jobs.len() - 1);
    }

    /// Sends what the job's step needs next.
    fn go_on(&mut self, network: &mut Vec<Request>, index: usize) {
        let build = self.build;
        let job = &mut self.jobs[index];
        let caller = Caller::Job { ticket: job.ticket };
        let op = match job.job.step() {
            PublishStep::LookForReceipt => Op::Get { key: receipt_key(&job.close) },
            PublishStep::PutFiles if job.reading_back.is_some() => {
                Op::Get { key: job.reading_back.clone().unwrap_or_default() }
            }
            PublishStep::PutFiles => match (job.reads.front(), job.files.front()) {
                (Some(entry), _) => Op::Get { key: format!("log/{:020}", entry.number.0) },
                (None, Some((key, rows))) => {
                    Op::Create { key: key.clone(), object: Object::File { rows: rows.clone(), build } }
                }
                (None, None) => Op::ReceiptsExist, // no rows at all: nothing to wait for
            },
            PublishStep::PutReceipt => {
                Op::Create { key: receipt_key(&job.close), object: Object::Receipt { files: job.written.clone() } }
            }
        };
        self.request(network, caller, op);
    }

    fn job_answered(&mut self, network: &mut Vec<Request>, ticket: Ticket, answer: Answer, now: Now) {
        let Some(index) = self.jobs.iter().position(|job| job.ticket == ticket) else { return };
        let (build, mutation) = (self.build, self.mutation);
        let job = &mut self.jobs[index];
        let outcome = match job.job.step() {
            PublishStep::LookForReceipt => match answer {
                Answer::Got(found) => Some(StepOutcome::Receipt(found.is_some())),
                _ => Some(StepOutcome::Failed("no answer".to_owned())),
            },
            PublishStep::PutFiles => job.files_step(answer, build, mutation),
            PublishStep::PutReceipt => Some(StepOutcome::ReceiptPut(put(&answer))),
        };
        let ended = outcome.and_then(|outcome| job.job.handle(outcome));
        if job.job.step() == PublishStep::LookForReceipt {
            // From the beginning: the receipt that was said to be there may not be.
            job.reads = job.close.rows.iter().map(|held| held.entry).collect();
            job.gathered.clear();
            job.written.clear();
        }
        match ended {
            Some(outcome) => self.end_job(index, outcome, now),
            None => self.go_on(network, index),
        }
    }

    fn end_job(&mut self, index: usize, outcome: PublishOutcome, now: Now) {
        let job = self.jobs.remove(index);
        self.tell(now, Input::Published { ticket: job.ticket, outcome });
    }

    fn send(&mut self, network: &mut Vec<Request>, ticket: Ticket, op: Op) {
        self.request(network, Caller::Lane { ticket }, op);
    }

    fn request(&mut self, network: &mut Vec<Request>, caller: Caller, op: Op) {
        network.push(Request { process: self.id, life: self.life, caller, op, not_before: 0, answer: None });
    }
}

impl Job {
    /// Takes an answer while the files are made; returns how the step ended, if it did.
    fn files_step(&mut self, answer: Answer, build: u32, mutation: Mutation) -> Option<StepOutcome> {
        if let Some(key) = self.reading_back.take() {
            return match answer {
                Answer::Got(Some(Object::File { build, .. })) => self.file_is_there(key, build),
                _ => Some(StepOutcome::Failed("cannot read back".to_owned())),
            };
        }
        if let Some(entry) = self.reads.front().copied() {
            let Answer::Got(found) = answer else { return Some(StepOutcome::Failed("no answer".to_owned())) };
            let Some(Object::Entry { state, rows, .. }) = found else { return Some(StepOutcome::EntryGone) };
            let state: LaneState = serde_json::from_str(&state).expect("the store keeps what it is given");
            if state.entry.id != entry.id && mutation != Mutation::IgnoreEntryIds {
                return Some(StepOutcome::EntryGone);
            }
            self.gathered.extend(rows.iter().filter(|row| row.scope == self.close.scope));
            self.reads.pop_front();
            if self.reads.is_empty() {
                self.files = self.plan();
                if self.files.is_empty() {
                    return Some(StepOutcome::FilesThere);
                }
            }
            return None;
        }
        let Some((key, _)) = self.files.front() else { return Some(StepOutcome::FilesThere) };
        let key = key.clone();
        match answer {
            Answer::Created => self.file_is_there(key, build),
            Answer::AlreadyThere if mutation == Mutation::ReceiptOfTheBuild => self.file_is_there(key, build),
            Answer::AlreadyThere => {
                // The caller sends the next request: a read of the file that is there.
                self.reading_back = Some(key);
                None
            }
            _ => Some(StepOutcome::Failed("no answer".to_owned())),
        }
    }

    fn file_is_there(&mut self, key: String, build: u32) -> Option<StepOutcome> {
        self.written.push((key, build));
        self.files.pop_front();
        self.files.is_empty().then_some(StepOutcome::FilesThere)
    }

    fn plan(&self) -> VecDeque<(String, Vec<Row>)> {
        let of = |bucket| -> Vec<Row> {
            self.gathered.iter().filter(|row| row.offset.0 % BUCKETS == bucket).copied().collect()
        };
        (0..BUCKETS)
            .map(|bucket| (file_key(&self.close, bucket), of(bucket)))
            .filter(|(_, rows)| !rows.is_empty())
            .collect()
    }
}

fn name(close: &Close) -> String {
    let kind = match close.scope {
        Scope::OnTime(epoch) => format!("{}/on-time", epoch.label()),
        Scope::Late(epoch) => format!("{}/late", epoch.label()),
        Scope::DeadLetter => "dead-letter".to_owned(),
    };
    format!("{kind}-{}", close.entry.number)
}

fn file_key(close: &Close, bucket: i64) -> String {
    format!("file/{}/{}-{bucket}", close.recipe.partition_by.join(","), name(close))
}

pub(super) fn receipt_key(close: &Close) -> String {
    format!("receipt/{}", name(close))
}

fn put(answer: &Answer) -> PutOutcome {
    match answer {
        Answer::Created => PutOutcome::Created,
        Answer::AlreadyThere => PutOutcome::AlreadyThere,
        Answer::Entries(_) | Answer::Got(_) | Answer::Exists(_) | Answer::Done | Answer::Nothing => {
            PutOutcome::NoAnswer
        }
    }
}

fn loaded(answer: Answer) -> LoadOutcome {
    match answer {
        Answer::Got(Some(Object::Entry { state, .. })) => {
            LoadOutcome::Found(Box::new(serde_json::from_str(&state).expect("the store keeps what it is given")))
        }
        Answer::Got(_) => LoadOutcome::Absent,
        _ => LoadOutcome::NoAnswer,
    }
}
