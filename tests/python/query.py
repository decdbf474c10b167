"""Asks DuckDB, and prints each row of the answer as a JSON list: bytes as hex, times and decimals as text."""

import datetime
import decimal
import json
import sys

import duckdb


def plain(value):
    """What JSON has no type for, as text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (datetime.date, decimal.Decimal)):
        return str(value)
    raise TypeError(f"{type(value)} in a row")


def main():
    for row in duckdb.connect().execute(sys.argv[1]).fetchall():
        print(json.dumps(row, default=plain))
    return 0


if __name__ == "__main__":
    sys.exit(main())
