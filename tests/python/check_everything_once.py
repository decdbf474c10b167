"""Counts what a topic holds and what the output made of it: each record exactly once, or it is named.

The topic is read anew by a client that is not ours (only what was committed), the output by DuckDB. Every record must be one
published row or one published dead letter, with its own content; every row must be a record; an on-time file must be the only
one of its epoch, folder and Kafka partition; every row must lie in its file's epoch. With `--compacted` the topic may have
forgotten records since, which the ledger of the producer still knows.

Prints one JSON object: records, rows, dead_letters, lost, doubled, and what else is wrong, with the first few of each.
"""

import argparse
import json
import os
import sys
import time

import duckdb
import pyarrow as pa
from kafka import KafkaConsumer, TopicPartition

SHOWN = 5
# A partition whose end cannot be reached in this time is not read by anybody.
PATIENCE_S = 120


def read_topic(brokers, topic):
    """Yields partition, offset and the event's id (None if it is no event) of each record."""
    consumer = KafkaConsumer(
        bootstrap_servers=brokers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=32 * 1024 * 1024,
    )
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends, begun = consumer.end_offsets(partitions), time.monotonic()
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        if time.monotonic() - begun > PATIENCE_S:
            raise SystemExit(f"cannot read {topic} to its end")
        for records in consumer.poll(timeout_ms=500).values():
            for record in records:
                yield record.partition, record.offset, event_id(record.value)
    consumer.close()


def event_id(value):
    try:
        fields = json.loads(value)
        return fields.get("event_id") if isinstance(fields, dict) else None
    except (ValueError, TypeError):
        return None


def read_ledgers(paths):
    """The lines of all ledgers, but for one that its producer could not end."""
    for path in paths:
        with open(path, encoding="utf-8") as file:
            yield from (json.loads(line) for line in file if line.endswith("\n"))


def table(rows):
    columns = list(zip(*rows)) or [(), (), ()]
    types = [pa.int32(), pa.int64(), pa.string()]
    return pa.table({name: pa.array(column, kind) for name, column, kind in zip(("p", "o", "id"), columns, types)})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--epoch-us", type=int, required=True)
    parser.add_argument("--ledger", action="append", default=[], help="what a producer was acknowledged")
    parser.add_argument("--compacted", action="store_true")
    args = parser.parse_args()

    db = duckdb.connect()
    held, ledger = table(list(read_topic(args.brokers, args.topic))), table(list(read_ledgers(args.ledger)))
    db.register("held", held)
    db.register("ledger", ledger)

    def read(name, folder, columns):
        """Makes a view of published files, or an empty one while there are none."""
        root = os.path.join(args.output, folder)
        some = any(file.endswith(".parquet") for _, _, files in os.walk(root) for file in files)
        if some:
            glob = os.path.join(root, "**", "*.parquet").replace("'", "''")
            source = f"read_parquet('{glob}', hive_partitioning = false, union_by_name = true, filename = true)"
            db.execute(f"CREATE TABLE {name} AS SELECT {columns} FROM {source}")
        else:
            db.execute(f"CREATE TABLE {name} (p INTEGER, o BIGINT, id VARCHAR, file VARCHAR, us BIGINT)")

    read("row", args.topic, "_kafka_partition AS p, _kafka_offset AS o, event_id AS id, filename AS file, epoch_us(event_timestamp) AS us")
    read("dead", os.path.join("_dead_letter", args.topic), "_kafka_partition AS p, _kafka_offset AS o, NULL AS id, filename AS file, 0 AS us")
    db.execute("CREATE TABLE published AS SELECT p, o, id, file FROM row UNION ALL SELECT p, o, id, file FROM dead")
    db.execute("CREATE TABLE known AS SELECT p, o, id FROM held" + (" UNION SELECT p, o, id FROM ledger" if args.compacted else ""))

    def ask(sql):
        return [list(row) for row in db.execute(sql).fetchall()]

    problems = {
        "lost": ask("SELECT p, o, id FROM held ANTI JOIN published USING (p, o) ORDER BY ALL"),
        "doubled": ask("SELECT p, o, list(file) FROM published GROUP BY p, o HAVING count(*) > 1 ORDER BY p, o"),
        "foreign": ask("SELECT p, o, file FROM published ANTI JOIN known USING (p, o) ORDER BY ALL"),
        "altered": ask(
            "SELECT row.p, row.o, row.id, known.id FROM row JOIN known USING (p, o) WHERE row.id IS DISTINCT FROM known.id ORDER BY ALL"
        ),
        "not_in_the_topic": []
        if args.compacted
        else ask("SELECT p, o, id FROM ledger ANTI JOIN held USING (p, o) ORDER BY ALL"),
        "several_files": ask(
            "SELECT p, regexp_extract(file, '(.*)-p\\d+-[0-9a-f]+-\\d+\\.parquet', 1) AS bucket, list(DISTINCT file) FROM row "
            "WHERE NOT suffix(file, '-late.parquet') GROUP BY p, bucket HAVING count(DISTINCT file) > 1 ORDER BY p, bucket"
        ),
        "wrong_epoch": ask(
            f"SELECT p, o, file FROM row WHERE us // {args.epoch_us} * {args.epoch_us} <> "
            "epoch_us(strptime(regexp_extract(file, '(\\d{8}T\\d{6}Z)-p', 1), '%Y%m%dT%H%M%SZ')) ORDER BY ALL"
        ),
    }
    (rows,), (dead,) = ask("SELECT count(*) FROM row")[0], ask("SELECT count(*) FROM dead")[0]
    (late,) = ask("SELECT count(*) FROM row WHERE suffix(file, '-late.parquet')")[0]
    (files,) = ask("SELECT count(DISTINCT file) FROM published")[0]
    found = {"records": held.num_rows, "rows": rows, "dead_letters": dead, "late": late, "files": files}
    found |= {name: len(details) for name, details in problems.items()}
    found["examples"] = {name: details[:SHOWN] for name, details in problems.items() if details}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
