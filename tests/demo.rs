//! The demo: its Parquet holds every event that it sent exactly once, as an independent reader counts.

mod common;

use std::{fs, time::Duration};

use common::{process::Process, python, scratch};

/// A minute is the promise on an idle machine; tests share theirs, with a slower build.
const LIMIT: Duration = Duration::from_secs(240);
const EVENTS: &str = "40000";

#[test]
fn duckdb_counts_every_event_of_the_demo_exactly_once() {
    let folder = scratch("demo");
    let output = folder.path().join("demo-output");
    let output = output.to_str().expect("UTF-8");
    let summary = Process::ours(&["demo", "--output", output, "--events", EVENTS]).succeed(LIMIT);
    assert!(summary.contains("The sums agree"), "{summary}");
    let counted = python::python("check_demo.py", &["--output", output, "--topic", "web-events", "--events", EVENTS]);
    assert!(counted.starts_with("ok"), "{counted}");
}

#[test]
fn the_demo_leaves_a_folder_of_somebody_else_alone() {
    let folder = scratch("demo");
    let precious = folder.path().join("precious.parquet");
    fs::write(&precious, "rows").expect("a file");
    let mut demo = Process::ours(&["demo", "--output", folder.path().to_str().expect("UTF-8")]);
    assert_eq!(demo.wait(Duration::from_secs(30)).code(), Some(2));
    assert!(demo.stderr().contains("not empty"), "{}", demo.stderr());
    assert_eq!(fs::read_to_string(precious).expect("still there"), "rows");
}
