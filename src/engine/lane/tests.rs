//! Hand-worked histories of one lane. Epochs are 15 minutes, the allowed lateness is 5.

use super::*;
use crate::engine::commit::CommitMetadata;
use crate::engine::event::{LoadOutcome, PublishOutcome, PutOutcome, TakeOver};
use crate::engine::state::{ChainId, Close, EntryId, EntryRef, Held, PartitionId};
use crate::engine::time::Epoch;

mod merging;
mod publishing;
mod recovering;

const MINUTE_US: i64 = 60_000_000;
/// 2026-11-22T00:00:00Z.
const MIDNIGHT: i64 = 1_795_305_600_000_000;

fn at(clock: &str) -> EventTime {
    let (hours, minutes) = clock.split_once(':').expect("hh:mm");
    let minutes = hours.parse::<i64>().expect("hours") * 60 + minutes.parse::<i64>().expect("minutes");
    EventTime(MIDNIGHT + minutes * MINUTE_US)
}

fn epoch(clock: &str) -> Epoch {
    EpochLength::from_us(15 * MINUTE_US).expect("divides a day").epoch_of(at(clock))
}

pub(crate) fn config() -> LaneConfig {
    LaneConfig {
        epoch: EpochLength::from_us(15 * MINUTE_US).expect("divides a day"),
        allowed_lateness_us: 5 * MINUTE_US,
        late: LatePolicy::Append,
        commit_interval_ms: 60_000,
        gather_closes_ms: 0,
        idle_timeout_ms: 300_000,
        collect_grace_ms: 10_000,
        merge: MergeConfig { most_entries: 3, most_bytes: 1_000 },
        recipe: Recipe {
            partition_by: vec!["path".to_owned()],
            max_buckets: 10,
            layout: 1,
            schema: 1,
            compression: "none".to_owned(),
        },
        on_foreign_offset: ForeignOffsetPolicy::Stop,
        on_data_loss: DataLossPolicy::Stop,
        mutation: Mutation::None,
    }
}

pub(crate) fn identity() -> LaneIdentity {
    LaneIdentity {
        group: "g".to_owned(),
        cluster_id: "c".to_owned(),
        topic: "t".to_owned(),
        topic_id: "i".to_owned(),
        partition: PartitionId(3),
    }
}

/// A lane, its clock, and what it has asked for.
struct Bench {
    lane: Lane,
    now: Now,
}

impl Bench {
    fn assigned(config: LaneConfig, committed: Committed) -> Self {
        let now = Now { mono_ms: 1_000, wall: at("12:00") };
        Self { lane: Lane::assigned(config, identity(), committed, 7, now), now }
    }

    /// A lane of a partition that was never read, at offset 10.
    fn fresh(config: LaneConfig) -> Self {
        let mut bench = Self::assigned(config, Committed::Nothing);
        let Some(Action::List { ticket, from: None }) = bench.ask() else { panic!("lists the log") };
        bench.tell(Input::Listed { ticket, numbers: Some(Vec::new()) });
        let Some(Action::LookForReceipts { ticket }) = bench.ask() else { panic!("looks for receipts") };
        bench.tell(Input::ReceiptsFound { ticket, found: Some(false) });
        let Some(Action::ResolveStart { ticket }) = bench.ask() else { panic!("asks where to start") };
        bench.tell(Input::Resolved { ticket, offset: Offset(10) });
        bench.start(10);
        // Where the chain begins is durable before anything is read.
        assert_eq!(bench.append().position, Offset(10));
        assert_eq!(bench.commit(), Offset(10));
        bench
    }

    /// A lane that recovers from `state`.
    fn recovering(config: LaneConfig, committed: Committed, state: &LaneState) -> Self {
        let mut bench = Self::assigned(config, committed);
        let Some(Action::List { ticket, .. }) = bench.ask() else { panic!("lists the log") };
        bench.tell(Input::Listed { ticket, numbers: Some(vec![state.entry.number]) });
        let Some(Action::Load { ticket, number }) = bench.ask() else { panic!("loads the newest") };
        assert_eq!(number, state.entry.number);
        bench.tell(Input::Loaded { ticket, outcome: LoadOutcome::Found(Box::new(state.clone())) });
        bench
    }

