"""Proves that the receipts describe exactly the published files: each file once, its size, its SHA-256, its rows and its
first and last offset, and that the sums in each receipt are those of its files. The rows are counted by pyarrow.

Prints one JSON object when all is well; otherwise the problems, to standard error, and ends with exit code 1.
"""

import argparse
import glob
import hashlib
import json
import os
import sys

import pyarrow.compute as compute
import pyarrow.parquet as parquet


def check_file(output, described, partition):
    """Compares a file with its description; yields what differs."""
    path = os.path.join(output, described["path"])
    with open(path, "rb") as file:
        content = file.read()
    table = parquet.ParquetFile(path).read(columns=["_kafka_partition", "_kafka_offset"])
    offsets = compute.min_max(table["_kafka_offset"])
    have = {
        "path": described["path"],
        "rows": table.num_rows,
        "first_offset": offsets["min"].as_py(),
        "last_offset": offsets["max"].as_py(),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    if have != described:
        yield f"{path}: the receipt says {described}, the file says {have}"
    if set(table["_kafka_partition"].to_pylist()) != {partition}:
        yield f"{path}: rows of other partitions than {partition}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, help="folder of the output, as given to the program")
    parser.add_argument("--topic", required=True)
    args = parser.parse_args()

    problems, described, rows = [], [], 0
    receipts = sorted(glob.glob(os.path.join(args.output, "_meta", args.topic, "epochs", "*", "*.json")))
    for path in receipts:
        with open(path, encoding="utf-8") as file:
            receipt = json.load(file)
        for total in ("rows", "bytes"):
            if receipt[total] != sum(file[total] for file in receipt["files"]):
                problems.append(f"{path}: {total} is not the sum of the files'")
        for file in receipt["files"]:
            problems.extend(check_file(args.output, file, receipt["partition"]))
        described.extend(file["path"] for file in receipt["files"])
        rows += receipt["rows"]

    found = glob.glob(os.path.join(glob.escape(args.output), args.topic, "**", "*"), recursive=True)
    files = {os.path.relpath(path, args.output) for path in found if os.path.isfile(path)}
    if len(described) != len(set(described)):
        problems.append("a file is in several receipts")
    problems.extend(f"no receipt has {path}" for path in sorted(files - set(described)))
    problems.extend(f"a receipt has {path}, the output does not" for path in sorted(set(described) - files))
    if not receipts:
        problems.append("no receipts")

    for problem in problems:
        print(f"FAILED {problem}", file=sys.stderr)
    if problems:
        return 1
    print(json.dumps({"receipts": len(receipts), "files": len(files), "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
