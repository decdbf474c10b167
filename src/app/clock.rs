//! The only reader of clocks.
#![allow(clippy::disallowed_methods, reason = "this module is where the clocks are read")]

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::engine::event::Now;
use crate::engine::time::EventTime;

static STARTED: OnceLock<Instant> = OnceLock::new();

/// Returns the time since the clock was first asked.
#[must_use]
pub fn elapsed() -> Duration {
    STARTED.get_or_init(Instant::now).elapsed()
}

/// Returns the wall clock.
#[must_use]
pub fn wall() -> SystemTime {
    let now = SystemTime::now();
    #[cfg(feature = "fail-points")]
    let now = now + super::fail_point::wall_clock_jump();
    now
}

/// Returns what a lane is told.
#[must_use]
pub fn now() -> Now {
    let since = wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall = EventTime(i64::try_from(since.as_micros()).unwrap_or(i64::MAX));
    // One second ahead, so that time 0 lies before everything.
    let mono_ms = u64::try_from(elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1_000);
    Now { mono_ms, wall }
}