    fn start(&mut self, offset: i64) {
        let Some(Action::Start { ticket, offset: from }) = self.ask() else { panic!("starts to read") };
        assert_eq!(from, Offset(offset));
        self.tell(Input::Started { ticket });
    }

    fn ask(&mut self) -> Option<Action> {
        self.lane.poll_action()
    }

    fn tell(&mut self, input: Input) {
        self.lane.handle(self.now, input);
    }

    fn wait(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.lane.tick(self.now);
    }

    fn place(&mut self, offset: i64, clock: &str) -> Placement {
        self.lane.place(Offset(offset), at(clock), None, 10)
    }

    /// The next append, which is created; the commit and whatever follows is left to ask for.
    fn append(&mut self) -> LaneState {
        let asked = self.ask();
        let Some(Action::Append { ticket, state, .. }) = asked else { panic!("appends, not {asked:?}") };
        self.tell(Input::Appended { ticket, outcome: PutOutcome::Created });
        *state
    }

    fn commit(&mut self) -> Offset {
        let Some(Action::Commit { ticket, offset, .. }) = self.ask() else { panic!("commits") };
        self.tell(Input::Committed { ticket, acknowledged: true });
        offset
    }

    fn check(&mut self, numbers: &[u64]) {
        let Some(Action::List { ticket, from: None }) = self.ask() else { panic!("checks") };
        self.tell(Input::Listed { ticket, numbers: Some(numbers.iter().copied().map(EntryNumber).collect()) });
    }

    fn publish(&mut self) -> Close {
        let Some(Action::Publish { ticket, close }) = self.ask() else { panic!("publishes") };
        self.tell(Input::Published { ticket, outcome: PublishOutcome::Published });
        *close
    }

    fn confirm_end(&mut self, offset: i64) {
        let asked = self.ask();
        let Some(Action::AskEnd { ticket }) = asked else { panic!("asks where the log ends, not {asked:?}") };
        self.tell(Input::EndFound { ticket, offset: Some(Offset(offset)) });
    }

    fn mark(&mut self) -> EventTime {
        let Some(Action::Mark { ticket, through }) = self.ask() else { panic!("marks") };
        self.tell(Input::Marked { ticket, done: true });
        through
    }
}

fn state(number: u64, position: i64) -> LaneState {
    let mut state = LaneState::before_the_first_entry(&identity());
    state.chain = ChainId(0xc);
    state.entry = EntryRef { number: EntryNumber(number), id: EntryId(number) };
    state.position = Offset(position);
    state
}

fn held(entry: EntryRef, rows: u64) -> Held {
    Held { entry, rows, bytes: rows * 10 }
}

fn on_time(clock: &str) -> Placement {
    Placement::Row(Scope::OnTime(epoch(clock)))
}

#[test]
fn a_straggler_does_not_close_the_current_epoch() {
    let mut bench = Bench::fresh(config());
    assert_eq!(bench.place(10, "12:16"), on_time("12:15"));
    assert_eq!(bench.place(11, "12:14"), on_time("12:00"));
    bench.append(); // the first entry says from where on the lane is closed: the watermark is 12:11, so through 12:00
    bench.commit();
    assert_eq!(bench.place(12, "12:13"), on_time("12:00"));
    assert_eq!(bench.place(13, "12:20"), on_time("12:15")); // watermark 12:15
    assert_eq!(bench.place(14, "12:14"), Placement::Row(Scope::Late(epoch("12:00"))));
}

#[test]
fn an_epoch_closes_when_the_watermark_reaches_its_end_and_takes_the_entries_that_hold_its_rows() {
    let mut bench = Bench::fresh(config());
    bench.place(10, "12:16");
    let first = bench.append();
    bench.commit();
    bench.check(&[1]);
    assert_eq!(bench.mark(), at("12:00"));
    bench.place(11, "12:31");
    let second = bench.append();
    assert_eq!(second.closed_through, Some(at("12:15")));
    assert!(second.closes.iter().all(|close| close.rows.is_empty()), "12:15 is still open");
    bench.commit();
    bench.check(&[1, 2]);
    bench.mark();
    bench.place(12, "12:35");
    let third = bench.append();
    let closed: Vec<_> = third.closes.iter().map(|close| (close.scope, close.rows.clone())).collect();
    assert_eq!(closed, [(Scope::OnTime(epoch("12:15")), vec![held(first.entry, 1)])]);
    assert_eq!(third.waiting.keys().copied().collect::<Vec<_>>(), [Scope::OnTime(epoch("12:30"))]);
    assert_eq!(third.waiting[&Scope::OnTime(epoch("12:30"))], [held(second.entry, 1), held(third.entry, 1)]);
}

