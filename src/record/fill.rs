//! Records become rows: many of them together, one column after the other.
//!
//! A column's dictionary and the end of its buffer stay in the processor's nearest cache while it takes the values of many records, and
//! looking one value up need not wait for the one before.

use super::column::{Column, MOST_AT_ONCE, Texts, Value};
use super::decode::{Beside, Decoder, Found, no_room};
use super::layout::{ABSENT, Span};
use super::phrases::{NULL, Phrases, UNKNOWN};
use super::value::Kept;
use super::{Columns, Coordinates, Record, Rejection};
use crate::engine::time::EventTime;

/// The most records that become rows together: they and their spans stay in the second cache.
const GROUP: usize = MOST_AT_ONCE;
/// The most bytes of their values, the last one aside, and the most members that are no fields: what is kept of them is in no budget yet.
const GROUP_BYTES: usize = 1 << 20;
const GROUP_UNKNOWN: usize = 4_096;

/// Records on their way into columns.
#[derive(Debug, Default)]
pub(super) struct Group<'a> {
    records: Vec<Laid<'a>>,
    /// The values of fields, those of a record side by side.
    spans: Vec<Span>,
    /// What is no field, with the number of the record.
    unknown: Vec<(usize, Kept<'a>)>,
    /// The size of the records' values.
    bytes: usize,
}

/// A record, and its event time.
#[derive(Debug, Clone, Copy)]
struct Laid<'a> {
    bytes: &'a [u8],
    coordinates: Coordinates,
    time: EventTime,
    is_plain: bool,
}

impl<'a> Group<'a> {
    /// Returns where to put the values of a record's `fields`, which [`Group::push`] may add then.
    #[inline]
    pub(super) fn next_slots(&mut self, fields: usize) -> &mut [Span] {
        let start = self.records.len() * fields;
        if self.spans.len() < start + fields {
            self.spans.resize(start + fields, ABSENT);
        }
        self.spans.get_mut(start..start + fields).unwrap_or_default()
    }

    pub(super) fn push(&mut self, record: &Record<'a>, found: Found<'a>, time: EventTime) {
        let Found { is_plain, unknown, .. } = found;
        let number = self.records.len();
        let kept = |(key, value): (_, &'a str)| Kept { position: value.as_ptr().addr(), key, text: value.into() };
        self.unknown.extend(unknown.into_iter().map(|unknown| (number, kept(unknown))));
        let (bytes, coordinates) = (record.value.unwrap_or_default(), record.coordinates);
        self.bytes += bytes.len();
        self.records.push(Laid { bytes, coordinates, time, is_plain });
    }

    pub(super) const fn is_full(&self) -> bool {
        self.records.len() >= GROUP || self.bytes >= GROUP_BYTES || self.unknown.len() >= GROUP_UNKNOWN
    }

    /// Returns where the values of one of `fields` fields are, from the record `from` on: each with the record, and whether it is plain for sure.
    fn values(&self, place: usize, fields: usize, from: usize) -> impl Iterator<Item = (Span, &'a [u8], bool)> + Clone {
        let records = self.records.get(from..).unwrap_or_default();
        let spans = self.spans.get(from * fields + place..).unwrap_or_default().iter().step_by(fields);
        records.iter().zip(spans).map(|(record, span)| (*span, record.bytes, record.is_plain))
    }

    /// Returns a group without records, for others, with the same memory.
    pub(super) fn emptied<'b>(mut self) -> Group<'b> {
        self.records.clear();
        // Nothing is left that could be turned into another: the standard library keeps the buffer.
        let records = self.records.into_iter().map(|laid| Laid { bytes: &[], ..laid }).collect();
        Group { records, spans: self.spans, unknown: Vec::new(), bytes: 0 }
    }
}

/// Adds texts, as many as are added at once, until there is another value or no room; returns how many values were added, and whether that
/// is all that was looked at. A text that is a phrase's is known by its key, or learns it.
fn put_texts<'a>(
    texts: &mut Texts,
    phrases: &mut Phrases,
    raws: impl Iterator<Item = (Span, &'a [u8], bool)> + Clone,
) -> (usize, bool) {
    let has_keys = texts.settle();
    if has_keys {
        // Mostly all are a phrase's, and known.
        let added =
            texts.push_keys(raws.clone().map_while(|(span, ..)| Some(phrases.key(span)).filter(|key| *key < NULL)));
        if added > 0 {
            return (added, true);
        }
    }
    let (mut values, mut learners) = ([Value::Null; MOST_AT_ONCE], [ABSENT; MOST_AT_ONCE]);
    let (mut count, mut is_all, mut learn) = (0, true, false);
    for ((value, learner), (span, record, is_plain)) in values.iter_mut().zip(&mut learners).zip(raws) {
        let key = if has_keys { phrases.key(span) } else { UNKNOWN };
        *value = match key {
            NULL => Value::Null,
            UNKNOWN => {
                (*learner, learn) = (span, true);
                match span.of(record) {
                    [b'"', text @ .., b'"'] if is_plain || !text.contains(&b'\\') => Value::Text(text),
                    [] | b"null" => Value::Null,
                    _ => {
                        is_all = false;
                        break;
                    }
                }
            }
            key => Value::Key(key),
        };
        count += 1;
    }
    let values = values.get_mut(..count).unwrap_or_default();
    let added = texts.push_all(values);
    if has_keys && learn {
        for (value, learner) in values.iter().zip(learners).take(added) {
            match value {
                Value::Null => phrases.note(learner, NULL),
                Value::Key(key) => phrases.note(learner, *key),
                Value::Text(_) => {}
            }
        }
    }
    (added, is_all && added == count)
}

impl Decoder {
    /// Adds the rows of a group, which is empty then.
    ///
    /// # Errors
    /// A column has no room, or a value does not fit and the operator wants no such rows. No row was added then.
    pub(super) fn fill(&mut self, group: &mut Group<'_>, columns: &mut Columns) -> Result<(), Rejection> {
        if group.records.is_empty() {
            return Ok(());
        }
        let row = columns.len();
        let filled = self.fill_columns(group, columns);
        group.records.clear();
        group.unknown.clear();
        group.bytes = 0;
        if filled.is_err() {
            columns.truncate(row);
        }
        filled
    }

