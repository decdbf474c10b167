//! Kafka: a member of the consumer group, its split queues, and what a cluster says of itself.
//!
//! # Architecture invariants
//! * One thread polls and serves the rebalance callbacks, and that thread alone sends commits: no rejoin can finish behind its back, so
//!   a commit never carries a generation that the lane has not seen (the broker fences generations, not partition ownership).
//! * Kafka's commits decide nothing. The lane log does.

#![allow(clippy::wildcard_enum_match_arm, reason = "librdkafka has hundreds of error codes, and gets more")]

pub mod cluster;
pub mod ffi;
pub mod member;

use rdkafka::config::ClientConfig;

/// The properties that this program depends on; `-X` may not change them.
const FIXED: [(&str, &str, &str); 5] = [
    ("enable.auto.commit", "false", "offsets are committed after what they cover is durable"),
    ("enable.auto.offset.store", "false", "offsets are committed after what they cover is durable"),
    ("auto.offset.reset", "error", "where to read is decided by the lane log; see --start and --on-data-loss"),
    ("enable.partition.eof", "true", "idleness and --until-end need to see the end of a partition"),
    ("isolation.level", "read_committed", "records of aborted transactions are no records"),
];

/// Defaults of ours, which `-X` may change.
const DEFAULTS: [(&str, &str); 6] = [
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("session.timeout.ms", "45000"),
    // 1000, librdkafka's default, makes a consumer that is faster than the fetcher wait a second at a time.
    ("fetch.queue.backoff.ms", "20"),
    // A broker answers one request of a connection after the other: after a seek, the fetch before it must end first.
    ("fetch.wait.max.ms", "100"),
    ("topic.metadata.refresh.interval.ms", "30000"),
    ("client.id", "streams-to-parquet"),
];

/// Returns why a property may not be set, if it may not.
#[must_use]
pub fn fixed_property(key: &str, value: &str) -> Option<String> {
    let (_, fixed, why) = FIXED.iter().find(|(name, fixed, _)| *name == key && *fixed != value)?;
    Some(format!("`{key}` must stay `{fixed}`: {why}"))
}

/// Returns the configuration of a group member: `given` over our defaults, and what must not change over both.
#[must_use]
pub fn member_config(given: &ClientConfig, group: &str, queued_kbytes: u32) -> ClientConfig {
    let mut config = reader_config(given, group);
    if given.get("queued.max.messages.kbytes").is_none() {
        config.set("queued.max.messages.kbytes", queued_kbytes.to_string());
    }
    if given.get("group.protocol") == Some("consumer") {
        // The broker decides these under KIP-848, and librdkafka refuses them.
        for name in ["partition.assignment.strategy", "session.timeout.ms"] {
            if given.get(name).is_none() {
                config.remove(name);
            }
        }
    }
    config
}

/// Returns the configuration of a client that reads without being a member of the group. librdkafka wants a group's name even so, and
/// asks who coordinates it: the name of the group that the operator has the right to use.
#[must_use]
pub fn reader_config(given: &ClientConfig, group: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("group.id", group);
    for (key, value) in DEFAULTS {
        config.set(key, value);
    }
    for (key, value) in given.config_map() {
        config.set(key, value);
    }
    for (key, value, _) in FIXED {
        config.set(key, value);
    }
    config
}
