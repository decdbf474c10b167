//! Whether a state can be one that a lane wrote: its parts agree with each other.
//!
//! A checksum says that bytes are those that were written; this says that they make sense. A state that was edited by hand, or written by
//! something else, is refused before anything is read, published or collected by it.
//!
//! # Invariants
//! Every state that a lane appends is sound: the simulation looks at each.

use std::collections::BTreeMap;

use super::state::{Close, EntryId, EntryNumber, Held, LaneState, Scope, Totals};
use super::time::{BEYOND_LATEST, EARLIEST, Epoch};

/// The greatest number, offset or count that leaves room to go on counting; no lane gets there.
const MOST: u64 = 1 << 62;

impl LaneState {
    /// Returns what contradicts what in this state; `None` if it is sound.
    #[must_use]
    pub fn contradiction(&self) -> Option<String> {
        self.counting().or_else(|| self.entries()).or_else(|| self.scopes()).or_else(|| self.closes_in_order())
    }

    /// Numbers are there to be counted on, and sums agree.
    fn counting(&self) -> Option<String> {
        let Totals { records, rows, late, dead_letters, dropped, skipped_offsets } = self.totals;
        let counts = [records, rows, late, dead_letters, dropped, skipped_offsets, self.closes_decided];
        let offsets = [self.start.0, self.position.0].map(|offset| u64::try_from(offset).unwrap_or(u64::MAX));
        if counts.into_iter().chain(offsets).chain([self.entry.number.0]).any(|number| number > MOST) {
            return Some("a number, an offset or a count is beyond all that a lane counts".to_owned());
        }
        if self.entry.number == EntryNumber(0) {
            return Some("it is entry 0, and the first is 1".to_owned());
        }
        let kept = rows + dead_letters + dropped;
        if kept != records || late > rows {
            return Some(format!(
                "{records} records were taken, and {rows} rows ({late} late), {dead_letters} dead letters and {dropped} dropped do not add up to them"
            ));
        }
        let held = self.all_held().try_fold(0_u64, |sum, (_, held)| sum.checked_add(held.rows));
        if held.is_none_or(|held| held > rows + dead_letters) {
            return Some(format!("more rows wait than the {} that were read", rows + dead_letters));
        }
        None
    }

    /// What waits is in entries up to this one, each of one id, the oldest first.
    fn entries(&self) -> Option<String> {
        let mut ids: BTreeMap<EntryNumber, EntryId> = BTreeMap::from([(self.entry.number, self.entry.id)]);
        let refs = self.all_held().map(|(_, held)| held.entry).chain(self.closes.iter().map(|close| close.entry));
        for entry in refs {
            if entry.number == EntryNumber(0) || entry.number > self.entry.number {
                return Some(format!("it names entry {}, and is entry {}", entry.number, self.entry.number));
            }
            if *ids.entry(entry.number).or_insert(entry.id) != entry.id {
                return Some(format!("it knows entry {} by two ids", entry.number));
            }
        }
        let mut lists = self.waiting.values().chain(self.closes.iter().map(|close| &close.rows));
        let unordered = lists.any(|list| !list.is_sorted_by(|one, next| one.entry.number < next.entry.number));
        unordered.then(|| "entries with rows are not listed from the oldest on".to_owned())
    }

    /// Epochs are times that rows can have, and none is open that is closed.
    fn scopes(&self) -> Option<String> {
        let scopes = self.waiting.keys().chain(self.closes.iter().map(|close| &close.scope));
        let epochs = scopes.filter_map(|scope| scope.epoch());
        for Epoch { start, end } in epochs {
            if start < EARLIEST || start >= end || end > BEYOND_LATEST {
                return Some(format!("no epoch begins at {} µs and ends at {} µs", start.0, end.0));
            }
        }
        let open = |scope: &Scope| matches!(scope, Scope::OnTime(epoch) if Some(epoch.end) <= self.closed_through);
        if let Some(scope) = self.waiting.keys().find(|scope| open(scope)) {
            return Some(format!("{scope} is open, and is closed"));
        }
        self.waiting.iter().find(|(_, held)| held.is_empty()).map(|(scope, _)| format!("{scope} waits without rows"))
    }

    /// Closes come in the order of their decisions; those with rows are numbered.
    fn closes_in_order(&self) -> Option<String> {
        let numbered = |close: &Close| close.sequence > 0;
        if self.closes.iter().any(|close| numbered(close) == close.rows.is_empty()) {
            return Some("a close with rows has no number, or one without rows has one".to_owned());
        }
        let sequences: Vec<u64> =
            self.closes.iter().filter(|close| numbered(close)).map(|close| close.sequence).collect();
        let ascend = sequences.is_sorted_by(|one, next| one < next);
        if !ascend || sequences.last().is_some_and(|last| *last > self.closes_decided) {
            return Some(format!("its closes are numbered {sequences:?} of {}", self.closes_decided));
        }
        None
    }

