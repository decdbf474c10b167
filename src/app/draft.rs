//! An entry before it is bytes: new rows, behind those of older entries that it takes over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;

use crate::engine::event::TakeOver;
use crate::engine::state::{EntryRef, LaneState, PartitionId, Scope};
use crate::parquet::{
    Content, EntryError, EntryOptions, EntryReader, HelpedRows, OlderRows, join, take_over, write_entry_watched,
};
use crate::store::{Layout, Store, chain};

/// How long to wait before a store that did not answer is asked again for an older entry.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// What an entry is made of.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) state: LaneState,
    pub(super) take_over: Vec<TakeOver>,
    pub(super) content: Content,
    /// Event time has gone on by a good part of an epoch since the entry before: the lane is behind, and few entries share an epoch.
    pub(super) is_long: bool,
    /// Rows beside those of `content` that other workers have decoded.
    pub(super) helped: Vec<HelpedRows>,
}

/// Why an entry could not be written.
pub(super) enum DraftError {
    /// An older entry, whose rows were to be taken over, is gone or damaged, or another has its number.
    Gone,
    /// It cannot be written at all.
    Failed(EntryError),
    /// Nobody waits for it any more.
    Unwanted,
}

/// Where older entries are read.
pub(super) struct Shelf<'a> {
    pub(super) store: &'a Store,
    pub(super) runtime: &'a Handle,
    pub(super) layout: &'a Layout,
    pub(super) partition: PartitionId,
    /// Whether the lane is still there: a store that does not answer is asked until it does, or until the lane is gone.
    pub(super) is_wanted: &'a dyn Fn() -> bool,
}

impl DraftError {
    /// Reading an older entry failed.
    fn of_older(error: EntryError) -> Self {
        if error.is_damage() { Self::Gone } else { Self::Failed(error) }
    }
}

impl Draft {
    /// Returns the bytes of the entry; `grown` hears how many there are while it is written. Blocks; must not be called on a thread of the runtime.
    pub(super) fn write(self, shelf: &Shelf<'_>, grown: &mut dyn FnMut(usize)) -> Result<Bytes, DraftError> {
        let Self { state, take_over: wanted, mut content, helped, is_long } = self;
        content.rows = join(content.rows, helped).map_err(DraftError::Failed)?;
        let mut by_entry = BTreeMap::<EntryRef, Vec<Scope>>::new();
        for TakeOver { scope, held } in &wanted {
            for older in held {
                by_entry.entry(older.entry).or_default().push(*scope);
            }
        }
        let mut older = Vec::with_capacity(by_entry.len());
        for (entry, scopes) in by_entry {
            older.push(OlderRows { entry: shelf.open(entry)?, scopes });
        }
        let content =
            if older.is_empty() { content } else { take_over(&older, content).map_err(DraftError::of_older)? };
        let options = EntryOptions { is_long, ..EntryOptions::default() };
        write_entry_watched(&state, &content, &options, grown).map_err(DraftError::Failed)
    }
}

impl Shelf<'_> {
    fn open(&self, entry: EntryRef) -> Result<EntryReader, DraftError> {
        loop {
            match self.try_open(entry) {
                Ok(Some(reader)) if reader.state().entry == entry => return Ok(reader),
                Ok(_) => return Err(DraftError::Gone),
                Err(error @ EntryError::Read { .. }) if (self.is_wanted)() => {
                    tracing::warn!(entry = %entry.number, error = %chain(&error), "an older entry cannot be read; trying again");
                    std::thread::sleep(READ_AGAIN);
                }
                Err(EntryError::Read { .. }) => return Err(DraftError::Unwanted),
                Err(error) => return Err(DraftError::of_older(error)),
            }
        }
    }

    /// Opens an older entry; `None` if it is not there.
    fn try_open(&self, entry: EntryRef) -> Result<Option<EntryReader>, EntryError> {
        let key = self.layout.entry(self.partition, entry.number);
        let opened = self.runtime.block_on(self.store.open_object(&key, self.runtime));
        let object = opened.map_err(|error| EntryError::Read { source: std::io::Error::other(error) })?;
        match object.map(|object| EntryReader::open(Arc::new(object))).transpose() {
            Err(EntryError::Read { source }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            opened => opened,
        }
    }
}
