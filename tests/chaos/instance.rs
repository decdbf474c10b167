//! A running instance of the program with fail points, and what it says of itself.

use std::{collections::BTreeMap, fs, time::Duration};

use crate::common::{
    process::{Process, Signal, http_get},
    wait_for,
};

/// Until something happens that takes seconds, on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The position in each Kafka partition of the instance that serves its metrics at `port`; empty if nobody answers.
pub(crate) fn positions(port: u16) -> BTreeMap<i32, f64> {
    let Some((_, text)) = http_get(port, "/metrics") else { return BTreeMap::new() };
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix("streams_to_parquet_position{")?;
        let (labels, value) = rest.split_once("} ")?;
        let partition = labels.split(',').find_map(|label| label.strip_prefix("partition=\""))?;
        Some((partition.trim_end_matches('"').parse().ok()?, value.parse().ok()?))
    });
    samples.collect()
}

/// A running instance.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) process: Process,
    pub(crate) port: u16,
}

impl Instance {
    /// The sum of a metric over its labels; `None` while there is none, or nobody answers.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let (_, text) = http_get(self.port, "/metrics")?;
        let samples = text.lines().filter_map(|line| {
            let rest = line.strip_prefix("streams_to_parquet_")?.strip_prefix(name)?;
            rest.starts_with(['{', ' ']).then(|| rest.rsplit_once(' ')?.1.parse::<f64>().ok())?
        });
        samples.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
    }

    /// How many partitions it has.
    pub(crate) fn assigned(&self) -> f64 {
        self.metric("assigned_partitions").unwrap_or(0.0)
    }

    /// Waits until it is a member of the group that has something to do. Panics when it ends instead.
    pub(crate) fn wait_until_it_works(&mut self) {
        wait_for("the instance has partitions", PATIENCE, || {
            assert!(self.process.ended().is_none(), "the instance ended");
            (self.assigned() > 0.0).then_some(())
        });
    }

    /// Whether it is stopped by a signal.
    pub(crate) fn is_frozen(&self) -> bool {
        // The state comes behind the name, which is in brackets.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// Kills it at once.
    pub(crate) fn kill(mut self) {
        self.process.kill();
    }

    /// Freezes it at once.
    pub(crate) fn freeze(&mut self) {
        self.process.signal(Signal::Stop);
    }

    /// Wakes it up.
    pub(crate) fn wake(&mut self) {
        self.process.signal(Signal::Cont);
    }

    /// Stops it in order. Panics if it ends with an error.
    pub(crate) fn stop(&mut self) {
        let status = self.process.terminate(PATIENCE);
        assert!(status.success(), "the instance ended with {status}: {}", self.last_words());
    }

    /// How many records it read in vain: the next owners read them again. From the summary at its end.
    pub(crate) fn left_to_read_again(&self) -> u64 {
        let summary = self.process.stdout();
        let line = summary.lines().find_map(|line| line.strip_prefix("left to read again"));
        let number = line.and_then(|rest| rest.split_whitespace().next()).expect("there is no summary");
        number.parse().unwrap()
    }

    /// The last line that it wrote to standard error.
    pub(crate) fn last_words(&self) -> String {
        self.process.stderr().lines().last().unwrap_or_default().to_owned()
    }
}
