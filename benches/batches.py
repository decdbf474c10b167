"""What both scripts share: values of a topic, a batch at a time, until the end that it had at first."""

from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException

BATCH = 100_000


def batches(brokers: str, topic: str, group: str) -> Iterator[list[bytes]]:
    """Yields up to 100,000 values at a time, and commits when the next are asked for."""
    consumer = Consumer({
        "bootstrap.servers": brokers, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
        "enable.partition.eof": True,
        # The default, a second, lets a consumer that is faster than the fetcher wait most of the time.
        "fetch.queue.backoff.ms": 20,
    })
    partitions = len(consumer.list_topics(topic, 10).topics[topic].partitions)
    consumer.subscribe([topic])
    ended: set[int] = set()
    values: list[bytes] = []
    while len(ended) < partitions:
        for message in consumer.consume(min(10_000, BATCH - len(values)), 1):
            if message.error() is None:
                values.append(message.value())
            elif message.error().code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            else:
                raise KafkaException(message.error())
        if len(values) >= BATCH:
            yield values
            consumer.commit(asynchronous=False)
            values = []
    if values:
        yield values
        consumer.commit(asynchronous=False)
    consumer.close()
