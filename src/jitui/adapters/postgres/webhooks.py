"""See `jitui.webhooks.model.WebhookEndpoints`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from jitui.adapters.postgres.feed import EVENT, LOCK_FOR_THE_TRANSACTION, publish_changes
from jitui.adapters.postgres.pool import Connection, Pool, read_rows
from jitui.adapters.postgres.webhook_queue import WEBHOOKS_LOCK
from jitui.webhooks.model import (
    Backlog,
    Delivery,
    DeliveryState,
    EndpointChange,
    Redelivery,
    WebhookEndpoint,
    Written,
)

# While nobody listens the feed is not followed; the first endpoint begins at its end.
_BEGIN_AT_END: LiteralString = """
UPDATE webhook_cursor SET position = (SELECT coalesce(max(position), 0) FROM change)
WHERE NOT EXISTS (SELECT 1 FROM webhook_endpoint)
"""

_CREATE: LiteralString = """
INSERT INTO webhook_endpoint (endpoint_id, shop_id, url, description, kinds, state, after_position, created_at,
    created_by)
SELECT %(endpoint_id)s, %(shop_id)s, %(url)s, %(description)s, %(kinds)s, 'active',
    (SELECT coalesce(max(position), 0) FROM change), %(created_at)s, %(created_by)s
WHERE (SELECT count(*) FROM webhook_endpoint WHERE shop_id = %(shop_id)s) < %(most)s
ON CONFLICT (shop_id, url) DO NOTHING
"""

_HAS_URL: LiteralString = "SELECT 1 FROM webhook_endpoint WHERE shop_id = %(shop_id)s AND url = %(url)s"

_ADD_SECRET: LiteralString = """
INSERT INTO webhook_secret (endpoint_id, encrypted, created_at) VALUES (%(endpoint_id)s, %(encrypted)s, %(now)s)
"""

# An earlier one that ends sooner keeps its end.
_END_SECRETS: LiteralString = """
UPDATE webhook_secret SET ends_at = least(ends_at, %(old_until)s) WHERE endpoint_id = %(endpoint_id)s
"""

_RENEW_SECRET: LiteralString = "UPDATE webhook_secret SET encrypted = %(encrypted)s WHERE secret_no = %(number)s"

_GET: LiteralString = "SELECT to_json(e)::text FROM webhook_endpoint e WHERE endpoint_id = %(endpoint_id)s"

_LIST: LiteralString = """
SELECT to_json(e)::text FROM webhook_endpoint e
WHERE (%(shop_id)s::text IS NULL OR shop_id = %(shop_id)s)
  AND (%(after_at)s::timestamptz IS NULL OR (created_at, endpoint_id) < (%(after_at)s, %(after_id)s::uuid))
ORDER BY created_at DESC, endpoint_id DESC LIMIT %(limit)s
"""

_URL_OF_ANOTHER: LiteralString = """
SELECT 1 FROM webhook_endpoint e JOIN webhook_endpoint o ON o.shop_id = e.shop_id AND o.endpoint_id <> e.endpoint_id
WHERE e.endpoint_id = %(endpoint_id)s AND o.url = %(url)s
"""

_CHANGE: LiteralString = """
UPDATE webhook_endpoint SET url = coalesce(%(url)s, url), description = coalesce(%(description)s, description),
    kinds = coalesce(%(kinds)s::text[], kinds)
WHERE endpoint_id = %(endpoint_id)s
"""

_PAUSE: LiteralString = """
UPDATE webhook_endpoint SET state = 'paused', paused_because = %(because)s
WHERE endpoint_id = %(endpoint_id)s AND state = 'active'
"""

_RESUME: LiteralString = """
UPDATE webhook_endpoint SET state = 'active', paused_because = '', failing_since = NULL
WHERE endpoint_id = %(endpoint_id)s AND state = 'paused'
"""

# Every order's row is written, so that one that a worker is about to give back is waited for. What it has it keeps.
_ALL_DUE: LiteralString = """
UPDATE webhook_queue q SET due_at = CASE WHEN q.claim_id IS NULL THEN %(due_at)s::timestamptz ELSE q.due_at END
FROM generate_series(0, 255) AS l (lane) WHERE q.lane = l.lane AND q.endpoint_id = %(endpoint_id)s
"""

_FORGET_QUEUE: LiteralString = """
DELETE FROM webhook_queue q USING generate_series(0, 255) AS l (lane)
WHERE q.lane = l.lane AND q.endpoint_id = %(endpoint_id)s
"""

_FORGET_DELIVERIES: LiteralString = "DELETE FROM webhook_delivery WHERE endpoint_id = %(endpoint_id)s"

_DELETE: LiteralString = "DELETE FROM webhook_endpoint WHERE endpoint_id = %(endpoint_id)s"

_DELIVERIES: LiteralString = f"""
SELECT json_build_object('event', {EVENT}, 'state', d.state, 'tries', d.tries, 'queued_at', d.queued_at,
    'tried_at', d.tried_at, 'closed_at', d.closed_at, 'status', d.status, 'failure', d.failure)::text