    fn fill_columns(&mut self, group: &mut Group<'_>, columns: &mut Columns) -> Result<(), Rejection> {
        // What columns cannot hold, and of which record.
        let mut beside = Vec::new();
        for (place, column) in columns.fields.iter_mut().enumerate() {
            self.put_column(place, (column, &mut columns.phrases), group, &mut beside);
        }
        if columns.phrases.is_full() {
            columns.phrases = Phrases::new();
        }
        beside.sort_by_key(|(number, _)| *number);
        self.count_misfits(beside.iter().map(|(_, beside)| beside))?;
        self.fill_extra(beside, group, columns)?;
        group.records.iter().for_each(|record| columns.end_row(record.coordinates));
        Ok(())
    }

    /// Adds the values of a field of all records; `beside` gets what its column cannot hold, and the number of the record.
    fn put_column<'a>(
        &self,
        place: usize,
        (column, phrases): (&mut Column, &mut Phrases),
        group: &Group<'a>,
        beside: &mut Vec<(usize, Beside<'a>)>,
    ) {
        if let Column::Timestamp(times) = column
            && self.time_place() == Some(place)
        {
            return group.records.iter().for_each(|record| times.push(record.time.0));
        }
        let mut number = 0;
        while number < group.records.len() {
            if let Column::Text(texts) = column {
                let (added, is_all) = put_texts(texts, phrases, group.values(place, self.fields(), number));
                number += added;
                if is_all && added > 0 {
                    continue;
                }
            }
            let Some((span, record, _)) = group.values(place, self.fields(), number).next() else { break };
            // It is UTF-8, since the record is, and ends where a value ends.
            let raw = std::str::from_utf8(span.of(record)).unwrap_or_default();
            beside.extend(self.put(place, column, raw).map(|beside| (number, beside)));
            number += 1;
        }
    }

    /// Adds to `_extra` what fits in no column, of which `beside` has what columns could not hold.
    fn fill_extra(
        &self,
        beside: Vec<(usize, Beside<'_>)>,
        group: &mut Group<'_>,
        columns: &mut Columns,
    ) -> Result<(), Rejection> {
        let mut beside = beside.into_iter().peekable();
        let mut unknown = group.unknown.drain(..).peekable();
        for number in 0..group.records.len() {
            let mut kept = Vec::new();
            while let Some((_, beside)) = beside.next_if(|(of, _)| *of == number) {
                kept.push(self.kept(beside));
            }
            while let Some((_, unknown)) = unknown.next_if(|(of, _)| *of == number) {
                kept.push(unknown);
            }
            if !columns.push_extra(kept) {
                return Err(no_room());
            }
        }
        Ok(())
    }
}
