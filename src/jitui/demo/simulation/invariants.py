"""The checks at the end of a world (I1 to I3, I6, I7): the database, the provider's books, and what clients were told.

They are the four checks of `jitui.demo.audit`, and those that hold only when nothing is left to do. Each query selects
what is wrong, as one sentence per row; no code of the service is used.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import psycopg

from jitui.demo.audit import PaidState, ProviderRecords, judge, read_records
from jitui.demo.simulation.marketplace_model import Promise

QUOTA_APPROVALS, QUOTA_MINOR, QUOTA_DAYS = 3, 60_000, timedelta(days=30)
"""The default policy's cap per buyer (I6); a test compares it with the policy."""

_WRONG = (
    # An amount that is owed must have a time at which it is looked at again.
    """
    SELECT format('refund %s is %s and nobody will look at it again', refund_id, state) FROM refund
    WHERE due_at IS NULL AND state NOT IN ('succeeded', 'failed')
    """,
    """
    SELECT format('refund %s of a settled world is %s', refund_id, state) FROM refund WHERE state <> 'succeeded'
    """,
    """
    SELECT format('ticket %s is %s and its refunds are %s', t.ticket_id, t.state, r.states)
    FROM ticket t LEFT JOIN (
        SELECT ticket_id, array_agg(DISTINCT state) AS states, sum(amount_minor) AS amount_minor
        FROM refund GROUP BY ticket_id) r USING (ticket_id)
    WHERE (t.state = 'refunded') <> (r.states IS NOT NULL AND r.states = ARRAY['succeeded'])
       OR (r.states IS NULL) <> (t.state IN ('awaiting_merchant', 'rejected', 'withdrawn', 'closed'))
       OR r.amount_minor <> t.amount_minor
    """,
    # The tender's sums compared with its refunds (I1), the line's with its tickets and shipments (I3).
    """
    SELECT format('tender %s of %s: %s refunded and %s pending, its refunds say %s and %s', t.tender_id, t.order_id,
                  t.refunded_minor, t.pending_minor, coalesce(r.paid, 0), coalesce(r.open, 0))
    FROM tender t LEFT JOIN (
        SELECT order_id, tender_id, sum(amount_minor) FILTER (WHERE state = 'succeeded') AS paid,
               sum(amount_minor) FILTER (WHERE state <> 'succeeded') AS open
        FROM refund GROUP BY 1, 2) r USING (order_id, tender_id)
    WHERE t.refunded_minor <> coalesce(r.paid, 0) OR t.pending_minor <> coalesce(r.open, 0)
    """,
    """
    SELECT format('line %s of %s: %s claimed, its tickets say %s', l.line_id, l.order_id, l.claimed_quantity,
                  coalesce(k.units, 0))
    FROM order_line l LEFT JOIN (
        SELECT k.order_id, k.line_id, sum(k.quantity) AS units FROM ticket_line k JOIN ticket t USING (lane, ticket_id)
        WHERE t.state NOT IN ('rejected', 'withdrawn', 'closed') GROUP BY 1, 2) k USING (order_id, line_id)
    WHERE l.claimed_quantity <> coalesce(k.units, 0)
    """,
    # The timeline is numbered without gaps, each row starts in the state where the last one ended, and the last state
    # is the ticket's.
    """
    SELECT format('timeline of ticket %s: row %s is number %s, from %s after %s', ticket_id, place, seq, from_state,
                  before)
    FROM (SELECT ticket_id, seq, from_state, row_number() OVER w AS place, lag(to_state) OVER w AS before
          FROM ticket_event WINDOW w AS (PARTITION BY ticket_id ORDER BY seq)) e
    WHERE seq <> place OR from_state IS DISTINCT FROM before
    """,
    """
    SELECT format('ticket %s is %s, its timeline ends with %s', t.ticket_id, t.state, e.to_state)
    FROM ticket t LEFT JOIN LATERAL (
        SELECT to_state FROM ticket_event WHERE ticket_id = t.ticket_id ORDER BY seq DESC LIMIT 1) e ON true
    WHERE t.state IS DISTINCT FROM e.to_state
    """,
    # Every approved amount has been paid (I7): nothing is left in the account of what buyers are owed.
    """
    SELECT format('ledger of %s %s: %s is owed to the buyer', order_id, currency, owed) FROM (
        SELECT order_id, currency, sum(CASE 'buyer_payable' WHEN credit THEN amount_minor WHEN debit
                                       THEN -amount_minor ELSE 0 END) AS owed
        FROM ledger GROUP BY 1, 2) l
    WHERE owed <> 0
    """,
    """
    SELECT format('posting %s of %s moves %s from %s to %s', posting, order_id, amount_minor, debit, credit)
    FROM ledger WHERE amount_minor <= 0 OR debit = credit
    """,
    """
    SELECT format('ticket %s has no decision', ticket_id) FROM ticket t
    WHERE NOT EXISTS (SELECT FROM decision d WHERE d.ticket_id = t.ticket_id)
    """,
    """
    SELECT format('change %s of %s was never published', change_id, order_id) FROM change WHERE position IS NULL
    """,
    """
    SELECT format('ticket %s was announced as refunded %s times more than it was reopened', c.ticket_id, c.more)
    FROM (SELECT ticket_id, sum(CASE kind WHEN 'ticket.refunded' THEN 1 ELSE 0 END) AS more FROM change
          GROUP BY ticket_id) c JOIN ticket t USING (ticket_id)
    WHERE t.state = 'refunded' AND c.more = 0
    """,
)


