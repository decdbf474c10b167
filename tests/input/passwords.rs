//! A broker that wants a password: the wrong one is told at once, and no password is ever shown.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::common::process::Process;
use crate::common::{fetched, free_port, scratch, wait_for};
use crate::mistakes::explained;

const LIMIT: Duration = Duration::from_secs(60);

/// Starts a broker that knows the user `reader` with the password `correct horse`.
fn broker_with_a_password(folder: &std::path::Path, port: u16) -> Process {
    let jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"broker\" password=\"between brokers\" \
                user_broker=\"between brokers\" user_reader=\"correct horse\";";
    let controller = free_port();
    let properties = format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         controller.listener.names=CONTROLLER\n\
         listeners=SASL_PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         listener.security.protocol.map=SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=SASL_PLAINTEXT\n\
         sasl.enabled.mechanisms=PLAIN\n\
         sasl.mechanism.inter.broker.protocol=PLAIN\n\
         listener.name.sasl_plaintext.plain.sasl.jaas.config={jaas}\n\
         log.dirs={}\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=1\n",
        folder.join("data").display(),
    );
    let file = folder.join("server.properties");
    fs::write(&file, properties).unwrap();
    let java = |name: &str, args: &[&str]| {
        let mut command = Command::new("java");
        command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"]);
        command.arg(fetched("kafka").join("*")).args(args).arg(&file);
        Process::start(name, command)
    };
    java("format", &["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c"]).succeed(LIMIT);
    let mut broker = java("kafka-sasl", &["kafka.Kafka"]);
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", format!("127.0.0.1:{port}"))
        .set("security.protocol", "sasl_plaintext")
        .set("sasl.mechanism", "PLAIN")
        .set("sasl.username", "reader")
        .set("sasl.password", "correct horse")
        .create()
        .unwrap();
    wait_for("the right password opens the door", LIMIT, || {
        assert_eq!(broker.ended(), None, "the broker ended");
        client.fetch_metadata(None, Duration::from_secs(2)).ok()
    });
    broker
}

#[test]
fn a_wrong_password_is_told_and_none_is_shown() {
    let (folder, port) = (scratch("sasl"), free_port());
    let _broker = broker_with_a_password(folder.path(), port);
    let (brokers, output) = (format!("127.0.0.1:{port}"), folder.path().join("out"));
    let file = folder.path().join("client.properties");
    let run = ["run", "--brokers", &brokers, "--topic", "web", "--output", output.to_str().unwrap()];
    let with = |password: &str| {
        let lines = ["security.protocol=sasl_plaintext", "sasl.mechanism=PLAIN", "sasl.username=reader"];
        fs::write(&file, format!("{}\nsasl.password={password}\n", lines.join("\n"))).unwrap();
    };
    with("correct horse");
    let by_file = [&run[..], &["--kafka-config", file.to_str().unwrap(), "--log", "debug"]].concat();
    explained(&by_file, &["there is no topic `web`"]);
    with("battery staple");
    explained(&by_file, &["no answer from the brokers", "uthentication failed", "--kafka-config"]);
    let mut process = Process::ours(&by_file);
    process.wait(Duration::from_secs(15));
    for secret in ["battery staple", "correct horse"] {
        assert!(!process.stderr().contains(secret), "{}", process.stderr());
    }
    // The same from the command line.
    with("correct horse");
    let by_flag = [&by_file[..], &["-X", "sasl.password=battery staple"]].concat();
    explained(&by_flag, &["uthentication failed"]);
}
