//! What a queue hands over: batches of messages, and views of them.

use std::ffi::CStr;
use std::{mem, ptr};

use rdkafka::bindings as rd;
use rdkafka::error::RDKafkaErrorCode;

use super::bytes;

/// The size of keys and values at which a batch is full, whatever its capacity, in bytes.
const MOST_BYTES: usize = 4 << 20;

/// Records (and partition events) as librdkafka handed them over. Their bytes are librdkafka's own, and live as long as they stay here.
#[derive(Debug)]
pub struct Batch {
    pub(super) messages: Vec<*mut rd::rd_kafka_message_t>,
    pub(super) count: usize,
    /// The size of all keys and values.
    pub(super) bytes: usize,
    /// The largest size of a key and its value.
    largest: usize,
    /// An end of a log was taken together with others.
    has_end_among_others: bool,
}

// SAFETY: the messages are owned by the batch alone, and librdkafka lets any thread read and destroy them.
unsafe impl Send for Batch {}

/// Elements of a [`Batch`] that stand side by side and are of one partition, in the order of its log.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The topic, as librdkafka names it.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// At least one; all of them valid.
    messages: &'a [*mut rd::rd_kafka_message_t],
    has_end_among_others: bool,
}

impl<'a> Run<'a> {
    /// Returns how many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Returns them.
    pub fn iter(&self) -> impl Iterator<Item = Message<'a>> {
        self.messages.iter().filter_map(|message| {
            // SAFETY: the pointers are messages of a batch that is borrowed for `'a`.
            let message = unsafe { message.as_ref().map(|message| read(message)) };
            message.map(|message| match message.content {
                // Which of several it was is not known.
                Content::End if self.has_end_among_others => Message { content: Content::EndAmongOthers, ..message },
                Content::Record { .. } | Content::End | Content::EndAmongOthers | Content::Error(_) => message,
            })
        })
    }
}

/// One element of a [`Batch`].
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The record's offset; for the log's end the next offset that will be written.
    pub offset: i64,
    /// What it is.
    pub content: Content<'a>,
}

/// What an element of a [`Batch`] is.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// A record.
    Record {
        /// Its key.
        key: Option<&'a [u8]>,
        /// Its value; `None` is a null, not an empty value.
        value: Option<&'a [u8]>,
        /// Milliseconds since the Unix epoch; -1 if it has none.
        timestamp_ms: i64,
    },
    /// The log's end.
    End,
    /// The log's end, taken together with others: librdkafka may have noted it as a record ([`super::Taking::Together`]).
    EndAmongOthers,
    /// The partition cannot be read.
    Error(RDKafkaErrorCode),
}

impl Batch {
    /// Returns a batch with room for `capacity` records.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { messages: vec![ptr::null_mut(); capacity], count: 0, bytes: 0, largest: 0, has_end_among_others: false }
    }

    /// Returns the places for the next messages: `most`, or as many as there is room for if they are as large as the largest before. One, if
    /// there is none before.
    pub(super) fn room(&mut self, most: usize) -> &mut [*mut rd::rd_kafka_message_t] {
        let bytes_left = MOST_BYTES.saturating_sub(self.bytes);
        if bytes_left == 0 {
            return &mut [];
        }
        let fit = if self.count == 0 { 1 } else { (bytes_left / self.largest.max(1)).max(1) };
        let left = self.messages.get_mut(self.count..).unwrap_or_default();
        let most = most.min(fit).min(left.len());
        &mut left[..most]
    }

    /// Adds the messages that were put into the next `count` places.
    pub(super) fn add(&mut self, count: usize, is_together: bool) {
        let added = self.messages.iter().skip(self.count).take(count);
        for message in added {
            // SAFETY: a message that we own from now on.
            if let Some(message) = unsafe { message.as_ref() } {
                self.bytes += size(message);
                self.largest = self.largest.max(size(message));
                self.has_end_among_others |= is_together && is_end(message);
            }
        }
        self.count += count;
    }

    /// Returns how many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether there is room for no more.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.count == self.messages.len() || self.bytes >= MOST_BYTES
    }

    /// Takes those from `at` on out, into a batch of their own; this one has as much room as before.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        let moved = self.messages.get_mut(at..self.count).unwrap_or_default();
        let messages: Vec<_> = moved.iter_mut().map(|message| mem::replace(message, ptr::null_mut())).collect();
        // SAFETY: as in `run`.
        let view = |message: &*mut rd::rd_kafka_message_t| unsafe { message.as_ref() };
        let bytes = messages.iter().filter_map(view).map(size).sum();
        self.count -= messages.len();
        self.bytes -= bytes;
        let (largest, has_end_among_others) = (self.largest, self.has_end_among_others);
        Self { count: messages.len(), messages, bytes, largest, has_end_among_others }
    }

    /// Returns the size of all keys and values, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns those from `from` on that are of one partition; `None` if there are no more.
    #[must_use]
    pub fn run(&self, from: usize) -> Option<Run<'_>> {
        // SAFETY: the first `count` pointers are messages that we own until `clear`, which needs `&mut self`.
        let view = |message: &*mut rd::rd_kafka_message_t| unsafe { message.as_ref() };
        let messages = self.messages.get(from..self.count)?;
        let first = messages.first().and_then(view)?;
        let same = |message: &rd::rd_kafka_message_t| message.partition == first.partition && message.rkt == first.rkt;
        let length = messages.iter().map_while(view).take_while(|message| same(message)).count();
        // SAFETY: topic handles live as long as their messages, and their names as long as they do.
        let topic =
            unsafe { if first.rkt.is_null() { c"" } else { CStr::from_ptr(rd::rd_kafka_topic_name(first.rkt)) } };
        Some(Run {
            topic: topic.to_str().unwrap_or(""),
            partition: first.partition,
            messages: messages.get(..length).unwrap_or_default(),
            has_end_among_others: self.has_end_among_others,
        })
    }

    /// Returns all runs, one after the other.
    pub fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        let mut next = 0;
        std::iter::from_fn(move || {
            let run = self.run(next)?;
            next += run.len();
            Some(run)
        })
    }

    /// Gives the messages back.
    pub fn clear(&mut self) {
        for message in self.messages.iter_mut().take(self.count) {
            // SAFETY: ours, destroyed once: `count` is reset below.
            unsafe { rd::rd_kafka_message_destroy(*message) };
            *message = ptr::null_mut();
        }
        (self.count, self.bytes, self.largest, self.has_end_among_others) = (0, 0, 0, false);
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Returns the size of key and value.
const fn size(message: &rd::rd_kafka_message_t) -> usize {
    message.key_len.saturating_add(message.len)
}

fn is_end(message: &rd::rd_kafka_message_t) -> bool {
    message.err == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF
}

/// Views a message.
///
/// # Safety
/// The message must live for `'a`.
unsafe fn read(message: &rd::rd_kafka_message_t) -> Message<'_> {
    // SAFETY: by contract; key and payload are valid for their lengths, or null.
    unsafe {
        let content = match message.err {
            rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Content::Record {
                key: bytes(message.key, message.key_len),
                value: bytes(message.payload, message.len),
                timestamp_ms: rd::rd_kafka_message_timestamp(message, ptr::null_mut()),
            },
            rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF => Content::End,
            code => Content::Error(code.into()),
        };
        Message { offset: message.offset, content }
    }
}

#[cfg(test)]
mod tests;
