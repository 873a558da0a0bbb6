"""API keys: issued, rolled with an overlap, revoked, and ended by themselves; and whether one is good."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from jitui.errors import BadInput
from jitui.identity.access import BOUND_ROLES, KEY_GRANTS, ROLE_GRANTS, Grants, KeyScope, Permission, Role

LIFETIME = timedelta(days=365)
"""How long a key works unless its issuer says otherwise."""
ENDING_SOON = timedelta(days=30)
"""How long before its end a key is warned about; for a key of a shorter life at most half of it."""

_PRESENTED = re.compile(r"jt_([0-9A-Za-z]{1,64})_([0-9A-Za-z_-]{1,128})")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key's row; the secret itself is shown once and kept only as a hash.

    `permissions` is None for a key that may do all that its scope may, and else holds what it was restricted to, names
    included that have been retired since. `replaced_by` is the key that it was rolled to. `client_id` is the id of the
    first key of a line of rolled keys, None for the first itself.

    A personal token has the name of its `person`, and the `role` that the person has now, None for one who is disabled.
    """

    key_id: str
    scope: KeyScope
    subject_id: str
    label: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    permissions: tuple[str, ...] | None = None
    created_by: str = ""
    revoked_by: str | None = None
    replaced_by: str | None = None
    client_id: str | None = None
    last_used_at: datetime | None = None
    person: str | None = None
    role: Role | None = None

    @property
    def client(self) -> str:
        """What stays the same when a key is rolled: to a client that repeats a request with its new key it is one."""
        return self.client_id or self.key_id


class KeyState(StrEnum):
    """Whether a key works."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class KeyFault(StrEnum):
    """Why what was presented opens nothing; for the log and the metrics, never for the caller."""

    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    WRONG_SECRET = "wrong_secret"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just issued; `secret` is the whole text that a client sends, shown this once."""

    key: ApiKey
    secret: str


class Keys(Protocol):
    """What keeps API keys."""

    async def add(self, key: ApiKey, secret_hash: bytes) -> None: ...

    async def find(self, key_ids: Collection[str]) -> Mapping[str, tuple[ApiKey, bytes]]: ...

    async def list(
        self, *, scope: KeyScope | None, subject_id: str | None, working_at: datetime | None, limit: int
    ) -> Sequence[ApiKey]: ...

    async def revoke(self, key_id: str, *, by: str, now: datetime) -> ApiKey | None: ...

    async def replace(
        self, key_id: str, new_id: str, secret_hash: bytes, *, by: str, now: datetime, expires_at: datetime | None,
        old_until: datetime,
    ) -> ApiKey | None: ...  # fmt: skip

    async def record_use(self, used_at: Mapping[str, datetime]) -> None: ...

    async def ending_soon(self, now: datetime) -> Sequence[ApiKey]: ...


async def issue_key(
    keys: Keys,
    scope: KeyScope,
    subject_id: str,
    *,
    label: str,
    now: datetime,
    lifetime: timedelta | None = LIFETIME,
    permissions: Collection[str] | None = None,
    by: str = "",
) -> NewKey:
    """A new API key, `jt_<id>_<secret>`; only the SHA-256 of its secret is kept, which has 256 random bits.

    `lifetime` None: it never ends. Raises BadInput for permissions that a key of the scope cannot have.
    """
    checked = None if permissions is None else check_permissions(scope, permissions)
    key_id, secret = _new_secret()
    ends = None if lifetime is None else now + lifetime
    key = ApiKey(key_id, scope, subject_id, label, now, ends, permissions=checked, created_by=by)
    await keys.add(key, hash_secret(secret))
    return NewKey(key, _shown(key_id, secret))


async def roll_key(
    keys: Keys, key_id: str, *, now: datetime, old_until: datetime, lifetime: timedelta | None = LIFETIME, by: str = ""
) -> NewKey:
    """A key in the place of another, which works until `old_until`, or until its own end where that is earlier.

    It may do what the old one may. Raises BadInput for a key that is unknown, over, or rolled already.
    """
    new_id, secret = _new_secret()
    ends = None if lifetime is None else now + lifetime
    new = await keys.replace(
        key_id, new_id, hash_secret(secret), by=by, now=now, expires_at=ends, old_until=max(old_until, now)
    )
    if new is None:
        raise await _why_not_rolled(keys, key_id, now)
    return NewKey(new, _shown(new_id, secret))


