//! Records that are written as those before: the bytes between their values are the same.
//!
//! Producers write one event like the other: the same keys in the same order, the same spacing. A layout is learned from a record, and
//! holds the bytes between its values; the values of a record of that layout are found by comparing these and looking for where each
//! value ends, without reading keys. Values that records repeat together are not even taken apart, but known as a
//! [phrase](super::phrases). Whatever differs is left to the parser, and may teach another layout.
//!
//! # Invariants
//! What a layout finds in a record is what the parser finds in it.

mod plan;

pub use plan::Sampling;

use super::Columns;
use super::compare::equal;
use super::json::plain::{self, value_end};
use super::lookup::Lookup;
use super::phrases::Missed;
use plan::{Plan, Run};

/// The most layouts that are known at once.
const MOST_LAYOUTS: usize = 8;
/// The most bytes between the values of a record that is worth learning.
const MOST_BYTES: usize = 64 << 10;
/// After so many records in a row that no layout fits, the least useful one makes room for another.
const MISSES: u32 = 16;
/// After so many, looking is given up for a while,
const PATIENCE: u32 = 64;
/// of this many records.
const PAUSE: u32 = 4_096;

/// A part of a record, in bytes; an empty one means that there is nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

pub(super) const ABSENT: Span = Span { start: 0, end: 0 };
/// Where a part ends that is none.
const PHRASE: u32 = u32::MAX;

impl Span {
    /// Returns the part of `whole` that `part` is: it must lie in it.
    pub(super) fn new(whole: &str, part: &str) -> Self {
        let start = part.as_ptr().addr() - whole.as_ptr().addr();
        // No record that is parsed is longer than 2 GiB.
        let index = |at: usize| u32::try_from(at).unwrap_or(0);
        Self { start: index(start), end: index(start + part.len()) }
    }

    fn within(start: usize, end: usize) -> Option<Self> {
        Some(Self { start: u32::try_from(start).ok()?, end: u32::try_from(end).ok().filter(|end| *end != PHRASE)? })
    }

    /// Says that here, and in the columns that share their rows with this one, the record says what has this number.
    const fn phrase(number: u32) -> Self {
        Self { start: number, end: PHRASE }
    }

    /// Returns the number of the [phrase](super::phrases), if this is no part of a record, but stands for one.
    #[inline]
    pub(super) const fn said(self) -> Option<u32> {
        if self.end == PHRASE { Some(self.start) } else { None }
    }

    /// Returns this part of a record.
    pub(super) fn of(self, record: &[u8]) -> &[u8] {
        record.get(index(self.start)..index(self.end)).unwrap_or_default()
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// What a record consists of: what stands before each value, and behind the last.
#[derive(Debug)]
struct Layout {
    steps: Vec<Step>,
    /// How many of them are fields.
    fields: usize,
    end: Box<[u8]>,
    /// Which values are looked up together, as phrases.
    plan: Plan,
}

#[derive(Debug)]
struct Step {
    /// What stands between the value before and this one.
    before: Box<[u8]>,
    /// The place of the field; `None` for the event time, if it is no field.
    place: Option<usize>,
    is_time: bool,
}

impl Layout {
    /// Learns how `text` is laid out; `None` if it is unusual: nested values, escapes, keys that are repeated or no field.
    fn of(text: &str, lookup: &Lookup, time: TimeField<'_>, sampling: Sampling) -> Option<Self> {
        // Records with escapes come again and again: they cost no allocation.
        plain::members(text, |_, _| ())?;
        let bytes = text.as_bytes();
        let (mut steps, mut seen) = (Vec::<Step>::new(), vec![false; lookup.len()]);
        let (mut at, mut expected, mut length, mut usual) = (0, 0, 0, true);
        plain::members(text, |key, value| {
            let place = lookup.find(key, expected);
            let is_time = place == time.place && (place.is_some() || key == time.name);
            let start = value.as_ptr().addr() - text.as_ptr().addr();
            let before = bytes.get(at..start).unwrap_or_default();
            length += before.len();
            usual &= length <= MOST_BYTES;
            match place {
                Some(place) => {
                    expected = place + 1;
                    usual &= seen.get_mut(place).is_some_and(|seen| !std::mem::replace(seen, true));
                }
                None => usual &= is_time && !steps.iter().any(|step| step.is_time),
            }
            if usual {
                steps.push(Step { before: before.into(), place, is_time });
            }
            at = start + value.len();
        })?;
        usual &= steps.iter().any(|step| step.is_time);
        let fields = steps.iter().filter(|step| step.place.is_some()).count();
        let end = bytes.get(at..).unwrap_or_default().into();
        usual.then(|| Self { steps, fields, end, plan: Plan::new(sampling) })
    }

    /// Finds the values of a record of this layout, and returns that of the event time; `None`, with any `slots`, if it is of another. Adds
    /// phrases that are not known to `missed`.
    #[inline]
    fn find(
        &mut self,
        bytes: &[u8],
        slots: &mut [Span],
        columns: &mut Columns,
        missed: &mut Vec<Missed>,
    ) -> Option<Span> {
        if self.fields < slots.len() {
            slots.fill(ABSENT);
        }
        let (mut at, mut time, mut high) = (0, ABSENT, 0);
        let (mut number, mut run, mut unknown) = (0, 0, 0_u64);
        // Of records for the sample every value is looked at.
        let runs = if self.plan.samples_next() { &[] } else { self.plan.runs() };
        while let Some(step) = self.steps.get(number) {
            let start = at + step.before.len();
            if !equal(bytes.get(at..start)?, &step.before) {
                return None;
            }
            if let Some(next) = runs.get(run).filter(|run| run.steps.start == number) {
                if let Some(known) = columns.phrases.of_run(next.id)
                    && let Some(phrase) = self.phrase(next, bytes, start)
                    && let Some((lead, said)) = columns.phrases.find(known, phrase)
                {
                    *slots.get_mut(lead)? = Span::phrase(said);
                    (at, number, run) = (start + phrase.len(), next.steps.end, run + 1);
                    continue;
                }
                unknown |= 1 << run;
                run += 1;
            }
            at = value_end(bytes, start, &mut high)?;
            let span = Span::within(start, at)?;
            if let Some(place) = step.place {
                *slots.get_mut(place)? = span;
            }
            if step.is_time {
                time = span;
            }
            number += 1;
        }
        // What lies between the values is UTF-8, and so are values of ASCII, and phrases.
        let sound = *bytes.get(at..)? == *self.end && (high == 0 || std::str::from_utf8(bytes).is_ok());
        if !sound {
            return None;
        }
        if unknown != 0 {
            self.miss(unknown, slots, columns, missed);
        }
        if self.plan.is_sampling() {
            self.sample(bytes, slots, columns);
        }
        Some(time)
    }

    /// Returns the bytes from `start` on that may be a phrase: up to what follows the values of its run.
    #[inline]
    fn phrase<'a>(&self, run: &Run, bytes: &'a [u8], start: usize) -> Option<&'a [u8]> {
        let Some(end) = &run.end else {
            return bytes.get(start..bytes.len().checked_sub(self.end.len())?);
        };
        let from = start.checked_add(run.shortest)?;
        let most = start + run.longest + end.needle().len();
        bytes.get(start..from + end.find(bytes.get(from..most.min(bytes.len()))?)?)
    }

