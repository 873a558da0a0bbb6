"""Buyers with their history, shops with their coverage and benefit, categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from jitui.aftersales.order import Buyer
from jitui.aftersales.outcomes import RefusalCode
from jitui.aftersales.ports import HistoryRecord
from jitui.aftersales.registry import Category, Coverage, Scope, Shop, refuse_opt_out
from jitui.aftersales.writes import RecordBuyerEvent
from jitui.entrypoints.http import answers, bodies
from jitui.entrypoints.http.fields import is_id
from jitui.entrypoints.http.operation import (
    BUYER,
    PLATFORM,
    SHOP,
    Answer,
    AnyCall,
    Call,
    Done,
    Nothing,
    Operation,
)
from jitui.entrypoints.http.problems import REFUSALS, not_found
from jitui.entrypoints.http.reading import Faults, refuse
from jitui.ids import lane_of
from jitui.policy.facts import BUYER_EVENTS, SHOP_EVENTS
from jitui.policy.problems import did_you_mean
from jitui.text import why_no_id

_encode = msgspec.json.Encoder().encode
_Value = TypeVar("_Value")


def id_in(call: AnyCall, name: str) -> str:
    """An id that is created at this address."""
    found = call.path(name)
    why = why_no_id(found)
    if why is not None:
        raise refuse(name, f"Expected 1 to 128 visible characters, without spaces or slashes; {why}.")
    return found


# Buyers ----------------------------------------------------------------------------------------------------------


async def put_buyer(call: Call[bodies.BuyerSent, Nothing]) -> Done:
    """Create or replace what is known of a buyer, as far as it is said."""
    buyer_id, sent = id_in(call, "buyer_id"), call.body
    faults = Faults()
    faults.time("registered_at", _said(sent.registered_at, None))
    faults.settle()
    buyer = Buyer(
        lane_of(buyer_id),
        buyer_id,
        _said(sent.registered_at, None),
        _said(sent.region, None),
        dict(_said(sent.attributes, {})),
    )
    stands = await call.app.registry.put_buyer(buyer, call.app.clock(), kept=_kept(sent))
    return Answer(200, _encode(_buyer(stands)))


def _said(value: _Value | UnsetType, otherwise: _Value) -> _Value:
    return otherwise if isinstance(value, UnsetType) else value


def _kept(sent: msgspec.Struct) -> list[str]:
    """The fields that were not sent: they stay as they are."""
    return [name for name in sent.__struct_fields__ if getattr(sent, name) is UNSET]


async def get_buyer(call: Call[Nothing, Nothing]) -> Done:
    """What is known of a buyer."""
    buyer_id = call.path("buyer_id")
    if not call.may_see(buyer_id=buyer_id) or not is_id(buyer_id):
        return not_found()
    buyer = await call.app.registry.get_buyer(buyer_id)
    if buyer is None:
        return not_found()
    return Answer(200, _encode(_buyer(buyer if call.scope is PLATFORM else replace(buyer, attributes={}))))


def _buyer(buyer: Buyer) -> answers.BuyerAnswer:
    return answers.BuyerAnswer(
        buyer_id=buyer.buyer_id, registered_at=buyer.registered_at, region=buyer.region, attributes=buyer.attributes
    )


async def record_events(call: Call[bodies.EventsSent, Nothing]) -> Done:
    """Append to a buyer's history."""
    buyer_id, events, now = id_in(call, "buyer_id"), call.body.events, call.app.clock()
    faults = Faults()
    faults.unique("events", "event_id", (event.event_id for event in events))
    for index, event in enumerate(events):
        faults.time(f"events[{index}].at", event.at)
        if event.kind not in BUYER_EVENTS:
            faults.add(f"events[{index}].kind", _no_event(event.kind, BUYER_EVENTS))
    faults.settle()
    told = [
        RecordBuyerEvent(
            buyer_id=buyer_id,
            event_id=event.event_id,
            kind=event.kind,
            at=event.at,
            recorded_at=now,
            order_id=event.order_id,
            amount_minor=event.amount_minor,
            currency=event.currency,
            retracts=event.retracts,
        )
        for event in events
    ]
    for one in await call.app.registry.refused_events(told):
        faults.add(f"events[{told.index(one.event)}].{one.field}", one.reason)
    faults.settle()
    recorded = await call.app.registry.record_buyer_events(told)
    return Answer(200, _encode(answers.EventsTaken(recorded=recorded, known_already=len(events) - recorded)))


def _no_event(kind: str, known: Sequence[str]) -> str:
    """What nobody counts would be lost: no policy can ask for it."""
    return f"Expected {', '.join(known[:-1])} or {known[-1]}{did_you_mean(kind, known)}"


# History ---------------------------------------------------------------------------------------------------------


async def put_history(call: Call[bodies.HistorySent, Nothing]) -> Done:
    """Declare from when on a kind of event is complete."""
    kind, sent = call.path("kind"), call.body
    faults = Faults()
    if kind not in {*BUYER_EVENTS, *SHOP_EVENTS}:
        faults.add("kind", _no_event(kind, sorted({*BUYER_EVENTS, *SHOP_EVENTS})))
    faults.time("complete_from", sent.complete_from)
    faults.time("fresh_until", _said(sent.fresh_until, None))
    faults.settle()
    record = HistoryRecord(kind, sent.complete_from, _said(sent.fresh_until, None))
    (stands,) = await call.app.registry.record_history([record], kept=_kept(sent))
    return Answer(200, _encode(_history(stands)))


