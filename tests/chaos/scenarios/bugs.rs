//! Deliberate bugs: a suite that cannot fail proves nothing. Each of these runs until the suite has noticed.

use std::time::Instant;

use rand::RngExt;

use super::End;
use crate::{
    common::{process::Signal, wait_for},
    instance::PATIENCE,
    stage::Stage,
};

/// How many faults the suite gets.
const MOST_FAULTS: usize = 12;

/// Entries are put whether they are there or not: the fence is gone.
pub(super) fn unfenced(stage: &mut Stage) -> End {
    zombies(stage, "store.unfenced=return", "append.before")
}

/// A close is published before the entry that decides it is there.
pub(super) fn publish_before_append(stage: &mut Stage) -> End {
    zombies(stage, "rule.broken=return(publish-before-append)", "append.before")
}

/// Entries are collected by whoever believes itself ahead, without a listing.
pub(super) fn collect_unchecked(stage: &mut Stage) -> End {
    zombies(stage, "rule.broken=return(collect-unchecked)", "append.before")
}

/// An instance freezes where the bug matters most, another goes on in its lanes, it wakes up; again and again.
fn zombies(stage: &mut Stage, bug: &str, point: &str) -> End {
    stage.fail_points.push(bug.to_owned());
    stage.produce(&[]);
    let mut survivor = stage.start();
    survivor.wait_until_it_works();
    let all = f64::from(stage.partitions);
    for _ in 0..MOST_FAULTS {
        let pass = stage.random.random_range(2..20);
        let mut victim = stage.start_with_fate(point, pass, "stop");
        wait_for("the victim freezes", PATIENCE, || {
            (victim.is_frozen() || victim.process.ended().is_some()).then_some(())
        });
        stage.fault(&format!("frozen at {point}, pass {pass}"));
        wait_for("the other one has all partitions", PATIENCE, || {
            (survivor.assigned() == all || survivor.process.ended().is_some()).then_some(())
        });
        stage.wait_until_caught_up(Instant::now());
        victim.process.signal(Signal::Cont);
        wait_for("the victim is back", PATIENCE, || {
            (victim.assigned() > 0.0 || victim.process.ended().is_some()).then_some(())
        });
        victim.process.terminate(PATIENCE);
    }
    let verdict = stage.finish(vec![survivor]);
    match verdict.problem() {
        Some(problem) => End::Noticed(format!("after {MOST_FAULTS} faults: {problem}")),
        None => End::Unnoticed(format!("{MOST_FAULTS} faults, and every record is there once")),
    }
}
