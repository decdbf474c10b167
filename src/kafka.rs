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
use rdkafka::error::KafkaError;

/// The properties that this program depends on; `-X` may not change them.
const FIXED: [(&str, &str, &str); 5] = [
    ("enable.auto.commit", "false", "offsets are committed after what they cover is durable"),
    ("enable.auto.offset.store", "false", "offsets are committed after what they cover is durable"),
    ("auto.offset.reset", "error", "where to read is decided by the lane log; see --start and --on-data-loss"),
    ("enable.partition.eof", "true", "idleness and --until-end need to see the end of a partition"),
    ("isolation.level", "read_committed", "records of aborted transactions are no records"),
];

/// Defaults of ours, which `-X` may change.
const DEFAULTS: [(&str, &str); 9] = [
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("session.timeout.ms", "45000"),
    // 1000, librdkafka's default, makes a consumer that is faster than the fetcher wait a second at a time.
    ("fetch.queue.backoff.ms", "20"),
    // A broker answers one request of a connection after the other: after a seek, the fetch before it must end first. And a partition whose
    // queue was full waits for the end of a fetch of the others.
    ("fetch.wait.max.ms", "50"),
    // 1, librdkafka's default, has a steady stream come in as many answers as the producers send requests: it takes a quarter more CPU.
    ("fetch.min.bytes", "262144"),
    // 50 MB, librdkafka's default, are up to 1 MiB of each partition, in memory that is new for each answer: it takes 4 % more CPU. A broker that is
    // so far away that one answer takes tens of milliseconds wants more.
    (FETCH_MAX_BYTES, "1000000"),
    // What brokers may collect of clients (KIP-714) has each record that is taken from a queue counted, under a lock that all workers share.
    ("enable.metrics.push", "false"),
    ("topic.metadata.refresh.interval.ms", "30000"),
    ("client.id", "streams-to-parquet"),
];

const FETCH_MAX_BYTES: &str = "fetch.max.bytes";
/// With a larger one of these librdkafka refuses a smaller `fetch.max.bytes`; without that it chooses one that is large enough.
const MESSAGE_MAX_BYTES: &str = "message.max.bytes";

/// What the broker decides under KIP-848 (`group.protocol=consumer`); librdkafka then refuses them, of any client with a group's name.
const DECIDED_BY_THE_BROKER: [&str; 2] = ["partition.assignment.strategy", "session.timeout.ms"];

/// Returns why a property may not be set, if it may not.
#[must_use]
pub fn fixed_property(key: &str, value: &str) -> Option<String> {
    if key == "group.id" {
        return Some("`group.id` is set by --group".to_owned());
    }
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
    config
}

/// Returns the configuration of a client that reads without being a member of the group. librdkafka wants a group's name even so, and
/// asks who coordinates it: the name of the group that the operator has the right to use.
#[must_use]
pub fn reader_config(given: &ClientConfig, group: &str) -> ClientConfig {
    // A clone, since `config_map` shows passwords as a placeholder.
    let mut config = given.clone();
    let broker_decides = given.get("group.protocol") == Some("consumer");
    for (key, value) in DEFAULTS.into_iter().chain([("group.id", group)]) {
        let decided = broker_decides && DECIDED_BY_THE_BROKER.contains(&key)
            || key == FETCH_MAX_BYTES && given.get(MESSAGE_MAX_BYTES).is_some();
        if given.get(key).is_none() && !decided {
            config.set(key, value);
        }
    }
    for (key, value, _) in FIXED {
        config.set(key, value);
    }
    config
}

/// Returns what librdkafka says of a property that it refuses, without the value, which may be a secret.
#[must_use]
pub fn without_value(error: KafkaError) -> KafkaError {
    match error {
        KafkaError::ClientConfig(result, said, key, value) => {
            let said = if said.contains(&value) { format!("not a value of `{key}`") } else { said };
            KafkaError::ClientConfig(result, said, String::new(), String::new())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::config::FromClientConfig;
    use rdkafka::consumer::BaseConsumer;

    use super::*;

    #[test]
    fn a_password_reaches_the_client() {
        let mut given = ClientConfig::new();
        given.set("sasl.password", "hunter2").set("session.timeout.ms", "6000");
        for config in [reader_config(&given, "group"), member_config(&given, "group", 1024)] {
            assert_eq!(config.get("sasl.password"), Some("hunter2"));
            assert_eq!(config.get("session.timeout.ms"), Some("6000"));
            assert_eq!(config.get("group.id"), Some("group"));
        }
    }

    #[test]
    fn every_client_is_made_under_the_consumer_protocol() {
        let mut given = ClientConfig::new();
        given.set("group.protocol", "consumer");
        for config in [reader_config(&given, "group"), member_config(&given, "group", 1024)] {
            let made = BaseConsumer::<rdkafka::consumer::DefaultConsumerContext>::from_config(&config);
            assert!(made.is_ok(), "{}", made.err().map(|error| error.to_string()).unwrap_or_default());
        }
    }

    #[test]
    fn larger_messages_are_taken_without_a_word_on_fetching() {
        let mut given = ClientConfig::new();
        given.set(MESSAGE_MAX_BYTES, "5000000");
        let config = reader_config(&given, "group");
        assert!(BaseConsumer::<rdkafka::consumer::DefaultConsumerContext>::from_config(&config).is_ok());
        assert_eq!(config.get(FETCH_MAX_BYTES), None);
        assert_eq!(reader_config(&ClientConfig::new(), "group").get(FETCH_MAX_BYTES), Some("1000000"));
    }

    #[test]
    fn a_refused_property_is_named_without_its_value() {
        for key in ["sasl.pasword", "session.timeout.ms", "security.protocol"] {
            let mut config = ClientConfig::new();
            config.set(key, "hunter2");
            let Err(error) = BaseConsumer::from_config(&config) else { panic!("{key} was taken") };
            let said = without_value(error).to_string();
            assert!(said.contains(key) && !said.contains("hunter2"), "{said}");
        }
    }
}
