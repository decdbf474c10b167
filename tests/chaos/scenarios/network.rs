//! The network between one instance and the brokers: slow, resetting, cut, or silent. The other instance is not behind it.

use std::{
    thread,
    time::{Duration, Instant},
};

use rand::RngExt;

use super::End;
use crate::{
    common::{proxy::Traffic, wait_for},
    instance::{Instance, PATIENCE},
    stage::{SESSION, Stage, Start},
};

/// An instance behind the network, and one that is not.
fn two_at_work(stage: &mut Stage) -> (Instance, Instance) {
    stage.produce(&[]);
    let mut far = stage.start_with(&Start { by_proxy: true, ..Start::default() });
    let mut near = stage.start();
    far.wait_until_it_works();
    near.wait_until_it_works();
    (far, near)
}

/// Every answer takes its time.
pub(super) fn slow(stage: &mut Stage) -> End {
    let (far, near) = two_at_work(stage);
    for _ in 0..3 {
        let pause = Duration::from_millis(stage.random.random_range(50..400));
        stage.kafka.proxies().for_each(|proxy| proxy.set(Traffic::Slow(pause)));
        stage.fault(&format!("every packet takes {pause:?}"));
        thread::sleep(Duration::from_secs(4));
        stage.kafka.proxies().for_each(|proxy| proxy.set(Traffic::Flows));
        stage.wait_until_caught_up(Instant::now());
    }
    End::Judged(stage.finish(vec![far, near]))
}

/// Connections are reset again and again.
pub(super) fn resets(stage: &mut Stage) -> End {
    let (far, near) = two_at_work(stage);
    let end = Instant::now() + stage.duration.min(Duration::from_secs(30));
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(stage.random.random_range(100..1_500)));
        stage.kafka.proxies().for_each(|proxy| proxy.reset());
        stage.fault("all connections are reset");
    }
    stage.wait_until_caught_up(Instant::now());
    End::Judged(stage.finish(vec![far, near]))
}

/// One instance is cut off from the brokers, not from the store, until the other has gone on in its partitions.
pub(super) fn cut(stage: &mut Stage) -> End {
    without_network(
        stage,
        "is cut off",
        |stage| stage.kafka.proxies().for_each(|proxy| proxy.cut()),
        |stage| {
            stage.kafka.proxies().for_each(|proxy| proxy.mend());
        },
    )
}

/// The same, but nobody tells it: its connections stay, and are silent.
pub(super) fn half_open(stage: &mut Stage) -> End {
    without_network(
        stage,
        "hears nothing any more",
        |stage| stage.kafka.proxies().for_each(|proxy| proxy.set(Traffic::Held)),
        |stage| stage.kafka.proxies().for_each(|proxy| proxy.set(Traffic::Flows)),
    )
}

fn without_network(stage: &mut Stage, what: &str, break_it: fn(&Stage), mend_it: fn(&Stage)) -> End {
    let (mut far, mut near) = two_at_work(stage);
    let all = f64::from(stage.partitions);
    for _ in 0..stage.rounds(2) {
        break_it(stage);
        stage.fault(&format!("one instance {what}"));
        wait_for("the other one has all partitions", PATIENCE, || {
            assert!(near.process.ended().is_none(), "the near one ended: {}", near.last_words());
            (near.assigned() == all).then_some(())
        });
        stage.wait_until_caught_up(Instant::now());
        thread::sleep(SESSION);
        mend_it(stage);
        let mended = Instant::now();
        wait_for("both have partitions again", PATIENCE, || {
            assert!(far.process.ended().is_none(), "the far one ended: {}", far.last_words());
            (near.assigned() < all && far.assigned() > 0.0).then_some(())
        });
        stage.wait_until_caught_up(mended);
    }
    End::Judged(stage.finish(vec![far, near]))
}
