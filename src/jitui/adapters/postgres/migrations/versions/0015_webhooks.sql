-- An event's id outlasts a restore of the database, after which positions are given a second time. A default, so that an
-- earlier release beside this one gives ids too; events from before have none and are named by their position alone.
ALTER TABLE change ADD COLUMN event_uuid uuid;
ALTER TABLE change ALTER COLUMN event_uuid SET DEFAULT gen_random_uuid();

-- A reference table: changed by people, read by everybody. How it fares is written by workers every few seconds at most.
CREATE TABLE webhook_endpoint (
    endpoint_id   uuid PRIMARY KEY,
    shop_id       text NOT NULL,                        -- empty: of the platform, for the events of all shops
    url           text NOT NULL,
    description   text NOT NULL,
    kinds         text[] NOT NULL,                      -- empty: every kind
    state         text NOT NULL CHECK (state IN ('active', 'paused')),
    paused_because text NOT NULL DEFAULT '',
    after_position bigint NOT NULL,                     -- events that were published before it are not its own
    created_at    timestamptz NOT NULL,
    created_by    text NOT NULL,
    failing_since timestamptz,                          -- the first failure since an event was last taken
    last_success_at timestamptz,
    last_failure_at timestamptz,
    last_failure  text NOT NULL DEFAULT '',
    UNIQUE (shop_id, url),
    CHECK ((state = 'paused') = (paused_because <> ''))
);

CREATE TABLE webhook_secret (                           -- a reference table too
    secret_no   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id uuid NOT NULL REFERENCES webhook_endpoint ON DELETE CASCADE,
    encrypted   text NOT NULL,                          -- a token of Fernet's, which is text
    created_at  timestamptz NOT NULL,
    ends_at     timestamptz                             -- NULL: the newest; others sign beside it until they end
);
CREATE INDEX webhook_secret_of_endpoint ON webhook_secret (endpoint_id);
CREATE UNIQUE INDEX one_lasting_webhook_secret ON webhook_secret (endpoint_id) WHERE ends_at IS NULL;

CREATE TABLE webhook_cursor (                           -- up to where the feed is queued for the endpoints
    only_one    boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    position    bigint NOT NULL
);
INSERT INTO webhook_cursor (position) SELECT coalesce(max(position), 0) FROM change;

-- An event for an endpoint. Its text is that of the change: nothing of it is stored a second time.
CREATE TABLE webhook_delivery (
    lane        smallint NOT NULL,
    endpoint_id uuid NOT NULL,
    position    bigint NOT NULL,
    change_id   bigint NOT NULL,
    order_id    text NOT NULL,
    state       text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
    tries       integer NOT NULL DEFAULT 0,
    queued_at   timestamptz NOT NULL,                   -- from here the time until it is dead is counted
    tried_at    timestamptz,
    closed_at   timestamptz,
    status      smallint,                               -- what the receiver answered last
    failure     text NOT NULL DEFAULT '',
    PRIMARY KEY (lane, endpoint_id, position),
    CHECK ((state = 'pending') = (closed_at IS NULL))
);
CREATE INDEX webhook_delivery_pending ON webhook_delivery (lane, endpoint_id, order_id, position)
    WHERE state = 'pending';
CREATE INDEX webhook_delivery_of_endpoint ON webhook_delivery (endpoint_id, position DESC);
CREATE INDEX webhook_delivery_closed ON webhook_delivery (closed_at) WHERE closed_at IS NOT NULL;

-- One row for each endpoint and order that something waits for: who holds it sends the order's next event, so that the
-- events of one order (and of its tickets) go out one after the other.
CREATE TABLE webhook_queue (
    lane        smallint NOT NULL,
    endpoint_id uuid NOT NULL,
    order_id    text NOT NULL,
    due_at      timestamptz,                            -- NULL: the endpoint is paused
    claim_id    uuid,                                   -- of the worker that has it until `due_at`
    PRIMARY KEY (lane, endpoint_id, order_id)
);
CREATE INDEX webhook_queue_due ON webhook_queue (lane, due_at) WHERE due_at IS NOT NULL;

-- Which buyer an event of another system's was about: distributed by the event's name, as its lane is not known before.
CREATE TABLE event_directory (
    event_name  text PRIMARY KEY,                       -- of source and id
    buyer_id    text NOT NULL
);

-- What there is and two kinds more, whichever others another migration has added.
DO $$
DECLARE
    known text;
BEGIN
    SELECT pg_get_expr(conbin, conrelid) INTO known
    FROM pg_constraint WHERE conrelid = 'task'::regclass AND conname = 'task_kind_check';
    EXECUTE format('ALTER TABLE task DROP CONSTRAINT task_kind_check, ADD CONSTRAINT task_kind_check '
        'CHECK (%%s OR kind IN (''webhook_dead_letter'', ''webhook_endpoint_paused''))', known);
END $$;
