//! What comes in is the fault.

use std::{thread, time::Instant};

use rand::RngExt;

use super::End;
use crate::{
    instance::Instance,
    stage::{Stage, Start},
};

/// A topic that is compacted as soon as Kafka can.
pub(super) const COMPACTED: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("segment.ms", "1000"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("max.compaction.lag.ms", "1000"),
];
/// A topic that takes records of 10 MiB.
pub(super) const LARGE: &[(&str, &str)] = &[("max.message.bytes", "20971520")];

/// Bursts of records that are no events.
pub(super) fn poison(stage: &mut Stage) -> End {
    with_kills(stage, &["--poison", "0.3"])
}

/// Records of 10 MiB among small ones.
pub(super) fn large(stage: &mut Stage) -> End {
    with_kills(stage, &["--big", "400"])
}

/// Kafka forgets records, behind and ahead of the lanes.
pub(super) fn compacted(stage: &mut Stage) -> End {
    stage.compacted = true;
    with_kills(stage, &["--keys", "40"])
}

/// Transactions, of which some are aborted.
pub(super) fn transactions(stage: &mut Stage) -> End {
    with_kills(stage, &["--transactions"])
}

/// Event times that jump by hours and days.
pub(super) fn jumps(stage: &mut Stage) -> End {
    with_kills(stage, &["--jump", "0.02", "--late", "0.05"])
}

/// The clocks of the hosts jump: each instance has one of its own, some hours ahead.
pub(super) fn clocks(stage: &mut Stage) -> End {
    stage.produce(&[]);
    let start = |stage: &mut Stage| {
        let ahead = stage.random.random_range(0..20_000);
        // And not always: what it says jumps from one look to the next.
        let jump = format!("clock.ahead_s=50%return({ahead})");
        stage.fault(&format!("an instance starts whose clock jumps by {ahead} s, back and forth"));
        stage.start_with(&Start { fail_points: &[jump], ..Start::default() })
    };
    let mut members: Vec<Instance> = (0..2).map(|_| start(stage)).collect();
    kill_now_and_then(stage, &mut members, start);
    stage.wait_until_caught_up(Instant::now());
    End::Judged(stage.finish(members))
}

fn with_kills(stage: &mut Stage, produced: &[&str]) -> End {
    stage.produce(produced);
    let mut members: Vec<Instance> = (0..2).map(|_| stage.start()).collect();
    kill_now_and_then(stage, &mut members, |stage| stage.start());
    stage.wait_until_caught_up(Instant::now());
    End::Judged(stage.finish(members))
}

fn kill_now_and_then(stage: &mut Stage, members: &mut [Instance], start: impl Fn(&mut Stage) -> Instance) {
    members.iter_mut().for_each(Instance::wait_until_it_works);
    for _ in 0..3 {
        thread::sleep(stage.duration / 6);
        let at = stage.random.random_range(0..members.len());
        members[at].process.kill();
        stage.fault("one is killed");
        members[at] = start(stage);
    }
}
