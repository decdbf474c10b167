//! The harness itself: what the other tests take for granted.

mod common;

use std::{process::Command, time::Duration};

use common::{
    EVENTS,
    kafka::{GroupOffset, KafkaCluster, RawRecord, shared_kafka},
    process::{Process, Signal, http_get},
    python,
    s3::S3Server,
    target, unique, wait_for,
};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, aws::AmazonS3Builder, path::Path};
use rdkafka::Message;

#[test]
fn a_broker_holds_what_an_independent_producer_sent() {
    let kafka = shared_kafka();
    let topic = unique("events");
    kafka.create_topic(&topic, 4, &[]);
    kafka.produce(&topic, EVENTS, &[]);

    let records = kafka.records(&topic);
    assert_eq!(records.len(), 20_000);
    assert_eq!(kafka.end_offsets(&topic), [4_590, 7_320, 8_090, 0]);
    // Six paths, and so six keys, on four partitions: murmur2 as in Kafka's own client.
    assert!(records.iter().filter(|record| record.key() == Some(b"/home")).all(|record| record.partition() == 2));

    let group = unique("group");
    assert_eq!(kafka.describe_group(&group), []);
    kafka.commit(&group, &topic, 1, 7_000, "chain 7f3a9c1e, entry 42");
    assert_eq!(kafka.committed(&group, &topic, 1), Some((7_000, "chain 7f3a9c1e, entry 42".to_owned())));
    assert_eq!(kafka.committed(&group, &topic, 0), None);
    let seen = GroupOffset { topic: topic.clone(), partition: 1, committed: Some(7_000), end: 7_320, lag: Some(320) };
    assert_eq!(kafka.describe_group(&group), [seen]);

    kafka.reset_offset(&group, &topic, 1, 10);
    assert_eq!(kafka.committed(&group, &topic, 1), Some((10, String::new())));
    kafka.delete_topic(&topic);
}

#[test]
fn raw_records_keep_every_byte() {
    let kafka = shared_kafka();
    let topic = unique("raw");
    kafka.create_topic(&topic, 2, &[]);
    let at = |partition, value| RawRecord { partition: Some(partition), value, ..RawRecord::default() };
    let sent = kafka.produce_raw(
        &topic,
        &[
            RawRecord { key: Some(b"\xff\x00"), timestamp_ms: Some(1_000), ..at(1, Some(b"\xc3\x28".as_slice())) },
            at(1, Some(b"")),
            RawRecord { key: Some(b"tombstone"), ..at(0, None) },
        ],
    );
    assert_eq!(sent, [(1, 0), (1, 1), (0, 0)]);
    let records = kafka.records(&topic);
    let values: Vec<_> = records.iter().map(|record| (record.partition(), record.key(), record.payload())).collect();
    assert_eq!(values[0], (0, Some(b"tombstone".as_slice()), None));
    assert_eq!(values[1], (1, Some(b"\xff\x00".as_slice()), Some(b"\xc3\x28".as_slice())));
    // A client cannot tell an empty value from none by its pointer, but the length of both is zero.
    assert_eq!((values[2].0, values[2].2.unwrap_or_default().len()), (1, 0));
    assert_eq!(records[1].timestamp().to_millis(), Some(1_000));
}

#[test]
fn three_brokers_outlive_the_death_of_one() {
    let kafka = KafkaCluster::start(3);
    let topic = unique("replicated");
    kafka.create_topic(&topic, 3, &[]);
    kafka.produce(&topic, EVENTS, &["--slice", ":1000"]);
    kafka.kill_broker(0);
    kafka.produce(&topic, EVENTS, &["--slice", "1000:2000"]);
    assert_eq!(kafka.end_offsets(&topic).iter().sum::<i64>(), 2_000);
    kafka.restart_broker(0);
    kafka.produce(&topic, EVENTS, &["--slice", "2000:3000"]);
    assert_eq!(kafka.records(&topic).len(), 3_000);
}

