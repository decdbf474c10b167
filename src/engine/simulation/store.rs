//! An in-memory store and the network before it: requests may be lost, delayed, doubled, and answered by nobody.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::mutation::Mutation;
use crate::engine::state::{EntryNumber, EntryRef, LaneState, Offset, Scope};
use crate::engine::time::EventTime;

/// A row of the simulation: which record it is, and where the lane put it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Row {
    pub(super) scope: Scope,
    pub(super) offset: Offset,
}

/// What the store holds under a key.
#[derive(Debug, Clone, PartialEq, Hash)]
pub(super) enum Object {
    /// The state in its real JSON form, and the rows that came since the entry before.
    Entry {
        entry: EntryRef,
        state: String,
        rows: Vec<Row>,
    },
    /// A published file. `build` stands for its bytes: two program versions write the same rows differently.
    File {
        rows: Vec<Row>,
        build: u32,
    },
    /// The receipt: each file's key with the build that it describes.
    Receipt {
        files: Vec<(String, u32)>,
    },
    ClosedThrough,
}

/// One request to the store, or to Kafka.
#[derive(Debug, Clone, PartialEq, Hash)]
pub(super) enum Op {
    ListEntries { from: Option<EntryNumber> },
    Get { key: String },
    ReceiptsExist,
    Create { key: String, object: Object },
    Delete { keys: Vec<String> },
    Commit { offset: Offset, metadata: String },
}

/// What the store, or Kafka, answers.
#[derive(Debug, Clone, PartialEq, Hash)]
pub(super) enum Answer {
    Entries(Vec<EntryNumber>),
    Got(Option<Object>),
    Exists(bool),
    Created,
    AlreadyThere,
    Done,
    /// The client gave up waiting: it may have worked, it may work later.
    Nothing,
}

/// Published rows that a downstream job has compacted: their files are gone, their rows are not.
pub(super) type Compacted = Vec<Row>;

#[derive(Debug, Clone, Default, Hash)]
pub(super) struct Store {
    pub(super) objects: BTreeMap<String, Object>,
    pub(super) compacted: Compacted,
    pub(super) committed: Option<(Offset, String)>,
    /// Every commit that was ever sent.
    pub(super) commits: Vec<(Offset, String)>,
    /// At which step each published file and each closed-through object appeared.
    pub(super) appeared: BTreeMap<String, u64>,
    pub(super) mutation: Mutation,
    /// Every entry that was ever created.
    pub(super) entries: BTreeSet<EntryRef>,
    /// A rule that was broken without a record lost or doubled.
    pub(super) complaint: Option<String>,
}

pub(super) fn entry_key(state: &LaneState, mutation: Mutation) -> String {
    let chain = if mutation == Mutation::ChainInKey { state.chain.to_string() } else { String::new() };
    format!("log/{:020}{chain}", state.entry.number.0)
}

pub(super) fn closed_key(through: EventTime) -> String {
    format!("closed/{:020}", through.0)
}

impl Store {
    /// Finds the key of entry `number`: one, unless the mutation lets two chains live side by side.
    pub(super) fn find_entry(&self, number: EntryNumber) -> Option<&Object> {
        let prefix = format!("log/{:020}", number.0);
        self.objects
            .range(prefix.clone()..)
            .next()
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(_, object)| object)
    }

    /// Whether somebody else than the maker of `own` entries ever was ahead of entry `number`.
    pub(super) fn was_ahead(&self, number: EntryNumber, own: &BTreeSet<EntryRef>) -> bool {
        self.entries.iter().any(|entry| entry.number > number && !own.contains(entry))
    }

    pub(super) fn apply(&mut self, op: &Op, step: u64) -> Answer {
        match op {
            Op::ListEntries { from } => {
                let numbers = self.objects.keys().filter_map(|key| key.strip_prefix("log/"));
                let numbers = numbers.filter_map(|name| name.get(..20)?.parse().ok()).map(EntryNumber);
                Answer::Entries(numbers.filter(|number| from.is_none_or(|from| *number >= from)).collect())
            }
            Op::Get { key } => match key.strip_prefix("log/").and_then(|name| name.parse().ok()) {
                Some(number) => Answer::Got(self.find_entry(EntryNumber(number)).cloned()),
                None => Answer::Got(self.objects.get(key).cloned()),
            },
            Op::ReceiptsExist => Answer::Exists(self.objects.keys().any(|key| key.starts_with("receipt/"))),
            Op::Create { key, object } => {
                let overwrites = self.mutation == Mutation::OverwriteEntries && key.starts_with("log/");
                if self.objects.contains_key(key) && !overwrites {
                    return Answer::AlreadyThere;
                }
                if let Object::Entry { entry, state, .. } = object {
                    self.entries.insert(*entry);
                    let state: LaneState = serde_json::from_str(state).expect("its own JSON");
                    self.complaint = self.complaint.take().or_else(|| state.contradiction());
                }
                self.objects.insert(key.clone(), object.clone());
                self.appeared.entry(key.clone()).or_insert(step);
                Answer::Created
            }
            Op::Delete { keys } => {
                for key in keys {
                    self.objects.remove(key);
                }
                Answer::Done
            }
            Op::Commit { offset, metadata } => {
                self.committed = Some((*offset, metadata.clone()));
                self.commits.push((*offset, metadata.clone()));
                Answer::Done
            }
        }
    }
}
