"""Signing in by password, and in a demo by one click; sessions, and forms from other sites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from litestar import Litestar

from jitui.entrypoints.console.mount import console_app
from jitui.entrypoints.console.page.visit import HOMES
from jitui.identity.access import Role
from jitui.identity.people import ATTEMPTS_ON_A_NAME, Person, enrol
from tests.asgi import transport_to
from tests.console.conftest import Visit
from tests.console.marketplace import EVERYBODY, PASSWORD, PREMIUM, SHOP, Marketplace
from tests.console.pages import Page, Visitor, visiting


async def test_a_password_leads_home(visit: Visit) -> None:
    for name, home in (("lin", "/buyer/orders"), ("shan", "/merchant/tickets")):
        visitor = await visit()
        done = await visitor.send("/", "/sign-in", name=name, password=PASSWORD)
        assert (done.status_code, done.headers["location"]) == (303, home)
        assert (await visitor.get(home)).status_code == 200


async def test_a_wrong_password_says_no_more_than_that(visit: Visit) -> None:
    visitor = await visit()
    wrong = await visitor.send("/", "/sign-in", name="lin", password="wrong password")
    unknown = await visitor.send("/", "/sign-in", name="nobody", password="wrong password")
    for response in (wrong, unknown):
        assert response.status_code == 403
        assert "The name or the password is not right." in response.text


async def test_guessing_is_stopped(visit: Visit) -> None:
    visitor = await visit()
    for _ in range(ATTEMPTS_ON_A_NAME):
        await visitor.send("/", "/sign-in", name="lin", password="wrong password")
    assert (await visitor.send("/", "/sign-in", name="lin", password=PASSWORD)).status_code == 429


async def test_one_click_is_for_demos_alone(market: Marketplace) -> None:
    async with visiting(console_app(market.service)) as visitor:
        page = await visitor.see("/")
        assert "/sign-in/sample" not in {form.action for form in page.forms}
        token = page.form("/sign-in").fields["_csrf_token"]
        assert (await visitor.post("/sign-in/sample", {"_csrf_token": token, "name": "lin"})).status_code == 403
        assert (await visitor.get("/buyer/orders")).status_code == 303


OTHER_MACHINES: tuple[dict[str, Any], ...] = (
    {"client": ("203.0.113.9", 4711)},
    {"client": ("10.0.0.2", 4711)},
    {"host": "rebound.example"},
    {"host": "localhost.evil.example"},
    {"host": "127.0.0.1.evil.example:8080"},
    {"x-forwarded-for": "203.0.113.9"},
    {"x-forwarded-for": "127.0.0.1"},
    {"forwarded": "for=127.0.0.1"},
    {"x-real-ip": "127.0.0.1"},
)
THIS_MACHINE: tuple[dict[str, Any], ...] = (
    {},
    {"client": ("::1", 4711)},
    {"host": "127.0.0.1:8080"},
    {"host": "[::1]:8080"},
    {"host": "localhost"},
)


@pytest.mark.parametrize("said", [*OTHER_MACHINES, *THIS_MACHINE], ids=str)
async def test_the_demo_offers_itself_to_this_machine_alone(console: Litestar, said: dict[str, Any]) -> None:
    transport = transport_to(console, client=said.get("client", ("127.0.0.1", 4711)))
    headers = {name: value for name, value in said.items() if name != "client"}
    async with httpx.AsyncClient(transport=transport, base_url="http://console.localhost", headers=headers) as http:
        page = Page((await http.get("/")).text)
        token = page.form("/sign-in").fields["_csrf_token"]
        done = await http.post("/sign-in/sample", data={"_csrf_token": token, "name": "lin"})
        failing = await http.post("/demo/payments", data={"_csrf_token": token, "fail": "yes"})
    offered = {form.action for form in page.forms} & {"/sign-in/sample", "/demo/payments"}
    if said in OTHER_MACHINES:
        assert (offered, done.status_code, failing.status_code) == (set(), 403, 404)
        assert "jitui_session" not in done.cookies
    else:
        assert (offered, done.status_code) == ({"/sign-in/sample"}, 303)


@dataclass
class Outage:
    """A provider that a test turns off and on."""

    on: bool | None = False

    async def is_on(self) -> bool | None:
        return self.on

    async def turn(self, *, on: bool) -> bool:
        self.on = on
        return True


async def test_payments_are_let_fail_and_mended_in_the_demo_alone(market: Marketplace) -> None:
    outage = Outage()
    async with visiting(console_app(market.service, one_click=True, outage=outage)) as visitor:
        assert "Payments work." in (await visitor.see("/")).text
        done = await visitor.send("/", "/demo/payments")
        assert (done.status_code, done.headers["location"], outage.on) == (303, "/#payments", True)
        assert "Payments fail:" in (await visitor.see("/")).text
        assert (await visitor.send("/", "/demo/payments", fail="maybe")).status_code == 404
        assert outage.on is True
        await visitor.send("/", "/demo/payments")
        assert outage.on is False
        outage.on = None
        assert "/demo/payments" not in {form.action for form in (await visitor.see("/")).forms}, "it does not answer"
    transport = transport_to(console_app(market.service, one_click=True, outage=outage), client=("203.0.113.9", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://console.localhost") as http:
        token = Page((await http.get("/")).text).form("/sign-in").fields["_csrf_token"]
        sent = await http.post("/demo/payments", data={"_csrf_token": token, "fail": "yes"})
        assert (sent.status_code, outage.on) == (404, None), "another machine"


async def test_the_demos_start_page_has_a_card_for_every_role_and_a_tour(market: Marketplace, visit: Visit) -> None:
    now = market.service.clock()
    others = [Person(role.value, role, "", role.value, sample=True) for role in (Role.RISK, Role.AUDITOR, Role.ADMIN)]
    for person in others:
        await enrol(market.service.people, person, None, now=now)
    page = await (await visit()).see("/")
    assert "A tour in two minutes" in page.text
    offered = {given.get("value") for tag, given in page.tags if given.get("class") == "sample"}
    assert offered == {person.name for person in (*EVERYBODY, *others)}
    for person in (*EVERYBODY, *others):
        visitor = await visit()
        done = await visitor.send("/", "/sign-in/sample", name=person.name)
        assert (done.status_code, done.headers["location"]) == (303, HOMES[person.role])
        assert (await visitor.get(HOMES[person.role])).status_code == 200
    async with visiting(console_app(market.service)) as elsewhere:
        assert "A tour in two minutes" not in (await elsewhere.see("/")).text


async def test_signing_in_leads_back_to_what_was_wanted(visit: Visit) -> None:
    visitor = await visit()
    asked = await visitor.get("/merchant/tickets?state=refunded")
    assert asked.headers["location"] == "/?next=%2Fmerchant%2Ftickets%3Fstate%3Drefunded"
    done = await visitor.send(asked.headers["location"], "/sign-in", name="shan", password=PASSWORD)
    assert done.headers["location"] == "/merchant/tickets?state=refunded"


ELSEWHERE = [
    "https://evil.test/", "//evil.test", "/\\evil.test", "\\\\evil.test", "/\t/evil.test", "/\r\nLocation: /x",
    "/\n/evil.test", "javascript:alert(1)", "java\nscript:alert(1)", "data:text/html,x", "\u2028//evil.test",
    "http:/evil.test", "///evil.test", "/buyer/orders\r\nset-cookie: a=b", "/buyer/\x00", "/buyer/\\evil.test",
    "", "x", " /buyer/orders",
]  # fmt: skip


@pytest.mark.parametrize("next_path", [*ELSEWHERE, "/merchant/tickets"])
async def test_signing_in_leads_nowhere_else(visit: Visit, next_path: str) -> None:
    done = await (await visit()).send("/", "/sign-in", name="lin", password=PASSWORD, next=next_path)
    assert done.headers["location"] == "/buyer/orders"
    assert "evil" not in str(done.headers)


@pytest.mark.parametrize("back", ELSEWHERE)
async def test_a_choice_leads_nowhere_else(visit: Visit, back: str) -> None:
    done = await (await visit()).send("/", "/preferences", language="en", back=back)
    assert (done.status_code, done.headers["location"]) == (303, "/")


IN_ASCII = [
    ("/buyer/中文", "/buyer/%E4%B8%AD%E6%96%87"),
    ("/buyer/orders?after=é&x=1", "/buyer/orders?after=%C3%A9&x=1"),
    ("/buyer/%E4%B8%AD", "/buyer/%E4%B8%AD"),
    ("/buyer/a b", "/buyer/a%20b"),
    ('/buyer/"<>{}|^`', "/buyer/%22%3C%3E%7B%7D%7C%5E%60"),
    ("/buyer/😀#top", "/buyer/%F0%9F%98%80#top"),
]


@pytest.mark.parametrize(("wanted", "written"), IN_ASCII)
async def test_a_location_is_percent_encoded(visit: Visit, wanted: str, written: str) -> None:
    done = await (await visit()).send("/", "/sign-in", name="lin", password=PASSWORD, next=wanted)
    assert (done.status_code, done.headers["location"]) == (303, written)
    chosen = await (await visit()).send("/", "/preferences", language="en", back=wanted)
    assert (chosen.status_code, chosen.headers["location"]) == (303, written)


async def test_the_session_cookie_is_not_for_scripts_nor_for_other_sites(visit: Visit) -> None:
    done = await (await visit()).send("/", "/sign-in", name="lin", password=PASSWORD)
    cookie = done.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


async def test_every_sign_in_has_a_session_of_its_own_and_ends_the_one_before(visit: Visit) -> None:
    visitor = await visit(PREMIUM)
    before = visitor.http.cookies["jitui_session"]
    await visitor.come_in_as(SHOP)
    assert visitor.http.cookies["jitui_session"] != before
    visitor.http.cookies.set("jitui_session", before, domain="console.localhost")
    assert (await visitor.get("/buyer/orders")).status_code == 303


async def test_signing_out_ends_the_session_everywhere(visit: Visit) -> None:
    visitor = await visit(PREMIUM)
    token = visitor.http.cookies["jitui_session"]
    await visitor.send("/buyer/orders", "/sign-out")
    visitor.http.cookies.set("jitui_session", token, domain="console.localhost")
    assert (await visitor.get("/buyer/orders")).status_code == 303


async def test_a_form_that_we_did_not_make_is_refused_and_the_next_page_works(visit: Visit) -> None:
    visitor = await visit(PREMIUM)
    for token in ("", "0" * 64, "中" * 21, "0" * 5_000):
        refused = await visitor.post("/sign-out", {"_csrf_token": token})
        assert refused.status_code == 403
        assert "This page was open for too long" in refused.text
    assert (await visitor.send("/buyer/orders", "/sign-out")).status_code == 303


async def test_a_form_belongs_to_the_session_that_it_was_shown_in(visit: Visit) -> None:
    one, other = await visit(PREMIUM), await visit(SHOP)
    stranger = await visit()
    tokens = [
        (await who.see(page)).form("/preferences").fields["_csrf_token"]
        for who, page in ((one, "/buyer/orders"), (other, "/merchant/tickets"), (stranger, "/"))
    ]
    assert len(set(tokens)) == 3
    for foreign in tokens[1:]:
        one.http.cookies.set("jitui_csrf", stranger.http.cookies["jitui_csrf"], domain="console.localhost")
        assert (await one.post("/sign-out", {"_csrf_token": foreign})).status_code == 403
    assert (await one.post("/sign-out", {"_csrf_token": tokens[0]})).status_code == 303


async def test_a_form_from_before_the_sign_in_is_worth_nothing_after_it(visit: Visit) -> None:
    visitor = await visit()
    token = (await visitor.see("/")).form("/sign-in").fields["_csrf_token"]
    await visitor.come_in_as(PREMIUM)
    assert (await visitor.post("/sign-out", {"_csrf_token": token})).status_code == 403


FOREIGN = [
    {"origin": "https://evil.test"},
    {"origin": "http://evil.test"},
    {"origin": "null"},
    {"origin": "http://console.localhost:8080"},
    {"origin": "http://console.localhost.evil.test"},
    {"origin": "http://console.localhost@evil.test"},
    {"origin": ""},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "origin": "http://console.localhost"},
    {"sec-fetch-site": "same-origin", "origin": "http://evil.test"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_what_another_site_sends_is_refused_whatever_token_it_has(visit: Visit, headers: dict[str, str]) -> None:
    visitor = await visit(PREMIUM)
    token = (await visitor.see("/buyer/orders")).form("/sign-out").fields["_csrf_token"]
    got = await visitor.http.post("/sign-out", data={"_csrf_token": token}, headers=headers)
    assert got.status_code == 403
    assert (await visitor.get("/buyer/orders")).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://console.localhost"},
        {"origin": "http://console.localhost:80"},
        {"origin": "HTTP://Console.Localhost", "sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"origin": "https://console.localhost"},  # a proxy that ends TLS and is not known to us
    ],
    ids=str,
)
async def test_our_own_pages_may_send(visit: Visit, headers: dict[str, str]) -> None:
    visitor = await visit(PREMIUM)
    token = (await visitor.see("/buyer/orders")).form("/sign-out").fields["_csrf_token"]
    got = await visitor.http.post("/sign-out", data={"_csrf_token": token}, headers=headers)
    assert got.status_code == 303


async def test_cookies_are_secure_under_tls_alone(console: Litestar) -> None:
    for scheme in ("http", "https"):
        transport = transport_to(console)
        async with httpx.AsyncClient(transport=transport, base_url=f"{scheme}://console.localhost") as http:
            visitor = Visitor(http)
            page = await http.get("/")
            token = Page(page.text).form("/sign-in").fields["_csrf_token"]
            form = {"_csrf_token": token, "name": "lin", "password": PASSWORD}
            done = await visitor.post("/sign-in", form)
            assert done.status_code == 303
            chosen = await visitor.send("/", "/preferences", language="en", theme="dark")
            cookies = [cookie for got in (page, done, chosen) for cookie in got.headers.get_list("set-cookie")]
            assert len(cookies) == 4
            assert {"secure" in cookie.lower() for cookie in cookies} == {scheme == "https"}


async def test_plain_http_cannot_send_to_a_page_under_tls(console: Litestar) -> None:
    transport = transport_to(console)
    async with httpx.AsyncClient(transport=transport, base_url="https://console.localhost") as http:
        token = Page((await http.get("/")).text).form("/sign-in").fields["_csrf_token"]
        form = {"_csrf_token": token, "name": "lin", "password": PASSWORD}
        assert (
            await http.post("/sign-in", data=form, headers={"origin": "http://console.localhost"})
        ).status_code == 403


async def test_a_part_of_a_page_sends_the_whole_page_to_the_sign_in(visit: Visit) -> None:
    visitor: Visitor = await visit()
    response = await visitor.get("/buyer/ask/check?order=A-1", HX_Request="true")
    assert response.headers["hx-redirect"] == "/?next="
