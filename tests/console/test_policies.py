"""The pages of a policy's life: written, proposed, approved by a second person, published, rolled back, paused."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from jitui.aftersales.governance.proposals import NOT_CLOSED, ProposalState
from jitui.aftersales.governance.publication import Stage, in_force
from jitui.aftersales.governance.registry import Pause, Scope
from jitui.entrypoints.console.words.policies import POLICY_WORDS
from tests.console.conftest import Visit
from tests.console.marketplace import Marketplace
from tests.console.operators import AUDITOR, LI, staffed
from tests.console.pages import Page, Visitor
from tests.console.policies import ADA, BO, LIVE, NEXT, enrolled
from tests.publishing import put

POLICIES, EDITOR = "/risk/policies", "/risk/policies/editor"
TEXT = f"{POLICIES}/texts/{LIVE.id}/3"


@pytest.fixture(autouse=True)
async def _people(market: Marketplace) -> None:
    await staffed(market)
    await enrolled(market)


async def for_two(market: Marketplace) -> None:
    assert await market.service.policies.end_single_person(by="tests", now=market.service.clock())


async def kept(visitor: Visitor, document: str = NEXT) -> str:
    """The path of a text that was written in the editor and kept."""
    done = await visitor.send(EDITOR, EDITOR, document=document, cases="", do="keep")
    assert done.status_code == 303, Page(done.text).text
    return str(done.headers["location"])


async def proposed(visitor: Visitor, **fields: str) -> str:
    done = await visitor.send(await kept(visitor), f"{TEXT}/propose", reason="The limit is lower.", **fields)
    assert done.status_code == 303, Page(done.text).text
    return str(done.headers["location"])


async def live_version(market: Marketplace) -> str:
    live = await market.service.policies.publication(None)
    assert live is not None
    return live.version


def test_every_word_of_a_policys_life_is_there() -> None:
    for codes, said in POLICY_WORDS.items():
        assert set(said) == {code.value for code in codes}, codes


async def test_a_text_is_written_checked_and_kept(market: Marketplace, visit: Visit) -> None:
    visitor = await visit(ADA)
    form = (await visitor.see(EDITOR)).form(EDITOR)
    assert form.fields["document"].strip() == LIVE.text.strip(), "it begins with the live text"
    broken = NEXT.replace("order.paid_minor < limit_minor", "order.paid_minorr < limit_minor")
    checked = await visitor.post(f"{EDITOR}/check", {**form.fields, "document": broken})
    said = Page(checked.text).text
    assert checked.status_code == 200
    assert "<html" not in checked.text, "a part of the page"
    line = next(at for at, text in enumerate(broken.splitlines(), start=1) if "paid_minorr" in text)
    assert f"line {line}, column" in said and "paid_minorr" in said
    refused = await visitor.post(EDITOR, {**form.fields, "document": broken, "do": "keep"})
    page = Page(refused.text)
    assert refused.status_code == 422
    assert "Nothing was kept" in page.text
    assert page.form(EDITOR).fields["document"].strip() == broken.strip(), "what was typed is kept"
    assert await market.service.policies.find_text(LIVE.id, "3") is None
    good = Page((await visitor.post(f"{EDITOR}/check", {**form.fields, "document": NEXT, "cases": ""})).text)
    assert "Nothing stands against it." in good.text
    assert "30000 → 20000" in good.text
    path = await kept(visitor, NEXT.replace("\n", "\r\n"))
    assert path == TEXT
    text = await market.service.policies.find_text(LIVE.id, "3")
    assert text is not None and text.document == NEXT and text.pushed_by == "ada"
    listed = [
        row for row in (await visitor.see(POLICIES)).text.split("unshipped-instant-refund ") if row.startswith("3 ")
    ]
    assert "Draft" in listed[0]
    page = await visitor.see(TEXT)
    assert "Draft" in page.text
    assert "under CN¥200.00" in page.text and "order.paid_minor < limit_minor" in page.text


async def test_a_version_names_one_text_also_here(visit: Visit) -> None:
    visitor = await visit(ADA)
    await kept(visitor)
    other = NEXT.replace("20000", "10000")
    refused = await visitor.send(EDITOR, EDITOR, document=other, cases="", do="keep")
    assert refused.status_code == 422
    assert "Another text has this version" in Page(refused.text).text


async def test_cases_that_come_out_otherwise_are_told_beside_the_text(visit: Visit) -> None:
    visitor = await visit(ADA)
    cases = """
cases:
  - name: 250 is too much
    facts: {order.paid_minor: 25000}
    expect: {outcome: instant}
