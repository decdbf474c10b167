//! The metrics of one lane: counters that stay, and gauges that go when the lane goes.
//!
//! Counters start at 0 when a lane is first assigned, so that their first step is seen as a rate. A gauge appears with its first
//! value: a lag that nobody knows yet is not 0.
//!
//! # Invariants
//! * At most one handle of a lane shows gauges, the newest: what an older one sets or releases is not seen.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::IntCounter;

use super::families::Families;
use super::family::{CounterFamily, GaugeFamily};
use crate::engine::state::{Offset, PartitionId};
use crate::engine::time::EventTime;

/// Whether the gauges of a lane are shown through the handle that holds this.
#[derive(Debug, Default)]
pub(super) struct Lease(Mutex<bool>);

impl Lease {
    fn with<T>(&self, act: impl FnOnce(&mut bool) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The metrics of one lane, with their labels looked up once.
///
/// The gauges disappear when this is dropped or [released](Self::release).
#[derive(Debug)]
pub struct LaneMetrics {
    topic: String,
    partition: String,
    families: Arc<Families>,
    lease: Arc<Lease>,
    /// Records taken from Kafka.
    pub records: IntCounter,
    /// Bytes of their values.
    pub bytes: IntCounter,
    /// Records that became rows, late ones included.
    pub rows: IntCounter,
    /// Rows whose epoch was already closed.
    pub late_rows: IntCounter,
    /// Records dropped by choice.
    pub dropped: IntCounter,
    /// Lost offsets skipped by choice.
    pub skipped_offsets: IntCounter,
    /// Records read and dropped before an entry held them.
    pub forgotten: IntCounter,
    /// Entries appended.
    pub entries: IntCounter,
    /// Bytes of the entries appended.
    pub entry_bytes: IntCounter,
    /// Requests for an entry without an answer.
    pub append_no_answer: IntCounter,
    /// Appends that found another owner's entry.
    pub append_conflicts: IntCounter,
    /// Commits that failed.
    pub commit_failures: IntCounter,
    /// Files published.
    pub published_files: IntCounter,
    /// Bytes of the files published.
    pub published_bytes: IntCounter,
    /// Rows in the files published.
    pub published_rows: IntCounter,
    /// Attempts to publish that failed.
    pub publish_failures: IntCounter,
}

impl LaneMetrics {
    /// Returns the handle of a lane, and takes the gauges away from the handle with the lease `before`.
    pub(super) fn new(families: Arc<Families>, topic: &str, partition: PartitionId, before: Option<&Lease>) -> Self {
        let number = partition.to_string();
        let counter = |family: &CounterFamily<2>| family.with([topic, &number]);
        let lane = Self {
            topic: topic.to_owned(),
            records: counter(&families.records_total),
            bytes: counter(&families.bytes_total),
            rows: counter(&families.rows_total),
            late_rows: counter(&families.late_rows_total),
            dropped: counter(&families.dropped_total),
            skipped_offsets: counter(&families.skipped_offsets_total),
            forgotten: counter(&families.forgotten_records_total),
            entries: counter(&families.entries_total),
            entry_bytes: counter(&families.entry_bytes_total),
            append_no_answer: counter(&families.append_no_answer_total),
            append_conflicts: counter(&families.append_conflicts_total),
            commit_failures: counter(&families.commit_failures_total),
            published_files: counter(&families.published_files_total),
            published_bytes: counter(&families.published_bytes_total),
            published_rows: counter(&families.published_rows_total),
            publish_failures: counter(&families.publish_failures_total),
            partition: number,
            families,
            lease: Arc::new(Lease(Mutex::new(true))),
        };
        if let Some(before) = before {
            lane.end(before);
        }
        lane
    }

    pub(super) fn lease(&self) -> Arc<Lease> {
        Arc::clone(&self.lease)
    }

    /// Counts records that became dead letters for `reason`, a stable code.
    pub fn count_dead_letters(&self, reason: &str, records: u64) {
        self.families.dead_letters_total.with([&self.topic, reason]).inc_by(records);
    }

    /// Counts values that did not fit `column`, the name of a column of the schema.
    pub fn count_misfits(&self, column: &str, values: u64) {
        self.families.misfits_total.with([&self.topic, column]).inc_by(values);
    }

    /// Counts fields that the schema does not know.
    pub fn count_unknown_fields(&self, fields: u64) {
        self.families.unknown_fields_total.with([&self.topic]).inc_by(fields);
    }

    /// Says how many records there are between the position and the end of the partition.
    pub fn set_lag(&self, records: u64) {
        self.set(&self.families.lag_records, sample(records));
    }

    /// Says which offset is read next.
    pub fn set_position(&self, position: Offset) {
        self.set(&self.families.position, signed_sample(position.0));
    }

    /// Says which offset the consumer group was last told.
    pub fn set_committed_position(&self, position: Offset) {
        self.set(&self.families.committed_position, signed_sample(position.0));
    }

    /// Says how far event time is believed complete.
    pub fn set_watermark(&self, watermark: EventTime) {
        self.set(&self.families.watermark_timestamp_seconds, seconds(watermark));
    }

    /// Says through which event time the lane is closed.
    pub fn set_closed_through(&self, end: EventTime) {
        self.set(&self.families.closed_through_timestamp_seconds, seconds(end));
    }

    /// Says how many epochs hold rows and are not closed.
    pub fn set_open_epochs(&self, epochs: u64) {
        self.set(&self.families.open_epochs, sample(epochs));
    }

    /// Says how many closes are decided and not yet published.
    pub fn set_pending_closes(&self, closes: u64) {
        self.set(&self.families.pending_closes, sample(closes));
    }

    /// Takes the gauges away, since the lane is no longer owned here; from now on setting them does nothing.
    pub fn release(&self) {
        self.end(&self.lease);
    }

    fn labels(&self) -> [&str; 2] {
        [&self.topic, &self.partition]
    }

    fn set(&self, family: &GaugeFamily<2>, value: f64) {
        self.lease.with(|held| {
            if *held {
                family.set(self.labels(), value);
            }
        });
    }

    fn end(&self, lease: &Lease) {
        lease.with(|held| {
            if std::mem::take(held) {
                for family in self.families.of_an_owned_lane() {
                    family.remove(self.labels());
                }
            }
        });
    }
}

impl Drop for LaneMetrics {
    fn drop(&mut self) {
        self.release();
    }
}

/// Returns a count as a sample, which is a 64-bit float in Prometheus, too: exact up to 2^53.
pub(super) fn sample(count: u64) -> f64 {
    count as f64
}

fn signed_sample(number: i64) -> f64 {
    number as f64
}

/// Returns a time as Unix seconds.
pub(super) fn seconds(time: EventTime) -> f64 {
    signed_sample(time.0) / 1e6
}
