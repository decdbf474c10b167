//! Small numbers for combinations of partition values.
//!
//! A row's bucket is found without allocating once its values have been seen; the numbers are dense and in order of appearance.

use std::collections::HashMap;
use std::fmt::Write as _;

use foldhash::fast::RandomState;

use super::{PartitionBy, Source};
use crate::engine::time::EventTime;
use crate::record::Columns;

const HOUR_US: i64 = 3_600_000_000;
/// What a bucket takes beside its values, about.
const BUCKET_BYTES: usize = 64;
/// What a key takes that a bucket was found by, about.
const KEY_BYTES: usize = 40;

/// The combinations of partition values that have been seen.
#[derive(Debug)]
pub struct Buckets {
    by: PartitionBy,
    /// The only partition column that is a field, if there is just one.
    field: Option<usize>,
    /// For each set of columns: by the key that the text of this field has in its column, and the hour of the event time.
    by_key: Vec<HashMap<(u32, i64), u32, RandomState>>,
    /// By the values of a row, one behind the other, and their lengths behind them.
    numbers: HashMap<Box<[u8]>, u32>,
    values: Vec<Box<[Option<String>]>>,
    bytes: usize,
    scratch: Scratch,
    derived: Derived,
}

impl Buckets {
    /// Returns an empty set for these partition columns.
    #[must_use]
    pub fn new(by: PartitionBy) -> Self {
        let (numbers, values) = (HashMap::new(), Vec::new());
        let mut fields = by.fields();
        let field = fields.next().filter(|_| fields.next().is_none());
        drop(fields);
        Self {
            by,
            field,
            by_key: Vec::new(),
            numbers,
            values,
            bytes: 0,
            scratch: Scratch::default(),
            derived: Derived::default(),
        }
    }

    /// Returns the partition columns.
    #[must_use]
    pub const fn by(&self) -> &PartitionBy {
        &self.by
    }

    /// Returns the bucket of a row of `columns` with this event time; the columns must be of the schema of the partition columns.
    pub fn bucket(&mut self, columns: &Columns, row: usize, time: EventTime) -> u32 {
        self.bucket_among(0, columns, row, time)
    }

    /// The same where rows are in several sets of columns, of which `columns` is the one of this number (small, and its own until
    /// [`Buckets::clear`]): each set has its own keys for the same texts.
    pub fn bucket_among(&mut self, set: usize, columns: &Columns, row: usize, time: EventTime) -> u32 {
        self.derived.move_to(time);
        let seen = self.field.and_then(|field| columns.key(field, row)).zip(self.derived.hour_start_us);
        let known = seen.and_then(|seen| self.by_key.get(set)?.get(&seen));
        if let Some(number) = known {
            return *number;
        }
        self.scratch.clear();
        for source in self.by.sources() {
            match source {
                Source::Year => self.scratch.push(Some(&self.derived.year)),
                Source::Month => self.scratch.push(Some(&self.derived.month)),
                Source::Day => self.scratch.push(Some(&self.derived.day)),
                Source::Hour => self.scratch.push(Some(&self.derived.hour)),
                Source::Field(place) => self.scratch.push_with(|text| columns.write_value(*place, row, text)),
            }
        }
        let number = self.intern();
        if let Some(seen) = seen {
            if self.by_key.len() <= set {
                self.by_key.resize_with(set + 1, || HashMap::with_hasher(RandomState::default()));
            }
            if let Some(keys) = self.by_key.get_mut(set) {
                keys.insert(seen, number);
                self.bytes += KEY_BYTES;
            }
        }
        number
    }

    /// Returns the bucket of these values, one for each partition column.
    pub fn for_values(&mut self, values: &[Option<String>]) -> u32 {
        self.scratch.clear();
        for value in values {
            self.scratch.push(value.as_deref());
        }
        self.intern()
    }

    /// Returns the values of a bucket, one for each partition column; nothing for a number that was never given out.
    #[must_use]
    pub fn values(&self, bucket: u32) -> &[Option<String>] {
        usize::try_from(bucket).ok().and_then(|place| self.values.get(place)).map_or(&[], |values| values)
    }

