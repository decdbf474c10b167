//! The state of a lane: what every entry of its log carries, and nothing else.
//!
//! Plain data with one JSON form. Whoever holds the newest entry's state can carry the lane on; nobody's memory is needed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::time::{Epoch, EventTime};

/// The version of the entry format that this program writes, and the only one that it reads.
pub const STATE_VERSION: u32 = 1;

/// A position in a Kafka partition: always the *next* offset to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Offset(pub i64);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a Kafka partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionId(pub i32);

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of an entry in its lane log: 1, 2, 3, …
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryNumber(pub u64);

impl EntryNumber {
    /// Returns the number that the next entry takes.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for EntryNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Drawn at random each time that the bytes of an entry are built: tells my entry from another's with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct EntryId(pub u64);

/// Drawn at random by entry 1; all entries of one lane log share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ChainId(pub u32);

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl From<EntryId> for String {
    fn from(id: EntryId) -> Self {
        id.to_string()
    }
}

impl From<ChainId> for String {
    fn from(id: ChainId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for EntryId {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u64::from_str_radix(&text, 16).map(Self)
    }
}

impl TryFrom<String> for ChainId {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u32::from_str_radix(&text, 16).map(Self)
    }
}

/// One entry, by number and by the id of its very bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryRef {
    /// Its place in the lane log.
    pub number: EntryNumber,
    /// The id of its bytes.
    pub id: EntryId,
}

/// Where rows of one scope are: in this entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Held {
    /// The entry that holds them.
    #[serde(flatten)]
    pub entry: EntryRef,
    /// How many rows of the scope it holds.
    pub rows: u64,
    /// The bytes of the records that they came from (keys and values, as Kafka had them).
    pub bytes: u64,
}

/// The rows that one close publishes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "ScopeForm", from = "ScopeForm")]
pub enum Scope {
    /// Rows whose epoch was open when they were read.
    OnTime(Epoch),
    /// Rows whose epoch was already closed in this lane when they were read.
    Late(Epoch),
    /// Records that could not become a row.
    DeadLetter,
}

impl Scope {
    /// Returns the epoch, unless these are dead letters.
    #[must_use]
    pub const fn epoch(&self) -> Option<Epoch> {
        match self {
            Self::OnTime(epoch) | Self::Late(epoch) => Some(*epoch),
            Self::DeadLetter => None,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnTime(epoch) => write!(f, "epoch {}", epoch.label()),
            Self::Late(epoch) => write!(f, "late rows of epoch {}", epoch.label()),
            Self::DeadLetter => f.write_str("dead letters"),
        }
    }
}

/// The JSON form of a [`Scope`]: flat, so that it may be a field of its own anywhere.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct ScopeForm {
    kind: ScopeKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<Epoch>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ScopeKind {
    OnTime,
    Late,
    DeadLetter,
}

impl From<Scope> for ScopeForm {
    fn from(scope: Scope) -> Self {
        let kind = match scope {
            Scope::OnTime(_) => ScopeKind::OnTime,
            Scope::Late(_) => ScopeKind::Late,
            Scope::DeadLetter => ScopeKind::DeadLetter,
        };
        Self { kind, epoch: scope.epoch() }
    }
}

impl From<ScopeForm> for Scope {
    fn from(form: ScopeForm) -> Self {
        match (form.kind, form.epoch) {
            (ScopeKind::OnTime, Some(epoch)) => Self::OnTime(epoch),
            (ScopeKind::Late, Some(epoch)) => Self::Late(epoch),
            (ScopeKind::DeadLetter, _) | (_, None) => Self::DeadLetter,
        }
    }
}

/// How the files of a close are made; fixed when the close is decided, so that whoever publishes makes the same files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Recipe {
    /// The partition columns, in the order of the folders.
    pub partition_by: Vec<String>,
    /// The most buckets of one (lane, epoch) that get a folder of their own; the rest share `__OTHER__`.
    pub max_buckets: u32,
    /// The version of the folder and file layout.
    pub layout: u32,
    /// The version of the schema.
    pub schema: u32,
    /// The codec of the published files, as `--compression` names it.
    pub compression: String,
}

/// What a lane has counted since its chain began. Units: records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Totals {
    /// Records taken from Kafka; the sum of rows, dead letters and dropped.
    pub records: u64,
    /// Rows, late ones included.
    pub rows: u64,
    /// Rows that were appended although late.
    pub late: u64,
    /// Records kept as dead letters.
    pub dead_letters: u64,
    /// Late records that `--late drop` chose to drop.
    pub dropped: u64,
    /// Offsets that were gone before they were read, and that `--on-data-loss skip` chose to skip.
    #[serde(default)]
    pub skipped_offsets: u64,
}

