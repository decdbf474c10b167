"""Produces exact bytes: any key, any value or none, any timestamp, any partition.

Reads a JSON list, or JSON lines, of `{"key_b64", "value_b64", "timestamp_ms", "partition"}` (or `key_hex`,
`value_hex`) from a file or from standard input (`-`). No value is a record without one (a tombstone), and a missing
timestamp or partition is left to the client. Records of one partition keep their order. Prints one JSON list a record,
in the order of the input: `[partition, offset]`.
"""

import argparse
import base64
import json
import sys

from kafka import KafkaProducer


def records(text):
    """Reads a JSON list, or one JSON object a line."""
    if text.lstrip().startswith("["):
        return json.loads(text)
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def decoded(record, name):
    """The bytes of a record's key or value; None if it has none."""
    if record.get(f"{name}_b64") is not None:
        return base64.b64decode(record[f"{name}_b64"], validate=True)
    if record.get(f"{name}_hex") is not None:
        return bytes.fromhex(record[f"{name}_hex"])
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("file", help="a file, or - for standard input")
    args = parser.parse_args()

    if args.file == "-":
        text = sys.stdin.read()
    else:
        with open(args.file, encoding="utf-8") as file:
            text = file.read()

    producer = KafkaProducer(
        bootstrap_servers=args.brokers,
        acks="all",
        linger_ms=20,
        max_request_size=64 * 1024 * 1024,
        allow_auto_create_topics=False,
    )
    sent = [
        producer.send(
            args.topic,
            key=decoded(record, "key"),
            value=decoded(record, "value"),
            timestamp_ms=record.get("timestamp_ms"),
            partition=record.get("partition"),
        )
        for record in records(text)
    ]
    producer.flush(timeout=120)
    for future in sent:
        metadata = future.get(timeout=60)
        print(json.dumps([metadata.partition, metadata.offset]))
    producer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
