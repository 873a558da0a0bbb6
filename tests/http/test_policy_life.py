"""A policy from its text to the live one over HTTP: two people with personal tokens, and what each refusal says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from jitui.identity.access import Role
from jitui.identity.keys import issue_personal_token
from jitui.identity.people import Person
from tests.aftersales.market import DEFAULT_POLICY
from tests.governance.desk import text
from tests.http.api import Api

POLICY_ID = DEFAULT_POLICY.id
MONTH = timedelta(days=30)


@dataclass
class Office:
    """The API in an installation in which two people approve; tokens by name."""

    api: Api
    tokens: dict[str, str]

    async def post(self, path: str, body: Any = None, *, by: str = "ada") -> httpx.Response:
        return await self.api.call("POST", path, body, key=self.tokens[by])

    async def pushed(self, document: str) -> dict[str, Any]:
        got = await self.api.post("/v1/policies/texts", {"document": document})
        assert got.status_code == 201, got.text
        found: dict[str, Any] = got.json()
        return found

    async def proposed(self, version: str = "next", **more: Any) -> dict[str, Any]:
        await self.pushed(text(version))
        body = {"policy_id": POLICY_ID, "version": version, "reason": "The rule of June.", **more}
        got = await self.post("/v1/proposals", body)
        assert got.status_code == 201, got.text
        found: dict[str, Any] = got.json()
        return found

    async def approve(self, proposal: dict[str, Any], *, by: str = "bo") -> httpx.Response:
        path = f"/v1/proposals/{proposal['proposal_id']}/approve"
        return await self.post(path, {"content_hash": proposal["content_hash"]}, by=by)

    async def live(self) -> str:
        version: str = (await self.api.call("GET", "/v1/policies/current")).json()["version"]
        return version


@pytest_asyncio.fixture
async def office(api: Api) -> Office:
    tokens = {}
    for name, role in (("ada", Role.RISK), ("bo", Role.OPERATOR), ("cy", Role.ADMIN), ("di", Role.SUPPORT)):
        made = api.now.at - MONTH
        await api.service.people.add_person(Person(name, role, "", name), None, made, by="command line")
        issued = await issue_personal_token(
            api.service.keys, name, role, label="", now=made, lifetime=2 * MONTH, by="command line"
        )
        tokens[name] = issued.secret
    assert await api.service.policies.end_single_person(by="tests", now=api.now.at)
    return Office(api, tokens)


async def test_a_text_goes_from_draft_to_live_by_two_people(office: Office) -> None:
    proposal = await office.proposed()
    assert proposal["state"] == "open" and proposal["evidence"]["cases"] == {"passed": 0, "failed": 0}
    again = await office.post(
        "/v1/proposals", {"policy_id": POLICY_ID, "version": "next", "reason": "The rule of June."}
    )
    assert again.json()["proposal_id"] == proposal["proposal_id"]
    early = await office.post(f"/v1/proposals/{proposal['proposal_id']}/publish")
    assert (early.status_code, early.json()["type"]) == (403, "/problems/second-person-needed")
    own = await office.approve(proposal, by="ada")
    assert (own.status_code, own.json()["type"]) == (403, "/problems/second-person-needed")
    approved = await office.approve(proposal)
    assert approved.json()["approval"]["approved_by"] == "bo"
    done = await office.post(f"/v1/proposals/{proposal['proposal_id']}/publish")
    assert (done.status_code, done.json()["stage"]) == (200, "live")
    assert await office.live() == "next"
    rows = (await office.api.get("/v1/policies/log")).json()["log"]
    assert [(row["version"], row["authority"], row["approved_by"]) for row in rows] == [
        ("next", "two_people", "bo"),
        (DEFAULT_POLICY.version, "installation", None),
    ]


@pytest.mark.parametrize("who", ["cy", "di"])
async def test_a_role_that_may_not_approve_is_told_so(office: Office, who: str) -> None:
    refused = await office.approve(await office.proposed(), by=who)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/permission-missing")


async def test_what_was_changed_meanwhile_is_not_approved(office: Office) -> None:
    proposal = await office.proposed()
    later = (office.api.now.at + timedelta(days=2)).isoformat()
    changed = await office.post(f"/v1/proposals/{proposal['proposal_id']}/schedule", {"effective_at": later})
    assert changed.status_code == 200
    stale = await office.approve(proposal)
    assert (stale.status_code, stale.json()["type"]) == (412, "/problems/proposal-changed")
    assert (await office.approve(changed.json())).status_code == 200


async def test_every_reason_against_a_text_comes_at_once(office: Office) -> None:
    await office.pushed(text("next"))
    other = text("next", **{f"policy: {POLICY_ID}": "policy: another-one"})
    cases = "- name: wrong\n  facts: {}\n  expect: {outcome: instant}\n"
    got = await office.api.post("/v1/policies/check", {"document": other, "cases": cases})
    found = got.json()
    assert got.status_code == 200 and not found["publishable"]
    assert "other_policy" in [one["code"] for one in found["blockers"]] and len(found["blockers"]) >= 2
    refused = await office.api.post("/v1/policies/texts", {"document": text("next", **{"over: 30d": "over: 31d"})})
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/policy-blocked")
    broken = await office.api.post("/v1/policies/texts", {"document": "policy: x\nversion: 1\n"})
    assert broken.status_code == 422
    assert all(fault["path"].startswith("policy.yaml:") for fault in broken.json()["errors"])


async def test_a_roll_back_is_one_persons_and_repeated_it_does_nothing(office: Office) -> None:
    proposal = await office.proposed()
    await office.approve(proposal)
    await office.post(f"/v1/proposals/{proposal['proposal_id']}/publish")
    body = {"version": "next", "reason": "More incidents than planned."}
    assert (await office.post("/v1/policies/roll-back", body, by="bo")).status_code == 200
    again = await office.post("/v1/policies/roll-back", body, by="bo")
    assert (again.status_code, again.json()["type"]) == (409, "/problems/step-not-possible")
    assert await office.live() == DEFAULT_POLICY.version
    (waiting,) = (await office.api.get("/v1/confirmations")).json()["confirmations"]
    path = f"/v1/confirmations/{waiting['confirmation_id']}/confirm"
    assert (await office.post(path, by="bo")).status_code == 403
    assert (await office.post(path, by="ada")).json()["confirmed_by"] == "ada"
    assert (await office.post(path, by="ada")).status_code == 409
    assert (await office.api.get("/v1/confirmations")).json()["confirmations"] == []


async def test_a_canary_and_its_end(office: Office) -> None:
    proposal = await office.proposed(canary_percent=5)
    await office.approve(proposal)
    path = f"/v1/proposals/{proposal['proposal_id']}/canary"
    assert (await office.post(path, {"percent": 6})).status_code == 409
    assert (await office.post(path, {"percent": 5})).json()["canary_percent"] == 5
    in_force = await office.api.service.policies.standing()
    assert [(row.stage, row.canary_percent) for row in in_force.entries][-1] == ("canary", 5)
    stopped = await office.post("/v1/policies/stop", {"stage": "canary", "reason": "Enough."}, by="bo")
    assert stopped.status_code == 200
    nothing = await office.post("/v1/policies/stop", {"stage": "canary", "reason": "Enough."}, by="bo")
    assert nothing.status_code == 409


async def test_a_schedule_is_called_off_before_its_moment(office: Office) -> None:
    at = datetime.now(UTC) + timedelta(days=2)
    proposal = await office.proposed(effective_at=at.isoformat())
    await office.approve(proposal)
    done = (await office.post(f"/v1/proposals/{proposal['proposal_id']}/publish")).json()
    assert datetime.fromisoformat(done["effective_at"]) == at
    assert await office.live() == DEFAULT_POLICY.version
    await office.pushed(text("third"))
    overlapping = await office.post("/v1/proposals", {"policy_id": POLICY_ID, "version": "third", "reason": "Why."})
    assert "scheduled for" in overlapping.json()["detail"]
    assert (await office.post("/v1/policies/cancel", {"publication": 99, "reason": "No."})).status_code == 409
    body = {"publication": done["publication"], "reason": "No."}
    assert (await office.post("/v1/policies/cancel", body)).status_code == 200
    assert (await office.post("/v1/policies/cancel", body)).status_code == 409


async def test_what_is_retired_is_not_proposed_and_what_is_live_is_not_retired(office: Office) -> None:
    await office.pushed(text("next"))
    body = {"policy_id": POLICY_ID, "version": "next", "reason": "A mistake."}
    assert (await office.post("/v1/policies/retire", body)).status_code == 200
    refused = await office.post("/v1/proposals", body)
    assert (refused.status_code, refused.json()["type"]) == (422, "/problems/policy-blocked")
    live = await office.post("/v1/policies/retire", {**body, "version": DEFAULT_POLICY.version})
    assert live.status_code == 409


async def test_a_token_does_what_its_persons_role_does_now(office: Office) -> None:
    people, now = office.api.service.people, office.api.now.at
    assert (await office.api.get("/v1/policies/log", key=office.tokens["ada"])).status_code == 200
    await people.set_role("di", Role.AUDITOR, "", by="cy", now=now)
    assert (await office.api.get("/v1/ledger", key=office.tokens["di"])).status_code == 404  # no such address
    assert (await office.api.get("/v1/tasks", key=office.tokens["di"])).status_code == 200
    await people.set_disabled("bo", True, by="cy", now=now)
    assert (await office.api.get("/v1/policies/log", key=office.tokens["bo"])).status_code == 401
    tightened = {"scope": "platform", "reason": "Too much."}
    assert (await office.post("/v1/pauses", tightened)).status_code == 200
    (pause,) = (await office.api.get("/v1/pauses")).json()["pauses"]
    assert pause["set_by"] == "ada"


async def test_a_restriction_is_lifted_and_a_place_covered_by_two_people(office: Office) -> None:
    """A platform's key narrows at once, and loosens nothing."""
    restricted = await office.api.post("/v1/restrictions", {"buyer_id": "b-9", "reason": "Cancels in series."})
    known = restricted.json()["restriction_id"]
    taken_out = {"scope": "shop", "ref": "s-1", "covered": False, "reason": "Late."}
    assert (await office.api.call("PUT", "/v1/coverage", taken_out, key=office.api.platform)).status_code == 200
    for method, path, body in (
        ("POST", f"/v1/restrictions/{known}/lift", {"reason": "x"}),
        ("PUT", "/v1/coverage", {**taken_out, "covered": True}),
        ("PUT", "/v1/shops/s-1/coverage", {"covered": True}),
        ("DELETE", "/v1/coverage/shop/s-1", None),
    ):
        for refused in (
            await office.api.call(method, path, body, key=office.api.platform),
            await office.api.call(method, path, body, key=office.tokens["ada"]),
        ):
            assert refused.status_code == 403, refused.text
            assert refused.json()["type"].endswith("/second-person-needed")
    lift = await office.post("/v1/restrictions/proposed-lifts", {"restriction_id": known, "reason": "Our fault."})
    cover = await office.post("/v1/coverage/proposed-covers", {"scope": "shop", "ref": "s-1", "reason": "On time."})
    assert (lift.status_code, cover.status_code) == (201, 201)
    read = await office.api.get(f"/v1/restrictions/{known}", key=office.tokens["bo"])
    assert (read.json()["buyer_id"], read.json()["reason"]) == ("b-9", "Cancels in series.")
    for made in (lift.json(), cover.json()):
        assert (await office.approve(made, by="ada")).status_code == 403
        assert (await office.approve(made)).json()["state"] == "executed"
    assert (await office.api.get(f"/v1/restrictions/{known}", key=office.api.platform)).json()["lifted_by"] == "bo"
    assert (await office.api.get("/v1/shops/s-1/coverage", key=office.api.platform)).json()["covered"] is True
    assert (
        (await office.post("/v1/coverage/proposed-covers", {"scope": "shop", "ref": "s-1", "reason": "x"}))
        .json()["type"]
        .endswith("/step-not-possible")
    )
    again = await office.post("/v1/restrictions/proposed-lifts", {"restriction_id": known, "reason": "Again."})
    assert again.status_code == 404