async def list_history(call: Call[Nothing, Nothing]) -> Done:
    """What is declared complete."""
    records = await call.app.registry.history_records()
    return Answer(200, _encode(answers.HistoryList(history=tuple(_history(record) for record in records))))


def _history(record: HistoryRecord) -> answers.HistoryAnswer:
    return answers.HistoryAnswer(kind=record.kind, complete_from=record.complete_from, fresh_until=record.fresh_until)


# Shops, categories, coverage -------------------------------------------------------------------------------------


async def put_shop(call: Call[bodies.ShopSent, Nothing]) -> Done:
    """Create or replace what is known of a shop, as far as it is said."""
    sent = call.body
    shop = Shop(id_in(call, "shop_id"), _said(sent.name, ""), dict(_said(sent.attributes, {})))
    stands = await call.app.registry.put_shop(shop, call.app.clock(), kept=_kept(sent))
    return Answer(200, _encode(_shop(stands)))


async def get_shop(call: Call[Nothing, Nothing]) -> Done:
    """What is known of a shop."""
    shop_id = call.path("shop_id")
    if not call.may_see(shop_id=shop_id) or not is_id(shop_id):
        return not_found()
    shop = await call.app.registry.get_shop(shop_id)
    if shop is None:
        return not_found()
    return Answer(200, _encode(_shop(shop if call.scope is PLATFORM else replace(shop, attributes={}))))


def _shop(shop: Shop) -> answers.ShopAnswer:
    return answers.ShopAnswer(shop_id=shop.shop_id, name=shop.name, attributes=shop.attributes)


async def put_category(call: Call[bodies.CategorySent, Nothing]) -> Done:
    """Create or replace a row of the category table, as far as it is said."""
    sent = call.body
    said = Category(
        id_in(call, "category_id"), _said(sent.title, ""), _said(sent.customised, False), _said(sent.virtual, False)
    )
    category = await call.app.registry.put_category(said, call.app.clock(), kept=_kept(sent))
    body = answers.CategoryAnswer(
        category_id=category.category_id,
        title=category.title,
        customised=category.customised,
        virtual=category.virtual,
    )
    return Answer(200, _encode(body))


async def put_coverage(call: Call[bodies.CoverageSent, Nothing]) -> Done:
    """Say whether a place is covered."""
    sent = call.body
    check_place(sent.scope, sent.ref)
    return await _set_coverage(call, Scope(sent.scope), sent.ref, covered=sent.covered, reason=sent.reason)


def check_place(scope: str, ref: str) -> None:
    """The platform has no ref, everything else has one."""
    if (scope == Scope.PLATFORM.value) != (ref == ""):
        raise refuse("ref", "Expected an id, except for the platform, which has none.")


async def put_shop_coverage(call: Call[bodies.ShopCoverageSent, Nothing]) -> Done:
    """Say whether a shop is covered; the shop itself cannot."""
    shop_id = call.path("shop_id")
    if not call.may_see(shop_id=shop_id):
        return not_found()
    if call.scope is SHOP:
        return refuse_opt_out()
    shop_id = id_in(call, "shop_id")
    return await _set_coverage(call, Scope.SHOP, shop_id, covered=call.body.covered, reason=call.body.reason)


async def _set_coverage(call: AnyCall, scope: Scope, ref: str, *, covered: bool, reason: str) -> Answer:
    row = Coverage(scope, ref, covered, reason, call.actor.id, call.app.clock())
    await call.app.registry.set_coverage(row)
    return Answer(200, _encode(_coverage_row(row)))


def _coverage_row(row: Coverage) -> answers.CoverageRow:
    return answers.CoverageRow(scope=row.scope, ref=row.ref, covered=row.covered, reason=row.reason, set_at=row.set_at)


async def get_shop_coverage(call: Call[Nothing, Nothing]) -> Done:
    """Whether the shop, its categories and items are covered, and why."""
    shop_id = call.path("shop_id")
    if not call.may_see(shop_id=shop_id) or not is_id(shop_id):
        return not_found()
    rows = await call.app.registry.coverage_of(shop_id)
    nearest = {row.scope: row for row in rows}
    deciding = nearest.get(Scope.SHOP) or nearest.get(Scope.PLATFORM)
    body = answers.ShopCoverageAnswer(
        shop_id=shop_id,
        covered=deciding.covered if deciding is not None else True,
        reason=deciding.reason if deciding is not None else "Every shop of the platform is covered.",
        rows=tuple(_coverage_row(row) for row in rows),
    )
    return Answer(200, _encode(body))


