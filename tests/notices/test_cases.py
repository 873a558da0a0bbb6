"""What buyers and shops are told of arbitrations and incidents: each decision once, with its reasons and the way on."""

from __future__ import annotations

from datetime import timedelta
from email.message import EmailMessage

import pytest

from jitui.aftersales.commands.arbitration import (
    ArbitrationDecision,
    decide_arbitration,
    escalate,
    withdraw_arbitration,
)
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.incidents import (
    ContestAnswer,
    OutcomeTold,
    answer_contest,
    apply_deadline,
    contest_incident,
)
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.commands.review import reject
from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.model.incident import IncidentOutcome
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.aftersales.model.review import AtFault, RefundBorneBy
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.ports import AttemptRef, IncidentRef, OrderRef, TicketRef
from jitui.aftersales.provider import RefundResult, RefundResultKind
from jitui.ids import lane_of_id
from jitui.notices.model import NoticeFilter, NoticeKind, NoticeState, Preferences, Recipient, RecipientKind
from tests.aftersales.incidents import BY_SHOP, RULES, SECOND, decide
from tests.aftersales.incidents import SHOP as SHOP_PERSON
from tests.aftersales.market import rejection
from tests.notices.test_sending import SHOP, asked, ref
from tests.notices.world import BUYER_ADDRESS, SHOP_ADDRESS, World

BUYER, STAFF = Actor(ActorKind.BUYER, "b-1"), Actor(ActorKind.OPERATOR, "chen.jie")
DENIED = ArbitrationDecision(AtFault.BUYER, None, "It was agreed to wait.")
SHOP_BEARS = ArbitrationDecision(AtFault.MERCHANT, RefundBorneBy.MERCHANT, "Nothing was handed over.")


def text_of(message: EmailMessage) -> str:
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


async def sent_to(world: World, address: str) -> list[EmailMessage]:
    """Send what is due; all that this address got since the server's list was emptied."""
    await world.sent()
    return [one for one in world.mail.messages if one["To"] == address]


async def rejected(world: World) -> TicketRef:
    """A rejected request of which both sides have read; both read English."""
    world.platform.book[("shop", "shop-1")]["language"] = "en"
    ticket = await asked(world, amount=45000)
    await reject(world.market.store, ref(ticket), rejection("Made today."), Acting(SHOP, world.now()))
    await world.sent()
    world.mail.got.clear()
    world.now.later(hours=1)
    return ref(ticket)


async def escalated(world: World, where: TicketRef) -> None:
    done = await escalate(
        world.market.store, where, "Nothing was shipped.", (), Acting(BUYER, world.now()), answer_days=7
    )
    assert isinstance(done, Executed), done


async def test_an_arbitration_asks_the_shop_for_evidence_and_tells_both_how_it_ended(world: World) -> None:
    where = await rejected(world)
    await escalated(world, where)
    (to_shop,) = await sent_to(world, SHOP_ADDRESS)
    (to_buyer,) = await sent_to(world, BUYER_ADDRESS)
    deadline = (world.now() + timedelta(days=7)).astimezone(world.service.settings.time_zone)
    assert f"decides by {deadline:%Y-%m-%d %H:%M} UTC" in text_of(to_shop)
    assert "Evidence is asked for" in to_shop["Subject"] and "Nothing was shipped." in text_of(to_shop)
    assert "The platform looks at your refund request" in to_buyer["Subject"]
    world.mail.got.clear()
    world.now.later(hours=1)
    await decide_arbitration(world.market.store, where, DENIED, Acting(STAFF, world.now()))
    (to_shop,), (to_buyer,) = await sent_to(world, SHOP_ADDRESS), await sent_to(world, BUYER_ADDRESS)
    for one in (to_shop, to_buyer):
        assert "stays rejected" in text_of(one)
        assert "At fault: the buyer. The reason: It was agreed to wait." in text_of(one)
    assert "Your legal remedies are not affected" in text_of(to_buyer), "it is decided against the buyer"
    assert "legal remedies" not in text_of(to_shop)


