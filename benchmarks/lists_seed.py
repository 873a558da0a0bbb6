"""What P13 lists: tickets with their refunds, incidents and tasks, and an event of the feed for each ticket."""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
RARE_BUYER = "b-77"

_TICKETS = """
INSERT INTO ticket (lane, ticket_id, order_id, buyer_id, shop_id, state, version, reason, currency, amount_minor,
    freight_minor, notice, approved_by, arm, on_timeout, requested_at, expires_at, approved_at, closed_at,
    arbitration)
SELECT made.*, CASE WHEN approved_by = 'arbitration' THEN %(decided)s::jsonb END FROM (
SELECT get_byte(sha256(('b-' || b)::bytea), 0) AS lane, gen_random_uuid() AS id, 'o-' || n AS o, 'b-' || b AS b_id,
    shop, state, 1 AS version,
    'no_longer_wanted' AS reason,
    CASE WHEN n %% 50 = 0 THEN 'USD' ELSE 'CNY' END AS currency, 1 + (random() * 30000)::int AS amount, 0 AS freight,
    CASE WHEN state = 'refunded' THEN '{"zh": "该用户为平台优质用户且订单满足极速退款条件"}'::jsonb END AS notice,
    CASE WHEN state IN ('refunding', 'refunded', 'refund_failed') THEN
        CASE WHEN n %% 10 < 7 THEN 'instant_refund' WHEN n %% 10 < 9 THEN 'merchant'
             WHEN n %% 5000 = 9 THEN 'arbitration' WHEN n %% 100 = 19 THEN 'operator' ELSE 'merchant_timeout' END
    END AS approved_by,
    'live' AS arm, 'approve' AS on_timeout, at,
    CASE WHEN state = 'awaiting_merchant' THEN at + interval '2 days' END AS due,
    CASE WHEN state IN ('refunding', 'refunded', 'refund_failed') THEN at END AS approved,
    CASE WHEN state IN ('refunded', 'rejected', 'withdrawn', 'closed') THEN at + interval '1 minute' END AS closed
FROM (
    SELECT n, n %% 300000 AS b, %(now)s::timestamptz - n * interval '30 seconds' AS at,
        CASE WHEN n = %(rare)s THEN 'shop-one' WHEN n %% 3 = 0 THEN 'shop-big' ELSE 'shop-' || n %% 1900 END AS shop,
        CASE WHEN n %% 100 < 80 THEN 'refunded' WHEN n %% 100 < 86 THEN 'awaiting_merchant'
             WHEN n %% 100 < 92 THEN 'rejected'
             WHEN n %% 100 < 97 THEN 'withdrawn' WHEN n %% 100 < 99 THEN 'refunding'
             WHEN n %% 100000 = 99 THEN 'closed' ELSE 'refund_failed' END AS state
    FROM generate_series(1, %(count)s::int) n) drawn) made
"""

_DECIDED = (
    '{"state": "approved", "at_fault": "merchant", "borne_by": "merchant", "decided_by": "li.na", "note": "As found.",'
    ' "reason": "", "opened_by": "", "opened_at": "2026-06-01T00:00:00Z", "answer_by": "2026-06-08T00:00:00Z"}'
)

_EVENTS = """
INSERT INTO change (lane, position, kind, order_id, ticket_id, buyer_id, shop_id, at, body)
SELECT lane, nextval('change_position'), 'ticket.requested', order_id, ticket_id, '', shop_id, requested_at, '{}'
FROM ticket ORDER BY requested_at
"""

# The orders of one buyer in 300, those of RARE_BUYER among them: lists look up no other.
_ORDERS = (
    """
INSERT INTO orders (lane, order_id, buyer_id, shop_id, currency, freight_minor, placed_at)
SELECT lane, order_id, buyer_id, shop_id, currency, 0, requested_at FROM ticket
WHERE right(order_id, length(order_id) - 2)::int %% 300000 %% 300 = 77
""",
    "INSERT INTO order_directory (order_id, lane, buyer_id) SELECT order_id, lane, buyer_id FROM orders",
)

