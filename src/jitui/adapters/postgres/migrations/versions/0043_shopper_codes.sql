-- Buyers without an account ----------------------------------------------------------------------------------------

-- A code that was sent to an order's buyer. `asked`: the hash of what the asking browser alone has; `code` is hashed with
-- it. No address is kept. Rows are deleted when they count for no limit any more.
CREATE TABLE shopper_code (
    asked       bytea PRIMARY KEY,
    code        bytea NOT NULL,
    order_id    text NOT NULL,
    sent_at     timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz,
    tries       integer NOT NULL DEFAULT 0
);
CREATE INDEX shopper_code_of_order ON shopper_code (order_id, sent_at);
CREATE INDEX shopper_code_by_age ON shopper_code (sent_at);
