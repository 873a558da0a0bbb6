"""A buyer with something in every table, all of it over, so that nothing holds an erasure up; and the search for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

from jitui.adapters.postgres.appeals import PostgresAppeals
from jitui.adapters.postgres.linked_accounts import PostgresLinkedAccounts
from jitui.adapters.postgres.openid import PostgresIdentities
from jitui.adapters.postgres.people import PostgresPeople
from jitui.adapters.postgres.personal_data import PostgresPersonalData
from jitui.aftersales.changes import RecordBuyerEvent
from jitui.aftersales.commands.arbitration import ArbitrationDecision, decide_arbitration, escalate
from jitui.aftersales.commands.assignment import assign
from jitui.aftersales.commands.execute import Executed
from jitui.aftersales.commands.on_ticket import Acting
from jitui.aftersales.commands.refund_updates import RefundUpdate, confirm
from jitui.aftersales.commands.review import Rejection, reject
from jitui.aftersales.commands.ship import ShipmentUpdate, complete_order, record_shipment
from jitui.aftersales.governance.appeals import Appeal, AppealDecision, new_appeal
from jitui.aftersales.governance.erasure import Erased, ErasurePending
from jitui.aftersales.governance.linked_accounts import IdentityLink, LinkKind
from jitui.aftersales.governance.registry import Evidence, Restriction, new_selection
from jitui.aftersales.model.order import Buyer, LineUnits, ShipmentSource, ShipmentStatus
from jitui.aftersales.model.review import AtFault, EvidenceItem, RejectionCode
from jitui.aftersales.model.ticket import Actor, ActorKind
from jitui.aftersales.ports import AttemptRef, OrderRef, TicketRef
from jitui.aftersales.provider import RefundResult, RefundResultKind
from jitui.identity.access import Role
from jitui.identity.openid_person import Linked
from jitui.identity.people import Browser, Person
from jitui.ids import lane_of, new_id
from tests.aftersales.market import NOW, Market

BUYER = "anna.mueller-4711"
PLANTED = "Hauptstrasse-12"
EMAIL = "anna@hauptstrasse.example"
"""What nobody may find after an erasure; it is put into every text that people and platforms send."""
ACCOUNT = "anna-signs-in"
LATER = NOW + timedelta(days=120)
KEEP_UNTIL = date(2027, 12, 1)
BY = "data protection"
MERCHANT = Actor(ActorKind.MERCHANT, "shop-1")


def personal_data(market: Market) -> PostgresPersonalData:
    return PostgresPersonalData(market.pool)


async def erase(market: Market, buyer_id: str = BUYER, *, now: datetime = LATER) -> Erased | ErasurePending | None:
    return await personal_data(market).erase(buyer_id, by=BY, now=now, keep_until=KEEP_UNTIL)


async def erased(market: Market, buyer_id: str = BUYER) -> Erased:
    """It must succeed."""
    done = await erase(market, buyer_id)
    assert isinstance(done, Erased) and not done.again, done
    return done


async def paid_back(market: Market, order_id: str, buyer_id: str = BUYER) -> OrderRef:
    """An order that was refunded at once."""
    ref = await market.paid_order(buyer_id, order_id)
    await market.asked(buyer_id, order_id)
    (claimed,) = await market.store.claim_refunds(now=NOW, lease_until=NOW + timedelta(minutes=1), limit=9)
    result = RefundResult(RefundResultKind.SUCCEEDED, provider_refund_id=f"re-{order_id}")
    attempt = AttemptRef(claimed.lane, claimed.attempt.attempt_id)
    assert isinstance(await confirm(market.store, attempt, RefundUpdate(result), now=NOW), Executed)
    return ref


async def a_life(market: Market, buyer_id: str = BUYER) -> None:
    """An order that was refunded at once, one that was rejected with words, and one completed by an event alone."""
    await market.premium_buyer(buyer_id)
    row = Buyer(lane_of(buyer_id), buyer_id, NOW - timedelta(days=400), f"at {PLANTED}", {"note": PLANTED, "level": 4})
    await market.registry.put_buyer(row, NOW)
    await market.registry.select(new_selection(buyer_id, "allow", f"lives {PLANTED}", "risk", NOW))
    accounts = PostgresLinkedAccounts(market.pool)
    own = IdentityLink(buyer_id, LinkKind.ADDRESS, f"{PLANTED:-<40}", NOW)
    shared = IdentityLink(buyer_id, LinkKind.DEVICE, "d" * 40, NOW)
    await accounts.add([own, shared, replace(shared, buyer_id="neighbour")], NOW)
    await accounts.join_new(NOW)
    await market.feed.roll_up(NOW)
    await paid_back(market, f"refunded-{lane_of(buyer_id)}", buyer_id)
    await _rejected(market, buyer_id)
    await market.paid_order(buyer_id, f"completed-{lane_of(buyer_id)}")
    completed = RecordBuyerEvent(
        buyer_id, f"done {PLANTED}", "order_completed", NOW, NOW, f"completed-{lane_of(buyer_id)}", 12900
    )
    assert await market.registry.record_buyer_events([completed]) == 1
    await market.registry.name_events({"ce:1": buyer_id})
    await _restricted(market, buyer_id)
    await signs_in(market, buyer_id)
    await _later_words(market, buyer_id)


async def _restricted(market: Market, buyer_id: str) -> None:
    """By hand with evidence, contested; and by a rule that read an attribute."""
    restriction_id = new_id(lane_of(buyer_id))
    evidence = Evidence((f"o-{PLANTED}",), (f"e-{PLANTED}",), f"noted {PLANTED}")
    await market.registry.restrict(
        Restriction(
            restriction_id, buyer_id, f"because {PLANTED}", NOW, NOW + timedelta(days=3), "risk", evidence=evidence
        )
    )
    appeals = PostgresAppeals(market.pool)
    appeal = await appeals.open(new_appeal(restriction_id, buyer_id, f"But {PLANTED}", now=NOW, answer_days=15))
    assert isinstance(appeal, Appeal)
    await appeals.decide(appeal.appeal_id, AppealDecision(True, f"Since {PLANTED}", "second desk", NOW))
    async with market.pool.connection() as connection:
        await connection.execute(
            """INSERT INTO restriction (lane, restriction_id, buyer_id, reason, starts_at, ends_at, set_by, policy_id,
                policy_version, policy_sha256, rule_id, occurrence, facts, text)
            VALUES (%(lane)s, %(id)s, %(buyer)s, '', %(now)s, %(now)s, 'policy', 'p', '1', 'x', 'a_rule', 1,
                jsonb_build_object('buyer.note', %(text)s::text, 'buyer.level', 4),
                jsonb_build_object('en', %(text)s::text))""",
            {
                "lane": lane_of(buyer_id),
                "id": new_id(lane_of(buyer_id)),
                "buyer": buyer_id,
                "text": PLANTED,
                "now": NOW,
            },
        )


async def signs_in(market: Market, buyer_id: str = BUYER) -> None:
    people = PostgresPeople(market.pool)
    person = Person(ACCOUNT, Role.BUYER, buyer_id, f"Anna of {PLANTED}")
    assert await people.add_person(person, None, NOW, by="ada")
    identities = PostgresIdentities(market.pool)
    assert await identities.link(ACCOUNT, "https://id.example", f"subject {PLANTED}", by="ada", now=NOW) is Linked.DONE
    assert await identities.set_email(ACCOUNT, EMAIL, by="ada", now=NOW) is Linked.DONE
    await people.add_session(b"t" * 32, ACCOUNT, NOW, LATER, Browser("203.0.113.77", "Firefox"))


async def _rejected(market: Market, buyer_id: str) -> None:
    order_id = f"rejected-{lane_of(buyer_id)}"
    ref = await market.paid_order(buyer_id, order_id, amounts=(50_000,))
    ticket = await market.asked(buyer_id, order_id)
    words = Rejection(
        RejectionCode.OTHER, f"She wrote: {PLANTED}", (EvidenceItem(f"Her message: {PLANTED}", f"https://x/{PLANTED}"),)
    )
    where = TicketRef(ticket.lane, ticket.ticket_id)
    assert isinstance(await assign(market.store, where, Acting(MERCHANT, NOW)), Executed)
    assert isinstance(await reject(market.store, where, words, Acting(MERCHANT, NOW)), Executed)
    asks = Acting(Actor(ActorKind.BUYER, buyer_id), NOW)
    asked = await escalate(market.store, where, f"I am {PLANTED}", words.evidence, asks, answer_days=7)
    assert isinstance(asked, Executed)
    denied = ArbitrationDecision(AtFault.BUYER, None, f"It is {PLANTED} who said so")
    by = Acting(Actor(ActorKind.OPERATOR, "chen.jie"), NOW)
    assert isinstance(await decide_arbitration(market.store, where, denied, by), Executed)
    parcel = ShipmentUpdate(
        ShipmentStatus.SHIPPED, "sf", f"SF-{PLANTED}", ShipmentSource.MERCHANT, NOW, (LineUnits("l1", 1),)
    )
    assert isinstance(await record_shipment(market.store, ref, parcel, by=MERCHANT, now=NOW), Executed)
    assert isinstance(await complete_order(market.store, ref, now=NOW, completed_at=NOW), Executed)


async def _later_words(market: Market, buyer_id: str) -> None:
    """Texts that only providers and operators write, and rows that other parts of the service leave."""
    async with market.pool.connection() as connection:
        for statement in _WORDS:
            await connection.execute(
                statement.encode(),
                {"lane": lane_of(buyer_id), "buyer": buyer_id, "text": PLANTED, "now": NOW, "id": new_id(0)},
            )


_THEIRS = "lane = %(lane)s AND order_id IN (SELECT order_id FROM orders WHERE lane = %(lane)s AND buyer_id = %(buyer)s)"
_WORDS = (
    f"UPDATE order_line SET title = 'for ' || %(text)s WHERE {_THEIRS}",
    f"UPDATE refund_attempt SET reason = %(text)s WHERE {_THEIRS}",
    f"UPDATE refund SET reason = %(text)s WHERE {_THEIRS}",
    f"""UPDATE refund SET settlement = jsonb_build_object('reference', 'BANK-7', 'note', %(text)s::text, 'by', 'li',
        'at', %(now)s::timestamptz, 'attempts', 1) WHERE {_THEIRS}""",
    f"""INSERT INTO dispute (lane, order_id, dispute_id, tender_id, provider, state, amount_minor, currency, lost_minor,
        reason, opened_at, closed_at)
        SELECT lane, order_id, 'dp-1', tender_id, provider, 'won', 100, 'CNY', 0, %(text)s, captured_at, captured_at
        FROM tender WHERE {_THEIRS} LIMIT 1""",
    f"""INSERT INTO incident (lane, incident_id, order_id, ticket_id, shop_id, kind, state, amount_minor, currency,
        evidence, opened_at, outcome, shop_minor, recovered_minor, decided_by, decided_at, reason, reference)
        SELECT lane, %(id)s, order_id, ticket_id, shop_id, 'goods_left_after_refund', 'settled', 5, 'CNY',
            jsonb_build_array(jsonb_build_object('tracking_no', %(text)s::text, 'lines', ARRAY['l1'])), requested_at,
            'borne_by_shop', 5, 5, 'li', requested_at, %(text)s, %(text)s
        FROM ticket WHERE {_THEIRS} LIMIT 1""",
    """INSERT INTO incident_entry (lane, incident_id, seq, order_id, kind, at, by, detail)
        SELECT lane, incident_id, 1, order_id, 'contact', opened_at, 'li', jsonb_build_object('note', %(text)s::text)
        FROM incident""",
    """INSERT INTO complaint (complaint_id, shop_id, reason, made_by, made_at, answer_by, state, outcome, answer,
        answered_by, answered_at, incident_id, decided_by)
        SELECT incident_id, shop_id, %(text)s, shop_id, opened_at, opened_at, 'answered', 'rejected', %(text)s, 'wang',
            opened_at, incident_id, 'li'
        FROM incident""",
    f"""INSERT INTO task (task_id, kind, provider, order_id, evidence, opened_at, state, resolved_at, resolved_by, note)
        SELECT %(id)s, 'theirs_only', 'simulator', min(order_id), jsonb_build_object('text', %(text)s::text),
            %(now)s, 'resolved', %(now)s, 'li', %(text)s FROM orders WHERE {_THEIRS}""",
    f"""INSERT INTO later_decision SELECT lane, ticket_id, order_id, policy_id, policy_version, policy_sha256, outcome,
        decided_at, facts || jsonb_build_object('buyer.note', %(text)s::text),
        decision || jsonb_build_object('conditions', jsonb_build_array(jsonb_build_object('id', 'note', 'verdict',
            'true', 'facts', jsonb_build_object('buyer.note', %(text)s::text)))), read_from
        FROM decision WHERE {_THEIRS} LIMIT 1""",
    f"""UPDATE decision SET facts = facts || jsonb_build_object('buyer.note', %(text)s::text)
        WHERE {_THEIRS} AND order_id LIKE 'refunded-%%'""",
    """INSERT INTO idempotency (lane, key_id, route, buyer_id, key, body_hash, status, answer, answered_at)
        VALUES (%(lane)s, 'k', 'POST /v1/after-sales', %(buyer)s, 'key-1', 'x', 201,
            convert_to('{"buyer_id": "' || %(buyer)s || '"}', 'UTF8'), %(now)s)""",
    """INSERT INTO api_key (key_id, secret_hash, scope, subject_id, label, created_at)
        VALUES ('jk_anna', 'x', 'buyer', %(buyer)s, 'phone of ' || %(text)s, %(now)s)""",
    # As an earlier release wrote them.
    f"""INSERT INTO change (lane, kind, order_id, buyer_id, shop_id, at, body)
        SELECT lane, 'order.paid', order_id, buyer_id, shop_id, %(now)s, '{{}}' FROM orders WHERE {_THEIRS} LIMIT 1""",
    """INSERT INTO notice (lane, recipient, recipient_id, kind, subject, queued_at, due_at)
        VALUES (%(lane)s, 'buyer', %(buyer)s, 'restricted', %(id)s::text, %(now)s, %(now)s)""",
    """INSERT INTO notice_preference (lane, recipient, recipient_id, off, changed_at)
        VALUES (%(lane)s, 'buyer', %(buyer)s, '{}', %(now)s)""",
    """SELECT append_audit(%(now)s, 'ada', 'key.issued', 'jk_anna',
        jsonb_build_object('scope', 'buyer', 'label', 'phone of ' || %(text)s)::text)""",
    """SELECT append_audit(%(now)s, 'anna-signs-in', 'person.signed_in', 'anna-signs-in',
        '{"address":"203.0.113.77"}')""",
    """SELECT append_audit(%(now)s, 'ada', 'restriction.set', 'r-1',
        jsonb_build_object('of', %(buyer)s::text)::text)""",
)


# Searching -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hit:
    table: str
    column: str
    value: str


def everywhere(database_url: str, *wanted: str) -> list[Hit]:
    """Where the texts occur, in any column of any table that can hold a text."""
    found: list[Hit] = []
    with psycopg.connect(database_url) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'public' ORDER BY table_name, ordinal_position"
        ).fetchall()
        for table, column, kind in columns:
            where, name = sql.Identifier(str(table)), sql.Identifier(str(column))
            text = sql.SQL("encode({}, 'escape')" if kind == "bytea" else "{}::text").format(name)
            for word in wanted:
                query = sql.SQL("SELECT {text} FROM {where} WHERE position(%s IN {text}) > 0").format(
                    text=text, where=where
                )
                found += [Hit(str(table), str(column), str(value)) for (value,) in connection.execute(query, [word])]
    return found


def rows(database_url: str, query: str, *params: object) -> list[Any]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(query.encode(), params).fetchall()
