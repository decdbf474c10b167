//! The names that a Parquet file of ours uses beside the user's columns.

/// What no column of its own could hold: unknown fields, misfits and inexact partition values, as a JSON object.
pub const EXTRA: &str = "_extra";
/// The Kafka partition of a row; a constant of each published file.
pub const KAFKA_PARTITION: &str = "_kafka_partition";
/// The Kafka offset of a row.
pub const KAFKA_OFFSET: &str = "_kafka_offset";
/// The Kafka timestamp of a row, if it had one.
pub const KAFKA_TIMESTAMP: &str = "_kafka_timestamp";

/// The columns of dead letters: the name in [`DeadRows`](super::DeadRows) and in published files, and the name in an
/// entry, where they stand beside the user's columns.
pub const DEAD: [(&str, &str); 4] =
    [("reason", "_dead_reason"), ("detail", "_dead_detail"), ("key", "_dead_key"), ("value", "_dead_value")];
/// The topic of a dead letter, in published files.
pub const TOPIC: &str = "topic";
/// The partition columns of dead letters, from the Kafka timestamp.
pub const DEAD_PARTITION_BY: [&str; 3] = ["year", "month", "day"];

/// The partition columns that are derived from the event time.
pub const DERIVED: [&str; 4] = ["year", "month", "day", "hour"];
/// The partition value that the buckets beyond the limit share.
pub const OTHER: &str = "__OTHER__";

/// What the keys begin with by which a published file says what it is.
pub(super) const SAYS: &str = "streams-to-parquet.";

/// Key of the entry format's version; stands in every version of the format.
pub(super) const FORMAT: &str = "streams-to-parquet.format";
/// Key of the lane's state.
pub(super) const STATE: &str = "streams-to-parquet.state";
/// Key of the index of segments.
pub(super) const SEGMENTS: &str = "streams-to-parquet.segments";
/// Key of the footer's checksum; stands in every version of the format, behind all other keys.
pub(super) const CHECKSUM: &str = "streams-to-parquet.checksum";

/// Who wrote a file, as readers of Parquet parse it.
pub(super) const CREATED_BY: &str = concat!("streams-to-parquet version ", env!("CARGO_PKG_VERSION"));
