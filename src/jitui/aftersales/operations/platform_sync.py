"""Takes in what a commerce platform says of its orders, by the commands that the API uses for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from jitui.aftersales.commands.intake import capture_payment, put_order
from jitui.aftersales.commands.refunded_elsewhere import RefundedElsewhere, record_refunded_elsewhere
from jitui.aftersales.commands.request_refund import DecisionSettings
from jitui.aftersales.commands.ship import ShipmentUpdate, complete_order, record_shipment
from jitui.aftersales.model.order import OrderLine, ShipmentSource, Tender
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.platform import Platform, PlatformOrder, PlatformShipment, UnreadableOrder
from jitui.aftersales.ports import NewOrder, OrderRef, Store

OVERLAP = timedelta(minutes=10)
"""How far before the cursor changes are read again: a transaction there may end later than the time that it wrote."""
WATCHED_FOR = timedelta(days=30)
"""How long an order is read again after it was placed, or refunded: platforms do not tell every change by a time."""
WATCHED_AT_ONCE = 100
WATCHED_EVERY = timedelta(minutes=5)
"""How often. What is asked back, and what is about to be refunded, is read at that moment besides."""


@dataclass(frozen=True, slots=True)
class SyncState:
    """How far a platform was read. `synced_at`: when a reading last came to its end. `watched_at`: when the watched
    orders were last read.
    """

    cursor: datetime | None = None
    synced_at: datetime | None = None
    problem: str = ""
    watched_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NotedHint:
    """An order that a webhook named, by what the webhook calls it, and when the last one did."""

    order_id: str
    hinted_at: datetime


class PlatformStates(Protocol):
    """Where the cursor of each platform is kept, and which of its orders are to be read again."""

    async def state(self, platform: str) -> SyncState: ...

    async def note(self, platform: str, state: SyncState) -> None: ...

    async def note_problem(self, platform: str, problem: str) -> None:
        """Why it cannot be read; how far it was read stays."""
        ...

    async def watched(self, provider: str, since: datetime, after: str, limit: int) -> list[str]:
        """Orders paid through the provider that are not completed, placed or refunded since; by id, after this one."""
        ...

    async def note_hint(self, platform: str, order_id: str, now: datetime) -> None:
        """Have an order read again; naming it many times before that reads it once."""
        ...

    async def hints(self, platform: str, until: datetime, limit: int) -> list[NotedHint]:
        """Orders that were named up to then, in the order of the times."""
        ...

    async def drop_hints(self, platform: str, read: Sequence[NotedHint]) -> None:
        """Those orders were read; one that was named again meanwhile stays."""
        ...


@dataclass(slots=True)
class Synced:
    """What a reading found: the ids of what was read, and what could not be taken in, with the reasons.

    An order that is read more than once counts once, and as it was read last.
    """

    ids: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def read(self) -> int:
        """How many orders, or requests."""
        return len(self.ids)

    def add(self, order_id: str, problems: Sequence[str]) -> None:
        self.ids.add(order_id)
        self.refused.pop(order_id, None)
        if problems:
            self.refused[order_id] = " ".join(problems)


Progress = Callable[[Synced, datetime | None], None]
"""Is told after each page: what was read so far, and up to which change."""


async def sync_platform(
    store: Store,
    states: PlatformStates,
    platform: Platform,
    settings: Callable[[], Awaitable[DecisionSettings]],
    shop_id: str,
    *,
    now: datetime,
    whole: bool = False,
    progress: Progress = lambda done, cursor: None,
) -> Synced:
    """Read what webhooks named, what changed since the cursor and, where it is time or `whole`, the watched orders.

    The cursor moves with each page, so a reading that breaks off goes on where it was. Raises Unavailable.
    """
    deciding = await settings()
    state, done = await states.state(platform.name), Synced()
    cursor = state.cursor

    async def take(read: Sequence[PlatformOrder | UnreadableOrder]) -> None:
        for found in read:
            done.add(found.order_id, await _take(store, deciding, platform.name, shop_id, found, now))

    while hints := await states.hints(platform.name, now, WATCHED_AT_ONCE):
        await take(await platform.read_orders([hint.order_id for hint in hints]))
        await states.drop_hints(platform.name, hints)
        progress(done, cursor)
    async for page in platform.changed_since(cursor, OVERLAP):
        await take(page)
        for found in page:
            cursor = found.changed_at if cursor is None else max(cursor, found.changed_at)
        await states.note(platform.name, replace(state, cursor=cursor, problem=""))
        progress(done, cursor)
    watched_at = state.watched_at
    if whole or watched_at is None or now >= watched_at + WATCHED_EVERY:
        watched_at, after = now, ""
        while watched := await states.watched(platform.name, now - WATCHED_FOR, after, WATCHED_AT_ONCE):
            await take(await platform.read_orders(watched))
            after = watched[-1]
            progress(done, cursor)
    await states.note(platform.name, SyncState(cursor, now, watched_at=watched_at))
    return done


async def _take(
    store: Store,
    deciding: DecisionSettings,
    platform: str,
    shop_id: str,
    found: PlatformOrder | UnreadableOrder,
    now: datetime,
) -> list[str]:
    if isinstance(found, UnreadableOrder):
        return [found.reason]
    return await take_order(store, deciding, platform, shop_id, found, now=now)


async def take_order(
    store: Store, deciding: DecisionSettings, platform: str, shop_id: str, found: PlatformOrder, *, now: datetime
) -> list[str]:
    """Bring one order up to what the platform says; returns why parts of it could not be taken in."""
    ref, snapshot = await _recorded(store, found.order_id)
    problems: list[str] = []
    if snapshot is None or not _is_fixed(snapshot):
        taken = await put_order(store, _new_order(found, shop_id), now=now)
        if isinstance(taken, Refusal):
            problems.append(_another_shop(snapshot, shop_id, platform) or taken.message)
        else:
            ref = taken.ref
    if ref is None:
        return problems
    for tender in _new_tenders(found, snapshot, platform):
        problems += _why(await capture_payment(store, ref, tender, deciding, now=now))
    by = Actor(ActorKind.PLATFORM, platform)
    for sent in found.shipments:
        problems += await _take_shipment(store, ref, snapshot, sent, by, now)
    if found.delivered_at is not None and not (snapshot and snapshot.is_completed):
        problems += _why(await complete_order(store, ref, now=now, completed_at=found.delivered_at))
    told = _elsewhere(found, platform)
    if any(told.payments_minor.values()):
        problems += _why(await record_refunded_elsewhere(store, ref, told, now=now))
    return problems


async def _recorded(store: Store, order_id: str) -> tuple[OrderRef | None, OrderSnapshot | None]:
    ref = await store.find_order(order_id)
    return ref, None if ref is None else await store.read_order(ref)


def _is_fixed(snapshot: OrderSnapshot) -> bool:
    """Whether the recorded order stays as it is: what a refund cancels there is not what the buyer had bought."""
    claimed = any(line.claimed_quantity for line in snapshot.lines)
    return bool(claimed or snapshot.tickets or snapshot.shipments or snapshot.is_completed)


def _another_shop(snapshot: OrderSnapshot | None, shop_id: str, platform: str) -> str | None:
    """What to do about an order that is recorded for another shop than the connection names."""
    if snapshot is None or snapshot.order.shop_id == shop_id:
        return None
    recorded = snapshot.order.shop_id
    return (
        f"The order is recorded for the shop {recorded}, and {platform} is connected for {shop_id}. If {recorded} is "
        f"right, disconnect it and connect it with --shop {recorded}; an order that is paid stays with its shop."
    )


def _why(done: object) -> list[str]:
    return [done.message] if isinstance(done, Refusal) else []


def _new_order(found: PlatformOrder, shop_id: str) -> NewOrder:
    lines = (
        OrderLine(
            line.line_id, line.sku, line.item_id, line.quantity, line.paid_minor, line.category_id, title=line.title
        )
        for line in found.lines
    )
    return NewOrder(
        found.order_id,
        found.buyer_id,
        shop_id,
        found.currency,
        found.placed_at,
        tuple(lines),
        freight_minor=found.freight_minor,
    )


def _new_tenders(found: PlatformOrder, snapshot: OrderSnapshot | None, platform: str) -> Iterator[Tender]:
    """The payments that are not recorded with this amount."""
    known = {(t.provider, t.payment_id): t.captured_minor for t in snapshot.tenders} if snapshot is not None else {}
    for paid in found.payments:
        if known.get((platform, paid.payment_id)) != paid.amount_minor:
            yield Tender(
                f"{platform}-{paid.payment_id}",
                platform,
                paid.payment_id,
                found.currency,
                paid.amount_minor,
                paid.captured_at,
            )


async def _take_shipment(
    store: Store, ref: OrderRef, snapshot: OrderSnapshot | None, sent: PlatformShipment, by: Actor, now: datetime
) -> list[str]:
    """What the platform says of shipments is a fact: a merchant shipped there, whatever was approved here.

    INVARIANT R9: it is recorded also where its tracking number is another buyer's, under the platform's own id.
    """
    known = {one.tracking_no: one.degree for one in snapshot.shipments} if snapshot is not None else {}
    named = sent.shipment_id if sent.shipment_id in known else sent.tracking_no
    if known.get(named) is sent.status:
        return []
    update = ShipmentUpdate(
        sent.status, sent.carrier, named, ShipmentSource.MERCHANT, sent.at, sent.lines, is_fact=True
    )
    done = await record_shipment(store, ref, update, by=by, now=now)
    if isinstance(done, Refusal) and done.code is RefusalCode.WAYBILL_OF_ANOTHER_BUYER:
        done = await record_shipment(store, ref, replace(update, tracking_no=sent.shipment_id), by=by, now=now)
    return _why(done)


def _elsewhere(found: PlatformOrder, platform: str) -> RefundedElsewhere:
    return RefundedElsewhere(
        {(platform, paid.payment_id): paid.elsewhere_minor for paid in found.payments},
        {line.line_id: line.cancelled for line in found.lines if line.cancelled},
    )
