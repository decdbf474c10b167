//! Records that cannot become rows: each is a dead letter with everything that is known of it, and none is in the others' way.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::common::kafka::{RawRecord, shared_kafka};
use crate::common::process::http_get;
use crate::common::{free_port, wait_for};
use crate::job::{Job, KAFKA_MS, Summary, metric};

const LIMIT: Duration = Duration::from_secs(60);

/// A bad record's value, the reason and the detail that its dead letter must have.
struct Bad {
    value: Option<Vec<u8>>,
    reason: &'static str,
    detail: String,
}

fn bad(value: impl AsRef<[u8]>, reason: &'static str, detail: impl Into<String>) -> Bad {
    Bad { value: Some(value.as_ref().to_vec()), reason, detail: detail.into() }
}

fn at(time: &str) -> String {
    format!(r#"{{"event_timestamp":{time},"n":1}}"#)
}

fn nested(field: &str, levels: usize) -> String {
    let (open, close) = ("[".repeat(levels), "]".repeat(levels));
    format!(r#"{{"event_timestamp":"2025-06-01T12:00:00Z","{field}":{open}{close}}}"#)
}

fn bad_records() -> Vec<Bad> {
    let deep = "arrays and objects nest deeper than 128";
    let absurd = |shown: &str| format!("`event_timestamp` is outside the years 1 to 9999: {shown}");
    let no_time = |shown: &str| format!("`event_timestamp` is no time: {shown}");
    vec![
        bad("", "empty_value", "the value has no bytes"),
        bad(" \r\n\t", "empty_value", "the value is white space alone"),
        Bad { value: None, reason: "null_value", detail: "the record has no value".to_owned() },
        bad(b"{\"a\":\"\xff\"}", "not_utf8", "invalid utf-8 sequence of 1 bytes from index 6"),
        bad(b"\xc3\x28", "not_utf8", "invalid utf-8 sequence of 1 bytes from index 0"),
        bad(b"{\"a\":\"\xe2\x82", "not_utf8", "incomplete utf-8 byte sequence from index 6"),
        bad("nonsense", "not_json", "expected ident at line 1 column 2"),
        bad(r#"{"event_timestamp":"#, "not_json", "EOF while parsing a value at line 1 column 19"),
        bad("{'a':1}", "not_json", "key must be a string at line 1 column 2"),
        bad(r#"{"a":NaN}"#, "not_json", "expected value at line 1 column 6"),
        bad(format!("{} {{}}", at("1")), "not_json", "trailing characters at line 1 column 29"),
        bad("\u{feff}{}", "not_json", "the value begins with a byte order mark, which JSON does not have"),
        bad("[1]", "not_an_object", "the value is JSON, but no object: [1]"),
        bad("null", "not_an_object", "the value is JSON, but no object: null"),
        bad("\"text\"", "not_an_object", "the value is JSON, but no object: \"text\""),
        bad("42", "not_an_object", "the value is JSON, but no object: 42"),
        bad(nested("n", 128), "too_deep", deep),
        bad(nested("nobody_knows_it", 128), "too_deep", deep),
        bad("[".repeat(1_000), "too_deep", deep),
        bad(r#"{"n":1}"#, "timestamp_missing", "the record has no field `event_timestamp`"),
        bad("{}", "timestamp_missing", "the record has no field `event_timestamp`"),
        bad(at("null"), "timestamp_null", "`event_timestamp` is null"),
        bad(at("\"yesterday\""), "timestamp_unparsable", no_time("\"yesterday\"")),
        bad(at("\"\""), "timestamp_unparsable", no_time("\"\"")),
        bad(at("\"2025-02-30T00:00:00Z\""), "timestamp_unparsable", no_time("\"2025-02-30T00:00:00Z\"")),
        bad(at("true"), "timestamp_unparsable", no_time("true")),
        bad(at("{}"), "timestamp_unparsable", no_time("{}")),
        bad(at("\"0000-01-01T00:00:00Z\""), "timestamp_out_of_range", absurd("\"0000-01-01T00:00:00Z\"")),
        bad(at("\"99999-01-01T00:00:00Z\""), "timestamp_out_of_range", absurd("\"99999-01-01T00:00:00Z\"")),
        bad(at("1e300"), "timestamp_out_of_range", absurd("1e300")),
        bad(
            at("\"2025-06-01T13:00:00.123001Z\""),
            "timestamp_in_future",
            "`event_timestamp` is 2025-06-01T13:00:00.123001Z, too far ahead of the Kafka timestamp 2025-06-01T12:00:00.123Z",
        ),
        bad(
            at("\"9999-12-31T23:59:59Z\""),
            "timestamp_in_future",
            "`event_timestamp` is 9999-12-31T23:59:59Z, too far ahead of the Kafka timestamp 2025-06-01T12:00:00.123Z",
        ),
    ]
}

/// A good record between any two bad ones, among them those that are only just good.
fn good_record(number: usize) -> String {
    match number {
        0 => at("\"2025-06-01T13:00:00.123Z\""), // Ahead by exactly what is allowed.
        1 => nested("x", 127),
        _ => at(&format!("\"2025-06-01T11:{:02}:00Z\"", number % 60)),
    }
}

#[test]
fn every_bad_record_is_kept_with_its_bytes_its_place_and_the_reason() {
    let job = Job::new("bad", 2);
    let bad = bad_records();
    let good: Vec<String> = (0..bad.len()).map(good_record).collect();
    let keys: [Option<&[u8]>; 3] = [Some(b"a key"), Some(b"\xff\x00"), Some(b"")];
    let mut records = Vec::new();
    for (number, (bad, good)) in bad.iter().zip(&good).enumerate() {
        let key = keys[number % keys.len()];
        let at =
            |value| RawRecord { partition: Some(i32::from(number % 2 == 1)), key, value, timestamp_ms: Some(KAFKA_MS) };
        records.extend([at(Some(good.as_bytes())), at(bad.value.as_deref())]);
    }
    let places = shared_kafka().produce_raw(&job.topic, &records);

    // A first instance reads everything and counts it; a second one publishes.
    let port = free_port();
    let flags = ["--partition-by", "year,month,day", "--commit-interval", "1s"];
    let mut first = job.start(&[flags.as_slice(), &["--http", &format!("127.0.0.1:{port}")]].concat());
    let metrics = wait_for("every record is counted", LIMIT, || {
        let (_, text) = http_get(port, "/metrics")?;
        let counted: f64 = metric(&text, "records_total").values().sum();
        (counted >= records.len() as f64).then_some(text)
    });
    assert!(first.terminate(LIMIT).success());
    for (labels, counted) in metric(&metrics, "dead_letters_total") {
        let of_reason = bad.iter().filter(|bad| labels.contains(&format!("reason=\"{}\"", bad.reason))).count();
        assert_eq!(counted, of_reason as f64, "{labels}");
    }
    assert_eq!(metric(&metrics, "dead_letters_total").values().sum::<f64>(), bad.len() as f64);
    assert_eq!(job.run(&flags).records, 0, "the first instance has read everything");

    let mut expected: Vec<Value> = Vec::new();
    for ((record, place), bad) in records.iter().zip(&places).skip(1).step_by(2).zip(&bad) {
        let (partition, offset) = place;
        let value = bad.value.as_ref().map(hex::encode_upper);
        let key = record.key.map(hex::encode_upper);
        expected.push(json!([job.topic, partition, offset, KAFKA_MS * 1000, key, value, bad.reason, bad.detail]));
    }
    expected.sort_by_key(|row| (row[1].as_i64(), row[2].as_i64()));
    let letters = job.ask(
        "SELECT topic, _kafka_partition, _kafka_offset, epoch_us(_kafka_timestamp), hex(key), hex(value), reason, detail \
         FROM {dead} ORDER BY 2, 3",
    );
    for (letter, expected) in letters.iter().zip(&expected) {
        assert_eq!(letter, expected);
    }
    assert_eq!(letters.len(), expected.len());
    assert_eq!(job.ask("SELECT DISTINCT year, month, day FROM {dead}"), [json!(["2025", "6", "1"])]);

    // Together they are the topic, each record once.
    let mut rows: Vec<Value> = places.iter().step_by(2).map(|(partition, offset)| json!([partition, offset])).collect();
    rows.sort_by_key(|row| (row[0].as_i64(), row[1].as_i64()));
    assert_eq!(job.ask("SELECT _kafka_partition, _kafka_offset FROM {rows} ORDER BY 1, 2"), rows);
    assert_eq!(
        rows.len() + letters.len(),
        usize::try_from(shared_kafka().end_offsets(&job.topic).iter().sum::<i64>()).unwrap()
    );
}

#[test]
fn ten_megabytes_of_brackets_do_no_harm() {
    let job = Job::new("brackets", 1);
    let good = at("\"2025-06-01T12:00:00Z\"");
    let brackets = "[".repeat(10_000_000);
    let hidden = format!(r#"{{"event_timestamp":"2025-06-01T12:00:00Z","unknown":{brackets}"#);
    let objects = r#"{"a":"#.repeat(2_000_000);
    job.produce(&[&good, &brackets, &good, &hidden, &objects, &good]);
    let summary = job.run(&["--partition-by", "year,month,day", "--memory-limit", "256MiB"]);
    assert_eq!(summary, Summary { records: 6, rows: 3, dead_letters: 3, dropped: 0 });
    let kept = |offset: i64, value: &str| json!([offset, "too_deep", hex::encode(Sha256::digest(value))]);
    assert_eq!(
        job.ask("SELECT _kafka_offset, reason, sha256(value) FROM {dead} ORDER BY 1"),
        [kept(1, &brackets), kept(3, &hidden), kept(4, &objects)]
    );
}

#[test]
fn a_value_that_does_not_fit_makes_a_dead_letter_if_the_operator_wants_that() {
    let job = Job::new("misfits", 1);
    let schema = job.file(
        "schema.json",
        r#"{"type":"struct","fields":[{"name":"event_timestamp","type":"timestamp"},{"name":"n","type":"integer"},
           {"name":"s","type":{"type":"struct","fields":[{"name":"flag","type":"boolean"}]}}]}"#,
    );
    let with = |more: &str| format!(r#"{{"event_timestamp":"2025-06-01T12:00:00Z",{more}}}"#);
    job.produce(&[
        with(r#""n":2147483647,"s":{"flag":true},"unknown":"is no misfit""#),
        with(r#""n":2147483648"#),
        with(r#""n":"1""#),
        with(r#""n":1.0"#),
        with(r#""n":1,"s":{"flag":0}"#),
        with(r#""n":null,"s":null"#),
    ]);
    let flags = ["--partition-by", "year,month,day", "--schema", &schema, "--on-misfit", "dead-letter"];
    assert_eq!(job.run(&flags), Summary { records: 6, rows: 2, dead_letters: 4, dropped: 0 });
    assert_eq!(
        job.ask("SELECT _kafka_offset, reason, detail FROM {dead} ORDER BY 1"),
        [
            json!([1, "misfit", "`n` (integer) cannot hold 2147483648"]),
            json!([2, "misfit", "`n` (integer) cannot hold \"1\""]),
            json!([3, "misfit", "`n` (integer) cannot hold 1.0"]),
            json!([4, "misfit", "`s` (struct) cannot hold {\"flag\":0}"]),
        ]
    );
    assert_eq!(
        job.ask("SELECT _kafka_offset, n, _extra FROM {rows} ORDER BY 1"),
        [json!([0, 2_147_483_647, r#"{"unknown":"is no misfit"}"#]), json!([5, null, null])]
    );
}
