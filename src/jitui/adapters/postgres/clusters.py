"""What a decision reads of the buyer's cluster, in the buyer's lane; see `linked_accounts` for who writes it."""

from __future__ import annotations

from typing import LiteralString


# For a row `o` with `buyer_id`: NULL while a link waits for a worker, since it may be shared, and where an
# erasure took links away (I5). The age of what a worker
# has seen is measured by the database's clock alone.
def _cluster(forgotten: LiteralString, seen: LiteralString) -> LiteralString:
    return f"""
CASE WHEN {forgotten} THEN NULL
    WHEN NOT EXISTS (
        SELECT 1 FROM identity_link i WHERE i.lane = %(lane)s AND i.buyer_id = o.buyer_id AND NOT i.linked)
    THEN {seen}
END
"""


_AS_OF: LiteralString = """
(SELECT %(now)s::timestamptz - (clock_timestamp() - r.as_of) FROM roll_up r WHERE r.name = 'clusters')
"""

CLUSTER: LiteralString = _cluster(
    """EXISTS (
        SELECT 1 FROM buyer b WHERE b.lane = %(lane)s AND b.buyer_id = o.buyer_id
          AND b.history_from > %(now)s::timestamptz - interval '365 days')""",
    f"""coalesce((
        SELECT json_build_object('size', c.size, 'other_restricted', c.other_restricted, 'as_of', {_AS_OF})
        FROM cluster_state c WHERE c.lane = %(lane)s AND c.buyer_id = o.buyer_id), '{{"size": 1}}')""",
)

CLUSTER_OF_ROW: LiteralString = _cluster(
    "o.forgotten",
    f"""CASE WHEN o.cluster_size IS NULL THEN '{{"size": 1}}' ELSE json_build_object(
             'size', o.cluster_size, 'other_restricted', o.other_restricted, 'as_of', {_AS_OF}) END""",
)
"""The same where the row `o` has `forgotten` and the columns of the cluster, all NULL for a buyer who is in none."""
