//! Every metric of the program, with its unit in its name, on a registry of its own.
//!
//! Labels hold topics, partitions, columns of the schema and codes of this program, never the values of an event.
//! Reads no clock: durations are handed in.
//!
//! # Units
//! Seconds and bytes; records, rows and files are counted one by one.

mod families;
mod family;
mod lane;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{Registry, TextEncoder};
use thiserror::Error;

use self::families::Families;
use self::family::Registration;
pub use self::family::{Description, Kind};
pub use self::lane::LaneMetrics;
use self::lane::{Lease, sample, seconds};
use crate::engine::state::PartitionId;
use crate::engine::time::EventTime;

/// Why metrics could not be set up or shown.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// A family was refused, which is a mistake in its declaration.
    #[error("failed to register the metric `{name}`")]
    Register {
        /// Its name, without the common prefix.
        name: &'static str,
        /// What is wrong with it.
        source: prometheus::Error,
    },
    /// The values could not be written as text.
    #[error("failed to render the metrics")]
    Render {
        /// Why.
        source: prometheus::Error,
    },
}

/// What a rebalance did to partitions of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebalance {
    /// Partitions came.
    Assigned,
    /// Partitions went, and their lanes could append before.
    Revoked,
    /// Partitions had gone before this process heard of it.
    Lost,
}

impl Rebalance {
    const ALL: [Self; 3] = [Self::Assigned, Self::Revoked, Self::Lost];

    const fn label(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::Revoked => "revoked",
            Self::Lost => "lost",
        }
    }
}

/// Every metric of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    descriptions: Vec<Description>,
    families: Arc<Families>,
    /// Who last showed the gauges of a lane.
    leases: Mutex<BTreeMap<(String, PartitionId), Arc<Lease>>>,
}

impl Metrics {
    /// Registers every metric; those that need no lane or topic are there from the beginning.
    ///
    /// # Errors
    /// A declaration that the registry refuses: a mistake of the program, not of its user.
    pub fn new() -> Result<Self, MetricsError> {
        let mut registration = Registration::default();
        let families = Families::register(&mut registration)?;
        families.build_info.set([env!("CARGO_PKG_VERSION")], 1.0);
        for kind in Rebalance::ALL {
            families.rebalances_total.with([kind.label()]);
        }
        let Registration { registry, descriptions } = registration;
        Ok(Self { registry, descriptions, families: Arc::new(families), leases: Mutex::default() })
    }

    /// Returns the metrics of a lane. Its gauges are shown through the newest handle only.
    #[must_use]
    pub fn lane(&self, topic: &str, partition: PartitionId) -> LaneMetrics {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (topic.to_owned(), partition);
        let before = leases.get(&key).map(Arc::as_ref);
        let lane = LaneMetrics::new(Arc::clone(&self.families), topic, partition, before);
        leases.insert(key, lane.lease());
        lane
    }

    /// Starts the counters of a topic at 0, so that their first step is seen: its unknown fields, and its dead letters by reason.
    pub fn declare_topic<'a>(&self, topic: &str, reasons: impl IntoIterator<Item = &'a str>) {
        self.families.unknown_fields_total.with([topic]);
        for reason in reasons {
            self.families.dead_letters_total.with([topic, reason]);
        }
    }

    /// Records how long an append took, from its first request until its entry was known to be created.
    pub fn observe_append(&self, duration: Duration) {
        self.families.append_duration_seconds.observe(duration.as_secs_f64());
    }

    /// Records how long a commit to Kafka took.
    pub fn observe_commit(&self, duration: Duration) {
        self.families.commit_duration_seconds.observe(duration.as_secs_f64());
    }

    /// Records how long it took to assemble the files of a close.
    pub fn observe_assemble(&self, duration: Duration) {
        self.families.assemble_duration_seconds.observe(duration.as_secs_f64());
    }

    /// Records how long a close took from the beginning of its assembly until its receipt was put.
    pub fn observe_publish(&self, duration: Duration) {
        self.families.publish_duration_seconds.observe(duration.as_secs_f64());
    }

    /// Counts a rebalance.
    pub fn count_rebalance(&self, kind: Rebalance) {
        self.families.rebalances_total.with([kind.label()]).inc();
    }

    /// Says how many partitions are assigned to this process.
    pub fn set_assigned_partitions(&self, partitions: u64) {
        self.families.assigned_partitions.set(sample(partitions));
    }

    /// Says how many assigned lanes are stopped by an error.
    pub fn set_lanes_stopped(&self, lanes: u64) {
        self.families.lanes_stopped.set(sample(lanes));
    }

    /// Says how many lanes have had something to do for a while, and made no progress.
    pub fn set_lanes_stalled(&self, lanes: u64) {
        self.families.lanes_stalled.set(sample(lanes));
    }

    /// Says how many bytes of the memory budget are taken.
    pub fn set_memory_used(&self, bytes: u64) {
        self.families.memory_used_bytes.set(sample(bytes));
    }

    /// Says how many bytes the memory budget has.
    pub fn set_memory_limit(&self, bytes: u64) {
        self.families.memory_limit_bytes.set(sample(bytes));
    }

    /// Says which epoch of `topic` is the oldest without a marker, by its start, and the partition that holds it up; `None` when every
    /// epoch has one.
    pub fn set_oldest_unmarked(&self, topic: &str, held_up: Option<(EventTime, PartitionId)>) {
        let (start, partition) =
            (&self.families.oldest_unmarked_epoch_timestamp_seconds, &self.families.oldest_unmarked_epoch_partition);
        if let Some((epoch, number)) = held_up {
            start.set([topic], seconds(epoch));
            partition.set([topic], f64::from(number.0));
        } else {
            start.remove([topic]);
            partition.remove([topic]);
        }
    }

    /// Returns what each metric is, in the order in which they are declared: the source of the documentation.
    #[must_use]
    pub fn descriptions(&self) -> &[Description] {
        &self.descriptions
    }

    /// Renders all values in the [text format](https://prometheus.io/docs/instrumenting/exposition_formats/) of Prometheus, 0.0.4.
    ///
    /// # Errors
    /// Values that the format cannot say: a mistake of the program.
    pub fn render(&self) -> Result<String, MetricsError> {
        TextEncoder::new().encode_to_string(&self.registry.gather()).map_err(|source| MetricsError::Render { source })
    }
}
