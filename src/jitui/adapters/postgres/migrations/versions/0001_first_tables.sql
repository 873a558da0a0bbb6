-- Every row of a ticket's life starts its key with the lane of its buyer (05, Lanes). Tables without a lane are
-- reference tables: few rows, changed by people or by the roll-up, read by everybody.

-- Reference tables -----------------------------------------------------------------------------------------------

CREATE TABLE shop (
    shop_id     text PRIMARY KEY,
    name        text NOT NULL DEFAULT '',
    attributes  jsonb NOT NULL DEFAULT '{}',
    updated_at  timestamptz NOT NULL
);

CREATE TABLE category (                                 -- R2: customised and virtual are set apart from each other
    category_id text PRIMARY KEY,
    title       text NOT NULL DEFAULT '',
    customised  boolean NOT NULL DEFAULT false,
    virtual     boolean NOT NULL DEFAULT false,
    updated_at  timestamptz NOT NULL
);

CREATE TABLE coverage (                                 -- R12, R13: no row means covered (R2)
    scope       text NOT NULL CHECK (scope IN ('platform', 'shop', 'category', 'item')),
    ref         text NOT NULL,
    covered     boolean NOT NULL,
    reason      text NOT NULL DEFAULT '',
    set_by      text NOT NULL,
    set_at      timestamptz NOT NULL,
    PRIMARY KEY (scope, ref)
);

CREATE TABLE pause (
    scope       text NOT NULL CHECK (scope IN ('platform', 'shop', 'category', 'item', 'region')),
    ref         text NOT NULL,
    reason      text NOT NULL DEFAULT '',
    set_by      text NOT NULL,
    set_at      timestamptz NOT NULL,
    PRIMARY KEY (scope, ref)
);

CREATE TABLE policy (                                   -- append-only publication log; the newest row is live
    publication bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    policy_id   text NOT NULL,
    version     text NOT NULL,
    sha256      text NOT NULL,
    document    text NOT NULL,
    published_by text NOT NULL,
    published_at timestamptz NOT NULL
);

CREATE TABLE history_record (                           -- I5: what was never fed is unknown, not zero
    kind          text PRIMARY KEY,
    complete_from timestamptz NOT NULL,
    fresh_until   timestamptz                           -- NULL: fed as it happens
);

CREATE TABLE api_key (
    key_id      text PRIMARY KEY,
    secret_hash bytea NOT NULL,
    scope       text NOT NULL CHECK (scope IN ('platform', 'shop', 'buyer')),
    subject_id  text NOT NULL DEFAULT '',               -- the shop or buyer; empty for the platform
    label       text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz,
    revoked_at  timestamptz
);

CREATE TABLE usage_bucket (                             -- instant approvals per shop and platform, rolled up by the worker
    scope          text NOT NULL CHECK (scope IN ('platform', 'shop')),
    ref            text NOT NULL,
    bucket_seconds integer NOT NULL,
    bucket         timestamptz NOT NULL,
    approvals      bigint NOT NULL,
    amount_minor   bigint NOT NULL,
    PRIMARY KEY (scope, ref, bucket_seconds, bucket)
);

CREATE TABLE shop_day (                                 -- shop features; they end yesterday and carry their as_of
    shop_id      text NOT NULL,
    kind         text NOT NULL,
    day          date NOT NULL,
    events       bigint NOT NULL,
    amount_minor bigint NOT NULL,
    PRIMARY KEY (shop_id, kind, day)
);

CREATE TABLE roll_up (
    name        text PRIMARY KEY,
    position    bigint NOT NULL,
    as_of       timestamptz NOT NULL
);

CREATE SEQUENCE change_position;

-- Directory: a platform's order id to its lane; written first, never changed; distributed by order id ------------

CREATE TABLE order_directory (
    order_id    text PRIMARY KEY,
    lane        smallint NOT NULL,
    buyer_id    text NOT NULL
);

-- Tables by lane -------------------------------------------------------------------------------------------------

