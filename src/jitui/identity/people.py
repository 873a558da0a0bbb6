"""People who sign in to the console: their roles, passwords and sessions."""

from __future__ import annotations

import hashlib
import secrets
from asyncio import to_thread
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Protocol
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from jitui.errors import BadInput
from jitui.identity.access import ROLE_GRANTS, Permission, Role

SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1_000
SESSION_LASTS = timedelta(hours=12)
CODE_WITHIN = timedelta(minutes=10)
"""How long after the password the code of the second factor may come."""
ATTEMPT_WINDOW = timedelta(minutes=15)
ATTEMPTS_ON_A_NAME = 10
ATTEMPTS_FROM_AN_ADDRESS = 50
"""Within one window; an address may be a whole office behind one router."""
LONGEST_AGENT = 200

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""Argon2id with the smallest costs that OWASP's password storage sheet recommends: a guess is dear, a page is not."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may sign in; `subject_id` is the one buyer or shop whose things this person may see, else empty."""

    name: str
    role: Role
    subject_id: str
    display_name: str
    about: Mapping[str, str] = field(default_factory=dict)
    sample: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """A person as those see them who manage people; `openid_…` and `email` are who this is at the OpenID issuer."""

    person: Person
    created_at: datetime
    disabled_at: datetime | None
    password_set: bool
    second_factor: bool
    last_signed_in_at: datetime | None
    email: str | None = None
    openid_issuer: str | None = None
    openid_subject: str | None = None
    role_from_issuer: bool = False


class Way(StrEnum):
    """How a session was begun; a sample person of a demo comes in by one click."""

    PASSWORD = "password"
    OPENID = "openid"
    SAMPLE = "sample"


def missing_second_person(accounts: Sequence[Account]) -> str | None:
    """What is missing for two people to approve each other's policies, in a sentence; None: nothing is.

    Two may approve, and one of them may propose: who proposes never approves.
    """
    able = [
        one.person
        for one in accounts
        if one.disabled_at is None and Permission.POLICIES_APPROVE in ROLE_GRANTS[one.person.role]
    ]
    if len(able) < 2:
        there = f"only {able[0].name} could" if able else "nobody could"
        return f"Two people approve, and {there}: add people with the role risk or operator."
    if not any(Permission.POLICIES_PROPOSE in ROLE_GRANTS[one.role] for one in able):
        return "Nobody could propose a policy: one of the two needs the role risk."
    return None


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Whom a session's cookie stands for, and how the session was begun.

    `second_factor` says that this session had one; `has_second_factor`, that the person has one here.
    """

    person: Person
    way: Way
    started_at: datetime
    second_factor: bool
    has_second_factor: bool


@dataclass(frozen=True, slots=True)
class Session:
    """A browser in which somebody is signed in; `current` is the one that asks."""

    session_id: UUID
    started_at: datetime
    expires_at: datetime
    address: str
    agent: str
    current: bool = False


@dataclass(frozen=True, slots=True)
class Browser:
    """Where a sign-in comes from: the address that limits count by, and what the browser says of itself."""

    address: str
    agent: str = ""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session; the token is shown once, to become the cookie."""

    person: Person
    token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NeedsCode:
    """The password was right, and the second factor is asked for; the token proves the password for a few minutes."""

    token: str
    expires_at: datetime


class SignInRefusal(StrEnum):
    """Why nobody was signed in; whether a name exists is never told."""

    WRONG = "wrong"
    TOO_MANY_ATTEMPTS = "too-many-attempts"
    WRONG_CODE = "wrong-code"
    CODE_USED = "code-used"
    TOO_LATE = "too-late"
    NO_PASSWORDS = "no-passwords"
    ISSUER_AWAY = "issuer-away"
    ISSUER_REFUSED = "issuer-refused"
    OTHER_WINDOW = "other-window"
    NOT_ACCEPTED = "not-accepted"
    NOBODY_HERE = "nobody-here"
    FACTOR_MISSING = "factor-missing"


class SignInFault(StrEnum):
    """Why somebody was not signed in, for the log and the metrics."""

    UNKNOWN_NAME = "unknown_name"
    WRONG_PASSWORD = "wrong_password"
    DISABLED = "disabled"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    WRONG_CODE = "wrong_code"
    CODE_USED = "code_used"
    LINK_REFUSED = "link_refused"
    NO_PASSWORDS = "no_passwords"
    ISSUER_AWAY = "issuer_away"
    ISSUER_REFUSED = "issuer_refused"
    UNKNOWN_STATE = "unknown_state"
    OTHER_BROWSER = "other_browser"
    CODE_REFUSED = "code_refused"
    NO_TOKEN = "no_token"
    MALFORMED_TOKEN = "malformed_token"
    UNSIGNED = "unsigned"
    WRONG_ALGORITHM = "wrong_algorithm"
    UNKNOWN_KEY = "unknown_key"
    WRONG_SIGNATURE = "wrong_signature"
    WRONG_ISSUER = "wrong_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    WRONG_NONCE = "wrong_nonce"
    WRONG_SUBJECT = "wrong_subject"
    EXPIRED = "expired"
    MISSING_CLAIM = "missing_claim"
    FACTOR_MISSING = "factor_missing"
    EMAIL_NOT_VERIFIED = "email_not_verified"
    NO_PERSON = "no_person"
    NO_ROLE = "no_role"
    NAME_TAKEN = "name_taken"


