ALTER TABLE usage_bucket DROP CONSTRAINT usage_bucket_scope_check;
ALTER TABLE usage_bucket ADD CONSTRAINT usage_bucket_scope_check
    CHECK (scope IN ('platform', 'shop', 'category', 'cluster'));
CREATE INDEX usage_bucket_by_age ON usage_bucket (bucket_seconds, bucket);
CREATE INDEX change_approving ON change (lane, ticket_id) WHERE kind IN ('ticket.approved', 'ticket.amount_raised');

-- What the members of these clusters have used, of what was rolled up until now.
CREATE FUNCTION count_cluster_usage(clusters uuid[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO usage_bucket (scope, ref, bucket_seconds, bucket, currency, approvals, amount_minor)
    SELECT 'cluster', m.cluster_id::text, g.bucket_seconds,
        to_timestamp(floor(extract(epoch FROM c.at) / g.bucket_seconds) * g.bucket_seconds),
        coalesce(c.body ->> 'currency', ''), sum((c.kind = 'ticket.approved')::int),
        sum((c.body ->> CASE c.kind WHEN 'ticket.approved' THEN 'amount_minor' ELSE 'more_minor' END)::bigint)
    FROM cluster_member m
        JOIN ticket t ON t.lane = m.lane AND t.buyer_id = m.buyer_id AND t.approved_by = 'instant_refund'
        JOIN change c ON c.lane = t.lane AND c.ticket_id = t.ticket_id
            AND c.kind IN ('ticket.approved', 'ticket.amount_raised') AND c.body ->> 'approved_by' = 'instant_refund'
        CROSS JOIN (VALUES (60), (3600)) AS g (bucket_seconds)
    WHERE m.cluster_id = ANY (clusters) AND m.until_at IS NULL
      AND c.position <= (SELECT position FROM roll_up WHERE name = 'usage')
    GROUP BY 1, 2, 3, 4, 5
$$;
SELECT count_cluster_usage(coalesce(array_agg(DISTINCT cluster_id), '{}')) FROM cluster_member WHERE until_at IS NULL;

-- Usage is kept as long as a cap may look back. What was forgotten after 2,000 hours is counted again from the feed, by
-- buckets that are not there.
WITH approved AS (
    SELECT c.lane, c.ticket_id, c.shop_id, c.at, (c.kind = 'ticket.approved')::int AS approvals,
        (c.body ->> CASE c.kind WHEN 'ticket.approved' THEN 'amount_minor' ELSE 'more_minor' END)::bigint AS amount_minor,
        coalesce(c.body ->> 'currency', '') AS currency, c.body -> 'categories' AS categories
    FROM change c
    WHERE c.position <= (SELECT position FROM roll_up WHERE name = 'usage')
      AND c.at > now() - interval '17522 hours' AND c.at < now() - interval '1999 hours'
      AND c.kind IN ('ticket.approved', 'ticket.amount_raised') AND c.body ->> 'approved_by' = 'instant_refund'),
used AS (
    SELECT 'shop' AS scope, shop_id AS ref, at, currency, approvals, amount_minor FROM approved
    UNION ALL SELECT 'platform', '', at, currency, approvals, amount_minor FROM approved
    UNION ALL
    SELECT 'category', k.key, a.at, a.currency, a.approvals, k.value::bigint
    FROM approved a CROSS JOIN LATERAL jsonb_each_text(coalesce(a.categories, CASE WHEN a.approvals = 1 THEN (
        SELECT jsonb_object_agg(l.category_id, l.amount_minor) FROM lines_by_category(a.lane, a.ticket_id) l)
        END)) k)
INSERT INTO usage_bucket (scope, ref, bucket_seconds, bucket, currency, approvals, amount_minor)
SELECT scope, ref, 3600, to_timestamp(floor(extract(epoch FROM at) / 3600) * 3600), currency,
    sum(approvals), sum(amount_minor)
FROM used GROUP BY 1, 2, 4, 5
ON CONFLICT DO NOTHING;

-- Whether a publication is still to come is the database's to say, whatever the clock of whoever calls it off.
CREATE FUNCTION called_off_in_time() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM policy p WHERE p.publication = NEW.cancels AND p.effective_at > clock_timestamp()) THEN
        RAISE 'Only what is still to come is called off.' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER called_off_in_time BEFORE INSERT ON policy
    FOR EACH ROW WHEN (NEW.action = 'cancel') EXECUTE FUNCTION called_off_in_time();
