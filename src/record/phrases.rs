//! What records say again and again: values that stand side by side, known by heart.
//!
//! Values of a record depend on each other. What an event says of its visitor (country, browser, device ...) it says again with each event of
//! that visitor, and a page has one address. Such a *phrase*, from the first byte of one value to the last byte of another, is looked up as a
//! whole. The columns of its values [share rows](super::shared): a record whose phrase is known adds one number, and its values are not
//! even taken apart.
//!
//! # Invariants
//! * What is known of a phrase is what taking it apart again would find: it is compared byte by byte, begins where a value begins, and comes
//!   from a sound record of the same [layout](super::layout), in which every value ends where it ends here, and every value fitted its column.
//! * A phrase says all that its record says in the columns that share rows for it.

use super::column::{Bytes, Column, Table};
use super::layout::Span;
use super::shared::{Shared, SharedRows};

/// The most bytes of phrases for each row, those included that are about to be added. A row itself takes more: a lane with few rows has few
/// phrases.
const BYTES_A_ROW: usize = 64;

/// When phrases are forgotten, and sharing is given up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The most bytes of phrases: whoever says something new all the time makes them forget, when little is left.
    pub(super) bytes: usize,
    /// After how many rows it is first looked whether sharing pays; then each time that they have doubled.
    pub(super) first_look: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 2 << 20, first_look: 16_384 }
    }
}

/// Names the values of a layout that phrases hold: no other values, of whatever layout, have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RunId(pub(super) u32);

/// A phrase of a record that was not known, and where it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missed {
    pub(super) run: RunId,
    pub(super) phrase: Span,
}

/// The phrases of one run.
#[derive(Debug)]
pub(super) struct Known {
    run: RunId,
    /// Which columns share their rows for it: their place among all sets.
    set: usize,
    /// The column that stands for these.
    lead: usize,
    /// From a phrase to its place in these columns.
    table: Table,
}

/// Columns that share rows, or did.
#[derive(Debug)]
enum Set {
    Living(Shared),
    /// It did not pay: until the rows are taken out, these columns have each row by themselves.
    Over(Vec<usize>),
}

/// Phrases, and what is known of them.
#[derive(Debug)]
pub(super) struct Phrases {
    pub(super) limits: Limits,
    sets: Vec<Set>,
    known: Vec<Known>,
    texts: Bytes,
    /// Runs whose columns share rows with others, or would have to: their phrases are not remembered.
    refused: Vec<RunId>,
    /// Columns that are to share rows: a set, and more.
    wider: Option<(usize, Vec<usize>)>,
}

