"""Plays the day through the HTTP API, as the platform, the shops and the buyers: real requests, in order."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import aiohttp
import msgspec

from jitui.demo.marketplace import CURRENCY, EventKind, Marketplace, MerchantVerdict, OrderEvent, PlannedOrder
from jitui.demo.stock import DemoKeys, payment_id
from jitui.errors import Unavailable

AT_ONCE = 16
"""The number of requests at a time."""
TRIES = 8
PROVIDER = "simulator"
_AGAIN = frozenset({429, 500, 502, 503, 504})
_IN_FLIGHT = "request-in-flight"


class _Problem(msgspec.Struct):
    type: str = ""
    detail: str = ""


class _Asked(msgspec.Struct):
    ticket: _TicketSeen


class _TicketSeen(msgspec.Struct):
    ticket_id: str
    state: str
    version: int


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes

    @property
    def problem(self) -> str:
        """The last part of the problem's type; empty for success."""
        if self.status < 400:
            return ""
        try:
            return msgspec.json.decode(self.body, type=_Problem).type.rpartition("/")[2]
        except msgspec.DecodeError:
            return f"status-{self.status}"


@dataclass(slots=True)
class Day:
    """What has been played so far; `outcomes` counts the events by kind and result."""

    market: Marketplace
    base_url: str
    keys: DemoKeys
    outcomes: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    tickets: dict[str, _TicketSeen] = field(default_factory=dict)


EXPECTED = {
    EventKind.PLACE: frozenset({""}),
    EventKind.PAY: frozenset({""}),
    EventKind.LABEL: frozenset({"", "refund-in-progress", "units-refunded"}),
    EventKind.SHIP: frozenset({"", "refund-in-progress", "units-refunded"}),
    EventKind.SCAN: frozenset({""}),
    EventKind.ASK: frozenset({"", "order-already-shipped"}),
    EventKind.DECIDE: frozenset({"", "ticket-already-approved", "ticket-already-closed", "order-already-shipped"}),
}
"""The possible results of each kind of event when everything works; of two that race, one is refused."""


async def play(day: Day, advance: Callable[[int], None]) -> None:
    """Play every event, sixteen orders at a time; the events of one order follow one another."""
    orders = {order.order_id: order for order in day.market.orders}
    gate = asyncio.Semaphore(AT_ONCE)
    last: dict[str, asyncio.Task[None]] = {}
    before_last: dict[str, asyncio.Task[None] | None] = {}
    connector = aiohttp.TCPConnector(limit=AT_ONCE * 2)

    def done(_: asyncio.Task[None]) -> None:
        gate.release()
        advance(1)

    async with aiohttp.ClientSession(connector=connector) as client, asyncio.TaskGroup() as tasks:
        for event in day.market.events:
            await gate.acquire()
            previous = before_last.get(event.order_id) if event.races else last.get(event.order_id)
            task = tasks.create_task(_play_one(day, client, orders[event.order_id], event, previous))
            task.add_done_callback(done)
            before_last[event.order_id], last[event.order_id] = last.get(event.order_id), task


async def _play_one(
    day: Day, client: aiohttp.ClientSession, order: PlannedOrder, event: OrderEvent, previous: asyncio.Task[None] | None
) -> None:
    if previous is not None:
        await previous
    reply = await _DO[event.kind](day, client, order, event)
    if reply is None:
        return
    day.outcomes[f"{event.kind}:{reply.problem or 'done'}"] += 1
    if reply.problem not in EXPECTED[event.kind]:
        day.unexpected.append(f"{event.kind} of {order.order_id}: {reply.status} {reply.body.decode(errors='replace')}")


# The events ------------------------------------------------------------------------------------------------------


async def _place(day: Day, client: aiohttp.ClientSession, order: PlannedOrder, _: OrderEvent) -> _Reply:
    body = {
        "buyer_id": order.buyer_id,
        "shop_id": order.shop_id,
        "currency": CURRENCY,
        "placed_at": order.placed_at,
        "ship_by": order.ship_by,
        "hold": order.hold,
        "freight": _money(order.freight_minor),
        "funding": [{"funder": fund.funder, "amount": _money(fund.amount_minor)} for fund in order.funding],
        "lines": [
            {
                "line_id": line.line_id,
                "sku": f"{line.goods.item_id}/1",
                "item_id": line.goods.item_id,
                "category_id": line.goods.category_id,
                "title": line.goods.title,
                "quantity": line.quantity,
                "paid": _money(line.paid_minor),
            }
            for line in order.lines
        ],
    }
    return await _call(day, client, "PUT", f"/v1/orders/{order.order_id}", body, day.keys.platform)


async def _pay(day: Day, client: aiohttp.ClientSession, order: PlannedOrder, event: OrderEvent) -> _Reply:
    reply = _Reply(200, b"")
    for number, minor in enumerate(order.tenders_minor, start=1):
        body = {
            "tender_id": f"t{number}",
            "provider": PROVIDER,
            "payment_id": payment_id(order.order_id, number),
            "amount": _money(minor),
            "captured_at": event.at,
        }
        path = f"/v1/orders/{order.order_id}/payments"
        reply = await _call(day, client, "POST", path, body, day.keys.platform, once=f"{order.order_id}-t{number}")
        if reply.problem:
            break
    return reply


