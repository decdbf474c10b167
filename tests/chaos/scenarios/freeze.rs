//! SIGSTOP at each step of the protocol for longer than the session, and SIGCONT when another has gone on: the zombie.

use std::time::Instant;

use rand::RngExt;

use super::End;
use crate::{
    common::{process::Signal, wait_for},
    instance::PATIENCE,
    points::Point,
    stage::Stage,
};

pub(super) fn at_points(stage: &mut Stage, points: &[Point]) -> End {
    stage.produce(&[]);
    let mut survivor = stage.start();
    survivor.wait_until_it_works();
    for point in points {
        let pass = stage.random.random_range(0..=point.most_passes);
        let mut victim = stage.start_with_fate(point.name, pass, "stop");
        if point.at_the_end {
            victim.wait_until_it_works();
            victim.process.signal(Signal::Term);
        }
        wait_for("the victim freezes", PATIENCE, || {
            assert!(victim.process.ended().is_none(), "the victim ended: {}", victim.last_words());
            victim.is_frozen().then_some(())
        });
        stage.fault(&format!("frozen at {}, pass {pass}", point.name));
        let all = f64::from(stage.partitions);
        wait_for("the other one has all partitions", PATIENCE, || {
            assert!(survivor.process.ended().is_none(), "the survivor ended: {}", survivor.last_words());
            (survivor.assigned() == all).then_some(())
        });
        // And goes on in them: the zombie's lanes have newer entries than it knows.
        stage.wait_until_caught_up(Instant::now());

        let woken = Instant::now();
        victim.wake();
        if point.at_the_end {
            // Whether it ends in order or with an error is its business: it was given up by then.
            let status = victim.process.wait(PATIENCE);
            stage.say(&format!("woken up, it ended with {status}"));
        } else {
            victim.wait_until_it_works();
            stage.wait_until_caught_up(woken);
            victim.stop();
        }
    }
    End::Judged(stage.finish(vec![survivor]))
}