async def test_an_approval_by_arbitration_is_told_once_and_the_shop_how_to_contest_it(world: World) -> None:
    where = await rejected(world)
    await escalated(world, where)
    await decide_arbitration(world.market.store, where, SHOP_BEARS, Acting(STAFF, world.now()))
    (to_buyer,) = await sent_to(world, BUYER_ADDRESS)
    assert "goes back to the buyer" in text_of(to_buyer) and "legal remedies" not in text_of(to_buyer)
    subjects = [one["Subject"] for one in await sent_to(world, SHOP_ADDRESS)]
    assert [one.split(":")[0] for one in sorted(subjects)] == ["Do not ship", "The platform has decided"]
    (decided,) = (one for one in world.mail.messages if one["To"] == SHOP_ADDRESS and "decided" in one["Subject"])
    assert "borne by the shop" in text_of(decided) and "At fault: the shop" in text_of(decided)
    assert "Your legal remedies are not affected" in text_of(decided)
    kinds = {one.kind for one in await world.service.notices.queue.list(NoticeFilter(limit=500))}
    assert NoticeKind.REQUEST_APPROVED not in kinds
    evidence = next(
        one for one in await world.service.notices.queue.list(NoticeFilter()) if one.kind is NoticeKind.EVIDENCE_ASKED
    )
    assert evidence.state is NoticeState.SKIPPED, "it was decided before the shop was asked"


async def test_each_arbitration_of_a_ticket_is_told_and_one_that_was_withdrawn_is_not(world: World) -> None:
    where = await rejected(world)
    await escalated(world, where)
    await world.sent()
    world.mail.got.clear()
    for _ in range(2):
        await withdraw_arbitration(world.market.store, where, Acting(BUYER, world.now()))
        world.now.later(hours=1)
        await escalated(world, where)
    (to_shop,) = await sent_to(world, SHOP_ADDRESS)
    deadline = (world.now() + timedelta(days=7)).astimezone(world.service.settings.time_zone)
    assert f"{deadline:%Y-%m-%d %H:%M}" in text_of(to_shop), "the deadline of the one that is open"
    await withdraw_arbitration(world.market.store, where, Acting(BUYER, world.now()))
    await world.rows("UPDATE notice_cursor SET position = 0 RETURNING 1")
    await world.sent()
    assert len([one for one in world.mail.messages if one["To"] == SHOP_ADDRESS]) == 1


@pytest.mark.parametrize("kind", [NoticeKind.EVIDENCE_ASKED, NoticeKind.ARBITRATION_DECIDED])
async def test_what_has_a_deadline_or_decides_against_somebody_cannot_be_switched_off(
    world: World, kind: NoticeKind
) -> None:
    off = Preferences(frozenset(NoticeKind))
    await world.service.notices.preferences.put(Recipient(RecipientKind.SHOP, "shop-1"), off, world.now())
    where = await rejected(world)
    await escalated(world, where)
    await world.sent()
    if kind is NoticeKind.ARBITRATION_DECIDED:
        await decide_arbitration(world.market.store, where, DENIED, Acting(STAFF, world.now()))
        await world.sent()
    found = await world.service.notices.queue.list(NoticeFilter(recipient=Recipient(RecipientKind.SHOP, "shop-1")))
    assert next(one for one in found if one.kind is kind).state is NoticeState.SENT


# Incidents -------------------------------------------------------------------------------------------------------


async def an_incident(world: World) -> IncidentRef:
    """A refund at once, and then the carrier's scan; the shop has read of it."""
    world.platform.book[("shop", "shop-1")]["language"] = "en"
    ticket = await asked(world)
    await world.market.ship(
        OrderRef(ticket.lane, ticket.order_id),
        status=ShipmentStatus.PICKED_UP,
        source=ShipmentSource.CARRIER,
        tracking_no="SF-1",
        now=world.now(),
    )
    await world.sent()
    world.mail.got.clear()
    (found,) = await world.service.queries.incidents(IncidentFilter(shop_id="shop-1", limit=5))
    return IncidentRef(lane_of_id(found.incident_id), found.incident_id)


