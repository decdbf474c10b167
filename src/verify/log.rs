//! A lane log as it is found: its newest entry, and the entries that this one needs.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::VerifyError;
use super::files::Depth;
use super::violation::{Kind, Violation};
use crate::engine::state::{EntryNumber, Held, LaneState, PartitionId, Scope};
use crate::parquet::{EntryError, EntryReader};
use crate::store::{Layout, Store, chain};

/// How often the newest entry is looked for, when it was collected between the listing and the look.
const LOOKS: usize = 10;
/// The entry that begins a chain; it is never collected.
const FIRST: EntryNumber = EntryNumber(1);

/// A lane log.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) partition: PartitionId,
    /// The state that its newest entry carries; `None` if there is none, or it cannot be read.
    pub(super) state: Option<LaneState>,
    pub(super) violations: Vec<Violation>,
}

/// What became of opening an entry.
enum Opened {
    Sound(Box<EntryReader>),
    Absent,
    Unsound(EntryError),
}

/// Reads lane logs.
#[derive(Debug, Clone)]
pub(super) struct Logs {
    pub(super) store: Store,
    pub(super) layout: Layout,
    pub(super) runtime: Handle,
}

impl Logs {
    /// Returns the partitions that have a lane log.
    pub(super) async fn partitions(&self) -> Result<Vec<PartitionId>, VerifyError> {
        let (_, folders) = self.store.list_one_level(&self.layout.control()).await?;
        Ok(folders.iter().filter_map(Layout::parse_lane_log).collect())
    }

    /// Reads the newest entry of a lane log.
    pub(super) async fn read(&self, partition: PartitionId) -> Result<Log, VerifyError> {
        let mut log = Log { partition, state: None, violations: Vec::new() };
        for _ in 0..LOOKS {
            let numbers = self.store.list_entries(&self.layout, partition, None).await?;
            let Some(newest) = numbers.iter().max().copied() else { return Ok(log) };
            match self.open(partition, newest).await? {
                Opened::Sound(entry) => {
                    log.violations.extend(self.first_is_missing(partition, &numbers));
                    log.violations.extend(self.is_elsewhere(newest, entry.state(), partition));
                    log.state = Some(entry.state().clone());
                    return Ok(log);
                }
                // Collected since the listing: there is a newer one.
                Opened::Absent => {}
                Opened::Unsound(error) => {
                    log.violations.push(self.unreadable(partition, newest, &error));
                    return Ok(log);
                }
            }
        }
        Err(VerifyError::Restless { partition })
    }

    /// Looks at the entries that `state` needs: each there, sound, and with the rows that it was counted with.
    pub(super) async fn check_needed(&self, state: &LaneState, depth: Depth) -> Result<Vec<Violation>, VerifyError> {
        let mut violations = Vec::new();
        for (number, held) in needed(state) {
            let found = self.check_entry(state.identity.partition, number, &held, depth).await?;
            // An entry that is needed no more may be collected at any time: look whether it still is.
            if !found.is_empty() && self.still_needs(state.identity.partition, &held).await? {
                violations.extend(found);
            }
        }
        Ok(violations)
    }

    async fn still_needs(&self, partition: PartitionId, held: &[(Scope, Held)]) -> Result<bool, VerifyError> {
        let now = self.read(partition).await?;
        let Some(state) = &now.state else { return Ok(true) };
        let needed = needed(state);
        Ok(held.iter().any(|(_, held)| {
            let again = needed.get(&held.entry.number).into_iter().flatten();
            again.clone().any(|(_, again)| again.entry == held.entry)
        }))
    }

