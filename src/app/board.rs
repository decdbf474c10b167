//! What the threads of an instance tell each other: which lanes there are, how they stand, and what went wrong.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::runner::LaneStatus;
use crate::kafka::member::TopicPartition;

/// A board that every thread reads and writes.
#[derive(Debug, Default)]
pub(super) struct Board {
    lanes: Mutex<BTreeMap<TopicPartition, LaneStatus>>,
    failure: Mutex<Option<String>>,
}

impl Board {
    /// Says how a lane stands.
    pub(super) fn post(&self, partition: &TopicPartition, status: LaneStatus) {
        lock(&self.lanes).insert(partition.clone(), status);
    }

    /// Says that a lane is gone.
    pub(super) fn remove(&self, partition: &TopicPartition) {
        lock(&self.lanes).remove(partition);
    }

    /// Returns how all lanes stand.
    pub(super) fn lanes(&self) -> BTreeMap<TopicPartition, LaneStatus> {
        lock(&self.lanes).clone()
    }

    /// Says that the instance cannot go on; the first reason counts.
    pub(super) fn fail(&self, why: String) {
        lock(&self.failure).get_or_insert(why);
    }

    /// Returns why the instance cannot go on, if it cannot.
    pub(super) fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }
}

/// A thread that died while it held a lock has left nothing half-done here.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
