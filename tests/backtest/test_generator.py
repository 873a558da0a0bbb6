"""The generated history is equal for equal seeds, keeps to its assumptions, and can be back-tested."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import duckdb
import pytest

from jitui.backtest.generator import GeneratorAssumptions, generate
from jitui.backtest.new_folder import with_values
from jitui.backtest.schema import TABLES
from jitui.backtest.source import prepare
from jitui.errors import BadInput

ORDERS = 20_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generator") / "history"
    generate(folder, ORDERS, 5, GeneratorAssumptions(), all_orders=True)
    return folder


def ask(folder: Path, query: str) -> tuple[object, ...]:
    """One row of a query in which a table's name stands for its file."""
    with duckdb.connect() as connection:
        for name in TABLES:
            if (folder / f"{name}.parquet").exists():
                connection.execute(f"CREATE VIEW {name} AS FROM '{folder / name}.parquet'")
        row = connection.execute(query).fetchone()
    assert row is not None
    return row


def test_a_made_up_history_fits_the_schema_without_a_row_set_aside(made: Path, tmp_path: Path) -> None:
    prepared = prepare(made, tmp_path)
    assert prepared.set_aside == ()
    assert prepared.rows["orders"] > ORDERS * 0.9, "all but those whose payment comes after the end"
    assert prepared.rows["requests"] > 100


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(made: Path, tmp_path: Path) -> None:
    generate(tmp_path / "same", ORDERS, 5, GeneratorAssumptions(), all_orders=True)
    generate(tmp_path / "other", ORDERS, 6, GeneratorAssumptions(), all_orders=True)
    digest = "SELECT (SELECT sum(hash(e)) FROM events e), (SELECT sum(hash(r)) FROM requests r)"
    assert ask(made, digest) == ask(tmp_path / "same", digest)
    assert ask(made, digest) != ask(tmp_path / "other", digest)


def test_amounts_are_as_calibrated(made: Path) -> None:
    """The figures of the shop that they were taken from: 97 % under 300 CNY, a median of 76 CNY."""
    query = "SELECT avg((paid_minor < 30000)::INT), median(paid_minor) FROM orders"
    under_300, median_minor = ask(made, query)
    assert 0.96 < float(str(under_300)) < 0.985
    assert 7_300 < float(str(median_minor)) < 8_300


def test_nothing_is_asked_before_it_is_paid_or_after_it_is_known_to_have_left(made: Path) -> None:
    query = """
        SELECT count(*) FILTER (r.asked_at < o.paid_at), count(*) FILTER (s.recorded_at <= r.asked_at),
               count(*) FILTER (s.at <= r.asked_at)
        FROM requests r JOIN orders o USING (order_id)
        LEFT JOIN (FROM shipments WHERE degree = 'shipped') s USING (order_id)
    """
    before_payment, after_it_was_known, gone_unknown = ask(made, query)
    assert (before_payment, after_it_was_known) == (0, 0)
    assert gone_unknown != 0, "some parcels had left and nobody knew (R9)"


def test_no_event_is_recorded_before_it_happened_or_after_the_end(made: Path) -> None:
    query = "SELECT count(*) FILTER (recorded_at < e.at), max(recorded_at) <= '2025-12-31 16:00' FROM events e"
    assert ask(made, query) == (0, True)


def test_an_assumption_changes_what_it_says(tmp_path: Path) -> None:
    changed = with_values(GeneratorAssumptions(), ["customised_percent=100", "ring_percent=0"])
    generate(tmp_path / "h", 2_000, 1, changed, all_orders=True)
    query = "SELECT bool_and(customised) FROM order_lines WHERE line_id = '1'"
    assert ask(tmp_path / "h", query) == (True,)
    assert ask(tmp_path / "h", "SELECT count(*) FROM requests WHERE buyer_id LIKE 'ring%'") == (0,)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("ring_percents=3", "Did you mean ring_percent|did you mean"),
        ("ring_percent=many", "is a number"),
        ("ring_percent=101", "from 0 to 100"),
        ("days=0", "above 0"),
    ],
)
def test_a_wrong_assumption_is_refused(setting: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        with_values(GeneratorAssumptions(), [setting])


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(BadInput, match="not empty"):
        generate(tmp_path, 10, 1, GeneratorAssumptions())
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_every_assumption_is_on_the_page_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "generator.md").read_text(encoding="utf-8")
    for field in fields(GeneratorAssumptions):
        assert f"| `{field.name}` | {field.default:g} |" in page, field.name
