//! The durable records of what is published: the receipt of a close, and the marker of an epoch.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::engine::state::{ChainId, Close, EntryNumber, Offset, PartitionId, Scope, Totals};
use crate::engine::time::Epoch;

/// The version of the receipt's format that this program writes, and the only one that it reads.
pub const RECEIPT_VERSION: u32 = 1;
/// The version of the marker's format that this program writes, and the only one that it reads.
pub const MARKER_VERSION: u32 = 1;

/// Why a record cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A version of the format that this program does not know.
    #[error("version {found} is not known, this program knows {known}: update it")]
    Version {
        /// The version that the record names.
        found: u32,
        /// The version that this program knows.
        known: u32,
    },
    /// It is not what this program writes.
    #[error("not a record of this program: {source}")]
    Form {
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The durable record that a close is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// [`RECEIPT_VERSION`].
    pub version: u32,
    /// The topic's name.
    pub topic: String,
    /// The topic's id.
    pub topic_id: String,
    /// The Kafka partition.
    pub partition: PartitionId,
    /// The chain of the lane log.
    pub chain: ChainId,
    /// The closing entry's number.
    pub entry: EntryNumber,
    /// The close's place among those of the chain that have rows: 1, 2, 3, …
    pub sequence: u64,
    /// Which rows.
    #[serde(flatten)]
    pub scope: Scope,
    /// The lane's position in the closing entry.
    pub position: Offset,
    /// The lane's totals in the closing entry.
    pub totals: Totals,
    /// The version of the schema.
    pub schema: u32,
    /// How many rows, in all files together.
    pub rows: u64,
    /// How many bytes, in all files together.
    pub bytes: u64,
    /// The files.
    pub files: Vec<FileReceipt>,
    /// Who wrote it.
    pub program: String,
}

/// A file as it is in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileReceipt {
    /// Its path, relative to the output.
    pub path: String,
    /// How many rows.
    pub rows: u64,
    /// The lowest Kafka offset among them.
    pub first_offset: i64,
    /// The highest Kafka offset among them.
    pub last_offset: i64,
    /// Its size in bytes.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// Says that the on-time files of an epoch are complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// [`MARKER_VERSION`].
    pub version: u32,
    /// The topic's name.
    pub topic: String,
    /// The topic's id.
    pub topic_id: String,
    /// The epoch.
    pub epoch: MarkedEpoch,
    /// The partitions that the topic had, all of which have passed the epoch.
    pub partitions: Vec<PartitionId>,
    /// What the marker says, for people.
    pub means: String,
}

/// An epoch as a marker tells it: RFC 3339, for people and their tools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkedEpoch {
    /// The first time inside.
    pub start: String,
    /// The first time behind.
    pub end: String,
}

impl From<Epoch> for MarkedEpoch {
    fn from(epoch: Epoch) -> Self {
        Self { start: epoch.start.to_string(), end: epoch.end.to_string() }
    }
}

impl Receipt {
    /// Reads a receipt.
    ///
    /// # Errors
    /// When the bytes are no receipt of a known version.
    pub fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        read(bytes, RECEIPT_VERSION)
    }

    /// Returns in what this is not the receipt of `close`, or not all of it; `None` if it is.
    ///
    /// What the files hold is for `verify` to say: a job may have compacted them since.
    #[must_use]
    pub fn contradicts(&self, topic_id: &str, partition: PartitionId, chain: ChainId, close: &Close) -> Option<String> {
        let parts = [
            ("topic", self.topic_id == topic_id),
            ("partition", self.partition == partition),
            ("chain", self.chain == chain),
            ("entry", self.entry == close.entry.number),
            ("sequence", self.sequence == close.sequence),
            ("scope", self.scope == close.scope),
            ("position", self.position == close.position),
            ("totals", self.totals == close.totals),
            ("rows", self.rows == close.row_count()),
            ("rows of its files", sum(&self.files, |file| file.rows) == Some(self.rows)),
            ("bytes of its files", sum(&self.files, |file| file.bytes) == Some(self.bytes)),
        ];
        let others: Vec<&str> = parts.into_iter().filter(|(_, agrees)| !agrees).map(|(what, _)| what).collect();
        (!others.is_empty()).then(|| others.join(", "))
    }
}

fn sum(files: &[FileReceipt], of: impl Fn(&FileReceipt) -> u64) -> Option<u64> {
    files.iter().map(of).try_fold(0_u64, u64::checked_add)
}

