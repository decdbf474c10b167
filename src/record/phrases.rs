//! What records say again and again: values that stand side by side, known by heart.
//!
//! Values of a record depend on each other. What an event says of its visitor (country, browser, device ...) it says again with each event of
//! that visitor, and a page has one address. Such a *phrase*, from the first byte of one value to the last byte of another, is looked up as a
//! whole. The columns of its values *share* rows then: each holds a value for every phrase, and a row of the lane is the number of
//! what it says, one for all of them. A record whose phrase is known adds that number, and its values are not even taken apart.
//!
//! # Invariants
//! * What is known of a phrase is what taking it apart again would find: it is compared byte by byte, begins where a value begins, and comes
//!   from a sound record of the same [layout](super::layout), in which every value ends where it ends here, and every value fitted its column.
//! * Columns that share rows are as long as each other; what they hold is named by rows, or by nobody.

use super::column::{Bytes, Column, Table};
use super::layout::Span;

/// The most memory that the phrases of one set of columns take, in bytes, about: whoever says something new all the time makes them forget.
const MOST_BYTES: usize = 2 << 20;
/// The most that they take for each row, those included that are about to be added. A row itself takes two or three times as much: a lane with
/// few rows has few phrases.
const BYTES_A_ROW: usize = 64;
/// After how many rows it is first looked whether sharing pays; then each time that they have doubled.
const FIRST_LOOK: usize = 16_384;

/// Names the values of a layout that phrases hold: no other values, of whatever layout, have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RunId(pub(super) u32);

/// A phrase of a record that was not known, and where it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missed {
    pub(super) run: RunId,
    pub(super) phrase: Span,
}

/// Columns that share rows.
#[derive(Debug)]
pub(super) struct Shared {
    /// Which columns, in ascending order.
    columns: Vec<usize>,
    /// For each row what it says: a place in these columns.
    rows: Vec<u32>,
    /// The first row of the records that are being added, and which of these say what is not known, by their numbers.
    first: usize,
    fresh: Vec<usize>,
    /// The number of rows at which to look whether this pays.
    look_at: usize,
    /// How many rows there were at the last look, and how many the columns held.
    looked: (usize, usize),
    /// Whether it did not pay: until the rows are taken out, the columns have each row by themselves.
    is_over: bool,
}

impl Shared {
    /// Makes columns share their rows, each of `rows` by itself.
    fn new(columns: Vec<usize>, rows: usize) -> Self {
        let (looked, look_at) = ((rows, rows), rows + FIRST_LOOK);
        Self {
            columns,
            rows: (0..number(rows)).collect(),
            first: rows,
            fresh: Vec::new(),
            look_at,
            looked,
            is_over: false,
        }
    }

    /// Returns the columns, in ascending order.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Returns the column that stands for all: in the place of its value, a record has the number of what it says.
    pub(super) fn lead(&self) -> usize {
        self.columns.first().copied().unwrap_or(usize::MAX)
    }

    /// Adds rows of records: of each what it says, or that this is not known. Then it comes behind the `held` that the columns hold.
    pub(super) fn add_rows(&mut self, said: impl Iterator<Item = Option<u32>>, held: usize) {
        self.first = self.rows.len();
        self.fresh.clear();
        for (record, said) in said.enumerate() {
            self.rows.push(said.unwrap_or_else(|| number(held + self.fresh.len())));
            if said.is_none() {
                self.fresh.push(record);
            }
        }
    }

    /// Returns for each row what it says.
    pub(super) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Returns the records whose values the columns do not hold yet.
    pub(super) fn fresh(&self) -> &[usize] {
        &self.fresh
    }

    /// Gives each row to its columns by itself; `fields` are all columns.
    pub(super) fn spread(&self, fields: &mut [Column]) {
        for column in &self.columns {
            if let Some(column) = fields.get_mut(*column) {
                column.gather(&self.rows);
            }
        }
    }

    /// Whether it is time to look, and most rows since the last look said something new; `held` is what the columns hold.
    fn should_end(&mut self, held: usize) -> bool {
        if self.rows.len() < self.look_at {
            return false;
        }
        let (rows, before) = std::mem::replace(&mut self.looked, (self.rows.len(), held));
        self.look_at = self.rows.len() * 2;
        held.saturating_sub(before) * 2 > self.rows.len().saturating_sub(rows)
    }
}

/// The phrases of one run.
#[derive(Debug)]
struct Known {
    run: RunId,
    /// Which columns share their rows for it, and the one that stands for them.
    shared: usize,
    lead: usize,
    /// From a phrase to its place in these columns.
    table: Table,
}

