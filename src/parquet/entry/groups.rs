//! Which rows of an entry share a row group.
//!
//! Row groups run across buckets, so that an entry of ten thousand buckets has few; a piece of one bucket that is big enough stands
//! alone, since a published file can then copy it. It is big by its rows or by its bytes: rows may be few and long.

use std::collections::BTreeSet;
use std::ops::Range;

use super::EntryOptions;
use crate::engine::state::{LaneState, Scope};
use crate::parquet::index::Segment;

/// The rows of a row group, by their places in the order of the entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GroupRows {
    pub(super) rows: Range<usize>,
    /// They are of one bucket.
    pub(super) is_piece: bool,
}

/// How rows are grouped.
pub(super) struct Grouping {
    /// The most rows of a row group that buckets share.
    shared: usize,
    /// The most rows of a row group of one bucket.
    alone: usize,
    piece: usize,
    closing_piece: usize,
    dead_piece: usize,
    /// The scopes most of whose rows this entry holds when it closes them.
    closed: BTreeSet<Scope>,
}

impl Grouping {
    /// Returns how the rows of the entry with `state` are grouped; each takes `row_bytes` of memory.
    pub(super) fn new(state: &LaneState, options: &EntryOptions, row_bytes: usize) -> Self {
        let fit = |bytes: usize, rows: usize| (bytes / row_bytes.max(1)).clamp(1, rows.max(1));
        let closed = state.closes.iter().filter(|close| close.entry == state.entry).filter(|close| {
            let here = close.rows.iter().filter(|held| held.entry == state.entry).map(|held| held.rows).sum::<u64>();
            here.saturating_mul(2) >= close.row_count()
        });
        let closing_piece = fit(options.closing_piece_bytes, options.closing_piece_rows);
        Self {
            shared: fit(options.group_bytes, options.group_rows),
            alone: fit(options.copied_bytes, options.copied_rows),
            piece: if options.is_long { closing_piece } else { fit(options.piece_bytes, options.piece_rows) },
            closing_piece,
            dead_piece: fit(options.closing_piece_bytes, usize::MAX),
            closed: closed.map(|close| close.scope).collect(),
        }
    }

    /// Whether a segment has row groups of its own.
    fn is_piece(&self, segment: &Segment) -> bool {
        let least = match segment.scope {
            Scope::DeadLetter => self.dead_piece,
            Scope::OnTime(_) | Scope::Late(_) if self.closed.contains(&segment.scope) => self.closing_piece,
            Scope::OnTime(_) | Scope::Late(_) => self.piece,
        };
        rows(segment) >= least
    }

    /// Returns the row groups of `segments`, which are in row order and leave no row out.
    pub(super) fn groups(&self, segments: &[Segment]) -> Vec<GroupRows> {
        let mut groups = Vec::new();
        let (mut start, mut end) = (0, 0);
        for segment in segments {
            let from = end;
            end += rows(segment);
            if self.is_piece(segment) {
                split(start..from, self.shared, false, &mut groups);
                split(from..end, self.alone, true, &mut groups);
                start = end;
            }
        }
        split(start..end, self.shared, false, &mut groups);
        groups
    }
}

fn rows(segment: &Segment) -> usize {
    usize::try_from(segment.rows).unwrap_or(usize::MAX)
}

