-- What there is and one kind more, whichever others another migration has added.
DO $$
DECLARE
    known text;
BEGIN
    SELECT pg_get_expr(conbin, conrelid) INTO known
    FROM pg_constraint WHERE conrelid = 'task'::regclass AND conname = 'task_kind_check';
    EXECUTE format('ALTER TABLE task DROP CONSTRAINT task_kind_check, ADD CONSTRAINT task_kind_check '
        'CHECK (%%s OR kind = ''platform_unread'')', known);
END $$;
