//! Every record ends in exactly one published row: on a folder and on an object store, with one instance and with many.

use crate::{
    common::{kafka::RawRecord, process::Signal, s3::S3Server, wait_for},
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

/// Workers that have no partition decode a part of the records of the one that has.
#[test]
fn one_partition_that_several_workers_decode_is_the_same() {
    let job = Job::new("hot", 1);
    job.produce(":");
    assert_eq!(job.start(&["--until-end", "--workers", "3"]).finish(), ALL);
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

/// Offsets of an aborted transaction are missing at each log's end, so that it comes among records when it is not expected. Then partitions that
/// stay are read on while others move, and there are new records.
#[test]
fn a_log_that_ends_among_records_is_read_on_where_it_ended() {
    let job = Job::new("aborted", 4);
    job.produce(":10000");
    job.kafka.produce_and_abort(&job.topic, job.partitions, 10_000);
    let flags = ["--workers", "1", "--commit-interval", "500ms", "--log", "info,streams_to_parquet::app=debug"];
    let mut stays = job.start(&flags);
    stays.wait_for_metric("records_total", |records| records == 10_000.0);
    assert!(stays.process.stderr().contains("the log's end was among other records"), "{}", stays.process.stderr());

    let mut producer = job.produce_slowly("10000:", 4_000);
    let mut newcomer = job.start(&flags);
    newcomer.wait_for_metric("assigned_partitions", |partitions| partitions == 2.0);
    producer.succeed(PATIENCE);
    for member in [stays, newcomer] {
        assert!(!member.process.stderr().contains("cannot be read on"));
        member.stop();
    }
    job.run_until_end();
    job.check();
}

/// The instance stands still while Kafka deletes what it has not read: its fetch fails when it wakes up.
#[test]
fn what_kafka_deleted_under_way_is_counted_and_reading_goes_on_behind_it() {
    let job = Job::new("deleted", 1);
    let produce = |time: &str| {
        let event = format!(r#"{{"event_timestamp": "2026-11-22 12:{time}", "page_url_path": "/home"}}"#);
        let record = RawRecord { partition: Some(0), value: Some(event.as_bytes()), ..RawRecord::default() };
        job.kafka.produce_raw(&job.topic, &[record]);
    };
    produce("00:01");
    let mut instance = job.start(&["--commit-interval", "500ms", "--on-data-loss", "skip"]);
    job.wait_until_all_is_committed();

    instance.process.signal(Signal::Stop);
    // The first may be in the answer to a fetch that waits already; the second is in none.
    produce("00:02");
    produce("00:03");
    job.delete_records(0, 3);
    instance.process.signal(Signal::Cont);
    instance.wait_for_metric("skipped_offsets_total", |skipped| skipped >= 1.0);
    produce("00:04");
    job.wait_until_all_is_committed();
    let skipped = instance.metric("skipped_offsets_total").unwrap();
    assert_eq!(instance.records() + skipped, 4.0);
    instance.stop();
}
