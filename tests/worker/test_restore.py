"""After a restore from a backup, refunds that were paid since are found at the provider, and not paid again."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from jitui.adapters import embedded_postgres
from jitui.adapters.embedded_postgres import EmbeddedServer, ServerOptions
from jitui.adapters.postgres import queue
from jitui.adapters.postgres.migrate import upgrade
from jitui.adapters.postgres.payout_hold import PostgresPayoutHold
from jitui.aftersales.commands.pay import refund_instruction
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.task import TaskFilter, TaskKind, TaskState
from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.ports import RefundRef
from jitui.aftersales.provider import RefundResultKind
from jitui.aftersales.reconciliation.restore import (
    ProviderRefund,
    RestoreReport,
    check_restore,
    explain_refunds,
    lost_refund,
)
from jitui.bootstrap import Service, open_service, utc_now
from jitui.ids import new_id
from jitui.policy import Policy
from jitui.worker import pay_due
from tests.aftersales.market import DEFAULT_POLICY, Market, open_market
from tests.provider_simulator.server import SimulatorProcess
from tests.worker.paying import PaidMarket, approve, books, settings_of, tell, until, working

SMALL = ServerOptions(durable=False, shared_buffers_mb=32)
PLAIN, POINT_IN_TIME = "a base backup that is started as it is", "a restore to a point in time"


@dataclass
class Installation:
    """A server of the test's own, its backups, and a provider that outlives it."""

    folder: Path
    server: EmbeddedServer
    simulator: SimulatorProcess

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def back_up(self) -> Path:
        """The server's files as of now."""
        backup = new_folder()
        embedded_postgres.base_backup(self.server, backup)
        return backup

    def restore(self, backup: Path, how: str) -> None:
        """The server is gone; its backup is started in its place."""
        embedded_postgres.stop(self.server)
        data = backup / "data"
        if how == POINT_IN_TIME:
            lines = ["restore_command = 'false'", "recovery_target = 'immediate'", "recovery_target_action = 'promote'"]
            with (data / "postgresql.auto.conf").open("a") as file:
                file.writelines(f"{line}\n" for line in lines)
            (data / "recovery.signal").touch()
            owner = data.stat()
            os.chown(data / "recovery.signal", owner.st_uid, owner.st_gid)
        self.server = embedded_postgres.start(backup, SMALL)

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Service]:
        settings = settings_of(self.server.url, self.simulator, self.home)
        async with open_service(settings, self.server.url) as service:
            yield service

    @asynccontextmanager
    async def market(self) -> AsyncIterator[Market]:
        async with open_market(self.server.url, now=utc_now()) as market:
            yield market

    async def paid(self) -> tuple[object, object]:
        """By the provider's own books: how much, and what it paid twice."""
        found = await books(self.simulator)
        return found["totals"], found["paid_twice"]


def new_folder() -> Path:
    """Where the account of a server that root starts can reach it."""
    return Path(tempfile.mkdtemp(prefix="jitui_restore_"))


@pytest.fixture
def installed(tmp_path: Path, simulator: SimulatorProcess) -> Iterator[Installation]:
    server = embedded_postgres.start(new_folder(), SMALL)
    made = Installation(tmp_path, server, simulator)
    try:
        upgrade(server.url)
        yield made
    finally:
        embedded_postgres.stop(made.server)
        for folder in {server.folder, made.server.folder}:
            shutil.rmtree(folder)


@pytest.fixture
async def service(database_url: str, tmp_path: Path, simulator: SimulatorProcess) -> AsyncIterator[Service]:
    async with open_service(settings_of(database_url, simulator, tmp_path), database_url) as service:
        yield service


@pytest.fixture
async def market(database_url: str) -> AsyncIterator[Market]:
    async with open_market(database_url, now=utc_now()) as market:
        yield market


async def compared(service: Service) -> RestoreReport:
    return await check_restore(service.restoring(), utc_now() - timedelta(hours=1), {})


async def asked(market: Market, name: str) -> TicketState:
    """A buyer for whom everything holds places, pays and asks."""
    now = utc_now()
    buyer = await market.premium_buyer(f"b-{name}", now)
    await market.paid_order(buyer, f"o-{name}", now=now)
    return (await market.asked(buyer, f"o-{name}", now=now)).state


async def tasks_of(service: Service) -> list[TaskKind]:
    return [task.kind for task in await service.tasks.list(TaskFilter(TaskState.OPEN))]


