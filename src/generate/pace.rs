//! How many events are due when.

use std::time::Duration;

use super::PaceConfig;

/// Returns a positive number of seconds in picoseconds, unless they are too many.
pub(super) fn picoseconds(seconds: f64) -> Option<u64> {
    u64::try_from(Duration::try_from_secs_f64(seconds * 1000.0).ok()?.as_nanos()).ok()
}

/// When the next event is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// This many, at once.
    Now(u64),
    /// None before this time has passed.
    In(Duration),
    /// None any more.
    Nothing,
}

/// How many events may have been made at which time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Wall time from one event to the next, in picoseconds; `None`: as fast as possible.
    interval_ps: Option<u64>,
    pub(super) limit: Option<u64>,
    end: Option<Duration>,
}

impl Pace {
    pub(super) fn new(config: &PaceConfig) -> Self {
        let interval_ps = config.rate.and_then(|rate| picoseconds(1.0 / rate)).filter(|interval| *interval > 0);
        let paced = interval_ps.zip(config.duration).and_then(|(interval_ps, duration)| {
            u64::try_from(duration.as_nanos() * 1000 / u128::from(interval_ps)).ok()
        });
        let limit = paced.into_iter().chain(config.count).min();
        Self { interval_ps, limit, end: if paced.is_some() { None } else { config.duration } }
    }

    /// Returns how many events are due when `made` were made in `elapsed`.
    pub(super) fn due(&self, elapsed: Duration, made: u64) -> Due {
        let left = self.limit.map_or(u64::MAX, |limit| limit.saturating_sub(made));
        if left == 0 || self.end.is_some_and(|end| elapsed >= end) {
            return Due::Nothing;
        }
        let Some(interval_ps) = self.interval_ps.map(u128::from) else { return Due::Now(left) };
        let elapsed_ps = elapsed.as_nanos() * 1000;
        let next_ps = u128::from(made) * interval_ps; // the event number `made`, counted from 0, is due then
        match elapsed_ps.checked_sub(next_ps) {
            Some(over_ps) => Due::Now(u64::try_from(over_ps / interval_ps + 1).unwrap_or(u64::MAX).min(left)),
            None => {
                let wait_ns = u64::try_from((next_ps - elapsed_ps).div_ceil(1000)).unwrap_or(u64::MAX);
                Due::In(Duration::from_nanos(wait_ns))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn pace(rate: Option<f64>, count: Option<u64>, duration: Option<Duration>) -> Pace {
        Pace::new(&PaceConfig { rate, count, duration })
    }

    #[test]
    fn a_rate_spaces_the_events_evenly() {
        let pace = pace(Some(100.0), None, None);
        assert_eq!(pace.due(ms(0), 0), Due::Now(1));
        assert_eq!(pace.due(ms(0), 1), Due::In(ms(10)));
        assert_eq!(pace.due(ms(7), 1), Due::In(ms(3)));
        assert_eq!(pace.due(ms(10), 1), Due::Now(1));
        assert_eq!(pace.due(ms(99), 1), Due::Now(9)); // those at 10, 20, … 90 ms
    }

    #[test]
    fn without_a_rate_everything_is_due_at_once() {
        assert_eq!(pace(None, Some(1000), None).due(ms(0), 400), Due::Now(600));
        assert_eq!(pace(None, None, None).due(ms(0), 5), Due::Now(u64::MAX));
    }

    #[test]
    fn the_lower_limit_wins() {
        assert_eq!(pace(Some(100.0), Some(70), Some(ms(500))).limit, Some(50));
        assert_eq!(pace(Some(100.0), Some(20), Some(ms(500))).limit, Some(20));
        assert_eq!(pace(Some(100.0), Some(20), None).due(ms(900), 20), Due::Nothing);
    }

    #[test]
    fn a_duration_without_a_rate_ends_by_the_clock() {
        let pace = pace(None, None, Some(ms(500)));
        assert_eq!(pace.due(ms(499), 1), Due::Now(u64::MAX));
        assert_eq!(pace.due(ms(500), 1), Due::Nothing);
    }
}
