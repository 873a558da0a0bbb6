-- True: `as_of` is the database's time, so its age is known whatever the clocks of workers and API processes say.
-- False: it is its caller's time (replays and simulations have times of their own), or an earlier release wrote it.
ALTER TABLE roll_up ADD COLUMN by_database_clock boolean NOT NULL DEFAULT false;
