"""The second factor: codes of an authenticator app (TOTP, RFC 6238), each accepted once, and recovery codes."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pyotp

from jitui.encryption import Encryption
from jitui.identity.people import (
    ATTEMPT_WINDOW,
    ATTEMPTS_FROM_AN_ADDRESS,
    ATTEMPTS_ON_A_NAME,
    Browser,
    People,
    SignedIn,
    SignInFault,
    SignInRefusal,
    Tell,
    attempts_from,
    attempts_on,
    hash_token,
    start_session,
    tell_nobody,
    too_many,
)

ISSUER = "Jitui"
STEPS_BESIDE = 1
"""A code of the step before or after is taken: clocks differ, and typing takes time."""
RECOVERY_CODES = 10
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without the signs that are mistaken for one another."""
_TOTP = re.compile(r"[0-9]{6}")


@dataclass(frozen=True, slots=True)
class FactorState:
    """What a person has: a seed in use, one that was not confirmed yet, and so many recovery codes left."""

    encrypted: str | None
    pending: str | None
    recovery_codes: int


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A seed to be put into an authenticator app, as text and as the address that a QR code holds."""

    seed: str
    address: str


class SecondFactors(Protocol):
    """What keeps seeds, encrypted, and hashes of recovery codes."""

    async def state(self, name: str) -> FactorState | None: ...

    async def put_pending(self, name: str, encrypted: str) -> None: ...

    async def confirm(
        self, name: str, encrypted: str, step: int, code_hashes: Sequence[bytes], *, now: datetime
    ) -> bool: ...

    async def use_step(self, name: str, encrypted: str, step: int) -> bool: ...

    async def use_recovery_code(self, name: str, code_hash: bytes, *, now: datetime) -> bool: ...

    async def replace_recovery_codes(self, name: str, code_hashes: Sequence[bytes], *, now: datetime) -> bool: ...

    async def remove(self, name: str, *, by: str, now: datetime) -> bool: ...

    async def stored_seeds(self) -> Sequence[tuple[str, str]]: ...

    async def replace_seed(self, name: str, old: str, new: str) -> bool: ...


# Setting up ------------------------------------------------------------------------------------------------------


async def begin(factors: SecondFactors, encryption: Encryption, name: str) -> Enrolment:
    """A new seed, which counts once a code of it was seen. Raises NotConfigured where there is no key to encrypt it."""
    seed = pyotp.random_base32()
    await factors.put_pending(name, encryption.encrypt(seed, name))
    return _enrolment(seed, name)


async def pending(factors: SecondFactors, encryption: Encryption, name: str) -> Enrolment | None:
    """The seed that waits to be confirmed."""
    state = await factors.state(name)
    if state is None or state.pending is None:
        return None
    return _enrolment(encryption.decrypt(state.pending, name), name)


async def confirm(
    factors: SecondFactors, encryption: Encryption, name: str, code: str, *, now: datetime
) -> tuple[str, ...] | None:
    """Take the seed into use when the code is right; the recovery codes, shown this once, or None."""
    state = await factors.state(name)
    if state is None or state.pending is None:
        return None
    step = _step_of(encryption.decrypt(state.pending, name), _plain(code), now)
    if step is None:
        return None
    codes = _new_recovery_codes()
    taken = await factors.confirm(name, state.pending, step, [hash_token(_plain(one)) for one in codes], now=now)
    return codes if taken else None


async def renew_recovery_codes(factors: SecondFactors, name: str, *, now: datetime) -> tuple[str, ...] | None:
    """New recovery codes in the place of all former ones; None for a person without a second factor."""
    codes = _new_recovery_codes()
    done = await factors.replace_recovery_codes(name, [hash_token(_plain(one)) for one in codes], now=now)
    return codes if done else None


# Signing in ------------------------------------------------------------------------------------------------------


async def finish_sign_in(
    people: People,
    factors: SecondFactors,
    encryption: Encryption,
    token: str,
    code: str,
    *,
    browser: Browser,
    now: datetime,
    tell: Tell = tell_nobody,
) -> SignedIn | SignInRefusal:
    """The second step of a sign-in: the token of the first one, and a code.

    Wrong codes are counted as wrong passwords are, and on the name from wherever they come: whoever is here knows the
    password already. Raises NotConfigured where the seed cannot be read: nobody comes in without the factor.
    """
    name = await people.find_pending(hash_token(token), now)
    if name is None:
        return SignInRefusal.TOO_LATE
    refused = await check_code(people, factors, encryption, name, code, browser=browser, now=now, tell=tell)
    if refused is not None:
        return refused
    taken = await people.take_pending(hash_token(token), now)
    if taken is None:
        return SignInRefusal.TOO_LATE
    person, way = taken
    return await start_session(people, person, browser, now, way=way, second_factor=True)


async def check_code(
    people: People,
    factors: SecondFactors,
    encryption: Encryption,
    name: str,
    code: str,
    *,
    browser: Browser,
    now: datetime,
    tell: Tell = tell_nobody,
) -> SignInRefusal | None:
    """None when the code is right and was not used before; it is used then."""
    of_code, of_name, of_address = hash_token(f"code {name}"), attempts_on(name, browser), attempts_from(browser)
    limits = (
        (of_code, ATTEMPTS_ON_A_NAME),
        (of_name, ATTEMPTS_ON_A_NAME),
        (of_address, ATTEMPTS_FROM_AN_ADDRESS),
    )
    if await too_many(people, limits, now):
        tell(SignInFault.TOO_MANY_ATTEMPTS, name)
        return SignInRefusal.TOO_MANY_ATTEMPTS
    refused = await _use_code(factors, encryption, name, _plain(code), now)
    if refused is not None:
        tell(SignInFault.WRONG_CODE if refused is SignInRefusal.WRONG_CODE else SignInFault.CODE_USED, name)
        return refused
    await people.uncount_attempt(of_address)
    for source in (of_code, of_name):
        await people.forget_attempts(source, now - ATTEMPT_WINDOW)
    return None


async def _use_code(
    factors: SecondFactors, encryption: Encryption, name: str, code: str, now: datetime
) -> SignInRefusal | None:
    state = await factors.state(name)
    if state is None or state.encrypted is None:
        return SignInRefusal.WRONG_CODE
    if not _TOTP.fullmatch(code):
        used = await factors.use_recovery_code(name, hash_token(code), now=now)
        return None if used else SignInRefusal.WRONG_CODE
    step = _step_of(encryption.decrypt(state.encrypted, name), code, now)
    if step is None:
        return SignInRefusal.WRONG_CODE
    return None if await factors.use_step(name, state.encrypted, step) else SignInRefusal.CODE_USED


async def renew_seeds(factors: SecondFactors, encryption: Encryption) -> int:
    """Encrypt every stored seed with the first key; how many were encrypted with another one.

    Raises NotConfigured where one cannot be decrypted.
    """
    changed = 0
    for name, stored in await factors.stored_seeds():
        renewed = encryption.renew(stored, name)
        if renewed != stored:
            changed += await factors.replace_seed(name, stored, renewed)
    return changed


def _step_of(seed: str, code: str, now: datetime) -> int | None:
    """The step of thirty seconds that the code is of, if it is one of those that are taken now."""
    try:
        return pyotp.TOTP(seed).verify_and_get_timecode(code, for_time=now, valid_window=STEPS_BESIDE)
    except pyotp.OTPVerificationError:
        return None


def _enrolment(seed: str, name: str) -> Enrolment:
    return Enrolment(seed, pyotp.TOTP(seed).provisioning_uri(name=name, issuer_name=ISSUER))


def _new_recovery_codes() -> tuple[str, ...]:
    """Each has 79 random bits."""
    return tuple("-".join(_letters(4) for _ in range(4)) for _ in range(RECOVERY_CODES))


def _letters(count: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(count))


def _plain(code: str) -> str:
    """As it is compared: people type the spaces and hyphens that they see, and capital letters."""
    return re.sub(r"[\s-]", "", code).lower()
