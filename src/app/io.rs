//! What lanes ask of the store and of Kafka, carried out beside the workers; the answers come back as facts.

use std::io;
use std::ops::Range;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rdkafka::consumer::Consumer;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::board::Board;
use super::budget::{Budget, Holding};
use super::clock;
use super::draft::{Draft, DraftError, Shelf};
use super::fail_point::fail_point;
use super::marking;
use super::publisher::Publisher;
use super::runner::Kept;
use super::tally::Tally;
use super::topic::Topic;
use super::worker::{Mailbox, ToWorker};
use crate::config::StartAt;
use crate::engine::commit::Committed;
use crate::engine::event::{Input, LoadOutcome, PutOutcome, Ticket};
use crate::engine::state::{ChainId, Close, EntryNumber, EntryRef, LaneState, Offset, PartitionId};
use crate::engine::time::EventTime;
use crate::kafka::cluster::{self, Reader};
use crate::kafka::ffi;
use crate::kafka::member::{self, CommitRequest, GroupConsumer, Request, TopicPartition};
use crate::metrics::{LaneMetrics, Metrics};
use crate::parquet::{EntryError, ReadAt, read_state};
use crate::store::read::StoredObject;
use crate::store::{Layout, Store, chain};

/// How long to wait before Kafka is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long a seek may take before it is tried again.
const SEEK: Duration = Duration::from_secs(1);
/// How long to wait before it is.
const SEEK_AGAIN: Duration = Duration::from_millis(20);
/// How often it is tried before the partition is fetched anew.
const SEEKS_BETWEEN_RESTARTS: u32 = 25;
/// How long the group's committed offsets may take.
const ASK_COMMITTED: Duration = Duration::from_secs(10);

/// Says why an entry cannot be read, and what to do.
pub(super) fn unreadable(error: &EntryError) -> String {
    let way_out = match error.is_damage() {
        true => ". Restore it from a backup or an older version of the object; without one, choose another --output",
        false => "",
    };
    format!("{}{way_out}", chain(error))
}

impl ReadAt for StoredObject {
    fn size(&self) -> u64 {
        Self::size(self)
    }

    fn read_at(&self, range: Range<u64>) -> io::Result<Bytes> {
        self.read(range)
    }
}

/// What all lanes of an instance share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) runtime: Handle,
    pub(super) consumer: Arc<GroupConsumer>,
    /// Asks beside the consumer, whose connections are busy with fetching.
    pub(super) reader: Arc<Reader>,
    pub(super) member: Sender<Request>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) budget: Arc<Budget>,
    /// How many entries are written at once: more would take memory, and no less time. Who has a permit waits for nothing.
    pub(super) writing: Arc<Semaphore>,
    /// How many closes are assembled at once, or entries that take over older rows.
    pub(super) assembly: Arc<Semaphore>,
}

/// The hands of one lane.
#[derive(Clone)]
pub(super) struct Io {
    shared: Shared,
    topic: Arc<Topic>,
    partition: TopicPartition,
    worker: Mailbox,
    board: Arc<Board>,
}

impl std::fmt::Debug for Io {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Io").field("partition", &self.partition).finish_non_exhaustive()
    }
}

impl Io {
    pub(super) const fn new(
        shared: Shared,
        topic: Arc<Topic>,
        partition: TopicPartition,
        worker: Mailbox,
        board: Arc<Board>,
    ) -> Self {
        Self { shared, topic, partition, worker, board }
    }

    fn answer(&self, input: Input) {
        self.worker.send(ToWorker::Fact { partition: self.partition.clone(), input });
    }

    /// Says that the instance cannot go on.
    pub(super) fn fail(&self, why: String) {
        self.board.fail(why);
    }

    fn layout(&self) -> &Layout {
        &self.topic.layout
    }

    fn warn(&self, what: &str, error: &dyn std::error::Error) {
        tracing::warn!(
            topic = %self.partition.topic, partition = %self.partition.partition, error = %chain(error), "{what}; trying again"
        );
    }

    pub(super) fn known_end(&self) -> Option<Offset> {
        let (topic, partition) = (&self.partition.topic, self.partition.partition.0);
        ffi::known_watermarks(&self.shared.consumer, topic, partition).map(|(_, high)| Offset(high))
    }

    pub(super) fn commit(&self, request: CommitRequest) {
        fail_point!("commit.before");
        #[cfg(feature = "fail-points")]
        if super::fail_point::is_lost("commit.sent") {
            return;
        }
        if self.shared.member.send(Request::Commit(request)).is_err() {
            tracing::debug!("the member is gone; the next owner commits");
        }
    }

