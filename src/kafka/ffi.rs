//! The few librdkafka calls that rdkafka does not offer.
//!
//! Each wrapper owns what it must free and keeps the client alive for as long as librdkafka may use it; no raw pointer leaves this module.
#![allow(unsafe_code, reason = "batches from split queues, queued commits and topic ids are in no safe binding")]

mod batch;

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_void};
use std::fmt;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::bindings as rd;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

pub use batch::{Batch, Content, Message, Run};

type Handle = NonNull<rd::rd_kafka_queue_t>;

/// The most messages that are taken by one call: their sizes are learnt afterwards.
const MOST_TOGETHER: usize = 32;

/// How messages are taken from a [`Queue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// One by one: each asks the clock twice, and takes four locks.
    Singly,
    /// Many by one call, which costs half as much CPU. But `rd_kafka_consume_batch_queue` takes the end of a log for a record when it notes
    /// how far it has read (`rd_kafka_q_serve_rkmessages`). A rebalance pauses and resumes the partitions that stay, from where it noted: one
    /// record would be skipped, or the partition would be read beyond its end and stop. So an end that comes in this way is a
    /// [`Content::EndAmongOthers`], and whoever reads the partition must seek.
    Together,
}

/// A queue of librdkafka that belongs to a client: partitions are forwarded to it, events are read from it.
///
/// The client is kept alive, since a queue must be destroyed before its client is.
pub struct Queue<C: ConsumerContext + 'static> {
    queue: Handle,
    consumer: Arc<BaseConsumer<C>>,
}

impl<C: ConsumerContext + 'static> fmt::Debug for Queue<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("queue", &self.queue).finish_non_exhaustive()
    }
}

// SAFETY: librdkafka's queues are internally locked and may be used from any thread (INTRODUCTION.md, "Threads and callbacks").
unsafe impl<C: ConsumerContext + 'static> Send for Queue<C> {}
// SAFETY: as above; every method takes `&self` and passes the pointer to functions that lock.
unsafe impl<C: ConsumerContext + 'static> Sync for Queue<C> {}

