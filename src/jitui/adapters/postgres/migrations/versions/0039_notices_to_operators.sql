-- Operators are told of tasks; `recipient_id` is a person's name, or '*' for the shared mailbox of the settings.
ALTER TABLE notice DROP CONSTRAINT notice_recipient_check,
    ADD CONSTRAINT notice_recipient_check CHECK (recipient IN ('buyer', 'shop', 'operator'));
ALTER TABLE notice_preference DROP CONSTRAINT notice_preference_recipient_check,
    ADD CONSTRAINT notice_preference_recipient_check CHECK (recipient IN ('buyer', 'shop', 'operator'));
