"""Lists of incidents and of tasks: every filter in every order, page by page, as the memory has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import product

import msgspec
import psycopg

from jitui.adapters.postgres.tasks import PostgresTasks
from jitui.aftersales.changes import OpenTask
from jitui.aftersales.incident_list import IncidentFilter, IncidentSort, place_of_incident
from jitui.aftersales.memory_store.lists import list_incidents, list_tasks
from jitui.aftersales.model.incident import Incident, IncidentState
from jitui.aftersales.model.sorting import SortOrder
from jitui.aftersales.model.task import (
    NewTask,
    OperatorTask,
    TaskFilter,
    TaskKind,
    TaskSort,
    TaskState,
    place_of_task,
)
from tests.aftersales.market import NOW, Market, beside

_TICKETS = """
INSERT INTO ticket (lane, ticket_id, order_id, buyer_id, shop_id, state, version, reason, currency, amount_minor,
    freight_minor, arm, on_timeout, requested_at)
SELECT get_byte(sha256(b.id::bytea), 0), gen_random_uuid(), 'o-' || n, b.id, 'shop-' || n %% 2,
    'refunded', 1, 'other', CASE WHEN n %% 3 = 0 THEN 'USD' ELSE 'CNY' END, 100 + n %% 2, 0, 'live', 'approve',
    %(now)s::timestamptz - n %% 4 * interval '1 hour'
FROM generate_series(1, 40) g (n) CROSS JOIN LATERAL (SELECT (%(buyers)s::text[])[1 + n %% 3] AS id) b
"""
_ORDERS = """
INSERT INTO orders (lane, order_id, buyer_id, shop_id, currency, freight_minor, placed_at)
SELECT lane, order_id, buyer_id, shop_id, currency, 0, requested_at FROM ticket
"""
_DIRECTORY = "INSERT INTO order_directory (order_id, lane, buyer_id) SELECT order_id, lane, buyer_id FROM ticket"
_INCIDENTS = """
INSERT INTO incident (lane, incident_id, order_id, ticket_id, shop_id, kind, state, amount_minor, currency, evidence,
    opened_at, due_at)
SELECT lane, gen_random_uuid(), order_id, ticket_id, shop_id, 'goods_left_after_refund',
    (%(states)s::text[])[1 + n %% 5], amount_minor, currency, '[]', requested_at,
    CASE WHEN n %% 5 < 4 THEN requested_at + n %% 2 * interval '1 day' END
