//! Properties of the stream of events, and of whole runs into a file and into an embedded Kafka broker.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use clap::Parser as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::engine::time::{EpochLength, EventTime};

const START: EventTime = EventTime(1_795_366_800_000_000); // 2026-11-22T17:00:00Z

/// The fields of an event, in the order of the real ones.
const FIELDS: [&str; 30] = [
    "event_id",
    "event_timestamp",
    "event_type",
    "page_url",
    "page_url_path",
    "referer_url",
    "referer_url_scheme",
    "referer_url_port",
    "referer_medium",
    "utm_medium",
    "utm_source",
    "utm_content",
    "utm_campaign",
    "click_id",
    "geo_latitude",
    "geo_longitude",
    "geo_country",
    "geo_timezone",
    "geo_region_name",
    "ip_address",
    "browser_name",
    "browser_user_agent",
    "browser_language",
    "os",
    "os_name",
    "os_timezone",
    "device_type",
    "device_is_mobile",
    "user_custom_id",
    "user_domain_id",
];

/// One event, owned.
struct Made {
    bytes: Vec<u8>,
    key: String,
    time: EventTime,
    timing: Timing,
    malformed: Option<Malformed>,
}

impl Made {
    fn object(&self) -> Map<String, Value> {
        serde_json::from_slice(&self.bytes).expect("a JSON object")
    }
}

fn make(config: &ModelConfig, count: usize) -> Vec<Made> {
    let mut generator = EventGenerator::new(config);
    let mut make = || {
        let mut bytes = Vec::new();
        let event = generator.next_event(&mut bytes);
        let (key, time) = (event.key.to_owned(), event.event_time);
        Made { key, time, timing: event.timing, malformed: event.malformed, bytes }
    };
    (0..count).map(|_| make()).collect()
}

fn good() -> ModelConfig {
    ModelConfig::new(42, START)
}

fn mixed() -> ModelConfig {
    let fraction = |fraction| Fraction::new(fraction).expect("a fraction");
    ModelConfig { out_of_order: fraction(0.1), late: fraction(0.05), malformed: fraction(0.02), ..good() }
}

fn text<'a>(object: &'a Map<String, Value>, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_else(|| panic!("`{field}` is no string"))
}

