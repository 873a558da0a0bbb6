"""Appeals: one open against a restriction, decided once, by another person than the one who set it."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from jitui.adapters.postgres.appeals import PostgresAppeals
from jitui.adapters.postgres.audit import PostgresAuditLog
from jitui.adapters.postgres.personal_data import PostgresPersonalData
from jitui.aftersales.governance.appeals import Appeal, AppealDecision, AppealFilter, AppealState, new_appeal
from jitui.aftersales.governance.registry import Restriction
from jitui.aftersales.model.task import TaskKind
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.ids import lane_of, new_id
from tests.aftersales.looking import Looking
from tests.aftersales.market import NOW, Market, beside

BUYER = "a-buyer-of-no-other-row"
ENDS = NOW + timedelta(days=30)
A_MOMENT = timedelta(microseconds=1)


async def restricted(market: Market, *, by: str = "li.na", ends_at: datetime | None = ENDS) -> UUID:
    row = Restriction(new_id(lane_of(BUYER)), BUYER, "Cancels in series.", NOW, ends_at, by)
    assert await market.registry.restrict(row)
    return row.restriction_id


async def opened(market: Market, restriction_id: UUID, text: str = "It was the shop.", now: datetime = NOW) -> Appeal:
    done = await PostgresAppeals(market.pool).open(new_appeal(restriction_id, BUYER, text, now=now, answer_days=15))
    assert isinstance(done, Appeal), done
    return done


async def refused(market: Market, appeal: Appeal) -> RefusalCode:
    done = await PostgresAppeals(market.pool).open(appeal)
    assert isinstance(done, Refusal), done
    return done.code


async def decide(
    market: Market, appeal_id: UUID, *, upheld: bool, by: str = "wu.lei", at: datetime = NOW
) -> Appeal | Refusal:
    return await PostgresAppeals(market.pool).decide(appeal_id, AppealDecision(upheld, "So it was.", by, at))


async def test_an_appeal_is_answered_within_the_days_that_were_promised(market: Market) -> None:
    appeal = await opened(market, await restricted(market))
    assert (appeal.state, appeal.answer_by) == (AppealState.OPEN, NOW + timedelta(days=15))
    assert await PostgresAppeals(market.pool).get(appeal.appeal_id) == appeal


async def test_one_appeal_is_open_and_the_same_words_again_are_the_same_appeal(market: Market) -> None:
    restriction_id = await restricted(market)
    first = await opened(market, restriction_id)
    assert await opened(market, restriction_id, now=NOW + timedelta(hours=1)) == first
    other = new_appeal(restriction_id, BUYER, "Other words.", now=NOW, answer_days=15)
    assert await refused(market, other) is RefusalCode.APPEAL_OPEN


async def test_of_many_at_once_one_appeal_is_opened(market: Market) -> None:
    restriction_id = await restricted(market)
    appeals = [new_appeal(restriction_id, BUYER, f"Words {n}.", now=NOW, answer_days=15) for n in range(8)]
    done = await asyncio.gather(*(PostgresAppeals(market.pool).open(appeal) for appeal in appeals))
    assert Counter(type(one).__name__ for one in done) == {"Appeal": 1, "Refusal": 7}
    assert len(await PostgresAppeals(market.pool).list(AppealFilter())) == 1


async def test_what_is_anothers_or_over_cannot_be_contested(market: Market) -> None:
    restriction_id = await restricted(market)
    for_another = new_appeal(restriction_id, "b-other", "Mine.", now=NOW, answer_days=15)
    assert await refused(market, for_another) is RefusalCode.NOT_FOUND
    unknown = new_appeal(new_id(lane_of(BUYER)), BUYER, "Mine.", now=NOW, answer_days=15)
    assert await refused(market, unknown) is RefusalCode.NOT_FOUND
    too_late = new_appeal(restriction_id, BUYER, "Late.", now=ENDS, answer_days=15)
    assert await refused(market, too_late) is RefusalCode.RESTRICTION_OVER, "at its end it is over"
    await opened(market, restriction_id, now=ENDS - A_MOMENT)
    lifted = await restricted(market)
    await market.registry.lift_restriction(lifted, NOW, by="wu.lei", reason="A mistake.")
    gone = new_appeal(lifted, BUYER, "Late.", now=NOW, answer_days=15)
    assert await refused(market, gone) is RefusalCode.RESTRICTION_OVER


async def test_an_upheld_appeal_lifts_the_restriction_and_a_rejected_one_does_not(market: Market) -> None:
    first, second = await restricted(market), await restricted(market)
    rejected = await decide(market, (await opened(market, first)).appeal_id, upheld=False)
    assert isinstance(rejected, Appeal) and (rejected.state, rejected.answer) == (AppealState.REJECTED, "So it was.")
    upheld = await decide(market, (await opened(market, second)).appeal_id, upheld=True)
    assert isinstance(upheld, Appeal) and (upheld.state, upheld.decided_by) == (AppealState.UPHELD, "wu.lei")
    rows = {row.restriction_id: row for row in await market.registry.restrictions_of(BUYER)}
    assert rows[first].lifted_at is None
    lifted = rows[second]
    assert (lifted.lifted_at, lifted.lifted_by, lifted.lift_reason) == (NOW, "wu.lei", "So it was.")
    assert (await opened(market, first, "Once more.")).state is AppealState.OPEN, "after an answer there may be another"


async def test_a_second_decision_is_a_conflict_and_of_many_at_once_one_decides(market: Market) -> None:
    appeal = await opened(market, await restricted(market))
    done = await asyncio.gather(
        *(decide(market, appeal.appeal_id, upheld=bool(n % 2), by=f"person-{n}") for n in range(8))
    )
    codes = Counter(one.code if isinstance(one, Refusal) else "decided" for one in done)
    assert codes == {"decided": 1, RefusalCode.APPEAL_DECIDED: 7}
    stands = await PostgresAppeals(market.pool).get(appeal.appeal_id)
    (winner,) = [one for one in done if isinstance(one, Appeal)]
    (row,) = await market.registry.restrictions_of(BUYER)
    assert stands == winner and (row.lifted_at is not None) == (winner.state is AppealState.UPHELD)
    unknown = await decide(market, uuid4(), upheld=True)
    assert isinstance(unknown, Refusal) and unknown.code is RefusalCode.NOT_FOUND


@pytest.mark.parametrize("name", ["li.na", " Li.Na ", "ＬＩ．ＮＡ"])
async def test_who_set_the_restriction_does_not_decide_however_the_name_is_written(market: Market, name: str) -> None:
    appeal = await opened(market, await restricted(market))
    for upheld in (True, False):
        done = await decide(market, appeal.appeal_id, upheld=upheld, by=name)
        assert isinstance(done, Refusal) and done.code is RefusalCode.SECOND_PERSON_NEEDED
    async with market.pool.connection() as connection:
        with pytest.raises(psycopg.errors.CheckViolation, match="decided_by_another"):
            await connection.execute(
                "UPDATE appeal SET state = 'rejected', answer = 'x', decided_at = now(), decided_by = %s", [name]
            )


async def test_everything_is_written_down_under_the_pseudonym(market: Market) -> None:
    restriction_id = await restricted(market)
    appeal = await opened(market, restriction_id)
    await decide(market, appeal.appeal_id, upheld=True)
    await decide(market, appeal.appeal_id, upheld=False)
    log = await PostgresAuditLog(market.pool).events(actor=None, action=None, subject=None, before=None, limit=9)
    pseudonym = await PostgresPersonalData(market.pool).pseudonym_of(BUYER)
    assert [(row.action, row.actor, row.subject) for row in reversed(log)] == [
        ("restriction.set", "li.na", str(restriction_id)),
        ("appeal.opened", pseudonym, str(appeal.appeal_id)),
        ("appeal.decided", "wu.lei", str(appeal.appeal_id)),
        ("restriction.lifted", "wu.lei", str(restriction_id)),
    ]
    assert BUYER not in str(log) and "shop" not in str(log), "neither the buyer nor the buyer's words"


async def test_an_appeal_past_its_deadline_is_a_task_until_it_is_answered(market: Market) -> None:
    appeal = await opened(market, await restricted(market))
    looking, kind = Looking(market), TaskKind.APPEAL_OVERDUE
    for at, expected in ((appeal.answer_by - A_MOMENT, []), (appeal.answer_by, ["open"]), (appeal.answer_by, ["open"])):
        assert [task.state for task in await looking.look(at, kind)] == expected
    (task,) = await looking.look(appeal.answer_by, kind)
    assert task.evidence == {"appeals": 1, "oldest_answer_by": appeal.answer_by.isoformat()}
    await decide(market, appeal.appeal_id, upheld=False, at=appeal.answer_by)
    assert [task.state for task in await looking.look(appeal.answer_by, kind)] == ["resolved"]


async def test_appeals_are_listed_by_deadline_page_by_page(market: Market) -> None:
    made = [
        await opened(market, await restricted(market), f"Words {hours}.", NOW + timedelta(hours=hours))
        for hours in (3, 1, 2)
    ]
    by_deadline = sorted(made, key=lambda appeal: appeal.answer_by)
    appeals = PostgresAppeals(market.pool)
    assert list(await appeals.list(AppealFilter(limit=2))) == by_deadline[:2]
    after = by_deadline[1].answer_by, by_deadline[1].appeal_id
    assert list(await appeals.list(AppealFilter(after=after))) == by_deadline[2:]
    assert list(await appeals.list(AppealFilter(state=AppealState.UPHELD))) == []
    assert list(await appeals.list(AppealFilter(buyer_id=BUYER))) == by_deadline
    for other in ("b-other", beside(BUYER)):
        assert list(await appeals.list(AppealFilter(buyer_id=other))) == []


async def test_the_same_words_of_another_restriction_are_another_appeal(market: Market) -> None:
    """Also beside others of the lane that were opened or answered before."""
    first, second = await restricted(market), await restricted(market)
    words = await opened(market, first, "Not so."), await opened(market, second, "It was the shop.")
    assert [await opened(market, one, text) for one, text in ((first, "Not so."), (second, "It was the shop."))] == [
        *words
    ]
    await decide(market, words[1].appeal_id, upheld=False)
    again = await opened(market, second, "It was the shop.")
    assert again.appeal_id != words[1].appeal_id and await opened(market, second, "It was the shop.") == again
    assert await PostgresAppeals(market.pool).get(words[1].appeal_id) != words[1], "the decision is the other's"
    assert (await PostgresAppeals(market.pool).get(words[0].appeal_id)) == words[0]
