"""Statements of a real simulator compared with the ledger of orders paid through it: every change is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.intake import capture_payment
from jitui.aftersales.commands.pay import refund_instruction
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.commands.settle_refund import ManualPayout, settle
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.ledger import balances
from jitui.aftersales.model.order import Tender
from jitui.aftersales.model.refund import RefundState
from jitui.aftersales.model.task import OperatorTask, TaskFilter, TaskKind
from jitui.aftersales.model.ticket import Actor, ActorKind, TicketState
from jitui.aftersales.ports import AttemptRef, ClaimedRefund, OrderRef, RefundRef
from jitui.aftersales.provider import RefundResult, RefundResultKind
from jitui.aftersales.reconciliation.match import MovementVerdict
from jitui.aftersales.reconciliation.reconcile import ReconciliationReport, Reconciling, reconcile
from jitui.aftersales.reconciliation.statement import RowKind, window_of
from jitui.bootstrap import Service, open_service, utc_now
from jitui.bootstrap_providers import statement_formats
from jitui.errors import BadInput
from jitui.policy import Policy
from jitui.worker import pay_due
from tests.aftersales.market import DEFAULT_POLICY, RULES, Market, open_market
from tests.provider_simulator.server import SimulatorProcess, StartSimulator, client_of
from tests.worker.paying import PaidMarket, books, settings_of, until, working

OPERATOR = Actor(ActorKind.OPERATOR, "li.na")
Change = Callable[[list[str]], list[str]]


@dataclass(frozen=True)
class Books:
    """An installation, its provider, and the days that the test takes (midnight may pass)."""

    service: Service
    market: Market
    simulator: SimulatorProcess
    folder: Path

    async def order(self, name: str, amount: int) -> OrderRef:
        """A paid order whose refund was approved."""
        now = utc_now()
        buyer = await self.market.premium_buyer(f"b-{name}", now)
        ref = await self.market.paid_order(buyer, f"o-{name}", amounts=(amount,), now=now)
        assert (await self.market.asked(buyer, f"o-{name}", now=now)).state is TicketState.REFUNDING
        async with client_of(self.simulator) as client:
            await client.pay(amount, payment_id=f"pay-o-{name}-1")
        return ref

    async def statement(self, change: Change = lambda lines: lines) -> Path:
        """The simulator's statement of today and the days beside it, tampered with."""
        today = utc_now().date()
        lines: list[str] = []
        async with client_of(self.simulator) as client:
            for day in (today - timedelta(days=1), today, today + timedelta(days=1)):
                got = (await client.call("GET", f"/statement.csv?day={day}")).text.splitlines()
                lines += got[1:] if lines else got
        path = self.folder / "statement.csv"
        path.write_text("\n".join([lines[0], *change(lines[1:])]) + "\n")
        return path

    async def reconcile(self, path: Path, *, asks: bool = True) -> ReconciliationReport:
        service, now = self.service, utc_now()
        provider = service.providers["simulator"] if asks else None
        parts = Reconciling(service.store, service.staging, service.tasks, service.clock, provider)
        layout = statement_formats()["simulator"]
        covers = partial(window_of, whole_days_in=None, since=now - timedelta(days=1), until=now + timedelta(days=1))
        return await reconcile(parts, "simulator", layout.read(path), covers)

    async def tasks(self) -> list[OperatorTask]:
        """But for refunds that failed, whose tasks are not reconciliation's."""
        found = await self.service.tasks.list(TaskFilter())
        return [task for task in found if task.kind is not TaskKind.REFUND_FAILED]

    async def claimed(self) -> ClaimedRefund:
        """A worker has claimed the one refund that is due, and died."""
        now = utc_now()
        (claim,) = await self.service.store.claim_refunds(now=now, lease_until=now + timedelta(hours=1), limit=9)
        return claim

    async def pays(self, claim: ClaimedRefund) -> None:
        """The provider pays an attempt, and nobody tells us."""
        async with client_of(self.simulator) as client:
            key = str(claim.attempt.attempt_id)
            await client.refund(claim.refund.payment_id, claim.refund.amount_minor, key=key, reference=key)

    async def refunds_made(self) -> object:
        return (await books(self.simulator))["totals"]