# A quarter of the approved tickets is paid in two parts, so there are about as many refunds as tickets. One refund in
# 5,000 goes through a provider that is hardly used.
_REFUNDS = """
INSERT INTO refund (lane, refund_id, ticket_id, order_id, tender_id, provider, payment_id, amount_minor, captured_minor,
    currency, state, queued_at, due_at, closed_at)
SELECT t.lane, gen_random_uuid(), t.ticket_id, t.order_id, 't' || part,
    CASE WHEN h %% 5000 = 7 THEN 'bank' WHEN h %% 5 < 3 THEN 'wechat' ELSE 'alipay' END, 'p', t.amount_minor,
    t.amount_minor, t.currency,
    CASE t.state WHEN 'refunded' THEN 'succeeded' WHEN 'refund_failed' THEN 'failed'
        ELSE (ARRAY['queued', 'sending', 'pending', 'unknown'])[1 + h %% 4] END,
    t.approved_at, CASE WHEN t.state = 'refunding' THEN %(now)s::timestamptz END, t.closed_at
FROM ticket t CROSS JOIN LATERAL (SELECT abs(hashtext(t.ticket_id::text)::bigint) AS h) hashed
    CROSS JOIN LATERAL generate_series(1, CASE WHEN h %% 100 < 22 THEN 2 ELSE 1 END) AS part
WHERE t.state IN ('refunding', 'refunded', 'refund_failed')
LIMIT %(count)s
"""

_INCIDENTS = """
INSERT INTO incident (lane, incident_id, order_id, ticket_id, shop_id, kind, state, amount_minor, currency, evidence,
    opened_at, due_at)
SELECT lane, gen_random_uuid(), order_id, ticket_id, shop_id, 'goods_left_after_refund',
    CASE WHEN n %% 100 < 90 THEN 'settled' WHEN n %% 100 < 95 THEN 'open' WHEN n %% 100 < 97 THEN 'recovering'
         WHEN n %% 100 < 99 THEN 'decided' ELSE 'contested' END,
    amount_minor, currency, '[{"degree": "picked_up", "carrier": "sf", "lines": ["l1"]}]', requested_at,
    CASE WHEN n %% 100 >= 90 THEN requested_at + interval '7 days' END
FROM (SELECT *, right(order_id, length(order_id) - 2)::int AS n FROM ticket WHERE state = 'refunded'
      ORDER BY (buyer_id = 'b-77') DESC, hashtext(ticket_id::text) LIMIT %(few)s) t
"""

_TASKS = """
INSERT INTO task (task_id, kind, provider, state, order_id, shop_id, amount_minor, currency, evidence, opened_at,
    resolved_at, resolved_by, note)
SELECT gen_random_uuid(),
    CASE WHEN n %% 1000 = 7 THEN 'paid_twice' WHEN n %% 3 = 0 THEN 'refund_failed' WHEN n %% 3 = 1 THEN 'theirs_only'
         ELSE 'ours_only' END,
    CASE WHEN n %% 5000 = 7 THEN 'bank' ELSE 'wechat' END, state, CASE WHEN n %% 3 <> 1 THEN order_id END,
    CASE WHEN n %% 3 <> 1 THEN shop_id END, CASE WHEN n %% 7 > 0 THEN amount_minor END,
    CASE WHEN n %% 7 > 0 THEN currency END, '{"refund_id": "r", "attempt_id": "a"}', requested_at,
    CASE WHEN state = 'resolved' THEN requested_at END, CASE WHEN state = 'resolved' THEN 'op' END,
    CASE WHEN state = 'resolved' THEN 'Booked late.' END
FROM (SELECT lane, order_id, shop_id, amount_minor, currency, requested_at, n,
          CASE WHEN n %% 50 = 0 THEN 'open' ELSE 'resolved' END AS state
      FROM (SELECT *, right(order_id, length(order_id) - 2)::int AS n FROM ticket
            ORDER BY (buyer_id = 'b-77') DESC, hashtext(order_id) LIMIT %(few)s) t) drawn
"""


def seed(url: str, count: int) -> None:
    """The rows of lists, their events, and a few orders; all others that these rows name are not there."""
    params = {"now": NOW, "count": count, "rare": count // 2, "few": count // 10, "decided": _DECIDED}
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in (_TICKETS, _EVENTS, *_ORDERS, _REFUNDS, _INCIDENTS, _TASKS):
            connection.execute(statement.encode(), params)
