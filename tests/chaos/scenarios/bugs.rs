//! Deliberate bugs: a suite that cannot fail proves nothing. Each breaks one rule in a history that shows it, and the same history with the
//! rule kept shows nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{End, Scenario, histories, plain, tale::Tale};
use crate::{runner::said, stage::Stage};

/// How the reader says that a record is in several files.
const DOUBLED: &str = " doubled";
/// How the program says that it will not go on without the rows that a close needs.
const MISSING: &str = "an entry of the lane log that holds its rows is missing";

/// The bugs, and then the same histories without them.
pub(super) fn scenarios() -> [Scenario; 8] {
    [
        plain("bug-unfenced", "entries are overwritten: the suite must notice", |stage| {
            broken(stage, "store.unfenced=return", histories::late_for_its_entry, DOUBLED)
        }),
        plain("bug-publish-early", "published before the append: the suite must notice", |stage| {
            broken(stage, "rule.broken=return(publish-before-append)", histories::dead_before_its_entry, DOUBLED)
        }),
        plain("bug-collect-needed", "collected what a listed close needs: the suite must notice", |stage| {
            broken(stage, "rule.broken=return(collect-without-closes)", histories::dead_before_its_publication, MISSING)
        }),
        plain("bug-collect-unlisted", "collected without a look at the log: the suite must notice", |stage| {
            broken(stage, "rule.broken=return(collect-unlisted)", histories::created_in_the_hole, MISSING)
        }),
        plain("no-bug-unfenced", "the history of bug-unfenced, with the rule kept", |stage| {
            kept(stage, histories::late_for_its_entry)
        }),
        plain("no-bug-publish-early", "the history of bug-publish-early, with the rule kept", |stage| {
            kept(stage, histories::dead_before_its_entry)
        }),
        plain("no-bug-collect-needed", "the history of bug-collect-needed, with the rule kept", |stage| {
            kept(stage, histories::dead_before_its_publication)
        }),
        plain("no-bug-collect-unlisted", "the history of bug-collect-unlisted, with the rule kept", |stage| {
            kept(stage, histories::created_in_the_hole)
        }),
    ]
    .map(|scenario| scenario.with_partitions(1))
}

type History = fn(&mut Tale<'_>);

/// Plays a history with a rule broken: it must be played to its end, and then the count, or the program itself, must show `sign`.
fn broken(stage: &mut Stage, rule: &str, history: History, sign: &str) -> End {
    stage.fail_points.push(rule.to_owned());
    history(&mut Tale::begin(stage));
    let found = match catch_unwind(AssertUnwindSafe(|| stage.judge().in_short())) {
        Ok(Some(problem)) => problem,
        Ok(None) => "every record is there once".to_owned(),
        Err(panic) => said(panic.as_ref()),
    };
    if found.contains(sign) { End::Noticed(found) } else { End::Unnoticed(found) }
}

/// Plays a history with all rules kept: every record is there once.
fn kept(stage: &mut Stage, history: History) -> End {
    history(&mut Tale::begin(stage));
    End::Judged(stage.judge())
}
