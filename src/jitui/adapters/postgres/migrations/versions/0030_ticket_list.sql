-- A copy of the tickets' own rows, for lists. A worker fills it from the feed (decision 0041), so it is a moment late. It
-- is no part of a ticket's life: nothing refers to it, no command reads or writes it, and it can be made anew at any time.
-- It begins no key with a lane of a transaction, so it need not be distributed.
CREATE TABLE ticket_list (
    lane          smallint NOT NULL,
    ticket_id     uuid NOT NULL,
    order_id      text NOT NULL,
    buyer_id      text NOT NULL,
    shop_id       text NOT NULL COLLATE "C",
    state         text NOT NULL COLLATE "C",
    version       integer NOT NULL,
    reason        text NOT NULL,
    currency      text NOT NULL COLLATE "C",
    amount_minor  bigint NOT NULL,
    freight_minor bigint NOT NULL,
    funding_returns jsonb NOT NULL,
    notice        jsonb,
    approved_by   text NOT NULL COLLATE "C",            -- '': nobody; a list reads each value of it by itself
    review_reason text,
    arm           text NOT NULL,
    on_timeout    text NOT NULL,
    requested_at  timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,                 -- 'infinity': no deadline
    approved_at   timestamptz,
    closed_at     timestamptz,
    remind_at     timestamptz,
    assignment    jsonb,
    offer         jsonb,
    arbitration   jsonb,
    PRIMARY KEY (lane, ticket_id)
);

-- Where the list stands. Read before the tickets are copied: what is published meanwhile is applied again.
INSERT INTO roll_up (name, position, as_of, by_database_clock)
SELECT 'ticket_list', coalesce(max(position), 0), clock_timestamp(), true FROM change;

INSERT INTO ticket_list (lane, ticket_id, order_id, buyer_id, shop_id, state, version, reason, currency, amount_minor,
    freight_minor, funding_returns, notice, approved_by, review_reason, arm, on_timeout, requested_at, expires_at,
    approved_at, closed_at, remind_at, assignment, offer, arbitration)
SELECT lane, ticket_id, order_id, buyer_id, shop_id, state, version, reason, currency, amount_minor,
    freight_minor, funding_returns, notice, coalesce(approved_by, ''), review_reason, arm, on_timeout, requested_at,
    coalesce(expires_at, 'infinity'), approved_at, closed_at, remind_at, assignment, offer, arbitration
FROM ticket;

-- Each order within a state and an approver; a list of several of them merges what it reads of each.
CREATE INDEX ticket_list_by_time ON ticket_list (state, approved_by, requested_at, ticket_id);
CREATE INDEX ticket_list_by_deadline ON ticket_list (state, approved_by, expires_at, ticket_id);
CREATE INDEX ticket_list_by_amount ON ticket_list (state, approved_by, currency, amount_minor, ticket_id);
CREATE INDEX ticket_list_of_shop_by_time ON ticket_list (shop_id, state, approved_by, requested_at, ticket_id);
CREATE INDEX ticket_list_of_shop_by_deadline ON ticket_list (shop_id, state, approved_by, expires_at, ticket_id);
CREATE INDEX ticket_list_of_shop_by_amount
    ON ticket_list (shop_id, state, approved_by, currency, amount_minor, ticket_id);
ANALYZE ticket_list;

-- Last, because a request waits from here to the end of the migration. No list reads the tickets by shop or time now.
DROP INDEX ticket_of_shop;
DROP INDEX ticket_by_time;
