//! Receipts tell what is published, and markers which epochs are complete in all partitions.

use std::fs;

use serde_json::{Value, json};

use crate::{
    common::{kafka::RawRecord, python, wait_for},
    job::{ALL, Job, PATIENCE},
};

#[test]
fn receipts_agree_with_the_files_and_markers_name_all_partitions() {
    let job = Job::new("receipts", 3);
    job.produce(":");
    assert_eq!(job.run_until_end(), ALL);
    job.check();
    python::python("check_receipts.py", &["--output", job.output().to_str().unwrap(), "--topic", &job.topic]);
    for epoch in ["20261122T170000Z", "20261122T171500Z"] {
        assert_eq!(marker(&job, epoch)["partitions"], json!([0, 1, 2]), "{epoch}");
    }
}

#[test]
fn an_epoch_is_marked_when_the_last_partition_has_passed_it_and_not_before() {
    let job = Job::new("marked", 2);
    let produce = |events: &[(i32, &str)]| {
        let values: Vec<_> = events.iter().map(|(partition, time)| (*partition, event(time))).collect();
        let record = |(partition, value): &(i32, String)| (Some(*partition), value.clone().into_bytes());
        let owned: Vec<_> = values.iter().map(record).collect();
        let records: Vec<_> = owned
            .iter()
            .map(|(partition, value)| RawRecord { partition: *partition, value: Some(value), ..RawRecord::default() })
            .collect();
        job.kafka.produce_raw(&job.topic, &records);
    };
    produce(&[(0, "12:01"), (1, "12:02"), (0, "12:30")]);
    let mut instance = job.start(&["--commit-interval", "500ms"]);
    // Partition 0 is through with the first epoch, has published it, and has looked how far the other is.
    instance.wait_for_metric("published_files_total", |files| files == 1.0);
    instance.wait_for_metric("oldest_unmarked_epoch_partition", |partition| partition == 1.0);
    let receipts = || job.below(&job.meta("epochs/20261122T120000Z"), "json");
    let names = |receipts: &[std::path::PathBuf]| {
        receipts.iter().map(|path| path.file_name().unwrap().to_str().unwrap()[..3].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&receipts()), ["p0-"]);
    assert!(!job.output().join(job.meta("epochs/20261122T120000Z.json")).exists(), "partition 1 lags");

    produce(&[(1, "12:30")]);
    wait_for("the epoch is marked", PATIENCE, || {
        assert!(instance.process.ended().is_none(), "the instance ended");
        job.output().join(job.meta("epochs/20261122T120000Z.json")).exists().then_some(())
    });
    assert_eq!(names(&receipts()), ["p0-", "p1-"]);
    assert_eq!(job.files().len(), 2, "a file of each partition");
    let marker = marker(&job, "20261122T120000Z");
    assert_eq!(marker["partitions"], json!([0, 1]));
    assert_eq!(marker["topic"], json!(job.topic));
    assert!(!job.output().join(job.meta("epochs/20261122T121500Z.json")).exists(), "the watermark is 12:25");
    instance.stop();
}

fn event(time: &str) -> String {
    json!({"event_timestamp": format!("2026-11-22 {time}:00"), "page_url_path": "/home"}).to_string()
}

fn marker(job: &Job, epoch: &str) -> Value {
    let text = fs::read(job.output().join(job.meta("epochs")).join(format!("{epoch}.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}
