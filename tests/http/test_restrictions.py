"""Restrictions and appeals over HTTP: what the platform sees, what the buyer reads, and who decides."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from jitui.aftersales.changes import RecordBuyerEvent
from jitui.identity.access import KeyScope
from jitui.identity.keys import issue_key
from jitui.worker import restrict_by_rules
from tests.aftersales.market import NOW
from tests.http.api import BUYER, Api

EVIDENCE = {"order_ids": ["o-901"], "event_ids": ["e-7"], "note": "Eleven within a week."}


async def restricted(api: Api, **more: Any) -> dict[str, Any]:
    body = {"buyer_id": BUYER, "reason": "Cancels in series.", "evidence": EVIDENCE, **more}
    got = await api.post("/v1/restrictions", body)
    assert got.status_code == 201, got.text
    made: dict[str, Any] = got.json()
    return made


async def own(api: Api) -> list[dict[str, Any]]:
    got = await api.get("/v1/restrictions", key=api.buyer)
    assert got.status_code == 200, got.text
    named = await api.get("/v1/restrictions", key=api.buyer, params={"buyer_id": BUYER})
    assert named.json() == got.json()
    rows: list[dict[str, Any]] = got.json()["restrictions"]
    return rows


async def another_desk(api: Api) -> str:
    return (await issue_key(api.service.keys, KeyScope.PLATFORM, "", label="second desk", now=api.now())).secret


async def test_the_platform_sees_the_evidence_and_the_buyer_reads_why_and_how_to_contest(api: Api) -> None:
    made = await restricted(api, ends_at="2026-06-11T12:00:00Z")
    assert (made["evidence"], made["set_by"], made["rule"], made["withdraw"]) == (
        EVIDENCE,
        "tests",
        None,
        "instant_refund",
    )
    (row,) = await own(api)
    assert (row["reason"], row["set_by"], row["evidence"], row["lift_reason"]) == ("Cancels in series.", "", None, "")
    assert "tests" not in str(row) and "Eleven" not in str(row) and "o-901" not in str(row)
    assert row["statement"] == {
        "zh": "自 2026-06-01 20:00 (Asia/Shanghai) 起，您的退款申请不再由系统自动审核通过，而是转由商家审核；"
        "您的退款权利不受影响。原因：Cancels in series。该限制于 2026-06-11 20:00 (Asia/Shanghai) 结束。"
        "如有异议，您可以在限制期间提出申诉，平台将在 15 日内由未参与该决定的人员答复。",
        "en": "From 2026-06-01 20:00 (Asia/Shanghai) your refund requests are no longer approved at once but go to the "
        "merchant for review. Your right to a refund is not affected. The reason: Cancels in series. The restriction "
        "ends at 2026-06-11 20:00 (Asia/Shanghai). You can contest it by an appeal while it lasts. Somebody who did "
        "not set it answers within 15 days.",
    }


async def test_the_buyer_never_reads_what_a_rule_is_called_or_counts(api: Api) -> None:
    events = [RecordBuyerEvent(BUYER, f"x-{n}", "refund_before_shipment", NOW, NOW) for n in range(10)]
    await api.service.registry.record_buyer_events(events)
    await restrict_by_rules(api.service)
    listed = (await api.get("/v1/restrictions", params={"buyer_id": BUYER})).json()["restrictions"]
    assert [row["rule"]["rule_id"] for row in listed] == ["serial_canceller"]
    assert listed[0]["rule"]["facts"]["buyer.refunds_before_shipment_90d"] == 10
    assert (listed[0]["set_by"], listed[0]["evidence"]) == ("policy", None)
    (row,) = await own(api)
    assert (row["rule"], row["reason"], row["set_by"]) == (None, "", "")
    for private in ("serial_canceller", "refunds_before_shipment", "10"):
        assert private not in str(
            {**row, "starts_at": "", "restriction_id": "", "ends_at": "", "set_at": "", "statement": ""}
        )
    assert "your recent orders meet the platform's rules" in row["statement"]["en"]
    assert "serial" not in str(row["statement"]) and "cancel" not in str(row["statement"])


async def test_lifting_says_who_and_why(api: Api) -> None:
    made = await restricted(api)
    path = f"/v1/restrictions/{made['restriction_id']}/lift"
    assert (await api.post(path, {"reason": "The shop's fault."}, key=await another_desk(api))).status_code == 204
    (row,) = (await api.get("/v1/restrictions", params={"buyer_id": BUYER})).json()["restrictions"]
    assert (row["lifted_by"], row["lift_reason"]) == ("second desk", "The shop's fault.")
    (shown,) = await own(api)
    assert (shown["lifted_by"], shown["lift_reason"], shown["lifted_at"]) == (None, "", row["lifted_at"])


async def test_a_buyer_appeals_and_another_desk_upholds(api: Api) -> None:
    made = await restricted(api)
    sent = {"restriction_id": made["restriction_id"], "buyer_id": BUYER, "text": " It was the shop. "}
    unnamed = {name: value for name, value in sent.items() if name != "buyer_id"}
    assert (await api.post("/v1/appeals", unnamed)).json()["path"] == "buyer_id", "a platform says whose it is"
    got = await api.post("/v1/appeals", unnamed, key=api.buyer)
    assert got.status_code == 201, got.text
    appeal = got.json()
    assert (appeal["text"], appeal["opened_by"], appeal["state"]) == ("It was the shop.", "buyer", "open")
    assert appeal["answer_by"] == (NOW + timedelta(days=15)).isoformat().replace("+00:00", "Z")
    again = await api.post("/v1/appeals", sent, key=api.buyer)
    assert (again.status_code, again.json()) == (201, appeal), "sent again, it is the same appeal"
    other = await api.post("/v1/appeals", {**sent, "text": "Other words."}, key=api.buyer)
    assert (other.status_code, other.json()["type"]) == (409, "/problems/appeal-open")
    listed = (await api.get("/v1/appeals", params={"state": "open"})).json()
    assert listed == {"appeals": [appeal], "next": None}

    path, decision = f"/v1/appeals/{appeal['appeal_id']}/decide", {"verdict": "upheld", "reason": "You are right."}
    own_decision = await api.post(path, decision)
    assert (own_decision.status_code, own_decision.json()["type"]) == (403, "/problems/second-person-needed")
    desk = await another_desk(api)
    decided = await api.post(path, decision, key=desk)
    assert (decided.status_code, decided.json()["decided_by"]) == (200, "second desk")
    twice = await api.post(path, {**decision, "verdict": "rejected"}, key=desk)
    assert (twice.status_code, twice.json()["type"]) == (409, "/problems/appeal-decided")
    read = (await api.get(f"/v1/appeals/{appeal['appeal_id']}", key=api.buyer)).json()
    assert (read["state"], read["answer"], read["decided_by"]) == ("upheld", "You are right.", None)
    (row,) = await own(api)
    assert row["lifted_at"] is not None
    late = await api.post("/v1/appeals", {**sent, "text": "Again."}, key=api.buyer)
    assert (late.status_code, late.json()["type"]) == (409, "/problems/restriction-over")


async def test_staff_who_appeal_for_a_buyer_are_named_to_the_platform_alone(api: Api) -> None:
    made = await restricted(api)
    sent = {"restriction_id": made["restriction_id"], "buyer_id": BUYER, "text": "She called us."}
    appeal = (await api.post("/v1/appeals", sent, key=await another_desk(api))).json()
    assert appeal["opened_by"] == "second desk"
    (shown,) = (await api.get("/v1/appeals", key=api.buyer)).json()["appeals"]
    assert shown == {**appeal, "opened_by": ""}


async def test_appeals_are_listed_by_their_deadline_page_by_page(api: Api) -> None:
    for days in (2, 0, 1):
        api.now.at = NOW + timedelta(days=days)
        made = await restricted(api)
        sent = {"restriction_id": made["restriction_id"], "buyer_id": BUYER, "text": f"Words {days}."}
        assert (await api.post("/v1/appeals", sent)).status_code == 201
    first = (await api.get("/v1/appeals", params={"limit": 2})).json()
    rest = (await api.get("/v1/appeals", params={"limit": 2, "cursor": first["next"]})).json()
    texts = [row["text"] for row in (*first["appeals"], *rest["appeals"])]
    assert (texts, rest["next"]) == (["Words 0.", "Words 1.", "Words 2."], None)
