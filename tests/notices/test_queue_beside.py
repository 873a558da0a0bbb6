"""Who is told of what, once, and of which moments; and that a notice is claimed, closed and deleted by itself alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from jitui.adapters.postgres.notices import (
    MOST_TASKS_AN_HOUR,
    OVERLAP,
    PostgresNoticePreferences,
    PostgresNoticeQueue,
)
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import approve
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.ports import TicketRef
from jitui.ids import lane_of, new_id
from jitui.notices.model import (
    ClaimedNotice,
    Closed,
    MailLanguage,
    NoticeFilter,
    NoticeKind,
    NoticeState,
    Preferences,
    Recipient,
    RecipientKind,
)
from tests.aftersales.market import NOW, Market, beside
from tests.race.locks import another, wait_for_a_lock

MOMENT = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
LEASE = NOW + HOUR
MERCHANT = Actor(ActorKind.MERCHANT, "somebody")


async def execute(market: Market, sql: str, *values: object) -> list[tuple[object, ...]]:
    async with market.pool.connection() as connection:
        cursor = await connection.execute(sql.encode(), values)
        return list(await cursor.fetchall()) if cursor.description else []


async def put(market: Market, table: str, **values: object) -> None:
    columns, places = ", ".join(values), ", ".join(["%s"] * len(values))
    await execute(market, f"INSERT INTO {table} ({columns}) VALUES ({places})", *values.values())


async def told(market: Market) -> list[tuple[object, ...]]:
    return await execute(market, "SELECT recipient_id, kind, subject FROM notice ORDER BY 1, 2, 3")


# Of the feed -------------------------------------------------------------------------------------------------------


async def test_the_buyer_and_shop_of_the_very_ticket_are_told_once_of_what_follows(market: Market) -> None:
    """Three buyers of one lane, of whom one asked before notices were switched on."""
    queue = PostgresNoticeQueue(market.pool)
    early = await market.premium_buyer("b-1")
    instant = await market.premium_buyer(beside(early))
    reviewed = beside(instant)
    for number, buyer in enumerate((early, instant, reviewed)):
        await market.paid_order(buyer, f"o-{number}", shop_id=f"shop-{number}")
    await market.asked(early, "o-0")
    assert await queue.fan_out(NOW) == 0
    first, second = await market.asked(instant, "o-1"), await market.asked(reviewed, "o-2")
    await approve(market.store, TicketRef(second.lane, second.ticket_id), Acting(MERCHANT, NOW))
    expected = [
        (instant, "request_received", str(first.ticket_id)),
        (reviewed, "request_approved", str(second.ticket_id)),
        (reviewed, "request_received", str(second.ticket_id)),
        ("shop-1", "stop_ship", str(first.ticket_id)),
        ("shop-2", "review_asked", str(second.ticket_id)),
    ]
    counts = []
    while await queue.fan_out(NOW, limit=1):
        counts.append(len(await told(market)))
    assert await told(market) == expected
    assert counts[0] == 1 and counts[-1] == 5
    await execute(market, "UPDATE notice_cursor SET position = 0")
    await execute(market, "DELETE FROM change WHERE order_id = 'o-0'")
    assert await queue.fan_out(NOW) > 0
    assert await told(market) == expected, "what is read again is told once"
    assert await queue.fan_out(NOW) == 0


# What is not on the feed -------------------------------------------------------------------------------------------

BEGAN = NOW - 10 * HOUR
SINCE = NOW - OVERLAP


async def happens(market: Market, kind: str, number: int, at: datetime) -> None:
    """Something of this kind, whose id is the number."""
    name, buyer = UUID(int=number), f"b-{number}"
    if kind == "task_opened":
        await put(
            market, "task", task_id=name, kind="refund_failed", provider="simulator", evidence="{}", opened_at=at,
        )  # fmt: skip
        return
    if kind == "complaint_answered":
        await put(
            market, "complaint", complaint_id=name, shop_id=f"s-{number}", reason="r", made_by="m", made_at=BEGAN,
            answer_by=at, state="answered", outcome="upheld", answer="a", answered_by="x", answered_at=at,
        )  # fmt: skip
        return
    set_at = at if kind == "restricted" else BEGAN - HOUR
    await put(
        market, "restriction", lane=lane_of(buyer), restriction_id=name, buyer_id=buyer, reason="r", set_by="r",
        starts_at=BEGAN, set_at=set_at,
    )  # fmt: skip
    if kind == "appeal_answered":
        await put(
            market, "appeal", lane=lane_of(buyer), appeal_id=name, restriction_id=name, buyer_id=buyer, text="t",
            opened_at=BEGAN, opened_by="buyer", answer_by=NOW, state="upheld", answer="a", decided_at=at,
            decided_by="d",
        )  # fmt: skip


@pytest.mark.parametrize("kind", ["restricted", "appeal_answered", "complaint_answered", "task_opened"])
async def test_what_is_found_by_its_time_is_told_from_an_hour_before_the_last_look_until_now(
    market: Market, kind: str
) -> None:
    queue = PostgresNoticeQueue(market.pool, "desk@market.example")
    await happens(market, kind, 1, BEGAN)
    await queue.fan_out(BEGAN)
    await queue.fan_out(NOW)
    assert await told(market) == [], "what happened before notices were switched on is nobody's"
    for number, at in ((2, SINCE), (3, SINCE + MOMENT), (4, NOW + HOUR), (5, NOW + HOUR + MOMENT)):
        await happens(market, kind, number, at)
    for _ in range(2):
        await queue.fan_out(NOW + HOUR)
        assert [row[1:] for row in sorted(await told(market), key=lambda row: str(row[2]))] == [
            (kind, str(UUID(int=3))),
            (kind, str(UUID(int=4))),
        ]


async def test_a_worker_whose_clock_is_behind_looks_back_from_its_own_now(market: Market) -> None:
    queue = PostgresNoticeQueue(market.pool)
    await queue.fan_out(BEGAN)
    await queue.fan_out(NOW + 5 * HOUR)
    await happens(market, "restricted", 1, NOW - MOMENT)
    await queue.fan_out(NOW)
    assert [row[1] for row in await told(market)] == ["restricted"]


async def test_what_was_begun_within_the_hour_reaches_no_further_back(market: Market) -> None:
    queue = PostgresNoticeQueue(market.pool)
    await happens(market, "restricted", 1, NOW)
    await queue.fan_out(NOW)
    await queue.fan_out(NOW + MOMENT)
    assert await told(market) == []


async def test_a_restriction_that_was_lifted_and_a_task_that_was_resolved_are_told_to_nobody(market: Market) -> None:
    queue = PostgresNoticeQueue(market.pool, "desk@market.example")
    await queue.fan_out(BEGAN)
    for kind in ("restricted", "task_opened"):
        await happens(market, kind, 1, NOW)
    await execute(market, "UPDATE restriction SET lifted_at = %s, lifted_by = 'x'", NOW)
    await execute(market, "UPDATE task SET state = 'resolved', resolved_at = %s, resolved_by = 'x', note = 'n'", NOW)
    await queue.fan_out(NOW)
    assert await told(market) == []


async def test_operators_with_an_address_who_are_not_disabled_are_told_of_tasks(market: Market) -> None:
    queue = PostgresNoticeQueue(market.pool)
    await queue.fan_out(BEGAN)
    for name, role, email, disabled_at in (
        ("told", "operator", "a@example.org", None),
        ("without an address", "operator", None, None),
        ("disabled", "operator", "b@example.org", NOW),
        ("auditor", "auditor", "c@example.org", None),
    ):
        await put(
            market, "console_person", name=name, role=role, subject_id="", display_name=name, created_at=BEGAN,
            email=email, disabled_at=disabled_at,
        )  # fmt: skip
    await happens(market, "task_opened", 1, NOW)
    await queue.fan_out(NOW)
    assert [row[0] for row in await told(market)] == ["told"]
    await happens(market, "task_opened", 2, NOW)
    await PostgresNoticeQueue(market.pool, "desk@market.example").fan_out(NOW)
    assert [row[0] for row in await told(market)] == ["*", "*", "told", "told"]


@pytest.mark.parametrize(
    ("first", "kind", "told_of_last"),
    [
        (NOW - HOUR + MOMENT, "refund_failed", False),
        (NOW - HOUR, "refund_failed", True),
        (NOW, "paid_twice", True),
    ],
)
async def test_of_one_kind_of_task_as_many_are_told_as_fit_into_the_hour_before_each(
    market: Market, first: datetime, kind: str, told_of_last: bool
) -> None:
    """The last one has the same moment as the others but the first, and the highest id."""
    queue = PostgresNoticeQueue(market.pool, "desk@market.example")
    await queue.fan_out(BEGAN)
    for number in range(1, MOST_TASKS_AN_HOUR + 2):
        await happens(market, "task_opened", number, NOW)
    await execute(market, "UPDATE task SET opened_at = %s, kind = %s WHERE task_id = %s", first, kind, UUID(int=1))
    await queue.fan_out(NOW)
    last = str(UUID(int=MOST_TASKS_AN_HOUR + 1))
    assert (last in {row[2] for row in await told(market)}) is told_of_last
    assert str(UUID(int=MOST_TASKS_AN_HOUR)) in {row[2] for row in await told(market)}


# Sending -----------------------------------------------------------------------------------------------------------


async def notice(
    market: Market, number: int, *, due: datetime = NOW, lane: int = 7, state: str = "pending", recipient: str = "s-1",
    kind: str = "stop_ship", subject: str = "", queued: datetime = NOW, handed_over: datetime | None = None,
) -> None:  # fmt: skip
    await put(
        market, "notice", lane=lane, notice_id=UUID(int=number), recipient="shop", recipient_id=recipient, kind=kind,
        subject=subject or str(UUID(int=number)), state=state, queued_at=queued, handed_over_at=handed_over,
        due_at=due if state == "pending" else None, closed_at=None if state == "pending" else due,
    )  # fmt: skip


async def claim(market: Market, now: datetime = NOW, limit: int = 9) -> list[ClaimedNotice]:
    return list(await PostgresNoticeQueue(market.pool).claim(now=now, lease_until=LEASE, limit=limit))


def numbers(found: Sequence[ClaimedNotice]) -> list[int]:
    return [one.notice.notice_id.int for one in found]


async def rows(market: Market) -> dict[int, object]:
    found = await execute(market, "SELECT notice_id, to_jsonb(n) FROM notice n")
    return {UUID(str(name)).int: row for name, row in found}


async def test_what_waits_longest_is_claimed_first_when_it_is_due_and_by_itself(market: Market) -> None:
    await notice(market, 1, due=NOW)
    await notice(market, 2, due=NOW - HOUR)
    await notice(market, 3, due=NOW + MOMENT)
    await notice(market, 4, due=NOW - 2 * HOUR, handed_over=NOW - 2 * HOUR)
    await notice(market, 5, due=NOW, lane=8)
    await notice(market, 6, state="sent")
    first = await claim(market, limit=1)
    assert numbers(first) in ([2], [5]), "of one lane"
    others = numbers(await claim(market))
    assert sorted([*numbers(first), *others]) == [1, 2, 5]
    assert await claim(market) == []
    assert numbers(await claim(market, NOW + MOMENT)) == [3]


async def test_of_one_lane_the_one_that_is_due_longer_is_claimed_first(market: Market) -> None:
    for number, due in ((1, NOW), (2, NOW - HOUR), (3, NOW - MOMENT)):
        await notice(market, number, due=due)
    assert [numbers(await claim(market, limit=1)) for _ in range(4)] == [[2], [3], [1], []]


async def test_a_notice_that_another_claims_at_this_moment_is_passed_over(market: Market) -> None:
    await notice(market, 1)
    await notice(market, 2)
    async with market.pool.connection() as holding:
        await holding.execute(b"SELECT 1 FROM notice WHERE notice_id = %s FOR UPDATE", (UUID(int=1),))
        async with asyncio.timeout(20):
            assert numbers(await claim(market)) == [2]


async def test_two_who_claim_at_once_have_a_notice_once(market: Market, database_url: str) -> None:
    await notice(market, 1)
    async with another(database_url) as holding:
        await holding.execute("LOCK TABLE notice IN EXCLUSIVE MODE")  # both look, and neither claims yet
        claiming = [asyncio.create_task(claim(market)) for _ in range(2)]
        assert await wait_for_a_lock(database_url, *claiming)
        await holding.commit()
    assert sorted(numbers(found) for found in await asyncio.gather(*claiming)) == [[], [1]]


async def test_what_is_written_of_a_notice_is_of_it_and_of_its_claim_alone(market: Market) -> None:
    """The two were claimed together."""
    queue = PostgresNoticeQueue(market.pool)
    await notice(market, 1)
    await notice(market, 2, due=NOW - MOMENT)
    first, second = sorted(await claim(market), key=lambda one: one.notice.notice_id)
    assert first.claim_id == second.claim_id
    before = (await rows(market))[2]
    other = ClaimedNotice(first.notice, new_id(0))
    assert not await queue.hand_over(other, now=NOW, lease_until=LEASE)
    await queue.close(other, Closed(NoticeState.SENT, NOW))
    assert await queue.hand_over(first, now=NOW, lease_until=LEASE)
    await queue.close(first, Closed(NoticeState.SENT, NOW))
    assert not await queue.hand_over(first, now=NOW, lease_until=LEASE)
    found = await rows(market)
    assert found[2] == before and found[1] != before
    await execute(market, "UPDATE notice SET claim_id = %s WHERE notice_id = %s", first.claim_id, UUID(int=1))
    sent = (await rows(market))[1]
    assert not await queue.hand_over(first, now=NOW, lease_until=LEASE), "it was sent"
    for state in (NoticeState.DEAD, NoticeState.SENT, NoticeState.PENDING):
        due = NOW if state is NoticeState.PENDING else None
        await queue.close(first, Closed(state, NOW + HOUR, due_at=due))
        assert (await rows(market))[1] == sent


@pytest.mark.parametrize(
    ("state", "counts"), [(NoticeState.SENT, True), (NoticeState.DEAD, True), (NoticeState.PENDING, False)]
)
async def test_of_what_was_marked_unknown_the_answer_counts_and_another_try_does_not(
    market: Market, state: NoticeState, counts: bool
) -> None:
    queue = PostgresNoticeQueue(market.pool)
    await notice(market, 1)
    (claimed,) = await claim(market)
    await queue.hand_over(claimed, now=NOW, lease_until=NOW)
    (lost,) = await queue.lost(NOW)
    assert lost.state is NoticeState.UNKNOWN
    await queue.close(claimed, Closed(state, NOW, due_at=NOW if state is NoticeState.PENDING else None))
    found = await queue.get(lost.notice_id)
    assert found is not None and (found.state is state) is counts


async def test_lost_is_what_was_handed_over_and_whose_lease_has_ended(market: Market) -> None:
    queue = PostgresNoticeQueue(market.pool)
    await notice(market, 1, handed_over=NOW - HOUR)
    await notice(market, 2, handed_over=NOW - HOUR, due=NOW + MOMENT)
    await notice(market, 3)
    await notice(market, 4, handed_over=NOW - HOUR, state="sent")
    await notice(market, 5, handed_over=NOW - HOUR, lane=8)
    assert sorted(one.notice_id.int for one in await queue.lost(NOW)) == [1, 5]
    assert await queue.lost(NOW) == []
    assert [one.notice_id.int for one in await queue.lost(NOW + MOMENT)] == [2]


# Age and people ----------------------------------------------------------------------------------------------------


async def test_what_was_closed_is_deleted_once_it_is_old_a_part_at_a_time(market: Market) -> None:
    queue = PostgresNoticeQueue(market.pool)
    for number, state in enumerate(("sent", "skipped", "dead", "unknown"), start=1):
        await notice(market, number, state=state, due=NOW - MOMENT)
    await notice(market, 5, state="sent", due=NOW)
    await notice(market, 6)
    deleted = [await queue.purge(NOW, limit=1), await queue.purge(NOW), await queue.purge(NOW)]
    assert (deleted, sorted(await rows(market))) == ([1, 2, 0], [4, 5, 6])


async def test_a_notice_that_is_tried_again_while_old_ones_are_deleted_stays(market: Market, database_url: str) -> None:
    queue = PostgresNoticeQueue(market.pool)
    for number in (1, 2):
        await notice(market, number, state="dead", due=NOW - HOUR)
    async with market.pool.connection() as trying:
        again = "UPDATE notice SET state = 'pending', due_at = %s, closed_at = NULL WHERE notice_id = %s"
        await trying.execute(again.encode(), (NOW, UUID(int=1)))
        purging = asyncio.create_task(queue.purge(NOW))
        assert await wait_for_a_lock(database_url, purging)
        await trying.commit()
    assert (await purging, list(await rows(market))) == (1, [1])


async def test_notices_are_listed_newest_first_of_a_state_a_recipient_a_ticket_and_after_a_row(market: Market) -> None:
    queue = PostgresNoticeQueue(market.pool)
    ticket, neighbour = new_id(7), new_id(7)
    await notice(market, 1, subject=str(ticket), queued=NOW)
    await notice(market, 3, subject=str(ticket), kind="review_asked", queued=NOW + HOUR)
    await notice(market, 2, subject=str(neighbour), state="dead", queued=NOW + HOUR)
    await notice(market, 4, subject="another", recipient="s-2", queued=NOW - HOUR)
    await execute(market, "UPDATE notice SET recipient = 'operator' WHERE notice_id = %s", UUID(int=4))
    await notice(market, 5, subject="another", recipient="s-2", queued=NOW - 2 * HOUR)

    async def listed(wanted: NoticeFilter) -> list[int]:
        return [one.notice_id.int for one in await queue.list(wanted)]

    assert await listed(NoticeFilter()) == [3, 2, 1, 4, 5]
    assert await listed(NoticeFilter(limit=2)) == [3, 2]
    assert await listed(NoticeFilter(after=(NOW + HOUR, UUID(int=2)))) == [1, 4, 5]
    assert await listed(NoticeFilter(state=NoticeState.DEAD)) == [2]
    assert await listed(NoticeFilter(recipient=Recipient(RecipientKind.SHOP, "s-2"))) == [5]
    assert await listed(NoticeFilter(ticket_id=ticket)) == [3, 1]
    found = await queue.get(UUID(int=2))
    assert found is not None and found.notice_id.int == 2


async def test_what_is_dead_or_unknown_is_tried_again_and_nothing_else(market: Market) -> None:
    queue = PostgresNoticeQueue(market.pool)
    for number, state in enumerate(("pending", "sent", "skipped", "dead", "unknown"), start=1):
        await notice(market, number, state=state, queued=NOW + number * MOMENT)
    backlog = await queue.backlog()
    assert (backlog.pending, backlog.dead, backlog.unknown, backlog.oldest_pending_at) == (1, 1, 1, NOW + MOMENT)
    before = await rows(market)
    assert [await queue.retry(UUID(int=number), NOW) for number in range(1, 5)] == [False, False, False, True]
    changed = {number for number, row in (await rows(market)).items() if row != before[number]}
    assert changed == {4}
    assert await queue.retry(UUID(int=5), NOW)


async def test_what_somebody_wants_is_read_and_changed_for_that_recipient(market: Market) -> None:
    preferences = PostgresNoticePreferences(market.pool)
    mine = Recipient(RecipientKind.BUYER, "b-1")
    others = [Recipient(RecipientKind.SHOP, "b-1"), Recipient(RecipientKind.BUYER, beside("b-1"))]
    for number, who in enumerate([mine, *others]):
        language = MailLanguage.EN if number else MailLanguage.ZH
        await preferences.put(who, Preferences(frozenset({NoticeKind.REFUNDED}), language), NOW)
    changed = Preferences(frozenset(), MailLanguage.EN)
    await preferences.put(mine, changed, NOW)
    assert await preferences.get(mine) == changed
    for who in others:
        assert await preferences.get(who) == Preferences(frozenset({NoticeKind.REFUNDED}), MailLanguage.EN)
