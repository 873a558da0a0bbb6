-- Commerce platforms ----------------------------------------------------------------------------------------------

-- How far a platform was read; `synced_at`: when a reading last came to its end; `problem`: why the last one did not.
CREATE TABLE platform_state (
    platform   text PRIMARY KEY,
    cursor_at  timestamptz,
    synced_at  timestamptz,
    problem    text NOT NULL DEFAULT ''
);
