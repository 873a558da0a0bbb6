-- Reference tables: few rows, changed by people, read by every process every few seconds.

-- Whether one person may do alone what else needs a second one. The row is written here, once: by
-- `jitui migrate --single-person`, and else as false. Afterwards it can only be switched off.
CREATE TABLE approval_mode (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    single_person boolean NOT NULL,
    ended_at      timestamptz,
    ended_by      text,
    CHECK ((ended_at IS NULL) = (ended_by IS NULL)),
    CHECK (NOT single_person OR ended_at IS NULL)
);
INSERT INTO approval_mode (single_person) VALUES (coalesce(current_setting('jitui.single_person', true), '') = 'yes');

CREATE FUNCTION approval_mode_is_only_switched_off() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.single_person AND NOT NEW.single_person THEN
        RETURN NEW;
    END IF;
    RAISE 'The approval by two people can only be switched on, once and for good.';
END $$;
CREATE TRIGGER only_switched_off BEFORE INSERT OR UPDATE OR DELETE ON approval_mode
    FOR EACH ROW EXECUTE FUNCTION approval_mode_is_only_switched_off();

-- Texts: a version names one text for ever -----------------------------------------------------------------------------

CREATE TABLE policy_text (
    sha256       text PRIMARY KEY,                       -- of the document
    policy_id    text NOT NULL,
    version      text NOT NULL,
    document     text NOT NULL,
    cases        text NOT NULL DEFAULT '',               -- its test cases, as a file; empty: none were given
    public_view  jsonb,                                  -- NULL: not made yet
    pushed_by    text NOT NULL,
    pushed_at    timestamptz NOT NULL,
    retired_at   timestamptz,                            -- it cannot be proposed or rolled back to any more
    retired_by   text,
    retired_for  text,
    superseded   boolean NOT NULL DEFAULT false,         -- an earlier release let another text take its version
    CHECK ((retired_at IS NULL) = (retired_by IS NULL) AND (retired_at IS NULL) = (retired_for IS NULL))
);
INSERT INTO policy_text (sha256, policy_id, version, document, public_view, pushed_by, pushed_at, superseded)
SELECT DISTINCT ON (p.sha256) p.sha256, p.policy_id, p.version, p.document, p.public_view, p.published_by, p.published_at,
       EXISTS (SELECT 1 FROM policy n WHERE n.policy_id = p.policy_id AND n.version = p.version
                 AND n.sha256 <> p.sha256 AND n.publication > p.publication
                 AND NOT EXISTS (SELECT 1 FROM policy s WHERE s.sha256 = p.sha256 AND s.publication > n.publication))
FROM policy p ORDER BY p.sha256, p.publication DESC;
CREATE UNIQUE INDEX one_text_per_version ON policy_text (policy_id, version) WHERE NOT superseded;

CREATE FUNCTION policy_text_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.sha256, NEW.policy_id, NEW.version, NEW.document, NEW.superseded)
            = (OLD.sha256, OLD.policy_id, OLD.version, OLD.document, OLD.superseded)
            AND (OLD.cases = '' OR NEW.cases = OLD.cases)
            AND (OLD.retired_at IS NULL OR NEW.retired_at IS NOT DISTINCT FROM OLD.retired_at) THEN
        RETURN NEW;
    END IF;
    RAISE 'A text that was pushed stays as it is.';
END $$;
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON policy_text FOR EACH ROW EXECUTE FUNCTION policy_text_stays();

-- Proposals and the approval by a second person -----------------------------------------------------------------------

CREATE TABLE proposal (
    proposal_id   uuid PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN ('policy', 'lift_pause')),
    subject       text NOT NULL,                         -- what it is about: the policy, the place
    content       text NOT NULL,                         -- JSON: what is approved, whole
    content_hash  bytea NOT NULL CHECK (content_hash = sha256(convert_to(content, 'UTF8'))),
    reason        text NOT NULL,
    evidence      jsonb NOT NULL DEFAULT '{}',           -- what the proposer attached, and what was checked
    proposed_by   text NOT NULL REFERENCES console_person (name),
    proposed_at   timestamptz NOT NULL,
    state         text NOT NULL CHECK (state IN ('open', 'approved', 'rejected', 'withdrawn', 'executed')),
    closed_at     timestamptz,
    closed_by     text,
    closed_for    text,
    UNIQUE (proposal_id, content_hash, proposed_by),
    CHECK ((state IN ('rejected', 'withdrawn', 'executed')) = (closed_at IS NOT NULL))
);
CREATE INDEX proposal_by_age ON proposal (proposed_at DESC, proposal_id);

-- Bound to what was approved: while it stands, neither content nor proposer can change.
CREATE TABLE approval (
    proposal_id   uuid PRIMARY KEY,
    content_hash  bytea NOT NULL,
    proposed_by   text NOT NULL,
    approved_by   text NOT NULL REFERENCES console_person (name),
    approved_as   text NOT NULL CHECK (approved_as IN ('risk', 'operator')),  -- the role; never an administrator
    approved_at   timestamptz NOT NULL,
    note          text NOT NULL DEFAULT '',
    UNIQUE (proposal_id, content_hash, proposed_by, approved_by),
    FOREIGN KEY (proposal_id, content_hash, proposed_by)
        REFERENCES proposal (proposal_id, content_hash, proposed_by),
    CONSTRAINT nobody_approves_their_own CHECK (approved_by <> proposed_by)
);

