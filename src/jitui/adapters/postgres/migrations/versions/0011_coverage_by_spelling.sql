-- A decision looks for places that are spelled as one of the order's but for letter case or width.
CREATE INDEX coverage_by_spelling ON coverage (scope, lower(normalize(ref, NFKC)));
