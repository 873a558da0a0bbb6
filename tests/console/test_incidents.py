"""Incidents in the console: a shop adds, contests and reads; the platform decides, recovers and answers (R9)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from jitui.aftersales.incident_list import IncidentFilter
from jitui.aftersales.model.incident import Incident, IncidentState
from jitui.aftersales.model.order import ShipmentSource, ShipmentStatus
from jitui.entrypoints.cursor import to_cursor
from jitui.identity.access import Role
from jitui.identity.people import Person, enrol
from jitui.settings import Settings
from tests.aftersales.market import DEFAULT_POLICY
from tests.console.conftest import Visit
from tests.console.marketplace import OPERATOR, OTHER_SHOP, PREMIUM, SHOP, SUPPORT, Marketplace, open_marketplace
from tests.console.operators import advanced
from tests.console.pages import Page
from tests.provider_simulator.server import SIMULATOR_AWAY

SECOND = Person("zhou", Role.OPERATOR, "", "周", sample=True)
DECIDED = {"outcome": "borne_by_shop", "reason": "The signal was an hour old."}


@pytest.fixture
async def market(database_url: str, tmp_path: Path) -> AsyncIterator[Marketplace]:
    """A market whose policy lets the shop bear the loss."""
    file = tmp_path / "policy.yaml"
    file.write_text(DEFAULT_POLICY.text + "\nloss: {borne_by: merchant}\n", encoding="utf-8")
    settings = Settings(home=tmp_path, policy_file=file, **SIMULATOR_AWAY)
    async with open_marketplace(settings, database_url) as opened:
        yield opened


async def an_incident(market: Marketplace, order_id: str = "A-1") -> str:
    """Goods that left although they were refunded; the page's id."""
    ref = await market.order(PREMIUM, order_id, [("水壶", 1, 8900)])
    await market.ask(PREMIUM, order_id)
    await market.parcel(ref, ShipmentStatus.PICKED_UP, ShipmentSource.CARRIER)
    return str((await rows(market))[0].incident_id)


async def rows(market: Marketplace) -> list[Incident]:
    return list(await market.service.queries.incidents(IncidentFilter()))


async def test_a_shop_lists_its_own_and_the_platform_everybodys(market: Marketplace, visit: Visit) -> None:
    incident = await an_incident(market)
    for person, home in ((SHOP, "/merchant/incidents"), (SUPPORT, "/support/incidents")):
        visitor = await visit(person)
        assert "A-1" in (await visitor.see(home)).text
        assert "A-1" in (await visitor.see(f"{home}?state=open")).text
        assert "No incidents here" in (await visitor.see(f"{home}?state=settled")).text
        assert "SF1020304050" in (await visitor.see(f"{home}/{incident}")).text
    other = await visit(OTHER_SHOP)
    assert "No incidents here" in (await other.see("/merchant/incidents")).text
    assert (await other.get(f"/merchant/incidents/{incident}")).status_code == 404
    statuses = [(await other.get(f"/merchant/incidents?{query}")).status_code for query in ("state=x", "after=x")]
    assert statuses == [400, 400]


async def test_the_list_goes_on_where_the_page_before_ended(market: Marketplace, visit: Visit) -> None:
    await an_incident(market, "A-1")
    await an_incident(market, "A-2")
    newest = (await rows(market))[0]
    place = to_cursor(newest.opened_at, str(newest.incident_id))
    page = await (await visit(SUPPORT)).see(f"/support/incidents?state=open&after={place}")
    assert "A-1" in page.text and "A-2" not in page.text
    assert "/support/incidents?state=open" in {given.get("href") for tag, given in page.tags if tag == "a"}


