"""The database's machine dies: a standby that has everything is accepted by itself, any other waits for a person."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from jitui.adapters import embedded_postgres
from jitui.adapters.embedded_postgres import EmbeddedServer
from jitui.adapters.postgres.migrate import upgrade
from jitui.aftersales.model.ticket import TicketState
from jitui.bootstrap import Service, open_service, utc_now
from jitui.demo.failover import SMALL, kill_machine, run_failover, url_of_both
from jitui.errors import Unavailable
from jitui.settings import Settings
from tests.aftersales.market import Market, open_market
from tests.worker.paying import until


def test_what_was_answered_under_load_is_there_after_a_failover_and_paid_once() -> None:
    report = run_failover(7, orders=60)
    assert report.holds, report
    assert (report.answered, report.paid) == (60, report.approved)
    assert report.approved > 10, "some wait for the shop while nobody has accepted the standby"
    assert report.seconds_to_answer is not None


@dataclass
class Pair:
    """A primary that waits for its standby at every commit."""

    primary: EmbeddedServer
    standby: EmbeddedServer
    home: Path

    @property
    def url(self) -> str:
        return url_of_both(self.primary, self.standby)

    def settings(self) -> Settings:
        return Settings(home=self.home, database_url=self.url)

    def fail_over(self) -> None:
        kill_machine(self.primary)
        embedded_postgres.promote(self.standby)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    folders = [Path(tempfile.mkdtemp(prefix="jitui_pair_")) for _ in range(2)]
    try:
        primary = embedded_postgres.start(folders[0], SMALL)
        upgrade(primary.url)
        yield Pair(primary, embedded_postgres.start_standby(primary, folders[1], SMALL), tmp_path)
    finally:
        for folder in folders:
            embedded_postgres.shut_down(folder)
            shutil.rmtree(folder)


async def asked(market: Market, name: str) -> TicketState:
    now = utc_now()
    await market.feed.roll_up(now)
    buyer = await market.premium_buyer(f"b-{name}", now)
    await market.paid_order(buyer, f"o-{name}", now=now)
    return (await market.asked(buyer, f"o-{name}", now=now)).state


async def allowed(service: Service) -> bool:
    return (await service.payouts.status()).allowed


async def test_a_synchronous_standby_that_has_everything_is_accepted_by_the_worker_that_saw_it(pair: Pair) -> None:
    async with open_service(pair.settings(), pair.url) as service, open_market(pair.url, now=utc_now()) as market:
        await service.payouts.mark(utc_now())
        assert await asked(market, "1") is TicketState.REFUNDING
        assert len(await service.store.claim_refunds(now=utc_now(), lease_until=utc_now(), limit=1)) == 1
    pair.fail_over()
    stranger = Settings(home=pair.home / "another", database_url=pair.url)
    async with open_service(stranger, pair.url) as service:
        assert not await allowed(service), "a promotion may be a restore"
        assert not await service.payouts.accept_promotion(utc_now()), "this worker has seen nothing of it"
    async with open_service(pair.settings(), pair.url) as service, open_market(pair.url, now=utc_now()) as market:
        assert await asked(market, "2") is TicketState.AWAITING_MERCHANT
        assert await service.payouts.accept_promotion(utc_now())
        assert not await service.payouts.accept_promotion(utc_now()), "once"
        assert await allowed(service)
        assert await asked(market, "3") is TicketState.REFUNDING
        await service.payouts.mark(utc_now())
        assert await allowed(service), "the marks go on"


@pytest.mark.parametrize("lost", ["commits do not wait", "a mark", "a claim", "held by hand"])
async def test_any_other_promotion_waits_for_a_person(pair: Pair, lost: str) -> None:
    if lost == "commits do not wait":
        with psycopg.connect(pair.primary.url, autocommit=True) as connection:
            connection.execute("ALTER ROLE jitui SET synchronous_commit = local")
    async with open_service(pair.settings(), pair.url) as service, open_market(pair.url, now=utc_now()) as market:
        await service.payouts.mark(utc_now())
        await service.payouts.mark(utc_now())
        await asked(market, "1")
        assert len(await service.store.claim_refunds(now=utc_now(), lease_until=utc_now(), limit=1)) == 1
        if lost == "held by hand":
            await service.payouts.hold(reason="look at it", by="li.na", now=utc_now())
        pair.fail_over()
        with psycopg.connect(pair.standby.url, autocommit=True) as connection:
            if lost == "a mark":
                connection.execute("UPDATE worker_mark SET marks = marks - 1")
            if lost == "a claim":
                connection.execute("DELETE FROM refund_attempt")
        await market.pool.close()
        await until(lambda: _reaches(service))
        assert not await service.payouts.accept_promotion(utc_now())
        assert not await allowed(service)


async def _reaches(service: Service) -> bool:
    try:
        await service.payouts.status()
    except Unavailable:
        return False
    return True


@pytest.mark.parametrize("waits", [True, False], ids=["on", "local"])
async def test_without_its_standby_a_request_waits_or_goes_on_as_synchronous_commit_says(
    pair: Pair, waits: bool
) -> None:
    if not waits:
        with psycopg.connect(pair.primary.url, autocommit=True) as connection:
            connection.execute("ALTER ROLE jitui SET synchronous_commit = local")
    async with open_market(pair.url, now=utc_now()) as market:
        kill_machine(pair.standby)
        asking = asyncio.create_task(asked(market, "1"))
        done, _ = await asyncio.wait([asking], timeout=5.0)
        assert bool(done) is not waits
        if waits:
            embedded_postgres.start(pair.standby.folder, SMALL)
        assert await asyncio.wait_for(asking, 60) is TicketState.REFUNDING
