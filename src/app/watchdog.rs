//! Sees lanes that have something to do and get nowhere.
//!
//! Librdkafka stays a member of the group by itself, whatever becomes of us: a lane whose worker hangs, whose append never ends, or whose
//! records nobody takes would keep its partition for ever, and nobody would hear of it. So what the lanes say of themselves is held
//! against where Kafka says that the log ends, and an instance whose lane stands still leaves the group.
//!
//! Deliberately absent: clocks, and asking anybody anything.
//!
//! # Invariants
//! * **W-1** While Kafka does not say where the log ends, nothing is held against a lane that only waits for records: a broker that is
//!   away is waited for.
//! * **W-2** Time in which the process itself stood still (frozen, or starved) counts for at most two looks.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::runner::LaneStatus;
use crate::engine::state::{EntryNumber, Offset};
use crate::kafka::member::TopicPartition;

/// How many looks a lane gets before its time is up.
const LOOKS: u32 = 20;
/// The shortest pause between two looks.
const LEAST_PAUSE: Duration = Duration::from_millis(200);

/// Where a lane was seen: it has come on when this has changed.
type Mark = (EntryNumber, Option<Offset>);

#[derive(Debug)]
struct Seen {
    mark: Mark,
    still: Duration,
    /// Commits that were acknowledged, and how long there has been no other although one was due.
    commits: u64,
    unheard: Duration,
}

/// A lane that stands still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standstill {
    pub(super) partition: TopicPartition,
    /// For how long, as far as was seen.
    pub(super) still: Duration,
    pub(super) status: LaneStatus,
    /// Where Kafka's log ends, if Kafka says so.
    pub(super) end: Option<Offset>,
    /// It comes on, and the group does not hear of it.
    pub(super) unheard: bool,
}

/// Watches the lanes of an instance.
#[derive(Debug)]
pub(super) struct Watchdog {
    limit: Duration,
    last_look: Option<Duration>,
    lanes: BTreeMap<TopicPartition, Seen>,
}

impl Watchdog {
    /// Returns a watchdog that lets a lane stand still for `limit`; with zero it sees nothing.
    pub(super) const fn new(limit: Duration) -> Self {
        Self { limit, last_look: None, lanes: BTreeMap::new() }
    }

    /// Returns how long to wait between two looks; `None` if there is nothing to look for.
    pub(super) fn pause(&self) -> Option<Duration> {
        (!self.limit.is_zero()).then(|| (self.limit / LOOKS).max(LEAST_PAUSE))
    }

    /// Returns the lanes that have not come on since the last look: whether they had anything to do depends on where their logs end.
    pub(super) fn suspects(&self, lanes: &BTreeMap<TopicPartition, LaneStatus>) -> Vec<TopicPartition> {
        let is_suspect = |seen: &Seen, lane: &LaneStatus| {
            seen.mark == mark(lane) || lane.uncommitted && seen.commits == lane.commits
        };
        let still = lanes.iter().filter(|(of, lane)| self.lanes.get(of).is_some_and(|seen| is_suspect(seen, lane)));
        still.map(|(of, _)| of.clone()).collect()
    }

    /// Looks at all lanes, at `now` on any steady clock; returns those that stand still, the longest first.
    pub(super) fn look(
        &mut self,
        now: Duration,
        lanes: &BTreeMap<TopicPartition, LaneStatus>,
        ends: &BTreeMap<TopicPartition, Offset>,
    ) -> Vec<Standstill> {
        let pause = self.pause().unwrap_or_default();
        let passed = self.last_look.map_or(Duration::ZERO, |last| now.saturating_sub(last)).min(pause * 2);
        self.last_look = Some(now);
        self.lanes.retain(|of, _| lanes.contains_key(of));
        let mut standing = Vec::new();
        for (of, status) in lanes {
            let end = ends.get(of).copied();
            let seen = self.lanes.entry(of.clone()).or_insert_with(|| Seen::new(status));
            seen.look(status, end, passed);
            let still = seen.still.max(seen.unheard);
            if !still.is_zero() {
                let unheard = seen.unheard > seen.still;
                standing.push(Standstill { partition: of.clone(), still, status: status.clone(), end, unheard });
            }
        }
        standing.sort_by_key(|one| Reverse(one.still));
        standing
    }

    /// Whether a lane has stood still for so long that the instance should leave.
    pub(super) fn is_too_long(&self, standstill: &Standstill) -> bool {
        standstill.still >= self.limit
    }

