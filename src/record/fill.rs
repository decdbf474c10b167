//! Records become rows: many of them together, one column after the other.
//!
//! A column's dictionary and the end of its buffer stay in the processor's nearest cache while it takes the values of many records, and
//! looking one value up need not wait for the one before.

use super::column::{Column, MOST_AT_ONCE, Texts};
use super::decode::{Beside, Decoder, Found, no_room};
use super::layout::{ABSENT, Span};
use super::phrases::{Missed, Phrases};
use super::shared::Shared;
use super::value::Kept;
use super::{Columns, Coordinates, Record, Rejection};
use crate::engine::time::EventTime;

/// The most records that become rows together: they and their spans stay in the second cache.
const GROUP: usize = MOST_AT_ONCE;
/// The most bytes of their values, the last one aside, and the most members that are no fields: what is kept of them is in no budget yet.
const GROUP_BYTES: usize = 1 << 20;
const GROUP_UNKNOWN: usize = 4_096;
/// The numbers of all records of a group.
const ALL: [usize; GROUP] = {
    let mut all = [0; GROUP];
    let mut number = 1;
    while number < GROUP {
        all[number] = number;
        number += 1;
    }
    all
};

/// Records on their way into columns.
#[derive(Debug, Default)]
pub(super) struct Group<'a> {
    records: Vec<Laid<'a>>,
    /// The values of fields, those of a record side by side.
    spans: Vec<Span>,
    /// What is no field, with the number of the record.
    unknown: Vec<(usize, Kept<'a>)>,
    /// Phrases that were not known, with the number of the record.
    missed: Vec<(usize, Missed)>,
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

    pub(super) fn push(&mut self, record: &Record<'a>, found: Found<'a>, time: EventTime, missed: &[Missed]) {
        let Found { is_plain, unknown, .. } = found;
        let number = self.records.len();
        self.missed.extend(missed.iter().map(|missed| (number, *missed)));
        let kept = |(key, value): (_, &'a str)| Kept { position: value.as_ptr().addr(), key, text: value.into() };
        self.unknown.extend(unknown.into_iter().map(|unknown| (number, kept(unknown))));
        let (bytes, coordinates) = (record.value.unwrap_or_default(), record.coordinates);
        self.bytes += bytes.len();
        self.records.push(Laid { bytes, coordinates, time, is_plain });
    }

    pub(super) const fn is_full(&self) -> bool {
        self.records.len() >= GROUP || self.bytes >= GROUP_BYTES || self.unknown.len() >= GROUP_UNKNOWN
    }

    /// Returns where each record has the value of one of `fields` fields.
    fn spans(&self, place: usize, fields: usize) -> impl Iterator<Item = Span> {
        let spans = self.spans.get(place..).unwrap_or_default().iter().step_by(fields);
        spans.copied().take(self.records.len())
    }

    /// Returns where some records have the value of one of `fields` fields: each with the record, and whether it is plain for sure.
    fn values(&self, place: usize, fields: usize, of: &[usize]) -> impl Iterator<Item = (Span, &'a [u8], bool)> {
        of.iter().filter_map(move |number| {
            let (record, span) = (self.records.get(*number)?, self.spans.get(number * fields + place)?);
            Some((*span, record.bytes, record.is_plain))
        })
    }

    /// Forgets phrases with values of which something is `beside` the columns, in the order of the records: who says them again must have it
    /// kept again.
    fn keep_whole(&mut self, beside: &[(usize, Beside<'_>)], phrases: &Phrases) {
        self.missed.retain(|(number, missed)| {
            let from = beside.get(beside.partition_point(|(record, _)| record < number)..).unwrap_or_default();
            let mut of_record = from.iter().take_while(|(record, _)| record == number);
            of_record.all(|(_, beside)| !phrases.columns_of(missed.run).contains(&beside.place()))
        });
    }

    /// Notes the phrases of records whose values are in the columns.
    fn learn(&self, columns: &mut Columns) {
        let rows = columns.len() + self.records.len();
        for (number, Missed { run, phrase }) in &self.missed {
            if let Some(record) = self.records.get(*number) {
                columns.phrases.learn(*run, phrase.of(record.bytes), *number, rows);
            }
        }
    }

    /// Returns a group without records, for others, with the same memory.
    pub(super) fn emptied<'b>(mut self) -> Group<'b> {
        self.records.clear();
        // Nothing is left that could be turned into another: the standard library keeps the buffer.
        let records = self.records.into_iter().map(|laid| Laid { bytes: &[], ..laid }).collect();
        Group { records, spans: self.spans, unknown: Vec::new(), missed: self.missed, bytes: 0 }
    }
}

/// Adds texts, as many as are added at once, until there is another value or no room; returns how many values were added, and whether that
/// is all that was looked at.
fn put_texts<'a>(texts: &mut Texts, raws: impl Iterator<Item = (Span, &'a [u8], bool)>) -> (usize, bool) {
    let mut values = [None; MOST_AT_ONCE];
    let (mut count, mut is_all) = (0, true);
    for (value, (span, record, is_plain)) in values.iter_mut().zip(raws) {
        *value = match span.of(record) {
            [b'"', text @ .., b'"'] if is_plain || !text.contains(&b'\\') => Some(text),
            [] | b"null" => None,
            _ => {
                is_all = false;
                break;
            }
        };
        count += 1;
    }
    let added = texts.push_all(values.get(..count).unwrap_or_default());
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
        group.missed.clear();
        group.bytes = 0;
        if filled.is_err() {
            columns.truncate(row);
        }
        filled
    }

    fn fill_columns(&mut self, group: &mut Group<'_>, columns: &mut Columns) -> Result<(), Rejection> {
        // What columns cannot hold, and of which record.
        let mut beside = Vec::new();
        let Columns { fields, phrases, .. } = columns;
        for shared in phrases.shared_mut() {
            let held = fields.get(shared.lead()).map_or(0, Column::len);
            shared.add_rows(group.spans(shared.lead(), self.fields()).map(Span::said), held);
        }
        for (place, column) in fields.iter_mut().enumerate() {
            let shared = phrases.of(place);
            if let (None, Column::Text(texts)) = (shared, &mut *column) {
                texts.settle();
            }
            let of = shared.map_or(ALL.get(..group.records.len()).unwrap_or_default(), Shared::fresh);
            self.put_column(place, column, group, of, &mut beside);
        }
        beside.sort_by_key(|(number, _)| *number);
        self.count_misfits(beside.iter().map(|(_, beside)| beside))?;
        group.keep_whole(&beside, &columns.phrases);
        self.fill_extra(beside, group, columns)?;
        group.learn(columns);
        columns.end_rows(group.records.iter().map(|record| record.coordinates));
        columns.settle();
        Ok(())
    }

    /// Adds the values of a field of some records; `beside` gets what its column cannot hold, and the number of the record.
    fn put_column<'a>(
        &self,
        place: usize,
        column: &mut Column,
        group: &Group<'a>,
        mut of: &[usize],
        beside: &mut Vec<(usize, Beside<'a>)>,
    ) {
        if let Column::Timestamp(times) = column
            && self.time_place() == Some(place)
        {
            return times.push_all(group.records.iter().map(|record| record.time.0));
        }
        while !of.is_empty() {
            if let Column::Text(texts) = column {
                let (added, is_all) = put_texts(texts, group.values(place, self.fields(), of));
                of = of.get(added..).unwrap_or_default();
                if is_all && added > 0 {
                    continue;
                }
            }
            let Some((number, others)) = of.split_first() else { break };
            let Some((span, record, _)) = group.values(place, self.fields(), of).next() else { break };
            // It is UTF-8, since the record is, and ends where a value ends.
            let raw = std::str::from_utf8(span.of(record)).unwrap_or_default();
            beside.extend(self.put(place, column, raw).map(|beside| (*number, beside)));
            of = others;
        }
    }

    /// Adds to `_extra` what fits in no column, of which `beside` has what columns could not hold.
    fn fill_extra(
        &self,
        beside: Vec<(usize, Beside<'_>)>,
        group: &mut Group<'_>,
        columns: &mut Columns,
    ) -> Result<(), Rejection> {
        if beside.is_empty() && group.unknown.is_empty() {
            columns.push_no_extra(group.records.len());
            return Ok(());
        }
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