CREATE TABLE buyer (                                    -- the first lock of every path
    lane          smallint NOT NULL,
    buyer_id      text NOT NULL,
    registered_at timestamptz,                          -- NULL: unknown
    region        text,
    attributes    jsonb NOT NULL DEFAULT '{}',
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (lane, buyer_id)
);

CREATE TABLE selection (                                -- R3(a): the platform's allow and deny lists
    lane        smallint NOT NULL,
    buyer_id    text NOT NULL,
    verdict     text NOT NULL CHECK (verdict IN ('allow', 'deny')),
    reason      text NOT NULL DEFAULT '',
    set_by      text NOT NULL,
    set_at      timestamptz NOT NULL,
    PRIMARY KEY (lane, buyer_id)
);

CREATE TABLE restriction (                              -- R11
    lane           smallint NOT NULL,
    restriction_id uuid NOT NULL,
    buyer_id       text NOT NULL,
    reason         text NOT NULL,
    starts_at      timestamptz NOT NULL,
    ends_at        timestamptz,
    lifted_at      timestamptz,
    set_by         text NOT NULL,
    PRIMARY KEY (lane, restriction_id)
);
CREATE INDEX restriction_of_buyer ON restriction (lane, buyer_id);

CREATE TABLE orders (
    lane          smallint NOT NULL,
    order_id      text NOT NULL,
    buyer_id      text NOT NULL,
    shop_id       text NOT NULL,
    currency      text NOT NULL CHECK (length(currency) = 3),
    freight_minor bigint NOT NULL CHECK (freight_minor >= 0),
    freight_claimed_minor bigint NOT NULL DEFAULT 0,
    hold          text NOT NULL DEFAULT 'none' CHECK (hold IN ('none', 'presale', 'group_buy', 'risk_review')),
    placed_at     timestamptz NOT NULL,
    paid_at       timestamptz,
    completed_at  timestamptz,
    ship_by       timestamptz,
    PRIMARY KEY (lane, order_id),
    CHECK (freight_claimed_minor BETWEEN 0 AND freight_minor)
);
CREATE INDEX orders_of_buyer ON orders (lane, buyer_id, placed_at DESC);
CREATE INDEX orders_of_shop ON orders (shop_id, placed_at DESC);

CREATE TABLE order_line (
    lane             smallint NOT NULL,
    order_id         text NOT NULL,
    line_id          text NOT NULL,
    position         integer NOT NULL,
    sku              text NOT NULL,
    item_id          text NOT NULL,
    category_id      text,
    title            text NOT NULL DEFAULT '',
    quantity         bigint NOT NULL CHECK (quantity > 0),
    paid_minor       bigint NOT NULL CHECK (paid_minor >= 0),   -- what the buyer paid for all units, discounts taken off
    customised       boolean,                                   -- NULL: unknown
    virtual          boolean,
    claimed_quantity bigint NOT NULL DEFAULT 0 CHECK (claimed_quantity >= 0),  -- units in open or granted tickets
    claimed_minor    bigint NOT NULL DEFAULT 0,
    shipped_quantity bigint NOT NULL DEFAULT 0 CHECK (shipped_quantity >= 0),  -- units that left by a ship command
    scanned_quantity bigint NOT NULL DEFAULT 0 CHECK (scanned_quantity >= 0),  -- units that left by a carrier's word alone
    PRIMARY KEY (lane, order_id, line_id),
    FOREIGN KEY (lane, order_id) REFERENCES orders (lane, order_id),
    -- INVARIANT I3: no unit is both refunded and shipped through this system. Carrier scans are facts and stand apart.
    CONSTRAINT unit_refunded_or_shipped CHECK (claimed_quantity + shipped_quantity <= quantity),
    CONSTRAINT line_refund_within_paid CHECK (claimed_minor BETWEEN 0 AND paid_minor)
);

