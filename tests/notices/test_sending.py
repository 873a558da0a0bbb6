"""What is sent to whom, once; and what becomes of it when the mail server or the platform misbehaves."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.request_refund import RefundRequest, request_refund
from jitui.aftersales.commands.review import approve, reject
from jitui.aftersales.governance.registry import Restriction
from jitui.aftersales.model.task import TaskKind
from jitui.aftersales.model.ticket import Actor, ActorKind, ApprovedBy, Basis, Ticket
from jitui.aftersales.ports import TicketRef
from jitui.deadlines import remind_due
from jitui.ids import lane_of, new_id
from jitui.notices.dispatcher import NOTHING_LEFT, OFF
from jitui.notices.model import (
    LOST,
    HandOver,
    Mail,
    MailLanguage,
    MailOutcome,
    MailResult,
    NoticeKind,
    NoticeState,
    Preferences,
    Recipient,
    RecipientKind,
)
from tests.aftersales.market import rejection
from tests.notices.world import BUYER_ADDRESS, KEY, SHOP_ADDRESS, World

SHOP = Actor(ActorKind.MERCHANT, "li.na")
THE_BUYER, THE_SHOP = Recipient(RecipientKind.BUYER, "b-1"), Recipient(RecipientKind.SHOP, "shop-1")


async def asked(world: World, order: str = "o-1", *, amount: int = 12900, basis: Basis = Basis.GOODWILL) -> Ticket:
    buyer = await world.market.premium_buyer("b-1", world.now())
    await world.market.paid_order(buyer, order, amounts=(amount,), now=world.now())
    request = RefundRequest(buyer, order, basis=basis)
    done = await request_refund(world.market.store, world.market.decision_settings, request, now=world.now())
    assert isinstance(done, Executed), done
    return done.ticket


def ref(ticket: Ticket) -> TicketRef:
    return TicketRef(ticket.lane, ticket.ticket_id)


# To whom, and how often ------------------------------------------------------------------------------------------


async def test_an_instant_refund_tells_the_buyer_with_the_receipt_and_the_shop_not_to_ship(world: World) -> None:
    ticket = await asked(world)
    await world.sent()
    assert set(await world.notices()) == {NoticeKind.REQUEST_RECEIVED, NoticeKind.STOP_SHIP}
    by_address = {one["To"]: one for one in world.mail.messages}
    assert set(by_address) == {BUYER_ADDRESS, SHOP_ADDRESS}
    to_buyer = by_address[BUYER_ADDRESS]
    text = to_buyer.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "CN¥129.00" in text and str(ticket.ticket_id) in text and "Statement of reasons" in text
    receipt = await world.service.receipts.receipt(ref(ticket))
    assert receipt is not None and receipt.sha256 in text
    assert "<h2>Statement of reasons</h2>" in to_buyer.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert to_buyer["Auto-Submitted"] == "auto-generated"
    assert to_buyer["From"] == "Market help <help@market.example>"
    assert "请勿发货" in by_address[SHOP_ADDRESS]["Subject"], "the platform said no language for the shop"
    assert world.platform.keys[0] == f"Bearer {KEY}"


async def test_a_withdrawal_that_is_approved_with_its_request_is_told_with_it(world: World) -> None:
    ticket = await asked(world, amount=45000, basis=Basis.WITHDRAWAL)
    assert ticket.approved_by is ApprovedBy.WITHDRAWAL
    await world.sent()
    assert set(await world.notices()) == {NoticeKind.REQUEST_RECEIVED, NoticeKind.STOP_SHIP}


async def test_a_review_asks_the_shop_reminds_it_once_and_tells_the_buyer_how_it_ended(world: World) -> None:
    ticket = await asked(world, amount=45000)
    await world.sent()
    assert set(await world.notices()) == {NoticeKind.REQUEST_RECEIVED, NoticeKind.REVIEW_ASKED}
    world.now.later(hours=23, minutes=59)
    assert await remind_due(world.service) == 0
    await world.sent()
    assert NoticeKind.REVIEW_REMINDER not in await world.notices()
    world.now.later(minutes=2)
    assert await remind_due(world.service) == 1
    await world.sent()
    world.now.later(hours=22)
    assert await remind_due(world.service) == 1
    await world.sent()
    assert (await world.notices())[NoticeKind.REVIEW_REMINDER].state is NoticeState.SENT
    await reject(world.market.store, ref(ticket), rejection("Made <b>today</b>."), Acting(SHOP, world.now()))
    await world.sent()
    assert (await world.notices())[NoticeKind.REQUEST_REJECTED].state is NoticeState.SENT
    last = world.mail.messages[-1]
    text = last.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "The shop's reason: Made <b>today</b>." in text and "ask the platform to decide" in text
    page = last.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "Made &lt;b&gt;today&lt;/b&gt;" in page and "<b>today" not in page


async def test_a_restriction_and_nothing_that_was_lifted_meanwhile_is_told(world: World) -> None:
    world.now.later(minutes=1)
    for number in (1, 2):
        now = world.now()
        one = Restriction(new_id(lane_of("b-1")), "b-1", f"because {number}", now, None, "li.na", set_at=now)
        await world.service.registry.restrict(one)
    await world.service.registry.lift_restriction(one.restriction_id, world.now(), by="w", reason="wrong")
    await world.sent()
    (told,) = world.mail.messages
    assert "because 1" in told.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert set(await world.notices()) == {NoticeKind.RESTRICTED}, "the other one is not even queued"


async def test_what_happened_before_notices_were_switched_on_is_nobodys(world: World) -> None:
    await world.rows("DELETE FROM notice_cursor RETURNING 1")
    await asked(world)
    old = Restriction(new_id(lane_of("b-1")), "b-1", "old", world.now(), None, "li.na", set_at=world.now())
    await world.service.registry.restrict(old)
    world.now.later(minutes=1)
    await world.sent()
    assert world.mail.got == []


async def test_many_workers_send_each_notice_once(world: World) -> None:
    for number in range(6):
        await asked(world, f"o-{number}", amount=45000)
        world.now.later(minutes=2)
    workers = [world.dispatcher() for _ in range(4)]
    await asyncio.gather(*(world.sent(worker) for worker in workers))
    assert len(world.mail.got) == 12
    assert len({one["Message-ID"] for one in world.mail.messages}) == 12


async def test_a_feed_that_is_read_again_queues_nothing_twice(world: World) -> None:
    await asked(world)
    await world.sent()
    await world.rows("UPDATE notice_cursor SET position = 0 RETURNING 1")
    await world.sent()
    assert len(world.mail.got) == 2


# Preferences -----------------------------------------------------------------------------------------------------


async def test_what_is_switched_off_is_skipped_and_what_must_be_told_is_not(world: World) -> None:
    everything = Preferences(frozenset(NoticeKind), MailLanguage.ZH)
    await world.service.notices.preferences.put(THE_BUYER, everything, world.now())
    await world.service.notices.preferences.put(THE_SHOP, Preferences(frozenset(NoticeKind)), world.now())
    await asked(world)
    await world.sent()
    found = await world.notices()
    assert (found[NoticeKind.STOP_SHIP].state, found[NoticeKind.STOP_SHIP].failure) == (NoticeState.SKIPPED, OFF)
    assert found[NoticeKind.REQUEST_RECEIVED].state is NoticeState.SENT
    (receipt,) = world.mail.messages
    assert "退款申请已收到" in receipt["Subject"], "the buyer's own language, not the platform's"


async def test_a_reminder_about_a_ticket_that_was_decided_meanwhile_is_skipped(world: World) -> None:
    ticket = await asked(world, amount=45000)
    await world.dispatcher().fan_out()
    await approve(world.market.store, ref(ticket), Acting(SHOP, world.now()))
    await world.sent()
    found = await world.notices()
    asked_shop = found[NoticeKind.REVIEW_ASKED]
    assert (asked_shop.state, asked_shop.failure) == (NoticeState.SKIPPED, NOTHING_LEFT)
    assert found[NoticeKind.REQUEST_APPROVED].state is NoticeState.SENT
    assert NoticeKind.STOP_SHIP not in found, "the shop approved it itself"


# The mail server misbehaves --------------------------------------------------------------------------------------


async def one_notice(world: World) -> None:
    await world.service.notices.preferences.put(THE_SHOP, Preferences(frozenset(NoticeKind)), world.now())
    await asked(world)


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
async def test_a_4xx_is_tried_again_later_under_the_same_message_id(world: World, command: str) -> None:
    await one_notice(world)
    world.mail.replies[command] = "451 4.7.1 Greylisted"
    await world.sent()
    first = (await world.notices())[NoticeKind.REQUEST_RECEIVED]
    assert (first.state, first.tries) == (NoticeState.PENDING, 1)
    assert "451 4.7.1" in first.failure
    world.mail.replies.clear()
    await world.sent()
    assert (await world.notices())[NoticeKind.REQUEST_RECEIVED].tries == 1, "not before its pause is over"
    world.now.later(minutes=2)
    await world.sent()
    assert (await world.notices())[NoticeKind.REQUEST_RECEIVED].state is NoticeState.SENT
    ids = {one["Message-ID"] for one in world.mail.messages}
    assert ids == {f"<notice.{first.notice_id}@market.example>"}


async def test_it_is_given_up_after_its_time_with_a_task(world: World) -> None:
    await one_notice(world)
    world.mail.replies["RCPT"] = "450 4.2.1 Busy"
    for _ in range(60):
        await world.sent()
        world.now.later(hours=2)
    found = (await world.notices())[NoticeKind.REQUEST_RECEIVED]
    assert found.state is NoticeState.DEAD
    assert 20 <= found.tries <= 40
    assert [task.kind for task in await world.tasks()] == [TaskKind.NOTICE_DEAD]


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
async def test_a_5xx_about_the_recipient_or_the_text_is_dead_at_once(world: World, command: str) -> None:
    await one_notice(world)
    world.mail.replies[command] = f"550 5.1.1 <{BUYER_ADDRESS}> is nobody"
    await world.sent()
    found = (await world.notices())[NoticeKind.REQUEST_RECEIVED]
    assert (found.state, found.tries) == (NoticeState.DEAD, 1)
    assert "550 5.1.1" in found.failure and BUYER_ADDRESS not in found.failure
    (task,) = await world.tasks()
    assert task.evidence["notice"] == str(found.notice_id)
    world.mail.replies.clear()
    assert await world.service.notices.queue.retry(found.notice_id, world.now())
    await world.sent()
    assert (await world.notices())[NoticeKind.REQUEST_RECEIVED].state is NoticeState.SENT


async def test_a_5xx_about_ourselves_is_no_fault_of_the_notice(world: World) -> None:
    await one_notice(world)
    world.mail.replies["MAIL"] = "550 5.7.1 You may not send"
    await world.sent()
    assert (await world.notices())[NoticeKind.REQUEST_RECEIVED].state is NoticeState.PENDING


async def test_a_connection_that_breaks_after_the_text_is_unknown_and_not_sent_again(world: World) -> None:
    await one_notice(world)
    world.mail.replies["DATA"] = "break"
    await world.sent()
    found = (await world.notices())[NoticeKind.REQUEST_RECEIVED]
    assert found.state is NoticeState.UNKNOWN
    world.mail.replies.clear()
    world.now.later(hours=48)
    await world.sent()
    assert len(world.mail.got) == 1, "the server has it once"
    (task,) = await world.tasks()
    assert (task.kind, task.evidence["failure"]) == (TaskKind.NOTICE_UNKNOWN, found.failure)
    assert found.failure != LOST, "no worker ended"


class Dying:
    """A mailer whose worker is killed: before the text was handed over, or after."""

    def __init__(self, *, after: bool) -> None:
        self.after = after

    async def send(self, mail: Mail, hand_over: HandOver) -> MailResult:
        if self.after:
            assert await hand_over()
        raise asyncio.CancelledError

    async def check(self) -> str | None:
        return None


@pytest.mark.parametrize("after", [False, True])
async def test_a_worker_that_is_killed_leaves_a_notice_to_send_again_or_one_that_nobody_knows_of(
    world: World, after: bool
) -> None:
    await one_notice(world)
    worker = world.dispatcher(mailer=Dying(after=after))
    await worker.fan_out()
    with pytest.raises(asyncio.CancelledError):
        while await worker.send_due():
            pass
    await world.sent()
    assert world.mail.got == [], "it is still the other worker's"
    world.now.later(minutes=16)
    await world.sent()
    await world.dispatcher().look_after()
    found = (await world.notices())[NoticeKind.REQUEST_RECEIVED]
    if after:
        assert (found.state, world.mail.got) == (NoticeState.UNKNOWN, [])
        assert [task.evidence["failure"] for task in await world.tasks()] == [LOST]
    else:
        assert (found.state, len(world.mail.got)) == (NoticeState.SENT, 1)


async def test_a_worker_that_was_only_slow_sends_nothing_once_another_has_the_notice(world: World) -> None:
    """The lease ends before the text is handed over: whoever has it now sends it, and the slow one does not."""
    await one_notice(world)

    class Slow:
        async def send(self, mail: Mail, hand_over: HandOver) -> MailResult:
            world.now.later(minutes=16)
            await world.sent()
            assert not await hand_over()
            return MailResult(MailOutcome.LATER, "Another worker has this notice.")

        async def check(self) -> str | None:
            return None

    worker = world.dispatcher(mailer=Slow())
    await worker.fan_out()
    while await worker.send_due():
        pass
    assert len(world.mail.got) == 1
    assert (await world.notices())[NoticeKind.REQUEST_RECEIVED].state is NoticeState.SENT


async def test_an_answer_that_comes_after_the_notice_was_marked_unknown_still_counts(world: World) -> None:
    await one_notice(world)

    class Late:
        async def send(self, mail: Mail, hand_over: HandOver) -> MailResult:
            assert await hand_over()
            world.now.later(minutes=16)
            await world.dispatcher().look_after()
            assert (await world.notices())[NoticeKind.REQUEST_RECEIVED].state is NoticeState.UNKNOWN
            return MailResult(MailOutcome.TAKEN)

        async def check(self) -> str | None:
            return None

    worker = world.dispatcher(mailer=Late())
    await worker.fan_out()
    while await worker.send_due():
        pass
    assert (await world.notices())[NoticeKind.REQUEST_RECEIVED].state is NoticeState.SENT


async def test_what_was_closed_is_forgotten_in_time_and_what_nobody_knows_of_is_not(world: World) -> None:
    await asked(world)
    world.mail.replies["DATA"] = "break"
    worker = world.dispatcher()
    await worker.fan_out()
    await worker.send_due()
    world.mail.replies.clear()
    await world.rows("UPDATE notice SET state = 'sent' WHERE kind = 'stop_ship' RETURNING 1")
    world.now.later(days=89)
    assert not await worker.purge()
    world.now.later(days=2)
    assert await worker.purge()
    assert [one.state for one in (await world.notices()).values()] == [NoticeState.UNKNOWN]


# The platform misbehaves -----------------------------------------------------------------------------------------


async def test_an_address_book_that_is_away_delays_and_nobody_s_address_is_a_persons_to_find(world: World) -> None:
    await one_notice(world)
    world.platform.status = 503
    await world.sent()
    found = (await world.notices())[NoticeKind.REQUEST_RECEIVED]
    assert (found.state, found.failure) == (NoticeState.PENDING, "The platform's address book answered 503.")
    world.platform.status = 404
    world.now.later(minutes=5)
    await world.sent()
    found = (await world.notices())[NoticeKind.REQUEST_RECEIVED]
    assert (found.state, found.failure) == (NoticeState.DEAD, "The platform has no address for this recipient.")


@pytest.mark.parametrize(
    "planted",
    [
        "a@b.example\r\nBcc: all@x.example",
        "A <a@b.example>",
        "a@b.example, c@d.example",
        "",
        7,
        "a@localhost",
        "甲@b.example",
    ],
)
async def test_an_address_that_is_none_is_not_written_to(world: World, planted: object) -> None:
    world.platform.book[("buyer", "b-1")] = {"email": planted}
    await one_notice(world)
    await world.sent()
    assert world.mail.got == []
    assert (await world.notices())[NoticeKind.REQUEST_RECEIVED].state is NoticeState.DEAD


async def test_no_address_is_in_any_table_or_line_of_the_log(
    world: World, database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever goes wrong: a server that repeats the address, a break, an address that cannot be written to."""
    for number, reply in enumerate(
        [f"550 5.1.1 <{BUYER_ADDRESS}> is nobody", "break", f"451 <{BUYER_ADDRESS}>", "250"]
    ):
        world.mail.replies["DATA" if number % 2 else "RCPT"] = reply
        await asked(world, f"o-{number}")
        await world.sent()
        world.mail.replies.clear()
        world.now.later(minutes=2)
    world.platform.book[("buyer", "b-1")] = {"email": f"{BUYER_ADDRESS}\r\nBcc: x@y.example"}
    await asked(world, "o-9")
    await world.sent()
    out, err = capfd.readouterr()
    assert "notice_given_up" in out + err, "the log was captured"
    assert "planted." not in out + err
    with psycopg.connect(database_url) as connection:
        tables = connection.execute(
            "SELECT format('SELECT count(*) FROM %I t WHERE t::text LIKE ''%%planted.%%''', table_name) "
            "FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        ).fetchall()
        found = {query: connection.execute(query.encode()).fetchone() for (query,) in tables}
    assert {query for query, row in found.items() if row != (0,)} == set()
