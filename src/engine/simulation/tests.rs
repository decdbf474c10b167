//! Ten thousand histories keep every promise; with a rule broken, some history shows it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Stats, Violation, run};
use crate::engine::mutation::Mutation;

/// Histories that must keep the promises; `SIMULATION_SEEDS` asks for more.
const SEEDS: u64 = 10_000;
/// Histories within which a broken rule must show.
const SEEDS_TO_FIND: u64 = 40_000;

#[allow(clippy::disallowed_methods, reason = "the one way to hand a number to a test")]
fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|number| number.parse().ok())
}

/// Runs histories on all cores; returns the violation with the least seed.
fn search(seeds: u64, mutation: Mutation) -> Result<Stats, Violation> {
    let (next, found) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let stats: Vec<Stats> = std::thread::scope(|scope| {
        let worker = || {
            let mut sum = Stats::default();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds || seed > found.load(Ordering::Relaxed) {
                    return sum;
                }
                match std::panic::catch_unwind(|| run(seed, mutation, false)) {
                    Ok(Ok(stats)) => {
                        sum.steps += stats.steps;
                        sum.crashes += stats.crashes;
                    }
                    Ok(Err(_)) | Err(_) => {
                        found.fetch_min(seed, Ordering::Relaxed);
                    }
                }
            }
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    match found.into_inner() {
        u64::MAX => Ok(Stats {
            steps: stats.iter().map(|stats| stats.steps).sum(),
            crashes: stats.iter().map(|stats| stats.crashes).sum(),
        }),
        seed => Err(run(seed, mutation, true).expect_err("a history replays exactly")),
    }
}

#[test]
fn ten_thousand_histories_lose_nothing_and_double_nothing() {
    let seeds = from_environment("SIMULATION_SEEDS").unwrap_or(SEEDS);
    match search(seeds, Mutation::None) {
        Ok(stats) => println!("{seeds} histories, {} steps, {} crashes: no violation", stats.steps, stats.crashes),
        Err(Violation { seed, what, trace }) => {
            panic!(
                "{trace}\nseed {seed}: {what}\nreplay: SIMULATION_SEED={seed} cargo test --lib replay -- --nocapture"
            )
        }
    }
}

#[test]
fn a_seed_is_a_history_and_can_be_replayed() {
    let seed = from_environment("SIMULATION_SEED").unwrap_or(1);
    let mut traces = Vec::new();
    for _ in 0..2 {
        match run(seed, Mutation::None, true) {
            Ok(stats) => traces.push(format!("{stats:?}")),
            Err(Violation { what, trace, .. }) => traces.push(format!("{trace}\nseed {seed}: {what}")),
        }
    }
    println!("{}", traces[0]);
    assert_eq!(traces[0], traces[1]);
    assert!(!traces[0].contains("seed"), "the history breaks a promise");
}

/// One test for each rule: with the rule broken, a history shows it.
///
/// What chance hardly meets is in [`scripts`](super::scripts). Two rules show in no history, since
/// others stand behind them, and are held by `lane::tests`: a recovery lists the log and does not try numbers, and it believes only a listing of the whole log.
macro_rules! finds {
    ($($name:ident: $mutation:ident,)+) => {
        $(
            #[test]
            fn $name() {
                let violation = search(SEEDS_TO_FIND, Mutation::$mutation).expect_err("a broken rule must show");
                println!("{:?}: found by seed {}: {}", Mutation::$mutation, violation.seed, violation.what.lines().next().unwrap_or_default());
            }
        )+
    };
}

finds! {
    finds_an_entry_built_anew_after_no_answer: RebuildAfterNoAnswer,
    finds_an_id_of_the_writer: IdOfTheWriter,
    finds_an_absent_entry_taken_for_a_conflict: AbsentIsConflict,
    finds_a_delete_at_a_conflict: DeleteAtConflict,
    finds_a_collection_of_what_closes_need: CollectWithoutCloses,
    finds_a_collection_of_what_late_rows_need: CollectWithoutLate,
    finds_a_collection_of_the_first_entry: CollectTheFirst,
    finds_a_chain_in_the_key: ChainInKey,
    finds_a_lane_dropped_at_a_conflict: DropAtConflict,
    finds_files_named_by_the_newest_entry: NameByNewestEntry,
    finds_late_rows_published_twice: LateOfTheClosingEntryTwice,
    finds_a_publication_despite_its_receipt: PublishDespiteReceipt,
    finds_a_receipt_of_other_bytes: ReceiptOfTheBuild,
    finds_a_recipe_of_today: RecipeOfToday,
    finds_a_publication_that_is_never_said: PublicationIsNothingToSay,
    finds_late_rows_that_wait_for_ever: IdleKeepsLate,
    finds_a_lane_stopped_by_an_older_commit: OlderCommitStops,
    finds_a_marker_without_a_check: MarkUnchecked,
    finds_an_entry_overwritten: OverwriteEntries,
    finds_a_publication_before_its_entry: PublishBeforeAppend,
    finds_a_forgotten_watermark: ForgetWatermark,
}
