//! One publication: the files of a close are assembled out of the lane log, created, and receipted.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::budget::{Budget, Holding};
use super::clock;
use super::fail_point::fail_point;
use super::tally::Tally;
use super::topic::{SCHEMA_VERSION, Topic};
use crate::engine::event::PublishOutcome;
use crate::engine::publish::{PublishJob, PublishStep, StepOutcome};
use crate::engine::state::{ChainId, Close, PartitionId};
use crate::metrics::{LaneMetrics, Metrics};
use crate::parquet::{AssembleError, Assembly, AssemblyOptions, EntryError, EntryReader, FolderName, PlannedFile};
use crate::partition::hive;
use crate::store::layout::LAYOUT_VERSION;
use crate::store::receipt::{FileReceipt, RECEIPT_VERSION, Receipt, RecordError};
use crate::store::{Store, StoreError, chain};

/// What assembling is reckoned to hold: the row group being encoded, the part being uploaded.
const ASSEMBLY_BYTES: usize = 16 << 20;

/// One publication of one close.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) store: Store,
    pub(super) runtime: Handle,
    pub(super) topic: Arc<Topic>,
    pub(super) partition: PartitionId,
    pub(super) chain: ChainId,
    pub(super) close: Close,
    pub(super) lane_metrics: Arc<LaneMetrics>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tally: Arc<Tally>,
    pub(super) budget: Arc<Budget>,
}

/// Why the files could not be put.
enum Fault {
    /// An entry is gone or damaged, or another has its number.
    EntryGone,
    Failed(String),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Failed(chain(&error))
    }
}

impl Publisher {
    /// Publishes; blocks. Must not be called on a thread of the runtime.
    pub(super) fn publish(&self) -> PublishOutcome {
        fail_point!("publish.before");
        let began = clock::elapsed();
        let mut held = self.budget.hold(ASSEMBLY_BYTES);
        let (mut job, mut files) = (PublishJob::default(), Vec::new());
        let outcome = loop {
            let outcome = match job.step() {
                PublishStep::LookForReceipt => self.look_for_receipt(),
                PublishStep::PutFiles => match self.put_files(&mut held) {
                    Ok(put) => {
                        files = put;
                        StepOutcome::FilesThere
                    }
                    Err(Fault::EntryGone) => StepOutcome::EntryGone,
                    Err(Fault::Failed(why)) => StepOutcome::Failed(why),
                },
                PublishStep::PutReceipt => self.put_receipt(&files),
            };
            if let Some(ended) = job.handle(outcome) {
                break ended;
            }
        };
        self.report(&outcome, &files);
        self.metrics.observe_publish(clock::elapsed().saturating_sub(began));
        outcome
    }

    fn report(&self, outcome: &PublishOutcome, files: &[FileReceipt]) {
        let (topic, partition) = (&self.topic.info.name, self.partition);
        match outcome {
            PublishOutcome::Published => {
                let sum = |of: fn(&FileReceipt) -> u64| files.iter().map(of).sum::<u64>();
                let (count, rows, bytes) =
                    (u64::try_from(files.len()).unwrap_or(0), sum(|file| file.rows), sum(|file| file.bytes));
                self.lane_metrics.published_files.inc_by(count);
                self.lane_metrics.published_rows.inc_by(rows);
                self.lane_metrics.published_bytes.inc_by(bytes);
                self.tally.add_publication(count, bytes);
                tracing::info!(%topic, %partition, files = count, rows, bytes, "published {}", self.close);
            }
            PublishOutcome::Stale => tracing::warn!(
                %topic, %partition, "an entry that {} needs is gone or damaged: looking who is ahead", self.close
            ),
            PublishOutcome::Refused(why) => tracing::warn!(
                %topic, %partition, error = %why, "{} is not published: looking who is ahead", self.close
            ),
            PublishOutcome::Failed(why) => {
                self.lane_metrics.publish_failures.inc();
                tracing::warn!(%topic, %partition, error = %why, "cannot publish {}; trying again", self.close);
            }
        }
    }

    /// Looks whether the close is published. A receipt that is damaged, or another's, is not believed: else the entries would be collected.
    fn look_for_receipt(&self) -> StepOutcome {
        let key = self.receipt_key();
        let found = match self.runtime.block_on(self.store.get(&key)) {
            Ok(None) => return StepOutcome::Receipt(false),
            Ok(Some(found)) => Receipt::read(&found),
            Err(error) => return StepOutcome::Failed(chain(&error)),
        };
        let wrong = match found {
            Ok(receipt) => receipt
                .contradicts(&self.topic.info.id, self.partition, self.chain, &self.close)
                .map(|what| format!("disagrees with the lane log in: {what}")),
            Err(error @ RecordError::Version { .. }) => {
                return StepOutcome::Failed(format!("{key}: {}", chain(&error)));
            }
            Err(error @ RecordError::Form { .. }) => Some(format!("cannot be read: {}", chain(&error))),
        };
        wrong.map_or(StepOutcome::Receipt(true), |why| StepOutcome::ReceiptRefused(format!("its receipt {key} {why}")))
    }

    fn receipt_key(&self) -> object_store::path::Path {
        self.topic.layout.receipt(self.partition, &self.chain.to_string(), &self.close)
    }