async def test_an_incident_that_is_charged_is_told_with_its_reasons_and_until_when_it_can_be_contested(
    world: World,
) -> None:
    where = await an_incident(world)
    world.now.later(hours=1)
    await decide(world.market, where, IncidentOutcome.BORNE_BY_SHOP, now=world.now())
    (told,) = await sent_to(world, SHOP_ADDRESS)
    text = " ".join(text_of(told).split())
    until = (world.now() + timedelta(days=15)).astimezone(world.service.settings.time_zone)
    assert "your shop bears 129.00 CNY" in text and "tracking number SF-1" in text
    assert f"You can contest it until {until:%Y-%m-%d %H:%M}" in text
    assert await sent_to(world, BUYER_ADDRESS) == [], "nothing of it is the buyer's"


async def test_a_changed_outcome_is_told_too_and_the_one_before_not_any_more(world: World) -> None:
    where = await an_incident(world)
    for outcome in (IncidentOutcome.BORNE_BY_SHOP, IncidentOutcome.RETURNED):
        world.now.later(hours=1)
        await decide(world.market, where, outcome, now=world.now())
    (told,) = await sent_to(world, SHOP_ADDRESS)
    assert "the goods came back" in text_of(told)
    assert "Your shop bears nothing of it. The reason: Read the scan." in text_of(told)
    decided = [
        one.state
        for one in await world.service.notices.queue.list(NoticeFilter())
        if one.kind is NoticeKind.INCIDENT_DECIDED
    ]
    assert sorted(decided) == [NoticeState.SENT, NoticeState.SKIPPED]


@pytest.mark.parametrize("upheld", [False, True])
async def test_the_answer_to_a_contest_says_what_the_shop_still_bears(world: World, upheld: bool) -> None:
    where = await an_incident(world)
    await decide(world.market, where, IncidentOutcome.BORNE_BY_SHOP, now=world.now())
    store = world.market.store
    await contest_incident(
        store, where, "The parcel was stopped.", RULES, by=SHOP_PERSON, now=world.now(), shop_id="shop-1"
    )
    await world.sent()
    world.mail.got.clear()
    world.now.later(days=1)
    snapshot = await store.read_order(where)
    assert snapshot is not None and snapshot.incident is not None
    corrected = OutcomeTold(IncidentOutcome.BORNE_BY_PLATFORM, snapshot.incident.version, "It was stopped.")
    said = ContestAnswer(upheld, "We looked at it again.", corrected if upheld else None)
    done = await answer_contest(store, where, said, BY_SHOP, RULES, by=SECOND, now=world.now())
    assert isinstance(done, Executed), done
    (told,) = await sent_to(world, SHOP_ADDRESS)
    text = " ".join(text_of(told).split())
    assert "We looked at it again." in text
    assert ("your shop bears 129.00 CNY" in text) is not upheld


async def test_a_refund_that_the_platform_paid_for_the_shop_is_told_as_what_it_is(world: World) -> None:
    """Charged, and later taken back by the provider: no word of goods, and no carrier."""
    world.platform.book[("shop", "shop-1")]["language"] = "en"
    ticket = await asked(world)
    (claimed,) = await world.market.store.claim_refunds(
        now=world.now(), lease_until=world.now() + timedelta(minutes=1), limit=1
    )
    assert claimed.refund.ticket_id == ticket.ticket_id
    attempt = AttemptRef(claimed.lane, claimed.attempt.attempt_id)
    store = world.market.store
    paid = RefundResult(RefundResultKind.SUCCEEDED, advanced=True)
    await confirm(store, attempt, RefundUpdate(paid), now=world.now())
    (due,) = await store.due_incidents(world.now(), 5)
    await world.sent()
    world.mail.got.clear()
    await apply_deadline(store, due, RULES, now=world.now())
    (charged,) = await sent_to(world, SHOP_ADDRESS)
    text = " ".join(text_of(charged).split())
    assert "129.00 CNY was charged to your shop" in text and "You can contest it until" in text
    assert "left" not in text and "carrier" not in text
    world.mail.got.clear()
    world.now.later(hours=1)
    failed = RefundResult(RefundResultKind.DECLINED, reason="closed")
    await confirm(store, attempt, RefundUpdate(failed, looked_up=True), now=world.now())
    (taken_back,) = await sent_to(world, SHOP_ADDRESS)
    text = " ".join(text_of(taken_back).split())
    assert "took back the refund" in text and "owes nothing for it any more" in text
    assert "goods" not in text and "The reason" not in text
