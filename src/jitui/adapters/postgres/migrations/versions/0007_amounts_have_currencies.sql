-- Amounts in several currencies are never added. '' in a roll-up, NULL in an event: the currency is not known, and a sum
-- over such an amount is unknown (I5).

-- What the caps have used up is counted again from the feed, which it was counted from.
DELETE FROM usage_bucket;
ALTER TABLE usage_bucket ADD COLUMN currency text NOT NULL;
ALTER TABLE usage_bucket DROP CONSTRAINT usage_bucket_pkey;
ALTER TABLE usage_bucket ADD PRIMARY KEY (scope, ref, bucket_seconds, bucket, currency);
INSERT INTO usage_bucket (scope, ref, bucket_seconds, bucket, currency, approvals, amount_minor)
SELECT s.scope, CASE s.scope WHEN 'shop' THEN c.shop_id ELSE '' END, g.bucket_seconds,
    to_timestamp(floor(extract(epoch FROM c.at) / g.bucket_seconds) * g.bucket_seconds), t.currency, count(*),
    sum((c.body ->> 'amount_minor')::bigint)
FROM change c JOIN ticket t ON t.lane = c.lane AND t.ticket_id = c.ticket_id
    CROSS JOIN (VALUES ('shop'), ('platform')) AS s (scope) CROSS JOIN (VALUES (60), (3600)) AS g (bucket_seconds)
WHERE c.position <= (SELECT position FROM roll_up WHERE name = 'usage')
  AND c.kind = 'ticket.approved' AND c.body ->> 'approved_by' = 'instant_refund'
GROUP BY 1, 2, 3, 4, 5;

-- A shop's days cannot be counted again: a day that was read stays as it was. They are in the currency of the shop's
-- orders where that is one.
ALTER TABLE shop_day ADD COLUMN currency text NOT NULL DEFAULT '';
UPDATE shop_day d SET currency = o.currency
FROM (SELECT shop_id, min(currency) AS currency FROM orders GROUP BY 1 HAVING count(DISTINCT currency) = 1) o
WHERE o.shop_id = d.shop_id;
ALTER TABLE shop_day ALTER COLUMN currency DROP DEFAULT;
ALTER TABLE shop_day DROP CONSTRAINT shop_day_pkey;
ALTER TABLE shop_day ADD PRIMARY KEY (shop_id, kind, day, currency);

-- A buyer's events of a kind have the currency of the orders that they name where all that have an amount name one and
-- that is the same. So their days, which were rolled up in the platform's time zone, have it too.
ALTER TABLE buyer_event ADD COLUMN currency text;
ALTER TABLE buyer_day ADD COLUMN currency text NOT NULL DEFAULT '';
CREATE TEMP TABLE told ON COMMIT DROP AS
SELECT e.lane, e.buyer_id, e.kind, min(o.currency) AS currency
FROM buyer_event e LEFT JOIN orders o ON o.lane = e.lane AND o.order_id = e.order_id AND o.buyer_id = e.buyer_id
WHERE e.retracts IS NULL AND e.amount_minor <> 0
GROUP BY 1, 2, 3 HAVING count(DISTINCT o.currency) = 1 AND count(o.currency) = count(*);
UPDATE buyer_event e SET currency = t.currency FROM told t
WHERE t.lane = e.lane AND t.buyer_id = e.buyer_id AND t.kind = e.kind AND e.retracts IS NULL;
UPDATE buyer_day d SET currency = t.currency FROM told t
WHERE t.lane = d.lane AND t.buyer_id = d.buyer_id AND t.kind = d.kind;
ALTER TABLE buyer_day ALTER COLUMN currency DROP DEFAULT;
ALTER TABLE buyer_day DROP CONSTRAINT buyer_day_pkey;
ALTER TABLE buyer_day ADD PRIMARY KEY (lane, buyer_id, kind, day, currency);

-- Events that are said to happen after they were told: few, and while they are ahead of now they are unknown.
CREATE INDEX buyer_event_ahead ON buyer_event (lane, buyer_id, kind, at) WHERE at > recorded_at;