/// Phrases, and what is known of them.
#[derive(Debug)]
pub(super) struct Phrases {
    shared: Vec<Shared>,
    known: Vec<Known>,
    texts: Bytes,
}

impl Phrases {
    pub(super) fn new() -> Self {
        Self { shared: Vec::new(), known: Vec::new(), texts: Bytes::new() }
    }

    /// Returns the number of a phrase, and the column in whose place a record has it, if the phrase is known.
    #[inline]
    pub(super) fn find(&self, run: RunId, phrase: &[u8]) -> Option<(usize, u32)> {
        let known = self.known.iter().find(|known| known.run == run)?;
        Some((known.lead, known.table.find(known.table.hash(phrase), phrase, &self.texts)?))
    }

    /// Whether phrases of a run can be [learned](Self::learn).
    pub(super) fn knows(&self, run: RunId) -> bool {
        self.known.iter().any(|known| known.run == run)
    }

    /// Makes columns share their `rows` for the phrases of a run; `false` if some of them do so with others.
    pub(super) fn share(&mut self, run: RunId, columns: impl Iterator<Item = usize> + Clone, rows: usize) -> bool {
        let is_of = |shared: &Shared| columns.clone().any(|column| shared.columns.binary_search(&column).is_ok());
        let shared = match self.shared.iter().position(is_of) {
            Some(place) => {
                let mut columns = columns.collect::<Vec<_>>();
                columns.sort_unstable();
                if self.shared.get(place).is_none_or(|shared| shared.is_over || shared.columns != columns) {
                    return false;
                }
                place
            }
            None => {
                let mut columns = columns.collect::<Vec<_>>();
                columns.sort_unstable();
                self.shared.push(Shared::new(columns, rows));
                self.shared.len() - 1
            }
        };
        let lead = self.shared.get(shared).map_or(usize::MAX, Shared::lead);
        self.known.push(Known { run, shared, lead, table: Table::new() });
        true
    }

    /// Notes the phrase of a record among those that are being added, of which a set of columns has `rows` with them.
    pub(super) fn learn(&mut self, run: RunId, phrase: &[u8], record: usize, rows: usize) {
        let has_room = self.used() < MOST_BYTES.min(rows * BYTES_A_ROW);
        let Some(known) = self.known.iter_mut().find(|known| known.run == run && has_room) else { return };
        let said = self.shared.get(known.shared).and_then(|shared| shared.rows.get(shared.first + record));
        let hash = known.table.hash(phrase);
        if let Some(said) = said
            && known.table.find(hash, phrase, &self.texts).is_none()
        {
            // (Without room for it, it is not known.)
            known.table.add(hash, phrase, *said, &mut self.texts);
        }
    }

    /// Returns the columns that share rows with those of this run.
    pub(super) fn columns_of(&self, run: RunId) -> &[usize] {
        let known = self.known.iter().find(|known| known.run == run);
        known.and_then(|known| self.shared.get(known.shared)).map_or(&[], Shared::columns)
    }

    /// Returns the sets of columns that share rows.
    pub(super) fn shared(&self) -> impl Iterator<Item = &Shared> {
        self.shared.iter().filter(|shared| !shared.is_over)
    }

    /// Returns them to add rows.
    pub(super) fn shared_mut(&mut self) -> impl Iterator<Item = &mut Shared> {
        self.shared.iter_mut().filter(|shared| !shared.is_over)
    }

    /// Returns the set that a column belongs to.
    #[inline]
    pub(super) fn of(&self, column: usize) -> Option<&Shared> {
        self.shared().find(|shared| shared.columns.binary_search(&column).is_ok())
    }

    /// Ends sharing where it does not pay, and forgets all phrases if they take all the memory that they may; `fields` are all columns.
    pub(super) fn settle(&mut self, fields: &mut [Column]) {
        for (place, shared) in self.shared.iter_mut().enumerate().filter(|(_, shared)| !shared.is_over) {
            let held = fields.get(shared.lead()).map_or(0, Column::len);
            if shared.should_end(held) {
                shared.spread(fields);
                (shared.is_over, shared.rows, shared.fresh) = (true, Vec::new(), Vec::new());
                self.known.retain(|known| known.shared != place);
            }
        }
        if self.used() >= MOST_BYTES {
            (self.known, self.texts) = (Vec::new(), Bytes::new());
        }
    }

    /// Forgets all rows from `rows` on, but no phrase.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.shared_mut().for_each(|shared| shared.rows.truncate(rows));
    }

    /// Returns how many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    fn used(&self) -> usize {
        self.texts.all().len()
    }

    /// Returns the memory that they hold, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let tables: usize = self.known.iter().map(|known| known.table.bytes()).sum();
        let rows: usize = self.shared.iter().map(|shared| shared.rows.capacity() * size_of::<u32>()).sum();
        tables + rows + self.texts.bytes()
    }
}

