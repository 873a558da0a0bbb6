"""Each command runs on the store in memory and on PostgreSQL; what both read and write is compared."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jitui.adapters.postgres.feed import PostgresFeed
from jitui.adapters.postgres.pool import Connection
from jitui.adapters.postgres.tasks import PostgresTasks
from jitui.aftersales.changes import Change
from jitui.aftersales.commands.claim import plan_claim
from jitui.aftersales.incident_list import IncidentFilter, IncidentSort
from jitui.aftersales.memory_store import MemoryStore
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.model.sorting import SortOrder
from jitui.aftersales.model.task import TaskFilter, TaskSort
from jitui.aftersales.outcomes import IdempotencyKey, Refusal, StoredResponse
from jitui.aftersales.ports import (
    ClaimedRefund,
    DecisionInputs,
    DecisionQuery,
    NewOrder,
    Opened,
    OrderRef,
    OrderTaken,
    OutgoingEvent,
    Ref,
    TicketFilter,
    TicketRef,
    Transaction,
)
from jitui.aftersales.refund_list import RefundFilter, RefundSort
from jitui.aftersales.ticket_list import TicketSort, place_of
from tests.aftersales.market import NOW, TIME_ZONE, Market
from tests.aftersales.stories import ALL, SCRIPTS, STEP, Step, Story, begin, follow
from tests.aftersales.watched import WatchedStore, WatchedTransaction, differences


class Twin(WatchedStore):
    """PostgreSQL and memory, side by side: what either reads is compared, what is written goes to both."""

    def __init__(self, market: Market) -> None:
        super().__init__(market.pool, TIME_ZONE)
        self.memory = MemoryStore(ZoneInfo(TIME_ZONE))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[WatchedTransaction]:
        pool, time_zone = self._watched
        async with pool.connection() as connection, self.memory.transaction() as other:
            try:
                yield TwinTransaction(connection, time_zone, other)
            finally:
                await connection.rollback()

    async def put_order(self, ref: OrderRef, new: NewOrder, now: datetime) -> OrderTaken | Refusal:
        said = await self.memory.put_order(ref, new, now)
        assert said == await super().put_order(ref, new, now)
        await same_file(self, ref)
        return said

    async def claim_refunds(
        self, *, now: datetime, lease_until: datetime, limit: int, provider: str | None = None
    ) -> list[ClaimedRefund]:
        """The database's claims, with its new attempts, are told to the memory."""
        found = await super().claim_refunds(now=now, lease_until=lease_until, limit=limit, provider=provider)
        for claim in found:
            ref = OrderRef(claim.lane, claim.refund.order_id)
            async with self.memory.transaction() as transaction:
                opened = await transaction.open(ref)
                assert opened.snapshot is not None
                refund = next(one for one in opened.snapshot.refunds if one.refund_id == claim.refund.refund_id)
                change = plan_claim(refund, now=now, lease_until=lease_until, new_attempt_id=claim.attempt.attempt_id)
                await transaction.commit(opened.snapshot, [change])
        return found


class TwinTransaction(WatchedTransaction):
    def __init__(self, connection: Connection, time_zone: str, other: Transaction) -> None:
        super().__init__(connection, time_zone)
        self._other = other

    async def open(
        self, ref: Ref, *, idempotency_key: IdempotencyKey | None = None, query: DecisionQuery | None = None
    ) -> Opened:
        opened = await super().open(ref, idempotency_key=idempotency_key, query=query)
        other = await self._other.open(ref, idempotency_key=idempotency_key, query=query)
        assert replace(other, snapshot=None, inputs=None) == replace(opened, snapshot=None, inputs=None)
        assert (other.snapshot is None, other.inputs is None) == (opened.snapshot is None, opened.inputs is None)
        if other.snapshot is not None and opened.snapshot is not None:
            assert differences(other.snapshot, opened.snapshot) == {}
        if other.inputs is not None and opened.inputs is not None:
            assert unlike(other.inputs, opened.inputs) == {}
        return opened

    async def commit(
        self,
        snapshot: OrderSnapshot,
        changes: Sequence[Change],
        *,
        idempotency_key: IdempotencyKey | None = None,
        response: StoredResponse | None = None,
    ) -> None:
        await super().commit(snapshot, changes, idempotency_key=idempotency_key, response=response)
        await self._other.commit(snapshot, changes, idempotency_key=idempotency_key, response=response)


def unlike(said: DecisionInputs, found: DecisionInputs) -> dict[str, object]:
    """By field; rows stand in any order."""
    names = [one.name for one in fields(DecisionInputs)]
    return {name: pair for name in names if (pair := (_sorted(said, name), _sorted(found, name)))[0] != pair[1]}


def _sorted(inputs: DecisionInputs, name: str) -> object:
    value = getattr(inputs, name)
    return sorted(value, key=str) if isinstance(value, tuple) else value


async def same_file(twin: Twin, ref: OrderRef) -> None:
    said, found = await twin.memory.read_order(ref), await twin.read_order(ref)
    assert (said is None) == (found is None)
    assert said is None or found is None or differences(said, found) == {}


class Both:
    """Rows that people set, in both."""

    def __init__(self, *registries: object) -> None:
        self._registries = registries

    def __getattr__(self, name: str) -> object:
        async def call(*args: object, **kwargs: object) -> object:
            results = [await getattr(one, name)(*args, **kwargs) for one in self._registries]
            assert results[0] == results[1], name
            return results[0]

        return call