/// Adds groups for `rows`, of `most` at most and about equal.
fn split(rows: Range<usize>, most: usize, is_piece: bool, groups: &mut Vec<GroupRows>) {
    if rows.is_empty() {
        return;
    }
    let size = rows.len().div_ceil(rows.len().div_ceil(most));
    let starts = rows.clone().step_by(size);
    groups.extend(starts.map(|start| GroupRows { rows: start..rows.end.min(start + size), is_piece }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parquet::fixture::{close, epoch, state};

    #[test]
    fn big_pieces_stand_alone_and_the_rest_shares() {
        let scope = Scope::OnTime(epoch(1));
        let segments = |sizes: &[u64]| -> Vec<Segment> {
            let segment =
                |rows: &u64| Segment { scope, values: vec![], start: 0, rows: *rows, first_offset: 0, last_offset: 0 };
            sizes.iter().map(segment).collect()
        };
        let options = EntryOptions {
            group_rows: 10,
            group_bytes: 1_000,
            piece_rows: 20,
            closing_piece_rows: 6,
            copied_rows: 25,
            ..EntryOptions::default()
        };
        let mut lane = state(9);
        let shown = |lane: &LaneState, sizes: &[u64]| {
            let groups = Grouping::new(lane, &options, 1).groups(&segments(sizes));
            groups
                .iter()
                .map(|group| format!("{:?}{}", group.rows, if group.is_piece { "!" } else { "" }))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            shown(&lane, &[3, 7, 1, 40, 2, 19]),
            ["0..6", "6..11", "11..31!", "31..51!", "51..58", "58..65", "65..72"]
        );
        // Of what the entry closes, it holds less than half, half, and all.
        lane.closes = vec![close(scope, &[7, 8, 9])];
        assert_eq!(shown(&lane, &[3, 7]), ["0..10"]);
        lane.closes = vec![close(scope, &[8, 9])];
        assert_eq!(shown(&lane, &[3, 7]), ["0..3", "3..10!"]);
        lane.closes = vec![close(scope, &[9])];
        assert_eq!(shown(&lane, &[3, 7]), ["0..3", "3..10!"]);
        assert_eq!(shown(&lane, &[]), [] as [&str; 0]);
        // The entry closes nothing, but few entries will share its files.
        let options = EntryOptions { is_long: true, ..options };
        let groups = Grouping::new(&state(9), &options, 1).groups(&segments(&[3, 7]));
        assert_eq!(groups.iter().map(|group| group.is_piece).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn few_long_rows_stand_alone_too() {
        let scope = Scope::OnTime(epoch(1));
        let segment = |rows| Segment { scope, values: vec![], start: 0, rows, first_offset: 0, last_offset: 0 };
        let options = EntryOptions {
            group_bytes: 1_000,
            copied_bytes: 2_000,
            piece_bytes: 800,
            closing_piece_bytes: 300,
            ..EntryOptions::default()
        };
        let mut lane = state(9);
        let shown = |lane: &LaneState, options: &EntryOptions| {
            let groups = Grouping::new(lane, options, 100).groups(&[2, 3, 7, 8].map(segment));
            groups.into_iter().map(|group| (group.rows, group.is_piece)).collect::<Vec<_>>()
        };
        assert_eq!(shown(&lane, &options), [(0..6, false), (6..12, false), (12..20, true)]);
        let each = [(0..2, false), (2..5, true), (5..12, true), (12..20, true)];
        assert_eq!(shown(&lane, &EntryOptions { is_long: true, ..options.clone() }), each);
        lane.closes = vec![close(scope, &[9])];
        assert_eq!(shown(&lane, &options), each);
    }

    #[test]
    fn dead_letters_stand_alone_if_they_are_large_together() {
        let segment = |rows| {
            let scope = Scope::DeadLetter;
            Segment { scope, values: vec![], start: 0, rows, first_offset: 0, last_offset: 0 }
        };
        let options =
            EntryOptions { group_rows: 10, copied_bytes: 1_000, closing_piece_bytes: 300, ..EntryOptions::default() };
        let shown = |row_bytes, sizes: &[u64]| {
            let segments: Vec<Segment> = sizes.iter().map(|rows| segment(*rows)).collect();
            let groups = Grouping::new(&state(9), &options, row_bytes).groups(&segments);
            groups.into_iter().map(|group| (group.rows, group.is_piece)).collect::<Vec<_>>()
        };
        assert_eq!(shown(100, &[2, 3, 11]), [(0..2, false), (2..5, true), (5..11, true), (11..16, true)]);
        assert_eq!(
            shown(1, &[2, 299]),
            (0..301).step_by(10).map(|start| (start..301.min(start + 10), false)).collect::<Vec<_>>()
        );
    }
}
