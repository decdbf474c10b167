//! SIGKILL at each step of the protocol.

use std::{os::unix::process::ExitStatusExt, time::Instant};

use rand::RngExt;

use super::End;
use crate::{common::process::Signal, instance::PATIENCE, points::Point, stage::Stage};

pub(super) fn at_points(stage: &mut Stage, points: &[Point]) -> End {
    stage.produce(&[]);
    let mut survivor = stage.start();
    survivor.wait_until_it_works();
    for point in points {
        let pass = stage.random.random_range(0..=point.most_passes);
        let mut victim = stage.start_with_fate(point.name, pass, "kill");
        if point.at_the_end {
            victim.wait_until_it_works();
            victim.process.signal(Signal::Term);
        }
        let status = victim.process.wait(PATIENCE);
        let ended = Instant::now();
        assert_eq!(status.signal(), Some(9), "the victim ended with {status}: {}", victim.last_words());
        stage.fault(&format!("killed at {}, pass {pass}", point.name));
        stage.wait_until_caught_up(ended);
    }
    End::Judged(stage.finish(vec![survivor]))
}
