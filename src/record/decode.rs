//! Records: taken apart once, checked, and then handed to [`fill`](super::fill), which puts them into the columns.

use std::borrow::Cow;
use std::mem::take;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::column::Column;
use super::fill::Group;
use super::json::{self, MAX_NESTING};
use super::layout::{ABSENT, Layouts, Sampling, Span, TimeField};
use super::lookup::Lookup;
use super::timestamp::TimeError;
use super::value::{Fit, Kept, put};
use super::{Columns, Coordinates, DecoderOptions, OnMisfit, Reason, Record, Rejection};
use crate::engine::time::EventTime;
use crate::schema::Schema;

/// How much of a value a rejection shows, in characters.
const EXCERPT_CHARS: usize = 80;
/// The longest value that is parsed, in bytes. Kafka's own records are shorter.
const MOST_BYTES: usize = 1 << 31;

/// Turns records into rows.
#[derive(Debug)]
pub struct Decoder {
    schema: Arc<Schema>,
    options: DecoderOptions,
    max_future_us: Option<i64>,
    lookup: Lookup,
    layouts: Layouts,
    /// The column of the timestamp field, if the schema has one.
    time_place: Option<usize>,
    /// Records that are in no column yet: none between two calls.
    group: Group<'static>,
    counts: Counts,
}

/// What a [`Decoder`] has kept in `_extra` (or rejected, as the operator chose), since it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Values that did not fit, for each field of the schema.
    pub misfits: Vec<u64>,
    /// Fields of records that the schema does not know.
    pub unknown_fields: u64,
}

impl Decoder {
    /// Returns a decoder for events of `schema`.
    #[must_use]
    pub fn new(schema: Arc<Schema>, options: DecoderOptions) -> Self {
        let lookup = Lookup::new(schema.fields().iter().map(|field| field.name.as_str()));
        let max_future_us = options.max_future.map(|ahead| i64::try_from(ahead.as_micros()).unwrap_or(i64::MAX));
        let time_place = schema.index_of(&options.timestamp_field);
        let counts = Counts { misfits: vec![0; lookup.len()], unknown_fields: 0 };
        Self {
            group: Group::default(),
            schema,
            options,
            max_future_us,
            lookup,
            layouts: Layouts::default(),
            time_place,
            counts,
        }
    }

    /// Returns the decoder as one that decides at other times which values of records it looks up together: it finds the same.
    #[must_use]
    pub const fn with_sampling(mut self, sampling: Sampling) -> Self {
        self.layouts.sampling = sampling;
        self
    }

    /// Returns empty columns that fit this decoder.
    #[must_use]
    pub fn columns(&self) -> Columns {
        Columns::new(&self.schema)
    }

    /// Returns the schema.
    #[must_use]
    pub const fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Returns what has been kept in `_extra` since the decoder was made.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Adds exactly one row to `columns` (made for the same schema) and returns its event time, or adds none.
    ///
    /// # Errors
    /// Says why the record is no row.
    pub fn decode(
        &mut self,
        value: Option<&[u8]>,
        coordinates: Coordinates,
        columns: &mut Columns,
    ) -> Result<EventTime, Rejection> {
        let mut outcome = None;
        let record = Record { coordinates, key: None, value };
        let filled = self.decode_all([record], columns, |_, told| {
            outcome = Some(told);
            true
        });
        filled.and(outcome.unwrap_or_else(|| Err(Rejection::new(Reason::NullValue, "there is no record"))))
    }

