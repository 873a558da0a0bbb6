"""Who signs in sees with one pair of eyes, guesses are counted, and a session ends when it should."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

import pytest

from jitui.adapters.postgres.people import PostgresPeople
from jitui.adapters.postgres.pool import make_pool
from jitui.errors import BadInput
from jitui.identity.people import (
    ATTEMPT_WINDOW,
    ATTEMPTS_FROM_AN_ADDRESS,
    ATTEMPTS_ON_A_NAME,
    SESSION_LASTS,
    People,
    Person,
    Role,
    SignedIn,
    SignInRefusal,
    enrol,
    installation_secret,
    sign_in,
    sign_in_sample,
    sign_out,
    whose_session,
)
from tests.aftersales.market import NOW

ADA = Person("ada", Role.BUYER, "buyer-1", "Ada", {"zh": "买家", "en": "a buyer"})
PASSWORD = "correct horse battery"
HERE = "192.0.2.1"


@pytest.fixture
async def people(database_url: str) -> AsyncIterator[PostgresPeople]:
    async with make_pool(database_url, max_size=4) as pool:
        people = PostgresPeople(pool)
        await enrol(people, ADA, PASSWORD, now=NOW)
        yield people


async def signed_in(people: PostgresPeople) -> SignedIn:
    done = await sign_in(people, "ada", PASSWORD, address=HERE, now=NOW)
    assert isinstance(done, SignedIn)
    return done


async def test_the_right_password_starts_a_session(people: PostgresPeople) -> None:
    session = await signed_in(people)
    assert session.person == ADA
    assert await whose_session(people, session.token, now=NOW) == ADA


@pytest.mark.parametrize(
    ("name", "password"), [("ada", "wrong"), ("nobody", PASSWORD), ("", ""), ("ada", "x" * 10_000)]
)
async def test_anything_else_does_not(people: PostgresPeople, name: str, password: str) -> None:
    assert await sign_in(people, name, password, address=HERE, now=NOW) is SignInRefusal.WRONG


async def test_every_sign_in_has_a_token_of_its_own(people: PostgresPeople) -> None:
    assert (await signed_in(people)).token != (await signed_in(people)).token


async def test_a_session_ends_by_itself_and_by_signing_out(people: PostgresPeople) -> None:
    first, second = await signed_in(people), await signed_in(people)
    assert await whose_session(people, first.token, now=NOW + SESSION_LASTS) is None
    await sign_out(people, first.token)
    assert await whose_session(people, first.token, now=NOW) is None
    assert await whose_session(people, second.token, now=NOW) == ADA


async def test_guessing_a_password_is_stopped_until_the_window_is_over(people: PostgresPeople) -> None:
    for _ in range(ATTEMPTS_ON_A_NAME):
        assert await sign_in(people, "ada", "guess", address=HERE, now=NOW) is SignInRefusal.WRONG
    assert await sign_in(people, "ada", PASSWORD, address=HERE, now=NOW) is SignInRefusal.TOO_MANY_ATTEMPTS
    assert isinstance(await sign_in(people, "ada", PASSWORD, address="192.0.2.2", now=NOW), SignedIn)
    later = NOW + ATTEMPT_WINDOW + timedelta(seconds=1)
    assert isinstance(await sign_in(people, "ada", PASSWORD, address=HERE, now=later), SignedIn)


async def test_guessing_names_is_stopped_by_address(people: PostgresPeople) -> None:
    for index in range(ATTEMPTS_FROM_AN_ADDRESS):
        assert await sign_in(people, f"name-{index}", "guess", address=HERE, now=NOW) is SignInRefusal.WRONG
    assert await sign_in(people, "ada", PASSWORD, address=HERE, now=NOW) is SignInRefusal.TOO_MANY_ATTEMPTS


async def test_only_a_sample_person_is_signed_in_without_a_password(people: PostgresPeople) -> None:
    assert await sign_in_sample(people, "ada", now=NOW) is SignInRefusal.WRONG
    sample = Person("sample", Role.MERCHANT, "shop-1", "Shop", sample=True)
    await enrol(people, sample, None, now=NOW)
    assert await people.samples() == [sample]
    assert isinstance(await sign_in_sample(people, "sample", now=NOW), SignedIn)
    assert await sign_in(people, "sample", "", address=HERE, now=NOW) is SignInRefusal.WRONG


async def test_a_short_password_is_refused(people: PostgresPeople) -> None:
    with pytest.raises(BadInput):
        await enrol(people, ADA, "short", now=NOW)


async def test_a_secret_is_made_once_for_all_processes(people: PostgresPeople) -> None:
    assert await installation_secret(people, "csrf") == await installation_secret(people, "csrf")
    assert await installation_secret(people, "csrf") != await installation_secret(people, "other")


async def test_only_failures_count_so_that_an_office_behind_one_router_may_sign_in(people: PostgresPeople) -> None:
    for number in range(ATTEMPTS_FROM_AN_ADDRESS + 5):
        name = f"person-{number}"
        await enrol(people, replace(ADA, name=name), PASSWORD, now=NOW)
        assert isinstance(await sign_in(people, name, PASSWORD, address=HERE, now=NOW), SignedIn)
    for number in range(ATTEMPTS_FROM_AN_ADDRESS):
        assert await sign_in(people, f"guess-{number}", PASSWORD, address=HERE, now=NOW) is SignInRefusal.WRONG
    assert await sign_in(people, "ada", PASSWORD, address=HERE, now=NOW) is SignInRefusal.TOO_MANY_ATTEMPTS


async def test_what_is_refused_without_being_checked_is_no_failure_of_the_address(people: PostgresPeople) -> None:
    for _ in range(ATTEMPTS_ON_A_NAME + ATTEMPTS_FROM_AN_ADDRESS):
        await sign_in(people, "somebody", "wrong", address=HERE, now=NOW)
    assert isinstance(await sign_in(people, "ada", PASSWORD, address=HERE, now=NOW), SignedIn)


async def test_a_guess_at_a_password_costs_at_least_what_owasp_recommends() -> None:
    """Argon2id with 19 MiB, two passes and one thread: the smallest row of its password storage sheet."""
    kept: list[str | None] = []

    class Kept:
        async def put_person(self, person: Person, password_hash: str | None, now: datetime) -> None:
            kept.append(password_hash)

    await enrol(cast(People, Kept()), ADA, PASSWORD, now=NOW)
    assert kept[0] is not None and kept[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
