//! What all lanes of a topic share, made before the first record is read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rdkafka::Message as _;
use rdkafka::consumer::Consumer;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use crate::config::{Misfit, RunConfig, StartAt, Unit};
use crate::engine::event::PutOutcome;
use crate::engine::lane::{LaneConfig, MergeConfig};
#[cfg(not(feature = "fail-points"))]
use crate::engine::mutation::Mutation;
use crate::engine::state::{LaneIdentity, Offset, PartitionId, Recipe};
use crate::error::Error;
use crate::kafka::cluster::{self, Reader, TopicInfo};
use crate::partition::PartitionBy;
use crate::record::timestamp::{TimeUnit, TimestampParser};
use crate::record::{DecoderOptions, OnMisfit};
use crate::schema::{Schema, infer};
use crate::store::claim::{CLAIM_VERSION, Claim};
use crate::store::layout::LAYOUT_VERSION;
use crate::store::{Layout, Store, StoreError};

/// The version of the stored schema's format.
const SCHEMA_FORMAT: u32 = 1;
/// The version of the schema; none after the first exists yet.
pub(super) const SCHEMA_VERSION: u32 = 1;
/// How long a lane that is behind gathers epochs to close, in milliseconds; at most twice as long.
const GATHER_CLOSES_MS: u64 = 5_000;
/// The most records that a schema is inferred from.
const SAMPLE_RECORDS: usize = 10_000;
/// The most bytes of them.
const SAMPLE_BYTES: usize = 32 << 20;
/// How long a sample waits for more records once it has some.
const SAMPLE_PAUSE: Duration = Duration::from_secs(1);
/// How long the output may take to answer at the start.
const STORE_PATIENCE: Duration = Duration::from_secs(10);
/// Which part of the memory limit the records may have had whose rows one entry takes over.
const MERGE_SHARE: u64 = 32;

/// A topic that this instance reads.
#[derive(Debug)]
pub struct Topic {
    /// The topic as the cluster describes it.
    pub info: TopicInfo,
    /// Where its objects are.
    pub layout: Layout,
    /// What its rows are.
    pub schema: Arc<Schema>,
    /// What becomes of them.
    pub partition_by: PartitionBy,
    /// How they are read.
    pub decoder: DecoderOptions,
    /// How its lanes behave.
    pub lane: LaneConfig,
    /// Where a partition begins that the group has never read.
    pub start: StartAt,
    /// For a bounded run: where each partition begins and ends.
    pub bounds: Option<BTreeMap<PartitionId, (Offset, Offset)>>,
    group: String,
    cluster_id: String,
}

impl Topic {
    /// Returns what the lane log of a partition belongs to.
    #[must_use]
    pub fn identity(&self, partition: PartitionId) -> LaneIdentity {
        LaneIdentity {
            group: self.group.clone(),
            cluster_id: self.cluster_id.clone(),
            topic: self.info.name.clone(),
            topic_id: self.info.id.clone(),
            partition,
        }
    }
}

/// The stored form of a schema version.
#[derive(Debug, Serialize, Deserialize)]
struct StoredSchema {
    version: u32,
    timestamp_field: String,
    schema: serde_json::Value,
}

/// Checks a topic and the output for it, finds or makes its schema, and claims it.
///
/// # Errors
/// Every mistake of the operator that can be seen before a record is read.
pub async fn prepare(
    config: &RunConfig,
    store: &Store,
    reader: &Arc<Reader>,
    cluster_id: &str,
    info: TopicInfo,
    given: Option<&Schema>,
    random: u64,
) -> Result<Topic, Error> {
    let layout = Layout::new(&info.name);
    let names = &config.output.partition_by;
    // A mistake in --partition-by is told before anything is put into the output, if the schema is known already.
    if let Some(schema) = given {
        PartitionBy::parse(names, schema)?;
    }
    // The client library tries again for minutes, whatever is wrong.
    let probed = tokio::time::timeout(STORE_PATIENCE, store.probe(&layout, random)).await;
    probed.map_err(|_| StoreError::Silent { seconds: STORE_PATIENCE.as_secs() })??;
    let claim = Claim {
        version: CLAIM_VERSION,
        group: config.kafka.group.clone(),
        cluster_id: cluster_id.to_owned(),
        topic: info.name.clone(),
        topic_id: info.id.clone(),
        epoch_us: config.time.epoch,
        partition_by: names.clone(),
    };
    // Whatever may turn out a mistake comes before the claim, which outlives it.
    claim.check(store, &layout).await?;
    let found = find_schema(config, store, &layout, reader, &info, given).await?;
    PartitionBy::parse(names, found.schema())?;
    claim.stake(store, &layout).await?;
    let schema = share_schema(config, store, &layout, &info, found, given).await?;
    let partition_by = PartitionBy::parse(names, &schema)?;
    let bounds = if config.operation.until_end { Some(bounds(reader, &info).await?) } else { None };
    Ok(Topic {
        lane: lane_config(config),
        decoder: decoder_options(config),
        start: config.kafka.start,
        group: config.kafka.group.clone(),
        cluster_id: cluster_id.to_owned(),
        schema: Arc::new(schema),
        partition_by,
        bounds,
        layout,
        info,
    })
}