impl Phrases {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, sets: Vec::new(), known: Vec::new(), texts: Bytes::new(), refused: Vec::new(), wider: None }
    }

    /// Returns what is known of the phrases of a run, if they are remembered.
    #[inline]
    pub(super) fn of_run(&self, run: RunId) -> Option<&Known> {
        self.known.iter().find(|known| known.run == run)
    }

    /// Returns the number of a phrase, and the column in whose place a record has it, if the phrase is known.
    #[inline]
    pub(super) fn find(&self, known: &Known, phrase: &[u8]) -> Option<(usize, u32)> {
        Some((known.lead, known.table.find(known.table.hash(phrase), phrase, &self.texts)?))
    }

    /// Whether the phrases of a run are not remembered until the rows are taken out.
    pub(super) fn refuses(&self, run: RunId) -> bool {
        self.refused.contains(&run)
    }

    /// Makes columns share their `rows` for the phrases of a run; `false` if that cannot be, or not yet. `is_beside` tells which other columns
    /// have a value in the records of this run.
    ///
    /// The columns may be fewer than a set that share rows, if the others have no value here. If they are more, they share rows after the next
    /// [`Phrases::settle`].
    pub(super) fn share(
        &mut self,
        run: RunId,
        columns: impl Iterator<Item = usize> + Clone,
        is_beside: impl Fn(usize) -> bool,
        rows: usize,
    ) -> bool {
        let is_common = |set: &Set| columns.clone().any(|column| set.has(column));
        let mut common = self.sets.iter().enumerate().filter(|(_, set)| is_common(set));
        let set = match (common.next(), common.next()) {
            (None, _) => {
                let columns = in_order(columns);
                self.sets.push(Set::Living(Shared::new(columns, rows, self.limits.first_look)));
                self.sets.len() - 1
            }
            (Some((place, Set::Living(shared))), None) => {
                if columns.clone().all(|column| shared.has(column)) {
                    if shared.columns().iter().any(|column| is_beside(*column)) {
                        self.refused.push(run);
                        return false;
                    }
                    place
                } else {
                    match shared.columns().iter().all(|of| columns.clone().any(|column| column == *of)) {
                        true => self.wider = Some((place, in_order(columns))),
                        false => self.refused.push(run),
                    }
                    return false;
                }
            }
            _ => {
                self.refused.push(run);
                return false;
            }
        };
        let lead = self.sets.get(set).and_then(Set::living).map_or(usize::MAX, Shared::lead);
        self.known.push(Known { run, set, lead, table: Table::new() });
        true
    }

    /// Notes the phrase of a record among those that are being added, of which a set of columns has `rows` with them.
    pub(super) fn learn(&mut self, run: RunId, phrase: &[u8], record: usize, rows: usize) {
        if self.used() + phrase.len() > self.limits.bytes.min(rows * BYTES_A_ROW) {
            return;
        }
        let Some(known) = self.known.iter_mut().find(|known| known.run == run) else { return };
        let hash = known.table.hash(phrase);
        if known.table.find(hash, phrase, &self.texts).is_none()
            && let Some(Set::Living(shared)) = self.sets.get_mut(known.set)
            && let Some(said) = shared.learn(record)
        {
            // (Without room for it, it is not known.)
            known.table.add(hash, phrase, said, &mut self.texts);
        }
    }

    /// Returns the columns that share rows with those of this run.
    pub(super) fn columns_of(&self, run: RunId) -> &[usize] {
        let set = self.of_run(run).and_then(|known| self.sets.get(known.set)?.living());
        set.map_or(&[], Shared::columns)
    }

    /// Returns the sets of columns that share rows.
    pub(super) fn shared(&self) -> impl Iterator<Item = &Shared> {
        self.sets.iter().filter_map(Set::living)
    }

    /// Returns them to add rows.
    pub(super) fn shared_mut(&mut self) -> impl Iterator<Item = &mut Shared> {
        self.sets.iter_mut().filter_map(|set| if let Set::Living(shared) = set { Some(shared) } else { None })
    }

    /// Returns the set that a column belongs to.
    #[inline]
    pub(super) fn of(&self, column: usize) -> Option<&Shared> {
        self.shared().find(|shared| shared.has(column))
    }

    /// Returns the rows of each set.
    pub(super) fn into_rows(self) -> Vec<SharedRows> {
        let living = |set| if let Set::Living(shared) = set { Some(shared.into_rows()) } else { None };
        self.sets.into_iter().filter_map(living).collect()
    }

    /// Ends sharing where it does not pay, begins it where more columns are to share rows, and forgets all phrases if they take all the memory
    /// that they may. To be called when no record waits for its row; `fields` are all columns.
    pub(super) fn settle(&mut self, fields: &mut [Column]) {
        let can_share = |column: &usize| fields.get(*column).is_some_and(|column| column.row_bytes().is_some());
        let is_free = |of: usize, column: &usize| {
            let mut others = self.sets.iter().enumerate().filter(|(place, _)| *place != of);
            others.all(|(_, set)| !set.has(*column))
        };
        // Meanwhile another run may have begun to share some of the columns.
        let wider = self
            .wider
            .take()
            .filter(|(of, columns)| columns.iter().all(|column| can_share(column) && is_free(*of, column)));
        for (place, set) in self.sets.iter_mut().enumerate() {
            let Set::Living(shared) = set else { continue };
            let held = fields.get(shared.lead()).map_or(0, Column::len);
            let more = wider.as_ref().filter(|(of, _)| *of == place);
            if more.is_none() && !shared.should_end(held) {
                continue;
            }
            shared.spread(fields);
            *set = match more {
                Some((_, columns)) => {
                    Set::Living(Shared::new(columns.clone(), shared.rows().len(), self.limits.first_look))
                }
                None => Set::Over(shared.columns().to_vec()),
            };
            self.known.retain(|known| known.set != place);
        }
        if self.texts.len() > 0 && (self.known.is_empty() || self.used() * 8 > self.limits.bytes * 7) {
            (self.known, self.texts) = (Vec::new(), Bytes::new());
        }
    }

    /// Forgets all rows from `rows` on, but no phrase; `fields` are all columns.
    pub(super) fn truncate(&mut self, rows: usize, fields: &mut [Column]) {
        self.shared_mut().for_each(|shared| shared.truncate(rows, fields));
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
        tables + self.shared().map(Shared::bytes).sum::<usize>() + self.texts.bytes()
    }
}