impl<C: ConsumerContext + 'static> Queue<C> {
    /// Makes a queue of the consumer's client; `None` when librdkafka has no memory for it.
    #[must_use]
    pub fn new(consumer: &Arc<BaseConsumer<C>>) -> Option<Self> {
        // SAFETY: the pointer is that of a living client, which the `Arc` keeps alive longer than the queue.
        let queue = unsafe { rd::rd_kafka_queue_new(consumer.client().native_ptr()) };
        Some(Self { queue: NonNull::new(queue)?, consumer: Arc::clone(consumer) })
    }

    /// Sends the records of a partition to this queue instead of the consumer's, whenever it is assigned from now on.
    ///
    /// # Errors
    /// When the topic's name has a NUL byte, or librdkafka does not know the partition.
    pub fn take_partition(&self, topic: &str, partition: i32) -> Result<(), KafkaError> {
        let failed = || KafkaError::Subscription(format!("cannot split off partition {partition} of topic {topic}"));
        let name = CString::new(topic).map_err(|_| failed())?;
        // SAFETY: the client lives, the name is a C string that librdkafka copies; the result is a reference of our own.
        let source =
            unsafe { rd::rd_kafka_queue_get_partition(self.consumer.client().native_ptr(), name.as_ptr(), partition) };
        let source = NonNull::new(source).ok_or_else(failed)?;
        // SAFETY: both queues are living and of the same client; the partition's reference is given back at once, as the
        // forwarding itself holds what it needs.
        unsafe {
            rd::rd_kafka_queue_forward(source.as_ptr(), self.queue.as_ptr());
            rd::rd_kafka_queue_destroy(source.as_ptr());
        }
        Ok(())
    }

    /// Waits up to `timeout` for a record, and returns it in `batch` with those that are there behind it, until it is full.
    pub fn consume(&self, timeout: Duration, batch: &mut Batch, taking: Taking) {
        batch.clear();
        let mut timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        loop {
            // (The first one, which may be waited for, says how large they are.)
            let places = batch.room(match taking {
                Taking::Singly => 1,
                Taking::Together => MOST_TOGETHER,
            });
            let wanted = places.len();
            let taken = match places {
                [] => return,
                [place] => self.take_one(timeout_ms, place),
                places => self.take_together(places),
            };
            batch.add(taken, wanted > 1);
            if taken < wanted {
                return;
            }
            timeout_ms = 0;
        }
    }

    /// Returns how many messages were put into `place`.
    fn take_one(&self, timeout_ms: i32, place: &mut *mut rd::rd_kafka_message_t) -> usize {
        // SAFETY: the queue lives; what it returns is null, or a message that we own.
        *place = unsafe { rd::rd_kafka_consume_queue(self.queue.as_ptr(), timeout_ms) };
        usize::from(!place.is_null())
    }

    /// Returns how many messages were put into `places`.
    fn take_together(&self, places: &mut [*mut rd::rd_kafka_message_t]) -> usize {
        // SAFETY: the queue lives, and so many messages have a place; those that are put there are ours.
        let taken =
            unsafe { rd::rd_kafka_consume_batch_queue(self.queue.as_ptr(), 0, places.as_mut_ptr(), places.len()) };
        usize::try_from(taken).unwrap_or(0)
    }

    /// Returns how many messages and events there are to take.
    #[must_use]
    pub fn len(&self) -> usize {
        // SAFETY: the queue lives.
        unsafe { rd::rd_kafka_queue_length(self.queue.as_ptr()) }
    }

    /// Whether there is nothing to take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes a [`Queue::consume`] that waits return at once.
    pub fn wake(&self) {
        // SAFETY: the queue lives.
        unsafe { rd::rd_kafka_queue_yield(self.queue.as_ptr()) };
    }

    /// Sends an OffsetCommit; the answer comes by [`Queue::poll_commit`] with `tag`.
    ///
    /// # Errors
    /// When the client refuses it at once.
    pub fn commit(&self, offsets: &TopicPartitionList, tag: usize) -> Result<(), KafkaError> {
        let opaque = ptr::without_provenance_mut::<c_void>(tag);
        // SAFETY: client, list and queue live; the list is copied; `opaque` is a number that nobody dereferences; without a callback
        // the answer is an event on the queue.
        let code = unsafe {
            rd::rd_kafka_commit_queue(
                self.consumer.client().native_ptr(),
                offsets.ptr(),
                self.queue.as_ptr(),
                None,
                opaque,
            )
        };
        match code {
            rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
            code => Err(KafkaError::ConsumerCommit(code.into())),
        }
    }

    /// Returns the answer to a commit, if one has come: its tag, and the error if it failed, for any of its partitions.
    #[must_use]
    pub fn poll_commit(&self) -> Option<(usize, Option<RDKafkaErrorCode>)> {
        loop {
            // SAFETY: the queue lives; the event is destroyed below, on each path.
            let event = NonNull::new(unsafe { rd::rd_kafka_queue_poll(self.queue.as_ptr(), 0) })?;
            // SAFETY: the event is ours, and lives until it is destroyed.
            let answer = unsafe {
                (rd::rd_kafka_event_type(event.as_ptr()) == rd::RD_KAFKA_EVENT_OFFSET_COMMIT).then(|| {
                    let tag = rd::rd_kafka_event_opaque(event.as_ptr()).addr();
                    (tag, first_error(event))
                })
            };
            // SAFETY: ours, and not used afterwards.
            unsafe { rd::rd_kafka_event_destroy(event.as_ptr()) };
            if answer.is_some() {
                return answer;
            }
        }
    }
}

/// Returns the error of a commit's answer, or of any of its partitions.
///
/// # Safety
/// `event` must be a living event of type offset commit.
unsafe fn first_error(event: NonNull<rd::rd_kafka_event_t>) -> Option<RDKafkaErrorCode> {
    const FINE: rd::rd_kafka_resp_err_t = rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    // SAFETY: by contract; the list belongs to the event, and its elements are `cnt` many.
    unsafe {
        let whole = rd::rd_kafka_event_error(event.as_ptr());
        if whole != FINE {
            return Some(whole.into());
        }
        let list = rd::rd_kafka_event_topic_partition_list(event.as_ptr()).as_ref()?;
        let count = usize::try_from(list.cnt).unwrap_or(0);
        let elements = if list.elems.is_null() { &[] } else { slice::from_raw_parts(list.elems, count) };
        elements.iter().find(|element| element.err != FINE).map(|element| element.err.into())
    }
}

impl<C: ConsumerContext + 'static> Drop for Queue<C> {
    fn drop(&mut self) {
        // SAFETY: ours, destroyed once; the client is still alive.
        unsafe { rd::rd_kafka_queue_destroy(self.queue.as_ptr()) };
    }
}

/// # Safety
/// `start` must be null or valid for `len` bytes for `'a`.
unsafe fn bytes<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: by contract.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast(), len) })
}

/// Returns the generation that the group's coordinator gave this member; negative when it is no member. An empty group would accept a
/// commit of generation -1 from anyone.
#[must_use]
pub fn generation<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> i32 {
    // SAFETY: the client lives; the metadata is ours, and destroyed once.
    unsafe {
        let metadata = rd::rd_kafka_consumer_group_metadata(consumer.client().native_ptr());
        if metadata.is_null() {
            return -1;
        }
        let generation = rd::rd_kafka_consumer_group_metadata_generation_id(metadata);
        rd::rd_kafka_consumer_group_metadata_destroy(metadata);
        generation
    }
}

