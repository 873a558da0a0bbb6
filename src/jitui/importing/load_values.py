"""Loads imported values through the functions that the API uses, and checks beforehand what they would refuse."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from jitui.aftersales.apply import apply_all
from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment, plan_payment, put_order
from jitui.aftersales.commands.put_order import plan_order, standing_order
from jitui.aftersales.commands.request_refund import DecisionSettings
from jitui.aftersales.commands.ship import plan_shipment, record_shipment
from jitui.aftersales.governance.policies import Policies
from jitui.aftersales.governance.registry import Registry
from jitui.aftersales.model.order import Buyer
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.outcomes import Refusal, RefusalCode, StoredResponse
from jitui.aftersales.ports import DecisionInputs, NewOrder, OrderRef, OrderTaken, Store
from jitui.importing.build_values import Item, Parcel, Payment

BY = Actor(ActorKind.PLATFORM, "import")
AT_ONCE = 8
EVENTS_AT_ONCE = 2_000


class App(Protocol):
    """The parts of the service that an import needs."""

    @property
    def store(self) -> Store: ...

    @property
    def registry(self) -> Registry: ...

    @property
    def policies(self) -> Policies: ...

    @property
    def clock(self) -> Callable[[], datetime]: ...

    async def decision_settings(self) -> DecisionSettings: ...


Advance = Callable[[int], None]
"""Called with the number of items that were done."""


class Loaded(StrEnum):
    """What a loaded item did."""

    NEW = "new"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Refused:
    """An item that the core refused."""

    item: Item
    reason: str


async def load(app: App, items: Sequence[Item], advance: Advance, counts: Counter[Loaded]) -> list[Refused]:
    """Load every item; items of one order are loaded in the order of the file. Returns the refused ones.

    `counts` counts what the others did, except for buyers and history.
    """
    events = [item for item in items if isinstance(item.value, RecordBuyerEvent)]
    refused = []
    for start in range(0, len(events), EVENTS_AT_ONCE):
        batch = events[start : start + EVENTS_AT_ONCE]
        refused += await _contradicting(app, batch)
        await app.registry.record_buyer_events(_told(batch))
        advance(len(batch))
    others = [item for item in items if not isinstance(item.value, RecordBuyerEvent)]
    decision_settings = await _settings_for(app, others)
    return refused + await _each(others, lambda item, _: _write(app, item, decision_settings, counts), advance)


async def _settings_for(app: App, items: Sequence[Item]) -> DecisionSettings | None:
    """The settings for deciding, needed for payments alone: one whose goods were refunded already is decided on."""
    return await app.decision_settings() if any(isinstance(item.value, Payment) for item in items) else None


async def _contradicting(app: App, items: Sequence[Item]) -> list[Refused]:
    reasons = {one.event: one.reason for one in await app.registry.refused_events(_told(items))}
    return [Refused(i, reasons[i.value]) for i in items if isinstance(i.value, RecordBuyerEvent) and i.value in reasons]


def _told(items: Sequence[Item]) -> list[RecordBuyerEvent]:
    return [value for item in items if isinstance(value := item.value, RecordBuyerEvent)]


async def check(app: App, items: Sequence[Item], advance: Advance) -> list[Refused]:
    """The items that `load` would refuse now; nothing is written."""
    decision_settings = await _settings_for(app, items)
    contradicting = await _contradicting(app, items)
    return contradicting + await _each(items, lambda item, files: _try(app, item, files, decision_settings), advance)


_Files = dict[str, OrderSnapshot]
_Step = Callable[[Item, _Files], Awaitable[Refusal | None]]


async def _each(items: Sequence[Item], step: _Step, advance: Advance) -> list[Refused]:
    refused: list[Refused] = []
    gate = asyncio.Semaphore(AT_ONCE)

    async def run(group: Sequence[Item]) -> None:
        async with gate:
            files: _Files = {}
            for item in group:
                refusal = await step(item, files)
                if refusal is not None:
                    refused.append(Refused(item, refusal.message))
                advance(1)

    async with asyncio.TaskGroup() as tasks:
        for group in _by_subject(items):
            tasks.create_task(run(group))
    return refused


def _by_subject(items: Sequence[Item]) -> list[list[Item]]:
    groups: dict[str, list[Item]] = {}
    for item in items:
        value = item.value
        subject = value.buyer_id if isinstance(value, Buyer | RecordBuyerEvent) else value.order_id
        groups.setdefault(subject, []).append(item)
    return list(groups.values())


async def _write(
    app: App, item: Item, decision_settings: DecisionSettings | None, counts: Counter[Loaded]
) -> Refusal | None:
    now = app.clock()
    value = item.value
    done: object
    if isinstance(value, Buyer):
        unsaid = [name for name in ("registered_at", "region") if getattr(value, name) is None]
        # an empty cell leaves the field as it was
        await app.registry.put_buyer(value, now, kept=[*unsaid, "attributes"])
        return None
    if isinstance(value, NewOrder):
        done = await put_order(app.store, value, now=now)
    elif isinstance(value, RecordBuyerEvent):
        raise AssertionError("history is written in batches")
    else:
        done = await _on_order(app, value, decision_settings)
    if isinstance(done, Refusal):
        return done
    counts[_became(done)] += 1
    return None


def _became(done: object) -> Loaded:
    match done:
        case OrderTaken(created=False, changed=changed):
            return Loaded.REPLACED if changed else Loaded.UNCHANGED
        case Executed(changes=()):
            return Loaded.UNCHANGED
        case _:
            return Loaded.NEW


async def _on_order(
    app: App, value: Payment | Parcel, decision_settings: DecisionSettings | None
) -> Executed | Refusal | StoredResponse:
    ref = await app.store.find_order(value.order_id)
    if ref is None:
        return _no_such_order(value.order_id)
    if isinstance(value, Payment):
        assert decision_settings is not None
        return await capture_payment(app.store, ref, value.tender, decision_settings, now=app.clock())
    return await record_shipment(app.store, ref, value.update, by=BY, now=app.clock())


async def _try(app: App, item: Item, files: _Files, decision_settings: DecisionSettings | None) -> Refusal | None:
    """Plan the command without writing it; the items of one order are planned on the results of one another."""
    value = item.value
    if isinstance(value, Buyer | RecordBuyerEvent):
        return None
    if isinstance(value, NewOrder):
        return await _try_order(app, value)
    snapshot = files.get(value.order_id) or await _read(app, value.order_id)
    if snapshot is None:
        return _no_such_order(value.order_id)
    if isinstance(value, Payment):
        assert decision_settings is not None
        planned = plan_payment(snapshot, DecisionInputs(), value.tender, decision_settings, app.clock())
    else:
        planned = plan_shipment(snapshot, value.update, BY, app.clock())
    if isinstance(planned, Refusal):
        return planned
    files[value.order_id] = apply_all(snapshot, planned.changes)
    return None


async def _try_order(app: App, new: NewOrder) -> Refusal | None:
    snapshot = await _read(app, new.order_id)
    if snapshot is None:
        return None
    if snapshot.order.buyer_id != new.buyer_id:
        return Refusal(RefusalCode.ORDER_BELONGS_TO_ANOTHER, "An order with this id belongs to another buyer.")
    planned = plan_order(standing_order(snapshot), new, app.clock())
    return planned if isinstance(planned, Refusal) else None


async def _read(app: App, order_id: str) -> OrderSnapshot | None:
    ref: OrderRef | None = await app.store.find_order(order_id)
    return None if ref is None else await app.store.read_order(ref)


def _no_such_order(order_id: str) -> Refusal:
    return Refusal(RefusalCode.NOT_FOUND, f"There is no order {order_id!r}; import the orders first.")