async def _label(day: Day, client: aiohttp.ClientSession, order: PlannedOrder, event: OrderEvent) -> _Reply:
    return await _parcel(day, client, order, event, "label_printed", "merchant")


async def _ship(day: Day, client: aiohttp.ClientSession, order: PlannedOrder, event: OrderEvent) -> _Reply:
    return await _parcel(day, client, order, event, "shipped", "merchant")


async def _scan(day: Day, client: aiohttp.ClientSession, order: PlannedOrder, event: OrderEvent) -> _Reply:
    return await _parcel(day, client, order, event, "shipped", "carrier")


async def _parcel(
    day: Day, client: aiohttp.ClientSession, order: PlannedOrder, event: OrderEvent, degree: str, source: str
) -> _Reply:
    body = {"degree": degree, "source": source, "happened_at": event.at} | _waybill(event)
    key = day.keys.platform if source == "carrier" else day.keys.shops[order.shop_id]
    return await _call(day, client, "POST", f"/v1/orders/{order.order_id}/shipments", body, key)


async def _ask(day: Day, client: aiohttp.ClientSession, order: PlannedOrder, event: OrderEvent) -> _Reply:
    """Make a request as the buyer, with an own API key if there is one; a double click uses one Idempotency-Key."""
    body: dict[str, object] = {
        "order_id": order.order_id,
        "reason": event.reason,
        "lines": [{"line_id": line_id, "quantity": quantity} for line_id, quantity in event.units],
    }
    key = day.keys.buyers.get(order.buyer_id)
    if key is None:
        key, body["buyer_id"] = day.keys.platform, order.buyer_id
    once = f"ask-{order.order_id}"
    clicks = (
        _call(day, client, "POST", "/v1/after-sales", body, key, once=once) for _ in range(2 if event.twice else 1)
    )
    replies = await asyncio.gather(*clicks)
    for reply in replies:
        if reply.status == 201:
            day.tickets[order.order_id] = msgspec.json.decode(reply.body, type=_Asked).ticket
    if len({reply.body for reply in replies}) > 1:
        day.unexpected.append(f"ask of {order.order_id}: a double click got two answers")
    return replies[0]


async def _decide(day: Day, client: aiohttp.ClientSession, order: PlannedOrder, event: OrderEvent) -> _Reply | None:
    """Decide as the merchant on a request in review; None when there is none."""
    ticket = day.tickets.get(order.order_id)
    if ticket is None or ticket.state != "awaiting_merchant":
        return None
    body: dict[str, object] = {}
    if event.verdict is not MerchantVerdict.APPROVE:
        body["reason"] = "商品已打包 The goods are packed"
        body["reason_code"] = "already_shipped" if event.verdict is MerchantVerdict.SHIP else "agreed_with_buyer"
        body["evidence"] = [{"text": "买家同意照常发货 The buyer agreed to wait"}]
    if event.verdict is MerchantVerdict.SHIP:
        body["shipment"] = {"happened_at": event.at} | _waybill(event)
    verb = "approve" if event.verdict is MerchantVerdict.APPROVE else "reject"
    path = f"/v1/after-sales/{ticket.ticket_id}/{verb}"
    headers = {"if-match": f'"{ticket.version}"'}
    key = day.keys.shops[order.shop_id]
    return await _call(day, client, "POST", path, body, key, once=f"{verb}-{ticket.ticket_id}", headers=headers)


_DO = {
    EventKind.PLACE: _place,
    EventKind.PAY: _pay,
    EventKind.LABEL: _label,
    EventKind.SHIP: _ship,
    EventKind.SCAN: _scan,
    EventKind.ASK: _ask,
    EventKind.DECIDE: _decide,
}


def _money(amount_minor: int) -> dict[str, object]:
    return {"amount_minor": amount_minor, "currency": CURRENCY}


def _waybill(event: OrderEvent) -> dict[str, object]:
    return {"carrier": event.carrier, "tracking_no": event.tracking_no}


# One call --------------------------------------------------------------------------------------------------------


async def _call(
    day: Day,
    client: aiohttp.ClientSession,
    method: str,
    path: str,
    body: object,
    key: str,
    *,
    once: str = "",
    headers: Mapping[str, str] | None = None,
) -> _Reply:
    """Call the service; when it is busy or not available, repeat with the same Idempotency-Key."""
    sent = {"authorization": f"Bearer {key}", "content-type": "application/json", **(headers or {})}
    if once:
        sent["idempotency-key"] = once
    raw = msgspec.json.encode(body)
    for attempt in range(TRIES):
        try:
            async with client.request(method, day.base_url + path, data=raw, headers=sent) as response:
                reply = _Reply(response.status, await response.read())
        except aiohttp.ClientError as error:
            reply = _Reply(503, f'{{"type": "/problems/unreachable", "detail": "{type(error).__name__}"}}'.encode())
        if reply.status not in _AGAIN and reply.problem != _IN_FLIGHT:
            return reply
        if reply.problem == "too-many-requests":
            return reply
        await asyncio.sleep(random.uniform(0.5, 1) * 0.05 * 2**attempt)
    if reply.problem == "unreachable":
        raise Unavailable(f"The service at {day.base_url} does not answer.")
    return reply
