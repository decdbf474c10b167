//! The newest entry of each lane log, beside the receipts of its partition.

use std::collections::BTreeMap;

use crate::engine::state::{Close, LaneState, PartitionId, Scope};
use crate::engine::time::EventTime;
use crate::store::receipt::Receipt;

/// All lanes of a topic.
pub(super) struct Lanes<'a> {
    /// The newest entry of each lane log that can be read.
    pub(super) states: BTreeMap<PartitionId, &'a LaneState>,
    /// The receipts of each partition.
    pub(super) receipts: BTreeMap<PartitionId, Vec<&'a Receipt>>,
}

impl<'a> Lanes<'a> {
    pub(super) fn new(
        states: impl Iterator<Item = &'a LaneState>,
        receipts: impl Iterator<Item = &'a Receipt>,
    ) -> Self {
        let states = states.map(|state| (state.identity.partition, state)).collect();
        let mut by_partition: BTreeMap<PartitionId, Vec<&Receipt>> = BTreeMap::new();
        for receipt in receipts {
            by_partition.entry(receipt.partition).or_default().push(receipt);
        }
        Self { states, receipts: by_partition }
    }

    /// Returns the receipts of a partition.
    pub(super) fn receipts_of(&self, partition: PartitionId) -> &[&'a Receipt] {
        self.receipts.get(&partition).map_or(&[], Vec::as_slice)
    }

    /// Returns the closes that are decided and have no receipt yet, each with its lane.
    pub(super) fn unpublished(&self) -> impl Iterator<Item = (&'a LaneState, &'a Close)> + '_ {
        let of = |state: &'a LaneState| {
            let receipts = self.receipts_of(state.identity.partition);
            unpublished(state, receipts).map(move |close| (state, close)).collect::<Vec<_>>()
        };
        self.states.values().flat_map(move |state| of(state))
    }

    /// Returns how far the on-time files of a partition are complete: closed, and published.
    pub(super) fn complete_through(&self, partition: PartitionId) -> Option<EventTime> {
        let state = self.states.get(&partition)?;
        let held_up = unpublished(state, self.receipts_of(partition)).filter_map(|close| match close.scope {
            Scope::OnTime(epoch) => Some(epoch.start),
            Scope::Late(_) | Scope::DeadLetter => None,
        });
        let closed = state.closed_through?;
        Some(held_up.min().map_or(closed, |held_up| held_up.min(closed)))
    }
}

/// Returns the closes with rows that a lane's newest entry lists, and that have no receipt yet.
pub(super) fn unpublished<'a>(state: &'a LaneState, receipts: &[&Receipt]) -> impl Iterator<Item = &'a Close> {
    let is_published = |close: &Close| {
        let mut ours = receipts.iter().filter(|receipt| receipt.chain == state.chain);
        ours.any(|receipt| receipt.entry == close.entry.number && receipt.scope == close.scope)
    };
    let unpublished = state.closes.iter().filter(|close| !close.rows.is_empty() && !is_published(close));
    unpublished.collect::<Vec<_>>().into_iter()
}
