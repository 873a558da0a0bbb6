"""The events of buyers and shops: those in the files, and those that follow from payments, parcels and requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from jitui.backtest.history.assemble import LEFT, is_lost
from jitui.backtest.history.staged_tables import Found, Work
from jitui.backtest.history.staging import BAD

_COLUMNS = (
    ("subject", "VARCHAR"), ("subject_id", "VARCHAR"), ("kind", "VARCHAR"), ("at", "TIMESTAMP"),
    ("recorded_at", "TIMESTAMP"), ("event_id", "VARCHAR"), ("order_id", "VARCHAR"), ("amount_minor", "BIGINT"),
    ("currency", "VARCHAR"), ("times", "BIGINT"), ("retracts", "VARCHAR"),
)  # fmt: skip

_REFUNDED = ("refund_before_shipment", "refund_after_shipment")
_TOLD_BY = {
    "payments.captured_at": ("order_paid",), "orders.paid_at": ("order_paid",),
    "orders.completed_at": ("order_completed",), "requests.asked_at": ("refund_requested",),
    "refunds.refunded_at": _REFUNDED,
}  # fmt: skip
"""The columns that tell of kinds of events."""


@dataclass(frozen=True, slots=True)
class Events:
    """The query for `events`, and the kinds of which the files may have all events."""

    query: str | None
    kinds: frozenset[str]


def events_of(work: Work, *, timed_shipments: bool) -> Events:
    """Every known event. A bad order, or a bad row that names none, gives an event without a time, which is a gap.

    A kind is not in `kinds` when some of its events name no known order or buyer.
    """
    parts, kinds = [], set()
    incomplete = {kind for kind, count in _strangers(work, timed_shipments) if count} | _absent_kinds(work)
    if work.of("events").files:
        parts.append(_listed(work))
        rows = work.of("events")
        listed = work.fetch(f"SELECT DISTINCT {rows.column('kind')} FROM {rows.relation}")
        kinds |= {kind for (kind,) in listed if kind}
    for one in _derived(work, timed_shipments):
        kinds.add(one.kind)
        for subject in one.subjects:
            subject_id = f"{one.owner}.{subject}_id"
            test = f"({one.moment} IS NOT NULL OR {one.is_bad})"
            parts.append(_event(subject, subject_id, one, f"{one.of} WHERE {test}"))
            nameless = f"SELECT count(*) FROM {one.of} WHERE {test} AND {subject_id} IS NULL AND NOT {one.is_bad}"
            if count := work.number(nameless):
                incomplete.add(one.kind)
                work.found.append(Found(f"events {one.kind} that name no {subject} are left out", count))
    if work.of("refunds").files:
        parts += _refunds(work, timed_shipments)
        kinds |= set(_REFUNDED)
    if parts and any(is_lost(work, table) for table in work.rows if table not in ("events", "buyers")):
        parts.append(f"SELECT {', '.join('NULL' for _ in _COLUMNS)}")
    return Events(" UNION ALL ".join(parts) if parts else None, frozenset(kinds - incomplete))


def _absent_kinds(work: Work) -> set[str]:
    """Kinds of which one of the files should tell and has no column."""
    absent = {name for names in work.absent.values() for name in names}
    return {kind for name, kinds in _TOLD_BY.items() if name in absent for kind in kinds}


@dataclass(frozen=True, slots=True)
class _Derived:
    """A kind of event that follows from other rows, as SQL: its time, its amount, its subject and its source."""

    kind: str
    subjects: tuple[str, ...]
    moment: str
    amount: str
    of: str
    is_bad: str = "o.bad"
    owner: str = "o"


def _derived(work: Work, timed_shipments: bool) -> Iterator[_Derived]:
    orders = work.of("orders")
    if work.of("payments").files:
        bad = "(o.bad OR coalesce(p.bad, false))"
        yield _Derived(
            "order_paid", ("buyer", "shop"), "p.paid_at", "p.paid_minor", "o LEFT JOIN p USING (order_id)", bad
        )
    elif orders.has("paid_at"):
        yield _Derived("order_paid", ("buyer", "shop"), "o.paid_at", "o.paid_minor", "o")
    if orders.has("completed_at"):
        yield _Derived("order_completed", ("buyer",), "o.completed_at", "o.paid_minor", "o")
    if timed_shipments:
        left = ", ".join(f"'{one}'" for one in LEFT)
        gone = f"(SELECT order_id, min(happened_at) AS left_at FROM s WHERE degree IN ({left}) GROUP BY 1)"
        of = f"o LEFT JOIN {gone} gone USING (order_id)"
        yield _Derived("shipped", ("shop",), "gone.left_at", "NULL::BIGINT", of)
    if work.of("requests").files:
        of = "asked LEFT JOIN o USING (order_id)"
        bad = "(coalesce(o.bad, false) OR asked.asked_at IS NULL)"
        yield _Derived("refund_requested", ("buyer",), "asked.asked_at", "asked.amount_minor", of, bad, "asked")


def _event(subject: str, subject_id: str, one: _Derived, of: str) -> str:
    kind = one.kind if one.kind.startswith("CASE") else f"'{one.kind}'"
    return f"""SELECT '{subject}' AS subject, {subject_id} AS subject_id, {kind} AS kind,
        CASE WHEN NOT {one.is_bad} THEN {one.moment} END AS "at", NULL::TIMESTAMP AS recorded_at,
        NULL::VARCHAR AS event_id, o.order_id, {one.amount} AS amount_minor,
        CASE WHEN {one.amount} IS NOT NULL THEN o.currency END AS currency, 1::BIGINT AS times,
        NULL::VARCHAR AS retracts FROM {of} AND ({subject_id} IS NOT NULL OR {one.is_bad})"""


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
    """`rf`: each refund once, with its order; bad where the amount should be told and is not."""
    rows = work.of("refunds")
    if not rows.files:
        return
    once = f"{rows.column('refund_id')} IS NOT NULL" if rows.has("refund_id") else "false"
    told = {name for names in (rows.fields, *work.absent.values()) for name in names}
    lost = "min(amount) IS NULL" if told & {"refunds.amount", "refunds.amount_minor"} else "false"
    work.db.execute(f"""CREATE TABLE rf AS
        WITH r AS (SELECT {rows.column("order_id")} AS order_id, {rows.column("payment_id")} AS payment_id,
            {rows.column("refund_id")} AS refund_id, {rows.column("currency")} AS currency,
            {rows.amount("amount")} AS amount, {rows.column("refunded_at")} AS happened_at, {BAD} AS bad,
            CASE WHEN {once} THEN 0 ELSE row_number() OVER () END AS n FROM {rows.relation}
            WHERE {BAD} OR {rows.any_told()})
        SELECT coalesce(r.order_id, byid.order_id) AS order_id, refund_id, min(r.currency) AS currency,
            min(amount) AS amount, min(happened_at) AS happened_at, bool_or(bad) OR {lost}
                OR min(amount) IS DISTINCT FROM max(amount) OR min(happened_at) IS DISTINCT FROM max(happened_at) AS bad
        FROM r LEFT JOIN (SELECT payment_id, min(order_id) AS order_id FROM o WHERE payment_id IS NOT NULL GROUP BY 1
            HAVING count(*) = 1) byid ON r.order_id IS NULL AND byid.payment_id = r.payment_id
        GROUP BY 1, 2, n""")


def _refunds(work: Work, timed_shipments: bool) -> list[str]:
    """The events of refunds, before or after the parcel left; when that is unknown, the kind is empty.

    A buyer event without a kind makes all of the buyer's events unknown.
    """
    left = ", ".join(f"'{one}'" for one in LEFT)
    gone = f"""(SELECT order_id, min(happened_at) FILTER (degree IN ({left})) AS left_at,
        bool_or(happened_at IS NULL) AS unknown FROM s GROUP BY 1)"""
    known = "true" if timed_shipments or work.of("shipments").files else "false"
    kind = f"""CASE WHEN NOT {known} OR coalesce(gone.unknown, false) THEN NULL
        WHEN gone.left_at <= rf.happened_at THEN 'refund_after_shipment' ELSE 'refund_before_shipment' END"""
    of = f"rf JOIN o USING (order_id) LEFT JOIN {gone} gone USING (order_id)"
    one = _Derived(kind, ("buyer", "shop"), "rf.happened_at", "rf.amount", of, "(o.bad OR rf.bad)")
    shops = f"{of} WHERE ({kind}) IS DISTINCT FROM 'refund_after_shipment'"
    return [_event("buyer", "o.buyer_id", one, f"{of} WHERE true"), _event("shop", "o.shop_id", one, shops)]


def _strangers(work: Work, timed_shipments: bool) -> Iterator[tuple[str, int]]:
    """Kinds of which rows tell about orders that no file lists, or about buyers that are not known, and how many."""
    if work.of("refunds").files:
        query = "SELECT count(*) FROM rf LEFT JOIN o USING (order_id) WHERE o.order_id IS NULL OR o.buyer_id IS NULL"
        count = work.number(query)
        if count:
            what = "refunds of orders that no file lists, or that name no buyer, are left out"
            work.found.append(Found(what, count))
        yield from ((kind, count) for kind in _REFUNDED)
    if work.of("payments").files:
        count = work.number("SELECT count(*) FROM paid_rows LEFT JOIN o USING (order_id) WHERE o.order_id IS NULL")
        if count:
            work.found.append(Found("payments of orders that no file lists are left out", count))
        yield "order_paid", count
    if work.of("shipments").files:
        query = (
            "SELECT count(*) FROM s LEFT JOIN o USING (order_id) WHERE o.order_id IS NULL AND s.order_id IS NOT NULL"
        )
        yield "shipped", work.number(query)
    if timed_shipments:
        yield "shipped", work.number("SELECT count(*) FROM s WHERE happened_at IS NULL AND degree = 'shipped'")


def event_records_query(kinds: frozenset[str], complete_from: datetime) -> str:
    """The query for `event_records`: these kinds are complete from then on."""
    listed = ", ".join(f"'{kind}'" for kind in sorted(kinds))
    moment = f"TIMESTAMP '{complete_from:%Y-%m-%d %H:%M:%S.%f}'"
    return f"SELECT unnest([{listed}]) AS kind, {moment} AS complete_from, NULL::TIMESTAMP AS fresh_until"
