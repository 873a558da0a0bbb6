"""Keys from the command line: issued, listed, rolled, revoked; what `jitui doctor` says of those that end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest

from jitui.bootstrap import Service, open_service, utc_now
from jitui.identity.access import KeyScope
from jitui.identity.keys import ApiKey, KeyFault, authenticate
from jitui.settings import Settings
from tests.cli.conftest import Jitui

_Found = TypeVar("_Found")
Presented = Callable[[str], ApiKey | KeyFault]


@pytest.fixture
def presented(database_url: str, tmp_path: Path) -> Presented:
    """What the service makes of a key."""

    def run(work: Callable[[Service], Awaitable[_Found]]) -> _Found:
        async def opened() -> _Found:
            async with open_service(Settings(home=tmp_path), database_url) as service:
                return await work(service)

        return asyncio.run(opened())

    return lambda secret: run(lambda service: authenticate(service.keys, secret, utc_now()))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def issued(jitui: Jitui, *words: str) -> Any:
    done = jitui("keys", "issue", "--scope", "platform", *words, "--json")
    assert done.code == 0, done.err
    return done.json


def test_a_key_opens_what_it_was_issued_for(jitui: Jitui, presented: Presented) -> None:
    done = jitui("keys", "issue", "--scope", "shop", "--subject", "s-1", "--label", "erp", "--by", "ada")
    (secret,) = done.out.splitlines()
    assert "it is not shown again" in done.err
    key = presented(secret)
    assert isinstance(key, ApiKey)
    assert (key.scope, key.subject_id, key.label, key.created_by) == (KeyScope.SHOP, "s-1", "erp", "ada")
    assert key.permissions is None
    assert key.expires_at == key.created_at + timedelta(days=365)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--scope", "shop"), "A key for the shop needs the shop's id as --subject."),
        (("--scope", "platform", "--subject", "s-1"), "A key for the platform has no --subject."),
        (("--scope", "everybody"), "the scope is one of platform, shop, buyer, not 'everybody'."),
        (("--scope", "platform", "--days", "3", "--no-end"), "--days and --no-end contradict one another."),
        (("--scope", "buyer", "--subject", "b", "--permission", "tasks:read"), "cannot have the permission tasks:read"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_a_sentence(jitui: Jitui, words: tuple[str, ...], sentence: str) -> None:
    done = jitui("keys", "issue", *words)
    assert done.code == 2
    assert sentence in done.err
    assert jitui("keys", "list", "--all", "--json").json == {"keys": []}


def test_the_end_of_a_key_is_a_setting_an_option_or_none(jitui: Jitui, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JITUI_KEY_LIFETIME_DAYS", "90")
    for words, days in ((), 90), (("--days", "7"), 7):
        row = issued(jitui, *words)
        assert moment(row["expires_at"]) - moment(row["created_at"]) == timedelta(days=days)
    assert issued(jitui, "--no-end")["expires_at"] is None


def test_keys_are_listed_without_their_secrets(jitui: Jitui) -> None:
    assert jitui("keys", "list").out == "There are no keys that work.\n"
    assert jitui("keys", "list", "--all").out == "There are no keys.\n"
    one = issued(jitui, "--label", "a[b]\nc", "--permission", "orders:write", "--permission", "orders:read")
    jitui("keys", "issue", "--scope", "buyer", "--subject", "b-1")
    told = jitui("keys", "list").out
    assert one["key_id"] in told
    assert "a[b]\\nc" in told
    assert "never used" in told
    assert "orders:read, orders:write" in told
    assert one["key"].rpartition("_")[2] not in told
    rows = jitui("keys", "list", "--scope", "platform", "--json").json["keys"]
    assert [(row["key_id"], row["state"], row["permissions"]) for row in rows] == [
        (one["key_id"], "active", ["orders:read", "orders:write"])
    ]
    assert [row["subject_id"] for row in jitui("keys", "list", "--subject", "b-1", "--json").json["keys"]] == ["b-1"]
    assert len(jitui("keys", "list", "--limit", "1", "--json").json["keys"]) == 1
    assert jitui("keys", "list", "--scope", "everybody").code == 2


def test_a_key_is_revoked_once(jitui: Jitui, presented: Presented) -> None:
    one = issued(jitui)
    revoked = jitui("keys", "revoke", one["key"], "--by", "ada", "--json").json
    assert (revoked["key_id"], revoked["state"], revoked["revoked_by"]) == (one["key_id"], "revoked", "ada")
    assert presented(one["key"]) is KeyFault.REVOKED
    again = jitui("keys", "revoke", one["key_id"], "--by", "eve", "--json").json
    assert again == revoked
    assert "revoked" in jitui("keys", "list", "--all").out
    assert jitui("keys", "list", "--json").json == {"keys": []}
    unknown = jitui("keys", "revoke", "0123456789ab")
    assert (unknown.code, unknown.err) == (2, "There is no key 0123456789ab in this database.\n")


def test_a_key_is_rolled_with_an_overlap(jitui: Jitui, presented: Presented) -> None:
    old = issued(jitui, "--label", "shop front", "--permission", "orders:read")
    new = jitui("keys", "roll", old["key_id"], "--overlap-hours", "2", "--days", "9", "--json").json
    assert (new["label"], new["permissions"]) == ("shop front", ["orders:read"])
    assert moment(new["expires_at"]) - moment(new["created_at"]) == timedelta(days=9)
    assert moment(new["old"]["expires_at"]) - moment(new["created_at"]) == timedelta(hours=2)
    assert isinstance(presented(old["key"]), ApiKey)
    assert isinstance(presented(new["key"]), ApiKey)
    assert f"rolled to {new['key_id']}" in jitui("keys", "list").out
    again = jitui("keys", "roll", old["key_id"])
    assert (again.code, again.err) == (
        2,
        f"Key {old['key_id']} was rolled to {new['key_id']} already; roll that one.\n",
    )


def test_the_old_key_works_until_a_stated_time(jitui: Jitui, presented: Presented) -> None:
    old = issued(jitui)
    until = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
    done = jitui("keys", "roll", old["key"], "--until", until.isoformat())
    assert done.code == 0
    assert f"Key {old['key_id']} works until {until.isoformat()}." in done.err
    (secret,) = done.out.splitlines()
    assert isinstance(presented(secret), ApiKey)
    next_old = issued(jitui)
    assert jitui("keys", "roll", next_old["key_id"], "--until", "2020-01-01T00:00:00Z").code == 2
    assert jitui("keys", "roll", next_old["key_id"], "--until", "tomorrow").code == 2
    assert jitui("keys", "roll", next_old["key_id"], "--overlap-hours", "0").code == 0
    assert presented(next_old["key"]) is KeyFault.EXPIRED


def test_doctor_says_which_key_ends_first(jitui: Jitui, database_url: str) -> None:
    def said() -> tuple[str, str]:
        findings = jitui("doctor", "--json").json["findings"]
        (found,) = [(one["level"], one["found"]) for one in findings if one["what"] == "API keys"]
        return found

    one = issued(jitui, "--days", "100", "--label", "erp")
    assert said() == ("ok", "none ends within 30 days")
    with psycopg.connect(database_url, autocommit=True) as connection:
        past = "created_at = created_at - interval '90 days', expires_at = expires_at - interval '90 days'"
        connection.execute(f"UPDATE api_key SET {past}")
    level, found = said()
    assert level == "absent"
    assert found.startswith(f"1 end within 30 days, the first is {one['key_id']} (erp) in ")
