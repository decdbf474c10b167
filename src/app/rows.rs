//! The rows and dead letters of a lane that no entry holds yet: records are placed here in the order of the log, whoever has decoded them.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::sync::Arc;

use arrow::error::ArrowError;

use super::letters::Letters;
use super::sheet::{Sheet, record};
use crate::engine::lane::{Lane, Placement};
use crate::engine::state::{Offset, Scope};
use crate::engine::time::EventTime;
use crate::kafka::ffi::{Content as Received, Message};
use crate::metrics::LaneMetrics;
use crate::parquet::{Content, HelpedRows, RowTag};
use crate::partition::{Buckets, PartitionBy};
use crate::record::{Counts, DecoderOptions, Reason, Record, Rejection};
use crate::schema::Schema;

/// The most bytes of keys and values that are taken between two cuts: a column of text, whose offsets have 32 bits, cannot overflow, not
/// even where the rows of several sheets are joined.
const MOST_BYTES: usize = 512 << 20;

fn bytes(key: Option<&[u8]>, value: Option<&[u8]>) -> usize {
    key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len)
}

/// What came of some records.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// How many were taken.
    pub(super) records: usize,
    /// The size of their values.
    pub(super) value_bytes: usize,
    /// Why a row or a dead letter is missing, if one is: the instance must not go on.
    pub(super) failed: Option<String>,
}

/// Rows and dead letters in memory.
#[derive(Debug)]
pub(super) struct Rows {
    schema: Arc<Schema>,
    options: DecoderOptions,
    /// What the lane's own worker decodes.
    own: Sheet,
    /// What others have decoded, by their numbers.
    helped: BTreeMap<usize, Sheet>,
    scopes: Vec<Scope>,
    buckets: Buckets,
    letters: Letters,
    /// Rows that have no tag yet: none between two calls.
    placed: Vec<(Scope, EventTime)>,
    /// Bytes of keys and values taken since the last cut.
    taken_bytes: usize,
}

/// The set of columns that a sheet is, for [`Buckets::bucket_among`].
const OWN: usize = 0;

const fn set_of(helper: usize) -> usize {
    helper.saturating_add(1)
}

impl Rows {
    pub(super) fn new(schema: &Arc<Schema>, options: &DecoderOptions, partition_by: PartitionBy) -> Self {
        Self {
            schema: Arc::clone(schema),
            options: options.clone(),
            own: Sheet::new(schema, options),
            helped: BTreeMap::new(),
            scopes: Vec::new(),
            buckets: Buckets::new(partition_by),
            letters: Letters::default(),
            placed: Vec::new(),
            taken_bytes: 0,
        }
    }

    /// Whether records with keys and values of so many bytes would all find room.
    pub(super) const fn has_room(&self, bytes: usize) -> bool {
        self.taken_bytes.saturating_add(bytes) <= MOST_BYTES
    }

