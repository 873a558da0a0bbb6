-- Connections to commerce platforms, and calls there --------------------------------------------------------------

-- One worker at a time cancels and refunds an order at a platform; a lock that is over may be taken by another.
CREATE TABLE platform_lock (
    platform text NOT NULL,
    order_id text NOT NULL,
    holder   uuid NOT NULL,
    until    timestamptz NOT NULL,
    PRIMARY KEY (platform, order_id)
);

-- INVARIANT I2: one attempt asks a platform for its refund once. A row is there before the call, and only what certainly
-- did not reach the platform takes it back.
CREATE TABLE platform_call (
    attempt_id uuid PRIMARY KEY,
    platform   text NOT NULL,
    order_id   text NOT NULL,
    begun_at   timestamptz NOT NULL,
    made_note  text                                     -- a person has seen at the gateway that it was made
);

-- The shop's systems that are connected; the secret stays in its file. A process takes them up when it starts.
CREATE TABLE platform_connection (
    platform     text PRIMARY KEY,
    url          text NOT NULL,
    secret_file  text NOT NULL,
    shop_id      text NOT NULL,
    settles      boolean NOT NULL,
    connected_at timestamptz NOT NULL,
    connected_by text NOT NULL
);

-- When the orders whose changes the platform does not tell by a time were last read.
ALTER TABLE platform_state ADD COLUMN watched_at timestamptz;
