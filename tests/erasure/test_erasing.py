"""An erasure: what goes, what stays and still adds up, and what cannot be done yet."""

from __future__ import annotations

import re

from jitui.adapters.postgres.audit import PostgresAuditLog
from jitui.identity.audit import verify
from jitui.ids import lane_of
from tests.aftersales.market import Market
from tests.erasure.life import ACCOUNT, BUYER, EMAIL, PLANTED, a_life, erased, everywhere, rows


async def test_neither_the_id_nor_a_planted_text_is_in_any_column_of_any_table(
    market: Market, database_url: str
) -> None:
    await a_life(market)
    await market.ticket_list.fill()
    before = {hit.table for hit in everywhere(database_url, BUYER, PLANTED, ACCOUNT, EMAIL, "203.0.113.77")}
    assert before == {
        "api_key",
        "appeal",
        "audit_event",
        "buyer",
        "buyer_day",
        "buyer_event",
        "buyer_pseudonym",
        "change",
        "cluster_member",
        "cluster_state",
        "complaint",
        "console_person",
        "console_session",
        "decision",
        "dispute",
        "event_directory",
        "idempotency",
        "identity_link",
        "incident",
        "incident_entry",
        "later_decision",
        "notice",
        "notice_preference",
        "order_directory",
        "order_line",
        "orders",
        "payment_directory",
        "refund",
        "refund_attempt",
        "restriction",
        "restriction_check",
        "selection",
        "shipment",
        "task",
        "ticket",
        "ticket_event",
        "waybill_directory",
        "ticket_list",
    }
    await erased(market)
    assert everywhere(database_url, BUYER, PLANTED, ACCOUNT, EMAIL, "203.0.113.77") == []
    assert rows(database_url, "SELECT DISTINCT buyer_id FROM identity_link") == [("neighbour",)]


async def test_a_clusters_memberships_stay_under_the_new_id(market: Market, database_url: str) -> None:
    await a_life(market)
    query = "SELECT cluster_id, from_at, until_at FROM cluster_member ORDER BY lane, from_at"
    before = rows(database_url, query)
    await erased(market)
    assert rows(database_url, query) == before
    ((new_id,),) = rows(database_url, "SELECT buyer_id FROM buyer WHERE erased")
    found = rows(database_url, "SELECT buyer_id FROM cluster_member ORDER BY buyer_id")
    assert found == sorted([(new_id,), ("neighbour",)])


async def test_a_restriction_stays_with_what_a_rule_counted_and_an_appeal_goes(
    market: Market, database_url: str
) -> None:
    await a_life(market)
    await erased(market)
    kept = "SELECT rule_id, facts, evidence, text, lift_reason FROM restriction ORDER BY rule_id"
    assert rows(database_url, kept) == [("a_rule", {"buyer.level": 4}, {}, {}, ""), (None, None, {}, {}, "")]
    assert rows(database_url, "SELECT 1 FROM appeal") == []


async def test_the_new_id_lies_in_the_same_lane_and_nothing_leads_to_it(market: Market, database_url: str) -> None:
    await a_life(market)
    await erased(market)
    ((lane, new_id),) = rows(database_url, "SELECT lane, buyer_id FROM buyer WHERE erased")
    assert lane == lane_of(BUYER) == lane_of(new_id)
    assert re.fullmatch(r"erased-[0-9a-f]{32}", new_id)
    owners = (
        "SELECT buyer_id FROM orders UNION SELECT buyer_id FROM ticket UNION SELECT buyer_id FROM order_directory "
        "UNION SELECT buyer_id FROM payment_directory UNION SELECT buyer_id FROM restriction "
        "UNION SELECT actor_id FROM ticket_event WHERE actor_kind = 'buyer'"
    )
    assert rows(database_url, owners) == [(new_id,)]


async def test_money_decisions_and_outcomes_stay_as_they_were(market: Market, database_url: str) -> None:
    await a_life(market)
    kept = (
        "SELECT order_id, posting, debit, credit, amount_minor, currency FROM ledger ORDER BY 1, 2",
        "SELECT ticket_id, state, amount_minor, approved_by, approved_at, closed_at FROM ticket ORDER BY 1",
        "SELECT refund_id, state, amount_minor, attempt_no, provider, payment_id FROM refund ORDER BY 1",
        "SELECT attempt_id, provider_refund_id, state FROM refund_attempt ORDER BY 1",
        "SELECT ticket_id, outcome, policy_sha256, decision -> 'outcome' FROM decision ORDER BY 1",
        "SELECT kind, order_id, body -> 'amount_minor', body -> 'approved_by' FROM change ORDER BY change_id",
        "SELECT order_id, tender_id, captured_minor, refunded_minor FROM tender ORDER BY 1, 2",
        "SELECT ticket_id, seq, from_state, to_state, why, at FROM ticket_event ORDER BY 1, 2",
    )
    before = [rows(database_url, query) for query in kept]
    await erased(market)
    assert [rows(database_url, query) for query in kept] == before
    assert await market.queries.unbalanced_orders(None, 99) == []


async def test_a_completion_that_only_an_event_told_is_kept_with_the_order(market: Market, database_url: str) -> None:
    await a_life(market)
    query = "SELECT completed_at IS NOT NULL FROM orders WHERE starts_with(order_id, 'completed')"
    assert rows(database_url, query) == [(False,)]
    await erased(market)
    assert rows(database_url, query) == [(True,)]


async def test_the_audit_log_is_whole_and_says_which_rows_it_cannot_check_any_more(market: Market) -> None:
    await a_life(market)
    log = PostgresAuditLog(market.pool)
    assert (await verify(log)).redacted == ()
    done = await erased(market)
    verdict = await verify(log)
    assert verdict.faults == ()
    written = {
        event.number: event for event in await log.events(actor=None, action=None, subject=None, before=None, limit=99)
    }
    redacted = [written[number] for number in verdict.redacted]
    assert {(event.action, event.actor, event.subject, event.detail) for event in redacted} == {
        ("key.issued", "ada", "jk_anna", "{}"),
        ("person.signed_in", "erased", "erased", "{}"),
        ("restriction.set", "ada", "r-1", "{}"),
    }
    assert written[max(written)].subject == str(done.erasure_id)
