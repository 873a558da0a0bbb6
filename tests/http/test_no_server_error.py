"""For any address or form the response is not a server error, and has the headers of every response."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from jitui.aftersales.governance.registry import Pause, Scope, Shop
from jitui.entrypoints.console.mount import console_handlers
from jitui.entrypoints.http.app import create_app
from jitui.identity.access import KeyScope, Role
from jitui.identity.keys import issue_key
from jitui.identity.people import Person, enrol
from tests.asgi import transport_to
from tests.console.pages import Page
from tests.http.api import BUYER, SHOP, Api, order, shipment

FORMER_IDS = ("a\u202eb", "a\u200bb", "a\u00a0b", "a b", "\u2800", "a\u0085b", "x" * 129)
"""Taken before ids had to be visible: rows under them may be stored."""

NASTY = (
    "9" * 5_000,
    "-" + "9" * 400,
    "9223372036854775808",
    "1e999",
    "NaN",
    "%00",
    "a%00b",
    "%ED%A0%80",
    "%FF%FE",
    "%E2%80%AE",
    "%0D%0Ax:%20y",
    "x" * 400,
    "%F0%9F%98%80" * 300,
    "..%2F..%2Fetc%2Fpasswd",
    "%25s%27%22%3B--",
    "%D9%A3",
    "",
)
FORM_VALUES = ("9" * 5_000, "\x00", "\u202e\ufeff", "x" * 5_000, "\U0001f600" * 400, "-1", "\r\n", "'\";--", "٣")


@pytest.fixture
async def site(api: Api) -> AsyncIterator[Litestar]:
    """The API with the console beside it, and two people of the sample."""
    for name, role, subject in (("lin", Role.BUYER, BUYER), ("shan", Role.MERCHANT, SHOP)):
        await enrol(api.service.people, Person(name, role, subject, name, sample=True), None, now=api.now.at)
    yield create_app(api.service, extra_handlers=console_handlers(one_click=True))


@asynccontextmanager
async def browser(site: Litestar, name: str = "") -> AsyncIterator[httpx.AsyncClient]:
    transport = transport_to(site, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://jitui.localhost") as client:
        if name:
            token = Page((await client.get("/")).text).form("/sign-in/sample").fields["_csrf_token"]
            done = await client.post("/sign-in/sample", data={"_csrf_token": token, "name": name})
            assert done.status_code == 303
        yield client


def addresses(site: Litestar) -> Iterator[tuple[str, str]]:
    """Every method and path, with each part of the path replaced by each nasty value, and each as a query."""
    for route in site.routes:
        for method in sorted(getattr(route, "methods", {"GET"}) - {"OPTIONS", "HEAD"}):
            template = re.sub(r":\w+}", "}", route.path_format)
            names = re.findall(r"{(\w+)}", template)
            for value in NASTY:
                yield method, value.join(re.split(r"{\w+}", template))
                good = re.sub(r"{\w+}", lambda found: _likely(found[0]), template)
                if names and method == "GET":
                    yield method, f"{good}?{value}={value}"


def _likely(name: str) -> str:
    return str(uuid4()) if name in ("{ticket_id}", "{refund_id}", "{restriction_id}", "{appeal_id}") else "o-1"


QUERIES = (
    "limit", "after", "cursor", "order", "seen", "next", "state", "since", "until", "approved_by", "publication",
    "wait_seconds", "shop_id", "buyer_id", "requested_from", "units.l1", "reason",
)  # fmt: skip


async def test_no_address_makes_a_server_error(api: Api, site: Litestar) -> None:
    await api.paid_order("o-1")
    keys = {"authorization": f"Bearer {api.platform}"}
    async with browser(site) as client, browser(site, "lin") as buyer, browser(site, "shan") as merchant:
        for method, path in addresses(site):
            who = buyer if path.startswith("/buyer") else merchant if path.startswith("/merchant") else client
            got = await who.request(method, path, headers=keys if path.startswith("/v1") else {})
            _check(got, method, path)


async def test_no_query_makes_a_server_error(api: Api, site: Litestar) -> None:
    await api.paid_order("o-1")
    lists = ("/", "/policy", "/v1/orders", "/v1/after-sales", "/v1/changes", "/v1/policies", "/v1/tasks")
    pages = {
        "lin": ("/buyer/orders", "/buyer/ask", "/buyer/ask/check"),
        "shan": ("/merchant/tickets", "/merchant/tickets.csv"),
    }
    keys = {"authorization": f"Bearer {api.platform}"}
    for name, paths in {"": lists, **pages}.items():
        async with browser(site, name) as client:
            for path in paths:
                for query in QUERIES:
                    for value in NASTY:
                        if (query, path) == ("wait_seconds", "/v1/changes") and value == "":
                            continue
                        address = f"{path}?order=o-1&{query}={value}" if query != "order" else f"{path}?order={value}"
                        _check(
                            await client.get(address, headers=keys if path.startswith("/v1") else {}), "GET", address
                        )


async def test_no_form_makes_a_server_error(api: Api, site: Litestar) -> None:
    ticket = (await api.reviewed("o-2", buyer_id=BUYER + "-plain"))["ticket_id"]
    forms = {
        "lin": {
            "/buyer/ask": ("order", "units.l1", "reason", "nonce", "units.\u202e"),
            f"/buyer/tickets/{ticket}/withdraw": ("version",),
            "/preferences": ("back", "language", "theme"),
            "/sign-in": ("name", "password", "next"),
            "/sign-in/sample": ("name", "next"),
        },
        "shan": {
            f"/merchant/tickets/{ticket}/approve": ("version",),
            f"/merchant/tickets/{ticket}/reject": ("version", "code", "reason", "evidence", "carrier", "tracking_no"),
        },
    }
    usual = {
        "order": "o-1",
        "version": "9",
        "reason": "because",
        "name": "lin",
        "password": "password",
        "units.l1": "1",
    }
    for name, theirs in forms.items():
        for action, fields in theirs.items():
            for field in fields:
                for value in FORM_VALUES:
                    async with browser(site, name) as client:
                        page = await client.get("/policy")
                        token = Page(page.text).form("/preferences").fields["_csrf_token"]
                        sent = {**usual, field: value, "_csrf_token": token}
                        got = await client.post(action, data=sent)
                        assert got.status_code < 500, (action, field, value[:20], got.text[:300])


BODIES = (b"\xff\xfe", b"_csrf_token=%ED%A0%80", b"%00=%00", b"a=b&" * 20_000, b"_csrf_token", b"&&&;;;===")


@pytest.mark.parametrize(
    "kind",
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/json",
        "x",
    ],
)
async def test_no_broken_form_makes_a_server_error(site: Litestar, kind: str) -> None:
    async with browser(site, "lin") as client:
        for body in BODIES:
            got = await client.post("/sign-out", content=body, headers={"content-type": kind})
            assert got.status_code in (400, 403, 413), (kind, body[:20], got.status_code)


async def test_cookies_of_any_kind_make_no_server_error(site: Litestar) -> None:
    for value in ("x" * 4_000, "\x01", "a;b", '"\\000"', "%00", "\xff"):
        for name in ("jitui_session", "jitui_csrf", "jitui_language", "jitui_theme"):
            async with browser(site) as client:
                got = await client.get("/", headers=[(b"cookie", f"{name}={value}".encode("latin-1"))])
                assert got.status_code == 200, (name, value)


async def test_every_answer_says_nosniff_and_all_but_static_files_are_not_kept(api: Api, site: Litestar) -> None:
    paths = ["/", "/policy", "/docs", "/openapi.json", "/problems", "/healthz", "/readyz", "/v1/orders", "/v1/nothing"]
    paths += ["/nothing", "/static/nothing.css", "/static/", "/buyer/orders", "/merchant/tickets.csv", "/problems/x"]
    async with browser(site) as client, browser(site, "shan") as merchant:
        for path in paths:
            for method in ("GET", "HEAD", "OPTIONS", "POST", "DELETE"):
                who = merchant if path.startswith("/merchant") else client
                _check(await who.request(method, path), method, path)
        kept = await client.get("/static/console.css")
        assert set(kept.headers["cache-control"].split(", ")) == {"public", "max-age=31536000", "immutable"}
        assert kept.headers["x-content-type-options"] == "nosniff"


async def test_no_response_that_a_shared_cache_may_keep_has_a_cookie(site: Litestar) -> None:
    """Every route without parameters, and the files; for who has no cookie yet, and who has."""
    paths = {route.path for route in site.routes if isinstance(route, HTTPRoute) and "GET" in route.methods}
    paths = {path for path in paths if "{" not in path} | {"/static/console.css"}
    kept, named = set[str](), set[str]()
    for path in sorted(paths):
        for name in ("", "shan"):
            async with browser(site, name) as client:
                got = await client.get(path)
            if "public" in got.headers.get("cache-control", ""):
                kept.add(path)
                assert "set-cookie" not in got.headers, path
            named.add(path) if "set-cookie" in got.headers else None
            assert got.headers.get("content-type", "").count("charset") <= 1, path
    assert kept == {"/docs/redoc.standalone.js", "/shop/jitui-button.js", "/static/console.css"}
    assert {"/", "/shop", "/policy"} <= named, "others do set the cookie"


def _check(got: httpx.Response, method: str, path: str) -> None:
    assert got.status_code < 500, (method, path[:80], got.status_code, got.text[:300])
    assert got.headers["x-content-type-options"] == "nosniff", (method, path[:80])
    kept = ("/static", "/docs/", "/shop/jitui-button.js")
    if got.status_code != 304 and not (path.startswith(kept) and got.status_code == 200):
        assert got.headers["cache-control"] == "no-store", (method, path[:80])
    location = got.headers.get("location", "/")
    assert location.isascii()
    assert location.isprintable()


async def test_attributes_are_bounded(api: Api) -> None:
    """Their count, their names, their values."""
    for path, base in (("/v1/buyers/b-1", {}), ("/v1/shops/s-1", {"name": "One"})):
        for attributes, status in (
            ({f"a{index}": index for index in range(64)}, 200),
            ({f"a{index}": index for index in range(65)}, 400),
            ({"a" * 64: 1}, 200),
            ({"a" * 65: 1}, 400),
            ({"a": "x" * 500}, 200),
            ({"a": "x" * 501}, 400),
            ({"a": 2**53}, 200),
            ({"a": 2**53 + 1}, 400),
            ({"a": 2**63}, 400),
            ({"a": -(10**400)}, 400),
            ({"a": 1.5}, 400),
            ({"a": None}, 400),
            ({"a": [1]}, 400),
        ):
            got = await api.put(path, {**base, "attributes": attributes})
            assert got.status_code == status, (str(attributes)[:60], got.text)


HIDDEN = [
    ("\u202e", "U+202E (right-to-left override)"),
    ("\u200b", "U+200B (zero width space)"),
    ("\u2066", "U+2066"),
    ("\u061c", "U+061C"),
    ("\u3164", "U+3164 (hangul filler)"),
    ("\u2800", "U+2800"),
    ("\ufe0f", "U+FE0F"),
    ("\U000e0041", "U+E0041"),
    ("\x1b", "U+001B"),
    ("\x85", "U+0085"),
    ("\xad", "U+00AD (soft hyphen)"),
    (" ", "U+0020 (space)"),
    ("\u3000", "U+3000 (ideographic space)"),
]


@pytest.mark.parametrize(("sign", "named"), HIDDEN, ids=ascii)
async def test_an_id_with_a_character_that_cannot_be_seen_is_refused_by_name(api: Api, sign: str, named: str) -> None:
    line = order()["lines"][0]
    for body in (
        order(buyer_id=f"b{sign}1"),
        order(shop_id=f"s{sign}1"),
        order(lines=[{**line, "line_id": f"l{sign}1"}]),
        order(lines=[{**line, "sku": f"l{sign}1"}]),
        order(lines=[{**line, "item_id": f"l{sign}1"}]),
        order(lines=[{**line, "category_id": f"l{sign}1"}]),
    ):
        got = await api.put("/v1/orders/o-1", body)
        assert (got.status_code, named in got.json()["detail"]) == (400, True), got.text
        assert "at character 2" in got.json()["detail"]
    path = "".join(f"%{byte:02x}" for byte in f"o{sign}1".encode())
    got = await api.put(f"/v1/orders/{path}", order())
    assert (got.status_code, named in got.json()["detail"]) == (400, True), got.text


async def test_an_id_of_visible_characters_of_any_language_is_taken(api: Api) -> None:
    for order_id in ("订单-1", "заказ", "طلب١", "עברית", "é", "1234567890123456789", "a.b_c:d+e=f@g", "😀"):
        got = await api.put(f"/v1/orders/{order_id}", order(buyer_id=order_id))
        assert got.status_code == 201, got.text


@pytest.mark.parametrize("name", FORMER_IDS, ids=ascii)
async def test_what_is_stored_under_an_id_that_is_refused_now_can_be_read_and_used(
    api: Api, site: Litestar, name: str
) -> None:
    premium = await api.market.premium_buyer(name)
    for order_id in (name, f"{name}-2"):
        await api.market.paid_order(premium, order_id, shop_id=name, now=api.now())
    ticket = await api.market.asked(premium, name, now=api.now())
    await api.service.ticket_list.fill()
    await api.service.registry.put_shop(Shop(name, name), api.now())
    await api.service.registry.set_pause(Pause(Scope.SHOP, name, name, "t", api.now()))
    keys = [
        api.platform,
        (await issue_key(api.service.keys, KeyScope.SHOP, name, label="", now=api.now())).secret,
        (await issue_key(api.service.keys, KeyScope.BUYER, name, label="", now=api.now())).secret,
    ]
    quoted = quote(name, safe="")
    for key in keys:
        for path in ("/v1/orders", "/v1/after-sales"):
            page = (await api.get(path, key=key, params={"limit": 1})).json()
            assert page[path.rpartition("/")[2].replace("after-sales", "tickets")][0]["shop_id"] == name
            while page["next"]:
                got = await api.get(path, key=key, params={"limit": 1, "cursor": page["next"]})
                assert got.status_code == 200, got.text
                page = got.json()
        got = await api.get(f"/v1/orders/{quoted}", key=key)
        assert (got.status_code, got.json()["order_id"]) == (200, name)
        for more in ("", "/decision"):
            assert (await api.get(f"/v1/after-sales/{ticket.ticket_id}{more}", key=key)).status_code == 200
    assert (await api.get("/v1/changes", key=keys[1])).json()["changes"]
    assert (await api.get(f"/v1/shops/{quoted}")).json()["name"] == name
    assert (await api.get(f"/v1/buyers/{quoted}")).json()["buyer_id"] == name
    shipped = await api.post(f"/v1/orders/{quoted}-2/shipments", shipment())
    assert shipped.status_code == 201, shipped.text
    assert (await api.delete(f"/v1/pauses/shop/{quoted}")).status_code == 204
    await enrol(api.service.people, Person("old", Role.MERCHANT, name, name, sample=True), None, now=api.now())
    async with browser(site, "old") as client:
        for path in ("/merchant/tickets", f"/merchant/tickets/{ticket.ticket_id}"):
            assert (await client.get(path)).status_code == 200