#[test]
fn a_kafka_timestamp_caps_the_watermark() {
    let mut bench = Bench::fresh(config());
    // A producer's clock is 40 minutes ahead.
    bench.lane.place(Offset(10), at("12:40"), Some(at("12:01")), 10);
    assert_eq!(bench.lane.watermark(), Some(at("11:56")));
    assert_eq!(bench.lane.place(Offset(11), at("12:00"), Some(at("12:01")), 10), on_time("12:00"));
}

#[test]
fn nothing_new_to_say_is_not_appended() {
    let mut bench = Bench::fresh(config());
    assert_eq!(bench.ask(), None);
    bench.wait(600_000);
    assert_eq!(bench.ask(), None);
}

#[test]
fn what_is_read_is_appended_and_committed_within_the_commit_interval() {
    let mut bench = Bench::fresh(config());
    bench.place(10, "12:00");
    bench.append();
    assert_eq!(bench.commit(), Offset(11));
    bench.check(&[1]);
    bench.mark();
    bench.place(11, "12:01");
    bench.wait(59_999);
    assert_eq!(bench.ask(), None);
    bench.wait(1);
    assert_eq!(bench.append().position, Offset(12));
    assert_eq!(bench.commit(), Offset(12));
}

#[test]
fn a_put_without_an_answer_is_sent_again_with_the_very_same_bytes() {
    let mut bench = Bench::fresh(config());
    bench.place(10, "12:00");
    let Some(Action::Append { ticket, state, .. }) = bench.ask() else { panic!("appends") };
    bench.tell(Input::Appended { ticket, outcome: PutOutcome::NoAnswer });
    bench.place(11, "12:01"); // reading goes on
    assert_eq!(bench.ask(), None);
    bench.wait(400);
    let Some(Action::AppendAgain { ticket, entry }) = bench.ask() else { panic!("sends again") };
    assert_eq!(entry, state.entry);
    bench.tell(Input::Appended { ticket, outcome: PutOutcome::AlreadyThere });
    let Some(Action::Load { ticket, .. }) = bench.ask() else { panic!("looks whose it is") };
    bench.tell(Input::Loaded { ticket, outcome: LoadOutcome::Found(state) });
    assert_eq!(bench.commit(), Offset(11));
}

#[test]
fn already_there_but_absent_is_no_answer() {
    let mut bench = Bench::fresh(config());
    bench.place(10, "12:00");
    let Some(Action::Append { ticket, .. }) = bench.ask() else { panic!("appends") };
    bench.tell(Input::Appended { ticket, outcome: PutOutcome::AlreadyThere });
    let Some(Action::Load { ticket, .. }) = bench.ask() else { panic!("looks whose it is") };
    bench.tell(Input::Loaded { ticket, outcome: LoadOutcome::Absent });
    bench.wait(400);
    assert!(matches!(bench.ask(), Some(Action::AppendAgain { .. })));
}

#[test]
fn another_entry_of_my_number_makes_the_lane_forget_and_recover() {
    let mut bench = Bench::fresh(config());
    bench.place(10, "12:00");
    let Some(Action::Append { ticket, .. }) = bench.ask() else { panic!("appends") };
    bench.tell(Input::Appended { ticket, outcome: PutOutcome::AlreadyThere });
    let Some(Action::Load { ticket, .. }) = bench.ask() else { panic!("looks whose it is") };
    bench.tell(Input::Loaded { ticket, outcome: LoadOutcome::Found(Box::new(state(1, 20))) });
    assert_eq!(bench.ask(), Some(Action::Forget));
    assert_eq!(bench.lane.reads_from(), None);
    assert!(matches!(bench.ask(), Some(Action::List { from: None, .. })));
}

