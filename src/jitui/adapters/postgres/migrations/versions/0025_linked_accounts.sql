-- What the platform says a buyer uses, hashed by the platform: raw values never come here.
CREATE TABLE identity_link (
    lane        smallint NOT NULL,
    buyer_id    text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('address', 'device', 'payment_instrument')),
    hash        text NOT NULL CONSTRAINT link_is_hashed CHECK (hash ~ '^[0-9A-Za-z_-]{32,128}$'),
    seen_at     timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    linked      boolean NOT NULL DEFAULT false,          -- a worker has looked at it
    PRIMARY KEY (lane, buyer_id, kind, hash)
);
CREATE INDEX identity_link_by_hash ON identity_link (kind, hash);
CREATE INDEX identity_link_new ON identity_link (recorded_at) WHERE NOT linked;

-- Which cluster a buyer is of, from when until when. Nothing is taken back: a merge ends rows and begins others.
CREATE TABLE cluster_member (
    lane       smallint NOT NULL,
    buyer_id   text NOT NULL,
    cluster_id uuid NOT NULL,
    from_at    timestamptz NOT NULL,
    until_at   timestamptz CHECK (until_at >= from_at),
    PRIMARY KEY (lane, buyer_id, from_at)
);
CREATE UNIQUE INDEX one_cluster_of_buyer ON cluster_member (lane, buyer_id) WHERE until_at IS NULL;
CREATE INDEX member_of_cluster ON cluster_member (cluster_id) WHERE until_at IS NULL;

CREATE FUNCTION membership_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.lane <> OLD.lane OR NEW.cluster_id <> OLD.cluster_id OR NEW.from_at <> OLD.from_at
       OR (OLD.until_at IS NOT NULL AND NEW.until_at IS DISTINCT FROM OLD.until_at) THEN
        RAISE 'A membership in a cluster is recorded for good; it only ends.' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER membership_is_kept BEFORE UPDATE OR DELETE ON cluster_member
    FOR EACH ROW EXECUTE FUNCTION membership_is_kept();

-- What a decision reads of the cluster, in the buyer's lane; a worker keeps it.
CREATE TABLE cluster_state (
    lane             smallint NOT NULL,
    buyer_id         text NOT NULL,
    cluster_id       uuid,                               -- NULL: links, and nobody who shares them
    size             bigint NOT NULL CHECK (size >= 1),
    other_restricted boolean NOT NULL,
    PRIMARY KEY (lane, buyer_id)
);
