-- A row that a gate wrote says which; `texts` is the reason in each language. An earlier release beside this one changes
-- `set_by` and leaves `gate_id`: then a person has set the row, and it stands above the gates.
ALTER TABLE coverage ADD COLUMN gate_id text, ADD COLUMN texts jsonb;

CREATE FUNCTION is_by_gate(c coverage) RETURNS boolean IMMUTABLE LANGUAGE sql AS $$
    SELECT c.gate_id IS NOT NULL AND c.set_by = 'gate:' || c.gate_id
$$;

CREATE TABLE gated_place (                              -- the lock of a place, and up to when its gates were computed
    scope       text NOT NULL CHECK (scope IN ('shop', 'category', 'item')),
    ref         text NOT NULL,
    computed_on date,                                   -- a day of the platform's time zone
    publication bigint NOT NULL DEFAULT 0,              -- of the policy by which it was computed
    PRIMARY KEY (scope, ref)
);

CREATE TABLE gate_state (                               -- how a place stands with each gate of the policy
    scope             text NOT NULL CHECK (scope IN ('shop', 'category', 'item')),
    ref               text NOT NULL,
    gate_id           text NOT NULL,
    status            text NOT NULL CHECK (status IN ('in', 'notice', 'out')),
    since             date NOT NULL,
    row_days          integer NOT NULL CHECK (row_days >= 0),
    leaves_on         date,
    computed_on       date,
    rule_hash         text NOT NULL,
    verdict           text NOT NULL CHECK (verdict IN ('fails', 'meets', 'between', 'unknown')),
    facts             jsonb NOT NULL,                   -- what the gate read, as it was that day
    public            boolean NOT NULL,
    texts             jsonb NOT NULL,
    return_texts      jsonb NOT NULL,
    leave_after_days  integer NOT NULL,
    return_after_days integer NOT NULL,
    PRIMARY KEY (scope, ref, gate_id),
    CHECK ((leaves_on IS NOT NULL) = (status = 'notice'))
);

CREATE TABLE coverage_history (                         -- append-only
    number         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope          text NOT NULL,
    ref            text NOT NULL,
    what           text NOT NULL CHECK (what IN ('notice_given', 'notice_withdrawn', 'left', 'returned', 'set', 'unset')),
    at             timestamptz NOT NULL,
    gate_id        text,
    from_status    text,
    to_status      text,
    leaves_on      date,
    policy_id      text,
    policy_version text,
    public         boolean NOT NULL DEFAULT true,
    texts          jsonb NOT NULL DEFAULT '{}',
    facts          jsonb NOT NULL DEFAULT '{}',
    set_by         text,
    CHECK ((gate_id IS NULL) = (what IN ('set', 'unset')))
);
CREATE INDEX coverage_history_of_place ON coverage_history (scope, ref, number DESC);

CREATE FUNCTION refuse_coverage_history_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The history of coverage is append-only.';
END $$;
CREATE TRIGGER coverage_history_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON coverage_history
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_coverage_history_change();

CREATE TABLE complaint (                                -- of a merchant about the coverage of its shop
    complaint_id uuid PRIMARY KEY,
    shop_id      text NOT NULL,
    reason       text NOT NULL,
    made_by      text NOT NULL,
    made_at      timestamptz NOT NULL,
    answer_by    timestamptz NOT NULL,
    state        text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'answered')),
    outcome      text CHECK (outcome IN ('upheld', 'rejected')),
    answer       text CHECK (answer <> ''),
    answered_by  text,
    answered_at  timestamptz,
    CHECK (num_nulls(outcome, answer, answered_by, answered_at) = CASE state WHEN 'open' THEN 4 ELSE 0 END)
);
CREATE UNIQUE INDEX one_open_complaint_per_shop ON complaint (shop_id) WHERE state = 'open';
CREATE INDEX complaint_by_deadline ON complaint (answer_by, complaint_id);
CREATE INDEX complaint_of_shop ON complaint (shop_id, made_at DESC);

-- Kinds of tasks of releases beside this one stay.
DO $$
DECLARE
    known text;
BEGIN
    SELECT pg_get_expr(conbin, conrelid) INTO known
    FROM pg_constraint WHERE conrelid = 'task'::regclass AND conname = 'task_kind_check';
    EXECUTE format('ALTER TABLE task DROP CONSTRAINT task_kind_check, ADD CONSTRAINT task_kind_check '
        'CHECK (%%s OR kind = ''complaint_overdue'')', known);
END $$;
