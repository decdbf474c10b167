//! `infer-schema`: the schema file that fits the records of a topic or of a JSON-lines file.

use std::fs::File;
use std::io::{self, BufRead, BufReader};

use crate::app::topic::sample;
use crate::config::{InferConfig, StartAt, names_brokers};
use crate::error::Error;
use crate::kafka::{cluster, reader_config};
use crate::partition::DERIVED;
use crate::schema::infer::infer;

/// Returns the schema file's text.
///
/// # Errors
/// When there is nothing to read, or it cannot be read.
pub fn run(config: &InferConfig) -> Result<String, Error> {
    let records = match (&config.input, &config.topic) {
        (Some(path), _) => lines(path, config.records)?,
        (None, Some(topic)) => from_topic(config, topic)?,
        (None, None) => return Err(Error::Mistake("--input or --topic is needed".to_owned())),
    };
    let leave_out = DERIVED.map(str::to_owned);
    let inferred = infer(records.iter().map(Vec::as_slice), &config.timestamp_field, &leave_out);
    if inferred.records_used == 0 {
        return Err(Error::Mistake("no record is a JSON object: there is nothing to infer from".to_owned()));
    }
    tracing::info!(records = inferred.records_used, skipped = inferred.records_skipped, left_out = ?inferred.left_out, "inferred");
    Ok(inferred.schema.to_json())
}

fn lines(path: &std::path::Path, most: usize) -> Result<Vec<Vec<u8>>, Error> {
    let unreadable = |error: io::Error| Error::Mistake(format!("--input: cannot read `{}`: {error}", path.display()));
    let input: Box<dyn BufRead> = if path.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(path).map_err(unreadable)?))
    };
    input.split(b'\n').take(most).collect::<Result<_, _>>().map_err(unreadable)
}

fn from_topic(config: &InferConfig, topic: &str) -> Result<Vec<Vec<u8>>, Error> {
    let client = config.client.client(config.brokers.as_deref())?;
    names_brokers(&client)?;
    let reader = cluster::reader(&reader_config(&client, "streams-to-parquet"))?;
    let brokers = client.get("bootstrap.servers").unwrap_or("-").to_owned();
    let (_, infos) = cluster::describe(&reader, &brokers, &[topic.to_owned()])?;
    let info = infos.into_iter().next().ok_or_else(|| Error::Failed(format!("topic `{topic}` was not described")))?;
    sample(&reader, &info, StartAt::Earliest, true, config.records)
}
