//! The order of rows in an entry: by scope, then by partition values, then as they arrived.
//!
//! Two counting sorts over numbers that few rows differ in; no row is compared with another.

use std::sync::Arc;

use super::error::EntryError;
use super::index::{Segment, Values};
use crate::engine::state::Scope;

/// The rows of an entry in order.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    /// The input row that stands at each place.
    pub(super) order: Vec<u32>,
    /// The runs of rows with equal scope and values, from row 0 on.
    pub(super) segments: Vec<Segment>,
}

/// Sorts rows, of which `tags` gives the scope and the bucket, and `offsets` the Kafka offset.
///
/// # Errors
/// When a tag names a scope or a bucket that is not there, or there are too many rows.
pub(super) fn sort(
    tags: &[(u32, u32)],
    scopes: &[Scope],
    buckets: &[Vec<Option<String>>],
    offsets: &[i64],
) -> Result<Sorted, EntryError> {
    let rows = u32::try_from(tags.len()).map_err(|_| EntryError::rows("more than 2^32 rows"))?;
    let by_bucket = Ranks::of(tags.iter().map(|(_, bucket)| *bucket), buckets)?;
    let by_scope = Ranks::of(tags.iter().map(|(scope, _)| *scope), scopes)?;
    let bucket_of = |row: u32| by_bucket.rank_of(tags, row, |(_, bucket)| bucket);
    let scope_of = |row: u32| by_scope.rank_of(tags, row, |(scope, _)| scope);
    let order = counting_sort((0..rows).collect(), by_bucket.sorted.len(), bucket_of);
    let order = counting_sort(order, by_scope.sorted.len(), scope_of);

    let values: Vec<Values> = by_bucket.sorted.iter().map(|values| shared(values)).collect();
    let mut segments = Vec::new();
    let mut start = 0;
    for run in order.chunk_by(|a, b| (scope_of(*a), bucket_of(*a)) == (scope_of(*b), bucket_of(*b))) {
        let Some(&row) = run.first() else { continue };
        let offsets = || run.iter().filter_map(|row| offsets.get(index(*row)).copied());
        let (Some(scope), Some(values)) = (by_scope.sorted.get(scope_of(row)), values.get(bucket_of(row))) else {
            return Err(EntryError::rows("a tag without its scope or bucket"));
        };
        let (Some(first_offset), Some(last_offset)) = (offsets().min(), offsets().max()) else {
            return Err(EntryError::rows("a row without an offset"));
        };
        let rows = u64::try_from(run.len()).unwrap_or(u64::MAX);
        segments.push(Segment { scope: **scope, values: values.clone(), start, rows, first_offset, last_offset });
        start += rows;
    }
    Ok(Sorted { order, segments })
}

fn shared(values: &[Option<String>]) -> Values {
    values.iter().map(|value| value.as_deref().map(Arc::from)).collect()
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The things that occur, sorted, and the place of each among them: equal things have one place.
struct Ranks<'a, T> {
    sorted: Vec<&'a T>,
    rank: Vec<usize>,
}

impl<'a, T: Ord> Ranks<'a, T> {
    fn of(numbers: impl Iterator<Item = u32>, things: &'a [T]) -> Result<Self, EntryError> {
        let mut occurs = vec![false; things.len()];
        for number in numbers {
            let seen = occurs.get_mut(index(number));
            *seen.ok_or_else(|| EntryError::rows(format!("a tag names number {number} of {}", things.len())))? = true;
        }
        let mut sorted: Vec<&T> = things.iter().zip(&occurs).filter(|(_, occurs)| **occurs).map(|(t, _)| t).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let place = |thing: &T| sorted.binary_search(&thing).unwrap_or(0);
        let rank = things.iter().zip(&occurs).map(|(thing, occurs)| if *occurs { place(thing) } else { 0 }).collect();
        Ok(Self { sorted, rank })
    }

    fn rank_of(&self, tags: &[(u32, u32)], row: u32, number: impl Fn((u32, u32)) -> u32) -> usize {
        tags.get(index(row)).and_then(|tag| self.rank.get(index(number(*tag)))).copied().unwrap_or(0)
    }
}

/// Returns `rows` sorted by `rank`, which is below `ranks`; rows of one rank stay in their order.
fn counting_sort(rows: Vec<u32>, ranks: usize, rank: impl Fn(u32) -> usize) -> Vec<u32> {
    if ranks <= 1 {
        return rows;
    }
    let mut next = vec![0_usize; ranks + 1];
    for row in &rows {
        next[rank(*row) + 1] += 1;
    }
    for i in 1..next.len() {
        next[i] += next[i - 1];
    }
    let mut sorted = vec![0; rows.len()];
    for row in rows {
        let place = &mut next[rank(row)];
        sorted[*place] = row;
        *place += 1;
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::time::{Epoch, EventTime};

    fn epoch(start: i64) -> Epoch {
        Epoch { start: EventTime(start), end: EventTime(start + 900) }
    }

    #[test]
    fn rows_are_sorted_by_scope_then_values_then_arrival() {
        let scopes = [Scope::Late(epoch(0)), Scope::OnTime(epoch(900)), Scope::OnTime(epoch(0))];
        let bucket = |value: Option<&str>| vec![value.map(str::to_owned)];
        // Bucket 3 has the values of bucket 0, and bucket 4 does not occur.
        let buckets = [bucket(Some("b")), bucket(Some("a")), bucket(None), bucket(Some("b")), bucket(Some("x"))];
        let tags = [(0, 0), (1, 0), (2, 0), (2, 1), (2, 3), (2, 2), (1, 0)];
        let sorted = sort(&tags, &scopes, &buckets, &[10, 11, 12, 13, 14, 15, 16]).expect("tags that fit");
        assert_eq!(sorted.order, [5, 3, 2, 4, 1, 6, 0]);
        let text = |segment: &Segment| {
            let value = segment.values[0].as_deref().unwrap_or("null").to_owned();
            (segment.scope, value, segment.start, segment.rows, segment.first_offset, segment.last_offset)
        };
        let on_time = Scope::OnTime(epoch(0));
        assert_eq!(
            sorted.segments.iter().map(text).collect::<Vec<_>>(),
            [
                (on_time, "null".to_owned(), 0, 1, 15, 15),
                (on_time, "a".to_owned(), 1, 1, 13, 13),
                (on_time, "b".to_owned(), 2, 2, 12, 14),
                (Scope::OnTime(epoch(900)), "b".to_owned(), 4, 2, 11, 16),
                (Scope::Late(epoch(0)), "b".to_owned(), 6, 1, 10, 10),
            ]
        );
    }

    #[test]
    fn a_tag_that_names_nothing_is_refused() {
        assert!(sort(&[(0, 1)], &[Scope::DeadLetter], &[vec![]], &[1]).is_err());
        assert!(sort(&[(1, 0)], &[Scope::DeadLetter], &[vec![]], &[1]).is_err());
        assert!(sort(&[(0, 0)], &[Scope::DeadLetter], &[vec![]], &[]).is_err());
    }
}
