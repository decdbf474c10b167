"""Reads partition values back with DuckDB, with pyarrow and by Spark's rules: each is the very value, or it is in `_extra`.

`--events` are the JSON lines that were produced, each with an `id` and, in the field `--column`, the value that names its
folder. Prints the ids whose values are in `_extra` alone; ends with 1 when a reader sees anything else than what was
produced, or when a file lies outside the topic's folder.
"""

import argparse
import json
import os
import sys

import duckdb
import pyarrow as pa
from pyarrow import dataset, parquet

NULL = "__HIVE_DEFAULT_PARTITION__"


def unescape_path_name(path):
    """Spark's ExternalCatalogUtils.unescapePathName: `%XX` is the character with that number, and not a byte of UTF-8."""
    found, i = [], 0
    while i < len(path):
        if path[i] == "%" and i + 2 < len(path):
            try:
                code = int(path[i + 1 : i + 3], 16)
            except ValueError:
                code = -1
            if code >= 0:
                found.append(chr(code))
                i += 3
                continue
        found.append(path[i])
        i += 1
    return "".join(found)


def by_spark(root, column):
    """Rows as Spark's partition discovery sees them (its type inference off): folder names are the partition values."""
    for folder, _, names in os.walk(root):
        for name in names:
            values = {}
            for part in os.path.relpath(folder, root).split(os.sep):
                key, equals, raw = part.partition("=")
                # Spark refuses the whole data set for any of these.
                assert equals and key and raw, f"Spark cannot read the folder {part!r}"
                values[unescape_path_name(key)] = None if raw == NULL else unescape_path_name(raw)
            for row in parquet.ParquetFile(os.path.join(folder, name)).read(["id", "_extra"]).to_pylist():
                yield row["id"], values[column], row["_extra"]


def by_pyarrow(root, column, kind):
    """Rows as a Hive data set of pyarrow."""
    hive = dataset.partitioning(pa.schema([(column, {"string": pa.string(), "long": pa.int64()}[kind])]), flavor="hive")
    table = dataset.dataset(root, format="parquet", partitioning=hive).to_table(columns=["id", column, "_extra"])
    for row in table.to_pylist():
        yield row["id"], row[column], row["_extra"]


def by_duckdb(root, column, kind):
    """Rows as a Hive data set of DuckDB."""
    types = {"string": "hive_types_autocast = false", "long": f"hive_types = {{'{column}': BIGINT}}"}[kind]
    yield from duckdb.connect().execute(
        f'SELECT id, "{column}", _extra FROM read_parquet(?, hive_partitioning = true, {types})',
        [os.path.join(root, "**", "*.parquet")],
    ).fetchall()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--column", required=True)
    parser.add_argument("--type", choices=["string", "long"], default="string")
    args = parser.parse_args()

    with open(args.events, encoding="utf-8") as file:
        events = [json.loads(line) for line in file]
    produced = {event["id"]: event.get(args.column) for event in events}
    root = os.path.join(args.output, args.topic)
    readers = {
        "DuckDB": by_duckdb(root, args.column, args.type),
        "pyarrow": by_pyarrow(root, args.column, args.type),
        "Spark": by_spark(root, args.column),
    }
    problems, kept = [], {}
    for reader, rows in readers.items():
        seen, kept[reader] = [], []
        for number, value, extra in rows:
            seen.append(number)
            want, extra = produced[number], json.loads(extra or "{}")
            if reader == "Spark" and args.type == "long" and value is not None:
                value = int(value)
            if args.column in extra:
                kept[reader].append(number)
                value = extra[args.column]
            if value != want or type(value) is not type(want):
                problems.append(f"{reader}: {number} has {value!r}, produced was {want!r}")
        if sorted(seen) != sorted(produced):
            problems.append(f"{reader}: rows {sorted(seen)}, produced were {sorted(produced)}")
    if len({tuple(sorted(ids)) for ids in kept.values()}) != 1:
        problems.append(f"the readers do not agree on what is in _extra: {kept}")

    for folder, _, names in os.walk(args.output):
        for name in names:
            path = os.path.realpath(os.path.join(folder, name))
            if name.endswith(".parquet") and not path.startswith(os.path.realpath(root) + os.sep):
                problems.append(f"a file outside of the topic's folder: {path}")
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    print(json.dumps(sorted(kept["DuckDB"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
