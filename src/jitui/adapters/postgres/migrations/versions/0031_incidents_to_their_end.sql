-- Incidents ----------------------------------------------------------------------------------------------------------------

-- An incident's amount is divided into four shares by its outcome; a receivable of the shop ends recovered or written off.
ALTER TABLE incident
    ADD COLUMN version           integer NOT NULL DEFAULT 1,
    ADD COLUMN outcome           text CHECK (outcome IN ('returned', 'repaid', 'borne_by_platform', 'borne_by_shop',
                                                         'borne_by_both')),
    ADD COLUMN outcome_no        integer NOT NULL DEFAULT 0,    -- names the postings of an outcome
    ADD COLUMN returned_minor    bigint NOT NULL DEFAULT 0 CHECK (returned_minor >= 0),
    ADD COLUMN repaid_minor      bigint NOT NULL DEFAULT 0 CHECK (repaid_minor >= 0),
    ADD COLUMN platform_minor    bigint NOT NULL DEFAULT 0 CHECK (platform_minor >= 0),
    ADD COLUMN shop_minor        bigint NOT NULL DEFAULT 0 CHECK (shop_minor >= 0),
    ADD COLUMN recovered_minor   bigint NOT NULL DEFAULT 0 CHECK (recovered_minor >= 0),
    ADD COLUMN written_off_minor bigint NOT NULL DEFAULT 0 CHECK (written_off_minor >= 0),
    ADD COLUMN attempts          integer NOT NULL DEFAULT 0,
    ADD COLUMN reference         text NOT NULL DEFAULT '',
    ADD COLUMN reason            text NOT NULL DEFAULT '',
    ADD COLUMN decided_by        text,
    ADD COLUMN decided_at        timestamptz,
    ADD COLUMN contest_until     timestamptz,
    ADD COLUMN recover_until     timestamptz,
    ADD COLUMN reminded_at       timestamptz,
    ADD COLUMN due_at            timestamptz,                   -- NULL: no deadline is waited for
    ADD COLUMN entries           integer NOT NULL DEFAULT 0,
    DROP CONSTRAINT incident_state_check,
    ADD CONSTRAINT incident_state_check CHECK (state IN ('open', 'contested', 'recovering', 'decided', 'settled')),
    ADD CONSTRAINT incident_shares_within_amount
        CHECK (returned_minor + repaid_minor + platform_minor + shop_minor <= amount_minor),
    ADD CONSTRAINT incident_decided_by_somebody
        CHECK ((outcome IS NULL) = (decided_by IS NULL) AND (outcome IS NULL) = (decided_at IS NULL)
               AND (outcome IS NULL) = (returned_minor + repaid_minor + platform_minor + shop_minor = 0)),
    ADD CONSTRAINT written_off_is_the_rest
        CHECK (written_off_minor = 0 OR recovered_minor + written_off_minor = shop_minor);
UPDATE incident SET due_at = greatest(opened_at, now()) + interval '168 hours' WHERE state = 'open';
CREATE INDEX incident_due ON incident (lane, due_at) WHERE due_at IS NOT NULL;

CREATE TABLE incident_entry (                           -- an incident's log, only appended to
    lane        smallint NOT NULL,
    incident_id uuid NOT NULL,
    seq         integer NOT NULL,
    order_id    text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('evidence', 'contact', 'outcome', 'recovery', 'written_off', 'contest',
                                              'answer', 'reminder', 'closed')),
    at          timestamptz NOT NULL,
    by          text NOT NULL,
    detail      jsonb NOT NULL,
    PRIMARY KEY (lane, incident_id, seq)
);
CREATE INDEX incident_entry_of_order ON incident_entry (lane, order_id);

-- A merchant contests what its shop is charged: a complaint like those about the coverage, about an incident.
ALTER TABLE complaint
    ADD COLUMN incident_id uuid,
    ADD COLUMN decided_by  text,                        -- who decided what is contested
    ADD CONSTRAINT contest_names_who_decided CHECK ((incident_id IS NULL) = (decided_by IS NULL)),
    -- INVARIANT: who decided an incident does not answer the contest of it, however the name is written.
    ADD CONSTRAINT contest_answered_by_another CHECK (
        decided_by IS NULL OR answered_by IS NULL
        OR lower(btrim(normalize(answered_by, NFKC))) <> lower(btrim(normalize(decided_by, NFKC))));