-- What one person did at once to stop or narrow payments; a second one confirms it within a day.
CREATE TABLE confirmation (
    confirmation_id uuid PRIMARY KEY,
    action        text NOT NULL,                         -- as in the audit log
    subject       text NOT NULL,
    done_by       text NOT NULL,
    done_at       timestamptz NOT NULL,
    reason        text NOT NULL,
    confirm_by    timestamptz NOT NULL,
    confirmed_by  text REFERENCES console_person (name),
    confirmed_at  timestamptz,
    CHECK ((confirmed_by IS NULL) = (confirmed_at IS NULL)),
    CONSTRAINT nobody_confirms_their_own CHECK (confirmed_by <> done_by)
);
CREATE INDEX confirmation_open ON confirmation (confirm_by) WHERE confirmed_at IS NULL;

-- The publication log -------------------------------------------------------------------------------------------------

-- `document` and `public_view` are read by no program that knows this revision; the next release drops them.
ALTER TABLE policy
    ADD COLUMN action         text NOT NULL DEFAULT 'publish' CHECK (action IN ('publish', 'roll_back', 'stop', 'cancel')),
    ADD COLUMN stage          text NOT NULL DEFAULT 'live' CHECK (stage IN ('shadow', 'canary', 'live')),
    ADD COLUMN effective_at   timestamptz,               -- NULL: at once
    ADD COLUMN cancels        bigint REFERENCES policy (publication),  -- a scheduled publication that is called off
    ADD COLUMN canary_percent smallint CHECK (canary_percent BETWEEN 1 AND 99),
    ADD COLUMN canary_seed    text,
    ADD COLUMN authority      text NOT NULL DEFAULT 'before_approvals',
    ADD COLUMN reason         text NOT NULL DEFAULT '',
    ADD COLUMN proposal_id    uuid,
    ADD COLUMN content_hash   bytea,
    ADD COLUMN proposed_by    text,
    ADD COLUMN approved_by    text,
    ADD CONSTRAINT publication_of_a_text FOREIGN KEY (sha256) REFERENCES policy_text (sha256),
    ADD CONSTRAINT publication_approved FOREIGN KEY (proposal_id, content_hash, proposed_by, approved_by)
        REFERENCES approval (proposal_id, content_hash, proposed_by, approved_by) MATCH FULL,
    ADD CONSTRAINT publication_canary CHECK (
        (stage = 'canary' AND action = 'publish') = (canary_percent IS NOT NULL)
        AND (canary_percent IS NULL) = (canary_seed IS NULL)),
    ADD CONSTRAINT publication_cancels CHECK ((action = 'cancel') = (cancels IS NOT NULL)),
    -- Only what nobody decided on again needs no authority: rows of earlier releases.
    ADD CONSTRAINT publication_authority CHECK (CASE authority
        WHEN 'two_people' THEN approved_by IS NOT NULL AND action = 'publish'
        WHEN 'single_person' THEN approved_by IS NULL
        WHEN 'installation' THEN approved_by IS NULL AND action = 'publish' AND stage = 'live'
        -- One person, or a guard: what stops a stage, calls off a schedule, or brings back what was live before.
        WHEN 'one_person' THEN approved_by IS NULL AND (action <> 'publish' OR stage = 'shadow') AND reason <> ''
        WHEN 'guard' THEN approved_by IS NULL AND action = 'stop' AND reason <> ''
        ELSE false END) NOT VALID;
CREATE UNIQUE INDEX one_installation ON policy ((true)) WHERE authority = 'installation';
ALTER TABLE policy ALTER COLUMN authority DROP DEFAULT;

CREATE FUNCTION publication_is_allowed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE 'The publication log is only appended to.';
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF (to_jsonb(NEW) - 'public_view') = (to_jsonb(OLD) - 'public_view') THEN
            RETURN NEW;
        END IF;
        RAISE 'The publication log is only appended to.';
    END IF;
    -- Whoever publishes waits here for whoever switches the mode off.
    IF NEW.authority = 'single_person'
            AND NOT (SELECT single_person FROM approval_mode FOR SHARE) THEN
        RAISE 'One person alone cannot publish here.' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.authority = 'installation' AND EXISTS (SELECT 1 FROM policy) THEN
        RAISE 'The installation published a policy already.' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.action = 'roll_back' AND NOT EXISTS (
            SELECT 1 FROM policy p WHERE p.sha256 = NEW.sha256 AND p.stage = 'live' AND p.action <> 'cancel') THEN
        RAISE 'Only a text that was live before can be brought back.' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER allowed BEFORE INSERT OR UPDATE OR DELETE ON policy
    FOR EACH ROW EXECUTE FUNCTION publication_is_allowed();

-- Pauses --------------------------------------------------------------------------------------------------------------

ALTER TABLE pause
    ADD COLUMN ends_at timestamptz,                      -- NULL: until it is lifted
    ADD COLUMN lift_by text CHECK (lift_by IN ('risk', 'operator')),  -- whose role lifts it; NULL: whoever may
    ADD CONSTRAINT pause_ends_after_it_began CHECK (ends_at > set_at);

-- Personal tokens -----------------------------------------------------------------------------------------------------

-- A key of a person may do what the person's role may at that moment, and what no other key may: approve.
ALTER TABLE api_key
    ADD COLUMN person text REFERENCES console_person (name) ON DELETE CASCADE,
    ADD CONSTRAINT person_sees_all CHECK (person IS NULL OR scope = 'platform');