    pub(super) fn list(&self, ticket: Ticket, from: Option<EntryNumber>) {
        let io = self.clone();
        self.shared.runtime.spawn(async move {
            let listed = io.shared.store.list_entries(io.layout(), io.partition.partition, from).await;
            if let Err(error) = &listed {
                io.warn("the lane log cannot be listed", error);
            }
            fail_point!("list.after");
            io.answer(Input::Listed { ticket, numbers: listed.ok() });
        });
    }

    pub(super) fn load(&self, ticket: Ticket, number: EntryNumber) {
        let io = self.clone();
        self.shared.runtime.spawn(async move {
            let key = io.layout().entry(io.partition.partition, number);
            let outcome = match io.shared.store.open_object(&key, &io.shared.runtime).await {
                Ok(None) => LoadOutcome::Absent,
                Ok(Some(object)) => {
                    let read = tokio::task::spawn_blocking(move || read_state(&object)).await;
                    read.map_or(LoadOutcome::NoAnswer, |read| io.loaded(read))
                }
                Err(error) => {
                    io.warn("an entry cannot be loaded", &error);
                    LoadOutcome::NoAnswer
                }
            };
            fail_point!("load.after");
            io.answer(Input::Loaded { ticket, outcome });
        });
    }

    fn loaded(&self, read: Result<LaneState, EntryError>) -> LoadOutcome {
        match read {
            Ok(state) => LoadOutcome::Found(Box::new(state)),
            Err(EntryError::Read { source }) if source.kind() == io::ErrorKind::NotFound => LoadOutcome::Absent,
            Err(error @ EntryError::Read { .. }) => {
                self.warn("an entry cannot be loaded", &error);
                LoadOutcome::NoAnswer
            }
            Err(error) => LoadOutcome::Unreadable(unreadable(&error)),
        }
    }

    pub(super) fn look_for_receipts(&self, ticket: Ticket) {
        let io = self.clone();
        self.shared.runtime.spawn(async move {
            let found = io.shared.store.has_receipts(io.layout(), io.partition.partition).await;
            if let Err(error) = &found {
                io.warn("receipts cannot be listed", error);
            }
            io.answer(Input::ReceiptsFound { ticket, found: found.ok() });
        });
    }

    /// Whether the lane that asked is still wanted. Kafka is not asked again for one that is gone.
    fn is_wanted(&self) -> bool {
        self.shared
            .consumer
            .assignment()
            .is_ok_and(|list| list.find_partition(&self.partition.topic, self.partition.partition.0).is_some())
    }

    /// Asks Kafka where the partition begins and ends, until it answers.
    fn log_range(&self) -> Option<(Offset, Offset)> {
        loop {
            match cluster::offsets(&self.shared.reader, &self.partition.topic, self.partition.partition) {
                Ok(range) => return Some(range),
                Err(_) if !self.is_wanted() => return None,
                Err(error) => self.warn("Kafka does not say where the partition begins and ends", &error),
            }
            std::thread::sleep(ASK_AGAIN);
        }
    }

    pub(super) fn resolve_start(&self, ticket: Ticket) {
        let io = self.clone();
        self.shared.runtime.spawn_blocking(move || {
            if let Some((low, high)) = io.log_range() {
                let offset = match io.topic.start {
                    StartAt::Earliest => low,
                    StartAt::Latest => high,
                };
                io.answer(Input::Resolved { ticket, offset });
            }
        });
    }

    /// Says what the group has committed.
    pub(super) fn ask_committed(&self, ticket: Ticket) {
        let io = self.clone();
        self.shared.runtime.spawn_blocking(move || {
            let mut list = TopicPartitionList::new();
            list.add_partition(&io.partition.topic, io.partition.partition.0);
            let found = io.shared.consumer.committed_offsets(list, ASK_COMMITTED);
            let committed = found.ok().and_then(|list| member::committed(&list).remove(&io.partition));
            io.answer(Input::CommittedFound { ticket, committed: committed.unwrap_or(Committed::Unknown) });
        });
    }

    /// Says where the log ends now.
    pub(super) fn ask_end(&self, ticket: Ticket) {
        let io = self.clone();
        self.shared.runtime.spawn_blocking(move || {
            let range = cluster::offsets(&io.shared.reader, &io.partition.topic, io.partition.partition);
            io.answer(Input::EndFound { ticket, offset: range.ok().map(|(_, high)| high) });
        });
    }

