//! Sends the events: hours of event time in seconds, no faster than the consumer group commits.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::broker::{Commits, failed};
use super::ledger::Ledger;
use super::{PARTITIONS, TOPIC};
use crate::app::clock;
use crate::engine::time::EventTime;
use crate::error::Error;
use crate::generate::{EventGenerator, Fraction, ModelConfig, Site};

/// How much event time the events span, up to now, in microseconds: four hours.
const SPAN_US: u64 = 4 * 3_600_000_000;
/// How many events a second are sent, at most.
const EVENTS_A_SECOND: u64 = 12_000;
/// More events than this many seconds' worth are sent faster.
const MOST_SECONDS: u64 = 30;
/// Pages of the site. Each is a key, and lies in one partition.
const PAGES: u32 = 24;
/// How many events go out between two looks at the clock.
const BURST: u64 = 64;
/// How often the group is asked what it has committed.
const ASK: Duration = Duration::from_millis(100);
/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(5);
/// How long everything sent may take to be committed, at the end.
const CATCH_UP: Duration = Duration::from_secs(60);

/// What others see of the feeder while it works.
#[derive(Debug, Default)]
pub(super) struct Fed {
    /// Events sent.
    pub(super) sent: AtomicU64,
    /// Events that the consumer group has committed: they are durable.
    pub(super) committed: AtomicU64,
    /// Tells the feeder to end.
    pub(super) stop: AtomicBool,
}

/// What was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sent {
    /// Events of all kinds.
    pub(super) events: u64,
    /// Bytes of their values.
    pub(super) bytes: u64,
    /// Those that lie 2 seconds to 2 minutes behind their neighbours.
    pub(super) out_of_order: u64,
    /// Those that lie 30 minutes to 2 hours behind their neighbours.
    pub(super) late: u64,
    /// Those that cannot become a row.
    pub(super) malformed: u64,
}

/// Sends the events.
pub(super) struct Feeder {
    producer: BaseProducer<Deliveries>,
    commits: Commits,
    ledger: Ledger,
    generator: EventGenerator,
    /// The partition of each page: by turns, in the order in which the pages appear.
    partitions: HashMap<Box<str>, i32>,
    total: Sent,
    fed: Arc<Fed>,
    asked: Duration,
    interval: Duration,
}

impl Feeder {
    /// Connects to the broker at `address`; there will be `events` events, and their event time ends now.
    pub(super) fn new(address: &str, events: u64, fed: Arc<Fed>) -> Result<Self, Error> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", address).set("enable.idempotence", "true").set("linger.ms", "20");
        config.set("compression.type", "lz4");
        let span_us = i64::try_from(SPAN_US).unwrap_or(i64::MAX);
        let share = |fraction| Fraction::new(fraction).unwrap_or(Fraction::NONE);
        let model = ModelConfig {
            step_ps: SPAN_US * 1_000_000 / events.max(1),
            out_of_order: share(0.03),
            late: share(0.0005),
            malformed: share(0.0005),
            site: Site::Catalog(PAGES),
            ..ModelConfig::new(42, EventTime(clock::now().wall.0 - span_us))
        };
        let rate = EVENTS_A_SECOND.max(events / MOST_SECONDS);
        Ok(Self {
            producer: config.create_with_context(Deliveries::default()).map_err(failed)?,
            commits: Commits::of(address)?,
            ledger: Ledger::new(usize::try_from(PARTITIONS).unwrap_or(0)),
            generator: EventGenerator::new(&model),
            partitions: HashMap::new(),
            total: Sent::default(),
            fed,
            asked: Duration::ZERO,
            interval: Duration::from_nanos(1_000_000_000 / rate),
        })
    }

    /// Returns what was sent so far.
    pub(super) const fn total(&self) -> Sent {
        self.total
    }

    /// Sends events until there are `until` of them, and waits until the broker has them.
    pub(super) fn feed(&mut self, until: u64) -> Result<(), Error> {
        let (began, before) = (clock::elapsed(), self.total.events);
        let mut value = Vec::with_capacity(4096);
        while self.total.events < until {
            let due = began + self.interval * u32::try_from(self.total.events - before).unwrap_or(u32::MAX);
            let ahead = due.saturating_sub(clock::elapsed());
            if ahead > PAUSE {
                self.look(PAUSE)?;
                continue;
            }
            for _ in 0..BURST.min(until - self.total.events) {
                self.send_next(&mut value)?;
            }
            self.look(Duration::ZERO)?;
        }
        self.producer.flush(CATCH_UP).map_err(failed)?;
        self.look(Duration::ZERO)
    }

    /// Waits until everything that was sent is committed.
    pub(super) fn catch_up(&mut self) -> Result<(), Error> {
        let began = clock::elapsed();
        while self.ledger.committed() < self.total.events {
            if clock::elapsed().saturating_sub(began) > CATCH_UP {
                return Err(Error::Failed(
                    "the instances did not keep up: not everything was committed in time".to_owned(),
                ));
            }
            self.look(PAUSE)?;
        }
        Ok(())
    }

    fn send_next(&mut self, value: &mut Vec<u8>) -> Result<(), Error> {
        value.clear();
        let event = self.generator.next_event(value);
        let next = i32::try_from(self.partitions.len()).unwrap_or(0) % PARTITIONS;
        let partition = match self.partitions.get(event.key) {
            Some(known) => *known,
            None => *self.partitions.entry(event.key.into()).or_insert(next),
        };
        let key = event.key.to_owned();
        self.total.out_of_order += u64::from(event.timing == crate::generate::Timing::OutOfOrder);
        self.total.late += u64::from(event.timing == crate::generate::Timing::Late);
        self.total.malformed += u64::from(event.malformed.is_some());
        let index = usize::try_from(partition).unwrap_or(0);
        while !self.ledger.send(index, key.len() + value.len()) {
            self.look(PAUSE)?;
        }
        let mut record = BaseRecord::to(TOPIC).key(&key).payload(value.as_slice()).partition(partition);
        while let Err((error, returned)) = self.producer.send(record) {
            if !matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) {
                return Err(failed(error));
            }
            record = returned;
            self.producer.poll(PAUSE);
        }
        self.total.events += 1;
        self.total.bytes += u64::try_from(value.len()).unwrap_or(0);
        self.fed.sent.store(self.total.events, Ordering::Relaxed);
        Ok(())
    }

    /// Serves the producer for `wait`, and looks what is committed now and then.
    fn look(&mut self, wait: Duration) -> Result<(), Error> {
        if self.fed.stop.load(Ordering::Relaxed) {
            return Err(Error::Failed("interrupted".to_owned()));
        }
        self.producer.poll(wait);
        if self.producer.context().failed.load(Ordering::Relaxed) > 0 {
            return Err(Error::Failed("the embedded broker did not take an event".to_owned()));
        }
        let now = clock::elapsed();
        if now.saturating_sub(self.asked) >= ASK {
            self.asked = now;
            for (partition, offset) in self.commits.read()? {
                self.ledger.commit(usize::try_from(partition).unwrap_or(usize::MAX), offset);
            }
            self.fed.committed.store(self.ledger.committed(), Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Counts the events that did not arrive.
#[derive(Debug, Default)]
struct Deliveries {
    failed: AtomicU64,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.failed.fetch_add(u64::from(result.is_err()), Ordering::Relaxed);
    }
}
