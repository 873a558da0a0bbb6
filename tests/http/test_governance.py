"""Buyers, shops, coverage, history, pauses, restrictions, lists, policies over HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.review import approve
from jitui.aftersales.governance.publication import Stage
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.ports import TicketRef
from jitui.identity.access import KeyScope
from jitui.identity.keys import issue_key
from jitui.ids import lane_of
from jitui.policy import Policy
from tests.aftersales.market import DEFAULT_POLICY
from tests.http.api import BUYER, SHOP, Api, order, payment
from tests.publishing import damage_texts, put, put_in_force


async def outcome(api: Api, order_id: str, *, buyer_id: str = BUYER) -> str:
    got = await api.post("/v1/eligibility", {"order_id": order_id, "buyer_id": buyer_id})
    return str(got.json()["outcome"])


async def test_a_buyer_is_put_and_read(api: Api) -> None:
    body = {"registered_at": "2020-01-01T08:00:00+08:00", "region": "CN-33", "attributes": {"level": 4, "vip": True}}
    assert (await api.put("/v1/buyers/b-9", body)).status_code == 200
    got = (await api.get("/v1/buyers/b-9")).json()
    assert got == {**body, "buyer_id": "b-9", "registered_at": "2020-01-01T00:00:00Z", "pseudonym": None}
    assert (await api.get("/v1/buyers/nobody")).status_code == 404


async def test_an_event_counts_once(api: Api) -> None:
    event = {"event_id": "e-1", "kind": "order_completed", "at": "2026-05-01T00:00:00Z"}
    first = await api.post("/v1/buyers/b-9/events", {"events": [event]})
    again = await api.post("/v1/buyers/b-9/events", {"events": [event, {**event, "event_id": "e-2"}]})
    assert first.json() == {"recorded": 1, "known_already": 0, "left_out": 0}
    assert again.json() == {"recorded": 1, "known_already": 1, "left_out": 0}


async def test_an_event_that_no_policy_can_ask_for_is_refused(api: Api) -> None:
    event = {"event_id": "e-1", "kind": "disputes_lost", "at": "2026-05-01T00:00:00Z"}
    got = await api.post("/v1/buyers/b-9/events", {"events": [event]})
    assert (got.status_code, got.json()["path"]) == (400, "events[0].kind")
    assert "did you mean dispute_lost?" in got.json()["detail"]
    got = await api.put("/v1/history/disputes_lost", {"complete_from": "2024-01-01T00:00:00Z"})
    assert (got.status_code, got.json()["path"]) == (400, "kind")
    assert (await api.put("/v1/history/shipped", {"complete_from": "2024-01-01T00:00:00Z"})).status_code == 200


async def test_an_event_that_contradicts_what_is_known_is_refused_by_its_place(api: Api) -> None:
    await api.paid_order("o-1")
    at = "2026-05-01T00:00:00Z"
    events = [
        {"event_id": "e-1", "kind": "order_completed", "at": at},
        {"event_id": "e-2", "kind": "order_completed", "at": at, "order_id": "o-1"},
        {"event_id": "e-3", "kind": "dispute_lost", "at": at, "retracts": "e-1"},
        {"event_id": "e-4", "kind": "order_completed", "at": "2199-01-01T00:00:00Z", "retracts": "e-1"},
    ]
    got = await api.post("/v1/buyers/b-9/events", {"events": events})
    assert got.status_code == 400
    assert [fault["path"] for fault in got.json()["errors"]] == [
        "events[1].order_id",
        "events[2].retracts",
        "events[3].at",
    ]


async def test_history_that_is_declared_is_listed(api: Api) -> None:
    got = await api.put("/v1/history/order_paid", {"complete_from": "2024-01-01T00:00:00Z"})
    assert got.json() == {"kind": "order_paid", "complete_from": "2024-01-01T00:00:00Z", "fresh_until": None}
    listed = (await api.get("/v1/history")).json()["history"]
    assert got.json() in listed


async def test_a_merchant_reads_whether_and_why_it_is_covered(api: Api) -> None:
    """R13."""
    await api.paid_order("o-1")
    default = (await api.get(f"/v1/shops/{SHOP}/coverage", key=api.shop)).json()
    assert (default["covered"], default["rows"]) == (True, [])
    assert default["reason"]
    out = {"covered": False, "reason": "Under review."}
    assert (await api.put("/v1/coverage", {"scope": "category", "ref": "apparel", **out})).status_code == 200
    assert (await api.put(f"/v1/shops/{SHOP}/coverage", {"covered": True, "reason": "Back again."})).status_code == 200
    shown = (await api.get(f"/v1/shops/{SHOP}/coverage", key=api.shop)).json()
    assert (shown["covered"], shown["reason"]) == (True, "Back again.")
    assert [(row["scope"], row["ref"], row["covered"]) for row in shown["rows"]] == [
        ("category", "apparel", False),
        ("shop", SHOP, True),
    ]
    assert await outcome(api, "o-1") == "review"


@pytest.mark.parametrize(
    ("address", "place"),
    [("/v1/coverage", {"scope": "shop", "ref": SHOP}), (f"/v1/shops/{SHOP}/coverage", {})],
    ids=["place", "shop"],
)
async def test_only_taking_out_of_the_coverage_needs_a_reason(api: Api, address: str, place: dict[str, str]) -> None:
    covered = await api.put(address, {**place, "covered": True})
    assert (covered.status_code, covered.json()["reason"]) == (200, "")
    for reason in ({}, {"reason": ""}, {"reason": " "}):
        refused = await api.put(address, {**place, "covered": False, **reason})
        assert (refused.status_code, refused.json()["path"]) == (400, "reason")
    shown = (await api.get(f"/v1/shops/{SHOP}/coverage", key=api.shop)).json()
    assert [row["covered"] for row in shown["rows"]] == [True]


async def test_a_category_sets_customised_for_orders_to_come(api: Api) -> None:
    await api.put("/v1/categories/mugs", {"title": "Customised mugs", "customised": True})
    line = {
        "line_id": "l1",
        "sku": "m",
        "item_id": "m",
        "quantity": 1,
        "paid": {"amount_minor": 900, "currency": "CNY"},
    }
    await api.put("/v1/orders/o-1", order(lines=[{**line, "category_id": "mugs"}]))
    await api.post("/v1/orders/o-1/payments", payment("o-1", 900))
    assert (await api.get("/v1/orders/o-1")).json()["lines"][0]["customised"] is True
    assert await outcome(api, "o-1") == "review"


async def test_a_pause_stops_approvals_until_it_is_lifted(api: Api) -> None:
    await api.paid_order("o-1")
    assert await outcome(api, "o-1") == "instant"
    for body, path in (
        ({"scope": "platform", "reason": "Drill."}, "/v1/pauses/platform"),
        ({"scope": "shop", "ref": SHOP, "reason": "Moving."}, f"/v1/pauses/shop/{SHOP}"),
    ):
        assert (await api.post("/v1/pauses", body)).status_code == 200
        assert [row["scope"] for row in (await api.get("/v1/pauses")).json()["pauses"]] == [body["scope"]]
        assert await outcome(api, "o-1") == "review"
        lifted = await api.delete(path)
        assert (lifted.status_code, lifted.content) == (204, b"")
        assert (await api.delete(path)).status_code == 404
        assert await outcome(api, "o-1") == "instant"


async def test_a_restriction_withdraws_the_service_until_it_is_lifted(api: Api) -> None:
    await api.paid_order("o-1")
    got = await api.post("/v1/restrictions", {"buyer_id": BUYER, "reason": "Cancels in series."})
    assert got.status_code == 201
    assert await outcome(api, "o-1") == "review"
    listed = (await api.get("/v1/restrictions", params={"buyer_id": BUYER})).json()["restrictions"]
    assert listed == [got.json()]
    path = f"/v1/restrictions/{got.json()['restriction_id']}/lift"
    assert (await api.post(path)).status_code == 204
    assert (await api.post(path)).status_code == 404
    assert await outcome(api, "o-1") == "instant"


async def test_the_deny_list_sends_to_review(api: Api) -> None:
    await api.paid_order("o-1")
    got = await api.put(f"/v1/selection/{BUYER}", {"verdict": "deny", "reason": "Test."})
    assert (got.status_code, got.json()["set_by"]) == (200, "tests")
    assert await outcome(api, "o-1") == "review"


async def test_published_conditions_are_public_and_the_document_is_not(api: Api) -> None:
    """R16."""
    public = (await api.call("GET", "/v1/policies/current")).json()
    assert [row["id"] for row in public["conditions"]] == [
        "premium_buyer",
        "paid_under_300",
        "goods_supported",
        "unshipped",
        "covered",
        "not_restricted",
    ]
    assert "document" not in public
    assert "completed_orders" not in str(public)
    whole = (await api.get("/v1/policies/current")).json()
    assert "\n# Instant refund before shipment" in whole["document"]
    versions = (await api.call("GET", "/v1/policies")).json()["policies"]
    assert versions == [public]
    assert "document" not in (await api.get("/v1/policies", key=api.buyer)).json()["policies"][0]


async def test_a_shop_reads_its_benefit(api: Api) -> None:
    await api.paid_order("o-1")
    await api.ask("o-1")
    await api.service.ticket_list.fill()
    got = (await api.get(f"/v1/shops/{SHOP}/benefit", key=api.shop)).json()
    assert (got["requests"], got["instant"], got["awaiting"]) == (1, 1, 0)
    assert (got["minutes_saved"], got["review_minutes"]) == (4, 4)
    assert (got["paid_orders"], got["disputes_before_shipment"], got["disputes_per_1000_orders"]) == (1, 0, 0.0)
    assert [part["below_seconds"] for part in got["times"]] == [10, 60, 600, 3600, 86400, 259200, None]
    later = await api.get(f"/v1/shops/{SHOP}/benefit", params={"since": "2030-01-01T00:00:00Z"})
    assert later.json()["requests"] == 0


async def _publish_versions(api: Api, count: int) -> None:
    text = DEFAULT_POLICY.text
    for number in range(3, count + 2):
        policy = Policy.from_text(text.replace('version: "2"', f'version: "{number}"'))
        assert policy.version == str(number)
        await put_in_force(api.service.policies, policy, by="tests", now=api.now.at)


async def test_versions_of_the_policy_come_by_pages_newest_first(api: Api) -> None:
    await _publish_versions(api, 5)
    seen, cursor = [], None
    for _ in range(3):
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await api.call("GET", "/v1/policies", params=params)).json()
        seen += [row["version"] for row in page["policies"]]
        cursor = page["next"]
    assert (seen, cursor) == (["6", "5", "4", "3", "2"], None)
    assert (await api.call("GET", "/v1/policies", params={"limit": 5})).json()["next"] is None
    assert (await api.call("GET", "/v1/policies", params={"limit": 201})).status_code == 400
    assert (await api.call("GET", "/v1/policies/current")).json()["version"] == "6"
    whole = (await api.get("/v1/policies", params={"limit": 2})).json()["policies"]
    assert 'version: "6"' in whole[0]["document"]


async def test_a_stored_public_view_is_what_is_answered_and_nothing_is_compiled_again(api: Api) -> None:
    """A document that cannot even be read any more is answered from what was stored at its publication."""
    await _publish_versions(api, 2)
    before = (await api.call("GET", "/v1/policies")).content
    async with api.market.pool.connection() as connection:
        await damage_texts(connection)
    assert (await api.call("GET", "/v1/policies")).content == before


async def test_versions_of_an_earlier_release_are_looked_at_once(api: Api) -> None:
    await _publish_versions(api, 2)
    before = await _told(api)
    async with api.market.pool.connection() as connection:
        await connection.execute("UPDATE policy_text SET public_view = NULL")
        await connection.execute(
            "INSERT INTO policy_text (sha256, policy_id, version, document, pushed_by, pushed_at)"
            " SELECT 'x', policy_id, 'broken', 'no policy', 'tests', pushed_at FROM policy_text LIMIT 1"
        )
        await connection.execute(
            "INSERT INTO policy (policy_id, version, sha256, document, published_by, published_at, authority)"
            " SELECT policy_id, 'broken', 'x', '', 'tests', published_at, 'single_person' FROM policy LIMIT 1"
        )
    assert await _told(api) == before
    assert await api.count("policy_text WHERE public_view IS NULL") == 0
    assert await api.count("policy_text WHERE public_view = 'null'") == 1
    async with api.market.pool.connection() as connection:
        await damage_texts(connection)
    assert await _told(api) == before


async def _told(api: Api) -> list[dict[str, Any]]:
    """Of every version, apart from when another one replaced it."""
    rows: list[dict[str, Any]] = (await api.call("GET", "/v1/policies")).json()["policies"]
    return [{**row, "replaced_at": None} for row in rows]


async def test_attributes_of_the_platform_are_hidden_from_those_whom_they_are_about(api: Api) -> None:
    """R16."""
    secret = {"risk_score": 87, "vip": True}
    for path, body, theirs in (
        (f"/v1/buyers/{BUYER}", {"attributes": secret}, api.buyer),
        (f"/v1/shops/{SHOP}", {"name": "One", "attributes": secret}, api.shop),
    ):
        assert (await api.put(path, body)).status_code == 200
        assert (await api.get(path)).json()["attributes"] == secret
        got = await api.get(path, key=theirs)
        assert (got.status_code, got.json()["attributes"]) == (200, {})
        assert "risk" not in got.text


async def test_nobody_reads_the_name_of_anothers_staff(api: Api) -> None:
    """R16: a timeline says that the shop or the platform did it; names are for their own employer."""
    ticket = await api.reviewed("o-1", buyer_id="buyer-2")
    ref = TicketRef(lane_of("buyer-2"), UUID(ticket["ticket_id"]))
    acting = Acting(Actor(ActorKind.MERCHANT, "Zhang San"), api.now.at, 1, shop_id=SHOP)
    done = await approve(api.service.store, ref, acting)
    assert isinstance(done, Executed)
    own = (await issue_key(api.service.keys, KeyScope.BUYER, "buyer-2", label="", now=api.now.at)).secret
    path = f"/v1/after-sales/{ticket['ticket_id']}"
    for key, wanted in ((api.platform, "Zhang San"), (api.shop, "Zhang San"), (own, SHOP)):
        got = (await api.get(path, key=key)).json()["timeline"]
        assert [row["actor_id"] for row in got if row["actor"] == "merchant"] == [wanted]
    async with api.market.pool.connection() as connection:
        await connection.execute(
            "UPDATE ticket_event SET actor_kind = 'operator', actor_id = 'Li Si' WHERE actor_kind = 'merchant'"
        )
    for key, shown in ((api.platform, True), (api.shop, False), (own, False)):
        assert ("Li Si" in (await api.get(path, key=key)).text) is shown


async def test_what_a_shadow_decided_otherwise_is_read_by_the_platform(api: Api) -> None:
    assert (await api.get("/v1/policies/shadow")).status_code == 404
    stricter = DEFAULT_POLICY.text.replace('version: "2"', 'version: "3"').replace(
        "limit_minor: 30000", "limit_minor: 100"
    )
    policies, now = api.service.policies, api.service.clock()
    await put(policies, Policy.from_text(stricter), now=now, stage=Stage.SHADOW)
    await api.paid_order("o-1")
    ticket = (await api.post("/v1/after-sales", {"order_id": "o-1", "buyer_id": BUYER})).json()
    got = (await api.get("/v1/policies/shadow?examples=1")).json()
    assert (got["shadow"]["version"], got["live"]["version"], got["requests"]) == ("3", "2", 1)
    assert got["conditions"] == [
        {"condition": "paid_under_300", "requests": 1, "examples": [ticket["ticket"]["ticket_id"]]}
    ]
    assert (await api.get("/v1/policies/shadow?examples=101")).status_code == 400
