"""Operators are told of tasks: who, once, and never in a circle."""

from __future__ import annotations

import pytest

from jitui.adapters.postgres.notices import MOST_TASKS_AN_HOUR, PostgresNoticeQueue
from jitui.aftersales.model.task import NewTask, TaskKind
from jitui.identity.access import Role
from jitui.identity.people import Person
from jitui.notices.dispatcher import NOTHING_LEFT, OFF
from jitui.notices.model import (
    SHARED_MAILBOX,
    MailLanguage,
    NoticeFilter,
    NoticeKind,
    NoticeState,
    Preferences,
    Recipient,
    RecipientKind,
)
from jitui.notices.task_words import TASKS
from tests.notices.test_cases import text_of
from tests.notices.world import OPERATORS_ADDRESS, World

CHEN = Recipient(RecipientKind.OPERATOR, "chen.jie")
CHENS_ADDRESS = "planted.chen.5a1e@market.example"


async def put(world: World, name: str, role: Role, email: str | None) -> None:
    await world.service.people.put_person(Person(name, role, "", name), None, world.now())
    if email is not None:
        await world.service.identities.set_email(name, email, by="tests", now=world.now())


@pytest.fixture
async def chen(world: World) -> World:
    """An operator with an address, one without, and one who is not told: an auditor reads and does nothing."""
    await put(world, "chen.jie", Role.OPERATOR, CHENS_ADDRESS)
    await put(world, "li.wei", Role.OPERATOR, None)
    await put(world, "audit", Role.AUDITOR, "planted.audit@market.example")
    world.now.later(minutes=1)
    return world


def failed_refund(world: World, number: int = 1) -> NewTask:
    return NewTask(
        name=f"refund {number}",
        kind=TaskKind.REFUND_FAILED,
        provider="simulator",
        evidence={"reason": "card closed"},
        opened_at=world.now(),
        order_id=f"o-{number}",
        amount_minor=12900,
        currency="CNY",
    )


async def test_a_task_is_told_once_to_each_operator_who_has_an_address(chen: World) -> None:
    await chen.service.tasks.open([failed_refund(chen)])
    await chen.sent()
    (told,) = chen.mail.messages
    assert told["To"] == CHENS_ADDRESS and "退款失败" in told["Subject"]
    assert "订单 o-1，¥129.00 (CNY)，simulator" in text_of(told)
    await chen.rows("UPDATE notice_cursor SET scanned_until = scanned_until - interval '30 minutes' RETURNING 1")
    await chen.sent()
    assert len(chen.mail.messages) == 1, "a look that goes back over the same hour tells nothing twice"
    assert chen.platform.keys == [], "the platform is not asked for operators"


async def test_the_shared_mailbox_is_told_beside_them(chen: World) -> None:
    await chen.service.tasks.open([failed_refund(chen)])
    await PostgresNoticeQueue(chen.market.pool, OPERATORS_ADDRESS).fan_out(chen.now())
    await chen.sent()
    assert {one["To"] for one in chen.mail.messages} == {CHENS_ADDRESS, OPERATORS_ADDRESS}
    to = {one.recipient_id for one in await chen.service.notices.queue.list(NoticeFilter())}
    assert to == {"chen.jie", SHARED_MAILBOX}


async def test_an_operator_chooses_the_language_and_whether_to_be_told(chen: World) -> None:
    await chen.service.notices.preferences.put(CHEN, Preferences(language=MailLanguage.EN), chen.now())
    await chen.service.tasks.open([failed_refund(chen)])
    await chen.sent()
    (told,) = chen.mail.messages
    assert told["Subject"] == "A task needs a person: A refund failed"
    off = Preferences(frozenset({NoticeKind.TASK_OPENED}))
    await chen.service.notices.preferences.put(CHEN, off, chen.now())
    chen.now.later(minutes=1)
    await chen.service.tasks.open([failed_refund(chen, 2)])
    await chen.sent()
    newest = (await chen.service.notices.queue.list(NoticeFilter(limit=1)))[0]
    assert (newest.state, newest.failure) == (NoticeState.SKIPPED, OFF)


