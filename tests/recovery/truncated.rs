//! Kafka's log ends before the position: the broker lost its newest records.

use crate::common::{kafka::KafkaCluster, scratch};
use crate::job::Job;

/// A partition that was read to offset 4, whose log then ends at offset 2 again. It has a broker of its own, which is killed for it.
fn truncated_job() -> Job {
    let kafka: &'static KafkaCluster = Box::leak(Box::new(KafkaCluster::start(1)));
    let (job, kept) = (Job::on(kafka, "truncated", 1), scratch("kept"));
    job.produce_at(0, &[1, 2]);
    job.kafka.keep_log(&job.topic, 0, kept.path());
    job.produce_at(0, &[16, 17]);
    assert_eq!(job.run(&["--keep-open", "--allowed-lateness", "1m"]).number("records read"), 4);
    job.kafka.restore_log(&job.topic, 0, kept.path());
    assert_eq!(job.kafka.end_offsets(&job.topic), [2]);
    job
}

#[test]
fn a_log_that_ends_before_the_position_is_told_and_gone_on_with_only_if_told_to() {
    let job = truncated_job();
    let words = [
        "/0: the next offset to read is 4, but Kafka's log ends at 2",
        "recreated or truncated",
        "--on-data-loss skip",
    ];
    job.rehearse(&[]).refused(1, &words);
    job.run(&[]).refused(1, &words);

    let skip = ["--on-data-loss", "skip"];
    job.rehearse(&skip).said(&["/0  goes on at offset 2, 0 before the log's end"]);
    assert_eq!(job.run(&skip).number("records read"), 0);
    // What comes now has offsets that others had, and is no less a record.
    job.produce_at(0, &[33, 48]);
    assert_eq!(job.run(&[]).number("records read"), 2);
    let lane = &job.proved()[0];
    assert_eq!((&lane["position"], &lane["totals"]["records"]), (&4.into(), &6.into()));
    assert_eq!((&lane["totals"]["skipped_offsets"], &lane["published"]["rows"]), (&0.into(), &6.into()));
}
