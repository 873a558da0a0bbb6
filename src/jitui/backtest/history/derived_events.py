"""The events of buyers and shops: those that a file lists, and what follows from payments, parcels and requests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from jitui.backtest.history.assemble import LEFT
from jitui.backtest.history.staged_tables import Found, Work
from jitui.backtest.history.staging import BAD
from jitui.policy.facts import SHOP_EVENTS

_COLUMNS = (
    ("subject", "VARCHAR"), ("subject_id", "VARCHAR"), ("kind", "VARCHAR"), ("at", "TIMESTAMP"),
    ("recorded_at", "TIMESTAMP"), ("event_id", "VARCHAR"), ("order_id", "VARCHAR"), ("amount_minor", "BIGINT"),
    ("currency", "VARCHAR"), ("times", "BIGINT"), ("retracts", "VARCHAR"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Events:
    """The query of the table `events`, and the kinds that the files tell of and that may be complete."""

    query: str | None
    kinds: frozenset[str]


def events_of(work: Work, *, timed_shipments: bool) -> Events:
    """Every event that is known. Kinds of which a row names no buyer that is known are not among `kinds`."""
    parts, kinds, incomplete = [], set(), set()
    if work.of("events").files:
        parts.append(_listed(work))
        rows = work.of("events")
        listed = work.fetch(f"SELECT DISTINCT {rows.column('kind')} FROM {rows.relation}")
        kinds |= {kind for (kind,) in listed if kind}
    money = "p.paid_minor" if work.of("payments").files else "o.paid_minor"
    for kind, at, where, of, there in _derived(work, money, timed_shipments):
        if not there:
            continue
        kinds.add(kind.removesuffix("_of_shop"))
        amount = money if kind != "shipped" else "NULL::BIGINT"
        for subject in ("buyer", "shop"):
            if (subject == "shop" and kind not in SHOP_EVENTS) or (subject == "buyer" and kind == "shipped"):
                continue
            test = f"({at} IS NOT NULL OR o.bad) AND ({where})"
            parts.append(_event(subject, f"o.{subject}_id", f"'{kind}'", at, amount, f"{of} WHERE {test}"))
            nameless = work.number(f"SELECT count(*) FROM {of} WHERE {test} AND o.{subject}_id IS NULL AND NOT o.bad")
            if nameless:
                incomplete.add(kind)
                work.found.append(Found(f"events {kind} of orders that name no {subject} are left out", nameless))
    if work.of("refunds").files:
        parts += _refunds(work, timed_shipments)
        kinds |= {"refund_before_shipment", "refund_after_shipment"}
        if _strangers(work):
            incomplete |= {"refund_before_shipment", "refund_after_shipment"}
    return Events(" UNION ALL ".join(parts) if parts else None, frozenset(kinds - incomplete))


def _derived(work: Work, money: str, timed_shipments: bool) -> list[tuple[str, str, str, str, bool]]:
    """Kind, moment, condition, relation, and whether the files tell of it at all."""
    with_money = "o LEFT JOIN p USING (order_id)" if work.of("payments").files else "o"
    orders = work.of("orders")
    paid_at = "CASE WHEN NOT coalesce(p.bad, false) THEN p.paid_at END" if work.of("payments").files else "o.paid_at"
    left = ", ".join(f"'{one}'" for one in LEFT)
    gone = f"(SELECT order_id, min(happened_at) AS left_at FROM s WHERE degree IN ({left}) GROUP BY 1)"
    asked = "(SELECT order_id, asked_at FROM asked)"
    return [
        ("order_paid", paid_at, "true", with_money, bool(work.of("payments").files) or orders.has("paid_at")),
        ("order_completed", "o.completed_at", "true", with_money, orders.has("completed_at")),
        ("shipped", "gone.left_at", "true", f"o JOIN {gone} gone USING (order_id)", timed_shipments),
        ("refund_requested", "asked.asked_at", "true", f"{with_money} JOIN {asked} asked USING (order_id)",
         bool(work.of("requests").files)),
    ]  # fmt: skip


def _event(subject: str, subject_id: str, kind: str, at: str, amount: str, of: str) -> str:
    """A bad order's event has no moment, so that it leaves a gap instead of a known history."""
    return f"""SELECT '{subject}' AS subject, {subject_id} AS subject_id, {kind} AS kind,
        CASE WHEN NOT o.bad THEN {at} END AS "at", NULL::TIMESTAMP AS recorded_at, NULL::VARCHAR AS event_id,
        o.order_id, {amount} AS amount_minor, CASE WHEN {amount} IS NOT NULL THEN o.currency END AS currency,
        1::BIGINT AS times, NULL::VARCHAR AS retracts FROM {of} AND ({subject_id} IS NOT NULL OR o.bad)"""