Tell = Callable[[SignInFault, str | None], None]
"""Hears of a refused sign-in: why, and the name where there is such a person. What else was typed is not logged."""


def tell_nobody(_: SignInFault, __: str | None) -> None:
    """For those whom refusals do not interest."""


class People(Protocol):
    """What keeps people, their sessions, and the count of attempts."""

    async def put_person(self, person: Person, password_hash: str | None, now: datetime) -> None: ...

    async def add_person(self, person: Person, password_hash: str | None, now: datetime, *, by: str) -> bool: ...

    async def find_account(self, name: str) -> tuple[Account, str | None] | None: ...

    async def accounts(self) -> Sequence[Account]: ...

    async def samples(self) -> Sequence[Person]: ...

    async def set_disabled(self, name: str, disabled: bool, *, by: str, now: datetime) -> bool: ...

    async def set_role(self, name: str, role: Role, subject_id: str, *, by: str, now: datetime) -> bool: ...

    async def set_password(
        self, name: str, password_hash: str | None, *, by: str, now: datetime, but: bytes | None = None
    ) -> bool: ...

    async def add_session(
        self,
        token_hash: bytes,
        name: str,
        now: datetime,
        expires_at: datetime,
        browser: Browser,
        *,
        way: Way,
        second_factor: bool,
    ) -> None: ...

    async def find_session(self, token_hash: bytes, now: datetime) -> OpenSession | None: ...

    async def set_session_factor(self, token_hash: bytes) -> None: ...

    async def sessions(self, name: str, now: datetime, token_hash: bytes | None) -> Sequence[Session]: ...

    async def drop_session(self, token_hash: bytes) -> Way | None: ...

    async def end_sessions(
        self, name: str, session_id: UUID | None, *, by: str, now: datetime, but: bytes | None = None
    ) -> int: ...

    async def add_pending(
        self, token_hash: bytes, name: str, now: datetime, expires_at: datetime, *, way: Way
    ) -> None: ...

    async def find_pending(self, token_hash: bytes, now: datetime) -> str | None: ...

    async def take_pending(self, token_hash: bytes, now: datetime) -> tuple[Person, Way] | None: ...

    async def count_attempt(self, source: bytes, now: datetime, window_from: datetime) -> int: ...

    async def uncount_attempt(self, source: bytes) -> None: ...

    async def forget_attempts(self, source: bytes, window_from: datetime) -> None: ...

    async def installation_secret(self, name: str, if_new: str) -> str: ...


async def enrol(people: People, person: Person, password: str | None, *, now: datetime) -> None:
    """Create or replace a person; without a password only a demo can sign this person in.

    Raises BadInput for a password that is too short.
    """
    await people.put_person(person, None if password is None else await hash_password(password), now)