    async fn check_entry(
        &self,
        partition: PartitionId,
        number: EntryNumber,
        held: &[(Scope, Held)],
        depth: Depth,
    ) -> Result<Vec<Violation>, VerifyError> {
        let key = self.layout.entry(partition, number);
        let violation =
            |kind: Kind, what: String| Violation::new(kind, what).partition(partition).entry(number).path(&key);
        let gone = || {
            let rows: u64 = held.iter().map(|(_, held)| held.rows).sum();
            vec![violation(Kind::EntryMissing, format!("it is gone, and the lane needs {rows} rows of it"))]
        };
        let entry = match self.open(partition, number).await? {
            Opened::Sound(entry) => entry,
            Opened::Absent => return Ok(gone()),
            Opened::Unsound(error) => return Ok(vec![self.unreadable(partition, number, &error)]),
        };
        let mut violations = Vec::new();
        for (scope, held) in held {
            if entry.state().entry != held.entry {
                let what = format!(
                    "it has id {}, and the lane needs the rows of id {}",
                    entry.state().entry.id,
                    held.entry.id
                );
                violations.push(violation(Kind::EntryMissing, what));
                continue;
            }
            let rows: u64 =
                entry.segments().iter().filter(|segment| segment.scope == *scope).map(|segment| segment.rows).sum();
            if rows != held.rows {
                let what = format!("it has {rows} rows of {scope}, {} were counted when they were read", held.rows);
                violations.push(violation(Kind::Sums, what));
            }
        }
        if depth >= Depth::Checksums {
            let checked = tokio::task::spawn_blocking(move || entry.check_groups()).await;
            match checked.map_err(|error| VerifyError::Thread(error.to_string()))? {
                Ok(()) => {}
                // Collected while it was read.
                Err(EntryError::Read { source }) if source.kind() == io::ErrorKind::NotFound => return Ok(gone()),
                Err(EntryError::Read { source }) => return Err(VerifyError::Read { key: key.to_string(), source }),
                Err(error) => violations.push(self.unreadable(partition, number, &error)),
            }
        }
        Ok(violations)
    }

    async fn open(&self, partition: PartitionId, number: EntryNumber) -> Result<Opened, VerifyError> {
        let key = self.layout.entry(partition, number);
        let Some(object) = self.store.open_object(&key, &self.runtime).await? else { return Ok(Opened::Absent) };
        let opened = tokio::task::spawn_blocking(move || EntryReader::open(Arc::new(object))).await;
        match opened.map_err(|error| VerifyError::Thread(error.to_string()))? {
            Ok(entry) => Ok(Opened::Sound(Box::new(entry))),
            Err(EntryError::Read { source }) if source.kind() == io::ErrorKind::NotFound => Ok(Opened::Absent),
            Err(EntryError::Read { source }) => Err(VerifyError::Read { key: key.to_string(), source }),
            Err(error @ EntryError::Version { .. }) => {
                Err(VerifyError::Newer { key: key.to_string(), why: error.to_string() })
            }
            Err(error) => Ok(Opened::Unsound(error)),
        }
    }

    fn unreadable(&self, partition: PartitionId, number: EntryNumber, error: &EntryError) -> Violation {
        let key = self.layout.entry(partition, number);
        Violation::new(Kind::EntryUnreadable, chain(error)).partition(partition).entry(number).path(&key)
    }

    fn first_is_missing(&self, partition: PartitionId, numbers: &[EntryNumber]) -> Option<Violation> {
        let what = "the first entry of the lane log is gone: it is kept for ever, so that nobody can begin a second chain (`recover` puts it back)";
        let violation = Violation::new(Kind::EntryMissing, what).partition(partition).entry(FIRST);
        (!numbers.contains(&FIRST)).then(|| violation.path(&self.layout.entry(partition, FIRST)))
    }

    fn is_elsewhere(&self, number: EntryNumber, state: &LaneState, partition: PartitionId) -> Option<Violation> {
        let found = (state.entry.number, state.identity.partition);
        let what = format!("it carries the state of entry {} of partition {}", found.0, found.1);
        let violation = Violation::new(Kind::EntryUnreadable, what).partition(partition).entry(number);
        (found != (number, partition)).then(|| violation.path(&self.layout.entry(partition, number)))
    }
}

/// The entries that a state needs, and for what.
fn needed(state: &LaneState) -> BTreeMap<EntryNumber, Vec<(Scope, Held)>> {
    let waiting = state.waiting.iter().flat_map(|(scope, held)| held.iter().map(move |held| (*scope, *held)));
    let closes = state.closes.iter().flat_map(|close| close.rows.iter().map(move |held| (close.scope, *held)));
    let mut needed: BTreeMap<EntryNumber, Vec<(Scope, Held)>> = BTreeMap::new();
    for (scope, held) in waiting.chain(closes) {
        needed.entry(held.entry.number).or_default().push((scope, held));
    }
    needed
}
