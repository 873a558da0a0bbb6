-- Orders that a platform's webhook named: they are read there at the next reading. Nothing else of a webhook is kept.
CREATE TABLE platform_hint (
    platform  text NOT NULL,
    order_id  text NOT NULL,                             -- as the webhook calls it: the number, or the platform's id
    hinted_at timestamptz NOT NULL,
    PRIMARY KEY (platform, order_id)
);
