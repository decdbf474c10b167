//! `run --dry-run`: what each partition would do first, told by the very lane that would do it. Joins no group, and changes nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use tokio::runtime::Handle;

use super::clock;
use super::io::unreadable;
use super::topic::lane_config;
use crate::config::{RunConfig, StartAt};
use crate::engine::commit::Committed;
use crate::engine::event::{Action, Input, LoadOutcome, StopReason};
use crate::engine::lane::{Lane, LaneConfig};
use crate::engine::state::{EntryNumber, LaneIdentity, LaneState, Offset, PartitionId, Scope};
use crate::error::Error;
use crate::kafka::cluster::{self, Reader, TopicInfo};
use crate::kafka::member::{self, TopicPartition};
use crate::kafka::reader_config;
use crate::parquet::{EntryError, read_state};
use crate::store::claim::{CLAIM_VERSION, Claim};
use crate::store::{Layout, Store};

/// How long the group's committed offsets may take.
const ASK_COMMITTED: Duration = Duration::from_secs(10);

/// What every partition would do first.
#[derive(Debug)]
pub struct Rehearsal {
    plans: Vec<Plan>,
}

/// What one partition would do first.
#[derive(Debug)]
struct Plan {
    topic: String,
    partition: PartitionId,
    outcome: Outcome,
}

#[derive(Debug)]
enum Outcome {
    /// It would begin: the output has no lane log of it.
    Begins { at: Offset, end: Offset },
    /// It would go on.
    GoesOn(Box<GoesOn>),
    /// It would stop.
    Stops(String),
}

#[derive(Debug)]
struct GoesOn {
    newest: LaneState,
    at: Offset,
    end: Offset,
    skipped: u64,
    /// Kafka's commit is not that of the newest entry: it is repeated.
    commits: bool,
}

impl Rehearsal {
    /// Returns which partitions would stop, and why; `None` if all would go on.
    #[must_use]
    pub fn stops(&self) -> Option<String> {
        let stops = self.plans.iter().filter_map(|plan| match &plan.outcome {
            Outcome::Stops(why) => Some(format!("{}/{}: {why}", plan.topic, plan.partition)),
            Outcome::Begins { .. } | Outcome::GoesOn(_) => None,
        });
        let stops: Vec<String> = stops.collect();
        (!stops.is_empty()).then(|| stops.join("; "))
    }
}

impl fmt::Display for Rehearsal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for plan in &self.plans {
            writeln!(f, "{}/{}  {}", plan.topic, plan.partition, plan.outcome)?;
        }
        write!(f, "dry run: nothing was read from the topic, and nothing was changed")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let behind = |at: &Offset, end: &Offset| end.0.saturating_sub(at.0).max(0);
        match self {
            Self::Stops(why) => write!(f, "STOPS: {why}"),
            Self::Begins { at, end } => write!(f, "begins at offset {at}, {} before the log's end", behind(at, end)),
            Self::GoesOn(plan) => {
                let GoesOn { newest, at, end, skipped, commits } = plan.as_ref();
                write!(
                    f,
                    "goes on at offset {at}, {} before the log's end, after entry {}",
                    behind(at, end),
                    newest.entry.number
                )?;
                if *skipped > 0 {
                    write!(f, "; skips {skipped} offsets that Kafka has lost")?;
                } else if *at != newest.position {
                    write!(f, " instead of {}", newest.position)?;
                }
                let open = newest.waiting.keys().filter(|scope| matches!(scope, Scope::OnTime(_))).count();
                write!(f, "; {open} epochs open, {} closes to publish", newest.closes.len())?;
                if *commits {
                    write!(f, "; commits anew to the group")?;
                }
                Ok(())
            }
        }
    }
}

