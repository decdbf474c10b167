//! The names of the columns that this program adds, and of what stands for partition values: said once, for all who write or read them.

/// What no column of its own could hold: unknown fields, misfits and inexact partition values, as a JSON object.
pub const EXTRA: &str = "_extra";
/// The Kafka partition of a row; a constant of each published file.
pub const KAFKA_PARTITION: &str = "_kafka_partition";
/// The Kafka offset of a row.
pub const KAFKA_OFFSET: &str = "_kafka_offset";
/// The Kafka timestamp of a row, if it had one.
pub const KAFKA_TIMESTAMP: &str = "_kafka_timestamp";

/// The partition columns that are derived from the event time.
pub const DERIVED: [&str; 4] = ["year", "month", "day", "hour"];
/// The partition value that the buckets beyond the limit share.
pub const OTHER: &str = "__OTHER__";