    fn all_held(&self) -> impl Iterator<Item = (&Scope, &Held)> {
        let waiting = self.waiting.iter().flat_map(|(scope, held)| held.iter().map(move |held| (scope, held)));
        waiting.chain(self.closes.iter().flat_map(|close| close.rows.iter().map(move |held| (&close.scope, held))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::{ChainId, EntryRef, LaneIdentity, Offset, PartitionId, Recipe, STATE_VERSION};
    use super::super::time::EventTime;
    use super::*;

    const QUARTER_US: i64 = 900_000_000;

    fn epoch(number: i64) -> Epoch {
        Epoch { start: EventTime(number * QUARTER_US), end: EventTime((number + 1) * QUARTER_US) }
    }

    fn held(number: u64) -> Held {
        Held { entry: EntryRef { number: EntryNumber(number), id: EntryId(number) }, rows: 10, bytes: 100 }
    }

    fn close(sequence: u64, rows: Vec<Held>) -> Close {
        let recipe =
            Recipe { partition_by: Vec::new(), max_buckets: 1, layout: 1, schema: 1, compression: "none".to_owned() };
        let (entry, totals) = (held(5).entry, Totals::default());
        Close { scope: Scope::OnTime(epoch(3)), sequence, entry, position: Offset(50), totals, rows, recipe }
    }

    fn sound() -> LaneState {
        let identity = LaneIdentity {
            group: "g".to_owned(),
            cluster_id: "c".to_owned(),
            topic: "t".to_owned(),
            topic_id: "i".to_owned(),
            partition: PartitionId(0),
        };
        LaneState {
            version: STATE_VERSION,
            chain: ChainId(7),
            entry: held(6).entry,
            position: Offset(60),
            closed_through: Some(epoch(3).end),
            waiting: BTreeMap::from([(Scope::OnTime(epoch(4)), vec![held(2), held(6)])]),
            closes_decided: 2,
            closes: vec![close(0, Vec::new()), close(2, vec![held(3), held(5)])],
            totals: Totals { records: 60, rows: 55, late: 3, dead_letters: 5, ..Totals::default() },
            ..LaneState::before_the_first_entry(&identity)
        }
    }

    #[test]
    fn a_state_that_agrees_with_itself_is_sound() {
        assert_eq!(sound().contradiction(), None);
    }

    #[test]
    fn every_contradiction_is_told() {
        type Edit = fn(&mut LaneState);
        let edits: [(&str, Edit); 18] = [
            ("beyond all that a lane counts", |state| state.entry.number = EntryNumber(u64::MAX)),
            ("beyond all that a lane counts", |state| state.position = Offset(-1)),
            ("beyond all that a lane counts", |state| state.totals.rows = u64::MAX),
            ("entry 0", |state| state.entry.number = EntryNumber(0)),
            ("do not add up", |state| state.totals.dropped = 1),
            ("do not add up", |state| state.totals.late = 56),
            ("more rows wait", |state| state.closes[1].rows[0].rows = 40),
            ("more rows wait", |state| state.closes[1].rows[0].rows = u64::MAX),
            ("names entry 9", |state| state.closes[1].rows[1].entry.number = EntryNumber(9)),
            ("names entry 0", |state| state.closes[0].entry.number = EntryNumber(0)),
            ("two ids", |state| state.closes[1].rows[1].entry.id = EntryId(6)),
            ("from the oldest on", |state| state.closes[1].rows.reverse()),
            ("no epoch begins", |state| {
                state.closes[0].scope = Scope::Late(Epoch { start: EventTime(1), end: EventTime(1) })
            }),
            ("no epoch begins", |state| {
                state.closes[0].scope = Scope::Late(Epoch { start: EventTime(i64::MIN), end: EventTime(1) })
            }),
            ("is open, and is closed", |state| state.closed_through = Some(epoch(4).end)),
            ("waits without rows", |state| _ = state.waiting.insert(Scope::DeadLetter, Vec::new())),
            ("has no number", |state| state.closes[1].sequence = 0),
            ("are numbered", |state| state.closes_decided = 1),
        ];
        for (expected, edit) in edits {
            let mut state = sound();
            edit(&mut state);
            let told = state.contradiction().unwrap_or_else(|| panic!("unnoticed: {expected}"));
            assert!(told.contains(expected), "{told}");
        }
    }
}