@pytest.mark.parametrize("how", [PLAIN, POINT_IN_TIME])
async def test_a_hundred_refunds_that_were_paid_after_the_backup_are_not_paid_again(
    installed: Installation, how: str
) -> None:
    async with installed.market() as market, installed.service() as service:
        refs = await approve(market, [str(number) for number in range(110)], now=utc_now())
        await tell(installed.simulator, refs)
        for claim in await service.store.claim_refunds(now=utc_now(), lease_until=utc_now(), limit=10):
            instruction = refund_instruction(claim.refund, claim.attempt)
            await service.providers["simulator"].send(instruction)  # and the backup does not know the answer
        backup = installed.back_up()
        async with working(service):
            await until(PaidMarket(service, market, refs).all_refunded, seconds=120)
    paid = await installed.paid()

    installed.restore(backup, how)
    async with installed.market() as market, installed.service() as service:
        async with working(service):
            await asyncio.sleep(2.0)
            assert await installed.paid() == paid, "nothing is paid before somebody has looked"
            assert not (await service.payouts.status()).allowed
            assert await asked(market, "held") is TicketState.AWAITING_MERCHANT, "its history may be lost"
        first, second = await compared(service), await compared(service)
        assert (first.looked_up, first.listed, first.known, first.adopted) == (10, 110, 10, 100)
        assert (second.looked_up, second.listed, second.known, second.adopted) == (0, 110, 110, 0)
        assert (first.unexplained, first.unchecked, await tasks_of(service)) == ([], [], [])
        await service.payouts.accept(note="", by="li.na", now=utc_now())
        await market.feed.roll_up(utc_now())
        assert await asked(market, "after") is TicketState.REFUNDING
        async with working(service):
            await until(PaidMarket(service, market, refs).all_refunded)
    assert await installed.paid() == paid, "the new refund's payment is unknown there, and no other was paid again"


async def test_a_refund_whose_request_is_lost_holds_its_order_until_it_is_explained(installed: Installation) -> None:
    """The buyer asked, and was paid, after the backup; asking again finds the money gone, and is told so."""
    async with installed.market() as market, installed.service() as service:
        now = utc_now()
        buyer = await market.premium_buyer("b-1", now)
        ref = await market.paid_order(buyer, "o-1", amounts=(6_000, 4_000), now=now)
        await tell(installed.simulator, [ref])
        backup = installed.back_up()
        await market.asked(buyer, "o-1", lines=[("l1", 1)], now=now)
        assert await pay_due(service) == 1
    paid = await installed.paid()

    installed.restore(backup, POINT_IN_TIME)
    async with installed.market() as market, installed.service() as service:
        status = await service.payouts.status()
        assert (status.allowed, status.held_since, status.timeline_id) == (False, None, 2), "by its timeline alone"
        for _ in range(2):
            assert [task.order_id for task in (await compared(service)).unexplained] == ["o-1"]
        assert await tasks_of(service) == [TaskKind.REFUND_NOT_IN_BOOKS]
        await service.payouts.accept(note="", by="li.na", now=utc_now())
        now = utc_now() + timedelta(minutes=2)
        other = await market.asked(buyer, "o-1", lines=[("l2", 1)], now=utc_now())
        assert (other.state, await pay_due(service)) == (TicketState.REFUNDING, 0), "what is left may be too little"
        await market.feed.roll_up(now)
        again = await market.asked(buyer, "o-1", lines=[("l1", 1)], now=now)
        assert (again.state, await pay_due(service)) == (TicketState.REFUNDING, 0)
        assert await installed.paid() == paid
        assert (await explain_refunds(service.restoring()), await explain_refunds(service.restoring())) == (1, 0)
        snapshot = await service.store.read_order(ref)
        assert snapshot is not None
        states = {ticket.ticket_id: ticket.state for ticket in snapshot.tickets}
        assert states[again.ticket_id] is TicketState.REFUNDED
        assert await tasks_of(service) == []
        assert await pay_due(service) == 1, "the order's other refund goes on"
    assert (await installed.paid())[1] == []


async def test_a_worker_that_starts_again_knows_that_its_database_went_back(installed: Installation) -> None:
    """However much was written since: the size of the log says nothing after an hour of requests."""
    async with installed.market() as market, installed.service() as service:
        await service.payouts.mark(utc_now())
        backup = installed.back_up()
        for _ in range(5):
            await service.payouts.mark(utc_now())
    installed.restore(backup, PLAIN)
    async with installed.market() as market, installed.service() as service:
        await approve(market, [str(number) for number in range(30)], now=utc_now())
        assert (await service.payouts.status()).allowed, "the database itself cannot know"
        await service.payouts.mark(utc_now())
        status = await service.payouts.status()
        assert (status.allowed, status.held_by) == (False, "worker")
        assert "restored" in (status.held_reason or "")
        await service.payouts.accept(note="", by="li.na", now=utc_now())
        for _ in range(2):
            await service.payouts.mark(utc_now())
            assert (await service.payouts.status()).allowed, "what was accepted is marked anew"


