//! What `verify` finds wrong, with its coordinates.

use std::fmt;

use object_store::path::Path;
use serde::Serialize;

use crate::engine::state::{EntryNumber, PartitionId};

/// What kind of thing is wrong. The names do not change between versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A receipt names a file that is not there.
    FileMissing,
    /// A file is there that no receipt names.
    FileForeign,
    /// Two receipts name one file.
    FileTwice,
    /// A file has another size than its receipt says.
    FileSize,
    /// A file has other bytes than its receipt says.
    FileChecksum,
    /// A file is no sound Parquet file.
    FileUnreadable,
    /// A file has another number of rows than its receipt says.
    FileRows,
    /// The offsets of a file are not those that its receipt, or its close, allows.
    FileOffsets,
    /// A file says of itself something else than its path and its receipt.
    FileMetadata,
    /// A file lies in a folder that is not its own.
    FilePath,
    /// A receipt is missing.
    ReceiptMissing,
    /// A receipt cannot be read.
    ReceiptUnreadable,
    /// A receipt contradicts itself, its name, or the lane log.
    ReceiptContradiction,
    /// Two receipts stand for one close.
    ReceiptTwice,
    /// Later receipts say less than earlier ones.
    ReceiptOrder,
    /// An epoch was closed twice in a lane.
    EpochTwice,
    /// A partition has receipts of more than one chain.
    SecondChain,
    /// There are receipts, and no lane log.
    LogMissing,
    /// There are receipts of entries beyond the end of the lane log.
    LogBehind,
    /// The lane log belongs to something else than the claim says.
    OtherIdentity,
    /// An entry that the lane needs is gone, or another has its number.
    EntryMissing,
    /// An entry cannot be read.
    EntryUnreadable,
    /// The sums do not agree.
    Sums,
    /// An epoch marker, or a closed-through object, says more than the lane logs.
    Marker,
    /// An epoch marker cannot be read.
    MarkerUnreadable,
    /// One Kafka offset is published twice.
    OffsetTwice,
    /// A row has an offset outside of what its receipt says.
    OffsetOutside,
    /// A row's event time is not in its file's epoch.
    RowEpoch,
    /// A row has another partition value than its file's folder.
    RowFolder,
    /// A row names another Kafka partition than its file.
    RowPartition,
    /// Kafka's committed offset names another chain, or an entry that the lane log does not have.
    CommitContradiction,
    /// Kafka no longer holds offsets that were not read.
    DataLoss,
    /// The position is beyond the end of Kafka's log.
    BeyondEnd,
    /// The topic was deleted and created again.
    Recreated,
}

impl Kind {
    /// Returns the name.
    #[must_use]
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Violation {
    /// What kind of thing.
    pub kind: Kind,
    /// The topic.
    pub topic: String,
    /// The Kafka partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<PartitionId>,
    /// The Kafka offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// The entry of the lane log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryNumber>,
    /// The object, relative to the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What is wrong, for people.
    pub what: String,
}

impl Violation {
    pub(super) fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, topic: String::new(), partition: None, offset: None, entry: None, path: None, what: what.into() }
    }

    pub(super) fn topic(mut self, topic: &str) -> Self {
        topic.clone_into(&mut self.topic);
        self
    }

    pub(super) fn partition(mut self, partition: PartitionId) -> Self {
        self.partition = Some(partition);
        self
    }

    pub(super) const fn offset(mut self, offset: i64) -> Self {
        self.offset = Some(offset);
        self
    }

    pub(super) const fn entry(mut self, entry: EntryNumber) -> Self {
        self.entry = Some(entry);
        self
    }

    pub(super) fn path(mut self, path: &Path) -> Self {
        self.path = Some(path.to_string());
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.topic)?;
        if let Some(partition) = self.partition {
            write!(f, "/{partition}")?;
        }
        if let Some(entry) = self.entry {
            write!(f, " entry {entry}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, " offset {offset}")?;
        }
        if let Some(path) = &self.path {
            write!(f, " {path}")?;
        }
        write!(f, ": {}", self.what)
    }
}
