"""What an operator sees of a running service: workers that live, stop and die, and providers that cannot be used."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jitui.adapters.postgres.tasks import PostgresTasks
from jitui.aftersales.model.task import TaskFilter, TaskKind
from jitui.aftersales.operations.conditions import SILENT_AFTER
from jitui.aftersales.operations.watch import Watch
from jitui.bootstrap import Service, open_service, utc_now
from jitui.watching import watching
from tests.aftersales.market import Market, open_market
from tests.provider_simulator.server import SimulatorProcess
from tests.worker.paying import approve, paid_market_with, settings_of, until, worker_process, working


@pytest.fixture
async def market(database_url: str) -> AsyncIterator[Market]:
    async with open_market(database_url, now=utc_now()) as opened:
        yield opened


@pytest.fixture
async def service(
    market: Market, database_url: str, simulator: SimulatorProcess, tmp_path: Path
) -> AsyncIterator[Service]:
    settings = settings_of(database_url, simulator, tmp_path, worker_name="w-1")
    async with open_service(settings, database_url) as opened:
        yield opened


async def names(market: Market) -> list[str]:
    return [worker.name for worker in (await market.queries.operations(utc_now())).workers]


async def open_kinds(market: Market) -> set[TaskKind]:
    found = await PostgresTasks(market.pool).list(TaskFilter(limit=1000))
    return {task.kind for task in found if task.resolved_at is None}


async def test_a_worker_is_seen_while_it_works_and_takes_its_row_with_it(service: Service, market: Market) -> None:
    async with working(service):
        await until(lambda: _is(market, ["w-1"]))
        (worker,) = (await market.queries.operations(utc_now())).workers
        assert (worker.providers, worker.trouble) == (("simulator",), {})
    assert await names(market) == []


async def _is(market: Market, wanted: list[str]) -> bool:
    return await names(market) == wanted


async def test_a_killed_worker_is_a_task_of_whoever_still_looks(
    service: Service, market: Market, database_url: str, simulator: SimulatorProcess, tmp_path: Path
) -> None:
    """Here a process of the API: no other worker is there to see it."""
    with worker_process(replace(service.settings, worker_name=None)) as process:
        await until(lambda: _some(market))
        process.send_signal(signal.SIGKILL)
        process.wait()
    await _two_minutes_later(market)
    async with watching(service):
        await until(lambda: _stands(market, {TaskKind.WORKER_SILENT, TaskKind.NO_WORKER, TaskKind.ROLL_UP_STALE}))
    with worker_process(replace(service.settings, worker_name=None)):
        await until(lambda: _stands(market, set()))


async def _some(market: Market) -> bool:
    return len(await names(market)) == 1


async def _stands(market: Market, wanted: set[TaskKind]) -> bool:
    return await open_kinds(market) == wanted


async def _two_minutes_later(market: Market) -> None:
    """The database's clock cannot be moved; the marks that it made can."""
    async with market.pool.connection() as connection:
        await connection.execute("UPDATE worker SET seen_at = seen_at - interval '2 minutes'")
        await connection.execute("UPDATE roll_up SET as_of = as_of - interval '2 minutes'")


async def test_a_worker_that_is_told_to_stop_is_no_silent_one(
    service: Service, market: Market, database_url: str
) -> None:
    with worker_process(service.settings) as process:
        await until(lambda: _some(market))
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
    assert await names(market) == []


@pytest.mark.parametrize(
    ("wrong", "trouble"),
    [
        ({"simulator_key": "a-key-that-is-not-its"}, "unauthorised"),
        ({"simulator_url": "http://127.0.0.1:9"}, "unreachable"),
    ],
)
async def test_a_provider_that_cannot_be_used_is_said_once_with_the_reason(
    market: Market,
    database_url: str,
    simulator: SimulatorProcess,
    tmp_path: Path,
    wrong: dict[str, Any],
    trouble: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = replace(settings_of(database_url, simulator, tmp_path, worker_name="w-1"), **wrong)
    async with paid_market_with(market, settings, simulator, 5) as paid_market, working(paid_market.service):
        await until(paid_market.all_unknown)
        await until(lambda: _told(market, trouble), seconds=90)
        observed = await Watch().look(paid_market.service, utc_now())
        (task,) = (task for task in observed.opened if task.kind is TaskKind.PROVIDER_TROUBLE)
        assert (task.provider, task.evidence["trouble"]) == ("simulator", trouble)
    lines = [line for line in capsys.readouterr().err.splitlines() if "trouble" in line]
    assert len(lines) == 1, lines
    assert f"[warning] provider_trouble_began provider='simulator' trouble='{trouble}' reason=" in lines[0]


async def _told(market: Market, trouble: str) -> bool:
    """The worker has said so at its next sign of life."""
    state = await market.queries.operations(utc_now())
    return [seen.kind for worker in state.workers for seen in worker.trouble.values()] == [trouble]


async def test_refunds_that_nobody_can_pay_are_a_task_and_an_end_of_it(
    service: Service, market: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    await approve(market, ["elsewhere"], now=utc_now(), provider="elsewhere")
    watch = Watch()
    later = utc_now() + 2 * SILENT_AFTER
    await market.feed.roll_up(later)
    await watch.look(service, later)
    assert await open_kinds(market) == {TaskKind.PROVIDER_NOT_CONFIGURED}
    async with market.pool.connection() as connection:
        await connection.execute("UPDATE refund SET provider = 'simulator'")
    await watch.look(service, later)
    assert await open_kinds(market) == set()
    lines = [line for line in capsys.readouterr().err.splitlines() if "provider_not_configured" in line]
    told = [line.split(" ", 1)[1] for line in lines]
    assert [line.split(" task=")[0] for line in told] == [
        "[warning] provider_not_configured",
        "[info] provider_not_configured_ended of='elsewhere' note='It has ended by itself.'",
    ]
