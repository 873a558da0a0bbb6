"""See `jitui.identity.people.People`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString
from uuid import UUID

import msgspec

from jitui.adapters.postgres.audit import AuditEntry, fetch_audited
from jitui.adapters.postgres.pool import Pool, fetch, read_rows
from jitui.identity.access import Role
from jitui.identity.audit import AuditAction
from jitui.identity.people import Account, Browser, OpenSession, Person, Session, Way

PERSON: LiteralString = """
json_build_object('name', p.name, 'role', p.role, 'subject_id', p.subject_id, 'display_name', p.display_name,
                  'about', p.about, 'sample', p.sample)
"""

ACCOUNT: LiteralString = f"""
json_build_object('person', {PERSON}, 'created_at', p.created_at, 'disabled_at', p.disabled_at,
                  'password_set', p.password_hash IS NOT NULL, 'second_factor', p.totp_seed IS NOT NULL,
                  'last_signed_in_at', p.last_signed_in_at, 'email', p.email, 'openid_issuer', p.openid_issuer,
                  'openid_subject', p.openid_subject, 'role_from_issuer', p.role_from_issuer)::text
"""

_ADD: LiteralString = """
INSERT INTO console_person AS p (name, role, subject_id, display_name, about, sample, password_hash, created_at)
VALUES (%(name)s, %(role)s, %(subject_id)s, %(display_name)s, %(about)s::jsonb, %(sample)s, %(password_hash)s, %(now)s)
"""

_PUT: LiteralString = f"""
{_ADD}
ON CONFLICT (name) DO UPDATE
SET created_at = CASE WHEN excluded.sample THEN excluded.created_at ELSE p.created_at END,
    role = excluded.role, subject_id = excluded.subject_id, display_name = excluded.display_name,
    about = excluded.about, sample = excluded.sample, password_hash = excluded.password_hash
"""

# What ends all that a person may be signed in by, links that were not used included; `but` is one session that stays.
ENDED: LiteralString = """
ended AS (DELETE FROM console_session s USING changed c
          WHERE s.name = c.name AND s.token_hash IS DISTINCT FROM %(but)s::bytea),
given_up AS (DELETE FROM pending_sign_in s USING changed c WHERE s.name = c.name),
void AS (DELETE FROM one_time_link l USING changed c WHERE l.name = c.name AND l.used_at IS NULL)
"""

_SET_DISABLED: LiteralString = f"""
WITH changed AS (UPDATE console_person SET disabled_at = %(disabled_at)s WHERE name = %(name)s RETURNING name), {ENDED}
SELECT name FROM changed
"""

_SET_ROLE: LiteralString = f"""
WITH changed AS (
    UPDATE console_person SET role = %(role)s, subject_id = %(subject_id)s WHERE name = %(name)s RETURNING name
), {ENDED}
SELECT name FROM changed
"""

_SET_PASSWORD: LiteralString = f"""
WITH changed AS (
    UPDATE console_person SET password_hash = %(password_hash)s WHERE name = %(name)s RETURNING name
), {ENDED}
SELECT name FROM changed
"""

_ADD_SESSION: LiteralString = """
WITH swept AS (DELETE FROM console_session WHERE token_hash IN (
    SELECT token_hash FROM console_session WHERE expires_at <= %(now)s FOR UPDATE SKIP LOCKED)),
seen AS (UPDATE console_person SET last_signed_in_at = %(now)s WHERE name = %(name)s)
INSERT INTO console_session (token_hash, name, started_at, expires_at, address, agent, way, second_factor)
VALUES (%(token_hash)s, %(name)s, %(now)s, %(expires_at)s, %(address)s, %(agent)s, %(way)s, %(second_factor)s)
"""

_FIND_SESSION: LiteralString = f"""
SELECT json_build_object('person', {PERSON}, 'way', s.way, 'started_at', s.started_at,
                         'second_factor', s.second_factor, 'has_second_factor', p.totp_seed IS NOT NULL)::text
FROM console_session s JOIN console_person p ON p.name = s.name
WHERE s.token_hash = %(token_hash)s AND s.expires_at > %(now)s AND p.disabled_at IS NULL
"""

_SESSIONS: LiteralString = """
SELECT json_build_object('session_id', session_id, 'started_at', started_at, 'expires_at', expires_at,
                         'address', address, 'agent', agent,
                         'current', token_hash IS NOT DISTINCT FROM %(token_hash)s::bytea)::text
FROM console_session WHERE name = %(name)s AND expires_at > %(now)s ORDER BY started_at DESC, session_id
"""

_END_SESSIONS: LiteralString = """
DELETE FROM console_session
WHERE name = %(name)s AND (%(session_id)s::uuid IS NULL OR session_id = %(session_id)s)
  AND token_hash IS DISTINCT FROM %(but)s::bytea
