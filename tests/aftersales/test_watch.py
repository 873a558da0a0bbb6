"""What is read of the whole service, and the tasks that looking opens and closes: once, whoever looks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import LiteralString

import pytest

from jitui.adapters.postgres.queries import PostgresQueries
from jitui.adapters.postgres.tasks import PostgresTasks
from jitui.adapters.postgres.workers import PostgresWorkers
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.task import OperatorTask, TaskFilter, TaskKind, TaskState, task_of_condition
from jitui.aftersales.operations.conditions import GRACE, Expected
from jitui.aftersales.operations.watch import Watch
from jitui.aftersales.operations.workers import WorkerBeat
from jitui.aftersales.provider import BOTH
from jitui.aftersales.queries import OpenRefunds, ProviderTroubleSeen, UnbalancedOrder
from tests.aftersales.market import NOW, Market
from tests.aftersales.test_pay import DECLINED, PENDING, SUCCEEDED, UNKNOWN, start_paying

AN_HOUR = timedelta(hours=1)
BEAT = WorkerBeat("w-1", NOW, ("simulator",))


@dataclass(frozen=True)
class Looking:
    """What a watcher needs, on a market's database."""

    queries: PostgresQueries
    tasks: PostgresTasks
    expected: Expected


def looking(market: Market) -> Looking:
    return Looking(market.queries, PostgresTasks(market.pool), Expected({"simulator": BOTH}, timedelta(seconds=10)))


async def execute(market: Market, statement: LiteralString, *values: object) -> None:
    async with market.pool.connection() as connection:
        await connection.execute(statement, values)


async def tasks(market: Market) -> Mapping[str, list[TaskState]]:
    """The states of the tasks of each kind, newest first."""
    found: dict[str, list[TaskState]] = {}
    for task in await PostgresTasks(market.pool).list(TaskFilter(limit=1000)):
        found.setdefault(task.kind.value, []).append(task.state)
    return found


# Reading -----------------------------------------------------------------------------------------------------------


async def test_refunds_are_told_by_provider_and_state_with_the_age_of_the_oldest(market: Market) -> None:
    await (await start_paying(market, "paid")).hears(SUCCEEDED)
    await (await start_paying(market, "failed")).hears(DECLINED, now=NOW + timedelta(minutes=3))
    await (await start_paying(market, "unknown")).hears(UNKNOWN)
    await start_paying(market, "sending")
    buyer = await market.premium_buyer("b-queued")
    await market.paid_order(buyer, "o-queued")
    await market.asked(buyer, "o-queued")
    state = await market.queries.operations(NOW + timedelta(seconds=61))
    assert {found.state: (found.count, found.oldest_at - NOW, found.due_since) for found in state.refunds} == {
        RefundState.FAILED: (1, timedelta(minutes=3), None),
        RefundState.UNKNOWN: (1, timedelta(), state.refunds[3].due_since),
        RefundState.SENDING: (1, timedelta(), NOW + timedelta(seconds=60)),
        RefundState.QUEUED: (1, timedelta(), NOW),
    }
    assert {found.provider for found in state.refunds} == {"simulator"}
    before = await market.queries.operations(NOW)
    assert {found.state: found.due_since for found in before.refunds if found.due_since} == {RefundState.QUEUED: NOW}
    assert state.open_tasks == {"refund_failed": 1}


