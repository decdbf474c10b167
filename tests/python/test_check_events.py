"""Tests the checker: it accepts a right output and finds every kind of damage. Needs no Kafka and no server."""

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import unittest
from collections import defaultdict
from datetime import timedelta
from itertools import islice
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as parquet

import check_events
from produce import lines

EVENTS = os.path.join(os.path.dirname(__file__), "..", "data", "fake_web_events-20k.jsonl.gz")
PARTITIONS = 4
# These events cross from one epoch into the next.
SLICE = (3_000, 7_000)


def write_output(folder):
    """Writes what the program should, in plain pyarrow."""
    buckets, offsets = defaultdict(list), defaultdict(int)
    for line in islice(lines(EVENTS), *SLICE):
        event = check_events.Event(json.loads(line), timedelta(minutes=15), PARTITIONS)
        offset = offsets[event.partition]
        offsets[event.partition] += 1
        row = event.fields | {check_events.TIME_FIELD: event.time, "_extra": None}
        del row[check_events.PATH_FIELD]
        row |= {"_kafka_partition": event.partition, "_kafka_offset": offset, "_kafka_timestamp": event.time}
        buckets[(event.epoch, event.path, event.partition)].append(row)
    for (epoch, path, partition), rows in buckets.items():
        day = f"year={epoch.year}/month={epoch.month}/day={epoch.day}/page_url_path={quote(path, safe='')}"
        os.makedirs(os.path.join(folder, "web", day), exist_ok=True)
        name = f"{epoch:%Y%m%dT%H%M%SZ}-p{partition}-7f3a9c1e-42.parquet"
        write(os.path.join(folder, "web", day, name), rows)


def schema(rows):
    """The schema that inference gives: the timestamp in microseconds of UTC, `_extra` a string."""
    time = pa.timestamp("us", tz="UTC")
    types = {check_events.TIME_FIELD: time, "_kafka_timestamp": time, "_extra": pa.string(), "device_is_mobile": pa.bool_()}
    types |= {"_kafka_partition": pa.int32(), "_kafka_offset": pa.int64()}
    return pa.schema([(name, types.get(name, pa.string())) for name in rows[0]])


def write(path, rows):
    parquet.write_table(pa.Table.from_pylist(rows, schema=schema(rows)), path)


def read(path):
    return parquet.ParquetFile(path).read().to_pylist()


class CheckEvents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.right = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.right)
        write_output(cls.right)

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.copytree(self.right, self.folder, dirs_exist_ok=True)
        paths = [os.path.join(at, name) for at, _, names in os.walk(self.folder) for name in names]
        self.files = sorted(paths)

    def check(self):
        """Runs the checker; returns its exit code and what it said."""
        arguments = ["--events", EVENTS, "--slice", f"{SLICE[0]}:{SLICE[1]}", "--output", self.folder]
        arguments += ["--topic", "web", "--partitions", str(PARTITIONS)]
        said = io.StringIO()
        before, sys.argv = sys.argv, ["check_events.py", *arguments]
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                return check_events.main(), said.getvalue()
        finally:
            sys.argv = before

    def finds(self, *kinds):
        code, said = self.check()
        self.assertEqual(code, 1, said)
        for kind in kinds:
            self.assertIn(kind, said)

    def change(self, **values):
        """Replaces values in the first row of the first file."""
        rows = read(self.files[0])
        rows[0] |= values
        write(self.files[0], rows)

    def test_a_right_output_passes(self):
        code, said = self.check()
        self.assertEqual(code, 0, said)
        self.assertEqual(json.loads(said), {"rows": 4000, "files": len(self.files), "epochs": 2})

    def test_a_lost_row_is_found(self):
        write(self.files[0], read(self.files[0])[1:])
        self.finds("number of rows (pyarrow)", "event without a row (DuckDB)")

    def test_a_doubled_row_is_found(self):
        rows = read(self.files[0])
        write(self.files[0], [*rows, rows[-1]])
        self.finds("event with several rows (pyarrow)", "offset with several rows (DuckDB)")

    def test_a_doubled_row_that_hides_a_lost_one_is_found(self):
        rows = read(self.files[0])
        write(self.files[0], [*rows[1:], rows[-1]])
        self.finds("event without a row (pyarrow)", "number of distinct event_id (DuckDB)")

    def test_a_lost_file_is_found(self):
        os.remove(self.files[0])
        self.finds("no file for a bucket", "number of rows (DuckDB)")

    def test_a_file_under_another_path_is_found(self):
        other = self.files[0].replace("page_url_path=%2Fcart", "page_url_path=%2Fhome").replace("-42.", "-43.")
        self.assertNotEqual(other, self.files[0])
        os.rename(self.files[0], other)
        self.finds("no file for a bucket", "value differs (file)", "value differs (DuckDB)")

    def test_a_file_under_another_day_is_found(self):
        other = self.files[0].replace("/day=22/", "/day=21/")
        os.makedirs(os.path.dirname(other))
        os.rename(self.files[0], other)
        self.finds("row under another day than its own (DuckDB)", "row under another day than its own (pyarrow")

    def test_a_bucket_in_two_files_is_found(self):
        rows = read(self.files[0])
        write(self.files[0], rows[:5])
        write(self.files[0].replace("-42.", "-43."), rows[5:])
        self.finds("more than one file for a bucket", "several files for one epoch, path and partition (DuckDB)")

    def test_a_file_of_two_epochs_is_found(self):
        rows = read(self.files[0])
        write(self.files[0], rows + read(self.files[1]))
        os.remove(self.files[1])
        self.finds("row of another epoch than its file", "file of several epochs or partitions (DuckDB)")

    def test_a_row_of_another_partition_is_found(self):
        self.change(_kafka_partition=3)
        self.finds("row of another Kafka partition than its file", "file of several epochs or partitions (DuckDB)")

    def test_a_changed_value_is_found(self):
        self.change(geo_latitude="3.3133")
        self.finds("value differs (file)", "value differs (pyarrow data set)", "value differs (DuckDB)")

    def test_a_time_that_lost_its_microseconds_is_found(self):
        time = read(self.files[0])[0][check_events.TIME_FIELD]
        self.change(**{check_events.TIME_FIELD: time.replace(microsecond=0)})
        self.finds("value differs (file)", "value differs (DuckDB)")

    def test_a_value_that_became_null_is_found(self):
        self.change(os_name=None)
        self.finds("value differs (file)", "value differs (DuckDB)")

    def test_a_value_kept_in_extra_is_found(self):
        self.change(_extra='{"x": 1}')
        self.finds("value kept in _extra")

    def test_a_stray_file_is_found(self):
        with open(os.path.join(self.folder, "web", "_SUCCESS"), "wb"):
            pass
        self.finds("file whose folder or name is not of the layout")

    def test_an_empty_output_is_found(self):
        shutil.rmtree(os.path.join(self.folder, "web"))
        self.finds("no files")


if __name__ == "__main__":
    unittest.main()
