//! An entry that takes over the rows of older ones, so that an epoch that stays open for long is in few entries.
//!
//! The older rows stand before the new ones: theirs are the lower offsets. All of them are in memory at once; the caller
//! merges what is small.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};

use super::entry::{Content, DeadRows, EntryRows, RowTag};
use super::error::EntryError;
use super::index::Segment;
use super::names::{DEAD, KAFKA_OFFSET, KAFKA_TIMESTAMP};
use super::reader::EntryReader;
use super::widen;
use crate::engine::state::Scope;

/// An older entry, and the scopes whose rows are taken over from it.
#[derive(Debug)]
pub struct OlderRows {
    /// The entry that holds the rows.
    pub entry: EntryReader,
    /// Which of its rows.
    pub scopes: Vec<Scope>,
}

/// Returns `content` with the rows of the `older` entries (oldest first) before its own.
///
/// # Errors
/// When an older entry cannot be read, is partitioned otherwise, or has a column that the new rows have not.
pub fn take_over(older: &[OlderRows], content: Content) -> Result<Content, EntryError> {
    let Content { partition_by, scopes: new_scopes, buckets, rows, dead } = content;
    let (mut new_scopes, mut buckets) = (Numbers::of(new_scopes), Numbers::of(buckets));
    let mut old = Taken::default();
    let mut old_dead = Taken::default();
    for OlderRows { entry, scopes } in older {
        let taken = entry.segments().iter().filter(|segment| scopes.contains(&segment.scope));
        let (dead, rows): (Vec<&Segment>, Vec<&Segment>) =
            taken.partition(|segment| segment.scope == Scope::DeadLetter);
        if !rows.is_empty() && entry.partition_by() != partition_by {
            return Err(EntryError::rows(format!("an older entry is partitioned by {:?}", entry.partition_by())));
        }
        old.take(entry, &rows, &|name| !is_dead_only(name), &mut new_scopes, &mut buckets)?;
        let wanted = |name: &str| is_dead_only(name) || matches!(name, KAFKA_OFFSET | KAFKA_TIMESTAMP);
        old_dead.take(entry, &dead, &wanted, &mut new_scopes, &mut buckets)?;
    }
    let (new_rows, new_tags) = rows.map(|new| (new.rows, new.tags)).unzip();
    let rows = old.before(new_rows)?.map(|rows| {
        let tags = old.tags.into_iter().chain(new_tags.into_iter().flatten());
        EntryRows { rows, tags: tags.collect() }
    });
    let (new_dead, new_buckets) = dead.map(|new| (new.rows, new.buckets)).unzip();
    old_dead.rename()?;
    let dead = old_dead.before(new_dead)?.map(|rows| {
        let buckets = old_dead.tags.into_iter().map(|tag| tag.bucket).chain(new_buckets.into_iter().flatten());
        DeadRows { rows, buckets: buckets.collect() }
    });
    Ok(Content { partition_by, scopes: new_scopes.things, buckets: buckets.things, rows, dead })
}

fn is_dead_only(name: &str) -> bool {
    DEAD.iter().any(|(_, in_entry)| *in_entry == name)
}

/// Rows of older entries.
#[derive(Default)]
struct Taken {
    batches: Vec<RecordBatch>,
    tags: Vec<RowTag>,
}

impl Taken {
    fn take(
        &mut self,
        entry: &EntryReader,
        segments: &[&Segment],
        wanted: &dyn Fn(&str) -> bool,
        scopes: &mut Numbers<Scope>,
        buckets: &mut Numbers<Vec<Option<String>>>,
    ) -> Result<(), EntryError> {
        let mut ranges = Vec::<Range<u64>>::new();
        for segment in segments {
            let end = segment.start.saturating_add(segment.rows);
            match ranges.last_mut() {
                Some(last) if last.end == segment.start => last.end = end,
                _ => ranges.push(segment.start..end),
            }
            let values = segment.values.iter().map(|value| value.as_deref().map(str::to_owned)).collect();
            let tag = RowTag { scope: scopes.number(segment.scope)?, bucket: buckets.number(values)? };
            let rows = usize::try_from(segment.rows).map_err(|_| EntryError::rows("too many rows"))?;
            self.tags.extend(std::iter::repeat_n(tag, rows));
        }
        for batch in entry.rows(ranges, wanted) {
            self.batches.push(batch?);
        }
        Ok(())
    }

    /// Gives dead letters the names that they have outside of an entry.
    fn rename(&mut self) -> Result<(), EntryError> {
        let published = |field: &FieldRef| {
            let name = DEAD.iter().find(|(_, in_entry)| in_entry == field.name()).map(|(name, _)| (*name).to_owned());
            Arc::new(Field::clone(field).with_name(name.unwrap_or_else(|| field.name().clone())))
        };
        for batch in &mut self.batches {
            let fields: Vec<FieldRef> = batch.schema_ref().fields().iter().map(published).collect();
            *batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), batch.columns().to_vec())
                .map_err(EntryError::parquet("rename the columns of dead letters"))?;
        }
        Ok(())
    }

    /// Returns the older rows followed by the `new` ones, in the columns of the newest that there are.
    fn before(&mut self, new: Option<RecordBatch>) -> Result<Option<RecordBatch>, EntryError> {
        let mut batches = std::mem::take(&mut self.batches);
        batches.extend(new);
        let Some(schema) = batches.last().map(RecordBatch::schema) else { return Ok(None) };
        for batch in &batches {
            if let Some(lost) = lost_column(batch, &schema) {
                return Err(EntryError::rows(format!("an older entry has the column `{lost}`, the new rows have not")));
            }
        }
        let widened = batches.iter().map(|batch| widen::rows(batch, &schema)).collect::<Result<Vec<_>, _>>();
        let rows = widened.and_then(|batches| concat_batches(&schema, &batches));
        rows.map(Some).map_err(EntryError::parquet("join the rows of entries"))
    }
}

