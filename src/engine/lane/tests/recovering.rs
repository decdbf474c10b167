//! From an assigned partition to a lane that reads on, or stops and says why.

use super::*;

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
fn a_start_is_awaited_until_it_is_answered_or_another_is_asked_for() {
    let mut bench = Bench::fresh(config());
    bench.tell(Input::Interrupted);
    let Some(Action::Start { ticket: first, offset }) = bench.ask() else { panic!("starts anew") };
    assert!(bench.lane.awaits_start(first));
    bench.tell(Input::Started { ticket: first });
    assert!(!bench.lane.awaits_start(first), "it has been answered");
    bench.tell(Input::Interrupted);
    let Some(Action::Start { ticket: second, .. }) = bench.ask() else { panic!("starts anew") };
    assert!(bench.lane.awaits_start(second) && !bench.lane.awaits_start(first));
    let other = Bench::recovering(config(), Committed::Nothing, &state(1, offset.0));
    assert!(!other.lane.awaits_start(second), "a lane that loads its log awaits none");
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
