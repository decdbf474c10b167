//! Flags as they are given, and what becomes of them.

use super::*;
use clap::CommandFactory;

fn run(flags: &[&str]) -> RunConfig {
    let all =
        [&["streams-to-parquet", "run", "--brokers", "b:9092", "--topic", "web", "--output", "out"], flags].concat();
    match Cli::try_parse_from(all).map(|cli| cli.command) {
        Ok(Command::Run(config)) => *config,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_flags_are_well_formed_and_each_has_an_environment_variable() {
    let command = Cli::command();
    command.clone().debug_assert();
    let run = command.find_subcommand("run").expect("there is a run");
    for flag in run.get_arguments().filter(|flag| flag.get_long().is_some_and(|long| long != "help")) {
        assert!(flag.get_env().is_some(), "--{} has no environment variable", flag.get_long().unwrap_or_default());
    }
}

#[test]
fn an_epoch_that_does_not_divide_a_day_is_a_mistake() {
    assert_eq!(run(&["--epoch", "1h"]).time.epoch.as_us(), 3_600_000_000);
    assert!(epoch("7m").is_err());
    assert!(epoch("0s").is_err());
}

#[test]
fn a_property_that_promises_depend_on_cannot_be_changed() {
    let config = run(&["-X", "enable.auto.commit=true"]);
    let error = config.kafka.client.client(None).expect_err("a mistake").to_string();
    assert!(error.contains("enable.auto.commit"), "{error}");
    assert!(run(&["-X", "isolation.level=read_committed"]).kafka.client.client(None).is_ok());
}

#[test]
fn secrets_do_not_appear_in_debug_output() {
    let config = run(&["-X", "sasl.password=hunter2"]);
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn a_topic_that_would_use_our_own_folders_is_a_mistake() {
    let mut config = run(&[]);
    config.check().expect("fine");
    config.kafka.topics = vec!["_meta".to_owned()];
    config.check().expect_err("a mistake");
}