#[test]
fn an_idle_partition_is_closed_by_the_wall_clock_but_not_beyond_it() {
    let mut bench = Bench::fresh(config());
    bench.place(10, "12:01");
    bench.append();
    bench.commit();
    bench.check(&[1, 2]);
    bench.mark();
    bench.tell(Input::AtEnd { offset: Offset(11) });
    bench.now.wall = at("12:19");
    bench.wait(60_000);
    assert_eq!(bench.append().closed_through, Some(at("11:45")), "not idle for long enough");
    bench.commit();
    bench.check(&[1, 2, 3]);
    bench.wait(240_000);
    bench.confirm_end(11);
    assert_eq!(bench.append().closed_through, Some(at("12:00")), "12:15 and the allowed lateness are not over");
    bench.commit();
    bench.check(&[1, 2, 3]);
    bench.mark();
    bench.now.wall = at("12:20");
    bench.wait(5_000);
    bench.confirm_end(11);
    let closing = bench.append();
    assert_eq!(closing.closed_through, Some(at("12:15")));
    let closed: Vec<Scope> = closing.closes.iter().map(|close| close.scope).collect();
    assert!(closed.contains(&Scope::OnTime(epoch("12:00"))), "{closed:?}");
}

#[test]
fn a_slow_fetch_is_not_an_idle_partition() {
    let mut bench = Bench::fresh(config());
    bench.place(10, "12:01");
    bench.append();
    bench.commit();
    bench.check(&[1]);
    bench.mark();
    bench.now.wall = at("14:00");
    bench.wait(3_600_000);
    // The end of the log was not seen: all that there is to say is that the marker step is done.
    assert_eq!(bench.append().closed_through, Some(at("11:45")));
}

#[test]
fn a_handover_appends_what_was_read_and_publishes_nothing() {
    let mut bench = Bench::fresh(config());
    bench.place(10, "12:16");
    bench.append();
    bench.commit();
    bench.check(&[1]);
    bench.mark();
    bench.place(11, "12:17");
    assert!(!bench.lane.is_handed_over());
    bench.tell(Input::HandOver);
    assert_eq!(bench.append().position, Offset(12));
    assert!(bench.lane.is_handed_over());
    assert_eq!(bench.lane.reads_from(), None);
}

#[test]
fn a_bounded_run_closes_everything_and_is_settled_when_all_is_said() {
    let mut bench = Bench::fresh(config());
    bench.place(10, "12:16");
    bench.tell(Input::Finish { keep_open: false });
    let closing = bench.append();
    assert_eq!(closing.closed_through, Some(at("12:30")));
    bench.commit();
    bench.check(&[1]);
    bench.publish();
    bench.mark();
    assert!(!bench.lane.is_settled());
    assert_eq!(bench.append().closes, []);
    bench.commit();
    assert!(bench.lane.is_settled());
}

#[test]
fn an_end_that_was_seen_before_records_came_is_not_idleness() {
    let mut bench = Bench::fresh(config());
    bench.place(10, "12:01");
    bench.append();
    bench.commit();
    bench.check(&[1, 2]);
    bench.mark();
    bench.tell(Input::AtEnd { offset: Offset(11) });
    bench.wait(60_000);
    bench.append(); // the marker step is done
    bench.commit();
    bench.check(&[1, 2, 3]);
    bench.now.wall = at("14:00");
    bench.wait(3_600_000);
    bench.confirm_end(500); // the broker was away, and producers were not
    assert_eq!(bench.ask(), None);
}

#[test]
fn the_end_of_the_log_moves_the_position_over_what_is_no_record() {
    let mut bench = Bench::fresh(config());
    bench.tell(Input::AtEnd { offset: Offset(14) });
    assert_eq!(bench.lane.position(), Offset(14));
}

#[test]
fn the_end_of_the_log_does_not_move_the_position_over_records_that_were_turned_away() {
    for farewell in [Input::HandOver, Input::Finish { keep_open: true }] {
        let mut bench = Bench::fresh(config());
        bench.tell(farewell);
        // The records at 10 to 13 come now, and are not taken; then the log's end.
        assert_eq!(bench.lane.reads_from(), None);
        bench.tell(Input::AtEnd { offset: Offset(14) });
        assert_eq!(bench.lane.position(), Offset(10));
    }
}
