"""Foreign orders as histories: nothing is lost, nothing is known too early, money is exact."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitui.backtest.history.importing import import_history
from jitui.backtest.run import BacktestSpec, run_backtest
from jitui.backtest.source import prepare
from jitui.errors import BadInput
from jitui.policy import Policy
from tests.backtest.invoices import InvoiceRow, write_parquet
from tests.backtest.marketplace_files import item, order, payment, write_marketplace

CHECKOUT = Path(__file__).parents[2]
REAL = CHECKOUT.parent / "shared" / "data"
INVOICES = [
    InvoiceRow("500001", "22728", 6, "2011-03-01 10:00", 2.0, 11.0),
    InvoiceRow("500001", "21754", 2, "2011-03-01 10:00", 3.0, 11.0),
    InvoiceRow("500002", "22728", 4, "2011-03-01 12:00", 5.0, 12.0),
    InvoiceRow("500003", "22728", 3, "2011-03-01 12:00", 0.335, 13.0),  # 1.005 pounds: half to even
    InvoiceRow("C600001", "22728", -2, "2011-03-01 12:30", 2.0, 11.0),  # a part, before dispatch
    InvoiceRow("C600002", "22728", -4, "2011-03-02 11:59", 5.0, 12.0),  # all of it, the minute before dispatch
    InvoiceRow(
        "C600003", "22728", -3, "2011-03-02 12:00", 0.335, 13.0
    ),  # the minute of dispatch: not seen to have left
    InvoiceRow("C600004", "21754", -3, "2011-03-09 10:00", 3.0, 11.0),  # long after, and one more than bought
    InvoiceRow("500004", "22728", 1, "2011-03-01 13:00", 2.0, None),
    InvoiceRow("500005", None, 1, "2011-03-01 13:00", 2.0, 14.0),
]


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """As DuckDB hands out a moment: UTC, without a zone."""
    return datetime(year, month, day, hour, minute, tzinfo=UTC).replace(tzinfo=None)


def rows_of(folder: Path, table: str, columns: str = "*", order_by: str = "ALL") -> list[Any]:
    with duckdb.connect() as connection:
        return connection.execute(f"SELECT {columns} FROM '{folder / table}.parquet' ORDER BY {order_by}").fetchall()


@pytest.fixture(scope="module")
def retail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("retail")
    import_history("online-retail", write_parquet(folder / "invoices.parquet", INVOICES), folder / "history")
    return folder / "history"


def test_a_request_gives_back_the_exact_share_of_its_units(retail: Path) -> None:
    assert rows_of(retail, "requests", "order_id, amount_minor, whole_order", "asked_at, order_id") == [
        ("500001-11", 400, False),
        ("500002-12", 2000, True),
        ("500003-13", 100, True),
        ("500001-11", 600, False),
    ]


def test_a_parcel_waits_for_the_answer_and_leaves_only_with_what_was_not_taken_back(retail: Path) -> None:
    assert rows_of(retail, "shipments", 'order_id, "at"') == [
        ("500001-11", utc(2011, 3, 2, 12, 30)),  # 24 hours after the request, not 24 after the order
    ]


def test_a_refund_is_known_when_the_merchant_has_answered(retail: Path) -> None:
    about = rows_of(retail, "events", "kind, recorded_at", "1, 2")
    assert [(kind, at) for kind, at in about if kind.startswith("refund_before")] == [
        ("refund_before_shipment", utc(2011, 3, 2, 12, 30)),
        ("refund_before_shipment", utc(2011, 3, 2, 12, 30)),  # the shop's
        ("refund_before_shipment", utc(2011, 3, 3, 11, 59)),
        ("refund_before_shipment", utc(2011, 3, 3, 11, 59)),
        ("refund_before_shipment", utc(2011, 3, 3, 12, 0)),
        ("refund_before_shipment", utc(2011, 3, 3, 12, 0)),
    ]
    assert sum(kind == "refund_after_shipment" for kind, _ in about) == 2


def test_what_is_no_order_and_no_request_is_kept_with_its_row(retail: Path) -> None:
    aside = rows_of(retail, "set_aside/rows", "row, reason, units", "row")
    assert aside == [(8, "taken_back_already", 1), (9, "no_customer", None), (10, "broken", None)]
    about = json.loads((retail / "assumptions.json").read_text())
    assert about["set_aside"] == {"cancelled_units": {"taken_back_already": 1}, "rows": {"broken": 1, "no_customer": 1}}
    assert about["assumptions"]["dispatch_hours"] == 24


def test_requests_after_dispatch_can_be_set_aside(tmp_path: Path) -> None:
    source = write_parquet(tmp_path / "invoices.parquet", INVOICES)
    done = import_history("online-retail", source, tmp_path / "out", ["after_dispatch=0"])
    assert done.rows["requests"] == 3
    assert done.set_aside["requests"] == {"after_dispatch": 1}


@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.builds(
            InvoiceRow,
            st.sampled_from(["500001", "500002", "C600001", "C600002", "A1", None]),
            st.sampled_from(["22728", "D", None]),
            st.integers(-5, 5),
            st.sampled_from(["2011-03-01 10:00", "2011-03-02 09:00", "2011-03-05 09:00", None]),
            st.sampled_from([0.0, 2.55, 0.335, -1.0]),
            st.sampled_from([11.0, 12.0, None]),
        ),
        max_size=12,
    )
)
def test_every_row_of_invoices_is_a_line_a_cancellation_or_set_aside(
    tmp_path_factory: pytest.TempPathFactory, rows: list[InvoiceRow]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    source = write_parquet(folder / "invoices.parquet", [InvoiceRow(), *rows])
    done = import_history("online-retail", source, folder / "out")
    aside = sum(done.set_aside.get("rows", {}).values())
    with duckdb.connect() as connection:
        named = connection.execute(
            f"SELECT count(DISTINCT row) FROM '{folder}/out/set_aside/rows.parquet' WHERE document NOT LIKE 'C%'"
        ).fetchall()[0][0]
    sales = [row for row in [InvoiceRow(), *rows] if not (row.invoice or "").startswith("C")]
    assert done.rows["order_lines"] + named == len(sales)
    assert done.rows["order_lines"] + aside <= 1 + len(rows)
    cancelled = sum(
        -row.quantity
        for row in rows
        if (row.invoice or "").startswith("C")
        and row.stock
        and row.at
        and row.price is not None
        and row.price >= 0
        and (row.quantity or 0) < 0
        and row.quantity is not None
    )
    assert cancelled == asked_units(folder / "out") + unmatched_units(folder / "out")


def asked_units(out: Path) -> int:
    return sum(json.loads((out / "assumptions.json").read_text())["counts"].get(name, 0) for name in ("asked_units",))


def unmatched_units(out: Path) -> int:
    return sum(row[0] for row in rows_of(out, "set_aside/rows", "units") if row[0] is not None)


# Olist -----------------------------------------------------------------------------------------------------------


def test_money_of_a_marketplace_is_exact_and_a_fraction_is_set_aside_with_its_order(tmp_path: Path) -> None:
    source = write_marketplace(
        tmp_path / "in",
        [order("good"), order("fraction"), order("free", "delivered")],
        [item("good", 1, 1.15), item("good", 2, 4.35), item("fraction", 1, 1.005), item("nowhere")],
        [payment("good", 25.7), payment("fraction"), payment("free", "1e2"), payment("good", "0.00", 2)],
    )
    done = import_history("olist", source, tmp_path / "out")
    assert done.rows["order_lines"] + sum(done.set_aside["items"].values()) == 4
    assert done.set_aside == {
        "orders": {"an_item_is_set_aside": 1},
        "items": {"fraction_of_a_centavo": 1, "its_order_is_not_there": 1},
        "payments": {"its_order_is_not_there": 1},
    }
    assert rows_of(tmp_path / "out", "order_lines", "line_id, paid_minor, category_id") == [
        ("1", 115, "baby"),
        ("2", 435, None),
    ]
    assert rows_of(tmp_path / "out", "requests", "order_id, shop_id, amount_minor") == [("good", "s2", 2570)]
    assert rows_of(tmp_path / "out", "orders", "order_id, paid_minor") == [("free", 10000), ("good", 2570)]


def test_the_time_of_a_request_is_made_up_between_payment_and_promise_and_the_same_again(tmp_path: Path) -> None:
    names = [f"o{number}" for number in range(200)]
    source = write_marketplace(
        tmp_path / "in", [order(name) for name in names], [item(n) for n in names], [payment(n) for n in names]
    )
    for out, seed in (("one", 1), ("again", 1), ("other", 2)):
        import_history("olist", source, tmp_path / out, [f"seed={seed}"])
    one, again, other = (rows_of(tmp_path / out, "requests") for out in ("one", "again", "other"))
    assert one == again != other
    paid, promised = utc(2018, 3, 1, 13, 30), utc(2018, 3, 20, 3, 0)
    hours = sorted((row[4] - paid).total_seconds() / 3600 for row in one)
    assert all(paid <= row[4] <= promised for row in one)
    assert 12 < hours[100] < 48


def test_an_order_that_was_never_paid_asks_for_nothing(tmp_path: Path) -> None:
    orders = [order("unpaid", order_approved_at=None), order("paid", "unavailable"), order("kept", "delivered")]
    source = write_marketplace(tmp_path / "in", orders, [], [payment(str(row["order_id"])) for row in orders])
    done = import_history("olist", source, tmp_path / "out")
    assert rows_of(tmp_path / "out", "requests", "order_id, shop_id") == [("paid", "(unknown)")]
    assert done.counts["cancelled_but_never_paid"] == 1
    assert rows_of(tmp_path / "out", "orders", "order_id, paid_minor, sample_weight")[0] == ("kept", 11000, 96478.0)


def test_the_region_is_the_customers_state_where_the_file_has_it(tmp_path: Path) -> None:
    source = write_marketplace(tmp_path / "in", [order("one")], [item("one")], [payment("one")])
    import_history("olist", source, tmp_path / "without")
    assert rows_of(tmp_path / "without", "requests", "region") == [(None,)]
    customers = {"customer_id": ["c-one"], "customer_unique_id": ["b"], "customer_state": [" SP "]}
    pq.write_table(pa.table(customers), source / "olist_customers_dataset.parquet")
    import_history("olist", source, tmp_path / "with")
    assert rows_of(tmp_path / "with", "requests", "region") == [("SP",)]


# The command's behaviour -----------------------------------------------------------------------------------------


def test_the_folder_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(b"PAR1 and nothing more")
    for path, name in ((damaged, "online-retail"), (tmp_path, "olist"), (damaged, "olist")):
        with pytest.raises(BadInput):
            import_history(name, path, tmp_path / "out")
    with pytest.raises(BadInput, match="Did you mean olist"):
        import_history("olists", tmp_path, tmp_path / "out")
    with pytest.raises(BadInput, match="dispatch_hours"):
        import_history("online-retail", damaged, tmp_path / "out", ["dispatch_hour=3"])
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.parquet"]


@pytest.mark.parametrize(("name", "zone"), [("online-retail", "Europe/London"), ("olist", "America/Sao_Paulo")])
def test_an_imported_history_fits_the_schema_and_can_be_tested(tmp_path: Path, name: str, zone: str) -> None:
    if name == "olist":
        source = write_marketplace(tmp_path / "in", [order("one")], [item("one")], [payment("one")])
    else:
        source = write_parquet(tmp_path / "invoices.parquet", INVOICES)
    done = import_history(name, source, tmp_path / "out")
    prepared = prepare(tmp_path / "out", tmp_path / "work")
    assert prepared.set_aside == ()
    assert dict(prepared.rows) == dict(done.rows)
    policy = Policy.from_file(CHECKOUT / "examples" / "policies" / f"{name}.yaml")
    tested = run_backtest(BacktestSpec(policy, str(tmp_path / "out"), ZoneInfo(zone)), tmp_path / "work")
    assert tested.summary.requests == done.rows["requests"]
    unshipped = next(one for one in tested.summary.obstacles if one.id == "unshipped")
    assert unshipped.stopped == done.counts.get("asked_after_dispatch", done.counts.get("asked_after_shipment", 0))


@pytest.mark.skipif(not (REAL / "olist").is_dir(), reason="the public set is not beside this checkout")
def test_the_real_marketplace_is_taken_whole(tmp_path: Path) -> None:
    done = import_history("olist", REAL / "olist", tmp_path / "out")
    assert done.set_aside == {}
    assert (done.rows["orders"], done.rows["order_lines"], done.rows["requests"]) == (8_135, 8_365, 1_093)
    assert all(at <= known for at, known in rows_of(tmp_path / "out", "events", '"at", recorded_at'))