async def test_what_was_resolved_before_it_is_sent_and_who_left_meanwhile_are_skipped(chen: World) -> None:
    task = failed_refund(chen)
    await chen.service.tasks.open([task])
    await chen.dispatcher().fan_out()
    await chen.service.tasks.resolve(task.task_id, note="paid by hand", by="li.wei", now=chen.now())
    await chen.sent()
    chen.now.later(minutes=1)
    await chen.service.tasks.open([failed_refund(chen, 2)])
    await chen.dispatcher().fan_out()
    await chen.service.people.set_role("chen.jie", Role.SUPPORT, "", by="admin", now=chen.now())
    await chen.sent()
    assert chen.mail.messages == []
    newest, first = await chen.service.notices.queue.list(NoticeFilter())
    assert first.failure == NOTHING_LEFT
    assert (newest.state, newest.failure[:19]) == (NoticeState.SKIPPED, "No operator of this")


async def test_a_task_that_was_resolved_before_anybody_was_to_be_told_is_nobodys(chen: World) -> None:
    task = failed_refund(chen)
    await chen.service.tasks.open([task])
    await chen.service.tasks.resolve(task.task_id, note="paid by hand", by="li.wei", now=chen.now())
    await chen.dispatcher().fan_out()
    assert await chen.service.notices.queue.list(NoticeFilter()) == []


async def test_who_is_disabled_is_not_told(chen: World) -> None:
    await chen.service.tasks.open([failed_refund(chen)])
    await chen.dispatcher().fan_out()
    await chen.service.people.set_disabled("chen.jie", True, by="admin", now=chen.now())
    await chen.service.tasks.open([failed_refund(chen, 2)])
    await chen.sent()
    (found,) = await chen.service.notices.queue.list(NoticeFilter())
    assert (found.state, chen.mail.messages) == (NoticeState.SKIPPED, []), "neither who was to be told, nor anew"


async def test_of_one_kind_a_bounded_number_is_told_in_an_hour(chen: World) -> None:
    await chen.service.tasks.open([failed_refund(chen, number) for number in range(MOST_TASKS_AN_HOUR + 5)])
    other = NewTask("no worker", TaskKind.NO_WORKER, "", {}, chen.now())
    await chen.service.tasks.open([other])
    await chen.dispatcher().fan_out()
    queued = await chen.service.notices.queue.list(NoticeFilter(limit=500))
    assert len(queued) == MOST_TASKS_AN_HOUR + 1, "another kind is told all the same"
    chen.now.later(hours=1)
    await chen.service.tasks.open([failed_refund(chen, 100)])
    await chen.dispatcher().fan_out()
    assert len(await chen.service.notices.queue.list(NoticeFilter(limit=500))) == MOST_TASKS_AN_HOUR + 2


@pytest.mark.parametrize(("reply", "state"), [("550 5.1.1 no", NoticeState.DEAD), ("break", NoticeState.UNKNOWN)])
async def test_a_mail_about_a_task_that_is_lost_opens_no_task(chen: World, reply: str, state: NoticeState) -> None:
    """Else each would be told by a mail that is lost too."""
    await chen.service.tasks.open([failed_refund(chen)])
    chen.mail.replies["DATA"] = reply
    await chen.sent()
    (found,) = await chen.service.notices.queue.list(NoticeFilter())
    assert found.state is state
    assert [task.kind for task in await chen.tasks()] == [TaskKind.REFUND_FAILED]


def test_every_kind_of_task_has_words_in_both_languages() -> None:
    assert set(TASKS) == set(TaskKind)
    assert all(set(words) == set(MailLanguage) and all(words.values()) for words in TASKS.values())
    assert len({words[language] for words in TASKS.values() for language in MailLanguage}) == 2 * len(TaskKind)