async def test_a_buyer_is_denied_by_one_and_allowed_by_two(office: Office) -> None:
    """What waits names the entry; the entry says whom, to the platform's people alone."""
    path, platform = "/v1/selection/b-9", office.api.platform
    denied = await office.api.call("PUT", path, {"verdict": "deny", "reason": "Fraud."}, key=platform)
    waiting = (await office.api.get("/v1/confirmations", key=office.tokens["bo"])).json()["confirmations"]
    assert [(one["action"], one["subject"]) for one in waiting] == [("selection.set", denied.json()["selection_id"])]
    entry = f"/v1/selection-entries/{denied.json()['selection_id']}"
    read = (await office.api.get(entry, key=office.tokens["bo"])).json()
    assert (read["buyer_id"], read["verdict"], read["proposed"]) == ("b-9", "deny", False)
    for key in (office.api.shop, office.api.buyer):
        assert (await office.api.call("GET", entry, key=key)).status_code == 403
    for key in (platform, office.tokens["ada"]):
        alone = await office.api.call("PUT", path, {"verdict": "allow"}, key=key)
        assert (alone.status_code, alone.json()["type"]) == (403, "/problems/second-person-needed")
    made = await office.post("/v1/selection/proposed-allows", {"buyer_id": "b-9", "reason": "A mistake."})
    assert made.status_code == 201 and "b-9" not in made.text
    assert (await office.approve(made.json(), by="ada")).status_code == 403
    assert (await office.approve(made.json())).json()["state"] == "executed"
    read = (await office.api.get(entry, key=office.tokens["bo"])).json()
    assert (read["verdict"], read["set_by"]) == ("allow", "bo")
    again = await office.post("/v1/selection/proposed-allows", {"buyer_id": "b-9", "reason": "Again."})
    assert (again.status_code, again.json()["type"]) == (409, "/problems/step-not-possible")