pub(super) fn lane_config(config: &RunConfig) -> LaneConfig {
    #[cfg(not(feature = "fail-points"))]
    let mutation = Mutation::None;
    #[cfg(feature = "fail-points")]
    let mutation = super::fail_point::broken_rule();
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    LaneConfig {
        epoch: config.time.epoch,
        allowed_lateness_us: i64::try_from(config.time.allowed_lateness.as_micros()).unwrap_or(i64::MAX),
        late: config.time.late.into(),
        commit_interval_ms: ms(config.operation.commit_interval),
        gather_closes_ms: GATHER_CLOSES_MS.min(ms(config.operation.commit_interval)),
        idle_timeout_ms: ms(config.time.idle_timeout),
        collect_grace_ms: ms(config.operation.collect_grace),
        merge: MergeConfig {
            most_entries: usize::try_from(config.operation.merge_entries).unwrap_or(usize::MAX),
            most_bytes: config.operation.memory_limit.as_u64() / MERGE_SHARE,
        },
        recipe: Recipe {
            partition_by: config.output.partition_by.clone(),
            max_buckets: config.output.max_buckets,
            layout: LAYOUT_VERSION,
            schema: SCHEMA_VERSION,
            compression: config.output.compression.clone(),
        },
        on_foreign_offset: config.operation.on_foreign_offset.into(),
        on_data_loss: config.operation.on_data_loss.into(),
        mutation,
    }
}

fn decoder_options(config: &RunConfig) -> DecoderOptions {
    let unit = match config.time.timestamp_unit {
        Unit::Auto => TimeUnit::Auto,
        Unit::S => TimeUnit::Seconds,
        Unit::Ms => TimeUnit::Milliseconds,
        Unit::Us => TimeUnit::Microseconds,
        Unit::Ns => TimeUnit::Nanoseconds,
    };
    DecoderOptions {
        timestamp_field: config.time.timestamp_field.clone(),
        timestamps: TimestampParser::new(unit, config.time.timezone),
        max_future: Some(config.time.max_future),
        on_misfit: match config.rows.on_misfit {
            Misfit::Extra => OnMisfit::Extra,
            Misfit::DeadLetter => OnMisfit::DeadLetter,
        },
    }
}

async fn bounds(reader: &Arc<Reader>, info: &TopicInfo) -> Result<BTreeMap<PartitionId, (Offset, Offset)>, Error> {
    let (reader, info) = (Arc::clone(reader), info.clone());
    let asked = tokio::task::spawn_blocking(move || {
        let each = info
            .partitions
            .iter()
            .map(|partition| cluster::offsets(&reader, &info.name, *partition).map(|bounds| (*partition, bounds)));
        each.collect::<Result<BTreeMap<_, _>, _>>()
    });
    Ok(asked.await.map_err(|error| Error::Failed(error.to_string()))??)
}

/// A topic's schema before the first record.
enum Found {
    /// The output has it.
    Stored(Schema),
    /// The output has none yet; this one is given or inferred.
    Ours(Schema),
}

impl Found {
    const fn schema(&self) -> &Schema {
        match self {
            Self::Stored(schema) | Self::Ours(schema) => schema,
        }
    }
}

/// Returns the stored schema; else the given or inferred one.
async fn find_schema(
    config: &RunConfig,
    store: &Store,
    layout: &Layout,
    reader: &Arc<Reader>,
    info: &TopicInfo,
    given: Option<&Schema>,
) -> Result<Found, Error> {
    let key = layout.schema(SCHEMA_VERSION);
    if let Some(found) = store.get(&key).await? {
        return Ok(Found::Stored(agree(read_stored(config, &key, &found)?, given)?));
    }
    Ok(Found::Ours(match given {
        Some(schema) => schema.clone(),
        None => infer_from_topic(config, reader, info).await?,
    }))
}

/// Returns the schema that all instances share: the one that was found, unless somebody else has put another one first.
async fn share_schema(
    config: &RunConfig,
    store: &Store,
    layout: &Layout,
    info: &TopicInfo,
    found: Found,
    given: Option<&Schema>,
) -> Result<Schema, Error> {
    let ours = match found {
        Found::Stored(stored) => return Ok(stored),
        Found::Ours(ours) => ours,
    };
    let key = layout.schema(SCHEMA_VERSION);
    let unreadable = |why: String| StoreError::Unreadable { key: key.clone(), why };
    let stored = StoredSchema {
        version: SCHEMA_FORMAT,
        timestamp_field: config.time.timestamp_field.clone(),
        schema: serde_json::from_str(&ours.to_json()).map_err(|error| unreadable(error.to_string()))?,
    };
    let text = serde_json::to_vec_pretty(&stored).map_err(|error| unreadable(error.to_string()))?;
    if store.create(&key, Bytes::from(text)).await == PutOutcome::Created {
        tracing::info!(topic = %info.name, columns = ours.fields().len(), inferred = given.is_none(), "schema stored");
        return Ok(ours);
    }
    let found =
        store.get(&key).await?.ok_or(StoreError::Unfit("it says that a schema is there, and does not have it"))?;
    agree(read_stored(config, &key, &found)?, given)
}

