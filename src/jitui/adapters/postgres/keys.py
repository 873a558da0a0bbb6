"""See `jitui.identity.keys.Keys`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import LiteralString

import msgspec

from jitui.adapters.postgres.audit import AuditEntry, fetch_audited
from jitui.adapters.postgres.pool import Pool, read_rows
from jitui.identity.access import KeyScope
from jitui.identity.audit import AuditAction
from jitui.identity.keys import ENDING_SOON, ApiKey

USE_PRECISION = timedelta(minutes=1)
"""A key's last use is written at most once in so long, however many processes saw it."""

# The role of a personal token is the one that its person has now; nobody's, while the person is disabled.
_SHOWN: LiteralString = """
(to_jsonb(k) - 'secret_hash' || jsonb_build_object('role', (
    SELECT p.role FROM console_person p WHERE p.name = k.person AND p.disabled_at IS NULL)))::text
"""

_ADD: LiteralString = """
INSERT INTO api_key (key_id, secret_hash, scope, subject_id, label, created_at, created_by, expires_at, permissions,
                     person)
VALUES (%(key_id)s, %(secret_hash)s, %(scope)s, %(subject_id)s, %(label)s, %(created_at)s, %(created_by)s,
        %(expires_at)s, %(permissions)s, %(person)s)
"""

_LIST: LiteralString = f"""
SELECT {_SHOWN} FROM api_key k
WHERE (%(scope)s::text IS NULL OR scope = %(scope)s) AND (%(subject_id)s::text IS NULL OR subject_id = %(subject_id)s)
  AND (%(working_at)s::timestamptz IS NULL
       OR (revoked_at IS NULL AND (expires_at IS NULL OR expires_at > %(working_at)s)))
ORDER BY created_at DESC, key_id LIMIT %(limit)s
"""

# A key that was revoked keeps the first moment and name.
_REVOKE: LiteralString = f"""
UPDATE api_key k SET revoked_at = %(now)s, revoked_by = %(by)s
WHERE key_id = %(key_id)s AND revoked_at IS NULL RETURNING {_SHOWN}
"""

# Of two who roll one key at once the second finds it rolled.
_REPLACE: LiteralString = f"""
WITH old AS (
    UPDATE api_key SET replaced_by = %(new_id)s, expires_at = least(expires_at, %(old_until)s)
    WHERE key_id = %(key_id)s AND replaced_by IS NULL AND revoked_at IS NULL
      AND (expires_at IS NULL OR expires_at > %(now)s)
    RETURNING *
)
INSERT INTO api_key AS k (key_id, secret_hash, scope, subject_id, label, created_at, created_by, expires_at,
                          permissions, client_id, person)
SELECT %(new_id)s, %(secret_hash)s, scope, subject_id, label, %(now)s, %(by)s, %(expires_at)s,
       permissions, coalesce(client_id, key_id), person
FROM old
RETURNING {_SHOWN}
"""

# What another process is writing at this moment is written.
_RECORD_USE: LiteralString = """
WITH due AS (
    SELECT k.key_id, used.at
    FROM unnest(%(key_ids)s::text[], %(moments)s::timestamptz[]) AS used (key_id, at)
    JOIN api_key k ON k.key_id = used.key_id
    WHERE k.last_used_at IS NULL OR k.last_used_at <= used.at - %(precision)s
    FOR UPDATE OF k SKIP LOCKED
)
UPDATE api_key k SET last_used_at = due.at FROM due WHERE k.key_id = due.key_id
"""

_ENDING_SOON: LiteralString = f"""
SELECT {_SHOWN} FROM api_key k
WHERE revoked_at IS NULL AND replaced_by IS NULL AND expires_at > %(now)s
  AND expires_at - least(%(soon)s, (expires_at - created_at) / 2) <= %(now)s
ORDER BY expires_at, key_id
"""


