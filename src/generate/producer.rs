//! The Kafka side of the generator: the topic, and a producer that loses nothing silently.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::sink::Sink;
use super::{GenerateError, KafkaTimestamps};
use crate::engine::time::EventTime;
use crate::kafka::without_value;

/// How long the brokers may take to answer at the start.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a new topic may take to be known to the broker that answers us.
const TOPIC_KNOWN: Duration = Duration::from_secs(4);
/// How long to wait for room in the producer's queue before looking at the stop flag again.
const ROOM: Duration = Duration::from_millis(5);
/// How many events go out between two looks at what was delivered.
const POLL_EVERY: u32 = 256;
/// How long delivery may still take after a request to stop.
const LAST_DELIVERY: Duration = Duration::from_secs(10);

/// The producer's properties, unless the user gave them (also under the other name that librdkafka has for them).
///
/// `murmur2_random` is the partitioner of Java's producer: the same key, the same partition.
const DEFAULTS: [(&str, &str, &str); 7] = [
    ("partitioner", "", "murmur2_random"),
    ("enable.idempotence", "", "true"),
    ("linger.ms", "queue.buffering.max.ms", "20"),
    ("batch.size", "", "1000000"),
    ("batch.num.messages", "", "10000"),
    ("queue.buffering.max.kbytes", "", "131072"),
    ("compression.type", "compression.codec", "lz4"),
];

/// Which topic to produce to, and how to create it.
#[derive(Debug, Clone)]
pub(super) struct Target<'a> {
    pub(super) brokers: &'a str,
    pub(super) topic: &'a str,
    /// Create the topic if it is not there, with these many partitions and replicas.
    pub(super) create: Option<(i32, i32)>,
    pub(super) timestamps: KafkaTimestamps,
}

/// Sends each event to a topic.
pub(super) struct KafkaSink {
    producer: BaseProducer<Deliveries>,
    topic: String,
    timestamps: KafkaTimestamps,
    buffer: Vec<u8>,
    since_poll: u32,
}

impl KafkaSink {
    /// Connects, and makes sure that the topic is there. Returns the sink and the number of partitions.
    pub(super) fn open(target: &Target<'_>, mut client: ClientConfig) -> Result<(Self, usize), GenerateError> {
        client.set("bootstrap.servers", target.brokers);
        for (property, alias, value) in DEFAULTS {
            if client.get(property).is_none() && client.get(alias).is_none() {
                client.set(property, value);
            }
        }
        let producer: BaseProducer<Deliveries> = client
            .create_with_context(Deliveries::default())
            .map_err(|source| GenerateError::Client { source: without_value(source).into() })?;
        let mut partitions = partitions_of(&producer, target)?;
        if partitions == 0 {
            let Some((count, replicas)) = target.create else {
                return Err(GenerateError::NoTopic { topic: target.topic.into(), brokers: target.brokers.into() });
            };
            create_topic(&client, target.topic, count, replicas)?;
            let mut waited = Duration::ZERO;
            while partitions == 0 && waited < TOPIC_KNOWN {
                producer.poll(Duration::from_millis(100));
                waited += Duration::from_millis(100);
                partitions = partitions_of(&producer, target)?;
            }
        }
        let sink = Self {
            producer,
            topic: target.topic.into(),
            timestamps: target.timestamps,
            buffer: Vec::with_capacity(4096),
            since_poll: 0,
        };
        Ok((sink, partitions))
    }

    /// Fails if the producer has given up, or any event could not be delivered.
    fn check(&self) -> Result<(), GenerateError> {
        if let Some((code, reason)) = self.producer.client().fatal_error() {
            return Err(GenerateError::Producer { topic: self.topic.clone(), reason: format!("{code}: {reason}") });
        }
        match self.producer.context().failed.load(Ordering::Relaxed) {
            0 => Ok(()),
            failed => Err(self.undelivered(failed)),
        }
    }

    fn undelivered(&self, events: u64) -> GenerateError {
        let mut reason = self.producer.context().last_reason().unwrap_or_else(|| "no answer yet".into());
        if self.timestamps == KafkaTimestamps::Event {
            reason.push_str(" (brokers refuse timestamps too far from their clock: see `--kafka-timestamps`)");
        }
        GenerateError::Undelivered { events, topic: self.topic.clone(), reason }
    }
}

