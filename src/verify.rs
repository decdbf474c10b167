//! `verify`: proves, from what lies in the output, that nothing is lost and nothing doubled. Changes nothing.
//!
//! May run at any time, also while instances write. The pure checks (`chain`, `markers`, `names`) look at what `snapshot` has
//! read, in an order that makes their conclusions sound; `files` and `log` look into the files and the entries.
//!
//! What cannot be proved from the output: that a column which is only told by a folder's name (`page_url_path=…`) had this
//! value in the record; the checksum in the receipt says that the file is the one that was published.

mod brokers;
mod chain;
mod files;
mod lanes;
mod log;
mod markers;
mod names;
mod progress;
pub mod report;
mod rows;
mod snapshot;
mod violation;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use roaring::RoaringTreemap;
use thiserror::Error;
use tokio::runtime::Handle;

use self::brokers::Kafka;
use self::files::{Depth, Expectations, Looked};
use self::lanes::Lanes;
use self::log::Logs;
use self::names::Named;
use self::progress::Progress;
use self::report::{Report, TopicReport};
use self::snapshot::Snapshot;
pub use self::violation::{Kind, Violation};
use crate::app::clock;
use crate::config::verify::VerifyConfig;
use crate::engine::state::{EntryNumber, LaneState, PartitionId};
use crate::error::Error;
use crate::store::layout::META;
use crate::store::receipt::{Receipt, RecordError};
use crate::store::{Layout, Store, StoreError};

/// Why an output could not be checked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The store failed.
    #[error("--output: {0}")]
    Store(#[from] StoreError),
    /// There is nothing of ours.
    #[error("`{output}` holds no topic that this program has written (no `_meta` folder): check --output")]
    NoOutput {
        /// The output.
        output: String,
    },
    /// There is nothing of this topic.
    #[error("`{output}` holds nothing of topic `{topic}` (no claim in its `_meta` folder): check --topic and --output")]
    NoTopic {
        /// The topic.
        topic: String,
        /// The output.
        output: String,
    },
    /// The claim cannot be read.
    #[error("{0}")]
    Claim(String),
    /// A newer version of this program wrote it.
    #[error("`{key}` cannot be checked: {why}")]
    Newer {
        /// The object.
        key: String,
        /// Which version.
        why: String,
    },
    /// An object cannot be read.
    #[error("cannot read `{key}` in the output")]
    Read {
        /// The object.
        key: String,
        /// What the store said.
        source: std::io::Error,
    },
    /// A lane log changes faster than it can be read.
    #[error("the lane log of partition {partition} changes faster than it can be read: try again")]
    Restless {
        /// The partition.
        partition: PartitionId,
    },
    /// Kafka does not say what it was asked.
    #[error("Kafka does not say {what} of topic `{topic}`: {why}")]
    Kafka {
        /// What was asked.
        what: &'static str,
        /// The topic.
        topic: String,
        /// What it said.
        why: String,
    },
    /// A thread died.
    #[error("a thread died: {0}")]
    Thread(String),
}

impl VerifyError {
    fn newer(key: &Path, error: &RecordError) -> Self {
        Self::Newer { key: key.to_string(), why: error.to_string() }
    }
}

/// Checks an output.
///
/// # Errors
/// When it cannot be checked; what is wrong with it is in the report.
pub async fn run(config: &VerifyConfig, environment: &BTreeMap<String, String>) -> Result<Report, Error> {
    let began = clock::elapsed();
    let store = Store::open_existing(&config.output, environment)?;
    let kafka = Kafka::connect(config)?;
    let topics = match config.topics.is_empty() {
        false => config.topics.clone(),
        true => {
            let (_, folders) = store.list_one_level(&Path::from(META)).await?;
            folders.iter().filter_map(|folder| folder.filename().map(str::to_owned)).collect()
        }
    };
    if topics.is_empty() {
        return Err(VerifyError::NoOutput { output: store.name().to_owned() }.into());
    }
    let (progress, depth) = (Progress::start(), Depth::of(config));
    let mut reports = Vec::new();
    for topic in &topics {
        let audit = Audit { store: &store, layout: Layout::new(topic), config, depth, progress: &progress };
        let checked = audit.check(kafka.as_ref()).await;
        if checked.is_err() {
            progress.finish();
        }
        reports.push(checked?);
    }
    progress.finish();
    Ok(Report::new(store.name(), depth, reports, clock::elapsed().saturating_sub(began)))
}

/// The audit of one topic.
struct Audit<'a> {
    store: &'a Store,
    layout: Layout,
    config: &'a VerifyConfig,
    depth: Depth,
    progress: &'a Progress,
}

