//! Appending text to a buffer of bytes: formatted, as JSON, and times.

use std::fmt::Arguments;
use std::io::Write as _;

use chrono::{Datelike as _, Timelike as _};

use crate::engine::time::EventTime;

/// Appends formatted text.
pub(super) fn append(out: &mut Vec<u8>, text: Arguments<'_>) {
    let _ = out.write_fmt(text); // a `Vec` takes everything
}

/// Appends `text` as the inside of a JSON string in ASCII, as most producers write it: `’` becomes `\u2019`.
pub(super) fn append_escaped(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        match c {
            '"' | '\\' => append(out, format_args!("\\{c}")),
            ' '..='~' => append(out, format_args!("{c}")),
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| append(out, format_args!("\\u{unit:04x}"))),
        }
    }
}

/// How long a rendered time is: `2026-11-22 17:10:16.211964`.
const LEN: usize = 26;

/// Renders event times as `2026-11-22 17:10:16.211964` (UTC, without an offset).
///
/// The text of the second before is kept, since events of one second mostly come together.
#[derive(Debug)]
pub(super) struct TimeText {
    second: i64,
    text: [u8; LEN],
}

impl Default for TimeText {
    fn default() -> Self {
        Self { second: 0, text: *b"1970-01-01 00:00:00.000000" }
    }
}

impl TimeText {
    /// Returns the text of `time`, which must lie in the years 1 to 9999.
    #[inline]
    pub(super) fn render(&mut self, time: EventTime) -> &[u8; LEN] {
        let second = time.0.div_euclid(1_000_000);
        if second != self.second {
            self.second = second;
            let utc = time.utc();
            digits(&mut self.text[0..4], u64::from(utc.year().unsigned_abs()));
            digits(&mut self.text[5..7], u64::from(utc.month()));
            digits(&mut self.text[8..10], u64::from(utc.day()));
            digits(&mut self.text[11..13], u64::from(utc.hour()));
            digits(&mut self.text[14..16], u64::from(utc.minute()));
            digits(&mut self.text[17..19], u64::from(utc.second()));
        }
        digits(&mut self.text[20..26], time.0.rem_euclid(1_000_000).unsigned_abs());
        &self.text
    }
}

/// Fills `text` with the last decimal digits of `number`.
#[inline]
fn digits(text: &mut [u8], mut number: u64) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0); // one digit
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_rendered_like_that_of_the_real_events() {
        let mut text = TimeText::default();
        let mut render = |us| String::from_utf8_lossy(text.render(EventTime(us))).into_owned();
        assert_eq!(render(0), "1970-01-01 00:00:00.000000");
        assert_eq!(render(1_795_367_416_211_964), "2026-11-22 17:10:16.211964");
        assert_eq!(render(1_795_367_416_211_965), "2026-11-22 17:10:16.211965");
        assert_eq!(render(1_795_367_417_000_000), "2026-11-22 17:10:17.000000");
        assert_eq!(render(-1), "1969-12-31 23:59:59.999999");
    }

    #[test]
    fn text_beyond_ascii_is_escaped() {
        let mut out = Vec::new();
        append_escaped(&mut out, "Alatyr’ \"\\\" 😀\n");
        assert_eq!(String::from_utf8_lossy(&out), r#"Alatyr\u2019 \"\\\" \ud83d\ude00\u000a"#);
    }
}