DROP INDEX one_open_complaint_per_shop;
CREATE UNIQUE INDEX one_open_complaint_per_shop ON complaint (shop_id) WHERE state = 'open' AND incident_id IS NULL;
CREATE UNIQUE INDEX one_open_contest_per_incident ON complaint (incident_id) WHERE state = 'open';
CREATE INDEX contest_of_incident ON complaint (incident_id, made_at) WHERE incident_id IS NOT NULL;

-- Booking ------------------------------------------------------------------------------------------------------------------

-- `posted_at` says when the thing happened (its value date), `booked_at` when the entry came into the books, by the
-- database's clock. Of entries from before this release nothing better is known than the first.
ALTER TABLE ledger ADD COLUMN booked_at timestamptz;
UPDATE ledger SET booked_at = least(posted_at, clock_timestamp());
ALTER TABLE ledger ALTER COLUMN booked_at SET NOT NULL, ALTER COLUMN booked_at SET DEFAULT clock_timestamp();
-- Entries come in the order of their booking, so a page range says where a day lies; an insert pays nearly nothing for it.
CREATE INDEX ledger_by_booking ON ledger USING brin (booked_at) WITH (pages_per_range = 16, autosummarize = on);

CREATE TABLE accounting_period (                        -- a reference table: one row for each closing
    period    integer PRIMARY KEY,
    from_at   timestamptz NOT NULL,                     -- '-infinity' for the first one
    until_at  timestamptz NOT NULL UNIQUE,
    last_day  date NOT NULL,
    time_zone text NOT NULL,
    state     text NOT NULL CHECK (state IN ('closing', 'closed')),
    closed_by text NOT NULL,
    closed_at timestamptz NOT NULL,
    entries   bigint NOT NULL DEFAULT 0,
    hash      bytea,                                    -- over all balances of this period, and the hash of the one before
    CHECK (from_at < until_at),
    CHECK ((state = 'closed') = (hash IS NOT NULL))
);
CREATE UNIQUE INDEX one_period_is_closing ON accounting_period (state) WHERE state = 'closing';

CREATE TABLE accounting_balance (                       -- a reference table: an account's sums in a closed period
    period        integer NOT NULL REFERENCES accounting_period (period),
    account       text NOT NULL,
    currency      text NOT NULL,
    opening_minor numeric NOT NULL,
    debit_minor   numeric NOT NULL,
    credit_minor  numeric NOT NULL,
    closing_minor numeric NOT NULL,
    entries       bigint NOT NULL,
    hash          bytea NOT NULL,                       -- SHA-256 over the account's entries in the period
    PRIMARY KEY (period, account, currency),
    CHECK (opening_minor + debit_minor - credit_minor = closing_minor)
);

CREATE FUNCTION closed_period_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(OLD) ->> 'state' = 'closing'
            AND to_jsonb(NEW) - '{state,entries,hash}'::text[] = to_jsonb(OLD) - '{state,entries,hash}'::text[] THEN
        RETURN NEW;
    END IF;
    RAISE 'A closed period stays as it was closed.' USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON accounting_period
    FOR EACH ROW EXECUTE FUNCTION closed_period_stays();
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON accounting_balance
    FOR EACH ROW EXECUTE FUNCTION closed_period_stays();

-- Closes the books up to a moment: from then on the ledger's own CHECK refuses an entry that would be booked before it.
-- The lock waits for every transaction that has written to the ledger, so none of them commits an older entry later. NOT
-- VALID: the entries before the moment are not looked at, and stay.
CREATE FUNCTION close_ledger_until(until_at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF until_at > clock_timestamp() THEN
        RAISE 'Only what is over is closed.' USING ERRCODE = 'check_violation';
    END IF;
    LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE;
    IF EXISTS (SELECT 1 FROM accounting_period p WHERE p.until_at > close_ledger_until.until_at) THEN
        RAISE 'A period that is closed stays closed.' USING ERRCODE = 'check_violation';
    END IF;
    ALTER TABLE ledger DROP CONSTRAINT IF EXISTS booked_in_open_period;
    EXECUTE format('ALTER TABLE ledger ADD CONSTRAINT booked_in_open_period CHECK (booked_at >= %%L) NOT VALID', until_at);
END $$;