fn digest(config: &ModelConfig, count: usize) -> String {
    let mut sha = Sha256::new();
    for event in make(config, count) {
        sha.update(&event.bytes);
        sha.update(b"\n");
    }
    hex::encode(&sha.finalize()[..8])
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_ever() {
    assert_eq!(digest(&good(), 10_000), "9e330a67064064dc");
    assert_eq!(digest(&mixed(), 10_000), "8ccf16a9d810e4d2");
    assert_eq!(digest(&ModelConfig { site: Site::Catalog(1000), ..good() }, 10_000), "4654b2ad5aa2cfbc");
}

#[test]
fn another_seed_gives_other_events() {
    assert_ne!(digest(&ModelConfig { seed: 43, ..good() }, 10), digest(&good(), 10));
}

#[test]
fn an_event_looks_like_a_real_one() {
    let line = String::from_utf8(make(&good(), 1).remove(0).bytes).expect("text");
    let object: Map<String, Value> = serde_json::from_str(&line).expect("a JSON object");
    // The same spaces after commas and colons, and the same order, as the real events have.
    let mut rest = line.as_str();
    for (i, field) in FIELDS.iter().enumerate() {
        let value = &object[*field];
        let expected = format!("{}\"{field}\": {value}", if i == 0 { "{" } else { ", " });
        rest = rest.strip_prefix(&expected).unwrap_or_else(|| panic!("{rest} does not begin with {expected}"));
    }
    assert_eq!(rest, "}");
    assert_eq!(text(&object, "event_timestamp"), "2026-11-22 17:00:00.000000");
    assert!((950..1250).contains(&line.len()), "{}", line.len());
}

#[test]
fn every_event_has_the_thirty_fields_with_their_types() {
    for event in make(&good(), 20_000) {
        let object = event.object();
        assert_eq!(object.len(), FIELDS.len());
        for field in FIELDS {
            let value = object.get(field).unwrap_or_else(|| panic!("no `{field}`"));
            assert!(
                if field == "device_is_mobile" { value.is_boolean() } else { value.is_string() },
                "{field}: {value}"
            );
        }
    }
}

#[test]
fn the_fields_of_an_event_agree_with_each_other() {
    for event in make(&good(), 20_000) {
        let object = event.object();
        let field = |name| text(&object, name);
        assert_eq!(event.key, field("page_url_path"));
        assert_eq!(field("page_url"), format!("http://www.dummywebsite.com{}", event.key));
        assert_eq!(field("event_timestamp"), event.time.utc().format("%F %T%.6f").to_string());
        assert_eq!(object["device_is_mobile"], Value::Bool(field("device_type") == "Mobile"));
        assert_eq!(object["device_is_mobile"], Value::Bool(matches!(field("os_name"), "iOS" | "Android")));
        assert_eq!(field("geo_timezone"), field("os_timezone"));
        assert!(field("browser_user_agent").contains(field("os")), "{object:?}");
        assert_eq!(field("referer_url"), format!("www.{}.com", field("utm_source")));
        let search = matches!(field("utm_source"), "google" | "bing");
        assert_eq!(field("referer_medium"), if search { "search" } else { "internal" });
        assert!(field("ip_address").parse::<std::net::Ipv4Addr>().is_ok());
    }
}

#[test]
fn a_visitor_stays_the_same_and_a_session_keeps_its_click() {
    let mut person_of_click = BTreeMap::new();
    let mut device_of_person = BTreeMap::new();
    for event in make(&good(), 20_000) {
        let object = event.object();
        let field = |name| text(&object, name).to_owned();
        let person = field("user_domain_id");
        assert_eq!(*person_of_click.entry(field("click_id")).or_insert_with(|| person.clone()), person);
        let device = (field("ip_address"), field("browser_user_agent"), field("geo_region_name"));
        assert_eq!(*device_of_person.entry(person).or_insert_with(|| device.clone()), device);
    }
    assert!(device_of_person.len() > 2000, "{}", device_of_person.len());
    assert!(person_of_click.len() > device_of_person.len(), "some visitors come again");
}

#[test]
fn event_ids_are_unique() {
    let ids: BTreeSet<String> =
        make(&good(), 50_000).iter().map(|event| text(&event.object(), "event_id").into()).collect();
    assert_eq!(ids.len(), 50_000);
}

#[test]
fn events_are_in_order_one_in_each_step() {
    for (i, event) in (0_i64..).zip(make(&good(), 5_000)) {
        let behind = event.time.0 - START.0 - i * 1000;
        assert!((0..1000).contains(&behind), "event {i} lies {behind} µs into its step");
    }
}

#[test]
fn steps_below_a_microsecond_add_up() {
    let events = make(&ModelConfig { step_ps: 300_000, ..good() }, 10_001); // 0.3 µs
    assert_eq!(events[10_000].time.0 - START.0, 3000);
}

#[test]
fn fractions_are_what_was_asked_for() {
    let events = make(&mixed(), 20_000);
    let count = |timing| events.iter().filter(|event| event.timing == timing).count();
    let malformed = events.iter().filter(|event| event.malformed.is_some()).count();
    // Of 20,000: 2 % malformed, 5 % late, 10 % out of order. Exact for the seed.
    assert_eq!([malformed, count(Timing::Late), count(Timing::OutOfOrder)], [394, 1023, 1927]);
    assert!(malformed.abs_diff(400) < 60 && count(Timing::Late).abs_diff(1000) < 90);
    assert!(count(Timing::OutOfOrder).abs_diff(2000) < 130);
}

#[test]
fn late_events_lie_behind_more_than_lateness_and_epoch() {
    let quarter = EpochLength::from_us(900_000_000).expect("15 minutes divide a day");
    let mut newest = START;
    for event in make(&mixed(), 20_000) {
        let behind_s = (newest.0 - event.time.0) / 1_000_000;
        match event.timing {
            Timing::InOrder => newest = newest.max(event.time),
            Timing::OutOfOrder => assert!((1..=120).contains(&behind_s), "{behind_s}"),
            Timing::Late => {
                assert!((1799..=7200).contains(&behind_s), "{behind_s}");
                assert!(quarter.epoch_of(event.time).end <= newest.plus_us(-300_000_000));
            }
        }
    }
}

#[test]
fn every_kind_of_malformed_event_occurs_and_is_what_it_says() {
    let malformed = Fraction::new(1.0).expect("a fraction");
    let events = make(&ModelConfig { malformed, ..good() }, 900);
    for kind in Malformed::ALL {
        assert_eq!(events.iter().filter(|event| event.malformed == Some(kind)).count(), 100, "{kind:?}");
    }
    for event in events {
        let json: Result<Value, _> = serde_json::from_slice(&event.bytes);
        let time = |json: Result<Value, _>| json.expect("JSON").get("event_timestamp").cloned();
        match event.malformed.expect("all are") {
            Malformed::Empty => assert!(event.bytes.is_empty()),
            Malformed::NotJson => assert!(json.is_err()),
            Malformed::Truncated => assert!(json.is_err_and(|error| error.is_eof())),
            Malformed::Array => assert!(json.is_ok_and(|json| json.is_array())),
            Malformed::InvalidUtf8 => assert!(std::str::from_utf8(&event.bytes).is_err()),
            Malformed::MissingTimestamp => assert_eq!(time(json), None),
            Malformed::UnparsableTimestamp => assert_eq!(time(json), Some("yesterday at noon".into())),
            Malformed::NullTimestamp => assert_eq!(time(json), Some(Value::Null)),
            Malformed::YearZero => assert_eq!(time(json), Some("0000-01-01 00:00:00.000000".into())),
        }
    }
}

#[test]
fn event_time_stops_at_the_end_of_the_calendar() {
    let last = make(&ModelConfig { step_ps: u64::MAX, ..good() }, 1000).pop().expect("an event");
    assert!(last.time.is_plausible());
    let events = make(&ModelConfig { step_ps: DAY_PS, ..ModelConfig::new(1, EventTime(253_402_300_799_000_000)) }, 3);
    assert_eq!(text(&events[2].object(), "event_timestamp"), "9999-12-31 23:59:59.999999");
}

const DAY_PS: u64 = 86_400 * 1_000_000_000_000;

#[derive(Debug, clap::Parser)]
struct Cli {
    #[command(flatten)]
    generate: GenerateConfig,
}

fn flags(line: &str) -> GenerateConfig {
    Cli::try_parse_from(line.split(' ')).expect("good flags").generate
}

/// A clock that moves on by 10 ms each time that somebody looks.
fn ticking() -> impl Fn() -> SystemTime {
    let now = Cell::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_366_800));
    move || now.replace(now.get() + Duration::from_millis(10))
}