CREATE TABLE tender (
    lane           smallint NOT NULL,
    order_id       text NOT NULL,
    tender_id      text NOT NULL,
    provider       text NOT NULL,
    payment_id     text NOT NULL,
    currency       text NOT NULL,
    captured_minor bigint NOT NULL CHECK (captured_minor > 0),
    pending_minor  bigint NOT NULL DEFAULT 0 CHECK (pending_minor >= 0),
    refunded_minor bigint NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
    captured_at    timestamptz NOT NULL,
    PRIMARY KEY (lane, order_id, tender_id),
    FOREIGN KEY (lane, order_id) REFERENCES orders (lane, order_id),
    -- INVARIANT I1: never more back than was captured, pending refunds included.
    CONSTRAINT refund_within_captured CHECK (pending_minor + refunded_minor <= captured_minor)
);

CREATE TABLE funding (                                  -- shares of the price that somebody else than the buyer paid
    lane           smallint NOT NULL,
    order_id       text NOT NULL,
    funder         text NOT NULL CHECK (funder IN ('platform_subsidy', 'merchant_coupon', 'talent_subsidy')),
    amount_minor   bigint NOT NULL CHECK (amount_minor > 0),
    returned_minor bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (lane, order_id, funder),
    FOREIGN KEY (lane, order_id) REFERENCES orders (lane, order_id),
    CONSTRAINT returned_within_funding CHECK (returned_minor BETWEEN 0 AND amount_minor)
);

CREATE TABLE shipment (
    lane        smallint NOT NULL,
    order_id    text NOT NULL,
    shipment_id uuid NOT NULL,
    degree      text NOT NULL CHECK (degree IN ('label_printed', 'picked_up', 'shipped', 'delivered')),
    carrier     text NOT NULL DEFAULT '',
    tracking_no text NOT NULL,
    source      text NOT NULL CHECK (source IN ('merchant', 'carrier')),
    commanded   boolean NOT NULL,                       -- its units count as shipped by command, else by the carrier's word
    lines       jsonb NOT NULL,                         -- [{line_id, quantity}]
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (lane, order_id, shipment_id),
    UNIQUE (lane, order_id, carrier, tracking_no),      -- the same waybill again is the same shipment
    FOREIGN KEY (lane, order_id) REFERENCES orders (lane, order_id)
);

CREATE TABLE ticket (
    lane          smallint NOT NULL,
    ticket_id     uuid NOT NULL,
    order_id      text NOT NULL,
    buyer_id      text NOT NULL,
    shop_id       text NOT NULL,
    state         text NOT NULL CHECK (state IN ('awaiting_merchant', 'refunding', 'refunded', 'refund_failed',
                                                 'rejected', 'withdrawn', 'closed')),
    version       integer NOT NULL,
    reason        text NOT NULL,
    currency      text NOT NULL,
    amount_minor  bigint NOT NULL CHECK (amount_minor > 0),
    freight_minor bigint NOT NULL CHECK (freight_minor >= 0),
    funding_returns jsonb NOT NULL DEFAULT '{}',
    notice        jsonb,                                -- R14: the policy's words, on tickets that the service decided
    approved_by   text CHECK (approved_by IN ('instant_refund', 'merchant', 'merchant_timeout', 'arbitration', 'operator')),
    review_reason text,                                 -- set when a guard, not the policy, sent it to review
    arm           text NOT NULL,
    on_timeout    text NOT NULL CHECK (on_timeout IN ('approve', 'reject')),
    requested_at  timestamptz NOT NULL,
    expires_at    timestamptz,
    approved_at   timestamptz,
    closed_at     timestamptz,                          -- refunded, rejected or withdrawn
    PRIMARY KEY (lane, ticket_id),
    FOREIGN KEY (lane, order_id) REFERENCES orders (lane, order_id)
);
CREATE INDEX ticket_of_order ON ticket (lane, order_id);
CREATE INDEX ticket_of_shop ON ticket (shop_id, requested_at DESC, ticket_id DESC);
CREATE INDEX ticket_of_buyer ON ticket (lane, buyer_id, requested_at DESC, ticket_id DESC);
CREATE INDEX ticket_by_time ON ticket (requested_at DESC, ticket_id DESC);
CREATE INDEX ticket_due ON ticket (lane, expires_at) WHERE state = 'awaiting_merchant';
CREATE INDEX ticket_quota ON ticket (lane, buyer_id, approved_at) WHERE approved_by = 'instant_refund';   -- I6

