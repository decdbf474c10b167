//! Whether the poll thread still answers. If it hangs, lanes go on, and nothing that they say reaches the group: neither commits nor rebalances.
//!
//! # Invariants
//! * Time in which nobody felt the pulse (the process was frozen, or starved) counts little: see [`MOST`].

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use crate::kafka::member::Request;

/// The most that one look adds to the silence.
const MOST: Duration = Duration::from_millis(500);

/// The pulse of the poll thread.
#[derive(Debug)]
pub(super) struct Pulse {
    limit: Duration,
    felt: Duration,
    silent: Duration,
    beat: Option<Receiver<()>>,
}

impl Pulse {
    /// Returns the pulse of a thread that may be silent for `limit`; zero is for ever.
    pub(super) const fn new(limit: Duration) -> Self {
        Self { limit, felt: Duration::ZERO, silent: Duration::ZERO, beat: None }
    }

    /// Feels the pulse, at `now` on any steady clock; returns why the instance should leave, if it should.
    pub(super) fn feel(&mut self, now: Duration, ask: &Sender<Request>) -> Option<String> {
        let passed = now.saturating_sub(self.felt).min(MOST);
        self.felt = now;
        match self.beat.as_ref().map(Receiver::try_recv) {
            Some(Err(TryRecvError::Empty)) => self.silent += passed,
            // The thread has ended, which is seen elsewhere.
            Some(Err(TryRecvError::Disconnected)) => return None,
            None | Some(Ok(())) => {
                let (reply, beat) = channel();
                let _ = ask.send(Request::Beat(reply));
                (self.silent, self.beat) = (Duration::ZERO, Some(beat));
            }
        }
        let hangs = !self.limit.is_zero() && self.silent >= self.limit;
        hangs.then(|| {
            let seconds = self.silent.as_secs();
            format!("the thread that speaks to the consumer group has not answered for {seconds} s; leaving the group, so that another instance can try")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_thread_that_does_not_answer_is_given_up_after_the_limit() {
        let (ask, _unserved) = channel();
        let mut pulse = Pulse::new(Duration::from_secs(1));
        let said: Vec<_> = (0..=4).map(|look| pulse.feel(ms(300 * look), &ask)).collect();
        assert_eq!(said.iter().position(Option::is_some), Some(4), "asked at 0, silent for 1.2 s");
        assert!(said[4].as_ref().is_some_and(|why| why.contains("has not answered for 1 s")));
    }

    #[test]
    fn a_thread_that_answers_is_asked_again() {
        let (ask, requests) = channel();
        let mut pulse = Pulse::new(Duration::from_secs(1));
        for look in 0..20 {
            assert_eq!(pulse.feel(ms(400 * look), &ask), None);
            if let Ok(Request::Beat(reply)) = requests.try_recv() {
                reply.send(()).expect("somebody waits");
            }
        }
    }

    #[test]
    fn a_process_that_was_frozen_does_not_blame_its_thread() {
        let (ask, _unserved) = channel();
        let mut pulse = Pulse::new(Duration::from_secs(1));
        assert_eq!(pulse.feel(ms(100), &ask), None);
        assert_eq!(pulse.feel(Duration::from_secs(3_600), &ask), None);
    }

    #[test]
    fn without_a_limit_nobody_is_given_up() {
        let (ask, _unserved) = channel();
        let mut pulse = Pulse::new(Duration::ZERO);
        assert!((0..100).all(|look| pulse.feel(ms(500 * look), &ask).is_none()));
    }
}
