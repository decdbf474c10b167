//! Brokers are killed, freeze, come back; leaders and coordinators move.

use std::{
    thread,
    time::{Duration, Instant},
};

use rand::RngExt;

use super::End;
use crate::{
    common::{process::Signal, wait_for},
    instance::{Instance, PATIENCE},
    stage::Stage,
};

/// The topic of the groups' offsets, whose leader is the coordinator.
pub(super) const OFFSETS: &str = "__consumer_offsets";
/// How many brokers these scenarios have.
pub(super) const BROKERS: usize = 3;

fn two_at_work(stage: &mut Stage) -> Vec<Instance> {
    stage.produce(&[]);
    let mut members: Vec<Instance> = (0..2).map(|_| stage.start()).collect();
    members.iter_mut().for_each(Instance::wait_until_it_works);
    members
}

/// One broker after the other is killed, stays away, and comes back.
pub(super) fn killed(stage: &mut Stage) -> End {
    let members = two_at_work(stage);
    let first = stage.random.random_range(0..BROKERS);
    for at in 0..BROKERS {
        let broker = (first + at) % BROKERS;
        stage.kafka.kill_broker(broker);
        stage.fault(&format!("broker {broker} is killed"));
        thread::sleep(Duration::from_secs(stage.random.random_range(1..6)));
        stage.kafka.restart_broker(broker);
        all_in_sync(stage);
        stage.wait_until_caught_up(Instant::now());
    }
    End::Judged(stage.finish(members))
}

/// The only broker is killed, and comes back: nobody can be asked anything meanwhile.
pub(super) fn away(stage: &mut Stage) -> End {
    let mut members = two_at_work(stage);
    for round in 0..stage.rounds(2) {
        stage.kafka.kill_broker(0);
        stage.fault(&format!("the only broker is killed, round {round}"));
        thread::sleep(Duration::from_secs(stage.random.random_range(2..8)));
        stage.kafka.restart_broker(0);
        let ends = stage.ends();
        let back = Instant::now();
        wait_for("the instances catch up", stage.catch_up, || {
            replace_the_dead(stage, &mut members);
            stage.has_caught_up(&ends).then_some(())
        });
        stage.wait_until_caught_up(back);
    }
    End::Judged(stage.finish(members))
}

/// Starts another for each instance that could not go on, as whoever runs instances does; it must have said why.
fn replace_the_dead(stage: &Stage, members: &mut [Instance]) {
    for member in members {
        if let Some(status) = member.process.ended() {
            let words = member.last_words();
            assert!(!status.success() && words.contains("error"), "one ended with {status} and these words: {words}");
            stage.say(&format!("one had ended: {words}"));
            *member = stage.start();
        }
    }
}

/// One broker after the other freezes, long enough that the others elect new leaders without it, and wakes up with what it had in mind.
pub(super) fn frozen(stage: &mut Stage) -> End {
    let members = two_at_work(stage);
    for broker in 0..BROKERS {
        stage.kafka.signal_broker(broker, Signal::Stop);
        stage.fault(&format!("broker {broker} freezes"));
        thread::sleep(Duration::from_secs(12));
        stage.kafka.signal_broker(broker, Signal::Cont);
        stage.wait_until_caught_up(Instant::now());
        all_in_sync(stage);
    }
    End::Judged(stage.finish(members))
}

/// Every partition gets another leader, and the group another coordinator, again and again.
pub(super) fn moved(stage: &mut Stage) -> End {
    let members = two_at_work(stage);
    for round in 0..stage.rounds(2) {
        for partition in 0..stage.partitions {
            move_on(stage, &stage.topic.clone(), partition);
        }
        move_on(stage, OFFSETS, 0);
        stage.fault(&format!("the group has another coordinator, round {round}"));
        stage.wait_until_caught_up(Instant::now());
    }
    End::Judged(stage.finish(members))
}

fn move_on(stage: &mut Stage, topic: &str, partition: i32) {
    let leads = wait_for("a leader", PATIENCE, || stage.kafka.leader(topic, partition));
    let next = (leads + 1) % BROKERS;
    stage.kafka.move_leader(topic, partition, next);
    stage.fault(&format!("partition {partition} of {topic} moves from broker {leads} to broker {next}"));
}

/// The next broker may only go when the last one is really back.
fn all_in_sync(stage: &Stage) {
    wait_for("all replicas are in sync", PATIENCE, || {
        [OFFSETS, &stage.topic].iter().all(|topic| stage.kafka.is_in_sync(topic)).then_some(())
    });
}
