//! Epochs that are in many entries.

use super::*;

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
