//! Rows of a lane that one thread decodes: a decoder, the columns that it fills, and where the rows belong.
//!
//! A lane has one for its own worker and one for each worker that has helped. Two threads that decode into the same columns are hardly
//! quicker than one: the dictionaries would be in the caches of both processors. So a sheet goes to and fro, but only one thread decodes into it.
//!
//! # Invariants
//! * Between two turns of the worker every row has a tag.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::error::ArrowError;

use crate::engine::state::Offset;
use crate::engine::time::EventTime;
use crate::kafka::ffi::{Content as Received, Message};
use crate::parquet::{EntryRows, HelpedRows, RowTag};
use crate::record::{Columns, Coordinates, Decoder, DecoderOptions, Record, Rejection};
use crate::schema::Schema;

/// Returns the record of a message that is one.
pub(super) fn record(message: Message<'_>) -> Option<Record<'_>> {
    let Received::Record { key, value, timestamp_ms } = message.content else { return None };
    let coordinates = Coordinates { offset: Offset(message.offset), kafka_timestamp_ms: timestamp_ms };
    Some(Record { coordinates, key, value })
}

/// Rows that one thread decodes.
#[derive(Debug)]
pub(super) struct Sheet {
    pub(super) decoder: Decoder,
    pub(super) columns: Columns,
    /// Where each row belongs.
    pub(super) tags: Vec<RowTag>,
    /// Rows that a helper decoded, and that the lane does not want, in ascending order; their tags mean nothing.
    unwanted: Vec<u32>,
    /// What a helper has found, record by record, and the lane has not placed yet.
    found: VecDeque<Result<EventTime, Rejection>>,
}

impl Sheet {
    pub(super) fn new(schema: &Arc<Schema>, options: &DecoderOptions) -> Self {
        let decoder = Decoder::new(Arc::clone(schema), options.clone());
        let columns = decoder.columns();
        Self { decoder, columns, tags: Vec::new(), unwanted: Vec::new(), found: VecDeque::new() }
    }

    /// Decodes the records among `messages` for a lane that places them later. Each that is an event becomes a row: what the lane wants is
    /// known only when it has placed all records before.
    ///
    /// # Errors
    /// A column had no room, and rows are missing. The sheet is of no use any more.
    pub(super) fn decode<'a>(&mut self, messages: impl Iterator<Item = Message<'a>>) -> Result<(), Rejection> {
        let found = &mut self.found;
        self.decoder.decode_all(messages.filter_map(record), &mut self.columns, |_, outcome| {
            found.push_back(outcome);
            true
        })
    }

    /// Returns what a helper found in the next record.
    pub(super) fn next_found(&mut self) -> Option<Result<EventTime, Rejection>> {
        self.found.pop_front()
    }

    /// Says that the next row that has no tag is no row of the lane.
    pub(super) fn push_unwanted(&mut self) {
        self.unwanted.push(u32::try_from(self.tags.len()).unwrap_or(u32::MAX));
        self.tags.push(RowTag { scope: 0, bucket: 0 });
    }

    /// Takes the rows out, if there are any.
    pub(super) fn cut(&mut self) -> Result<Option<HelpedRows>, ArrowError> {
        let (rows, placed) = (self.columns.len(), self.tags.len());
        if rows != placed {
            return Err(ArrowError::ComputeError(format!("there are {rows} rows, and {placed} were placed")));
        }
        if rows == 0 {
            return Ok(None);
        }
        let rows = EntryRows { rows: self.columns.finish()?, tags: std::mem::take(&mut self.tags) };
        Ok(Some(HelpedRows { rows, unwanted: std::mem::take(&mut self.unwanted) }))
    }

    /// Forgets all rows, and gives the memory back.
    pub(super) fn forget(&mut self) {
        self.columns = self.decoder.columns();
        self.tags = Vec::new();
        self.unwanted = Vec::new();
        self.found = VecDeque::new();
    }

    /// Returns the memory that the rows hold.
    pub(super) fn bytes(&self) -> usize {
        self.columns.bytes()
            + self.tags.capacity() * size_of::<RowTag>()
            + self.unwanted.capacity() * size_of::<u32>()
            + self.found.capacity() * size_of::<Result<EventTime, Rejection>>()
    }
}
