"""An issuer that does not answer, or not as one: a sentence on the page, a line of the log, and passwords work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from jitui.adapters.openid_provider import KEPT_SECONDS, HttpOpenIdProvider
from jitui.entrypoints.console.words.codes import WORDS
from jitui.identity.openid import IssuerUnavailable
from jitui.identity.people import SignInRefusal
from tests.console.pages import Visitor, visiting
from tests.openid.issuer import CLIENT_ID, CLIENT_SECRET, TestIssuer
from tests.openid.site import PASSWORD, Site, come_back, go, open_site, signed_in, to_issuer

AWAY = WORDS[SignInRefusal][SignInRefusal.ISSUER_AWAY]


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    told = capsys.readouterr()
    return [line for line in (told.out + told.err).splitlines() if "openid_issuer" in line]


async def test_an_issuer_that_is_not_there_is_told_in_a_sentence_and_the_password_still_works(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = TestIssuer(url="http://127.0.0.1:9")
    async with open_site(database_url, tmp_path, gone) as site, visiting(site.console) as visitor:
        for _ in range(3):
            away = await visitor.get("/sign-in/openid")
            assert (away.status_code, AWAY in away.text) == (503, True)
        assert site.counted.reasons == ["issuer_away"] * 3
        (line,) = lines_of(capsys)
        assert "openid_issuer_unavailable" in line and "cannot be reached" in line
        assert (await visitor.send("/", "/sign-in", name="ada", password=PASSWORD)).status_code == 303
        assert "At 127.0.0.1" in (await visitor.see("/signed-out")).text


async def test_trouble_is_told_when_it_begins_and_when_it_has_ended(
    site: Site, visitor: Visitor, capsys: pytest.CaptureFixture[str]
) -> None:
    await site.link()
    site.issuer.token_answer = (500, {})
    for _ in range(2):
        refused = await come_back(visitor, await to_issuer(visitor, site))
        assert (refused.status_code, AWAY in refused.text) == (503, True)
    site.issuer.token_answer = None
    assert (await go(visitor, site)).status_code == 303
    told = lines_of(capsys)
    assert ["unavailable" in line for line in told] == [True, False] and "answered 500" in told[0]
    assert signed_in(visitor)


async def test_a_client_secret_that_the_issuer_does_not_take_is_trouble_and_is_not_shown(
    database_url: str, tmp_path: Path, issuer: TestIssuer, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_site(database_url, tmp_path, issuer) as site, visiting(site.console) as visitor:
        issuer.token_answer = (401, {"error": "invalid_client", "error_description": CLIENT_SECRET})
        assert AWAY in (await go(visitor, site)).text
        (line,) = lines_of(capsys)
        assert "answered 401 invalid_client" in line and CLIENT_SECRET not in line


DOCUMENTS: dict[str, dict[str, Any]] = {
    "another issuer's": {"issuer": "https://evil.example.com"},
    "no issuer": {"issuer": None},
    "no token endpoint": {"token_endpoint": None},
    "a number for an endpoint": {"jwks_uri": 7},
    "a file for an endpoint": {"jwks_uri": "file:///etc/passwd"},
    "a script for an endpoint": {"authorization_endpoint": "javascript:alert(1)"},
    "an endpoint without a host": {"token_endpoint": "http:///token"},
    "a script to leave by": {"end_session_endpoint": "javascript:alert(1)"},
}


@pytest.mark.parametrize("what", DOCUMENTS)
async def test_a_discovery_document_that_is_not_its_own(issuer: TestIssuer, what: str) -> None:
    issuer.discovery = DOCUMENTS[what]
    async with provider_of(issuer) as provider:
        with pytest.raises(IssuerUnavailable, match="discovery document"):
            await provider.issuer()


async def test_an_issuer_with_tls_may_not_name_an_endpoint_without_it(issuer: TestIssuer) -> None:
    async with provider_of(issuer, name="https://id.example.com") as provider:
        with pytest.raises(IssuerUnavailable, match="no https address"):
            provider._read({**issuer.document(), "issuer": "https://id.example.com"})


def provider_of(
    issuer: TestIssuer, *, name: str = "", clock: Callable[[], float] = lambda: 0.0, timeout_seconds: float = 30
) -> HttpOpenIdProvider:
    return HttpOpenIdProvider(
        issuer=name or issuer.url,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        redirect_uri="http://console.localhost/sign-in/openid/return",
        scopes=("openid",),
        timeout_seconds=timeout_seconds,
        clock=clock,
    )


async def test_discovery_and_keys_are_kept_for_an_hour(issuer: TestIssuer) -> None:
    now = [0.0]
    async with provider_of(issuer, clock=lambda: now[0]) as provider:
        for now[0] in (0.0, KEPT_SECONDS):
            await provider.keys()
        assert issuer.asked == ["discovery", "keys"]
        now[0] = KEPT_SECONDS + 1
        await provider.keys()
        assert issuer.asked == ["discovery", "keys"] * 2
        await provider.keys(fresh=True)
        assert issuer.asked[-1] == "keys" and issuer.asked.count("discovery") == 2


async def test_a_secret_is_posted_where_the_issuer_takes_it_no_other_way(site: Site, visitor: Visitor) -> None:
    await site.link()
    site.issuer.discovery = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert (await go(visitor, site)).status_code == 303


async def slow(request: web.Request) -> web.Response:
    import asyncio

    await asyncio.sleep(5)
    return web.json_response({})


async def elsewhere(request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"location": "/elsewhere"})


async def no_json(request: web.Request) -> web.Response:
    return web.Response(text="<html>", content_type="text/html")


async def a_list(request: web.Request) -> web.Response:
    return web.json_response([1])


async def endless(request: web.Request) -> web.Response:
    return web.Response(body=b"[" * 2_000_000)


@pytest.mark.parametrize(
    ("handler", "reason"),
    [(slow, "did not answer within"), (elsewhere, "answered 302"), (no_json, "no JSON object"),
     (a_list, "no JSON object"), (endless, "answered more than")],
    ids=["slow", "redirect", "a page", "a list", "endless"],
)  # fmt: skip
async def test_what_is_no_answer_of_an_issuer(handler: Any, reason: str) -> None:
    app = web.Application()
    app.add_routes([web.get("/.well-known/openid-configuration", handler)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with provider_of(TestIssuer(url=url), timeout_seconds=0.5 if handler is slow else 30) as provider:
            with pytest.raises(IssuerUnavailable, match=reason):
                await provider.issuer()
    finally:
        await runner.cleanup()


async def test_keys_that_are_no_list_are_none(issuer: TestIssuer) -> None:
    issuer.discovery = {"jwks_uri": f"{issuer.url}/.well-known/openid-configuration"}
    async with provider_of(issuer) as provider:
        with pytest.raises(IssuerUnavailable, match="no list of keys"):
            await provider.keys()
