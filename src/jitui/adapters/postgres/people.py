"""See `jitui.identity.people.People`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import LiteralString

import msgspec

from jitui.adapters.postgres.pool import Pool
from jitui.identity.people import Person

_PERSON: LiteralString = """
json_build_object('name', p.name, 'role', p.role, 'subject_id', p.subject_id, 'display_name', p.display_name,
                  'about', p.about, 'sample', p.sample)::text
"""

_PUT: LiteralString = """
INSERT INTO console_person (name, role, subject_id, display_name, about, sample, password_hash, created_at)
VALUES (%(name)s, %(role)s, %(subject_id)s, %(display_name)s, %(about)s::jsonb, %(sample)s, %(password_hash)s, %(now)s)
ON CONFLICT (name) DO UPDATE
SET role = excluded.role, subject_id = excluded.subject_id, display_name = excluded.display_name,
    about = excluded.about, sample = excluded.sample, password_hash = excluded.password_hash
"""

_ADD_SESSION: LiteralString = """
WITH swept AS (DELETE FROM console_session WHERE token_hash IN (
    SELECT token_hash FROM console_session WHERE expires_at <= %(now)s FOR UPDATE SKIP LOCKED))
INSERT INTO console_session (token_hash, name, started_at, expires_at)
VALUES (%(token_hash)s, %(name)s, %(now)s, %(expires_at)s)
"""

_COUNT_ATTEMPT: LiteralString = """
INSERT INTO sign_in_attempt AS a (source, since, attempts) VALUES (%(source)s, %(now)s, 1)
ON CONFLICT (source) DO UPDATE
SET attempts = CASE WHEN a.since < %(window_from)s THEN 1 ELSE a.attempts + 1 END,
    since = CASE WHEN a.since < %(window_from)s THEN excluded.since ELSE a.since END
RETURNING attempts::text
"""

_FORGET_ATTEMPTS: LiteralString = """
DELETE FROM sign_in_attempt WHERE source IN (
    SELECT source FROM sign_in_attempt WHERE source = %(source)s OR since < %(window_from)s FOR UPDATE SKIP LOCKED)
"""


class PostgresPeople:
    """Reference tables: few rows, read by every page."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put_person(self, person: Person, password_hash: str | None, now: datetime) -> None:
        """Create or replace."""
        params = {
            "name": person.name,
            "role": person.role.value,
            "subject_id": person.subject_id,
            "display_name": person.display_name,
            "about": msgspec.json.encode(person.about).decode(),
            "sample": person.sample,
            "password_hash": password_hash,
            "now": now,
        }
        await self._rows(_PUT, params)

    async def find_person(self, name: str) -> tuple[Person, str | None] | None:
        """The person and the hash of the password."""
        query: LiteralString = f"SELECT {_PERSON}, p.password_hash FROM console_person p WHERE p.name = %(name)s"
        rows = await self._rows(query, {"name": name})
        if not rows:
            return None
        person, password_hash = rows[0]
        return _person(person), None if password_hash is None else str(password_hash)

    async def samples(self) -> Sequence[Person]:
        """A demo's own people, buyers first."""
        query: LiteralString = (
            f"SELECT {_PERSON} FROM console_person p WHERE p.sample ORDER BY p.role, p.created_at, p.name"
        )
        return [_person(row[0]) for row in await self._rows(query, {})]

    async def add_session(self, token_hash: bytes, name: str, now: datetime, expires_at: datetime) -> None:
        """Keep a session; sweeps those that have ended."""
        params = {"token_hash": token_hash, "name": name, "now": now, "expires_at": expires_at}
        await self._rows(_ADD_SESSION, params)

    async def find_session(self, token_hash: bytes, now: datetime) -> Person | None:
        """Whose session it is, while it lasts."""
        query: LiteralString = (
            f"SELECT {_PERSON} FROM console_session s JOIN console_person p ON p.name = s.name "
            "WHERE s.token_hash = %(token_hash)s AND s.expires_at > %(now)s"
        )
        rows = await self._rows(query, {"token_hash": token_hash, "now": now})
        return _person(rows[0][0]) if rows else None

    async def drop_session(self, token_hash: bytes) -> None:
        """Nothing happens when there is none."""
        await self._rows("DELETE FROM console_session WHERE token_hash = %(token_hash)s", {"token_hash": token_hash})

    async def count_attempt(self, source: bytes, now: datetime, window_from: datetime) -> int:
        """How many there were in the window, this one included."""
        rows = await self._rows(_COUNT_ATTEMPT, {"source": source, "now": now, "window_from": window_from})
        return int(str(rows[0][0]))

    async def uncount_attempt(self, source: bytes) -> None:
        """One fewer: it was no failure."""
        await self._rows(
            "UPDATE sign_in_attempt SET attempts = attempts - 1 WHERE source = %(source)s AND attempts > 0",
            {"source": source},
        )

    async def forget_attempts(self, source: bytes, window_from: datetime) -> None:
        """Those of a source, and all whose window is over."""
        await self._rows(_FORGET_ATTEMPTS, {"source": source, "window_from": window_from})

    async def installation_secret(self, name: str, if_new: str) -> str:
        """The secret of that name; `if_new` becomes it when there is none."""
        params = {"name": name, "secret": if_new}
        await self._rows(
            "INSERT INTO installation_secret (name, secret) VALUES (%(name)s, %(secret)s) ON CONFLICT DO NOTHING",
            params,
        )
        rows = await self._rows("SELECT secret FROM installation_secret WHERE name = %(name)s", params)
        return str(rows[0][0])

    async def _rows(self, statement: LiteralString, params: Mapping[str, object]) -> list[tuple[object, ...]]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(statement, params)
            return await cursor.fetchall() if cursor.description is not None else []


def _person(row: object) -> Person:
    return msgspec.json.decode(str(row), type=Person)