    /// Whether a lane has stood still for so long that people should know.
    pub(super) fn is_worth_a_word(&self, standstill: &Standstill) -> bool {
        standstill.still >= self.limit / 2
    }
}

impl Seen {
    const fn new(lane: &LaneStatus) -> Self {
        Self { mark: mark(lane), still: Duration::ZERO, commits: lane.commits, unheard: Duration::ZERO }
    }

    fn look(&mut self, lane: &LaneStatus, end: Option<Offset>, passed: Duration) {
        if self.mark == mark(lane) && has_something_to_do(lane, end) {
            self.still += passed;
        } else {
            (self.mark, self.still) = (mark(lane), Duration::ZERO);
        }
        // Kafka answers, and yet takes no commit: the group may have forgotten this member, which hears nothing of it.
        if self.commits == lane.commits && lane.uncommitted && end.is_some() && lane.stopped.is_none() {
            self.unheard += passed;
        } else {
            (self.commits, self.unheard) = (lane.commits, Duration::ZERO);
        }
    }
}

/// While an append is under way, that it takes more records proves nothing.
const fn mark(lane: &LaneStatus) -> Mark {
    (lane.entry, if lane.appending { None } else { Some(lane.position) })
}

/// Keeps W-1. A stopped lane waits for the operator, and has said so.
fn has_something_to_do(lane: &LaneStatus, end: Option<Offset>) -> bool {
    let reads_on = !lane.finishing && end.is_some_and(|end| !lane.recovered || lane.position < end);
    lane.stopped.is_none() && (lane.appending || reads_on)
}

