-- Whom a proposal would put on the allow list. The proposal names the entry's id alone, since a proposal never changes
-- and a buyer may be erased; an erasure deletes the row, and then the approval does nothing.
CREATE TABLE selection_proposed (
    lane         smallint NOT NULL,
    buyer_id     text NOT NULL,
    selection_id uuid NOT NULL,
    verdict      text NOT NULL CHECK (verdict = 'allow'),
    reason       text NOT NULL,
    set_by       text NOT NULL,
    set_at       timestamptz NOT NULL,
    PRIMARY KEY (lane, buyer_id),
    UNIQUE (lane, selection_id)
);

-- What a proposal may be about; the rows of earlier releases fit.
ALTER TABLE proposal DROP CONSTRAINT proposal_kind_check;
ALTER TABLE proposal ADD CONSTRAINT proposal_kind_check
    CHECK (kind IN ('policy', 'lift_pause', 'lift_restriction', 'cover', 'allow_buyer'));
