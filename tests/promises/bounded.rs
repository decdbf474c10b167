//! Ending takes as long as the operator allows, and leaves the next instance nothing to read again.

use std::{fs, time::Duration};

use crate::{
    common::wait_for,
    job::{ALL, Job, PATIENCE},
};

#[test]
fn at_sigterm_everything_read_is_handed_over_within_the_time_allowed() {
    let job = Job::new("leaving", 4);
    job.produce(":1000");
    let first = job.start(&["--commit-interval", "500ms"]);
    job.wait_until_all_is_committed();
    assert_eq!(first.stop(), 1_000);

    // This one would append nothing for an hour: its first epoch is the one that is open already.
    job.produce("1000:5000");
    let mut second = job.start(&["--commit-interval", "1h", "--handover-timeout", "20s"]);
    second.wait_for_metric("position", |position| position == 5_000.0);
    assert_eq!(second.records(), 0.0);
    let status = second.process.terminate(Duration::from_secs(20));
    assert_eq!(status.code(), Some(0));
    let committed: i64 = job.committed().into_iter().flatten().map(|(offset, _)| offset).sum();
    assert_eq!(committed, 5_000);
    assert_eq!(job.files().len(), 0);

    job.produce("5000:");
    assert_eq!(job.run_until_end(), ALL - 5_000);
    job.check();
}

/// The store takes entries but no files: a plain file stands where the topic's folder should be.
#[test]
fn closes_that_one_instance_could_not_publish_are_published_by_the_next_without_reading_again() {
    let job = Job::new("pending", 4);
    let obstacle = job.output().join(&job.topic);
    fs::write(&obstacle, "not a folder").unwrap();
    job.produce(":");
    let mut instance = job.start(&["--commit-interval", "500ms"]);
    // The first epoch, in each of the three partitions that have records.
    instance.wait_for_metric("pending_closes", |closes| closes == 3.0);
    job.wait_until_all_is_committed();
    instance.wait_for_metric("publish_failures_total", |failures| failures >= 3.0);
    assert_eq!(instance.stop(), ALL);

    fs::remove_file(&obstacle).unwrap();
    let mut next = job.start(&["--commit-interval", "500ms"]);
    wait_for("the first epoch is published", PATIENCE, || {
        assert!(next.process.ended().is_none(), "the instance ended");
        (job.files().len() == 6).then_some(())
    });
    next.wait_for_metric("pending_closes", |closes| closes == 0.0);
    assert_eq!(next.stop(), 0);
    assert_eq!(job.run_until_end(), 0);
    job.check();
}
