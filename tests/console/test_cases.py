"""A ticket's whole story for the platform's people, and every condition with its values (R16)."""

from __future__ import annotations

import asyncio

from jitui.aftersales.commands.arbitration import escalate
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import Rejection, reject
from jitui.aftersales.ledger import FLOWS
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.aftersales.model.review import EvidenceItem, RejectionCode
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.outcomes import Refusal
from jitui.aftersales.ports import TicketRef
from jitui.entrypoints.console.words.cases import CAUSES
from jitui.identity.access import Role
from jitui.identity.people import Person, enrol
from jitui.ids import lane_of_id, new_id
from jitui.notices.model import NoticeFilter
from tests.console.conftest import Visit
from tests.console.marketplace import NEWCOMER, PREMIUM, SHOP, SUPPORT, Marketplace

GOODS = [("水壶", 1, 8900)]


async def test_the_whole_story_of_an_instant_refund_whose_goods_left(market: Marketplace, visit: Visit) -> None:
    ref = await market.order(PREMIUM, "A-1", GOODS)
    await market.parcel(ref, ShipmentStatus.LABEL_PRINTED)
    ticket_id = await market.ask(PREMIUM, "A-1")
    await market.parcel(ref, ShipmentStatus.PICKED_UP, ShipmentSource.CARRIER)
    page = await (await visit(SUPPORT)).see(f"/support/tickets/{ticket_id}")
    for said in (
        "Approved by the platform guarantee",
        "Nothing was sent yet.",
        "A refund was approved",
        "Owed to the buyer",
        "SF1020304050",
        "Goods left after the refund",
        "Nobody was mailed about this ticket.",
        "Receipt that the buyer got",
        PREMIUM.subject_id,
        SHOP.display_name,
    ):
        assert said in page.text, said
    assert "Arbitration ·" not in page.text


async def test_the_notices_are_those_about_this_ticket(market: Marketplace, visit: Visit) -> None:
    service = market.service
    queue, now = service.notices.queue, service.clock()
    await queue.fan_out(now)  # what happened before the first time is nobody's notice
    tickets = []
    for order_id in ("A-1", "A-2"):
        await market.order(PREMIUM, order_id, GOODS)
        tickets.append(await market.ask(PREMIUM, order_id))
    await service.feed.publish()
    await queue.fan_out(service.clock())
    found = await queue.list(NoticeFilter(ticket_id=tickets[0]))
    assert {notice.subject for notice in found} == {str(tickets[0])}
    assert len(await queue.list(NoticeFilter())) > len(found)
    page = await (await visit(SUPPORT)).see(f"/support/tickets/{tickets[0]}")
    assert "The request was taken in" in page.text and "To be sent" in page.text


async def test_a_rejection_and_its_arbitration_with_names_and_evidence(market: Marketplace, visit: Visit) -> None:
    await market.order(NEWCOMER, "B-1", GOODS)
    ticket_id = await market.ask(NEWCOMER, "B-1")
    store, now = market.service.store, market.service.clock()
    ref = TicketRef(lane_of_id(ticket_id), ticket_id)
    told = Rejection(RejectionCode.OTHER, "We have packed it.", (EvidenceItem("A photo.", "https://files.example/1"),))
    assert not isinstance(await reject(store, ref, told, Acting(Actor(ActorKind.MERCHANT, "shan"), now)), Refusal)
    by = Acting(Actor(ActorKind.BUYER, NEWCOMER.subject_id), now)
    asked = await escalate(store, ref, "They have not.", (EvidenceItem("The chat."),), by, answer_days=7)
    assert not isinstance(asked, Refusal)
    page = await (await visit(SUPPORT)).see(f"/support/tickets/{ticket_id}")
    for said in ("We have packed it.", "A photo. https://files.example/1", "They have not.", "The chat."):
        assert said in page.text, said
    assert "Waiting for the platform" in page.text


async def test_who_may_not_read_the_ledger_reads_the_rest(market: Marketplace, visit: Visit) -> None:
    await market.order(PREMIUM, "A-1", GOODS)
    ticket_id = await market.ask(PREMIUM, "A-1")
    risk = Person("ri", Role.RISK, "", "Ri", sample=True)
    await enrol(market.service.people, risk, None, now=market.service.clock())
    page = await (await visit(risk)).see(f"/support/tickets/{ticket_id}")
    assert "Refunds and attempts" in page.text
    assert "Money in accounts" not in page.text
    assert "Money in accounts" in (await (await visit(SUPPORT)).see(f"/support/tickets/{ticket_id}")).text


async def test_why_has_every_condition_with_its_values_and_the_policys_version(
    market: Marketplace, visit: Visit
) -> None:
    await market.order(NEWCOMER, "B-1", GOODS)
    ticket_id = await market.ask(NEWCOMER, "B-1")
    page = await (await visit(SUPPORT)).see(f"/support/tickets/{ticket_id}/why")
    stored = await market.service.queries.decision(TicketRef(lane_of_id(ticket_id), ticket_id))
    assert stored is not None
    assert "Why it was not refunded at once" in page.text
    assert f"version {stored.policy_version}" in page.text and stored.policy_sha256 in page.text
    rows = [given for tag, given in page.tags if tag == "td" and given.get("data-name") == "Values at that time"]
    assert len(rows) == len(stored.decision["conditions"])  # type: ignore[arg-type]
    assert "order.paid_minor = 8900" in page.text
    assert "The platform alone" in page.text
    premium = await market.order(PREMIUM, "A-1", GOODS)
    instant = await market.ask(PREMIUM, premium.order_id)
    assert "Why it was refunded at once" in (await (await visit(SUPPORT)).see(f"/support/tickets/{instant}/why")).text


async def test_the_values_are_on_no_page_of_a_merchant_or_buyer(market: Marketplace, visit: Visit) -> None:
    await market.order(NEWCOMER, "B-1", GOODS)
    ticket_id = await market.ask(NEWCOMER, "B-1")
    for person, home in ((SHOP, "merchant"), (NEWCOMER, "buyer")):
        assert "order.paid_minor" not in (await (await visit(person)).see(f"/{home}/tickets/{ticket_id}")).text


async def test_what_is_not_there_is_not_found(visit: Visit) -> None:
    visitor = await visit(SUPPORT)
    paths = [f"/support/tickets/{new_id(7)}", f"/support/tickets/{new_id(7)}/why", "/support/nothing"]
    got = await asyncio.gather(*(visitor.get(path) for path in paths))
    assert [response.status_code for response in got] == [404, 404, 404]


def test_the_ledgers_sentences_are_those_of_the_books() -> None:
    assert {cause: flow.meaning for cause, flow in FLOWS.items()} == CAUSES