fn lost_column<'a>(rows: &'a RecordBatch, schema: &SchemaRef) -> Option<&'a str> {
    let schema_of_rows = rows.schema_ref();
    schema_of_rows
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .find(|name| schema.column_with_name(name).is_none())
}

/// Things with numbers, in which a thing that is known keeps its own.
struct Numbers<T> {
    things: Vec<T>,
    numbers: HashMap<T, u32>,
}

impl<T: Clone + Eq + Hash> Numbers<T> {
    fn of(things: Vec<T>) -> Self {
        let numbers = things.iter().cloned().zip(0..).collect();
        Self { things, numbers }
    }

    fn number(&mut self, thing: T) -> Result<u32, EntryError> {
        if let Some(number) = self.numbers.get(&thing) {
            return Ok(*number);
        }
        let number = u32::try_from(self.things.len()).map_err(|_| EntryError::rows("too many buckets"))?;
        self.things.push(thing.clone());
        self.numbers.insert(thing, number);
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parquet::fixture::{Row, content, entry, epoch, longs, texts, with_dead};

    fn all(entry: &EntryReader, scope: Scope) -> Vec<(String, i64)> {
        let of_scope = entry.segments().iter().filter(|segment| segment.scope == scope);
        let rows = of_scope.flat_map(|segment| {
            let values: Vec<&str> = segment.values.iter().map(|value| value.as_deref().unwrap_or("null")).collect();
            let rows = entry.rows(std::iter::once(segment.start..segment.start + segment.rows).collect(), &|_| true);
            let offsets = rows.flat_map(|batch| longs(&batch.expect("sound rows"), "_kafka_offset"));
            offsets.map(|offset| (values.join(" "), offset)).collect::<Vec<_>>()
        });
        rows.collect()
    }

    #[test]
    fn an_entry_takes_over_the_rows_of_some_scopes_of_older_ones() {
        let (open, closed) = (Scope::OnTime(epoch(1)), Scope::OnTime(epoch(0)));
        let one: [Row<'_>; 3] =
            [(open, "22", Some("/b"), 1), (closed, "22", Some("/a"), 2), (open, "22", Some("/a"), 3)];
        let two: [Row<'_>; 2] = [(open, "22", Some("/b"), 4), (open, "22", None, 6)];
        let new: [Row<'_>; 2] = [(open, "22", Some("/c"), 7), (open, "22", Some("/b"), 8)];
        let older = [
            OlderRows {
                entry: entry(1, &with_dead(content(&one), &[("22", 5)])),
                scopes: vec![open, Scope::DeadLetter],
            },
            OlderRows { entry: entry(2, &content(&two)), scopes: vec![open] },
        ];
        let merged = take_over(&older, with_dead(content(&new), &[("21", 9), ("22", 10)]));
        let merged = entry(3, &merged.expect("entries that fit"));
        let row = |values: &str, offset| (values.to_owned(), offset);
        assert_eq!(
            all(&merged, open),
            [row("22 null", 6), row("22 /a", 3), row("22 /b", 1), row("22 /b", 4), row("22 /b", 8), row("22 /c", 7)]
        );
        assert_eq!(all(&merged, closed), []);
        assert_eq!(
            all(&merged, Scope::DeadLetter),
            [row("2026 11 21", 9), row("2026 11 22", 5), row("2026 11 22", 10)]
        );
        let dead = merged.rows(std::iter::once(6..9).collect(), &|_| true).next().expect("rows").expect("sound rows");
        assert_eq!(texts(&dead, "_dead_reason"), vec![Some("not_json".to_owned()); 3]);
    }

    #[test]
    fn without_new_rows_the_older_ones_stay_as_they_are() {
        let scope = Scope::OnTime(epoch(1));
        let of = |number, row| OlderRows { entry: entry(number, &content(&[row])), scopes: vec![scope] };
        let older = [of(1, (scope, "22", Some("/b"), 1)), of(2, (scope, "22", None, 2))];
        let nothing = Content { partition_by: older[0].entry.partition_by().to_vec(), ..Content::default() };
        let merged = entry(3, &take_over(&older, nothing).expect("entries that fit"));
        assert_eq!(all(&merged, scope), [("22 null".to_owned(), 2), ("22 /b".to_owned(), 1)]);
    }

    #[test]
    fn a_column_is_not_lost_on_the_way() {
        let scope = Scope::OnTime(epoch(1));
        let older = OlderRows { entry: entry(1, &content(&[(scope, "22", Some("/b"), 1)])), scopes: vec![scope] };
        let mut new = content(&[(scope, "22", Some("/b"), 2)]);
        let batch = &mut new.rows.as_mut().expect("rows").rows;
        *batch = batch.project(&[0, 2, 3, 4]).expect("four columns");
        let error = take_over(&[older], new).expect_err("`n` has no place").to_string();
        assert_eq!(error, "rows do not fit an entry: an older entry has the column `n`, the new rows have not");
    }
}
