//! The receipts of one partition against the newest entry of its lane log: one chain, without gap or overlap, whose sums agree.
//!
//! Pure: looks at what was read, and reads nothing.
//!
//! # Invariants
//! What was read in the order of [`snapshot`](super::snapshot): a close that the entry no longer lists has a receipt; a receipt of an
//! entry beyond this one is newer than the look at the log, and no part of these sums.

use std::collections::BTreeMap;

use serde::Serialize;

use super::lanes::unpublished;
use super::violation::{Kind, Violation};
use crate::engine::state::{ChainId, EntryNumber, LaneState, Offset, PartitionId, Scope, Totals};
use crate::store::receipt::Receipt;

/// Rows and dead letters that are somewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Held {
    /// Rows, late ones included.
    pub rows: u64,
    /// Late rows.
    pub late: u64,
    /// Dead letters.
    pub dead_letters: u64,
}

impl Held {
    fn add(&mut self, scope: &Scope, rows: u64) {
        match scope {
            Scope::OnTime(_) => self.rows += rows,
            Scope::Late(_) => {
                self.rows += rows;
                self.late += rows;
            }
            Scope::DeadLetter => self.dead_letters += rows,
        }
    }
}

/// How a partition stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct PartitionReport {
    /// The partition.
    pub partition: PartitionId,
    /// The chain of its lane log.
    pub chain: ChainId,
    /// The newest entry.
    pub entry: EntryNumber,
    /// Where the chain began to read.
    pub start: Offset,
    /// The next offset to read.
    pub position: Offset,
    /// What was read.
    pub totals: Totals,
    /// Closes that are published.
    pub receipts: u64,
    /// What they hold.
    pub published: Held,
    /// What is in closes that are decided, and not published yet.
    pub publishing: Held,
    /// What is in the lane log, and not closed yet.
    pub waiting: Held,
    /// Epochs that are open.
    pub open_epochs: Vec<OpenEpoch>,
    /// What the operator gave up, since its entries were gone.
    pub given_up: Held,
}

/// Rows that are not closed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct OpenEpoch {
    /// Which rows.
    #[serde(flatten)]
    pub scope: Scope,
    /// How many.
    pub rows: u64,
}

/// Checks a partition. `receipts` are all of its receipts.
pub(super) fn check(state: &LaneState, receipts: &[&Receipt]) -> (PartitionReport, Vec<Violation>) {
    let partition = state.identity.partition;
    let (ours, others): (Vec<&Receipt>, Vec<&Receipt>) = receipts.iter().partition(|found| found.chain == state.chain);
    let mut violations = second_chains(&others, state);
    let mut known: Vec<&Receipt> = ours.into_iter().filter(|found| found.entry <= state.entry.number).collect();
    known.sort_by_key(|receipt| (receipt.sequence, receipt.entry));

    let report = report(state, &known);
    violations.extend(sequences(state, &known));
    violations.extend(order(state, &known));
    violations.extend(twice(&known));
    violations.extend(known.iter().filter_map(|receipt| contradiction(state, receipt)));
    violations.extend(known.iter().flat_map(|receipt| offsets(state, receipt)));
    violations.extend(sums(state, &report));
    (report, violations.into_iter().map(|violation| violation.partition(partition)).collect())
}

fn second_chains(others: &[&Receipt], state: &LaneState) -> Vec<Violation> {
    let mut chains: BTreeMap<ChainId, u64> = BTreeMap::new();
    for receipt in others {
        *chains.entry(receipt.chain).or_default() += 1;
    }
    let told = chains.into_iter().map(|(chain, count)| {
        let what = format!("{count} receipts of chain {chain}, and the lane log is of chain {}", state.chain);
        Violation::new(Kind::SecondChain, what)
    });
    told.collect()
}

