//! SIGKILL at any time, and what it costs: the next owner reads again what no entry held, and that is what came in one commit interval.

use std::{
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rand::RngExt;

use super::End;
use crate::stage::Stage;

/// The commit interval of these instances: long enough that it is most of what is measured.
const INTERVAL: (&str, Duration) = ("2s", Duration::from_secs(2));
/// What else a record waits for on a busy machine: to be fetched, and that its entry is put and committed.
const AT_WORK: Duration = Duration::from_millis(1_500);

/// An instance is killed without a warning, and another takes over, a few times.
pub(super) fn at_any_time(stage: &mut Stage) -> End {
    stage.commit_interval = INTERVAL.0;
    stage.produce(&[]);
    let (mut records, mut oldest) = (0, Duration::ZERO);
    let mut victim = stage.start();
    for round in 0..stage.rounds(4) {
        victim.wait_until_it_works();
        stage.wait_until_caught_up(Instant::now());
        thread::sleep(Duration::from_millis(stage.random.random_range(500..2_500)));
        victim.kill();
        let lost = in_memory_alone(stage);
        stage.fault(&format!(
            "killed, round {round}: {} records are read again, the oldest was {:.1?} old",
            lost.0, lost.1
        ));
        (records, oldest) = (records.max(lost.0), oldest.max(lost.1));
        victim = stage.start();
        stage.wait_until_caught_up(Instant::now());
    }
    stage.measured.insert("records_read_again".to_owned(), records as f64);
    stage.measured.insert("oldest_read_again_s".to_owned(), (oldest.as_secs_f64() * 100.0).round() / 100.0);
    assert!(records > 0, "a crash in the middle of a stream loses what is in memory, or nothing was measured");
    assert!(oldest <= INTERVAL.1 + AT_WORK, "a record was read again that was {oldest:.1?} old");
    End::Judged(stage.finish(vec![victim]))
}

/// How many records the topic holds that are in no committed entry, now that nobody reads, and how old the oldest is. Never too few: the instance may have
/// died before it read the last ones, or before an entry was committed.
fn in_memory_alone(stage: &Stage) -> (i64, Duration) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let (ends, committed) = (stage.ends(), stage.committed());
    let count = ends.iter().zip(&committed).map(|(end, committed)| (end - committed).max(0)).sum();
    let age = |(partition, offset)| {
        let made = stage.kafka.timestamp_of(&stage.topic, partition, offset)?;
        now.checked_sub(made)
    };
    let oldest = (0..).zip(committed).filter_map(age).max();
    (count, oldest.unwrap_or_default())
}
