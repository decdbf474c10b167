//! What a run found, as a line for people, a line for machines, and a row of a table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Every promise was kept.
    Good,
    /// There was a deliberate bug, and it was noticed.
    Noticed,
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
            Outcome::Noticed => "noticed",
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

/// A Markdown table with a row for each scenario and protocol, and one of the deliberate bugs.
pub(crate) fn table(reports: &[Report]) -> String {
    let mut rows: BTreeMap<(&str, &str), Vec<&Report>> = BTreeMap::new();
    let counted = |report: &&Report| matches!(report.outcome, Outcome::Good | Outcome::Bad);
    for report in reports.iter().filter(counted) {
        rows.entry((&report.scenario, &report.protocol)).or_default().push(report);
    }
    let all: Vec<&Report> = rows.values().flatten().copied().collect();
    let mut text =
        "| scenario | protocol | runs | faults | records | lost | doubled | longest time to recover | measured |\n\
                    | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n"
            .to_owned();
    for ((scenario, protocol), of) in &rows {
        text.push_str(&row(scenario, protocol, of));
    }
    text.push_str(&row("all", "", &all));
    let bugs: Vec<&Report> = reports.iter().filter(|report| report.outcome == Outcome::Noticed).collect();
    if !bugs.is_empty() {
        text.push_str("\n| deliberate bug | seed | noticed |\n| --- | ---: | --- |\n");
    }
    for Report { scenario, seed, why, .. } in bugs {
        text.push_str(&format!("| {scenario} | {seed} | {} |\n", why.as_deref().unwrap_or_default()));
    }
    text
}

fn row(scenario: &str, protocol: &str, of: &[&Report]) -> String {
    let sum = |what: fn(&Report) -> u64| of.iter().map(|report| what(report)).sum::<u64>();
    let longest = of.iter().map(|report| report.recovered_s).fold(0.0, f64::max);
    let mut measured: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, value) in of.iter().flat_map(|report| &report.measured) {
        let most = measured.entry(name).or_insert(*value);
        *most = most.max(*value);
    }
    let measured: Vec<String> = measured.iter().map(|(name, most)| format!("{name} {most}")).collect();
    format!(
        "| {scenario} | {protocol} | {} | {} | {} | {} | {} | {longest:.1} s | {} |\n",
        of.len(),
        sum(|report| report.faults as u64),
        sum(|report| report.records),
        sum(|report| report.lost),
        sum(|report| report.doubled),
        measured.join(", "),
    )
}
