"""A platform that cannot be read is an operator's task after five minutes, until it is read again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from jitui.aftersales.model.task import NewTask, OperatorTask, TaskFilter, TaskKind, TaskState
from jitui.aftersales.operations.platform_connections import LATE
from jitui.aftersales.operations.watch import Watch
from jitui.aftersales.operations.workers import WorkerBeat
from jitui.bootstrap import Service, open_service
from jitui.entrypoints.cli.doctor_operations import DoctorFinding, Level
from jitui.entrypoints.cli.doctor_platforms import platforms
from jitui.platform_syncing import sync_platforms
from jitui.settings import read_settings
from tests.platforms.market import open_shop_service
from tests.platforms.woocommerce import server as woocommerce_server
from tests.platforms.woocommerce import shop as woocommerce

SECRET = f"{woocommerce.KEY}:{woocommerce.SECRET}"
LATER = LATE + timedelta(seconds=30)


@asynccontextmanager
async def beside(shop: woocommerce.Shop, database_url: str, home: Path) -> AsyncIterator[Service]:
    async with (
        woocommerce_server.serving(shop) as server,
        open_shop_service("woocommerce", server.url, SECRET, database_url, home) as service,
    ):
        yield service


async def looked(service: Service, later: timedelta) -> list[OperatorTask | NewTask]:
    """The open tasks about platforms after a look."""
    await Watch().look(service, service.clock() + later)
    return list(await service.tasks.list(TaskFilter(TaskState.OPEN, kind=TaskKind.PLATFORM_UNREAD)))


async def found(service: Service, later: timedelta = timedelta(0)) -> DoctorFinding:
    state = await service.queries.operations(service.clock())
    connections = await service.platforms.connections.all()
    now = service.clock() + later
    (finding,) = await platforms(connections, state.platforms, state.workers, service.settings, now)
    return finding


async def test_a_key_that_was_withdrawn_is_one_task_until_it_is_read_again(database_url: str, tmp_path: Path) -> None:
    shop = woocommerce.Shop()
    async with beside(shop, database_url, tmp_path) as service:
        await sync_platforms(service)
        key, told = shop.keys.pop(woocommerce.KEY), dict[str, str]()
        with capture_logs() as lines:
            await sync_platforms(service, told)
            await sync_platforms(service, told)
            assert await looked(service, timedelta(0)) == []
            (task,) = await looked(service, LATER)
            assert [one.task_id for one in await looked(service, LATER)] == [task.task_id], (
                "it is one as long as it lasts"
            )
            down = await found(service)
            shop.keys[woocommerce.KEY] = key
            await sync_platforms(service, told)
            await sync_platforms(service, told)
            assert await looked(service, timedelta(0)) == []
        assert (task.provider, "does not take the key" in str(task.evidence["reason"])) == ("woocommerce", True)
        assert down.level is Level.FAILED
        assert "It was last read at" in down.found and "its buyers cannot ask" in down.found
        assert (await found(service)).level is Level.OK
    about = [(line["log_level"], line["event"]) for line in lines if line["event"].startswith("platform_")]
    assert about == [
        ("warning", "platform_unread"),
        ("warning", "platform_unread"),
        ("info", "platform_read_again"),
        ("info", "platform_unread_ended"),
    ], "the reader's and the task's, each once"


async def test_a_connection_that_cannot_be_opened_is_a_task_with_the_reason(database_url: str, tmp_path: Path) -> None:
    async with beside(woocommerce.Shop(), database_url, tmp_path) as service:
        await sync_platforms(service)
    (tmp_path / "key").unlink()
    async with open_service(read_settings({"JITUI_HOME": str(tmp_path)}), database_url) as without:
        await sync_platforms(without)
        (task,) = await looked(without, LATER)
        assert "cannot be read, since it does not exist" in str(task.evidence["reason"])
        assert (await without.platforms.states.state("woocommerce")).synced_at is not None, "how far it was read stays"
        await without.platforms.connections.remove("woocommerce", by="test", now=without.clock())
        await sync_platforms(without)
        assert await looked(without, LATER) == []
        assert (await without.platforms.states.state("woocommerce")).problem == "", "it is forgotten"


@pytest.mark.parametrize("by_file", [False, True])
async def test_a_worker_that_started_before_the_new_key_is_named(
    database_url: str, tmp_path: Path, by_file: bool
) -> None:
    async with beside(woocommerce.Shop(), database_url, tmp_path) as service:
        await sync_platforms(service)
        started = service.clock()
        await service.workers.beat(WorkerBeat("w-1", started, ("woocommerce",)))
        assert (await found(service)).level is Level.OK
        if by_file:
            (tmp_path / "key").write_text(SECRET)
        else:
            (one,) = await service.platforms.connections.all()
            await service.platforms.connections.remove("woocommerce", by="test", now=started)
            from dataclasses import replace

            await service.platforms.connections.put(replace(one, connected_at=service.clock()))
        finding = await found(service)
        assert (finding.level, "after w-1 started" in finding.found) == (Level.FAILED, True)
        assert "start the workers and servers again" in finding.mend
