//! The output against Kafka: what the group has committed, what the topic still holds, what is not read yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use serde::Serialize;

use super::VerifyError;
use super::lanes::Lanes;
use super::violation::{Kind, Violation};
use crate::config::names_brokers;
use crate::config::verify::VerifyConfig;
use crate::engine::commit::Committed;
use crate::engine::state::{Offset, PartitionId};
use crate::error::Error;
use crate::kafka::cluster::{self, Reader};
use crate::kafka::member::{self, TopicPartition};
use crate::kafka::reader_config;
use crate::store::claim::Claim;

/// How long the group's committed offsets may take.
const ASK_COMMITTED: Duration = Duration::from_secs(10);

/// The cluster to compare with.
pub(super) struct Kafka {
    client: rdkafka::config::ClientConfig,
    brokers: String,
    group: Option<String>,
}

/// What Kafka says of a topic.
pub(super) struct Found {
    reader: Arc<Reader>,
    topic_id: String,
    cluster_id: String,
    group: String,
    partitions: BTreeMap<PartitionId, Partition>,
}

#[derive(Debug, Clone)]
struct Partition {
    low: Offset,
    high: Offset,
    committed: Committed,
}

/// How a partition stands in Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct KafkaReport {
    /// The partition.
    pub partition: PartitionId,
    /// The first offset that the log holds.
    pub low: Offset,
    /// The log's end.
    pub end: Offset,
    /// The group's committed offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub committed: Option<Offset>,
    /// Offsets between the lane's position and the log's end: not read yet.
    pub unread: u64,
    /// What is unusual, and not wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Kafka {
    /// Returns the cluster that the flags name, if they name one.
    pub(super) fn connect(config: &VerifyConfig) -> Result<Option<Self>, Error> {
        let client = config.client.client(config.brokers.as_deref())?;
        let is_wanted =
            config.brokers.is_some() || config.client.kafka_config.is_some() || !config.client.property.is_empty();
        if !is_wanted {
            return Ok(None);
        }
        names_brokers(&client)?;
        let brokers = client.get("bootstrap.servers").or(client.get("metadata.broker.list")).unwrap_or("-").to_owned();
        Ok(Some(Self { client, brokers, group: config.group.clone() }))
    }

    /// Asks Kafka for a topic and its group.
    pub(super) async fn look(&self, topic: &str, claimed: &str) -> Result<Found, VerifyError> {
        let group = self.group.clone().unwrap_or_else(|| claimed.to_owned());
        let (client, brokers, topic) = (reader_config(&self.client, &group), self.brokers.clone(), topic.to_owned());
        let asked = tokio::task::spawn_blocking(move || look(&client, &brokers, &topic, group));
        asked.await.map_err(|error| VerifyError::Thread(error.to_string()))?
    }

    /// Compares the lanes with what Kafka said before they were read.
    pub(super) async fn compare(
        &self,
        topic: &str,
        found: &Found,
        claim: &Claim,
        lanes: &Lanes<'_>,
    ) -> Result<(Vec<KafkaReport>, Vec<Violation>), VerifyError> {
        let (mut reports, mut violations) = (Vec::new(), Vec::new());
        if found.topic_id != "-" && found.topic_id != claim.topic_id || found.cluster_id != claim.cluster_id {
            let what = format!(
                "the output is of topic id {} of cluster {}, Kafka has id {} in cluster {}: the topic was deleted and created again, or this is another cluster",
                claim.topic_id, claim.cluster_id, found.topic_id, found.cluster_id
            );
            return Ok((reports, vec![Violation::new(Kind::Recreated, what)]));
        }
        for (partition, known) in &found.partitions {
            let position = lanes.states.get(partition).map(|state| state.position);
            let mut end = known.high;
            if position.is_some_and(|position| position > end) {
                // Records may have come since Kafka was asked.
                end = end_now(&found.reader, topic, *partition).await?;
            }
            let wrong = |kind, what: String| Violation::new(kind, what).partition(*partition);
            if let Some(position) = position {
                if position > end {
                    let what = format!("the next offset to read is {position}, and Kafka's log ends at {end}");
                    violations.push(wrong(Kind::BeyondEnd, what).offset(position.0));
                }
                if position < known.low {
                    let what = format!(
                        "offsets {position} to {} were not read, and Kafka's log begins at {}",
                        known.low.0 - 1,
                        known.low
                    );
                    violations.push(wrong(Kind::DataLoss, what).offset(position.0));
                }
            }
            let state = lanes.states.get(partition);
            let (committed, note) = match &known.committed {
                Committed::Ours { offset, metadata } => {
                    let contradicts =
                        state.is_none_or(|state| metadata.chain != state.chain || metadata.entry > state.entry.number);
                    if contradicts {
                        let what = format!(
                            "group `{}` has committed entry {} of chain {}, which this lane log does not have",
                            found.group, metadata.entry, metadata.chain
                        );
                        violations.push(wrong(Kind::CommitContradiction, what).entry(metadata.entry).offset(offset.0));
                    }
                    (Some(*offset), None)
                }
                Committed::Foreign { offset } => (
                    Some(*offset),
                    Some("the committed offset was not written by this program: a tool set it".to_owned()),
                ),
                Committed::Unreadable { offset, version } => {
                    (Some(*offset), Some(format!("a newer version of this program committed it (format {version})")))
                }
                Committed::Nothing if state.is_some() => (
                    None,
                    Some("the group has no committed offset: it expired, and the next run commits it again".to_owned()),
                ),
                Committed::Nothing | Committed::Unknown => (None, None),
            };
            let from = position.unwrap_or(known.low);
            let unread = u64::try_from(end.0.saturating_sub(from.0)).unwrap_or(0);
            reports.push(KafkaReport { partition: *partition, low: known.low, end, committed, unread, note });
        }
        Ok((reports, violations))
    }
}