async def _why_not_rolled(keys: Keys, key_id: str, now: datetime) -> BadInput:
    row = (await keys.find((key_id,))).get(key_id)
    if row is None:
        return unknown_key(key_id)
    key = row[0]
    if key.replaced_by is not None:
        return BadInput(f"Key {key_id} was rolled to {key.replaced_by} already; roll that one.", path="key")
    return BadInput(f"Key {key_id} is {state_of(key, now)}; issue a new one.", path="key")


async def issue_personal_token(
    keys: Keys, person: str, role: Role, *, label: str, now: datetime, lifetime: timedelta, by: str
) -> NewKey:
    """A key by which a person acts outside of the console; it may do what the person's role may when it is used.

    Raises BadInput for a person who is bound to one buyer or shop.
    """
    if role in BOUND_ROLES:
        raise BadInput(f"A {role} has no personal token: an API key of scope buyer or shop does that.", path="name")
    key_id, secret = _new_secret()
    key = ApiKey(key_id, KeyScope.PLATFORM, "", label, now, now + lifetime, created_by=by, person=person, role=role)
    await keys.add(key, hash_secret(secret))
    return NewKey(key, _shown(key_id, secret))


def grants_of(key: ApiKey) -> Grants:
    """What a key may do at most: what its person's role may now, or its scope."""
    return ROLE_GRANTS[key.role] if key.role is not None else KEY_GRANTS[key.scope]


def key_may(key: ApiKey, permission: Permission) -> bool:
    """Whether a key has a permission."""
    return permission in grants_of(key) and (key.permissions is None or permission.value in key.permissions)


def unknown_key(key_id: str) -> BadInput:
    """There is no such key."""
    return BadInput(f"There is no key {key_id} in this database.", path="key")


def check_permissions(scope: KeyScope, permissions: Collection[str]) -> tuple[str, ...]:
    """Permissions in the order of the alphabet, once each; raises BadInput for those that the scope cannot have."""
    allowed = sorted(KEY_GRANTS[scope])
    wrong = sorted(set(permissions) - set(allowed))
    if wrong:
        raise BadInput(
            f"A key of scope {scope} cannot have the permission {', '.join(wrong)}; it can have {', '.join(allowed)}.",
            path="permissions",
        )
    if not permissions:
        raise BadInput("A key without any permission opens nothing.", path="permissions")
    return tuple(sorted(set(permissions)))


def retired_permissions(key: ApiKey) -> tuple[str, ...]:
    """Permissions of a key that this version does not know: they were retired, and allow nothing."""
    return tuple(name for name in key.permissions or () if name not in tuple(Permission))


def state_of(key: ApiKey, now: datetime) -> KeyState:
    """Whether a key works now."""
    if key.revoked_at is not None:
        return KeyState.REVOKED
    return KeyState.EXPIRED if key.expires_at is not None and key.expires_at <= now else KeyState.ACTIVE


def read_presented(presented: str) -> tuple[str, bytes] | None:
    """A key's id and the hash of its secret; None for what cannot be a key."""
    parts = _PRESENTED.fullmatch(presented)
    return None if parts is None else (parts[1], hash_secret(parts[2]))


def key_id_of(text: str) -> str:
    """The id in a whole key that somebody pasted, or the text itself."""
    parts = _PRESENTED.fullmatch(text)
    return text if parts is None else parts[1]


def judge(row: tuple[ApiKey, bytes] | None, secret_hash: bytes, now: datetime) -> ApiKey | KeyFault:
    """The key of a row, if the secret is right and it works now; else why not."""
    if row is None:
        return KeyFault.UNKNOWN
    key, right = row
    if not secrets.compare_digest(right, secret_hash):
        return KeyFault.WRONG_SECRET
    if key.person is not None and key.role is None:
        return KeyFault.REVOKED
    state = state_of(key, now)
    return key if state is KeyState.ACTIVE else KeyFault(state.value)


async def authenticate(keys: Keys, presented: str, now: datetime) -> ApiKey | KeyFault:
    """The key that was presented, or why it opens nothing."""
    parts = read_presented(presented)
    if parts is None:
        return KeyFault.MALFORMED
    return judge((await keys.find((parts[0],))).get(parts[0]), parts[1], now)


def hash_secret(secret: str) -> bytes:
    """The hash that a key's row keeps."""
    return hashlib.sha256(secret.encode()).digest()


def _new_secret() -> tuple[str, str]:
    return secrets.token_hex(6), secrets.token_urlsafe(32)


def _shown(key_id: str, secret: str) -> str:
    return f"jt_{key_id}_{secret}"
