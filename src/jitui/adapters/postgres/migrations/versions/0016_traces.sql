-- The W3C `traceparent` of the transaction that queued the refund, so that asking and paying are one trace; NULL where traces
-- are off.
ALTER TABLE refund ADD COLUMN trace_parent text;
