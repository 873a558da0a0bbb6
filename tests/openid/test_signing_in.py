"""Signing in by OpenID Connect on the console's pages, and every answer of an issuer that is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import Key, OctKey

from jitui.entrypoints.console.page.language import catalogue
from jitui.entrypoints.console.words.codes import WORDS
from jitui.identity.openid import BACK_WITHIN, BEGUN_FROM_AN_ADDRESS
from jitui.identity.people import SignInFault, SignInRefusal, Way, whose_session
from jitui.settings import Language
from tests.console.pages import Page, Visitor, visiting
from tests.openid.issuer import CLIENT_SECRET, TestIssuer, key, params_of, running_issuer, signed, unsigned
from tests.openid.site import ADA, CONSOLE, PASSWORD, SHAN, Site, come_back, go, open_site, signed_in, to_issuer


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_who_is_linked_comes_in(site: Site, visitor: Visitor, algorithm: str) -> None:
    site.issuer.algorithm = algorithm
    await site.link()
    done = await go(visitor, site)
    assert (done.status_code, done.headers["location"]) == (303, "/operations/tasks")
    page = await visitor.see("/account")
    assert "ada · Operator" in page.text and "You sign in by single sign-on." in page.text
    assert (await site.audit())[-1] == ("person.signed_in", "ada", "ada", '{"address":"127.0.0.1","way":"openid"}')
    assert site.counted.reasons == []


async def test_the_issuer_is_asked_with_pkce_state_and_nonce_that_nobody_reads_elsewhere(
    site: Site, visitor: Visitor
) -> None:
    await site.link()
    addresses = [(await visitor.get("/sign-in/openid")).headers["location"] for _ in range(2)]
    params = [params_of(address) for address in addresses]
    for name in ("state", "nonce", "code_challenge"):
        assert len({one[name] for one in params}) == 2 and all(len(one[name]) == 43 for one in params), name
    assert params[0]["redirect_uri"] == f"{CONSOLE}/sign-in/openid/return"
    assert params[0]["scope"] == "openid email profile"
    cookie = visitor.http.cookies["jitui_openid"]
    stored = str(await rows_of(site, "SELECT to_json(s)::text FROM openid_sign_in s"))
    for secret in (cookie, *(one[name] for one in params for name in ("state", "nonce", "code_challenge"))):
        assert secret not in stored
    assert cookie not in " ".join(addresses)


async def rows_of(site: Site, query: str) -> list[tuple[object, ...]]:
    import psycopg

    with psycopg.connect(str(site.service.people._pool.conninfo)) as connection:  # type: ignore[attr-defined]
        return list(connection.execute(query.encode()).fetchall())


# Where a sign-in leads to -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("next_path", "led_to"),
    [
        ("", "/merchant/tickets"),
        ("/merchant/tickets?state=refunded", "/merchant/tickets?state=refunded"),
        ("/account", "/account"),
        ("/buyer/orders", "/merchant/tickets"),
        ("https://evil.test/", "/merchant/tickets"),
        ("//evil.test/merchant", "/merchant/tickets"),
        ("/\\evil.test", "/merchant/tickets"),
        ("/merchant/../../evil", "/merchant/../../evil"),
        ("/merchant/" + "x" * 2_000, "/merchant/tickets"),
        ("/merchant/\r\nset-cookie: a=b", "/merchant/tickets"),
        ("/merchant/\u2028", "/merchant/tickets"),
    ],
    ids=[
        "nothing", "a page", "the account", "another's page", "elsewhere", "elsewhere, relative", "backslash", "dots",
        "too long", "line break", "line separator",
    ],
)  # fmt: skip
async def test_it_leads_to_our_own_pages_alone(site: Site, visitor: Visitor, next_path: str, led_to: str) -> None:
    await site.link(SHAN)
    done = await go(visitor, site, next_path)
    assert (done.status_code, done.headers["location"]) == (303, led_to)


async def test_what_the_issuer_adds_to_its_answer_leads_nowhere(site: Site, visitor: Visitor) -> None:
    await site.link(SHAN)
    site.issuer.answer = {"next": "https://evil.test/", "session_state": "x"}
    assert (await go(visitor, site)).headers["location"] == "/merchant/tickets"


async def test_the_session_is_new_and_ends_the_one_before(site: Site, visitor: Visitor) -> None:
    await site.link()
    await visitor.send("/", "/sign-in", name="shan", password=PASSWORD)
    before = visitor.http.cookies["jitui_session"]
    await go(visitor, site)
    assert visitor.http.cookies["jitui_session"] != before
    visitor.http.cookies.set("jitui_session", before, domain="console.localhost")
    assert (await visitor.get("/account")).status_code == 303


async def test_cookies_are_for_this_site_alone_and_gone_after_it(site: Site, visitor: Visitor) -> None:
    await site.link()
    sent = await visitor.get("/sign-in/openid")
    set_cookie = next(one for one in sent.headers.get_list("set-cookie") if one.startswith("jitui_openid="))
    assert {"HttpOnly", "SameSite=lax", "Max-Age=600"} <= set(re.split("; *", set_cookie))
    await come_back(visitor, await site.issuer.agree(sent.headers["location"]))
    assert "jitui_openid" not in visitor.http.cookies and signed_in(visitor)


async def test_signing_out_ends_the_session_here_and_says_where_one_is_still_signed_in(
    site: Site, visitor: Visitor
) -> None:
    await site.link()
    await go(visitor, site)
    token = visitor.http.cookies["jitui_session"]
    left = await visitor.send("/account", "/sign-out")
    assert left.headers["location"] == "/signed-out"
    page = await visitor.see("/signed-out")
    assert "At 127.0.0.1 you are still signed in" in page.text
    link = next(given["href"] for tag, given in page.tags if tag == "a" and given.get("href", "").startswith("http"))
    assert link.startswith(f"{site.issuer.url}/end?")
    assert params_of(link) == {"client_id": "jitui", "post_logout_redirect_uri": CONSOLE}
    visitor.http.cookies.set("jitui_session", token, domain="console.localhost")
    assert (await visitor.get("/account")).status_code == 303
    await visitor.send("/", "/sign-in", name="ada", password=PASSWORD)
    assert (await visitor.send("/account", "/sign-out")).headers["location"] == "/"


# What is refused -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hostile:
    """What the issuer does, what is told, and what is logged and counted."""

    refusal: SignInRefusal
    fault: SignInFault
    claims: dict[str, Any] = field(default_factory=dict)
    made: Callable[[dict[str, Any], Key], str] = signed
    changed: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, str | None] = field(default_factory=dict)


NOT = SignInRefusal.NOT_ACCEPTED
HOSTILE = {
    "wrong nonce": Hostile(NOT, SignInFault.WRONG_NONCE, {"nonce": "another"}),
    "no nonce": Hostile(NOT, SignInFault.WRONG_NONCE, {"nonce": None}),
    "other audience": Hostile(NOT, SignInFault.WRONG_AUDIENCE, {"aud": "another client"}),
    "expired": Hostile(NOT, SignInFault.EXPIRED, {"exp": 1_700_000_000}),
    "other issuer": Hostile(NOT, SignInFault.WRONG_ISSUER, {"iss": "https://evil.example.com"}),
    "unsigned": Hostile(
        NOT, SignInFault.UNSIGNED,
        made=unsigned,
    ),
    "HMAC by our secret": Hostile(
        NOT, SignInFault.WRONG_ALGORITHM,
        made=lambda claims, by: signed(claims, OctKey.import_key(CLIENT_SECRET), alg="HS256", kid=by.kid),
    ),
    "unknown key": Hostile(
        NOT, SignInFault.UNKNOWN_KEY, made=lambda claims, by: signed(claims, key("RS256", "evil")),
    ),
    "unknown key by our key's name": Hostile(
        NOT, SignInFault.WRONG_SIGNATURE, made=lambda claims, by: signed(claims, key("RS256", "evil"), kid=by.kid),
    ),
    "no token": Hostile(NOT, SignInFault.NO_TOKEN, changed={"token_answer": (200, {"access_token": "x"})}),
    "a token that is none": Hostile(NOT, SignInFault.MALFORMED_TOKEN, made=lambda claims, by: "no token"),
    "a code that is not known": Hostile(
        NOT, SignInFault.CODE_REFUSED, changed={"token_answer": (400, {"error": "invalid_grant"})},
    ),
    "another issuer's answer": Hostile(NOT, SignInFault.WRONG_ISSUER, answer={"iss": "https://evil.example.com"}),
    "an answer that names no issuer": Hostile(NOT, SignInFault.WRONG_ISSUER, answer={"iss": None}),
    "access denied": Hostile(
        SignInRefusal.ISSUER_REFUSED, SignInFault.ISSUER_REFUSED, answer={"error": "access_denied", "code": None},
    ),
    "an error beside a code": Hostile(
        SignInRefusal.ISSUER_REFUSED, SignInFault.ISSUER_REFUSED, answer={"error": "server_error"},
    ),
    "no code": Hostile(SignInRefusal.ISSUER_REFUSED, SignInFault.ISSUER_REFUSED, answer={"code": None}),
    "no state": Hostile(SignInRefusal.TOO_LATE, SignInFault.UNKNOWN_STATE, answer={"state": None}),
    "another state": Hostile(SignInRefusal.TOO_LATE, SignInFault.UNKNOWN_STATE, answer={"state": "x" * 43}),
    "a state that is much too long": Hostile(
        SignInRefusal.TOO_LATE, SignInFault.UNKNOWN_STATE, answer={"state": "x" * 5_000},
    ),
    "nobody here": Hostile(SignInRefusal.NOBODY_HERE, SignInFault.NO_PERSON, {"sub": "u-2"}),
    "userinfo of another": Hostile(
        NOT, SignInFault.WRONG_SUBJECT, {"sub": "u-2"}, changed={"user_info": {"sub": "u-7", "email": "a@example.com"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
async def test_a_hostile_answer_gets_one_sentence_a_log_line_and_a_count(
    site: Site, visitor: Visitor, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = HOSTILE[what]
    await site.link()
    before = len(await site.audit())
    site.issuer.claims |= hostile.claims
    site.issuer.made, site.issuer.answer = hostile.made, hostile.answer
    for name, value in hostile.changed.items():
        setattr(site.issuer, name, value)
    capsys.readouterr()
    address = await to_issuer(visitor, site)
    cookie = visitor.http.cookies["jitui_openid"]
    refused = await come_back(visitor, address)
    assert refused.status_code == 403
    assert WORDS[SignInRefusal][hostile.refusal] in refused.text
    assert not signed_in(visitor) and "jitui_openid" not in visitor.http.cookies
    assert site.counted.reasons == [hostile.fault.value]
    told = capsys.readouterr()
    lines = [line for line in (told.out + told.err).splitlines() if line.strip()]
    assert [line for line in lines if "sign_in_refused" in line and hostile.fault.value in line], lines
    secrets = [cookie, CLIENT_SECRET, "an access token", *site.issuer.codes, *params_of(address).values()]
    for secret in secrets:
        if len(secret) > 8 and secret not in (site.issuer.url, "access_denied", "server_error"):
            assert secret not in "\n".join(lines)
    assert len(await site.audit()) == before, "nothing was changed"
    site.issuer.answer, site.issuer.made, site.issuer.token_answer, site.issuer.user_info = {}, signed, None, {}
    site.issuer.claims = {"sub": "u-1"}
    await go(visitor, site)
    assert signed_in(visitor), "the next sign-in is not the worse for it"


async def test_an_answer_is_worth_one_sign_in(site: Site, visitor: Visitor) -> None:
    """Ours is used once whatever the issuer does of its code."""
    await site.link()
    site.issuer.forgets_codes = False
    address = await to_issuer(visitor, site)
    cookie = visitor.http.cookies["jitui_openid"]
    assert (await come_back(visitor, address)).status_code == 303
    await visitor.send("/account", "/sign-out")
    visitor.http.cookies.set("jitui_openid", cookie, domain="console.localhost")
    again = await come_back(visitor, address)
    assert (again.status_code, WORDS[SignInRefusal][SignInRefusal.TOO_LATE] in again.text) == (403, True)
    assert site.counted.reasons == ["unknown_state"] and not signed_in(visitor)
    assert site.issuer.asked.count("token") == 1


async def test_a_code_that_was_used_before_opens_nothing(site: Site, visitor: Visitor) -> None:
    """The same code under a state of its own: the issuer does not know it any more."""
    await site.link()
    first = await to_issuer(visitor, site)
    await come_back(visitor, first)
    await visitor.send("/account", "/sign-out")
    second = (await to_issuer(visitor, site)).replace(params_of(first)["code"], "")
    mixed = re.sub("code=[^&]*", f"code={params_of(first)['code']}", second)
    refused = await come_back(visitor, mixed)
    assert (refused.status_code, site.counted.reasons) == (403, ["code_refused"])
    assert not signed_in(visitor)


async def test_an_answer_to_another_browser_opens_nothing_and_the_other_one_can_still_use_it(site: Site) -> None:
    await site.link()
    async with visiting(site.console) as one, visiting(site.console) as other, visiting(site.console) as stranger:
        address = await to_issuer(one, site)
        await to_issuer(other, site)
        for who in (other, stranger):
            refused = await come_back(who, address)
            assert refused.status_code == 403
            assert WORDS[SignInRefusal][SignInRefusal.OTHER_WINDOW] in refused.text
            assert not signed_in(who)
        assert "jitui_openid" in other.http.cookies, "its own sign-in goes on"
        assert (await come_back(one, address)).status_code == 303
    assert site.counted.reasons == ["other_browser", "other_browser"]


async def test_a_code_of_another_sign_in_of_the_same_browser_opens_nothing(site: Site, visitor: Visitor) -> None:
    """PKCE: each code belongs to the verifier of its own sign-in. The nonce would refuse it too."""
    await site.link()
    first = params_of(await to_issuer(visitor, site))
    second = await to_issuer(visitor, site)
    refused = await come_back(visitor, re.sub("code=[^&]*", f"code={first['code']}", second))
    assert (refused.status_code, site.counted.reasons) == (403, ["code_refused"])


async def test_whoever_comes_back_too_late_begins_anew(site: Site, visitor: Visitor) -> None:
    await site.link()
    address = await to_issuer(visitor, site)
    hash_at = "UPDATE openid_sign_in SET expires_at = expires_at - interval '601 seconds' RETURNING 1"
    assert len(await rows_of(site, hash_at)) == 1 and timedelta(minutes=10) == BACK_WITHIN
    refused = await come_back(visitor, address)
    assert (refused.status_code, site.counted.reasons) == (403, ["unknown_state"])


@pytest.mark.parametrize("name", ["code", "state", "iss"])
async def test_what_comes_twice_does_not_come(site: Site, visitor: Visitor, name: str) -> None:
    await site.link()
    address = await to_issuer(visitor, site)
    refused = await come_back(visitor, f"{address}&{name}={params_of(address)[name]}")
    assert refused.status_code == 403 and not signed_in(visitor)


async def test_a_key_that_the_issuer_changed_in_between_is_read_anew(site: Site, visitor: Visitor) -> None:
    await site.link()
    await go(visitor, site)
    site.issuer.signing, site.issuer.published = "two", ("one", "two")
    await visitor.send("/account", "/sign-out")
    assert (await go(visitor, site)).status_code == 303
    assert site.issuer.asked.count("keys") == 2
    site.issuer.published = ("two",)
    await visitor.send("/account", "/sign-out")
    assert (await go(visitor, site)).status_code == 303
    assert site.issuer.asked.count("keys") == 2 and site.issuer.asked.count("discovery") == 1


async def test_a_sign_in_that_was_begun_at_another_issuer_is_not_finished_at_this_one(
    site: Site, database_url: str, tmp_path: Path, visitor: Visitor
) -> None:
    """The issuer of the settings changed while somebody was there."""
    async with running_issuer() as other, open_site(database_url, tmp_path / "other", other) as moved:
        await moved.link()
        address = await to_issuer(visitor, site)
        async with visiting(moved.console) as there:
            there.http.cookies.set("jitui_openid", visitor.http.cookies["jitui_openid"], domain="console.localhost")
            refused = await come_back(there, address)
            assert refused.status_code == 403 and not signed_in(there)
        assert moved.counted.reasons == ["wrong_issuer"]
        assert other.asked == ["discovery"], "nothing of the first issuer was given to the second one"


async def test_the_same_subject_of_another_issuer_is_somebody_else(
    site: Site, database_url: str, tmp_path: Path
) -> None:
    await site.link()
    async with running_issuer() as other, open_site(database_url, tmp_path / "other", other) as moved:
        async with visiting(moved.console) as there:
            await go(there, moved)
            assert not signed_in(there)
        assert moved.counted.reasons == ["no_person"]


async def test_who_is_disabled_does_not_come_in(site: Site, visitor: Visitor) -> None:
    await site.link()
    await go(visitor, site)
    await site.service.people.set_disabled("ada", True, by="ops", now=site.service.clock())
    assert (await visitor.get("/account")).status_code == 303
    refused = await go(visitor, site)
    assert WORDS[SignInRefusal][SignInRefusal.NOBODY_HERE] in refused.text
    assert site.counted.reasons == ["disabled"]


async def test_begun_and_never_finished_is_stopped(site: Site, visitor: Visitor) -> None:
    assert (await visitor.get("/sign-in/openid")).status_code == 303
    await rows_of(site, f"UPDATE sign_in_attempt SET attempts = {BEGUN_FROM_AN_ADDRESS} RETURNING 1")
    stopped = await visitor.get("/sign-in/openid")
    assert stopped.status_code == 429
    assert len(await rows_of(site, "SELECT 1 FROM openid_sign_in")) == 1
    assert (await visitor.send("/", "/sign-in", name="ada", password=PASSWORD)).status_code == 303


async def test_a_sign_in_that_was_finished_counts_as_no_attempt(site: Site, visitor: Visitor) -> None:
    await site.link()
    address = await to_issuer(visitor, site)
    assert await rows_of(site, "SELECT attempts FROM sign_in_attempt") == [(1,)]
    await come_back(visitor, address)
    assert await rows_of(site, "SELECT attempts FROM sign_in_attempt") == []


async def test_every_refusal_is_said_in_chinese_too(site: Site) -> None:
    texts = catalogue(Language.ZH_CN)
    for text in WORDS[SignInRefusal].values():
        assert texts.gettext(text) != text
    async with visiting(site.console, language="zh-CN") as visitor:
        refused = await go(visitor, site)
        assert "您在此没有可以登录的账号" in refused.text
        assert "单点登录" in (await visitor.see("/")).text


async def test_a_choice_of_language_after_a_refusal_does_not_use_the_answer_again(site: Site, visitor: Visitor) -> None:
    refused = await go(visitor, site)
    assert Page(refused.text).form("/preferences").fields["back"] == "/"


async def test_sessions_say_how_they_were_begun(site: Site, visitor: Visitor) -> None:
    await site.link()
    await go(visitor, site)
    token, now = visitor.http.cookies["jitui_session"], site.service.clock()
    found = await whose_session(site.service.people, token, now=now)
    assert found is not None
    assert (found.person, found.way, found.second_factor) == (ADA, Way.OPENID, True)


async def test_without_openid_its_addresses_are_not_there(database_url: str, tmp_path: Path) -> None:
    bare = {"openid_issuer": None, "openid_client_id": None, "openid_client_secret_file": None}
    async with (
        open_site(database_url, tmp_path, TestIssuer(url="http://127.0.0.1:9"), **bare) as site,
        visiting(site.console) as visitor,
    ):
        for path in ("/sign-in/openid", "/sign-in/openid/return?code=1&state=2", "/signed-out"):
            assert (await visitor.get(path)).status_code == 404
        assert "Single sign-on" not in (await visitor.see("/")).text
