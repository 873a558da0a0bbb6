-- Amounts are in ISO 4217's minor units. Until now they were read by CLDR's digits, which differ for these currencies, so
-- what a stored amount of theirs means depends on what the platform meant. That is not ours to guess: such rows are named,
-- and the upgrade stops before it has changed anything, unless the operator has said that they are in ISO's already.
DO $$
DECLARE
    changed text[] := '{AFN,ALL,IQD,IRR,KPW,LAK,LBP,MGA,MMK,RSD,SLL,SOS,SYP,YER}';
    said text[] := string_to_array(coalesce(current_setting('jitui.iso_amounts', true), ''), ',');
    named text;
BEGIN
    SELECT string_agg(what, '; ' ORDER BY what) INTO named FROM (
        SELECT format('%%s: %%s orders, the first %%s', currency, count(*), min(order_id)) AS what
        FROM orders WHERE currency = ANY (changed) AND NOT currency = ANY (said) GROUP BY currency
        UNION ALL
        SELECT format('%%s: the policy in force, %%s version %%s', c.code, p.policy_id, p.version)
        FROM (SELECT * FROM policy ORDER BY publication DESC LIMIT 1) p
        JOIN unnest(changed) AS c (code) ON p.document ~ ('(^|\n)currency:\s*["'']?' || c.code)
        WHERE NOT c.code = ANY (said)) found;
    IF named IS NOT NULL THEN
        RAISE EXCEPTION 'Amounts in these currencies were read with fewer digits than ISO 4217 gives them, and are not '
            'read anew without your word (%%). Where they were sent in ISO 4217''s minor units (RSD 12.50 as 1250), say so: '
            'jitui migrate --iso-amounts CODE. Where they were not, put them right first.', named;
    END IF;
END $$;

ALTER TABLE task DROP CONSTRAINT task_kind_check, ADD CONSTRAINT task_kind_check CHECK (kind IN (
    'ours_only', 'theirs_only', 'amount_differs', 'currency_differs', 'paid_twice', 'unreadable_row',
    'captured_after_refund', 'answer_differs', 'payment_differs', 'dispute_differs', 'dispute_overlaps'));

-- INVARIANT I1: what the buyer's bank took back cannot be refunded as well.
ALTER TABLE tender ADD COLUMN lost_minor bigint NOT NULL DEFAULT 0 CHECK (lost_minor >= 0);
ALTER TABLE tender DROP CONSTRAINT refund_within_captured, ADD CONSTRAINT refund_within_captured
    CHECK (pending_minor + refunded_minor + lost_minor <= captured_minor);

CREATE TABLE dispute (                                  -- a card dispute, by its provider's id
    lane         smallint NOT NULL,
    order_id     text NOT NULL,
    dispute_id   text NOT NULL,
    tender_id    text NOT NULL,
    provider     text NOT NULL,
    state        text NOT NULL CHECK (state IN ('open', 'won', 'lost')),
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency     text NOT NULL,
    lost_minor   bigint NOT NULL CHECK (lost_minor BETWEEN 0 AND amount_minor),
    reason       text NOT NULL DEFAULT '',
    opened_at    timestamptz NOT NULL,
    closed_at    timestamptz,
    PRIMARY KEY (lane, order_id, dispute_id),
    FOREIGN KEY (lane, order_id, tender_id) REFERENCES tender (lane, order_id, tender_id),
    CHECK (state = 'lost' OR lost_minor = 0),
    CHECK ((state = 'open') = (closed_at IS NULL))
);

-- News of a payment that no order names yet; distributed by nothing: few rows, and none for long.
CREATE TABLE parked_news (
    provider    text NOT NULL,
    news_id     text NOT NULL,                          -- the same news again is one row
    payment_ids text[] NOT NULL,
    body        jsonb NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (provider, news_id)
);
CREATE INDEX IF NOT EXISTS tender_by_payment ON tender (lane, provider, payment_id);