    /// Returns the number of buckets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no buckets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns the memory held, in bytes, about.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets all buckets. To be called whenever the rows are taken out of the columns.
    pub fn clear(&mut self) {
        self.by_key = Vec::new();
        self.numbers = HashMap::new();
        self.values = Vec::new();
        self.bytes = 0;
    }

    fn intern(&mut self) -> u32 {
        let key = self.scratch.key();
        if let Some(number) = self.numbers.get(key) {
            return *number;
        }
        // There is no memory for as many buckets as there are numbers.
        let number = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.numbers.insert(key.into(), number);
        self.bytes += 2 * key.len() + BUCKET_BYTES;
        let values = self.scratch.values();
        self.bytes += values.len() * size_of::<Option<String>>();
        self.values.push(values);
        number
    }
}

/// The values of one row; kept to be used again.
#[derive(Debug, Default)]
struct Scratch {
    text: String,
    /// Where each value ends in `text`; `None` if it is null.
    ends: Vec<Option<usize>>,
    key: Vec<u8>,
}

impl Scratch {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    fn push(&mut self, value: Option<&str>) {
        self.text.push_str(value.unwrap_or_default());
        self.ends.push(value.map(|_| self.text.len()));
    }

    /// Adds what `write` appends, or null if it returns `false`.
    fn push_with(&mut self, write: impl FnOnce(&mut String) -> bool) {
        let there = write(&mut self.text);
        self.ends.push(there.then_some(self.text.len()));
    }

    /// Returns bytes that no other sequence of as many values has.
    fn key(&mut self) -> &[u8] {
        self.key.clear();
        self.key.extend_from_slice(self.text.as_bytes());
        for end in &self.ends {
            self.key.extend_from_slice(&end.unwrap_or(usize::MAX).to_le_bytes());
        }
        &self.key
    }

    fn values(&self) -> Box<[Option<String>]> {
        let mut start = 0;
        let value = |end: &Option<usize>| {
            let end = (*end)?;
            let value = self.text.get(start..end).map(str::to_owned);
            start = end;
            value
        };
        self.ends.iter().map(value).collect()
    }
}

/// The values of the derived columns for one hour: rows come mostly in the order of time.
#[derive(Debug, Default)]
struct Derived {
    hour_start_us: Option<i64>,
    year: String,
    month: String,
    day: String,
    hour: String,
}

