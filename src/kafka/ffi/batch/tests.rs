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
    rest.count = 0;
}

#[test]
fn a_batch_is_split_at_any_place() {
    const RECORDS: usize = 12;
    let cluster = MockCluster::new(1).expect("a mock cluster");
    cluster.create_topic("t", 2, 1).expect("a topic");
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "g");
    let producer: BaseProducer = config.create().expect("a producer");
    for number in 0..RECORDS {
        let (key, value) = ("k", format!("value {number}"));
        let partition = i32::try_from(number % 2).expect("small");
        producer.send(BaseRecord::to("t").partition(partition).key(key).payload(&value)).expect("room");
    }
    producer.flush(Duration::from_secs(10)).expect("stored");

    config.set("enable.partition.eof", "true").set("auto.offset.reset", "earliest");
    let consumer: Arc<BaseConsumer<DefaultConsumerContext>> = Arc::new(config.create().expect("a consumer"));
    let queue = Queue::new(&consumer).expect("a queue");
    let mut list = TopicPartitionList::new();
    for partition in 0..2 {
        list.add_partition_offset("t", partition, rdkafka::Offset::Beginning).expect("a partition");
    }
    consumer.assign(&list).expect("assigned");
    for partition in 0..2 {
        queue.take_partition("t", partition).expect("known");
    }
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