    /// Adds a row to `columns` (made for the same schema) for each of `records` that is an event, in order, unless it is not wanted.
    ///
    /// `place` is told of each record, in order, its event time or why it is no row; of an event it says whether its row is wanted.
    /// The rows are there when this returns, but not yet when `place` is called: several records become rows together, one column after the
    /// other, which takes a quarter less than one record after the other. Only if misfits are no rows, a row is there first.
    ///
    /// # Errors
    /// A column had no room, and rows that `place` was told of are missing. It cannot be unless a column holds more than 1 GiB.
    pub fn decode_all<'a>(
        &mut self,
        records: impl IntoIterator<Item = Record<'a>>,
        columns: &mut Columns,
        mut place: impl FnMut(&Record<'a>, Result<EventTime, Rejection>) -> bool,
    ) -> Result<(), Rejection> {
        let mut group = take(&mut self.group);
        let mut records = records.into_iter();
        let taken = records.try_for_each(|record| self.take(&record, &mut group, columns, &mut place));
        let filled = taken.and_then(|()| self.fill(&mut group, columns));
        self.group = group.emptied();
        filled
    }

    /// Takes a record into the group if its row is wanted, and fills the columns if the group is full.
    fn take<'a>(
        &mut self,
        record: &Record<'a>,
        group: &mut Group<'a>,
        columns: &mut Columns,
        place: &mut impl FnMut(&Record<'a>, Result<EventTime, Rejection>) -> bool,
    ) -> Result<(), Rejection> {
        let found = self.find(record.value, group.next_slots(self.lookup.len()), columns);
        let timed = found.and_then(|found| Ok((self.event_time(found.time, record.coordinates)?, found)));
        let (time, found) = match timed {
            Ok(timed) => timed,
            Err(rejection) => {
                place(record, Err(rejection));
                return Ok(());
            }
        };
        let unknown = u64::try_from(found.unknown.len()).unwrap_or(u64::MAX);
        match self.options.on_misfit {
            OnMisfit::Extra => {
                if !place(record, Ok(time)) {
                    return Ok(());
                }
                self.counts.unknown_fields += unknown;
                group.push(record, found, time, self.layouts.missed());
                if group.is_full() { self.fill(group, columns) } else { Ok(()) }
            }
            OnMisfit::DeadLetter => {
                // Whether it is a row is known when it is in the columns.
                let row = columns.len();
                group.push(record, found, time, self.layouts.missed());
                let filled = self.fill(group, columns);
                self.counts.unknown_fields += if filled.is_ok() { unknown } else { 0 };
                if !place(record, filled.map(|()| time)) {
                    columns.truncate(row);
                }
                Ok(())
            }
        }
    }

