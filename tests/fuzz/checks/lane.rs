//! Any sound state in the newest entry, and any calls and answers after it: the lane does not panic, and appends sound states only.
//!
//! The bytes are the state's JSON, the separator, and a script: one byte for each thing that happens.

use streams_to_parquet::engine::commit::Committed;
use streams_to_parquet::engine::event::{Action, Input, LoadOutcome, Now, PublishOutcome, PutOutcome};
use streams_to_parquet::engine::lane::MergeConfig;
use streams_to_parquet::engine::lane::{DataLossPolicy, ForeignOffsetPolicy, Lane, LaneConfig, LatePolicy};
use streams_to_parquet::engine::mutation::Mutation;
use streams_to_parquet::engine::state::{LaneState, Offset, Recipe};
use streams_to_parquet::engine::time::{EpochLength, EventTime};

/// What no JSON holds.
const SEPARATOR: u8 = 0x1e;
const MINUTE_US: i64 = 60_000_000;
/// The most requests that are answered in one go: a lane that asks for ever is a finding.
const MOST_ANSWERS: usize = 1_000;

pub fn check(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == SEPARATOR);
    let (json, script) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(state) = serde_json::from_slice::<LaneState>(json) else { return };
    if state.contradiction().is_some() {
        return;
    }
    let mut driver = Driver::new(state, script.first().copied().unwrap_or_default());
    driver.answer_all(0xff);
    for byte in script.iter().skip(1).take(200) {
        driver.step(*byte);
    }
}

/// A lane, and what is around it: the newest entry, the time, the offsets.
struct Driver {
    lane: Lane,
    newest: LaneState,
    now: Now,
}

impl Driver {
    /// `choices` are the settings of the lane.
    fn new(newest: LaneState, choices: u8) -> Self {
        let pick = |bit: u8| choices & (1 << bit) != 0;
        let config = LaneConfig {
            epoch: EpochLength::from_us(15 * MINUTE_US).expect("15 minutes"),
            allowed_lateness_us: if pick(0) { 0 } else { MINUTE_US },
            late: if pick(1) { LatePolicy::Append } else { LatePolicy::DeadLetter },
            commit_interval_ms: 10_000,
            gather_closes_ms: if pick(6) { 0 } else { 5_000 },
            idle_timeout_ms: 60_000,
            collect_grace_ms: if pick(2) { 0 } else { 1_000 },
            merge: MergeConfig { most_entries: 2, most_bytes: 1 << 20 },
            recipe: Recipe {
                partition_by: Vec::new(),
                max_buckets: 10,
                layout: 1,
                schema: 1,
                compression: "zstd(1)".to_owned(),
            },
            on_foreign_offset: if pick(3) { ForeignOffsetPolicy::Accept } else { ForeignOffsetPolicy::Resume },
            on_data_loss: if pick(4) { DataLossPolicy::Skip } else { DataLossPolicy::Stop },
            mutation: Mutation::None,
        };
        let committed = if pick(5) { Committed::Foreign { offset: Offset(3) } } else { Committed::Nothing };
        let now = Now { mono_ms: 0, wall: newest.max_event_time.unwrap_or(EventTime(0)) };
        let lane = Lane::assigned(config, newest.identity.clone(), committed, 7, now);
        Self { lane, newest, now }
    }

    fn step(&mut self, byte: u8) {
        let (what, how) = (byte >> 5, byte & 0x1f);
        let offset = self.lane.reads_from();
        match (what, offset) {
            (0 | 1, Some(offset)) => {
                let minutes = (i64::from(how) - 8) * 7 + i64::from(what);
                let time = self.now.wall.plus_us(minutes * MINUTE_US);
                if time.is_plausible() {
                    self.lane.place(offset, time, None, 100);
                }
            }
            (2, Some(offset)) => self.lane.dead_letter(offset, 100),
            (3, Some(offset)) => self.tell(Input::AtEnd { offset }),
            (4, _) => self.tell(Input::Flush),
            (5, _) => {
                let ms = 1 << (how & 0xf);
                self.now.mono_ms += ms;
                self.now.wall = self.now.wall.plus_us(i64::try_from(ms).expect("a short time") * 1000);
                self.lane.tick(self.now);
            }
            (6, _) => self.tell(match how {
                0 => Input::HandOver,
                1 => Input::Interrupted,
                2 => Input::Finish { keep_open: false },
                3 => Input::Finish { keep_open: true },
                _ => Input::Flush,
            }),
            _ => {}
        }
        self.answer_all(how);
    }

    fn tell(&mut self, input: Input) {
        self.lane.handle(self.now, input);
    }

    /// Answers what the lane asks for: well if the lowest bit of `how` is set, and otherwise as the others say.
    fn answer_all(&mut self, how: u8) {
        for _ in 0..MOST_ANSWERS {
            let Some(action) = self.lane.poll_action() else { return };
            if let Some(input) = self.answer(action, how) {
                self.tell(input);
            }
        }
        panic!("the lane asks for ever");
    }

    fn answer(&mut self, action: Action, how: u8) -> Option<Input> {
        let well = how & 1 != 0;
        let put = if well { PutOutcome::Created } else { PutOutcome::NoAnswer };
        Some(match action {
            Action::List { ticket, .. } => {
                Input::Listed { ticket, numbers: well.then(|| vec![self.newest.entry.number]) }
            }
            Action::Load { ticket, .. } => {
                let outcome =
                    if well { LoadOutcome::Found(Box::new(self.newest.clone())) } else { LoadOutcome::NoAnswer };
                Input::Loaded { ticket, outcome }
            }
            Action::LookForReceipts { ticket } => Input::ReceiptsFound { ticket, found: well.then_some(false) },
            Action::AskCommitted { ticket } => Input::CommittedFound { ticket, committed: Committed::Nothing },
            Action::AskEnd { ticket } => Input::EndFound { ticket, offset: well.then_some(self.newest.position) },
            Action::ResolveStart { ticket } => Input::Resolved { ticket, offset: Offset(0) },
            Action::Start { ticket, offset } if how & 2 == 0 => {
                let (low, high) = (Offset(offset.0 / 2), Offset(offset.0 / 2 + 1));
                if offset == low || offset == high {
                    Input::Started { ticket }
                } else {
                    Input::OutOfRange { ticket, low, high }
                }
            }
            Action::Start { ticket, .. } => Input::Started { ticket },
            Action::Append { ticket, take_over, .. } if how & 4 == 0 && !take_over.is_empty() => {
                Input::TakeOverGone { ticket }
            }
            Action::Append { ticket, state, .. } => {
                assert_eq!(state.contradiction(), None, "{state:?}");
                if well {
                    self.newest = *state;
                }
                Input::Appended { ticket, outcome: put }
            }
            Action::AppendAgain { ticket, .. } => Input::Appended { ticket, outcome: PutOutcome::NoAnswer },
            Action::Commit { ticket, .. } => Input::Committed { ticket, acknowledged: well },
            Action::Publish { ticket, .. } => {
                let outcome =
                    if well { PublishOutcome::Published } else { PublishOutcome::Failed("it was told to".to_owned()) };
                Input::Published { ticket, outcome }
            }
            Action::Mark { ticket, .. } => Input::Marked { ticket, done: well },
            Action::Collect { .. } | Action::Forget | Action::Stop { .. } => return None,
        })
    }
}
