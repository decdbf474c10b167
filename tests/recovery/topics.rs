//! The topic itself changed: it has more partitions, or it is another one of that name.

use serde_json::json;

use crate::job::Job;

#[test]
fn partitions_that_are_added_are_read_and_markers_wait_for_them() {
    let job = Job::new("grown", 1);
    job.produce_at(0, &[1, 2]);
    job.run(&[]);
    let noon = ("2025-06-01T12:00:00Z".to_owned(), json!([0]));
    assert_eq!(job.markers(), std::slice::from_ref(&noon));

    job.kafka.add_partitions(&job.topic, 2);
    job.rehearse(&[]).said(&["/0  goes on at offset 2", "/1  begins at offset 0, 0 before the log's end"]);
    job.produce_at(0, &[16]);
    job.run(&[]);
    assert_eq!(job.files().len(), 2);
    assert_eq!(job.markers(), std::slice::from_ref(&noon), "partition 1 has not passed 12:15");

    job.produce_at(1, &[17, 32]);
    job.produce_at(0, &[33]);
    job.run(&[]);
    let quarter = |clock: &str| (format!("2025-06-01T{clock}:00Z"), json!([0, 1]));
    assert_eq!(job.markers(), [noon, quarter("12:15"), quarter("12:30")]);
    let lanes = job.proved();
    assert_eq!((&lanes[0]["published"]["rows"], &lanes[1]["published"]["rows"]), (&4.into(), &2.into()));
}

#[test]
fn partitions_that_are_added_are_noticed_by_instances_that_run() {
    let job = Job::new("growing", 1);
    job.produce_at(0, &[1, 2]);
    let mut instance = job.start(&["--commit-interval", "200ms", "-X", "topic.metadata.refresh.interval.ms=500"]);
    job.wait_until_all_is_committed();
    job.kafka.add_partitions(&job.topic, 2);
    job.produce_at(1, &[3, 4, 5]);
    instance.wait_for_metric("records_total", |records| records == 5.0);
    assert_eq!(instance.metric("assigned_partitions"), Some(2.0));
    instance.stop();
    job.run(&[]);
    assert_eq!(job.proved()[1]["published"]["rows"], 3);
}

#[test]
fn a_topic_that_was_deleted_and_created_again_is_refused() {
    let job = Job::new("recreated", 1);
    job.produce_at(0, &[1, 2]);
    job.run(&[]);
    let files = job.files();
    job.kafka.delete_topic(&job.topic);
    job.kafka.create_topic(&job.topic, 1, &[]);
    job.produce_at(0, &[1, 2, 3]);
    let words = ["topic id", "the topic was deleted and created again", "another --output"];
    job.rehearse(&[]).refused(2, &words);
    job.run(&[]).refused(2, &words);
    assert_eq!(job.files(), files);
    // Another output it is.
    let elsewhere = crate::common::scratch("elsewhere");
    let read =
        job.start_to(elsewhere.path().to_str().unwrap(), &[], &["--until-end", "--group", "new-readers"]).finish();
    assert_eq!(read, 3);
}
