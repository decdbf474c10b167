//! A lane that hangs is not kept: its instance says so, leaves the group, and ends; another goes on.

use std::time::Instant;

use super::End;
use crate::{
    common::wait_for,
    instance::PATIENCE,
    stage::{Stage, Start},
};

/// What an instance says whose commits get nowhere.
const UNHEARD: &str = "has had no commit acknowledged for";

/// An append never ends, as if the store had taken the request and forgotten it.
pub(super) fn hung_append(stage: &mut Stage) -> End {
    hung(stage, "append.before=6*off->1*pause", &["the store has not taken the entry after"])
}

/// A worker thread hangs, with all lanes that it has. They no longer hear that their commits are acknowledged, either: if one had just been sent,
/// that is noticed first.
pub(super) fn hung_worker(stage: &mut Stage) -> End {
    hung(stage, "worker.turn=60*off->1*pause", &["has made no progress for", UNHEARD])
}

/// Commits get nowhere, and nobody says so: the lanes are read, and the group does not hear of it.
pub(super) fn unheard(stage: &mut Stage) -> End {
    hung(stage, "commit.sent=8*off->return(lost)", &[UNHEARD])
}

/// The thread that speaks to the group hangs: lanes go on, and nobody hears of it.
pub(super) fn hung_poll(stage: &mut Stage) -> End {
    hung(
        stage,
        "commit.after=6*off->1*pause",
        &["the thread that speaks to the consumer group has not answered for", UNHEARD],
    )
}

fn hung(stage: &mut Stage, fail_point: &str, reasons: &[&str]) -> End {
    stage.produce(&[]);
    let mut survivor = stage.start();
    survivor.wait_until_it_works();
    for _ in 0..stage.rounds(2) {
        let (points, flags) = ([fail_point.to_owned()], ["--stall-timeout", "4s"]);
        let mut victim = stage.start_with(&Start { fail_points: &points, flags: &flags, ..Start::default() });
        let mut reported = false;
        let status = wait_for("the instance whose lane hangs ends", PATIENCE, || {
            reported |= victim.metric("lanes_stalled").unwrap_or(0.0) > 0.0;
            victim.process.ended()
        });
        stage.fault(&format!("a lane hung: {}", victim.last_words()));
        assert_eq!(status.code(), Some(1), "{}", victim.last_words());
        let words = victim.last_words();
        assert!(
            words.starts_with("error: ")
                && reasons.iter().any(|reason| words.contains(reason))
                && words.contains("leaving the group"),
            "{words}"
        );
        assert!(reported || !words.contains("partition"), "the metric has shown the lane before");
        stage.wait_until_caught_up(Instant::now());
    }
    End::Judged(stage.finish(vec![survivor]))
}
