ALTER TABLE refund ADD COLUMN settlement jsonb;         -- {reference, note, by, at}: an operator paid it by hand
-- INVARIANT I2: what was settled by hand is never sent again. It may be looked up, so it must have an attempt.
ALTER TABLE refund ADD CONSTRAINT settled_is_not_sent
    CHECK (settlement IS NULL OR (state = 'succeeded' AND attempt_no > 0));

-- For statements, which cover a time; postings come nearly in order of time, so that an index of ranges is enough.
CREATE INDEX ledger_by_time ON ledger USING brin (posted_at);

-- A reference table: few rows, for people; no ticket's life depends on them.
CREATE TABLE task (
    task_id      uuid PRIMARY KEY,                      -- follows from the task's cause: the same cause is one task
    kind         text NOT NULL CHECK (kind IN ('ours_only', 'theirs_only', 'amount_differs', 'currency_differs',
                                               'paid_twice', 'unreadable_row')),
    provider     text NOT NULL,
    state        text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'resolved')),
    order_id     text,
    amount_minor bigint,
    currency     text,
    evidence     jsonb NOT NULL,
    opened_at    timestamptz NOT NULL,
    resolved_at  timestamptz,
    resolved_by  text,
    note         text,
    CHECK ((state = 'resolved') = (resolved_at IS NOT NULL AND resolved_by IS NOT NULL AND note <> ''))
);
CREATE INDEX task_by_time ON task (opened_at DESC, task_id DESC);