@pytest.fixture
async def installed(database_url: str, start_simulator: StartSimulator, tmp_path: Path) -> AsyncIterator[Books]:
    simulator = start_simulator(faults="amounts")
    settings = settings_of(database_url, simulator, tmp_path)
    async with open_market(database_url, now=utc_now()) as market, open_service(settings, database_url) as service:
        yield Books(service, market, simulator, tmp_path)


def counted(report: ReconciliationReport) -> dict[tuple[RowKind, MovementVerdict], tuple[int, int]]:
    return {key: (count.ours, count.theirs) for key, count in report.counts.items()}


async def pay_all(installed: Books, orders: list[OrderRef]) -> None:
    paid_market = PaidMarket(installed.service, installed.market, orders)

    async def done() -> bool:
        return set(await paid_market.refunds()) <= {RefundState.SUCCEEDED, RefundState.FAILED}

    async with working(installed.service):
        await until(done)


async def test_orders_paid_with_every_fault_agree_with_the_statement(installed: Books) -> None:
    """Declined, pending, cut off, answered with 500: what we know is what the provider says."""
    amounts = (10_000, 10_001, 10_002, 10_003, 10_005, 10_006, 10_007, 20_000)
    orders = [await installed.order(str(amount), amount) for amount in amounts]
    await pay_all(installed, orders)
    report = await installed.reconcile(await installed.statement())
    assert counted(report) == {
        (RowKind.PAYMENT, MovementVerdict.MATCHED): (8, 8),
        (RowKind.REFUND, MovementVerdict.MATCHED): (6, 6),
    }
    paid = sum(amounts) - 10_001 - 10_003
    assert dict(report.counts[RowKind.REFUND, MovementVerdict.MATCHED].theirs_minor) == {"CNY": paid}
    assert (report.open, await installed.tasks()) == (0, [])


async def test_a_refund_that_came_back_unheard_is_looked_up_and_owed_again(installed: Books) -> None:
    order = await installed.order("back", 10_004)  # succeeds, and fails after 800 ms
    await pay_all(installed, [order])
    await asyncio.sleep(1)
    report = await installed.reconcile(await installed.statement())
    assert (report.learned, report.open) == (1, 0)
    snapshot = await installed.service.store.read_order(order)
    assert snapshot is not None and snapshot.refunds[0].state is RefundState.QUEUED
    assert counted(report)[RowKind.REFUND_RETURNED, MovementVerdict.MATCHED] == (1, 1)


def refund_lines(lines: list[str]) -> list[int]:
    return [at for at, line in enumerate(lines) if ",refund," in line]


def wrong_amount(lines: list[str]) -> list[str]:
    at = refund_lines(lines)[0]
    return [*lines[:at], lines[at].replace("-100.00", "-100.01"), *lines[at + 1 :]]


def removed(lines: list[str]) -> list[str]:
    at = refund_lines(lines)[0]
    return [*lines[:at], *lines[at + 1 :]]


def added(lines: list[str]) -> list[str]:
    at = refund_lines(lines)[0]
    cells = lines[at].split(",")
    return [*lines, ",".join([*cells[:2], "re_999999999", *cells[3:4], "somebody-elses", *cells[5:]])]


def doubled(lines: list[str]) -> list[str]:
    return [*lines, lines[refund_lines(lines)[0]]]


def paid_again(lines: list[str]) -> list[str]:
    return [*lines, lines[refund_lines(lines)[0]].replace("re_00000000", "re_90000000")]


def other_currency(lines: list[str]) -> list[str]:
    at = refund_lines(lines)[0]
    return [*lines[:at], lines[at].replace("CNY", "USD"), *lines[at + 1 :]]


def no_payment(lines: list[str]) -> list[str]:
    return [line for line in lines if ",capture,pay-o-1-1," not in line]


def nonsense(lines: list[str]) -> list[str]:
    return [*lines, "yesterday,refund,re_1,p,r,o,much,CNY"]


