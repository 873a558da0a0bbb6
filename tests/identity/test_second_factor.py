"""Codes of an authenticator app: needed at sign-in, accepted once, counted when wrong, encrypted where they lie."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
import pyotp
import pytest

from jitui.adapters.postgres.people import PostgresPeople
from jitui.adapters.postgres.pool import Pool, make_pool
from jitui.adapters.postgres.second_factors import PostgresSecondFactors
from jitui.encryption import Encryption, new_key
from jitui.errors import NotConfigured
from jitui.identity.access import Role
from jitui.identity.people import (
    ATTEMPT_WINDOW,
    ATTEMPTS_ON_A_NAME,
    CODE_WITHIN,
    Browser,
    NeedsCode,
    Person,
    SignedIn,
    SignInFault,
    SignInRefusal,
    enrol,
    sign_in,
    whose_session,
)
from jitui.identity.second_factor import (
    RECOVERY_CODES,
    begin,
    check_code,
    confirm,
    finish_sign_in,
    pending,
    renew_recovery_codes,
    renew_seeds,
)
from tests.aftersales.market import NOW

ADA = Person("ada", Role.ADMIN, "", "Ada")
PASSWORD = "correct horse battery"
HERE = Browser("192.0.2.1")
STEP = timedelta(seconds=30)
KEY = new_key()


@dataclass
class Installation:
    pool: Pool
    people: PostgresPeople
    factors: PostgresSecondFactors
    encryption: Encryption
    seed: str = ""
    recovery_codes: tuple[str, ...] = ()

    def code(self, at: datetime) -> str:
        return pyotp.TOTP(self.seed).at(at)

    async def first_step(self, now: datetime = NOW, browser: Browser = HERE) -> str:
        done = await sign_in(self.people, "ada", PASSWORD, browser=browser, now=now)
        assert isinstance(done, NeedsCode)
        return done.token

    async def second_step(
        self, token: str, code: str, now: datetime = NOW, browser: Browser = HERE
    ) -> SignedIn | SignInRefusal:
        return await finish_sign_in(
            self.people, self.factors, self.encryption, token, code, browser=browser, now=now
        )  # fmt: skip

    async def sign_in(self, code: str, now: datetime = NOW, browser: Browser = HERE) -> SignedIn | SignInRefusal:
        return await self.second_step(await self.first_step(now, browser), code, now, browser)


@pytest.fixture
async def bare(database_url: str) -> AsyncIterator[Installation]:
    async with make_pool(database_url, max_size=6) as pool:
        people = PostgresPeople(pool)
        await enrol(people, ADA, PASSWORD, now=NOW)
        yield Installation(pool, people, PostgresSecondFactors(pool), Encryption([KEY]))


@pytest.fixture
async def installation(bare: Installation) -> Installation:
    """Ada has set up a second factor an hour ago."""
    before = NOW - timedelta(hours=1)
    bare.seed = (await begin(bare.factors, bare.encryption, "ada")).seed
    codes = await confirm(bare.factors, bare.encryption, "ada", bare.code(before), now=before)
    assert codes is not None
    bare.recovery_codes = codes
    return bare


# Signing in ----------------------------------------------------------------------------------------------------------


async def test_the_password_alone_starts_no_session(installation: Installation) -> None:
    token = await installation.first_step()
    assert await whose_session(installation.people, token, now=NOW) is None
    done = await installation.second_step(token, installation.code(NOW))
    assert isinstance(done, SignedIn)
    found = await whose_session(installation.people, done.token, now=NOW)
    assert found is not None and (found.person, found.second_factor) == (ADA, True)
    assert await installation.second_step(token, installation.code(NOW + STEP), NOW + STEP) is SignInRefusal.TOO_LATE


@pytest.mark.parametrize("steps", [-1, 0, 1])
async def test_a_code_of_the_step_beside_is_taken(installation: Installation, steps: int) -> None:
    assert isinstance(await installation.sign_in(installation.code(NOW + steps * STEP)), SignedIn)


@pytest.mark.parametrize("steps", [-2, 2])
async def test_a_code_of_a_step_further_away_is_not(installation: Installation, steps: int) -> None:
    assert await installation.sign_in(installation.code(NOW + steps * STEP)) is SignInRefusal.WRONG_CODE


async def test_a_code_is_accepted_once_and_so_is_every_earlier_one(installation: Installation) -> None:
    code, before = installation.code(NOW), installation.code(NOW - STEP)
    assert isinstance(await installation.sign_in(code), SignedIn)
    assert await installation.sign_in(code) is SignInRefusal.CODE_USED
    assert await installation.sign_in(before) is SignInRefusal.CODE_USED
    assert isinstance(await installation.sign_in(installation.code(NOW + STEP), NOW + STEP), SignedIn)


async def test_of_several_who_show_one_code_at_once_one_comes_in(installation: Installation) -> None:
    tokens = [await installation.first_step() for _ in range(4)]
    code = installation.code(NOW)
    done = await asyncio.gather(*(installation.second_step(token, code) for token in tokens))
    assert sorted(isinstance(one, SignedIn) for one in done) == [False] * 3 + [True]


async def test_the_code_that_confirmed_the_seed_signs_nobody_in(bare: Installation) -> None:
    bare.seed = (await begin(bare.factors, bare.encryption, "ada")).seed
    assert await confirm(bare.factors, bare.encryption, "ada", bare.code(NOW), now=NOW) is not None
    assert await bare.sign_in(bare.code(NOW)) is SignInRefusal.CODE_USED


async def test_the_first_step_is_good_for_ten_minutes_and_ends_with_the_person(installation: Installation) -> None:
    token = await installation.first_step()
    late = NOW + CODE_WITHIN
    assert await installation.second_step(token, installation.code(late), late) is SignInRefusal.TOO_LATE
    just = late - timedelta(seconds=1)
    assert isinstance(await installation.second_step(token, installation.code(just), just), SignedIn)
    token = await installation.first_step()
    await installation.people.set_disabled("ada", True, by="ops", now=NOW)
    assert await installation.second_step(token, installation.code(NOW + STEP)) is SignInRefusal.TOO_LATE


async def test_wrong_codes_are_counted_as_wrong_passwords_are(installation: Installation) -> None:
    token = await installation.first_step()
    for number in range(ATTEMPTS_ON_A_NAME):
        assert await installation.second_step(token, f"wrong{number}") is SignInRefusal.WRONG_CODE
    right = installation.code(NOW)
    assert await installation.second_step(token, right) is SignInRefusal.TOO_MANY_ATTEMPTS
    refused = await sign_in(installation.people, "ada", PASSWORD, browser=HERE, now=NOW)
    assert refused is SignInRefusal.TOO_MANY_ATTEMPTS, "and the password is refused from there too"
    later = NOW + ATTEMPT_WINDOW + timedelta(seconds=1)
    assert isinstance(await installation.sign_in(installation.code(later), later), SignedIn)


async def test_knowing_the_password_gives_no_new_guesses_at_the_code_from_wherever_they_come(
    installation: Installation,
) -> None:
    for number in range(ATTEMPTS_ON_A_NAME):
        browser = Browser(f"198.51.100.{number}")
        assert await installation.sign_in("wrong", browser=browser) is SignInRefusal.WRONG_CODE
    elsewhere = Browser("203.0.113.1")
    assert await installation.sign_in(installation.code(NOW), browser=elsewhere) is SignInRefusal.TOO_MANY_ATTEMPTS


async def test_the_right_password_between_wrong_codes_forgets_none_of_them(installation: Installation) -> None:
    for _ in range(ATTEMPTS_ON_A_NAME):
        assert await installation.sign_in("wrong") is SignInRefusal.WRONG_CODE
    refused = await sign_in(installation.people, "ada", PASSWORD, browser=HERE, now=NOW)
    assert refused is SignInRefusal.TOO_MANY_ATTEMPTS


async def test_a_right_code_forgets_the_wrong_ones(installation: Installation) -> None:
    for round_ in range(3):
        now = NOW + round_ * STEP
        for _ in range(ATTEMPTS_ON_A_NAME - 1):
            assert await installation.sign_in("wrong", now) is SignInRefusal.WRONG_CODE
        assert isinstance(await installation.sign_in(installation.code(now), now), SignedIn)


async def test_refused_codes_are_told_apart_inside(installation: Installation) -> None:
    told: list[tuple[SignInFault, str | None]] = []
    code = installation.code(NOW)
    for shown in ("123", code, code):
        await check_code(
            installation.people, installation.factors, installation.encryption, "ada", shown,
            browser=HERE, now=NOW, tell=lambda *what: told.append(what),
        )  # fmt: skip
    assert told == [(SignInFault.WRONG_CODE, "ada"), (SignInFault.CODE_USED, "ada")]


@pytest.mark.parametrize("code", ["", "１２３４５６", "12345", "1234567", "'; --", "\0", "123456\n123456"])
async def test_what_is_no_code_is_wrong(installation: Installation, code: str) -> None:
    assert await installation.sign_in(code) is SignInRefusal.WRONG_CODE


async def test_people_may_type_the_spaces_that_they_see(installation: Installation) -> None:
    code = installation.code(NOW)
    assert isinstance(await installation.sign_in(f" {code[:3]} {code[3:]} "), SignedIn)


# Recovery codes ------------------------------------------------------------------------------------------------------


async def test_a_recovery_code_opens_once(installation: Installation) -> None:
    assert len(set(installation.recovery_codes)) == RECOVERY_CODES
    first, second = installation.recovery_codes[:2]
    assert isinstance(await installation.sign_in(first.upper().replace("-", " ")), SignedIn)
    assert await installation.sign_in(first) is SignInRefusal.WRONG_CODE
    assert isinstance(await installation.sign_in(second), SignedIn)
    state = await installation.factors.state("ada")
    assert state is not None and state.recovery_codes == RECOVERY_CODES - 2


async def test_of_several_who_show_one_recovery_code_at_once_one_comes_in(installation: Installation) -> None:
    tokens = [await installation.first_step() for _ in range(4)]
    code = installation.recovery_codes[0]
    done = await asyncio.gather(*(installation.second_step(token, code) for token in tokens))
    assert sorted(isinstance(one, SignedIn) for one in done) == [False] * 3 + [True]


async def test_new_recovery_codes_end_the_former_ones(installation: Installation) -> None:
    new = await renew_recovery_codes(installation.factors, "ada", now=NOW)
    assert new is not None and not set(new) & set(installation.recovery_codes)
    assert await installation.sign_in(installation.recovery_codes[0]) is SignInRefusal.WRONG_CODE
    assert isinstance(await installation.sign_in(new[0]), SignedIn)
    assert await renew_recovery_codes(installation.factors, "nobody", now=NOW) is None


async def test_a_recovery_code_is_anothers_nowhere(installation: Installation) -> None:
    await enrol(installation.people, Person("bo", Role.ADMIN, "", "Bo"), PASSWORD, now=NOW)
    code = installation.recovery_codes[0]
    refused = await check_code(
        installation.people, installation.factors, installation.encryption, "bo", code, browser=HERE, now=NOW
    )
    assert refused is SignInRefusal.WRONG_CODE


# Setting up ----------------------------------------------------------------------------------------------------------


async def test_a_seed_counts_once_a_code_of_it_was_seen(bare: Installation) -> None:
    enrolment = await begin(bare.factors, bare.encryption, "ada")
    assert enrolment.address.startswith("otpauth://totp/Jitui:ada?secret=" + enrolment.seed)
    assert isinstance(await sign_in(bare.people, "ada", PASSWORD, browser=HERE, now=NOW), SignedIn)
    assert await pending(bare.factors, bare.encryption, "ada") == enrolment
    assert await confirm(bare.factors, bare.encryption, "ada", "000000", now=NOW) is None
    assert isinstance(await sign_in(bare.people, "ada", PASSWORD, browser=HERE, now=NOW), SignedIn)
    bare.seed = enrolment.seed
    assert await confirm(bare.factors, bare.encryption, "ada", bare.code(NOW), now=NOW) is not None
    assert isinstance(await sign_in(bare.people, "ada", PASSWORD, browser=HERE, now=NOW), NeedsCode)
    assert await confirm(bare.factors, bare.encryption, "ada", bare.code(NOW + STEP), now=NOW + STEP) is None


async def test_a_seed_in_use_is_not_replaced_by_another_one_without_being_removed_first(
    installation: Installation,
) -> None:
    other = (await begin(installation.factors, installation.encryption, "ada")).seed
    assert await pending(installation.factors, installation.encryption, "ada") is None
    code = pyotp.TOTP(other).at(NOW)
    assert await confirm(installation.factors, installation.encryption, "ada", code, now=NOW) is None
    assert isinstance(await installation.sign_in(installation.code(NOW)), SignedIn)


async def test_what_was_removed_is_gone_with_its_recovery_codes(installation: Installation) -> None:
    assert await installation.factors.remove("ada", by="ops", now=NOW)
    assert isinstance(await sign_in(installation.people, "ada", PASSWORD, browser=HERE, now=NOW), SignedIn)
    state = await installation.factors.state("ada")
    assert state is not None and (state.encrypted, state.pending, state.recovery_codes) == (None, None, 0)
    assert not await installation.factors.remove("ada", by="ops", now=NOW)
    assert not await installation.factors.remove("nobody", by="ops", now=NOW)


# At rest -------------------------------------------------------------------------------------------------------------


async def test_no_seed_stands_readable_in_the_database(installation: Installation, database_url: str) -> None:
    await enrol(installation.people, Person("bo", Role.ADMIN, "", "Bo"), PASSWORD, now=NOW)
    waiting = (await begin(installation.factors, installation.encryption, "bo")).seed
    with psycopg.connect(database_url) as connection:
        rows = str(connection.execute("SELECT to_json(p)::text FROM console_person p").fetchall())
        codes = connection.execute("SELECT code_hash FROM recovery_code").fetchall()
    assert "totp_seed" in rows
    for secret in (installation.seed, waiting):
        assert secret not in rows
    assert len(codes) == RECOVERY_CODES
    assert not any(code.encode() in row[0] for code in installation.recovery_codes for row in codes)


@pytest.mark.parametrize("encryption", [Encryption([]), Encryption([new_key()])], ids=["no key", "another key"])
async def test_without_the_key_nobody_comes_in_by_the_password_alone(
    installation: Installation, encryption: Encryption
) -> None:
    installation.encryption = encryption
    with pytest.raises(NotConfigured):
        await installation.sign_in(installation.code(NOW))
    assert isinstance(await installation.sign_in(installation.recovery_codes[0]), SignedIn)


async def test_a_seed_that_was_moved_to_somebody_elses_row_does_not_open(installation: Installation) -> None:
    await enrol(installation.people, Person("eve", Role.ADMIN, "", "Eve"), PASSWORD, now=NOW)
    async with installation.pool.connection() as connection:
        await connection.execute(
            "UPDATE console_person SET totp_seed = (SELECT totp_seed FROM console_person WHERE name = 'ada') "
            "WHERE name = 'eve'"
        )
    with pytest.raises(NotConfigured):
        await check_code(
            installation.people, installation.factors, installation.encryption, "eve", installation.code(NOW),
            browser=HERE, now=NOW,
        )  # fmt: skip


async def test_keys_are_rotated_without_anybody_setting_up_anew(installation: Installation) -> None:
    await enrol(installation.people, Person("bo", Role.ADMIN, "", "Bo"), PASSWORD, now=NOW)
    waiting = await begin(installation.factors, installation.encryption, "bo")
    newer = new_key()
    both = Encryption([newer, KEY])
    installation.encryption = both
    assert isinstance(await installation.sign_in(installation.code(NOW)), SignedIn)
    assert await renew_seeds(installation.factors, both) == 2
    assert await renew_seeds(installation.factors, both) == 0
    installation.encryption = Encryption([newer])
    assert isinstance(await installation.sign_in(installation.code(NOW + STEP), NOW + STEP), SignedIn)
    assert await pending(installation.factors, installation.encryption, "bo") == waiting
    with pytest.raises(NotConfigured):
        await renew_seeds(installation.factors, Encryption([new_key()]))
    with pytest.raises(NotConfigured):
        await renew_seeds(installation.factors, Encryption([]))