impl Marker {
    /// Returns the marker of an epoch that all of `partitions` have passed.
    #[must_use]
    pub fn new(topic: &str, topic_id: &str, epoch: Epoch, partitions: &[PartitionId]) -> Self {
        Self {
            version: MARKER_VERSION,
            topic: topic.to_owned(),
            topic_id: topic_id.to_owned(),
            epoch: epoch.into(),
            partitions: partitions.to_vec(),
            means: "the on-time files of this epoch are complete; late files may follow".to_owned(),
        }
    }

    /// Reads a marker.
    ///
    /// # Errors
    /// When the bytes are no marker of a known version.
    pub fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        read(bytes, MARKER_VERSION)
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8], known: u32) -> Result<T, RecordError> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let form = |source| RecordError::Form { source };
    // The version first: what else a newer one holds is not ours to judge.
    let Version { version: found } = serde_json::from_slice(bytes).map_err(form)?;
    if found != known {
        return Err(RecordError::Version { found, known });
    }
    serde_json::from_slice(bytes).map_err(form)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::state::{EntryId, EntryRef, Held, Recipe};
    use crate::engine::time::EventTime;

    fn receipt() -> Receipt {
        let epoch = Epoch { start: EventTime(0), end: EventTime(900_000_000) };
        Receipt {
            version: RECEIPT_VERSION,
            topic: "web".to_owned(),
            topic_id: "id".to_owned(),
            partition: PartitionId(3),
            chain: ChainId(7),
            entry: EntryNumber(42),
            sequence: 5,
            scope: Scope::Late(epoch),
            position: Offset(100),
            totals: Totals { records: 100, rows: 100, ..Totals::default() },
            schema: 1,
            rows: 10,
            bytes: 20,
            files: vec![FileReceipt {
                path: "web/a.parquet".to_owned(),
                rows: 10,
                first_offset: 1,
                last_offset: 90,
                bytes: 20,
                sha256: "ab".to_owned(),
            }],
            program: "test".to_owned(),
        }
    }

    #[test]
    fn a_receipt_is_read_back() {
        let text = serde_json::to_vec(&receipt()).expect("JSON");
        assert_eq!(Receipt::read(&text).expect("a receipt"), receipt());
    }

    fn close() -> Close {
        let receipt = receipt();
        let entry = EntryRef { number: receipt.entry, id: EntryId(1) };
        let (scope, sequence, position, totals) = (receipt.scope, receipt.sequence, receipt.position, receipt.totals);
        let rows = vec![Held { entry, rows: 4, bytes: 0 }, Held { entry, rows: 6, bytes: 0 }];
        let recipe =
            Recipe { partition_by: Vec::new(), max_buckets: 1, layout: 1, schema: 1, compression: "none".to_owned() };
        Close { scope, sequence, entry, position, totals, rows, recipe }
    }

    #[test]
    fn a_receipt_of_another_close_or_with_other_sums_is_told() {
        type Edit = fn(&mut Receipt);
        let edits: [(Option<&str>, Edit); 7] = [
            (None, |_| {}),
            (Some("topic"), |receipt| receipt.topic_id.push('x')),
            (Some("chain"), |receipt| receipt.chain = ChainId(8)),
            (Some("position"), |receipt| receipt.position = Offset(101)),
            (Some("rows of its files"), |receipt| receipt.files[0].rows = 11),
            (Some("bytes of its files"), |receipt| receipt.bytes = 19),
            (Some("rows, rows of its files"), |receipt| receipt.rows = 11),
        ];
        for (expected, edit) in edits {
            let mut receipt = receipt();
            edit(&mut receipt);
            let told = receipt.contradicts("id", PartitionId(3), ChainId(7), &close());
            assert_eq!(told.as_deref(), expected);
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        assert!(matches!(
            Receipt::read(br#"{"version":2,"all":"else"}"#),
            Err(RecordError::Version { found: 2, known: 1 })
        ));
        assert!(matches!(Receipt::read(br#"{"version":1}"#), Err(RecordError::Form { .. })));
        let text = serde_json::to_vec(&receipt()).expect("JSON");
        assert!(matches!(Receipt::read(&text[..text.len() / 2]), Err(RecordError::Form { .. })));
        assert!(matches!(Marker::read(b"\xff"), Err(RecordError::Form { .. })));
    }
}