fn running(line: &str) -> Result<Summary, GenerateError> {
    run(&flags(line), None, &AtomicBool::new(false), &ticking())
}

#[test]
fn the_flags_are_consistent() {
    use clap::CommandFactory as _;
    Cli::command().debug_assert();
}

#[test]
fn nonsense_is_refused() {
    for wrong in ["--late 1.5", "--late=-1", "--rate 0", "--rate x", "--start yesterday", "--pages 0", "--speed 0"] {
        assert!(Cli::try_parse_from(format!("generate {wrong}").split(' ')).is_err(), "{wrong}");
    }
    assert!(matches!(running("generate --rate 0.001 --speed 1000"), Err(GenerateError::Step { .. })));
    assert!(matches!(running("generate --late 0.6 --malformed 0.5"), Err(GenerateError::Fractions)));
    assert!(matches!(running("generate"), Err(GenerateError::NoTarget)));
}

#[test]
fn the_step_between_events_follows_from_speed_and_rate() {
    let step = |line| flags(line).model(SystemTime::UNIX_EPOCH).expect("a model").step_ps;
    assert_eq!(step("generate"), 1_000_000_000); // 1 ms
    assert_eq!(step("generate --speed 60"), 60_000_000_000);
    assert_eq!(step("generate --rate 1000 --speed 3600"), 3_600_000_000_000); // 3.6 s
    assert_eq!(step("generate --rate 300000"), 3_333_333); // 3.3 µs
}

