-- Which database this is, by PostgreSQL's own marks: a restore to a point in time and a promotion begin a new timeline, a
-- dump that is loaded elsewhere is another system. One row a server: on several nodes each has its own.
CREATE TABLE accepted_database (
    system_id     bigint PRIMARY KEY,
    timeline_id   integer NOT NULL,
    acceptance_id uuid NOT NULL DEFAULT gen_random_uuid(),
    accepted_at   timestamptz NOT NULL,
    accepted_by   text NOT NULL,
    note          text NOT NULL DEFAULT '',
    synchronous   boolean NOT NULL DEFAULT false,       -- as a worker saw it last: commits wait for a standby
    held_since    timestamptz,                          -- held by a person, or by a worker that had seen later marks
    held_by       text,
    held_reason   text,
    CHECK ((held_since IS NULL) = (held_by IS NULL) AND (held_since IS NULL) = (held_reason IS NULL))
);

-- A worker counts here while it is at work, and keeps the count at home too: a count that went back is a restored backup
-- that kept its timeline. A reference table of one row a home.
CREATE TABLE worker_mark (
    acceptance_id uuid NOT NULL,
    home_id       uuid NOT NULL,
    marks         bigint NOT NULL,
    at            timestamptz NOT NULL,
    PRIMARY KEY (acceptance_id, home_id)
);

CREATE FUNCTION current_system_id() RETURNS bigint STABLE LANGUAGE sql
    RETURN (SELECT system_identifier FROM pg_control_system());

CREATE FUNCTION current_timeline_id() RETURNS integer STABLE LANGUAGE sql
    RETURN ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer;

-- INVARIANT I2: after a restore a refund may be queued here that the provider has paid already, so nothing is claimed.
CREATE FUNCTION payouts_allowed() RETURNS boolean STABLE LANGUAGE sql
    RETURN EXISTS (SELECT 1 FROM accepted_database d WHERE d.system_id = current_system_id()
                   AND d.timeline_id = current_timeline_id() AND d.held_since IS NULL);

-- A database with refunds under way that is past its first timeline may have been restored just now.
INSERT INTO accepted_database (system_id, timeline_id, accepted_at, accepted_by)
SELECT current_system_id(), current_timeline_id(), now(), 'migration 0012'
WHERE current_timeline_id() = 1 OR NOT EXISTS (SELECT 1 FROM refund WHERE state <> 'succeeded');

ALTER TABLE task DROP CONSTRAINT task_kind_check, ADD CONSTRAINT task_kind_check CHECK (kind IN (
    'ours_only', 'theirs_only', 'amount_differs', 'currency_differs', 'paid_twice', 'unreadable_row',
    'captured_after_refund', 'answer_differs', 'payment_differs', 'dispute_differs', 'dispute_overlaps',
    'refund_not_in_books'));

-- Refunds of an order wait while a refund of its payment at the provider has no explanation.
CREATE INDEX task_holds_order ON task (order_id) WHERE kind = 'refund_not_in_books' AND state = 'open';
