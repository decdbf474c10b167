//! Where in an entry the rows of each bucket are.
//!
//! The JSON form is by column, with runs for the partition values: rows are sorted by them, so that a thousand buckets
//! of one day name the day once.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::EntryError;
use crate::engine::state::Scope;

/// One partition value for each partition column; `None` is null.
pub type Values = Vec<Option<Arc<str>>>;

/// A run of rows of one entry that belong to one scope and one bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The scope of the rows.
    pub scope: Scope,
    /// The partition values of the rows.
    pub values: Values,
    /// The first row, counted from the entry's first.
    pub start: u64,
    /// How many rows.
    pub rows: u64,
    /// The lowest Kafka offset among them.
    pub first_offset: i64,
    /// The highest Kafka offset among them.
    pub last_offset: i64,
}

/// What the footer says about the rows of an entry.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Index {
    /// The partition columns that the values of rows (not of dead letters) belong to.
    pub(super) partition_by: Vec<String>,
    /// The row groups, in order.
    pub(super) groups: Vec<Group>,
    scopes: Vec<ScopeIndex>,
}

/// One row group, as our own reader needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Group {
    /// The first byte behind it; it begins where the one before ends.
    pub(super) end: u64,
    /// The size of its rows in memory, in bytes.
    pub(super) decoded_bytes: u64,
    /// The checksum of its bytes.
    pub(super) checksum: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct ScopeIndex {
    scope: Scope,
    rows: Vec<u64>,
    first: Vec<i64>,
    /// Last offset minus first.
    span: Vec<i64>,
    values: Vec<Runs>,
}

/// The values of one partition column over the segments of a scope.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Runs {
    values: Vec<Option<String>>,
    /// For how many segments each value holds; absent when each holds for one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    counts: Vec<usize>,
}

impl Runs {
    fn of<'a>(values: impl Iterator<Item = &'a Option<Arc<str>>>) -> Self {
        let mut runs = Self::default();
        for value in values {
            match (runs.values.last(), runs.counts.last_mut()) {
                (Some(last), Some(count)) if last.as_deref() == value.as_deref() => *count += 1,
                _ => {
                    runs.values.push(value.as_deref().map(str::to_owned));
                    runs.counts.push(1);
                }
            }
        }
        if runs.counts.iter().all(|count| *count == 1) {
            runs.counts.clear();
        }
        runs
    }

    /// Returns the value for each of `segments` segments, or `None` if there are not as many.
    fn spread(self, segments: usize) -> Option<Values> {
        let values: Values = self.values.into_iter().map(|value| value.map(Arc::from)).collect();
        if self.counts.is_empty() {
            return (values.len() == segments).then_some(values);
        }
        let total = self.counts.iter().try_fold(0_usize, |sum, count| sum.checked_add(*count))?;
        if self.counts.len() != values.len() || total != segments {
            return None;
        }
        Some(values.iter().zip(self.counts).flat_map(|(value, n)| std::iter::repeat_n(value.clone(), n)).collect())
    }
}

impl Index {
    /// Returns the index of `segments`, which are in row order and leave no row out.
    pub(super) fn new(partition_by: Vec<String>, groups: Vec<Group>, segments: &[Segment]) -> Self {
        let scopes = segments.chunk_by(|a, b| a.scope == b.scope).filter_map(|of_scope| {
            let first = of_scope.first()?;
            let column = |i: usize| Runs::of(of_scope.iter().filter_map(move |segment| segment.values.get(i)));
            Some(ScopeIndex {
                scope: first.scope,
                rows: of_scope.iter().map(|segment| segment.rows).collect(),
                first: of_scope.iter().map(|segment| segment.first_offset).collect(),
                span: of_scope.iter().map(|segment| segment.last_offset.saturating_sub(segment.first_offset)).collect(),
                values: (0..first.values.len()).map(column).collect(),
            })
        });
        Self { partition_by, groups, scopes: scopes.collect() }
    }

    /// Returns the segments, and leaves the rest of the index.
    ///
    /// # Errors
    /// When lists that belong together have different lengths.
    pub(super) fn take_segments(&mut self) -> Result<Vec<Segment>, EntryError> {
        let mut segments = Vec::new();
        let mut start = 0_u64;
        for of_scope in std::mem::take(&mut self.scopes) {
            let count = of_scope.rows.len();
            if of_scope.first.len() != count || of_scope.span.len() != count {
                return Err(EntryError::damaged("the index of segments is uneven"));
            }
            let mut columns = Vec::with_capacity(of_scope.values.len());
            for runs in of_scope.values {
                let column = runs.spread(count).ok_or_else(|| EntryError::damaged("the index of values is uneven"))?;
                columns.push(column.into_iter());
            }
            for ((rows, first_offset), span) in of_scope.rows.into_iter().zip(of_scope.first).zip(of_scope.span) {
                let values = columns.iter_mut().map(|column| column.next().flatten()).collect();
                let last_offset = first_offset.saturating_add(span);
                segments.push(Segment { scope: of_scope.scope, values, start, rows, first_offset, last_offset });
                start = start.checked_add(rows).ok_or_else(|| EntryError::damaged("too many rows"))?;
            }
        }
        Ok(segments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(values: &[Option<&str>], start: u64, rows: u64, first_offset: i64, last_offset: i64) -> Segment {
        let values = values.iter().map(|value| value.map(Arc::from)).collect();
        Segment { scope: Scope::DeadLetter, values, start, rows, first_offset, last_offset }
    }

    #[test]
    fn a_value_that_many_buckets_share_is_named_once() {
        let segments = [
            segment(&[Some("2026"), None], 0, 2, 7, 9),
            segment(&[Some("2026"), Some("/a")], 2, 1, 8, 8),
            segment(&[Some("2026"), Some("/b")], 3, 4, 3, 30),
        ];
        let mut index = Index::new(vec!["year".into(), "path".into()], Vec::new(), &segments);
        let json = serde_json::to_string(&index).expect("plain data");
        assert_eq!(
            json,
            r#"{"partition_by":["year","path"],"groups":[],"scopes":[{"scope":{"kind":"dead_letter"},"rows":[2,1,4],"first":[7,8,3],"span":[2,0,27],"values":[{"values":["2026"],"counts":[3]},{"values":[null,"/a","/b"]}]}]}"#
        );
        assert_eq!(index.take_segments().expect("even"), segments);
        let mut read: Index = serde_json::from_str(&json).expect("its own JSON");
        assert_eq!(read.take_segments().expect("even"), segments);
    }

    #[test]
    fn an_uneven_index_is_refused() {
        for (rows, counts) in [("[2,1]", "[3]"), ("[2,1,4]", "[18446744073709551615]")] {
            let json = format!(
                r#"{{"partition_by":[],"groups":[],"scopes":[{{"scope":{{"kind":"dead_letter"}},"rows":{rows},"first":[7,8,3],"span":[2,0,27],"values":[{{"values":["2026"],"counts":{counts}}}]}}]}}"#
            );
            let mut index: Index = serde_json::from_str(&json).expect("JSON");
            assert!(matches!(index.take_segments(), Err(EntryError::Damaged { .. })));
        }
    }
}
