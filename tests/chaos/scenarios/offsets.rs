//! The group's committed offsets go astray: late, old, foreign, or gone. The lane log knows better.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::End;
use crate::{
    common::wait_for,
    flags::Protocol,
    instance::PATIENCE,
    stage::{Stage, Start},
};

/// The network keeps a commit, and delivers it when later ones were acknowledged: the group's offset falls back.
pub(super) fn late_commit(stage: &mut Stage) -> End {
    stage.produce(&[]);
    // A client that does not wait long for an answer sends its commit once more, on a new connection. Under the classic protocol that is too
    // short for comfort, and so not the default.
    let hurried = match stage.protocol {
        Protocol::Classic => ["-X", "socket.timeout.ms=1500"],
        Protocol::Consumer => ["-X", "socket.timeout.ms=10000"],
    };
    let mut fell_back = 0;
    let mut instance = stage.start_with(&Start { by_proxy: true, flags: &hurried, ..Start::default() });
    instance.wait_until_it_works();
    for round in 0..3 {
        stage.wait_until_caught_up(Instant::now());
        stage.kafka.proxies().for_each(|proxy| proxy.hold_existing());
        stage.fault(&format!("the network keeps what is on its way, round {round}"));
        let held_at = stage.committed();
        wait_for("commits by another connection", PATIENCE, || {
            assert!(instance.process.ended().is_none(), "the instance ended: {}", instance.last_words());
            stage.committed().iter().zip(&held_at).all(|(now, then)| now > then).then_some(())
        });
        let newest = stage.committed();
        stage.kafka.proxies().for_each(|proxy| proxy.set(crate::common::proxy::Traffic::Flows));
        let until = Instant::now() + Duration::from_millis(300);
        while Instant::now() < until {
            let now = stage.committed();
            fell_back += now.iter().zip(&newest).filter(|(now, newest)| now < newest).count();
        }
        if round == 2 {
            // The next owner finds whatever is committed then.
            instance.kill();
            stage.fault("the instance is killed");
            instance = stage.start();
            instance.wait_until_it_works();
        }
        stage.wait_until_caught_up(Instant::now());
    }
    stage.measured.insert("times_seen_to_fall_back".to_owned(), fell_back as f64);
    End::Judged(stage.finish(vec![instance]))
}

/// Old commits of ours are committed once more while nobody is there, as a commit does that arrives after all others.
pub(super) fn rewound(stage: &mut Stage) -> End {
    stage.produce(&[]);
    let mut instance = stage.start();
    instance.wait_until_it_works();
    stage.wait_until_caught_up(Instant::now());
    for round in 0..3 {
        let old: Vec<_> = commits(stage);
        thread::sleep(Duration::from_secs(2));
        instance.kill();
        until_nobody_is_there(stage);
        for (partition, commit) in (0..).zip(&old) {
            if let Some((offset, metadata)) = commit {
                stage.kafka.commit(&stage.group, &stage.topic, partition, *offset, metadata);
            }
        }
        stage.fault(&format!("killed, and the offsets rewound, round {round}"));
        instance = stage.start();
        stage.wait_until_caught_up(Instant::now());
    }
    End::Judged(stage.finish(vec![instance]))
}

/// A tool deletes the group's offsets, as Kafka does when they expire.
pub(super) fn expired(stage: &mut Stage) -> End {
    stage.produce(&[]);
    let mut instance = stage.start();
    instance.wait_until_it_works();
    for round in 0..3 {
        stage.wait_until_caught_up(Instant::now());
        if round % 2 == 0 {
            instance.process.kill();
        } else {
            instance.stop();
        }
        until_nobody_is_there(stage);
        stage.kafka.delete_group(&stage.group);
        assert_eq!(commits(stage), vec![None; 4]);
        stage.fault(&format!("the group's offsets are gone, round {round}"));
        instance = stage.start();
        instance.wait_until_it_works();
    }
    stage.wait_until_caught_up(Instant::now());
    End::Judged(stage.finish(vec![instance]))
}

/// A tool moves the offset of one partition: that one stops, and says so, until the operator decides; the others go on.
pub(super) fn reset(stage: &mut Stage) -> End {
    stage.produce(&[]);
    let mut instance = stage.start();
    instance.wait_until_it_works();
    stage.wait_until_caught_up(Instant::now());
    instance.kill();
    until_nobody_is_there(stage);
    stage.kafka.reset_offset(&stage.group, &stage.topic, 1, 1);
    stage.fault("a tool resets the offset of partition 1");
    let mut instance = stage.start();
    let before = stage.committed();
    wait_for("partition 1 is stopped, the others go on", PATIENCE, || {
        assert!(instance.process.ended().is_none(), "the instance ended: {}", instance.last_words());
        let others_go_on = [0, 2, 3].iter().all(|other| stage.committed()[*other] > before[*other]);
        (instance.metric("lanes_stopped") == Some(1.0) && others_go_on).then_some(())
    });
    assert_eq!(stage.committed()[1], 1, "the tool's offset stays as it is");
    assert!(instance.process.stderr().contains("--on-foreign-offset"), "it says what to do");
    instance.stop();
    let resumed = stage.start_with(&Start { flags: &["--on-foreign-offset", "resume"], ..Start::default() });
    stage.wait_until_caught_up(Instant::now());
    End::Judged(stage.finish(vec![resumed]))
}

fn commits(stage: &Stage) -> Vec<Option<(i64, String)>> {
    (0..stage.partitions).map(|partition| stage.kafka.committed(&stage.group, &stage.topic, partition)).collect()
}

/// The group is empty when the session of the one that was killed is over.
fn until_nobody_is_there(stage: &Stage) {
    wait_for("the group is empty", PATIENCE, || stage.kafka.is_group_empty(&stage.group).then_some(()));
}
