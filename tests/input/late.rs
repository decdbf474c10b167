//! Late records: what becomes of them is the operator's choice, and they are counted whatever it is.

use serde_json::json;

use crate::job::{Job, Summary};

const FLAGS: [&str; 4] = ["--partition-by", "year,month,day", "--allowed-lateness", "5m"];

/// A topic whose first epoch a first run has closed, and then one record more for that epoch and one for the open one.
fn job_with_a_late_record(name: &str) -> Job {
    let job = Job::new(name, 1);
    let at = |time: &str| format!(r#"{{"event_timestamp":"2025-06-01T{time}Z"}}"#);
    // The watermark is 11:15, the end of the first one's epoch, to the second.
    job.produce(&[at("11:00:00"), at("11:20:00")]);
    let first = job.run(&[FLAGS.as_slice(), &["--keep-open"]].concat());
    assert_eq!(first, Summary { records: 2, rows: 2, dead_letters: 0, dropped: 0 });
    job.produce(&[at("11:14:59.999999"), at("11:15:00")]);
    job
}

#[test]
fn a_late_record_is_a_dead_letter_if_the_operator_wants_that() {
    let job = job_with_a_late_record("late-dead-letter");
    let second = job.run(&[FLAGS.as_slice(), &["--late", "dead-letter"]].concat());
    assert_eq!(second, Summary { records: 2, rows: 1, dead_letters: 1, dropped: 0 });
    let detail = "event time 2025-06-01T11:14:59.999999Z belongs to an epoch that was closed already";
    assert_eq!(job.ask("SELECT _kafka_offset, reason, detail FROM {dead}"), [json!([2, "late", detail])]);
    assert_eq!(job.ask("SELECT _kafka_offset FROM {rows} ORDER BY 1"), [json!([0]), json!([1]), json!([3])]);
}

#[test]
fn a_late_record_is_dropped_and_counted_if_the_operator_wants_that() {
    let job = job_with_a_late_record("late-drop");
    let second = job.run(&[FLAGS.as_slice(), &["--late", "drop"]].concat());
    assert_eq!(second, Summary { records: 2, rows: 1, dead_letters: 0, dropped: 1 });
    assert_eq!(job.ask("SELECT _kafka_offset FROM {rows} ORDER BY 1"), [json!([0]), json!([1]), json!([3])]);
}

#[test]
fn late_rows_are_in_a_file_of_their_own_whose_name_says_so() {
    let job = job_with_a_late_record("late-append");
    let second = job.run(&FLAGS);
    assert_eq!(second, Summary { records: 2, rows: 2, dead_letters: 0, dropped: 0 });
    let late = "SELECT _kafka_offset, filename LIKE '%/20250601T110000Z-p0-%-late.parquet' FROM {rows} ORDER BY 1";
    assert_eq!(job.ask(late), [json!([0, false]), json!([1, false]), json!([2, true]), json!([3, false])]);
}
