"""Proves that the output holds exactly the given events, with two readers that are not ours: DuckDB and pyarrow.

Checked, and each failure is named precisely:

* layout: every file of the topic's folder has a well-formed name, once for each (epoch, path, Kafka partition);
* files, by pyarrow: each holds the rows of one epoch, one path and one Kafka partition, those of its name; the
  partition columns are not repeated inside; every value of every row equals the JSON's; nothing is in `_extra`;
* data set, by pyarrow and by DuckDB: as many rows and as many distinct `event_id` as events, each row under the folder
  that its own timestamp and path say, `(_kafka_partition, _kafka_offset)` unique, every value equal, by SQL too.

For an S3 server on a local folder, give that folder. Prints one JSON object when all is well; otherwise the problems,
to standard error, and ends with exit code 1.
"""

import argparse
import json
import os
import re
import sys
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone
from itertools import islice
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.dataset as dataset
import pyarrow.parquet as parquet
from kafka.partitioner.default import murmur2

from produce import lines, parse_slice

TIME_FIELD = "event_timestamp"
PATH_FIELD = "page_url_path"
KAFKA_COLUMNS = ["_kafka_partition", "_kafka_offset", "_kafka_timestamp"]
FOLDER = re.compile(r"year=(\d{4})/month=([1-9]\d?)/day=([1-9]\d?)/page_url_path=([^/]+)")
NAME = re.compile(r"(\d{8}T\d{6}Z)-p(\d+)-([0-9a-f]{8})-([1-9]\d*)(-late)?\.parquet")
SHOWN = 10


class Problems:
    """What is wrong, by kind; of each kind the first few are shown and the rest counted."""

    def __init__(self):
        self.by_kind = defaultdict(list)

    def add(self, kind, detail):
        self.by_kind[kind].append(str(detail))

    def __bool__(self):
        return bool(self.by_kind)

    def show(self):
        for kind, details in self.by_kind.items():
            print(f"FAILED {kind} ({len(details)}):", file=sys.stderr)
            for detail in details[:SHOWN]:
                print(f"  {detail}", file=sys.stderr)
            if len(details) > SHOWN:
                print(f"  … and {len(details) - SHOWN} more", file=sys.stderr)


class Event:
    """One event of the input, and where it belongs."""

    def __init__(self, fields, epoch, partitions):
        self.fields = fields
        self.time = datetime.fromisoformat(fields[TIME_FIELD])
        if self.time.tzinfo is None:
            self.time = self.time.replace(tzinfo=timezone.utc)
        self.epoch = epoch_start(self.time, epoch)
        self.path = fields[PATH_FIELD]
        # What every Kafka client does with a key by default.
        self.partition = None if partitions is None else (murmur2(self.path.encode()) & 0x7FFFFFFF) % partitions


