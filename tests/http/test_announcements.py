"""An approved text is announced over HTTP, everybody reads it and what was said of it, and nobody's name (R16)."""

from __future__ import annotations

from datetime import timedelta

from tests.governance.desk import text
from tests.http.test_policy_life import POLICY_ID, Office
from tests.http.test_policy_life import office as office

ANNOUNCEMENTS = "/v1/policies/announcements"


async def test_an_announcement_with_opinions_is_public_and_names_nobody(office: Office) -> None:
    await office.pushed(text("n") + "notice_period: 7d\n")
    first = (await office.post("/v1/proposals", {"policy_id": POLICY_ID, "version": "n", "reason": "Why."})).json()
    await office.approve(first)
    assert (await office.post(f"/v1/proposals/{first['proposal_id']}/publish")).status_code == 200
    named = {"policy_id": POLICY_ID, "version": "next"}

    await office.pushed(text(订单实付金额低于="订单实际支付金额低于"))
    unapproved = await office.post(ANNOUNCEMENTS, named)
    assert (unapproved.status_code, unapproved.json()["type"]) == (403, "/problems/second-person-needed")
    soon = (office.api.now.at + timedelta(days=6)).isoformat()
    wish = {**named, "reason": "Why."}
    early = await office.post("/v1/proposals", {**wish, "effective_at": soon})
    assert (early.status_code, early.json()["type"]) == (422, "/problems/policy-blocked")
    assert "announced 7 days before" in early.json()["detail"]
    proposal = (await office.post("/v1/proposals", wish)).json()
    await office.approve(proposal)
    too_soon = await office.post(ANNOUNCEMENTS, {**named, "effective_at": soon})
    assert (too_soon.status_code, too_soon.json()["type"]) == (422, "/problems/policy-blocked")
    past = (office.api.now.at - timedelta(days=1)).isoformat()
    over = await office.post(ANNOUNCEMENTS, {**named, "effective_at": past})
    assert (over.status_code, over.json()["type"]) == (422, "/problems/policy-blocked")
    assert "is over" in over.json()["detail"]
    made = await office.post(ANNOUNCEMENTS, named)
    assert made.status_code == 201
    assert (await office.post(ANNOUNCEMENTS, named)).json() == made.json()
    other = await office.post(ANNOUNCEMENTS, {**named, "effective_at": "2099-01-01T00:00:00Z"})
    assert (other.status_code, other.json()["type"]) == (409, "/problems/step-not-possible")
    assert (await office.post(ANNOUNCEMENTS, {**named, "version": "none"})).status_code == 404

    row = made.json()
    said = f"{ANNOUNCEMENTS}/{row['announcement_id']}/opinions"
    opinion = {"said_by": "merchant", "said": "Too high.", "reference": "form-1"}
    told = await office.post(said, opinion)
    assert told.status_code == 201 and "form-1" not in told.text and "ada" not in told.text
    reply = f"/v1/policies/opinions/{told.json()['opinion_id']}/answer"
    assert (await office.post(reply, {"answer": "It stays."}, by="bo")).json()["answer"] == "It stays."
    assert (await office.post(reply, {"answer": "No."}, by="bo")).status_code == 409
    (listed,) = (await office.api.call("GET", ANNOUNCEMENTS, key=None)).json()["announcements"]
    assert (listed["state"], listed["opinions"], listed["version"]) == ("announced", 1, "next")
    assert [one["kind"] for one in listed["changes"]] == ["condition_reworded"]
    read = await office.api.call("GET", said, key=None)
    assert [one["answer"] for one in read.json()["opinions"]] == ["It stays."]
    assert not {"ada", "bo", "form-1"} & set(read.text.replace('"', " ").split())

    gone = await office.post(f"{ANNOUNCEMENTS}/{row['announcement_id']}/withdraw", {"reason": "Anew."}, by="bo")
    assert gone.json()["state"] == "called_off"
    again = await office.post(f"{ANNOUNCEMENTS}/{row['announcement_id']}/withdraw", {"reason": "Anew."}, by="bo")
    assert (again.status_code, again.json()["type"]) == (409, "/problems/step-not-possible")
    blocked = await office.post(f"/v1/proposals/{proposal['proposal_id']}/publish")
    assert blocked.status_code == 422 and "not announced" in blocked.json()["detail"]
