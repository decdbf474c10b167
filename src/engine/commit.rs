//! What a Kafka commit of ours says: the offset, and in its metadata which entry it mirrors.
//!
//! A commit decides nothing: the lane log does. It is there for lag, for tools, for people, and to start a listing near the end.

use serde::{Deserialize, Serialize};

use super::state::{ChainId, EntryNumber, LaneState, Offset};

/// The version of the metadata that this program writes, and the only one that it reads.
const METADATA_VERSION: u32 = 1;

/// The committed metadata of ours, as JSON: `{"streams-to-parquet":1,"chain":"7f3a9c1e","entry":42,"waiting":1,"closes":0}`.
///
/// Far below the broker's limit `offset.metadata.max.bytes` (4096).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommitMetadata {
    /// The version of this format.
    #[serde(rename = "streams-to-parquet")]
    version: u32,
    /// The chain of the lane log.
    pub chain: ChainId,
    /// The entry that the commit mirrors.
    pub entry: EntryNumber,
    /// How many epochs (and groups of late rows or dead letters) are still open in that entry.
    pub waiting: usize,
    /// How many closes are not yet published in that entry.
    pub closes: usize,
}

impl CommitMetadata {
    /// Returns the metadata that mirrors `state`.
    #[must_use]
    pub fn mirroring(state: &LaneState) -> Self {
        Self {
            version: METADATA_VERSION,
            chain: state.chain,
            entry: state.entry.number,
            waiting: state.waiting.len(),
            closes: state.closes.len(),
        }
    }

    /// Returns the text that goes to Kafka.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether nothing is left to close or to publish.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.waiting == 0 && self.closes == 0
    }
}

/// A commit as it was found in Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Committed {
    /// Kafka did not say.
    Unknown,
    /// The group has no offset for the partition.
    Nothing,
    /// A commit of this program.
    Ours {
        /// The committed offset.
        offset: Offset,
        /// What it mirrors.
        metadata: CommitMetadata,
    },
    /// A commit of somebody else: a tool, or another program.
    Foreign {
        /// The committed offset.
        offset: Offset,
    },
    /// A commit of a newer version of this program.
    Unreadable {
        /// The committed offset.
        offset: Offset,
        /// The version that it names.
        version: u32,
    },
}

impl Committed {
    /// Reads what Kafka holds: an offset and its metadata.
    #[must_use]
    pub fn read(offset: Offset, metadata: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Version {
            #[serde(rename = "streams-to-parquet")]
            version: u32,
        }
        match (serde_json::from_slice::<Version>(metadata), serde_json::from_slice::<CommitMetadata>(metadata)) {
            (Ok(Version { version: METADATA_VERSION }), Ok(metadata)) => Self::Ours { offset, metadata },
            (Ok(Version { version }), _) if version != METADATA_VERSION => Self::Unreadable { offset, version },
            _ => Self::Foreign { offset },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_metadata_is_read_back_and_anything_else_is_foreign() {
        let text = r#"{"streams-to-parquet":1,"chain":"7f3a9c1e","entry":42,"waiting":1,"closes":0}"#;
        let Committed::Ours { offset, metadata } = Committed::read(Offset(7), text.as_bytes()) else {
            panic!("ours");
        };
        assert_eq!((offset, metadata.chain, metadata.entry), (Offset(7), ChainId(0x7f3a_9c1e), EntryNumber(42)));
        assert!(!metadata.is_settled());
        assert_eq!(metadata.to_text(), text);
        assert_eq!(Committed::read(Offset(7), b""), Committed::Foreign { offset: Offset(7) });
        assert_eq!(Committed::read(Offset(7), b"\xff{}"), Committed::Foreign { offset: Offset(7) });
        let newer = r#"{"streams-to-parquet":2,"else":0}"#;
        assert_eq!(
            Committed::read(Offset(7), newer.as_bytes()),
            Committed::Unreadable { offset: Offset(7), version: 2 }
        );
    }
}
