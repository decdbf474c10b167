//! Batches of real messages, from librdkafka's mock cluster.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::super::Queue;
use super::*;

/// Partition, offset and value of each element; the log's end has no value.
fn shown(batch: &Batch) -> Vec<(i32, i64, Option<String>)> {
    let mut all = Vec::new();
    for run in batch.runs() {
        all.extend(run.iter().map(|message| {
            let value = match message.content {
                Content::Record { value, .. } => value.map(|value| String::from_utf8_lossy(value).into_owned()),
                Content::End | Content::Error(_) => None,
            };
            (run.partition, message.offset, value)
        }));
    }
    all
}

/// Adds the elements of another batch.
fn put_back(batch: &mut Batch, mut rest: Batch) {
    for message in rest.messages.iter_mut().take(rest.count) {
        batch.messages[batch.count] = mem::replace(message, ptr::null_mut());
        batch.count += 1;
    }
    batch.bytes += rest.bytes;
    (rest.count, rest.bytes) = (0, 0);
}

/// A queue of partitions that hold `values` in turn; all is gone with the cluster.
fn queue_of(
    partitions: i32,
    values: &[String],
) -> (
    MockCluster<'static, rdkafka::producer::DefaultProducerContext>,
    Arc<BaseConsumer<DefaultConsumerContext>>,
    Queue<DefaultConsumerContext>,
) {
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic("t", partitions, 1).expect("a topic");
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "g");
    let producer: BaseProducer = config.create().expect("a producer");
    for (partition, value) in (0..partitions).cycle().zip(values) {
        producer.send(BaseRecord::to("t").partition(partition).key("k").payload(value)).expect("room");
    }
    producer.flush(Duration::from_secs(10)).expect("stored");

    config.set("enable.partition.eof", "true").set("auto.offset.reset", "earliest");
    let consumer: Arc<BaseConsumer<DefaultConsumerContext>> = Arc::new(config.create().expect("a consumer"));
    let queue = Queue::new(&consumer).expect("a queue");
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset("t", partition, rdkafka::Offset::Beginning).expect("a partition");
    }
    consumer.assign(&list).expect("assigned");
    for partition in 0..partitions {
        queue.take_partition("t", partition).expect("known");
    }
    (cluster, consumer, queue)
}

#[test]
fn a_batch_of_large_records_is_full_early() {
    const LARGE: usize = 900_000;
    // The mock cluster holds 5 MB of each partition.
    let values: Vec<String> = (0..20).map(|_| "x".repeat(LARGE)).collect();
    let (_cluster, consumer, queue) = queue_of(4, &values);
    let (mut seen, mut full) = (0, 0);
    while seen < values.len() {
        consumer.poll(Duration::ZERO);
        // Time for the queue to fill, so that there would be more to take.
        std::thread::sleep(Duration::from_millis(500));
        let mut batch = Batch::with_capacity(100);
        queue.consume(Duration::from_millis(50), &mut batch);
        assert!(batch.bytes() < MOST_BYTES + LARGE + 1);
        full += usize::from(batch.is_full() && batch.len() < 100);
        seen += shown(&batch).iter().filter(|(.., value)| value.is_some()).count();
    }
    assert!(full > 0);
}

#[test]
fn a_batch_is_split_at_any_place() {
    const RECORDS: usize = 12;
    let values: Vec<String> = (0..RECORDS).map(|number| format!("value {number}")).collect();
    let (_cluster, consumer, queue) = queue_of(2, &values);
    // All records, and the end of both partitions.
    let mut batch = Batch::with_capacity(RECORDS + 2);
    while !batch.is_full() {
        consumer.poll(Duration::ZERO);
        let mut more = Batch::with_capacity(batch.messages.len() - batch.count);
        queue.consume(Duration::from_millis(50), &mut more);
        put_back(&mut batch, more);
    }
    let (whole, bytes) = (shown(&batch), batch.bytes());
    assert_eq!(whole.iter().filter(|(.., value)| value.is_some()).count(), RECORDS);
    for at in (0..=RECORDS + 3).chain([RECORDS / 2]) {
        let rest = batch.split_off(at);
        let at = at.min(RECORDS + 2);
        assert_eq!((batch.len(), rest.len()), (at, RECORDS + 2 - at));
        assert_eq!((shown(&batch), shown(&rest)), (whole[..at].to_vec(), whole[at..].to_vec()));
        assert_eq!(batch.bytes() + rest.bytes(), bytes);
        assert!(rest.is_full() && batch.is_full() == rest.is_empty());
        put_back(&mut batch, rest);
        assert_eq!(shown(&batch), whole);
    }
    // Either half may go first, and the other is still there.
    let rest = batch.split_off(RECORDS / 2);
    drop(batch);
    assert_eq!(shown(&rest), whole[RECORDS / 2..]);
}
