"""See `jitui.identity.second_factor.SecondFactors`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

from jitui.adapters.postgres.audit import AuditEntry, fetch_audited
from jitui.adapters.postgres.pool import Pool, fetch, read_rows
from jitui.identity.audit import AuditAction
from jitui.identity.second_factor import FactorState

_STATE: LiteralString = """
SELECT json_build_object('encrypted', p.totp_seed, 'pending', p.totp_pending,
                         'recovery_codes', (SELECT count(*) FROM recovery_code r WHERE r.name = p.name))::text
FROM console_person p WHERE p.name = %(name)s
"""

# Codes are deleted and written by one statement, so the deleted ones must be others: new ones are random.
_NEW_CODES: LiteralString = """
gone AS (DELETE FROM recovery_code r USING changed c WHERE r.name = c.name),
written AS (INSERT INTO recovery_code (name, code_hash)
            SELECT c.name, h FROM changed c, unnest(%(code_hashes)s::bytea[]) AS h)
SELECT name FROM changed
"""

_CONFIRM: LiteralString = f"""
WITH changed AS (
    UPDATE console_person SET totp_seed = totp_pending, totp_pending = NULL, totp_last_step = %(step)s
    WHERE name = %(name)s AND totp_pending = %(encrypted)s RETURNING name
), {_NEW_CODES}
"""

_RENEW: LiteralString = f"""
WITH changed AS (
    SELECT name FROM console_person WHERE name = %(name)s AND totp_seed IS NOT NULL FOR UPDATE
), {_NEW_CODES}
"""

# A code is accepted once: the row takes a step only when it is later than the last one.
_USE_STEP: LiteralString = """
UPDATE console_person SET totp_last_step = %(step)s
WHERE name = %(name)s AND totp_seed = %(encrypted)s AND (totp_last_step IS NULL OR totp_last_step < %(step)s)
RETURNING name
"""

_REMOVE: LiteralString = """
WITH gone AS (DELETE FROM recovery_code WHERE name = %(name)s),
before AS (SELECT totp_seed FROM console_person WHERE name = %(name)s)
UPDATE console_person p SET totp_seed = NULL, totp_pending = NULL, totp_last_step = NULL
FROM before b WHERE p.name = %(name)s AND b.totp_seed IS NOT NULL RETURNING p.name
"""

_SEEDS: LiteralString = """
SELECT name, totp_seed FROM console_person WHERE totp_seed IS NOT NULL
UNION ALL SELECT name, totp_pending FROM console_person WHERE totp_pending IS NOT NULL ORDER BY name
"""

_REPLACE_SEED: LiteralString = """
UPDATE console_person SET
    totp_seed = CASE totp_seed WHEN %(old)s THEN %(new)s ELSE totp_seed END,
    totp_pending = CASE totp_pending WHEN %(old)s THEN %(new)s ELSE totp_pending END
WHERE name = %(name)s AND %(old)s IN (totp_seed, totp_pending) RETURNING name
"""


class PostgresSecondFactors:
    """Columns of the person's row, and the recovery codes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def state(self, name: str) -> FactorState | None:
        """What a person has; None where there is no such person."""
        found = await read_rows(self._pool, _STATE, {"name": name}, FactorState)
        return found[0] if found else None

    async def put_pending(self, name: str, encrypted: str) -> None:
        """A seed that waits to be confirmed, in the place of a former one; nothing happens beside a seed in use."""
        statement: LiteralString = (
            "UPDATE console_person SET totp_pending = %(encrypted)s WHERE name = %(name)s AND totp_seed IS NULL"
        )
        await fetch(self._pool, statement, {"name": name, "encrypted": encrypted})

    async def confirm(
        self, name: str, encrypted: str, step: int, code_hashes: Sequence[bytes], *, now: datetime
    ) -> bool:
        """Take the waiting seed into use, with its recovery codes; False where another one waits by now."""
        params = {"name": name, "encrypted": encrypted, "step": step, "code_hashes": list(code_hashes)}
        entry = AuditEntry(AuditAction.SECOND_FACTOR_SET_UP, name, name, now)
        return bool(await fetch_audited(self._pool, _CONFIRM, params, entry))

    async def use_step(self, name: str, encrypted: str, step: int) -> bool:
        """Whether this step, or a later one, was not used before; it is used then."""
        return bool(await fetch(self._pool, _USE_STEP, {"name": name, "encrypted": encrypted, "step": step}))

    async def use_recovery_code(self, name: str, code_hash: bytes, *, now: datetime) -> bool:
        """Whether there was this code; it is gone then."""
        statement: LiteralString = (
            "DELETE FROM recovery_code WHERE name = %(name)s AND code_hash = %(code_hash)s RETURNING name"
        )
        entry = AuditEntry(AuditAction.RECOVERY_CODE_USED, name, name, now)
        return bool(await fetch_audited(self._pool, statement, {"name": name, "code_hash": code_hash}, entry))

    async def replace_recovery_codes(self, name: str, code_hashes: Sequence[bytes], *, now: datetime) -> bool:
        """New codes for a person with a second factor."""
        params = {"name": name, "code_hashes": list(code_hashes)}
        entry = AuditEntry(AuditAction.RECOVERY_CODES_RENEWED, name, name, now)
        return bool(await fetch_audited(self._pool, _RENEW, params, entry))

    async def remove(self, name: str, *, by: str, now: datetime) -> bool:
        """Take a second factor away, recovery codes included; whether there was one."""
        entry = AuditEntry(AuditAction.SECOND_FACTOR_REMOVED, name, by, now)
        return bool(await fetch_audited(self._pool, _REMOVE, {"name": name}, entry))

    async def stored_seeds(self) -> Sequence[tuple[str, str]]:
        """Every encrypted seed with the name of its person."""
        return [(str(name), str(encrypted)) for name, encrypted in await fetch(self._pool, _SEEDS, {})]

    async def replace_seed(self, name: str, old: str, new: str) -> bool:
        """The same seed, encrypted anew; False where it has changed meanwhile."""
        return bool(await fetch(self._pool, _REPLACE_SEED, {"name": name, "old": old, "new": new}))
