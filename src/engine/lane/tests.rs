//! Hand-worked histories of one lane. Epochs are 15 minutes, the allowed lateness is 5.

use super::*;
use crate::engine::commit::CommitMetadata;
use crate::engine::event::{LoadOutcome, PublishOutcome, PutOutcome, TakeOver};
use crate::engine::state::{ChainId, Close, EntryId, EntryRef, Held, PartitionId};
use crate::engine::time::Epoch;

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

fn config() -> LaneConfig {
    LaneConfig {
        epoch: EpochLength::from_us(15 * MINUTE_US).expect("divides a day"),
        allowed_lateness_us: 5 * MINUTE_US,
        late: LatePolicy::Append,
        commit_interval_ms: 60_000,
        idle_timeout_ms: 300_000,
        collect_grace_ms: 10_000,
        merge: MergeConfig { most_entries: 3, most_bytes: 1_000 },
        recipe: Recipe {
            partition_by: vec!["page".to_owned()],
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

fn identity() -> LaneIdentity {
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
fn a_check_that_shows_a_higher_number_publishes_nothing() {
    let mut bench = Bench::fresh(config());
    bench.place(10, "12:16");
    bench.place(11, "12:36");
    bench.append();
    bench.commit();
    bench.check(&[1, 2, 3]);
    assert_eq!(bench.ask(), Some(Action::Forget));
}

#[test]
fn late_rows_and_dead_letters_are_published_with_the_next_close() {
    let mut bench = Bench::fresh(config());
    bench.place(10, "12:16");
    bench.append();
    bench.commit();
    bench.check(&[1]);
    bench.mark();
    bench.place(11, "11:50");
    bench.lane.dead_letter(Offset(12), 10);
    bench.wait(60_000);
    let waiting = bench.append();
    let scopes: Vec<Scope> = waiting.waiting.keys().copied().collect();
    assert_eq!(scopes, [Scope::OnTime(epoch("12:15")), Scope::Late(epoch("11:45")), Scope::DeadLetter]);
    bench.commit();
    bench.check(&[1, 2]);
    assert_eq!(bench.ask(), None, "nothing is closed");
    bench.place(13, "12:35");
    let closing = bench.append();
    let closes: Vec<Scope> = closing.closes.iter().map(|close| close.scope).collect();
    assert_eq!(closes, [Scope::OnTime(epoch("12:15")), Scope::Late(epoch("11:45")), Scope::DeadLetter]);
    assert_eq!(closing.totals, Totals { records: 4, rows: 3, late: 1, dead_letters: 1, ..Totals::default() });
}

#[test]
fn a_close_leaves_the_state_after_its_receipt_and_its_marker_step() {
    let mut bench = Bench::fresh(config());
    bench.place(10, "12:16");
    bench.place(11, "12:36");
    let closing = bench.append();
    assert_eq!(closing.closes.len(), 1);
    bench.commit();
    bench.check(&[1]);
    assert_eq!(bench.publish().scope, Scope::OnTime(epoch("12:15")));
    assert_eq!(bench.mark(), at("12:30"));
    bench.wait(60_000);
    assert_eq!(bench.append().closes, []);
}

#[test]
fn closed_through_stays_below_a_close_that_is_not_published() {
    let mut bench = Bench::fresh(config());
    bench.place(10, "12:16");
    bench.place(11, "12:31");
    bench.place(12, "12:51");
    bench.append();
    bench.commit();
    bench.check(&[1]);
    let Some(Action::Publish { ticket: first, .. }) = bench.ask() else { panic!("publishes 12:15") };
    assert!(matches!(bench.ask(), Some(Action::Publish { .. })), "publishes 12:30");
    assert_eq!(bench.ask(), None);
    bench.tell(Input::Published { ticket: first, outcome: PublishOutcome::Published });
    assert_eq!(bench.mark(), at("12:30"));
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
fn the_watermark_survives_a_restart() {
    let mut newest = state(5, 20);
    newest.max_event_time = Some(at("12:20"));
    let mut bench = Bench::recovering(config(), Committed::Nothing, &newest);
    assert_eq!(bench.commit(), Offset(20));
    bench.start(20);
    assert_eq!(bench.place(20, "12:14"), Placement::Row(Scope::Late(epoch("12:00"))));
}

#[test]
fn an_older_commit_of_ours_is_corrected_and_stops_nothing() {
    let metadata = CommitMetadata::mirroring(&state(3, 12));
    let mut bench = Bench::recovering(config(), Committed::Ours { offset: Offset(12), metadata }, &state(5, 20));
    assert_eq!(bench.commit(), Offset(20));
    bench.start(20);
}

#[test]
fn a_commit_of_another_chain_stops_the_partition() {
    let mut other = state(3, 12);
    other.chain = ChainId(0xd);
    let metadata = CommitMetadata::mirroring(&other);
    let mut bench = Bench::recovering(config(), Committed::Ours { offset: Offset(12), metadata }, &state(5, 20));
    assert_eq!(bench.ask(), Some(Action::Forget));
    let Some(Action::Stop { reason }) = bench.ask() else { panic!("stops") };
    assert!(matches!(reason, StopReason::OtherOutput { .. }), "{reason}");
}

#[test]
fn a_foreign_offset_stops_the_partition_unless_the_operator_chose() {
    let foreign = Committed::Foreign { offset: Offset(15) };
    let mut bench = Bench::recovering(config(), foreign.clone(), &state(5, 20));
    assert_eq!(bench.ask(), Some(Action::Forget));
    assert!(matches!(bench.ask(), Some(Action::Stop { reason: StopReason::ForeignOffset { .. } })));

    let resume = LaneConfig { on_foreign_offset: ForeignOffsetPolicy::Resume, ..config() };
    let mut bench = Bench::recovering(resume, foreign, &state(5, 20));
    assert_eq!(bench.commit(), Offset(20));
    bench.start(20);
}

#[test]
fn an_accepted_offset_is_remembered_until_kafka_has_our_commit() {
    let accept = LaneConfig { on_foreign_offset: ForeignOffsetPolicy::Accept, ..config() };
    let foreign = Committed::Foreign { offset: Offset(15) };
    let mut bench = Bench::recovering(accept.clone(), foreign.clone(), &state(5, 20));
    bench.start(15);
    let accepted = bench.append();
    assert_eq!((accepted.position, accepted.accepted_offset), (Offset(15), Some(Offset(15))));
    // The commit is lost, the lane advances, restarts: the old foreign offset is not news.
    let mut newer = accepted;
    newer.entry.number = EntryNumber(7);
    newer.position = Offset(30);
    let mut bench = Bench::recovering(accept, foreign, &newer);
    assert_eq!(bench.commit(), Offset(30));
    bench.start(30);
}

#[test]
fn receipts_without_a_log_stop_the_partition_when_a_second_listing_is_empty_too() {
    let mut bench = Bench::assigned(config(), Committed::Nothing);
    let Some(Action::List { ticket, .. }) = bench.ask() else { panic!("lists the log") };
    bench.tell(Input::Listed { ticket, numbers: Some(Vec::new()) });
    let Some(Action::LookForReceipts { ticket }) = bench.ask() else { panic!("looks for receipts") };
    bench.tell(Input::ReceiptsFound { ticket, found: Some(true) });
    let Some(Action::List { ticket, from: None }) = bench.ask() else { panic!("lists once more") };
    bench.tell(Input::Listed { ticket, numbers: Some(Vec::new()) });
    assert_eq!(bench.ask(), Some(Action::Forget));
    assert!(matches!(bench.ask(), Some(Action::Stop { reason: StopReason::ReceiptsWithoutLog })));
}

#[test]
fn offsets_that_kafka_has_lost_stop_the_partition_or_are_counted() {
    let lost = |ticket| Input::OutOfRange { ticket, low: Offset(25), high: Offset(40) };
    let mut bench = Bench::recovering(config(), Committed::Nothing, &state(5, 20));
    bench.commit();
    let Some(Action::Start { ticket, .. }) = bench.ask() else { panic!("starts") };
    bench.tell(lost(ticket));
    assert_eq!(bench.ask(), Some(Action::Forget));
    let Some(Action::Stop { reason }) = bench.ask() else { panic!("stops") };
    assert!(reason.to_string().contains("offsets 20 to 24"), "{reason}");

    let skip = LaneConfig { on_data_loss: DataLossPolicy::Skip, ..config() };
    let mut bench = Bench::recovering(skip, Committed::Nothing, &state(5, 20));
    bench.commit();
    let Some(Action::Start { ticket, .. }) = bench.ask() else { panic!("starts") };
    bench.tell(lost(ticket));
    bench.start(25);
    assert_eq!(bench.lane.totals().skipped_offsets, 5);
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
fn entries_that_nothing_needs_are_collected_after_the_grace_time_and_the_newest_never() {
    let mut newest = state(9, 20);
    newest
        .waiting
        .insert(Scope::OnTime(epoch("12:00")), vec![held(EntryRef { number: EntryNumber(6), id: EntryId(6) }, 1)]);
    let mut bench = Bench::recovering(config(), Committed::Nothing, &newest);
    bench.commit();
    bench.start(20);
    bench.check(&[5, 6, 8, 9]);
    assert_eq!(bench.ask(), None);
    bench.wait(10_000);
    assert_eq!(bench.ask(), Some(Action::Collect { numbers: vec![EntryNumber(5), EntryNumber(8)] }));
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
fn a_chain_without_a_log_waits_until_kafka_says_what_is_committed() {
    let mut bench = Bench::assigned(config(), Committed::Unknown);
    let Some(Action::List { ticket, .. }) = bench.ask() else { panic!("lists the log") };
    bench.tell(Input::Listed { ticket, numbers: Some(Vec::new()) });
    let Some(Action::LookForReceipts { ticket }) = bench.ask() else { panic!("looks for receipts") };
    bench.tell(Input::ReceiptsFound { ticket, found: Some(false) });
    let Some(Action::AskCommitted { ticket }) = bench.ask() else { panic!("asks Kafka") };
    bench.tell(Input::CommittedFound { ticket, committed: Committed::Unknown });
    bench.wait(500);
    let Some(Action::AskCommitted { ticket }) = bench.ask() else { panic!("asks Kafka again") };
    bench.tell(Input::CommittedFound { ticket, committed: Committed::Nothing });
    assert!(matches!(bench.ask(), Some(Action::ResolveStart { .. })));
}

#[test]
fn an_interrupted_lane_takes_no_record_until_it_has_started_anew() {
    let mut bench = Bench::fresh(config());
    bench.place(10, "12:16");
    bench.tell(Input::Interrupted);
    assert_eq!(bench.lane.reads_from(), None, "what comes behind an error may lie behind a hole");
    bench.append();
    bench.commit();
    bench.check(&[1, 2]);
    bench.start(11);
    assert_eq!(bench.lane.reads_from(), Some(Offset(11)));
}

#[test]
fn an_accepted_offset_that_is_forgotten_would_be_accepted_again() {
    let forgetful = LaneConfig {
        on_foreign_offset: ForeignOffsetPolicy::Accept,
        mutation: Mutation::ForgetAcceptedOffset,
        ..config()
    };
    let foreign = Committed::Foreign { offset: Offset(15) };
    let mut bench = Bench::recovering(forgetful.clone(), foreign.clone(), &state(5, 20));
    bench.start(15);
    let mut newer = bench.append();
    newer.position = Offset(30);
    let mut bench = Bench::recovering(forgetful, foreign, &newer);
    bench.start(15); // 15 to 29 are read a second time
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

/// A lane whose epoch 12:00 is in three entries, which is the most.
fn lane_with_many_entries() -> (Bench, Vec<Held>) {
    let mut bench = Bench::fresh(config());
    let mut holding = Vec::new();
    for offset in 10..13 {
        bench.place(offset, "12:01");
        bench.tell(Input::Flush);
        let state = bench.append();
        bench.commit();
        while let Some(action) = bench.ask() {
            if let Action::Mark { ticket, .. } = action {
                bench.tell(Input::Marked { ticket, done: true });
            } else if let Action::List { ticket, .. } = action {
                let numbers = (1..=state.entry.number.0).map(EntryNumber).collect();
                bench.tell(Input::Listed { ticket, numbers: Some(numbers) });
            } else {
                panic!("not {action:?}");
            }
        }
        holding.push(held(state.entry, 1));
    }
    (bench, holding)
}

#[test]
fn an_epoch_in_many_entries_is_taken_over_by_the_next_one() {
    let (mut bench, holding) = lane_with_many_entries();
    bench.place(13, "12:02");
    bench.tell(Input::Flush);
    let Some(Action::Append { ticket, state, take_over }) = bench.ask() else { panic!("appends") };
    let scope = Scope::OnTime(epoch("12:00"));
    assert_eq!(take_over, [TakeOver { scope, held: holding }]);
    assert_eq!(state.waiting[&scope], [held(state.entry, 4)]);
    bench.tell(Input::Appended { ticket, outcome: PutOutcome::Created });
    bench.commit();
    // What was taken over is needed no more: it is collected after the grace time.
    bench.check(&[1, 2, 3, 4, 5]);
    assert_eq!(bench.ask(), None);
    bench.wait(10_000);
    assert_eq!(bench.ask(), Some(Action::Collect { numbers: [2, 3, 4].map(EntryNumber).to_vec() }));
}

#[test]
fn a_handover_takes_nothing_over() {
    let (mut bench, holding) = lane_with_many_entries();
    bench.place(13, "12:02");
    bench.tell(Input::HandOver);
    let Some(Action::Append { state, take_over, .. }) = bench.ask() else { panic!("appends") };
    assert_eq!(take_over, []);
    assert_eq!(state.waiting[&Scope::OnTime(epoch("12:00"))].len(), holding.len() + 1);
}

#[test]
fn rows_that_are_gone_when_they_are_to_be_taken_over_send_the_lane_back_to_the_log() {
    let (mut bench, _) = lane_with_many_entries();
    let newest = bench.lane.newest().clone();
    for round in 1.. {
        bench.place(13, "12:02");
        bench.tell(Input::Flush);
        let Some(Action::Append { ticket, .. }) = bench.ask() else { panic!("appends") };
        bench.tell(Input::TakeOverGone { ticket });
        assert_eq!(bench.ask(), Some(Action::Forget));
        if round == 5 {
            break;
        }
        let Some(Action::List { ticket, .. }) = bench.ask() else { panic!("recovers") };
        bench.tell(Input::Listed { ticket, numbers: Some(vec![newest.entry.number]) });
        let Some(Action::Load { ticket, .. }) = bench.ask() else { panic!("loads the newest") };
        bench.tell(Input::Loaded { ticket, outcome: LoadOutcome::Found(Box::new(newest.clone())) });
        bench.commit();
        bench.start(13);
    }
    // Nobody is ahead, and the rows are gone all the same.
    let Some(Action::Stop { reason }) = bench.ask() else { panic!("stops") };
    assert!(matches!(reason, StopReason::MissingRows { .. }), "{reason}");
}

#[test]
fn an_empty_answer_is_believed_only_of_a_listing_of_the_whole_log() {
    let metadata = CommitMetadata::mirroring(&state(9, 90));
    let mut bench = Bench::assigned(config(), Committed::Ours { offset: Offset(90), metadata });
    let Some(Action::List { ticket, from: Some(EntryNumber(8)) }) = bench.ask() else {
        panic!("lists from the commit on")
    };
    bench.tell(Input::Listed { ticket, numbers: Some(Vec::new()) });
    let Some(Action::List { from: None, .. }) = bench.ask() else { panic!("lists the whole log") };
}

#[test]
fn a_recovery_loads_the_newest_that_a_listing_shows_whatever_entry_the_commit_names() {
    let metadata = CommitMetadata::mirroring(&state(2, 20));
    let mut bench = Bench::assigned(config(), Committed::Ours { offset: Offset(20), metadata });
    let Some(Action::List { ticket, .. }) = bench.ask() else { panic!("lists the log") };
    // Entry 3 was collected: whoever tried the numbers would take entry 2 for the newest.
    bench.tell(Input::Listed { ticket, numbers: Some(vec![EntryNumber(2), EntryNumber(4)]) });
    let Some(Action::Load { number: EntryNumber(4), .. }) = bench.ask() else { panic!("loads the newest") };
}
