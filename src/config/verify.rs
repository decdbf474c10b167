//! The flags of `verify`.

use clap::{Args, ValueHint};

use super::ClientFlags;

/// The flags of `verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyConfig {
    /// Folder or URL of the output, as `run` has it. Nothing in it is changed.
    #[arg(long, env = "OUTPUT", value_name = "PATH|URL", value_hint = ValueHint::DirPath)]
    pub output: String,
    /// Topic to check; may be given several times. All topics of the output without it.
    #[arg(long = "topic", env = "TOPIC", value_name = "NAME", value_delimiter = ',')]
    pub topics: Vec<String>,
    /// Read every byte, and compare the checksums of files and entries.
    #[arg(long)]
    pub checksums: bool,
    /// Read every row too: each Kafka offset once, each row in its own epoch and folder. Includes --checksums.
    #[arg(long)]
    pub deep: bool,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
    /// Requests to the output that are under way at once.
    #[arg(long, value_name = "COUNT", default_value_t = 32, value_parser = requests)]
    pub requests: usize,
    /// Kafka brokers to compare with: committed offsets, the log's ends, what is not read or published yet.
    #[arg(long, env = "BROKERS", value_name = "HOST:PORT,...", help_heading = "Kafka")]
    pub brokers: Option<String>,
    /// Consumer group to compare with [default: the one that the output belongs to].
    #[arg(long, env = "GROUP", value_name = "NAME", help_heading = "Kafka")]
    pub group: Option<String>,
    /// Properties of the client.
    #[command(flatten)]
    pub client: ClientFlags,
}

fn requests(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if (1..=1_000).contains(&count) => Ok(count),
        _ => Err("must be 1 to 1000".to_owned()),
    }
}
