-- Kinds of tasks of releases beside this one stay.
DO $$
DECLARE
    known text;
BEGIN
    SELECT pg_get_expr(conbin, conrelid) INTO known
    FROM pg_constraint WHERE conrelid = 'task'::regclass AND conname = 'task_kind_check';
    EXECUTE format('ALTER TABLE task DROP CONSTRAINT task_kind_check, ADD CONSTRAINT task_kind_check '
        'CHECK (%%s OR kind = ''change_unconfirmed'')', known);
END $$;

-- What a proposal may be about; the rows of earlier releases fit.
ALTER TABLE proposal DROP CONSTRAINT proposal_kind_check;
ALTER TABLE proposal ADD CONSTRAINT proposal_kind_check
    CHECK (kind IN ('policy', 'lift_pause', 'lift_restriction', 'cover'));
