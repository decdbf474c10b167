//! Any text: a time is read as chrono reads it, and is shown and read back the same.

use chrono::{DateTime, NaiveDateTime, SubsecRound, Timelike};
use chrono_tz::Tz;
use streams_to_parquet::record::timestamp::{TimeUnit, TimestampParser};

const UNITS: [TimeUnit; 5] =
    [TimeUnit::Auto, TimeUnit::Seconds, TimeUnit::Milliseconds, TimeUnit::Microseconds, TimeUnit::Nanoseconds];
const ZONES: [Tz; 3] = [Tz::UTC, Tz::America__New_York, Tz::Australia__Lord_Howe];

pub fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    for unit in UNITS {
        for zone in ZONES {
            let parser = TimestampParser::new(unit, zone);
            let read = parser.parse(text);
            if let Ok(time) = read {
                assert!(time.is_plausible(), "{text:?} is {time:?}");
                assert_eq!(TimestampParser::new(unit, Tz::UTC).parse(&time.to_string()), Ok(time), "{text:?}");
            }
            let quoted = serde_json::Value::from(text).to_string();
            assert_eq!(parser.parse_json(&quoted), read, "{quoted}");
            let _ = parser.parse_json(text);
        }
    }
    let utc = TimestampParser::new(TimeUnit::Auto, Tz::UTC);
    if let Some(us) = by_chrono(text) {
        assert_eq!(utc.parse(text).map(|time| time.0), Ok(us), "{text:?}");
    }
}

/// What chrono reads, in the forms that both know, for the years that rows may have.
fn by_chrono(text: &str) -> Option<i64> {
    if !text.is_ascii() || text.starts_with(['+', '-']) {
        return None;
    }
    let time = match DateTime::parse_from_rfc3339(text) {
        Ok(time) => time.naive_utc(),
        // Chrono is generous: it takes white space, signs and single digits. The form is checked by hand.
        Err(_) if text.as_bytes().get(10) == Some(&b' ') => {
            let shape = text.bytes().take(19).map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
            if !shape.eq(*b"0000-00-00 00:00:00") || text.ends_with('.') {
                return None;
            }
            NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok()?
        }
        Err(_) => return None,
    };
    // A leap second is the last microsecond of its minute here.
    let time = if time.nanosecond() >= 1_000_000_000 { time.with_nanosecond(999_999_000)? } else { time };
    let year_one = NaiveDateTime::parse_from_str("0001-01-01 00:00:00", "%Y-%m-%d %H:%M:%S").ok()?;
    let beyond = NaiveDateTime::parse_from_str("9999-12-31 23:59:59.999999999", "%Y-%m-%d %H:%M:%S%.f").ok()?;
    (year_one..=beyond).contains(&time).then(|| time.trunc_subsecs(6).and_utc().timestamp_micros())
}
