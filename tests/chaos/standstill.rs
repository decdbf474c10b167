//! How long kept partitions stand still while others move.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::instance::positions;

/// Far below the pause between two updates of the gauge, 200 ms, which is in what is measured.
const LOOK: Duration = Duration::from_millis(40);

/// Looks at the positions of some instances until it is told to stop. The topic must get records all the time.
#[derive(Debug)]
pub(crate) struct Meter {
    stop: Arc<AtomicBool>,
    looking: JoinHandle<Duration>,
}

/// A partition of an instance: its position, since when it is that, and the longest time that any was the same.
#[derive(Debug)]
struct Seen {
    position: f64,
    since: Instant,
    longest: Duration,
}

impl Meter {
    /// Begins to look at the instances that serve their metrics at these ports.
    pub(crate) fn start(ports: Vec<u16>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let looking = thread::spawn(move || {
            let mut kept: Option<BTreeMap<(u16, i32), Seen>> = None;
            while !told.load(Ordering::Relaxed) {
                let now = Instant::now();
                let seen: BTreeMap<(u16, i32), f64> = ports
                    .iter()
                    .flat_map(|port| positions(*port).into_iter().map(|(partition, at)| ((*port, partition), at)))
                    .collect();
                let fresh = |position| Seen { position, since: now, longest: Duration::ZERO };
                let kept = kept.get_or_insert_with(|| seen.iter().map(|(of, at)| (*of, fresh(*at))).collect());
                // What moves, in whatever direction, is not kept.
                kept.retain(|of, _| seen.contains_key(of));
                for (of, kept) in kept {
                    if seen[of] != kept.position {
                        (kept.position, kept.since) = (seen[of], now);
                    }
                    kept.longest = kept.longest.max(now - kept.since);
                }
                thread::sleep(LOOK);
            }
            kept.into_iter().flatten().map(|(_, seen)| seen.longest).max().unwrap_or_default()
        });
        Self { stop, looking }
    }

    /// The longest time that a partition stood still which stayed where it was.
    pub(crate) fn stop(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        self.looking.join().unwrap()
    }
}
