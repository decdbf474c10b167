"""The real events of the tests, repeated with times of their own, in a topic. Run with the Python of the benchmarks.

    events.py BROKERS TOPIC EVENTS PARTITIONS

Time goes on evenly over one hour. Each repetition has new ids, sessions and users: what is told apart 20,000 times in the file would
else be the same 20,000 values for ever, which no stream of events is.
"""

import datetime
import gzip
import json
import pathlib
import random
import re
import sys
import uuid
from collections.abc import Iterator

FILE = pathlib.Path(__file__).resolve().parent.parent / "tests/data/fake_web_events-20k.jsonl.gz"
BEGIN = datetime.datetime(2026, 11, 22, 12)
HOUR_US = 3_600_000_000
NEW = ("event_id", "click_id", "user_domain_id")


def pieces(line: str) -> list[str]:
    """The line, split at its time and ids: every second piece is such a value."""
    event = json.loads(line)
    values = [re.escape(event[name]) for name in ("event_timestamp", *NEW)]
    return re.split(f"({'|'.join(values)})", line.strip())


def events(count: int) -> Iterator[bytes]:
    lines = [pieces(line) for line in gzip.open(FILE, "rt")]
    chance = random.Random(1)
    for number in range(count):
        if number % len(lines) == 0:
            mask = chance.getrandbits(128)
        line = list(lines[number % len(lines)])
        time = BEGIN + datetime.timedelta(microseconds=number * HOUR_US // count)
        for place in range(1, len(line), 2):
            is_time = line[place][10] == " "
            line[place] = f"{time:%Y-%m-%d %H:%M:%S.%f}" if is_time else str(uuid.UUID(int=uuid.UUID(line[place]).int ^ mask))
        yield "".join(line).encode()


def main() -> None:
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    brokers, topic, count, partitions = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    admin = AdminClient({"bootstrap.servers": brokers})
    admin.create_topics([NewTopic(topic, partitions, 1)], operation_timeout=30)[topic].result(60)
    producer = Producer({
        "bootstrap.servers": brokers, "compression.type": "lz4", "linger.ms": 20, "batch.size": 1_000_000,
        "queue.buffering.max.kbytes": 131_072, "enable.idempotence": True,
    })
    lost = []
    for number, event in enumerate(events(count)):
        while True:
            try:
                producer.produce(topic, event, partition=number % partitions, on_delivery=lambda error, _: error and lost.append(error))
                break
            except BufferError:
                producer.poll(0.1)
        if number % 1_000 == 0:
            producer.poll(0)
    if producer.flush(60) or lost:
        sys.exit(f"events were not delivered: {lost[:1]}")


if __name__ == "__main__":
    main()