async def test_evidence_and_contacts_are_noted_and_a_refused_form_keeps_what_was_typed(
    market: Marketplace, visit: Visit
) -> None:
    path = f"/merchant/incidents/{await an_incident(market)}"
    shop = await visit(SHOP)
    for wrong in (
        {"text": " "},
        {"references": "javascript:alert(1)"},
        {"references": "ftp://x"},
        {"references": "1\n" * 11},
    ):
        typed = {"text": "The depot stopped it.", "references": "SF1020304050", **wrong}
        refused = await shop.send(path, f"{path}/evidence", **typed)
        assert refused.status_code == 422
        assert Page(refused.text).form(f"{path}/evidence").fields["text"] == typed["text"].strip()
    for wrong in ({"channel": "pigeon"}, {"note": ""}, {"at": "yesterday"}, {"at": "2999-01-01T10:00"}):
        typed = {"channel": "phone", "note": "Sends it back.", **wrong}
        refused = await shop.send(path, f"{path}/contacts", **typed)
        assert refused.status_code == 422
        assert Page(refused.text).form(f"{path}/contacts").fields["note"] == typed["note"]
    assert (await rows(market))[0].version == 1
    typed = {"text": "The depot stopped it.", "references": "https://carrier.example/42\nSF1020304050"}
    assert (await shop.send(path, f"{path}/evidence", **typed)).status_code == 303
    assert (await shop.send(path, f"{path}/contacts", channel="phone", note="Sends it back.")).status_code == 303
    page = await shop.see(path)
    assert "https://carrier.example/42" in page.text and "Telephone" in page.text and "Sends it back." in page.text
    assert {given.get("rel") for tag, given in page.tags if given.get("href", "").startswith("https:")} == {
        "noopener noreferrer nofollow"
    }


async def test_the_platform_decides_the_shop_contests_and_another_person_answers(
    market: Marketplace, visit: Visit
) -> None:
    await enrol(market.service.people, SECOND, None, now=market.service.clock())
    incident = await an_incident(market)
    theirs, ours = f"/merchant/incidents/{incident}", f"/support/incidents/{incident}"
    shop, operator, second = await visit(SHOP), await visit(OPERATOR), await visit(SECOND)
    assert f"{theirs}/contest" not in {form.action for form in (await shop.see(theirs)).forms}
    kept = await operator.send(ours, f"{ours}/outcome", outcome="", reason="Because.")
    assert kept.status_code == 422 and Page(kept.text).form(f"{ours}/outcome").fields["reason"] == "Because."
    stale = (await operator.see(ours)).form(f"{ours}/outcome").fields
    assert (await operator.post(f"{ours}/outcome", {**stale, **DECIDED})).status_code == 303
    again = await operator.post(f"{ours}/outcome", {**stale, **DECIDED})
    assert again.status_code == 409 and "Somebody changed this incident" in Page(again.text).text
    page = await shop.see(theirs)
    assert "The signal was an hour old." in page.text and "You can contest it until" in page.text
    assert OPERATOR.name not in [word.strip() for word in page.words] and "The platform ·" in page.text
    assert f"{OPERATOR.name} ·" in (await operator.see(ours)).text
    assert (await shop.send(theirs, f"{theirs}/contest", reason=" ")).status_code == 422
    assert (await shop.send(theirs, f"{theirs}/contest", reason="The depot had it.")).status_code == 303
    assert (await rows(market))[0].state is IncidentState.CONTESTED
    said = {"verdict": "upheld", "answer": "The depot confirms it.", "outcome": "borne_by_platform"}
    own = await operator.send(ours, f"{ours}/contest/answer", **said)
    assert own.status_code == 409 and "Another person must confirm this." in Page(own.text).text
    assert Page(own.text).form(f"{ours}/contest/answer").fields["answer"] == said["answer"]
    assert (await second.send(ours, f"{ours}/contest/answer", **{**said, "outcome": ""})).status_code == 422
    assert (await second.send(ours, f"{ours}/contest/answer", **said)).status_code == 303
    answered = (await rows(market))[0]
    assert (answered.platform_minor, answered.shop_minor) == (8900, 0)
    assert "The platform agrees" in (await shop.see(theirs)).text