async def get_benefit(call: Call[Nothing, bodies.BenefitQuery]) -> Done:
    """What the service did for a shop."""
    shop_id, since = call.path("shop_id"), call.query.since
    if not call.may_see(shop_id=shop_id) or not is_id(shop_id):
        return not_found()
    faults = Faults()
    faults.time("since", since)
    faults.settle()
    benefit = await call.app.shelf.benefit(shop_id=shop_id, since=since)
    shown = answers.BenefitAnswer(
        shop_id=shop_id,
        since=since,
        requests=benefit.requests,
        instant=benefit.instant,
        refunded=benefit.refunded,
        awaiting=benefit.awaiting,
        instant_median_seconds=benefit.instant_median_seconds,
        instant_p99_seconds=benefit.instant_p99_seconds,
        reviewed_median_seconds=benefit.reviewed_median_seconds,
        reviewed_p99_seconds=benefit.reviewed_p99_seconds,
    )
    return Answer(200, _encode(shown))


_PLATFORM, _SHOP_TOO = frozenset({PLATFORM}), frozenset({PLATFORM, SHOP})
_BUYERS, _SHOPS, _HISTORY = "Buyers", "Shops and coverage", "History"
OPERATIONS = (
    Operation(
        "PUT",
        "/v1/buyers/{buyer_id}",
        put_buyer,
        "Put a buyer",
        _BUYERS,
        {200: answers.BuyerAnswer},
        scopes=_PLATFORM,
        body=bodies.BuyerSent,
        description="Replaces what is given; what is not given stays as it was, `null` makes it unknown. Ids may be "
        "pseudonyms.",
    ),
    Operation(
        "GET",
        "/v1/buyers/{buyer_id}",
        get_buyer,
        "Read a buyer",
        _BUYERS,
        {200: answers.BuyerAnswer},
        scopes=frozenset({PLATFORM, BUYER}),
        description="`attributes` are the platform's own and empty for others.",
    ),
    Operation(
        "POST",
        "/v1/buyers/{buyer_id}/events",
        record_events,
        "Append to a buyer's history",
        _BUYERS,
        {200: answers.EventsTaken},
        scopes=_PLATFORM,
        body=bodies.EventsSent,
        description="Idempotent by nature: an `event_id` counts once, however often it is sent, and so do the payment, "
        "the completion and the cancellation of one order, whatever named them.",
    ),
    Operation(
        "PUT",
        "/v1/history/{kind}",
        put_history,
        "Declare a kind of history complete",
        _HISTORY,
        {200: answers.HistoryAnswer},
        scopes=_PLATFORM,
        body=bodies.HistorySent,
        description="History that was never declared is unknown, and unknown never approves.",
    ),
    Operation(
        "GET",
        "/v1/history",
        list_history,
        "List what is declared complete",
        _HISTORY,
        {200: answers.HistoryList},
        scopes=_PLATFORM,
    ),
    Operation(
        "PUT",
        "/v1/shops/{shop_id}",
        put_shop,
        "Put a shop",
        _SHOPS,
        {200: answers.ShopAnswer},
        scopes=_PLATFORM,
        body=bodies.ShopSent,
        description="Replaces what is given; what is not given stays as it was.",
    ),
    Operation(
        "GET",
        "/v1/shops/{shop_id}",
        get_shop,
        "Read a shop",
        _SHOPS,
        {200: answers.ShopAnswer},
        scopes=_SHOP_TOO,
        description="`attributes` are the platform's own and empty for others.",
    ),
    Operation(
        "GET",
        "/v1/shops/{shop_id}/coverage",
        get_shop_coverage,
        "Read whether a shop is covered, and why",
        _SHOPS,
        {200: answers.ShopCoverageAnswer},
        scopes=_SHOP_TOO,
        description="By shop, category and item. An order is covered when its shop is and every line is. A shop "
        "goes by its own row, else the platform's; a line by its item's row, else its category's. Without a row both "
        "are covered.",
    ),
    Operation(
        "PUT",
        "/v1/shops/{shop_id}/coverage",
        put_shop_coverage,
        "Cover a shop or take it out",
        _SHOPS,
        {200: answers.CoverageRow},
        scopes=_SHOP_TOO,
        body=bodies.ShopCoverageSent,
        problems=(REFUSALS[RefusalCode.SHOP_CANNOT_OPT_OUT],),
        description="The platform's to decide; a shop that tries is told so.",
    ),
    Operation(
        "GET",
        "/v1/shops/{shop_id}/benefit",
        get_benefit,
        "Read what the service did for a shop",
        _SHOPS,
        {200: answers.BenefitAnswer},
        scopes=_SHOP_TOO,
        query=bodies.BenefitQuery,
    ),
    Operation(
        "PUT",
        "/v1/coverage",
        put_coverage,
        "Cover a place or take it out",
        _SHOPS,
        {200: answers.CoverageRow},
        scopes=_PLATFORM,
        body=bodies.CoverageSent,
        description="The platform, a shop, a category or an item.",
    ),
    Operation(
        "PUT",
        "/v1/categories/{category_id}",
        put_category,
        "Put a category",
        _SHOPS,
        {200: answers.CategoryAnswer},
        scopes=_PLATFORM,
        body=bodies.CategorySent,
        description="Orders that come in from now on read it. What is not given stays as it was.",
    ),
)
