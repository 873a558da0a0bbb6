"""Complaints on PostgreSQL: one open of a shop, one answer, and a task once the deadline has passed."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import uuid4

import psycopg
import pytest

from jitui.adapters.postgres.complaints import PostgresComplaints
from jitui.adapters.postgres.tasks import PostgresTasks
from jitui.aftersales.governance.complaint import (
    Complaint,
    ComplaintAnswer,
    ComplaintFilter,
    ComplaintState,
    ContestOutcome,
)
from jitui.aftersales.model.task import TaskFilter, TaskKind, TaskState
from jitui.aftersales.operations.watch import Watch
from jitui.aftersales.outcomes import Refusal, RefusalCode
from tests.aftersales.market import NOW, Market
from tests.aftersales.test_watch import looking


def complaint(shop_id: str = "shop-1", reason: str = "The strike.", at: datetime = NOW, days: int = 15) -> Complaint:
    return Complaint(uuid4(), shop_id, reason, "shan", at, at + timedelta(days=days))


def answer(words: str = "Yes.", outcome: ContestOutcome = ContestOutcome.UPHELD) -> ComplaintAnswer:
    return ComplaintAnswer(outcome, words, "li.na", NOW + timedelta(days=1))


async def test_of_many_at_once_one_is_open(market: Market) -> None:
    complaints = PostgresComplaints(market.pool)
    done = await asyncio.gather(*(complaints.make(complaint(reason=f"Reason {number}.")) for number in range(8)))
    made = [one for one in done if isinstance(one, Complaint)]
    refused = [one for one in done if isinstance(one, Refusal)]
    assert (len(made), {one.code for one in refused}) == (1, {RefusalCode.COMPLAINT_OPEN})
    assert await complaints.list(ComplaintFilter()) == made
    with pytest.raises(psycopg.errors.UniqueViolation):
        async with market.pool.connection() as connection:
            await connection.execute(
                "INSERT INTO complaint (complaint_id, shop_id, reason, made_by, made_at, answer_by) "
                "VALUES (gen_random_uuid(), 'shop-1', 'r', 'x', now(), now())"
            )


async def test_the_same_words_again_are_the_same_complaint_and_another_shop_has_its_own(market: Market) -> None:
    complaints = PostgresComplaints(market.pool)
    first = await complaints.make(complaint())
    assert await complaints.make(complaint()) == first
    other = await complaints.make(complaint("shop-2"))
    assert isinstance(other, Complaint)
    assert [one.shop_id for one in await complaints.list(ComplaintFilter("shop-2"))] == ["shop-2"]


async def test_it_is_answered_once_and_then_another_may_be_made(market: Market) -> None:
    complaints = PostgresComplaints(market.pool)
    made = await complaints.make(complaint())
    assert isinstance(made, Complaint)
    said = await asyncio.gather(*(complaints.answer(made.complaint_id, answer(f"Words {n}.")) for n in range(6)))
    answered = [one for one in said if isinstance(one, Complaint)]
    assert len(answered) == 1
    assert {one.code for one in said if isinstance(one, Refusal)} == {RefusalCode.COMPLAINT_ANSWERED}
    (standing,) = await complaints.list(ComplaintFilter())
    assert (standing.state, standing.outcome) == (ComplaintState.ANSWERED, ContestOutcome.UPHELD)
    words = standing.answer or ""
    assert await complaints.answer(made.complaint_id, answer(words)) == standing
    other = await complaints.answer(made.complaint_id, answer(words, ContestOutcome.REJECTED))
    assert isinstance(other, Refusal)
    assert await complaints.answer(uuid4(), answer()) is None
    assert isinstance(await complaints.make(complaint(reason="Another.")), Complaint)
    async with market.pool.connection() as connection:
        rows = await connection.execute("SELECT actor, action, subject FROM audit_event ORDER BY number")
        assert await rows.fetchall() == [
            ("shan", "complaint.made", "shop shop-1"),
            ("li.na", "complaint.answered", "shop shop-1"),
            ("shan", "complaint.made", "shop shop-1"),
        ]


async def test_they_are_listed_by_their_deadline(market: Market) -> None:
    complaints = PostgresComplaints(market.pool)
    for shop_id, days in (("late", 30), ("soon", 1), ("middle", 7)):
        await complaints.make(complaint(shop_id, days=days))
    found = await complaints.list(ComplaintFilter(limit=2))
    assert [one.shop_id for one in found] == ["soon", "middle"]
    after = (found[-1].answer_by, found[-1].complaint_id)
    assert [one.shop_id for one in await complaints.list(ComplaintFilter(after=after))] == ["late"]


async def test_one_that_is_late_is_a_task_until_it_is_answered(market: Market) -> None:
    complaints, tasks = PostgresComplaints(market.pool), PostgresTasks(market.pool)
    made = await complaints.make(complaint(days=2))
    assert isinstance(made, Complaint)

    async def open_tasks(at: datetime) -> list[str]:
        await Watch(reads_ledger=False).look(looking(market), at)
        found = await tasks.list(TaskFilter(TaskState.OPEN, kind=TaskKind.COMPLAINT_OVERDUE))
        return [str(task.evidence["shop"]) for task in found]

    assert await open_tasks(made.answer_by) == []  # it may be answered until then
    assert await open_tasks(made.answer_by + timedelta(microseconds=1)) == ["shop-1"]
    await complaints.answer(made.complaint_id, answer())
    assert await open_tasks(made.answer_by + timedelta(hours=1)) == []
