-- What lists of refunds filter and sort by; a worker fills it (decision 0047). Of a row only the state ever changes. It is
-- no part of a refund's life: nothing refers to it, no command reads or writes it, and it can be made anew at any time. It
-- has no buyer's id.
CREATE TABLE refund_list (
    lane          smallint NOT NULL,
    refund_id     uuid NOT NULL,
    shop_id       text NOT NULL COLLATE "C",
    provider      text NOT NULL COLLATE "C",
    state         text NOT NULL COLLATE "C",
    approved_by   text NOT NULL COLLATE "C",            -- the ticket's; '': nobody
    queued_at     timestamptz NOT NULL,
    currency      text NOT NULL COLLATE "C",
    amount_minor  bigint NOT NULL,
    PRIMARY KEY (lane, refund_id)
);

-- Where the list stands. Read before the refunds are copied: what is published meanwhile is applied again.
INSERT INTO roll_up (name, position, as_of, by_database_clock)
SELECT 'refund_list', coalesce(max(position), 0), clock_timestamp(), true FROM change;

INSERT INTO refund_list (lane, refund_id, shop_id, provider, state, approved_by, queued_at, currency, amount_minor)
SELECT r.lane, r.refund_id, t.shop_id, r.provider, r.state, coalesce(t.approved_by, ''), r.queued_at, r.currency,
    r.amount_minor
FROM refund r JOIN ticket t ON t.lane = r.lane AND t.ticket_id = r.ticket_id;

-- Each order within a provider, a state and an approver; a list of several of them merges what it reads of each.
CREATE INDEX refund_list_by_time ON refund_list (provider, state, approved_by, queued_at, refund_id);
CREATE INDEX refund_list_by_amount ON refund_list (provider, state, approved_by, currency, amount_minor, refund_id);
CREATE INDEX refund_list_of_shop_by_time
    ON refund_list (shop_id, provider, state, approved_by, queued_at, refund_id);
CREATE INDEX refund_list_of_shop_by_amount
    ON refund_list (shop_id, provider, state, approved_by, currency, amount_minor, refund_id);
CREATE INDEX refund_list_not_paid ON refund_list (lane, refund_id) INCLUDE (state) WHERE state <> 'succeeded';
ANALYZE refund_list;

-- Incidents are few, and no request for a refund writes one: their lists are read where they are. The indexes for lists
-- of every shop write the state in another way, so that no list of one shop takes them.
CREATE INDEX incident_by_time ON incident ((coalesce(state, '')), opened_at, incident_id);
CREATE INDEX incident_by_deadline ON incident ((coalesce(state, '')), (coalesce(due_at, 'infinity')), incident_id);
CREATE INDEX incident_by_amount ON incident ((coalesce(state, '')), (currency COLLATE "C"), amount_minor, incident_id);
CREATE INDEX incident_of_shop_by_time ON incident (shop_id, state, opened_at, incident_id);
CREATE INDEX incident_of_shop_by_deadline ON incident (shop_id, state, (coalesce(due_at, 'infinity')), incident_id);
CREATE INDEX incident_of_shop_by_amount
    ON incident (shop_id, state, (currency COLLATE "C"), amount_minor, incident_id);
DROP INDEX incident_of_shop;

-- Whose order a task is about. NULL where it is about none, or an earlier release that runs beside this one opened it.
ALTER TABLE task ADD COLUMN shop_id text;
UPDATE task t SET shop_id = o.shop_id FROM order_directory d JOIN orders o ON o.lane = d.lane AND o.order_id = d.order_id
WHERE d.order_id = t.order_id;
CREATE INDEX task_listed_by_time ON task ((coalesce(state, '')), kind, opened_at, task_id, provider);
CREATE INDEX task_listed_by_amount ON task
    ((coalesce(state, '')), kind, (coalesce(currency, '') COLLATE "C"), (coalesce(amount_minor, 0)), task_id, provider);
CREATE INDEX task_of_shop_by_time ON task (shop_id, state, kind, opened_at, task_id, provider) WHERE shop_id IS NOT NULL;
CREATE INDEX task_of_shop_by_amount ON task
    (shop_id, state, kind, (coalesce(currency, '') COLLATE "C"), (coalesce(amount_minor, 0)), task_id, provider)
    WHERE shop_id IS NOT NULL;
CREATE INDEX task_of_order ON task (order_id) WHERE order_id IS NOT NULL;
DROP INDEX task_by_time;

-- Last, because a request waits from here to the end of the migration. No list reads the refunds by time now.
DROP INDEX refund_by_time;
