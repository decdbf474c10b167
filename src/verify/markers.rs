//! Epoch markers and closed-through objects against the lane logs: none says more than the log behind it.
//!
//! Pure. Markers were listed before the logs were read, and receipts after: what a marker relied on is in what was read.

use std::collections::{BTreeMap, BTreeSet};

use object_store::path::Path;

use super::lanes::Lanes;
use super::violation::{Kind, Violation};
use crate::engine::state::{PartitionId, Scope};
use crate::engine::time::{Epoch, EventTime};
use crate::store::Layout;
use crate::store::receipt::{MarkedEpoch, Marker, Receipt};

/// Checks that every closed-through object says no more than its partition's log.
pub(super) fn check_closed(layout: &Layout, said: &[(PartitionId, EventTime)], lanes: &Lanes<'_>) -> Vec<Violation> {
    let mut greatest: BTreeMap<PartitionId, EventTime> = BTreeMap::new();
    for (partition, through) in said {
        let known = greatest.entry(*partition).or_insert(*through);
        *known = (*through).max(*known);
    }
    let wrong = greatest.into_iter().filter_map(|(partition, through)| {
        let complete = lanes.complete_through(partition);
        (complete < Some(through)).then(|| {
            let what = format!("says closed through {through}, the lane log {}", told(complete));
            Violation::new(Kind::Marker, what).partition(partition).path(&layout.closed_through(partition, through))
        })
    });
    wrong.collect()
}

/// Checks a marker: every partition that it names has published the on-time files of the epoch.
pub(super) fn check_marker(key: &Path, epoch: Epoch, marker: &Marker, lanes: &Lanes<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    if marker.epoch != MarkedEpoch::from(epoch) {
        let what = format!("names the epoch from {} to {}", marker.epoch.start, marker.epoch.end);
        violations.push(Violation::new(Kind::Marker, what).path(key));
    }
    if marker.partitions.is_empty() {
        violations.push(Violation::new(Kind::Marker, "names no partition").path(key));
    }
    for partition in &marker.partitions {
        let complete = lanes.complete_through(*partition);
        if complete < Some(epoch.end) {
            let what = format!("the epoch ends at {}, and the lane log {}", epoch.end, told(complete));
            violations.push(Violation::new(Kind::Marker, what).partition(*partition).path(key));
        }
    }
    violations
}

fn told(complete: Option<EventTime>) -> String {
    complete.map_or_else(|| "has closed nothing".to_owned(), |through| format!("is complete through {through} only"))
}

/// Returns the epochs that have on-time files and no marker, oldest first.
pub(super) fn unmarked(receipts: &[&Receipt], marked: &BTreeSet<Epoch>) -> Vec<Epoch> {
    let epochs = receipts.iter().filter_map(|receipt| match receipt.scope {
        Scope::OnTime(epoch) => Some(epoch),
        Scope::Late(_) | Scope::DeadLetter => None,
    });
    epochs.filter(|epoch| !marked.contains(epoch)).collect::<BTreeSet<_>>().into_iter().collect()
}
