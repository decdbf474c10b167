//! Event times as events write them: RFC 3339, the same with a space or without an offset, and Unix numbers.
//!
//! # Rules
//! * Precision to the microsecond is kept; further digits are cut off, toward the past.
//! * A leap second (`:60`) is the last microsecond of the second before it, so that it stays in its own minute.
//! * A time without an offset is a local time of the configured zone. One that clocks showed twice is the earlier of the two; one
//!   that clocks skipped is moved forward by what they skipped.
//! * A number is Unix time in the configured unit; with [`TimeUnit::Auto`] its magnitude tells the unit: [`unit_of`].
//!   A string of digits counts as a number.
//! * A time outside the years 1 to 9999 is [`TimeError::OutOfRange`]. A date without a time is no time.

use chrono::{MappedLocalTime, NaiveDate, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;

use super::json;
use super::number::Decimal;
use crate::engine::time::EventTime;

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;

/// The unit of event times that are numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeUnit {
    /// Seconds since the Unix epoch.
    Seconds,
    /// Milliseconds since the Unix epoch.
    Milliseconds,
    /// Microseconds since the Unix epoch.
    Microseconds,
    /// Nanoseconds since the Unix epoch.
    Nanoseconds,
    /// Told by the magnitude of each number: [`unit_of`].
    #[default]
    Auto,
}

impl TimeUnit {
    /// Returns how many decimal places a number of this unit lies behind one of microseconds.
    const fn power(self) -> i32 {
        match self {
            Self::Seconds => 6,
            Self::Milliseconds => 3,
            Self::Microseconds | Self::Auto => 0,
            Self::Nanoseconds => -3,
        }
    }
}

impl std::str::FromStr for TimeUnit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "s" => Ok(Self::Seconds),
            "ms" => Ok(Self::Milliseconds),
            "us" | "µs" => Ok(Self::Microseconds),
            "ns" => Ok(Self::Nanoseconds),
            "auto" => Ok(Self::Auto),
            other => Err(format!("`{other}` is no unit of time; known are s, ms, us, ns, auto")),
        }
    }
}

/// Returns the unit that a Unix time of this magnitude (whole part, sign aside) is taken to have.
///
/// Below 100 billion (10^11) seconds, below 10^14 milliseconds, below 10^17 microseconds, else nanoseconds. So seconds are
/// understood up to the year 5138, and the finer units from March 1973 on: times before need a configured unit.
#[must_use]
pub const fn unit_of(magnitude: u128) -> TimeUnit {
    match magnitude {
        0..100_000_000_000 => TimeUnit::Seconds,
        100_000_000_000..100_000_000_000_000 => TimeUnit::Milliseconds,
        100_000_000_000_000..100_000_000_000_000_000 => TimeUnit::Microseconds,
        _ => TimeUnit::Nanoseconds,
    }
}

/// Why a value is no event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeError {
    /// It does not read as a time.
    Unparsable,
    /// It reads as a time outside the years 1 to 9999.
    OutOfRange,
}

/// Reads event times: knows the unit of numbers and the zone of local times.
#[derive(Debug, Clone)]
pub struct TimestampParser {
    unit: TimeUnit,
    zone: Tz,
}

impl TimestampParser {
    /// Returns a parser for numbers in `unit` and local times in `zone`.
    #[must_use]
    pub const fn new(unit: TimeUnit, zone: Tz) -> Self {
        Self { unit, zone }
    }

    /// Reads a JSON value if it is a string that reads as a time without further ado, as most are.
    #[inline]
    pub(super) fn parse_plain(&self, value: &[u8]) -> Option<Result<EventTime, TimeError>> {
        let [b'"', text @ .., b'"'] = value else { return None };
        Civil::read(text).map(|civil| self.resolve(&civil).and_then(plausible))
    }

    /// Reads the text of a JSON value: a string or a number.
    ///
    /// # Errors
    /// Says whether it is no time, or one that no row may have.
    pub fn parse_json(&self, value: &str) -> Result<EventTime, TimeError> {
        match value.as_bytes().first() {
            Some(b'"') => self.parse(&json::string(value).ok_or(TimeError::Unparsable)?),
            Some(b'-' | b'0'..=b'9') => self.number(value),
            _ => Err(TimeError::Unparsable),
        }
    }

    /// Reads a time or a number out of `text`.
    ///
    /// # Errors
    /// Says whether it is no time, or one that no row may have.
    pub fn parse(&self, text: &str) -> Result<EventTime, TimeError> {
        match Civil::read(text.as_bytes()) {
            Some(civil) => self.resolve(&civil).and_then(plausible),
            None if is_number(text) => self.number(text),
            None if has_absurd_year(text) => Err(TimeError::OutOfRange),
            None => Err(TimeError::Unparsable),
        }
    }

