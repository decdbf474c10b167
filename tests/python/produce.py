"""Produces a file of JSON lines to a Kafka topic, key `page_url_path`, with a client that is not ours.

Each line goes out byte for byte as it is in the file. The partition is what every Kafka client would choose by
default: murmur2 of the key. Prints one JSON object: the number of records, in all and for each partition.
"""

import argparse
import gzip
import itertools
import json
import sys
import time
from collections import Counter

from kafka import KafkaProducer


def lines(path):
    """Yields the lines of a plain or gzipped file, without their line ends."""
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rb") as file:
        for line in file:
            line = line.rstrip(b"\r\n")
            if line:
                yield line


def parse_slice(text):
    """Reads `from:to`, where either side may be missing, as in Python."""
    start, _, end = text.partition(":")
    return (int(start) if start else 0, int(end) if end else None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--file", required=True, help="JSON lines, .gz or not")
    parser.add_argument("--key", default="page_url_path", help="field whose value is the key")
    parser.add_argument("--slice", type=parse_slice, default=(0, None), metavar="FROM:TO", help="only these lines")
    parser.add_argument("--rate", type=float, help="records a second (default: as fast as it goes)")
    parser.add_argument("--timestamp-ms", type=int, help="Kafka timestamp of the first record (default: now, for each)")
    parser.add_argument("--timestamp-step-ms", type=int, default=0, help="added for each record after the first")
    args = parser.parse_args()

    producer = KafkaProducer(
        bootstrap_servers=args.brokers, acks="all", linger_ms=20, batch_size=256 * 1024, allow_auto_create_topics=False
    )
    sent = []
    started = time.monotonic()
    for number, line in enumerate(itertools.islice(lines(args.file), *args.slice)):
        if args.rate:
            time.sleep(max(0.0, started + number / args.rate - time.monotonic()))
        key = json.loads(line)[args.key].encode()
        timestamp = None if args.timestamp_ms is None else args.timestamp_ms + number * args.timestamp_step_ms
        sent.append(producer.send(args.topic, value=line, key=key, timestamp_ms=timestamp))
    producer.flush(timeout=120)
    # Asking each future is what turns a refused record into an error of this script.
    partitions = Counter(future.get(timeout=60).partition for future in sent)
    producer.close()
    print(json.dumps({"records": len(sent), "partitions": {str(p): n for p, n in sorted(partitions.items())}}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
