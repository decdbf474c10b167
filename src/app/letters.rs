//! The dead letters of a lane that no entry holds yet.

use std::collections::HashMap;

use arrow::error::ArrowError;

use crate::engine::time::EventTime;
use crate::parquet::DeadRows;
use crate::record::{DeadLetters, Record, Rejection};

const DAY_US: i64 = 86_400_000_000;
/// What the values of a day take, in bytes, about.
const DAY_BYTES: usize = 256;

/// Dead letters in memory, and the buckets that they go to: their day, by the Kafka timestamp.
#[derive(Debug, Default)]
pub(super) struct Letters {
    rows: DeadLetters,
    buckets: Vec<u32>,
    values: Vec<Vec<Option<String>>>,
    /// The bucket of each day, in days since the Unix epoch.
    days: HashMap<i64, u32>,
}

impl Letters {
    /// Keeps a record: with its bytes, its coordinates and the reason. `false`, and nothing kept, if there is no room.
    #[must_use]
    pub(super) fn keep(&mut self, record: &Record<'_>, rejection: &Rejection) -> bool {
        let Record { coordinates, key, value } = *record;
        // Without a Kafka timestamp the letter lies in 1970: a folder that says so.
        let at = coordinates.kafka_time().unwrap_or(EventTime(0));
        let day = at.0.div_euclid(DAY_US);
        let bucket = *self.days.entry(day).or_insert_with(|| {
            let civil = at.civil();
            let values = [civil.year.to_string(), civil.month.to_string(), civil.day.to_string()];
            self.values.push(values.map(Some).to_vec());
            u32::try_from(self.values.len() - 1).unwrap_or(u32::MAX)
        });
        let kept = self.rows.push(coordinates, key, value, rejection.reason, &rejection.detail);
        if kept {
            self.buckets.push(bucket);
        }
        kept
    }

    /// Takes the dead letters out, if there are any; their buckets come behind those in `buckets`.
    pub(super) fn cut(&mut self, buckets: &mut Vec<Vec<Option<String>>>) -> Result<Option<DeadRows>, ArrowError> {
        if self.rows.is_empty() {
            return Ok(None);
        }
        let shift = u32::try_from(buckets.len()).unwrap_or(u32::MAX);
        let mut own = std::mem::take(&mut self.buckets);
        own.iter_mut().for_each(|bucket| *bucket += shift);
        buckets.append(&mut self.values);
        self.days.clear();
        Ok(Some(DeadRows { rows: self.rows.finish()?, buckets: own }))
    }

    /// Returns the memory that they hold, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes() + self.buckets.capacity() * size_of::<u32>() + self.days.len() * DAY_BYTES
    }
}
