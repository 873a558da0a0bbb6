-- A payment that was told under two tender ids counted twice. Which of the two refunds it really carries is not ours to
-- guess, so such orders are named, and the upgrade stops before it has changed anything.
DO $$
DECLARE
    named text;
BEGIN
    SELECT string_agg(format('order %%s: %%s payment %%s', order_id, provider, payment_id), '; ') INTO named
    FROM (SELECT order_id, provider, payment_id FROM tender
          GROUP BY lane, order_id, provider, payment_id HAVING count(*) > 1 ORDER BY 1 LIMIT 20) twice;
    IF named IS NOT NULL THEN
        RAISE EXCEPTION 'one payment is recorded as several tenders of an order (%%). Check at the provider what was '
            'captured, delete the tender that carries no refunds with its ledger row, and upgrade again.', named;
    END IF;
    SELECT string_agg(format('%%s payment %%s', provider, payment_id), '; ') INTO named
    FROM (SELECT t.provider, t.payment_id FROM tender t JOIN orders o USING (lane, order_id)
          GROUP BY t.provider, t.payment_id HAVING count(DISTINCT o.buyer_id) > 1 ORDER BY 1, 2 LIMIT 20) shared;
    IF named IS NOT NULL THEN
        RAISE EXCEPTION 'a payment is recorded for orders of different buyers (%%). A payment belongs to one buyer: '
            'check at the provider whose it is, delete the other tender with its ledger row, and upgrade again.', named;
    END IF;
END $$;

-- INVARIANT I1: within an order a provider's payment is one tender, under whatever id it is told.
CREATE UNIQUE INDEX one_tender_per_payment ON tender (lane, order_id, provider, payment_id);
CREATE INDEX tender_by_payment ON tender (lane, provider, payment_id);

-- A payment to its buyer: written with its first capture, never changed, distributed by payment. Another buyer's order
-- cannot name it.
CREATE TABLE payment_directory (
    provider    text NOT NULL,
    payment_id  text NOT NULL,
    lane        smallint NOT NULL,
    buyer_id    text NOT NULL,
    PRIMARY KEY (provider, payment_id)
);
INSERT INTO payment_directory (provider, payment_id, lane, buyer_id)
SELECT DISTINCT t.provider, t.payment_id, t.lane, o.buyer_id FROM tender t JOIN orders o USING (lane, order_id);

-- A payment for several orders of one buyer (combined checkout): all parts say the same total, and keep within it.
CREATE TABLE shared_payment (
    lane           smallint NOT NULL,
    provider       text NOT NULL,
    payment_id     text NOT NULL,
    total_minor    bigint NOT NULL CHECK (total_minor > 0),
    captured_minor bigint NOT NULL,                     -- all its parts together
    PRIMARY KEY (lane, provider, payment_id),
    UNIQUE (lane, provider, payment_id, total_minor),
    CONSTRAINT parts_within_payment CHECK (captured_minor <= total_minor)
);
ALTER TABLE tender ADD COLUMN payment_total_minor bigint;   -- NULL: the tender is the whole payment

-- Until now parts were taken without a total: what they sum to is what is known of it.
INSERT INTO shared_payment (lane, provider, payment_id, total_minor, captured_minor)
SELECT lane, provider, payment_id, sum(captured_minor), sum(captured_minor) FROM tender
GROUP BY lane, provider, payment_id HAVING count(*) > 1;
UPDATE tender t SET payment_total_minor = s.total_minor FROM shared_payment s
WHERE s.lane = t.lane AND s.provider = t.provider AND s.payment_id = t.payment_id;
ALTER TABLE tender ADD CONSTRAINT one_total_per_payment FOREIGN KEY (lane, provider, payment_id, payment_total_minor)
    REFERENCES shared_payment (lane, provider, payment_id, total_minor);

-- Orders whose lines and freight sum to nothing: paid when they are placed, and counted in no feature.
ALTER TABLE orders ADD COLUMN free_of_charge boolean NOT NULL DEFAULT false;
UPDATE orders o SET free_of_charge = true
WHERE o.freight_minor = 0 AND NOT EXISTS (
    SELECT 1 FROM order_line l WHERE l.lane = o.lane AND l.order_id = o.order_id AND l.paid_minor > 0);
UPDATE orders o SET paid_at = o.placed_at WHERE o.free_of_charge AND o.paid_at IS NULL;
INSERT INTO ledger (lane, order_id, posting, debit, credit, amount_minor, currency, posted_at)
SELECT f.lane, f.order_id, 'funded:' || f.funder, 'subsidy:' || f.funder, 'escrow', f.amount_minor, o.currency, o.placed_at
FROM funding f JOIN orders o USING (lane, order_id) WHERE o.free_of_charge
ON CONFLICT DO NOTHING;
ALTER TABLE ticket DROP CONSTRAINT ticket_amount_minor_check, ADD CHECK (amount_minor >= 0);

-- Money that is captured after its goods were refunded: the same approval, decided again; or a request of its own, which
-- stands on no units.
ALTER TABLE ticket_line DROP CONSTRAINT ticket_line_quantity_check, ADD CHECK (quantity >= 0);
CREATE TABLE later_decision (                           -- I4: decisions on an approval that was decided again
    lane           smallint NOT NULL,
    ticket_id      uuid NOT NULL,
    order_id       text NOT NULL,
    policy_id      text NOT NULL,
    policy_version text NOT NULL,
    policy_sha256  text NOT NULL,
    outcome        text NOT NULL,
    decided_at     timestamptz NOT NULL,
    facts          jsonb NOT NULL,
    decision       jsonb NOT NULL,
    read_from      jsonb,
    PRIMARY KEY (lane, ticket_id, decided_at)
);
ALTER TABLE task DROP CONSTRAINT task_kind_check, ADD CHECK (kind IN (
    'ours_only', 'theirs_only', 'amount_differs', 'currency_differs', 'paid_twice', 'unreadable_row',
    'captured_after_refund'));
