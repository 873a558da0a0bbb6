-- API keys ------------------------------------------------------------------------------------------------------------

ALTER TABLE api_key
    ADD COLUMN permissions  text[] CHECK (cardinality(permissions) > 0),  -- NULL: all that the scope may do
    ADD COLUMN created_by   text NOT NULL DEFAULT '',
    ADD COLUMN revoked_by   text,
    ADD COLUMN replaced_by  text REFERENCES api_key (key_id),             -- the key that this one was rolled to
    ADD COLUMN client_id    text REFERENCES api_key (key_id),             -- the first of a line of rolled keys
    ADD COLUMN last_used_at timestamptz;                                  -- to the minute

-- People ---------------------------------------------------------------------------------------------------------------

ALTER TABLE console_person
    DROP CONSTRAINT console_person_role_check,
    ADD CONSTRAINT console_person_role_check
        CHECK (role IN ('buyer', 'merchant', 'support', 'risk', 'operator', 'auditor', 'admin')),
    -- A buyer and a merchant are bound to one buyer or shop, the others to none. NOT VALID: rows from before stay.
    ADD CONSTRAINT console_person_subject CHECK ((role IN ('buyer', 'merchant')) = (subject_id <> '')) NOT VALID,
    ADD COLUMN disabled_at       timestamptz,
    ADD COLUMN last_signed_in_at timestamptz,
    ADD COLUMN totp_seed         text,                 -- encrypted; NULL: no second factor
    ADD COLUMN totp_pending      text,                 -- encrypted; no code of it was seen yet
    ADD COLUMN totp_last_step    bigint,               -- a code of this step of thirty seconds, or of an earlier one, is used
    ADD CONSTRAINT one_seed CHECK (totp_seed IS NULL OR totp_pending IS NULL);

CREATE TABLE recovery_code (                           -- a row is deleted when its code is used
    name          text NOT NULL REFERENCES console_person (name) ON DELETE CASCADE,
    code_hash     bytea NOT NULL,                      -- SHA-256; a code has 79 random bits
    PRIMARY KEY (name, code_hash)
);

CREATE TABLE one_time_link (
    token_hash    bytea PRIMARY KEY,                   -- SHA-256; the token itself is only in the link
    name          text NOT NULL REFERENCES console_person (name) ON DELETE CASCADE,
    created_at    timestamptz NOT NULL,
    created_by    text NOT NULL,
    expires_at    timestamptz NOT NULL,
    used_at       timestamptz
);
CREATE INDEX one_time_link_by_name ON one_time_link (name);

CREATE TABLE pending_sign_in (                         -- the password was right, the second factor is still to come
    token_hash    bytea PRIMARY KEY,
    name          text NOT NULL REFERENCES console_person (name) ON DELETE CASCADE,
    expires_at    timestamptz NOT NULL
);

ALTER TABLE console_session
    ADD COLUMN session_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    ADD COLUMN address    text NOT NULL DEFAULT '',
    ADD COLUMN agent      text NOT NULL DEFAULT '';
CREATE INDEX console_session_by_name ON console_session (name);

-- The audit log --------------------------------------------------------------------------------------------------------

CREATE TABLE audit_event (
    number        bigint PRIMARY KEY,                  -- 1, 2, 3 and so on, without a gap
    at            timestamptz NOT NULL,
    actor         text NOT NULL,                       -- who did it, as `--by`, a key's label or a person's name say
    action        text NOT NULL,                       -- such as key.revoked
    subject       text NOT NULL,                       -- what it was done to: an id, a name
    detail        text NOT NULL,                       -- JSON, as it was written; its very bytes are hashed
    previous_hash bytea NOT NULL,
    hash          bytea NOT NULL
);
CREATE INDEX audit_event_by_subject ON audit_event (subject, number);

CREATE TABLE audit_head (                              -- where the log ends; the lock that lets one append at a time
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    number        bigint NOT NULL,
    hash          bytea NOT NULL
);
INSERT INTO audit_head (number, hash) VALUES (0, sha256('jitui audit log'));

-- Each field stands behind its length in bytes, so that no two events have one text.
CREATE FUNCTION audit_hash(number bigint, at timestamptz, actor text, action text, subject text, detail text, previous bytea)
RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT sha256(convert_to(string_agg(octet_length(convert_to(field, 'UTF8')) || ':' || field, '' ORDER BY place), 'UTF8'))
    FROM unnest(ARRAY[number::text, (extract(epoch FROM at) * 1000000)::bigint::text, actor, action, subject, detail,
                      encode(previous, 'hex')]) WITH ORDINALITY AS fields (field, place)
$$;

CREATE FUNCTION append_audit(at timestamptz, actor text, action text, subject text, detail text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    head audit_head;
    new_hash bytea;
BEGIN
    SELECT * INTO STRICT head FROM audit_head FOR UPDATE;
    new_hash := audit_hash(head.number + 1, at, actor, action, subject, detail, head.hash);
    INSERT INTO audit_event VALUES (head.number + 1, at, actor, action, subject, detail, head.hash, new_hash);
    UPDATE audit_head SET number = head.number + 1, hash = new_hash;
    RETURN head.number + 1;
END $$;

CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The audit log is append-only.';
END $$;

CREATE TRIGGER audit_event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
