-- A waybill to the buyer whose goods travel under it, distributed by waybill. Carriers give numbers out again, so a claim
-- can be replaced once 180 days lie between the two.
CREATE TABLE waybill_directory (
    waybill           text PRIMARY KEY,
    lane              smallint NOT NULL,
    buyer_id          text NOT NULL,
    told_by           text NOT NULL CHECK (told_by IN ('merchant', 'carrier')),
    claimed_at        timestamptz NOT NULL,
    replaced_claim_at timestamptz,                      -- of the claim that this one replaced
    CONSTRAINT waybill_of_one_buyer CHECK (
        replaced_claim_at IS NULL OR claimed_at >= replaced_claim_at + interval '4320 hours')
);
INSERT INTO waybill_directory (waybill, lane, buyer_id, told_by, claimed_at)
SELECT DISTINCT ON (s.waybill) s.waybill, s.lane, o.buyer_id, s.source, s.recorded_at
FROM shipment s JOIN orders o USING (lane, order_id) JOIN buyer b ON b.lane = o.lane AND b.buyer_id = o.buyer_id
WHERE NOT b.erased
ORDER BY s.waybill, s.recorded_at DESC;

-- When the merchant told of a parcel first; NULL while only its carrier has. The feed says it of parcels from before. An
-- earlier release that runs beside this one writes no shop: such a parcel is in the platform's list alone.
ALTER TABLE shipment ADD COLUMN entered_at timestamptz, ADD COLUMN shop_id text;
UPDATE shipment s SET shop_id = o.shop_id, entered_at = CASE
    WHEN s.source = 'merchant' OR s.commanded OR EXISTS (
        SELECT 1 FROM change c
        WHERE c.lane = s.lane AND c.order_id = s.order_id AND c.kind = 'shipment.recorded'
          AND c.body ->> 'source' = 'merchant' AND c.body ->> 'tracking_no' = s.tracking_no) THEN s.recorded_at END
FROM orders o WHERE o.lane = s.lane AND o.order_id = s.order_id;
CREATE INDEX label_of_shop ON shipment (shop_id, happened_at) WHERE degree = 'label_printed';
CREATE INDEX label_by_time ON shipment (happened_at) WHERE degree = 'label_printed';
CREATE INDEX unentered_of_shop ON shipment (shop_id, happened_at)
    WHERE entered_at IS NULL AND degree IN ('picked_up', 'shipped');
CREATE INDEX unentered_by_time ON shipment (happened_at)
    WHERE entered_at IS NULL AND degree IN ('picked_up', 'shipped');

-- Whether every unit has left, which never changes back. What a request for a refund writes is not in these indexes.
ALTER TABLE orders ADD COLUMN all_left boolean NOT NULL DEFAULT false;
UPDATE orders o SET all_left = true
WHERE o.ship_by IS NOT NULL AND o.completed_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM order_line l
    WHERE l.lane = o.lane AND l.order_id = o.order_id AND l.shipped_quantity + l.scanned_quantity < l.quantity);
CREATE INDEX to_ship_of_shop ON orders (shop_id, ship_by)
    WHERE ship_by IS NOT NULL AND completed_at IS NULL AND NOT all_left;
CREATE INDEX to_ship_by_time ON orders (ship_by)
    WHERE ship_by IS NOT NULL AND completed_at IS NULL AND NOT all_left;

-- Tickets because of which goods must stay where they are; the roll-up writes it from the feed, no deciding transaction.
CREATE TABLE shipping_watch (
    lane      smallint NOT NULL,
    ticket_id uuid NOT NULL,
    risk      text NOT NULL CHECK (risk IN ('open_ticket', 'stop_ship_unanswered')),
    order_id  text NOT NULL,
    shop_id   text NOT NULL,
    since     timestamptz NOT NULL,
    PRIMARY KEY (lane, ticket_id, risk)
);
CREATE INDEX shipping_watch_of_shop ON shipping_watch (shop_id, risk, since);
CREATE INDEX shipping_watch_by_time ON shipping_watch (risk, since);
INSERT INTO shipping_watch (lane, ticket_id, risk, order_id, shop_id, since)
SELECT lane, ticket_id, 'open_ticket', order_id, shop_id, requested_at FROM ticket WHERE state = 'awaiting_merchant';
INSERT INTO roll_up (name, position, as_of)
SELECT 'shipping_watch', max(position), now() FROM change HAVING max(position) IS NOT NULL;

-- INVARIANT: a reminder is told once for each risk, parcel (order, ticket) and stage.
CREATE TABLE shipping_reminder (
    lane     smallint NOT NULL,
    order_id text NOT NULL,
    risk     text NOT NULL,
    subject  text NOT NULL,
    stage    smallint NOT NULL,
    told_at  timestamptz NOT NULL,
    PRIMARY KEY (lane, order_id, risk, subject, stage)
);