impl Set {
    const fn living(&self) -> Option<&Shared> {
        if let Self::Living(shared) = self { Some(shared) } else { None }
    }

    fn has(&self, column: usize) -> bool {
        match self {
            Self::Living(shared) => shared.has(column),
            Self::Over(columns) => columns.contains(&column),
        }
    }
}

fn in_order(columns: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut columns: Vec<usize> = columns.collect();
    columns.sort_unstable();
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Type;

    fn none(_: usize) -> bool {
        false
    }

    fn phrases() -> Phrases {
        Phrases::new(Limits::default())
    }

    fn find(phrases: &Phrases, run: RunId, phrase: &[u8]) -> Option<(usize, u32)> {
        phrases.find(phrases.of_run(run)?, phrase)
    }

    /// Columns with as many rows.
    fn bits(columns: usize, rows: usize) -> Vec<Column> {
        let mut fields: Vec<Column> = (0..columns).map(|_| Column::new(&Type::Boolean)).collect();
        fields.iter_mut().for_each(|column| (0..rows).for_each(|_| column.push_null()));
        fields
    }

    #[test]
    fn a_phrase_is_that_of_its_run() {
        let (mut phrases, run, other) = (phrases(), RunId(1), RunId(2));
        let text = br#""a", "b": 12"#.as_slice();
        assert!(find(&phrases, run, text).is_none());
        assert!(phrases.share(run, [5, 3].into_iter(), none, 10) && phrases.share(other, [4].into_iter(), none, 10));
        phrases.shared_mut().for_each(|shared| shared.add_rows([Some(7), None, None].into_iter(), 10));
        phrases.learn(run, text, 1, 13);
        phrases.learn(other, text, 2, 13);
        assert_eq!((find(&phrases, run, text), find(&phrases, other, text)), (Some((3, 10)), Some((4, 11))));
        assert!(find(&phrases, run, br#""a", "b": 13"#).is_none());
        let shared = phrases.of(5).unwrap();
        assert_eq!(
            (shared.columns(), shared.fresh(), &shared.rows()[9..]),
            (&[3, 5][..], &[1, 2][..], &[9, 7, 10, 11][..])
        );
        // What is known already stays.
        phrases.learn(run, text, 2, 13);
        assert_eq!((find(&phrases, run, text), phrases.len()), (Some((3, 10)), 2));
    }

    #[test]
    fn fewer_columns_share_rows_with_others_if_these_have_no_value() {
        let mut phrases = phrases();
        assert!(phrases.share(RunId(1), [1, 2, 3].into_iter(), none, 0));
        assert!(phrases.share(RunId(2), [3, 1].into_iter(), none, 0));
        assert!(!phrases.share(RunId(3), [3, 1].into_iter(), |column| column == 2, 0) && phrases.refuses(RunId(3)));
        assert!(!phrases.share(RunId(4), [3, 4].into_iter(), none, 0) && phrases.refuses(RunId(4)));
        assert!(phrases.share(RunId(5), [0, 4].into_iter(), none, 0) && phrases.shared().count() == 2);
        assert!(!phrases.share(RunId(6), [0, 1, 2, 3, 4].into_iter(), none, 0) && phrases.refuses(RunId(6)));
        assert_eq!((phrases.columns_of(RunId(2)), phrases.columns_of(RunId(4))), (&[1, 2, 3][..], &[][..]));
        assert_eq!(phrases.into_rows().len(), 2);
    }

    #[test]
    fn more_columns_share_rows_once_no_record_waits() {
        let (mut phrases, mut fields, text) = (phrases(), bits(3, 0), b"\"a\"".as_slice());
        assert!(phrases.share(RunId(1), [2].into_iter(), none, 0));
        phrases.shared_mut().for_each(|shared| shared.add_rows([None].into_iter(), 0));
        fields[2].push_null();
        phrases.learn(RunId(1), text, 0, 1);
        phrases.shared_mut().for_each(|shared| shared.add_rows([Some(0)].into_iter(), 1));
        fields[..2].iter_mut().for_each(|column| (0..2).for_each(|_| column.push_null()));
        assert!(!phrases.share(RunId(2), [1, 2].into_iter(), none, 2) && !phrases.refuses(RunId(2)));
        assert!(find(&phrases, RunId(1), text).is_some());
        phrases.settle(&mut fields);
        assert!(find(&phrases, RunId(1), text).is_none() && fields.iter().all(|column| column.len() == 2));
        let shared = phrases.of(2).unwrap();
        assert_eq!((shared.columns(), shared.rows()), (&[1, 2][..], &[0, 1][..]));
        assert!(
            phrases.share(RunId(2), [1, 2].into_iter(), none, 2) && phrases.share(RunId(1), [2].into_iter(), none, 2)
        );
        let sets = |phrases: &Phrases| phrases.shared().map(|shared| shared.columns().to_vec()).collect::<Vec<_>>();
        // Not if one of them cannot share its rows any more.
        let own = std::mem::replace(&mut fields[0], Column::new(&Type::Binary));
        assert!(!phrases.share(RunId(3), [0, 1, 2].into_iter(), none, 2));
        phrases.settle(&mut fields);
        assert_eq!(sets(&phrases), [[1, 2]]);
        // Nor if another run has it meanwhile.
        fields[0] = own;
        assert!(!phrases.share(RunId(3), [0, 1, 2].into_iter(), none, 2));
        assert!(phrases.share(RunId(4), [0].into_iter(), none, 2));
        phrases.settle(&mut fields);
        assert_eq!(sets(&phrases), [vec![1, 2], vec![0]]);
    }

    #[test]
    fn sharing_ends_where_most_rows_say_something_new() {
        for (new_in_ten, ends) in [(4, false), (6, true)] {
            let (mut phrases, mut fields) = (phrases(), bits(1, 0));
            assert!(phrases.share(RunId(1), [0].into_iter(), none, 0));
            for row in 0..phrases.limits.first_look {
                assert!(phrases.of(0).is_some());
                let (is_new, held) = (row % 10 < new_in_ten, fields[0].len());
                phrases.shared_mut().for_each(|shared| shared.add_rows([(!is_new).then_some(0)].into_iter(), held));
                if is_new {
                    fields[0].push_null();
                }
                phrases.settle(&mut fields);
            }
            assert_eq!((phrases.of(0).is_none(), phrases.of_run(RunId(1)).is_none()), (ends, ends));
            assert_eq!(fields[0].len() == phrases.limits.first_look, ends);
            // Not again before the rows are taken out.
            assert_eq!(phrases.share(RunId(2), [0].into_iter(), none, 0), !ends);
        }
    }

    #[test]
    fn what_only_forgotten_rows_said_is_forgotten() {
        let (mut phrases, mut fields, run) = (phrases(), bits(1, 4), RunId(1));
        assert!(phrases.share(run, [0].into_iter(), none, 4));
        for (is_learned, held) in [(false, 4), (true, 6)] {
            phrases.shared_mut().for_each(|shared| shared.add_rows([None, None].into_iter(), 4));
            (0..2).for_each(|_| fields[0].push_null());
            if is_learned {
                phrases.learn(run, b"\"a\"", 1, 6);
            }
            // One of them is there still.
            phrases.truncate(5, &mut fields);
            assert_eq!(fields[0].len(), 6);
            phrases.truncate(4, &mut fields);
            assert_eq!((fields[0].len(), phrases.of(0).unwrap().rows().len()), (held, 4));
        }
    }

    #[test]
    fn phrases_take_less_than_the_rows() {
        let (mut phrases, run) = (Phrases::new(Limits { first_look: 1 << 20, ..Limits::default() }), RunId(1));
        assert!(phrases.share(run, [0].into_iter(), none, 0));
        let text = |number: usize| format!("\"{number:0100}\"").into_bytes();
        let add = |phrases: &mut Phrases, number: usize, rows: usize| {
            phrases.shared_mut().for_each(|shared| shared.add_rows([None].into_iter(), number));
            phrases.learn(run, &text(number), 0, rows);
            find(phrases, run, &text(number)).is_some()
        };
        // Each takes 102 bytes.
        assert_eq!((0..100).filter(|number| add(&mut phrases, *number, 64)).count(), 40);
        assert_eq!((100..200).filter(|number| add(&mut phrases, *number, 74)).count(), 6);
        assert!((200..100_000).any(|number| !add(&mut phrases, number, usize::MAX >> 8)));
        let most = phrases.limits.bytes;
        assert!((most * 9 / 10..3 * most).contains(&phrases.bytes()), "{}", phrases.bytes());
        phrases.settle(&mut bits(1, 100_000));
        assert!(phrases.len() == 0 && find(&phrases, run, &text(0)).is_none() && phrases.of(0).is_some());
    }
}
