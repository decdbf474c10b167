//! Members that come and go in order: storms, rolling restarts, static membership.

use std::{
    thread,
    time::{Duration, Instant},
};

use rand::RngExt;

use super::End;
use crate::{
    common::wait_for,
    flags::Protocol,
    instance::{Instance, PATIENCE},
    stage::{Stage, Start},
    standstill::Meter,
};

/// What an instance says, last of all, that Kafka does not want any more.
const ENDED: &str = "error: the consumer group ended this member";

/// Instances join and leave, one every second.
pub(super) fn storm(stage: &mut Stage) -> End {
    const MOST: usize = 5;
    stage.produce(&[]);
    let mut members: Vec<Instance> = (0..2).map(|_| stage.start()).collect();
    let mut leaving: Vec<Instance> = Vec::new();
    let end = Instant::now() + stage.duration;
    while Instant::now() < end {
        thread::sleep(Duration::from_secs(1));
        let joins = members.len() < 2 || members.len() < MOST && stage.random.random_bool(0.5);
        if joins {
            members.push(stage.start());
            stage.fault("one joins");
        } else {
            let one = stage.random.random_range(0..members.len());
            let mut one = members.swap_remove(one);
            // It takes its time, and the storm goes on meanwhile.
            one.process.signal(crate::common::process::Signal::Term);
            leaving.push(one);
            stage.fault("one leaves");
        }
    }
    stage.wait_until_caught_up(Instant::now());
    stage.stop_producing();
    stage.wait_until_caught_up(Instant::now());
    let mut read_twice = 0;
    for one in &mut leaving {
        let status = one.process.wait(PATIENCE);
        assert!(status.success(), "one that left ended with {status}: {}", one.last_words());
        read_twice += one.left_to_read_again();
    }
    for one in &mut members {
        one.stop();
        read_twice += one.left_to_read_again();
    }
    planned(stage, read_twice);
    End::Judged(stage.judge())
}

/// All instances are restarted, one after the other, as an update does it. Nothing is read twice, and what does not move does not stand still.
pub(super) fn rolling(stage: &mut Stage) -> End {
    const INSTANCES: usize = 3;
    stage.produce(&[]);
    let mut members: Vec<Instance> = (0..INSTANCES).map(|_| stage.start()).collect();
    all_work(&mut members);
    let (mut read_twice, mut still) = (0, Duration::ZERO);
    for round in 0..2 {
        for at in 0..INSTANCES {
            let mut old = members.remove(at);
            let meter = Meter::start(members.iter().map(|member| member.port).collect());
            old.stop();
            read_twice += old.left_to_read_again();
            stage.fault(&format!("instance {at} is restarted, round {round}"));
            members.insert(at, stage.start());
            all_work(&mut members);
            stage.wait_until_caught_up(Instant::now());
            still = still.max(meter.stop());
        }
    }
    stage.measured.insert("kept_partitions_stood_still_s".to_owned(), (still.as_secs_f64() * 100.0).round() / 100.0);
    stage.stop_producing();
    stage.wait_until_caught_up(Instant::now());
    for mut member in members {
        member.stop();
        read_twice += member.left_to_read_again();
    }
    planned(stage, read_twice);
    End::Judged(stage.judge())
}

/// What is handed over in order is not read again.
fn planned(stage: &mut Stage, read_twice: u64) {
    stage.measured.insert("records_read_twice".to_owned(), read_twice as f64);
    assert_eq!(read_twice, 0, "records were read twice");
}

fn all_work(members: &mut [Instance]) {
    members.iter_mut().for_each(Instance::wait_until_it_works);
}

fn start(stage: &Stage, number: usize) -> Instance {
    let id = format!("group.instance.id=instance-{number}");
    stage.start_with(&Start { flags: &["-X", &id], ..Start::default() })
}

/// Starts a static member until it works. Under the consumer protocol the broker refuses the id of one that was killed until that one's session is
/// over: the newcomer ends, says so, and is started again.
fn again(stage: &Stage, number: usize) -> Instance {
    let begun = Instant::now();
    loop {
        let mut member = start(stage, number);
        let refused = wait_for("the static member works, or ends", PATIENCE, || {
            let ended = member.process.ended();
            (ended.is_some() || member.assigned() > 0.0).then_some(ended)
        });
        let Some(status) = refused else { return member };
        let words = member.last_words();
        assert!(!status.success() && words.contains(ENDED) && begun.elapsed() < PATIENCE, "{status}: {words}");
        stage.say(&format!("static member {number} cannot come back yet: {words}"));
        thread::sleep(Duration::from_millis(500));
    }
}

/// Static members are killed and restarted within their session, stopped and restarted; and one is started twice.
pub(super) fn fixed_members(stage: &mut Stage) -> End {
    stage.produce(&[]);
    let mut members: Vec<Instance> = (0..3).map(|number| start(stage, number)).collect();
    all_work(&mut members);
    for round in 0..2 {
        for (number, member) in members.iter_mut().enumerate() {
            if round == 0 {
                member.process.kill();
                stage.fault(&format!("static member {number} is killed"));
            } else {
                member.stop();
                stage.fault(&format!("static member {number} is stopped"));
            }
            *member = again(stage, number);
            stage.wait_until_caught_up(Instant::now());
        }
    }
    // Of two with one id one must go, and say so: under the classic protocol the older, else the newer.
    let mut second = start(stage, 0);
    stage.fault("static member 0 is started a second time");
    let goes = match stage.protocol {
        Protocol::Classic => &mut members[0],
        Protocol::Consumer => &mut second,
    };
    let status = goes.process.wait(PATIENCE);
    let words = goes.last_words();
    assert!(!status.success() && words.contains(ENDED), "{status}: {words}");
    if stage.protocol == Protocol::Classic {
        members[0] = second;
    }
    wait_for("the one that stays works", PATIENCE, || (members[0].assigned() > 0.0).then_some(()));
    End::Judged(stage.finish(members))
}