fn read_stored(config: &RunConfig, key: &object_store::path::Path, bytes: &Bytes) -> Result<Schema, Error> {
    let unreadable = |why: String| StoreError::Unreadable { key: key.clone(), why };
    let stored: StoredSchema = serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
    if stored.version != SCHEMA_FORMAT {
        let why = format!("version {} is not known, this program knows {SCHEMA_FORMAT}: update it", stored.version);
        return Err(unreadable(why).into());
    }
    if stored.timestamp_field != config.time.timestamp_field {
        return Err(Error::Mistake(format!(
            "--timestamp-field is `{}`, but this output was begun with `{}`: it cannot change in an output",
            config.time.timestamp_field, stored.timestamp_field
        )));
    }
    Schema::from_json(&stored.schema.to_string()).map_err(|error| unreadable(error.to_string()).into())
}

fn agree(stored: Schema, given: Option<&Schema>) -> Result<Schema, Error> {
    match given {
        Some(given) if given.to_json() != stored.to_json() => Err(Error::Mistake(
            "--schema differs from the schema that this output was begun with (see `_meta/<topic>/schema/1.json` there): \
             leave the flag away to go on with that one, or choose another --output"
                .to_owned(),
        )),
        _ => Ok(stored),
    }
}

/// Reads the topic's first records, without being a member of the group, and infers their schema. Waits for the first one.
async fn infer_from_topic(config: &RunConfig, reader: &Arc<Reader>, info: &TopicInfo) -> Result<Schema, Error> {
    let (reader, info, start) = (Arc::clone(reader), info.clone(), config.kafka.start);
    let until_end = config.operation.until_end;
    let (field, leave_out) = (config.time.timestamp_field.clone(), config.output.partition_by.clone());
    let inferring = tokio::task::spawn_blocking(move || {
        let sample = sample(&reader, &info, start, until_end, SAMPLE_RECORDS)?;
        let derived: Vec<String> =
            leave_out.into_iter().filter(|name| crate::partition::DERIVED.contains(&name.as_str())).collect();
        let inferred = infer::infer(sample.iter().map(Vec::as_slice), &field, &derived);
        tracing::info!(
            topic = %info.name, records = inferred.records_used, skipped = inferred.records_skipped,
            left_out = ?inferred.left_out, "schema inferred from the first records"
        );
        Ok(inferred.schema)
    });
    inferring.await.map_err(|error| Error::Failed(error.to_string()))?
}

/// Reads up to `records` of the first records of each partition. `None` for an empty topic only when `bounded`.
///
/// # Errors
/// When the topic cannot be read, or is empty although the run is bounded.
pub fn sample(
    reader: &Reader,
    info: &TopicInfo,
    start: StartAt,
    bounded: bool,
    records: usize,
) -> Result<Vec<Vec<u8>>, Error> {
    let from = match start {
        StartAt::Earliest => KafkaOffset::Beginning,
        StartAt::Latest => KafkaOffset::End,
    };
    let failed =
        |error: rdkafka::error::KafkaError| Error::Failed(format!("cannot read topic `{}`: {error}", info.name));
    let mut list = TopicPartitionList::new();
    for partition in &info.partitions {
        list.add_partition_offset(&info.name, partition.0, from).map_err(failed)?;
    }
    reader.assign(&list).map_err(failed)?;
    let (mut sample, mut bytes, mut ends) = (Vec::new(), 0, 0);
    while sample.len() < records && bytes < SAMPLE_BYTES {
        match reader.poll(SAMPLE_PAUSE) {
            Some(Ok(message)) => {
                let value = message.payload().unwrap_or_default();
                bytes += value.len();
                sample.push(value.to_vec());
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => {
                ends += 1;
                if ends >= info.partitions.len() && (bounded || !sample.is_empty()) {
                    break;
                }
            }
            Some(Err(error)) => return Err(failed(error)),
            None if !sample.is_empty() => break,
            None => tracing::info!(topic = %info.name, "waiting for the first record, to infer the schema from"),
        }
    }
    reader.unassign().map_err(failed)?;
    if sample.is_empty() {
        return Err(Error::Mistake(format!(
            "topic `{}` is empty, so that no schema can be inferred: give one with --schema",
            info.name
        )));
    }
    Ok(sample)
}