impl std::fmt::Display for Standstill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let TopicPartition { topic, partition } = &self.partition;
        let (position, seconds) = (self.status.position, self.still.as_secs());
        if self.unheard {
            return write!(
                f,
                "topic `{topic}` partition {partition} has had no commit acknowledged for {seconds} s, although Kafka answers: \
                 its consumer group may not know this member any more"
            );
        }
        write!(f, "topic `{topic}` partition {partition} has made no progress for {seconds} s: ")?;
        match self.end {
            _ if self.status.appending => {
                write!(f, "the store has not taken the entry after {}, at offset {position}", self.status.entry)
            }
            Some(end) if self.status.recovered => write!(f, "it is at offset {position}, and the log ends at {end}"),
            Some(_) | None => write!(f, "it has not recovered"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::state::PartitionId;

    fn lane(number: i32) -> TopicPartition {
        TopicPartition { topic: "events".into(), partition: PartitionId(number) }
    }

    fn reading(position: i64) -> LaneStatus {
        LaneStatus { recovered: true, position: Offset(position), entry: EntryNumber(7), ..LaneStatus::default() }
    }

    /// Looks that often at the same.
    fn watch_one((status, end): (LaneStatus, Option<i64>), times: usize) -> Vec<u64> {
        watch(&vec![(status, end); times])
    }

    /// Looks once a second, with a limit of ten, at one lane and its end; returns for how long it stands still after each look, in seconds.
    fn watch(looks: &[(LaneStatus, Option<i64>)]) -> Vec<u64> {
        let mut watchdog = Watchdog::new(Duration::from_secs(10));
        let each = (1..).map(Duration::from_secs).zip(looks);
        each.map(|(now, (status, end))| {
            let ends = end.map(|end| (lane(0), Offset(end))).into_iter().collect();
            watchdog
                .look(now, &[(lane(0), status.clone())].into(), &ends)
                .first()
                .map_or(0, |found| found.still.as_secs())
        })
        .collect()
    }

    #[test]
    fn a_lane_with_lag_that_does_not_come_on_stands_still() {
        assert_eq!(watch_one((reading(5), Some(9)), 4), [0, 1, 2, 3]);
        assert_eq!(
            watch(&[(reading(5), Some(9)), (reading(5), Some(9)), (reading(6), Some(9)), (reading(6), Some(9))]),
            [0, 1, 0, 1]
        );
    }

    #[test]
    fn a_lane_at_its_end_waits_for_records() {
        assert_eq!(watch_one((reading(9), Some(9)), 4), [0, 0, 0, 0]);
    }

    #[test]
    fn a_broker_that_is_away_is_waited_for() {
        assert_eq!(watch_one((reading(5), None), 4), [0, 0, 0, 0]);
        let recovering = LaneStatus { recovered: false, ..reading(0) };
        assert_eq!(watch_one((recovering.clone(), None), 4), [0, 0, 0, 0]);
        assert_eq!(watch_one((recovering, Some(0)), 4), [0, 1, 2, 3], "it is there, and the lane does not recover");
    }

    #[test]
    fn an_append_that_does_not_end_is_a_standstill_whatever_is_read_meanwhile() {
        let appending = |position| LaneStatus { appending: true, ..reading(position) };
        assert_eq!(watch(&[(appending(5), None), (appending(6), None), (appending(7), Some(9))]), [0, 1, 2]);
    }

    #[test]
    fn a_lane_whose_commits_nobody_takes_is_unheard_while_kafka_answers() {
        let uncommitted = |position, commits| LaneStatus { uncommitted: true, commits, ..reading(position) };
        assert_eq!(
            watch(&[(uncommitted(5, 3), Some(9)), (uncommitted(6, 3), Some(9)), (uncommitted(7, 3), Some(9))]),
            [0, 1, 2]
        );
        assert_eq!(
            watch(&[(uncommitted(5, 3), Some(9)), (uncommitted(6, 4), Some(9)), (uncommitted(7, 5), Some(9))]),
            [0, 0, 0]
        );
        assert_eq!(watch(&[(uncommitted(5, 3), None), (uncommitted(6, 3), None)]), [0, 0], "Kafka is away");

        let mut watchdog = Watchdog::new(Duration::from_secs(10));
        let ends = [(lane(0), Offset(9))].into();
        for look in [1, 2] {
            watchdog.look(Duration::from_secs(look), &[(lane(0), uncommitted(9, 3))].into(), &ends);
        }
        assert_eq!(watchdog.suspects(&[(lane(0), uncommitted(10, 3))].into()), [lane(0)]);
        let found = watchdog.look(Duration::from_secs(3), &[(lane(0), uncommitted(10, 3))].into(), &ends);
        assert!(found[0].to_string().contains("no commit acknowledged for 2 s"), "{}", found[0]);
    }

    #[test]
    fn who_waits_for_the_operator_or_has_reached_its_bound_does_not_stand_still() {
        let stopped = LaneStatus { stopped: Some("why".into()), recovered: false, ..reading(5) };
        let finishing = LaneStatus { finishing: true, ..reading(5) };
        assert_eq!(watch_one((stopped, Some(9)), 3), [0, 0, 0]);
        assert_eq!(watch_one((finishing, Some(9)), 3), [0, 0, 0]);
    }

    #[test]
    fn time_in_which_nobody_looked_counts_little() {
        let mut watchdog = Watchdog::new(Duration::from_secs(10));
        let (lanes, ends) = ([(lane(0), reading(5))].into(), [(lane(0), Offset(9))].into());
        watchdog.look(Duration::from_secs(1), &lanes, &ends);
        let found = watchdog.look(Duration::from_secs(3_600), &lanes, &ends);
        assert_eq!(found[0].still, Duration::from_secs(1), "two pauses of half a second");
        assert!(!watchdog.is_too_long(&found[0]));
    }

    #[test]
    fn the_reason_names_the_partition_and_what_it_waits_for() {
        let mut watchdog = Watchdog::new(Duration::from_secs(1));
        let lanes = [(lane(0), reading(5)), (lane(1), LaneStatus { appending: true, ..reading(5) })].into();
        let ends = [(lane(0), Offset(9))].into();
        for ms in [0, 400, 800, 1_200] {
            watchdog.look(Duration::from_millis(ms), &lanes, &ends);
        }
        let found = watchdog.look(Duration::from_millis(1_600), &lanes, &ends);
        let said: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            said,
            [
                "topic `events` partition 0 has made no progress for 1 s: it is at offset 5, and the log ends at 9",
                "topic `events` partition 1 has made no progress for 1 s: the store has not taken the entry after 7, at offset 5",
            ]
        );
        assert!(watchdog.is_too_long(&found[0]));
    }

    #[test]
    fn only_lanes_that_did_not_come_on_are_suspected() {
        let mut watchdog = Watchdog::new(Duration::from_secs(10));
        watchdog.look(Duration::ZERO, &[(lane(0), reading(5)), (lane(1), reading(5))].into(), &BTreeMap::new());
        assert_eq!(
            watchdog.suspects(&[(lane(0), reading(6)), (lane(1), reading(5)), (lane(2), reading(5))].into()),
            [lane(1)]
        );
    }
}
