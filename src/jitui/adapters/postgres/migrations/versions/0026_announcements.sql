-- How long the text after this one is announced, as the text itself says; texts of earlier releases say nothing.
ALTER TABLE policy_text ADD COLUMN notice_days smallint NOT NULL DEFAULT 0 CHECK (notice_days BETWEEN 0 AND 365);

CREATE OR REPLACE FUNCTION policy_text_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.sha256, NEW.policy_id, NEW.version, NEW.document, NEW.superseded, NEW.notice_days)
            = (OLD.sha256, OLD.policy_id, OLD.version, OLD.document, OLD.superseded, OLD.notice_days)
            AND (OLD.cases = '' OR NEW.cases = OLD.cases)
            AND (OLD.retired_at IS NULL OR NEW.retired_at IS NOT DISTINCT FROM OLD.retired_at) THEN
        RETURN NEW;
    END IF;
    RAISE 'A text that was pushed stays as it is.';
END $$;

-- The notice period that binds who publishes after the rows before `publication`: the live text's. What a roll-back
-- brought back does not shorten the period of the text that it replaced.
CREATE FUNCTION notice_before(publication bigint) RETURNS interval LANGUAGE sql STABLE AS $$
    WITH live AS (
        SELECT coalesce(p.effective_at, p.published_at) AS at, p.publication AS n, p.action, t.notice_days
        FROM policy p JOIN policy_text t USING (sha256)
        WHERE p.stage = 'live' AND p.action <> 'cancel' AND p.publication < $1
          AND NOT EXISTS (SELECT 1 FROM policy c WHERE c.cancels = p.publication)
          AND (p.effective_at IS NULL OR p.effective_at <= clock_timestamp()))
    SELECT make_interval(hours => 24 * coalesce(max(notice_days), 0)) FROM live
    WHERE (at, n) >= (SELECT at, n FROM live WHERE action <> 'roll_back' ORDER BY at DESC, n DESC LIMIT 1)
$$;

CREATE TABLE announcement (
    announcement_id uuid PRIMARY KEY,
    sha256          text NOT NULL REFERENCES policy_text (sha256),
    announced_by    text NOT NULL,
    announced_at    timestamptz NOT NULL,                -- by the database's clock
    takes_effect_at timestamptz NOT NULL,                -- the text decides for nobody before
    used_by         bigint REFERENCES policy (publication),  -- the publication that it was for
    withdrawn_at    timestamptz,
    withdrawn_by    text,
    withdrawn_for   text,
    CHECK ((withdrawn_at IS NULL) = (withdrawn_by IS NULL) AND (withdrawn_at IS NULL) = (withdrawn_for IS NULL)),
    CONSTRAINT announcement_used_or_withdrawn CHECK (used_by IS NULL OR withdrawn_at IS NULL)
);
CREATE UNIQUE INDEX one_announcement_of_text ON announcement (sha256) WHERE used_by IS NULL AND withdrawn_at IS NULL;
CREATE INDEX announcement_by_age ON announcement (announced_at DESC, announcement_id DESC);
CREATE INDEX announcement_of_publication ON announcement (used_by);

CREATE FUNCTION announcement_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.used_by IS NULL AND OLD.withdrawn_at IS NULL
            AND (NEW.announcement_id, NEW.sha256, NEW.announced_by, NEW.announced_at, NEW.takes_effect_at)
              = (OLD.announcement_id, OLD.sha256, OLD.announced_by, OLD.announced_at, OLD.takes_effect_at) THEN
        RETURN NEW;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        RAISE 'An announcement stays as it was made.' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.used_by IS NOT NULL OR NEW.withdrawn_at IS NOT NULL THEN
        RAISE 'An announcement begins open.' USING ERRCODE = 'check_violation';
    END IF;
    IF NOT (SELECT single_person FROM approval_mode) AND NOT EXISTS (
            SELECT 1 FROM proposal p WHERE p.kind = 'policy' AND p.state = 'approved'
              AND p.content::jsonb ->> 'sha256' = NEW.sha256) THEN
        RAISE 'Only a text that a second person approved is announced.' USING ERRCODE = 'check_violation';
    END IF;
    NEW.announced_at := clock_timestamp();
    NEW.takes_effect_at := coalesce(NEW.takes_effect_at, NEW.announced_at + notice_before(9223372036854775807));
    IF NEW.takes_effect_at < NEW.announced_at + notice_before(9223372036854775807) THEN
        RAISE 'The text would take effect before the notice period is over.' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER kept BEFORE INSERT OR UPDATE OR DELETE ON announcement
    FOR EACH ROW EXECUTE FUNCTION announcement_is_kept();

-- A text decides, for all or for a canary's buyers, only after it was announced for as long as the period says, and
-- not before the moment that was announced. What stops, ends or brings back is free of it, and so is a shadow.
CREATE FUNCTION publication_was_announced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    period interval := notice_before(NEW.publication);
    begins timestamptz := coalesce(NEW.effective_at, clock_timestamp());
    told   announcement;
BEGIN
    SELECT * INTO told FROM announcement a
    WHERE a.sha256 = NEW.sha256 AND a.used_by IS NULL AND a.withdrawn_at IS NULL FOR UPDATE;
    IF (told.announcement_id IS NULL AND period > interval '0')
            OR begins < greatest(told.takes_effect_at, told.announced_at + period) THEN
        RAISE 'The text would take effect before its notice period is over.' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.stage = 'live' THEN
        UPDATE announcement SET used_by = NEW.publication WHERE announcement_id = told.announcement_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER announced AFTER INSERT ON policy
    FOR EACH ROW WHEN (NEW.action = 'publish' AND NEW.stage <> 'shadow' AND NEW.authority <> 'installation')
    EXECUTE FUNCTION publication_was_announced();

-- What people said of an announced text. It is only appended to; an answer is given once.
CREATE TABLE opinion (
    opinion_id      uuid PRIMARY KEY,
    announcement_id uuid NOT NULL REFERENCES announcement (announcement_id),
    said_by         text NOT NULL CHECK (said_by IN ('buyer', 'merchant', 'organisation', 'other')),
    said            text NOT NULL CHECK (said <> ''),
    reference       text,                                -- the platform's own id of it; never shown
    recorded_by     text NOT NULL,
    recorded_at     timestamptz NOT NULL,
    answer          text CHECK (answer <> ''),
    answered_by     text,
    answered_at     timestamptz,
    CHECK ((answer IS NULL) = (answered_by IS NULL) AND (answer IS NULL) = (answered_at IS NULL))
);
CREATE UNIQUE INDEX opinion_recorded_once ON opinion (announcement_id, reference);
CREATE INDEX opinion_of_announcement ON opinion (announcement_id, recorded_at DESC, opinion_id DESC);

CREATE FUNCTION opinion_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.answer IS NULL
            AND (to_jsonb(NEW) - '{answer,answered_by,answered_at}'::text[])
              = (to_jsonb(OLD) - '{answer,answered_by,answered_at}'::text[]) THEN
        RETURN NEW;
    END IF;
    RAISE 'An opinion stays as it was recorded, and is answered once.' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER kept BEFORE UPDATE OR DELETE ON opinion FOR EACH ROW EXECUTE FUNCTION opinion_is_kept();
