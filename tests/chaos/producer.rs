//! A producer that is not ours, and its ledger.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{
    common::{
        process::{Process, Signal},
        python, wait_for,
    },
    instance::PATIENCE,
};

/// A producer at work.
#[derive(Debug)]
pub(crate) struct Producer {
    process: Process,
    pub(crate) ledger: PathBuf,
    transactions: bool,
}

impl Producer {
    /// Starts producing to a topic; `more` are flags of `produce_steadily.py`.
    pub(crate) fn start(brokers: &str, topic: &str, partitions: i32, seed: u64, ledger: &Path, more: &[&str]) -> Self {
        let (partitions, seed, file) = (partitions.to_string(), seed.to_string(), ledger.to_str().unwrap());
        let known =
            ["--brokers", brokers, "--topic", topic, "--partitions", &partitions, "--seed", &seed, "--ledger", file];
        let process = python::start("produce_steadily.py", &[&known, more].concat());
        Self { process, ledger: ledger.to_owned(), transactions: more.contains(&"--transactions") }
    }

    /// Waits until something is acknowledged.
    pub(crate) fn wait_until_it_works(&mut self) {
        wait_for("the producer works", PATIENCE, || {
            assert!(self.process.ended().is_none(), "the producer ended");
            fs::metadata(&self.ledger).is_ok_and(|ledger| ledger.len() > 0).then_some(())
        });
    }

    /// Ends it when all that it sent is acknowledged.
    pub(crate) fn finish(&mut self) {
        self.process.signal(Signal::Term);
        let begun = Instant::now();
        while self.process.ended().is_none() {
            if begun.elapsed() > PATIENCE / 2 {
                // The client sometimes waits for ever for the end of a transaction whose broker has died. Kafka then ends it: what the ledger
                // has, and what others may read, was committed.
                assert!(self.transactions, "the producer does not end");
                self.process.kill();
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let status = self.process.wait(PATIENCE);
        assert!(status.success(), "the producer ended with {status}");
    }
}
