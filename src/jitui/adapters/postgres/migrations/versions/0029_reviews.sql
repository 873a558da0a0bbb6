-- Tickets in review. Those that are approved at once have none of it, and are in neither index.
ALTER TABLE ticket
    ADD COLUMN remind_at   timestamptz,                 -- when the deadline is announced again; NULL: not any more
    ADD COLUMN assignment  jsonb,                       -- who works on it, and until when
    ADD COLUMN offer       jsonb,                       -- the units that the shop would refund
    ADD COLUMN arbitration jsonb,                       -- the platform decides, because the buyer asked it to
    -- An arbitration is decided once, and whoever approved a ticket is said truly.
    ADD CONSTRAINT approved_by_arbitration CHECK (
        coalesce(approved_by = 'arbitration', false) = coalesce(arbitration ->> 'state' = 'approved', false)),
    ADD CONSTRAINT arbitration_of_a_rejected_ticket CHECK (
        arbitration IS NULL OR coalesce(CASE arbitration ->> 'state'
            WHEN 'open' THEN state = 'rejected'
            WHEN 'withdrawn' THEN state = 'rejected'
            WHEN 'denied' THEN state = 'closed'
            WHEN 'approved' THEN state IN ('refunding', 'refunded', 'refund_failed') END, false)),
    ADD CONSTRAINT arbitration_names_fault_and_decider CHECK (
        arbitration IS NULL OR arbitration ->> 'state' IN ('open', 'withdrawn')
        OR coalesce(arbitration ->> 'at_fault' IN ('buyer', 'merchant', 'platform', 'nobody')
                    AND arbitration ->> 'decided_by' <> '' AND arbitration ->> 'note' <> ''
                    AND (arbitration ->> 'state' = 'denied') = (arbitration ->> 'borne_by' IS NULL), false));
CREATE INDEX ticket_reminder_due ON ticket (lane, remind_at) WHERE state = 'awaiting_merchant' AND remind_at IS NOT NULL;
CREATE INDEX ticket_in_arbitration ON ticket (lane, ticket_id) WHERE arbitration ->> 'state' = 'open';

-- A shop's answers that it gives often. Not part of a ticket's life: a reference table.
CREATE TABLE review_template (
    shop_id     text NOT NULL,
    name        text NOT NULL,
    reason_code text NOT NULL,
    reason      text NOT NULL CHECK (reason <> ''),
    updated_at  timestamptz NOT NULL,
    updated_by  text NOT NULL,
    PRIMARY KEY (shop_id, name)
);

-- An arbitration that was not decided by the promised day.
DO $$
DECLARE
    known text;
BEGIN
    SELECT pg_get_expr(conbin, conrelid) INTO known
    FROM pg_constraint WHERE conrelid = 'task'::regclass AND conname = 'task_kind_check';
    EXECUTE format('ALTER TABLE task DROP CONSTRAINT task_kind_check, ADD CONSTRAINT task_kind_check '
        'CHECK (%%s OR kind = ''arbitration_overdue'')', known);
END $$;

-- Of what was said in a review stay the words of a list and the times.
CREATE OR REPLACE FUNCTION without_free_text(document jsonb) RETURNS jsonb IMMUTABLE LANGUAGE plpgsql AS $$
DECLARE
    kept CONSTANT text[] := ARRAY['state', 'why', 'kind', 'degree', 'source', 'currency', 'approved_by', 'arm', 'line_id',
        'sku', 'item_id', 'category_id', 'ticket_id', 'ticket_ids', 'refund_id', 'attempt_id', 'task_id', 'dispute_id',
        'tender_id', 'payment_id', 'provider', 'provider_refund_id', 'funder', 'lines', 'completed_at', 'happened_at',
        'recorded_at', 'approved_at', 'opened_at', 'on_timeout', 'carrier',
        'reason_code', 'at_fault', 'borne_by', 'expires_at', 'answer_by', 'decided_at', 'decided_by', 'offered_at',
        'until'];
    reasons CONSTANT text[] := ARRAY['no_longer_wanted', 'wrong_selection', 'not_shipped_in_time', 'found_cheaper',
        'out_of_stock', 'other'];
BEGIN
    RETURN CASE jsonb_typeof(document)
        WHEN 'object' THEN (
            SELECT coalesce(jsonb_object_agg(field.key, CASE
                    WHEN field.key = ANY (kept) AND jsonb_typeof(field.value) = 'array'
                         AND NOT jsonb_path_exists(field.value, '$[*] ? (@.type() != "string")') THEN field.value
                    WHEN jsonb_typeof(field.value) IN ('object', 'array') THEN without_free_text(field.value)
                    ELSE field.value END), '{}')
            FROM jsonb_each(document) AS field (key, value)
            WHERE jsonb_typeof(field.value) <> 'string' OR field.key = ANY (kept)
               OR (field.key = 'reason' AND field.value #>> '{}' = ANY (reasons)))
        WHEN 'array' THEN (
            SELECT coalesce(jsonb_agg(without_free_text(item.value) ORDER BY item.place), '[]')
            FROM jsonb_array_elements(document) WITH ORDINALITY AS item (value, place)
            WHERE jsonb_typeof(item.value) <> 'string')
        ELSE document END;
END $$;
