//! The way out when entries that hold rows are gone for good: the lane goes on without these rows, and says so for ever.
//!
//! An operator's decision, appended like any other entry: whoever owns the lane then finds the number taken, and recovers from it.

use std::collections::BTreeSet;

use super::state::{EntryId, EntryNumber, EntryRef, GivenUp, Held, LaneState, Scope};

/// Returns the state of the next entry, which needs none of the entries that `is_lost` names; `None` if `state` needs none of them.
///
/// `is_published` tells the closes that have a receipt: what they were made of is needed no more, lost or not.
#[must_use]
pub fn give_up(
    state: &LaneState,
    id: EntryId,
    lost: &BTreeSet<EntryRef>,
    is_published: impl Fn(EntryNumber, Scope) -> bool,
) -> Option<LaneState> {
    let mut next = state.clone();
    next.entry = EntryRef { number: state.entry.number.next(), id };
    let by = next.entry.number;
    let is_lost = |held: &Held| lost.contains(&held.entry);
    let mut given_up = Vec::new();
    for (scope, held) in &mut next.waiting {
        let gone = held.extract_if(.., |held| is_lost(held));
        given_up.extend(gone.map(|held| GivenUp { scope: *scope, held, sequence: None, by }));
    }
    next.waiting.retain(|_, held| !held.is_empty());
    for close in next.closes.iter_mut().filter(|close| !is_published(close.entry.number, close.scope)) {
        let gone: Vec<Held> = close.rows.extract_if(.., |held| is_lost(held)).collect();
        // A close without rows is listed for its marker step alone, and has no receipt.
        let sequence = (!gone.is_empty() && close.rows.is_empty()).then(|| std::mem::take(&mut close.sequence));
        let scope = close.scope;
        given_up.extend(gone.into_iter().map(|held| GivenUp { scope, held, sequence, by }));
    }
    if given_up.is_empty() {
        return None;
    }
    next.given_up.extend(given_up);
    Some(next)
}

/// Returns the state of a first entry of this chain, for one that is gone: without rows, as if nothing had been read.
///
/// Nobody goes on from it, since there are later ones. It is there so that nobody who saw the log empty, and was frozen since, can
/// begin a second chain.
#[must_use]
pub fn first_again(state: &LaneState, id: EntryId) -> LaneState {
    LaneState {
        chain: state.chain,
        entry: EntryRef { number: EntryNumber(1), id },
        start: state.start,
        position: state.start,
        ..LaneState::before_the_first_entry(&state.identity)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::state::{ChainId, Close, LaneIdentity, Offset, PartitionId, Recipe, STATE_VERSION, Totals};
    use crate::engine::time::{Epoch, EventTime};

    fn entry(number: u64) -> EntryRef {
        EntryRef { number: EntryNumber(number), id: EntryId(number * 10) }
    }

    fn held(number: u64, rows: u64) -> Held {
        Held { entry: entry(number), rows, bytes: 0 }
    }

    fn epoch(number: i64) -> Epoch {
        Epoch { start: EventTime(number * 900_000_000), end: EventTime((number + 1) * 900_000_000) }
    }

    fn close(number: i64, sequence: u64, rows: Vec<Held>) -> Close {
        let recipe =
            Recipe { partition_by: Vec::new(), max_buckets: 1, layout: 1, schema: 1, compression: "none".to_owned() };
        let scope = Scope::OnTime(epoch(number));
        Close { scope, sequence, entry: entry(5), position: Offset(9), totals: Totals::default(), rows, recipe }
    }

    /// Closes 1 (entries 2 and 3) and 2 (entry 3); waiting rows in entries 3 and 4.
    fn state() -> LaneState {
        LaneState {
            version: STATE_VERSION,
            identity: LaneIdentity {
                group: "g".to_owned(),
                cluster_id: "c".to_owned(),
                topic: "t".to_owned(),
                topic_id: "i".to_owned(),
                partition: PartitionId(0),
            },
            chain: ChainId(1),
            entry: entry(5),
            start: Offset(0),
            position: Offset(9),
            max_event_time: None,
            closed_through: None,
            waiting: BTreeMap::from([
                (Scope::OnTime(epoch(3)), vec![held(3, 1), held(4, 2)]),
                (Scope::DeadLetter, vec![held(3, 5)]),
            ]),
            closes_decided: 2,
            closes: vec![close(1, 1, vec![held(2, 1), held(3, 4)]), close(2, 2, vec![held(3, 3)])],
            totals: Totals::default(),
            accepted_offset: None,
            jumps: Vec::new(),
            given_up: Vec::new(),
        }
    }

    #[test]
    fn the_rest_goes_on_and_what_is_lost_is_said() {
        let lost = BTreeSet::from([entry(3)]);
        let next = give_up(&state(), EntryId(77), &lost, |_, _| false).expect("something is lost");
        assert_eq!(next.entry, EntryRef { number: EntryNumber(6), id: EntryId(77) });
        assert_eq!(next.waiting, BTreeMap::from([(Scope::OnTime(epoch(3)), vec![held(4, 2)])]));
        assert_eq!(next.closes, [close(1, 1, vec![held(2, 1)]), close(2, 0, Vec::new())]);
        assert_eq!(next.closes_decided, 2);
        let told: Vec<_> = next.given_up.iter().map(|lost| (lost.scope, lost.held.rows, lost.sequence)).collect();
        assert_eq!(
            told,
            [
                (Scope::OnTime(epoch(3)), 1, None),
                (Scope::DeadLetter, 5, None),
                (Scope::OnTime(epoch(1)), 4, None),
                (Scope::OnTime(epoch(2)), 3, Some(2)),
            ]
        );
        assert!(next.given_up.iter().all(|lost| lost.by == EntryNumber(6)));
        // Said once; and nothing more is lost.
        assert_eq!(give_up(&next, EntryId(78), &lost, |_, _| false), None);
    }

    #[test]
    fn what_is_published_is_not_given_up() {
        let lost = BTreeSet::from([entry(3)]);
        let next = give_up(&state(), EntryId(77), &lost, |_, scope| scope == Scope::OnTime(epoch(1)));
        let next = next.expect("something is lost");
        assert_eq!(next.closes[0], close(1, 1, vec![held(2, 1), held(3, 4)]));
        assert_eq!(give_up(&state(), EntryId(77), &BTreeSet::from([entry(9)]), |_, _| false), None);
        // Another entry has the number: the one that held the rows is lost all the same.
        let other = BTreeSet::from([EntryRef { id: EntryId(1), ..entry(3) }]);
        assert_eq!(give_up(&state(), EntryId(77), &other, |_, _| false), None);
    }
}
