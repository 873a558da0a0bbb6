"""What `jitui platform connect` says of addresses, files and connections that stand already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Jitui
from tests.cli.test_platform import KEY, answering


@pytest.fixture
def url() -> Iterator[str]:
    with answering() as address:
        yield address


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    path.chmod(0o600)
    return path


def words(url: str, key: Path, name: str = "vendure") -> tuple[str, ...]:
    return ("platform", "connect", name, "--url", url, "--secret-file", str(key), "--shop", "my-shop")


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)])
def test_a_key_that_every_account_can_read(jitui: Jitui, url: str, key: Path, mode: int, warned: bool) -> None:
    """A group may read it: that is how a service of its own account is given a key."""
    key.chmod(mode)
    done = jitui(*words(url, key))
    assert (done.code, f"chmod 600 {key}" in done.err) == (0, warned), done


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o644, True)])
def test_an_api_key_that_every_account_can_read(jitui: Jitui, key: Path, mode: int, warned: bool) -> None:
    key.chmod(mode)
    done = jitui("--remote", "http://127.0.0.1:9", "--api-key-file", str(key), "tickets", "list")
    assert ("--api-key-file: chmod 600" in done.err) == warned, done


@pytest.mark.parametrize(("content", "why"), [(b"", "is empty"), (b" \n", "is empty"), (b"\xff\xfe", "holds no text")])
def test_a_file_without_a_key(jitui: Jitui, url: str, key: Path, content: bytes, why: str) -> None:
    key.write_bytes(content)
    assert f"and this file {why}" in jitui(*words(url, key)).err
    assert f"{key} {why}." in jitui("--remote", "http://127.0.0.1:9", "--api-key-file", str(key), "tickets", "list").err
    assert "it does not exist" in jitui("--remote", "http://x", "--api-key-file", str(key) + "x", "tickets", "list").err


def test_a_file_that_lost_its_key(jitui: Jitui, url: str, key: Path) -> None:
    assert jitui(*words(url, key)).code == 0
    key.write_text("\n")
    assert f"The file with the key of vendure is empty: {key}." in jitui("platform", "doctor").out


@pytest.mark.parametrize("given", ["http://user:sesame@{}", "http://user@{}", "http://:sesame@{}", "sesame@shop"])
def test_no_password_in_the_address(jitui: Jitui, url: str, key: Path, given: str) -> None:
    done = jitui(*words(given.format(url.partition("://")[2]), key))
    assert (done.code, "sesame" in f"{done.out}{done.err}") == (2, False), done
    assert "No platform is connected" in jitui("platform", "status").err


@pytest.mark.parametrize(
    "given", ["shop.example.com", "ftp://shop.example.com", "https://", "https://shop .example.com", "https://x?a=1"]
)
def test_what_is_no_address_is_told_with_an_example(jitui: Jitui, key: Path, given: str) -> None:
    done = jitui(*words(given, key))
    assert (done.code, "such as https://shop.example.com" in done.err) == (2, True), done


@pytest.mark.parametrize(("name", "secret"), [("woocommerce", "ck_1:cs_1"), ("shopify", "shpat_1")])
def test_an_address_without_tls_is_not_the_keys_fault(jitui: Jitui, key: Path, name: str, secret: str) -> None:
    key.write_text(secret)
    done = jitui(*words("http://shop.example.com", key, name))
    assert (done.code, "does not take" in done.err) == (2, False), done
    assert "The address must begin with https://" in done.err


def test_the_connection_that_stands_is_not_said_to_be_gone(jitui: Jitui, url: str, key: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("another")
    first = jitui(*words(url, wrong)).err
    assert "not allowed. Nothing is connected." in first, "a full stop between what it says and what we say"
    assert jitui(*words(url, key)).code == 0
    again = jitui(*words(url, wrong)).err
    assert ("Nothing is connected" in again, f". The connection to {url} stays as it was." in again) == (False, True)
    assert jitui("platform", "doctor").code == 0


def test_a_new_key_for_the_address_as_it_is_typed_today(jitui: Jitui, url: str, key: Path) -> None:
    spellings = (f"{url}/admin-api/", url, f"{url}/", url.replace("http://", "HTTP://"), f"{url}/admin-api")
    for typed in spellings:
        done = jitui(*words(typed, key))
        assert (done.code, f"vendure is connected: {url}, for" in done.out) == (0, True), (typed, done)
    assert jitui("platform", "status", "--json").json["vendure"]["url"] == url
    assert "connected already" in jitui(*words(f"{url}/another", key)).err