class PostgresKeys:
    """A reference table: few rows, read by every process at most once in five seconds for each key."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, key: ApiKey, secret_hash: bytes) -> None:
        """Keep a new key with the hash of its secret."""
        params = {
            "key_id": key.key_id,
            "secret_hash": secret_hash,
            "scope": key.scope.value,
            "subject_id": key.subject_id,
            "label": key.label,
            "created_at": key.created_at,
            "created_by": key.created_by,
            "expires_at": key.expires_at,
            "permissions": None if key.permissions is None else list(key.permissions),
            "person": key.person,
        }
        told = {"scope": key.scope, "permissions": key.permissions, "label": key.label, "expires_at": key.expires_at}
        if key.scope is KeyScope.BUYER:  # a label is free text, and this log cannot forget whose the key was
            del told["label"]
        entry = AuditEntry(AuditAction.KEY_ISSUED, key.key_id, key.created_by, key.created_at, told)
        if key.person is not None:  # by the person: who issued it may be the one who uses it
            told["key_id"] = key.key_id
            entry = AuditEntry(AuditAction.TOKEN_ISSUED, key.person, key.created_by, key.created_at, told)
        await fetch_audited(self._pool, _ADD, params, entry)

    async def find(self, key_ids: Collection[str]) -> Mapping[str, tuple[ApiKey, bytes]]:
        """Those of them that there are, with the hashes of their secrets."""
        query: LiteralString = f"SELECT {_SHOWN}, secret_hash FROM api_key k WHERE key_id = ANY (%(ids)s)"
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(query, {"ids": list(key_ids)})).fetchall()
        keys = ((msgspec.json.decode(str(row[0]), type=ApiKey), msgspec.convert(row[1], bytes)) for row in rows)
        return {key.key_id: (key, secret_hash) for key, secret_hash in keys}

    async def list(
        self, *, scope: KeyScope | None, subject_id: str | None, working_at: datetime | None, limit: int
    ) -> Sequence[ApiKey]:
        """Newest first; `working_at` leaves out those that do not work then."""
        params = {
            "scope": None if scope is None else scope.value,
            "subject_id": subject_id,
            "working_at": working_at,
            "limit": limit,
        }
        return await read_rows(self._pool, _LIST, params, ApiKey)

    async def revoke(self, key_id: str, *, by: str, now: datetime) -> ApiKey | None:
        """The key as it stands, revoked; None when there is no such key."""
        params = {"key_id": key_id, "by": by, "now": now}
        rows = await fetch_audited(self._pool, _REVOKE, params, AuditEntry(AuditAction.KEY_REVOKED, key_id, by, now))
        if rows:
            return msgspec.json.decode(str(rows[0][0]), type=ApiKey)
        return (await self.find((key_id,))).get(key_id, (None,))[0]

    async def replace(
        self,
        key_id: str,
        new_id: str,
        secret_hash: bytes,
        *,
        by: str,
        now: datetime,
        expires_at: datetime | None,
        old_until: datetime,
    ) -> ApiKey | None:
        """The new key; None, and nothing is changed, where the old one is unknown, over, or rolled already."""
        params = {
            "key_id": key_id,
            "new_id": new_id,
            "secret_hash": secret_hash,
            "by": by,
            "now": now,
            "expires_at": expires_at,
            "old_until": old_until,
        }
        told = {"to": new_id, "expires_at": expires_at, "old_until": old_until}
        entry = AuditEntry(AuditAction.KEY_ROLLED, key_id, by, now, told)
        rows = await fetch_audited(self._pool, _REPLACE, params, entry)
        return msgspec.json.decode(str(rows[0][0]), type=ApiKey) if rows else None

    async def record_use(self, used_at: Mapping[str, datetime]) -> None:
        """Write down when keys were used; what is written already to the minute stays."""
        params = {"key_ids": list(used_at), "moments": list(used_at.values()), "precision": USE_PRECISION}
        async with self._pool.connection() as connection:
            await connection.execute(_RECORD_USE, params)

    async def ending_soon(self, now: datetime) -> Sequence[ApiKey]:
        """Keys that work, end soon and were not rolled, the first to end first."""
        return await read_rows(self._pool, _ENDING_SOON, {"now": now, "soon": ENDING_SOON}, ApiKey)
