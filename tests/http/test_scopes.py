"""Who may call what, and on whose things: every operation, every scope, own and foreign (I8).

The table here is written by hand, apart from the one that the API is made of.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from jitui.aftersales.governance.registry import Restriction
from jitui.aftersales.model.task import NewTask, TaskKind
from jitui.entrypoints.http.operation import method_of
from jitui.entrypoints.http.resources import HANDLERS
from jitui.identity.access import KeyScope
from jitui.identity.keys import issue_key
from jitui.ids import lane_of, new_id
from jitui.settings import Settings
from tests.aftersales.market import DEFAULT_POLICY
from tests.http.api import BUYER, NO, SHOP, Api, open_api, order, payment, shipment, with_key
from tests.provider_simulator.server import SIMULATOR_AWAY

pytestmark = pytest.mark.asyncio(loop_scope="module")
P, S, B = "platform", "shop", "buyer"


@dataclass(frozen=True)
class Row:
    """`who` may call it with own things; `foreign`: what a foreign key of an allowed scope gets."""

    path: str
    who: set[str]
    body: Any = None
    foreign: str = "hidden"
    if_match: bool = False
    media_type: str = "application/json"


EVENTS = {"events": [{"event_id": "e-1", "kind": "order_paid", "at": "2026-05-01T00:00:00Z"}]}
LINK = {"kind": "device", "hash": "ab" * 32, "seen_at": "2026-05-01T00:00:00Z"}
CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "/tests",
    "type": "order_paid",
    "time": "2026-05-01T00:00:00Z",
    "data": {"buyer_id": "buyer-7"},
}
COMPLETED = {"completed_at": "2026-06-08T12:00:00Z"}
DISPUTED = {
    "dispute_id": "dp-1",
    "tender_id": "t1",
    "state": "won",
    "amount": {"amount_minor": 12900, "currency": "CNY"},
    "happened_at": "2026-06-01T12:00:00Z",
}
ASK = {"order_id": "{order}", "buyer_id": BUYER}
RESTRICTED = {"buyer_id": "buyer-9", "reason": "Cancels in series."}
APPEAL = {"restriction_id": "", "buyer_id": "", "text": "It was the shop."}
PAID_BY_HAND = {"reference": "BANK-7", "note": "By hand.", "amount": {"amount_minor": 12900, "currency": "CNY"}}
POLICY = DEFAULT_POLICY.text
NAMED = {"policy_id": "unshipped-instant-refund", "version": DEFAULT_POLICY.version, "reason": "Why."}
NAMED_TEXT = {name: NAMED[name] for name in ("policy_id", "version")}
TAKEN: dict[str, Any] = {"action": "approve", "tickets": []}
BULK = {"rows": [{"order_id": "o-1", "tracking_no": "SF1"}]}
HOOK = {"url": "https://shop.example/new", "shop_id": SHOP}
DECIDED = {"version": 1, "outcome": "borne_by_platform", "reason": "Nobody knows why."}
REJECTED = {"verdict": "rejected", "answer": "No."}
CONTACTED = {"channel": "phone", "note": "Sends it back.", "contacted_at": "2026-06-01T11:00:00Z"}
DAYS = "first_day=2026-06-01&last_day=2026-06-02"
TABLE: dict[str, Row] = {
    "ask_for_a_refund": Row("/v1/after-sales", {P, B}, ASK),
    "check_if_eligible": Row("/v1/eligibility", {P, B}, ASK),
    "list_tickets": Row("/v1/after-sales", {P, S, B}, foreign="empty"),
    "get_ticket": Row("/v1/after-sales/{ticket}", {P, S, B}),
    "approve_ticket": Row("/v1/after-sales/{ticket}/approve", {P, S}, if_match=True),
    "reject_ticket": Row("/v1/after-sales/{ticket}/reject", {P, S}, NO, if_match=True),
    "get_platform_benefit": Row("/v1/benefit", {P}),
    "assign_ticket": Row("/v1/after-sales/{ticket}/assign", {P, S}),
    "release_ticket": Row("/v1/after-sales/{ticket}/release", {P, S}),
    "offer_part": Row(
        "/v1/after-sales/{ticket}/offer",
        {P, S},
        {"lines": [{"line_id": "l1", "quantity": 1}], "reason": "One is made."},
        if_match=True,
    ),
    "accept_part": Row("/v1/after-sales/{ticket}/offer/accept", {P, B}, if_match=True),
    "decline_part": Row("/v1/after-sales/{ticket}/offer/decline", {P, B}, if_match=True),
    "decide_tickets": Row("/v1/after-sales/bulk", {P, S}, TAKEN, foreign="rows"),
    "list_arbitrations": Row("/v1/arbitrations", {P, S, B}, foreign="empty"),
    "open_arbitration": Row("/v1/after-sales/{ticket}/arbitration", {P, B}, {"reason": "Not shipped."}),
    "withdraw_an_arbitration": Row("/v1/after-sales/{ticket}/arbitration/withdraw", {P, B}),
    "add_arbitration_evidence": Row(
        "/v1/after-sales/{ticket}/arbitration/evidence", {P, S, B}, {"evidence": [{"text": "A chat."}]}
    ),
    "decide_an_arbitration": Row(
        "/v1/after-sales/{ticket}/arbitration/decide",
        {P},
        {"verdict": "deny", "at_fault": "buyer", "reason": "As agreed."},
        if_match=True,
    ),
    "list_review_templates": Row("/v1/review-templates?shop_id=" + SHOP, {P, S}),
    "put_review_template": Row(
        "/v1/review-templates/t-1?shop_id=" + SHOP, {P, S}, {"reason_code": "other", "reason": "No."}
    ),
    "delete_review_template": Row("/v1/review-templates/t-1?shop_id=" + SHOP, {P, S}),
    "withdraw_ticket": Row("/v1/after-sales/{ticket}/withdraw", {P, B}),
    "get_receipt": Row("/v1/after-sales/{ticket}/receipt", {P, S, B}),
    "get_statement_of_reasons": Row("/v1/after-sales/{rejected}/statement-of-reasons", {P, S, B}),
    "get_buyer_notice_preferences": Row("/v1/buyers/{buyer}/notice-preferences", {P, B}),
    "put_buyer_notice_preferences": Row("/v1/buyers/{buyer}/notice-preferences", {P, B}, {"off": ["refunded"]}),
    "list_notices": Row("/v1/notices", {P}),
    "preview_notice": Row("/v1/notices/{notice}/preview", {P}),
    "retry_notice": Row("/v1/notices/{notice}/retry", {P}),
    "get_operator_notice_preferences": Row("/v1/operators/chen.jie/notice-preferences", {P}),
    "put_operator_notice_preferences": Row("/v1/operators/chen.jie/notice-preferences", {P}, {"off": ["task_opened"]}),
    "get_shop_notice_preferences": Row("/v1/shops/{shop}/notice-preferences", {P, S}),
    "put_shop_notice_preferences": Row("/v1/shops/{shop}/notice-preferences", {P, S}, {"off": ["stop_ship"]}),
    "get_decision": Row("/v1/after-sales/{ticket}/decision", {P, S, B}),
    "put_an_order": Row("/v1/orders/o-9", {P}, order()),
    "get_order": Row("/v1/orders/{order}", {P, S, B}),
    "make_refund_link": Row("/v1/orders/{order}/refund-link", {P, S}, {"valid_hours": 1}),
    "list_orders": Row("/v1/orders", {P, S, B}, foreign="empty"),
    "record_payment": Row("/v1/orders/{order}/payments", {P}, payment("o-1")),
    "record_a_shipment": Row("/v1/orders/{order}/shipments", {P, S}, shipment("label_printed")),
    "record_shipments": Row("/v1/shipments/bulk", {P, S}, BULK, foreign="each"),
    "list_shipping_risks": Row("/v1/shipping-risks", {P, S}, foreign="empty"),
    "acknowledge_a_stop_ship": Row("/v1/stop-ships/{ticket}/acknowledge", {P, S}, {"outcome": "held"}),
    "record_a_dispute": Row("/v1/orders/{order}/disputes", {P}, DISPUTED),
    "record_completion": Row("/v1/orders/{order}/completion", {P}, COMPLETED),
    "put_buyer": Row("/v1/buyers/{buyer}", {P}, {}),
    "get_buyer": Row("/v1/buyers/{buyer}", {P, B}),
    "record_events": Row("/v1/buyers/{buyer}/events", {P}, EVENTS),
    "export_buyer": Row("/v1/buyers/{buyer}/export", {P}),
    "erase_buyer": Row("/v1/buyers/{buyer}", {P}),
    "put_history": Row("/v1/history/order_paid", {P}, {"complete_from": "2016-01-01T00:00:00Z"}),
    "list_history": Row("/v1/history", {P}),
    "take_events": Row("/v1/events", {P}, CLOUD_EVENT, media_type="application/cloudevents+json"),
    "put_shop": Row("/v1/shops/{shop}", {P}, {}),
    "get_shop": Row("/v1/shops/{shop}", {P, S}),
    "get_shop_coverage": Row("/v1/shops/{shop}/coverage", {P, S}),
    "put_shop_coverage": Row("/v1/shops/{shop}/coverage", {P, S}, {"covered": True, "reason": "Yes."}),
    "get_benefit": Row("/v1/shops/{shop}/benefit", {P, S}),
    "put_coverage": Row("/v1/coverage", {P}, {"scope": "shop", "ref": SHOP, "covered": True, "reason": "Yes."}),
    "unset_coverage": Row("/v1/coverage/shop/shop-7", {P}),
    "unset_platform_coverage": Row("/v1/coverage/platform", {P}),
    "recompute_coverage": Row("/v1/coverage/recompute", {P}, {"shop_ids": [SHOP]}),
    "make_complaint": Row("/v1/shops/{shop}/complaints", {P, S}, {"reason": "The strike."}),
    "list_shop_complaints": Row("/v1/shops/{shop}/complaints", {P, S}),
    "list_complaints": Row("/v1/complaints", {P, S}, foreign="empty"),
    "answer_complaint": Row("/v1/complaints/{complaint}/answer", {P}, {"outcome": "upheld", "answer": "Yes."}),
    "put_category": Row("/v1/categories/mugs", {P}, {}),
    "get_shadow_report": Row("/v1/policies/shadow", {P}),
    "list_refunds": Row("/v1/refunds", {P, S, B}, foreign="empty"),
    "get_refund": Row("/v1/refunds/{refund}", {P, S, B}),
    "retry_refund": Row("/v1/refunds/{refund}/retry", {P}),
    "settle_refund": Row("/v1/refunds/{refund}/settle-manually", {P}, PAID_BY_HAND),
    "confirm_refund_settlement": Row("/v1/refunds/{refund}/confirm-settlement", {P}, {"reference": "BANK-7"}),
    "reject_refund_settlement": Row("/v1/refunds/{refund}/reject-settlement", {P}, {"note": "No such transfer."}),
    "get_ledger": Row("/v1/orders/{order}/ledger", {P}),
    "list_tasks": Row("/v1/tasks", {P}),
    "resolve_task": Row("/v1/tasks/{task}/resolve", {P}, {"note": "Booked a day later."}),
    "list_incidents": Row("/v1/incidents", {P, S}, foreign="empty"),
    "get_incident": Row("/v1/incidents/{incident}", {P, S}),
    "set_incident_outcome": Row("/v1/incidents/{incident}/outcome", {P}, DECIDED),
    "record_incident_recovery": Row("/v1/incidents/{incident}/recoveries", {P}, {"amount_minor": 1}),
    "contest_an_incident": Row("/v1/incidents/{incident}/contest", {P, S}, {"reason": "It was stopped."}),
    "answer_incident_contest": Row("/v1/incidents/{incident}/contest/answer", {P}, REJECTED),
    "add_incident_evidence": Row("/v1/incidents/{incident}/evidence", {P, S}, {"text": "It was stopped."}),
    "record_incident_contact": Row("/v1/incidents/{incident}/contacts", {P, S}, CONTACTED),
    "get_journal": Row(f"/v1/finance/journal?{DAYS}", {P}),
    "list_periods": Row("/v1/finance/periods", {P}),
    "close_period": Row("/v1/finance/periods", {P}, {"last_day": "2020-01-01"}),
    "verify_periods": Row("/v1/finance/verification", {P}),
    "get_shop_statement": Row(f"/v1/shops/{{shop}}/statement?{DAYS}", {P, S}),
    "list_changes": Row("/v1/changes", {P, S}, foreign="empty"),
    "set_pause": Row("/v1/pauses", {P}, {"scope": "shop", "ref": "shop-7", "reason": "Moving."}),
    "list_pauses": Row("/v1/pauses", {P}),
    "get_caps": Row("/v1/caps", {P}),
    "add_identity_links": Row("/v1/buyers/{buyer}/identity-links", {P}, {"links": [LINK]}),
    "get_identity_links": Row("/v1/buyers/{buyer}/identity-links", {P}),
    "metrics": Row("/metrics", {P}),
    "lift_pause": Row("/v1/pauses/shop/shop-7", {P}),
    "lift_platform_pause": Row("/v1/pauses/platform", {P}),
    "check_policy": Row("/v1/policies/check", {P}, {"document": "policy: x"}),
    "push_policy": Row("/v1/policies/texts", {P}, {"document": POLICY}),
    "list_policy_texts": Row("/v1/policies/texts", {P}),
    "get_policy_text": Row(f"/v1/policies/texts/unshipped-instant-refund/{DEFAULT_POLICY.version}", {P}),
    "list_publications": Row("/v1/policies/log", {P}),
    "roll_back_policy": Row("/v1/policies/roll-back", set(), {"version": "1", "reason": "Why."}),
    "stop_policy": Row("/v1/policies/stop", set(), {"stage": "canary", "reason": "Why."}),
    "cancel_publication": Row("/v1/policies/cancel", set(), {"publication": 1, "reason": "Why."}),
    "shadow_policy": Row("/v1/policies/shadow", set(), NAMED),
    "retire_policy": Row("/v1/policies/retire", set(), NAMED),
    "announce_policy": Row("/v1/policies/announcements", set(), {**NAMED_TEXT}),
    "withdraw_announcement": Row("/v1/policies/announcements/{ticket}/withdraw", set(), {"reason": "Why."}),
    "record_opinion": Row("/v1/policies/announcements/{ticket}/opinions", {P}, {"said_by": "other", "said": "No."}),
    "answer_opinion": Row("/v1/policies/opinions/{ticket}/answer", {P}, {"answer": "Yes."}),
    "propose_policy": Row("/v1/proposals", set(), NAMED),
    "list_proposals": Row("/v1/proposals", {P}, foreign="empty"),
    "get_proposal": Row("/v1/proposals/{ticket}", {P}),
    "change_proposal": Row("/v1/proposals/{ticket}", set(), NAMED),
    "approve_proposal": Row("/v1/proposals/{ticket}/approve", set(), {"content_hash": "0" * 64}),
    "reject_proposal": Row("/v1/proposals/{ticket}/reject", set(), {"reason": "Why."}),
    "withdraw_proposal": Row("/v1/proposals/{ticket}/withdraw", set(), {"reason": "Why."}),
    "schedule_proposal": Row("/v1/proposals/{ticket}/schedule", set(), {"effective_at": None}),
    "start_proposal_canary": Row("/v1/proposals/{ticket}/canary", set(), {"percent": 5}),
    "publish_proposal": Row("/v1/proposals/{ticket}/publish", set()),
    "list_confirmations": Row("/v1/confirmations", {P}),
    "confirm_change": Row("/v1/confirmations/{ticket}/confirm", set()),
    "propose_pause_lift": Row("/v1/pauses/proposed-lifts", set(), {"scope": "platform", "reason": "Over."}),
    "propose_cover": Row("/v1/coverage/proposed-covers", set(), {"scope": "platform", "reason": "Over."}),
    "propose_restriction_lift": Row(
        "/v1/restrictions/proposed-lifts", set(), {"restriction_id": "{ticket}", "reason": "Over."}
    ),
    "get_restriction": Row("/v1/restrictions/{restriction}", {P, B}),
    "restrict_buyer": Row("/v1/restrictions", {P}, RESTRICTED),
    "list_restrictions": Row("/v1/restrictions?buyer_id={buyer}", {P, B}),
    "lift_restriction": Row("/v1/restrictions/{ticket}/lift", {P}),
    "open_appeal": Row("/v1/appeals", {P, B}, APPEAL),
    "list_appeals": Row("/v1/appeals", {P, B}, foreign="empty"),
    "get_appeal": Row("/v1/appeals/{appeal}", {P, B}),
    "decide_appeal": Row("/v1/appeals/{appeal}/decide", {P}, {"verdict": "rejected", "reason": "It stands."}),
    "select_buyer": Row("/v1/selection/buyer-9", {P}, {"verdict": "allow"}),
    "get_selection_entry": Row("/v1/selection-entries/{ticket}", {P}),
    "propose_allow": Row("/v1/selection/proposed-allows", set(), {"buyer_id": "b-9", "reason": "Why."}),
    "create_webhook_endpoint": Row("/v1/webhook-endpoints", {P, S}, HOOK),
    "list_webhook_endpoints": Row("/v1/webhook-endpoints", {P, S}, foreign="empty"),
    "get_webhook_endpoint": Row("/v1/webhook-endpoints/{endpoint}", {P, S}),
    "put_webhook_endpoint": Row("/v1/webhook-endpoints/{endpoint}", {P, S}, {"description": "Mine."}),
    "pause_webhook_endpoint": Row("/v1/webhook-endpoints/{endpoint}/pause", {P, S}),
    "resume_webhook_endpoint": Row("/v1/webhook-endpoints/{endpoint}/resume", {P, S}),
    "rotate_webhook_secret": Row("/v1/webhook-endpoints/{endpoint}/rotate-secret", {P, S}),
    "list_webhook_deliveries": Row("/v1/webhook-endpoints/{endpoint}/deliveries", {P, S}),
    "redeliver_webhooks": Row("/v1/webhook-endpoints/{endpoint}/redeliver", {P, S}, {"since": "2026-01-01T00:00:00Z"}),
    "delete_webhook_endpoint": Row("/v1/webhook-endpoints/{endpoint}", {P, S}),
}
PUBLIC = {
    "get_current_policy",
    "list_policies",
    "list_announcements",
    "list_opinions",
    "healthz",
    "readyz",
    "take_notification",
}
METHODS = {handler.handler_name: method_of(handler) for handler in HANDLERS}
TABLES = (
    "orders",
    "tender",
    "shipment",
    "ticket",
    "ticket_event",
    "refund",
    "ledger",
    "task",
    "buyer_event",
    "coverage",
    "coverage_history",
    "complaint",
    "pause",
    "restriction",
    "appeal",
    "incident",
    "incident_entry",
    "accounting_period",
    "selection",
    "selection_proposed",
    "idempotency",
    "change",
    "webhook_endpoint",
    "webhook_secret",
    "webhook_delivery",
    "notice",
    "notice_preference",
    "policy",
    "announcement",
    "opinion",
    "proposal",
    "approval",
)


@dataclass(frozen=True)
class Market:
    api: Api
    things: dict[str, str]
    foreign: dict[str, str]

    async def call(self, name: str, key: str | None, things: dict[str, str]) -> httpx.Response:
        row = TABLE[name]
        headers = {"if-match": '"1"'} if row.if_match else {}
        if row.body is not None:
            headers["content-type"] = row.media_type
        body = row.body
        if isinstance(body, dict) and "order_id" in body:
            body = {**body, "order_id": things["order"], "buyer_id": things["buyer"]}
        if body is APPEAL:
            body = {**APPEAL, "restriction_id": things["restriction"], "buyer_id": things["buyer"]}
        if body is TAKEN:
            body = {**TAKEN, "tickets": [{"ticket_id": things["ticket"], "version": 9}]}  # stale: nothing moves
        return await self.api.call(METHODS[name], row.path.format(**things), body, key=key, headers=headers)

    async def rows(self) -> dict[str, int]:
        return {table: await self.api.count(table) for table in TABLES}


async def given_up(api: Api, ticket_id: str) -> str:
    """A notice to the shop that a mail server refused."""
    async with api.market.pool.connection() as connection:
        made = await connection.execute(
            "INSERT INTO notice (lane, recipient, recipient_id, kind, subject, state, queued_at, closed_at) SELECT "
            "lane, 'shop', shop_id, 'review_asked', ticket_id::text, 'dead', requested_at, requested_at FROM ticket "
            "WHERE ticket_id = %(id)s RETURNING notice_id",
            {"id": ticket_id},
        )
        (notice_id,) = await made.fetchone() or ("",)
    return str(notice_id)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def market(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Market]:
    home: Path = tmp_path_factory.mktemp("home")
    # Every operation is called with several wrong keys, from one address.
    settings = Settings(
        home=home,
        pool_size=8,
        encryption_key_file=with_key(home),
        wrong_keys_per_minute=100_000,
        **SIMULATOR_AWAY,
    )
    async with open_api(module_database_url, home=home, settings=settings) as api:
        await api.put(f"/v1/shops/{SHOP}", {"name": "One"})
        await api.paid_order("o-1")
        granted = (await api.ask("o-1"))["ticket"]
        await api.post("/v1/orders/o-1/shipments", shipment("picked_up", source="carrier"))
        incident = (await api.get("/v1/incidents")).json()["incidents"][0]
        await api.paid_order("o-2", paid=30000)
        waiting = (await api.ask("o-2"))["ticket"]
        await api.paid_order("o-3", paid=30000)
        rejected = (await api.ask("o-3"))["ticket"]
        path = f"/v1/after-sales/{rejected['ticket_id']}/reject"
        assert (await api.post(path, NO, headers={"if-match": '"1"'})).status_code == 200
        keys = api.service.keys
        foreign = {
            S: (await issue_key(keys, KeyScope.SHOP, "shop-2", label="", now=api.now())).secret,
            B: (await issue_key(keys, KeyScope.BUYER, "buyer-2", label="", now=api.now())).secret,
        }
        task = NewTask("a task", TaskKind.OURS_ONLY, "simulator", {"ours": {}}, api.now())
        await api.service.tasks.open([task])
        appeals = []
        for days in (1, 2):  # they begin later, so that nobody is restricted here
            begins = api.now() + timedelta(days=days)
            row = Restriction(new_id(lane_of(BUYER)), BUYER, "Cancels in series.", begins, None, "risk desk")
            await api.service.registry.restrict(row)
            sent = {**APPEAL, "restriction_id": str(row.restriction_id), "buyer_id": BUYER, "text": f"Words {days}."}
            appeals.append((await api.post("/v1/appeals", sent)).json() if days == 1 else sent)
        hook = await api.post("/v1/webhook-endpoints", {**HOOK, "url": "https://shop.example/old"})
        complaint = await api.post("/v1/shops/shop-9/complaints", {"reason": "The strike."})
        things = {
            "notice": await given_up(api, waiting["ticket_id"]),
            "complaint": complaint.json()["complaint_id"],
            "endpoint": hook.json()["endpoint"]["endpoint_id"],
            "incident": incident["incident_id"],
            "order": "o-1",
            "buyer": BUYER,
            "shop": SHOP,
            "ticket": waiting["ticket_id"],
            "rejected": rejected["ticket_id"],
            "refund": granted["refunds"][0]["refund_id"],
            "task": str(task.task_id),
            "appeal": appeals[0]["appeal_id"],
            "restriction": appeals[1]["restriction_id"],
        }
        yield Market(api, things, foreign)


async def test_the_table_names_every_operation() -> None:
    assert set(TABLE) | PUBLIC == set(METHODS)


@pytest.mark.parametrize("name", TABLE)
async def test_without_a_good_key_nothing_is_told(market: Market, name: str) -> None:
    before = await market.rows()
    bad = ("jt_0123456789ab_nonsense", "nonsense", "jt__", market.api.platform + "x", "jt_\u00e9_x")
    for key in (None, *bad):
        got = await market.call(name, key, market.things)
        assert (got.status_code, got.json()["type"]) == (401, "/problems/unauthenticated")
        assert got.headers["www-authenticate"].startswith("Bearer")
    assert await market.rows() == before


@pytest.mark.parametrize("name", TABLE)
async def test_a_scope_that_may_not_call_it_gets_403_on_whatever_it_names(market: Market, name: str) -> None:
    before = await market.rows()
    own = {S: market.api.shop, B: market.api.buyer}
    for scope in {S, B} - TABLE[name].who:
        for key in (own[scope], market.foreign[scope]):
            for things in (market.things, missing(market.things)):
                got = await market.call(name, key, things)
                assert (got.status_code, got.json()["type"]) == (403, "/problems/scope-not-allowed")
    assert await market.rows() == before


@pytest.mark.parametrize("name", TABLE)
async def test_what_is_anothers_looks_exactly_like_what_does_not_exist(market: Market, name: str) -> None:
    row, before = TABLE[name], await market.rows()
    for scope in {S, B} & row.who:
        key = market.foreign[scope]
        got = await market.call(name, key, market.things)
        if row.foreign == "empty":
            assert got.status_code == 200
            assert next(iter(got.json().values())) == []
            continue
        if row.foreign == "each":
            assert [one["code"] for one in got.json()["results"]] == ["not-found"]
            continue
        nothing = await market.call(name, key, missing(market.things))
        if row.foreign == "rows":
            theirs, none = ([part | {"ticket_id": ""} for part in one.json()["tickets"]] for one in (got, nothing))
            assert theirs == none and {part["code"] for part in theirs} == {"not-found"}
            continue
        assert (got.status_code, nothing.status_code) == (404, 404)
        assert got.content == nothing.content
        told = [dict(answer.headers) for answer in (got, nothing)]
        for headers in told:
            del headers["ratelimit"]  # what is left of the key's rate, one request apart
            del headers["x-request-id"]  # each request has its own
        assert told[0] == told[1]
    assert await market.rows() == before


@pytest.mark.parametrize("path", ["/v1/after-sales", "/v1/orders", "/v1/refunds", "/v1/incidents", "/v1/appeals"])
async def test_a_list_filtered_by_anothers_id_is_not_found(market: Market, path: str) -> None:
    if path != "/v1/appeals":
        got = await market.api.get(path, key=market.api.shop, params={"shop_id": "shop-2"})
        assert got.status_code == 404
    if path != "/v1/incidents":
        got = await market.api.get(path, key=market.api.buyer, params={"buyer_id": "buyer-2"})
        assert got.status_code == 404


@pytest.mark.parametrize("name", [name for name in TABLE if not name.endswith("_ticket")])
async def test_allowed_keys_get_through(market: Market, name: str) -> None:
    for scope in sorted(TABLE[name].who):
        key = {P: market.api.platform, S: market.api.shop, B: market.api.buyer}[scope]
        got = await market.call(name, key, market.things)
        if (name, scope) == ("put_shop_coverage", S):
            assert (got.status_code, got.json()["type"]) == (403, "/problems/shop-cannot-opt-out")  # R13
        elif name.startswith(("lift_", "delete_", "unset_")) or name == "get_shadow_report":  # no policy is in shadow
            assert got.status_code in (204, 404)
        elif name in ("get_proposal", "record_opinion", "answer_opinion", "get_selection_entry"):
            assert got.status_code == 404  # nothing is proposed or announced
        else:
            assert got.status_code in (200, 201, 409, 429), (scope, got.text)


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if not row.who])
async def test_a_key_is_no_person_whatever_it_may_do(market: Market, name: str) -> None:
    before = await market.rows()
    got = await market.call(name, market.api.platform, market.things)
    assert (got.status_code, got.json()["type"]) == (403, "/problems/permission-missing")
    assert "personal token" in got.json()["detail"]
    assert await market.rows() == before


async def test_the_platform_and_the_shop_review_and_the_buyer_withdraws(market: Market) -> None:
    """The three that move a ticket get through to its state: the first wins."""
    for name, key in (
        ("withdraw_ticket", market.api.buyer),
        ("approve_ticket", market.api.shop),
        ("reject_ticket", market.api.shop),
        ("approve_ticket", market.api.platform),
        ("reject_ticket", market.api.platform),
        ("withdraw_ticket", market.api.platform),
    ):
        got = await market.call(name, key, market.things)
        assert got.status_code == (200 if key == market.api.buyer else 409), (name, got.text)


async def test_public_operations_take_no_key_and_refuse_a_bad_one(market: Market) -> None:
    for path in ("/v1/policies/current", "/v1/policies", "/healthz", "/readyz"):
        assert (await market.api.call("GET", path)).status_code == 200
        assert (await market.api.call("GET", path, key="jt_aaaaaaaaaaaa_bbbb")).status_code == 401


def missing(things: dict[str, str]) -> dict[str, str]:
    """Ids of the same shape that name nothing."""
    nobody = lane_of("nobody")
    return {
        "order": "o-404",
        "buyer": "buyer-404",
        "shop": "shop-404",
        "notice": str(new_id(nobody)),
        "ticket": str(new_id(nobody)),
        "rejected": str(new_id(nobody)),
        "task": str(new_id(nobody)),
        "endpoint": str(new_id(nobody)),
        "appeal": str(new_id(nobody)),
        "complaint": str(new_id(nobody)),
        "incident": str(new_id(nobody)),
        "restriction": str(new_id(nobody)),
        "refund": str(UUID(things["refund"][:-2] + "00")),
    }