FROM webhook_delivery d JOIN change c ON c.lane = d.lane AND c.change_id = d.change_id
WHERE d.endpoint_id = %(endpoint_id)s AND (%(state)s::text IS NULL OR d.state = %(state)s)
  AND (%(before)s::bigint IS NULL OR d.position < %(before)s)
ORDER BY d.position DESC LIMIT %(limit)s
"""

_REOPEN: LiteralString = """
UPDATE webhook_delivery d SET state = 'pending', tries = 0, queued_at = %(now)s, closed_at = NULL
FROM change c
WHERE d.endpoint_id = %(endpoint_id)s AND c.lane = d.lane AND c.change_id = d.change_id
  AND (%(position)s::bigint IS NULL OR (d.position = %(position)s
       AND c.event_uuid IS NOT DISTINCT FROM %(event_uuid)s::uuid))
  AND (%(since)s::timestamptz IS NULL OR c.at >= %(since)s)
  AND (d.state = 'dead' OR (d.state = 'delivered' AND %(delivered)s) OR d.position = %(position)s)
"""

_QUEUE_REOPENED: LiteralString = """
INSERT INTO webhook_queue (lane, endpoint_id, order_id, due_at)
SELECT DISTINCT d.lane, d.endpoint_id, d.order_id, CASE WHEN e.state = 'active' THEN %(now)s::timestamptz END
FROM webhook_delivery d JOIN webhook_endpoint e ON e.endpoint_id = d.endpoint_id
WHERE d.endpoint_id = %(endpoint_id)s AND d.state = 'pending' AND d.queued_at = %(now)s
ON CONFLICT (lane, endpoint_id, order_id) DO UPDATE
SET due_at = CASE WHEN webhook_queue.claim_id IS NULL THEN excluded.due_at ELSE webhook_queue.due_at END
"""

_BACKLOG: LiteralString = """
SELECT json_build_object(
    'pending', (SELECT count(*) FROM webhook_delivery WHERE state = 'pending'),
    'dead', (SELECT count(*) FROM webhook_delivery WHERE state = 'dead'),
    'oldest_pending_at', (SELECT min(queued_at) FROM webhook_delivery WHERE state = 'pending'),
    'paused_endpoints', (SELECT count(*) FROM webhook_endpoint WHERE state = 'paused'))::text