    /// Finds the value of every field by one of the layouts, or by parsing the record.
    fn find<'a>(
        &mut self,
        value: Option<&'a [u8]>,
        slots: &mut [Span],
        columns: &mut Columns,
    ) -> Result<Found<'a>, Rejection> {
        let bytes = value.unwrap_or_default();
        // A tombstone says nothing of how records are written.
        if !bytes.is_empty()
            && let Some(time) = self.layouts.find(bytes, slots, columns)
        {
            return Ok(Found { is_plain: true, time: Some(time.of(bytes)), unknown: Vec::new() });
        }
        let text = text(value)?;
        let found = self.parse(text, slots)?;
        let time = TimeField { name: &self.options.timestamp_field, place: self.time_place };
        self.layouts.learn(text, &self.lookup, time);
        Ok(found)
    }

    /// Finds them by parsing the record, and all that is no field. The last of repeated keys wins.
    fn parse<'a>(&self, text: &'a str, slots: &mut [Span]) -> Result<Found<'a>, Rejection> {
        let start = |parsing: &mut Parsing<'a, '_>| {
            parsing.slots.fill(ABSENT);
            (parsing.time, parsing.expected, parsing.deep) = (None, 0, false);
            parsing.unknown.clear();
        };
        let mut parsing = Parsing { slots, time: None, unknown: Vec::new(), expected: 0, deep: false };
        start(&mut parsing);
        let read = json::members_quickly(text, &mut parsing, start, |parsing, key, value| {
            // What nests deeper than the limit has at least two brackets for each level.
            parsing.deep |=
                value.len() >= 2 * MAX_NESTING && json::is_nested(value) && json::nests_deeper(value, MAX_NESTING - 1);
            let place = self.lookup.find(&key, parsing.expected);
            if place == self.time_place && (place.is_some() || key == self.options.timestamp_field) {
                parsing.time = Some(value);
            }
            match place {
                Some(place) => {
                    parsing.expected = place + 1;
                    if let Some(slot) = parsing.slots.get_mut(place) {
                        *slot = Span::new(text, value);
                    }
                }
                None => parsing.unknown.push((key, value)),
            }
        });
        let Parsing { time, mut unknown, deep, .. } = parsing;
        match read {
            Ok(()) if deep => Err(too_deep()),
            Ok(()) => {
                json::keep_last(&mut unknown);
                Ok(Found { is_plain: false, time: time.map(str::as_bytes), unknown })
            }
            Err(error) => Err(not_an_event(text, &error)),
        }
    }

    fn event_time(&self, value: Option<&[u8]>, coordinates: Coordinates) -> Result<EventTime, Rejection> {
        let time = match value.and_then(|value| self.options.timestamps.parse_plain(value)) {
            Some(Ok(time)) => time,
            Some(Err(_)) | None => self.unusual_time(value)?,
        };
        match (self.max_future_us, coordinates.kafka_time()) {
            (Some(ahead_us), Some(kafka)) if time > kafka.plus_us(ahead_us) => {
                let field = &self.options.timestamp_field;
                Err(Rejection::new(
                    Reason::TimestampInFuture,
                    format!("`{field}` is {time}, too far ahead of the Kafka timestamp {kafka}"),
                ))
            }
            _ => Ok(time),
        }
    }

    fn unusual_time(&self, value: Option<&[u8]>) -> Result<EventTime, Rejection> {
        let field = &self.options.timestamp_field;
        let value = value
            .and_then(|value| str::from_utf8(value).ok())
            .ok_or_else(|| Rejection::new(Reason::TimestampMissing, format!("the record has no field `{field}`")))?;
        if value == "null" {
            return Err(Rejection::new(Reason::TimestampNull, format!("`{field}` is null")));
        }
        self.options.timestamps.parse_json(value).map_err(|error| {
            let shown = excerpt(value);
            match error {
                TimeError::Unparsable => {
                    Rejection::new(Reason::TimestampUnparsable, format!("`{field}` is no time: {shown}"))
                }
                TimeError::OutOfRange => Rejection::new(
                    Reason::TimestampOutOfRange,
                    format!("`{field}` is outside the years 1 to 9999: {shown}"),
                ),
            }
        })
    }

    /// Adds a value, empty if the record has none, to the column of a field; returns what of it the column cannot hold.
    pub(super) fn put<'a>(&self, place: usize, column: &mut Column, raw: &'a str) -> Option<Beside<'a>> {
        if raw.is_empty() {
            column.push_null();
            return None;
        }
        let row = column.len();
        match put(column, raw, &self.options.timestamps) {
            Fit::Whole => None,
            Fit::Beside(text) => Some(Beside { place, raw, text: Cow::Owned(text), is_misfit: false }),
            Fit::Misfit => {
                column.truncate(row);
                column.push_null();
                Some(Beside { place, raw, text: Cow::Borrowed(raw), is_misfit: true })
            }
        }
    }

    /// Counts the values that do not fit.
    ///
    /// # Errors
    /// There is one, and the operator wants no such rows.
    pub(super) fn count_misfits<'a>(&mut self, beside: impl Iterator<Item = &'a Beside<'a>>) -> Result<(), Rejection> {
        beside.filter(|beside| beside.is_misfit).try_for_each(|Beside { place, raw, .. }| {
            if let Some(count) = self.counts.misfits.get_mut(*place) {
                *count += 1;
            }
            if self.options.on_misfit == OnMisfit::DeadLetter { Err(self.misfit(*place, raw)) } else { Ok(()) }
        })
    }

    /// Returns what a column could not hold, with the name of its field.
    pub(super) fn kept<'a>(&'a self, Beside { place, raw, text, .. }: Beside<'a>) -> Kept<'a> {
        Kept { position: raw.as_ptr().addr(), key: Cow::Borrowed(self.lookup.name(place)), text }
    }

    /// Returns the number of fields.
    pub(super) fn fields(&self) -> usize {
        self.lookup.len()
    }

    /// Returns the column that holds the event time, if there is one.
    pub(super) const fn time_place(&self) -> Option<usize> {
        self.time_place
    }

    fn misfit(&self, place: usize, raw: &str) -> Rejection {
        let kind = self.schema.fields().get(place).map(|field| field.kind.to_string()).unwrap_or_default();
        let name = self.lookup.name(place);
        Rejection::new(Reason::Misfit, format!("`{name}` ({kind}) cannot hold {}", excerpt(raw)))
    }
}

