-- Reference tables: people who sign in to the console are few, and no ticket's life depends on them.

CREATE TABLE console_person (
    name          text PRIMARY KEY,                     -- what is typed at sign-in
    role          text NOT NULL CHECK (role IN ('buyer', 'merchant')),
    subject_id    text NOT NULL,                        -- the buyer or the shop that this person may see (I8)
    display_name  text NOT NULL,
    about         jsonb NOT NULL DEFAULT '{}',          -- {"zh": …, "en": …}: one line beside a sample person's name
    sample        boolean NOT NULL DEFAULT false,       -- one of a demo's own people
    password_hash text,                                 -- Argon2id; NULL: cannot sign in by password
    created_at    timestamptz NOT NULL
);

CREATE TABLE console_session (
    token_hash    bytea PRIMARY KEY,                    -- SHA-256; the token itself is only in the cookie
    name          text NOT NULL REFERENCES console_person (name) ON DELETE CASCADE,
    started_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL
);
CREATE INDEX console_session_by_age ON console_session (expires_at);

CREATE TABLE sign_in_attempt (                          -- guesses are counted for all processes together
    source        bytea PRIMARY KEY,                    -- SHA-256 of an address, or of a name at an address
    since         timestamptz NOT NULL,
    attempts      integer NOT NULL
);

CREATE TABLE installation_secret (                      -- made once, shared by all processes of an installation
    name          text PRIMARY KEY,
    secret        text NOT NULL
);
