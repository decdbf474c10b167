//! From the decision that an epoch is complete to the end of its entries.

use super::*;

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
fn a_lane_that_is_behind_closes_several_epochs_with_one_entry() {
    let mut bench = Bench::fresh(LaneConfig { gather_closes_ms: 5_000, ..config() });
    bench.place(10, "12:01");
    bench.place(11, "12:20"); // watermark 12:15
    assert_eq!(bench.ask(), None);
    bench.wait(4_999);
    assert_eq!(bench.ask(), None);
    bench.place(12, "12:14"); // late all the same
    bench.place(13, "12:36");
    bench.wait(1);
    let state = bench.append();
    assert_eq!((state.position, state.closed_through), (Offset(14), Some(at("12:30"))));
    let scopes: Vec<Scope> = state.closes.iter().map(|close| close.scope).collect();
    let expected = [Scope::OnTime(epoch("12:00")), Scope::OnTime(epoch("12:15")), Scope::Late(epoch("12:00"))];
    assert_eq!(scopes, expected);
}

#[test]
fn a_lane_that_is_behind_does_not_wait_for_an_epoch_that_takes_long() {
    let mut bench = Bench::fresh(LaneConfig { gather_closes_ms: 5_000, ..config() });
    bench.place(10, "12:01");
    bench.place(11, "12:20"); // watermark 12:15
    assert_eq!(bench.ask(), None);
    bench.wait(5_000);
    assert_eq!(bench.append().closed_through, Some(at("12:15")));
}

#[test]
fn a_lane_that_is_behind_closes_when_an_epoch_has_just_become_complete() {
    let several = || {
        let mut bench = Bench::fresh(LaneConfig { gather_closes_ms: 5_000, ..config() });
        bench.place(10, "12:01");
        bench.place(11, "12:20"); // watermark 12:15
        assert_eq!(bench.ask(), None);
        bench.place(12, "12:36"); // watermark 12:31
        assert_eq!(bench.ask(), None);
        bench.wait(5_000);
        assert_eq!(bench.ask(), None, "the next one may be complete soon");
        bench
    };
    let mut bench = several();
    bench.place(13, "12:51");
    assert_eq!(bench.append().closed_through, Some(at("12:45")));
    let mut bench = several();
    bench.wait(5_000);
    assert_eq!(bench.append().closed_through, Some(at("12:30")));
}

#[test]
fn a_lane_at_the_end_of_the_log_closes_at_once() {
    let mut bench = Bench::fresh(LaneConfig { gather_closes_ms: 5_000, ..config() });
    bench.place(10, "12:01");
    bench.place(11, "12:20");
    assert!(bench.ask().is_none() && bench.lane.is_gathering());
    bench.tell(Input::AtEnd { offset: Offset(12) });
    assert!(!bench.lane.is_gathering());
    assert_eq!(bench.append().closed_through, Some(at("12:15")));
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
fn a_receipt_of_another_close_is_looked_at_again_and_then_stops_the_partition() {
    let mut bench = Bench::fresh(config());
    bench.place(10, "12:16");
    bench.place(11, "12:36");
    bench.append();
    bench.commit();
    for round in 1..=5 {
        bench.check(&[1, 2]);
        let Some(Action::Publish { ticket, .. }) = bench.ask() else { panic!("publishes, round {round}") };
        bench.tell(Input::Published { ticket, outcome: PublishOutcome::Refused("it is torn".to_owned()) });
        bench.wait(10_000);
    }
    assert_eq!(bench.ask(), Some(Action::Forget));
    let asked = bench.ask();
    let Some(Action::Stop { reason }) = asked else { panic!("stops, not {asked:?}") };
    assert!(matches!(&reason, StopReason::Receipt { why, .. } if why == "it is torn"), "{reason}");
}