impl Audit<'_> {
    async fn check(&self, kafka: Option<&Kafka>) -> Result<TopicReport, VerifyError> {
        let (store, layout, topic) = (self.store, &self.layout, self.layout.topic().to_owned());
        self.progress.say(&topic, "reading receipts and lane logs");
        let claim = snapshot::claim(store, layout).await?;
        // Kafka first: what is committed there is in the logs, which are read later.
        let committed = match kafka {
            Some(kafka) => Some(kafka.look(&topic, &claim.group).await?),
            None => None,
        };
        let snapshot = snapshot::take(store, layout, claim, self.config.requests).await?;
        let Snapshot { claim, files, logs, receipts, markers, .. } = &snapshot;
        let mut violations = snapshot.violations.clone();
        violations.extend(logs.iter().flat_map(|log| log.violations.clone()));

        let lanes =
            Lanes::new(logs.iter().filter_map(|log| log.state.as_ref()), receipts.iter().map(|(_, found)| found));
        for (key, receipt) in receipts {
            violations.extend(names::check_receipt(layout, claim, key, receipt));
        }
        let mut partitions = Vec::new();
        for state in lanes.states.values() {
            violations.extend(is_other(state, claim));
            let (report, found) = chain::check(state, lanes.receipts_of(state.identity.partition));
            partitions.push(report);
            violations.extend(found);
        }
        violations.extend(self.without_log(&snapshot, &lanes).await?);
        violations.extend(markers::check_closed(layout, &snapshot.closed, &lanes));
        for (epoch, (key, marker)) in markers {
            violations.extend(markers::check_marker(key, *epoch, marker, &lanes));
        }
        violations.extend(self.check_entries(&lanes).await?);

        let (named, twice) = names::named(receipts.iter().map(|(_, receipt)| receipt));
        violations.extend(twice);
        violations.extend(names::foreign(layout, files, &named, &lanes));
        violations.extend(named.values().filter_map(|named| names::check_path(layout, claim, *named)));
        let expected = Expectations { event_time: snapshot.event_time.clone() };
        violations.extend(self.check_files(files, &named, &expected, &lanes).await?);

        let compared = match (kafka, &committed) {
            (Some(kafka), Some(found)) => {
                let (partitions, wrong) = kafka.compare(&topic, found, claim, &lanes).await?;
                violations.extend(wrong);
                Some(partitions)
            }
            _ => None,
        };
        let marked: BTreeSet<_> = markers.keys().copied().collect();
        let unmarked = markers::unmarked(&receipts.iter().map(|(_, receipt)| receipt).collect::<Vec<_>>(), &marked);
        let mut violations: Vec<Violation> = violations.into_iter().map(|found| found.topic(&topic)).collect();
        violations.sort();
        violations.dedup();
        Ok(TopicReport {
            group: claim.group.clone(),
            files: u64::try_from(named.len()).unwrap_or(u64::MAX),
            bytes: named.values().map(|named| named.file.bytes).sum(),
            markers: u64::try_from(markers.len()).unwrap_or(u64::MAX),
            unmarked: unmarked.iter().map(|epoch| epoch.label()).collect(),
            event_time_is_checked: self.depth < Depth::Rows || expected.event_time.is_some(),
            topic,
            partitions,
            kafka: compared,
            violations,
        })
    }

    /// Receipts of partitions whose log is gone, or ends before them.
    async fn without_log(&self, snapshot: &Snapshot, lanes: &Lanes<'_>) -> Result<Vec<Violation>, VerifyError> {
        let unreadable: BTreeSet<PartitionId> =
            snapshot.logs.iter().filter(|log| !log.violations.is_empty()).map(|log| log.partition).collect();
        let mut violations = Vec::new();
        for (partition, receipts) in &lanes.receipts {
            let newest = match lanes.states.get(partition) {
                Some(state) => state.entry.number,
                None if unreadable.contains(partition) => continue,
                None => EntryNumber(0),
            };
            let beyond: Vec<&&Receipt> = receipts.iter().filter(|receipt| receipt.entry > newest).collect();
            let Some(last) = beyond.iter().map(|receipt| receipt.entry).max() else { continue };
            // The log may have grown since it was read.
            let now = snapshot::newest_now(self.store, &self.layout, *partition).await?;
            if now.is_some_and(|now| now >= last) {
                continue;
            }
            let (kind, what) = match now {
                None => (Kind::LogMissing, format!("{} receipts, and no lane log", receipts.len())),
                Some(now) => {
                    (Kind::LogBehind, format!("a receipt of entry {last}, and the lane log ends with entry {now}"))
                }
            };
            violations.push(Violation::new(kind, what).partition(*partition).entry(last));
        }
        Ok(violations)
    }

    async fn check_entries(&self, lanes: &Lanes<'_>) -> Result<Vec<Violation>, VerifyError> {
        let logs = Logs { store: self.store.clone(), layout: self.layout.clone(), runtime: Handle::current() };
        let looking = lanes.states.values().map(|state| logs.check_needed(state, self.depth));
        let found: Vec<Vec<Violation>> =
            futures::stream::iter(looking).buffer_unordered(self.config.requests).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Looks at every file that a receipt names: is it there, whole, and what the receipt says?
    async fn check_files(
        &self,
        files: &BTreeMap<Path, u64>,
        named: &BTreeMap<&str, Named<'_>>,
        expected: &Expectations,
        lanes: &Lanes<'_>,
    ) -> Result<Vec<Violation>, VerifyError> {
        let depth = self.depth;
        let expected = Arc::new(expected.clone());
        let mut violations = Vec::new();
        let mut looking = Vec::new();
        for named in named.values() {
            let violation = |kind: Kind, what: String| {
                let violation =
                    Violation::new(kind, what).partition(named.receipt.partition).entry(named.receipt.entry);
                Violation { path: Some(named.file.path.clone()), ..violation }
            };
            let Ok(key) = Path::parse(&named.file.path) else {
                violations.push(violation(Kind::FilePath, "is no path of an object".to_owned()));
                continue;
            };
            let size = match files.get(&key) {
                Some(size) => Some(*size),
                // It may have been put after the listing.
                None => self.store.size(&key).await?,
            };
            match size {
                None => violations
                    .push(violation(Kind::FileMissing, "its receipt names it, and it is not there".to_owned())),
                Some(size) if size != named.file.bytes => {
                    let what = format!("it has {size} bytes, its receipt says {}", named.file.bytes);
                    violations.push(violation(Kind::FileSize, what));
                }
                Some(_) => looking.push((key, *named)),
            }
        }
        self.progress.expect(self.layout.topic(), looking.len());
        let looking = looking.into_iter().map(|(key, named)| {
            let (store, expected) = (self.store.clone(), Arc::clone(&expected));
            // Its own task, so that footers are decoded on all threads; it owns what it compares with.
            let (receipt, file) = (Receipt { files: Vec::new(), ..named.receipt.clone() }, named.file.clone());
            async move {
                let partition = receipt.partition;
                let looked = tokio::spawn(async move {
                    files::look(&store, &key, Named { receipt: &receipt, file: &file }, depth, &expected)
                        .await
                        .map(|looked| (key.clone(), looked))
                });
                let (key, looked) = looked.await.map_err(|error| VerifyError::Thread(error.to_string()))??;
                Ok::<_, VerifyError>((partition, key, looked))
            }
        });
        let mut looked = futures::stream::iter(looking).buffer_unordered(self.config.requests);
        let mut offsets: BTreeMap<PartitionId, RoaringTreemap> = BTreeMap::new();
        while let Some((partition, key, found)) = looked.try_next().await? {
            let Looked { violations: wrong, offsets: own } = found;
            violations.extend(wrong);
            let seen = offsets.entry(partition).or_default();
            violations.extend(twice(seen, &own, partition, &key));
            *seen |= own;
            self.progress.advance();
        }
        // What an operator chose to have read again may be there twice.
        violations.retain(|found| found.kind != Kind::OffsetTwice || !was_read_again(found, lanes));
        Ok(violations)
    }
}

