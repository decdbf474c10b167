//! What records say again and again: values that stand side by side, known by heart.
//!
//! Values of a record depend on each other. What an event says of its visitor (country, browser, device ...) it says again with each event of
//! that visitor, and a page has one address. Such a *phrase*, from the first byte of one value to the last byte of another, is looked up as a
//! whole: if these very bytes were taken apart before, it is known where its values are, and what keys they have in the dictionaries of their
//! columns.
//!
//! # Invariants
//! * What is known of a phrase is what taking it apart again would find: it is compared byte by byte, begins where a value begins, and comes
//!   from a sound record of the same [layout](super::layout), in which every value ends where it ends here.
//! * Its keys are those of the columns' dictionaries: both are forgotten together.

use super::column::{Bytes, MOST_AT_ONCE, Table};
use super::layout::Span;

/// The most memory that the phrases of one set of columns take, in bytes, about: whoever says something new all the time makes them forget.
const MOST_BYTES: usize = 2 << 20;
/// The most that they take for each row, those included that are about to be added. A row itself takes two or three times as much: a lane with
/// few rows has few phrases.
const BYTES_A_ROW: usize = 64;

/// What a value's key is while nobody has looked it up: no dictionary has as many.
pub(super) const UNKNOWN: u32 = u32::MAX;
/// What stands in place of the key of a null.
pub(super) const NULL: u32 = u32::MAX - 1;

/// Names the values of a layout that phrases hold: no other values, of whatever layout, have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RunId(pub(super) u32);

/// A value of a phrase.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    /// Where it lies in the phrase.
    start: u16,
    end: u16,
    /// Its key in the dictionary of its column, if its column has one.
    key: u32,
}

impl Member {
    /// Returns where the value lies in a record whose phrase begins at `start`; `number` is its own.
    #[inline]
    pub(super) fn span(self, start: u32, number: u32) -> Span {
        Span { start: start + u32::from(self.start), end: start + u32::from(self.end), member: number }
    }
}

/// Phrases, and what is known of them.
#[derive(Debug)]
pub(super) struct Phrases {
    /// For each run of values: from a phrase to the number of its first member, after which its others follow.
    tables: Vec<(RunId, Table)>,
    texts: Bytes,
    members: Vec<Member>,
}

impl Phrases {
    pub(super) fn new() -> Self {
        Self { tables: Vec::new(), texts: Bytes::new(), members: Vec::new() }
    }

    /// Returns the `values` of a phrase, and the number of the first of them, if the phrase is known.
    #[inline]
    pub(super) fn find(&self, run: RunId, phrase: &[u8], values: usize) -> Option<(u32, &[Member])> {
        let (_, table) = self.tables.iter().find(|(id, _)| *id == run)?;
        let first = table.find(table.hash(phrase), phrase, &self.texts)?;
        let start = index(first);
        Some((first, self.members.get(start..start + values)?))
    }

    /// Notes a phrase that is not known, which begins at `start`, and where its values are; returns the number of the first. `None` if it is too
    /// long, or if there is no room, of which more `rows` have more.
    pub(super) fn add(
        &mut self,
        (run, phrase): (RunId, &[u8]),
        start: u32,
        values: impl Iterator<Item = Span>,
        rows: usize,
    ) -> Option<u32> {
        // Every place in it is a number of 16 bits then.
        let fits =
            u16::try_from(phrase.len()).is_ok() && self.used() < MOST_BYTES.min((rows + MOST_AT_ONCE) * BYTES_A_ROW);
        let first = u32::try_from(self.members.len()).ok().filter(|_| fits)?;
        let place = self.tables.iter().position(|(id, _)| *id == run).unwrap_or_else(|| {
            self.tables.push((run, Table::new()));
            self.tables.len() - 1
        });
        let (_, table) = self.tables.get_mut(place)?;
        if !table.add(table.hash(phrase), phrase, first, &mut self.texts) {
            return None;
        }
        let within = |at: u32| u16::try_from(at.saturating_sub(start)).unwrap_or(u16::MAX);
        self.members.extend(values.map(|span| Member {
            start: within(span.start),
            end: within(span.end),
            key: UNKNOWN,
        }));
        Some(first)
    }

