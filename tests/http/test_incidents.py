"""An incident over HTTP: what the shop and the platform see and may do of it, and what a worker does meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jitui.deadlines import apply_incident_deadlines
from jitui.identity.access import KeyScope
from jitui.identity.keys import issue_key
from jitui.settings import Settings
from tests.aftersales.market import DEFAULT_POLICY
from tests.http.api import SHOP, Api, open_api, shipment
from tests.provider_simulator.server import SIMULATOR_AWAY


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    """A service whose policy lets the shop bear the loss."""
    file = tmp_path / "policy.yaml"
    file.write_text(DEFAULT_POLICY.text + "\nloss: {borne_by: merchant}\n", encoding="utf-8")
    async with open_api(
        database_url, home=tmp_path, settings=Settings(home=tmp_path, policy_file=file, **SIMULATOR_AWAY)
    ) as opened:
        yield opened


async def an_incident(api: Api, order_id: str = "o-1") -> str:
    await api.paid_order(order_id)
    await api.ask(order_id)
    scan = shipment("picked_up", source="carrier", tracking_no=f"SF-{order_id}")
    assert (await api.post(f"/v1/orders/{order_id}/shipments", scan)).status_code == 201
    (found,) = (await api.get("/v1/incidents", params={"state": "open"})).json()["incidents"]
    return str(found["incident_id"])


async def second(api: Api) -> str:
    keys = api.service.keys
    return (await issue_key(keys, KeyScope.PLATFORM, "", label="second desk", now=api.now())).secret


def charged(version: int = 1) -> dict[str, Any]:
    return {"version": version, "outcome": "borne_by_shop", "reason": "The signal was an hour old."}


async def test_a_shop_reads_its_charge_contests_it_and_is_answered_by_another_person(api: Api) -> None:
    incident = await an_incident(api)
    path = f"/v1/incidents/{incident}"
    added = await api.post(
        f"{path}/evidence", {"text": "Stopped?", "references": ["https://carrier.example/1"]}, key=api.shop
    )
    assert (added.status_code, added.json()["version"]) == (200, 2), added.text
    decided = await api.post(f"{path}/outcome", charged(2))
    assert decided.status_code == 200, decided.text
    told = decided.json()
    assert (told["state"], told["charged"]["amount_minor"], told["decided_by"]) == ("recovering", 12900, "tests")
    seen = (await api.get(path, key=api.shop)).json()
    assert seen["incident"]["decided_by"] is None
    assert [(entry["kind"], entry["by"]) for entry in seen["log"]] == [("evidence", SHOP), ("outcome", "platform")]
    statement = seen["statement_of_reasons"]
    assert "o-1" in statement["zh"] and "129.00 CNY" in statement["zh"] and "15 日内" in statement["zh"]
    assert "You can contest it until" in statement["en"] and "The signal was an hour old." in statement["en"]
    contested = await api.post(f"{path}/contest", {"reason": "It was stopped."}, key=api.shop)
    assert contested.json()["state"] == "contested"
    (listed,) = (await api.get(f"/v1/shops/{SHOP}/complaints", key=api.shop)).json()["complaints"]
    assert listed["incident_id"] == incident
    plain = await api.post(
        f"/v1/complaints/{listed['complaint_id']}/answer",
        {"outcome": "upheld", "answer": "Yes."},
        key=await second(api),
    )
    assert (plain.status_code, plain.json()["type"]) == (409, "/problems/incident-contested")
    answer = {"verdict": "upheld", "answer": "The depot confirms it.", "corrected": {"outcome": "borne_by_platform"}}
    answer["corrected"]["reason"] = "The signal came late."  # type: ignore[index]
    own = await api.post(f"{path}/contest/answer", answer)
    assert (own.status_code, own.json()["type"]) == (403, "/problems/second-person-needed")
    answered = await api.post(f"{path}/contest/answer", answer, key=await second(api))
    assert answered.status_code == 200, answered.text
    assert (answered.json()["state"], answered.json()["charged"]["amount_minor"]) == ("settled", 0)
    after = (await api.get(path, key=api.shop)).json()
    assert (after["contest"]["outcome"], after["contest"]["answered_by"]) == ("upheld", None)
    assert after["statement_of_reasons"] is None
    complaint = await api.post(f"/v1/shops/{SHOP}/complaints", {"reason": "The strike."}, key=api.shop)
    assert complaint.status_code == 200, "a complaint about the coverage stands beside it"


async def test_the_same_key_again_is_the_same_answer_and_one_posting(api: Api) -> None:
    incident = await an_incident(api)
    path, keyed = f"/v1/incidents/{incident}", {"idempotency-key": "k-1"}
    first = await api.post(f"{path}/outcome", charged(), headers=keyed)
    again = await api.post(f"{path}/outcome", charged(), headers=keyed)
    assert first.content == again.content and again.headers["idempotency-replayed"] == "true"
    other = await api.post(f"{path}/outcome", {**charged(), "outcome": "returned"}, headers=keyed)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    recovered = {"amount_minor": 9000, "reference": "SET-1"}
    for _ in range(2):
        done = await api.post(f"{path}/recoveries", recovered, headers={"idempotency-key": "k-2"})
        assert done.json()["receivable"]["amount_minor"] == 3900
    postings = (await api.get("/v1/orders/o-1/ledger")).json()["postings"]
    assert [one["cause"] for one in postings][2:] == ["incident_charged", "incident_recovered"]


async def test_of_two_who_decide_at_once_one_does(api: Api) -> None:
    path = f"/v1/incidents/{await an_incident(api)}"
    told = await asyncio.gather(*(api.post(f"{path}/outcome", charged()) for _ in range(4)))
    assert sorted(one.status_code for one in told) == [200, 412, 412, 412]


BAD: list[tuple[str, dict[str, Any], int, str]] = [
    ("evidence", {"text": ""}, 400, "text"),
    ("evidence", {"text": "x" * 2001}, 400, "text"),
    ("evidence", {"text": "x", "references": ["r"] * 11}, 400, "references"),
    ("evidence", {"text": "x", "references": ["javascript:alert(1)"]}, 400, "references[0]"),
    ("evidence", {"text": "x", "references": ["ftp://host/x"]}, 400, "references[0]"),
    ("contacts", {"channel": "pigeon", "note": "x", "contacted_at": "2026-06-01T11:00:00Z"}, 400, "channel"),
    ("outcome", {"version": 1, "outcome": "repaid", "reason": "x"}, 422, "reference"),
    ("outcome", {"version": 1, "outcome": "repaid", "reason": "x", "repaid_minor": 12901}, 422, "repaid"),
    ("outcome", {"version": 1, "outcome": "borne_by_both", "reason": "x"}, 422, "outcome"),
    ("recoveries", {"amount_minor": -1}, 400, "amount_minor"),
]


async def test_bad_input_is_told_by_its_field_and_leaves_nothing(api: Api) -> None:
    path = f"/v1/incidents/{await an_incident(api)}"
    for call, sent, status, where in BAD:
        got = await api.post(f"{path}/{call}", sent)
        assert (got.status_code, got.json().get("path")) == (status, where), got.text
    assert (await api.get(path)).json()["log"] == []


async def test_a_worker_writes_off_what_was_not_recovered_in_time(api: Api) -> None:
    path = f"/v1/incidents/{await an_incident(api)}"
    await api.post(f"{path}/outcome", charged())
    for days in range(1, 92):
        api.now.at += timedelta(days=1)
        if days in (12, 15, 87, 90):
            await apply_incident_deadlines(api.service)
    found = (await api.get(path)).json()
    assert (found["incident"]["state"], found["incident"]["written_off"]["amount_minor"]) == ("settled", 12900)
    assert [entry["kind"] for entry in found["log"]] == ["outcome", "reminder", "closed", "reminder", "written_off"]
    events = await api.service.feed.events(0, 100)
    kinds = [event.kind for event in events if event.kind.startswith("incident.")]
    assert kinds[-4:] == ["incident.reminder", "incident.noted", "incident.reminder", "incident.settled"]


async def test_the_shops_statement_and_the_journal(api: Api) -> None:
    path = f"/v1/incidents/{await an_incident(api)}"
    await api.post(f"{path}/outcome", charged())
    async with api.market.pool.connection() as connection:
        row = await (await connection.execute("SELECT (now() AT TIME ZONE 'Asia/Shanghai')::date")).fetchone()
    assert row is not None
    days = {"first_day": str(row[0]), "last_day": str(row[0])}
    (own,) = (await api.get(f"/v1/shops/{SHOP}/statement", key=api.shop, params=days)).json()["currencies"]
    assert (own["receivable"]["charged_minor"], own["receivable"]["closing_minor"]) == (12900, 12900)
    lines = (await api.get("/v1/finance/journal", params=days)).json()["lines"]
    assert {line["account"]: line["closing_minor"] for line in lines}["shop_receivable"] == 12900
    assert sum(line["closing_minor"] for line in lines) == 0
    wrong = await api.get("/v1/finance/journal", params={"first_day": "2026-01-01", "last_day": "2026-06-01"})
    assert (wrong.status_code, wrong.json()["path"]) == (400, "last_day")
    early = await api.post("/v1/finance/periods", {"last_day": str(row[0])})
    assert (early.status_code, early.json()["type"]) == (409, "/problems/period-not-over")
