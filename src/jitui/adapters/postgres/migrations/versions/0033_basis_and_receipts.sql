-- On what ground the buyer asks. A constant default, so that an earlier release beside this one writes tickets too.
ALTER TABLE ticket ADD COLUMN basis text NOT NULL DEFAULT 'goodwill' CHECK (basis IN ('goodwill', 'withdrawal'));
ALTER TABLE ticket_list ADD COLUMN basis text NOT NULL DEFAULT 'goodwill';
ALTER TABLE ticket DROP CONSTRAINT ticket_approved_by_check, ADD CONSTRAINT ticket_approved_by_check
    CHECK (approved_by IN ('instant_refund', 'withdrawal', 'merchant', 'merchant_timeout', 'arbitration', 'operator')
           AND (approved_by <> 'withdrawal' OR basis = 'withdrawal')
           AND (approved_by <> 'instant_refund' OR basis = 'goodwill'));
-- A request that no policy of the platform's decides is in no arm of an experiment.
ALTER TABLE ticket DROP CONSTRAINT ticket_arm,
    ADD CONSTRAINT ticket_arm CHECK (arm IN ('live', 'canary', 'hold_out', 'none')) NOT VALID;

-- What was acknowledged to the buyer, as the very text, with the SHA-256 of its bytes. In the decision's row, which is
-- written once: a request costs no further statement. Requests from before have none; an erasure takes the text, and
-- leaves its hash.
ALTER TABLE decision ADD COLUMN receipt text, ADD COLUMN receipt_sha256 text,
    ADD CONSTRAINT receipt_is_whole CHECK (
        receipt IS NULL OR coalesce(receipt_sha256 = encode(sha256(convert_to(receipt, 'UTF8')), 'hex'), false));
