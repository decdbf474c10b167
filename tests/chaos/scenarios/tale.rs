//! What a history is told with: one partition, records made by hand, and processes that meet their fate at a place that is named.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::{
    common::wait_for,
    instance::{Instance, PATIENCE},
    stage::{Stage, Start},
};

/// How long something may take that happens at once if a rule is broken, and never if it is kept.
const AT_ONCE: Duration = Duration::from_secs(4);
/// How an instance says that it has lost a race for an entry.
const BEHIND: &str = "another instance is ahead";

/// A history that is told, not drawn.
#[derive(Debug)]
pub(super) struct Tale<'a> {
    stage: &'a mut Stage,
    /// When the first epoch begins, Unix time in ms.
    began_ms: i64,
    produced: usize,
}

impl<'a> Tale<'a> {
    /// The first epoch began an hour ago: records alone say what time it is, and no wall clock closes anything.
    pub(super) fn begin(stage: &'a mut Stage) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let began_ms = i64::try_from(now / 2_000 * 2_000).unwrap() - 3_600_000;
        Self { stage, began_ms, produced: 0 }
    }

    /// Produces a record for each of these event times, in ms after the first epoch's beginning.
    pub(super) fn produce(&mut self, times_ms: &[i64]) {
        let records: Vec<(i64, String)> = (self.produced..)
            .zip(times_ms)
            .map(|(number, ms)| (self.began_ms + ms, format!("{}-{number}", self.stage.seed)))
            .collect();
        self.produced += records.len();
        self.stage.produce_by_hand(&records);
    }

    /// Starts an instance that never finds the partition idle, unless a flag says otherwise.
    pub(super) fn start(&self, flags: &[&str], fail_points: &[&str]) -> Instance {
        let idle = if flags.contains(&"--idle-timeout") { &[][..] } else { &["--idle-timeout", "1h"] };
        let fail_points: Vec<String> = fail_points.iter().map(|point| (*point).to_owned()).collect();
        let flags = [idle, flags].concat();
        self.stage.start_with(&Start { fail_points: &fail_points, flags: &flags, ..Start::default() })
    }

    /// Has the first record in entry 2, and everything said that follows from it: what came before its epoch is closed, which entry 3 says is done.
    pub(super) fn prologue(&mut self, first_ms: i64) {
        let mut instance = self.start(&[], &[]);
        // A record that is there from the beginning may be in entry 1.
        self.until_it(&mut instance, "entry 1 is there", |tale| tale.newest() == 1);
        self.produce(&[first_ms]);
        self.until_it(&mut instance, "entry 3 is there", |tale| tale.newest() == 3);
        self.until_committed();
        instance.stop();
    }

    /// Waits until all records are in an entry, and committed.
    pub(super) fn until_committed(&mut self) {
        self.stage.wait_until_caught_up(Instant::now());
    }

    /// Waits until an instance is frozen by a fail point.
    pub(super) fn until_frozen(&mut self, instance: &mut Instance, what: &str) {
        self.until(instance, what, |instance| instance.is_frozen().then_some(()));
        self.stage.fault(&format!("frozen: {what}"));
    }

    /// Waits until a thread of an instance stands still at a fail point.
    pub(super) fn until_held(&mut self, instance: &mut Instance, what: &str) {
        let held = |instance: &mut Instance| instance.process.stderr().contains("a fail point holds this thread");
        self.until(instance, what, |instance| held(instance).then_some(()));
        self.stage.fault(&format!("held: {what}"));
    }

    /// Waits until an instance is killed by a fail point.
    pub(super) fn until_killed(&mut self, mut instance: Instance, what: &str) {
        let status = instance.process.wait(PATIENCE);
        assert_eq!(status.signal(), Some(9), "{what}: it ended with {status}: {}", instance.last_words());
        self.stage.fault(&format!("killed: {what}"));
    }

    /// Kills an instance.
    pub(super) fn kill(&mut self, instance: Instance, what: &str) {
        instance.kill();
        self.stage.fault(&format!("killed: {what}"));
    }

    fn until<T>(&self, instance: &mut Instance, what: &str, mut so: impl FnMut(&mut Instance) -> Option<T>) -> T {
        wait_for(what, PATIENCE, || {
            let found = so(instance);
            assert!(found.is_some() || instance.process.ended().is_none(), "it ended: {}", instance.last_words());
            found
        })
    }

    /// Waits until the log is as it should be.
    pub(super) fn until_it(&self, instance: &mut Instance, what: &str, so: impl Fn(&Self) -> bool) {
        self.until(instance, what, |_| so(self).then_some(()));
    }

    /// The number of the newest entry; 0 if there is none.
    pub(super) fn newest(&self) -> u64 {
        let newest = self.stage.entries(0).pop();
        newest.map_or(0, |path| path.file_stem().unwrap().to_str().unwrap().parse().unwrap())
    }

    pub(super) fn has_entry(&self, number: u64) -> bool {
        self.path(number).exists()
    }

    /// The bytes of an entry.
    pub(super) fn entry(&self, number: u64) -> Option<Vec<u8>> {
        fs::read(self.path(number)).ok()
    }

    fn path(&self, number: u64) -> PathBuf {
        self.stage.meta().join(format!("control/p0/{number:020}.entry"))
    }

    /// Waits until an instance has found that it is behind, or has done what it must not do: `broken`.
    pub(super) fn until_behind_or(&self, instance: &mut Instance, broken: impl Fn(&Self) -> bool) {
        self.until(instance, "it knows that it is behind", |instance| {
            (instance.process.stderr().contains(BEHIND) || broken(self)).then_some(())
        });
    }

    /// Gives `broken` the time to become so: what must not be done is done at once.
    pub(super) fn give_time_to(&self, broken: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        wait_for("time passes", PATIENCE, || (begun.elapsed() > AT_ONCE || broken(self)).then_some(()));
    }

    /// Whether something is published to its end: its receipt comes last.
    pub(super) fn has_published(&self) -> bool {
        let folders =
            fs::read_dir(self.stage.meta().join("epochs")).into_iter().flatten().map(|entry| entry.unwrap().path());
        // Beside the receipts' folders are the markers.
        let mut receipts = folders.filter(|path| path.is_dir()).flat_map(|folder| fs::read_dir(folder).unwrap());
        receipts.any(|receipt| receipt.unwrap().path().extension().is_some_and(|end| end == "json"))
    }
}
