//! One record: taken apart once, checked, and then put into the columns one after the other.

use std::borrow::Cow;
use std::mem::take;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::column::Column;
use super::json::{self, MAX_NESTING};
use super::layout::Layouts;
use super::lookup::Lookup;
use super::timestamp::TimeError;
use super::value::{Fit, Kept, object_text, put};
use super::{Columns, Coordinates, DecoderOptions, OnMisfit, Reason, Rejection};
use crate::engine::time::EventTime;
use crate::schema::Schema;

/// How much of a value a rejection shows, in characters.
const EXCERPT_CHARS: usize = 80;

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
    /// Where in the record the value of each field lies; kept to be used again.
    slots: Vec<Span>,
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

/// A part of the record, in bytes; an empty one means that there is nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    /// A value that is no array and no object, and has no escapes.
    pub(super) is_plain: bool,
}

pub(super) const ABSENT: Span = Span { start: 0, end: 0, is_plain: false };

impl Decoder {
    /// Returns a decoder for events of `schema`.
    #[must_use]
    pub fn new(schema: Arc<Schema>, options: DecoderOptions) -> Self {
        let lookup = Lookup::new(schema.fields().iter().map(|field| field.name.as_str()));
        let max_future_us = options.max_future.map(|ahead| i64::try_from(ahead.as_micros()).unwrap_or(i64::MAX));
        let time_place = schema.index_of(&options.timestamp_field);
        let counts = Counts { misfits: vec![0; lookup.len()], unknown_fields: 0 };
        Self {
            slots: vec![ABSENT; lookup.len()],
            schema,
            options,
            max_future_us,
            lookup,
            layouts: Layouts::default(),
            time_place,
            counts,
        }
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
        let text = text(value)?;
        let mut slots = take(&mut self.slots);
        let outcome = self.decode_text(text, &mut slots, coordinates, columns);
        self.slots = slots;
        outcome
    }

    fn decode_text(
        &mut self,
        text: &str,
        slots: &mut [Span],
        coordinates: Coordinates,
        columns: &mut Columns,
    ) -> Result<EventTime, Rejection> {
        let Taken { mut unknown, time } = self.take_apart(text, slots)?;
        let time = self.event_time(time, coordinates)?;

        let row = columns.len();
        let base = text.as_ptr().addr();
        let mut kept: Vec<Kept<'_>> = Vec::new();
        for (place, (column, span)) in columns.fields.iter_mut().zip(slots).enumerate() {
            if let Column::Timestamp(times) = column
                && self.time_place == Some(place)
            {
                times.push(time.0);
                continue;
            }
            let raw = text.get(span.start..span.end).unwrap_or_default();
            if raw.is_empty() {
                column.push_null();
                continue;
            }
            if let (Column::Text(texts), true) = (&mut *column, span.is_plain)
                && let Some(text) = raw.strip_prefix('"').and_then(|text| text.strip_suffix('"'))
                && texts.push(text.as_bytes())
            {
                continue;
            }
            let beside = match put(column, raw, &self.options.timestamps) {
                Fit::Whole => continue,
                Fit::Beside(beside) => Cow::Owned(beside),
                Fit::Misfit => {
                    if let Some(count) = self.counts.misfits.get_mut(place) {
                        *count += 1;
                    }
                    if self.options.on_misfit == OnMisfit::DeadLetter {
                        columns.truncate(row);
                        return Err(self.misfit(place, raw));
                    }
                    column.truncate(row);
                    column.push_null();
                    Cow::Borrowed(raw)
                }
            };
            let key = Cow::Borrowed(self.lookup.name(place));
            kept.push(Kept { position: base + span.start, key, text: beside });
        }
        if !unknown.is_empty() {
            json::keep_last(&mut unknown);
            self.counts.unknown_fields += u64::try_from(unknown.len()).unwrap_or(u64::MAX);
            kept.extend(unknown.into_iter().map(|(key, value)| Kept {
                position: value.as_ptr().addr(),
                key,
                text: Cow::Borrowed(value),
            }));
        }
        if kept.is_empty() {
            columns.extra.push_null();
        } else if !columns.extra.push(object_text(kept).as_bytes()) {
            columns.truncate(row);
            return Err(Rejection::new(Reason::Misfit, "no column has room for what does not fit"));
        }
        columns.end_row(coordinates);
        Ok(time)
    }