    /// Looks whether Kafka's log holds `offset`, and asks the worker to seek: only the thread that takes the records may. `anew`: librdkafka
    /// has given the partition up.
    pub(super) fn start(&self, ticket: Ticket, offset: Offset, anew: bool) {
        let io = self.clone();
        self.shared.runtime.spawn_blocking(move || {
            let Some((low, high)) = io.log_range() else { return };
            let known = &io.topic.info.id;
            if known != "-"
                && let Some(id) = cluster::topic_id(&io.shared.reader, &io.partition.topic).filter(|id| id != known)
            {
                return io.answer(Input::Recreated { ticket, id });
            }
            if offset < low || offset > high {
                return io.answer(Input::OutOfRange { ticket, low, high });
            }
            fail_point!("start.before");
            if anew {
                io.restart(offset);
            }
            io.worker.send(ToWorker::Seek { partition: io.partition.clone(), ticket, offset, attempt: 0 });
        });
    }

    /// Has the partition fetched anew from `offset`.
    fn restart(&self, offset: Offset) {
        let (done, wait) = channel();
        let _ = self.shared.member.send(Request::Restart(self.partition.clone(), offset, done));
        let _ = wait.recv(); // Err means the member is gone, and the lane with it.
    }

    /// Seeks. Blocks for the moment that librdkafka needs to take note; no broker is asked. If it cannot yet, the worker is asked again.
    pub(super) fn seek(&self, ticket: Ticket, offset: Offset, attempt: u32) -> bool {
        // A restart stops the fetcher some time after it returns, and that takes the partition's queue from us
        // (`rd_kafka_toppar_fetch_stop`: "clear out the forwarding queue"). A seek that worked comes after it: once more, or nobody
        // would see the records.
        let sought = self
            .try_seek(offset)
            .and_then(|()| self.worker.queue.take_partition(&self.partition.topic, self.partition.partition.0));
        if let Err(error) = &sought
            && self.is_wanted()
        {
            // The assignment has not reached librdkafka's fetcher yet; or it was given up, since the log does not hold the committed offset.
            tracing::debug!(partition = ?self.partition, %error, "seeking again");
            let io = self.clone();
            self.shared.runtime.spawn_blocking(move || {
                std::thread::sleep(SEEK_AGAIN);
                // Not each time: a restart takes a moment, and a seek before it is done fails.
                if attempt.is_multiple_of(SEEKS_BETWEEN_RESTARTS) {
                    io.restart(offset);
                }
                let attempt = attempt.wrapping_add(1);
                io.worker.send(ToWorker::Seek { partition: io.partition.clone(), ticket, offset, attempt });
            });
        }
        sought.is_ok()
    }