/// Returns the log's first offset and its end as the client last heard of them, without asking the broker; `None` if it has not. Records of an
/// open transaction are before that end (the high watermark), and yet cannot be read.
#[must_use]
pub fn known_watermarks<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Option<(i64, i64)> {
    let name = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client lives, the name is a C string, both numbers may be written.
    let code = unsafe {
        rd::rd_kafka_get_watermark_offsets(
            consumer.client().native_ptr(),
            name.as_ptr(),
            partition,
            &raw mut low,
            &raw mut high,
        )
    };
    (code == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some((low, high))
}

/// An element of a list of committed offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The committed offset; negative when there is none.
    pub offset: i64,
    /// The text beside it: whatever bytes somebody has put there.
    pub metadata: Vec<u8>,
    /// Whether the broker did not say.
    pub failed: bool,
}

/// Reads a list of committed offsets. rdkafka's own view of it panics on metadata that is not UTF-8.
#[must_use]
pub fn committed_offsets(list: &TopicPartitionList) -> Vec<CommittedOffset> {
    // SAFETY: the list lives, its elements are `cnt` many, their topics are C strings, and their metadata is valid for its size, or null.
    unsafe {
        let Some(list) = list.ptr().as_ref() else { return Vec::new() };
        let count = usize::try_from(list.cnt).unwrap_or(0);
        let elements = if list.elems.is_null() { &[] } else { slice::from_raw_parts(list.elems, count) };
        let read = elements.iter().map(|element| CommittedOffset {
            topic: CStr::from_ptr(element.topic).to_string_lossy().into_owned(),
            partition: element.partition,
            offset: element.offset,
            metadata: bytes(element.metadata, element.metadata_size).unwrap_or_default().to_vec(),
            failed: element.err != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
        });
        read.collect()
    }
}

/// Returns the ids of topics (KIP-516), which change when a topic is deleted and created again. Topics of brokers that do not know of ids
/// are left out; `None`: there was no answer.
#[must_use]
pub fn topic_ids<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topics: &[String],
    timeout: Duration,
) -> Option<HashMap<String, String>> {
    let names: Vec<CString> = topics.iter().filter_map(|topic| CString::new(topic.as_str()).ok()).collect();
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let mut ids = None;
    // SAFETY: all objects are made here, checked, used while they live, and destroyed once; the event owns the descriptions, whose strings are
    // copied before it is destroyed.
    unsafe {
        let client = consumer.client().native_ptr();
        let queue = rd::rd_kafka_queue_new(client);
        let collection = rd::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        if !queue.is_null() && !collection.is_null() {
            rd::rd_kafka_DescribeTopics(client, collection, ptr::null(), queue);
            let event = rd::rd_kafka_queue_poll(queue, timeout_ms);
            if !event.is_null() {
                ids = collect_ids(event);
                rd::rd_kafka_event_destroy(event);
            }
        }
        if !collection.is_null() {
            rd::rd_kafka_TopicCollection_destroy(collection);
        }
        if !queue.is_null() {
            rd::rd_kafka_queue_destroy(queue);
        }
    }
    ids
}

/// # Safety
/// `event` must be a living event.
unsafe fn collect_ids(event: *mut rd::rd_kafka_event_t) -> Option<HashMap<String, String>> {
    const FINE: rd::rd_kafka_resp_err_t = rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    let mut ids = HashMap::new();
    // SAFETY: by contract; the result and all that it points to belong to the event.
    unsafe {
        match rd::rd_kafka_event_error(event) {
            FINE => {}
            // A broker (or librdkafka's mock) that does not know of ids says so; anything else is no answer.
            rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE
            | rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION => return Some(ids),
            _ => return None,
        }
        let result = rd::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        if result.is_null() {
            return None;
        }
        let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let topics = if topics.is_null() { &[] } else { slice::from_raw_parts(topics, count) };
        for topic in topics {
            let error = rd::rd_kafka_TopicDescription_error(*topic);
            let id = rd::rd_kafka_TopicDescription_topic_id(*topic);
            if id.is_null() || (!error.is_null() && rd::rd_kafka_error_code(error) != FINE) {
                continue;
            }
            let (name, id) = (rd::rd_kafka_TopicDescription_name(*topic), rd::rd_kafka_Uuid_base64str(id));
            if !name.is_null() && !id.is_null() {
                let text = |text| CStr::from_ptr(text).to_string_lossy().into_owned();
                ids.insert(text(name), text(id));
            }
        }
    }
    Some(ids)
}
