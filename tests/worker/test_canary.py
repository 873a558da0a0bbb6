"""A canary that does worse is ended by the worker's guard, once, and every process decides by the live policy again."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from jitui.aftersales.governance.canary_guard import GUARD, GuardSeen, raising_is_paused
from jitui.aftersales.governance.guard import GuardMetric
from jitui.aftersales.governance.policy_in_force import RE_READ_SECONDS, PolicyInForce
from jitui.aftersales.governance.publication import Authority, LogAction, LogEntry, Stage, in_force
from jitui.aftersales.governance.rollout import StepRefusal, stop
from jitui.aftersales.model.task import TaskFilter, TaskKind, TaskState
from jitui.aftersales.operations.watch import Watch
from jitui.bootstrap import Service, open_service, utc_now
from jitui.monitoring.families import of_arms
from jitui.policy import Policy, drawn_for_canary, held_out
from jitui.worker import guard_canary
from tests.aftersales.market import DEFAULT_POLICY, Market, open_market
from tests.provider_simulator.server import SimulatorProcess
from tests.publishing import put, put_in_force
from tests.worker.paying import settings_of

SEED = "seed"
PERCENT = 50
NEW = Policy.from_text(DEFAULT_POLICY.text.replace('version: "2"', 'version: "3"'))
BEGAN = timedelta(days=4)
"""How long ago the canary began: its incidents count after two days."""


@pytest.fixture
async def market(database_url: str) -> AsyncIterator[Market]:
    async with open_market(database_url, now=utc_now()) as opened:
        yield opened


@pytest.fixture
async def service(
    market: Market, database_url: str, simulator: SimulatorProcess, tmp_path: Path
) -> AsyncIterator[Service]:
    async with open_service(settings_of(database_url, simulator, tmp_path), database_url) as opened:
        yield opened


async def begin_canary(market: Market) -> LogEntry:
    began = utc_now() - BEGAN
    await put_in_force(market.policies, DEFAULT_POLICY, now=began - timedelta(days=1))
    return await put(market.policies, NEW, now=began, stage=Stage.CANARY, percent=PERCENT, seed=SEED)


async def plant(market: Market, *, requests: int, incident_every: int, repeat: bool = False) -> None:
    """Requests of both arms over the first days of the canary, all approved at once; the canary's have incidents."""
    began = utc_now() - BEGAN + timedelta(hours=1)
    rows = []
    for number, in_canary in itertools.product(range(requests), (False, True)):
        buyer = f"{'c' if in_canary else 'l'}-{0 if repeat and in_canary else number}"
        rows.append((number, in_canary, buyer, began + timedelta(seconds=20 * number + in_canary)))
    async with market.pool.connection() as connection:
        for number, in_canary, buyer, at in rows:
            await _decided(connection, number, buyer, at, in_canary=in_canary)
            if in_canary and incident_every and number % incident_every == 0:
                await connection.execute(
                    """INSERT INTO incident (lane, incident_id, order_id, ticket_id, shop_id, kind, state, amount_minor,
                           currency, evidence, opened_at)
                       SELECT lane, gen_random_uuid(), order_id, ticket_id, shop_id, 'goods_left_after_refund', 'open',
                           amount_minor, currency, '[]', %s FROM ticket WHERE order_id = %s""",
                    [at + timedelta(hours=6), f"o-{in_canary}-{number}"],
                )


async def _decided(connection: object, number: int, buyer: str, at: datetime, *, in_canary: bool) -> None:
    order = f"o-{in_canary}-{number}"
    text = NEW if in_canary else DEFAULT_POLICY
    await connection.execute(  # type: ignore[attr-defined]
        """WITH b AS (INSERT INTO buyer (lane, buyer_id, updated_at) VALUES (1, %(buyer)s, %(at)s)
                      ON CONFLICT DO NOTHING),
                o AS (INSERT INTO orders (lane, order_id, buyer_id, shop_id, currency, freight_minor, placed_at,
                          paid_at)
                      VALUES (1, %(order)s, %(buyer)s, 's', 'CNY', 0, %(at)s, %(at)s)),
                t AS (INSERT INTO ticket (lane, ticket_id, order_id, buyer_id, shop_id, state, version, reason,
                          currency, amount_minor, freight_minor, approved_by, arm, on_timeout, requested_at,
                          approved_at)
                      VALUES (1, gen_random_uuid(), %(order)s, %(buyer)s, 's', 'refunding', 1, 'other', 'CNY', 100, 0,
                          'instant_refund', %(arm)s, 'approve', %(at)s, %(at)s) RETURNING ticket_id)
           INSERT INTO decision (lane, ticket_id, order_id, policy_id, policy_version, policy_sha256, outcome,
               decided_at, facts, decision)
           SELECT 1, ticket_id, %(order)s, %(policy)s, %(version)s, %(sha)s, 'instant', %(at)s, '{}', '{}' FROM t""",
        {
            "buyer": buyer,
            "order": order,
            "at": at,
            "arm": "canary" if in_canary else "live",
            "policy": text.id,
            "version": text.version,
            "sha": text.sha256,
        },
    )