CREATE TABLE ticket_line (
    lane         smallint NOT NULL,
    ticket_id    uuid NOT NULL,
    order_id     text NOT NULL,
    line_id      text NOT NULL,
    quantity     bigint NOT NULL CHECK (quantity > 0),
    amount_minor bigint NOT NULL CHECK (amount_minor >= 0),
    open         boolean NOT NULL,
    PRIMARY KEY (lane, ticket_id, line_id)
);
CREATE INDEX ticket_line_of_order ON ticket_line (lane, order_id, line_id);
CREATE UNIQUE INDEX one_open_ticket_per_line ON ticket_line (lane, order_id, line_id) WHERE open;

CREATE TABLE ticket_event (                             -- the timeline
    lane       smallint NOT NULL,
    ticket_id  uuid NOT NULL,
    seq        integer NOT NULL,
    order_id   text NOT NULL,
    at         timestamptz NOT NULL,
    actor_kind text NOT NULL,
    actor_id   text NOT NULL DEFAULT '',
    from_state text,
    to_state   text NOT NULL,
    why        text NOT NULL,
    detail     jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (lane, ticket_id, seq)
);
CREATE INDEX ticket_event_of_order ON ticket_event (lane, order_id);

CREATE TABLE decision (                                 -- I4: policy version and facts, stored whole
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
    PRIMARY KEY (lane, ticket_id)
);

CREATE TABLE refund (                                   -- the row is the queue (03)
    lane         smallint NOT NULL,
    refund_id    uuid NOT NULL,
    ticket_id    uuid NOT NULL,
    order_id     text NOT NULL,
    tender_id    text NOT NULL,
    provider     text NOT NULL,
    payment_id   text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    captured_minor bigint NOT NULL,
    currency     text NOT NULL,
    state        text NOT NULL CHECK (state IN ('queued', 'sending', 'pending', 'unknown', 'succeeded', 'failed')),
    attempt_no   integer NOT NULL DEFAULT 0,
    tries        integer NOT NULL DEFAULT 0,            -- calls made for the attempt in hand: paces the backoff
    due_at       timestamptz,                           -- NULL: nothing to do
    leased_until timestamptz,
    reason       text NOT NULL DEFAULT '',
    queued_at    timestamptz NOT NULL,
    closed_at    timestamptz,
    PRIMARY KEY (lane, refund_id),
    FOREIGN KEY (lane, order_id, tender_id) REFERENCES tender (lane, order_id, tender_id)
);
CREATE INDEX refund_of_order ON refund (lane, order_id);
CREATE INDEX refund_of_ticket ON refund (lane, ticket_id);
CREATE INDEX refund_due ON refund (lane, due_at) WHERE due_at IS NOT NULL;

CREATE TABLE refund_attempt (
    lane       smallint NOT NULL,
    attempt_id uuid NOT NULL,                           -- the idempotency key that the provider sees
    refund_id  uuid NOT NULL,
    order_id   text NOT NULL,
    attempt_no integer NOT NULL,
    state      text NOT NULL CHECK (state IN ('sending', 'pending', 'unknown', 'succeeded', 'declined')),
    provider_refund_id text,
    reason     text NOT NULL DEFAULT '',
    moves      integer NOT NULL DEFAULT 0,              -- how often news moved it; names its ledger postings
    started_at timestamptz NOT NULL,
    news_at    timestamptz,
    PRIMARY KEY (lane, attempt_id),
    UNIQUE (lane, refund_id, attempt_no),
    FOREIGN KEY (lane, refund_id) REFERENCES refund (lane, refund_id)
);
CREATE INDEX refund_attempt_of_order ON refund_attempt (lane, order_id);
-- INVARIANT I2: a refund has at most one attempt that may still pay or has paid.
CREATE UNIQUE INDEX one_live_attempt_per_refund ON refund_attempt (lane, refund_id) WHERE state <> 'declined';

