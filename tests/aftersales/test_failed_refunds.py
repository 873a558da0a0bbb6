"""A refund that failed is an operator's task while it lasts, with a line of the log when it begins and ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from jitui.adapters.postgres.migrate import upgrade
from jitui.adapters.postgres.pool import make_pool
from jitui.adapters.postgres.store import PostgresStore
from jitui.adapters.postgres.tasks import PostgresTasks
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.settle_refund import retry, settle
from jitui.aftersales.memory_store import MemoryStore
from jitui.aftersales.model.task import OperatorTask, TaskFilter, TaskKind, TaskState
from jitui.aftersales.provider import RefundResult, RefundResultKind
from tests.aftersales.market import NOW, RULES, TIME_ZONE, Market, on_both_stores
from tests.aftersales.test_pay import DECLINED, OPERATOR, PENDING, STUCK, SUCCEEDED, UNKNOWN, start_paying
from tests.aftersales.test_settlement import PAID_BY_HAND, ref_of

LATER = NOW + timedelta(minutes=5)


async def failures(market: Market) -> Sequence[OperatorTask]:
    """The tasks about failed refunds, newest first."""
    wanted = TaskFilter(limit=1000)
    if isinstance(market.store, MemoryStore):
        found = await market.store.tasks(wanted)
    else:
        found = await PostgresTasks(market.pool).list(wanted)
    return [task for task in found if task.kind is TaskKind.REFUND_FAILED]


async def states(market: Market) -> list[TaskState]:
    return [task.state for task in await failures(market)]


@pytest.mark.parametrize("failure", [DECLINED, STUCK], ids=["declined", "stuck"])
@on_both_stores
async def test_a_refund_that_fails_is_a_task_with_the_reason(market: Market, failure: RefundResult) -> None:
    paying = await start_paying(market)
    await paying.hears(failure)
    (task,) = await failures(market)
    refund = paying.claimed.refund
    assert (task.state, task.provider, task.order_id) == (TaskState.OPEN, "simulator", refund.order_id)
    assert (task.amount_minor, task.currency) == (10000, "CNY")
    assert task.evidence == {
        "refund_id": str(refund.refund_id),
        "attempt_id": str(paying.claimed.attempt.attempt_id),
        "reason": failure.reason,
    }
    await paying.hears(failure)
    await paying.hears(DECLINED)
    assert await states(market) == [TaskState.OPEN], "it has failed already"


@pytest.mark.parametrize("news", [UNKNOWN, PENDING, SUCCEEDED])
@on_both_stores
async def test_no_other_news_is_a_failure(market: Market, news: RefundResult) -> None:
    paying = await start_paying(market)
    await paying.hears(news)
    assert await failures(market) == []


@on_both_stores
async def test_a_refund_that_its_provider_took_back_for_good_is_a_task(market: Market) -> None:
    """Undone and sent anew three times; then a person must look."""
    paying = await start_paying(market)
    for attempt in range(4):
        assert await failures(market) == [], attempt
        await paying.hears(SUCCEEDED)
        await paying.hears(DECLINED, looked_up=True)
        claims = await market.store.claim_refunds(now=LATER, lease_until=LATER, limit=9)
        if claims:
            paying = replace(paying, claimed=claims[0])
    assert await states(market) == [TaskState.OPEN]


@on_both_stores
async def test_the_task_is_closed_when_the_refund_is_sent_again_and_a_new_failure_is_a_new_task(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(DECLINED)
    assert isinstance(await retry(market.store, ref_of(paying), RULES, by=OPERATOR, now=LATER), Executed)
    (task,) = await failures(market)
    assert (task.state, task.resolved_by, task.resolved_at) == (TaskState.RESOLVED, "jitui", LATER)
    assert task.note == "sent again"
    (second,) = await market.store.claim_refunds(now=LATER, lease_until=LATER, limit=9)
    await replace(paying, claimed=second).hears(DECLINED, now=LATER + timedelta(minutes=1))
    assert await states(market) == [TaskState.OPEN, TaskState.RESOLVED]


@on_both_stores
async def test_the_task_is_closed_when_the_refund_is_settled_by_hand(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(DECLINED)
    done = await settle(market.store, ref_of(paying), PAID_BY_HAND, RULES, by=OPERATOR, now=LATER)
    assert isinstance(done, Executed)
    assert [task.note for task in await failures(market)] == ["settled by hand"]


@pytest.mark.parametrize(
    ("news", "note"), [(SUCCEEDED, "paid"), (PENDING, "on its way at the provider again")], ids=["paid", "freed"]
)
@on_both_stores
async def test_the_task_is_closed_when_a_stuck_refund_goes_on(market: Market, news: RefundResult, note: str) -> None:
    paying = await start_paying(market)
    await paying.hears(STUCK)
    await paying.hears(news)
    assert [task.note for task in await failures(market)] == [note]


@on_both_stores
async def test_a_task_that_a_person_resolved_stays_as_that_person_left_it(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(DECLINED)
    (task,) = await failures(market)
    if not isinstance(market.store, MemoryStore):
        await PostgresTasks(market.pool).resolve(task.task_id, note="asked them", by="li.na", now=NOW)
        await retry(market.store, ref_of(paying), RULES, by=OPERATOR, now=LATER)
        (task,) = await failures(market)
        assert (task.resolved_by, task.note) == ("li.na", "asked them")


async def test_the_same_failure_again_opens_nothing_that_a_person_has_closed(market: Market) -> None:
    paying = await start_paying(market)
    await paying.hears(STUCK)
    (task,) = await failures(market)
    await PostgresTasks(market.pool).resolve(task.task_id, note="asked them", by="li.na", now=NOW)
    await paying.hears(STUCK)
    await paying.hears(DECLINED)
    assert await states(market) == [TaskState.RESOLVED]


async def test_the_failure_and_its_task_are_one_transaction(market: Market) -> None:
    """The database refuses the task: nothing of the news is kept, and the refund is asked for again."""
    paying = await start_paying(market)
    async with market.pool.connection() as connection:
        await connection.execute("ALTER TABLE task ADD CONSTRAINT none CHECK (false) NOT VALID")
    before = await paying.snapshot()
    with pytest.raises(Exception, match="refused a write"):
        await paying.hears(DECLINED)
    assert await paying.snapshot() == before


# The log -----------------------------------------------------------------------------------------------------------


async def test_a_failure_is_one_warning_and_its_end_one_line(
    market: Market, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with make_pool(database_url, max_size=2) as pool:
        told = replace(market, store=PostgresStore(pool, TIME_ZONE))
        paying = await start_paying(told)
        capsys.readouterr()
        await paying.hears(DECLINED)
        await paying.hears(DECLINED)
        (line,) = capsys.readouterr().err.splitlines()
        assert "[warning] refund_failed" in line
        assert f"refund_id='{paying.claimed.refund.refund_id}'" in line and "reason='account closed'" in line
        assert "provider='simulator'" in line and "amount_minor=10000" in line
        await retry(told.store, ref_of(paying), RULES, by=OPERATOR, now=LATER)
        (line,) = capsys.readouterr().err.splitlines()
        assert f"refund_failed_ended of='{paying.claimed.refund.refund_id}' note='sent again'" in line


async def test_an_answer_about_something_else_is_one_warning_however_often_it_comes(
    market: Market, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with make_pool(database_url, max_size=2) as pool:
        paying = await start_paying(replace(market, store=PostgresStore(pool, TIME_ZONE)))
        capsys.readouterr()
        for _ in range(3):
            await paying.hears(RefundResult(RefundResultKind.SUCCEEDED, amount_minor=1))
        (line,) = capsys.readouterr().err.splitlines()
        assert "[warning] answer_differs" in line and "told='1'" in line


# What failed before this release -----------------------------------------------------------------------------------


def test_refunds_that_failed_before_have_a_task_after_the_migration(empty_database_url: str) -> None:
    import psycopg

    upgrade(empty_database_url, "0012")
    refunds = {state: uuid4() for state in ("failed", "queued", "succeeded", "unknown")}
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("INSERT INTO buyer (lane, buyer_id, updated_at) VALUES (1, 'b', now())")
        connection.execute(
            "INSERT INTO orders (lane, order_id, buyer_id, shop_id, currency, freight_minor, placed_at) "
            "VALUES (1, 'o', 'b', 's', 'CNY', 0, now())"
        )
        connection.execute(
            "INSERT INTO tender (lane, order_id, tender_id, provider, payment_id, currency, captured_minor, "
            "captured_at) VALUES (1, 'o', 't1', 'stripe', 'p', 'CNY', 99, now())"
        )
        for state, refund_id in refunds.items():
            connection.execute(
                "INSERT INTO refund (lane, refund_id, ticket_id, order_id, tender_id, provider, payment_id, "
                "amount_minor, captured_minor, currency, state, attempt_no, reason, queued_at) "
                "VALUES (1, %s, %s, 'o', 't1', 'stripe', 'p', 7, 99, 'CNY', %s, 1, 'closed', now())",
                (refund_id, uuid4(), state),
            )
    upgrade(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        found = connection.execute(
            "SELECT kind, provider, state, amount_minor, evidence ->> 'refund_id', evidence ->> 'reason', condition "
            "FROM task"
        ).fetchall()
    failed = str(refunds["failed"])
    assert found == [("refund_failed", "stripe", "open", 7, failed, "closed", f"refund_failed:{failed}")]
