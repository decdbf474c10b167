//! Everything at once, for as long as one likes.

use std::{
    thread,
    time::{Duration, Instant},
};

use rand::RngExt;

use super::{End, brokers::BROKERS};
use crate::{
    common::{process::Signal, proxy::Traffic},
    instance::Instance,
    stage::{Stage, Start},
};

const MOST: usize = 5;

/// Something to be undone later.
enum Undo {
    Wake(u32),
    RestartBroker(usize),
    WakeBroker(usize),
    MendNetwork,
}

pub(super) fn everything(stage: &mut Stage) -> End {
    stage.produce(&["--poison", "0.02", "--jump", "0.005"]);
    stage.produce(&["--transactions", "--rate", "50"]);
    let mut members: Vec<Instance> = (0..3).map(|_| join(stage)).collect();
    let mut later: Vec<(Instant, Undo)> = Vec::new();
    let end = Instant::now() + stage.duration;
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(stage.random.random_range(100..1_000)));
        undo(stage, &mut members, &mut later, Instant::now());
        replace_the_dead(stage, &mut members);
        let pause = Duration::from_millis(stage.random.random_range(100..10_000));
        let at = stage.random.random_range(0..members.len());
        let broker_is_down = later.iter().any(|(_, undo)| matches!(undo, Undo::RestartBroker(_) | Undo::WakeBroker(_)));
        match stage.random.random_range(0..20) {
            0..6 => {
                members[at].process.kill();
                stage.fault("one is killed");
                members[at] = join(stage);
            }
            6..10 if !members[at].is_frozen() => {
                members[at].freeze();
                later.push((Instant::now() + pause, Undo::Wake(members[at].process.id())));
                stage.fault(&format!("one freezes for {pause:.1?}"));
            }
            10..12 if members.len() < MOST => {
                members.push(join(stage));
                stage.fault("one joins");
            }
            12..14 if members.len() > 2 && !members[at].is_frozen() => {
                let mut leaving = members.swap_remove(at);
                stage.fault("one leaves");
                leaving.process.terminate(crate::instance::PATIENCE);
            }
            14..17 => {
                match stage.random.random_range(0..3) {
                    0 => stage.kafka.proxies().for_each(|proxy| proxy.reset()),
                    1 => stage.kafka.proxies().for_each(|proxy| proxy.set(Traffic::Slow(Duration::from_millis(200)))),
                    _ => stage.kafka.proxies().for_each(|proxy| proxy.set(Traffic::Held)),
                }
                later.push((Instant::now() + pause, Undo::MendNetwork));
                stage.fault("the network of half of the instances is bad");
            }
            17..18 if !broker_is_down && all_in_sync(stage) => {
                let broker = stage.random.random_range(0..BROKERS);
                if stage.random.random_bool(0.5) {
                    stage.kafka.kill_broker(broker);
                    later.push((Instant::now() + pause, Undo::RestartBroker(broker)));
                    stage.fault(&format!("broker {broker} is killed"));
                } else {
                    stage.kafka.signal_broker(broker, Signal::Stop);
                    later.push((Instant::now() + pause, Undo::WakeBroker(broker)));
                    stage.fault(&format!("broker {broker} freezes for {pause:.1?}"));
                }
            }
            _ => {}
        }
    }
    undo(stage, &mut members, &mut later, end + Duration::from_secs(3_600));
    // Those that come last have a good store and a good network.
    let ended = Instant::now();
    for member in &mut members {
        member.process.kill();
        *member = stage.start();
    }
    stage.wait_until_caught_up(ended);
    End::Judged(stage.finish(members))
}

/// An instance whose store fails now and then; every other one is behind a network.
fn join(stage: &mut Stage) -> Instance {
    let fates = ["refuse", "forget", "slow:700"];
    let points: Vec<String> = ["put", "get", "list", "delete", "copy"]
        .iter()
        .map(|of| format!("store.{of}=3%return({})", fates[stage.random.random_range(0..fates.len())]))
        .collect();
    let by_proxy = stage.random.random_bool(0.5);
    stage.start_with(&Start { fail_points: &points, by_proxy, ..Start::default() })
}

fn undo(stage: &mut Stage, members: &mut [Instance], later: &mut Vec<(Instant, Undo)>, now: Instant) {
    let (due, rest) = std::mem::take(later).into_iter().partition(|(at, _)| *at <= now);
    *later = rest;
    let due: Vec<(Instant, Undo)> = due;
    for (_, undo) in due {
        match undo {
            Undo::Wake(id) => members.iter_mut().filter(|member| member.process.id() == id).for_each(Instance::wake),
            Undo::RestartBroker(broker) => stage.kafka.restart_broker(broker),
            Undo::WakeBroker(broker) => stage.kafka.signal_broker(broker, Signal::Cont),
            Undo::MendNetwork => stage.kafka.proxies().for_each(|proxy| proxy.set(Traffic::Flows)),
        }
    }
}

fn all_in_sync(stage: &Stage) -> bool {
    [super::brokers::OFFSETS, &stage.topic].iter().all(|topic| stage.kafka.is_in_sync(topic))
}

/// Whoever ends by itself says why, and is started again.
fn replace_the_dead(stage: &mut Stage, members: &mut [Instance]) {
    for member in members {
        if let Some(status) = member.process.ended() {
            let words = member.last_words();
            assert!(!status.success() && words.contains("error"), "one ended with {status} and these words: {words}");
            stage.say(&format!("one had ended: {words}"));
            *member = join(stage);
        }
    }
}
