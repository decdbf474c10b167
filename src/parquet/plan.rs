//! Which files a close becomes: what bucket goes into which, out of which segments of which entries.
//!
//! Pure: looks at the index of the entries, not at their rows. Each bucket is one file, except
//! * those beyond the limit, which share the folder [`OTHER`];
//! * those whose folders have one name, since a folder has one file of a close.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::index::{Segment, Values};
use super::names::{DERIVED, OTHER};

/// The name of the folder for one partition column and value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderName {
    /// The name, `column=value` with the value encoded.
    pub name: String,
    /// Whether a reader gets the very value back; otherwise the rows keep it in `_extra`.
    pub exact: bool,
}

/// The rows of one bucket that one entry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// The entry, counted from the oldest.
    pub(super) entry: usize,
    /// Its segment, counted from the first of the entry.
    pub(super) segment: usize,
    /// The row groups of the entry that are these rows and are copied; `None`: the rows are decoded.
    pub(super) copied: Option<Range<usize>>,
}

/// One bucket of a close.
#[derive(Debug)]
pub(super) struct BucketPlan {
    pub(super) values: Values,
    /// Oldest entry first, which is the order of offsets.
    pub(super) parts: Vec<Part>,
    /// The partition columns whose values the rows keep in `_extra`.
    pub(super) keeps: Vec<usize>,
    pub(super) rows: u64,
    pub(super) first_offset: i64,
    pub(super) last_offset: i64,
}

/// One file of a close.
#[derive(Debug)]
pub(super) struct FilePlan {
    /// The partition values as the folders tell them.
    pub(super) values: Values,
    pub(super) buckets: Vec<BucketPlan>,
}

impl FilePlan {
    pub(super) fn rows(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.rows).sum()
    }

    pub(super) fn first_offset(&self) -> i64 {
        self.buckets.iter().map(|bucket| bucket.first_offset).min().unwrap_or_default()
    }

    pub(super) fn last_offset(&self) -> i64 {
        self.buckets.iter().map(|bucket| bucket.last_offset).max().unwrap_or_default()
    }
}

/// Merges the segments of each entry (by entry: the number of the first, and the segments) into buckets, in the order of
/// their values.
fn merge(entries: &[(usize, &[Segment])]) -> Vec<BucketPlan> {
    let mut buckets = BTreeMap::<&Values, BucketPlan>::new();
    for (entry, (first, segments)) in entries.iter().enumerate() {
        for (i, segment) in segments.iter().enumerate() {
            let bucket = buckets.entry(&segment.values).or_insert_with(|| BucketPlan {
                values: segment.values.clone(),
                parts: Vec::new(),
                keeps: Vec::new(),
                rows: 0,
                first_offset: i64::MAX,
                last_offset: i64::MIN,
            });
            bucket.parts.push(Part { entry, segment: first + i, copied: None });
            bucket.rows = bucket.rows.saturating_add(segment.rows);
            bucket.first_offset = bucket.first_offset.min(segment.first_offset);
            bucket.last_offset = bucket.last_offset.max(segment.last_offset);
        }
    }
    buckets.into_values().collect()
}

/// Returns the files of a close, in the order in which they are best written.
pub(super) fn plan(
    entries: &[(usize, &[Segment])],
    columns: &[String],
    max_buckets: usize,
    folder: &dyn Fn(&str, Option<&str>) -> FolderName,
) -> Vec<FilePlan> {
    let buckets = merge(entries);
    let given: Vec<usize> = (0..columns.len()).filter(|i| !DERIVED.contains(&columns[*i].as_str())).collect();
    let limit = own_folder_limit(&buckets, max_buckets).filter(|_| !given.is_empty());
    let other: Option<Arc<str>> = Some(Arc::from(OTHER));

    let mut plain = Vec::with_capacity(buckets.len());
    let mut shared = BTreeMap::<Vec<String>, FilePlan>::new();
    let mut candidates = Vec::with_capacity(buckets.len());
    let mut any_inexact = false;
    for mut bucket in buckets {
        let mut values = bucket.values.clone();
        if limit.is_some_and(|limit| bucket.first_offset >= limit) {
            for i in &given {
                values[*i].clone_from(&other);
            }
            bucket.keeps.clone_from(&given);
        } else {
            let inexact = |i: &usize| !folder(&columns[*i], values[*i].as_deref()).exact;
            bucket.keeps = given.iter().copied().filter(inexact).collect();
        }
        any_inexact |= !bucket.keeps.is_empty();
        candidates.push((values, bucket));
    }
    if !any_inexact {
        // Exact names tell values apart: no two buckets share a folder.
        return candidates.into_iter().map(|(values, bucket)| FilePlan { values, buckets: vec![bucket] }).collect();
    }
    let path = |values: &Values| -> Vec<String> {
        columns.iter().zip(values).map(|(column, value)| folder(column, value.as_deref()).name).collect()
    };
    let mut sharing = HashMap::<Vec<String>, usize>::new();
    for (values, _) in &candidates {
        *sharing.entry(path(values)).or_default() += 1;
    }
    for (values, bucket) in candidates {
        let path = path(&values);
        if sharing.get(&path).is_some_and(|buckets| *buckets > 1) {
            let file = shared.entry(path).or_insert_with(|| FilePlan { values, buckets: Vec::new() });
            file.buckets.push(bucket);
        } else {
            plain.push(FilePlan { values, buckets: vec![bucket] });
        }
    }
    plain.extend(shared.into_values());
    plain
}