FROM (SELECT *, right(order_id, length(order_id) - 2)::int AS n FROM ticket) t
"""


def incidents(database_url: str) -> list[tuple[Incident, str]]:
    """Many incidents, many equal in what they are sorted by, with their buyers; two of these are in one lane."""
    params = {"now": NOW, "buyers": ["b-0", "b-1", beside("b-1")], "states": [state.value for state in IncidentState]}
    with psycopg.connect(database_url) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in (_TICKETS, _ORDERS, _DIRECTORY, _INCIDENTS):
            connection.execute(statement.encode(), params)
        found = connection.execute(
            "SELECT to_json(i)::text, t.buyer_id FROM incident i JOIN ticket t USING (lane, ticket_id)"
        ).fetchall()
    return [(msgspec.json.decode(text, type=Incident), buyer) for text, buyer in found]


async def every_incident(market: Market, wanted: IncidentFilter) -> list[Incident]:
    found: list[Incident] = []
    while page := await market.queries.incidents(wanted):
        assert len(page) <= wanted.limit
        found += page
        wanted = replace(wanted, after=place_of_incident(page[-1], wanted.sort))
    return found


async def test_incidents_by_every_filter_in_every_order_are_what_the_memory_lists(
    market: Market, database_url: str
) -> None:
    all_of_them = incidents(database_url)
    filters = [
        IncidentFilter(),
        IncidentFilter(shop_id="shop-1"),
        IncidentFilter(shop_id="shop-9"),
        IncidentFilter(state=IncidentState.CONTESTED),
        IncidentFilter(shop_id="shop-0", state=IncidentState.OPEN),
        IncidentFilter(buyer_id="b-1"),
        IncidentFilter(buyer_id="b-1", shop_id="shop-1", state=IncidentState.SETTLED),
        IncidentFilter(order_id="o-7"),
        IncidentFilter(order_id="o-7", shop_id="shop-0"),
    ]
    for wanted, (sort, order) in product(filters, product(IncidentSort, SortOrder)):
        wanted = replace(wanted, sort=sort, order=order, limit=3)
        said = list_incidents(all_of_them, replace(wanted, limit=1000))
        assert await every_incident(market, wanted) == said, wanted


# Tasks -------------------------------------------------------------------------------------------------------------

_KINDS = (TaskKind.PAID_TWICE, TaskKind.NO_WORKER, TaskKind.REFUND_FAILED)


async def tasks(market: Market) -> list[OperatorTask]:
    """Of three orders, two shops, two buyers of one lane, and no order; some without amount; half of them resolved."""
    for number, shop in enumerate(("shop-1", "shop-2", "shop-1")):
        await market.paid_order(("b-0", beside("b-0"))[number % 2], f"o-{number}", shop_id=shop)
    new = [
        NewTask(
            name=f"task {number}",
            kind=_KINDS[number % 3],
            provider=("wechat", "alipay")[number % 2],
            evidence={},
            opened_at=NOW - timedelta(hours=number % 4),
            order_id=(None, "o-0", "o-1", "o-2", "o-unknown")[number % 5],
            amount_minor=None if number % 4 == 0 else 100 + number % 2,
            currency=None if number % 4 == 0 else ("CNY", "USD")[number % 3 == 0],
        )
        for number in range(30)
    ]
    found = PostgresTasks(market.pool)
    await found.open(new)
    for task in new[::2]:
        await found.resolve(task.task_id, note="done", by="op", now=NOW)
    return list(await found.list(TaskFilter(limit=1000)))


async def every_task(market: Market, wanted: TaskFilter) -> list[OperatorTask]:
    found: list[OperatorTask] = []
    while page := await PostgresTasks(market.pool).list(wanted):
        assert len(page) <= wanted.limit
        found += page
        wanted = replace(wanted, after=place_of_task(page[-1], wanted.sort))
    return found


async def test_tasks_by_every_filter_in_every_order_are_what_the_memory_lists(market: Market) -> None:
    all_of_them = await tasks(market)
    assert len(all_of_them) == 30
    orders = {
        ref: snapshot
        for ref in ("o-0", "o-1", "o-2")
        if (found := await market.store.find_order(ref)) and (snapshot := await market.store.read_order(found))
    }
    filters = [
        TaskFilter(),
        TaskFilter(state=TaskState.OPEN),
        TaskFilter(provider="alipay"),
        TaskFilter(kind=TaskKind.NO_WORKER, state=TaskState.RESOLVED),
        TaskFilter(order_id="o-1"),
        TaskFilter(order_id="o-1", provider="wechat"),
        TaskFilter(shop_id="shop-1"),
        TaskFilter(shop_id="shop-1", provider="wechat", kind=TaskKind.PAID_TWICE),
        TaskFilter(shop_id="shop-9"),
        TaskFilter(buyer_id="b-0"),
        TaskFilter(buyer_id="b-0", shop_id="shop-2"),
        TaskFilter(buyer_id="b-0", state=TaskState.OPEN, kind=TaskKind.REFUND_FAILED),
    ]
    for wanted, (sort, order) in product(filters, product(TaskSort, SortOrder)):
        wanted = replace(wanted, sort=sort, order=order, limit=4)
        said = list_tasks(all_of_them, replace(wanted, limit=1000), orders)
        assert await every_task(market, wanted) == said, wanted
    assert {task.shop_id for task in all_of_them} == {None, "shop-1", "shop-2"}


async def test_a_task_knows_the_shop_of_its_order_however_it_was_opened(market: Market) -> None:
    ref = await market.paid_order("b-1", "o-1", shop_id="shop-7")

    def about(name: str, condition: str | None = None) -> NewTask:
        return NewTask(name, TaskKind.PAID_TWICE, "wechat", {}, NOW, order_id="o-1", condition=condition)

    found = PostgresTasks(market.pool)
    await found.open([about("opened")])
    await found.observe([about("observed", "c")], [TaskKind.PAID_TWICE], NOW)
    async with market.store.transaction() as transaction:
        opened = await transaction.open(ref)
        assert opened.snapshot is not None
        planned = about("planned")
        await transaction.commit(opened.snapshot, [OpenTask(planned.task_id, planned)])
    listed: Sequence[OperatorTask] = await found.list(TaskFilter(shop_id="shop-7"))
    assert {task.task_id for task in listed} == {
        about("opened").task_id,
        about("observed").task_id,
        about("planned").task_id,
    }
