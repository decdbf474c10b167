//! A producer that is not ours, and its ledger.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    common::{process::Process, python, wait_for},
    instance::PATIENCE,
};

/// A producer at work.
#[derive(Debug)]
pub(crate) struct Producer {
    process: Process,
    pub(crate) ledger: PathBuf,
}

impl Producer {
    /// Starts producing to a topic; `more` are flags of `produce_steadily.py`.
    pub(crate) fn start(brokers: &str, topic: &str, partitions: i32, seed: u64, ledger: &Path, more: &[&str]) -> Self {
        let (partitions, seed, file) = (partitions.to_string(), seed.to_string(), ledger.to_str().unwrap());
        let known =
            ["--brokers", brokers, "--topic", topic, "--partitions", &partitions, "--seed", &seed, "--ledger", file];
        let process = python::start("produce_steadily.py", &[&known, more].concat());
        Self { process, ledger: ledger.to_owned() }
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
        let status = self.process.terminate(PATIENCE);
        assert!(status.success(), "the producer ended with {status}");
    }
}