impl Derived {
    fn move_to(&mut self, time: EventTime) {
        let start_us = time.0 - time.0.rem_euclid(HOUR_US);
        if self.hour_start_us == Some(start_us) {
            return;
        }
        self.hour_start_us = Some(start_us);
        let civil = time.civil();
        for (text, value) in [
            (&mut self.year, i64::from(civil.year)),
            (&mut self.month, i64::from(civil.month)),
            (&mut self.day, i64::from(civil.day)),
            (&mut self.hour, i64::from(civil.hour)),
        ] {
            text.clear();
            // Writing to a string does not fail.
            let _ = write!(text, "{value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono_tz::Tz;

    use super::*;
    use crate::engine::state::Offset;
    use crate::record::timestamp::{TimeUnit, TimestampParser};
    use crate::record::{Coordinates, Decoder, DecoderOptions, OnMisfit};
    use crate::schema::{Field, Schema, Type};

    fn some(values: &[&str]) -> Vec<Option<String>> {
        values.iter().map(|value| Some((*value).to_owned())).collect()
    }

    fn decoder(schema: Arc<Schema>) -> Decoder {
        let options = DecoderOptions {
            timestamp_field: "at".into(),
            timestamps: TimestampParser::new(TimeUnit::Auto, Tz::UTC),
            max_future: None,
            on_misfit: OnMisfit::Extra,
        };
        Decoder::new(schema, options)
    }

    #[test]
    fn rows_with_equal_values_share_a_bucket() {
        let fields = vec![Field::new("path", Type::String), Field::new("n", Type::Long)];
        let schema = Arc::new(Schema::new(fields).unwrap());
        let names = ["year", "month", "day", "path", "hour", "n"].map(String::from);
        let mut buckets = Buckets::new(PartitionBy::parse(&names, &schema).unwrap());
        let mut decoder = decoder(schema);
        let mut columns = decoder.columns();
        let at = Coordinates { offset: Offset(0), kafka_timestamp_ms: -1 };
        let mut bucket = |record: &str| {
            let row = columns.len();
            let time = decoder.decode(Some(record.as_bytes()), at, &mut columns).unwrap();
            buckets.bucket(&columns, row, time)
        };
        assert_eq!(bucket(r#"{"at":"2026-01-02T03:59:59.999999Z","path":"/a","n":1}"#), 0);
        assert_eq!(bucket(r#"{"at":"2026-01-02T04:00:00Z","path":"/a","n":1}"#), 1);
        assert_eq!(bucket(r#"{"at":"2026-01-02T03:00:00Z","path":"/a","n":1}"#), 0);
        assert_eq!(bucket(r#"{"at":"2026-01-02T03:00:00Z","path":"","n":1}"#), 2);
        assert_eq!(bucket(r#"{"at":"2026-01-02T03:00:00Z","path":null}"#), 3);
        assert_eq!(buckets.values(0), some(&["2026", "1", "2", "/a", "3", "1"]));
        assert_eq!(buckets.values(3)[3..], [None, Some("3".into()), None]);
        assert_eq!(buckets.for_values(&some(&["2026", "1", "2", "/a", "4", "1"])), 1);
        assert_eq!(buckets.len(), 4);
        assert!(buckets.bytes() > 4 * 100);
        buckets.clear();
        assert_eq!((buckets.len(), buckets.bytes()), (0, 0));
        assert!(buckets.values(0).is_empty());
    }

    #[test]
    fn each_set_of_columns_has_its_own_keys() {
        let schema = Arc::new(Schema::new(vec![Field::new("path", Type::String)]).unwrap());
        let mut buckets = Buckets::new(PartitionBy::parse(&["path".to_owned()], &schema).unwrap());
        let mut decoder = decoder(schema);
        let at = Coordinates { offset: Offset(0), kafka_timestamp_ms: -1 };
        let mut of = |paths: [&str; 2]| {
            let mut columns = decoder.columns();
            for path in paths {
                let record = format!(r#"{{"at":"2026-01-02T03:00:00Z","path":"{path}"}}"#);
                decoder.decode(Some(record.as_bytes()), at, &mut columns).unwrap();
            }
            columns
        };
        // The same key is another text in the other set.
        let (one, two) = (of(["/a", "/b"]), of(["/b", "/c"]));
        for _ in 0..2 {
            let mut number = |set, columns, row| buckets.bucket_among(set, columns, row, EventTime(0));
            assert_eq!([number(0, &one, 0), number(0, &one, 1)], [0, 1]);
            assert_eq!([number(2, &two, 0), number(2, &two, 1)], [1, 2]);
        }
        assert_eq!(buckets.len(), 3);
    }

    #[test]
    fn values_are_told_apart_wherever_they_end() {
        let schema = Schema::new(vec![Field::new("a", Type::String), Field::new("b", Type::String)]).unwrap();
        let mut buckets = Buckets::new(PartitionBy::parse(&["a".into(), "b".into()], &schema).unwrap());
        assert_eq!(buckets.for_values(&some(&["xy", ""])), 0);
        assert_eq!(buckets.for_values(&some(&["x", "y"])), 1);
        assert_eq!(buckets.for_values(&[Some("xy".into()), None]), 2);
        assert_eq!(buckets.for_values(&[None, Some("xy".into())]), 3);
        assert_eq!(buckets.values(1), some(&["x", "y"]));
        assert_eq!(buckets.values(3), [None, Some("xy".into())]);
    }
}
