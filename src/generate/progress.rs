//! What a person at a terminal, or a log, sees while events are made.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::engine::time::EventTime;

/// How often a line is written where no terminal shows a bar.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// A bar on a terminal, otherwise a line from time to time; all on standard error.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    next_line: Duration,
}

impl Progress {
    /// Starts showing the progress towards `limit` events, or without an end.
    pub(super) fn start(limit: Option<u64>) -> Self {
        let bar = io::stderr().is_terminal().then(|| match limit {
            Some(limit) => ProgressBar::new(limit)
                .with_style(style("{bar:30} {human_pos} of {human_len} events, {per_sec}, {msg}, {eta} to go")),
            None => ProgressBar::new_spinner().with_style(style("{spinner} {human_pos} events, {per_sec}, {msg}")),
        });
        Self { bar, next_line: LINE_EVERY }
    }

    /// Shows that `events` were made in `elapsed`, up to `event_time`.
    pub(super) fn update(&mut self, elapsed: Duration, events: u64, event_time: EventTime) {
        if let Some(bar) = &self.bar {
            bar.set_position(events);
            bar.set_message(format!("event time {}", event_time.utc().format("%F %T")));
        } else if elapsed >= self.next_line {
            self.next_line = elapsed + LINE_EVERY;
            let rate = per_second(events, elapsed);
            self.note(&format!("{events} events ({rate}/s), event time {event_time}"));
        }
    }

    /// Writes a line.
    pub(super) fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| print(line)),
            None => print(line),
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Returns events a second, rounded down.
pub(super) fn per_second(events: u64, elapsed: Duration) -> u128 {
    u128::from(events) * 1_000_000 / elapsed.as_micros().max(1)
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn print(line: &str) {
    let _ = writeln!(io::stderr(), "{line}"); // nobody is told when standard error is closed
}
