"""Coverage by gates and complaints over HTTP: what the platform and a merchant read, and who may do what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.aftersales.gating import gated_policy
from tests.http.api import SHOP, Api
from tests.publishing import put_in_force

LOW = {"attributes": {"experience_score": 59, "secret_score": 901}}


async def gated(api: Api) -> Any:
    """A shop that the hidden gate takes out, and that another gate has told."""
    policy = gated_policy("leave_after: 2d", "leave_after: 1d")
    await put_in_force(api.service.policies, policy, by="test", now=api.now())
    await api.put(f"/v1/shops/{SHOP}", LOW)
    got = await api.post("/v1/coverage/recompute", {"shop_ids": [SHOP]})
    assert got.status_code == 200, got.text
    return got.json()


async def test_the_platform_reads_which_gate_and_by_which_figures(api: Api) -> None:
    done = await gated(api)
    assert (done["computed"], {entry["what"] for entry in done["history"]}) == (1, {"left", "notice_given"})
    found = (await api.get(f"/v1/shops/{SHOP}/coverage")).json()
    assert (found["covered"], found["set_by_hand"], found["rows"][0]["set_by"]) == (False, False, "gate:hidden")
    gates = {gate["gate"]: gate for gate in found["gates"]}
    today = api.now().astimezone(api.service.settings.time_zone).date()
    assert (gates["experience"]["status"], gates["experience"]["leaves_on"]) == (
        "notice",
        (today + timedelta(days=4)).isoformat(),
    )
    assert gates["hidden"]["figures"] == {"shop.secret_score": 901}
    assert {entry["what"] for entry in found["history"]} == {"left", "notice_given"}


async def test_a_merchant_reads_why_and_nothing_of_a_private_gate(api: Api) -> None:
    await gated(api)
    got = await api.get(f"/v1/shops/{SHOP}/coverage", key=api.shop)
    found = got.json()
    assert not found["covered"]
    assert found["reason"].startswith("Other factors")
    gates = {gate["gate"]: gate for gate in found["gates"]}
    assert gates["experience"]["text"]["en"] == "The experience score is below 60"
    assert gates["experience"]["figures"] == {"shop.experience_score": 59}
    assert (gates["other_factors"]["status"], gates["other_factors"]["figures"]) == ("out", {})
    for secret in ("secret", "秘密", "901", "hidden"):
        assert secret not in got.text.lower(), secret


async def test_a_dry_run_and_a_second_run_change_nothing(api: Api) -> None:
    await gated(api)
    before = (await api.get(f"/v1/shops/{SHOP}/coverage")).json()
    for more in ({}, {"dry_run": True}):
        again = (await api.post("/v1/coverage/recompute", {"shop_ids": [SHOP], **more})).json()
        assert again["history"] == []
    assert (await api.get(f"/v1/shops/{SHOP}/coverage")).json() == before
    for shops in ([], [""], ["s"] * 201):
        assert (await api.post("/v1/coverage/recompute", {"shop_ids": shops})).status_code == 400


async def test_what_a_person_set_stands_until_it_is_taken_back(api: Api) -> None:
    await gated(api)
    assert (await api.put(f"/v1/shops/{SHOP}/coverage", {"covered": True})).status_code == 200
    found = (await api.get(f"/v1/shops/{SHOP}/coverage")).json()
    assert (found["covered"], found["set_by_hand"]) == (True, True)
    assert {gate["status"] for gate in found["gates"]} == {"in", "notice", "out"}
    assert (await api.call("DELETE", f"/v1/coverage/shop/{SHOP}", key=api.shop)).status_code == 403
    assert (await api.call("DELETE", f"/v1/coverage/shop/{SHOP}", key=api.platform)).status_code == 204
    assert (await api.call("DELETE", f"/v1/coverage/shop/{SHOP}", key=api.platform)).status_code == 404
    assert (await api.call("DELETE", "/v1/coverage/region/CN-44", key=api.platform)).status_code == 404
    assert not (await api.get(f"/v1/shops/{SHOP}/coverage")).json()["covered"]


async def test_a_merchant_that_cannot_switch_complains_and_is_answered(api: Api) -> None:
    refused = await api.put(f"/v1/shops/{SHOP}/coverage", {"covered": False, "reason": "No."}, key=api.shop)
    assert (refused.status_code, "can complain" in refused.json()["detail"]) == (403, True)
    path = f"/v1/shops/{SHOP}/complaints"
    made = await api.post(path, {"reason": "The strike."}, key=api.shop)
    assert made.status_code == 200
    complaint = made.json()
    assert (complaint["state"], complaint["made_by"], complaint["answer"]) == ("open", "", None)
    assert (await api.post(path, {"reason": "The strike."}, key=api.shop)).json() == complaint
    other = await api.post(path, {"reason": "Another."}, key=api.shop)
    assert (other.status_code, other.json()["type"]) == (409, "/problems/complaint-open")
    assert (await api.post("/v1/shops/shop-2/complaints", {"reason": "r"}, key=api.shop)).status_code == 404
    assert (await api.get("/v1/complaints?shop_id=shop-2", key=api.shop)).status_code == 404
    answer_path = f"/v1/complaints/{complaint['complaint_id']}/answer"
    said = {"outcome": "upheld", "answer": "The strike is left out."}
    assert (await api.post(answer_path, said, key=api.shop)).status_code == 403
    listed = (await api.get("/v1/complaints?state=open")).json()["complaints"]
    assert [(one["complaint_id"], one["made_by"]) for one in listed] == [(complaint["complaint_id"], SHOP)]
    assert (await api.post(answer_path, said)).json()["state"] == "answered"
    assert (await api.post(answer_path, said)).status_code == 200
    again = await api.post(answer_path, said | {"outcome": "rejected"})
    assert (again.status_code, again.json()["type"]) == (409, "/problems/complaint-answered")
    assert (await api.post("/v1/complaints/nobody/answer", said)).status_code == 404
    (read,) = (await api.get(path, key=api.shop)).json()["complaints"]
    assert (read["outcome"], read["answer"], read["answered_by"]) == ("upheld", "The strike is left out.", None)
