"""The frame of `jitui bench`, and the request that it records; measurements themselves are not tested."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from benchmarks import api, environment
from benchmarks.frame import TARGETS, Measured, choose, measure_of, result
from benchmarks.replay import replay

FIELDS = ["id", "work", "ours", "floor", "unit", "ratio", "target", "holds", "detail"]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """`jitui bench …`, its output not a terminal's."""
    command = [sys.executable, "-m", "jitui.entrypoints.cli", "bench", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_json_is_a_list_of_measured_targets_alone() -> None:
    done = run("P10", "P7", "--json", "--seconds", "0.5")
    found = json.loads(done.stdout)
    assert [list(one) for one in found] == [FIELDS]
    assert found[0]["id"] == "P10", "what was not measured is no row that could pass for a result"
    assert isinstance(found[0]["holds"], bool)


def test_the_exit_code_tells_whether_all_measured_targets_hold() -> None:
    done = run("p10", "--json", "--seconds", "0.5")
    assert done.returncode == (0 if json.loads(done.stdout)[0]["holds"] else 1)


def test_the_table_fits_80_columns_and_names_what_is_not_measured_yet() -> None:
    done = run("P10", "P7")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.split()[0] == "P10" for line in lines if line.strip())
    (of_p7,) = [line for line in lines if line.strip().startswith("P7")]
    assert "not" in of_p7 and "yes" not in of_p7 and "NO" not in of_p7


def test_an_unknown_target_is_refused_with_the_known_ones() -> None:
    done = run("P2", "P99")
    assert (done.returncode, done.stdout) == (2, "")
    assert "P99" in done.stderr and "P11" in done.stderr


def test_targets_come_in_the_tables_order_whatever_the_case() -> None:
    assert [target.id for target in choose(["p9", "P2"])] == ["P2", "P9"]
    assert [target.id for target in choose([])] == [f"P{number}" for number in range(1, 14)]


def test_every_file_of_a_measurement_belongs_to_a_target() -> None:
    here = Path(__file__).parents[2] / "benchmarks"
    files = {path.name.partition("_")[0].upper() for path in here.glob("p[0-9]*_*.py")}
    assert files <= {target.id for target in TARGETS}
    for target in TARGETS:
        assert (measure_of(target) is not None) == (target.id in files)


@pytest.mark.parametrize(("floor", "ratio"), [(50.0, 2.0), (None, None), (0.0, None)])
def test_a_ratio_needs_a_floor(floor: float | None, ratio: float | None) -> None:
    made: Measured = result("P3", ours=100.0, floor=floor, unit="1/s", holds=True)
    assert made.ratio == ratio


def test_a_recorded_request_is_replayed_for_other_orders(tmp_path: Path) -> None:
    """The floor of P2: the statements of one request, with another order and another lock each time."""
    with environment.server() as server:
        url, floor_url = environment.new_database(server, "ours"), environment.new_database(server, "floor")
        numbers = environment.seed(url, 200)
        first = environment.seed(floor_url, 8_000, lane=environment.BY_NUMBER).start
        key = asyncio.run(api.prepare(url, tmp_path))
        asyncio.run(api.prepare(floor_url, tmp_path))
        script = asyncio.run(api.record_request(url, tmp_path, key, numbers))
        replayed = replay(server, floor_url, script, first=first, clients=1, seconds=1)
        with psycopg.connect(floor_url) as connection:
            tickets = connection.execute("SELECT count(*), count(DISTINCT order_id) FROM ticket").fetchone()
    assert re.search(r"pg_try_advisory_xact_lock\(.*, :n::bigint\)", script.text), "each order has its own lock"
    sent = "\n".join((script.text, *script.values.values()))
    assert [number for number in numbers if str(number) in sent] == []
    assert tickets == (replayed.transactions, replayed.transactions)
