"""P6: the same features by Spark with two local executors, row by row against DuckDB's."""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb

from benchmarks.frame import Measured, Run, result
from benchmarks.histories import write_events
from benchmarks.p5_features import features

EVENTS = 2_000_000
MASTER = "local-cluster[2,1,1536]"
"""Two executors of one core and 1.5 GiB, each a process of its own, on a master of this machine."""


def measure(run: Run) -> Measured:
    """Seconds of Spark and of DuckDB on the same history; holds when no row differs."""
    with tempfile.TemporaryDirectory(prefix="jitui-p6-") as name:
        folder = Path(name)
        run.say(f"   writing {EVENTS:,} events")
        write_events(folder / "history", EVENTS)
        run.say("   features by DuckDB")
        by_duckdb = features(folder / "history", folder / "duckdb.parquet", "duckdb")
        run.say("   features by Spark")
        by_spark = features(folder / "history", folder / "spark.parquet", "spark", MASTER)
        rows, differing = _compared(folder / "duckdb.parquet", folder / "spark.parquet")
    return result(
        "P6",
        ours=by_spark["seconds"],
        floor=by_duckdb["seconds"],
        unit="s",
        holds=rows > 0 and differing == 0,
        detail={"events": EVENTS, "rows": rows, "rows_that_differ": differing, "master": MASTER, "duckdb": by_duckdb},
    )


def _compared(here: Path, there: Path) -> tuple[int, int]:
    """How many rows there are, and how many stand on one side only."""
    with duckdb.connect() as connection:
        columns = [row[0] for row in connection.execute(f"DESCRIBE FROM '{here}'").fetchall()]
        names = ", ".join(f'"{name}"' for name in columns)
        ours, theirs = f"SELECT {names} FROM '{here}'", f"SELECT {names} FROM '{there}/*.parquet'"
        query = f"SELECT count(*) FROM (({ours} EXCEPT ALL {theirs}) UNION ALL ({theirs} EXCEPT ALL {ours}))"
        rows = connection.execute(f"SELECT count(*) FROM '{here}'").fetchone()
        differing = connection.execute(query).fetchone()
    assert rows is not None and differing is not None
    return int(rows[0]), int(differing[0])