/// The decision that the rows of a scope are complete in this lane; its files are still to be published.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Close {
    /// Which rows.
    pub scope: Scope,
    /// 1, 2, 3, … over all closes with rows that the chain has decided, so that a missing receipt shows; 0 without rows.
    pub sequence: u64,
    /// The closing entry: the one that recorded this decision. Names the files.
    pub entry: EntryRef,
    /// The lane's position in the closing entry.
    pub position: Offset,
    /// The lane's totals in the closing entry.
    pub totals: Totals,
    /// The entries that hold the rows, oldest first. Empty: nothing to publish, and no receipt.
    pub rows: Vec<Held>,
    /// How the files are made.
    pub recipe: Recipe,
}

impl Close {
    /// Returns how many rows the close publishes.
    #[must_use]
    pub fn row_count(&self) -> u64 {
        self.rows.iter().map(|held| held.rows).sum()
    }
}

/// The operator moved the position: no record did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Jump {
    /// The first entry behind it.
    pub entry: EntryNumber,
    /// The next offset to read before.
    pub from: Offset,
    /// The next offset to read after. Below `from`: what lies between was read twice.
    pub to: Offset,
    /// By which choice.
    pub why: JumpReason,
}

/// Why a position was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JumpReason {
    /// A tool had set the group's offset, and `--on-foreign-offset accept` was given.
    Accepted,
    /// Kafka did not hold the next offset, and `--on-data-loss skip` was given.
    Skipped,
}

/// Rows that the operator gave up, since the entry that held them is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GivenUp {
    /// Which rows.
    pub scope: Scope,
    /// The entry that held them, and how many.
    pub held: Held,
    /// The close that will have no receipt, if these were the last rows of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The entry that says so.
    pub by: EntryNumber,
}

/// What a lane log belongs to; all entries of a log agree on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LaneIdentity {
    /// The consumer group.
    pub group: String,
    /// The Kafka cluster's id.
    pub cluster_id: String,
    /// The topic's name.
    pub topic: String,
    /// The topic's id (KIP-516), which changes when a topic is deleted and created again.
    pub topic_id: String,
    /// The Kafka partition.
    pub partition: PartitionId,
}

/// The whole state of a lane, as the footer of each entry holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LaneState {
    /// [`STATE_VERSION`].
    pub version: u32,
    /// What the log belongs to.
    #[serde(flatten)]
    pub identity: LaneIdentity,
    /// The chain of this log.
    pub chain: ChainId,
    /// The entry that carries this state.
    pub entry: EntryRef,
    /// Where the chain began to read.
    pub start: Offset,
    /// The next offset to read.
    pub position: Offset,
    /// The greatest `min(event time, Kafka timestamp)` seen; `None` before the first row.
    pub max_event_time: Option<EventTime>,
    /// Every epoch that ends at or before this time is closed in this lane.
    pub closed_through: Option<EventTime>,
    /// The rows not yet closed (open epochs, waiting late rows, waiting dead letters), and the entries that hold them.
    #[serde(with = "waiting_form")]
    pub waiting: BTreeMap<Scope, Vec<Held>>,
    /// How many closes with rows the chain has decided: the sequence of the last.
    pub closes_decided: u64,
    /// The closes not yet published, oldest first.
    pub closes: Vec<Close>,
    /// Running totals.
    pub totals: Totals,
    /// The foreign offset that the operator told us to accept, until Kafka has our commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_offset: Option<Offset>,
    /// How often the operator had the position moved, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jumps: Vec<Jump>,
    /// What the operator gave up, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given_up: Vec<GivenUp>,
}

impl LaneState {
    /// Returns the state of a lane whose log is empty: entry number 0 exists only in memory.
    #[must_use]
    pub fn before_the_first_entry(identity: &LaneIdentity) -> Self {
        Self {
            version: STATE_VERSION,
            identity: identity.clone(),
            chain: ChainId(0),
            entry: EntryRef { number: EntryNumber(0), id: EntryId(0) },
            start: Offset(0),
            position: Offset(0),
            max_event_time: None,
            closed_through: None,
            waiting: BTreeMap::new(),
            closes_decided: 0,
            closes: Vec::new(),
            totals: Totals::default(),
            accepted_offset: None,
            jumps: Vec::new(),
            given_up: Vec::new(),
        }
    }
}

/// JSON has no maps with structured keys: the waiting rows are a list of (scope, entries).
mod waiting_form {
    use super::{BTreeMap, Deserialize, Held, Scope, Serialize};
    use serde::{Deserializer, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Waiting {
        scope: Scope,
        entries: Vec<Held>,
    }

    pub(super) fn serialize<S: Serializer>(map: &BTreeMap<Scope, Vec<Held>>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(map.iter().map(|(scope, entries)| Waiting { scope: *scope, entries: entries.clone() }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<Scope, Vec<Held>>, D::Error> {
        let list = Vec::<Waiting>::deserialize(from)?;
        Ok(list.into_iter().map(|waiting| (waiting.scope, waiting.entries)).collect())
    }
}