/// What the column of a field cannot hold of a value.
pub(super) struct Beside<'a> {
    place: usize,
    raw: &'a str,
    text: Cow<'a, str>,
    is_misfit: bool,
}

impl Beside<'_> {
    /// Returns the place of the field.
    pub(super) const fn place(&self) -> usize {
        self.place
    }
}

/// What has been found in a record so far.
struct Parsing<'a, 's> {
    slots: &'s mut [Span],
    time: Option<&'a str>,
    unknown: Vec<(Cow<'a, str>, &'a str)>,
    /// The place of the field that the next key is likely to name.
    expected: usize,
    deep: bool,
}

/// What was found in a record, beside the values of its fields.
pub(super) struct Found<'a> {
    /// No value is nested, and none has escapes.
    pub(super) is_plain: bool,
    /// The value of the timestamp field: it is UTF-8.
    time: Option<&'a [u8]>,
    /// What is no field, each key once.
    pub(super) unknown: Vec<(Cow<'a, str>, &'a str)>,
}

/// Returns the value as text, if there is any.
fn text(value: Option<&[u8]>) -> Result<&str, Rejection> {
    let value = value.ok_or_else(|| Rejection::new(Reason::NullValue, "the record has no value"))?;
    if value.is_empty() {
        return Err(Rejection::new(Reason::EmptyValue, "the value has no bytes"));
    }
    if value.len() > MOST_BYTES {
        return Err(Rejection::new(Reason::NotJson, format!("the value has more than {MOST_BYTES} bytes")));
    }
    let text = str::from_utf8(value).map_err(|error| Rejection::new(Reason::NotUtf8, error.to_string()))?;
    if text.starts_with('\u{feff}') {
        return Err(Rejection::new(
            Reason::NotJson,
            "the value begins with a byte order mark, which JSON does not have",
        ));
    }
    if text.starts_with(|first: char| first.is_ascii_whitespace()) && text.trim_ascii().is_empty() {
        return Err(Rejection::new(Reason::EmptyValue, "the value is white space alone"));
    }
    Ok(text)
}

/// Returns why `text` is no object, given what the parser had to say.
fn not_an_event(text: &str, error: &serde_json::Error) -> Rejection {
    if json::nests_deeper(text, MAX_NESTING) {
        return too_deep();
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(value) if !value.get().starts_with('{') => {
            Rejection::new(Reason::NotAnObject, format!("the value is JSON, but no object: {}", excerpt(value.get())))
        }
        _ => Rejection::new(Reason::NotJson, error.to_string()),
    }
}

pub(super) fn no_room() -> Rejection {
    Rejection::new(Reason::Misfit, "no column has room for what does not fit")
}

fn too_deep() -> Rejection {
    Rejection::new(Reason::TooDeep, format!("arrays and objects nest deeper than {MAX_NESTING}"))
}

/// Returns the beginning of `text`, fit for a message.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