fn report(state: &LaneState, known: &[&Receipt]) -> PartitionReport {
    let (mut published, mut publishing, mut waiting) = (Held::default(), Held::default(), Held::default());
    let mut given_up = Held::default();
    for receipt in known {
        published.add(&receipt.scope, receipt.rows);
    }
    for close in unpublished(state, known) {
        publishing.add(&close.scope, close.row_count());
    }
    let mut open_epochs = Vec::new();
    for (scope, held) in &state.waiting {
        let rows = held.iter().map(|held| held.rows).sum();
        waiting.add(scope, rows);
        open_epochs.push(OpenEpoch { scope: *scope, rows });
    }
    for lost in &state.given_up {
        given_up.add(&lost.scope, lost.held.rows);
    }
    PartitionReport {
        partition: state.identity.partition,
        chain: state.chain,
        entry: state.entry.number,
        start: state.start,
        position: state.position,
        totals: state.totals,
        receipts: u64::try_from(known.len()).unwrap_or(u64::MAX),
        published,
        publishing,
        waiting,
        open_epochs,
        given_up,
    }
}

/// Sequences 1 to the last that was decided: each is published, or still listed, or given up whole; and none twice.
fn sequences(state: &LaneState, known: &[&Receipt]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for pair in known.windows(2) {
        if let [one, other] = pair
            && one.sequence == other.sequence
        {
            let what = format!(
                "receipt {} of the chain is there twice: of entries {} and {}",
                one.sequence, one.entry, other.entry
            );
            violations.push(Violation::new(Kind::ReceiptTwice, what).entry(other.entry));
        }
    }
    let listed = state.closes.iter().map(|close| close.sequence).filter(|sequence| *sequence > 0);
    let given_up = state.given_up.iter().filter_map(|lost| lost.sequence);
    let mut there: Vec<u64> = known.iter().map(|receipt| receipt.sequence).chain(listed).chain(given_up).collect();
    there.sort_unstable();
    there.dedup();
    let mut expected = 1;
    for sequence in there.into_iter().chain([state.closes_decided.saturating_add(1)]) {
        if sequence > expected {
            let last = (sequence - 1).min(state.closes_decided);
            let range =
                if last == expected { format!("receipt {last}") } else { format!("receipts {expected} to {last}") };
            let what =
                format!("{range} of the chain missing: of {} closes with rows that were decided", state.closes_decided);
            let before = known.iter().rev().find(|receipt| receipt.sequence < expected).map(|receipt| receipt.entry);
            let violation = Violation::new(Kind::ReceiptMissing, what);
            violations.push(before.map_or(violation.clone(), |entry| violation.entry(entry)));
        }
        expected = sequence.saturating_add(1).max(expected);
    }
    if let Some(beyond) = known.last().filter(|receipt| receipt.sequence > state.closes_decided) {
        let what = format!("receipt {} of a chain that has decided {} closes", beyond.sequence, state.closes_decided);
        violations.push(Violation::new(Kind::ReceiptContradiction, what).entry(beyond.entry));
    }
    violations
}

/// Along the chain entries and totals never fall, nor do positions unless an operator moved them; closes of one entry agree.
fn order(state: &LaneState, known: &[&Receipt]) -> Vec<Violation> {
    let newest = (state.entry.number, state.position, state.totals);
    let places = known.iter().map(|receipt| (receipt.entry, receipt.position, receipt.totals)).chain([newest]);
    let places: Vec<(EntryNumber, Offset, Totals)> = places.collect();
    let moved_back = |from: EntryNumber, to: EntryNumber| {
        state.jumps.iter().any(|jump| jump.to < jump.from && from < jump.entry && jump.entry <= to)
    };
    let wrong = |(before, after): (&(EntryNumber, Offset, Totals), &(EntryNumber, Offset, Totals))| {
        let same = before.0 == after.0 && (before.1 != after.1 || before.2 != after.2);
        let falls = before.0 > after.0
            || (before.1 > after.1 && !moved_back(before.0, after.0))
            || before.2.records > after.2.records;
        (same || falls).then(|| {
            let what = format!(
                "position {} and {} records at entry {}, yet position {} and {} records at entry {}",
                before.1, before.2.records, before.0, after.1, after.2.records, after.0
            );
            Violation::new(Kind::ReceiptOrder, what).entry(after.0)
        })
    };
    places.iter().zip(places.iter().skip(1)).filter_map(wrong).collect()
}