    /// Notes the phrases of the runs in `unknown` (a bit for each), of a record that has been taken apart.
    #[cold]
    fn miss(&mut self, unknown: u64, slots: &[Span], columns: &mut Columns, missed: &mut Vec<Missed>) {
        let runs = self.plan.runs_mut().iter_mut().enumerate();
        for (_, run) in runs.filter(|(number, _)| unknown >> number & 1 == 1) {
            if columns.phrases.refuses(run.id) {
                continue;
            }
            let places = self.steps.get(run.steps.clone()).unwrap_or_default().iter().filter_map(|step| step.place);
            let mut spans = places.clone().filter_map(|place| slots.get(place)).copied();
            let Some(first) = spans.next() else { continue };
            let phrase = Span { end: spans.last().unwrap_or(first).end, ..first };
            let length = index(phrase.end - phrase.start);
            (run.shortest, run.longest) = (run.shortest.min(length), run.longest.max(length));
            let others = || self.steps.iter().enumerate().filter(|(number, _)| !run.steps.contains(number));
            if columns.share(run.id, places, |column| others().any(|(_, step)| step.place == Some(column))) {
                missed.push(Missed { run: run.id, phrase });
            }
        }
    }

    /// Adds a record to what the next decision is made from, and decides if that is enough.
    #[cold]
    fn sample(&mut self, bytes: &[u8], slots: &[Span], columns: &Columns) {
        let Self { steps, plan, .. } = self;
        let value = |step: &Step| step.place.and_then(|place| slots.get(place)).map_or(&[][..], |span| span.of(bytes));
        let Some(sample) = plan.add(steps.iter().map(value)) else { return };
        let is_own = |step: &Step| step.is_time || step.place.is_none_or(|place| columns.differs(place));
        let runs = sample.runs(|number| steps.get(number).is_none_or(is_own));
        plan.decide(runs, |number| steps.get(number).map(|step| &*step.before));
    }
}

/// The layouts that records have had of late.
#[derive(Debug, Default)]
pub(super) struct Layouts {
    /// The one that fitted last is the first.
    known: Vec<Layout>,
    /// Records in a row that no layout fitted.
    misses: u32,
    /// Records for which not to look.
    pause: u32,
    /// The phrases of the last record that were not known.
    missed: Vec<Missed>,
    pub(super) sampling: Sampling,
}

/// The field with the event time.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeField<'a> {
    pub(super) name: &'a str,
    /// Its place among the fields, if it is one.
    pub(super) place: Option<usize>,
}

impl Layouts {
    /// Finds the values of a record by one of the layouts, and returns that of the event time. The record is UTF-8 then.
    pub(super) fn find(&mut self, bytes: &[u8], slots: &mut [Span], columns: &mut Columns) -> Option<Span> {
        self.missed.clear();
        if self.pause > 0 {
            self.pause -= 1;
            return None;
        }
        for place in 0..self.known.len() {
            if let Some(time) = self.known.get_mut(place)?.find(bytes, slots, columns, &mut self.missed) {
                self.misses = 0;
                self.known.swap(0, place);
                return Some(time);
            }
        }
        self.misses += 1;
        if self.misses >= PATIENCE {
            (self.misses, self.pause) = (0, PAUSE);
        }
        None
    }

