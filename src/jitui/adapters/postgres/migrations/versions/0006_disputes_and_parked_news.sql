ALTER TABLE task DROP CONSTRAINT task_kind_check, ADD CONSTRAINT task_kind_check CHECK (kind IN (
    'ours_only', 'theirs_only', 'amount_differs', 'currency_differs', 'paid_twice', 'unreadable_row',
    'captured_after_refund', 'answer_differs', 'payment_differs'));
