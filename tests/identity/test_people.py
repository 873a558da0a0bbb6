"""Who signs in sees with one pair of eyes, guesses are counted, and a session ends when it should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

import psycopg
import pytest

from jitui.adapters.postgres.links import PostgresLinks
from jitui.adapters.postgres.people import PostgresPeople
from jitui.adapters.postgres.pool import make_pool
from jitui.errors import BadInput
from jitui.identity.access import BOUND_ROLES, Role
from jitui.identity.links import make_link, use_link, whose_link
from jitui.identity.people import (
    ATTEMPT_WINDOW,
    ATTEMPTS_FROM_AN_ADDRESS,
    ATTEMPTS_ON_A_NAME,
    LONGEST_AGENT,
    LONGEST_PASSWORD,
    SESSION_LASTS,
    Browser,
    OpenSession,
    People,
    Person,
    SignedIn,
    SignInFault,
    SignInRefusal,
    Way,
    change_password,
    enrol,
    hash_password,
    hash_token,
    installation_secret,
    lacks_second_factor,
    sign_in,
    sign_in_sample,
    sign_out,
    whose_session,
)
from tests.aftersales.market import NOW

ADA = Person("ada", Role.BUYER, "buyer-1", "Ada", {"zh": "买家", "en": "a buyer"})
PASSWORD = "correct horse battery"
HERE = Browser("192.0.2.1", "a browser")


@pytest.fixture
async def people(database_url: str) -> AsyncIterator[PostgresPeople]:
    async with make_pool(database_url, max_size=4) as pool:
        people = PostgresPeople(pool)
        await enrol(people, ADA, PASSWORD, now=NOW)
        yield people


async def person_of(people: PostgresPeople, token: str, *, now: datetime) -> Person | None:
    found = await whose_session(people, token, now=now)
    return None if found is None else found.person


async def signed_in(people: PostgresPeople) -> SignedIn:
    done = await sign_in(people, "ada", PASSWORD, browser=HERE, now=NOW)
    assert isinstance(done, SignedIn)
    return done


async def test_the_right_password_starts_a_session(people: PostgresPeople) -> None:
    session = await signed_in(people)
    assert session.person == ADA
    assert await person_of(people, session.token, now=NOW) == ADA


@pytest.mark.parametrize(
    ("name", "password"), [("ada", "wrong"), ("nobody", PASSWORD), ("", ""), ("ada", "x" * 10_000)]
)
async def test_anything_else_does_not(people: PostgresPeople, name: str, password: str) -> None:
    assert await sign_in(people, name, password, browser=HERE, now=NOW) is SignInRefusal.WRONG


async def test_every_sign_in_has_a_token_of_its_own(people: PostgresPeople) -> None:
    assert (await signed_in(people)).token != (await signed_in(people)).token


async def test_a_session_ends_by_itself_and_by_signing_out(people: PostgresPeople) -> None:
    first, second = await signed_in(people), await signed_in(people)
    assert await whose_session(people, first.token, now=NOW + SESSION_LASTS) is None
    await sign_out(people, first.token)
    assert await whose_session(people, first.token, now=NOW) is None
    assert await person_of(people, second.token, now=NOW) == ADA


async def test_guessing_a_password_is_stopped_until_the_window_is_over(people: PostgresPeople) -> None:
    for _ in range(ATTEMPTS_ON_A_NAME):
        assert await sign_in(people, "ada", "guess", browser=HERE, now=NOW) is SignInRefusal.WRONG
    assert await sign_in(people, "ada", PASSWORD, browser=HERE, now=NOW) is SignInRefusal.TOO_MANY_ATTEMPTS
    assert isinstance(await sign_in(people, "ada", PASSWORD, browser=Browser("192.0.2.2"), now=NOW), SignedIn)
    later = NOW + ATTEMPT_WINDOW + timedelta(seconds=1)
    assert isinstance(await sign_in(people, "ada", PASSWORD, browser=HERE, now=later), SignedIn)


async def test_sample_people_are_listed_as_they_were_enrolled_last(people: PostgresPeople) -> None:
    """One who was added by a later version of the demo does not come after those of the first start."""
    wei, mei, ran = (
        Person(name, role, "", name, sample=True)
        for name, role in (("wei", Role.OPERATOR), ("mei", Role.OPERATOR), ("ran", Role.RISK))
    )

    async def enrolled(*those: Person, at: datetime) -> list[str]:
        for place, person in enumerate(those):
            await enrol(people, person, None, now=at + timedelta(microseconds=place))
        return [person.name for person in await people.samples()]

    assert await enrolled(mei, ran, at=NOW) == ["mei", "ran"]
    assert await enrolled(wei, mei, ran, at=NOW + timedelta(days=1)) == ["wei", "mei", "ran"]
    assert await enrolled(mei, at=NOW - timedelta(days=1)) == ["mei", "wei", "ran"]
    ada = await people.find_account("ada")
    assert ada is not None
    await enrol(people, ada[0].person, PASSWORD, now=NOW + timedelta(days=9))
    again = await people.find_account("ada")
    assert again is not None and again[0].created_at == ada[0].created_at, "an account that people own keeps its age"


async def test_guessing_names_is_stopped_by_address(people: PostgresPeople) -> None:
    for index in range(ATTEMPTS_FROM_AN_ADDRESS):
        assert await sign_in(people, f"name-{index}", "guess", browser=HERE, now=NOW) is SignInRefusal.WRONG
    assert await sign_in(people, "ada", PASSWORD, browser=HERE, now=NOW) is SignInRefusal.TOO_MANY_ATTEMPTS


async def test_only_a_sample_person_is_signed_in_without_a_password(people: PostgresPeople) -> None:
    assert await sign_in_sample(people, "ada", now=NOW) is SignInRefusal.WRONG
    sample = Person("sample", Role.MERCHANT, "shop-1", "Shop", sample=True)
    await enrol(people, sample, None, now=NOW)
    assert await people.samples() == [sample]
    assert isinstance(await sign_in_sample(people, "sample", now=NOW), SignedIn)
    assert await sign_in(people, "sample", "", browser=HERE, now=NOW) is SignInRefusal.WRONG


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
        assert isinstance(await sign_in(people, name, PASSWORD, browser=HERE, now=NOW), SignedIn)
    for number in range(ATTEMPTS_FROM_AN_ADDRESS):
        assert await sign_in(people, f"guess-{number}", PASSWORD, browser=HERE, now=NOW) is SignInRefusal.WRONG
    assert await sign_in(people, "ada", PASSWORD, browser=HERE, now=NOW) is SignInRefusal.TOO_MANY_ATTEMPTS


async def test_what_is_refused_without_being_checked_is_no_failure_of_the_address(people: PostgresPeople) -> None:
    for _ in range(ATTEMPTS_ON_A_NAME + ATTEMPTS_FROM_AN_ADDRESS):
        await sign_in(people, "somebody", "wrong", browser=HERE, now=NOW)
    assert isinstance(await sign_in(people, "ada", PASSWORD, browser=HERE, now=NOW), SignedIn)


async def test_a_guess_at_a_password_costs_at_least_what_owasp_recommends() -> None:
    """Argon2id with 19 MiB, two passes and one thread: the smallest row of its password storage sheet."""
    kept: list[str | None] = []

    class Kept:
        async def put_person(self, person: Person, password_hash: str | None, now: datetime) -> None:
            kept.append(password_hash)

    await enrol(cast(People, Kept()), ADA, PASSWORD, now=NOW)
    assert kept[0] is not None and kept[0].startswith("$argon2id$v=19$m=19456,t=2,p=1$")


# People and their sessions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", list(Role))
async def test_a_buyer_and_a_merchant_are_bound_to_one_buyer_or_shop_and_the_others_to_none(
    people: PostgresPeople, role: Role
) -> None:
    bound = role in BOUND_ROLES
    await people.add_person(Person("one", role, "x-1" if bound else "", "One"), None, NOW, by="ops")
    with pytest.raises(psycopg.errors.CheckViolation):
        await people.add_person(Person("two", role, "" if bound else "x-1", "Two"), None, NOW, by="ops")


async def test_a_name_is_given_once(people: PostgresPeople) -> None:
    other = replace(ADA, display_name="Somebody else")
    assert not await people.add_person(other, None, NOW, by="ops")
    found = await people.find_account("ada")
    assert found is not None and found[0].person == ADA
    adding = (people.add_person(Person("bo", Role.ADMIN, "", f"Bo {n}"), None, NOW, by="ops") for n in range(6))
    assert sorted(await asyncio.gather(*adding)) == [False] * 5 + [True]


async def test_a_disabled_person_is_out_at_once_and_cannot_come_in(people: PostgresPeople) -> None:
    session = await signed_in(people)
    link = await make_link(PostgresLinks(people._pool), "ada", by="ops", now=NOW)
    assert await people.set_disabled("ada", True, by="ops", now=NOW)
    assert await whose_session(people, session.token, now=NOW) is None
    told: list[tuple[SignInFault, str | None]] = []
    refused = await sign_in(people, "ada", PASSWORD, browser=HERE, now=NOW, tell=lambda *what: told.append(what))
    assert (refused, told) == (SignInRefusal.WRONG, [(SignInFault.DISABLED, "ada")])
    assert await use_link(PostgresLinks(people._pool), link.token, "another password", now=NOW) is None
    assert await people.set_disabled("ada", False, by="ops", now=NOW)
    assert await whose_session(people, session.token, now=NOW) is None, "what ended stays ended"
    assert await use_link(PostgresLinks(people._pool), link.token, "another password", now=NOW) is None
    assert isinstance(await sign_in(people, "ada", PASSWORD, browser=HERE, now=NOW), SignedIn)
    assert not await people.set_disabled("nobody", True, by="ops", now=NOW)


async def test_a_session_that_was_begun_while_its_person_was_disabled_is_none(people: PostgresPeople) -> None:
    await people.set_disabled("ada", True, by="ops", now=NOW)
    await people.add_session(b"t" * 32, "ada", NOW, NOW + SESSION_LASTS, HERE)
    assert await people.find_session(b"t" * 32, NOW) is None
    await people.set_disabled("ada", False, by="ops", now=NOW)
    assert await people.find_session(b"t" * 32, NOW) is None


async def test_a_disabled_sample_person_is_no_sample(people: PostgresPeople) -> None:
    await enrol(people, Person("sample", Role.MERCHANT, "shop-1", "Shop", sample=True), None, now=NOW)
    await people.set_disabled("sample", True, by="ops", now=NOW)
    assert await people.samples() == []
    assert await sign_in_sample(people, "sample", now=NOW) is SignInRefusal.WRONG


async def test_another_role_or_password_ends_the_sessions(people: PostgresPeople) -> None:
    session = await signed_in(people)
    assert await people.set_role("ada", Role.SUPPORT, "", by="ops", now=NOW)
    assert await whose_session(people, session.token, now=NOW) is None
    again = await signed_in_as(people, Role.SUPPORT)
    assert await people.set_password("ada", None, by="ops", now=NOW)
    assert await whose_session(people, again.token, now=NOW) is None
    assert await sign_in(people, "ada", PASSWORD, browser=HERE, now=NOW) is SignInRefusal.WRONG
    assert not await people.set_role("nobody", Role.ADMIN, "", by="ops", now=NOW)
    assert not await people.set_password("nobody", None, by="ops", now=NOW)


async def signed_in_as(people: PostgresPeople, role: Role) -> SignedIn:
    done = await sign_in(people, "ada", PASSWORD, browser=HERE, now=NOW)
    assert isinstance(done, SignedIn) and done.person.role is role
    return done


async def test_sessions_are_listed_and_ended_one_by_one_or_all_but_ones_own(people: PostgresPeople) -> None:
    first, second, own = [await signed_in(people) for _ in range(3)]
    await enrol(people, replace(ADA, name="bo"), PASSWORD, now=NOW)
    other = await sign_in(people, "bo", PASSWORD, browser=HERE, now=NOW)
    assert isinstance(other, SignedIn)
    listed = await people.sessions("ada", NOW, hash_token(own.token))
    assert [(one.address, one.agent, one.expires_at) for one in listed] == [
        ("192.0.2.1", "a browser", NOW + SESSION_LASTS)
    ] * 3
    assert sorted(one.current for one in listed) == [False, False, True]
    theirs = (await people.sessions("bo", NOW, None))[0].session_id
    assert await people.end_sessions("ada", theirs, by="ops", now=NOW) == 0, "another's session"
    not_own = next(one for one in listed if not one.current)
    assert await people.end_sessions("ada", not_own.session_id, by="ops", now=NOW, but=hash_token(own.token)) == 1
    assert await people.end_sessions("ada", None, by="ops", now=NOW, but=hash_token(own.token)) == 1
    lasting = [await whose_session(people, one.token, now=NOW) for one in (first, second, own, other)]
    assert [one is not None for one in lasting] == [False, False, True, True]
    assert await people.end_sessions("ada", None, by="ops", now=NOW) == 1
    assert await people.sessions("ada", NOW, None) == []
    assert await people.sessions("bo", NOW + SESSION_LASTS, None) == []


async def test_what_a_browser_says_of_itself_is_kept_to_a_length(people: PostgresPeople) -> None:
    await sign_in(people, "ada", PASSWORD, browser=Browser("192.0.2.1", "x" * 5_000), now=NOW)
    assert len((await people.sessions("ada", NOW, None))[0].agent) == LONGEST_AGENT


async def test_the_last_sign_in_is_remembered(people: PostgresPeople) -> None:
    assert (await people.accounts())[0].last_signed_in_at is None
    await signed_in(people)
    (account,) = await people.accounts()
    assert (account.last_signed_in_at, account.password_set, account.second_factor) == (NOW, True, False)


async def test_ones_own_password_is_changed_with_the_old_one_and_ends_the_other_sessions(
    people: PostgresPeople,
) -> None:
    own, other = await signed_in(people), await signed_in(people)
    for new in ("short", "x" * (LONGEST_PASSWORD + 1)):
        with pytest.raises(BadInput):
            await change_password(people, ADA, PASSWORD, new, token=own.token, browser=HERE, now=NOW)
    new = "another password"
    refused = await change_password(people, ADA, "wrong", new, token=own.token, browser=HERE, now=NOW)
    assert refused is SignInRefusal.WRONG
    assert await change_password(people, ADA, PASSWORD, new, token=own.token, browser=HERE, now=NOW) is None
    assert await person_of(people, own.token, now=NOW) == ADA
    assert await whose_session(people, other.token, now=NOW) is None
    assert await sign_in(people, "ada", PASSWORD, browser=HERE, now=NOW) is SignInRefusal.WRONG
    assert isinstance(await sign_in(people, "ada", new, browser=HERE, now=NOW), SignedIn)


async def test_refusals_are_told_apart_inside_and_never_with_what_was_typed(people: PostgresPeople) -> None:
    told: list[tuple[SignInFault, str | None]] = []
    for name, password in (("ada", "wrong password"), ("my password by mistake", "x")):
        await sign_in(people, name, password, browser=HERE, now=NOW, tell=lambda *what: told.append(what))
    assert told == [(SignInFault.WRONG_PASSWORD, "ada"), (SignInFault.UNKNOWN_NAME, None)]


# One-time links ------------------------------------------------------------------------------------------------------


async def test_a_link_sets_a_password_once(people: PostgresPeople) -> None:
    links, session = PostgresLinks(people._pool), await signed_in(people)
    link = await make_link(links, "ada", by="ops", now=NOW)
    assert link.path == f"/welcome/{link.token}"
    assert await whose_link(links, link.token, now=NOW) == ADA
    refused: list[int] = []
    with pytest.raises(BadInput):
        await use_link(links, link.token, "short", now=NOW)
    assert await use_link(links, link.token, "the new password", now=NOW) == ADA
    assert await whose_session(people, session.token, now=NOW) is None
    again = await use_link(links, link.token, "of somebody else", now=NOW, refused=lambda: refused.append(1))
    assert (again, refused) == (None, [1])
    assert await whose_link(links, link.token, now=NOW) is None
    assert isinstance(await sign_in(people, "ada", "the new password", browser=HERE, now=NOW), SignedIn)


async def test_a_link_is_over_at_its_time_or_when_a_newer_one_is_made(people: PostgresPeople) -> None:
    links = PostgresLinks(people._pool)
    first = await make_link(links, "ada", by="ops", now=NOW, lasts=timedelta(hours=1))
    just_before = NOW + timedelta(hours=1) - timedelta(seconds=1)
    assert await whose_link(links, first.token, now=just_before) == ADA
    at_its_end = NOW + timedelta(hours=1)
    assert await whose_link(links, first.token, now=at_its_end) is None
    assert await links.take_link(hash_token(first.token), "hash", at_its_end) is None
    await make_link(links, "ada", by="ops", now=NOW)
    assert await whose_link(links, first.token, now=NOW) is None
    assert await use_link(links, "x" * 43, "the new password", now=NOW) is None


async def test_of_two_browsers_that_use_one_link_at_once_one_wins(people: PostgresPeople) -> None:
    """Both have seen the form, and their statements meet in the database: its row lets one through."""
    links = PostgresLinks(people._pool)
    link = await make_link(links, "ada", by="ops", now=NOW)
    passwords = [f"the password of browser {number}" for number in range(4)]
    hashes = [await hash_password(password) for password in passwords]
    done = await asyncio.gather(*(links.take_link(hash_token(link.token), one, NOW) for one in hashes))
    assert sorted(person is not None for person in done) == [False] * 3 + [True]
    winner = [person is not None for person in done].index(True)
    found = await people.find_account("ada")
    assert found is not None and found[1] == hashes[winner]


@pytest.mark.parametrize(
    ("way", "began_with_one", "has_one", "lacks"),
    [
        (Way.PASSWORD, False, False, True),
        (Way.PASSWORD, True, False, True),
        (Way.PASSWORD, False, True, True),
        (Way.PASSWORD, True, True, False),
        (Way.OPENID, True, False, False),
        (Way.OPENID, False, False, True),
        (Way.OPENID, False, True, True),
        (Way.SAMPLE, False, False, False),
    ],
    ids=str,
)
def test_whose_role_needs_a_second_factor_and_who_has_none(
    way: Way, began_with_one: bool, has_one: bool, lacks: bool
) -> None:
    session = OpenSession(ADA, way, NOW, began_with_one, has_one)
    assert lacks_second_factor(session, {ADA.role}) is lacks
    assert not lacks_second_factor(session, {Role.ADMIN})
