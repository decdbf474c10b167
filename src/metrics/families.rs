//! Every metric of the program.
//!
//! The name of a field, behind the common prefix, is the name of the metric; its doc comment is the help text.

use prometheus::{Gauge, Histogram};

use super::MetricsError;
use super::family::{CounterFamily, GaugeFamily, Registration, families};

const LANE: [&str; 2] = ["topic", "partition"];
const TOPIC: [&str; 1] = ["topic"];

/// Seconds that one request to the store or to Kafka takes: from a local disk to an outage.
const REQUEST: &[f64] =
    &[0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
/// Seconds that work on all the files of a close takes: from one small bucket to ten thousand.
const CLOSE: &[f64] = &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0];

families! {
    /// Every metric family, by the name of the metric.
    #[derive(Debug)]
    struct Families {
        /// Records taken from Kafka.
        records_total: CounterFamily<2> = LANE,
        /// Bytes of the values of the records taken from Kafka.
        bytes_total: CounterFamily<2> = LANE,
        /// Records that became rows, late ones included.
        rows_total: CounterFamily<2> = LANE,
        /// Rows whose epoch was already closed when they were read.
        late_rows_total: CounterFamily<2> = LANE,
        /// Records that could not become a row and are kept with the reason.
        dead_letters_total: CounterFamily<2> = ["topic", "reason"],
        /// Records that were dropped because the operator chose so.
        dropped_total: CounterFamily<2> = LANE,
        /// Kafka offsets that were gone before they were read and were skipped because the operator chose so.
        skipped_offsets_total: CounterFamily<2> = LANE,
        /// Records that were read and dropped before an entry held them, at most: whoever owns the partition next reads them again.
        forgotten_records_total: CounterFamily<2> = LANE,
        /// Values that did not fit their column.
        misfits_total: CounterFamily<2> = ["topic", "column"],
        /// Fields that the schema does not know.
        unknown_fields_total: CounterFamily<1> = TOPIC,

        /// Records between the position and the end of the Kafka partition.
        lag_records: GaugeFamily<2> = LANE,
        /// Next Kafka offset to read.
        position: GaugeFamily<2> = LANE,
        /// Kafka offset that was last committed to the consumer group.
        committed_position: GaugeFamily<2> = LANE,
        /// Event time up to which records are believed complete, as a Unix time.
        watermark_timestamp_seconds: GaugeFamily<2> = LANE,
        /// End of the last closed epoch, as a Unix time of event time.
        closed_through_timestamp_seconds: GaugeFamily<2> = LANE,
        /// Epochs that hold rows and are not closed.
        open_epochs: GaugeFamily<2> = LANE,
        /// Closes that are decided and not yet published.
        pending_closes: GaugeFamily<2> = LANE,

        /// Entries appended to the lane log.
        entries_total: CounterFamily<2> = LANE,
        /// Bytes of the entries appended to the lane log.
        entry_bytes_total: CounterFamily<2> = LANE,
        /// Seconds from the first request for an entry until it is known to be created.
        append_duration_seconds: Histogram = REQUEST,
        /// Requests for an entry without an answer, each of which is repeated.
        append_no_answer_total: CounterFamily<2> = LANE,
        /// Appends that found an entry of another owner in their place.
        append_conflicts_total: CounterFamily<2> = LANE,
        /// Seconds that a commit of one offset to Kafka takes.
        commit_duration_seconds: Histogram = REQUEST,
        /// Commits to Kafka that failed, each of which is repeated with the next.
        commit_failures_total: CounterFamily<2> = LANE,

        /// Parquet files published.
        published_files_total: CounterFamily<2> = LANE,
        /// Bytes of the Parquet files published.
        published_bytes_total: CounterFamily<2> = LANE,
        /// Rows in the Parquet files published.
        published_rows_total: CounterFamily<2> = LANE,
        /// Seconds that assembling the files of a close takes.
        assemble_duration_seconds: Histogram = CLOSE,
        /// Seconds from the beginning of the assembly of a close until its receipt is put.
        publish_duration_seconds: Histogram = CLOSE,
        /// Attempts to publish a close that failed, each of which is repeated.
        publish_failures_total: CounterFamily<2> = LANE,
        /// Start of the oldest epoch without a marker, as a Unix time of event time.
        oldest_unmarked_epoch_timestamp_seconds: GaugeFamily<1> = TOPIC,
        /// Kafka partition that holds up the oldest epoch without a marker.
        oldest_unmarked_epoch_partition: GaugeFamily<1> = TOPIC,

        /// Rebalances of the consumer group, by what they did to partitions of this process.
        rebalances_total: CounterFamily<1> = ["kind"],
        /// Kafka partitions assigned to this process.
        assigned_partitions: Gauge = [],
        /// Assigned lanes that are stopped by an error and wait for the operator.
        lanes_stopped: Gauge = [],
        /// Assigned lanes that have had something to do for half of the stall timeout, and made no progress.
        lanes_stalled: Gauge = [],
        /// Bytes of memory taken from the budget.
        memory_used_bytes: Gauge = [],
        /// Bytes of memory in the budget.
        memory_limit_bytes: Gauge = [],
        /// Version of the program; always 1.
        build_info: GaugeFamily<1> = ["version"],
    }
}

impl Families {
    /// Returns the families whose gauges speak of an owned lane, and go with it.
    pub(super) const fn of_an_owned_lane(&self) -> [&GaugeFamily<2>; 7] {
        [
            &self.lag_records,
            &self.position,
            &self.committed_position,
            &self.watermark_timestamp_seconds,
            &self.closed_through_timestamp_seconds,
            &self.open_epochs,
            &self.pending_closes,
        ]
    }
}
