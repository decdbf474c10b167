//! How far the producer may run ahead of the consumer group.
//!
//! # Invariant
//! No partition ever holds more than [`MOST_BYTES`] that are not committed: less than the embedded broker keeps, so that it never drops
//! a record that somebody still has to read. Bytes are counted before compression: more than the broker counts.

use std::collections::VecDeque;

/// The most that a partition may hold beyond its committed offset, in bytes; the broker keeps 5 MiB.
pub(super) const MOST_BYTES: usize = 4 << 20;
/// What a record needs beside its key and value, in bytes, rounded up.
const AROUND_RECORD_BYTES: usize = 100;

/// What was sent to each partition and is not committed yet.
#[derive(Debug)]
pub(super) struct Ledger {
    partitions: Vec<Partition>,
}

#[derive(Debug, Default, Clone)]
struct Partition {
    /// The bytes of each record that is not committed, oldest first.
    records: VecDeque<usize>,
    bytes: usize,
    committed: i64,
}

impl Ledger {
    pub(super) fn new(partitions: usize) -> Self {
        Self { partitions: vec![Partition::default(); partitions] }
    }

    /// Notes a record of `bytes`, if there is room for it. The records of a partition get the offsets 0, 1, 2, …
    pub(super) fn send(&mut self, partition: usize, bytes: usize) -> bool {
        let Some(partition) = self.partitions.get_mut(partition) else { return false };
        let bytes = bytes + AROUND_RECORD_BYTES;
        let room = partition.bytes + bytes <= MOST_BYTES;
        if room {
            partition.records.push_back(bytes);
            partition.bytes += bytes;
        }
        room
    }

    /// Notes that a partition is committed up to `offset`, the next to read. An older commit says nothing new.
    pub(super) fn commit(&mut self, partition: usize, offset: i64) {
        let Some(partition) = self.partitions.get_mut(partition) else { return };
        while partition.committed < offset {
            let Some(bytes) = partition.records.pop_front() else { return };
            partition.bytes -= bytes;
            partition.committed += 1;
        }
    }

    /// Returns how many records are committed.
    pub(super) fn committed(&self) -> u64 {
        self.partitions.iter().map(|partition| u64::try_from(partition.committed).unwrap_or(0)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_takes_no_more_than_the_broker_keeps() {
        let mut ledger = Ledger::new(2);
        let half = MOST_BYTES / 2 - AROUND_RECORD_BYTES;
        assert!(ledger.send(0, half));
        assert!(ledger.send(0, half));
        assert!(!ledger.send(0, 0), "full to the last byte");
        assert!(ledger.send(1, half), "another partition has its own room");
    }

    #[test]
    fn what_is_committed_makes_room() {
        let mut ledger = Ledger::new(1);
        let half = MOST_BYTES / 2 - AROUND_RECORD_BYTES;
        assert!(ledger.send(0, half) && ledger.send(0, half));
        ledger.commit(0, 1);
        assert!(ledger.send(0, half));
        assert!(!ledger.send(0, half));
        ledger.commit(0, 1); // an older commit, heard again
        assert_eq!(ledger.committed(), 1);
        ledger.commit(0, 9); // more than was ever sent
        assert_eq!(ledger.committed(), 3);
    }
}
