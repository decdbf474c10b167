//! Deliberate bugs: a suite that cannot fail proves nothing. A run ends when the suite, or the program itself, has noticed.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use rand::RngExt;

use super::End;
use crate::{
    common::wait_for,
    instance::{Instance, PATIENCE},
    runner::said,
    stage::Stage,
};

/// How many faults the suite gets.
const MOST_FAULTS: usize = 10;

/// Entries are put whether they are there or not: the fence is gone.
pub(super) fn unfenced(stage: &mut Stage) -> End {
    with_bug(stage, "store.unfenced=return", "append.before", "stop")
}

/// A close is published before the entry that decides it is there, and its instance dies between the two.
pub(super) fn publish_before_append(stage: &mut Stage) -> End {
    with_bug(stage, "rule.broken=return(publish-before-append)", "append.closing", "kill:500")
}

/// Entries are collected although a close that is not published yet needs them.
pub(super) fn collect_without_closes(stage: &mut Stage) -> End {
    with_bug(stage, "rule.broken=return(collect-without-closes)", "publish.before", "kill:2500")
}

/// An instance freezes or dies where the bug matters, another goes on in its lanes, a frozen one wakes up; again and again.
fn with_bug(stage: &mut Stage, bug: &str, point: &str, fate: &str) -> End {
    stage.fail_points.push(bug.to_owned());
    // More rows of an epoch are in entries before the one that closes it, and more late rows wait for a close.
    stage.commit_interval = "150ms";
    stage.produce(&["--late", "0.1"]);
    // Who does not catch up in this time, without a fault, never will.
    stage.catch_up = Duration::from_secs(60);
    let noticed = catch_unwind(AssertUnwindSafe(|| until_noticed(stage, point, fate)));
    let faults = stage.faults();
    match noticed {
        Ok(Some(how)) => End::Noticed(format!("after {faults} faults: {how}")),
        Ok(None) => End::Unnoticed(format!("{faults} faults, and every record is there once")),
        Err(panic) => End::Noticed(format!("after {faults} faults: {}", said(panic.as_ref()))),
    }
}

/// Returns how the bug was noticed. Panics when the instances cannot go on, which is noticed, too.
fn until_noticed(stage: &mut Stage, point: &str, fate: &str) -> Option<String> {
    let mut survivor = stage.start();
    survivor.wait_until_it_works();
    for _ in 0..MOST_FAULTS {
        let noticed = strike(stage, &mut survivor, point, fate);
        if noticed.is_some() {
            return noticed;
        }
    }
    stage.finish(vec![survivor]).problem()
}

/// One fault. Returns how it was noticed, if it was.
fn strike(stage: &mut Stage, survivor: &mut Instance, point: &str, fate: &str) -> Option<String> {
    let pass = stage.random.random_range(0..6);
    let mut victim = stage.start_with_fate(point, pass, fate);
    let met = wait_for("the victim meets its fate, or a lane stops", PATIENCE, || {
        let met = victim.is_frozen() || victim.process.ended().is_some();
        let stopped = a_lane_stopped(&victim).or_else(|| a_lane_stopped(survivor));
        stopped.map(Some).or(met.then_some(None))
    });
    stage.fault(&format!("{fate} at {point}, pass {pass}"));
    if met.is_some() {
        return met;
    }
    let all = f64::from(stage.partitions);
    let noticed = until(stage, &[&victim, survivor], "the other one has all partitions", || survivor.assigned() == all)
        .or_else(|| until_caught_up(stage, &[&victim, survivor]));
    if noticed.is_some() || !victim.is_frozen() {
        return noticed;
    }
    victim.wake();
    let back = until(stage, &[&victim, survivor], "the victim is back", || victim.assigned() > 0.0);
    let noticed = back.or_else(|| until_caught_up(stage, &[&victim, survivor]));
    victim.process.terminate(PATIENCE);
    noticed
}

fn until_caught_up(stage: &Stage, instances: &[&Instance]) -> Option<String> {
    let ends = stage.ends();
    until(stage, instances, "the instances catch up", || stage.has_caught_up(&ends))
}

/// Waits until something is so; returns why a lane has stopped, if one does first.
fn until(stage: &Stage, instances: &[&Instance], what: &str, is_so: impl Fn() -> bool) -> Option<String> {
    wait_for(what, stage.catch_up, || {
        let stopped = instances.iter().find_map(|instance| a_lane_stopped(instance));
        stopped.map(Some).or_else(|| is_so().then_some(None))
    })
}

/// Why a lane of an instance has stopped, if one has: the program has noticed by itself.
fn a_lane_stopped(instance: &Instance) -> Option<String> {
    let said = instance.process.stderr();
    let line = said.lines().find(|line| line.contains("partition stopped: "))?;
    Some(format!("a lane stopped itself: {}", line.split("partition stopped: ").last().unwrap_or_default()))
}
