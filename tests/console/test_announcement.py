"""A text's announcement on its page: told, withdrawn, opinions and answers, each as the API does it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from jitui.aftersales.governance.announcing import AnnouncementState, Opinion, OpinionOf, announcement_of_text
from jitui.ids import new_id
from jitui.policy import Policy
from tests.console.conftest import Visit
from tests.console.marketplace import Marketplace
from tests.console.operators import AUDITOR, staffed
from tests.console.pages import Page, Visitor
from tests.console.policies import ADA, BO, LIVE, enrolled
from tests.console.test_policies import TEXT, for_two, proposed
from tests.publishing import put

PAGE = f"{TEXT}/announcement"
WITH_NOTICE = LIVE.text.replace('version: "2"', 'version: "n"') + "\nnotice_period: 7d\n"


@pytest.fixture(autouse=True)
async def _people(market: Marketplace) -> None:
    await staffed(market)
    await enrolled(market)
    await put(market.service.policies, Policy.from_text(WITH_NOTICE), now=market.service.clock())
    await for_two(market)


async def approved(visit: Visit) -> Visitor:
    """Ada, whose text Bo has approved."""
    ada, bo = await visit(ADA), await visit(BO)
    path = await proposed(ada)
    assert (await bo.send(path, f"{path}/approve", note="")).status_code == 303
    return ada


async def announced(visit: Visit) -> Visitor:
    ada = await approved(visit)
    done = await ada.send(PAGE, PAGE)
    assert (done.status_code, done.headers.get("location")) == (303, PAGE), Page(done.text).text
    return ada


async def test_an_approved_text_is_announced_for_the_earliest_moment(market: Marketplace, visit: Visit) -> None:
    ada = await visit(ADA)
    path = await proposed(ada)
    page = await ada.see(PAGE)
    assert "What changes is announced 7 days before" in page.text
    assert "Only a text that a second person has approved can be announced." in page.text
    assert "It is not announced." in page.text and "Announced now, it could be in force from" in page.text
    assert "CN¥200" in page.text or "200" in page.text, "what it changes is told before"
    early = await ada.send(PAGE, PAGE)
    assert early.status_code == 409
    assert "Only a text is announced that a second person approved" in Page(early.text).text
    bo = await visit(BO)
    assert (await bo.send(path, f"{path}/approve", note="")).status_code == 303
    assert (await ada.send(PAGE, PAGE)).status_code == 303
    text = await market.service.policies.find_text(LIVE.id, "3")
    assert text is not None
    found = await announcement_of_text(market.service.policies, text.sha256)
    assert found is not None and found.announced_by == "ada"
    assert found.takes_effect_at - found.announced_at == timedelta(days=7)
    page = await (await visit(AUDITOR)).see(PAGE)
    assert "Announced" in page.text and "It takes effect at" in page.text
    assert not [form for form in page.forms if form.action.startswith(PAGE)], "an auditor reads"
    assert "See the announcement" in (await ada.see(TEXT)).text


async def test_a_moment_within_the_period_and_a_period_that_changed_announce_nothing(
    market: Marketplace, visit: Visit
) -> None:
    ada = await approved(visit)
    soon = (market.service.clock() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    refused = await ada.send(PAGE, PAGE, effective_at=soon)
    page = Page(refused.text)
    assert refused.status_code == 409
    assert "The notice period is not over" in page.text
    assert page.form(PAGE).fields["effective_at"] == soon, "what was typed is kept"
    past = await ada.send(PAGE, PAGE, effective_at="2020-01-01T00:00")
    assert past.status_code == 409
    assert "The moment is over" in Page(past.text).text
    assert Page(past.text).form(PAGE).fields["effective_at"] == "2020-01-01T00:00"
    assert (await ada.send(PAGE, PAGE, effective_at="tomorrow")).status_code == 422
    stale = await ada.send(PAGE, PAGE, days="3")
    assert stale.status_code == 409
    assert "The notice period has changed since you read it." in Page(stale.text).text
    assert not await market.service.policies.announcements(limit=9)


async def test_it_is_withdrawn_with_a_reason_once(market: Marketplace, visit: Visit) -> None:
    await announced(visit)
    bo = await visit(BO)
    without = await bo.send(PAGE, f"{PAGE}/withdraw", reason=" ")
    assert without.status_code == 422
    form = (await bo.see(PAGE)).form(f"{PAGE}/withdraw")
    assert (await bo.send(PAGE, f"{PAGE}/withdraw", reason="Written anew.")).status_code == 303
    (row,) = await market.service.policies.announcements(limit=9)
    assert (row.state, row.withdrawn_for) == (AnnouncementState.CALLED_OFF, "Written anew.")
    page = await bo.see(PAGE)
    assert "Written anew." in page.text and "Announcement called off" in page.text
    other = {**form.fields, "announcement": str(new_id(0)), "reason": "Once more."}
    stale = await bo.post(f"{PAGE}/withdraw", other)
    assert stale.status_code == 409
    assert "This announcement has changed since you read it." in Page(stale.text).text


async def test_opinions_are_recorded_and_answered_for_everybody(market: Marketplace, visit: Visit) -> None:
    ada = await announced(visit)
    assert "Nobody has said anything of it." in (await ada.see(PAGE)).text
    empty = await ada.send(PAGE, f"{PAGE}/opinions", said="\n ", said_by="buyer", reference="f-1")
    assert empty.status_code == 422
    assert Page(empty.text).form(f"{PAGE}/opinions").fields["reference"] == "f-1"
    spaced = await ada.send(PAGE, f"{PAGE}/opinions", said="Too low.", said_by="buyer", reference="f 1")
    assert spaced.status_code == 422
    done = await ada.send(PAGE, f"{PAGE}/opinions", said="Too low.\nFar too low.", said_by="merchant", reference="f-1")
    assert done.status_code == 303
    (row,) = await market.service.policies.announcements(limit=9)
    (opinion,) = await market.service.policies.opinions(row.announcement_id, limit=9)
    assert (opinion.said, opinion.said_by, opinion.recorded_by) == ("Too low.\nFar too low.", OpinionOf.MERCHANT, "ada")
    path = f"{PAGE}/opinions/{opinion.opinion_id}/answer"
    first, second = (await ada.see(PAGE)).form(path).fields, await visit(BO)
    assert (await second.send(PAGE, path, answer="It stays.")).status_code == 303
    stale = await ada.post(path, {**first, "answer": "It goes."})
    page = Page(stale.text)
    assert stale.status_code == 409
    assert "Somebody has answered it otherwise." in page.text and "The platform answers: It stays." in page.text
    assert page.form(path).fields["answer"] == "It goes."
    assert not [form for form in (await ada.see(PAGE)).forms if form.action == path]
    assert "It stays." in (await (await visit()).see("/policy")).text
    nobody = await ada.post(f"{PAGE}/opinions/{new_id(0)}/answer", {**first, "answer": "It goes."})
    assert nobody.status_code == 404


async def test_many_opinions_are_read_page_by_page(market: Marketplace, visit: Visit) -> None:
    ada = await announced(visit)
    (row,) = await market.service.policies.announcements(limit=9)
    for number in range(21):
        at = market.service.clock()
        said = Opinion(new_id(0), row.announcement_id, OpinionOf.OTHER, f"Said {number}.", "ada", at)
        assert isinstance(await market.service.policies.record_opinion(said), Opinion)
    page = await ada.see(PAGE)
    assert "Said 20." in page.text and "Said 1." in page.text and "Said 0." not in page.text
    older = next(given["href"] for tag, given in page.tags if tag == "a" and "?after=" in given.get("href", ""))
    page = await ada.see(older)
    assert "Said 0." in page.text and "Said 1." not in page.text
    assert (await ada.get(f"{PAGE}?after=x")).status_code == 400
