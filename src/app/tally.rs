//! What an instance has done, for the summary at its end.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytesize::ByteSize;

use crate::engine::state::Totals;

/// Counters that all threads add to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    records: AtomicU64,
    rows: AtomicU64,
    late: AtomicU64,
    dead_letters: AtomicU64,
    dropped: AtomicU64,
    forgotten: AtomicU64,
    closes: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    /// Adds what an entry has beyond the one before.
    pub(super) fn add(&self, before: &Totals, now: &Totals) {
        let count = |counter: &AtomicU64, before: u64, now: u64| {
            counter.fetch_add(now.saturating_sub(before), Ordering::Relaxed)
        };
        count(&self.records, before.records, now.records);
        count(&self.rows, before.rows, now.rows);
        count(&self.late, before.late, now.late);
        count(&self.dead_letters, before.dead_letters, now.dead_letters);
        count(&self.dropped, before.dropped, now.dropped);
    }

    /// Adds records that were read and dropped before an entry held them.
    pub(super) fn add_forgotten(&self, records: u64) {
        self.forgotten.fetch_add(records, Ordering::Relaxed);
    }

    /// Adds a publication of `files` with `bytes`.
    pub(super) fn add_publication(&self, files: u64, bytes: u64) {
        self.closes.fetch_add(1, Ordering::Relaxed);
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns the counters as they are now.
    #[must_use]
    pub(super) fn summary(&self, elapsed: Duration) -> Summary {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Summary {
            records: read(&self.records),
            rows: read(&self.rows),
            late: read(&self.late),
            dead_letters: read(&self.dead_letters),
            dropped: read(&self.dropped),
            forgotten: read(&self.forgotten),
            closes: read(&self.closes),
            files: read(&self.files),
            bytes: read(&self.bytes),
            elapsed,
        }
    }
}

/// What an instance has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Records taken from Kafka.
    pub records: u64,
    /// Rows, late ones included.
    pub rows: u64,
    /// Late rows.
    pub late: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Late records that were dropped.
    pub dropped: u64,
    /// Records read and dropped before an entry held them, at most: the next owner reads them again.
    pub forgotten: u64,
    /// Closes that were published: an epoch (or its late rows, or dead letters) of a partition.
    pub closes: u64,
    /// Files that were published.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        writeln!(f, "records read        {:>14}", self.records)?;
        writeln!(f, "  rows              {:>14}   of which late {}", self.rows, self.late)?;
        writeln!(f, "  dead letters      {:>14}", self.dead_letters)?;
        writeln!(f, "  dropped           {:>14}", self.dropped)?;
        writeln!(f, "left to read again  {:>14}   (read, and in no entry yet, when a partition went)", self.forgotten)?;
        writeln!(f, "published by this instance")?;
        writeln!(
            f,
            "  closes            {:>14}   (an epoch of a partition, its late rows, or dead letters)",
            self.closes
        )?;
        writeln!(f, "  files             {:>14}   {}", self.files, ByteSize::b(self.bytes))?;
        write!(f, "time                {seconds:>13.1}s")
    }
}
