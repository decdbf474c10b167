"""Produces small events at a steady rate until SIGTERM, with a client that is not ours, and keeps a ledger of them.

An event has an id of its own, a page (its key, and one of a few for each partition) and the time at which it was made, or
a little earlier: every so often so much earlier that it is late. Each line of the ledger is `[partition, offset, id]` of a
record that the brokers have acknowledged (and, in transactions, committed).

What can be mixed in, in bursts or as a fraction: records that are no events, timestamps that jump by hours, records of
10 MiB, transactions of which some are aborted. With `--keys` few keys are used again and again: for topics that are
compacted. Prints the number of records of the ledger.
"""

import argparse
import json
import random
import signal
import sys
import time
from datetime import datetime, timedelta, timezone

from kafka import KafkaProducer

BIG = 10 * 1024 * 1024
POISON = [b"", b"{", b"[]", b"\xff\xfe", b'{"page_url_path": "/"}', b'{"event_timestamp": "yesterday"}', b"null"]


class Stop:
    """Becomes true at SIGTERM."""

    def __init__(self):
        self.now = False
        signal.signal(signal.SIGTERM, self.ask)

    def ask(self, *_):
        self.now = True


def event(args, number, now, chance):
    """One event, as bytes; its page is its key."""
    age = chance.uniform(0.0, 0.5)
    if chance.random() < args.late:
        age += 20.0
    if args.jump and chance.random() < args.jump:
        # Backwards these are late rows, forwards within an hour they are capped by Kafka's own timestamp, beyond it dead letters.
        age += chance.choice([-7200.0, -1800.0, -30.0, 60.0, 3600.0, 86400.0])
    made = datetime.fromtimestamp(now, timezone.utc) - timedelta(seconds=age)
    fields = {
        "event_timestamp": made.isoformat(timespec="microseconds"),
        "page_url_path": f"/page/{number % args.pages}",
        "event_id": f"{args.seed}-{number}",
        "number": number,
    }
    if args.big and number and number % args.big == 0:
        fields["big"] = "x" * BIG
    return fields, json.dumps(fields).encode()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--ledger", required=True, help="file that gets a line for each record that was acknowledged")
    parser.add_argument("--rate", type=float, default=300.0, help="records a second")
    parser.add_argument("--pages", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--late", type=float, default=0.01, help="fraction of events that are late")
    parser.add_argument("--poison", type=float, default=0.0, help="fraction of bursts that are no events")
    parser.add_argument("--jump", type=float, default=0.0, help="fraction of events whose time jumps")
    parser.add_argument("--big", type=int, default=0, help="every so manieth event has 10 MiB")
    parser.add_argument("--keys", type=int, default=0, help="only this many keys, for compaction")
    parser.add_argument("--transactions", action="store_true", help="in transactions, of which a third are aborted")
    args = parser.parse_args()

    stop, chance = Stop(), random.Random(args.seed)
    more = {"transactional_id": f"{args.topic}-{args.seed}"} if args.transactions else {}
    producer = KafkaProducer(
        bootstrap_servers=args.brokers,
        acks="all",
        linger_ms=5,
        max_request_size=2 * BIG,
        allow_auto_create_topics=False,
        **more,
    )
    if args.transactions:
        producer.init_transactions()

    kept, sent, number, started = 0, [], 0, time.monotonic()
    with open(args.ledger, "w", encoding="utf-8") as ledger:

        def settle(everything):
            """Writes what is acknowledged by now."""
            nonlocal kept, sent
            rest = []
            for future, name in sent:
                if not everything and not future.is_done:
                    rest.append((future, name))
                    continue
                try:
                    found = future.get(timeout=120)
                except Exception as error:  # A broker that was away too long: nobody was promised anything.
                    print(f"not acknowledged: {name}: {error}", file=sys.stderr)
                    continue
                ledger.write(json.dumps([found.partition, found.offset, name]) + "\n")
                kept += 1
            sent = rest
            ledger.flush()

        while not stop.now:
            aborts = args.transactions and chance.random() < 1 / 3
            if args.transactions:
                producer.begin_transaction()
            poisoned = chance.random() < args.poison
            burst = []
            for _ in range(20):
                time.sleep(max(0.0, started + number / args.rate - time.monotonic()))
                fields, value = event(args, number, time.time(), chance)
                name = fields["event_id"]
                if poisoned:
                    value, name = chance.choice(POISON), None
                key = f"key-{number % args.keys}" if args.keys else fields["page_url_path"]
                partition = number % args.pages % args.partitions
                burst.append((producer.send(args.topic, value=value, key=key.encode(), partition=partition), name))
                number += 1
            if args.transactions:
                producer.flush(timeout=120)
                if aborts:
                    producer.abort_transaction()
                    burst = []
                else:
                    producer.commit_transaction()
            sent += burst
            settle(False)
        producer.flush(timeout=120)
        settle(True)
    producer.close()
    print(json.dumps({"records": kept}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
