-- One lane a transaction (decision 0017): a kept answer lies with the buyer that it is about.
CREATE FUNCTION pg_temp.answered(answer bytea) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN convert_from(answer, 'UTF8')::jsonb;
EXCEPTION WHEN others THEN
    -- The console keeps the ticket's id alone.
    RETURN CASE WHEN encode(answer, 'escape') ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
        THEN jsonb_build_object('ticket_id', encode(answer, 'escape')) END;
END $$;

ALTER TABLE idempotency ADD COLUMN buyer_id text;
UPDATE idempotency i
SET buyer_id = coalesce(
    a.said ->> 'buyer_id',
    a.said -> 'ticket' ->> 'buyer_id',
    (SELECT d.buyer_id FROM order_directory d WHERE d.order_id = a.said ->> 'order_id'),
    (SELECT t.buyer_id FROM ticket t WHERE t.ticket_id::text = a.said ->> 'ticket_id'
        AND t.lane = get_byte(decode(right(a.said ->> 'ticket_id', 2), 'hex'), 0)))
FROM (SELECT key_id, route, key, pg_temp.answered(answer) AS said FROM idempotency) a
WHERE a.key_id = i.key_id AND a.route = i.route AND a.key = i.key;
-- What is left names nobody: refusals that `jitui replay` keeps for itself. A replay that goes on asks again.
DELETE FROM idempotency WHERE buyer_id IS NULL;
UPDATE idempotency SET lane = get_byte(sha256(convert_to(buyer_id, 'UTF8')), 0);
ALTER TABLE idempotency ALTER COLUMN buyer_id SET NOT NULL;
ALTER TABLE idempotency DROP CONSTRAINT idempotency_pkey;
ALTER TABLE idempotency ADD PRIMARY KEY (lane, key_id, route, buyer_id, key);

-- An order is paid, completed and cancelled once, however many events say so: one of those that stand counts, the first
-- that was written. It is taken back with its own retraction, and then the next one counts.
ALTER TABLE buyer_event ADD COLUMN counts_for_order boolean NOT NULL DEFAULT false;
CREATE INDEX buyer_event_of_order ON buyer_event (lane, buyer_id, kind, order_id)
    WHERE kind IN ('order_paid', 'order_completed', 'order_cancelled') AND order_id IS NOT NULL AND retracts IS NULL;
CREATE TEMP TABLE standing ON COMMIT DROP AS
SELECT e.lane, e.buyer_id, e.event_id, e.kind, e.at, e.amount_minor,
    row_number() OVER (PARTITION BY e.lane, e.buyer_id, e.kind, e.order_id ORDER BY e.entry) AS place
FROM buyer_event e
WHERE e.kind IN ('order_paid', 'order_completed', 'order_cancelled') AND e.order_id IS NOT NULL AND e.retracts IS NULL
  AND NOT EXISTS (SELECT 1 FROM buyer_event r
                  WHERE r.lane = e.lane AND r.buyer_id = e.buyer_id AND r.retracts = e.event_id);
UPDATE buyer_event e SET counts_for_order = true FROM standing s
WHERE s.place = 1 AND e.lane = s.lane AND e.buyer_id = s.buyer_id AND e.event_id = s.event_id;
UPDATE buyer_day d SET events = d.events - s.events, amount_minor = d.amount_minor - s.amount_minor
FROM (SELECT lane, buyer_id, kind, (at AT TIME ZONE current_setting('jitui.time_zone'))::date AS day,
             count(*) AS events, sum(amount_minor)::bigint AS amount_minor
      FROM standing WHERE place > 1 GROUP BY 1, 2, 3, 4) s
WHERE d.lane = s.lane AND d.buyer_id = s.buyer_id AND d.kind = s.kind AND d.day = s.day;
-- Deferred, because one statement takes the place from one event and gives it to the next.
ALTER TABLE buyer_event ADD CONSTRAINT once_per_order
    EXCLUDE USING btree (lane WITH =, buyer_id WITH =, kind WITH =, order_id WITH =) WHERE (counts_for_order)
    DEFERRABLE INITIALLY DEFERRED;

-- A parcel is its waybill, however the carrier is spelled: `waybill` is the number as `parcel_key` writes it.
ALTER TABLE shipment ADD COLUMN waybill text;
ALTER TABLE shipment ADD COLUMN commanded_lines jsonb NOT NULL DEFAULT '[]';  -- of its units, those shipped by command
UPDATE shipment SET commanded_lines = lines WHERE commanded AND degree IN ('shipped', 'delivered');
ALTER TABLE shipment DROP CONSTRAINT shipment_lane_order_id_carrier_tracking_no_key;
UPDATE shipment SET waybill = lower(btrim(tracking_no) COLLATE "C") WHERE tracking_no ~ '^[\x20-\x7e]*$';
