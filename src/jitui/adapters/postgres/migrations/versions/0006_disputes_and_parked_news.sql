-- Amounts are in ISO 4217's minor units. Until now they were read by CLDR's digits, which differ for these currencies, so
-- what a stored amount of theirs means depends on what the platform meant. That is not ours to guess: such rows are named,
-- and the upgrade stops before it has changed anything, unless the operator has said that they are in ISO's already.
DO $$
DECLARE
    changed text[] := '{AFN,ALL,IQD,IRR,KPW,LAK,LBP,MGA,MMK,RSD,SLL,SOS,SYP,YER}';
    said text[] := string_to_array(coalesce(current_setting('jitui.iso_amounts', true), ''), ',');
    named text;
BEGIN
    SELECT string_agg(what, '; ' ORDER BY what) INTO named FROM (
        SELECT format('%%s: %%s orders, the first %%s', currency, count(*), min(order_id)) AS what
        FROM orders WHERE currency = ANY (changed) AND NOT currency = ANY (said) GROUP BY currency
        UNION ALL
        SELECT format('%%s: the policy in force, %%s version %%s', c.code, p.policy_id, p.version)
        FROM (SELECT * FROM policy ORDER BY publication DESC LIMIT 1) p
        JOIN unnest(changed) AS c (code) ON p.document ~ ('(^|\n)currency:\s*["'']?' || c.code)
        WHERE NOT c.code = ANY (said)) found;
    IF named IS NOT NULL THEN
        RAISE EXCEPTION 'Amounts in these currencies were read with fewer digits than ISO 4217 gives them, and are not '
            'read anew without your word (%%). Where they were sent in ISO 4217''s minor units (RSD 12.50 as 1250), say so: '
            'jitui migrate --iso-amounts CODE. Where they were not, put them right first.', named;
    END IF;
END $$;

ALTER TABLE task DROP CONSTRAINT task_kind_check, ADD CONSTRAINT task_kind_check CHECK (kind IN (
    'ours_only', 'theirs_only', 'amount_differs', 'currency_differs', 'paid_twice', 'unreadable_row',
    'captured_after_refund', 'answer_differs', 'payment_differs'));
