"""What a decision reads of the buyer's cluster, in the buyer's lane; see `linked_accounts` for who writes it."""

from __future__ import annotations

from typing import LiteralString

# For a row `o` with `buyer_id`: NULL while a link waits for a worker, since it may be shared, and where an
# erasure took links away (I5). The age of what a worker
# has seen is measured by the database's clock alone.
CLUSTER: LiteralString = """
CASE WHEN EXISTS (
        SELECT 1 FROM buyer b WHERE b.lane = %(lane)s AND b.buyer_id = o.buyer_id
          AND b.history_from > %(now)s::timestamptz - interval '365 days') THEN NULL
    WHEN NOT EXISTS (
        SELECT 1 FROM identity_link i WHERE i.lane = %(lane)s AND i.buyer_id = o.buyer_id AND NOT i.linked)
    THEN coalesce((
        SELECT json_build_object('size', c.size, 'other_restricted', c.other_restricted, 'as_of', (
            SELECT %(now)s::timestamptz - (clock_timestamp() - r.as_of) FROM roll_up r WHERE r.name = 'clusters'))
        FROM cluster_state c WHERE c.lane = %(lane)s AND c.buyer_id = o.buyer_id), '{"size": 1}')
END
"""
