"""People who sign in to the console: whose eyes they see with, their passwords and their sessions."""

from __future__ import annotations

import hashlib
import secrets
from asyncio import to_thread
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Protocol

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from jitui.errors import BadInput

SHORTEST_PASSWORD = 10
SESSION_LASTS = timedelta(hours=12)
ATTEMPT_WINDOW = timedelta(minutes=15)
ATTEMPTS_ON_A_NAME = 10
ATTEMPTS_FROM_AN_ADDRESS = 50
"""Within one window; an address may be a whole office behind one router."""

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""Argon2id with the smallest costs that OWASP's password storage sheet recommends: a guess is dear, a page is not."""


class Role(StrEnum):
    """Whose eyes a person sees with (I8)."""

    BUYER = "buyer"
    MERCHANT = "merchant"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may sign in; `subject_id` is the one buyer or shop whose things this person may see."""

    name: str
    role: Role
    subject_id: str
    display_name: str
    about: Mapping[str, str] = field(default_factory=dict)
    sample: bool = False


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session; the token is shown once, to become the cookie."""

    person: Person
    token: str
    expires_at: datetime


class SignInRefusal(StrEnum):
    """Why nobody was signed in; whether a name exists is never told."""

    WRONG = "wrong"
    TOO_MANY_ATTEMPTS = "too-many-attempts"


class People(Protocol):
    """What keeps people and sessions."""

    async def put_person(self, person: Person, password_hash: str | None, now: datetime) -> None: ...

    async def find_person(self, name: str) -> tuple[Person, str | None] | None: ...

    async def samples(self) -> Sequence[Person]: ...

    async def add_session(self, token_hash: bytes, name: str, now: datetime, expires_at: datetime) -> None: ...

    async def find_session(self, token_hash: bytes, now: datetime) -> Person | None: ...

    async def drop_session(self, token_hash: bytes) -> None: ...

    async def count_attempt(self, source: bytes, now: datetime, window_from: datetime) -> int: ...

    async def uncount_attempt(self, source: bytes) -> None: ...

    async def forget_attempts(self, source: bytes, window_from: datetime) -> None: ...

    async def installation_secret(self, name: str, if_new: str) -> str: ...


async def enrol(people: People, person: Person, password: str | None, *, now: datetime) -> None:
    """Create or replace a person; without a password only a demo can sign this person in.

    Raises BadInput for a password that is too short.
    """
    if password is not None and len(password) < SHORTEST_PASSWORD:
        raise BadInput(f"A password has at least {SHORTEST_PASSWORD} characters.", path="password")
    password_hash = None if password is None else await to_thread(_HASHER.hash, password)
    await people.put_person(person, password_hash, now)


async def sign_in(people: People, name: str, password: str, *, address: str, now: datetime) -> SignedIn | SignInRefusal:
    """Check a name and password; failures are counted.

    Every attempt counts until it proves right, so that guessing many at once gains nothing.
    """
    of_name, of_address = _hash(f"{address} {name}"), _hash(address)
    if await _too_many(people, of_name, of_address, now):
        return SignInRefusal.TOO_MANY_ATTEMPTS
    found = await people.find_person(name)
    password_hash = found[1] if found is not None else None
    if not await to_thread(_matches, password_hash, password) or found is None:
        return SignInRefusal.WRONG
    await people.forget_attempts(of_name, now - ATTEMPT_WINDOW)  # who knows the password was not guessing
    await people.uncount_attempt(of_address)
    return await _start_session(people, found[0], now)


async def sign_in_sample(people: People, name: str, *, now: datetime) -> SignedIn | SignInRefusal:
    """Sign in as one of a demo's own people, without a password; the caller knows that this is a demo."""
    found = await people.find_person(name)
    if found is None or not found[0].sample:
        return SignInRefusal.WRONG
    return await _start_session(people, found[0], now)


async def whose_session(people: People, token: str, *, now: datetime) -> Person | None:
    """Whom a cookie's token stands for; None when it is unknown or has ended."""
    return await people.find_session(_hash(token), now)


async def sign_out(people: People, token: str) -> None:
    """End a session everywhere."""
    await people.drop_session(_hash(token))


async def installation_secret(people: People, name: str) -> str:
    """A secret that all processes on this database share; made by whichever asks first."""
    return await people.installation_secret(name, secrets.token_urlsafe(32))


async def _too_many(people: People, of_name: bytes, of_address: bytes, now: datetime) -> bool:
    """What is refused here was not checked, so it is no failure of the address that others share."""
    window_from = now - ATTEMPT_WINDOW
    if await people.count_attempt(of_name, now, window_from) > ATTEMPTS_ON_A_NAME:
        return True
    return await people.count_attempt(of_address, now, window_from) > ATTEMPTS_FROM_AN_ADDRESS


async def _start_session(people: People, person: Person, now: datetime) -> SignedIn:
    """Always a new token, so that a token from before the sign-in is worth nothing after it."""
    signed_in = SignedIn(person, secrets.token_urlsafe(32), now + SESSION_LASTS)
    await people.add_session(_hash(signed_in.token), person.name, now, signed_in.expires_at)
    return signed_in


def _matches(password_hash: str | None, password: str) -> bool:
    """Takes as long for a name that does not exist."""
    try:
        _HASHER.verify(password_hash or _hash_of_nobody(), password)
    except (Argon2Error, InvalidHashError):
        return False
    return password_hash is not None


@cache
def _hash_of_nobody() -> str:
    return _HASHER.hash(secrets.token_urlsafe(32))


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
