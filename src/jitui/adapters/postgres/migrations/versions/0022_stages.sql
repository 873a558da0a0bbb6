-- Which policy decided for the buyer.
ALTER TABLE ticket ADD CONSTRAINT ticket_arm CHECK (arm IN ('live', 'canary', 'hold_out')) NOT VALID;

-- What a policy in shadow decided beside it: its version and hash, its outcome, the ids of conditions that differ.
ALTER TABLE decision ADD COLUMN shadow jsonb;
CREATE INDEX decision_in_shadow ON decision ((shadow ->> 'policy_sha256'), decided_at) WHERE shadow IS NOT NULL;

-- What the guards of a canary have counted, and how far. A reference table: five rows for each canary.
CREATE TABLE canary_guard (
    publication  bigint NOT NULL REFERENCES policy (publication),
    metric       text NOT NULL CHECK (metric IN ('incident_rate', 'refund_failures', 'money_out', 'share_instant',
                                                 'repeat_requests')),
    requested_at timestamptz NOT NULL,                   -- counted up to and with this request
    ticket_id    uuid NOT NULL,
    evidence     jsonb NOT NULL,
    crossed      boolean NOT NULL,
    updated_at   timestamptz NOT NULL,
    PRIMARY KEY (publication, metric)
);

-- While a signal stands, the share of the canary is not raised, whoever wants it.
CREATE FUNCTION canary_share_is_paused() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM policy p JOIN canary_guard g USING (publication)
        WHERE p.stage = 'canary' AND p.sha256 = NEW.sha256 AND p.canary_percent < NEW.canary_percent AND g.crossed
          AND NOT EXISTS (SELECT 1 FROM policy n WHERE n.publication > p.publication AND n.action <> 'cancel'
                            AND n.stage IN ('canary', 'live'))) THEN
        RAISE 'A signal stands: the share of this canary cannot be raised now.' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER canary_share_paused BEFORE INSERT ON policy
    FOR EACH ROW WHEN (NEW.stage = 'canary' AND NEW.action = 'publish')
    EXECUTE FUNCTION canary_share_is_paused();

-- What there is and two kinds more, whichever others another migration has added.
DO $$
DECLARE
    known text;
BEGIN
    SELECT pg_get_expr(conbin, conrelid) INTO known
    FROM pg_constraint WHERE conrelid = 'task'::regclass AND conname = 'task_kind_check';
    EXECUTE format('ALTER TABLE task DROP CONSTRAINT task_kind_check, ADD CONSTRAINT task_kind_check '
        'CHECK (%%s OR kind IN (''canary_ended'', ''canary_signal''))', known);
END $$;
