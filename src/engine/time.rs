//! Event time and the epochs that tumble over it.
//!
//! # Units
//! Microseconds since the Unix epoch, UTC, without leap seconds, in an `i64`.

use std::fmt;

use chrono::{DateTime, Datelike, Timelike, Utc};
use serde::{Deserialize, Serialize};

/// A point in event time, in microseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventTime(pub i64);

/// The earliest event time a row may have: 0001-01-01T00:00:00Z.
pub const EARLIEST: EventTime = EventTime(-62_135_596_800_000_000);
/// The first event time beyond those a row may have: 10000-01-01T00:00:00Z.
pub const BEYOND_LATEST: EventTime = EventTime(253_402_300_800_000_000);

impl EventTime {
    /// Returns the time that `ms` milliseconds since the Unix epoch (a Kafka timestamp) name.
    #[must_use]
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms.saturating_mul(1000))
    }

    /// Returns the milliseconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn as_ms(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Whether the time lies in the years 1 to 9999, which every reader of Parquet can show.
    #[must_use]
    pub fn is_plausible(self) -> bool {
        (EARLIEST..BEYOND_LATEST).contains(&self)
    }

    /// Returns this time moved by `us` microseconds; stops at the ends of the range of an `i64`.
    #[must_use]
    pub const fn plus_us(self, us: i64) -> Self {
        Self(self.0.saturating_add(us))
    }

    /// Returns the calendar view of this time in UTC.
    ///
    /// Times outside the years that the calendar knows are shown as the Unix epoch; no row has such a time.
    #[must_use]
    pub fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// Returns year, month, day and hour in UTC: the derived partition columns.
    #[must_use]
    pub fn civil(self) -> Civil {
        let utc = self.utc();
        Civil { year: utc.year(), month: utc.month(), day: utc.day(), hour: utc.hour() }
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.utc().format("%Y-%m-%dT%H:%M:%S%.fZ"))
    }
}

/// The calendar parts of an event time in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Civil {
    /// Year, 1 to 9999.
    pub year: i32,
    /// Month, 1 to 12.
    pub month: u32,
    /// Day of the month, 1 to 31.
    pub day: u32,
    /// Hour, 0 to 23.
    pub hour: u32,
}

/// The length of an epoch: a positive number of microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64")]
pub struct EpochLength(i64);

impl TryFrom<i64> for EpochLength {
    type Error = &'static str;

    fn try_from(us: i64) -> Result<Self, Self::Error> {
        Self::from_us(us).ok_or("an epoch is whole seconds that divide a day")
    }
}

impl EpochLength {
    /// Returns a length of `us` microseconds, or `None` unless it is at least one second, at most one day, and
    /// divides a day (so that no epoch spans two dates).
    #[must_use]
    pub const fn from_us(us: i64) -> Option<Self> {
        const DAY_US: i64 = 86_400_000_000;
        if us >= 1_000_000 && us <= DAY_US && DAY_US % us == 0 && us % 1_000_000 == 0 { Some(Self(us)) } else { None }
    }

    /// Returns the length in microseconds.
    #[must_use]
    pub const fn as_us(self) -> i64 {
        self.0
    }

    /// Returns the epoch that holds `time`: a pure function of the event time.
    #[must_use]
    pub const fn epoch_of(self, time: EventTime) -> Epoch {
        let start = self.floor(time);
        Epoch { start, end: start.plus_us(self.0) }
    }

    /// Returns the greatest epoch boundary at or before `time`.
    #[must_use]
    pub const fn floor(self, time: EventTime) -> EventTime {
        EventTime(time.0.saturating_sub(time.0.rem_euclid(self.0)))
    }
}

/// A tumbling window of event time, `[start, end)`, aligned to the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch {
    /// The first time inside.
    pub start: EventTime,
    /// The first time behind.
    pub end: EventTime,
}

impl Epoch {
    /// Returns the start as it stands in the names of files and markers: `20261122T171500Z`.
    #[must_use]
    pub fn label(&self) -> String {
        self.start.utc().format("%Y%m%dT%H%M%SZ").to_string()
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_a_pure_function_of_the_event_time() {
        let quarter = EpochLength::from_us(900_000_000).expect("15 minutes divide a day");
        let epoch = quarter.epoch_of(EventTime(1_795_367_745_123_456)); // 2026-11-22T17:15:45.123456Z
        assert_eq!(epoch.label(), "20261122T171500Z");
        assert_eq!(epoch.end.to_string(), "2026-11-22T17:30:00Z");
        assert_eq!(quarter.epoch_of(epoch.start), epoch);
        assert_ne!(quarter.epoch_of(epoch.end), epoch);
    }

    #[test]
    fn epochs_before_1970_are_aligned_too() {
        let quarter = EpochLength::from_us(900_000_000).expect("15 minutes divide a day");
        assert_eq!(quarter.epoch_of(EventTime(-1)).label(), "19691231T234500Z");
    }

    #[test]
    fn an_epoch_length_divides_a_day() {
        assert!(serde_json::from_str::<EpochLength>("0").is_err());
        assert_eq!(serde_json::to_string(&EpochLength(900_000_000)).expect("a number"), "900000000");
        assert!(EpochLength::from_us(7 * 60_000_000).is_none());
        assert!(EpochLength::from_us(0).is_none());
        assert!(EpochLength::from_us(500_000).is_none());
        assert!(EpochLength::from_us(86_400_000_000).is_some());
    }
}
