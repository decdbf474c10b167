//! What a cluster says of itself and of a topic, before anything is read.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use thiserror::Error;

use super::ffi;
use crate::engine::state::{Offset, PartitionId};

/// The whole time that the first contact may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one question may take, so that errors that come beside it are seen.
const ONE_QUESTION: Duration = Duration::from_secs(2);

/// What the id of librdkafka's mock cluster begins with, the demo's broker: it never answers a question for topics' ids.
const MOCK: &str = "mockCluster";

/// Why a cluster or a topic cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// librdkafka refuses the configuration.
    #[error("the Kafka configuration is not valid, see -X and --kafka-config: {source}")]
    Config {
        /// What it said.
        source: KafkaError,
    },
    /// No broker answered.
    #[error(
        "no answer from the brokers `{brokers}`: check --brokers, and the security properties in -X or --kafka-config: {reason}"
    )]
    Unreachable {
        /// As they were given.
        brokers: String,
        /// What was seen meanwhile.
        reason: String,
    },
    /// There is no such topic.
    #[error("there is no topic `{topic}` on `{brokers}`: check --topic, or create it (`generate --create-topic` does)")]
    NoTopic {
        /// The topic.
        topic: String,
        /// As they were given.
        brokers: String,
    },
    /// The topic is not ours to read.
    #[error("topic `{topic}` cannot be read: {code}")]
    Topic {
        /// The topic.
        topic: String,
        /// What the broker said.
        code: RDKafkaErrorCode,
    },
    /// The broker did not tell.
    #[error("cannot learn the offsets of topic `{topic}` partition {partition}: {source}")]
    Offsets {
        /// The topic.
        topic: String,
        /// The partition.
        partition: PartitionId,
        /// What it said.
        source: KafkaError,
    },
}

/// A topic as the cluster describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its id; `-` if the broker does not tell.
    pub id: String,
    /// Its partitions.
    pub partitions: Vec<PartitionId>,
}

/// Remembers the last error that librdkafka reported beside the answers.
#[derive(Debug, Default)]
pub struct LastError {
    said: Mutex<Option<String>>,
}

impl ClientContext for LastError {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "librdkafka reports an error");
        if let Ok(mut said) = self.said.lock() {
            // The reason names the broker and what went wrong; "all brokers down" says less than what came before.
            if said.is_none() || error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
                *said = Some(reason.to_owned());
            }
        }
    }
}

impl ConsumerContext for LastError {}

/// A client that asks, and reads without being a member of the group.
pub type Reader = BaseConsumer<LastError>;

/// Returns a client for [`describe`] and [`offsets`].
///
/// # Errors
/// When librdkafka refuses the configuration.
pub fn reader(config: &ClientConfig) -> Result<Reader, ClusterError> {
    config
        .create_with_context(LastError::default())
        .map_err(|source| ClusterError::Config { source: super::without_value(source) })
}

/// Returns the cluster's id and what it says of `topics`.
///
/// # Errors
/// When no broker answers within ten seconds, or a topic is not there or not ours to read.
pub fn describe(reader: &Reader, brokers: &str, topics: &[String]) -> Result<(String, Vec<TopicInfo>), ClusterError> {
    let mut partitions = HashMap::new();
    for topic in topics {
        partitions.insert(topic, ask_partitions(reader, brokers, topic)?);
    }
    // What is learnt here goes into the claim and into every entry: no answer must not pass for "has none".
    let unreachable =
        |what: &str| ClusterError::Unreachable { brokers: brokers.to_owned(), reason: format!("no answer to {what}") };
    let cluster_id =
        ask(|| reader.client().fetch_cluster_id(ONE_QUESTION)).ok_or_else(|| unreachable("the cluster's id"))?;
    let ids = if cluster_id.starts_with(MOCK) {
        HashMap::new()
    } else {
        ask(|| ffi::topic_ids(reader, topics, ONE_QUESTION)).ok_or_else(|| unreachable("the topics' ids"))?
    };
    let infos = topics.iter().map(|name| TopicInfo {
        name: name.clone(),
        id: ids.get(name).cloned().unwrap_or_else(|| "-".to_owned()),
        partitions: partitions.remove(name).unwrap_or_default(),
    });
    Ok((cluster_id, infos.collect()))
}

/// Asks until there is an answer, or patience is over.
fn ask<T>(question: impl Fn() -> Option<T>) -> Option<T> {
    (0..PATIENCE.as_secs() / ONE_QUESTION.as_secs()).find_map(|_| question())
}

/// Returns the id that a topic has now; `None` if the broker does not say.
#[must_use]
pub fn topic_id(reader: &Reader, topic: &str) -> Option<String> {
    ffi::topic_ids(reader, &[topic.to_owned()], ONE_QUESTION)?.remove(topic)
}

fn ask_partitions(reader: &Reader, brokers: &str, topic: &str) -> Result<Vec<PartitionId>, ClusterError> {
    let questions = PATIENCE.as_secs() / ONE_QUESTION.as_secs();
    let mut reason = String::new();
    for _ in 0..questions {
        let answer = reader.fetch_metadata(Some(topic), ONE_QUESTION);
        // Serves the error callback.
        let _ = reader.poll(Duration::ZERO);
        match answer {
            Ok(metadata) => match metadata.topics().iter().find(|found| found.name() == topic) {
                Some(found) => match found.error().map(RDKafkaErrorCode::from) {
                    None => {
                        return Ok(found.partitions().iter().map(|partition| PartitionId(partition.id())).collect());
                    }
                    Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                        return Err(ClusterError::NoTopic { topic: topic.to_owned(), brokers: brokers.to_owned() });
                    }
                    Some(RDKafkaErrorCode::LeaderNotAvailable) => "the topic has no leader yet".clone_into(&mut reason),
                    Some(code) => return Err(ClusterError::Topic { topic: topic.to_owned(), code }),
                },
                None => "the broker does not mention the topic".clone_into(&mut reason),
            },
            Err(error) => reason = error.to_string(),
        }
        if let Ok(said) = reader.client().context().said.lock()
            && let Some(said) = said.as_ref()
        {
            reason.clone_from(said);
        }
    }
    Err(ClusterError::Unreachable { brokers: brokers.to_owned(), reason })
}

/// Returns the first offset that a partition's log holds, and its end (the last stable offset).
///
/// # Errors
/// When the broker does not answer.
pub fn offsets<C: ConsumerContext>(
    reader: &BaseConsumer<C>,
    topic: &str,
    partition: PartitionId,
) -> Result<(Offset, Offset), ClusterError> {
    match reader.fetch_watermarks(topic, partition.0, PATIENCE) {
        Ok((low, high)) => Ok((Offset(low), Offset(high))),
        Err(source) => {
            // A broker that has just come back may not know the topic yet. librdkafka remembers that for minutes, and asks nobody, unless it is
            // made to look anew: whoever asks again gets an answer.
            let _ = reader.fetch_metadata(Some(topic), ONE_QUESTION);
            Err(ClusterError::Offsets { topic: topic.to_owned(), partition, source })
        }
    }
}

/// Returns the partitions that a topic has now; `None` if the broker does not say.
pub fn partitions<C: ConsumerContext>(reader: &BaseConsumer<C>, topic: &str) -> Option<Vec<PartitionId>> {
    let metadata = reader.fetch_metadata(Some(topic), PATIENCE).ok()?;
    let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none())?;
    Some(found.partitions().iter().map(|partition| PartitionId(partition.id())).collect())
}
