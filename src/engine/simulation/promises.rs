//! What must hold of a history: promises 1 to 4, and that it comes to an end.

use std::collections::{BTreeMap, BTreeSet};

use super::store::{Object, Row, Store};
use super::{MINUTE_US, QUARTER_US, Simulation};
use crate::engine::state::{Offset, Scope};
use crate::engine::time::{EpochLength, EventTime};

/// What a reader could see at this very moment is never doubled, and every receipt describes what is there.
pub(super) fn at_any_time(store: &Store) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for row in published(store) {
        if !seen.insert(row.offset) {
            return Err(format!("offset {} is published twice", row.offset));
        }
    }
    for (key, object) in &store.objects {
        let Object::Receipt { files } = object else { continue };
        for (file, build) in files {
            match store.objects.get(file) {
                Some(Object::File { build: there, .. }) if there != build => {
                    return Err(format!("{key} describes other bytes of {file} than the store holds"));
                }
                None if !store.appeared.contains_key(file) => {
                    return Err(format!("{key} names {file}, which never was"));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Whether everything that was read is closed, published, said and committed.
pub(super) fn is_settled(simulation: &Simulation) -> bool {
    let Some(lane) = &simulation.processes[simulation.owner].lane else { return false };
    let newest = lane.newest();
    let committed = simulation.store.committed.as_ref().map(|(offset, _)| *offset);
    lane.position() == end(simulation)
        && newest.position == lane.position()
        && newest.waiting.is_empty()
        && newest.closes.is_empty()
        && committed == Some(newest.position)
        && simulation.network.is_empty()
}

fn end(simulation: &Simulation) -> Offset {
    Offset(i64::try_from(simulation.records.len()).unwrap_or(0))
}

/// Every record is published once, in its own epoch, on time or late as the records before it say, in one file a bucket.
pub(super) fn at_the_end(simulation: &Simulation) -> Result<(), String> {
    let rows: BTreeMap<Offset, Scope> = published(&simulation.store).map(|row| (row.offset, row.scope)).collect();
    let length = EpochLength::from_us(QUARTER_US).expect("15 minutes divide a day");
    let mut watermark: Option<EventTime> = None;
    for (index, record) in simulation.records.iter().enumerate() {
        let offset = Offset(i64::try_from(index).unwrap_or(0));
        let scope = rows.get(&offset).ok_or_else(|| format!("offset {offset} is lost"))?;
        let Some(time) = record.time else {
            if *scope != Scope::DeadLetter {
                return Err(format!("offset {offset} should be a dead letter, not {scope:?}"));
            }
            continue;
        };
        let epoch = length.epoch_of(time);
        if scope.epoch() != Some(epoch) {
            return Err(format!("offset {offset} of epoch {epoch} is in {scope:?}"));
        }
        let late = watermark.is_some_and(|watermark| epoch.end <= length.floor(watermark));
        if late && *scope == Scope::OnTime(epoch) {
            return Err(format!("offset {offset} is late, yet published as on time"));
        }
        watermark = watermark.max(Some(time.min(record.kafka_timestamp).plus_us(-5 * MINUTE_US)));
    }
    one_file_a_bucket(&simulation.store)?;
    markers_follow_their_files(&simulation.store)
}

fn published(store: &Store) -> impl Iterator<Item = Row> + '_ {
    let files = store.objects.values().filter_map(|object| match object {
        Object::File { rows, .. } => Some(rows),
        Object::Entry { .. } | Object::Receipt { .. } | Object::ClosedThrough => None,
    });
    files.flatten().chain(&store.compacted).copied()
}

fn one_file_a_bucket(store: &Store) -> Result<(), String> {
    let mut buckets = BTreeSet::new();
    for key in store.appeared.keys().filter(|key| key.starts_with("file/") && key.contains("/on-time-")) {
        let epoch = key.split('/').nth(2).unwrap_or_default();
        let bucket = key.rsplit('-').next().unwrap_or_default();
        if !buckets.insert((epoch, bucket)) {
            return Err(format!("more than one on-time file for bucket {bucket} of epoch {epoch}"));
        }
    }
    Ok(())
}

/// A closed-through object says: the on-time files of every epoch that ends at or before it are there.
fn markers_follow_their_files(store: &Store) -> Result<(), String> {
    let reported = store.appeared.iter().filter_map(|(key, step)| {
        let through = key.strip_prefix("closed/")?.parse().ok()?;
        Some((EventTime(through), *step))
    });
    for (through, reported_at) in reported {
        for (key, appeared_at) in
            store.appeared.iter().filter(|(key, _)| key.contains("/on-time-") && key.starts_with("file/"))
        {
            let label = key.split('/').nth(2).unwrap_or_default();
            let ended =
                EpochLength::from_us(QUARTER_US).expect("15 minutes divide a day").epoch_of(through.plus_us(-1));
            if label <= ended.label().as_str() && *appeared_at > reported_at {
                return Err(format!("closed through {through} was reported before {key} appeared"));
            }
        }
    }
    Ok(())
}
