-- A JSON null: this release cannot read the document any more, and it is not shown. SQL's NULL: not looked at yet, as
-- where an earlier release published; whoever reads such a row first makes the view, once.
ALTER TABLE policy ADD COLUMN public_view jsonb;
