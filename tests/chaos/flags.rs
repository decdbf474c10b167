//! What to run, and how often.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, ValueEnum};

/// Runs scenarios of faults against real processes and real brokers, and checks that each record ends in the output exactly once.
#[derive(Debug, Parser)]
#[command(name = "scripts/chaos", max_term_width = 110)]
pub(crate) struct Flags {
    /// Print the scenarios, and do nothing.
    #[arg(long)]
    pub(crate) list: bool,
    /// Scenario to run: a name of the list, or `NAME@POINT` for one that goes through the fail points. May be given several times [default:
    /// all but the soak].
    #[arg(long, value_name = "NAME")]
    pub(crate) scenario: Vec<String>,
    /// Seed of the first run; each further one has the next.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Runs of each scenario under each protocol.
    #[arg(long, default_value_t = 1)]
    pub(crate) runs: u64,
    /// Protocol of the consumer group [default: what each scenario wants].
    #[arg(long, value_enum)]
    pub(crate) protocol: Option<Protocol>,
    /// How long the scenarios that know no end by themselves go on: random faults, storms, the soak [default: 20s; 8s with --short].
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// Be short: under one protocol what need not be under both, and each fail point under one of them.
    #[arg(long)]
    pub(crate) short: bool,
    /// Runs at once.
    #[arg(long, default_value_t = 1)]
    pub(crate) jobs: usize,
    /// Print a table of all runs at the end, as Markdown, instead of a line of JSON for each.
    #[arg(long)]
    pub(crate) table: bool,
    /// Append a line of JSON for each run to this file; the table is made of all its lines.
    #[arg(long, value_name = "FILE")]
    pub(crate) results: Option<PathBuf>,
}

impl Flags {
    pub(crate) fn duration(&self) -> Duration {
        self.duration.unwrap_or(Duration::from_secs(if self.short { 8 } else { 20 }))
    }
}

/// How members of the group agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// Among themselves, `cooperative-sticky`.
    Classic,
    /// The broker decides (KIP-848).
    Consumer,
}

impl Protocol {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}
