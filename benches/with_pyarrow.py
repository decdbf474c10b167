"""Kafka to partitioned Parquet with pyarrow, as a script for the job is written: no exactly-once, a file a batch and folder.

    with_pyarrow.py BROKERS TOPIC GROUP OUTPUT

Blocks of 16 MiB, and one chunk for each column: left as they come, the JSON's small blocks become row groups of 160 rows, at twice the CPU
(measured: 18.5 and 8.4).
"""

import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.json

from batches import batches

FOLDERS = ["year", "month", "day", "page_url_path"]


def main() -> None:
    brokers, topic, group, output = sys.argv[1:]
    parquet = ds.ParquetFileFormat()
    options = parquet.make_write_options(compression="zstd", compression_level=1)
    schema = None
    for number, values in enumerate(batches(brokers, topic, group)):
        # The first batch shows what the columns are.
        parse = pyarrow.json.ParseOptions(explicit_schema=schema)
        read = pyarrow.json.ReadOptions(block_size=16 << 20)
        table = pyarrow.json.read_json(pa.BufferReader(b"\n".join(values)), read, parse).combine_chunks()
        schema = table.schema
        time = table["event_timestamp"]
        if pa.types.is_string(time.type):
            time = pc.cast(time, pa.timestamp("us"))
            table = table.set_column(table.schema.get_field_index("event_timestamp"), "event_timestamp", time)
        for name, part in (("year", pc.year), ("month", pc.month), ("day", pc.day)):
            table = table.append_column(name, part(time))
        ds.write_dataset(
            table, output, format=parquet, file_options=options, partitioning=FOLDERS, partitioning_flavor="hive",
            basename_template=f"batch-{number}-{{i}}.parquet", existing_data_behavior="overwrite_or_ignore",
        )


if __name__ == "__main__":
    main()
