//! Merge: an entry takes over the rows of older ones, so that an epoch that stays open for long is in few entries.
//!
//! What an older entry holds for a scope leaves the state of the lane when the next entry names itself for those rows. Closes that
//! are listed already keep the entries that they name.

use super::super::event::TakeOver;
use super::super::mutation::Mutation;
use super::super::state::{Held, LaneState};
use super::{Fresh, Lane};

/// When an append takes over rows of older entries, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MergeConfig {
    /// The most entries that hold rows of one scope before the next append takes some of them over.
    pub most_entries: usize,
    /// The most bytes of records whose rows one append takes over in a scope: they are in memory at once. What is larger stays where it is.
    pub most_bytes: u64,
}

impl MergeConfig {
    /// Returns how many of the newest of `held` the next entry takes over beside its own `fresh` rows.
    ///
    /// Taken over is what is at most twice as large as everything newer together: so every row is written again only a number of
    /// times that grows with the logarithm of the rows.
    fn taken_over(&self, held: &[Held], fresh: Fresh) -> usize {
        if held.len() + usize::from(fresh.rows > 0) <= self.most_entries {
            return 0;
        }
        let mut sum = fresh.bytes.max(1);
        let mut taken = 0;
        for older in held.iter().rev() {
            if older.bytes > sum.saturating_mul(2) || sum.saturating_add(older.bytes) > self.most_bytes {
                break;
            }
            sum = sum.saturating_add(older.bytes);
            taken += 1;
        }
        // One entry for one entry gains nothing.
        if taken + usize::from(fresh.rows > 0) < 2 { 0 } else { taken }
    }
}

impl Lane {
    /// Has the entry of `state` take over what is in too many entries; returns what its bytes must hold beside the new rows.
    ///
    /// Not at a handover, which must be quick.
    pub(super) fn merge(&self, state: &mut LaneState) -> Vec<TakeOver> {
        if self.handing_over || self.breaks(Mutation::RebuildAfterNoAnswer) {
            return Vec::new();
        }
        let entry = state.entry;
        let mut taken_over = Vec::new();
        for (scope, held) in &mut state.waiting {
            let fresh = held.pop_if(|held| held.entry == entry);
            let fresh = fresh.map(|held| Fresh { rows: held.rows, bytes: held.bytes }).unwrap_or_default();
            let taken = held.split_off(held.len() - self.config.merge.taken_over(held, fresh));
            let rows = taken.iter().map(|older| older.rows).sum::<u64>() + fresh.rows;
            let bytes = taken.iter().map(|older| older.bytes).sum::<u64>() + fresh.bytes;
            if rows > 0 {
                held.push(Held { entry, rows, bytes });
            }
            if !taken.is_empty() {
                taken_over.push(TakeOver { scope: *scope, held: taken });
            }
        }
        taken_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::state::{EntryId, EntryNumber, EntryRef};

    const MERGE: MergeConfig = MergeConfig { most_entries: 4, most_bytes: 1_000 };

    fn held(bytes: &[u64]) -> Vec<Held> {
        let entry = |number| EntryRef { number: EntryNumber(number), id: EntryId(number) };
        (1..).zip(bytes).map(|(number, bytes)| Held { entry: entry(number), rows: 1, bytes: *bytes }).collect()
    }

    fn taken_over(sizes: &[u64], fresh: u64) -> usize {
        MERGE.taken_over(&held(sizes), Fresh { rows: fresh, bytes: fresh })
    }

    #[test]
    fn few_entries_are_left_alone_and_many_of_one_size_are_taken_over() {
        assert_eq!(taken_over(&[10, 10, 10], 10), 0);
        assert_eq!(taken_over(&[10, 10, 10, 10], 0), 0);
        assert_eq!(taken_over(&[10, 10, 10, 10], 10), 4);
        assert_eq!(
            taken_over(&[10, 10, 10, 10, 10], 0),
            0,
            "without new rows there is nothing to be twice as large as"
        );
    }

    #[test]
    fn what_is_much_larger_than_all_that_is_newer_is_not_written_again() {
        assert_eq!(taken_over(&[100, 10, 10, 10], 10), 3, "100 is more than twice 40");
        assert_eq!(taken_over(&[80, 10, 10, 10], 10), 4);
        assert_eq!(taken_over(&[10, 10, 10, 50], 10), 0);
    }

    #[test]
    fn no_more_is_taken_over_than_memory_allows() {
        assert_eq!(taken_over(&[400, 400, 400, 400], 400), 1);
        assert_eq!(taken_over(&[900, 900, 900, 900], 900), 0);
    }
}