async def hash_password(password: str) -> str:
    """What is kept of a password. Raises BadInput for one that is too short or too long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise BadInput(f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.", path="password")
    return await to_thread(_HASHER.hash, password)


async def sign_in(
    people: People, name: str, password: str, *, browser: Browser, now: datetime, tell: Tell = tell_nobody
) -> SignedIn | NeedsCode | SignInRefusal:
    """Check a name and password; failures are counted.

    Every attempt counts until it proves right, so that guessing many at once gains nothing.
    """
    account = await check_password(people, name, password, browser=browser, now=now, tell=tell)
    if isinstance(account, SignInRefusal):
        return account
    if account.second_factor:
        return await ask_for_code(people, account.person, now, way=Way.PASSWORD)
    return await start_session(people, account.person, browser, now)


async def ask_for_code(people: People, person: Person, now: datetime, *, way: Way) -> NeedsCode:
    """The first step is done, by a password or by the issuer; the code of the second factor is to come."""
    pending = NeedsCode(secrets.token_urlsafe(32), now + CODE_WITHIN)
    await people.add_pending(hash_token(pending.token), person.name, now, pending.expires_at, way=way)
    return pending


async def check_password(
    people: People, name: str, password: str, *, browser: Browser, now: datetime, tell: Tell = tell_nobody
) -> Account | SignInRefusal:
    """The account of a name whose password is right and who is not disabled; wrong passwords are counted."""
    of_name, of_address = attempts_on(name, browser), attempts_from(browser)
    if await too_many(people, ((of_name, ATTEMPTS_ON_A_NAME), (of_address, ATTEMPTS_FROM_AN_ADDRESS)), now):
        tell(SignInFault.TOO_MANY_ATTEMPTS, None)
        return SignInRefusal.TOO_MANY_ATTEMPTS
    found = await people.find_account(name)
    matches = await to_thread(_matches, found[1] if found is not None else None, password)
    if found is None:
        tell(SignInFault.UNKNOWN_NAME, None)
        return SignInRefusal.WRONG
    account = found[0]
    if not matches or account.disabled_at is not None:
        tell(SignInFault.DISABLED if matches else SignInFault.WRONG_PASSWORD, name)
        return SignInRefusal.WRONG
    await people.uncount_attempt(of_address)
    if account.second_factor:
        await people.uncount_attempt(of_name)  # wrong codes stay counted
    else:
        await people.forget_attempts(of_name, now - ATTEMPT_WINDOW)  # who knows the password was not guessing
    return account


async def change_password(
    people: People, person: Person, old: str, new: str, *, token: str, browser: Browser, now: datetime
) -> SignInRefusal | None:
    """Change one's own password; the other sessions end. Raises BadInput for a password that is too short or long."""
    hashed = await hash_password(new)
    checked = await check_password(people, person.name, old, browser=browser, now=now)
    if isinstance(checked, SignInRefusal):
        return checked
    await people.set_password(person.name, hashed, by=person.name, now=now, but=hash_token(token))
    return None


async def sign_in_sample(
    people: People, name: str, *, now: datetime, browser: Browser | None = None
) -> SignedIn | SignInRefusal:
    """Sign in as one of a demo's own people, without a password; the caller knows that this is a demo."""
    found = await people.find_account(name)
    if found is None or not found[0].person.sample or found[0].disabled_at is not None:
        return SignInRefusal.WRONG
    return await start_session(people, found[0].person, browser or Browser(""), now, way=Way.SAMPLE)


async def whose_session(people: People, token: str, *, now: datetime) -> OpenSession | None:
    """Whom a cookie's token stands for; None when it is unknown or has ended."""
    return await people.find_session(hash_token(token), now)


async def sign_out(people: People, token: str) -> Way | None:
    """End a session everywhere; how it was begun."""
    return await people.drop_session(hash_token(token))


def lacks_second_factor(session: OpenSession, roles: Collection[Role]) -> bool:
    """Whether a person of one of these roles is signed in without a second factor.

    One that was taken away counts no more, unless it is the issuer's. A demo's sample people cannot have one.
    """
    if session.person.role not in roles or session.way is Way.SAMPLE:
        return False
    return not (session.second_factor and (session.has_second_factor or session.way is Way.OPENID))


async def installation_secret(people: People, name: str) -> str:
    """A secret that all processes on this database share; made by whichever asks first."""
    return await people.installation_secret(name, secrets.token_urlsafe(32))


async def start_session(
    people: People,
    person: Person,
    browser: Browser,
    now: datetime,
    *,
    way: Way = Way.PASSWORD,
    second_factor: bool = False,
) -> SignedIn:
    """Always a new token, so that a token from before the sign-in is worth nothing after it."""
    signed_in = SignedIn(person, secrets.token_urlsafe(32), now + SESSION_LASTS)
    told = Browser(browser.address, browser.agent[:LONGEST_AGENT])
    await people.add_session(
        hash_token(signed_in.token), person.name, now, signed_in.expires_at, told, way=way, second_factor=second_factor
    )
    return signed_in


# Attempts --------------------------------------------------------------------------------------------------------


def attempts_on(name: str, browser: Browser) -> bytes:
    """What attempts on a name from an address are counted under."""
    return hash_token(f"{browser.address} {name}")


def attempts_from(browser: Browser) -> bytes:
    """What all attempts from an address are counted under."""
    return hash_token(browser.address)


async def too_many(people: People, limits: Sequence[tuple[bytes, int]], now: datetime) -> bool:
    """Count an attempt under each source in turn, until one has had more than its number in the window.

    What is refused here was not checked, so it is no failure of the address that others share.
    """
    for source, most in limits:
        if await people.count_attempt(source, now, now - ATTEMPT_WINDOW) > most:
            return True
    return False


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


def hash_token(text: str) -> bytes:
    """What is kept of a token, and of what attempts are counted under."""
    return hashlib.sha256(text.encode()).digest()
