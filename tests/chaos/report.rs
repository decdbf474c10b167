//! What a run found, as a line for people, a line for machines, and a row of a table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Every promise was kept; or, with a deliberate bug, the suite noticed.
    Good,
    /// A promise was broken; or a deliberate bug went unnoticed.
    Bad,
    /// This machine cannot do it.
    Skipped,
}

/// What a run found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) scenario: String,
    pub(crate) protocol: String,
    pub(crate) seed: u64,
    pub(crate) outcome: Outcome,
    /// What is wrong, or why it was skipped, or how a deliberate bug showed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) why: Option<String>,
    pub(crate) faults: usize,
    pub(crate) records: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    /// The longest time from the end of a fault until everything was committed that the topic held then, in seconds.
    pub(crate) recovered_s: f64,
    /// How long the run took, in seconds.
    pub(crate) seconds: f64,
    /// What a scenario measures besides, with its unit in the name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub(crate) measured: BTreeMap<String, f64>,
}

impl Report {
    pub(crate) fn is_good(&self) -> bool {
        self.outcome != Outcome::Bad
    }

    /// The line for people.
    pub(crate) fn line(&self) -> String {
        let Self { scenario, protocol, seed, faults, records, lost, doubled, recovered_s, seconds, .. } = self;
        let word = match self.outcome {
            Outcome::Good => "good",
            Outcome::Bad => "BAD",
            Outcome::Skipped => "skipped",
        };
        let mut line = format!(
            "{word}: {scenario} {protocol} seed {seed}: {faults} faults, {records} records, {lost} lost, {doubled} doubled, \
             recovered within {recovered_s:.1} s, took {seconds:.0} s"
        );
        for (name, value) in &self.measured {
            line.push_str(&format!(", {name} {value}"));
        }
        if let Some(why) = &self.why {
            line.push_str(&format!("\n  {why}"));
        }
        line
    }
}

/// A Markdown table with a row for each scenario and protocol.
pub(crate) fn table(reports: &[Report]) -> String {
    let mut rows: BTreeMap<(&str, &str), Vec<&Report>> = BTreeMap::new();
    for report in reports.iter().filter(|report| report.outcome != Outcome::Skipped) {
        rows.entry((&report.scenario, &report.protocol)).or_default().push(report);
    }
    let mut text = "| scenario | protocol | runs | faults | records | lost | doubled | longest time to recover |\n\
                    | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    let mut row = |scenario: &str, protocol: &str, of: &[&Report]| {
        let sum = |what: fn(&Report) -> u64| of.iter().map(|report| what(report)).sum::<u64>();
        let longest = of.iter().map(|report| report.recovered_s).fold(0.0, f64::max);
        text.push_str(&format!(
            "| {scenario} | {protocol} | {} | {} | {} | {} | {} | {longest:.1} s |\n",
            of.len(),
            sum(|report| report.faults as u64),
            sum(|report| report.records),
            sum(|report| report.lost),
            sum(|report| report.doubled),
        ));
    };
    for ((scenario, protocol), of) in &rows {
        row(scenario, protocol, of);
    }
    let all: Vec<&Report> = rows.values().flatten().copied().collect();
    row("all", "", &all);
    text
}
