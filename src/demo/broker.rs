//! The broker inside the demo: librdkafka's mock cluster, and what the consumer group has committed there.
//!
//! It speaks Kafka's protocol on loopback ports, holds everything in memory, and **drops old records** of a partition beyond 5 MiB:
//! whoever produces must not run ahead of the commits (see [`super::ledger`]).

use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::{GROUP, PARTITIONS, TOPIC};
use crate::error::Error;

/// How long the broker may take to say what is committed.
const ANSWER: Duration = Duration::from_secs(5);

/// The broker; gone when it is dropped.
pub(super) struct Broker {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

impl Broker {
    /// Starts the broker, with the topic.
    pub(super) fn start() -> Result<Self, Error> {
        let cluster = MockCluster::new(1).map_err(failed)?;
        cluster.create_topic(TOPIC, PARTITIONS, 1).map_err(failed)?;
        Ok(Self { cluster })
    }

    /// Returns where it listens.
    pub(super) fn address(&self) -> String {
        self.cluster.bootstrap_servers()
    }
}

/// Asks what the consumer group has committed, without being one of its members.
pub(super) struct Commits {
    client: BaseConsumer,
    partitions: TopicPartitionList,
}

impl Commits {
    /// Returns a client that asks the broker at `address`.
    pub(super) fn of(address: &str) -> Result<Self, Error> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", address).set("group.id", GROUP);
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_range(TOPIC, 0, PARTITIONS - 1);
        Ok(Self { client: config.create().map_err(failed)?, partitions })
    }

    /// Returns the next offset to read of each partition, as far as it is committed.
    pub(super) fn read(&self) -> Result<Vec<(i32, i64)>, Error> {
        let found = self.client.committed_offsets(self.partitions.clone(), ANSWER).map_err(failed)?;
        let elements = found.elements();
        Ok(elements
            .iter()
            .filter_map(|of| Some((of.partition(), of.offset().to_raw().filter(|offset| *offset >= 0)?)))
            .collect())
    }
}

/// The embedded broker or a client of it gave up.
pub(super) fn failed(error: KafkaError) -> Error {
    Error::Failed(format!("the embedded broker: {error}"))
}