"""
    form = (await visitor.see(EDITOR)).form(EDITOR)
    said = Page((await visitor.post(f"{EDITOR}/check", {**form.fields, "document": NEXT, "cases": cases})).text).text
    assert "0 of 1 come out as expected." in said
    assert "A case comes out otherwise" in said


async def test_two_people_bring_a_text_into_force(market: Marketplace, visit: Visit) -> None:
    await for_two(market)
    ada, bo = await visit(ADA), await visit(BO)
    path = await proposed(ada)
    own = await ada.see(path)
    assert "You proposed this. Somebody else approves it." in own.text
    assert not [form for form in own.forms if form.action.endswith(("/approve", "/publish"))]
    page = await bo.see(path)
    assert "30000 → 20000" in page.text
    alone = await ada.post(f"{path}/approve", {**page.form(f"{path}/approve").fields, **await token(ada)})
    assert alone.status_code == 409
    assert "You proposed this" in Page(alone.text).text
    early = await ada.post(f"{path}/publish", await token(ada))
    assert early.status_code == 409
    assert await live_version(market) == "2"
    assert (await bo.send(path, f"{path}/approve", note="Agreed.")).status_code == 303
    page = await bo.see(path)
    assert "Approved by" in page.text and "Agreed." in page.text
    assert (await bo.send(path, f"{path}/publish")).status_code == 303
    assert await live_version(market) == "3"
    row = await market.service.policies.publication(None)
    assert row is not None and (row.approved_by, row.authority) == ("bo", "two_people")
    late = await bo.post(f"{path}/publish", await token(bo))
    assert late.status_code == 409


async def test_what_was_changed_since_it_was_read_is_not_approved(market: Marketplace, visit: Visit) -> None:
    await for_two(market)
    ada, bo = await visit(ADA), await visit(BO)
    path = await proposed(ada)
    read = (await bo.see(path)).form(f"{path}/approve").fields
    later = (market.service.clock() + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
    assert (await ada.send(path, f"{path}/schedule", effective_at=later)).status_code == 303
    stale = await bo.post(f"{path}/approve", {**read, "note": "Fine."})
    page = Page(stale.text)
    assert stale.status_code == 409
    assert "has changed since you read it" in page.text
    assert page.form(f"{path}/approve").fields["note"] == "Fine.", "what was typed is kept"
    assert page.form(f"{path}/approve").fields["content_hash"] != read["content_hash"]
    (open_one,) = await market.service.proposals.list(states=NOT_CLOSED, limit=9)
    assert open_one.state is ProposalState.OPEN


async def test_for_one_person_no_second_is_asked_for_and_no_share_is_cut_short(visit: Visit) -> None:
    visitor = await visit(ADA)
    path = await kept(visitor)
    announcing = await visitor.see(f"{path}/announcement")
    assert "Everybody reads from then on what changes" in announcing.text
    assert "that a second person has approved" not in announcing.text
    share = next(given for _, given in (await visitor.see(path)).tags if given.get("name") == "percent")
    assert int(share["maxlength"]) > 2, "100 is refused in words, and never becomes 10"


@pytest.mark.parametrize(("moment", "percent"), [("yesterday", "0"), ("2020-01-01T00:00", "0"), ("", "100"), ("", "x")])
async def test_a_moment_or_a_share_that_cannot_be_is_told_and_kept(visit: Visit, moment: str, percent: str) -> None:
    visitor = await visit(ADA)
    path = await kept(visitor)
    refused = await visitor.send(path, f"{path}/propose", reason="Why not.", effective_at=moment, percent=percent)
    page = Page(refused.text)
    assert refused.status_code == 422
    fields = page.form(f"{path}/propose").fields
    assert (fields["reason"], fields["percent"]) == ("Why not.", percent)
    assert "Please enter a" in page.text


async def test_a_canary_is_started_up_to_the_approved_share_and_ended(market: Marketplace, visit: Visit) -> None:
    await for_two(market)
    ada, bo = await visit(ADA), await visit(BO)
    path = await proposed(ada, percent="5")
    assert (await bo.send(path, f"{path}/approve")).status_code == 303
    beyond = await ada.send(path, f"{path}/canary", percent="6")
    assert (beyond.status_code, "at most what was approved" in Page(beyond.text).text) == (409, True)
    assert (await ada.send(path, f"{path}/canary", percent="4")).status_code == 303
    page = await bo.see(POLICIES)
    assert "Canary 4%" in page.text
    stop = next(form.fields for form in page.forms if form.action == f"{POLICIES}/stop")
    assert (await bo.post(f"{POLICIES}/stop", {**stop, "reason": " "})).status_code == 422
    assert (await bo.post(f"{POLICIES}/stop", {**stop, "reason": "Too many incidents."})).status_code == 303
    again = await bo.post(f"{POLICIES}/stop", {**stop, "reason": "Too many incidents."})
    assert (again.status_code, "Nothing is in this stage any more" in Page(again.text).text) == (409, True)


@pytest.mark.parametrize("stage", [Stage.CANARY, Stage.SHADOW])
async def test_what_began_since_the_page_was_read_is_not_ended(market: Marketplace, visit: Visit, stage: Stage) -> None:
    service, now, visitor, path = market.service, market.service.clock(), await visit(ADA), f"{POLICIES}/stop"
    share = {"percent": 5, "seed": "a"} if stage is Stage.CANARY else {}
    third, fourth = (type(LIVE).from_text(NEXT.replace('"3"', f'"{version}"')) for version in (3, 4))
    await put(service.policies, third, now=now, stage=stage, **share)  # type: ignore[arg-type]
    read = (await visitor.see(POLICIES)).form(path).fields
    assert (await visitor.post(path, {**read, "reason": "Incidents."})).status_code == 303
    begun = await put(service.policies, fourth, now=now, stage=stage, **share)  # type: ignore[arg-type]
    stale = await visitor.post(path, {**read, "reason": "Incidents, again."})
    assert (stale.status_code, "Nothing is in this stage any more" in Page(stale.text).text) == (409, True)
    found = in_force(await service.policies.log(), (await service.policies.standing()).read_at)
    assert found is not None and begun in (found.canary, found.shadow)


@pytest.mark.parametrize("percent", ["0", "100", "x", ""])
async def test_a_share_of_a_canary_that_cannot_be_is_told_and_nothing_begins(
    market: Marketplace, visit: Visit, percent: str
) -> None:
    await for_two(market)
    ada, bo = await visit(ADA), await visit(BO)
    path = await proposed(ada, percent="99")
    assert (await bo.send(path, f"{path}/approve")).status_code == 303
    refused = await ada.send(path, f"{path}/canary", percent=percent)
    page = Page(refused.text)
    assert (refused.status_code, "from 1 to 99" in page.text) == (422, True)
    assert page.form(f"{path}/canary").fields["percent"] == percent, "what was typed is kept"
    assert "Canary" not in (await ada.see(POLICIES)).text.partition("Proposals")[0]


async def test_another_moment_is_proposed_only_while_it_is_still_to_come(market: Marketplace, visit: Visit) -> None:
    await for_two(market)
    ada = await visit(ADA)
    path = await proposed(ada)
    now = market.service.clock().replace(second=0, microsecond=0) + timedelta(minutes=2)
    object.__setattr__(market.service, "clock", lambda: now)

    def typed(moment: datetime) -> str:
        return moment.astimezone(market.service.settings.time_zone).strftime("%Y-%m-%dT%H:%M")

    for wrong in ("yesterday", "2020-01-01T00:00", typed(now), f"{typed(now + timedelta(days=1))}+00:00"):
        refused = await ada.send(path, f"{path}/schedule", effective_at=wrong)
        page = Page(refused.text)
        assert (refused.status_code, "still to come" in page.text) == (422, True), wrong
        assert page.form(f"{path}/schedule").fields["effective_at"] == wrong, "what was typed is kept"
    assert (await ada.send(path, f"{path}/schedule", effective_at=typed(now + timedelta(minutes=1)))).status_code == 303
    (found,) = await market.service.proposals.list(states=NOT_CLOSED, limit=9)
    assert found.policy.effective_at == now + timedelta(minutes=1)


async def test_why_somebody_did_it_is_up_to_500_characters_that_people_see(market: Marketplace, visit: Visit) -> None:
    ada, bo, path = await visit(ADA), await visit(BO), f"{POLICIES}/pauses"
    proposal = await proposed(ada)
    for wrong in ("", " ", "\u200b\n\u3000", "\u3164", "\u2800 \ufe0f", "x" * 501):
        for on, action in ((POLICIES, path), (proposal, f"{proposal}/withdraw")):
            assert (await ada.send(on, action, reason=wrong)).status_code == 422, (action, wrong)
    assert list(await market.service.registry.pauses(market.service.clock())) == []
    assert (await bo.send(proposal, f"{proposal}/approve", note="x" * 501)).status_code == 400
    assert (await ada.send(POLICIES, path, reason="x" * 500)).status_code == 303
    assert (await ada.send(proposal, f"{proposal}/withdraw", reason="x" * 500)).status_code == 303
    (pause,) = await market.service.registry.pauses(market.service.clock())
    assert pause.reason == "x" * 500


@pytest.mark.parametrize(("hours", "ends"), [("0", False), ("72", True), ("73", False), ("9" * 18, False)])
async def test_a_pause_ends_by_itself_only_after_a_length_that_the_page_offers(
    market: Marketplace, visit: Visit, hours: str, ends: bool
) -> None:
    done = await (await visit(ADA)).send(POLICIES, f"{POLICIES}/pauses", hours=hours, reason="A strike.")
    assert done.status_code == 303
    (pause,) = await market.service.registry.pauses(market.service.clock())
    assert pause.ends_at == (pause.set_at + timedelta(hours=int(hours)) if ends else None)


async def test_a_live_text_is_rolled_back_as_it_was_seen_and_another_person_confirms(
    market: Marketplace, visit: Visit
) -> None:
    service = market.service
    await put(service.policies, type(LIVE).from_text(NEXT), now=service.clock())
    await for_two(market)
    ada, bo = await visit(ADA), await visit(BO)
    path = f"{POLICIES}/roll-back"
    seen = (await ada.see(POLICIES)).form(path).fields
    assert (await ada.post(path, {**seen, "reason": ""})).status_code == 422
    assert (await ada.post(path, {**seen, "reason": "Incidents."})).status_code == 303
    assert await live_version(market) == "2"
    twice = await ada.post(path, {**seen, "reason": "Incidents, again."})
    page = Page(twice.text)
    assert (twice.status_code, await live_version(market)) == (409, "2")
    assert "Another version is live by now" in page.text and "Incidents, again." in page.text
    mine = await ada.see(POLICIES)
    assert "You did this. Somebody else confirms it." in mine.text
    (waiting,) = await service.confirmations.open(limit=9)
    confirm = f"{POLICIES}/confirmations/{waiting.confirmation_id}"
    alone = await ada.post(confirm, await token(ada))
    assert alone.status_code == 409
    assert (await bo.send(POLICIES, confirm)).status_code == 303
    assert await service.confirmations.open(limit=9) == []


async def test_a_scheduled_text_is_called_off(market: Marketplace, visit: Visit) -> None:
    service, now = market.service, market.service.clock()
    await put(service.policies, type(LIVE).from_text(NEXT), now=now, effective_at=now + timedelta(days=3))
    visitor = await visit(ADA)
    path = f"{POLICIES}/cancel"
    assert (await visitor.send(POLICIES, path, reason="Not yet.")).status_code == 303
    assert f"{path}" not in {form.action for form in (await visitor.see(POLICIES)).forms}


async def test_a_shadow_decides_beside_and_a_text_is_retired(market: Marketplace, visit: Visit) -> None:
    visitor = await visit(ADA)
    path = await kept(visitor)
    assert (await visitor.send(path, f"{path}/shadow", reason="To see.")).status_code == 303
    page = await visitor.see(POLICIES)
    assert "In shadow" in page.text and "0 of 0 requests" in page.text
    in_stage = await visitor.see(path)
    assert f"{path}/retire" not in {form.action for form in in_stage.forms}
    refused = await visitor.post(f"{path}/retire", {**await token(visitor), "reason": "Old."})
    assert refused.status_code == 409
    stop = next(form.fields for form in page.forms if form.fields.get("stage") == Stage.SHADOW)
    assert (await visitor.post(f"{POLICIES}/stop", {**stop, "reason": "Seen."})).status_code == 303
    assert (await visitor.send(path, f"{path}/retire", reason="Old.")).status_code == 303
    text = await market.service.policies.find_text(LIVE.id, "3")
    assert text is not None and text.retired_for == "Old."
    assert f"{path}/propose" not in {form.action for form in (await visitor.see(path)).forms}


async def test_one_person_publishes_alone_only_where_that_is_the_installation(
    market: Marketplace, visit: Visit
) -> None:
    visitor = await visit(ADA)
    path = await kept(visitor)
    await for_two(market)
    refused = await visitor.post(f"{path}/publish", await token(visitor))
    assert (refused.status_code, await live_version(market)) == (409, "2")
    assert "Here a second person approves" in Page(refused.text).text


async def test_a_place_is_paused_and_goes_on_by_two_people(market: Marketplace, visit: Visit) -> None:
    await for_two(market)
    operator, bo = await visit(LI), await visit(BO)
    path = f"{POLICIES}/pauses"
    for scope, ref in (("shop", ""), ("platform", "s-1"), ("shop", "a b")):
        wrong = await operator.send(POLICIES, path, scope=scope, ref=ref, reason="A strike.")
        assert (wrong.status_code, "A strike." in Page(wrong.text).text) == (422, True), (scope, ref)
    strike = {"scope": "shop", "ref": "s-1", "hours": "4", "reason": "A strike."}
    for scope in ("shop", "category"):
        unknown = await operator.send(POLICIES, path, **{**strike, "scope": scope})
        page = Page(unknown.text)
        assert (unknown.status_code, "Nothing here has this number." in page.text) == (422, True)
        assert {**strike, "scope": scope}.items() <= page.form(path).fields.items(), "what was typed is kept"
    assert list(await market.service.registry.pauses(market.service.clock())) == []
    assert (await operator.send(POLICIES, path, **strike, anyway="yes")).status_code == 303
    (pause,) = await market.service.registry.pauses(market.service.clock())
    assert (pause.scope, pause.ref, pause.set_by) == (Scope.SHOP, "s-1", "li.na")
    assert pause.ends_at == pause.set_at + timedelta(hours=4)
    asked = await operator.send(POLICIES, f"{path}/lift", reason="It is over.")
    assert asked.status_code == 303
    proposal = asked.headers["location"]
    assert (await market.service.registry.pauses(market.service.clock())) != []
    assert (await bo.send(proposal, f"{proposal}/approve")).status_code == 303
    assert list(await market.service.registry.pauses(market.service.clock())) == []


async def test_one_person_lifts_a_pause_in_an_installation_for_one(market: Marketplace, visit: Visit) -> None:
    service = market.service
    await service.registry.set_pause(Pause(Scope.PLATFORM, "", "A drill.", "ada", service.clock()))
    visitor = await visit(ADA)
    assert (await visitor.send(POLICIES, f"{POLICIES}/pauses/lift", reason="Over.")).status_code == 303
    assert list(await service.registry.pauses(service.clock())) == []
    again = await visitor.post(
        f"{POLICIES}/pauses/lift", {**await token(visitor), "scope": "platform", "ref": "", "reason": "Over."}
    )
    assert (again.status_code, "Nothing is paused there" in Page(again.text).text) == (409, True)


async def test_a_proposal_is_rejected_by_others_and_withdrawn_by_whoever_made_it(
    market: Marketplace, visit: Visit
) -> None:
    ada, bo, auditor = await visit(ADA), await visit(BO), await visit(AUDITOR)
    path = await proposed(ada)
    assert not [form for form in (await auditor.see(path)).forms if form.action.startswith(path)]
    assert (await bo.post(f"{path}/withdraw", {**await token(bo), "reason": "Mine?"})).status_code == 409
    assert (await bo.send(path, f"{path}/reject", reason="Not agreed.")).status_code == 303
    assert "Not agreed." in (await ada.see(path)).text
    late = await bo.post(f"{path}/reject", {**await token(bo), "reason": "Once more."})
    assert (late.status_code, "Once more." in Page(late.text).text) == (409, True)


async def test_what_is_not_there_and_what_no_form_sends(visit: Visit) -> None:
    visitor = await visit(ADA)
    nobody = "00000000-0000-0000-0000-000000000000"
    for path in (f"{POLICIES}/texts/{LIVE.id}/99", f"{POLICIES}/proposals/{nobody}", f"{EDITOR}?policy=x&version=1"):
        assert (await visitor.get(path)).status_code == 404, path
    for path, fields in (
        (f"{POLICIES}/stop", {"stage": "live", "publication": "1", "reason": "x"}),
        (f"{POLICIES}/stop", {"stage": "canary", "publication": "one", "reason": "x"}),
        (f"{POLICIES}/pauses", {"scope": "galaxy", "ref": "", "reason": "x"}),
        (f"{POLICIES}/proposals/{nobody}/approve", {"content_hash": "x"}),
    ):
        got = await visitor.post(path, {**await token(visitor), **fields})
        assert got.status_code == 400, path
    gone = await visitor.post(f"{POLICIES}/confirmations/{nobody}", await token(visitor))
    assert gone.status_code == 404


async def token(visitor: Visitor) -> dict[str, str]:
    """The token that a form of this session has."""
    return {"_csrf_token": (await visitor.see("/policy")).form("/preferences").fields["_csrf_token"]}
