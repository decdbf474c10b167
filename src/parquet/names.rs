//! The names that a Parquet file of ours uses beside the user's columns.

pub use crate::names::{DERIVED, EXTRA, KAFKA_OFFSET, KAFKA_PARTITION, KAFKA_TIMESTAMP, OTHER};

/// The columns of dead letters: the name in [`DeadRows`](super::DeadRows) and in published files, and the name in an
/// entry, where they stand beside the user's columns.
pub const DEAD: [(&str, &str); 4] =
    [("reason", "_dead_reason"), ("detail", "_dead_detail"), ("key", "_dead_key"), ("value", "_dead_value")];
/// The topic of a dead letter, in published files.
pub const TOPIC: &str = "topic";
/// The partition columns of dead letters, from the Kafka timestamp.
pub const DEAD_PARTITION_BY: [&str; 3] = ["year", "month", "day"];

/// What the keys begin with by which a published file says what it is.
pub(super) const SAYS: &str = "streams-to-parquet.";

/// Key of the entry format's version; stands in every version of the format.
pub(super) const FORMAT: &str = "streams-to-parquet.format";
/// Key of the lane's state.
pub(super) const STATE: &str = "streams-to-parquet.state";
/// Key of the index of segments.
pub(super) const SEGMENTS: &str = "streams-to-parquet.segments";
/// Key of the checksum of the page index, before that of the footer; only where there is a page index.
pub(super) const PAGE_INDEX: &str = "streams-to-parquet.page-index";
/// Key of the footer's checksum; stands in every version of the format, behind all other keys.
pub(super) const CHECKSUM: &str = "streams-to-parquet.checksum";

/// Who wrote a file, as readers of Parquet parse it.
pub(super) const CREATED_BY: &str = concat!("streams-to-parquet version ", env!("CARGO_PKG_VERSION"));
