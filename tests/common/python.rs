//! The scripts in `tests/python`, run by the interpreter that `scripts/test` has set up.

use std::{path::Path, process::Command, time::Duration};

use super::{fetched, process::Process};

/// A script's time limit: some seconds of work, and much patience for a busy machine.
pub const LIMIT: Duration = Duration::from_secs(180);

/// Runs a script of `tests/python` to its end and returns its standard output; panics with its errors when it fails.
pub fn python(script: &str, args: &[&str]) -> String {
    start(script, args).succeed(LIMIT)
}

/// Starts a script and leaves it running, e.g. a producer at a given rate.
pub fn start(script: &str, args: &[&str]) -> Process {
    launch(script, &[&[script], args].concat())
}

/// Runs a module with these arguments, e.g. `unittest`.
pub fn module(name: &str, args: &[&str]) -> String {
    launch(name, &[&["-m", name], args].concat()).succeed(LIMIT)
}

fn launch(name: &str, args: &[&str]) -> Process {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let mut command = Command::new(fetched("venv/bin/python"));
    // No `__pycache__` in the source folder.
    command.arg("-B").args(args).current_dir(folder);
    Process::start(name, command)
}

/// Proves that `output` holds exactly the events of [`super::EVENTS`], by DuckDB and by pyarrow; panics with what differs.
pub fn check_events(output: &Path, topic: &str, partitions: usize) {
    let output = output.to_str().expect("the output's path is not UTF-8");
    let partitions = partitions.to_string();
    let args = ["--events", super::EVENTS, "--output", output, "--topic", topic, "--partitions", &partitions];
    python("check_events.py", &args);
}