async def stops(market: Market) -> list[LogEntry]:
    return [entry for entry in await market.policies.log() if entry.action is LogAction.STOP]


async def test_planted_incidents_end_the_canary_and_both_processes_decide_by_the_live_policy_again(
    market: Market, service: Service
) -> None:
    canary = await begin_canary(market)
    await plant(market, requests=150, incident_every=10)
    seconds = [0.0]
    processes = [PolicyInForce(market.policies, seconds=lambda: seconds[0]) for _ in range(2)]
    buyer = next(
        name
        for name in (f"b-{number}" for number in itertools.count())
        if drawn_for_canary(SEED, PERCENT, name) and not held_out(DEFAULT_POLICY, name)
    )
    for process in processes:
        assert (await process.deciding()).for_buyer(buyer).policy.sha256 == NEW.sha256
    await guard_canary(service)
    (stop,) = await stops(market)
    assert (stop.stage, stop.sha256, stop.publication) == (Stage.CANARY, NEW.sha256, canary.publication + 1)
    row = await market.policies.publication(stop.publication)
    assert row is not None
    assert (row.authority, row.published_by) == (Authority.GUARD, GUARD)
    assert "incident_rate: 15 of 150 (10.00%) in the canary against 0 of 150 (0.00%) live" in row.reason
    seconds[0] = RE_READ_SECONDS + 0.001
    for process in processes:
        deciding = await process.deciding()
        assert deciding.canary is None
        assert deciding.for_buyer(buyer).policy.sha256 == DEFAULT_POLICY.sha256


async def test_a_canary_that_is_no_worse_goes_on(market: Market, service: Service) -> None:
    await begin_canary(market)
    await plant(market, requests=100, incident_every=0)
    for _ in range(2):
        await guard_canary(service)
    assert await stops(market) == []


async def test_two_workers_at_once_end_it_once_and_count_each_request_once(market: Market, service: Service) -> None:
    canary = await begin_canary(market)
    await plant(market, requests=150, incident_every=10)
    await asyncio.gather(*(guard_canary(service) for _ in range(4)))
    assert len(await stops(market)) == 1
    seen = {one.metric: one for one in await service.canary_guards.seen(canary.publication)}
    assert seen[GuardMetric.INCIDENT_RATE].evidence.canary.requests == 150
    assert seen[GuardMetric.MONEY_OUT].evidence.live.total == 150 * 100


async def test_what_a_killed_worker_had_counted_is_acted_on_by_the_next(market: Market, service: Service) -> None:
    canary = await begin_canary(market)
    await plant(market, requests=150, incident_every=10)
    killed = False

    class Killed(type(service.policies)):  # type: ignore[misc]
        async def append(self, *_: object, **__: object) -> None:
            nonlocal killed
            killed = True
            raise ConnectionAbortedError

    with suppress(ConnectionAbortedError):
        await guard_canary(replace(service, policies=Killed(market.pool)))
    assert killed
    assert await stops(market) == []
    (seen,) = [
        one for one in await service.canary_guards.seen(canary.publication) if one.metric is GuardMetric.INCIDENT_RATE
    ]
    assert seen.crossed
    await guard_canary(service)
    assert len(await stops(market)) == 1


async def test_an_incident_counts_when_its_request_is_old_enough_and_only_if_it_came_in_time(
    market: Market, service: Service
) -> None:
    canary = await begin_canary(market)
    now = utc_now()
    async with market.pool.connection() as connection:
        for number, (age, opened_after) in enumerate(
            [(timedelta(hours=49), 47), (timedelta(hours=49), 49), (timedelta(hours=47), 1), (timedelta(hours=49), 46)]
        ):
            kind = "platform_advance" if opened_after == 46 else "goods_left_after_refund"
            await _decided(connection, number, "c", now - age, in_canary=True)
            await connection.execute(
                """INSERT INTO incident (lane, incident_id, order_id, ticket_id, shop_id, kind, state, amount_minor,
                       currency, evidence, opened_at, refund_id)
                   SELECT lane, gen_random_uuid(), order_id, ticket_id, shop_id, %s, 'open', amount_minor, currency,
                       '[]', %s, CASE WHEN %s = 'platform_advance' THEN gen_random_uuid() END
                   FROM ticket WHERE order_id = %s""",
                [kind, now - age + timedelta(hours=opened_after), kind, f"o-True-{number}"],
            )
    await guard_canary(service)
    (seen,) = [
        one for one in await service.canary_guards.seen(canary.publication) if one.metric is GuardMetric.INCIDENT_RATE
    ]
    assert (seen.evidence.canary.requests, seen.evidence.canary.total) == (3, 1), "an advance is nobody's fault"


