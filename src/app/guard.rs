//! Takes the watchdog round: asks Kafka where the logs of suspects end, without holding anybody up, and says what it saw.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::clock;
use super::runner::LaneStatus;
use super::watchdog::{Standstill, Watchdog};
use crate::engine::state::Offset;
use crate::kafka::cluster::{self, Reader};
use crate::kafka::member::TopicPartition;

type Ends = BTreeMap<TopicPartition, Offset>;

/// A watchdog and its lead.
#[derive(Debug)]
pub(super) struct Guard {
    watchdog: Watchdog,
    asked: Duration,
    answer: Option<JoinHandle<Ends>>,
}

/// What a round found.
#[derive(Debug)]
pub(super) struct Round {
    /// Lanes that stand still for so long that people should know.
    pub(super) standing: Vec<Standstill>,
    /// Why the instance should leave, if it should.
    pub(super) too_long: Option<String>,
}

impl Guard {
    /// Returns the guard of an instance whose lanes may stand still for `limit`; zero is for ever.
    pub(super) const fn new(limit: Duration) -> Self {
        Self { watchdog: Watchdog::new(limit), asked: Duration::ZERO, answer: None }
    }

    /// Goes on with the round; returns what it found when it is done.
    pub(super) async fn go_on(
        &mut self,
        lanes: &BTreeMap<TopicPartition, LaneStatus>,
        reader: &Arc<Reader>,
    ) -> Option<Round> {
        let pause = self.watchdog.pause()?;
        let Some(answer) = self.answer.take_if(|answer| answer.is_finished()) else {
            let now = clock::elapsed();
            if self.answer.is_none() && now.saturating_sub(self.asked) >= pause {
                self.asked = now;
                let (suspects, reader) = (self.watchdog.suspects(lanes), Arc::clone(reader));
                self.answer = Some(tokio::task::spawn_blocking(move || ends(&reader, suspects)));
            }
            return None;
        };
        let ends = answer.await.unwrap_or_default();
        let mut standing = self.watchdog.look(clock::elapsed(), lanes, &ends);
        let longest = standing.first().filter(|longest| self.watchdog.is_too_long(longest));
        let too_long = longest.map(|longest| format!("{longest}; leaving the group, so that another instance can try"));
        standing.retain(|one| self.watchdog.is_worth_a_word(one));
        Some(Round { standing, too_long })
    }
}

/// Asks where logs end. If Kafka does not answer for one, the others need not wait as long.
fn ends(reader: &Reader, partitions: Vec<TopicPartition>) -> Ends {
    let mut ends = Ends::new();
    for of in partitions {
        match cluster::offsets(reader, &of.topic, of.partition) {
            Ok((_, end)) => ends.insert(of, end),
            Err(_) => return ends,
        };
    }
    ends
}
