//! The marker step: say how far this lane is, see how far all are, and mark what all have passed.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::fail_point::fail_point;
use super::topic::Topic;
use crate::engine::event::PutOutcome;
use crate::engine::marker;
use crate::engine::state::PartitionId;
use crate::engine::time::{Epoch, EventTime};
use crate::store::receipt::Marker;
use crate::store::{Layout, Store, StoreError};

/// Carries out the marker step. Returns the oldest epoch that has files and no marker, and the partition that holds it up.
///
/// # Errors
/// When the store fails; the step may be repeated.
pub(super) async fn mark(
    store: &Store,
    topic: &Topic,
    partition: PartitionId,
    through: EventTime,
    partitions: &[PartitionId],
) -> Result<Option<(EventTime, PartitionId)>, StoreError> {
    let layout = &topic.layout;
    fail_point!("closed-through.before");
    let closed = store.report_closed_through(layout, partition, through).await?;
    fail_point!("closed-through.after");
    let (objects, folders) = store.list_one_level(&layout.epochs()).await?;
    let length = topic.lane.epoch;
    let parse = |key: &object_store::path::Path| key.filename().and_then(|name| Layout::parse_epoch(name, length));
    let mut marked: BTreeSet<Epoch> = objects.iter().filter_map(parse).collect();
    let with_files: BTreeSet<Epoch> = folders.iter().filter_map(parse).collect();
    for epoch in marker::due(length, partitions, &closed, &with_files, &marked) {
        let marker = Marker::new(&topic.info.name, &topic.info.id, epoch, partitions);
        let text = serde_json::to_vec_pretty(&marker).unwrap_or_default();
        fail_point!("marker.before");
        if store.create(&layout.marker(epoch), Bytes::from(text)).await == PutOutcome::NoAnswer {
            return Err(StoreError::Unfit("it did not say whether it has a marker"));
        }
        fail_point!("marker.after");
        marked.insert(epoch);
    }
    let unmarked = with_files.iter().find(|epoch| !marked.contains(epoch));
    let behind = partitions.iter().min_by_key(|partition| closed.get(partition));
    Ok(unmarked.zip(behind).map(|(epoch, partition)| (epoch.start, *partition)))
}