    /// Returns the phrases of the last record that were not known.
    pub(super) fn missed(&self) -> &[Missed] {
        &self.missed
    }

    /// Learns from a record that no layout fitted.
    pub(super) fn learn(&mut self, text: &str, lookup: &Lookup, time: TimeField<'_>) {
        let has_room = self.known.len() < MOST_LAYOUTS;
        if self.pause > 0 || !(has_room || self.misses.is_multiple_of(MISSES)) {
            return;
        }
        if let Some(layout) = Layout::of(text, lookup, time, self.sampling) {
            if !has_room {
                self.known.pop();
            }
            self.known.insert(0, layout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Field, Schema, Type};

    const TIME: TimeField<'_> = TimeField { name: "at", place: Some(0) };

    fn lookup() -> Lookup {
        Lookup::new(["at", "a", "b"].into_iter())
    }

    fn columns() -> Columns {
        let fields = ["at", "a", "b"].map(|name| Field::new(name, Type::String));
        Columns::new(&Schema::new(fields.to_vec()).unwrap())
    }

    fn layout(text: &str) -> Option<Layout> {
        Layout::of(text, &lookup(), TIME, Sampling::default())
    }

    fn found<'a>(layout: &mut Layout, text: &'a str) -> Option<[&'a str; 3]> {
        let mut slots = vec![ABSENT; 3];
        layout.find(text.as_bytes(), &mut slots, &mut columns(), &mut Vec::new())?;
        Some([0, 1, 2].map(|place: usize| std::str::from_utf8(slots[place].of(text.as_bytes())).unwrap()))
    }

    #[test]
    fn a_record_of_the_same_layout_is_taken_apart() {
        let mut layout = layout("{ \"b\": 12,\"at\" : \"x\"}\n").unwrap();
        assert_eq!(found(&mut layout, "{ \"b\": \"\",\"at\" : null}\n"), Some(["null", "", "\"\""]));
        assert_eq!(found(&mut layout, "{ \"b\": -1.5e3,\"at\" : \"é\"}\n"), Some(["\"é\"", "", "-1.5e3"]));
        for other in [
            "{ \"b\": 12,\"at\" : \"x\"}",
            "{ \"b\": 12,\"at\" : \"x\"}\n ",
            "{ \"b\": 12,\"at\" : \"x\",\"a\":1}\n",
            "{ \"b\": 012,\"at\" : \"x\"}\n",
            "{ \"b\": [1],\"at\" : \"x\"}\n",
            "{ \"b\": 12,\"at\" : \"\\n\"}\n",
            "{ \"b\": 12,\"at\" : \"x\"",
            "{ \"b\": 12",
            "",
        ] {
            assert_eq!(found(&mut layout, other), None, "{other}");
        }
    }

    #[test]
    fn what_is_unusual_is_not_learned() {
        assert!(layout(r#"{"at":1}"#).is_some());
        for unusual in
            [r#"{"at":1,"at":2}"#, r#"{"at":1,"x":2}"#, r#"{"a":1}"#, r#"{"at":"\n"}"#, r#"{"at":1,"a":{}}"#, "1"]
        {
            assert!(layout(unusual).is_none(), "{unusual}");
        }
        let spaces = " ".repeat(MOST_BYTES);
        assert!(layout(&format!("{{{spaces}\"at\":1}}")).is_none());
        // The event time need not be a field.
        let (lookup, time) = (Lookup::new(["b"].into_iter()), TimeField { place: None, ..TIME });
        let mut layout = Layout::of(r#"{"at":1,"b":2}"#, &lookup, time, Sampling::default()).unwrap();
        let mut slots = vec![ABSENT];
        let time = layout.find(br#"{"at":345,"b":6}"#, &mut slots, &mut columns(), &mut Vec::new()).unwrap();
        assert_eq!((time.start, time.end, slots[0].start, slots[0].end), (6, 9, 14, 15));
    }

    #[test]
    fn a_stream_without_layouts_is_left_in_peace_for_a_while() {
        let (mut layouts, lookup, mut slots, columns) = (Layouts::default(), lookup(), vec![ABSENT; 3], &mut columns());
        let record = |spaces: usize| format!("{{{}\"at\":1}}", " ".repeat(spaces));
        for spaces in 0..200 {
            assert!(layouts.find(record(spaces).as_bytes(), &mut slots, columns).is_none());
            layouts.learn(&record(spaces), &lookup, TIME);
        }
        assert!(layouts.pause > 0 && layouts.known.len() == MOST_LAYOUTS);
        while layouts.pause > 0 {
            assert!(layouts.find(record(7).as_bytes(), &mut slots, columns).is_none());
        }
        layouts.learn(&record(7), &lookup, TIME);
        assert!(layouts.find(record(7).as_bytes(), &mut slots, columns).is_some());
    }
}