impl Sink for KafkaSink {
    #[inline]
    fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    fn emit(&mut self, key: &str, event_time: EventTime, stop: &AtomicBool) -> Result<bool, GenerateError> {
        self.since_poll += 1;
        if self.since_poll >= POLL_EVERY {
            self.since_poll = 0;
            self.producer.poll(Duration::ZERO);
            self.check()?;
        }
        let mut record = BaseRecord::to(&self.topic).key(key).payload(self.buffer.as_slice());
        if self.timestamps == KafkaTimestamps::Event {
            record = record.timestamp(event_time.as_ms());
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), returned)) => {
                    if stop.load(Ordering::Relaxed) {
                        self.buffer.clear();
                        return Ok(false);
                    }
                    record = returned;
                    self.producer.poll(ROOM);
                    self.check()?;
                }
                Err((source, _)) => {
                    return Err(GenerateError::Send { topic: self.topic.clone(), source: source.into() });
                }
            }
        }
        self.buffer.clear();
        Ok(true)
    }

    fn wait(&mut self, time: Duration) -> Result<(), GenerateError> {
        self.producer.poll(time);
        self.check()
    }

    fn finish(&mut self, stop: &AtomicBool) -> Result<u64, GenerateError> {
        const SLICE: Duration = Duration::from_millis(200);
        let mut stopping = Duration::ZERO;
        loop {
            // Anything but success means that some are still in flight; the count says how many.
            let _ = self.producer.flush(SLICE);
            self.check()?;
            let in_flight = u64::try_from(self.producer.in_flight_count()).unwrap_or(0);
            if in_flight == 0 {
                return Ok(self.producer.context().acknowledged.load(Ordering::Relaxed));
            }
            if stop.load(Ordering::Relaxed) {
                stopping += SLICE;
            }
            if stopping >= LAST_DELIVERY {
                return Err(self.undelivered(in_flight));
            }
        }
    }
}

/// Returns how many partitions the topic has: 0 if it does not exist.
///
/// Asks for all topics, since asking for one by name may create it.
fn partitions_of(producer: &BaseProducer<Deliveries>, target: &Target<'_>) -> Result<usize, GenerateError> {
    let metadata = producer.client().fetch_metadata(None, CONNECT).map_err(|source| {
        producer.poll(Duration::from_millis(100)); // brings the reason, if there is one
        let reason = producer.context().last_reason().unwrap_or_else(|| "no answer".into());
        GenerateError::Unreachable { brokers: target.brokers.into(), reason, source: source.into() }
    })?;
    let topic = metadata.topics().iter().find(|topic| topic.name() == target.topic);
    Ok(topic.map_or(0, |topic| topic.partitions().len()))
}

fn create_topic(client: &ClientConfig, topic: &str, partitions: i32, replicas: i32) -> Result<(), GenerateError> {
    let failed = |reason: String| GenerateError::CreateTopic { topic: topic.into(), reason };
    let admin: AdminClient<DefaultClientContext> =
        client.create().map_err(|source| GenerateError::Client { source: without_value(source).into() })?;
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(replicas));
    let options = AdminOptions::new().request_timeout(Some(CONNECT)).operation_timeout(Some(CONNECT));
    let results = futures::executor::block_on(admin.create_topics([&new], &options))
        .map_err(|error| failed(error.to_string()))?;
    results.into_iter().try_for_each(|result| match result {
        Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
        Err((_, code)) => Err(failed(code.to_string())),
    })
}

/// Counts what the brokers acknowledged, and remembers why something went wrong.
#[derive(Debug, Default)]
struct Deliveries {
    acknowledged: AtomicU64,
    failed: AtomicU64,
    reason: Mutex<Option<String>>,
}

impl Deliveries {
    fn last_reason(&self) -> Option<String> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, reason: String) {
        *self.reason.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }
}

impl ClientContext for Deliveries {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "Kafka client");
        // "All brokers are down" follows the error that says why.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.remember(reason.to_owned());
        }
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                self.remember(error.to_string());
            }
        }
    }
}