    /// Finds the value of every field, and all that is no field. The last of repeated keys wins.
    fn take_apart<'a>(&mut self, text: &'a str, slots: &mut [Span]) -> Result<Taken<'a>, Rejection> {
        if let Some(Span { start, end, .. }) = self.layouts.find(text, slots) {
            return Ok(Taken { unknown: Vec::new(), time: text.get(start..end) });
        }
        let taken = self.parse(text, slots)?;
        self.layouts.learn(text, &self.lookup, self.time_place, &self.options.timestamp_field);
        Ok(taken)
    }

    /// Finds them by parsing the whole record.
    fn parse<'a>(&self, text: &'a str, slots: &mut [Span]) -> Result<Taken<'a>, Rejection> {
        let base = text.as_ptr().addr();
        let start = |found: &mut Found<'a, '_>| {
            found.slots.fill(ABSENT);
            (found.taken, found.expected, found.deep) = (Taken::default(), 0, false);
        };
        let mut found = Found { slots, taken: Taken::default(), expected: 0, deep: false };
        start(&mut found);
        let read = json::members_quickly(text, &mut found, start, |found, key, value| {
            // What nests deeper than the limit has at least two brackets for each level.
            found.deep |=
                value.len() >= 2 * MAX_NESTING && json::is_nested(value) && json::nests_deeper(value, MAX_NESTING - 1);
            let place = self.lookup.find(&key, found.expected);
            if place == self.time_place && (place.is_some() || key == self.options.timestamp_field) {
                found.taken.time = Some(value);
            }
            match place {
                Some(place) => {
                    found.expected = place + 1;
                    let start = value.as_ptr().addr() - base;
                    if let Some(slot) = found.slots.get_mut(place) {
                        *slot = Span { start, end: start + value.len(), is_plain: false };
                    }
                }
                None => found.taken.unknown.push((key, value)),
            }
        });
        match read {
            Ok(()) if found.deep => Err(too_deep()),
            Ok(()) => Ok(found.taken),
            Err(error) => Err(not_an_event(text, &error)),
        }
    }

    fn event_time(&self, value: Option<&str>, coordinates: Coordinates) -> Result<EventTime, Rejection> {
        let field = &self.options.timestamp_field;
        let value = value
            .ok_or_else(|| Rejection::new(Reason::TimestampMissing, format!("the record has no field `{field}`")))?;
        if value == "null" {
            return Err(Rejection::new(Reason::TimestampNull, format!("`{field}` is null")));
        }
        let time = self.options.timestamps.parse_json(value).map_err(|error| {
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
        })?;
        match (self.max_future_us, coordinates.kafka_time()) {
            (Some(ahead_us), Some(kafka)) if time > kafka.plus_us(ahead_us) => Err(Rejection::new(
                Reason::TimestampInFuture,
                format!("`{field}` is {time}, too far ahead of the Kafka timestamp {kafka}"),
            )),
            _ => Ok(time),
        }
    }

    fn misfit(&self, place: usize, raw: &str) -> Rejection {
        let kind = self.schema.fields().get(place).map(|field| field.kind.to_string()).unwrap_or_default();
        let name = self.lookup.name(place);
        Rejection::new(Reason::Misfit, format!("`{name}` ({kind}) cannot hold {}", excerpt(raw)))
    }
}

/// What has been found in a record so far.
struct Found<'a, 's> {
    slots: &'s mut [Span],
    taken: Taken<'a>,
    /// The place of the field that the next key is likely to name.
    expected: usize,
    deep: bool,
}

/// What a record holds apart from the fields of the schema.
#[derive(Default)]
struct Taken<'a> {
    unknown: Vec<(Cow<'a, str>, &'a str)>,
    /// The value of the timestamp field.
    time: Option<&'a str>,
}

/// Returns the value as text, if there is any.
fn text(value: Option<&[u8]>) -> Result<&str, Rejection> {
    let value = value.ok_or_else(|| Rejection::new(Reason::NullValue, "the record has no value"))?;
    if value.is_empty() {
        return Err(Rejection::new(Reason::EmptyValue, "the value has no bytes"));
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
