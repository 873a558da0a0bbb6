"""API keys: how long they work, what they may do, how one takes the place of another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from jitui.adapters.postgres.keys import PostgresKeys
from jitui.adapters.postgres.pool import make_pool
from jitui.errors import BadInput
from jitui.identity.access import KeyScope
from jitui.identity.keys import (
    ENDING_SOON,
    LIFETIME,
    ApiKey,
    KeyFault,
    NewKey,
    authenticate,
    issue_key,
    key_id_of,
    retired_permissions,
    roll_key,
)
from tests.aftersales.market import NOW

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


@pytest.fixture
async def keys(database_url: str) -> AsyncIterator[PostgresKeys]:
    async with make_pool(database_url, max_size=8) as pool:
        yield PostgresKeys(pool)


async def shop_key(keys: PostgresKeys, lifetime: timedelta | None = LIFETIME, **more: object) -> NewKey:
    permissions = more.get("permissions")
    assert permissions is None or isinstance(permissions, list)
    return await issue_key(
        keys, KeyScope.SHOP, "s-1", label="erp", now=NOW, lifetime=lifetime, permissions=permissions, by="ada"
    )


async def row_of(keys: PostgresKeys, key_id: str) -> ApiKey:
    return (await keys.find((key_id,)))[key_id][0]


async def test_a_key_ends_after_a_year_unless_its_issuer_says_otherwise(keys: PostgresKeys) -> None:
    issued = await shop_key(keys)
    assert issued.key.expires_at == NOW + timedelta(days=365)
    found = await authenticate(keys, issued.secret, NOW + LIFETIME - SECOND)
    assert found == issued.key
    assert isinstance(found, ApiKey)
    assert (found.scope, found.subject_id, found.label, found.created_by) == (KeyScope.SHOP, "s-1", "erp", "ada")
    assert await authenticate(keys, issued.secret, NOW + LIFETIME) is KeyFault.EXPIRED
    endless = await shop_key(keys, None)
    assert isinstance(await authenticate(keys, endless.secret, NOW + 100 * LIFETIME), ApiKey)


async def test_what_is_no_key_that_works_is_told_apart_inside(keys: PostgresKeys) -> None:
    issued = await shop_key(keys)
    key_id = issued.key.key_id
    for presented, fault in (
        ("nonsense", KeyFault.MALFORMED),
        (f"xx_{key_id}_secret", KeyFault.MALFORMED),
        (f"jt_{key_id}_", KeyFault.MALFORMED),
        ("jt_0123456789ab_secret", KeyFault.UNKNOWN),
        (issued.secret + "x", KeyFault.WRONG_SECRET),
    ):
        assert await authenticate(keys, presented, NOW) is fault, presented
    await keys.revoke(key_id, by="eve", now=NOW)
    assert await authenticate(keys, issued.secret, NOW) is KeyFault.REVOKED
    assert await authenticate(keys, issued.secret + "x", NOW) is KeyFault.WRONG_SECRET


async def test_a_revoked_key_keeps_its_first_moment_and_name(keys: PostgresKeys) -> None:
    key_id = (await shop_key(keys)).key.key_id
    first = await keys.revoke(key_id, by="eve", now=NOW)
    again = await keys.revoke(key_id, by="mallory", now=NOW + DAY)
    assert first == again
    assert again is not None and (again.revoked_at, again.revoked_by) == (NOW, "eve")
    assert await keys.revoke("nothing", by="eve", now=NOW) is None


async def test_a_key_is_restricted_to_what_its_scope_may_have(keys: PostgresKeys) -> None:
    issued = await shop_key(keys, permissions=["tickets:write", "tickets:read", "tickets:read"])
    assert issued.key.permissions == ("tickets:read", "tickets:write")
    assert (await row_of(keys, issued.key.key_id)).permissions == ("tickets:read", "tickets:write")
    for wrong in (["refunds:write"], ["tickets:read", "everything"], []):
        with pytest.raises(BadInput):
            await shop_key(keys, permissions=wrong)
    with pytest.raises(
        BadInput, match="cannot have the permission everything, refunds:write; it can have arbitrations:write, "
    ):
        await shop_key(keys, permissions=["refunds:write", "everything"])


def test_permissions_that_are_not_known_any_more_are_named() -> None:
    key = ApiKey("k", KeyScope.PLATFORM, "", "", NOW, permissions=("orders:read", "orders:everything"))
    assert retired_permissions(key) == ("orders:everything",)
    assert retired_permissions(ApiKey("k", KeyScope.PLATFORM, "", "", NOW)) == ()


async def test_the_old_and_the_new_key_work_until_the_overlap_ends(keys: PostgresKeys) -> None:
    old = await shop_key(keys, permissions=["tickets:read"])
    until = NOW + timedelta(hours=6)
    new = await roll_key(keys, old.key.key_id, now=NOW + SECOND, old_until=until, by="bo")
    for secret in (old.secret, new.secret):
        assert isinstance(await authenticate(keys, secret, until - SECOND), ApiKey)
    assert await authenticate(keys, old.secret, until) is KeyFault.EXPIRED
    assert isinstance(await authenticate(keys, new.secret, until), ApiKey)
    assert new.key.expires_at == NOW + SECOND + LIFETIME
    assert (new.key.scope, new.key.subject_id, new.key.label, new.key.permissions, new.key.created_by) == (
        KeyScope.SHOP, "s-1", "erp", ("tickets:read",), "bo",
    )  # fmt: skip
    assert (await row_of(keys, old.key.key_id)).replaced_by == new.key.key_id


async def test_an_overlap_never_lengthens_the_life_of_the_old_key(keys: PostgresKeys) -> None:
    old = await shop_key(keys, DAY)
    await roll_key(keys, old.key.key_id, now=NOW, old_until=NOW + 2 * DAY)
    assert (await row_of(keys, old.key.key_id)).expires_at == NOW + DAY
    gone = await shop_key(keys)
    await roll_key(keys, gone.key.key_id, now=NOW, old_until=NOW - DAY)
    assert (await row_of(keys, gone.key.key_id)).expires_at == NOW


async def test_a_line_of_rolled_keys_is_one_client(keys: PostgresKeys) -> None:
    first = await shop_key(keys)
    second = await roll_key(keys, first.key.key_id, now=NOW, old_until=NOW + DAY)
    third = await roll_key(keys, second.key.key_id, now=NOW, old_until=NOW + DAY)
    assert {first.key.client, second.key.client, third.key.client} == {first.key.key_id}
    assert (await shop_key(keys)).key.client != first.key.client


async def test_a_key_that_is_over_or_rolled_already_is_not_rolled(keys: PostgresKeys) -> None:
    rolled, revoked, ended = await shop_key(keys), await shop_key(keys), await shop_key(keys, DAY)
    new = await roll_key(keys, rolled.key.key_id, now=NOW, old_until=NOW + DAY)
    await keys.revoke(revoked.key.key_id, by="eve", now=NOW)
    for key_id, reason in (
        (rolled.key.key_id, f"rolled to {new.key.key_id} already"),
        (revoked.key.key_id, "is revoked"),
        (ended.key.key_id, "is expired"),
        ("nothing", "There is no key nothing"),
    ):
        with pytest.raises(BadInput, match=reason):
            await roll_key(keys, key_id, now=NOW + DAY, old_until=NOW + 2 * DAY)
    assert len(await keys.list(scope=None, subject_id=None, working_at=None, limit=10)) == 4


async def test_of_two_who_roll_a_key_at_once_one_does(keys: PostgresKeys) -> None:
    key_id = (await shop_key(keys)).key.key_id
    rolling = (roll_key(keys, key_id, now=NOW, old_until=NOW + DAY) for _ in range(6))
    done = await asyncio.gather(*rolling, return_exceptions=True)
    assert sorted(type(one).__name__ for one in done) == ["BadInput"] * 5 + ["NewKey"]


async def test_the_last_use_of_a_key_is_written_at_most_once_a_minute_whoever_saw_it(keys: PostgresKeys) -> None:
    key_id = (await shop_key(keys)).key.key_id
    minute = timedelta(minutes=1)
    for seen, written in (
        (NOW, NOW),
        (NOW + minute - SECOND, NOW),
        (NOW - minute, NOW),
        (NOW + minute, NOW + minute),
    ):
        await keys.record_use({key_id: seen, "nothing": seen})
        assert (await row_of(keys, key_id)).last_used_at == written


async def test_processes_that_write_the_same_uses_at_once_do_not_wait_for_each_other(keys: PostgresKeys) -> None:
    ids = [(await shop_key(keys)).key.key_id for _ in range(30)]
    orders = [ids, ids[::-1], ids[10:] + ids[:10], ids[20:] + ids[:20]] * 3
    await asyncio.gather(*(keys.record_use(dict.fromkeys(order, NOW)) for order in orders))
    assert {(await row_of(keys, key_id)).last_used_at for key_id in ids} == {NOW}


async def test_keys_are_warned_about_thirty_days_before_their_end_and_short_ones_in_their_second_half(
    keys: PostgresKeys,
) -> None:
    year, day = (await shop_key(keys)).key, (await shop_key(keys, DAY)).key
    await shop_key(keys, None)
    assert year.expires_at is not None
    soon = year.expires_at - ENDING_SOON
    for now, ending in (
        (NOW + DAY / 2 - SECOND, []),
        (NOW + DAY / 2, [day]),
        (NOW + DAY - SECOND, [day]),
        (NOW + DAY, []),
        (soon - SECOND, []),
        (soon, [year]),
        (year.expires_at - SECOND, [year]),
        (year.expires_at, []),
    ):
        assert [key.key_id for key in await keys.ending_soon(now)] == [key.key_id for key in ending], now


async def test_nobody_is_warned_of_a_key_that_was_rolled_or_revoked(keys: PostgresKeys) -> None:
    first, rolled, revoked = await shop_key(keys, 2 * DAY), await shop_key(keys, DAY), await shop_key(keys, DAY)
    now = NOW + DAY
    await roll_key(keys, rolled.key.key_id, now=NOW, old_until=NOW + 2 * DAY)
    await keys.revoke(revoked.key.key_id, by="eve", now=NOW)
    assert [key.key_id for key in await keys.ending_soon(now)] == [first.key.key_id]


async def test_keys_are_listed_newest_first_and_those_that_are_over_only_on_request(keys: PostgresKeys) -> None:
    for days in (1, 3):
        await shop_key(keys, days * DAY)
    platform = await issue_key(keys, KeyScope.PLATFORM, "", label="", now=NOW + SECOND)
    revoked = await issue_key(keys, KeyScope.PLATFORM, "", label="", now=NOW + 2 * SECOND)
    await keys.revoke(revoked.key.key_id, by="eve", now=NOW)
    everything = await keys.list(scope=None, subject_id=None, working_at=None, limit=10)
    assert [key.key_id for key in everything][:2] == [revoked.key.key_id, platform.key.key_id]
    assert len(everything) == 4
    assert len(await keys.list(scope=None, subject_id=None, working_at=NOW + DAY, limit=10)) == 2
    assert len(await keys.list(scope=None, subject_id=None, working_at=NOW + DAY - SECOND, limit=10)) == 3
    assert len(await keys.list(scope=KeyScope.SHOP, subject_id="s-1", working_at=None, limit=10)) == 2
    assert len(await keys.list(scope=KeyScope.SHOP, subject_id="s-2", working_at=None, limit=10)) == 0
    assert len(await keys.list(scope=None, subject_id=None, working_at=None, limit=1)) == 1


def test_the_id_is_read_out_of_a_whole_key_that_somebody_pasted() -> None:
    assert key_id_of("jt_0123456789ab_abc-_1") == "0123456789ab"
    assert key_id_of("0123456789ab") == "0123456789ab"