    /// Returns the key of a value that is a phrase's: [`UNKNOWN`] if it is none, or if nobody has noted its key.
    #[inline]
    pub(super) fn key(&self, span: Span) -> u32 {
        self.members.get(index(span.member)).map_or(UNKNOWN, |member| member.key)
    }

    /// Notes the key of a value, if it is a phrase's.
    pub(super) fn note(&mut self, span: Span, key: u32) {
        if let Some(member) = self.members.get_mut(index(span.member)) {
            member.key = key;
        }
    }

    /// Whether they take all the memory that they may.
    pub(super) fn is_full(&self) -> bool {
        self.used() >= MOST_BYTES
    }

    /// Returns how many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    fn used(&self) -> usize {
        self.texts.all().len() + self.members.len() * size_of::<Member>()
    }

    /// Returns the memory that they hold, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let tables: usize = self.tables.iter().map(|(_, table)| table.bytes()).sum();
        tables + self.texts.bytes() + self.members.capacity() * size_of::<Member>()
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(spans: &[(u32, u32)]) -> impl Iterator<Item = Span> {
        spans.iter().map(|(start, end)| Span { start: *start, end: *end, member: u32::MAX })
    }

    #[test]
    fn a_phrase_is_that_of_its_run() {
        let (mut phrases, run, other) = (Phrases::new(), RunId(1), RunId(2));
        let text = br#""a", "b": 12"#.as_slice();
        assert!(phrases.find(run, text, 2).is_none());
        assert_eq!(phrases.add((run, text), 10, values(&[(10, 13), (20, 22)]), 100), Some(0));
        assert_eq!(phrases.add((other, text), 5, values(&[(5, 17)]), 100), Some(2));
        let (first, members) = phrases.find(run, text, 2).unwrap();
        let spans: Vec<Span> = members.iter().zip(first..).map(|(member, number)| member.span(110, number)).collect();
        let shown: Vec<_> = spans.iter().map(|span| (span.start, span.end, span.member)).collect();
        assert_eq!(shown, [(110, 113, 0), (120, 122, 1)]);
        assert_eq!(phrases.find(other, text, 1).map(|(first, members)| (first, members.len())), Some((2, 1)));
        assert!(phrases.find(run, br#""a", "b": 13"#, 2).is_none());

        phrases.note(spans[1], 7);
        assert_eq!(spans.iter().map(|span| phrases.key(*span)).collect::<Vec<_>>(), [UNKNOWN, 7]);
        // What is no phrase's has no key, whoever notes one.
        let none = Span { member: u32::MAX, ..spans[0] };
        phrases.note(none, 8);
        assert_eq!(phrases.key(none), UNKNOWN);
    }

    #[test]
    fn phrases_take_less_than_the_rows() {
        let mut phrases = Phrases::new();
        let text = |number: usize| format!("\"{number:0100}\"").into_bytes();
        let mut add = |number: usize, rows| phrases.add((RunId(1), &text(number)), 0, values(&[(0, 102)]), rows);
        // A phrase takes 102 bytes, and 8 for its value.
        assert_eq!((0..100).filter(|number| add(*number, 0).is_some()).count(), 38);
        assert_eq!((100..200).filter(|number| add(*number, 10).is_some()).count(), 6);
        let most = (200..100_000).filter(|number| add(*number, usize::MAX >> 8).is_some()).count();
        assert!(phrases.is_full() && phrases.find(RunId(1), &text(200 + most), 1).is_none());
        assert!(phrases.add((RunId(1), &[b'x'; 70_000]), 0, values(&[(0, 70_000)]), 100_000).is_none());
        assert!((MOST_BYTES..3 * MOST_BYTES).contains(&phrases.bytes()), "{}", phrases.bytes());
    }
}
