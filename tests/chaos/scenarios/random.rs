//! Anything, at any time.

use std::{
    thread,
    time::{Duration, Instant},
};

use rand::RngExt;

use super::End;
use crate::{instance::Instance, stage::Stage};

/// As many instances as there are partitions, and one that has to wait.
const MOST: usize = 5;

/// An instance, and when it wakes up again if it is frozen.
struct Member {
    instance: Instance,
    frozen_until: Option<Instant>,
}

pub(super) fn anything(stage: &mut Stage) -> End {
    stage.produce(&[]);
    let mut members: Vec<Member> = (0..3).map(|_| join(stage)).collect();
    let end = Instant::now() + stage.duration;
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(stage.random.random_range(100..1_000)));
        wake_those_whose_time_has_come(stage, &mut members, Instant::now());
        let awake: Vec<usize> = (0..members.len()).filter(|at| members[*at].frozen_until.is_none()).collect();
        let victim = if awake.is_empty() { None } else { Some(awake[stage.random.random_range(0..awake.len())]) };
        match (stage.random.random_range(0..10), victim) {
            (0..4, Some(victim)) => {
                members.swap_remove(victim).instance.kill();
                stage.fault("one is killed");
                members.push(join(stage));
            }
            (4..7, Some(victim)) => {
                let pause = Duration::from_millis(stage.random.random_range(100..8_000));
                members[victim].instance.freeze();
                members[victim].frozen_until = Some(Instant::now() + pause);
                stage.fault(&format!("one freezes for {pause:.1?}"));
            }
            (7..9, Some(victim)) if members.len() > 1 => {
                let mut leaving = members.swap_remove(victim);
                stage.fault("one leaves");
                leaving.instance.stop();
            }
            _ if members.len() < MOST => {
                members.push(join(stage));
                stage.fault("one joins");
            }
            _ => {}
        }
    }
    wake_those_whose_time_has_come(stage, &mut members, end + Duration::from_secs(3_600));
    let ended = Instant::now();
    replace_the_dead(stage, &mut members);
    stage.wait_until_caught_up(ended);
    replace_the_dead(stage, &mut members);
    let instances = members.into_iter().map(|member| member.instance).collect();
    End::Judged(stage.finish(instances))
}

fn join(stage: &Stage) -> Member {
    Member { instance: stage.start(), frozen_until: None }
}

fn wake_those_whose_time_has_come(stage: &Stage, members: &mut [Member], now: Instant) {
    for member in members {
        if member.frozen_until.is_some_and(|until| until <= now) {
            member.frozen_until = None;
            member.instance.wake();
            stage.say("one wakes up");
        }
    }
}

/// Starts another for each that could not go on, as whoever runs instances does; it must have said why.
fn replace_the_dead(stage: &Stage, members: &mut [Member]) {
    for member in members {
        if let Some(status) = member.instance.process.ended() {
            let words = member.instance.last_words();
            assert!(!status.success() && words.contains("error"), "one ended with {status} and these words: {words}");
            stage.say(&format!("one had ended with {status}: {words}"));
            *member = join(stage);
        }
    }
}
