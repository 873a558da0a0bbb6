-- Platform advance ---------------------------------------------------------------------------------------------------------

-- The largest amount that the platform's account may pay for the shop, by the policy that decided; NULL: nothing.
ALTER TABLE ticket ADD COLUMN advance_up_to_minor bigint CHECK (advance_up_to_minor > 0);
ALTER TABLE ticket_list ADD COLUMN advance_up_to_minor bigint;

-- The provider may take it from the platform's account, where the shop's balance is short.
ALTER TABLE refund ADD COLUMN may_advance boolean NOT NULL DEFAULT false;

-- A refund that the platform's account paid is an incident of its own kind.
ALTER TABLE incident
    ADD COLUMN refund_id uuid,
    DROP CONSTRAINT incident_kind_check,
    ADD CONSTRAINT incident_kind_check CHECK (kind IN ('goods_left_after_refund', 'platform_advance')),
    ADD CONSTRAINT advance_names_its_refund CHECK ((kind = 'platform_advance') = (refund_id IS NOT NULL)),
    DROP CONSTRAINT incident_lane_ticket_id_key;
-- INVARIANT: more evidence joins the ticket's incident of goods; a refund is charged to a shop once (I2).
CREATE UNIQUE INDEX one_incident_of_goods_per_ticket
    ON incident (lane, ticket_id) WHERE kind = 'goods_left_after_refund';
CREATE UNIQUE INDEX one_advance_per_refund ON incident (lane, refund_id) WHERE kind = 'platform_advance';

-- The restrictions that stand, of all buyers, newest first.
CREATE INDEX restriction_standing ON restriction (starts_at DESC, restriction_id DESC) WHERE lifted_at IS NULL;