    fn number(&self, text: &str) -> Result<EventTime, TimeError> {
        let number = Decimal::parse(text).ok_or(TimeError::Unparsable)?;
        let unit = match self.unit {
            TimeUnit::Auto => unit_of(number.floor_scaled(0).map_or(u128::MAX, i128::unsigned_abs)),
            TimeUnit::Seconds | TimeUnit::Milliseconds | TimeUnit::Microseconds | TimeUnit::Nanoseconds => self.unit,
        };
        let us = number.floor_scaled(unit.power()).ok_or(TimeError::OutOfRange)?;
        plausible(EventTime(i64::try_from(us).map_err(|_| TimeError::OutOfRange)?))
    }

    fn resolve(&self, civil: &Civil) -> Result<EventTime, TimeError> {
        match civil.offset_us {
            Some(offset_us) => Ok(EventTime(civil.local_us - offset_us)),
            None if self.zone == Tz::UTC => Ok(EventTime(civil.local_us)),
            None => self.local(civil.local_us).ok_or(TimeError::OutOfRange),
        }
    }

    /// Returns the instant at which clocks of the zone show a local time: the first of two, or behind a gap.
    fn local(&self, local_us: i64) -> Option<EventTime> {
        let local = chrono::DateTime::from_timestamp_micros(local_us)?.naive_utc();
        let resolve = |local: NaiveDateTime| match self.zone.from_local_datetime(&local) {
            MappedLocalTime::Single(time) | MappedLocalTime::Ambiguous(time, _) => Some(time.timestamp_micros()),
            MappedLocalTime::None => None,
        };
        if let Some(us) = resolve(local) {
            return Some(EventTime(us));
        }
        // Clocks went forward over this time: read it with the offset that was in force before (the day before, that is).
        let before = local.checked_sub_signed(TimeDelta::days(1))?;
        Some(EventTime(resolve(before)? + DAY_US))
    }
}

fn plausible(time: EventTime) -> Result<EventTime, TimeError> {
    if time.is_plausible() { Ok(time) } else { Err(TimeError::OutOfRange) }
}

/// Whether `text` is digits with at most a sign, a point and an exponent.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit()) && Decimal::parse(text).is_some()
}

/// Whether `text` would be a time, were its year not outside 1 to 9999.
fn has_absurd_year(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let year = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let Some(rest) = unsigned.get(year..) else { return false };
    let outside = year > 4 || (year == 4 && unsigned.len() < text.len());
    outside && Civil::read(format!("2000{rest}").as_bytes()).is_some()
}

/// Returns the day of `text`, exactly `YYYY-MM-DD`, in days since the Unix epoch; `None` if there is no such day.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let bytes: &[u8; 10] = text.as_bytes().try_into().ok()?;
    let day = date(bytes)?;
    plausible(EventTime(day * DAY_US)).ok()?;
    i32::try_from(day).ok()
}

/// A time as it is written: what clocks showed, and their offset from UTC if it is told.
struct Civil {
    local_us: i64,
    offset_us: Option<i64>,
}

impl Civil {
    /// Reads `YYYY-MM-DD[T ]hh:mm:ss[.f…][Z|±hh:mm|±hhmm|±hh]`.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (head, tail) = bytes.split_first_chunk::<19>()?;
        let (day, clock) = head.split_first_chunk::<10>()?;
        let [b'T' | b't' | b' ', h1, h0, b':', m1, m0, b':', s1, s0] = *clock else { return None };
        let (hour, minute, second) = (two(h1, h0)?, two(m1, m0)?, two(s1, s0)?);
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let (mut fraction_us, zone) = fraction(tail)?;
        let mut seconds = hour * 3600 + minute * 60 + second;
        if second == 60 {
            (seconds, fraction_us) = (seconds - 1, SECOND_US - 1);
        }
        let local_us = date(day)? * DAY_US + seconds * SECOND_US + fraction_us;
        let offset_us = match *zone {
            [] => None,
            [b'Z' | b'z'] => Some(0),
            [sign @ (b'+' | b'-'), ref rest @ ..] => {
                let (hours, minutes) = match *rest {
                    [h1, h0, b':', m1, m0] | [h1, h0, m1, m0] => (two(h1, h0)?, two(m1, m0)?),
                    [h1, h0] => (two(h1, h0)?, 0),
                    _ => return None,
                };
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let us = (hours * 60 + minutes) * 60 * SECOND_US;
                Some(if sign == b'-' { -us } else { us })
            }
            _ => return None,
        };
        Some(Self { local_us, offset_us })
    }
}

/// Reads `.f…` in front of `tail`, if it is there: microseconds, and what follows.
fn fraction(tail: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.' | b',', digits @ ..] = tail else { return Some((0, tail)) };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at_checked(length)?;
    if digits.is_empty() {
        return None;
    }
    let mut us = 0;
    for place in 0..6 {
        us = us * 10 + digits.get(place).map_or(0, |byte| i64::from(byte - b'0'));
    }
    Some((us, rest))
}

