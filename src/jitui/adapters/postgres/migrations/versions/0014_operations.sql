-- A condition goes on until it ends (a failed refund, no worker): one task for it is open meanwhile. When it comes back, it
-- is another task.
ALTER TABLE task ADD COLUMN condition text;
CREATE UNIQUE INDEX one_open_task_per_condition ON task (condition) WHERE state = 'open';
ALTER TABLE task DROP CONSTRAINT task_kind_check, ADD CONSTRAINT task_kind_check CHECK (kind IN (
    'ours_only', 'theirs_only', 'amount_differs', 'currency_differs', 'paid_twice', 'unreadable_row',
    'captured_after_refund', 'answer_differs', 'payment_differs', 'dispute_differs', 'dispute_overlaps',
    'refund_not_in_books', 'refund_failed', 'outcome_overdue', 'provider_not_configured', 'provider_trouble', 'ledger_unbalanced',
    'roll_up_stale', 'worker_silent', 'no_worker'));

-- A payment by hand above the limit waits for a second person: {reference, note, by, at}.
ALTER TABLE refund ADD COLUMN proposal jsonb;
ALTER TABLE refund ADD CONSTRAINT proposed_or_settled CHECK (proposal IS NULL OR settlement IS NULL);
-- INVARIANT: who confirms a payment by hand is not who proposed it, however the name is written.
ALTER TABLE refund ADD CONSTRAINT settled_by_two_persons CHECK (
    settlement ->> 'confirmed_by' IS NULL
    OR lower(btrim(normalize(settlement ->> 'confirmed_by', NFKC))) <> lower(btrim(normalize(settlement ->> 'by', NFKC))));
-- INVARIANT I2: what was settled by hand is never sent, neither again nor for the first time. `attempts`: how many there
-- were when it was settled; a worker that claims it at that moment begins another one, and one of the two is refused.
ALTER TABLE refund DROP CONSTRAINT settled_is_not_sent, ADD CONSTRAINT settled_is_not_sent CHECK (
    settlement IS NULL
    OR (state = 'succeeded' AND attempt_no = coalesce((settlement ->> 'attempts')::integer, attempt_no)
        AND (attempt_no > 0 OR due_at IS NULL)));

CREATE INDEX refund_by_time ON refund (queued_at DESC, refund_id DESC);
CREATE INDEX refund_not_paid ON refund (state, provider, queued_at) WHERE state <> 'succeeded';

-- A reference table: a row for each worker, by the database's clock. One that is stopped takes its row with it.
CREATE TABLE worker (
    name        text PRIMARY KEY,
    started_at  timestamptz NOT NULL,
    seen_at     timestamptz NOT NULL,
    providers   jsonb NOT NULL,                         -- the names of those through which it pays
    trouble     jsonb NOT NULL DEFAULT '{}'             -- {provider: {kind, reason, since}}, while it lasts
);

-- Refunds that failed before this release have no task yet.
INSERT INTO task (task_id, kind, provider, order_id, amount_minor, currency, evidence, opened_at, condition)
SELECT md5('refund_failed:' || r.refund_id)::uuid, 'refund_failed', r.provider, r.order_id, r.amount_minor, r.currency,
    jsonb_build_object('refund_id', r.refund_id, 'attempt_id', a.attempt_id, 'reason', r.reason),
    coalesce(a.news_at, r.queued_at), 'refund_failed:' || r.refund_id
FROM refund r LEFT JOIN refund_attempt a
    ON a.lane = r.lane AND a.refund_id = r.refund_id AND a.attempt_no = r.attempt_no
WHERE r.state = 'failed';