    /// Takes the records that come first; how many may be none, if the next one finds no room.
    pub(super) fn take<'a>(
        &mut self,
        lane: &mut Lane,
        metrics: &LaneMetrics,
        messages: &mut Peekable<impl Iterator<Item = Message<'a>>>,
    ) -> Taken {
        // What the lane does not want, or has taken before, needs no room.
        let from = lane.reads_from();
        let mut taken = Taken::default();
        let is_skipped = |message: &Message<'_>| {
            matches!(message.content, Received::Record { .. }) && from.is_none_or(|from| message.offset < from.0)
        };
        while messages.next_if(is_skipped).is_some() {
            taken.records += 1;
        }
        let (mut taken_bytes, mut records, mut value_bytes) = (self.taken_bytes, 0, 0);
        let next = || {
            let room = |bytes| taken_bytes == 0 || taken_bytes + bytes <= MOST_BYTES;
            let message = messages.next_if(|message| match message.content {
                Received::Record { key, value, .. } => room(bytes(key, value)),
                Received::End | Received::EndAmongOthers | Received::Error(_) => false,
            })?;
            let record = record(message)?;
            records += 1;
            taken_bytes += bytes(record.key, record.value);
            value_bytes += record.value.map_or(0, <[u8]>::len);
            Some(record)
        };
        let first = self.own.columns.len();
        let mut placing = Placing { lane, letters: &mut self.letters, metrics, failed: None };
        let (decoder, placed) = (&mut self.own.decoder, &mut self.placed);
        let decoded = decoder.decode_all(std::iter::from_fn(next), &mut self.own.columns, |record, outcome| {
            let row = placing.place(record, outcome);
            placed.extend(row);
            row.is_some()
        });
        taken.failed = placing.failed;
        if let Err(rejection) = decoded {
            taken.failed = Some(format!("no room for a row: {rejection}"));
        }
        self.taken_bytes = taken_bytes;
        (taken.records, taken.value_bytes) = (taken.records + records, value_bytes);
        let mut placed = std::mem::take(&mut self.placed);
        for (row, (scope, time)) in (first..).zip(placed.drain(..)) {
            let bucket = self.buckets.bucket_among(OWN, &self.own.columns, row, time);
            let scope = self.scope(scope);
            self.own.tags.push(RowTag { scope, bucket });
        }
        self.placed = placed;
        taken
    }

    /// Takes the records that come first, which `helper` has decoded into `sheet`.
    pub(super) fn take_helped<'a>(
        &mut self,
        lane: &mut Lane,
        metrics: &LaneMetrics,
        messages: &mut Peekable<impl Iterator<Item = Message<'a>>>,
        (helper, sheet): (usize, &mut Sheet),
    ) -> Taken {
        let mut taken = Taken::default();
        while let Some(record) = messages.next_if(|message| record(*message).is_some()).and_then(record) {
            taken.records += 1;
            let Some(found) = sheet.next_found() else {
                let Offset(offset) = record.coordinates.offset;
                taken.failed = Some(format!("nobody has decoded the record at offset {offset}"));
                return taken;
            };
            let is_row = found.is_ok();
            let is_welcome = lane.reads_from().is_some_and(|from| record.coordinates.offset >= from);
            if is_welcome {
                self.taken_bytes += bytes(record.key, record.value);
                taken.value_bytes += record.value.map_or(0, <[u8]>::len);
            }
            let mut placing = Placing { lane, letters: &mut self.letters, metrics, failed: None };
            let row = placing.place(&record, found);
            taken.failed = placing.failed.or(taken.failed);
            match row {
                Some((scope, time)) => {
                    let bucket = self.buckets.bucket_among(set_of(helper), &sheet.columns, sheet.tags.len(), time);
                    let scope = self.scope(scope);
                    sheet.tags.push(RowTag { scope, bucket });
                }
                None if is_row => sheet.push_unwanted(),
                None => {}
            }
        }
        taken
    }

    fn scope(&mut self, scope: Scope) -> u32 {
        // Few epochs are open at once, and most rows belong to the last: a search from the end is a look.
        let place = self.scopes.iter().rposition(|known| *known == scope).unwrap_or_else(|| {
            self.scopes.push(scope);
            self.scopes.len() - 1
        });
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// Hands out the sheet that `helper` decodes into. It must come back before anything else is done here.
    pub(super) fn lend(&mut self, helper: usize) -> Sheet {
        self.helped.remove(&helper).unwrap_or_else(|| Sheet::new(&self.schema, &self.options))
    }

    /// Takes a sheet back.
    pub(super) fn give_back(&mut self, helper: usize, sheet: Sheet) {
        self.helped.insert(helper, sheet);
    }

    /// Takes all rows out. Those that helpers have decoded stand beside the others: they are joined where there is time for it.
    pub(super) fn cut(&mut self) -> Result<(Content, Vec<HelpedRows>), ArrowError> {
        self.taken_bytes = 0;
        let rows = self.own.cut()?.map(|own| own.rows);
        let mut helped = Vec::new();
        for sheet in self.helped.values_mut() {
            helped.extend(sheet.cut()?);
        }
        let mut buckets: Vec<Vec<Option<String>>> = (0..self.buckets.len())
            .map(|bucket| self.buckets.values(u32::try_from(bucket).unwrap_or(0)).to_vec())
            .collect();
        let dead = self.letters.cut(&mut buckets)?;
        self.buckets.clear();
        let partition_by = self.buckets.by().names().to_vec();
        let scopes = std::mem::take(&mut self.scopes);
        Ok((Content { partition_by, scopes, buckets, rows, dead }, helped))
    }

    /// Gives the memory back, too: what is kept for later counts as held.
    pub(super) fn forget(&mut self) {
        self.taken_bytes = 0;
        self.own.forget();
        self.helped.values_mut().for_each(Sheet::forget);
        self.scopes.clear();
        self.buckets.clear();
        self.letters = Letters::default();
    }

    /// Returns the memory that rows, dead letters and their buckets hold.
    pub(super) fn bytes(&self) -> usize {
        let helped: usize = self.helped.values().map(Sheet::bytes).sum();
        self.own.bytes() + helped + self.letters.bytes() + self.buckets.bytes()
    }

    /// Returns what all decoders have kept in `_extra`. What a helper found in rows that came late and are not wanted is counted, too.
    pub(super) fn counts(&self) -> Counts {
        let mut counts = self.own.decoder.counts().clone();
        for sheet in self.helped.values() {
            let more = sheet.decoder.counts();
            counts.unknown_fields += more.unknown_fields;
            counts.misfits.iter_mut().zip(&more.misfits).for_each(|(sum, more)| *sum += more);
        }
        counts
    }
}

/// Where records go that are placed.
struct Placing<'a> {
    lane: &'a mut Lane,
    letters: &'a mut Letters,
    metrics: &'a LaneMetrics,
    failed: Option<String>,
}

impl Placing<'_> {
    /// Places a record; returns where it belongs if it is a row.
    fn place(&mut self, record: &Record<'_>, found: Result<EventTime, Rejection>) -> Option<(Scope, EventTime)> {
        let Record { coordinates, key, value } = *record;
        if self.lane.reads_from().is_none_or(|from| coordinates.offset < from) {
            return None;
        }
        let bytes = bytes(key, value);
        let rejection = match found {
            Ok(time) => match self.lane.place(coordinates.offset, time, coordinates.kafka_time(), bytes) {
                Placement::Row(scope) => return Some((scope, time)),
                Placement::Dropped => return None,
                Placement::LateDeadLetter => {
                    let detail = format!("event time {time} belongs to an epoch that was closed already");
                    Rejection::new(Reason::Late, detail)
                }
            },
            Err(rejection) => {
                self.lane.dead_letter(coordinates.offset, bytes);
                rejection
            }
        };
        self.metrics.count_dead_letters(rejection.reason.as_str(), 1);
        // It cannot be: `MOST_BYTES` leaves room. A record must not be lost all the same.
        if !self.letters.keep(record, &rejection) {
            let Offset(offset) = coordinates.offset;
            self.failed = Some(format!("no room for a dead letter at offset {offset}"));
        }
        None
    }
}

#[cfg(test)]
mod tests;
