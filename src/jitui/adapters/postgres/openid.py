"""See `jitui.identity.openid.OpenIdSignIns` and `jitui.identity.openid_person.Identities`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import LiteralString

from psycopg.errors import UniqueViolation

from jitui.adapters.postgres.audit import AuditEntry, fetch_audited
from jitui.adapters.postgres.people import ACCOUNT, ENDED
from jitui.adapters.postgres.pool import Pool, fetch, read_rows
from jitui.identity.audit import AuditAction
from jitui.identity.openid import Begun
from jitui.identity.openid_person import Linked
from jitui.identity.people import Account, Person, SignInFault

_BEGIN: LiteralString = """
WITH swept AS (DELETE FROM openid_sign_in WHERE state_hash IN (
    SELECT state_hash FROM openid_sign_in WHERE expires_at <= %(now)s FOR UPDATE SKIP LOCKED))
INSERT INTO openid_sign_in (state_hash, browser_hash, issuer, next_path, expires_at)
VALUES (%(state_hash)s, %(browser_hash)s, %(issuer)s, %(next_path)s, %(expires_at)s)
"""

# The row lets one through: whoever comes with the same state again finds none.
_TAKE: LiteralString = """
DELETE FROM openid_sign_in
WHERE state_hash = %(state_hash)s AND browser_hash = %(browser_hash)s AND expires_at > %(now)s
RETURNING issuer, next_path
"""

_OF_ANOTHER: LiteralString = "SELECT 1 FROM openid_sign_in WHERE state_hash = %(state_hash)s AND expires_at > %(now)s"

_BY_SUBJECT: LiteralString = f"""
SELECT {ACCOUNT} FROM console_person p
WHERE p.openid_issuer = %(issuer)s AND p.openid_subject = %(subject)s
"""

_BY_EMAIL: LiteralString = f"SELECT {ACCOUNT} FROM console_person p WHERE p.email = %(email)s"

_LINK: LiteralString = f"""
WITH changed AS (
    UPDATE console_person SET openid_issuer = %(issuer)s, openid_subject = %(subject)s
    WHERE name = %(name)s RETURNING name
), {ENDED}
SELECT name FROM changed
"""

_LINK_FIRST: LiteralString = """
UPDATE console_person SET openid_issuer = %(issuer)s, openid_subject = %(subject)s
WHERE name = %(name)s AND email = %(email)s AND openid_subject IS NULL AND disabled_at IS NULL RETURNING name
"""

_SET_EMAIL: LiteralString = "UPDATE console_person SET email = %(email)s WHERE name = %(name)s RETURNING name"

_UNLINK: LiteralString = f"""
WITH changed AS (
    UPDATE console_person SET openid_issuer = NULL, openid_subject = NULL, email = NULL, role_from_issuer = false
    WHERE name = %(name)s AND (openid_subject IS NOT NULL OR email IS NOT NULL) RETURNING name
), {ENDED}
SELECT name FROM changed
"""

_ADD: LiteralString = """
INSERT INTO console_person (name, role, subject_id, display_name, about, sample, created_at, openid_issuer,
    openid_subject, role_from_issuer)
VALUES (%(name)s, %(role)s, '', %(display_name)s, '{}', false, %(now)s, %(issuer)s, %(subject)s, true)
ON CONFLICT DO NOTHING RETURNING name
"""


class PostgresOpenIdSignIns:
    """Rows that live for minutes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def begin(
        self,
        state_hash: bytes,
        browser_hash: bytes,
        issuer: str,
        next_path: str,
        *,
        now: datetime,
        expires_at: datetime,
    ) -> None:
        """Keep it; sweeps those from which nobody came back."""
        params = {
            "state_hash": state_hash,
            "browser_hash": browser_hash,
            "issuer": issuer,
            "next_path": next_path,
            "now": now,
            "expires_at": expires_at,
        }
        await fetch(self._pool, _BEGIN, params)

    async def take(self, state_hash: bytes, browser_hash: bytes, now: datetime) -> Begun | SignInFault:
        """What was begun under this state in this browser, which is over then; another browser's goes on."""
        params = {"state_hash": state_hash, "browser_hash": browser_hash, "now": now}
        rows = await fetch(self._pool, _TAKE, params)
        if rows:
            issuer, next_path = rows[0]
            return Begun(str(issuer), str(next_path))
        others = await fetch(self._pool, _OF_ANOTHER, params)
        return SignInFault.OTHER_BROWSER if others else SignInFault.UNKNOWN_STATE


class PostgresIdentities:
    """Columns of the person's row."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def by_subject(self, issuer: str, subject: str) -> Account | None:
        """Whose subject it is."""
        found = await read_rows(self._pool, _BY_SUBJECT, {"issuer": issuer, "subject": subject}, Account)
        return found[0] if found else None

    async def by_email(self, email: str) -> Account | None:
        """Whose address it is; in small letters."""
        found = await read_rows(self._pool, _BY_EMAIL, {"email": email}, Account)
        return found[0] if found else None

    async def link(self, name: str, issuer: str, subject: str, *, by: str, now: datetime) -> Linked:
        """Give a person a subject, in the place of a former one; the sessions end."""
        params = {"name": name, "issuer": issuer, "subject": subject, "but": None}
        told = {"issuer": issuer, "subject": subject}
        return await self._changed(_LINK, params, AuditEntry(AuditAction.OPENID_LINKED, name, by, now, told))

    async def link_first(self, name: str, email: str, issuer: str, subject: str, *, by: str, now: datetime) -> bool:
        """Give a person with this address a subject; False where it has one by now, or is disabled."""
        params = {"name": name, "email": email, "issuer": issuer, "subject": subject}
        told = {"issuer": issuer, "subject": subject}
        entry = AuditEntry(AuditAction.OPENID_LINKED, name, by, now, told)
        return await self._changed(_LINK_FIRST, params, entry) is Linked.DONE

    async def set_email(self, name: str, email: str | None, *, by: str, now: datetime) -> Linked:
        """Give a person an e-mail address, in small letters, or take it away."""
        params = {"name": name, "email": email}
        entry = AuditEntry(AuditAction.EMAIL_SET, name, by, now, {"email": email})
        return await self._changed(_SET_EMAIL, params, entry)

    async def unlink(self, name: str, *, by: str, now: datetime) -> bool:
        """Take subject and address away, and end the sessions; False where there was neither."""
        entry = AuditEntry(AuditAction.OPENID_UNLINKED, name, by, now)
        return await self._changed(_UNLINK, {"name": name, "but": None}, entry) is Linked.DONE

    async def add(self, person: Person, issuer: str, subject: str, *, by: str, now: datetime) -> bool:
        """Add a person whose role the issuer gives; False where name or subject is taken."""
        params = {
            "name": person.name,
            "role": person.role.value,
            "display_name": person.display_name,
            "issuer": issuer,
            "subject": subject,
            "now": now,
        }
        told = {"role": person.role, "issuer": issuer, "subject": subject}
        entry = AuditEntry(AuditAction.PERSON_ADDED, person.name, by, now, told)
        return await self._changed(_ADD, params, entry) is Linked.DONE

    async def _changed(self, statement: LiteralString, params: Mapping[str, object], entry: AuditEntry) -> Linked:
        try:
            rows = await fetch_audited(self._pool, statement, params, entry)
        except UniqueViolation:
            return Linked.TAKEN
        return Linked.DONE if rows else Linked.NO_SUCH_PERSON