@pytest.mark.parametrize(
    ("change", "kind", "verdict"),
    [
        (wrong_amount, TaskKind.AMOUNT_DIFFERS, (RowKind.REFUND, MovementVerdict.AMOUNT_DIFFERS, (1, 1))),
        (removed, TaskKind.OURS_ONLY, (RowKind.REFUND, MovementVerdict.OURS_ONLY, (1, 0))),
        (added, TaskKind.THEIRS_ONLY, (RowKind.REFUND, MovementVerdict.THEIRS_ONLY, (0, 1))),
        (doubled, TaskKind.PAID_TWICE, (RowKind.REFUND, MovementVerdict.PAID_TWICE, (0, 1))),
        (paid_again, TaskKind.PAID_TWICE, (RowKind.REFUND, MovementVerdict.PAID_TWICE, (0, 1))),
        (other_currency, TaskKind.CURRENCY_DIFFERS, (RowKind.REFUND, MovementVerdict.CURRENCY_DIFFERS, (1, 1))),
        (no_payment, TaskKind.OURS_ONLY, (RowKind.PAYMENT, MovementVerdict.OURS_ONLY, (1, 0))),
        (nonsense, TaskKind.UNREADABLE_ROW, None),
    ],
)
async def test_what_was_tampered_with_is_one_task_and_nothing_is_paid(
    installed: Books, change: Change, kind: TaskKind, verdict: tuple[RowKind, MovementVerdict, tuple[int, int]] | None
) -> None:
    orders = [await installed.order(str(at), 10_000) for at in range(3)]
    await pay_all(installed, orders)
    before = await installed.refunds_made()
    path = await installed.statement(change)
    report = await installed.reconcile(path)
    assert report.open == 1
    if verdict is not None:
        assert counted(report)[verdict[0], verdict[1]] == verdict[2]
    (task,) = await installed.tasks()
    assert task.kind is kind and task.evidence
    if verdict is not None and verdict[0] is RowKind.REFUND and kind is not TaskKind.THEIRS_ONLY:
        snapshots = [await installed.service.store.read_order(ref) for ref in orders]
        attempts = {str(one.attempt_id): str(one.refund_id) for x in snapshots if x is not None for one in x.attempts}
        assert attempts[str(task.evidence["attempt_id"])] == task.evidence["refund_id"]
    again = await installed.reconcile(path)
    assert (again.open, await installed.tasks()) == (1, [task]), "the same statement opens no second task"
    await installed.service.tasks.resolve(task.task_id, note="asked the provider", by="li.na", now=utc_now())
    last = await installed.reconcile(path)
    assert (last.open, last.resolved_before) == (0, 1)
    assert await installed.refunds_made() == before, "it never pays"


@pytest.mark.parametrize("asks", [True, False])
async def test_a_payment_that_we_had_not_heard_of_is_confirmed_as_any_news(installed: Books, asks: bool) -> None:
    order = await installed.order("lost", 10_000)
    claim = await installed.claimed()
    await installed.pays(claim)
    report = await installed.reconcile(await installed.statement(), asks=asks)
    assert (report.learned, report.open, await installed.tasks()) == (1, 0, [])
    snapshot = await installed.service.store.read_order(order)
    assert snapshot is not None and snapshot.tickets[0].state is TicketState.REFUNDED
    assert [attempt.reason for attempt in snapshot.attempts] == [""], "a payment needs no reason"
    assert counted(report)[RowKind.REFUND, MovementVerdict.MATCHED] == (1, 1)


@pytest.mark.parametrize("asks", [True, False])
async def test_whose_account_paid_is_asked_where_the_statement_alone_says_that_it_was_paid(
    installed: Books, asks: bool
) -> None:
    policy = Policy.from_text(DEFAULT_POLICY.text + "\nadvance: {at_most_minor: 10000}\n")
    installed = replace(installed, market=installed.market.deciding_by(policy))
    async with client_of(installed.simulator) as client:
        await client.call("PUT", "/balance", {"currency": "CNY", "amount_minor": 0})
    await installed.order("advanced", 10_000)
    claim = await installed.claimed()
    sent = await installed.service.providers["simulator"].send(refund_instruction(claim.refund, claim.attempt))
    assert sent.advanced is True
    report = await installed.reconcile(await installed.statement(), asks=asks)
    assert (report.learned, report.open) == (1, 0)
    found = await installed.service.queries.incidents(IncidentFilter(limit=5))
    assert len(found) == asks
    if not asks:
        assert await pay_due(installed.service) == 1, "a worker asks"
        assert len(await installed.service.queries.incidents(IncidentFilter(limit=5))) == 1


