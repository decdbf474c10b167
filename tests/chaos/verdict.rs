//! Is every record of the topic in the output exactly once? Asked of readers that are not ours.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

use crate::common::python;
use crate::program;

/// What was found.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) records: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// Rows that are no record of the topic.
    foreign: u64,
    /// Rows with the content of another record.
    altered: u64,
    /// Acknowledged by the brokers, and not in the topic.
    not_in_the_topic: u64,
    /// On-time files of one epoch, folder and partition beyond the first.
    several_files: u64,
    /// Rows in the file of another epoch.
    wrong_epoch: u64,
    examples: BTreeMap<String, Value>,
    /// What other audits said.
    #[serde(skip)]
    audits: Vec<String>,
}

/// What is to be judged.
#[derive(Debug)]
pub(crate) struct Evidence<'a> {
    pub(crate) brokers: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) output: &'a Path,
    pub(crate) epoch_us: u64,
    pub(crate) ledgers: &'a [PathBuf],
    pub(crate) compacted: bool,
}

/// An audit of an output: nothing to say, or what is wrong.
type Audit = fn(&Evidence<'_>) -> Option<String>;

/// Audits that look at the output alone, beside the count.
const AUDITS: [Audit; 2] = [receipts, verify];

/// Counts.
pub(crate) fn judge(evidence: &Evidence<'_>) -> Verdict {
    let (output, epoch_us) = (evidence.output.to_str().unwrap(), evidence.epoch_us.to_string());
    let mut args =
        vec!["--brokers", evidence.brokers, "--topic", evidence.topic, "--output", output, "--epoch-us", &epoch_us];
    for ledger in evidence.ledgers {
        args.extend(["--ledger", ledger.to_str().unwrap()]);
    }
    if evidence.compacted {
        args.push("--compacted");
    }
    let mut verdict: Verdict = serde_json::from_str(&python::python("check_everything_once.py", &args)).unwrap();
    verdict.audits = AUDITS.iter().filter_map(|audit| audit(evidence)).collect();
    verdict
}

/// Every file has its receipt, and every receipt its files, as they are.
fn receipts(evidence: &Evidence<'_>) -> Option<String> {
    let mut script =
        python::start("check_receipts.py", &["--output", evidence.output.to_str().unwrap(), "--topic", evidence.topic]);
    let status = script.wait(python::LIMIT);
    (!status.success()).then(|| format!("check_receipts.py: {}", script.stderr().trim()))
}

/// `verify --deep` proves the output, row by row.
fn verify(evidence: &Evidence<'_>) -> Option<String> {
    let told = program::command()
        .args(["verify", "--deep", "--topic", evidence.topic, "--output"])
        .arg(evidence.output)
        .output()
        .unwrap();
    (!told.status.success()).then(|| {
        format!("verify: {}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr))
            .trim()
            .to_owned()
    })
}

impl Verdict {
    /// What is wrong, if anything is.
    pub(crate) fn problem(&self) -> Option<String> {
        let mut problems = self.wrong();
        if !problems.is_empty() {
            problems.push(serde_json::to_string(&self.examples).unwrap());
        }
        problems.extend(self.audits.iter().cloned());
        (!problems.is_empty()).then(|| problems.join("; "))
    }

    /// The same in a line without examples: what was counted, and who says so, too.
    pub(crate) fn in_short(&self) -> Option<String> {
        let audits = self.audits.iter().map(|audit| audit.split(':').next().unwrap_or_default());
        let problems: Vec<String> =
            self.wrong().into_iter().chain(audits.map(|name| format!("{name} says so, too"))).collect();
        (!problems.is_empty()).then(|| problems.join("; "))
    }

    fn wrong(&self) -> Vec<String> {
        let counts = [
            ("lost", self.lost),
            ("doubled", self.doubled),
            ("foreign", self.foreign),
            ("altered", self.altered),
            ("acknowledged, and not in the topic", self.not_in_the_topic),
            ("epochs, folders and partitions with several files", self.several_files),
            ("in the file of another epoch", self.wrong_epoch),
        ];
        counts.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{count} {what}")).collect()
    }
}