/// Looks what a run with these flags would do.
///
/// # Errors
/// Mistakes of the operator, as `run` would tell them; and when the output or Kafka do not answer.
pub async fn rehearse(config: &RunConfig, environment: &BTreeMap<String, String>) -> Result<Rehearsal, Error> {
    config.check()?;
    let client = config.kafka.client.client(config.kafka.brokers.as_deref())?;
    let store = Store::open_existing(&config.output.output, environment)?;
    let brokers = client.get("bootstrap.servers").or(client.get("metadata.broker.list")).unwrap_or("-").to_owned();
    let reader = Arc::new(cluster::reader(&reader_config(&client, &config.kafka.group))?);
    let (asked, names) = (Arc::clone(&reader), config.kafka.topics.clone());
    let described = tokio::task::spawn_blocking(move || cluster::describe(&asked, &brokers, &names));
    let (cluster_id, infos) = described.await.map_err(|error| Error::Failed(error.to_string()))??;
    let mut plans = Vec::new();
    for info in infos {
        let stage = Stage {
            store: &store,
            reader: &reader,
            layout: Layout::new(&info.name),
            lane: lane_config(config),
            start: config.kafka.start,
            identity: LaneIdentity {
                group: config.kafka.group.clone(),
                cluster_id: cluster_id.clone(),
                topic: info.name.clone(),
                topic_id: info.id.clone(),
                partition: PartitionId(0),
            },
        };
        let claim = Claim {
            version: CLAIM_VERSION,
            group: config.kafka.group.clone(),
            cluster_id: cluster_id.clone(),
            topic: info.name.clone(),
            topic_id: info.id.clone(),
            epoch_us: config.time.epoch,
            partition_by: config.output.partition_by.clone(),
        };
        claim.check(&store, &stage.layout).await?;
        plans.extend(stage.rehearse(&info).await?);
    }
    Ok(Rehearsal { plans })
}

/// What the lanes of a topic are rehearsed with.
struct Stage<'a> {
    store: &'a Store,
    reader: &'a Arc<Reader>,
    layout: Layout,
    lane: LaneConfig,
    start: StartAt,
    /// Of partition 0.
    identity: LaneIdentity,
}

