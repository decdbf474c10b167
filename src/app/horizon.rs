//! How far a lane's log goes on: whether its end can be among the next records, which must not be taken together then ([`Taking`]).
//!
//! [`Taking`]: crate::kafka::ffi::Taking

use crate::engine::state::Offset;

/// How often the distance is doubled at most.
const MOST_DOUBLED: u32 = 20;

/// What is known of the end of a lane's log.
#[derive(Debug, Default)]
pub(super) struct Horizon {
    /// Where it was when it was last looked for.
    seen: Option<Offset>,
    /// Where it was when librdkafka last told of it.
    told: Option<Offset>,
    /// Librdkafka is not expected to tell of that end once more.
    is_settled: bool,
    /// How many ends were among records that were taken together.
    met: u32,
}

impl Horizon {
    /// Notes where the log ends, as far as is known.
    pub(super) const fn look(&mut self, end: Option<Offset>) {
        self.seen = end;
    }

    /// Notes an end that was told by itself.
    pub(super) const fn hear(&mut self, end: Offset) {
        self.told = Some(end);
        self.is_settled = true;
    }

    /// Notes an end that was among records that were taken together: if it is news, more is asked the next time.
    pub(super) fn meet(&mut self, end: Offset) {
        self.met = self.met.saturating_add(u32::from(self.told != Some(end)));
        self.told = Some(end);
        self.is_settled = false;
    }

    /// Notes that librdkafka fetches anew: an end at which nothing has changed is told again.
    pub(super) const fn expect_again(&mut self) {
        self.is_settled = false;
    }

    /// Returns the end that librdkafka told last.
    pub(super) const fn told(&self) -> Option<Offset> {
        self.told
    }

    /// Returns how far the end that was seen is from `position`, if `records` are taken next.
    ///
    /// "Far" is no proof that the end is not among them: offsets are missing where transactions were aborted or the log was compacted, and while a
    /// transaction is open its beginning is told as the end.
    pub(super) fn reach(&self, position: Offset, records: usize) -> Reach {
        let Some(seen) = self.seen else { return Reach::Near };
        if self.told == Some(position) {
            // The next end comes behind records, which will have been seen.
            return if self.is_settled && seen == position { Reach::Quiet } else { Reach::Near };
        }
        let least = records.saturating_mul(1 << self.met.min(MOST_DOUBLED));
        let is_far = usize::try_from(seen.0.saturating_sub(position.0)).is_ok_and(|distance| distance >= least);
        if is_far { Reach::Far } else { Reach::Near }
    }
}

/// How far the end of a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// It may be among the next records.
    Near,
    /// It is not expected, and no records are either; or it does not matter.
    Quiet,
    /// It is behind the next records.
    Far,
}

#[cfg(test)]
mod tests {
    use super::Reach::{Far, Near, Quiet};
    use super::*;

    fn seen(end: i64) -> Horizon {
        Horizon { seen: Some(Offset(end)), ..Horizon::default() }
    }

    #[test]
    fn an_end_that_was_never_seen_is_near() {
        assert_eq!(Horizon::default().reach(Offset(0), 0), Near);
        let mut horizon = seen(100);
        horizon.look(None);
        assert_eq!(horizon.reach(Offset(0), 0), Near, "nor one that is not known any more");
    }

    #[test]
    fn an_end_is_far_if_all_records_are_before_it() {
        let horizon = seen(100);
        assert_eq!([90, 91, 200].map(|position| horizon.reach(Offset(position), 10)), [Far, Near, Near]);
    }

    #[test]
    fn nothing_is_expected_at_the_end_until_more_is_seen() {
        let mut horizon = seen(100);
        assert_eq!(horizon.reach(Offset(100), 10), Near, "the end may be told at any moment");
        horizon.hear(Offset(100));
        assert_eq!((horizon.told(), horizon.reach(Offset(100), 10)), (Some(Offset(100)), Quiet));
        horizon.look(Some(Offset(5_000)));
        assert_eq!(horizon.reach(Offset(100), 10), Near, "an open transaction, or a moment later");
        assert_eq!(horizon.reach(Offset(101), 10), Far);
    }

    #[test]
    fn each_end_that_was_met_asks_for_more() {
        let mut horizon = seen(100);
        horizon.meet(Offset(50));
        assert_eq!(horizon.told(), Some(Offset(50)));
        assert_eq!([80, 81].map(|position| horizon.reach(Offset(position), 10)), [Far, Near]);
        horizon.meet(Offset(50));
        assert_eq!(horizon.reach(Offset(80), 10), Far, "one that is told again says nothing new");
        (60..200).for_each(|end| horizon.meet(Offset(end)));
        assert_eq!(horizon.reach(Offset(61), 10), Near);
    }

    #[test]
    fn an_end_that_is_told_again_is_near_until_it_has_been_told() {
        let mut horizon = seen(100);
        horizon.meet(Offset(100));
        assert_eq!(horizon.reach(Offset(100), 10), Near, "whoever met it seeks, and it is told again");
        horizon.hear(Offset(100));
        assert_eq!(horizon.reach(Offset(100), 10), Quiet);
        horizon.expect_again();
        assert_eq!(horizon.reach(Offset(100), 10), Near);
        horizon.meet(Offset(100));
        assert_eq!(horizon.reach(Offset(100), 10), Near, "nor for ever by turns");
    }
}
