"""`jitui shipments`: risks, tracking numbers from a file, and the answer to a stop-ship."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
import pytest

from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.aftersales.model.ticket import Ticket
from tests.aftersales.market import Market, open_market
from tests.cli.conftest import Jitui

LONG = "9007199254740993001"
"""Nineteen digits: what a spreadsheet would round."""


def done_in(database_url: str, work: Callable[[Market], Awaitable[object]]) -> object:
    async def run() -> object:
        async with open_market(database_url) as market:
            return await work(market)

    return asyncio.run(run())


@pytest.fixture
def orders(database_url: str) -> None:
    """Orders of three buyers; the second has an order id of nineteen digits."""

    async def work(market: Market) -> None:
        for buyer, order in (("b-1", "o-1"), ("b-2", LONG), ("b-3", "o-3")):
            await market.paid_order(buyer, order)

    done_in(database_url, work)


def numbers(database_url: str) -> list[tuple[str, str, str]]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute('SELECT order_id, tracking_no, carrier FROM shipment ORDER BY order_id COLLATE "C"')
        return [(str(row[0]), str(row[1]), str(row[2])) for row in rows.fetchall()]


@pytest.mark.parametrize(
    ("encoding", "header"),
    [
        ("utf-8", "order_id,tracking_no,carrier"),
        ("utf-8-sig", "订单号,运单号,快递公司"),
        ("gbk", "订单编号,物流单号,物流公司"),
    ],
)
def test_a_file_is_recorded_once_whatever_its_encoding(
    jitui: Jitui, orders: None, database_url: str, tmp_path: Path, encoding: str, header: str
) -> None:
    file = tmp_path / "numbers.csv"
    text = f"{header}\no-1,78{LONG},顺丰速运\n{LONG},SF2,\no-404,SF404,sf\n"
    file.write_bytes(text.encode(encoding))
    checked = jitui("shipments", "import", str(file), "--check")
    assert (checked.code, checked.out) == (0, "3 rows can be recorded. Nothing was recorded (--check).\n")
    assert numbers(database_url) == []
    done = jitui("shipments", "import", str(file))
    assert (done.code, done.out) == (1, "2 done, 0 unchanged, 1 refused.\n")
    assert f"{file}:4, order o-404: There is no such thing here" in done.err and "(not-found)" in done.err
    assert numbers(database_url) == [(LONG, "SF2", ""), ("o-1", f"78{LONG}", "顺丰速运")]
    again = jitui("shipments", "import", str(file), "--json").json
    assert [one["outcome"] for one in again["results"]] == ["unchanged", "unchanged", "refused"]


def test_what_a_spreadsheet_damaged_is_refused_in_words_and_the_others_are_done(
    jitui: Jitui, orders: None, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "numbers.csv"
    file.write_text(
        "order_id,tracking_no,happened_at\n"
        "o-1,7.80E+18,\n9.0072E+18,SF2,\no-3,SF3,2026-06-01T12:00:00+08:00\no-3,,\no-3,SF4,yesterday\no-3,SF5\n"
    )
    done = jitui("shipments", "import", str(file))
    assert (done.code, done.out) == (1, "1 done, 0 unchanged, 0 refused; 5 cannot be read.\n")
    lines = done.err.splitlines()
    rounded = "is a number that a spreadsheet rounded, so digits are lost; export the column as text"
    assert lines[0] == f"{file}:2: row 1, tracking_no: '7.80E+18' {rounded}"
    assert lines[1] == f"{file}:3: row 2, order_id: '9.0072E+18' {rounded}"
    assert "row 4, tracking_no: is missing" in lines[2] and "row 5, happened_at: expected a time" in lines[3]
    assert lines[4].endswith("row 6: the row has 2 cells, the header 3")
    assert numbers(database_url) == [("o-3", "SF3", "")]


def test_columns_are_named_and_another_shops_orders_are_not_there(
    jitui: Jitui, orders: None, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "numbers.csv"
    file.write_text("Order,Waybill\no-1,SF1\n")
    unknown = jitui("shipments", "import", str(file))
    assert unknown.code == 2 and "no column for order_id and tracking_no" in unknown.err
    mapped = ("--map", "Order=order_id", "--map", "Waybill=tracking_no")
    foreign = jitui("shipments", "import", str(file), *mapped, "--shop", "shop-2")
    assert (foreign.code, foreign.out) == (1, "0 done, 0 unchanged, 1 refused.\n")
    assert jitui("shipments", "import", str(file), *mapped, "--shop", "shop-1").code == 0
    assert jitui("shipments", "import", str(file), "--map", "Order=buyer_id").code == 2
    assert jitui("shipments", "import", str(file), "--map", "No=order_id").code == 2
    assert numbers(database_url) == [("o-1", "SF1", "")]


def test_risks_say_how_much_since_when_and_what_to_do(jitui: Jitui, orders: None, database_url: str) -> None:
    assert jitui("shipments", "risks").out == "There are no such risks.\n"
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE orders SET ship_by = now() - interval '2 hours' WHERE order_id = 'o-1'")
    shown = jitui("shipments", "risks", "--shop", "shop-1")
    assert shown.out.startswith("ship_by_passed  order o-1, shop shop-1\n") and "Ship these goods now" in shown.out
    assert "(2 h ago)" in shown.out
    (risk,) = jitui("shipments", "risks", "--kind", "ship_by_passed", "--json").json["risks"]
    assert (risk["order_id"], risk["amount_minor"], risk["currency"]) == ("o-1", 12900, "CNY")
    assert jitui("shipments", "risks", "--kind", "open_ticket").out == "There are no such risks.\n"
    assert jitui("shipments", "risks", "--kind", "meteor").code == 2


def test_a_stop_ship_is_answered(jitui: Jitui, database_url: str) -> None:
    async def work(market: Market) -> Ticket:
        ref = await market.paid_order(await market.premium_buyer("b-1"), "o-1")
        await market.ship(ref, status=ShipmentStatus.LABEL_PRINTED, source=ShipmentSource.MERCHANT)
        return await market.asked("b-1", "o-1")

    ticket = done_in(database_url, work)
    assert isinstance(ticket, Ticket)
    name = str(ticket.ticket_id)
    done = jitui("shipments", "acknowledge", name, "held", "--person", "wang.fang", "--by", "li.na")
    assert (done.code, done.out) == (0, "It stands on the ticket.\n")
    gone = ("--tracking-no", "SF1", "--carrier", "sf")
    assert jitui("shipments", "acknowledge", name, "already_gone", *gone).code == 0
    assert jitui("shipments", "acknowledge", name, "already_gone").code == 2
    assert jitui("shipments", "acknowledge", name, "held", *gone).code == 2
    assert jitui("shipments", "acknowledge", "nonsense", "held").code == 2
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM incident").fetchone() == (1,)
