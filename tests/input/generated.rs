//! Generated events are like the real ones, and the same seed gives the same ones.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::kafka::shared_kafka;
use crate::common::process::{Process, http_get};
use crate::common::{EVENTS, free_port, scratch, unique, wait_for};
use crate::job::metric;

const LIMIT: Duration = Duration::from_secs(90);
const COUNT: &str = "20000";

fn generate(file: &Path, seed: &str) -> Vec<u8> {
    let stream = [
        "--seed",
        seed,
        "--start",
        "2025-06-01T12:00:00Z",
        "--count",
        COUNT,
        "--late",
        "0.01",
        "--out-of-order",
        "0.1",
    ];
    let to_file = ["generate", "--output", file.to_str().unwrap()];
    Process::ours(&[&to_file[..], &stream[..]].concat()).succeed(LIMIT);
    fs::read(file).unwrap()
}

fn infer_schema(file: &Path) -> String {
    Process::ours(&["infer-schema", "--input", file.to_str().unwrap(), "--records", COUNT]).succeed(LIMIT)
}

/// The real events, unpacked into `file`.
fn unpack(file: &Path) {
    let mut gzip = Command::new("gzip");
    gzip.args(["-dc", EVENTS]);
    let mut gzip = Process::start("gzip", gzip);
    let text = gzip.succeed(LIMIT);
    fs::write(file, text).unwrap();
}

/// Names and types, in the order of names.
fn fields(schema: &str) -> Vec<(String, Value)> {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let fields = schema["fields"].as_array().unwrap();
    let mut fields: Vec<_> =
        fields.iter().map(|field| (field["name"].as_str().unwrap().to_owned(), field["type"].clone())).collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let folder = scratch("seeds");
    let file = folder.path().join("events.jsonl");
    let first = generate(&file, "7");
    assert_eq!(first.iter().filter(|byte| **byte == b'\n').count(), 20_000);
    assert!(generate(&file, "7") == first, "the same seed");
    assert!(generate(&file, "8") != first, "another seed");
}

#[test]
fn generated_events_have_the_schema_of_real_ones() {
    let folder = scratch("schemas");
    let (real, generated) = (folder.path().join("real.jsonl"), folder.path().join("generated.jsonl"));
    unpack(&real);
    generate(&generated, "7");
    let schema = infer_schema(&real);
    assert_eq!(fields(&schema).len(), 30);
    assert_eq!(fields(&infer_schema(&generated)), fields(&schema));
}

#[test]
fn a_schema_of_real_events_holds_every_value_of_generated_ones() {
    let folder = scratch("generated");
    let (real, schema, output) = (folder.path().join("real"), folder.path().join("schema"), folder.path().join("out"));
    unpack(&real);
    fs::write(&schema, infer_schema(&real)).unwrap();
    let (kafka, topic) = (shared_kafka(), unique("generated"));
    let brokers = kafka.bootstrap();
    let generate = ["generate", "--brokers", &brokers, "--topic", &topic, "--create-topic", "--count", COUNT];
    Process::ours(&[&generate[..], &["--start", "2025-06-01T12:00:00Z"]].concat()).succeed(LIMIT);
    assert_eq!(kafka.end_offsets(&topic).iter().sum::<i64>(), 20_000);

    let port = free_port();
    let http = format!("127.0.0.1:{port}");
    let run = ["run", "--brokers", &brokers, "--topic", &topic, "--output", output.to_str().unwrap()];
    let flags = ["--schema", schema.to_str().unwrap(), "--commit-interval", "1s", "--http", &http];
    let mut run = Process::ours(&[&run[..], &flags[..]].concat());
    let metrics = wait_for("every record is counted", LIMIT, || {
        let (_, text) = http_get(port, "/metrics")?;
        (metric(&text, "records_total").values().sum::<f64>() >= 20_000.0).then_some(text)
    });
    assert!(run.terminate(LIMIT).success());
    let sum = |name: &str| metric(&metrics, name).values().sum::<f64>();
    let seen = [sum("rows_total"), sum("misfits_total"), sum("unknown_fields_total"), sum("dead_letters_total")];
    assert_eq!(json!(seen), json!([20_000.0, 0.0, 0.0, 0.0]));
}