impl Stage<'_> {
    async fn rehearse(&self, info: &TopicInfo) -> Result<Vec<Plan>, Error> {
        let mut committed = self.committed(info).await?;
        let mut plans = Vec::new();
        for partition in &info.partitions {
            let place = TopicPartition { topic: info.name.as_str().into(), partition: *partition };
            let committed = committed.remove(&place).unwrap_or(Committed::Unknown);
            let outcome = self.play(*partition, committed).await?;
            plans.push(Plan { topic: info.name.clone(), partition: *partition, outcome });
        }
        Ok(plans)
    }

    async fn committed(&self, info: &TopicInfo) -> Result<std::collections::HashMap<TopicPartition, Committed>, Error> {
        let mut list = TopicPartitionList::new();
        for partition in &info.partitions {
            list.add_partition(&info.name, partition.0);
        }
        let reader = Arc::clone(self.reader);
        let asked = tokio::task::spawn_blocking(move || reader.committed_offsets(list, ASK_COMMITTED));
        let found = asked.await.map_err(|error| Error::Failed(error.to_string()))?;
        let found =
            found.map_err(|error| Error::Mistake(format!("cannot learn the group's committed offsets: {error}")))?;
        Ok(member::committed(&found))
    }

    /// Has a lane recover, up to where it would read its first record.
    async fn play(&self, partition: PartitionId, committed: Committed) -> Result<Outcome, Error> {
        let identity = LaneIdentity { partition, ..self.identity.clone() };
        let range = self.range(partition).await?;
        let known = committed.clone();
        let mut lane = Lane::assigned(self.lane.clone(), identity, committed, rand::random(), clock::now());
        let mut commits = false;
        while let Some(action) = lane.poll_action() {
            let answer = match action {
                Action::List { ticket, from } => {
                    let numbers = self.store.list_entries(&self.layout, partition, from).await?;
                    Input::Listed { ticket, numbers: Some(numbers) }
                }
                Action::Load { ticket, number } => {
                    Input::Loaded { ticket, outcome: self.load(partition, number).await? }
                }
                Action::LookForReceipts { ticket } => {
                    let found = self.store.has_receipts(&self.layout, partition).await?;
                    Input::ReceiptsFound { ticket, found: Some(found) }
                }
                Action::AskCommitted { .. } => {
                    return Err(Error::Mistake(format!("Kafka does not say what the group has committed ({known:?})")));
                }
                Action::ResolveStart { ticket } => {
                    let offset = match self.start {
                        StartAt::Earliest => range.0,
                        StartAt::Latest => range.1,
                    };
                    Input::Resolved { ticket, offset }
                }
                Action::Start { ticket, offset } if offset < range.0 || offset > range.1 => {
                    Input::OutOfRange { ticket, low: range.0, high: range.1 }
                }
                Action::Start { .. } => return self.outcome(&lane, range.1, commits).await,
                Action::Stop { reason } => return Ok(Outcome::Stops(reason.to_string())),
                Action::Commit { .. } => {
                    commits = true;
                    continue;
                }
                // What a lane asks for before it reads is above; what it would do besides is not done here.
                Action::Append { .. }
                | Action::AppendAgain { .. }
                | Action::Publish { .. }
                | Action::Mark { .. }
                | Action::Collect { .. }
                | Action::AskEnd { .. }
                | Action::Forget => continue,
            };
            lane.handle(clock::now(), answer);
        }
        Err(Error::Failed(format!("the lane of partition {partition} asks for nothing more, and does not start")))
    }

    async fn outcome(&self, lane: &Lane, end: Offset, commits: bool) -> Result<Outcome, Error> {
        let (newest, at) = (lane.newest().clone(), lane.position());
        if newest.entry.number == EntryNumber(0) {
            return Ok(Outcome::Begins { at, end });
        }
        if let Some(reason) = self.missing_rows(&newest).await? {
            return Ok(Outcome::Stops(reason.to_string()));
        }
        let skipped = lane.totals().skipped_offsets - newest.totals.skipped_offsets;
        Ok(Outcome::GoesOn(Box::new(GoesOn { newest, at, end, skipped, commits })))
    }

    /// A lane finds it out when it needs the rows; better to know it before.
    async fn missing_rows(&self, state: &LaneState) -> Result<Option<StopReason>, Error> {
        let partition = state.identity.partition;
        let chain = state.chain.to_string();
        for close in &state.closes {
            if close.rows.is_empty() || self.store.exists(&self.layout.receipt(partition, &chain, close)).await? {
                continue;
            }
            for held in &close.rows {
                if !self.store.exists(&self.layout.entry(partition, held.entry.number)).await? {
                    return Ok(Some(StopReason::MissingRows { what: format!("the close of {close}") }));
                }
            }
        }
        for (scope, held) in state.waiting.iter().flat_map(|(scope, held)| held.iter().map(move |held| (scope, held))) {
            if !self.store.exists(&self.layout.entry(partition, held.entry.number)).await? {
                return Ok(Some(StopReason::MissingRows { what: scope.to_string() }));
            }
        }
        Ok(None)
    }

    async fn range(&self, partition: PartitionId) -> Result<(Offset, Offset), Error> {
        let (reader, topic) = (Arc::clone(self.reader), self.identity.topic.clone());
        let asked = tokio::task::spawn_blocking(move || cluster::offsets(&reader, &topic, partition));
        Ok(asked.await.map_err(|error| Error::Failed(error.to_string()))??)
    }

    async fn load(&self, partition: PartitionId, number: EntryNumber) -> Result<LoadOutcome, Error> {
        let key = self.layout.entry(partition, number);
        let Some(object) = self.store.open_object(&key, &Handle::current()).await? else {
            return Ok(LoadOutcome::Absent);
        };
        let read = tokio::task::spawn_blocking(move || read_state(&object)).await;
        match read.map_err(|error| Error::Failed(error.to_string()))? {
            Ok(state) => Ok(LoadOutcome::Found(Box::new(state))),
            Err(EntryError::Read { source }) if source.kind() == io::ErrorKind::NotFound => Ok(LoadOutcome::Absent),
            Err(EntryError::Read { source }) => Err(Error::Mistake(format!("--output: cannot read `{key}`: {source}"))),
            Err(error) => Ok(LoadOutcome::Unreadable(unreadable(&error))),
        }
    }
}