CREATE TABLE ledger (                                   -- I7: a row moves a positive amount between two accounts
    lane         smallint NOT NULL,
    order_id     text NOT NULL,
    posting      text NOT NULL,                         -- names the cause; a repeated cause posts nothing
    debit        text NOT NULL,
    credit       text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency     text NOT NULL,
    posted_at    timestamptz NOT NULL,
    PRIMARY KEY (lane, order_id, posting),
    CHECK (debit <> credit)
);

CREATE TABLE incident (                                 -- R9
    lane        smallint NOT NULL,
    incident_id uuid NOT NULL,
    order_id    text NOT NULL,
    ticket_id   uuid NOT NULL,
    shop_id     text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('goods_left_after_refund')),
    state       text NOT NULL CHECK (state IN ('open', 'settled')),
    amount_minor bigint NOT NULL,
    currency    text NOT NULL,
    evidence    jsonb NOT NULL,
    opened_at   timestamptz NOT NULL,
    PRIMARY KEY (lane, incident_id),
    UNIQUE (lane, ticket_id)                            -- more evidence joins the ticket's incident
);
CREATE INDEX incident_of_order ON incident (lane, order_id);
CREATE INDEX incident_of_shop ON incident (shop_id, opened_at DESC);

CREATE TABLE buyer_event (                              -- append-only history; a retraction is an event of its own
    lane         smallint NOT NULL,
    buyer_id     text NOT NULL,
    event_id     text NOT NULL,
    kind         text NOT NULL,
    at           timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL,
    order_id     text,
    amount_minor bigint NOT NULL DEFAULT 0,
    retracts     text,
    PRIMARY KEY (lane, buyer_id, event_id)
);

CREATE TABLE buyer_day (                                -- its roll-up by whole days of the platform's time zone
    lane         smallint NOT NULL,
    buyer_id     text NOT NULL,
    kind         text NOT NULL,
    day          date NOT NULL,
    events       bigint NOT NULL,
    amount_minor bigint NOT NULL,
    PRIMARY KEY (lane, buyer_id, kind, day)
);

CREATE TABLE change (                                   -- the feed behind /v1/changes, roll-ups and webhooks
    lane        smallint NOT NULL,
    change_id   bigint GENERATED ALWAYS AS IDENTITY,
    position    bigint,                                 -- NULL until published; publishing is serial, so positions have no late comers
    kind        text NOT NULL,
    order_id    text NOT NULL,
    ticket_id   uuid,
    buyer_id    text NOT NULL,
    shop_id     text NOT NULL,
    at          timestamptz NOT NULL,
    body        jsonb NOT NULL,
    PRIMARY KEY (lane, change_id)
);
CREATE INDEX change_unpublished ON change (change_id) WHERE position IS NULL;
CREATE UNIQUE INDEX change_published ON change (position, lane) WHERE position IS NOT NULL;

CREATE TABLE idempotency (                              -- lane: of the key, not of the buyer (decision 0004)
    lane        smallint NOT NULL,
    key_id      text NOT NULL,
    route       text NOT NULL,
    key         text NOT NULL,
    body_hash   bytea NOT NULL,
    status      smallint NOT NULL,
    answer      bytea NOT NULL,
    answered_at timestamptz NOT NULL,
    PRIMARY KEY (lane, key_id, route, key)
);
ALTER TABLE idempotency ALTER COLUMN answer SET STORAGE EXTERNAL;  -- kept for days: not worth compressing
CREATE INDEX idempotency_by_age ON idempotency (answered_at);
