//! Batches of real messages, from librdkafka's mock cluster.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::super::{Queue, Taking};
use super::*;

/// Partition, offset and value of an element; the log's end has no value.
type Shown = (i32, i64, Option<String>);

fn shown(batch: &Batch) -> Vec<Shown> {
    let mut all = Vec::new();
    for run in batch.runs() {
        all.extend(run.iter().map(|message| {
            let value = match message.content {
                Content::Record { value, .. } => value.map(|value| String::from_utf8_lossy(value).into_owned()),
                Content::End | Content::EndAmongOthers | Content::Error(_) => None,
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
        queue.consume(Duration::from_millis(50), &mut batch, Taking::Singly);
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
        queue.consume(Duration::from_millis(50), &mut more, Taking::Singly);
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

/// Returns what a queue of two short logs brings, once it is all there; and where librdkafka believes to be in them.
fn taken(taking: Taking) -> (Vec<Shown>, usize, Vec<i64>) {
    const RECORDS: usize = 200;
    let values: Vec<String> = (0..RECORDS).map(|number| format!("value {number}")).collect();
    let (_cluster, consumer, queue) = queue_of(2, &values);
    while queue.len() < RECORDS + 2 {
        consumer.poll(Duration::from_millis(10));
    }
    let mut batch = Batch::with_capacity(RECORDS + 100);
    queue.consume(Duration::ZERO, &mut batch, taking);
    assert!(queue.is_empty());
    let elements = batch.runs().flat_map(|run| run.iter().collect::<Vec<_>>());
    let among_others = elements.filter(|message| matches!(message.content, Content::EndAmongOthers)).count();
    let positions = consumer.position().expect("positions");
    let positions = positions.elements().iter().filter_map(|element| element.offset().to_raw()).collect();
    (shown(&batch), among_others, positions)
}

#[test]
fn records_that_are_taken_together_are_those_that_are_taken_singly() {
    let (singly, among_others, positions) = taken(Taking::Singly);
    assert_eq!((among_others, positions), (0, vec![100, 100]));
    let (together, among_others, positions) = taken(Taking::Together);
    let of = |elements: &[Shown], partition| -> Vec<_> {
        elements.iter().filter(|element| element.0 == partition).cloned().collect()
    };
    for partition in [0, 1] {
        assert_eq!(of(&together, partition), of(&singly, partition));
        assert_eq!(of(&singly, partition).len(), 101);
    }
    // Were it not for this, nobody would have to seek, nor to take anything singly.
    assert_eq!((among_others, positions), (2, vec![101, 101]));
}

#[test]
fn an_end_that_was_met_is_told_by_both_halves_of_a_batch_and_not_by_the_next() {
    let values: Vec<String> = (0..10).map(|number| format!("value {number}")).collect();
    let (_cluster, consumer, queue) = queue_of(1, &values);
    while queue.len() < values.len() + 1 {
        consumer.poll(Duration::from_millis(10));
    }
    let mut batch = Batch::with_capacity(20);
    queue.consume(Duration::ZERO, &mut batch, Taking::Together);
    let met = |batch: &Batch| {
        let last = batch.runs().last().and_then(|run| run.iter().last());
        last.is_some_and(|message| matches!(message.content, Content::EndAmongOthers))
    };
    assert!(met(&batch));
    let rest = batch.split_off(5);
    assert!(met(&rest) && batch.has_end_among_others);
    batch.clear();
    assert!(!batch.has_end_among_others);
}

#[test]
fn so_many_messages_are_taken_together_as_find_room_if_they_are_as_large_as_the_largest() {
    let mut batch = Batch::with_capacity(100);
    assert_eq!(batch.room(64).len(), 1, "of the first nobody knows the size");
    batch.count = 1;
    assert_eq!(batch.room(64).len(), 64, "it was empty");
    (batch.bytes, batch.largest) = (MOST_BYTES / 10, MOST_BYTES / 10);
    assert_eq!(batch.room(64).len(), 9);
    (batch.count, batch.bytes) = (50, MOST_BYTES / 5);
    assert_eq!(batch.room(64).len(), 8, "others were smaller");
    batch.bytes = MOST_BYTES - 1;
    assert_eq!(batch.room(64).len(), 1, "one may be too large");
    batch.bytes = MOST_BYTES;
    assert_eq!(batch.room(64).len(), 0);
    (batch.count, batch.bytes, batch.largest) = (90, 90, 1);
    assert_eq!(batch.room(64).len(), 10);
    // There are no messages at these places.
    batch.count = 0;
}
