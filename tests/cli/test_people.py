"""People of the console from the command line: added, invited, disabled, reset; their sessions; keys that encrypt."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pyotp
import pytest

from jitui.bootstrap import Service, open_service, utc_now
from jitui.encryption import new_key
from jitui.identity.access import Role
from jitui.identity.links import use_link
from jitui.identity.people import Browser, NeedsCode, SignedIn, SignInRefusal, sign_in
from jitui.identity.second_factor import begin, confirm
from jitui.settings import Settings
from tests.cli.conftest import Jitui

_Found = TypeVar("_Found")
PASSWORD = "correct horse battery"
HERE = Browser("192.0.2.1", "a [browser]\nof mine")


class Console:
    """What the people do in their browsers."""

    def __init__(self, database_url: str, settings: Settings) -> None:
        self._url = database_url
        self.settings = settings

    def run(self, work: Callable[[Service], Awaitable[_Found]]) -> _Found:
        async def opened() -> _Found:
            async with open_service(self.settings, self._url) as service:
                return await work(service)

        return asyncio.run(opened())

    def choose_password(self, link: str, password: str = PASSWORD) -> bool:
        token = link.rpartition("/")[2]
        return self.run(lambda service: use_link(service.links, token, password, now=utc_now())) is not None

    def sign_in(self, name: str) -> SignedIn | NeedsCode | SignInRefusal:
        return self.run(lambda service: sign_in(service.people, name, PASSWORD, browser=HERE, now=utc_now()))


@pytest.fixture
def console(database_url: str, tmp_path: Path) -> Console:
    return Console(database_url, Settings(home=tmp_path))


def test_the_first_administrator_comes_in_by_a_link_that_works_once(jitui: Jitui, console: Console) -> None:
    assert "people invite NAME --role admin" in jitui("people", "list").out
    done = jitui("people", "invite", "ada", "--role", "admin")
    (link,) = done.out.splitlines()
    assert link.startswith("http://127.0.0.1:8000/welcome/")
    assert "It works once, until " in done.err
    assert console.choose_password(link)
    assert not console.choose_password(link)
    signed_in = console.sign_in("ada")
    assert isinstance(signed_in, SignedIn) and signed_in.person.role is Role.ADMIN
    assert "ada: admin, signed in " in jitui("people", "list").out
    again = jitui("people", "invite", "ada")
    assert (again.code, again.err) == (2, "ada has a password; `jitui people reset ada` makes a new link.\n")


def test_a_link_names_the_address_that_people_reach_the_console_at(
    jitui: Jitui, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JITUI_PUBLIC_URL", "https://refunds.example.com/")
    link = jitui("people", "invite", "ada", "--role", "admin", "--json").json["link"]
    assert link.startswith("https://refunds.example.com/welcome/")


def test_a_newer_link_ends_the_older_one(jitui: Jitui, console: Console) -> None:
    first = jitui("people", "invite", "ada", "--role", "admin", "--json").json["link"]
    second = jitui("people", "invite", "ada", "--hours", "1", "--json").json["link"]
    assert not console.choose_password(first)
    assert console.choose_password(second)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("add", "ada", "--role", "king"), "the role is one of buyer, merchant, support, risk, operator,"),
        (("add", "ada", "--role", "merchant"), "A merchant needs the shop's id as --subject."),
        (("add", "ada", "--role", "buyer"), "A buyer needs the buyer's id as --subject."),
        (("add", "ada", "--role", "risk", "--subject", "s"), "Only a buyer and a merchant have a --subject;"),
        (("add", "a b", "--role", "risk"), "the name: this is no id"),
        (("add", "ada", "--role", "risk", "--password-file", "/nowhere"), "The password cannot be read from /nowhere"),
        (("invite", "ada"), "There is no person ada"),
        (("disable", "ada"), "There is no person ada"),
        (("enable", "ada"), "There is no person ada"),
        (("reset", "ada"), "There is no person ada"),
        (("roles", "ada", "risk"), "There is no person ada"),
        (("roles", "ada"), "Which role shall ada have?"),
        (("sessions", "ada"), "There is no person ada"),
        (("sessions", "ada", "stop"), "Sessions are listed or ended"),
        (("sessions", "ada", "end", "one"), "'one' is not a session's id"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_a_sentence(jitui: Jitui, words: tuple[str, ...], sentence: str) -> None:
    done = jitui("people", *words)
    assert done.code == 2
    assert sentence in done.err
    assert jitui("people", "list", "--json").json == {"people": []}


def test_people_are_added_with_a_password_from_a_file_or_without(
    jitui: Jitui, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    added = jitui("people", "add", "shan", "--role", "merchant", "--subject", "s-1", "--password-file", str(file))
    assert added.out == "shan is merchant.\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD))
    jitui("people", "add", "bo", "--role", "risk", "--password-file", "-")
    for name in ("shan", "bo"):
        assert isinstance(console.sign_in(name), SignedIn)
    assert "jitui people invite eve" in jitui("people", "add", "eve", "--role", "auditor").err
    assert console.sign_in("eve") is SignInRefusal.WRONG
    file.write_text("short")
    assert jitui("people", "add", "al", "--role", "risk", "--password-file", str(file)).code == 2
    taken = jitui("people", "add", "bo", "--role", "admin")
    assert (taken.code, taken.err) == (2, "There is a person bo already.\n")
    rows = {row["person"]["name"]: row for row in jitui("people", "list", "--json").json["people"]}
    assert {name: row["person"]["role"] for name, row in rows.items()} == {
        "bo": "risk", "eve": "auditor", "shan": "merchant",
    }  # fmt: skip
    assert [rows[name]["password_set"] for name in ("bo", "eve")] == [True, False]
    assert "eve: auditor, never signed in, no password yet" in jitui("people", "list").out


def someone(jitui: Jitui, console: Console) -> None:
    link = jitui("people", "invite", "ada", "--role", "operator", "--json").json["link"]
    assert console.choose_password(link)


def test_a_disabled_person_is_out_until_enabled_again(jitui: Jitui, console: Console) -> None:
    someone(jitui, console)
    assert isinstance(console.sign_in("ada"), SignedIn)
    assert jitui("people", "disable", "ada", "--json").json["disabled_at"]
    assert console.sign_in("ada") is SignInRefusal.WRONG
    assert jitui("people", "sessions", "ada", "--json").json["sessions"] == []
    assert "disabled" in jitui("people", "list").out
    for words in (("reset", "ada"), ("invite", "ada")):
        assert jitui("people", *words).code == 2
    assert jitui("people", "enable", "ada", "--json").json["disabled_at"] is None
    assert isinstance(console.sign_in("ada"), SignedIn)


def test_a_reset_takes_the_password_and_on_request_the_second_factor(
    jitui: Jitui, console: Console, tmp_path: Path, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "keys"
    key.write_text(jitui("secrets", "new-key").out)
    console.settings = Settings(home=tmp_path, encryption_key_file=key)
    someone(jitui, console)

    async def set_up(service: Service) -> None:
        seed = (await begin(service.second_factors, service.encryption, "ada")).seed
        code = pyotp.TOTP(seed).at(utc_now())
        assert await confirm(service.second_factors, service.encryption, "ada", code, now=utc_now()) is not None

    console.run(set_up)
    assert "second factor" in jitui("people", "list").out
    link = jitui("people", "reset", "ada", "--json").json["link"]
    assert console.sign_in("ada") is SignInRefusal.WRONG
    assert console.choose_password(link)
    assert isinstance(console.sign_in("ada"), NeedsCode)
    link = jitui("people", "reset", "ada", "--second-factor", "--json").json["link"]
    assert console.choose_password(link)
    assert isinstance(console.sign_in("ada"), SignedIn)


def test_stored_secrets_are_encrypted_anew_with_the_first_key(
    jitui: Jitui, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert doctor_says(jitui) == "absent"
    refused = jitui("secrets", "rotate")
    assert (refused.code, "set JITUI_ENCRYPTION_KEY_FILE" in refused.err) == (2, True)
    file, old = tmp_path / "keys", new_key()
    file.write_text(old)
    monkeypatch.setenv("JITUI_ENCRYPTION_KEY_FILE", str(file))
    console.settings = Settings(home=tmp_path, encryption_key_file=file)
    someone(jitui, console)
    console.run(lambda service: begin(service.second_factors, service.encryption, "ada"))
    assert jitui("secrets", "rotate").out == "Encrypted anew: 0.\n"
    file.write_text(f"{jitui('secrets', 'new-key', '--json').json['key']}\n{old}\n")
    assert jitui("secrets", "rotate", "--json").json == {"changed": 1}
    assert jitui("secrets", "rotate", "--json").json == {"changed": 0}
    assert doctor_says(jitui) == "ok"
    file.write_text("no key at all")
    assert doctor_says(jitui) == "missing"
    assert jitui("secrets", "rotate").code == 2


def doctor_says(jitui: Jitui) -> str:
    """What `jitui doctor` says of the keys that encrypt."""
    findings = jitui("doctor", "--json").json["findings"]
    (level,) = [one["level"] for one in findings if one["what"] == "encryption keys"]
    assert isinstance(level, str)
    return level


def test_sessions_are_listed_and_ended(jitui: Jitui, console: Console) -> None:
    someone(jitui, console)
    assert jitui("people", "sessions", "ada").out == "ada is signed in nowhere.\n"
    for _ in range(3):
        console.sign_in("ada")
    rows = jitui("people", "sessions", "ada", "--json").json["sessions"]
    assert [(row["address"], row["agent"]) for row in rows] == [("192.0.2.1", "a [browser]\nof mine")] * 3
    assert "a [browser]\\nof mine" in jitui("people", "sessions", "ada").out
    one = rows[0]["session_id"]
    assert jitui("people", "sessions", "ada", "end", one, "--json").json["ended"] == 1
    assert jitui("people", "sessions", "ada", "end", one).code == 1, "it has ended already"
    assert jitui("people", "sessions", "ada", "end").out == "2 sessions of ada ended.\n"
    assert jitui("people", "sessions", "ada", "end").code == 0


def test_another_role_ends_the_sessions(jitui: Jitui, console: Console) -> None:
    someone(jitui, console)
    console.sign_in("ada")
    changed = jitui("people", "roles", "ada", "merchant", "--subject", "s-1", "--json").json
    assert (changed["person"]["role"], changed["person"]["subject_id"]) == ("merchant", "s-1")
    assert jitui("people", "sessions", "ada", "--json").json["sessions"] == []
    assert jitui("people", "roles", "ada", "merchant").code == 2


def test_the_seven_roles_are_listed_with_what_they_are_for(jitui: Jitui) -> None:
    told = jitui("people", "roles").out.splitlines()
    assert [line.split()[0] for line in told] == [role.value for role in Role]
    assert [row["role"] for row in jitui("people", "roles", "--json").json["roles"]] == [role.value for role in Role]