    fn try_seek(&self, offset: Offset) -> Result<(), rdkafka::error::KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.partition.topic, self.partition.partition.0, KafkaOffset::Offset(offset.0))?;
        let sought = self.shared.consumer.seek_partitions(list, SEEK)?;
        sought.elements().iter().try_for_each(|element| element.error())
    }

    pub(super) fn append(
        &self,
        ticket: Ticket,
        draft: Draft,
        kept: &Kept,
        mut held: Holding,
        metrics: &Arc<LaneMetrics>,
    ) {
        let (io, kept, metrics) = (self.clone(), Arc::clone(kept), Arc::clone(metrics));
        self.shared.runtime.spawn(async move {
            let (entry, began) = (draft.state.entry, clock::elapsed());
            #[cfg(feature = "fail-points")]
            let closes = draft.state.closes.iter().any(|close| close.entry == entry);
            // Older rows in memory are bounded for each lane, and by few lanes at once.
            let taken_over = draft.take_over.iter().flat_map(|taken| &taken.held).map(|older| older.bytes).sum::<u64>();
            let few = if draft.take_over.is_empty() {
                &io.shared.writing
            } else {
                fail_point!("merge.before");
                &io.shared.assembly
            };
            let permit = Arc::clone(few).acquire_owned().await.ok();
            held.grow(usize::try_from(taken_over).unwrap_or(usize::MAX));
            let writer = io.clone();
            let written = tokio::task::spawn_blocking(move || {
                let written = writer.write(draft, &mut held);
                drop(permit);
                written.map(|bytes| (bytes, held))
            });
            let (bytes, mut held) = match written.await {
                Ok(Ok(written)) => written,
                Ok(Err(DraftError::Gone)) => return io.answer(Input::TakeOverGone { ticket }),
                Ok(Err(DraftError::Unwanted)) => return,
                Ok(Err(DraftError::Failed(error))) => {
                    return io.fail(format!("entry {} of {:?}: {}", entry.number, io.partition, chain(&error)));
                }
                Err(error) => return io.fail(format!("entry {} of {:?}: {error}", entry.number, io.partition)),
            };
            held.resize(bytes.len());
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((entry, bytes.clone()));
            metrics.entries.inc();
            metrics.entry_bytes.inc_by(u64::try_from(bytes.len()).unwrap_or(0));
            #[cfg(feature = "fail-points")]
            if closes {
                fail_point!("append.closing");
            }
            io.put_entry(ticket, entry.number, bytes, &kept, &metrics).await;
            io.shared.metrics.observe_append(clock::elapsed().saturating_sub(began));
        });
    }

    /// Writes the entry, which is held beside what it is written of.
    fn write(&self, draft: Draft, held: &mut Holding) -> Result<Bytes, DraftError> {
        let before = held.bytes();
        let Shared { store, runtime, .. } = &self.shared;
        let (layout, partition, is_wanted) = (self.layout(), self.partition.partition, &|| self.is_wanted());
        draft.write(&Shelf { store, runtime, layout, partition, is_wanted }, &mut |bytes| held.resize(before + bytes))
    }

    pub(super) fn append_again(&self, ticket: Ticket, entry: EntryRef, kept: &Kept, metrics: &Arc<LaneMetrics>) {
        let (io, kept, metrics) = (self.clone(), Arc::clone(kept), Arc::clone(metrics));
        self.shared.runtime.spawn(async move {
            let again = kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
            match again {
                Some((kept_entry, bytes)) if kept_entry == entry => {
                    io.put_entry(ticket, entry.number, bytes, &kept, &metrics).await;
                }
                _ => io.fail(format!("the bytes of entry {} of {:?} were not kept", entry.number, io.partition)),
            }
        });
    }

    async fn put_entry(&self, ticket: Ticket, number: EntryNumber, bytes: Bytes, kept: &Kept, metrics: &LaneMetrics) {
        let key = self.layout().entry(self.partition.partition, number);
        fail_point!("append.before");
        let outcome = self.shared.store.create(&key, bytes).await;
        fail_point!("append.after");
        match outcome {
            PutOutcome::Created => *kept.lock().unwrap_or_else(PoisonError::into_inner) = None,
            PutOutcome::NoAnswer => metrics.append_no_answer.inc(),
            PutOutcome::AlreadyThere => {}
        }
        self.answer(Input::Appended { ticket, outcome });
    }

    pub(super) fn publish(
        &self,
        ticket: Ticket,
        close: Close,
        chain: ChainId,
        metrics: &Arc<LaneMetrics>,
        tally: &Arc<Tally>,
    ) {
        let publisher = Publisher {
            store: self.shared.store.clone(),
            runtime: self.shared.runtime.clone(),
            topic: Arc::clone(&self.topic),
            partition: self.partition.partition,
            chain,
            close,
            lane_metrics: Arc::clone(metrics),
            metrics: Arc::clone(&self.shared.metrics),
            tally: Arc::clone(tally),
            budget: Arc::clone(&self.shared.budget),
        };
        let io = self.clone();
        self.shared.runtime.spawn(async move {
            let Ok(permit) = Arc::clone(&io.shared.assembly).acquire_owned().await else { return };
            let outcome = tokio::task::spawn_blocking(move || {
                let outcome = publisher.publish();
                drop(permit);
                outcome
            });
            match outcome.await {
                Ok(outcome) => io.answer(Input::Published { ticket, outcome }),
                Err(error) => io.fail(format!("publishing {:?}: {error}", io.partition)),
            }
        });
    }

    pub(super) fn mark(&self, ticket: Ticket, through: EventTime) {
        let io = self.clone();
        self.shared.runtime.spawn(async move {
            // Without an answer a partition that was added would be forgotten, and the marker is for ever.
            let Some(partitions) = io.partitions_now().await else {
                return io.answer(Input::Marked { ticket, done: false });
            };
            let marked = marking::mark(&io.shared.store, &io.topic, io.partition.partition, through, &partitions).await;
            match &marked {
                Ok(oldest) => io.shared.metrics.set_oldest_unmarked(&io.partition.topic, *oldest),
                Err(error) => io.warn("epoch markers cannot be put", error),
            }
            io.answer(Input::Marked { ticket, done: marked.is_ok() });
        });
    }

    /// Returns the topic's partitions as they are now; `None` if Kafka does not say.
    async fn partitions_now(&self) -> Option<Vec<PartitionId>> {
        let io = self.clone();
        let asked = tokio::task::spawn_blocking(move || cluster::partitions(&io.shared.reader, &io.partition.topic));
        asked.await.ok().flatten()
    }

    pub(super) fn collect(&self, numbers: Vec<EntryNumber>) {
        let io = self.clone();
        self.shared.runtime.spawn(async move {
            for (place, number) in numbers.iter().enumerate() {
                if place == 0 {
                    fail_point!("collect.before");
                } else {
                    fail_point!("collect.between");
                }
                let key = io.layout().entry(io.partition.partition, *number);
                if let Err(error) = io.shared.store.delete(vec![key]).await {
                    tracing::warn!(error = %chain(&error), "entries that are no longer needed are left; a later listing finds them");
                    return;
                }
            }
        });
    }
}