/// Returns days since the Unix epoch of a day in the proleptic Gregorian calendar.
fn date(text: &[u8; 10]) -> Option<i64> {
    let [y3, y2, y1, y0, b'-', m1, m0, b'-', d1, d0] = *text else { return None };
    let year = two(y3, y2)? * 100 + two(y1, y0)?;
    let (month, day) = (two(m1, m0)?, two(d1, d0)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if day < 1 || day > last {
        return None;
    }
    // Count from 1 March, so that the leap day is the last of its year. <https://howardhinnant.github.io/date_algorithms.html>
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468)
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

/// Returns the day that lies `days` after the Unix epoch.
pub(crate) fn day(days: i32) -> NaiveDate {
    NaiveDate::from_epoch_days(days).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn utc() -> TimestampParser {
        TimestampParser::new(TimeUnit::Auto, Tz::UTC)
    }

    fn shown(text: &str) -> String {
        utc().parse(text).map_or_else(|error| format!("{error:?}"), |time| time.to_string())
    }

    fn berlin(text: &str) -> String {
        let parser = TimestampParser::new(TimeUnit::Auto, Tz::Europe__Berlin);
        parser.parse(text).unwrap().to_string()
    }

    #[test]
    fn every_way_to_write_a_time_is_read() {
        for text in [
            "2026-11-22T17:10:16.211964Z",
            "2026-11-22t17:10:16.211964z",
            "2026-11-22 17:10:16.211964",
            "2026-11-22T18:10:16.211964+01:00",
            "2026-11-22 11:40:16.211964-0530",
            "2026-11-22T19:10:16.2119649999+02",
            "1795367416.211964",
            "1795367416211.964",
            "1795367416211964",
            "1795367416211964999",
        ] {
            assert_eq!(shown(text), "2026-11-22T17:10:16.211964Z", "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_told_from_a_time_out_of_range() {
        for text in ["", "2026-11-22", "2026-02-29T00:00:00Z", "2026-11-22T24:00:00Z", "now", "2026-11-22T17:10Z", "1e"]
        {
            assert_eq!(shown(text), "Unparsable", "{text}");
        }
        for text in ["0000-01-01T00:00:00Z", "99999-01-01T00:00:00Z", "-2026-01-01 00:00:00", "+12026-01-01T00:00:00Z"]
        {
            assert_eq!(shown(text), "OutOfRange", "{text}");
        }
        assert_eq!(shown("0001-01-01T00:00:00+00:01"), "OutOfRange");
        assert_eq!(shown("0001-01-01T00:00:00Z"), "0001-01-01T00:00:00Z");
        assert_eq!(shown("9999-12-31T23:59:59.999999Z"), "9999-12-31T23:59:59.999999Z");
        assert_eq!(shown("1e30"), "OutOfRange");
        assert_eq!(shown("1e999999999999"), "OutOfRange");
    }

    #[test]
    fn a_leap_second_stays_in_its_own_minute() {
        assert_eq!(shown("2016-12-31T23:59:60.5Z"), "2016-12-31T23:59:59.999999Z");
    }

    #[test]
    fn digits_beyond_the_microsecond_are_cut_off_toward_the_past() {
        assert_eq!(utc().parse("-0.0000001"), Ok(EventTime(-1)));
        assert_eq!(utc().parse("0.0000019"), Ok(EventTime(1)));
        assert_eq!(utc().parse("1969-12-31T23:59:59.9999999Z"), Ok(EventTime(-1)));
    }

    #[test]
    fn a_configured_unit_wins_over_the_magnitude() {
        let ms = TimestampParser::new(TimeUnit::Milliseconds, Tz::UTC);
        assert_eq!(ms.parse_json("1500"), Ok(EventTime(1_500_000)));
        assert_eq!(ms.parse_json("\"1500.25\""), Ok(EventTime(1_500_250)));
        assert_eq!(ms.parse_json("true"), Err(TimeError::Unparsable));
    }

    #[test]
    fn the_magnitude_tells_the_unit() {
        assert_eq!(unit_of(99_999_999_999), TimeUnit::Seconds);
        assert_eq!(unit_of(100_000_000_000), TimeUnit::Milliseconds);
        assert_eq!(unit_of(100_000_000_000_000), TimeUnit::Microseconds);
        assert_eq!(unit_of(100_000_000_000_000_000), TimeUnit::Nanoseconds);
    }

    #[test]
    fn a_local_time_is_read_in_the_zone() {
        assert_eq!(berlin("2026-07-01 12:00:00"), "2026-07-01T10:00:00Z");
        assert_eq!(berlin("2026-07-01 12:00:00Z"), "2026-07-01T12:00:00Z");
        assert_eq!(berlin("2026-10-25 02:30:00"), "2026-10-25T00:30:00Z"); // shown twice: the earlier
        assert_eq!(berlin("2026-03-29 02:30:00"), "2026-03-29T01:30:00Z"); // skipped: 03:30 summer time
    }

    proptest! {
        #[test]
        fn every_microsecond_is_read_as_chrono_writes_it(us in -62_135_596_800_000_000_i64..253_402_300_800_000_000) {
            prop_assert_eq!(utc().parse(&EventTime(us).to_string()), Ok(EventTime(us)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+0-9TZ:. e]{0,30}") {
            let _ = utc().parse(&text);
        }
    }
}