def _listed(work: Work) -> str:
    rows = work.of("events")
    subject = f"coalesce({rows.column('subject')}, 'buyer')"
    owner = f"CASE {subject} WHEN 'shop' THEN {rows.column('shop_id')} ELSE {rows.column('buyer_id')} END"
    values = {
        "subject": subject,
        "subject_id": f"coalesce({rows.column('subject_id')}, {owner})",
        "at": f"CASE WHEN NOT {BAD} THEN {rows.column('at')} END",
        "amount_minor": rows.amount("amount"),
    }
    columns = ", ".join(f'{values.get(name, rows.column(name))} AS "{name}"' for name, _ in _COLUMNS)
    return f"SELECT {columns} FROM {rows.relation} WHERE {BAD} OR {rows.any_told()}"


# Refunds ----------------------------------------------------------------------------------------------------------


def gather_refunds(work: Work) -> None:
    """`rf`: each refund once, with the order that it gave money back of."""
    rows = work.of("refunds")
    if not rows.files:
        return
    once = f"{rows.column('refund_id')} IS NOT NULL" if rows.has("refund_id") else "false"
    work.db.execute(f"""CREATE TABLE rf AS
        WITH r AS (SELECT {rows.column("order_id")} AS order_id, {rows.column("payment_id")} AS payment_id,
            {rows.column("refund_id")} AS refund_id, {rows.column("currency")} AS currency,
            {rows.amount("amount")} AS amount, {rows.column("refunded_at")} AS happened_at, {BAD} AS bad,
            CASE WHEN {once} THEN 0 ELSE row_number() OVER () END AS n FROM {rows.relation})
        SELECT coalesce(r.order_id, byid.order_id) AS order_id, refund_id, min(r.currency) AS currency,
            min(amount) AS amount, min(happened_at) AS happened_at, bool_or(bad)
                OR min(amount) IS DISTINCT FROM max(amount) OR min(happened_at) IS DISTINCT FROM max(happened_at) AS bad
        FROM r LEFT JOIN (SELECT payment_id, min(order_id) AS order_id FROM o WHERE payment_id IS NOT NULL GROUP BY 1
            HAVING count(*) = 1) byid ON r.order_id IS NULL AND byid.payment_id = r.payment_id
        GROUP BY 1, 2, n""")


def _refunds(work: Work, timed_shipments: bool) -> list[str]:
    """Before or after the parcel left; not known, the kind is empty and the buyer's events are unknown."""
    left = ", ".join(f"'{one}'" for one in LEFT)
    gone = f"""(SELECT order_id, min(happened_at) FILTER (degree IN ({left})) AS left_at,
        bool_or(happened_at IS NULL) AS unknown FROM s GROUP BY 1)"""
    known = "true" if timed_shipments or work.of("shipments").files else "false"
    kind = f"""CASE WHEN NOT {known} OR coalesce(gone.unknown, false) THEN NULL
        WHEN gone.left_at <= rf.happened_at THEN 'refund_after_shipment' ELSE 'refund_before_shipment' END"""
    of = f"rf JOIN o USING (order_id) LEFT JOIN {gone} gone USING (order_id)"
    at = "CASE WHEN NOT rf.bad THEN rf.happened_at END"
    shops = f"{of} WHERE ({kind}) IS DISTINCT FROM 'refund_after_shipment'"
    lost = work.number("SELECT count(*) FROM rf WHERE bad AND order_id IS NULL")
    empty = "SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL"
    return [
        _event("buyer", "o.buyer_id", kind, at, "rf.amount", f"{of} WHERE true"),
        _event("shop", "o.shop_id", kind, at, "rf.amount", shops),
        *([empty] if lost else []),
    ]


def _strangers(work: Work) -> bool:
    query = "SELECT count(*) FROM rf LEFT JOIN o USING (order_id) WHERE o.order_id IS NULL OR o.buyer_id IS NULL"
    count = work.number(query)
    if count:
        work.found.append(Found("refunds of orders that no file lists, or that name no buyer, are left out", count))
    return count > 0


def event_records_query(kinds: frozenset[str], complete_from: datetime) -> str:
    """The table `event_records`: these kinds are complete from then on."""
    listed = ", ".join(f"'{kind}'" for kind in sorted(kinds))
    moment = f"TIMESTAMP '{complete_from:%Y-%m-%d %H:%M:%S.%f}'"
    return f"SELECT unnest([{listed}]) AS kind, {moment} AS complete_from, NULL::TIMESTAMP AS fresh_until"
