-- A notice to a buyer or a shop: to whom, about what, and how it fares. It has no text and no address; both are read when
-- it is sent. `lane`: of the order or buyer that it is about; of the shop's id where it is about neither.
CREATE TABLE notice (
    lane         smallint NOT NULL,
    notice_id    uuid NOT NULL DEFAULT gen_random_uuid(),
    recipient    text NOT NULL CHECK (recipient IN ('buyer', 'shop')),
    recipient_id text NOT NULL,
    kind         text NOT NULL,
    subject      text NOT NULL,                         -- id of the ticket, restriction, appeal or complaint
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'skipped', 'dead', 'unknown')),
    tries        integer NOT NULL DEFAULT 0,
    queued_at    timestamptz NOT NULL,                  -- from here the time until it is dead is counted
    due_at       timestamptz,
    claim_id     uuid,                                  -- of the worker that has it until `due_at`
    handed_over_at timestamptz,                         -- from here on the mail server may have it
    tried_at     timestamptz,
    closed_at    timestamptz,
    failure      text NOT NULL DEFAULT '',              -- our own sentence: a server's may repeat the address
    PRIMARY KEY (lane, notice_id),
    -- INVARIANT: of one subject somebody gets a kind once.
    CONSTRAINT notice_once UNIQUE (lane, recipient, recipient_id, kind, subject),
    CONSTRAINT pending_is_due CHECK ((state = 'pending') = (due_at IS NOT NULL)),
    CONSTRAINT closed_is_not_pending CHECK ((state = 'pending') = (closed_at IS NULL))
);
CREATE INDEX notice_due ON notice (lane, due_at) WHERE state = 'pending';
CREATE INDEX notice_closed ON notice (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX notice_by_time ON notice (queued_at DESC, notice_id DESC);
CREATE INDEX notice_to_look_at ON notice (state) WHERE state IN ('dead', 'unknown');
CREATE INDEX notice_by_id ON notice (notice_id);

CREATE TABLE notice_preference (
    lane         smallint NOT NULL,                     -- of the recipient's id
    recipient    text NOT NULL CHECK (recipient IN ('buyer', 'shop')),
    recipient_id text NOT NULL,
    off          text[] NOT NULL,                       -- kinds that are not wanted
    language     text CHECK (language IN ('zh', 'en')),
    changed_at   timestamptz NOT NULL,
    PRIMARY KEY (lane, recipient, recipient_id)
);

CREATE TABLE notice_cursor (                            -- a reference table: up to where notices are queued
    only_one      boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    position      bigint NOT NULL,                      -- of the feed
    scanned_until timestamptz NOT NULL,                 -- of what is not on the feed
    began_at      timestamptz NOT NULL                  -- what happened before it is nobody's notice
);

-- What is not on the feed is found by its time.
CREATE INDEX restriction_by_set_at ON restriction (set_at);
CREATE INDEX appeal_by_decided_at ON appeal (decided_at) WHERE decided_at IS NOT NULL;
CREATE INDEX complaint_by_answered_at ON complaint (answered_at) WHERE answered_at IS NOT NULL;

-- What there is and two kinds more, whichever others another migration has added.
DO $$
DECLARE
    known text;
BEGIN
    SELECT pg_get_expr(conbin, conrelid) INTO known
    FROM pg_constraint WHERE conrelid = 'task'::regclass AND conname = 'task_kind_check';
    EXECUTE format('ALTER TABLE task DROP CONSTRAINT task_kind_check, ADD CONSTRAINT task_kind_check '
        'CHECK (%%s OR kind IN (''notice_dead'', ''notice_unknown''))', known);
END $$;
