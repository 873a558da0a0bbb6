"""What Medusa's adapter asks for, and what it makes of every kind of answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from aiohttp import web

from jitui.adapters.platforms.access import PlatformAccess
from jitui.adapters.platforms.medusa.client import MOST_BYTES
from jitui.adapters.platforms.medusa.opening import open_medusa
from jitui.adapters.platforms.medusa.orders import MOST_REMEMBERED, PAGE, MedusaOrders, _remember
from jitui.adapters.platforms.medusa.writer import MedusaWriter
from jitui.aftersales.platform import (
    CallFailed,
    CallRefused,
    PlatformLine,
    PlatformOrder,
    PlatformRefund,
    WantedRefund,
    reference_of,
)
from jitui.aftersales.provider import CallTrouble, RefundResultKind

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
SECRET = "sk_not_a_secret"
ATTEMPT = uuid4()
WANTED = WantedRefund("pay_1", 3990, "CNY", ATTEMPT, reference_of(ATTEMPT))
ORDER = PlatformOrder(
    "7",
    "medusa-cus_1",
    "CNY",
    AT,
    AT,
    (
        PlatformLine("cup", "cup", "cup", "cup", 3, 11970, cancelled=1),
        PlatformLine("card", "card", "card", "card", 1, 1000),
    ),
    500,
    platform_id="order_1",
)

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]
Opened = tuple[MedusaOrders, MedusaWriter, list[tuple[str, str]]]


@asynccontextmanager
async def answering(answer: Answering, *, timeout_seconds: float = 5) -> AsyncIterator[Opened]:
    """Reader and writer on a server that answers so; and what was asked: each call with its body."""
    asked: list[tuple[str, str]] = []

    async def note(request: web.Request) -> web.StreamResponse:
        asked.append((f"{request.method} {request.path}", await request.text()))
        return await answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", note)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        async with AsyncExitStack() as stack:
            yield (*await open_medusa(PlatformAccess(url, f"{SECRET}\n", timeout_seconds), stack), asked)
    finally:
        await runner.cleanup()


def always(status: int, body: object, **headers: str) -> Answering:
    async def answer(request: web.Request) -> web.StreamResponse:
        if isinstance(body, str):
            return web.Response(status=status, text=body, headers=headers)
        return web.json_response(body, status=status, headers=headers)

    return answer


def refused(status: int, message: str) -> Answering:
    """As Medusa refuses."""
    return always(status, {"type": "invalid_data", "message": message})


# Answers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "trouble", "reached"),
    [
        (always(401, {"message": "Unauthorized"}), CallTrouble.UNAUTHORISED, False),
        (always(403, {"message": "Forbidden"}), CallTrouble.UNAUTHORISED, False),
        (always(500, {"type": "unknown_error", "message": "An unknown error occurred."}), CallTrouble.FAILING, True),
        (always(502, "<html>Bad gateway</html>"), CallTrouble.FAILING, True),
        (always(429, "slow down"), CallTrouble.FAILING, True),
        (always(409, {"type": "invalid_state_error", "message": "conflict"}), CallTrouble.FAILING, True),
        (always(404, "<pre>Cannot POST</pre>"), CallTrouble.UNREADABLE, True),
        (always(302, "", location="/elsewhere"), CallTrouble.UNREADABLE, True),
        (always(200, "<html>A shop</html>"), CallTrouble.UNREADABLE, True),
        (always(200, {"payment": {"id": "pay_1", "refunds": "none"}}), CallTrouble.UNREADABLE, True),
        (refused(400, "Something that a gateway says"), CallTrouble.FAILING, True),
        (refused(422, "Payment requires more"), CallTrouble.FAILING, True),
    ],
)
async def test_what_is_no_answer(answer: Answering, trouble: CallTrouble, reached: bool) -> None:
    async with answering(answer) as (_, writer, asked):
        told = await writer.refund(ORDER, WANTED)
    assert isinstance(told, CallFailed), told
    assert (told.trouble, told.reached) == (trouble, reached)
    assert [call for call, _ in asked] == ["POST /admin/payments/pay_1/refund"], (
        "it is asked once, and goes nowhere else"
    )


async def test_an_answer_has_a_most_length() -> None:
    async with answering(always(200, " " * MOST_BYTES + "{}")) as (_, writer, _):
        told = await writer.refund(ORDER, WANTED)
    assert told == CallFailed("unreadable answer: it is too long", CallTrouble.UNREADABLE)


async def test_no_answer_in_time_may_have_acted() -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    async with answering(slow, timeout_seconds=0.2) as (_, writer, _):
        told = await writer.refund(ORDER, WANTED)
    assert told == CallFailed("no answer in time", CallTrouble.TIMED_OUT)


async def test_a_broken_connection_may_have_acted_and_none_has_not() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with answering(cut) as (_, writer, _):
        told = await writer.refund(ORDER, WANTED)
        assert isinstance(told, CallFailed) and (told.trouble, told.reached) == (CallTrouble.UNREACHABLE, True)
    async with AsyncExitStack() as stack:
        _, writer = await open_medusa(PlatformAccess("http://127.0.0.1:9", SECRET, 5), stack)
        told = await writer.refund(ORDER, WANTED)
        assert isinstance(told, CallFailed) and (told.trouble, told.reached) == (CallTrouble.UNREACHABLE, False)


async def test_the_key_is_sent_and_shown_nowhere() -> None:
    seen: list[str] = []

    async def look(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers["authorization"])
        return web.json_response({"message": "Unauthorized"}, status=401)

    async with answering(look) as (orders, writer, _):
        told = [await orders.check(), repr(orders), repr(writer), repr(await writer.refund(ORDER, WANTED))]
        told += [repr(vars(one)) for one in (orders, writer)]
    assert set(seen) == {"Basic c2tfbm90X2Ffc2VjcmV0Og=="}, "without the end of the file's line"
    assert not [text for text in told if text and (SECRET in text or "c2tfbm90" in text)]


# A refund -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minor", "currency", "amount"),
    [
        (3990, "CNY", "39.90"),
        (1, "CNY", "0.01"),
        (500, "JPY", "500"),
        (1234, "BHD", "1.234"),
        (10**15, "CNY", "10000000000000.00"),
    ],
)
async def test_a_refund_is_asked_for_with_its_exact_amount(minor: int, currency: str, amount: str) -> None:
    wanted = WantedRefund("pay_1", minor, currency, ATTEMPT, reference_of(ATTEMPT))
    made = {"id": "ref_2", "raw_amount": {"value": amount}, "created_at": AT.isoformat(), "note": wanted.reference}
    other = {**made, "id": "ref_1", "note": f"Jitui {uuid4()}", "raw_amount": {"value": "1e40"}}
    async with answering(always(200, {"payment": {"id": "pay_1", "refunds": [other, made]}})) as (_, writer, asked):
        told = await writer.refund(ORDER, wanted)
    assert told == PlatformRefund("ref_2", minor, AT, ATTEMPT, RefundResultKind.SUCCEEDED)
    assert asked == [("POST /admin/payments/pay_1/refund", f'{{"amount":{amount},"note":"{wanted.reference}"}}')]


async def test_an_answer_without_our_refund_says_nothing() -> None:
    async with answering(always(200, {"payment": {"id": "pay_1", "refunds": []}})) as (_, writer, _):
        told = await writer.refund(ORDER, WANTED)
    assert isinstance(told, CallFailed) and (told.trouble, told.reached) == (CallTrouble.UNREADABLE, True)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, "You are not allowed to refund more than the captured amount"),
        (400, "You cannot refund more than what is captured on the payment."),
        (404, "Payment id not found: pay_1"),
        (400, "Invalid request: Unrecognized fields: 'metadata'"),
    ],
)
async def test_a_refusal_before_the_gateway_is_asked_is_final(status: int, said: str) -> None:
    async with answering(refused(status, said)) as (_, writer, _):
        assert await writer.refund(ORDER, WANTED) == CallRefused(said)


async def test_nothing_is_settled() -> None:
    made = PlatformRefund("ref_1", 3990, AT, ATTEMPT)
    async with answering(always(200, {})) as (_, writer, asked):
        assert isinstance(await writer.settle(ORDER, made), CallRefused)
    assert asked == []


# Taking units out ---------------------------------------------------------------------------------------------------


async def test_an_edit_lowers_what_is_left() -> None:
    async with answering(always(200, {})) as (_, writer, asked):
        assert await writer.cancel(ORDER, {"cup": 1, "card": 1}, freight=True, reference="Jitui x") is None
    assert asked == [
        ("POST /admin/order-edits", '{"order_id":"order_1","internal_note":"Jitui x"}'),
        ("POST /admin/order-edits/order_1/items/item/cup", '{"quantity":1}'),
        ("POST /admin/order-edits/order_1/items/item/card", '{"quantity":0}'),
        ("POST /admin/order-edits/order_1/confirm", "{}"),
    ]


@pytest.mark.parametrize("at", ["/items/item/card", "/confirm"])
async def test_an_edit_that_is_refused_is_taken_back(at: str) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        if request.path.endswith(at):
            return web.json_response({"type": "invalid_data", "message": "already fulfilled"}, status=400)
        return web.json_response({})

    async with answering(refuse) as (_, writer, asked):
        told = await writer.cancel(ORDER, {"cup": 1, "card": 1}, freight=False, reference="Jitui x")
    assert told == CallRefused("already fulfilled")
    assert asked[-1][0] == "DELETE /admin/order-edits/order_1"


@pytest.mark.parametrize("at", ["/order-edits", "/items/item/cup", "/confirm"])
async def test_a_call_without_an_answer_ends_the_edit(at: str) -> None:
    async def fail(request: web.Request) -> web.StreamResponse:
        return web.json_response({"message": "x"}, status=500 if request.path.endswith(at) else 200)

    async with answering(fail) as (_, writer, asked):
        told = await writer.cancel(ORDER, {"cup": 1}, freight=False, reference="Jitui x")
    assert isinstance(told, CallFailed)
    assert asked[-1][0].endswith(at)


@pytest.mark.parametrize(
    ("notes", "taken_back"),
    [
        ([f"Jitui {uuid4()}"], True),
        (["by hand"], False),
        ([None], False),
        ([f"Jitui {uuid4()}", "by hand"], False),
        ([], False),
    ],
)
async def test_an_edit_that_is_open_is_taken_back_where_it_is_ours(notes: list[str | None], taken_back: bool) -> None:
    async def busy(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/changes"):
            assert request.query.getall("status[]") == ["pending", "requested"]
            changes = [{"status": "pending", "internal_note": note} for note in notes]
            return web.json_response({"order_changes": changes})
        refuses = request.method == "POST"
        return web.json_response({"type": "invalid_data", "message": "busy"}, status=400 if refuses else 200)

    async with answering(busy) as (_, writer, asked):
        told = await writer.cancel(ORDER, {"cup": 1}, freight=False, reference="Jitui x")
    assert told == CallRefused("an edit of ours was left open there" if taken_back else "busy")
    calls = [call for call, _ in asked]
    assert ("DELETE /admin/order-edits/order_1" in calls) is taken_back
    assert "POST /admin/order-edits/order_1/confirm" not in calls


# Finding an order by its number -------------------------------------------------------------------------------------


def shop(numbers: list[int], matching: int) -> Answering:
    """A shop with these numbers, where the search by any number finds the first so many orders, and no other."""

    async def answer(request: web.Request) -> web.StreamResponse:
        found = numbers[:matching] if "q" in request.query else numbers
        first, limit = int(request.query["offset"]), int(request.query["limit"])
        assert request.query["order"] == "display_id"
        page = found[first : first + limit]
        rows = [{"id": f"order_{one}", "display_id": one, "custom_display_id": None} for one in page]
        return web.json_response({"orders": rows, "count": len(found)})

    return answer


@pytest.mark.parametrize(("number", "there"), [(1, True), (2, False), (600, True), (1999, True), (2000, False)])
async def test_a_number_is_found_behind_everything_that_has_its_digits(number: int, there: bool) -> None:
    numbers = [*range(1, 2), *range(3, 600), *range(600, 2000, 3), 1999]
    async with answering(shop(numbers, 1000)) as (orders, _, asked):
        found = await orders._id_of(str(number))
        assert found == (f"order_{number}" if there else None)
        calls = len(asked)
        assert calls <= 4 + 11, "the search, and a bisection of two thousand"
        assert await orders._id_of(str(number)) == found
        assert (len(asked) == calls) is there, "it is remembered"


async def test_a_number_without_gaps_before_it_is_found() -> None:
    async with answering(shop(list(range(1, 2001)), 1000)) as (orders, _, _):
        assert [await orders._id_of(number) for number in ("1500", "2000")] == ["order_1500", "order_2000"]


async def test_one_full_page_is_all_there_is() -> None:
    async with answering(shop(list(range(1, PAGE + 1)), PAGE)) as (orders, _, asked):
        assert await orders._id_of("99") is None
    assert len(asked) == 1


def test_the_oldest_is_forgotten_first() -> None:
    known = {str(number): number for number in range(MOST_REMEMBERED)}
    _remember(known, "5", 50)
    assert len(known) == MOST_REMEMBERED
    _remember(known, "new", 1)
    assert (len(known), "0" in known, known["5"], known["new"]) == (MOST_REMEMBERED, False, 50, 1)


async def test_a_search_that_finds_all_there_is_needs_no_bisection() -> None:
    async with answering(shop(list(range(1, 60)), 59)) as (orders, _, asked):
        assert await orders._id_of("59") == "order_59"
        assert await orders._id_of("60") is None
    assert len(asked) == 4


async def test_a_text_that_too_many_orders_have_is_not_said_to_be_none() -> None:
    async with answering(shop(list(range(1, 1000)), 900)) as (orders, _, asked):
        found = await orders.find_order("Long")
        assert isinstance(found, CallFailed)
        assert "too many" in found.reason
    assert len(asked) == 4


async def test_a_number_of_the_shop_s_own_hides_medusa_s() -> None:
    row = {"id": "order_1", "display_id": 7, "custom_display_id": "A-7"}
    async with answering(always(200, {"orders": [row], "count": 1})) as (orders, _, _):
        assert await orders._id_of("A-7") == "order_1"
        assert await orders._id_of("7") is None
        assert await orders._bisect(7) is None


async def test_a_version_without_such_numbers_is_too_old() -> None:
    old = {"id": "order_1", "display_id": 7, "status": "pending", "version": 1, "currency_code": "cny"}
    old |= {"created_at": AT.isoformat(), "updated_at": AT.isoformat()}
    async with answering(always(200, {"orders": [old]})) as (orders, _, _):
        told = await orders.check()
    assert told is not None and "2.12" in told and "custom_display_id" in told


# Pages --------------------------------------------------------------------------------------------------------------


def row(number: int, at: datetime, *, version: int = 1) -> dict[str, object]:
    """An order of one cup, as a page has it."""
    cup = {"id": "cup", "raw_quantity": {"value": "1"}, "raw_total": {"value": "39.9"}}
    return {
        "id": f"order_{number}",
        "display_id": number,
        "custom_display_id": None,
        "status": "pending",
        "version": version,
        "currency_code": "cny",
        "customer_id": "cus_1",
        "created_at": AT.isoformat(),
        "updated_at": at.isoformat(),
        "items": [cup],
    }


@pytest.mark.parametrize("at_once", [1, 7, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 3])
async def test_every_page_is_read_however_many_orders_changed_at_once(at_once: int) -> None:
    """And an order that changes while it is read comes again, at the end."""
    changed = {number: AT + timedelta(seconds=number // at_once) for number in range(3 * PAGE)}
    asked: list[datetime] = []

    async def page(request: web.Request) -> web.StreamResponse:
        since = datetime.fromisoformat(request.query["updated_at[$gte]"])
        asked.append(since)
        first, limit = int(request.query["offset"]), int(request.query["limit"])
        found = sorted((at, number) for number, at in changed.items() if at >= since)[first : first + limit]
        if len(asked) == 1:
            changed[0] = AT + timedelta(hours=1)
        return web.json_response({"orders": [row(number, at) for at, number in found]})

    async with answering(page) as (orders, _, _):
        read = [one async for some in orders.changed_since(AT, timedelta(minutes=1)) for one in some]
    assert asked[0] == AT - timedelta(minutes=1)
    numbers = [one.order_id for one in read]
    assert sorted(numbers) == sorted([*(str(number) for number in range(3 * PAGE)), "0"])
    assert numbers[-1] == "0"


async def test_orders_are_read_by_pages_and_their_first_lines_once() -> None:
    pages: list[int] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/line-items"):
            assert request.query["version"] == "1"
            sold = {"raw_unit_price": {"value": "39.9"}, "is_tax_inclusive": True}
            line = {"item_id": "cup", "raw_quantity": {"value": "2"}, "item": sold}
            return web.json_response({"order_items": [line]})
        if "q" in request.query:
            number = int(request.query["q"])
            return web.json_response({"orders": [row(number, AT)], "count": 1})
        ids = request.query.getall("id[]")
        pages.append(len(ids))
        found = [row(int(one.removeprefix("order_")), AT, version=2) for one in ids]
        return web.json_response({"orders": [*found, {**row(999, AT), "status": "draft"}]})

    async with answering(answer) as (orders, _, asked):
        for _ in range(2):
            found = await orders.read_orders([str(number) for number in range(PAGE + 1)])
            assert [one.order_id for one in found] == [str(number) for number in range(PAGE + 1)]
            first = found[0]
            assert isinstance(first, PlatformOrder)
            assert [(line.quantity, line.cancelled) for line in first.lines] == [(2, 1)]
    assert pages == [PAGE, 1, PAGE, 1]
    assert sum(call.endswith("/line-items") for call, _ in asked) == PAGE + 1
