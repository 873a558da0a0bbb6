-- Who somebody is at the issuer. An e-mail address stands here to find the person once, by an address that the issuer
-- has verified; from then on the subject counts.
ALTER TABLE console_person
    ADD COLUMN email            text CHECK (email = lower(email) AND email <> ''),
    ADD COLUMN openid_issuer    text,
    ADD COLUMN openid_subject   text CHECK (openid_subject <> ''),
    ADD COLUMN role_from_issuer boolean NOT NULL DEFAULT false,  -- each sign-in sets the role anew, by what the issuer says
    ADD CONSTRAINT openid_identity CHECK ((openid_issuer IS NULL) = (openid_subject IS NULL));
CREATE UNIQUE INDEX one_person_per_email ON console_person (email);
CREATE UNIQUE INDEX one_person_per_openid_subject ON console_person (openid_issuer, openid_subject);

-- Defaults, so that an earlier release beside this one begins sessions too.
ALTER TABLE console_session
    ADD COLUMN way           text NOT NULL DEFAULT 'password' CHECK (way IN ('password', 'openid', 'sample')),
    ADD COLUMN second_factor boolean NOT NULL DEFAULT false;     -- it was begun with one, or one was set up in it
UPDATE console_session s SET second_factor = true FROM console_person p WHERE p.name = s.name AND p.totp_seed IS NOT NULL;
ALTER TABLE pending_sign_in ADD COLUMN way text NOT NULL DEFAULT 'password';

CREATE TABLE openid_sign_in (                          -- somebody was sent to the issuer and has not come back yet
    state_hash   bytea PRIMARY KEY,                    -- SHA-256 of what the issuer sends back
    browser_hash bytea NOT NULL,                       -- SHA-256 of the cookie of the browser that was sent there
    issuer       text NOT NULL,
    next_path    text NOT NULL,
    expires_at   timestamptz NOT NULL
);

-- By this id the audit log names an entry: a buyer can be erased, and that log cannot forget.
ALTER TABLE selection ADD COLUMN selection_id uuid NOT NULL DEFAULT gen_random_uuid();
