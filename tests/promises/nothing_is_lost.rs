//! Every record ends in exactly one published row: on a folder and on an object store, with one instance and with many.

use crate::{
    common::{process::Signal, s3::S3Server, wait_for},
    job::{ALL, Instance, Job, PATIENCE},
};

#[test]
fn a_topic_becomes_one_file_for_each_epoch_path_and_partition() {
    let job = Job::new("folder", 4);
    job.produce(":");
    assert_eq!(job.run_until_end(), ALL);
    job.check();
    assert_eq!(job.run_until_end(), 0, "what was read is not read again");
    job.check();
}

#[test]
fn on_an_object_store_it_is_the_same() {
    let (job, server) = (Job::new("objects", 4), S3Server::start());
    job.produce(":");
    let instance = job.start_to(&server.url("events"), &server.environment(), &["--until-end"]);
    assert_eq!(instance.finish(), ALL);
    job.check_in(&server.folder("events"));
}

/// The partitions change hands in the middle of both epochs: after a crash, and after an orderly end.
#[test]
fn instances_that_crash_leave_and_join_lose_and_double_nothing() {
    const FLAGS: [&str; 2] = ["--commit-interval", "500ms"];
    let job = Job::new("three", 4);
    // The schema is inferred from the first records; nobody joins the group without one.
    job.produce(":500");
    let mut members: Vec<Instance> = (0..3).map(|_| job.start(&FLAGS)).collect();
    for member in &mut members {
        member.wait_for_metric("assigned_partitions", |partitions| (1.0..3.0).contains(&partitions));
    }

    // One of the four partitions has no records, and may be all that one of the members has.
    let mut producer = job.produce_slowly("500:7000", 2_000);
    wait_for("two members have read something", PATIENCE, || {
        members.sort_by(|one, other| other.records().total_cmp(&one.records()));
        (members[1].records() > 0.0).then_some(())
    });
    let mut crashed = members.remove(0);
    crashed.process.signal(Signal::Kill);
    producer.succeed(PATIENCE);

    let mut leaving = members.remove(0);
    let before = leaving.records();
    let mut producer = job.produce_slowly("7000:13000", 2_000);
    leaving.wait_for_metric("records_total", |records| records > before);
    leaving.stop();
    producer.succeed(PATIENCE);

    // The one that is left has everything, until another comes.
    let mut left = members.remove(0);
    left.wait_for_metric("assigned_partitions", |partitions| partitions == 4.0);
    left.wait_for_metric("records_total", |records| records > 0.0);
    let mut newcomer = job.start(&FLAGS);
    newcomer.wait_for_metric("assigned_partitions", |partitions| partitions == 2.0);
    let before = left.records();
    let mut producer = job.produce_slowly("13000:", 2_000);
    wait_for("both have read something", PATIENCE, || {
        // Two partitions each, and only one of the four is empty.
        (newcomer.records() > 0.0 && left.records() > before).then_some(())
    });
    producer.succeed(PATIENCE);

    // A partition that stays where it is while others move is read on from where it was, not from behind its end.
    for member in [&left, &newcomer] {
        assert!(!member.process.stderr().contains("cannot be read on"));
    }
    newcomer.stop();
    left.stop();
    job.run_until_end();
    job.check();
}