/// Returns the first offset from which on buckets have no folder of their own, if there are more than `max_buckets`.
fn own_folder_limit(buckets: &[BucketPlan], max_buckets: usize) -> Option<i64> {
    if buckets.len() <= max_buckets {
        return None;
    }
    let mut first_offsets: Vec<i64> = buckets.iter().map(|bucket| bucket.first_offset).collect();
    first_offsets.sort_unstable();
    first_offsets.get(max_buckets).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::state::Scope;

    fn segment(values: &[&str], rows: u64, first_offset: i64) -> Segment {
        let values = values.iter().map(|value| (*value != "null").then(|| Arc::from(*value))).collect();
        Segment { scope: Scope::DeadLetter, values, start: 0, rows, first_offset, last_offset: first_offset + 100 }
    }

    fn folder(column: &str, value: Option<&str>) -> FolderName {
        match value {
            None => FolderName { name: format!("{column}=null"), exact: true },
            Some("") => FolderName { name: format!("{column}=null"), exact: false },
            Some(OTHER) => FolderName { name: format!("{column}={OTHER}"), exact: false },
            Some(value) => FolderName { name: format!("{column}={value}"), exact: true },
        }
    }

    fn text(files: &[FilePlan]) -> Vec<String> {
        let values = |values: &Values| {
            values.iter().map(|v| v.as_deref().unwrap_or("null").to_owned()).collect::<Vec<_>>().join("/")
        };
        let bucket = |bucket: &BucketPlan| {
            let parts = bucket.parts.iter().map(|part| format!(" {}.{}", part.entry, part.segment)).collect::<String>();
            format!("{}{parts} keeps {:?}", values(&bucket.values), bucket.keeps)
        };
        let buckets = |file: &FilePlan| file.buckets.iter().map(bucket).collect::<Vec<_>>().join(", ");
        files.iter().map(|file| format!("{}: {}", values(&file.values), buckets(file))).collect()
    }

    #[test]
    fn a_bucket_is_one_file_in_the_order_of_entries() {
        let entries = [
            [segment(&["1", "a"], 1, 10), segment(&["1", "c"], 2, 11)],
            [segment(&["1", "b"], 3, 20), segment(&["1", "c"], 4, 21)],
        ];
        let files = plan(&[(0, &entries[0]), (5, &entries[1])], &["day".into(), "path".into()], 9, &folder);
        assert_eq!(text(&files), ["1/a: 1/a 0.0 keeps []", "1/b: 1/b 1.5 keeps []", "1/c: 1/c 0.1 1.6 keeps []"]);
        assert_eq!((files[2].rows(), files[2].first_offset(), files[2].last_offset()), (6, 11, 121));
    }

    #[test]
    fn buckets_beyond_the_limit_share_a_folder_for_each_derived_value() {
        let entry = [
            segment(&["1", "a"], 1, 15),
            segment(&["1", "b"], 1, 10),
            segment(&["1", "c"], 1, 14),
            segment(&["2", "a"], 1, 11),
            segment(&["2", "d"], 1, 12),
            segment(&["2", "null"], 1, 13),
        ];
        let files = plan(&[(0, &entry)], &["day".into(), "path".into()], 2, &folder);
        assert_eq!(
            text(&files),
            [
                "1/b: 1/b 0.1 keeps []",
                "2/a: 2/a 0.3 keeps []",
                "1/__OTHER__: 1/a 0.0 keeps [1], 1/c 0.2 keeps [1]",
                "2/__OTHER__: 2/null 0.5 keeps [1], 2/d 0.4 keeps [1]",
            ]
            .map(str::to_owned)
        );
    }

    #[test]
    fn derived_columns_alone_have_no_limit() {
        let entry = [segment(&["1"], 1, 15), segment(&["2"], 1, 10)];
        assert_eq!(plan(&[(0, &entry)], &["day".into()], 1, &folder).len(), 2);
    }

    #[test]
    fn buckets_whose_folders_have_one_name_are_one_file() {
        let entry = [segment(&["null"], 1, 1), segment(&[""], 1, 2), segment(&[OTHER], 1, 3), segment(&["x"], 1, 4)];
        let files = plan(&[(0, &entry)], &["path".into()], 3, &folder);
        assert_eq!(
            text(&files),
            ["__OTHER__: __OTHER__ 0.2 keeps [0], x 0.3 keeps [0]", "null: null 0.0 keeps [],  0.1 keeps [0]",]
        );
    }
}
