"""Kafka to partitioned Parquet with DuckDB, as a script for the job is written: no exactly-once, a file a batch and folder.

    with_duckdb.py BROKERS TOPIC GROUP OUTPUT

A batch goes through a file in memory: `read_json` needs less CPU than `from_json` over a column of texts (measured: 7.8 and 9.3).
"""

import json
import pathlib
import sys
import tempfile

import duckdb

from batches import batches

TYPES = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "VARCHAR"}


def main() -> None:
    brokers, topic, group, output = sys.argv[1:]
    database = duckdb.connect()
    columns = None
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        file = pathlib.Path(folder) / "batch.json"
        for number, values in enumerate(batches(brokers, topic, group)):
            if columns is None:
                columns = {name: TYPES.get(type(value), "VARCHAR") for name, value in json.loads(values[0]).items()}
                columns["event_timestamp"] = "TIMESTAMP"
            file.write_bytes(b"\n".join(values))
            database.execute(f"""
                COPY (
                    SELECT *, year(event_timestamp) AS year, month(event_timestamp) AS month, day(event_timestamp) AS day
                    FROM read_json('{file}', format = 'newline_delimited', columns = {columns})
                ) TO '{output}' (
                    FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, PARTITION_BY (year, month, day, page_url_path),
                    OVERWRITE_OR_IGNORE, FILENAME_PATTERN 'batch-{number}-{{i}}'
                )""")


if __name__ == "__main__":
    main()
