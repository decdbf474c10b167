//! Mistakes of the operator: the program ends soon, before it reads anything, and says what is wrong and how to mend it.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use crate::common::kafka::shared_kafka;
use crate::common::process::Process;
use crate::common::{free_port, scratch, unique};
use crate::job::Job;

/// What the program may take to find any mistake.
const SOON: Duration = Duration::from_secs(15);

/// Runs the program, which must end with exit code 2 and one message; returns that message.
pub(crate) fn mistake(args: &[&str]) -> String {
    ended_with_a_message(Process::ours(args))
}

fn ended_with_a_message(mut process: Process) -> String {
    let status = process.wait(SOON);
    let stderr = process.stderr();
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert_eq!(process.stdout(), "");
    let starts = stderr.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(starts, 1, "{stderr}");
    let message: Vec<&str> = stderr.lines().skip_while(|line| !line.starts_with("error: ")).collect();
    // What the parser of the flags refuses, it explains in several lines.
    assert!(message.len() == 1 || stderr.contains("--help"), "{stderr}");
    message.join("\n")
}

/// The same; the message must say all of `words`.
pub(crate) fn explained(args: &[&str], words: &[&str]) {
    let message = mistake(args);
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

impl Job {
    /// A mistake in `run` with these flags: nothing of the topic may have been read.
    fn mistaken(&self, flags: &[&str], words: &[&str]) {
        let (brokers, output) = (shared_kafka().bootstrap(), self.output());
        let own = ["run", "--brokers", &brokers, "--topic", &self.topic, "--until-end"];
        let output = if flags.contains(&"--output") { vec![] } else { vec!["--output", output.to_str().unwrap()] };
        explained(&[&own[..], &output[..], flags].concat(), words);
        assert!(!self.output().join(&self.topic).exists(), "{flags:?} have made files");
        assert!(
            !self.output().join("_meta").join(&self.topic).join("control/p0").exists(),
            "{flags:?} have begun a lane log"
        );
    }
}

fn job_with_a_record(name: &str) -> Job {
    let job = Job::new(name, 1);
    job.produce(&[r#"{"event_timestamp":"2025-06-01T12:00:00Z","page_url_path":"/","n":1,"x":1.5}"#]);
    job
}

#[test]
fn a_topic_that_is_not_there_is_named() {
    let (folder, topic, brokers) = (scratch("mistakes"), unique("no-such-topic"), shared_kafka().bootstrap());
    let output = folder.path().join("out");
    let args = ["run", "--brokers", &brokers, "--topic", &topic, "--output", output.to_str().unwrap()];
    explained(&args, &["there is no topic", &topic, "--topic"]);
    explained(&["infer-schema", "--brokers", &brokers, "--topic", &topic], &["there is no topic", &topic]);
}

#[test]
fn brokers_that_do_not_answer_are_named_with_the_reason() {
    let brokers = format!("127.0.0.1:{}", free_port());
    let folder = scratch("mistakes");
    let output = folder.path().join("out");
    let run = ["run", "--brokers", &brokers, "--topic", "web", "--output", output.to_str().unwrap()];
    explained(&run, &["no answer from the brokers", &brokers, "refused", "--brokers"]);
}

#[test]
fn without_brokers_the_flag_that_is_missing_is_named() {
    let folder = scratch("mistakes");
    let output = folder.path().join("out");
    let output = output.to_str().unwrap();
    explained(&["run", "--topic", "web", "--output", output], &["--brokers is needed"]);
    explained(&["infer-schema", "--topic", "web"], &["--brokers"]);
    explained(&["generate", "--topic", "web", "--count", "1"], &["--brokers"]);
}

#[test]
fn an_output_that_cannot_be_written_to_is_named_with_the_reason() {
    let job = job_with_a_record("output");
    let file = job.file("a-file", "");
    let below = format!("{file}/out");
    job.mistaken(&["--output", &below], &["--output", &below, "Not a directory"]);
    // Only a folder further down is in the way: found by the first object that is put.
    fs::create_dir_all(job.output()).unwrap();
    fs::write(job.output().join("_meta"), "").unwrap();
    let message = ["--output", "_meta"];
    let (brokers, output) = (shared_kafka().bootstrap(), job.output());
    let args = ["run", "--brokers", &brokers, "--topic", &job.topic, "--output", output.to_str().unwrap()];
    explained(&args, &message);
    job.mistaken(&["--output", "ftp://127.0.0.1/x"], &["ftp://127.0.0.1/x", "s3://", "file://"]);
}

#[test]
fn a_store_that_does_not_answer_is_told() {
    let job = job_with_a_record("silent-store");
    let brokers = shared_kafka().bootstrap();
    let args = ["run", "--brokers", &brokers, "--topic", &job.topic, "--output", "s3://bucket/prefix"];
    let run = |port: u16| {
        let environment = [
            ("AWS_ENDPOINT", format!("http://127.0.0.1:{port}")),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "reader".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "hunter2".to_owned()),
        ];
        let message = ended_with_a_message(Process::ours_with(&args, &environment));
        assert!(!message.contains("hunter2"), "{message}");
        message
    };
    let refused = run(free_port());
    assert!(refused.contains("--output: ") && refused.contains("Connection refused"), "{refused}");
    // Connections to it are made, and nobody ever takes them.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = run(listener.local_addr().unwrap().port());
    assert!(silent.contains("--output: the store did not answer within 10 s"), "{silent}");
}

#[test]
fn an_unknown_partition_column_is_named_with_those_that_there_are() {
    let job = job_with_a_record("columns");
    job.mistaken(
        &["--partition-by", "year,pth"],
        &["--partition-by", "no column `pth`", "year, month, day, hour, event_timestamp, page_url_path, n"],
    );
    let schema =
        r#"{"type":"struct","fields":[{"name":"event_timestamp","type":"timestamp"},{"name":"path","type":"string"}]}"#;
    let schema = job.file("schema.json", schema);
    let known = ["--partition-by", "no column `pth`", "year, month, day, hour, event_timestamp, path"];
    job.mistaken(&["--schema", &schema, "--partition-by", "pth"], &known);
    job.mistaken(&["--schema", &schema, "--partition-by", "year,year"], &["--partition-by", "`year` is named twice"]);
    // A mistake leaves nothing behind: put right, the run goes through.
    assert_eq!(job.run(&["--partition-by", "year,page_url_path"]).rows, 1);
}

#[test]
fn a_column_that_cannot_name_a_folder_is_named() {
    let job = job_with_a_record("kinds");
    job.mistaken(&["--partition-by", "x"], &["--partition-by", "column `x` has a type that cannot name a folder"]);
}

#[test]
fn flags_that_contradict_each_other_are_named() {
    let job = job_with_a_record("flags");
    let (brokers, output) = (shared_kafka().bootstrap(), job.output());
    let args = ["run", "--brokers", &brokers, "--topic", &job.topic, "--output", output.to_str().unwrap()];
    let with = |flags: &[&str]| mistake(&[&args[..], flags].concat());
    let message = with(&["--keep-open"]);
    assert!(message.contains("required") || message.contains("--until-end"), "{message}");
    job.mistaken(&["--topic", &job.topic], &["--topic", "twice"]);
    job.mistaken(&["--commit-interval", "0s"], &["--commit-interval", "more than zero"]);
    job.mistaken(&["--epoch", "7m"], &["--epoch", "divide a day"]);
    job.mistaken(&["--max-buckets", "0"], &["--max-buckets"]);
    job.mistaken(&["--compression", "zip"], &["--compression"]);
    job.mistaken(&["--memory-limit", "1MiB"], &["--memory-limit", "64MiB"]);
    job.mistaken(&["--timezone", "Europe/Atlantis"], &["--timezone"]);
    job.mistaken(&["-X", "enable.auto.commit=true"], &["enable.auto.commit", "must stay `false`"]);
    job.mistaken(&["--log", "a=b=c"], &["--log"]);
}

#[test]
fn a_schema_that_cannot_be_read_is_named_with_the_reason() {
    let job = job_with_a_record("schemas");
    job.mistaken(&["--schema", "no-such-file.json"], &["--schema", "no-such-file.json", "No such file"]);
    let not_json = job.file("not.json", "{\"type\":");
    job.mistaken(&["--schema", &not_json], &["--schema", "not JSON", "line 1"]);
    let unknown = job.file("unknown.json", r#"{"type":"struct","fields":[{"name":"n","type":"varchar(3)"}]}"#);
    job.mistaken(&["--schema", &unknown], &["--schema", "n: unknown type `varchar(3)`", "string"]);
    let twice =
        job.file("twice.json", r#"{"type":"struct","fields":[{"name":"n","type":"long"},{"name":"N","type":"long"}]}"#);
    job.mistaken(&["--schema", &twice], &["--schema", "N: another field has this name"]);
}

#[test]
fn an_empty_topic_has_no_schema_to_infer() {
    let job = Job::new("empty", 1);
    job.mistaken(&[], &[&job.topic, "is empty", "--schema"]);
}

#[test]
fn an_unknown_client_property_is_named_and_its_value_is_not() {
    let job = job_with_a_record("properties");
    let of = |property: &str| {
        let (brokers, output) = (shared_kafka().bootstrap(), job.output());
        let args = ["run", "--brokers", &brokers, "--topic", &job.topic, "--output", output.to_str().unwrap()];
        let mut process = Process::ours(&[&args[..], &["-X", property]].concat());
        assert_eq!(process.wait(SOON).code(), Some(2), "{property}");
        process.stderr()
    };
    for property in ["sasl.pasword=hunter2", "security.protocol=hunter2", "session.timeout.ms=hunter2"] {
        let said = of(property);
        assert!(said.contains(property.split('=').next().unwrap()), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let brokers = shared_kafka().bootstrap();
    let generate =
        ["generate", "--brokers", &brokers, "--topic", &job.topic, "--count", "1", "-X", "sasl.pasword=hunter2"];
    let message = mistake(&generate);
    assert!(message.contains("sasl.pasword") && !message.contains("hunter2"), "{message}");
    let file = job.file("client.properties", "sasl.pasword=hunter2\n");
    job.mistaken(&["--kafka-config", &file], &["sasl.pasword"]);
    job.mistaken(&["--kafka-config", "no-such-file"], &["--kafka-config", "no-such-file", "No such file"]);
}

#[test]
fn an_address_in_use_is_named() {
    let job = job_with_a_record("addresses");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    job.mistaken(&["--http", &address], &["--http", &address, "in use"]);
}
