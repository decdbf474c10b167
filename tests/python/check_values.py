"""Compares every value of the output with what Python reads out of the JSON that was produced: by pyarrow and by DuckDB.

`--events` are JSON lines, one for each Kafka offset of partition 0 from 0 on; `--schema` is the schema file. A value that
the schema does not know must be in `_extra`, and so must one that does not fit its column; which those are says
`--misfits`, a JSON object of offset to list of field names.
"""

import argparse
import base64
import json
import os
import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import duckdb
from pyarrow import parquet

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def numbers(text):
    """Reads JSON with every digit of its numbers."""
    return json.loads(text, parse_float=Decimal)


def instant(value):
    """The time that a JSON value of a timestamp column says."""
    if isinstance(value, (int, Decimal)):
        return EPOCH + timedelta(microseconds=int(Decimal(value) * 1_000_000))
    time = datetime.fromisoformat(value)
    return time.replace(tzinfo=time.tzinfo or timezone.utc).astimezone(timezone.utc)


def expected(value, kind):
    """What a column of Spark's type `kind` holds for a JSON value that fits."""
    if value is None:
        return None
    if isinstance(kind, dict):
        if kind["type"] == "struct":
            return {field["name"]: expected(value.get(field["name"]), field["type"]) for field in kind["fields"]}
        if kind["type"] == "array":
            return [expected(element, kind["elementType"]) for element in value]
        return {key: expected(element, kind["valueType"]) for key, element in value.items()}
    if kind == "timestamp":
        return instant(value)
    if kind == "date":
        return date.fromisoformat(value)
    if kind == "binary":
        return base64.b64decode(value, validate=True)
    if kind == "double":
        return float(value)
    if kind.startswith("decimal"):
        return Decimal(value)
    return value


def read(value, kind):
    """What a reader says, in the same form: it gives a map as a list of pairs."""
    if value is None:
        return None
    if isinstance(kind, dict):
        if kind["type"] == "struct":
            return {field["name"]: read(value[field["name"]], field["type"]) for field in kind["fields"]}
        if kind["type"] == "array":
            return [read(element, kind["elementType"]) for element in value]
        return {key: read(element, kind["valueType"]) for key, element in value}
    return value


def same(have, want):
    """Equal in value and in type, all the way down: neither 1 and True nor 0.0 and -0.0 are the same."""
    if type(have) is not type(want):
        return False
    if isinstance(want, dict):
        return have.keys() == want.keys() and all(same(have[key], want[key]) for key in want)
    if isinstance(want, list):
        return len(have) == len(want) and all(map(same, have, want))
    if isinstance(want, float):
        return repr(have) == repr(want)
    return have == want


def files(root):
    for folder, _, names in os.walk(root):
        yield from (os.path.join(folder, name) for name in names)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", required=True)
    parser.add_argument("--schema", required=True)
    parser.add_argument("--misfits", default="{}")
    parser.add_argument("--output", required=True)
    parser.add_argument("--topic", required=True)
    args = parser.parse_args()

    with open(args.events, encoding="utf-8") as file:
        events = [numbers(line) for line in file]
    with open(args.schema, encoding="utf-8") as file:
        fields = {field["name"]: field["type"] for field in json.load(file)["fields"]}
    misfits = {int(offset): set(names) for offset, names in json.loads(args.misfits).items()}
    root = os.path.join(args.output, args.topic)

    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    glob = os.path.join(root, "**", "*.parquet")
    relation = db.sql(f"SELECT * FROM read_parquet('{glob}', hive_partitioning = true)").to_arrow_table()
    readers = {
        "DuckDB": relation.to_pylist(),
        "pyarrow": [row for path in files(root) for row in parquet.ParquetFile(path).read().to_pylist()],
    }
    problems = []
    for reader, rows in readers.items():
        if sorted(row["_kafka_offset"] for row in rows) != list(range(len(events))):
            problems.append(f"{reader}: not each event once: {sorted(row['_kafka_offset'] for row in rows)}")
            continue
        for row in rows:
            offset = row["_kafka_offset"]
            event, unfit = events[offset], misfits.get(offset, set())
            for name, kind in fields.items():
                want = None if name in unfit else expected(event.get(name), kind)
                have = read(row[name], kind)
                if not same(have, want):
                    problems.append(f"{reader}: {name} of {offset} is {have!r}, the JSON has {want!r}")
            want = {name: value for name, value in event.items() if name not in fields or name in unfit}
            have = numbers(row["_extra"]) if row["_extra"] is not None else {}
            if not same(have, want):
                problems.append(f"{reader}: _extra of {offset} is {have!r}, not {want!r}")
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