class File:
    """One published file, and what its name and folder claim."""

    def __init__(self, path, folder, name):
        self.path = path
        self.year, self.month, self.day = (int(folder[i]) for i in (1, 2, 3))
        self.page_path = unquote(folder[4], errors="strict")
        self.epoch = datetime.strptime(name[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        self.partition = int(name[2])
        self.late = name[5] is not None

    def bucket(self):
        return (self.epoch, self.page_path, self.partition, self.late)


def epoch_start(time, length):
    """The start of the epoch `[start, start + length)`, aligned to the Unix epoch, that holds `time`."""
    unix = datetime(1970, 1, 1, tzinfo=timezone.utc)
    return time - (time - unix) % length


def described(bucket):
    epoch, page_path, partition, late = bucket
    return f"epoch {epoch:%Y-%m-%dT%H:%M:%SZ}, path {page_path!r}, partition {partition}{', late' if late else ''}"


def find_files(root, problems):
    """Every file below the topic's folder, refused if its name is not one that the layout knows."""
    found = []
    for folder, _, names in os.walk(root):
        for name in sorted(names):
            path = os.path.join(folder, name)
            folder_match = FOLDER.fullmatch(os.path.relpath(folder, root))
            name_match = NAME.fullmatch(name)
            if folder_match is None or name_match is None:
                problems.add("file whose folder or name is not of the layout", os.path.relpath(path, root))
            else:
                found.append(File(path, folder_match, name_match))
    return sorted(found, key=lambda file: file.path)


def check_buckets(files, events, allow_late, problems):
    """One file for each (epoch, path, partition) of the events, and no other."""
    have = Counter(file.bucket() for file in files)
    for bucket, count in have.items():
        if count > 1:
            problems.add("more than one file for a bucket", f"{described(bucket)}: {count} files")
        if bucket[3] and not allow_late:
            problems.add("late file where none is expected", described(bucket))
    if any(event.partition is None for event in events.values()) or allow_late:
        return
    want = {(event.epoch, event.path, event.partition, False) for event in events.values()}
    for bucket in sorted(want - set(have)):
        problems.add("no file for a bucket", described(bucket))
    for bucket in sorted(set(have) - want):
        problems.add("file for a bucket that no event has", described(bucket))


def check_type(name, field_type, example, problems, where):
    """A column's type follows from the JSON value's own type, and the timestamp field is a UTC time in µs."""
    if pa.types.is_dictionary(field_type):
        field_type = field_type.value_type
    if name == TIME_FIELD:
        good = field_type == pa.timestamp("us", tz="UTC")
    elif isinstance(example, bool):
        good = pa.types.is_boolean(field_type)
    elif isinstance(example, str):
        good = pa.types.is_string(field_type) or pa.types.is_large_string(field_type)
    elif isinstance(example, int):
        good = pa.types.is_int64(field_type)
    else:
        good = True
    if not good:
        problems.add("column of the wrong type", f"{name} is {field_type}, the JSON has {example!r}: {where}")


def check_file(file, events, epoch, problems):
    """Reads one file by itself, without the folder's values, and compares each row with its event. Yields event ids."""
    table = parquet.ParquetFile(file.path).read()
    missing = [name for name in KAFKA_COLUMNS if name not in table.column_names]
    for name in missing:
        problems.add("column missing in a file", f"{name}: {file.path}")
    for name in ("year", "month", "day", PATH_FIELD):
        if name in table.column_names:
            problems.add("partition column repeated inside a file", f"{name}: {file.path}")
    if table.num_rows == 0:
        problems.add("file without rows", file.path)

    example = next(iter(events.values())).fields
    for name in table.column_names:
        if name in example:
            check_type(name, table.schema.field(name).type, example[name], problems, file.path)
        elif name not in KAFKA_COLUMNS and name != "_extra":
            problems.add("column that no event has", f"{name}: {file.path}")

    for row in table.to_pylist():
        event_id = row.get("event_id")
        yield event_id
        if row.get("_extra") is not None:
            problems.add("value kept in _extra", f"{event_id}: {row['_extra']}")
        if "_kafka_partition" in row and row["_kafka_partition"] != file.partition:
            problems.add("row of another Kafka partition than its file", f"{event_id}: {row['_kafka_partition']} in {file.path}")
        event = events.get(event_id)
        if event is None:
            problems.add("row that no event is", f"event_id {event_id!r} in {file.path}")
            continue
        if event.partition is not None and event.partition != file.partition:
            problems.add("row in another partition than its key says", f"{event_id}: {file.partition}, not {event.partition}")
        if epoch_start(row[TIME_FIELD], epoch) != file.epoch:
            problems.add("row of another epoch than its file", f"{event_id}: {row[TIME_FIELD]} in {file.path}")
        check_row(event_id, row | {PATH_FIELD: file.page_path}, event, "file", problems)


def check_row(event_id, row, event, reader, problems):
    """Compares every field with the JSON's, the time to the microsecond."""
    for name, value in event.fields.items():
        want = event.time if name == TIME_FIELD else value
        have = row.get(name)
        if have != want or type(have) is not type(want):
            problems.add(f"value differs ({reader})", f"{event_id}: {name} is {have!r}, the JSON has {want!r}")


def check_dataset(root, events, problems):
    """The whole folder as one Hive data set of pyarrow: folders and values must agree for every row."""
    hive = dataset.partitioning(
        pa.schema([("year", pa.int32()), ("month", pa.int32()), ("day", pa.int32()), (PATH_FIELD, pa.string())]),
        flavor="hive",
    )
    table = dataset.dataset(root, format="parquet", partitioning=hive).to_table()
    if table.num_rows != len(events):
        problems.add("number of rows (pyarrow data set)", f"{table.num_rows}, expected {len(events)}")
    for row in table.to_pylist():
        event = events.get(row["event_id"])
        if event is None:
            continue  # Reported with its file.
        if (row["year"], row["month"], row["day"]) != (event.time.year, event.time.month, event.time.day):
            problems.add("row under another day than its own (pyarrow data set)", f"{row['event_id']}: {event.time}")
        check_row(row["event_id"], row, event, "pyarrow data set", problems)


def sql_type(value):
    if isinstance(value, bool):
        return "BOOLEAN"
    return {int: "BIGINT", float: "DOUBLE"}.get(type(value), "VARCHAR")


def check_sql(root, events, epoch, problems):
    """The same by DuckDB, whose JSON reader and Parquet reader share nothing with ours."""
    db = duckdb.connect()
    example = next(iter(events.values())).fields
    db.execute(f"CREATE TABLE event ({', '.join(f'{name} {sql_type(value)}' for name, value in example.items())})")
    columns = pa.table({name: [event.fields[name] for event in events.values()] for name in example})
    db.register("columns", columns)
    db.execute(f"INSERT INTO event SELECT {', '.join(example)} FROM columns")
    # Without the types, DuckDB takes a path like '007' for a number.
    db.execute(
        "CREATE TABLE published AS SELECT *, filename AS file FROM read_parquet(?, hive_partitioning = true, "
        "hive_types = {'year': INTEGER, 'month': INTEGER, 'day': INTEGER, 'page_url_path': VARCHAR})",
        [os.path.join(root, "**", "*.parquet")],
    )

    def ask(kind, sql):
        for row in db.execute(sql).fetchall():
            problems.add(f"{kind} (DuckDB)", row)

    wanted = len(events)
    ask("number of rows", f"SELECT count(*) FROM published HAVING count(*) <> {wanted}")
    ask(
        "number of distinct event_id",
        f"SELECT count(DISTINCT event_id) FROM published HAVING count(DISTINCT event_id) <> {wanted}",
    )
    ask("event without a row", "SELECT event_id FROM event ANTI JOIN published USING (event_id)")
    ask("row without an event", "SELECT event_id, file FROM published ANTI JOIN event USING (event_id)")
    ask("event with several rows", "SELECT event_id, list(file) FROM published GROUP BY event_id HAVING count(*) > 1")
    ask(
        "offset with several rows",
        "SELECT _kafka_partition, _kafka_offset, list(file) FROM published "
        "GROUP BY _kafka_partition, _kafka_offset HAVING count(*) > 1",
    )
    length = epoch // timedelta(microseconds=1)
    ask(
        "file of several epochs or partitions",
        f"SELECT file, count(DISTINCT epoch_us({TIME_FIELD}) // {length}), count(DISTINCT _kafka_partition) "
        f"FROM published GROUP BY file "
        f"HAVING count(DISTINCT epoch_us({TIME_FIELD}) // {length}) > 1 OR count(DISTINCT _kafka_partition) > 1",
    )
    ask(
        "several files for one epoch, path and partition",
        f"SELECT epoch_us({TIME_FIELD}) // {length} AS epoch, {PATH_FIELD}, _kafka_partition, list(DISTINCT file) "
        f"FROM published WHERE NOT regexp_matches(file, '-late\\.parquet$') GROUP BY ALL "
        f"HAVING count(DISTINCT file) > 1",
    )
    ask(
        "row under another day than its own",
        f"SELECT event_id, file FROM published WHERE strftime(make_timestamp(epoch_us({TIME_FIELD})), '%Y-%-m-%-d') "
        "<> format('{}-{}-{}', year, month, day)",
    )
    for name in example:
        have, want = f"published.{name}", f"event.{name}"
        if name == TIME_FIELD:
            have, want = f"epoch_us({have})", f"epoch_us(CAST({want} AS TIMESTAMP))"
        ask(
            "value differs",
            f"SELECT event_id, '{name}', published.{name}::VARCHAR, event.{name}::VARCHAR "
            f"FROM published JOIN event USING (event_id) WHERE {have} IS DISTINCT FROM {want}",
        )


def duration(text):
    """Reads `15m`, `1h`, `30s`."""
    match = re.fullmatch(r"(\d+)([smh])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 15m")
    return timedelta(seconds=int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", required=True, help="JSON lines, .gz or not")
    parser.add_argument("--slice", type=parse_slice, default=(0, None), metavar="FROM:TO", help="only these lines")
    parser.add_argument("--output", required=True, help="folder of the output, as given to the program")
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, required=True, help="number of partitions of the topic")
    parser.add_argument("--epoch", type=duration, default="15m")
    parser.add_argument("--allow-late", action="store_true", help="late files may be there, too")
    parser.add_argument("--any-partition", action="store_true", help="the producer did not partition by murmur2 of the key")
    args = parser.parse_args()

    events = {}
    for line in islice(lines(args.events), *args.slice):
        fields = json.loads(line)
        event = Event(fields, args.epoch, None if args.any_partition else args.partitions)
        if events.setdefault(fields["event_id"], event) is not event:
            parser.error(f"event_id {fields['event_id']!r} is twice in {args.events}: it cannot be used for this check")
    if not events:
        parser.error(f"no events in {args.events}")

    problems = Problems()
    root = os.path.join(args.output, args.topic)
    files = find_files(root, problems)
    if not files:
        problems.add("no files", root)
        problems.show()
        return 1
    check_buckets(files, events, args.allow_late, problems)
    for file in files:
        if file.partition >= args.partitions:
            problems.add("file of a partition that the topic does not have", file.path)

    seen = Counter()
    for file in files:
        seen.update(check_file(file, events, args.epoch, problems))
    if sum(seen.values()) != len(events):
        problems.add("number of rows (pyarrow)", f"{sum(seen.values())}, expected {len(events)}")
    for event_id in events.keys() - seen.keys():
        problems.add("event without a row (pyarrow)", event_id)
    for event_id, count in seen.items():
        if count > 1:
            problems.add("event with several rows (pyarrow)", f"{event_id}: {count}")

    # A reader may refuse a damaged data set altogether: that is a finding, not a crash of this script.
    for check in (lambda: check_dataset(root, events, problems), lambda: check_sql(root, events, args.epoch, problems)):
        try:
            check()
        except (duckdb.Error, pa.ArrowException, KeyError) as error:
            problems.add("the output cannot be read as one data set", repr(error))

    if problems:
        problems.show()
        return 1
    print(json.dumps({"rows": len(events), "files": len(files), "epochs": len({file.epoch for file in files})}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