    fn put_files(&self, held: &mut Holding) -> Result<Vec<FileReceipt>, Fault> {
        let recipe = &self.close.recipe;
        if (recipe.layout, recipe.schema) != (LAYOUT_VERSION, SCHEMA_VERSION) {
            // A newer version decided the close: by its recipe the files would have other names here.
            let (layout, schema) = (recipe.layout, recipe.schema);
            return Err(Fault::Failed(format!(
                "layout {layout} or schema {schema} is not known: update this instance"
            )));
        }
        let began = clock::elapsed();
        let entries = self.close.rows.iter().map(|held| self.open(held.entry.number)).collect::<Result<Vec<_>, _>>()?;
        let columns = self.topic.schema.columns();
        let opened = Assembly::open(&self.close, entries, &columns, &folder, &AssemblyOptions::default());
        let mut assembly = opened.map_err(assemble_fault)?;
        held.resize(ASSEMBLY_BYTES.saturating_add(usize::try_from(assembly.reading_bytes()).unwrap_or(usize::MAX)));
        let (found, promised) = (assembly.rows(), self.close.row_count());
        if found != promised {
            return Err(Fault::Failed(format!(
                "its entries hold {found} rows, and {promised} were counted when they were read"
            )));
        }
        let mut files = Vec::with_capacity(assembly.files());
        while let Some(planned) = assembly.next_file() {
            if !files.is_empty() {
                fail_point!("publish.between");
            }
            files.push(self.put_file(&mut assembly, &planned)?);
        }
        self.metrics.observe_assemble(clock::elapsed().saturating_sub(began));
        Ok(files)
    }

    fn open(&self, number: crate::engine::state::EntryNumber) -> Result<EntryReader, Fault> {
        let key = self.topic.layout.entry(self.partition, number);
        let object = self.runtime.block_on(self.store.open_object(&key, &self.runtime))?.ok_or(Fault::EntryGone)?;
        EntryReader::open(Arc::new(object)).map_err(entry_fault)
    }

    fn put_file(&self, assembly: &mut Assembly, planned: &PlannedFile) -> Result<FileReceipt, Fault> {
        let values = assembly.partition_columns().iter().zip(&planned.values);
        let folders: Vec<String> = values.map(|(column, value)| folder(column, value.as_deref()).name).collect();
        let layout = &self.topic.layout;
        let key = layout
            .file(self.partition, &self.chain.to_string(), &self.close, &folders)
            .map_err(|error| Fault::Failed(chain(&error)))?;
        let staging = layout.upload(self.partition, rand::random());
        let mut writer = self.store.write_file(key.clone(), staging, &self.runtime);
        let written = assembly.write_file(&mut writer).map_err(assemble_fault)?;
        let stored = writer.finish()?;
        Ok(FileReceipt {
            path: key.to_string(),
            rows: written.rows,
            first_offset: written.first_offset,
            last_offset: written.last_offset,
            bytes: stored.bytes,
            sha256: stored.sha256,
        })
    }

    fn put_receipt(&self, files: &[FileReceipt]) -> StepOutcome {
        let receipt = Receipt {
            version: RECEIPT_VERSION,
            topic: self.topic.info.name.clone(),
            topic_id: self.topic.info.id.clone(),
            partition: self.partition,
            chain: self.chain,
            entry: self.close.entry.number,
            sequence: self.close.sequence,
            scope: self.close.scope,
            position: self.close.position,
            totals: self.close.totals,
            schema: self.close.recipe.schema,
            rows: files.iter().map(|file| file.rows).sum(),
            bytes: files.iter().map(|file| file.bytes).sum(),
            files: files.to_vec(),
            program: concat!("streams-to-parquet ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        match serde_json::to_vec_pretty(&receipt) {
            Ok(text) => {
                let key = self.receipt_key();
                fail_point!("receipt.before");
                let outcome = self.runtime.block_on(self.store.create(&key, Bytes::from(text)));
                fail_point!("receipt.after");
                StepOutcome::ReceiptPut(outcome)
            }
            Err(error) => StepOutcome::Failed(error.to_string()),
        }
    }
}

/// Names the folder of a partition value. The overflow of `--max-buckets` and a real value `__OTHER__` share theirs; both are kept in `_extra`.
fn folder(column: &str, value: Option<&str>) -> FolderName {
    let hive::Folder { name, exact } =
        if value == Some(hive::OTHER) { hive::other(column) } else { hive::folder(column, value) };
    FolderName { name, exact }
}

fn entry_fault(error: EntryError) -> Fault {
    if let EntryError::Read { source } = &error
        && source.kind() == io::ErrorKind::NotFound
    {
        return Fault::EntryGone;
    }
    // Sent again, it would be damaged again: as good as gone.
    if error.is_damage() { Fault::EntryGone } else { Fault::Failed(chain(&error)) }
}

fn assemble_fault(error: AssembleError) -> Fault {
    if matches!(error, AssembleError::OtherEntry { .. }) {
        return Fault::EntryGone;
    }
    if let AssembleError::Entry { source, .. } = error {
        return entry_fault(source);
    }
    Fault::Failed(chain(&error))
}