fn look(
    client: &rdkafka::config::ClientConfig,
    brokers: &str,
    topic: &str,
    group: String,
) -> Result<Found, VerifyError> {
    let failed = |what, why: String| VerifyError::Kafka { what, topic: topic.to_owned(), why };
    let reader = cluster::reader(client).map_err(|error| failed("anything", error.to_string()))?;
    let (cluster_id, infos) = cluster::describe(&reader, brokers, &[topic.to_owned()])
        .map_err(|error| failed("anything", crate::store::chain(&error)))?;
    let info = infos.into_iter().next().ok_or_else(|| failed("anything", "no answer".to_owned()))?;
    let mut list = TopicPartitionList::new();
    for partition in &info.partitions {
        list.add_partition(topic, partition.0);
    }
    let found = reader
        .committed_offsets(list, ASK_COMMITTED)
        .map_err(|error| failed("the group's committed offsets", error.to_string()))?;
    let mut committed = member::committed(&found);
    let mut partitions = BTreeMap::new();
    for partition in info.partitions {
        let (low, high) = cluster::offsets(&reader, topic, partition)
            .map_err(|error| failed("where the partitions begin and end", error.to_string()))?;
        let place = TopicPartition { topic: topic.into(), partition };
        let committed = committed.remove(&place).unwrap_or(Committed::Unknown);
        if committed == Committed::Unknown {
            return Err(failed("the group's committed offsets", format!("no answer for partition {partition}")));
        }
        partitions.insert(partition, Partition { low, high, committed });
    }
    Ok(Found { reader: Arc::new(reader), topic_id: info.id, cluster_id, group, partitions })
}

async fn end_now(reader: &Arc<Reader>, topic: &str, partition: PartitionId) -> Result<Offset, VerifyError> {
    let (reader, name) = (Arc::clone(reader), topic.to_owned());
    let asked = tokio::task::spawn_blocking(move || cluster::offsets(&reader, &name, partition));
    let range = asked.await.map_err(|error| VerifyError::Thread(error.to_string()))?;
    let failed = |error: cluster::ClusterError| VerifyError::Kafka {
        what: "where the partitions end",
        topic: topic.to_owned(),
        why: error.to_string(),
    };
    Ok(range.map_err(failed)?.1)
}
