-- API keys ------------------------------------------------------------------------------------------------------------

ALTER TABLE api_key
    ADD COLUMN permissions  text[] CHECK (cardinality(permissions) > 0),  -- NULL: all that the scope may do
    ADD COLUMN created_by   text NOT NULL DEFAULT '',
    ADD COLUMN revoked_by   text,
    ADD COLUMN replaced_by  text REFERENCES api_key (key_id),             -- the key that this one was rolled to
    ADD COLUMN client_id    text REFERENCES api_key (key_id),             -- the first of a line of rolled keys
    ADD COLUMN last_used_at timestamptz;                                  -- to the minute
