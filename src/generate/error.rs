//! Why events could not be made.

use std::io;

use rdkafka::error::KafkaError;
use thiserror::Error;

/// Why events could not be made or brought to where they should go.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// Neither brokers nor a file were named.
    #[error("nowhere to send events to: give `--brokers HOST:PORT`, or `--output -` for JSON lines")]
    NoTarget,
    /// Speed and rate do not go together.
    #[error(
        "{seconds} seconds of event time would pass with each event, more than a day: lower `--speed` or raise `--rate`"
    )]
    Step {
        /// Seconds of event time per event.
        seconds: f64,
    },
    /// There would be more than all events.
    #[error("`--out-of-order`, `--late` and `--malformed` together exceed 1")]
    Fractions,
    /// A file or standard output could not be written.
    #[error("failed to write events to `{target}`")]
    Write {
        /// The file, or `-`.
        target: String,
        /// Why.
        source: io::Error,
    },
    /// The client library refused its properties.
    #[error("failed to set up the Kafka client: check `-X` and `--kafka-config`")]
    Client {
        /// Why.
        source: Box<KafkaError>,
    },
    /// No broker answered.
    #[error("no Kafka broker answers at `{brokers}` ({reason}): check `--brokers` and the security properties")]
    Unreachable {
        /// The brokers as given.
        brokers: String,
        /// What the client library said last.
        reason: String,
        /// What it said when time was up.
        source: Box<KafkaError>,
    },
    /// The topic does not exist.
    #[error("no topic `{topic}` at `{brokers}`: create it, or give `--create-topic`")]
    NoTopic {
        /// The topic.
        topic: String,
        /// The brokers as given.
        brokers: String,
    },
    /// The topic could not be created.
    #[error("failed to create topic `{topic}`: {reason}")]
    CreateTopic {
        /// The topic.
        topic: String,
        /// What the broker said.
        reason: String,
    },
    /// An event could not be handed to the client library.
    #[error("failed to send to topic `{topic}`")]
    Send {
        /// The topic.
        topic: String,
        /// Why.
        source: Box<KafkaError>,
    },
    /// The producer has given up.
    #[error("the producer to topic `{topic}` failed for good: {reason}")]
    Producer {
        /// The topic.
        topic: String,
        /// Why.
        reason: String,
    },
    /// Some events were not acknowledged.
    #[error("{events} events to topic `{topic}` were not delivered: {reason}")]
    Undelivered {
        /// How many.
        events: u64,
        /// The topic.
        topic: String,
        /// What was said about the last one.
        reason: String,
    },
}

impl GenerateError {
    /// Whether the operator can mend it: nothing was sent.
    #[must_use]
    pub fn is_mistake(&self) -> bool {
        match self {
            Self::NoTarget
            | Self::Step { .. }
            | Self::Fractions
            | Self::Client { .. }
            | Self::Unreachable { .. }
            | Self::NoTopic { .. }
            | Self::CreateTopic { .. } => true,
            Self::Write { .. } | Self::Send { .. } | Self::Producer { .. } | Self::Undelivered { .. } => false,
        }
    }
}
