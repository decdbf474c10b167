//! Epoch markers: when an epoch is complete in every partition of the topic.

use std::collections::{BTreeMap, BTreeSet};

use super::state::PartitionId;
use super::time::{Epoch, EpochLength, EventTime};

/// How many epochs without any file are marked in one step. A longer gap of event time (a topic that starts again after years) is
/// bridged by marking only the epochs that have files.
pub const MOST_EMPTY_EPOCHS: usize = 1_000;

/// Returns the epochs to mark, oldest first: those that every partition has passed and that have no marker.
///
/// `closed_through` holds how far each partition is closed and published; `with_files` are the epochs that have receipts;
/// `marked` are those that have a marker. Between the newest marked epoch and the last that all have passed, epochs in which no
/// partition had a row are marked too.
#[must_use]
pub fn due(
    length: EpochLength,
    partitions: &[PartitionId],
    closed_through: &BTreeMap<PartitionId, EventTime>,
    with_files: &BTreeSet<Epoch>,
    marked: &BTreeSet<Epoch>,
) -> Vec<Epoch> {
    let passed = partitions.iter().map(|partition| closed_through.get(partition).copied()).min().flatten();
    let Some(through) = passed else { return Vec::new() };
    let complete = |epoch: &&Epoch| epoch.end <= through && !marked.contains(epoch);
    let mut due: BTreeSet<Epoch> = with_files.iter().filter(complete).copied().collect();
    let Some(newest) = marked.iter().chain(&due).max().copied().filter(|newest| newest.end <= through) else {
        return due.into_iter().collect();
    };
    let from = marked.iter().max().map_or(newest.end, |epoch| epoch.end);
    let gap_us = through.0.saturating_sub(from.0);
    if usize::try_from(gap_us / length.as_us()).is_ok_and(|epochs| epochs <= MOST_EMPTY_EPOCHS) {
        let mut next = length.epoch_of(from);
        while next.end <= through {
            if !marked.contains(&next) {
                due.insert(next);
            }
            next = length.epoch_of(next.end);
        }
    }
    due.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUARTER_US: i64 = 900_000_000;

    fn length() -> EpochLength {
        EpochLength::from_us(QUARTER_US).expect("15 minutes divide a day")
    }

    fn epoch(number: i64) -> Epoch {
        length().epoch_of(EventTime(number * QUARTER_US))
    }

    fn passed(through: &[(i32, i64)]) -> BTreeMap<PartitionId, EventTime> {
        through.iter().map(|(partition, epochs)| (PartitionId(*partition), EventTime(epochs * QUARTER_US))).collect()
    }

    #[test]
    fn an_epoch_is_complete_when_the_slowest_partition_has_passed_it() {
        let partitions = [PartitionId(0), PartitionId(1)];
        let files = BTreeSet::from([epoch(4), epoch(5)]);
        let due = due(length(), &partitions, &passed(&[(0, 9), (1, 5)]), &files, &BTreeSet::new());
        assert_eq!(due, [epoch(4)]);
    }

    #[test]
    fn a_partition_that_has_said_nothing_holds_up_every_epoch() {
        let partitions = [PartitionId(0), PartitionId(1)];
        let due = due(length(), &partitions, &passed(&[(0, 9)]), &BTreeSet::from([epoch(4)]), &BTreeSet::new());
        assert_eq!(due, []);
    }

    #[test]
    fn epochs_without_rows_are_marked_between_those_that_have_some() {
        let partitions = [PartitionId(0)];
        let files = BTreeSet::from([epoch(4), epoch(6)]);
        let due = due(length(), &partitions, &passed(&[(0, 8)]), &files, &BTreeSet::from([epoch(4)]));
        assert_eq!(due, [epoch(5), epoch(6), epoch(7)]);
    }

    #[test]
    fn a_gap_of_years_is_not_filled() {
        let partitions = [PartitionId(0)];
        let files = BTreeSet::from([epoch(4), epoch(50_000)]);
        let due = due(length(), &partitions, &passed(&[(0, 50_001)]), &files, &BTreeSet::from([epoch(4)]));
        assert_eq!(due, [epoch(50_000)]);
    }
}