async def test_a_dump_that_is_loaded_into_another_server_is_another_database(service: Service, market: Market) -> None:
    async with market.pool.connection() as connection:
        await connection.execute("UPDATE accepted_database SET system_id = system_id + 1")
    for hold in (False, True):
        if hold:
            await service.payouts.hold(reason="it has no row", by="li.na", now=utc_now())
        status = await service.payouts.status()
        assert (status.allowed, status.accepted_timeline_id, status.held_since) == (False, None, None)
    await service.payouts.mark(utc_now())
    assert (await service.payouts.status()).last_seen_at is None, "nothing is marked while payouts are held"
    await service.payouts.accept(note="", by="li.na", now=utc_now())
    assert (await service.payouts.status()).allowed


async def test_marks_of_a_database_that_went_on_hold_nothing(service: Service, tmp_path: Path) -> None:
    for _ in range(3):
        await service.payouts.mark(utc_now())
    (tmp_path / "worker-marks.json").write_bytes(b'{"home_id": "cut o')
    await service.payouts.mark(utc_now())
    shared = PostgresPayoutHold(service.payouts._pool, tmp_path / "worker-marks.json", queue.SeenLog())  # type: ignore[attr-defined]  # another process of the same home
    for payouts in (service.payouts, shared, shared, service.payouts):
        await payouts.mark(utc_now())
    assert (await service.payouts.status()).allowed


async def test_a_backup_that_is_put_beneath_a_running_worker_is_held_before_anything_is_claimed(
    service: Service, market: Market
) -> None:
    await approve(market, ["1"], now=utc_now())
    later = utc_now() + timedelta(hours=1)
    async with market.pool.connection() as connection:
        seen = queue.SeenLog()
        assert await queue.claim_refunds(connection, seen, now=utc_now(), lease_until=later, limit=0) == []
        assert seen.latest is not None
        seen.latest = replace(seen.latest, position=seen.latest.position + 1_000_000_000)
        assert await queue.claim_refunds(connection, seen, now=later, lease_until=later, limit=9) == []
        assert not (await service.payouts.status()).allowed
        assert await queue.claim_refunds(connection, queue.SeenLog(), now=later, lease_until=later, limit=9) == []


@pytest.mark.parametrize(
    ("found", "behind"),
    [((7, 1, 99), True), ((7, 1, 100), False), ((7, 2, 50), False), ((8, 1, 50), False)],
    ids=["shorter", "the same", "another timeline", "another system"],
)
def test_a_log_is_behind_only_itself(found: tuple[int, int, int], behind: bool) -> None:
    seen = queue.SeenLog(queue.LogPosition(7, 1, 100))
    assert queue.LogPosition(*found).is_behind(seen.latest) is behind
    seen.advance(queue.LogPosition(*found))
    assert (seen.latest == queue.LogPosition(7, 1, 100)) is (behind or found == (7, 1, 100))


async def test_a_provider_without_a_list_is_named_and_its_statement_is_taken(service: Service, market: Market) -> None:
    (ref,) = await approve(market, ["1"], now=utc_now())
    blind = replace(service.restoring(), listings={})
    report = await check_restore(blind, utc_now() - timedelta(hours=1), {})
    assert report.unchecked == ["simulator"]
    snapshot = await service.store.read_order(ref)
    assert snapshot is not None
    attempt_id = new_id(ref.lane)
    row = ProviderRefund("simulator", "re_1", ("pay-o-1-1",), 10_000, "CNY", utc_now(), reference=str(attempt_id))
    early = replace(row, provider_refund_id="re_0", at=utc_now() - timedelta(hours=2))
    report = await check_restore(blind, utc_now() - timedelta(hours=1), {"simulator": [early, row]})
    assert (report.listed, report.adopted, report.unchecked) == (1, 1, [])
    assert set(await PaidMarket(service, market, [ref]).tickets()) == {TicketState.REFUNDED}


QUEUED = ProviderRefund("simulator", "re_1", ("pay-o-1-1",), 10_000, "CNY", utc_now())


