-- What a ticket asks back in each category. A line without a category is in none.
CREATE FUNCTION lines_by_category(of_lane smallint, of_ticket uuid)
RETURNS TABLE (category_id text, amount_minor bigint) STABLE LANGUAGE sql AS $$
    SELECT l.category_id, sum(t.amount_minor)::bigint
    FROM ticket_line t JOIN order_line l ON l.lane = t.lane AND l.order_id = t.order_id AND l.line_id = t.line_id
    WHERE t.lane = of_lane AND t.ticket_id = of_ticket AND l.category_id IS NOT NULL
    GROUP BY l.category_id
$$;

-- What has been used up in each category until now is counted from the feed as that of shops was.
ALTER TABLE usage_bucket DROP CONSTRAINT usage_bucket_scope_check;
ALTER TABLE usage_bucket ADD CONSTRAINT usage_bucket_scope_check CHECK (scope IN ('platform', 'shop', 'category'));
INSERT INTO usage_bucket (scope, ref, bucket_seconds, bucket, currency, approvals, amount_minor)
SELECT 'category', l.category_id, g.bucket_seconds,
    to_timestamp(floor(extract(epoch FROM c.at) / g.bucket_seconds) * g.bucket_seconds),
    coalesce(c.body ->> 'currency', ''), count(*), sum(l.amount_minor)
FROM change c CROSS JOIN LATERAL lines_by_category(c.lane, c.ticket_id) l
    CROSS JOIN (VALUES (60), (3600)) AS g (bucket_seconds)
WHERE c.position <= (SELECT position FROM roll_up WHERE name = 'usage')
  AND c.at > now() - make_interval(secs => g.bucket_seconds * 2000)
  AND c.kind = 'ticket.approved' AND c.body ->> 'approved_by' = 'instant_refund'
GROUP BY 1, 2, 3, 4, 5;

-- Usage of a cap passed a share of it. A reference table: what a worker sees in the roll-up.
CREATE TABLE cap_alert (
    alert_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope        text NOT NULL CHECK (scope IN ('platform', 'shop', 'category', 'cluster')),
    ref          text NOT NULL,                          -- the shop, category or cluster; empty for the platform
    measure      text NOT NULL CHECK (measure IN ('count', 'amount_minor')),
    percent      integer NOT NULL CHECK (percent BETWEEN 1 AND 100),
    used         bigint NOT NULL,
    cap          bigint NOT NULL CHECK (cap > 0),
    currency     text NOT NULL,
    over_seconds bigint NOT NULL,
    opened_at    timestamptz NOT NULL,
    closed_at    timestamptz,
    -- Never twice within one window of the cap, however the usage moves.
    CONSTRAINT alert_stands_for_a_window CHECK (closed_at >= opened_at + make_interval(secs => over_seconds))
);
-- Of several workers that see it at the same moment, one tells it.
CREATE UNIQUE INDEX one_open_cap_alert ON cap_alert (scope, ref, measure, percent) WHERE closed_at IS NULL;
CREATE INDEX cap_alert_by_time ON cap_alert (opened_at DESC, alert_id DESC);