async def test_an_accepted_refund_is_as_old_as_its_attempt(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(PENDING, now=NOW + AN_HOUR)
    assert (await market.queries.operations(NOW)).refunds == (
        OpenRefunds("simulator", RefundState.PENDING, 1, NOW, None),
    )


async def test_a_worker_is_seen_by_the_databases_clock_until_it_leaves(market: Market) -> None:
    workers = PostgresWorkers(market.pool)
    await workers.beat(BEAT)
    trouble = {"simulator": ProviderTroubleSeen("timed_out", "no answer in time", NOW)}
    await workers.beat(replace(BEAT, started_at=NOW + AN_HOUR, trouble=trouble))
    await workers.beat(replace(BEAT, name="w-2"))
    first, second = (await market.queries.operations(NOW)).workers
    assert (first.name, first.started_at, first.providers, first.trouble) == (
        "w-1",
        NOW + AN_HOUR,
        BEAT.providers,
        trouble,
    )
    assert 0 <= first.seen_seconds_ago < 60
    await execute(market, "UPDATE worker SET seen_at = seen_at - interval '1 day' WHERE name = 'w-2'")
    _, second = (await market.queries.operations(NOW)).workers
    assert 86_400 <= second.seen_seconds_ago < 86_500
    await workers.forget(timedelta(days=2))
    assert len((await market.queries.operations(NOW)).workers) == 2
    await workers.forget(timedelta(hours=23))
    await workers.leave("w-1")
    assert (await market.queries.operations(NOW)).workers == ()


# The ledger --------------------------------------------------------------------------------------------------------

TAMPERING: dict[str, tuple[LiteralString, str, int, int]] = {
    "a capture that was never posted": (
        "DELETE FROM ledger WHERE posting LIKE 'captured:%%' AND order_id = 'o-1'",
        "captured",
        0,
        10_000,
    ),
    "a payment that grew": (
        "UPDATE tender SET captured_minor = 10001 WHERE order_id = 'o-1'",
        "captured",
        10_000,
        10_001,
    ),
    "a refund that was never posted": (
        "DELETE FROM ledger WHERE posting LIKE 'paid:%%' AND order_id = 'o-1'",
        "paid_back",
        0,
        10_000,
    ),
    "an amount that was changed": (
        "UPDATE ledger SET amount_minor = 9999 WHERE posting LIKE 'granted:%%' AND order_id = 'o-1'",
        "promised",
        -1,
        0,
    ),
    "money that was taken back without a word": (
        "UPDATE tender SET refunded_minor = 0, lost_minor = 1 WHERE order_id = 'o-1'",
        "charged_back",
        0,
        1,
    ),
    "an escrow that gave more than it had": (
        "UPDATE ledger SET amount_minor = 9999 WHERE posting LIKE 'captured:%%' AND order_id = 'o-1'",
        "escrow",
        1,
        0,
    ),
}


@pytest.mark.parametrize("name", TAMPERING)
async def test_what_somebody_else_wrote_is_an_unbalanced_order(market: Market, name: str) -> None:
    await (await start_paying(market)).hears(SUCCEEDED)
    await start_paying(market, "2")
    assert await market.queries.unbalanced_orders(None, 10) == []
    statement, what, ledger_minor, order_minor = TAMPERING[name]
    await execute(market, statement)
    found = await market.queries.unbalanced_orders(None, 10)
    assert UnbalancedOrder("o-1", "CNY", what, ledger_minor, order_minor) in found
    assert {one.order_id for one in found} == {"o-1"}
    assert len(await market.queries.unbalanced_orders(None, 1)) == 1


async def test_only_orders_with_a_posting_since_then_are_looked_at_and_those_with_an_open_task(market: Market) -> None:
    await start_paying(market)
    await execute(market, "UPDATE tender SET captured_minor = captured_minor + 1")
    assert len(await market.queries.unbalanced_orders(NOW, 10)) == 1
    assert await market.queries.unbalanced_orders(NOW + timedelta(seconds=1), 10) == []
    task = task_of_condition("ledger_unbalanced:o-1", TaskKind.LEDGER_UNBALANCED, {}, NOW, order_id="o-1")
    await PostgresTasks(market.pool).open([task])
    assert len(await market.queries.unbalanced_orders(NOW + timedelta(seconds=1), 10)) == 1


async def test_an_order_without_any_posting_is_found_when_all_are_checked(market: Market) -> None:
    await market.paid_order("b-1", "o-1")
    await execute(market, "DELETE FROM ledger")
    assert [one.what for one in await market.queries.unbalanced_orders(None, 10)] == ["captured"]


# Looking -----------------------------------------------------------------------------------------------------------


async def test_a_condition_is_one_task_while_it_lasts_and_another_when_it_comes_back(
    market: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    watch, parts = Watch(), looking(market)
    later = NOW + AN_HOUR
    for _ in range(3):
        await watch.look(parts, later)
    assert await tasks(market) == {"roll_up_stale": [TaskState.OPEN], "no_worker": [TaskState.OPEN]}
    await market.feed.roll_up(later)
    await watch.look(parts, later)
    assert await tasks(market) == {"roll_up_stale": [TaskState.RESOLVED], "no_worker": [TaskState.RESOLVED]}
    lines = [line.split(" ", 1)[1] for line in capsys.readouterr().err.splitlines()]
    assert [line for line in lines if line.startswith("[warning] roll_up_stale task=")] == lines[1:2]
    assert [line for line in lines if line.startswith("[warning] no_worker task=")] == lines[:1]
    assert sorted(lines[2:]) == [
        "[info] no_worker_ended note='It has ended by itself.'",
        "[info] roll_up_stale_ended note='It has ended by itself.'",
    ]
    await watch.look(parts, later + AN_HOUR)
    assert (await tasks(market))["roll_up_stale"] == [TaskState.OPEN, TaskState.RESOLVED]


async def test_of_many_who_look_at_once_one_opens_and_one_closes(
    market: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    parts, later = looking(market), NOW + AN_HOUR
    seen = await asyncio.gather(*(Watch().look(parts, later + n * timedelta(milliseconds=1)) for n in range(8)))
    assert sorted(task.kind for one in seen for task in one.opened) == [TaskKind.NO_WORKER, TaskKind.ROLL_UP_STALE]
    await market.feed.roll_up(later)
    seen = await asyncio.gather(*(Watch().look(parts, later) for _ in range(8)))
    assert sorted(task.kind for one in seen for task in one.ended) == [TaskKind.NO_WORKER, TaskKind.ROLL_UP_STALE]
    assert len(capsys.readouterr().err.splitlines()) == 4


async def test_looking_leaves_other_tasks_alone(market: Market) -> None:
    await (await start_paying(market)).hears(DECLINED)
    await Watch().look(looking(market), NOW)
    assert await tasks(market) == {"refund_failed": [TaskState.OPEN]}


async def test_what_a_person_closes_while_it_stands_is_opened_anew(market: Market) -> None:
    parts, later = looking(market), NOW + AN_HOUR
    (task, *_) = (await Watch().look(parts, later)).opened
    await parts.tasks.resolve(task.task_id, note="I know.", by="li.na", now=later)
    observed = await Watch().look(parts, later + timedelta(seconds=20))
    assert [opened.kind for opened in observed.opened] == [task.kind]


async def test_an_unbalanced_order_stays_a_task_until_it_is_mended(market: Market) -> None:
    """Also when nothing more is posted, and the look goes no further back than the last one."""
    await start_paying(market)
    watch, parts = Watch(), looking(market)
    await execute(market, "UPDATE tender SET captured_minor = captured_minor + 1")
    (task,) = of_kind((await watch.look(parts, NOW)).opened, TaskKind.LEDGER_UNBALANCED)
    assert (task.order_id, task.amount_minor) == ("o-1", 1)
    later = NOW + AN_HOUR
    await market.feed.roll_up(later)
    assert of_kind((await watch.look(parts, later)).ended, TaskKind.LEDGER_UNBALANCED) == []
    await execute(market, "UPDATE tender SET captured_minor = captured_minor - 1")
    (ended,) = of_kind((await watch.look(parts, later + AN_HOUR)).ended, TaskKind.LEDGER_UNBALANCED)
    assert (ended.task_id, ended.resolved_by) == (task.task_id, "jitui")


def of_kind(found: tuple[OperatorTask, ...], kind: TaskKind) -> list[OperatorTask]:
    return [task for task in found if task.kind is kind]


async def test_the_ledger_is_looked_at_every_five_minutes_from_five_minutes_before_the_last_look(
    market: Market,
) -> None:
    """For what was committed late; and not from the beginning, which would take longer every day."""
    await start_paying(market)  # posted at NOW
    watch, parts = Watch(), looking(market)

    async def looked(minutes: float) -> int:
        observed = await watch.look(parts, NOW + timedelta(minutes=minutes))
        return len(of_kind(observed.opened, TaskKind.LEDGER_UNBALANCED))

    assert await looked(4) == 0
    await execute(market, "UPDATE tender SET captured_minor = captured_minor + 1")
    assert await looked(8.99) == 0
    assert await looked(9) == 1
    await execute(market, "UPDATE task SET kind = 'paid_twice'")
    assert await looked(14) == 0, "its posting is older than five minutes before the last look"


async def test_who_does_not_read_the_ledger_closes_no_task_about_it(market: Market) -> None:
    await start_paying(market)
    parts, reader, other = looking(market), Watch(), Watch(reads_ledger=False)
    await execute(market, "UPDATE tender SET captured_minor = captured_minor + 1")
    assert of_kind((await other.look(parts, NOW)).opened, TaskKind.LEDGER_UNBALANCED) == []
    await reader.look(parts, NOW)
    for watch in (other, reader):
        assert of_kind((await watch.look(parts, NOW)).ended, TaskKind.LEDGER_UNBALANCED) == []


async def test_the_first_look_at_the_ledger_goes_an_hour_back(market: Market) -> None:
    await start_paying(market)
    await execute(market, "UPDATE tender SET captured_minor = captured_minor + 1")
    late = await Watch().look(looking(market), NOW + AN_HOUR + timedelta(seconds=1))
    assert of_kind(late.opened, TaskKind.LEDGER_UNBALANCED) == []
    observed = await Watch().look(looking(market), NOW + AN_HOUR)
    assert len(of_kind(observed.opened, TaskKind.LEDGER_UNBALANCED)) == 1


async def test_every_condition_of_the_database_is_a_task_and_a_line_of_the_log(
    market: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    """One service with everything wrong; a provider's trouble is told by the worker that has it."""
    parts, workers = looking(market), PostgresWorkers(market.pool)
    await (await start_paying(market)).hears(UNKNOWN)
    buyer = await market.premium_buyer("b-9")
    await market.paid_order(buyer, "o-9")
    await market.asked(buyer, "o-9")
    await execute(market, "UPDATE refund SET provider = 'paypal' WHERE order_id = 'o-9'")
    await execute(market, "UPDATE tender SET captured_minor = captured_minor + 1 WHERE order_id = 'o-9'")
    trouble = {"simulator": ProviderTroubleSeen("unauthorised", "401", NOW)}
    await workers.beat(replace(BEAT, trouble=trouble))
    await workers.beat(replace(BEAT, name="w-2"))
    await execute(market, "UPDATE worker SET seen_at = seen_at - interval '2 minutes' WHERE name = 'w-2'")
    await Watch().look(parts, NOW + AN_HOUR)
    assert set(await tasks(market)) == {
        "outcome_overdue",
        "provider_not_configured",
        "provider_trouble",
        "ledger_unbalanced",
        "roll_up_stale",
        "worker_silent",
    }
    await workers.leave("w-1")
    await workers.leave("w-2")
    await Watch().look(parts, NOW + AN_HOUR + GRACE)
    assert "no_worker" in await tasks(market)
    told = [line.split(" ")[2] for line in capsys.readouterr().err.splitlines() if "[warning]" in line]
    assert sorted(told) == [
        "ledger_unbalanced",
        "no_worker",
        "outcome_overdue",
        "provider_not_configured",
        "roll_up_stale",
        "worker_silent",
    ]


async def test_a_change_that_nobody_confirmed_in_time_is_a_task_until_it_is(market: Market) -> None:
    await execute(
        market,
        "INSERT INTO confirmation (confirmation_id, action, subject, done_by, done_at, reason, confirm_by)"
        " VALUES (gen_random_uuid(), 'pause.set', 'platform', 'ada', %s, 'A fault.', %s)",
        NOW,
        NOW + AN_HOUR,
    )
    watch = Watch(reads_ledger=False)
    await watch.look(looking(market), NOW + AN_HOUR)
    assert "change_unconfirmed" not in await tasks(market)
    for at in (NOW + AN_HOUR + timedelta(seconds=1), NOW + 2 * AN_HOUR):
        await watch.look(looking(market), at)
        assert (await tasks(market))["change_unconfirmed"] == [TaskState.OPEN]
    await execute(market, "DELETE FROM confirmation")
    await watch.look(looking(market), NOW + 3 * AN_HOUR)
    assert (await tasks(market))["change_unconfirmed"] == [TaskState.RESOLVED]