@pytest.mark.parametrize(("told", "opened"), [(True, 1), (False, 0), (None, 0)])
async def test_a_list_says_whose_account_paid_and_what_it_does_not_say_is_asked(
    service: Service, market: Market, told: bool | None, opened: int
) -> None:
    policy = Policy.from_text(DEFAULT_POLICY.text + "\nadvance: {at_most_minor: 10000}\n")
    (ref,) = await approve(market.deciding_by(policy), ["1"], now=utc_now())
    blind = replace(service.restoring(), listings={})
    row = replace(QUEUED, reference=str(new_id(ref.lane)), advanced=told)
    await check_restore(blind, utc_now() - timedelta(hours=1), {"simulator": [row]})
    assert len(await service.queries.incidents(IncidentFilter(limit=5))) == opened
    snapshot = await service.store.read_order(ref)
    assert snapshot is not None and snapshot.refunds[0].state is RefundState.SUCCEEDED
    assert (snapshot.refunds[0].due_at is not None) is (told is None)


@pytest.mark.parametrize(
    "other",
    [
        replace(QUEUED, amount_minor=9_999),
        replace(QUEUED, currency="USD"),
        replace(QUEUED, payment_ids=("pay-o-2-1",)),
        replace(QUEUED, provider="stripe"),
    ],
    ids=["amount", "currency", "payment", "provider"],
)
async def test_a_refund_is_taken_for_ours_by_payment_amount_and_currency(
    service: Service, market: Market, other: ProviderRefund
) -> None:
    (ref,) = await approve(market, ["1"], now=utc_now())
    snapshot = await service.store.read_order(ref)
    assert snapshot is not None
    assert lost_refund(snapshot, QUEUED) == snapshot.refunds[0]
    assert lost_refund(snapshot, other) is None


@pytest.mark.parametrize("reference", [None, "order 7", "01a21ac3-b610-7137-af74-91db941ba401", ""])
async def test_a_refund_that_somebody_made_at_the_provider_is_a_task_and_not_ours(
    service: Service, market: Market, reference: str | None
) -> None:
    (ref,) = await approve(market, ["1"], now=utc_now())
    assert ref.lane != 1
    listed = replace(QUEUED, at=utc_now(), reference=reference)
    report = await check_restore(service.restoring(), utc_now() - timedelta(hours=1), {"simulator": [listed]})
    assert (report.adopted, len(report.unexplained)) == (0, 1)
    (task,) = report.unexplained
    await service.tasks.resolve(task.task_id, note="made for another order", by="li.na", now=utc_now())
    again = await check_restore(service.restoring(), utc_now() - timedelta(hours=1), {"simulator": [listed]})
    assert again.unexplained == [], "a person has explained it"
    assert await PaidMarket(service, market, [ref]).tickets() == [TicketState.REFUNDING]


async def test_of_two_that_begin_an_attempt_of_a_queued_refund_one_does(service: Service, market: Market) -> None:
    (ref,) = await approve(market, ["1"], now=utc_now())
    snapshot = await service.store.read_order(ref)
    assert snapshot is not None
    refund = RefundRef(ref.lane, snapshot.refunds[0].refund_id)
    now = utc_now()
    begun = [
        service.payouts.begin_attempt(refund, new_id(ref.lane), now=now, lease_until=now + timedelta(minutes=1))
        for _ in range(4)
    ]
    assert sorted(await asyncio.gather(*begun)) == [False, False, False, True]
    snapshot = await service.store.read_order(ref)
    assert snapshot is not None and len(snapshot.attempts) == 1


async def test_a_refund_that_came_back_leaves_the_money_owed(service: Service, market: Market) -> None:
    (ref,) = await approve(market, ["1"], now=utc_now())
    returned = replace(QUEUED, at=utc_now(), reference=str(new_id(ref.lane)), kind=RefundResultKind.DECLINED)
    report = await check_restore(service.restoring(), utc_now() - timedelta(hours=1), {"simulator": [returned]})
    assert (report.adopted, report.unexplained) == (0, [])
    assert len(await service.store.claim_refunds(now=utc_now(), lease_until=utc_now(), limit=1)) == 1


async def test_silence_approves_nothing_while_payouts_are_held(service: Service, market: Market) -> None:
    now = utc_now()
    await market.paid_order("stranger", "o-1", now=now)
    waiting = await market.asked("stranger", "o-1", now=now)
    assert waiting.expires_at is not None
    await service.payouts.hold(reason="a copy of the disk", by="li.na", now=now)
    await service.payouts.hold(reason="again", by="wang", now=now)
    assert (await service.payouts.status()).held_reason == "a copy of the disk"
    assert await service.store.expired_tickets(waiting.expires_at, 10) == []
    await service.payouts.accept(note="", by="li.na", now=now)
    assert len(await service.store.expired_tickets(waiting.expires_at, 10)) == 1