/// An epoch is closed once for its on-time rows.
fn twice(known: &[&Receipt]) -> Vec<Violation> {
    let mut closed: BTreeMap<Scope, EntryNumber> = BTreeMap::new();
    let mut violations = Vec::new();
    for receipt in known.iter().filter(|receipt| matches!(receipt.scope, Scope::OnTime(_))) {
        if let Some(before) = closed.insert(receipt.scope, receipt.entry)
            && before != receipt.entry
        {
            let epoch = receipt.scope.epoch().map(|epoch| epoch.label()).unwrap_or_default();
            let what = format!("epoch {epoch} was closed by entry {before}, and again by entry {}", receipt.entry);
            violations.push(Violation::new(Kind::EpochTwice, what).entry(receipt.entry));
        }
    }
    violations
}

/// A close that is still listed and its receipt say the same.
fn contradiction(state: &LaneState, receipt: &Receipt) -> Option<Violation> {
    let close =
        state.closes.iter().find(|close| close.entry.number == receipt.entry && close.scope == receipt.scope)?;
    let promised = (close.sequence, close.row_count(), close.position, close.totals);
    let found = (receipt.sequence, receipt.rows, receipt.position, receipt.totals);
    (promised != found).then(|| {
        let what = format!(
            "the close of {close} promises {} rows up to position {} as number {}, its receipt says {} rows up to {} as number {}",
            promised.1, promised.2, promised.0, found.1, found.2, found.0
        );
        Violation::new(Kind::ReceiptContradiction, what).entry(receipt.entry)
    })
}

/// The offsets of a close's files lie where the lane had read: from its start to its position then, each offset once.
fn offsets(state: &LaneState, receipt: &Receipt) -> Vec<Violation> {
    if state.jumps.iter().any(|jump| jump.to < jump.from) {
        // What was read again may lie anywhere, and be there twice.
        return Vec::new();
    }
    let wrong = receipt.files.iter().filter_map(|file| {
        let (first, last) = (file.first_offset, file.last_offset);
        let room =
            last.checked_sub(first).and_then(|span| u64::try_from(span).ok()).map_or(0, |span| span.saturating_add(1));
        let sound = first >= state.start.0 && last < receipt.position.0 && file.rows <= room;
        (!sound).then(|| {
            let what = format!(
                "{} rows at offsets {first} to {last}: the lane had read from {} to {}",
                file.rows, state.start, receipt.position
            );
            let violation = Violation::new(Kind::FileOffsets, what).entry(receipt.entry).offset(first);
            Violation { path: Some(file.path.clone()), ..violation }
        })
    });
    wrong.collect()
}

/// rows + dead letters + drops = records consumed, and each row is published, being published, waiting, or given up.
fn sums(state: &LaneState, report: &PartitionReport) -> Vec<Violation> {
    let totals = state.totals;
    let mut violations = Vec::new();
    let mut compare = |what: &str, found: u64, counted: u64| {
        if found != counted {
            let difference = if found < counted { "missing" } else { "too many" };
            let by = found.abs_diff(counted);
            let what = format!("{what}: {found} found, {counted} counted when they were read: {by} {difference}");
            violations.push(Violation::new(Kind::Sums, what).entry(state.entry.number));
        }
    };
    compare("rows, dead letters and drops", totals.rows + totals.dead_letters + totals.dropped, totals.records);
    let PartitionReport { published, publishing, waiting, given_up, .. } = report;
    let all = |of: fn(&Held) -> u64| of(published) + of(publishing) + of(waiting) + of(given_up);
    compare("rows published or waiting", all(|held| held.rows), totals.rows);
    compare("late rows published or waiting", all(|held| held.late), totals.late);
    compare("dead letters published or waiting", all(|held| held.dead_letters), totals.dead_letters);
    // Offsets may have gaps (compaction, transactions), and may never be fewer than the records.
    let moved: i64 = state.jumps.iter().map(|jump| jump.to.0.saturating_sub(jump.from.0)).sum();
    let passed = state.position.0.saturating_sub(state.start.0).saturating_sub(moved);
    if u64::try_from(passed).is_ok_and(|passed| passed < totals.records) || passed < 0 {
        let what = format!(
            "{} records cannot come from {passed} offsets (from {} to {})",
            totals.records, state.start, state.position
        );
        violations.push(Violation::new(Kind::Sums, what).entry(state.entry.number));
    }
    violations
}
