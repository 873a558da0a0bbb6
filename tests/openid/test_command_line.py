"""`jitui people link|unlink`, and what `jitui doctor` says of the issuer and of second factors."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Jitui, jitui, settings
from tests.openid.issuer import CLIENT_ID, CLIENT_SECRET, TestIssuer, running_issuer

__all__ = ["jitui", "settings"]


@contextmanager
def issuer_beside() -> Iterator[TestIssuer]:
    """An issuer on a thread of its own: a command has a loop of its own too."""
    started, stop, found = threading.Event(), threading.Event(), list[TestIssuer]()

    async def run() -> None:
        async with running_issuer() as issuer:
            found.append(issuer)
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    started.wait(10)
    try:
        yield found[0]
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def configured(jitui: Jitui, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestIssuer]:
    secret = tmp_path / "openid-secret"
    secret.write_text(CLIENT_SECRET)
    with issuer_beside() as issuer:
        monkeypatch.setenv("JITUI_PUBLIC_URL", "https://refunds.example.com")
        monkeypatch.setenv("JITUI_OPENID_ISSUER", issuer.url)
        monkeypatch.setenv("JITUI_OPENID_CLIENT_ID", CLIENT_ID)
        monkeypatch.setenv("JITUI_OPENID_CLIENT_SECRET_FILE", str(secret))
        yield issuer


def test_a_person_is_linked_shown_and_unlinked(jitui: Jitui, configured: TestIssuer) -> None:
    jitui("people", "add", "ada", "--role", "operator")
    jitui("people", "add", "bo", "--role", "risk")
    assert jitui("people", "link", "ada", "u-1").out == "ada: operator, never signed in, single sign-on as u-1\n"
    linked = jitui("people", "link", "bo", "--email", " Bo@Example.COM ", "--json").json
    assert (linked["email"], linked["openid_subject"]) == ("bo@example.com", None)
    assert "single sign-on by bo@example.com" in jitui("people", "list").out
    refused = jitui("people", "link", "bo", "u-1")
    assert (refused.code, "u-1 is somebody else's" in refused.err) == (2, True)
    assert jitui("people", "unlink", "ada", "--json").json["openid_subject"] is None
    assert jitui("people", "unlink", "ada").code == 0
    actions = [row["action"] for row in jitui("audit", "list", "--subject", "ada", "--json").json["events"]]
    assert actions == ["person.openid_unlinked", "person.openid_linked", "person.added"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ada"], "Give the subject of ada at the issuer, or --email."),
        (["ada", "u-1", "--email", "a@example.com"], "Give the subject of ada at the issuer, or --email."),
        (["nobody", "u-1"], "There is no person nobody"),
        (["nobody", "--email", "a@example.com"], "There is no person nobody"),
        (["ada", "--email", "example.com"], "is no e-mail address."),
        (["ada", "--email", "two words@example.com"], "is no e-mail address."),
        (["ada", "x" * 256], "A subject has 1 to 255 visible characters."),
        (["ada", "line\nbreak"], "A subject has 1 to 255 visible characters."),
    ],
    ids=["nothing", "both", "nobody", "nobody by address", "no address", "two words", "too long", "line break"],
)
def test_what_cannot_be_linked(jitui: Jitui, configured: TestIssuer, words: list[str], says: str) -> None:
    jitui("people", "add", "ada", "--role", "operator")
    refused = jitui("people", "link", *words)
    assert (refused.code, says in " ".join(refused.err.split())) == (2, True), refused.err


def test_without_an_issuer_nobody_is_linked(jitui: Jitui) -> None:
    jitui("people", "add", "ada", "--role", "operator")
    refused = jitui("people", "link", "ada", "u-1")
    assert (refused.code, "No issuer is configured" in refused.err) == (2, True)


def finding(jitui: Jitui, what: str) -> tuple[str, str]:
    (found,) = [one for one in jitui("doctor", "--json").json["findings"] if one["what"] == what]
    return found["level"], found["found"]


def test_doctor_asks_the_issuer(jitui: Jitui, configured: TestIssuer) -> None:
    level, found = finding(jitui, "OpenID Connect")
    assert level == "ok"
    assert found == (
        f"{configured.url} answers, with 1 keys, and sends people back to "
        "https://refunds.example.com/sign-in/openid/return"
    )
    configured.discovery = {"issuer": "https://evil.example.com"}
    assert finding(jitui, "OpenID Connect")[0] == "failed"
    configured.discovery, configured.published = {}, ()
    assert finding(jitui, "OpenID Connect") == ("failed", f"{configured.url} publishes no keys")


def test_doctor_says_who_needs_no_second_factor(jitui: Jitui, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert finding(jitui, "OpenID Connect") == ("absent", "not configured")
    assert finding(jitui, "second factor") == (
        "absent", "not needed by merchant and operator, who can move money",
    )  # fmt: skip
    keys = tmp_path / "keys"
    keys.write_text(jitui("secrets", "new-key").out)
    monkeypatch.setenv("JITUI_ENCRYPTION_KEY_FILE", str(keys))
    monkeypatch.setenv("JITUI_SECOND_FACTOR_ROLES", "operator, merchant, admin")
    assert finding(jitui, "second factor") == ("ok", "needed by admin, merchant, operator")
    monkeypatch.setenv("JITUI_SECOND_FACTOR_ROLES", "operators")
    level, found = finding(jitui, "second factor")
    assert level == "missing" and "names 'operators'; the roles are buyer, merchant" in found
    assert jitui("people", "list").code == 2
    assert "JITUI_SECOND_FACTOR_ROLES" in os.environ


def test_doctor_refuses_a_role_that_a_claim_cannot_give(
    jitui: Jitui, configured: TestIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JITUI_OPENID_ROLES_CLAIM", "groups")
    for given, says in (("shops:merchant", "cannot make 'shops' a merchant"), ("x:king", "names 'king'")):
        monkeypatch.setenv("JITUI_OPENID_ROLES", given)
        level, found = finding(jitui, "OpenID Connect")
        assert level == "missing" and says in found
