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
    ADD COLUMN totp_last_step    bigint;               -- a code of this step of thirty seconds, or of an earlier one, is used

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