fn number(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::column::MOST_AT_ONCE;
    use crate::schema::Type;

    #[test]
    fn a_phrase_is_that_of_its_run() {
        let (mut phrases, run, other) = (Phrases::new(), RunId(1), RunId(2));
        let text = br#""a", "b": 12"#.as_slice();
        assert!(phrases.find(run, text).is_none() && !phrases.knows(run));
        assert!(phrases.share(run, [5, 3].into_iter(), 10) && phrases.share(other, [4].into_iter(), 10));
        phrases.shared_mut().for_each(|shared| shared.add_rows([Some(7), None, None].into_iter(), 10));
        phrases.learn(run, text, 1, 13);
        phrases.learn(other, text, 2, 13);
        assert_eq!((phrases.find(run, text), phrases.find(other, text)), (Some((3, 10)), Some((4, 11))));
        assert!(phrases.find(run, br#""a", "b": 13"#).is_none());
        let shared = phrases.of(5).unwrap();
        assert_eq!(
            (shared.columns(), shared.fresh(), &shared.rows()[9..]),
            (&[3, 5][..], &[1, 2][..], &[9, 7, 10, 11][..])
        );
        // What is known already stays.
        phrases.learn(run, text, 2, 13);
        assert_eq!((phrases.find(run, text), phrases.len()), (Some((3, 10)), 2));
    }

    #[test]
    fn a_column_shares_its_rows_with_the_same_columns_only() {
        let mut phrases = Phrases::new();
        assert!(phrases.share(RunId(1), [1, 2].into_iter(), 0));
        assert!(phrases.share(RunId(2), [2, 1].into_iter(), 0));
        assert!(!phrases.share(RunId(3), [2, 3].into_iter(), 0) && !phrases.share(RunId(3), [1].into_iter(), 0));
        assert!(phrases.share(RunId(3), [0, 3].into_iter(), 0));
        assert_eq!(phrases.shared().count(), 2);
        assert_eq!((phrases.columns_of(RunId(2)), phrases.columns_of(RunId(4))), (&[1, 2][..], &[][..]));
    }

    #[test]
    fn sharing_ends_where_most_rows_say_something_new() {
        for (new_in_ten, ends) in [(4, false), (6, true)] {
            let (mut phrases, mut fields) = (Phrases::new(), [Column::new(&Type::Boolean)]);
            assert!(phrases.share(RunId(1), [0].into_iter(), 0));
            for row in 0..FIRST_LOOK {
                assert!(phrases.of(0).is_some());
                let (is_new, held) = (row % 10 < new_in_ten, fields[0].len());
                phrases.shared_mut().for_each(|shared| shared.add_rows([(!is_new).then_some(0)].into_iter(), held));
                if is_new {
                    fields[0].push_null();
                }
                phrases.settle(&mut fields);
            }
            assert_eq!((phrases.of(0).is_none(), phrases.knows(RunId(1))), (ends, !ends));
            assert_eq!(fields[0].len() == FIRST_LOOK, ends);
            // Not again before the rows are taken out.
            assert_eq!(phrases.share(RunId(2), [0].into_iter(), 0), !ends);
        }
    }

    #[test]
    fn phrases_take_less_than_the_rows() {
        let (mut phrases, run) = (Phrases::new(), RunId(1));
        assert!(phrases.share(run, [0].into_iter(), 0));
        let text = |number: usize| format!("\"{number:0100}\"").into_bytes();
        let mut add = |phrases: &mut Phrases, number: usize, rows: usize| {
            phrases.shared_mut().for_each(|shared| shared.add_rows([None].into_iter(), number));
            phrases.learn(run, &text(number), 0, rows);
            phrases.find(run, &text(number)).is_some()
        };
        // Each takes 102 bytes.
        assert_eq!((0..100).filter(|number| add(&mut phrases, *number, MOST_AT_ONCE)).count(), 41);
        assert_eq!((100..200).filter(|number| add(&mut phrases, *number, MOST_AT_ONCE + 10)).count(), 6);
        assert!((200..100_000).any(|number| !add(&mut phrases, number, usize::MAX >> 8)));
        assert!((MOST_BYTES..3 * MOST_BYTES).contains(&phrases.bytes()), "{}", phrases.bytes());
        phrases.settle(&mut []);
        assert!(phrases.len() == 0 && phrases.find(run, &text(0)).is_none() && phrases.of(0).is_some());
    }
}
