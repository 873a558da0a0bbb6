-- A restriction by a rule of the policy says which rule of which policy, and what the rule read; one by hand has the
-- evidence of whoever set it. An earlier release beside this one writes and lifts restrictions without the new columns.
ALTER TABLE restriction
    ADD COLUMN withdraw       text NOT NULL DEFAULT 'instant_refund' CHECK (withdraw IN ('instant_refund')),
    ADD COLUMN evidence       jsonb NOT NULL DEFAULT '{}',  -- by hand: {order_ids, event_ids, note}
    ADD COLUMN set_at         timestamptz,                  -- NULL: before this release, or by an earlier one
    ADD COLUMN lifted_by      text,
    ADD COLUMN lift_reason    text NOT NULL DEFAULT '',
    ADD COLUMN policy_id      text,                         -- this and the next five: by a rule
    ADD COLUMN policy_version text,
    ADD COLUMN policy_sha256  text,
    ADD COLUMN rule_id        text,
    ADD COLUMN occurrence     integer CHECK (occurrence > 0),
    ADD COLUMN facts          jsonb,                        -- what the rule read
    ADD COLUMN text           jsonb NOT NULL DEFAULT '{}',  -- what the buyer is told of the rule, {zh, en}
    ADD CONSTRAINT by_rule_or_by_hand CHECK (
        num_nonnulls(policy_id, policy_version, policy_sha256, rule_id, occurrence, facts) IN (0, 6)),
    -- INVARIANT: of all who find a rule true at the same time, one restricts the buyer.
    ADD CONSTRAINT one_restriction_per_occurrence UNIQUE (lane, buyer_id, policy_id, rule_id, occurrence);

-- Buyers with events that the restriction rules have not been applied to yet. A row comes in the transaction of its event,
-- and goes in the one that applied the rules; both hold the buyer's lock, so that no event is overlooked.
CREATE TABLE restriction_check (
    lane     smallint NOT NULL,
    buyer_id text NOT NULL,
    PRIMARY KEY (lane, buyer_id)
);

CREATE TABLE appeal (
    lane           smallint NOT NULL,
    appeal_id      uuid NOT NULL,
    restriction_id uuid NOT NULL,
    buyer_id       text NOT NULL,
    text           text NOT NULL CHECK (text <> ''),        -- the buyer's words
    opened_at      timestamptz NOT NULL,
    opened_by      text NOT NULL,                           -- 'buyer', or who opened it for the buyer
    answer_by      timestamptz NOT NULL CHECK (answer_by > opened_at),
    restricted_by  text,                                    -- who set the restriction by hand; NULL: a rule did
    state          text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'upheld', 'rejected')),
    answer         text,                                    -- the reason, in words that the buyer reads
    decided_at     timestamptz,
    decided_by     text,
    PRIMARY KEY (lane, appeal_id),
    FOREIGN KEY (lane, restriction_id) REFERENCES restriction (lane, restriction_id),
    CONSTRAINT decided_with_an_answer CHECK (
        (state = 'open' AND num_nonnulls(answer, decided_at, decided_by) = 0)
        OR (state <> 'open' AND num_nonnulls(answer, decided_at, decided_by) = 3 AND answer <> '')),
    -- INVARIANT: who set a restriction does not decide the appeal against it, however the name is written.
    CONSTRAINT decided_by_another CHECK (
        decided_by IS NULL
        OR lower(btrim(normalize(decided_by, NFKC))) <> lower(btrim(normalize(restricted_by, NFKC))))
);
-- INVARIANT: of a restriction at most one appeal is open.
CREATE UNIQUE INDEX one_open_appeal ON appeal (lane, restriction_id) WHERE state = 'open';
CREATE INDEX appeal_of_buyer ON appeal (lane, buyer_id);
CREATE INDEX appeal_by_deadline ON appeal (answer_by, appeal_id);
CREATE INDEX appeal_not_answered ON appeal (answer_by) WHERE state = 'open';

-- What there is and one kind more, whichever others another migration has added.
DO $$
DECLARE
    known text;
BEGIN
    SELECT pg_get_expr(conbin, conrelid) INTO known
    FROM pg_constraint WHERE conrelid = 'task'::regclass AND conname = 'task_kind_check';
    EXECUTE format('ALTER TABLE task DROP CONSTRAINT task_kind_check, ADD CONSTRAINT task_kind_check '
        'CHECK (%%s OR kind = ''appeal_overdue'')', known);
END $$;
