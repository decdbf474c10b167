//! The fault suite: real processes, real brokers, a producer and a reader that are not ours, and everything that goes wrong.
//!
//! `scripts/chaos` builds it together with a program that has fail points, and runs it. A scenario is a story about faults; a run of it is
//! fixed by its name, the group protocol and a seed, as far as real processes let anything be fixed. After the faults every record of
//! the topic must be in the output exactly once, and the instances must have caught up by themselves.
//!
//! One idea a file: `stage` is what a scenario plays on, `scenarios` are the stories, `verdict` counts records, `report` prints.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "scenarios wait by the clock, print what they find, and a broken stage should fail loudly"
)]

#[path = "../common/mod.rs"]
mod common;

mod flags;
mod group_view;
mod instance;
mod points;
mod producer;
mod program;
mod report;
mod runner;
mod scenarios;
mod stage;
mod standstill;
mod verdict;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let flags = flags::Flags::parse();
    if flags.list {
        print!("{}", scenarios::list());
        return ExitCode::SUCCESS;
    }
    match runner::run_all(&flags) {
        Ok(reports) => {
            if flags.table {
                print!("{}", report::table(&reports));
            }
            let good = reports.iter().all(report::Report::is_good);
            if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(mistake) => {
            eprintln!("error: {mistake}");
            ExitCode::from(2)
        }
    }
}