"""


class PostgresWebhookEndpoints:
    """Rows that people set. What changes an endpoint holds the lock under which the feed is queued."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create(self, endpoint: WebhookEndpoint, encrypted: str, *, most: int) -> Written:
        """Create it with its secret, at the end of the feed."""
        params = {**msgspec.to_builtins(endpoint, builtin_types=(datetime, UUID)), "most": most}
        params["kinds"] = list(endpoint.kinds)
        async with self._pool.connection() as connection:
            while await publish_changes(connection, 10_000) == 10_000:
                pass
            await _lock(connection)
            if await _any(connection, _HAS_URL, params):
                return Written.URL_TAKEN
            await connection.execute(_BEGIN_AT_END)
            if not await _run(connection, _CREATE, params):
                return Written.TOO_MANY
            secret = {"endpoint_id": endpoint.endpoint_id, "encrypted": encrypted, "now": endpoint.created_at}
            await connection.execute(_ADD_SECRET, secret)
            return Written.DONE

    async def get(self, endpoint_id: UUID) -> WebhookEndpoint | None:
        """None where there is none."""
        found = await read_rows(self._pool, _GET, {"endpoint_id": endpoint_id}, WebhookEndpoint)
        return found[0] if found else None

    async def list(
        self, *, shop_id: str | None, after: tuple[datetime, UUID] | None = None, limit: int = 50
    ) -> Sequence[WebhookEndpoint]:
        """A page, newest first."""
        at, endpoint_id = after or (None, None)
        params = {"shop_id": shop_id, "after_at": at, "after_id": endpoint_id, "limit": limit}
        return await read_rows(self._pool, _LIST, params, WebhookEndpoint)

    async def change(self, endpoint_id: UUID, change: EndpointChange) -> Written:
        """What waits already goes to the new address."""
        params = {
            "endpoint_id": endpoint_id,
            "url": change.url,
            "description": change.description,
            "kinds": list(change.kinds) if change.kinds is not None else None,
        }
        async with self._pool.connection() as connection:
            await _lock(connection)
            if await _any(connection, _URL_OF_ANOTHER, params):
                return Written.URL_TAKEN
            return Written.DONE if await _run(connection, _CHANGE, params) else Written.NOT_FOUND

    async def pause(self, endpoint_id: UUID, because: str) -> bool:
        """Whether it was active."""
        return await self._set(_PAUSE, endpoint_id, None, because=because)

    async def resume(self, endpoint_id: UUID, now: datetime) -> bool:
        """Whether it was paused; what waited is due at once."""
        return await self._set(_RESUME, endpoint_id, now)

    async def delete(self, endpoint_id: UUID) -> bool:
        """With all that waits for it; what is on its way may still arrive."""
        params = {"endpoint_id": endpoint_id}
        async with self._pool.connection() as connection:
            await _lock(connection)
            for made in (_FORGET_QUEUE, _FORGET_DELIVERIES):
                await connection.execute(made, params)
            return await _run(connection, _DELETE, params) > 0

    async def rotate_secret(self, endpoint_id: UUID, encrypted: str, *, now: datetime, old_until: datetime) -> bool:
        """The new one is the newest."""
        params = {"endpoint_id": endpoint_id, "encrypted": encrypted, "now": now, "old_until": old_until}
        async with self._pool.connection() as connection:
            await _lock(connection)
            if not await _run(connection, _END_SECRETS, params):
                return False
            await connection.execute(_ADD_SECRET, params)
            return True

    async def stored_secrets(self) -> Sequence[tuple[UUID, str]]:
        """Each with its endpoint, the oldest first."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute("SELECT endpoint_id, encrypted FROM webhook_secret ORDER BY secret_no")
            return [(_uuid(endpoint_id), str(encrypted)) for endpoint_id, encrypted in await cursor.fetchall()]

    async def renew_secrets(self, renew: Callable[[UUID, str], str]) -> int:
        """All in one transaction; how many became others."""
        renewed = 0
        async with self._pool.connection() as connection:
            await _lock(connection)
            cursor = await connection.execute("SELECT secret_no, endpoint_id, encrypted FROM webhook_secret")
            for number, endpoint_id, encrypted in await cursor.fetchall():
                params = {"number": number, "encrypted": renew(_uuid(endpoint_id), str(encrypted))}
                if params["encrypted"] != encrypted:
                    renewed += await _run(connection, _RENEW_SECRET, params)
        return renewed

    async def deliveries(
        self, endpoint_id: UUID, *, state: DeliveryState | None, before: int | None, limit: int
    ) -> Sequence[Delivery]:
        """A page, newest first."""
        params = {"endpoint_id": endpoint_id, "state": state, "before": before, "limit": limit}
        return await read_rows(self._pool, _DELIVERIES, params, Delivery)

    async def redeliver(self, endpoint_id: UUID, wanted: Redelivery, now: datetime) -> int:
        """Begin anew: with all their attempts, and all the time until they would be dead."""
        params = {
            "endpoint_id": endpoint_id,
            "position": wanted.position,
            "event_uuid": wanted.event_uuid,
            "since": wanted.since,
            "delivered": wanted.delivered,
            "now": now,
        }
        async with self._pool.connection() as connection:
            await _lock(connection)
            reopened = await _run(connection, _REOPEN, params)
            await connection.execute(_QUEUE_REOPENED, params)
            return reopened

    async def backlog(self) -> Backlog:
        """Counted in the tables."""
        return (await read_rows(self._pool, _BACKLOG, {}, Backlog))[0]

    async def _set(self, made: LiteralString, endpoint_id: UUID, due_at: datetime | None, **more: str) -> bool:
        params = {"endpoint_id": endpoint_id, "due_at": due_at, **more}
        async with self._pool.connection() as connection:
            await _lock(connection)
            if not await _run(connection, made, params):
                return False
            await connection.execute(_ALL_DUE, params)
            return True


async def _lock(connection: Connection) -> None:
    await connection.execute(LOCK_FOR_THE_TRANSACTION, {"lock": WEBHOOKS_LOCK})


async def _run(connection: Connection, made: LiteralString, params: Mapping[str, object]) -> int:
    return (await connection.execute(made, params)).rowcount


async def _any(connection: Connection, query: LiteralString, params: Mapping[str, object]) -> bool:
    return await (await connection.execute(query, params)).fetchone() is not None


def _uuid(value: object) -> UUID:
    return msgspec.convert(value, UUID)
