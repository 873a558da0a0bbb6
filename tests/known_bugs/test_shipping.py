"""Goods are refunded or shipped, never both, and the warehouse is told once.

- T16 OpenBazaar/openbazaar-go #757: a buyer cancelled while the vendor fulfilled, and both went through.
- T17 woocommerce/woocommerce-ios #1859: refunded items stayed on the list of things to fulfil.
- T18 evershop PR 1039: a shipment could be created for an order that had been refunded.
- T19 Automattic/woocommerce-services #560: the label bought for a refunded order stayed bought, and nobody was told.
- T20 woocommerce/woocommerce #22489: an order was refunded and then cancelled, and its goods went back to stock twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import approve
from jitui.aftersales.commands.settle_refund import retry
from jitui.aftersales.model.order import ShipmentStatus
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.outcomes import RefusalCode
from jitui.aftersales.ports import RefundRef
from jitui.aftersales.provider import RefundResult, RefundResultKind
from tests.aftersales.market import NOW, RULES, Market
from tests.http.api import Api, money, order, payment, shipment
from tests.known_bugs.steps import MERCHANT, SUCCEEDED, claim, heard, refused, snapshot_of, where


async def test_t16_of_a_cancel_and_a_ship_at_once_exactly_one_goes_through(market: Market) -> None:
    refs = []
    for number in range(10):
        buyer = await market.premium_buyer(f"b-{number}")
        refs.append((buyer, await market.paid_order(buyer, f"o-{number}")))
    for buyer, ref in refs:
        shipped, asked = await asyncio.gather(market.ship(ref), market.ask(buyer, ref.order_id))
        assert isinstance(shipped, Executed) != isinstance(asked, Executed)
        (line,) = (await snapshot_of(market, ref)).lines
        assert line.shipped_quantity + line.claimed_quantity == 1


async def two_lines(api: Api) -> None:
    lines = [{**order()["lines"][0], "line_id": name, "paid": money(5000)} for name in ("l1", "l2")]
    assert (await api.put("/v1/orders/o-1", order(lines=lines))).status_code == 201
    assert (await api.post("/v1/orders/o-1/payments", payment("o-1", 10000))).status_code == 201


async def stops(api: Api) -> list[dict[str, Any]]:
    changes = (await api.get("/v1/changes", key=api.shop)).json()["changes"]
    return [change["body"] for change in changes if change["kind"] == "stop_ship"]


async def test_t17_refunded_lines_leave_the_fulfilment_work_list(api: Api) -> None:
    """The shop's order shows what can still be shipped; the feed names what to take off the list."""
    await two_lines(api)
    ticket = await api.post(
        "/v1/after-sales", {"order_id": "o-1", "buyer_id": "buyer-1", "lines": [{"line_id": "l1", "quantity": 1}]}
    )
    assert ticket.json()["ticket"]["state"] == "refunding"
    shown = (await api.get("/v1/orders/o-1", key=api.shop)).json()
    assert {line["line_id"]: line["free_quantity"] for line in shown["lines"]} == {"l1": 0, "l2": 1}
    assert [[line["line_id"] for line in stop["lines"]] for stop in await stops(api)] == [["l1"]]
    sent = await api.post("/v1/orders/o-1/shipments", shipment(lines=[{"line_id": "l2", "quantity": 1}]), key=api.shop)
    assert sent.status_code == 201, "the other line ships"


@pytest.mark.parametrize("degree", ["label_printed", "shipped"])
async def test_t18_no_shipment_can_be_created_on_a_refunded_order(api: Api, degree: str) -> None:
    await api.paid_order("o-1")
    await api.ask("o-1")
    for claimed in await claim(api.market, api.now()):
        await heard(api.market, claimed)
    assert (await api.get("/v1/after-sales?order_id=o-1")).json()["tickets"][0]["state"] == "refunded"
    got = await api.post("/v1/orders/o-1/shipments", shipment(degree), key=api.shop)
    assert (got.status_code, got.json()["type"]) == (409, "/problems/units-refunded")
    assert await api.count("shipment") == 0


async def test_t19_the_label_of_refunded_goods_is_reported_and_no_other(api: Api) -> None:
    """Before, every label of the order was named, also one for goods that still ship."""
    await two_lines(api)
    for line in ("l1", "l2"):
        label = shipment("label_printed", tracking_no=f"SF-{line}", lines=[{"line_id": line, "quantity": 1}])
        assert (await api.post("/v1/orders/o-1/shipments", label, key=api.shop)).status_code == 201
    await api.post(
        "/v1/after-sales", {"order_id": "o-1", "buyer_id": "buyer-1", "lines": [{"line_id": "l1", "quantity": 1}]}
    )
    (stop,) = await stops(api)
    assert stop["labels_printed"] == [{"carrier": "sf", "tracking_no": "SF-l1"}]


async def test_t20_units_go_back_to_stock_once_whatever_happens_to_the_money(market: Market) -> None:
    """Asked for twice at once, approved again by the shop, refused by the provider, retried, paid twice: one stop."""
    buyer = await market.premium_buyer("b-1")
    ref = await market.paid_order(buyer, "o-1", quantities=(2,))
    assert isinstance(await market.ship(ref, status=ShipmentStatus.LABEL_PRINTED), Executed)
    done = await asyncio.gather(*(market.ask(buyer, "o-1") for _ in range(3)))
    (plan,) = [outcome for outcome in done if isinstance(outcome, Executed)]
    assert plan.ticket_id is not None
    ticket = plan.snapshot.ticket(plan.ticket_id)
    again = await approve(market.store, where(ticket), Acting(MERCHANT, NOW))
    assert refused(again) is RefusalCode.TICKET_ALREADY_APPROVED
    (claimed,) = await claim(market)
    await heard(market, claimed, RefundResult(RefundResultKind.DECLINED, reason="account closed"))
    refund = RefundRef(claimed.lane, claimed.refund.refund_id)
    assert isinstance(await retry(market.store, refund, RULES, by=MERCHANT, now=NOW), Executed)
    (claimed,) = await claim(market)
    for _ in range(2):
        await heard(market, claimed, SUCCEEDED)
    snapshot = await snapshot_of(market, ref)
    assert snapshot.ticket(ticket.ticket_id).state is TicketState.REFUNDED
    stop = [event for event in await market.feed.events(0, 100) if event.kind == "stop_ship"]
    bodies: list[Mapping[str, Any]] = [event.body for event in stop]
    assert [(unit["line_id"], unit["quantity"]) for body in bodies for unit in body["lines"]] == [("l1", 2)]
    assert [(line.claimed_quantity, line.free_quantity) for line in snapshot.lines] == [(2, 0)]
