//! Consumer lag means lag: it does not wait for epochs to close.

use crate::{
    common::{kafka::GroupOffset, wait_for},
    job::{Job, PATIENCE},
};

#[test]
fn the_lag_that_others_see_goes_to_zero_while_epochs_are_open() {
    let job = Job::new("lag", 3);
    job.produce(":5000");
    let mut instance = job.start(&["--commit-interval", "1s"]);
    let seen = wait_for("Kafka's own tool sees no lag", PATIENCE, || {
        let offsets = job.kafka.describe_group(&job.group);
        (offsets.len() == 3 && offsets.iter().all(|offset| offset.lag == Some(0))).then_some(offsets)
    });
    let committed = |offset: &GroupOffset| offset.committed.unwrap();
    assert_eq!(seen.iter().map(committed).sum::<i64>(), 5_000);
    assert_eq!(instance.metric("open_epochs"), Some(3.0), "one epoch in each of the partitions");
    assert_eq!(job.files().len(), 0);
    assert!(instance.process.ended().is_none());

    // And again for what comes then, with the same epoch still open.
    job.produce("5000:5200");
    job.wait_until_all_is_committed();
    assert_eq!(job.files().len(), 0);
    assert_eq!(instance.stop(), 5_200);
    job.produce("5200:");
    job.run_until_end();
    job.check();
}
