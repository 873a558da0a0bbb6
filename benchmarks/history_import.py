"""`jitui history import csv` of a made-up file of orders, beside DuckDB's own COPY of the same file in the same run.

`python -m benchmarks.history_import [ROWS] [--folder DIR]`: rows a second and the peak memory of each, each a process
of its own. The file has a row for each line of an order, two lines an order, a tenth of the lines with a quoted title.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import duckdb

MAP = """
needs = ["order"]
[read]
time_zone = "Asia/Shanghai"
[set]
currency = "CNY"
[columns]
order_id = "order"
buyer_id = "buyer"
shop_id = "shop"
placed_at = "placed"
sku = "sku"
quantity = "quantity"
"order_lines.paid" = "paid"
shipped_at = "shipped"
"orders.state" = "status"
[words."orders.state"]
"待发货" = "unshipped"
"已发货" = "shipped"
"""
_ROWS = """
    SELECT 'o' || (i // 2) AS "order", 'b' || (hash(i // 2) % 500000) AS buyer, 's' || (hash(i // 2) % 2000) AS shop,
        strftime(TIMESTAMP '2026-01-01' + to_seconds(i // 2), '%Y-%m-%d %H:%M:%S') AS placed,
        'SKU-' || (i % 20000) AS sku, {title} AS title, 1 + i % 3 AS quantity,
        printf('%d.%02d', i % 500, i % 100) AS paid,
        CASE WHEN (i // 2) % 2 = 1 THEN strftime(TIMESTAMP '2026-01-02' + to_seconds(i // 2), '%Y-%m-%d %H:%M:%S') END
            AS shipped, CASE WHEN (i // 2) % 2 = 1 THEN '已发货' ELSE '待发货' END AS status
    FROM range({rows}) AS t (i)
"""
_COPY = """
import duckdb, json, resource, sys, time
begun = time.perf_counter()
connection = duckdb.connect(config={"memory_limit": "384MiB", "preserve_insertion_order": False})
connection.execute("SET enable_progress_bar = false")
query = f"SELECT * FROM read_csv('{sys.argv[1]}', all_varchar = true)"
connection.execute(f"COPY ({query}) TO '{sys.argv[2]}' (FORMAT parquet)")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
print(json.dumps({"seconds": round(time.perf_counter() - begun, 1), "peak_memory_mib": peak}))
"""


def write_orders(path: Path, rows: int) -> None:
    """A file of that many rows."""
    title = "CASE WHEN i % 10 = 0 THEN 'Mug, blue' ELSE 'Mug' END"
    with closing(duckdb.connect(config={"memory_limit": "1GiB"})) as connection:
        query = _ROWS.format(rows=rows, title=title)
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT csv, HEADER)")


def measure(folder: Path, rows: int) -> dict[str, dict[str, float]]:
    """Seconds, rows a second and peak memory of each way."""
    file, map_file = folder / "orders.csv", folder / "orders.toml"
    map_file.write_text(MAP, encoding="utf-8")
    write_orders(file, rows)
    ours = ["-m", "jitui.entrypoints.cli", "history", "import", "csv", str(file), "--map-file", str(map_file)]
    ways = {
        "duckdb copy": ["-c", _COPY, str(file), str(folder / "copied.parquet")],
        "history import": [*ours, "--out", str(folder / "history"), "--json"],
    }
    found = {}
    for name, words in ways.items():
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
        told = json.loads(done.stdout[done.stdout.rindex("{") if name == "duckdb copy" else 0 :])
        found[name] = {
            "seconds": told["seconds"],
            "rows_a_second": round(rows / told["seconds"]),
            "peak_memory_mib": told["peak_memory_mib"],
        }
    return found


def main(words: list[str]) -> None:
    """Print what was measured as JSON."""
    rows = int(words[0]) if words and words[0].isdigit() else 1_000_000
    parent = Path(words[words.index("--folder") + 1]) if "--folder" in words else None
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        print(json.dumps({"rows": rows, **measure(Path(folder), rows)}, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