#[test]
fn the_s3_server_creates_an_object_only_once() {
    let server = S3Server::start();
    let store = server.environment().into_iter().fold(AmazonS3Builder::new(), |builder, (name, value)| {
        builder.with_config(name.to_lowercase().parse().unwrap(), value)
    });
    let store = store.with_bucket_name(server.bucket()).build().unwrap();
    let key = Path::parse("prefix/page_url_path=%2Fhome/1.entry").unwrap();
    let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        store.put_opts(&key, "first".into(), create()).await.unwrap();
        let second = store.put_opts(&key, "second".into(), create()).await;
        assert!(matches!(second, Err(object_store::Error::AlreadyExists { .. })), "{second:?}");
        assert_eq!(store.get(&key).await.unwrap().bytes().await.unwrap(), "first");
    });
    let file = server.folder("prefix").join("page_url_path=%2Fhome/1.entry");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "first");
}

#[test]
fn the_checker_of_the_output_finds_each_kind_of_damage() {
    python::module("unittest", &["test_check_events"]);
}

#[test]
fn signals_reach_a_process_and_its_end_is_told() {
    let mut sleeper = sleeper();
    sleeper.signal(Signal::Stop);
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", sleeper.id())).unwrap_or_default();
    wait_for("the process stands still", Duration::from_secs(5), || state().contains(") T ").then_some(()));
    sleeper.signal(Signal::Cont);
    let status = sleeper.terminate(Duration::from_secs(5));
    assert_eq!(status.code(), None, "ended by a signal");
    sleeper.signal(Signal::Kill); // Too late, and no harm.
}

/// A process that was started by a test process which is killed must not outlive it.
#[test]
fn nothing_outlives_a_killed_test_process() {
    let mut own = Command::new(std::env::current_exe().unwrap());
    own.args(["--exact", "--ignored", "--nocapture", "a_test_that_never_ends"]);
    let mut own = Process::start("a-test-process", own);
    let pid = wait_for("the other test process tells its child's id", Duration::from_secs(20), || {
        let stdout = own.stdout();
        let line = stdout.lines().find_map(|line| line.split("child ").nth(1)?.split(' ').next()?.parse::<u32>().ok());
        line.filter(|_| stdout.contains("and that is all"))
    });
    assert!(is_running(pid));
    own.kill();
    wait_for("its child has ended", Duration::from_secs(10), || (!is_running(pid)).then_some(()));
}

#[test]
#[ignore = "only as the victim of the test above"]
fn a_test_that_never_ends() {
    let sleeper = sleeper();
    println!("child {} and that is all", sleeper.id());
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn an_http_answer_is_read_whole() {
    let folder = target().join("venv");
    let port = common::free_port();
    assert_eq!(http_get(port, "/"), None);
    let mut server = Command::new(folder.join("bin/python"));
    server.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]).current_dir(&folder);
    let _server = Process::start("http", server);
    let (status, body) = wait_for("the server answers", Duration::from_secs(20), || http_get(port, "/pyvenv.cfg"));
    assert_eq!(status, 200);
    assert!(body.contains("include-system-site-packages"), "{body}");
    assert_eq!(http_get(port, "/none").map(|(status, _)| status), Some(404));
}

fn sleeper() -> Process {
    let mut command = Command::new("sleep");
    command.arg("60");
    Process::start("sleeper", command)
}

/// A zombie that nobody waits for has ended, too.
fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// The fault suite's program is another one: what is tested everywhere else, and released, has no points at which it can be killed.
#[cfg(not(feature = "fail-points"))]
#[test]
fn the_program_has_no_fail_points() {
    let program = std::fs::read(env!("CARGO_BIN_EXE_streams-to-parquet")).unwrap();
    let has = |text: &str| program.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("stall-timeout"), "the search finds what is there");
    for name in ["FAILPOINTS", "append.before", "store.unfenced", "publish-before-append"] {
        assert!(!has(name), "{name}");
    }
}