async def test_money_is_typed_as_people_write_it_and_recovered(market: Marketplace, visit: Visit) -> None:
    incident = await an_incident(market)
    path = f"/support/incidents/{incident}"
    operator = await visit(OPERATOR)
    repaid = {"outcome": "repaid", "reason": "Paid again.", "repaid": "x", "reference": "PAY-7"}
    assert (await operator.send(path, f"{path}/outcome", **repaid)).status_code == 422
    assert (await operator.send(path, f"{path}/outcome", **{**repaid, "repaid": "80.00"})).status_code == 303
    found = (await rows(market))[0]
    assert (found.repaid_minor, found.shop_minor) == (8000, 900)
    for wrong in ("", "-1", "nine"):
        assert (await operator.send(path, f"{path}/recoveries", amount=wrong)).status_code == 422
    assert (await operator.send(path, f"{path}/recoveries", amount="10")).status_code == 409  # more than is owed
    assert (await operator.send(path, f"{path}/recoveries", amount="4.50", reference="S-1")).status_code == 303
    assert (await rows(market))[0].receivable_minor == 450


async def test_support_notes_and_does_not_decide(market: Marketplace, visit: Visit) -> None:
    path = f"/support/incidents/{await an_incident(market)}"
    visitor = await visit(SUPPORT)
    page = await visitor.see(path)
    assert f"{path}/outcome" not in {form.action for form in page.forms}
    token = page.form(f"{path}/evidence").fields["_csrf_token"]
    fields = {"_csrf_token": token, "version": "1", **DECIDED}
    assert (await visitor.post(f"{path}/outcome", fields)).status_code == 403
    assert (await visitor.send(path, f"{path}/evidence", text="The buyer called.")).status_code == 303


async def test_a_shop_contests_within_its_time(market: Marketplace, visit: Visit) -> None:
    incident = await an_incident(market)
    theirs, ours = f"/merchant/incidents/{incident}", f"/support/incidents/{incident}"
    assert (await (await visit(OPERATOR)).send(ours, f"{ours}/outcome", **DECIDED)).status_code == 303
    until = (await rows(market))[0].contest_until
    assert until is not None
    for at, is_shown in ((until - timedelta(seconds=1), True), (until, False)):
        object.__setattr__(market.service, "clock", lambda at=at: at)
        forms = {form.action for form in (await (await visit(SHOP)).see(theirs)).forms}
        assert (f"{theirs}/contest" in forms) is is_shown
    assert f"{ours}/contest" not in {form.action for form in (await (await visit(SUPPORT)).see(ours)).forms}


async def test_a_refund_that_the_platform_paid_says_so_and_takes_two_outcomes(
    market: Marketplace, visit: Visit
) -> None:
    incident = await advanced(market, "V-1")
    shop = await (await visit(SHOP)).see(f"/merchant/incidents/{incident}")
    assert "The platform paid for the shop" in shop.text and "balance at the payment provider was short" in shop.text
    assert "What the carrier said" not in shop.text and "Contest it" in shop.text
    assert "/operations/refunds/" not in shop.html, "the operators' page is not the shop's"
    desk = await visit(OPERATOR)
    path = f"/support/incidents/{incident}"
    page = await desk.see(path)
    values = [given.get("value") for tag, given in page.tags if tag == "option"]
    assert "borne_by_platform" in values and "returned" not in values and "repaid" not in values
    assert "Number of that payment" not in page.text
    (row,) = [one for one in await rows(market) if str(one.incident_id) == str(incident)]
    assert f"/operations/refunds/{row.refund_id}" in page.html
    forced = {"outcome": "returned", "reason": "The goods came back."}
    assert (await desk.send(path, f"{path}/outcome", **forced)).status_code == 409
    assert "The platform paid for the shop" in (await desk.see("/support/incidents")).text
