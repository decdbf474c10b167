//! What is read of a topic, and in which order, so that instances may run meanwhile.
//!
//! # Invariants
//! Files first, then closed-through objects and markers, then the lane logs, and receipts last:
//! * a file was put after its close was decided: the log, which is read later, lists the close, or has seen its receipt;
//! * a close that the log does not list any more has its receipt, which is read later;
//! * a marker, or a closed-through object, was put on the word of an entry: the log, which is read later, is no older.
//!
//! What only a later look can show (a file that a new receipt names, the end of a log that grew) is looked for again.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use serde::Deserialize;
use tokio::runtime::Handle;

use super::VerifyError;
use super::log::{Log, Logs};
use super::violation::{Kind, Violation};
use crate::engine::state::{EntryNumber, PartitionId};
use crate::engine::time::{Epoch, EventTime};
use crate::store::claim::Claim;
use crate::store::receipt::{Marker, Receipt, RecordError};
use crate::store::{Layout, Store};

/// What is read of a topic.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) claim: Claim,
    /// The column that holds the event time, if it is one of timestamps.
    pub(super) event_time: Option<String>,
    /// Everything in the topic's folder and in that of its dead letters, with its size.
    pub(super) files: BTreeMap<Path, u64>,
    pub(super) closed: Vec<(PartitionId, EventTime)>,
    pub(super) markers: BTreeMap<Epoch, (Path, Marker)>,
    pub(super) logs: Vec<Log>,
    pub(super) receipts: Vec<(Path, Receipt)>,
    /// What cannot be read.
    pub(super) violations: Vec<Violation>,
}

/// Reads the claim of a topic.
pub(super) async fn claim(store: &Store, layout: &Layout) -> Result<Claim, VerifyError> {
    let found = Claim::load(store, layout).await.map_err(|error| VerifyError::Claim(error.to_string()))?;
    found.ok_or_else(|| VerifyError::NoTopic { topic: layout.topic().to_owned(), output: store.name().to_owned() })
}

/// Reads what there is of a topic. `requests` is how many are under way at once.
pub(super) async fn take(
    store: &Store,
    layout: &Layout,
    claim: Claim,
    requests: usize,
) -> Result<Snapshot, VerifyError> {
    let mut violations = Vec::new();
    let mut files = BTreeMap::new();
    for root in [layout.data(), layout.dead_letters()] {
        files.extend(store.list_sizes(&root).await?);
    }
    let closed = store.list(&layout.closed()).await?.iter().filter_map(Layout::parse_closed_through).collect();
    let markers = markers(store, layout, &claim, requests, &mut violations).await?;

    let logs = Logs { store: store.clone(), layout: layout.clone(), runtime: Handle::current() };
    let reading = logs.partitions().await?.into_iter().map(|partition| logs.read(partition));
    let mut logs: Vec<Log> = futures::stream::iter(reading).buffer_unordered(requests).try_collect().await?;
    logs.sort_by_key(|log| log.partition);

    let receipts = receipts(store, layout, requests, &mut violations).await?;
    let event_time = event_time(store, layout).await?;
    Ok(Snapshot { claim, event_time, files, closed, markers, logs, receipts, violations })
}

async fn markers(
    store: &Store,
    layout: &Layout,
    claim: &Claim,
    requests: usize,
    violations: &mut Vec<Violation>,
) -> Result<BTreeMap<Epoch, (Path, Marker)>, VerifyError> {
    let (keys, _) = store.list_one_level(&layout.epochs()).await?;
    let mut markers = BTreeMap::new();
    for (key, bytes) in read_all(store, keys, requests).await? {
        let epoch = key.filename().and_then(|name| Layout::parse_epoch(name, claim.epoch_us));
        match (epoch, Marker::read(&bytes)) {
            (Some(epoch), Ok(marker)) if layout.marker(epoch) == key => {
                markers.insert(epoch, (key, marker));
            }
            (_, Err(error @ RecordError::Version { .. })) => return Err(VerifyError::newer(&key, &error)),
            (_, Err(error)) => violations.push(Violation::new(Kind::MarkerUnreadable, error.to_string()).path(&key)),
            (_, Ok(_)) => {
                violations.push(Violation::new(Kind::MarkerUnreadable, "its name is not that of an epoch").path(&key));
            }
        }
    }
    Ok(markers)
}

async fn receipts(
    store: &Store,
    layout: &Layout,
    requests: usize,
    violations: &mut Vec<Violation>,
) -> Result<Vec<(Path, Receipt)>, VerifyError> {
    let epochs = layout.epochs();
    let mut keys = store.list(&epochs).await?;
    // Markers lie beside the folders of receipts.
    keys.retain(|key| key.prefix_match(&epochs).is_some_and(|parts| parts.count() > 1));
    keys.extend(store.list(&layout.dead_letter_receipts()).await?);
    let mut receipts = Vec::with_capacity(keys.len());
    for (key, bytes) in read_all(store, keys, requests).await? {
        match Receipt::read(&bytes) {
            Ok(receipt) => receipts.push((key, receipt)),
            Err(error @ RecordError::Version { .. }) => return Err(VerifyError::newer(&key, &error)),
            Err(error) => {
                let mut violation = Violation::new(Kind::ReceiptUnreadable, error.to_string()).path(&key);
                if let Some((partition, entry)) = Layout::parse_receipt(&key) {
                    violation = violation.partition(partition).entry(entry);
                }
                violations.push(violation);
            }
        }
    }
    receipts.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(receipts)
}

/// Reads small objects; what went away meanwhile is left out.
async fn read_all(store: &Store, keys: Vec<Path>, requests: usize) -> Result<Vec<(Path, Bytes)>, VerifyError> {
    let reading = keys.into_iter().map(|key| async move {
        let found = store.get(&key).await?;
        Ok::<_, VerifyError>(found.map(|bytes| (key, bytes)))
    });
    let read: Vec<Option<(Path, Bytes)>> =
        futures::stream::iter(reading).buffer_unordered(requests).try_collect().await?;
    Ok(read.into_iter().flatten().collect())
}

/// Returns the column that holds the event time, if the files have it as a timestamp.
async fn event_time(store: &Store, layout: &Layout) -> Result<Option<String>, VerifyError> {
    #[derive(Deserialize)]
    struct Stored {
        timestamp_field: String,
    }
    let newest = store.list(&layout.schemas()).await?.into_iter().filter_map(|key| {
        let version: u32 = key.filename()?.strip_suffix(".json")?.parse().ok()?;
        Some((version, key))
    });
    let Some((_, key)) = newest.max() else { return Ok(None) };
    let Some(bytes) = store.get(&key).await? else { return Ok(None) };
    Ok(serde_json::from_slice::<Stored>(&bytes).ok().map(|stored| stored.timestamp_field))
}

/// Returns the number of the newest entry of a lane log now.
pub(super) async fn newest_now(
    store: &Store,
    layout: &Layout,
    partition: PartitionId,
) -> Result<Option<EntryNumber>, VerifyError> {
    Ok(store.list_entries(layout, partition, None).await?.into_iter().max())
}
