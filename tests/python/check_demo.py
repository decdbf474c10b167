"""Proves by DuckDB that the demo's output holds every event that it sent exactly once."""

import argparse

import duckdb


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--output", required=True)
    flags.add_argument("--topic", required=True)
    flags.add_argument("--events", type=int, required=True)
    given = flags.parse_args()

    def dataset(folder: str) -> str:
        return f"read_parquet('{folder}/**/*.parquet', hive_partitioning = true)"

    rows = dataset(f"{given.output}/{given.topic}")
    dead = dataset(f"{given.output}/_dead_letter/{given.topic}")
    database = duckdb.connect()

    def ask(query: str) -> tuple:
        return database.execute(query).fetchone()

    good, ids = ask(f"SELECT count(*), count(DISTINCT event_id) FROM {rows}")
    (letters,) = ask(f"SELECT count(*) FROM {dead}")
    coordinates = "_kafka_partition AS p, _kafka_offset AS o"
    (places,) = ask(
        f"SELECT count(*) FROM (SELECT {coordinates} FROM {rows} UNION SELECT {coordinates} FROM {dead})"
    )
    # No gap either: in each partition the offsets run from 0 to the number of records.
    (holes,) = ask(
        f"SELECT count(*) FROM (SELECT p, count(*) AS n, max(o) AS last FROM"
        f" (SELECT {coordinates} FROM {rows} UNION ALL SELECT {coordinates} FROM {dead}) GROUP BY p) WHERE last + 1 <> n"
    )
    (pages,) = ask(f"SELECT count(DISTINCT page_url_path) FROM {rows}")
    assert ids == good, f"{good} rows, but {ids} different events"
    assert good + letters == given.events, f"{good} rows and {letters} dead letters of {given.events} events"
    assert places == given.events, f"{places} Kafka offsets of {given.events} events"
    assert holes == 0, f"{holes} partitions with holes"
    assert letters > 0 and pages > 6, f"a dull demo: {letters} dead letters, {pages} pages"
    print(f"ok: {good} rows and {letters} dead letters, {pages} pages")


if __name__ == "__main__":
    main()
