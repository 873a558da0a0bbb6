-- What a proposal may be about; the rows of earlier releases fit.
ALTER TABLE proposal DROP CONSTRAINT proposal_kind_check;
ALTER TABLE proposal ADD CONSTRAINT proposal_kind_check
    CHECK (kind IN ('policy', 'lift_pause', 'lift_restriction', 'cover'));