async def test_two_different_differences_of_one_refund_are_two_tasks(installed: Books) -> None:
    """A second one would else be taken for the first, and be closed with it."""
    await pay_all(installed, [await installed.order("1", 10_000)])
    for change in (wrong_amount, other_currency, paid_again):
        await installed.reconcile(await installed.statement(change))
    kinds = {task.kind for task in await installed.tasks()}
    assert kinds == {TaskKind.AMOUNT_DIFFERS, TaskKind.CURRENCY_DIFFERS, TaskKind.PAID_TWICE}
    assert len(await installed.tasks()) == 3


async def test_a_statement_of_another_amount_confirms_nothing(installed: Books) -> None:
    order = await installed.order("lost", 10_000)
    await installed.pays(await installed.claimed())
    report = await installed.reconcile(await installed.statement(wrong_amount), asks=False)
    assert (report.learned, report.open) == (0, 1)
    snapshot = await installed.service.store.read_order(order)
    assert snapshot is not None and snapshot.tickets[0].state is TicketState.REFUNDING
    assert {task.kind for task in await installed.tasks()} == {TaskKind.THEIRS_ONLY, TaskKind.ANSWER_DIFFERS}


async def test_a_refund_settled_by_hand_and_paid_by_the_provider_is_found(installed: Books) -> None:
    order = await installed.order("twice", 10_000)
    claim = await installed.claimed()
    declined = RefundUpdate(RefundResult(RefundResultKind.DECLINED, reason="as it said"))
    attempt = AttemptRef(claim.lane, claim.attempt.attempt_id)
    await confirm(installed.service.store, attempt, declined, now=utc_now())
    payout = ManualPayout("BANK-7", "by hand", 10_000, "CNY")
    refund = RefundRef(claim.lane, claim.refund.refund_id)
    await settle(installed.service.store, refund, payout, RULES, by=OPERATOR, now=utc_now())
    await installed.pays(claim)
    for _ in range(2):
        report = await installed.reconcile(await installed.statement())
        assert report.open == 1
        assert counted(report)[RowKind.REFUND, MovementVerdict.PAID_TWICE] == (1, 1)
    assert [task.kind for task in await installed.tasks()] == [TaskKind.PAID_TWICE]
    held = balances(await installed.service.queries.ledger(order))
    assert held["buyer_receivable", "CNY"] == 10_000 and held["manual_payout", "CNY"] == -10_000


async def test_an_attempt_of_another_provider_is_not_ours_there(installed: Books) -> None:
    order = await installed.order("1", 10_000)
    await pay_all(installed, [order])
    async with installed.market.pool.connection() as connection:
        await connection.execute("UPDATE refund SET provider = 'elsewhere'")
    report = await installed.reconcile(await installed.statement())
    assert counted(report)[RowKind.REFUND, MovementVerdict.THEIRS_ONLY] == (0, 1)


async def test_a_statement_that_cannot_be_read_writes_nothing(installed: Books) -> None:
    with pytest.raises(BadInput, match="More than 1000 rows"):
        await installed.reconcile(await installed.statement(lambda lines: ["x,refund,,,,,,"] * 1001))
    assert await installed.tasks() == []


async def test_a_payment_that_two_orders_share_is_one_payment_of_the_statement(installed: Books) -> None:
    """1000 and 2500 of one payment of 3500, both refunded: no difference."""
    now, market = utc_now(), installed.market
    buyer = await market.premium_buyer("b-1", now)
    async with client_of(installed.simulator) as client:
        await client.pay(3500, payment_id="pay-shared")
    refs = []
    for name, amount in (("o-1", 1000), ("o-2", 2500)):
        ref = await market.paid_order(buyer, name, amounts=(amount,), tenders=(), now=now)
        part = Tender("t1", "simulator", "pay-shared", "CNY", amount, now, payment_total_minor=3500)
        assert isinstance(await capture_payment(market.store, ref, part, market.decision_settings, now=now), Executed)
        assert (await market.asked(buyer, name, now=now)).state is TicketState.REFUNDING
        refs.append(ref)
    await pay_all(installed, refs)
    report = await installed.reconcile(await installed.statement())
    assert counted(report) == {
        (RowKind.PAYMENT, MovementVerdict.MATCHED_IN_ALL): (2, 1),
        (RowKind.REFUND, MovementVerdict.MATCHED): (2, 2),
    }
    assert await installed.tasks() == []