/// How many offsets of a file that are also in others are told one by one.
const TOLD: usize = 10;

fn twice(seen: &RoaringTreemap, own: &RoaringTreemap, partition: PartitionId, key: &Path) -> Vec<Violation> {
    if seen.is_disjoint(own) {
        return Vec::new();
    }
    let both = seen & own;
    let offsets = both.iter().take(TOLD).filter_map(|offset| i64::try_from(offset).ok());
    let what = format!("it is in another file, too ({} offsets of this file are)", both.len());
    let tell = |offset| Violation::new(Kind::OffsetTwice, &*what).partition(partition).offset(offset).path(key);
    offsets.map(tell).collect()
}

fn was_read_again(found: &Violation, lanes: &Lanes<'_>) -> bool {
    let state = found.partition.and_then(|partition| lanes.states.get(&partition));
    let jumps = state.into_iter().flat_map(|state| &state.jumps);
    jumps.clone().any(|jump| found.offset.is_some_and(|offset| (jump.to.0..jump.from.0).contains(&offset)))
}

fn is_other(state: &LaneState, claim: &crate::store::claim::Claim) -> Option<Violation> {
    let own = &state.identity;
    let pairs = [
        ("consumer group", &own.group, &claim.group),
        ("Kafka cluster", &own.cluster_id, &claim.cluster_id),
        ("topic", &own.topic, &claim.topic),
        ("topic id", &own.topic_id, &claim.topic_id),
    ];
    let (what, found, claimed) = pairs.into_iter().find(|(_, found, claimed)| found != claimed)?;
    let what = format!("the lane log is of {what} `{found}`, the claim of `{claimed}`");
    Some(Violation::new(Kind::OtherIdentity, what).partition(own.partition).entry(state.entry.number))
}