async def test_while_a_signal_stands_the_share_is_not_raised(market: Market, service: Service) -> None:
    canary = await begin_canary(market)
    await plant(market, requests=60, incident_every=0, repeat=True)
    await guard_canary(service)
    assert await stops(market) == []
    seen: Sequence[GuardSeen] = await service.canary_guards.seen(canary.publication)
    (why,) = raising_is_paused(seen, NEW.guards)
    assert why.startswith("repeat_requests: 59 of 60 (98.33%) in the canary against 0 of 60 (0.00%) live")
    with pytest.raises(ValueError, match="A signal stands"):
        await put(market.policies, NEW, now=utc_now(), stage=Stage.CANARY, percent=PERCENT + 1, seed=SEED)
    await put(market.policies, NEW, now=utc_now(), stage=Stage.CANARY, percent=PERCENT - 1, seed=SEED)
    found = in_force(await market.policies.log(), utc_now())
    assert found is not None
    assert found.canary is not None
    assert found.canary.canary_percent == PERCENT - 1


async def test_a_guard_ends_only_the_canary_that_it_watched(market: Market, service: Service) -> None:
    first = await begin_canary(market)
    await put(market.policies, NEW, now=utc_now(), stage=Stage.CANARY, percent=1, seed="another")
    done = await stop(
        service.policies,
        Stage.CANARY,
        by=GUARD,
        now=utc_now(),
        reason="numbers",
        authority=Authority.GUARD,
        publication=first.publication,
    )
    assert done is StepRefusal.NO_SUCH_STAGE


async def open_tasks(service: Service) -> list[TaskKind]:
    await Watch().look(service, utc_now())
    found = await service.tasks.list(TaskFilter(state=TaskState.OPEN))
    return [task.kind for task in found if task.kind in (TaskKind.CANARY_ENDED, TaskKind.CANARY_SIGNAL)]


async def test_the_task_stands_until_the_text_is_retired(market: Market, service: Service) -> None:
    await begin_canary(market)
    assert await open_tasks(service) == []
    await plant(market, requests=150, incident_every=10)
    await guard_canary(service)
    assert await open_tasks(service) == [TaskKind.CANARY_ENDED]
    assert await market.policies.retire(NEW.sha256, by="li.na", now=utc_now(), reason="incidents")
    assert await open_tasks(service) == []


async def test_a_signals_task_ends_with_its_canary(market: Market, service: Service) -> None:
    await begin_canary(market)
    await plant(market, requests=60, incident_every=0, repeat=True)
    await guard_canary(service)
    assert await open_tasks(service) == [TaskKind.CANARY_SIGNAL]
    await put(market.policies, NEW, now=utc_now())
    assert await open_tasks(service) == []


async def test_each_arms_requests_are_figures(market: Market, service: Service) -> None:
    await begin_canary(market)
    await plant(market, requests=3, incident_every=0)
    async with market.pool.connection() as connection:  # the list learns of a ticket from the feed
        await connection.execute(
            "INSERT INTO change (lane, kind, order_id, ticket_id, buyer_id, shop_id, at, body) SELECT lane, "
            "'ticket.requested', order_id, ticket_id, '', shop_id, requested_at, '{}' FROM ticket"
        )
    await market.ticket_list.fill()
    found = await service.queries.arms(utc_now() - BEGAN)
    assert [(one.arm, one.currency, one.requests, one.instant, one.instant_minor) for one in found] == [
        ("canary", "CNY", 3, 3, 300),
        ("live", "CNY", 3, 3, 300),
    ]
    assert await service.queries.arms(utc_now()) == []
    shown = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in of_arms(found, utc_now())
        for sample in family.samples
    }
    assert shown["jitui_arm_requests", "canary"] == 3
    assert shown["jitui_arm_instant", "hold_out"] == 0
    assert shown["jitui_arm_instant_minor", "CNY", "live"] == 300
