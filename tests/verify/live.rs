//! `verify` beside the real program and a real broker.

use std::fs;

use serde_json::Value;

use crate::common::process::Signal;
use crate::job::{ALL, Job};
use crate::output::{Said, verify};

/// Epochs so short, and entries so many, that something is always being closed, published, merged or collected.
const BUSY: [&str; 10] = [
    "--epoch",
    "1m",
    "--allowed-lateness",
    "10s",
    "--commit-interval",
    "200ms",
    "--merge-entries",
    "2",
    "--collect-grace",
    "0s",
];

fn lanes(said: &Said) -> Vec<Value> {
    said.report["topics"][0]["partitions"].as_array().unwrap().clone()
}

fn sum(lanes: &[Value], of: &str, what: &str) -> u64 {
    lanes.iter().map(|lane| lane[of][what].as_u64().unwrap()).sum()
}

#[test]
fn no_false_alarm_is_raised_while_instances_write_crash_and_hand_over() {
    let job = Job::new("watched", 4);
    let mut producer = job.produce_slowly(":", 1_500);
    let mut instances = vec![job.start(&BUSY), job.start(&BUSY)];
    let mut looks = 0;
    while producer.ended().is_none() {
        let said = verify(job.output(), &[if looks % 2 == 0 { "--deep" } else { "--checksums" }]);
        // Before the first instance has claimed the output there is nothing to check.
        if said.code != 2 || looks > 0 {
            assert_eq!(said.code, 0, "look {looks}: {} {:#}", said.stderr, said.report);
            looks += 1;
        }
        if looks == 5 {
            instances[0].process.signal(Signal::Kill);
            instances[0] = job.start(&BUSY);
        }
    }
    assert!(looks > 10, "only {looks} looks");
    job.wait_until_all_is_committed();
    for instance in instances {
        instance.stop();
    }
    job.start(&[&BUSY[..], &["--until-end"]].concat()).finish();

    let said = verify(job.output(), &["--deep", "--brokers", &job.kafka.bootstrap()]);
    assert_eq!(said.code, 0, "{} {:#?}", said.stderr, said.violations());
    let lanes = lanes(&said);
    assert_eq!((sum(&lanes, "published", "rows"), sum(&lanes, "totals", "records")), (ALL, ALL));
    assert_eq!(sum(&lanes, "waiting", "rows") + sum(&lanes, "publishing", "rows"), 0);
}

#[test]
fn what_is_not_read_or_published_yet_is_told_beside_kafka() {
    let job = Job::new("compared", 4);
    job.produce(":3000");
    job.start(&["--until-end", "--keep-open"]).finish();
    job.produce("3000:3500");
    let brokers = job.kafka.bootstrap();
    let said = verify(job.output(), &["--brokers", &brokers]);
    assert_eq!(said.code, 0, "{} {:#?}", said.stderr, said.violations());
    let kafka = said.report["topics"][0]["kafka"].as_array().unwrap();
    let unread: u64 = kafka.iter().map(|partition| partition["unread"].as_u64().unwrap()).sum();
    assert_eq!(unread, 500);
    let lanes = lanes(&said);
    assert_eq!(sum(&lanes, "waiting", "rows") + sum(&lanes, "published", "rows"), 3_000);
    assert!(sum(&lanes, "waiting", "rows") > 0, "something is open");
    for (lane, partition) in lanes.iter().zip(kafka) {
        assert_eq!(lane["position"], partition["committed"]);
    }

    // The log's end deleted: what is left is sound in itself, and Kafka knows better.
    let newest = job.below(&job.meta("control/p2"), "entry").pop().unwrap();
    let bytes = fs::read(job.output().join(&newest)).unwrap();
    fs::remove_file(job.output().join(&newest)).unwrap();
    let said = verify(job.output(), &["--brokers", &brokers]);
    assert_eq!(said.code, 1, "{}", said.stderr);
    let wrong = said.violations();
    let found = wrong.iter().find(|found| found["kind"] == "commit_contradiction" || found["kind"] == "log_missing");
    assert_eq!(found.unwrap_or_else(|| panic!("{wrong:#?}"))["partition"], 2);
    fs::write(job.output().join(&newest), bytes).unwrap();

    // Retention went past what was not read; and another group's offsets are not ours.
    let low = job.kafka.end_offsets(&job.topic)[1];
    job.delete_records(1, low);
    let said = verify(job.output(), &["--brokers", &brokers]);
    assert_eq!((said.code, said.kinds()), (1, vec!["data_loss".to_owned()]), "{}", said.stderr);
    let said = verify(job.output(), &["--brokers", "127.0.0.1:1", "-X", "socket.timeout.ms=1000"]);
    assert_eq!(said.code, 2, "{}", said.stderr);
    assert!(said.stderr.contains("no answer from the brokers"), "{}", said.stderr);
}
