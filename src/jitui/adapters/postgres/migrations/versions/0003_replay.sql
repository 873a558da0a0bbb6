-- I4: the history gives a logged decision's features again, so what was known to it must be told from what came later.

-- The order in which a buyer's events were written, under the buyer's lock. Clocks of several machines cannot tell it.
ALTER TABLE buyer_event ADD COLUMN entry bigint GENERATED ALWAYS AS IDENTITY;

-- An event is taken back once, whatever came first: the event, its retraction, or a repetition of it.
CREATE INDEX buyer_event_retraction ON buyer_event (lane, buyer_id, retracts) WHERE retracts IS NOT NULL;

-- From when and up to when each kind of event was complete, and what else decided whether a feature was known.
ALTER TABLE decision ADD COLUMN read_from jsonb;            -- NULL: decided before this was kept
