"""What a file has no column for, and what a cell leaves out, is unknown: it is not that there was nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jitui.tabular.mapping import FieldSource, FileMap, RowMap
from tests.backtest.test_import_mapped import (
    ASKED,
    BILL,
    BILL_MAP,
    GOOD,
    HEADER,
    ORDERS_MAP,
    OTHERS,
    PAID,
    REFUNDS,
    REFUNDS_MAP,
    csv,
    imported,
    outcomes,
    row,
    rows,
    whole,
)

FROM = "2025-01-01T00:00:00Z"
FIELDS = ORDERS_MAP.rows[0].fields
STATES = "id,buyer,shop,placed,sku,units,asked,state"
STATES_MAP = replace(
    ORDERS_MAP,
    rows=(RowMap({**FIELDS, "orders.state": FieldSource(("state",)), "shipped_at": FieldSource(("no",))}),),
)


def without_times(path: Path, order: str) -> Path:
    """A file of orders that has no column for shipments and requests."""
    return csv(path, [",".join(row(order).split(",")[:6])], ",".join(HEADER.split(",")[:6]))


def stated(order: str, state: str) -> str:
    return f"{order},b1,s1,2026-03-01 10:00:00,A,1,{ASKED},{state}"


def test_a_file_without_a_time_of_shipment_leaves_every_shipment_unknown(tmp_path: Path) -> None:
    """The map names the column and the file has it not: that nothing is said of parcels is not that none has left."""
    cut = [",".join(one.split(",")[:6] + one.split(",")[7:]) for one in GOOD]
    files = [
        csv(tmp_path / "orders.csv", cut, HEADER.replace(",shipped", "")),
        csv(tmp_path / "bill.csv", PAID, BILL),
        csv(tmp_path / "refunds.csv", OTHERS, REFUNDS),
    ]
    done = imported(tmp_path, *files, maps=(ORDERS_MAP, BILL_MAP, REFUNDS_MAP), complete_from=FROM)
    assert "shipments" not in done.rows and "shipped" not in done.complete_kinds
    assert outcomes(tmp_path) == {"o1": "review", "o2": "review"}


def test_the_shipments_of_one_file_tell_nothing_of_the_orders_of_another(tmp_path: Path) -> None:
    lacking = without_times(tmp_path / "2.csv", "o2")
    done = imported(
        tmp_path,
        csv(tmp_path / "1.csv", [row("o1")]),
        lacking,
        maps=(ORDERS_MAP,),
        complete_from=FROM,
    )
    assert rows(tmp_path, "shipments", 'order_id, "at"') == [("o2", None)]
    assert done.complete_kinds == (), "2.csv tells neither of shipments nor of requests"


def test_a_file_of_parcels_alone_tells_of_every_order(tmp_path: Path) -> None:
    lacking = without_times(tmp_path / "2.csv", "o2")
    fields = {"order_id": FieldSource(("order",)), "shipped_at": FieldSource(("left",))}
    parcels = csv(tmp_path / "parcels.csv", ["o2,2026-03-02 10:00:00", "o1,"], "order,left")
    orders = without_times(tmp_path / "1.csv", "o1")
    maps = (ORDERS_MAP, FileMap("parcels", (RowMap(fields),), needs=("left",)))
    imported(tmp_path, orders, lacking, parcels, maps=maps)
    assert rows(tmp_path, "shipments", 'order_id, "at" IS NULL') == [("o2", False)]


def test_a_status_that_is_not_told_leaves_the_shipment_unknown_where_nothing_else_tells(tmp_path: Path) -> None:
    states = ("unshipped", "", "closed", "unpaid", "shipped")
    file = csv(tmp_path / "o.csv", [stated(f"o{n}", state) for n, state in enumerate(states)], STATES)
    done = imported(tmp_path, file, maps=(STATES_MAP,), complete_from=FROM)
    assert rows(tmp_path, "shipments", 'order_id, "at"') == [("o1", None), ("o2", None), ("o4", None)]
    assert "shipped" not in done.complete_kinds


def test_a_delivery_without_a_time_of_leaving_leaves_the_shipment_unknown(tmp_path: Path) -> None:
    """Before the delivery the parcel was under way, and nobody says since when."""
    file = csv(
        tmp_path / "o.csv",
        [
            f"{stated('o1', 'delivered')},,2026-03-05 10:00:00",
            f"{stated('o2', 'delivered')},2026-03-03 10:00:00,2026-03-05 10:00:00",
        ],
        f"{STATES},left,there",
    )
    fields = {
        **STATES_MAP.rows[0].fields,
        "shipped_at": FieldSource(("left",)),
        "delivered_at": FieldSource(("there",)),
    }
    imported(tmp_path, file, maps=(replace(STATES_MAP, rows=(RowMap(fields),)),))
    assert rows(tmp_path, "shipments", 'order_id, degree, "at" IS NULL') == [
        ("o1", "delivered", False),
        ("o1", "shipped", True),
        ("o2", "delivered", False),
        ("o2", "shipped", False),
    ]


def test_a_file_that_lacks_one_of_its_times_of_leaving_does_not_tell_that_an_order_has_not_left(tmp_path: Path) -> None:
    times = {"shipped_at": FieldSource(("shipped",)), "picked_up_at": FieldSource(("picked",))}
    maps = (replace(ORDERS_MAP, rows=(RowMap({**FIELDS, **times}),)),)
    done = imported(tmp_path, csv(tmp_path / "o.csv", [row("o1"), row("o2", shipped="2026-03-02 10:00:00")]), maps=maps)
    assert "shipments" not in done.rows


def test_a_refund_without_its_amount_leaves_the_buyers_refunds_unknown(tmp_path: Path) -> None:
    """A sum of refunds would have been too small by it."""
    whole(tmp_path, GOOD, PAID, [*OTHERS, "o1,r1,2026-03-01 11:00:00,"])
    refunds = rows(tmp_path, "events", 'kind, subject, order_id, "at" IS NULL, amount_minor')
    assert [one[2:] for one in refunds if one[:2] == ("refund_before_shipment", "buyer")] == [
        ("o1", True, None),
        ("o9", False, 1250),
    ]


def test_a_row_that_says_nothing_of_a_refund_is_none(tmp_path: Path) -> None:
    """Orders with the time and the amount of their refund in the same row: most have none."""
    refund = {"refunded_at": FieldSource(("back",)), "refunds.amount": FieldSource(("sum",))}
    orders = csv(
        tmp_path / "orders.csv",
        [f"{GOOD[0]},,", f"{GOOD[1]},2026-03-01 12:00:00,3.00"],
        f"{HEADER},back,sum",
    )
    bill = csv(tmp_path / "bill.csv", PAID, BILL)
    maps = (replace(ORDERS_MAP, rows=(RowMap({**FIELDS, **refund}),)), BILL_MAP)
    imported(tmp_path, orders, bill, maps=maps, complete_from=FROM)
    assert outcomes(tmp_path) == {"o1": "instant", "o2": "review"}