#[test]
fn json_lines_are_the_stream_itself_and_no_line_is_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("events.jsonl");
    let line =
        format!("generate --output {} --count 5000 --malformed 0.1 --start 2026-11-22T17:00:00Z", file.display());
    let summary = running(&line).expect("a run");
    let written = std::fs::read(&file).expect("the file");
    let malformed = Fraction::new(0.1).expect("a fraction");
    let mut expected = Vec::new();
    for event in make(&ModelConfig { malformed, may_be_empty: false, ..good() }, 5000) {
        assert!(!event.bytes.is_empty() && !event.bytes.contains(&b'\n'));
        expected.extend_from_slice(&event.bytes);
        expected.push(b'\n');
    }
    assert!(written == expected);
    assert_eq!([summary.events, summary.stored, summary.keys], [5000, 5000, 6]);
    assert_eq!(summary.bytes + 5000, expected.len() as u64);
}

#[test]
fn a_rate_and_a_duration_make_an_exact_count() {
    let folder = tempfile::tempdir().expect("a folder");
    let line =
        format!("generate --output {} --rate 1000 --duration 700ms", folder.path().join("events.jsonl").display());
    assert_eq!(running(&line).expect("a run").events, 700);
}

#[test]
fn a_request_to_stop_is_honoured() {
    let folder = tempfile::tempdir().expect("a folder");
    let line = format!("generate --output {}", folder.path().join("events.jsonl").display());
    let stop = AtomicBool::new(false);
    let (clock, looks) = (ticking(), Cell::new(0));
    let clock = || {
        looks.set(looks.get() + 1);
        stop.store(looks.get() > 10, Ordering::Relaxed);
        clock()
    };
    let summary = run(&flags(&line), None, &stop, &clock).expect("a run");
    assert_eq!(summary.events, 9 * BATCH); // the first two looks are for the start of event time and of the run
    assert_eq!(summary.stored, summary.events);
}

#[test]
fn a_missing_topic_is_named_before_anything_is_sent() {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    let error =
        running(&format!("generate --brokers {} --count 1", cluster.bootstrap_servers())).expect_err("no topic");
    assert!(matches!(&error, GenerateError::NoTopic { topic, .. } if topic == "web-events"), "{error}");
    assert!(error.is_mistake() && error.to_string().contains("--create-topic"));
}

#[test]
fn every_event_arrives_under_its_key_with_its_event_time() {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic("web-events", 4, 1).expect("a topic");
    let brokers = cluster.bootstrap_servers();
    let summary = running(&format!(
        "generate --brokers {brokers} --count 2000 --start 2026-11-22T17:00:00Z --kafka-timestamps event"
    ));
    assert_eq!(summary.expect("a run").stored, 2000);

    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &brokers)
        .set("group.id", "test")
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("a consumer");
    consumer.subscribe(&["web-events"]).expect("a subscription");
    let mut expected: BTreeMap<Vec<u8>, Made> =
        make(&good(), 2000).into_iter().map(|event| (event.bytes.clone(), event)).collect();
    let mut partition_of_key = BTreeMap::new();
    while !expected.is_empty() {
        let polled = (0..200).find_map(|_| consumer.poll(Duration::from_millis(100)));
        let record = polled.expect("more records").expect("a record");
        let event = expected.remove(record.payload().expect("a value")).expect("an event of the stream, once");
        assert_eq!(record.key(), Some(event.key.as_bytes()));
        assert_eq!(record.timestamp().to_millis(), Some(event.time.as_ms()));
        let partition = *partition_of_key.entry(event.key).or_insert(record.partition());
        assert_eq!(partition, record.partition());
    }
    // Java's producer puts the keys into the same partitions: (murmur2(key) & 0x7fffffff) % 4.
    assert_eq!(
        partition_of_key.into_iter().map(|(key, partition)| format!("{key} {partition}")).collect::<Vec<_>>(),
        ["/cart 1", "/confirmation 1", "/home 2", "/payment 1", "/product_a 0", "/product_b 1"]
    );
}
