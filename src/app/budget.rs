//! One budget of memory for everything that grows with the load.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the process needs however little it has to do: code, threads, the allocator, compressors, the store's client.
const PROCESS_BYTES: usize = 108 << 20;

/// How much memory is held, against how much may be.
#[derive(Debug)]
pub(super) struct Budget {
    held: AtomicUsize,
    /// For rows, entries and assembly: what the limit leaves beside the process itself and librdkafka's queues.
    share: usize,
    limit: usize,
}

impl Budget {
    /// Returns the budget of a process that may use `limit` bytes.
    ///
    /// The process itself, the allocator and the store's client come first; of the rest the larger part is for rows, entries and assembly.
    #[must_use]
    pub(super) fn new(limit: usize) -> Arc<Self> {
        let share = (limit.saturating_sub(PROCESS_BYTES) / 8 * 5).max(limit / 4);
        Arc::new(Self { held: AtomicUsize::new(0), share, limit })
    }

    /// Returns the bytes that librdkafka's queues may hold, as it counts them: payloads alone. With what it keeps beside them, and whole
    /// batches until their last record is taken, it is about twice as much.
    #[must_use]
    pub(super) const fn queues(&self) -> usize {
        self.limit / 8
    }

    /// Returns the bytes held.
    #[must_use]
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Returns the bytes that rows may take before the largest lane should append early.
    #[must_use]
    pub(super) const fn rows(&self) -> usize {
        self.share / 2
    }

    /// Whether no more may be taken from the queues.
    #[must_use]
    pub(super) fn is_spent(&self) -> bool {
        self.held() > self.share
    }

    /// Holds `bytes` until the holding is dropped.
    #[must_use]
    pub(super) fn hold(self: &Arc<Self>, bytes: usize) -> Holding {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        Holding { budget: Arc::clone(self), bytes }
    }
}

/// Memory that is held.
#[derive(Debug)]
pub(super) struct Holding {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Holding {
    /// Returns how much is held.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds `bytes` more.
    pub(super) fn grow(&mut self, bytes: usize) {
        self.resize(self.bytes.saturating_add(bytes));
    }

    /// Changes how much is held.
    pub(super) fn resize(&mut self, bytes: usize) {
        if bytes >= self.bytes {
            self.budget.held.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else {
            self.budget.held.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.resize(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_limit_leaves_less_to_rows_than_its_part() {
        assert_eq!(Budget::new(512 << 20).share >> 20, 252);
        assert_eq!(Budget::new(256 << 20).share >> 20, 92);
        assert_eq!(Budget::new(64 << 20).share >> 20, 16);
    }

    #[test]
    fn what_is_dropped_is_held_no_more() {
        let budget = Budget::new(512 << 20);
        let mut rows = budget.hold(200 << 20);
        assert!(!budget.is_spent());
        rows.resize(300 << 20);
        assert!(budget.is_spent());
        drop(rows);
        assert_eq!(budget.held(), 0);
    }
}
