//! Whether records come so slowly that a worker lets them gather, so that more of them share what a turn costs: processors that have been
//! idle for a moment have forgotten the dictionaries of its lanes.

use std::time::Duration;

/// The most records that a worker takes at once.
pub(super) const BATCH: usize = 2_048;
/// Fewer records are few.
const FEW: usize = BATCH / 4;
/// How long records may gather. A message ends the wait; who waits for a close to be published waits so much longer, at most.
const GATHER: Duration = Duration::from_millis(400);

/// What a worker knows of the pace of its records.
#[derive(Debug, Default)]
pub(super) struct Lull {
    /// Whether few were taken last.
    is_slow: bool,
    gathers: bool,
}

impl Lull {
    /// Notes how many records the worker has just taken and is done with; and whether there are more to take, as far as it knows.
    ///
    /// Few may be a moment's matter, as when a broker is slower than the worker: only the second time the next ones gather. After that, anything
    /// less than a full batch is few.
    pub(super) fn note(&mut self, records: usize, is_behind: bool) {
        let few = if self.gathers { BATCH } else { FEW };
        let was_slow = std::mem::replace(&mut self.is_slow, !is_behind && (1..few).contains(&records));
        self.gathers = self.is_slow && (self.gathers || was_slow);
    }

    /// Whether the next records are to gather, or the last ones have.
    pub(super) const fn gathers(&self) -> bool {
        self.gathers
    }

    /// Returns how long they are to gather.
    pub(super) const fn wait(&self) -> Duration {
        if self.gathers { GATHER } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns after which of these numbers of records others gather.
    fn gathers(taken: &[usize]) -> Vec<bool> {
        let mut lull = Lull::default();
        let note = |records: &usize| {
            lull.note(*records, *records == BATCH);
            assert_eq!(lull.wait().is_zero(), !lull.gathers());
            lull.gathers()
        };
        taken.iter().map(note).collect()
    }

    #[test]
    fn records_that_come_slowly_gather_as_long_as_they_do() {
        assert_eq!(
            gathers(&[100, 100, 2_000, 600, 0, 600, 5, 5]),
            [false, true, true, true, false, false, false, true]
        );
        assert_eq!(gathers(&[5, 5, BATCH, 5, 5]), [false, true, false, false, true], "a full batch ends it");
    }

    #[test]
    fn a_broker_that_is_slow_for_a_moment_is_not_waited_for() {
        assert_eq!(gathers(&[2_000, 100, 2_000, 700, 511, 512]), [false; 6]);
    }

    #[test]
    fn few_records_do_not_gather_while_there_are_more_to_take() {
        let mut lull = Lull::default();
        for (is_behind, gathers) in [(true, false), (true, false), (false, false), (false, true), (true, false)] {
            lull.note(5, is_behind);
            assert_eq!(lull.gathers(), gathers);
        }
    }
}