@dataclass
class TwinFeed:
    """Both count at the same moments."""

    feed: PostgresFeed
    memory: MemoryStore

    async def roll_up(self, now: datetime) -> None:
        await self.feed.roll_up(now)
        await self.memory.roll_up(now)

    async def events(self, after: int, limit: int) -> Sequence[OutgoingEvent]:
        return await self.feed.events(after, limit)


@pytest.fixture
async def twins(market: Market) -> Market:
    twin = Twin(market)
    await twin.memory.registry.record_history(await market.registry.history_records())
    return replace(
        market,
        store=twin,
        registry=Both(market.registry, twin.memory.registry),  # type: ignore[arg-type]  # passes every call on
        feed=TwinFeed(market.feed, twin.memory),  # type: ignore[arg-type]  # has what the tests call
    )


async def compare(story: Story) -> None:
    """All that is written beside the snapshot, too."""
    twin, market = story.store, story.market
    assert isinstance(twin, Twin)
    memory = twin.memory
    for ref in story.orders:
        await same_file(twin, ref)
        assert await memory.ledger(ref) == await market.queries.ledger(ref)
    for ticket in (await story.snapshot()).tickets:
        where = TicketRef(ticket.lane, ticket.ticket_id)
        assert await memory.decision(where) == await market.queries.decision(where)
        assert await memory.expired_tickets(NOW + timedelta(days=900), 999) == sorted(
            await twin.expired_tickets(NOW + timedelta(days=900), 999), key=lambda ref: ref.ticket_id
        )
    rows = _without_names(await market.feed.events(0, 10_000))
    assert _without_names(await memory.events(0, 10_000)) == rows
    await market.ticket_list.fill()
    await same_lists(memory, market, story.buyer)
    await same_other_lists(memory, market, story)


async def same_lists(memory: MemoryStore, market: Market, buyer: str) -> None:
    """In every order, page by page: the whole list, as a worker filled it, and the buyer's own, which is exact."""
    for sort, order, buyer_id in product(TicketSort, SortOrder, (None, buyer)):
        wanted: TicketFilter | None = TicketFilter(buyer_id=buyer_id, sort=sort, order=order, limit=2)
        while wanted is not None:
            said, found = await memory.tickets(wanted), await market.queries.tickets(wanted)
            assert list(said.tickets) == list(found.tickets), wanted
            last = said.tickets[-1] if said.tickets else None
            wanted = None if last is None else replace(wanted, after=place_of(last, sort))


async def same_other_lists(memory: MemoryStore, market: Market, story: Story) -> None:
    """Refunds, incidents and tasks, in every order: all of them, the buyer's, and the first order's."""
    await market.refund_list.fill()
    tasks, order_id = PostgresTasks(market.pool), story.orders[0].order_id
    for order, (buyer, of_order) in product(SortOrder, ((None, None), (story.buyer, None), (None, order_id))):
        for by_refund in RefundSort:
            refunds = RefundFilter(buyer_id=buyer, order_id=of_order, sort=by_refund, order=order)
            said, found = await memory.refunds(refunds), await market.queries.refunds(refunds)
            assert list(said.refunds) == list(found.refunds), refunds
        for by_incident in IncidentSort:
            incidents = IncidentFilter(buyer_id=buyer, order_id=of_order, sort=by_incident, order=order)
            assert await memory.incidents(incidents) == await market.queries.incidents(incidents), incidents
        for by_task in TaskSort:
            wanted = TaskFilter(buyer_id=buyer, order_id=of_order, sort=by_task, order=order, limit=1000)
            assert await memory.tasks(wanted) == await tasks.list(wanted), wanted


def _without_names(rows: Sequence[OutgoingEvent]) -> list[OutgoingEvent]:
    """Positions may differ, and each store has pseudonyms of its own: buyers are numbered as they come."""
    numbers: dict[str, str] = {}
    return [
        replace(row, position=0, buyer_pseudonym=numbers.setdefault(row.buyer_pseudonym, str(len(numbers))))
        for row in rows
    ]


@pytest.mark.parametrize("name", SCRIPTS)
async def test_every_kind_of_change_is_kept_as_postgresql_keeps_it(twins: Market, name: str) -> None:
    premium, steps = SCRIPTS[name]
    story = await begin(twins, premium=premium)
    await follow(story, steps)
    await compare(story)


async def test_an_order_that_cost_nothing_is_kept_as_postgresql_keeps_it(twins: Market) -> None:
    story = await begin(twins, premium=False, free=True)
    await follow(story, [("ask", ALL), ("review", "approve", 0), ("complete",)])
    await compare(story)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, min_size=1, max_size=10), premium=st.booleans(), paid=st.integers(2, 9341))
async def test_whatever_is_done_both_stores_read_and_keep_the_same(
    twins: Market, steps: list[Step], premium: bool, paid: int
) -> None:
    story = await begin(twins, premium=premium)
    first: list[Step] = [("pay_in", "t2", "r", paid, None, False), ("ask", [("l1", 1)])]
    for step in first + steps:
        await follow(story, [step])
        await twins.refund_list.fill()  # what changes a refund later may be on no feed
    await compare(story)
