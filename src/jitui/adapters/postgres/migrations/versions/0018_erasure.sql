-- HMAC-SHA-256 (RFC 2104) for keys of up to 64 bytes. PostgreSQL has none without an extension.
CREATE FUNCTION hmac_sha256(key bytea, message text) RETURNS bytea IMMUTABLE STRICT LANGUAGE plpgsql AS $$
DECLARE
    padded bytea := key || decode(repeat('00', 64 - length(key)), 'hex');
    inner_pad bytea := padded;
    outer_pad bytea := padded;
BEGIN
    FOR place IN 0..63 LOOP
        inner_pad := set_byte(inner_pad, place, get_byte(padded, place) # 54);
        outer_pad := set_byte(outer_pad, place, get_byte(padded, place) # 92);
    END LOOP;
    RETURN sha256(outer_pad || sha256(inner_pad || convert_to(message, 'UTF8')));
END $$;

CREATE FUNCTION pseudonym_by(key bytea, buyer_id text) RETURNS text IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT 'bp_' || left(encode(hmac_sha256(key, buyer_id), 'hex'), 32)
$$;

-- What stands for a buyer where nothing is ever taken back: on the feed and in the audit log. With the row goes the key,
-- and then nobody can tell whose the pseudonym was.
CREATE TABLE buyer_pseudonym (
    lane        smallint NOT NULL,
    buyer_id    text NOT NULL,
    key         bytea NOT NULL,
    pseudonym   text NOT NULL,                          -- pseudonym_by(key, buyer_id)
    PRIMARY KEY (lane, buyer_id)
);

CREATE FUNCTION pseudonym_key() RETURNS bytea VOLATILE LANGUAGE sql AS $$  -- 244 random bits
    SELECT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
$$;

CREATE FUNCTION make_pseudonym(of_lane smallint, of_buyer text) RETURNS text STRICT LANGUAGE plpgsql AS $$
DECLARE
    made text;
    new_key bytea := pseudonym_key();
BEGIN
    SELECT pseudonym INTO made FROM buyer_pseudonym WHERE lane = of_lane AND buyer_id = of_buyer;
    IF made IS NULL THEN
        INSERT INTO buyer_pseudonym AS p (lane, buyer_id, key, pseudonym)
        VALUES (of_lane, of_buyer, new_key, pseudonym_by(new_key, of_buyer))
        ON CONFLICT (lane, buyer_id) DO UPDATE SET buyer_id = p.buyer_id  -- made by another one at this moment
        RETURNING pseudonym INTO made;
    END IF;
    RETURN made;
END $$;

-- Erased buyers ----------------------------------------------------------------------------------------------------------

-- Who was erased, without saying who: it recognises an id that comes again. Until a month, not a day: a day would find
-- the rest of that day's audit log.
CREATE TABLE erased_buyer (
    lane        smallint NOT NULL,
    digest      bytea NOT NULL,                          -- HMAC-SHA-256 of the buyer's id
    keep_until  date NOT NULL CHECK (extract(day FROM keep_until) = 1),
    PRIMARY KEY (lane, digest)
);
CREATE INDEX erased_buyer_by_age ON erased_buyer (keep_until);

-- Made here, so that every backup from now on has it: a list of digests is kept beside the backups.
INSERT INTO installation_secret (name, secret)
VALUES ('erasure digest', encode(pseudonym_key(), 'hex'));

CREATE FUNCTION erasure_digest(buyer_id text) RETURNS bytea STABLE STRICT LANGUAGE sql AS $$
    SELECT hmac_sha256(decode(secret, 'hex'), buyer_id) FROM installation_secret WHERE name = 'erasure digest'
$$;

CREATE FUNCTION was_erased(of_lane smallint, of_buyer text) RETURNS boolean STABLE STRICT LANGUAGE sql AS $$
    SELECT EXISTS (SELECT 1 FROM erased_buyer WHERE lane = of_lane)  -- which costs less than the digest
       AND EXISTS (SELECT 1 FROM erased_buyer WHERE lane = of_lane AND digest = erasure_digest(of_buyer))
$$;

-- `erased`: stands in an erased buyer's place. `history_from`: nothing that happened to the buyer before is known here,
-- because it was erased; for an erased buyer nothing ever is.
ALTER TABLE buyer
    ADD COLUMN erased       boolean NOT NULL DEFAULT false,
    ADD COLUMN history_from timestamptz,
    ADD CONSTRAINT erased_has_no_history CHECK (NOT erased OR history_from >= '9999-01-01T00:00:00Z');

CREATE INDEX event_directory_of_buyer ON event_directory (buyer_id);

-- What is left of a document: numbers, truth values, and the texts of these fields, which are words, times and ids of
-- ours and of the goods. A buyer's reason is one of a list of words; a merchant's is free text.
CREATE FUNCTION without_free_text(document jsonb) RETURNS jsonb IMMUTABLE LANGUAGE plpgsql AS $$
DECLARE
    kept CONSTANT text[] := ARRAY['state', 'why', 'kind', 'degree', 'source', 'currency', 'approved_by', 'arm', 'line_id',
        'sku', 'item_id', 'category_id', 'ticket_id', 'ticket_ids', 'refund_id', 'attempt_id', 'task_id', 'dispute_id',
        'tender_id', 'payment_id', 'provider', 'provider_refund_id', 'funder', 'lines', 'completed_at', 'happened_at',
        'recorded_at', 'approved_at', 'opened_at', 'on_timeout', 'carrier'];
    reasons CONSTANT text[] := ARRAY['no_longer_wanted', 'wrong_selection', 'not_shipped_in_time', 'found_cheaper',
        'out_of_stock', 'other'];
BEGIN
    RETURN CASE jsonb_typeof(document)
        WHEN 'object' THEN (
            SELECT coalesce(jsonb_object_agg(field.key, CASE
                    WHEN field.key = ANY (kept) AND jsonb_typeof(field.value) = 'array'
                         AND NOT jsonb_path_exists(field.value, '$[*] ? (@.type() != "string")') THEN field.value
                    WHEN jsonb_typeof(field.value) IN ('object', 'array') THEN without_free_text(field.value)
                    ELSE field.value END), '{}')
            FROM jsonb_each(document) AS field (key, value)
            WHERE jsonb_typeof(field.value) <> 'string' OR field.key = ANY (kept)
               OR (field.key = 'reason' AND field.value #>> '{}' = ANY (reasons)))
        WHEN 'array' THEN (
            SELECT coalesce(jsonb_agg(without_free_text(item.value) ORDER BY item.place), '[]')
            FROM jsonb_array_elements(document) WITH ORDINALITY AS item (value, place)
            WHERE jsonb_typeof(item.value) <> 'string')
        ELSE document END;
END $$;

-- A decision without the texts that the platform had sent about the buyer; numbers and truth values stay, because the
-- decision follows from them.
CREATE FUNCTION without_buyers_texts(document jsonb) RETURNS jsonb IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE jsonb_typeof(document)
        WHEN 'object' THEN (
            SELECT coalesce(jsonb_object_agg(field.key, without_buyers_texts(field.value)), '{}')
            FROM jsonb_each(document) AS field (key, value)
            WHERE NOT (field.key LIKE 'buyer.%%' AND jsonb_typeof(field.value) = 'string'))
        WHEN 'array' THEN (
            SELECT coalesce(jsonb_agg(without_buyers_texts(item.value) ORDER BY item.place), '[]')
            FROM jsonb_array_elements(document) WITH ORDINALITY AS item (value, place))
        ELSE document END;
END $$;

-- The feed ---------------------------------------------------------------------------------------------------------------

-- An earlier release beside this one still writes `buyer_id`; its rows get their pseudonym when they are published or
-- read here. This release writes none, and the next one drops the column.
ALTER TABLE change ADD COLUMN buyer_pseudonym text, ALTER COLUMN buyer_id SET DEFAULT '';
SELECT count(make_pseudonym(lane, buyer_id)) FROM (SELECT DISTINCT lane, buyer_id FROM change) told;
UPDATE change c SET buyer_pseudonym = p.pseudonym, buyer_id = ''
FROM buyer_pseudonym p WHERE p.lane = c.lane AND p.buyer_id = c.buyer_id;
CREATE INDEX change_with_buyer ON change (lane, buyer_id) WHERE buyer_id <> '';

-- The audit log ----------------------------------------------------------------------------------------------------------

-- A row from before that named a buyer is redacted when that buyer is erased, and the erasure's own row says what is left
-- of it: `redacted_in` is that row's number. The row's hash stays, so that the chain does.
ALTER TABLE audit_event ADD COLUMN redacted_in bigint;

CREATE OR REPLACE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('jitui.redacting', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'The audit log is append-only.';
END $$;

-- Somebody who signs in as a buyer is named by the buyer's pseudonym. The addresses of their machine and their mail are
-- left out, and who they are at the issuer of single sign-on.
CREATE FUNCTION append_named_audit(at timestamptz, actor text, action text, subject text, detail text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    acting text := audited_name(actor);
    about text := audited_name(subject);
BEGIN
    RETURN append_audit(at, acting, action, about, CASE
        WHEN acting = actor AND about = subject THEN detail ELSE (detail::jsonb - '{address,email,subject}'::text[])::text END);
END $$;

CREATE FUNCTION audited_name(given text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    buyer text;
BEGIN
    SELECT subject_id INTO buyer FROM console_person WHERE name = given AND role = 'buyer';
    RETURN CASE WHEN buyer IS NULL THEN given
        ELSE make_pseudonym(get_byte(sha256(convert_to(buyer, 'UTF8')), 0)::smallint, buyer) END;
END $$;