RETURNING session_id
"""

_ADD_PENDING: LiteralString = """
WITH swept AS (DELETE FROM pending_sign_in WHERE token_hash IN (
    SELECT token_hash FROM pending_sign_in WHERE expires_at <= %(now)s FOR UPDATE SKIP LOCKED))
INSERT INTO pending_sign_in (token_hash, name, expires_at, way)
VALUES (%(token_hash)s, %(name)s, %(expires_at)s, %(way)s)
"""

_TAKE_PENDING: LiteralString = f"""
WITH taken AS (
    DELETE FROM pending_sign_in WHERE token_hash = %(token_hash)s AND expires_at > %(now)s RETURNING name, way
)
SELECT {PERSON}::text, t.way FROM taken t JOIN console_person p ON p.name = t.name WHERE p.disabled_at IS NULL
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
        await fetch(self._pool, _PUT, _values(person, password_hash, now))

    async def add_person(self, person: Person, password_hash: str | None, now: datetime, *, by: str) -> bool:
        """Create; False, and nothing is changed, where the name is taken."""
        statement: LiteralString = f"{_ADD} ON CONFLICT (name) DO NOTHING RETURNING name"
        entry = AuditEntry(AuditAction.PERSON_ADDED, person.name, by, now, {"role": person.role})
        return bool(await fetch_audited(self._pool, statement, _values(person, password_hash, now), entry))

    async def find_account(self, name: str) -> tuple[Account, str | None] | None:
        """The account and the hash of the password."""
        query: LiteralString = f"SELECT {ACCOUNT}, p.password_hash FROM console_person p WHERE p.name = %(name)s"
        rows = await fetch(self._pool, query, {"name": name})
        if not rows:
            return None
        account, password_hash = rows[0]
        found = msgspec.json.decode(str(account), type=Account)
        return found, None if password_hash is None else str(password_hash)

    async def accounts(self) -> Sequence[Account]:
        """Everybody, by name."""
        query: LiteralString = f"SELECT {ACCOUNT} FROM console_person p ORDER BY p.name"
        return await read_rows(self._pool, query, {}, Account)

    async def samples(self) -> Sequence[Person]:
        """A demo's own people, buyers first, those of one role as they were enrolled last."""
        query: LiteralString = (
            f"SELECT {PERSON}::text FROM console_person p WHERE p.sample AND p.disabled_at IS NULL "
            "ORDER BY p.role, p.created_at, p.name"
        )
        return await read_rows(self._pool, query, {}, Person)

    async def set_disabled(self, name: str, disabled: bool, *, by: str, now: datetime) -> bool:
        """Disable or enable; what somebody was signed in by ends either way. False where there is no such person."""
        params = {"name": name, "disabled_at": now if disabled else None, "but": None}
        action = AuditAction.PERSON_DISABLED if disabled else AuditAction.PERSON_ENABLED
        return bool(await fetch_audited(self._pool, _SET_DISABLED, params, AuditEntry(action, name, by, now)))

    async def set_role(self, name: str, role: Role, subject_id: str, *, by: str, now: datetime) -> bool:
        """Give another role; the sessions end. False where there is no such person."""
        params = {"name": name, "role": role.value, "subject_id": subject_id, "but": None}
        entry = AuditEntry(AuditAction.ROLE_CHANGED, name, by, now, {"role": role})
        return bool(await fetch_audited(self._pool, _SET_ROLE, params, entry))

    async def set_password(
        self, name: str, password_hash: str | None, *, by: str, now: datetime, but: bytes | None = None
    ) -> bool:
        """Set or take away a password; the sessions end, except the one of that token."""
        params = {"name": name, "password_hash": password_hash, "but": but}
        action = AuditAction.PASSWORD_REMOVED if password_hash is None else AuditAction.PASSWORD_CHANGED
        return bool(await fetch_audited(self._pool, _SET_PASSWORD, params, AuditEntry(action, name, by, now)))

    async def add_session(
        self,
        token_hash: bytes,
        name: str,
        now: datetime,
        expires_at: datetime,
        browser: Browser,
        *,
        way: Way = Way.PASSWORD,
        second_factor: bool = False,
    ) -> None:
        """Keep a session; sweeps those that have ended."""
        params = {
            "token_hash": token_hash,
            "name": name,
            "now": now,
            "expires_at": expires_at,
            "address": browser.address,
            "agent": browser.agent,
            "way": way.value,
            "second_factor": second_factor,
        }
        told = {"address": browser.address, "way": way}
        entry = AuditEntry(AuditAction.SIGNED_IN, name, name, now, told)
        await fetch_audited(self._pool, _ADD_SESSION, params, entry)

    async def find_session(self, token_hash: bytes, now: datetime) -> OpenSession | None:
        """Whose session it is, while it lasts and the person is not disabled."""
        found = await read_rows(self._pool, _FIND_SESSION, {"token_hash": token_hash, "now": now}, OpenSession)
        return found[0] if found else None

    async def set_session_factor(self, token_hash: bytes) -> None:
        """A second factor was set up in this session."""
        statement: LiteralString = "UPDATE console_session SET second_factor = true WHERE token_hash = %(token_hash)s"
        await fetch(self._pool, statement, {"token_hash": token_hash})

    async def sessions(self, name: str, now: datetime, token_hash: bytes | None) -> Sequence[Session]:
        """Those that last, newest first."""
        params = {"name": name, "now": now, "token_hash": token_hash}
        return await read_rows(self._pool, _SESSIONS, params, Session)

    async def drop_session(self, token_hash: bytes) -> Way | None:
        """How it was begun; None, and nothing happens, when there is none."""
        statement: LiteralString = "DELETE FROM console_session WHERE token_hash = %(token_hash)s RETURNING way"
        rows = await fetch(self._pool, statement, {"token_hash": token_hash})
        return Way(str(rows[0][0])) if rows else None

    async def end_sessions(
        self, name: str, session_id: UUID | None, *, by: str, now: datetime, but: bytes | None = None
    ) -> int:
        """End one session of a person, or all, except the one of that token; how many ended."""
        params = {"name": name, "session_id": session_id, "but": but}
        entry = AuditEntry(AuditAction.SESSIONS_ENDED, name, by, now, {"session_id": session_id})
        return len(await fetch_audited(self._pool, _END_SESSIONS, params, entry))

    async def add_pending(
        self, token_hash: bytes, name: str, now: datetime, expires_at: datetime, *, way: Way = Way.PASSWORD
    ) -> None:
        """Remember that the first step is done; sweeps what came to nothing."""
        params = {"token_hash": token_hash, "name": name, "now": now, "expires_at": expires_at, "way": way.value}
        await fetch(self._pool, _ADD_PENDING, params)

    async def find_pending(self, token_hash: bytes, now: datetime) -> str | None:
        """The name behind a first step, while it lasts."""
        query: LiteralString = (
            "SELECT name FROM pending_sign_in WHERE token_hash = %(token_hash)s AND expires_at > %(now)s"
        )
        rows = await fetch(self._pool, query, {"token_hash": token_hash, "now": now})
        return str(rows[0][0]) if rows else None

    async def take_pending(self, token_hash: bytes, now: datetime) -> tuple[Person, Way] | None:
        """The person and way of a first step, which is over then; None for the second who comes with it."""
        rows = await fetch(self._pool, _TAKE_PENDING, {"token_hash": token_hash, "now": now})
        if not rows:
            return None
        person, way = rows[0]
        return msgspec.json.decode(str(person), type=Person), Way(str(way))

    async def count_attempt(self, source: bytes, now: datetime, window_from: datetime) -> int:
        """How many there were in the window, this one included."""
        rows = await fetch(self._pool, _COUNT_ATTEMPT, {"source": source, "now": now, "window_from": window_from})
        return int(str(rows[0][0]))

    async def uncount_attempt(self, source: bytes) -> None:
        """One fewer: it was no failure."""
        statement: LiteralString = (
            "UPDATE sign_in_attempt SET attempts = attempts - 1 WHERE source = %(source)s AND attempts > 0"
        )
        await fetch(self._pool, statement, {"source": source})

    async def forget_attempts(self, source: bytes, window_from: datetime) -> None:
        """Those of a source, and all whose window is over."""
        await fetch(self._pool, _FORGET_ATTEMPTS, {"source": source, "window_from": window_from})

    async def installation_secret(self, name: str, if_new: str) -> str:
        """The secret of that name; `if_new` becomes it when there is none."""
        params = {"name": name, "secret": if_new}
        statement: LiteralString = (
            "INSERT INTO installation_secret (name, secret) VALUES (%(name)s, %(secret)s) ON CONFLICT DO NOTHING"
        )
        await fetch(self._pool, statement, params)
        rows = await fetch(self._pool, "SELECT secret FROM installation_secret WHERE name = %(name)s", params)
        return str(rows[0][0])


def _values(person: Person, password_hash: str | None, now: datetime) -> dict[str, object]:
    return {
        "name": person.name,
        "role": person.role.value,
        "subject_id": person.subject_id,
        "display_name": person.display_name,
        "about": msgspec.json.encode(person.about).decode(),
        "sample": person.sample,
        "password_hash": password_hash,
        "now": now,
    }