def violations_of(database_url: str, books: ProviderRecords, promises: Sequence[Promise]) -> list[str]:
    """Everything that is wrong, one sentence each; expected is an empty list."""
    found = judge(read_records(database_url), books)
    wrong = [*found.paid_twice, *found.over_refunded, *found.shipped_and_refunded, *found.approved_but_unpaid]
    with psycopg.connect(database_url, autocommit=True) as connection:
        for query in _WRONG:
            wrong += [str(row[0]) for row in connection.execute(query).fetchall()]
        wrong += _over_quota(connection)
        wrong += _clearing(connection, books)
        wrong += _advances(connection, books)
        wrong += _broken_promises(connection, promises)
    return wrong


def _over_quota(connection: psycopg.Connection) -> Iterator[str]:
    """Buyers with more instant approvals within thirty days than their cap allows (I6)."""
    rows = connection.execute(
        "SELECT buyer_id, approved_at, amount_minor FROM ticket WHERE approved_by = 'instant_refund' ORDER BY 2"
    ).fetchall()
    by_buyer: defaultdict[str, list[tuple[datetime, int]]] = defaultdict(list)
    for buyer_id, approved_at, amount_minor in rows:
        by_buyer[buyer_id].append((approved_at, amount_minor))
    for buyer_id, approvals in by_buyer.items():
        for since, _ in approvals:
            window = [amount for at, amount in approvals if since <= at < since + QUOTA_DAYS]
            if len(window) > QUOTA_APPROVALS or sum(window) > QUOTA_MINOR:
                yield f"buyer {buyer_id}: {len(window)} instant approvals of {sum(window)} in {QUOTA_DAYS.days} days"
                break


def _clearing(connection: psycopg.Connection, books: ProviderRecords) -> Iterator[str]:
    """Orders for which the ledger's account at the provider differs from the provider's books (I7)."""
    theirs: Counter[str] = Counter()
    order_of = {payment.id: payment.order_id for payment in books.payments}
    for payment in books.payments:
        theirs[payment.order_id] += payment.captured_minor
    for refund in books.refunds:
        if refund.status is PaidState.SUCCEEDED:
            theirs[order_of.get(refund.payment_id, "?")] -= refund.amount_minor
    rows = connection.execute(
        "SELECT order_id, sum(CASE WHEN debit LIKE 'provider_clearing:%' THEN amount_minor ELSE 0 END "
        "- CASE WHEN credit LIKE 'provider_clearing:%' THEN amount_minor ELSE 0 END)::bigint FROM ledger GROUP BY 1"
    ).fetchall()
    for order_id, ours in rows:
        if ours != theirs[order_id]:
            yield f"order {order_id}: {ours} at the provider by our ledger, {theirs[order_id]} by its books"


def _advances(connection: psycopg.Connection, books: ProviderRecords) -> Iterator[str]:
    """Refunds that the platform's account paid by the books, and that are not charged to the shop once, or the reverse.

    The charge itself may still be due: the incident of the advance is written with the payment.
    """
    attempts = connection.execute("SELECT attempt_id::text, refund_id::text FROM refund_attempt").fetchall()
    refund_of: dict[str, str] = dict(attempts)
    theirs = Counter(
        (refund_of.get(refund.reference, "?"), refund.amount_minor)
        for refund in books.refunds
        if refund.advanced and refund.status is PaidState.SUCCEEDED
    )
    rows = connection.execute(
        "SELECT refund_id::text, amount_minor FROM incident WHERE kind = 'platform_advance' "
        "AND outcome IS DISTINCT FROM 'returned'"
    ).fetchall()
    ours = Counter((str(refund_id), int(amount_minor)) for refund_id, amount_minor in rows)
    for refund_id, amount_minor in (theirs - ours) + (ours - theirs):
        one = refund_id, amount_minor
        yield f"refund {refund_id}: advanced {theirs[one]} times by the books, {ours[one]} by ours ({amount_minor})"


def _broken_promises(connection: psycopg.Connection, promises: Sequence[Promise]) -> Iterator[str]:
    """Results that somebody was told before a process or the database died, and that do not hold now."""
    rows = connection.execute("SELECT ticket_id::text, state FROM ticket").fetchall()
    states: dict[str, str] = dict(rows)
    shipments = {row[0] for row in connection.execute("SELECT tracking_no FROM shipment").fetchall()}
    for promise in promises:
        if promise.ticket_id and promise.ticket_id not in states:
            yield f"{promise.kind} was answered with ticket {promise.ticket_id}, which is not there"
        elif promise.approved and states.get(promise.ticket_id) != "refunded":
            yield f"ticket {promise.ticket_id} was approved and is {states.get(promise.ticket_id)}"
        if promise.kind in ("ship", "reject") and promise.waybill and promise.waybill not in shipments:
            yield f"parcel {promise.waybill} was recorded and is not there"
