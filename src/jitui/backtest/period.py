"""A back-test of the last days of a history: its earlier requests are left out, what happened before them stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from jitui.backtest.found import quoted
from jitui.backtest.source import Prepared


def requests_since(prepared: Prepared, since: datetime, work: Path) -> Prepared:
    """The history with the requests from a moment on, and their decisions.

    Events stay, so that features are what they were. Caps are replayed, and so are not used yet at that moment.
    """
    moment = since.astimezone(UTC).replace(tzinfo=None)
    requests, paths, rows = work / "requests_since.parquet", dict(prepared.paths), dict(prepared.rows)
    with duckdb.connect() as connection:
        found = f"SELECT * FROM read_parquet('{quoted(str(paths['requests']))}')"
        wanted = f"{found} WHERE asked_at >= TIMESTAMP '{moment.isoformat(sep=' ')}'"
        rows["requests"] = _write(connection, wanted, requests)
        paths["requests"] = requests
        if "decisions" in paths:
            decided = f"SELECT * FROM read_parquet('{quoted(str(paths['decisions']))}')"
            kept = f"SELECT request_id FROM read_parquet('{quoted(str(requests))}')"
            out = work / "decisions_since.parquet"
            rows["decisions"] = _write(connection, f"{decided} WHERE request_id IN ({kept})", out)
            paths["decisions"] = out
    return replace(prepared, paths=paths, rows=rows)


def _write(connection: duckdb.DuckDBPyConnection, query: str, out: Path) -> int:
    connection.execute(f"COPY ({query}) TO '{quoted(str(out))}' (FORMAT parquet)")
    (count,) = connection.execute(f"SELECT count(*) FROM read_parquet('{quoted(str(out))}')").fetchone() or (0,)
    return int(count)
