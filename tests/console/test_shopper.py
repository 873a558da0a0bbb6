"""A buyer without an account: the code, the link, and the one order that they open."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import pytest

from jitui.adapters.postgres.shopper_codes import PostgresShopperCodes
from jitui.aftersales.model.order import LineUnits, ShipmentStatus
from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.platform import PlatformOrder, PlatformShipment
from jitui.entrypoints.console.mount import console_app
from jitui.identity.shopper import (
    CODES_PER_ORDER,
    MOST_TRIES,
    Proof,
    new_code,
    order_of_session,
    session_for,
    signer_of,
    use_code,
)
from jitui.notices.model import MailOutcome
from tests.console.marketplace import PREMIUM, Marketplace
from tests.console.pages import Page, visiting
from tests.console.shoppers import ADDRESS, OTHERS, Shoppers, ask_for_code, shoppers_of, type_code

ORDER, FORM = "/shop/order", "/shop/order"


@pytest.fixture
def shop(market: Marketplace) -> Shoppers:
    return shoppers_of(market)


async def snapshot_of(shop: Shoppers, order_id: str = "V-1") -> OrderSnapshot | None:
    ref = await shop.service.store.find_order(order_id)
    return None if ref is None else await shop.service.store.read_order(ref)


# The code --------------------------------------------------------------------------------------------------------


async def test_by_code_to_the_refund(shop: Shoppers) -> None:
    async with shop.browser() as buyer:
        asked = await ask_for_code(buyer, address=" wang.fang@EXAMPLE.com ")
        assert (asked.status_code, asked.headers["location"]) == (303, "/shop/code?order=V-1")
        assert shop.mail.sent[0].to.casefold() == ADDRESS.casefold()
        opened = await type_code(buyer, shop.code().lower())
        assert (opened.status_code, opened.headers["location"]) == (303, ORDER)
        assert "Order V-1" in (await buyer.see(ORDER)).text
        done = await buyer.send(ORDER, FORM)
        assert done.status_code == 303, done.text
        ticket = await buyer.see(done.headers["location"])
        assert "The shop decides." in ticket.text, "whether goods are customised is not known of this platform"
        assert "vendure" not in ticket.text
        back = await buyer.send(done.headers["location"], f"{done.headers['location']}/withdraw")
        assert back.headers["location"] == done.headers["location"]
        assert "You took the request back" in (await buyer.see(done.headers["location"])).text
    found = await snapshot_of(shop)
    assert found is not None
    assert [one.order_id for one in found.tickets] == ["V-1"]


@pytest.mark.parametrize(
    ("order_id", "address"), [("V-1", OTHERS), ("V-9", ADDRESS), ("V-9", OTHERS), ("V-1", "")], ids=str
)
async def test_the_answer_does_not_tell_what_was_wrong(shop: Shoppers, order_id: str, address: str) -> None:
    """Neither order nor address is found by trying: the same status, body and headers, and the same next page."""
    async with shop.browser() as right, shop.browser() as wrong:
        good, bad = await ask_for_code(right), await ask_for_code(wrong, order_id, address)
        assert len(shop.mail.sent) == 1
        assert (good.status_code, good.content) == (bad.status_code, bad.content)
        assert shapes(good.headers.multi_items()) == shapes(bad.headers.multi_items())
        assert good.headers["location"].replace("V-1", order_id) == bad.headers["location"], "what was typed, no more"
        pages = [await one.get(asked.headers["location"]) for one, asked in ((right, good), (wrong, bad))]
        assert without_token(pages[0].text).replace("V-1", order_id) == without_token(pages[1].text)
        code = shop.code()
        refused = [await type_code(one, typed) for one, typed in ((wrong, code), (right, "AAAAAAAA"))]
        assert [one.status_code for one in refused] == [403, 403]
        assert without_token(refused[0].text) == without_token(refused[1].text)


def shapes(headers: list[tuple[str, str]]) -> list[tuple[str, int]]:
    return [(name, len(value)) for name, value in headers if name != "x-request-id"]


def without_token(text: str) -> str:
    token = Page(text).forms[0].fields["_csrf_token"]
    return text.replace(token, "").replace("%3Forder%3D", "?order=")


async def test_the_answer_is_there_before_anything_is_looked_up(shop: Shoppers) -> None:
    """In time it is the same too: the platform is asked, and the mail is sent, after the answer."""
    order: list[str] = []
    known = shop.platform.contact_address

    async def noted(order_id: str) -> str | None:
        order.append("asked there")
        return await known(order_id)

    shop.platform.contact_address = noted  # type: ignore[method-assign]  # our own fake, of this test alone
    async with shop.browser() as buyer:
        form = (await buyer.see("/shop")).form("/shop/code")

        async def watched(message: object) -> None:
            if isinstance(message, dict) and message["type"] == "http.response.body":
                order.append("answered")

        await call(shop, buyer, form.fields | {"order": "V-1", "address": ADDRESS}, watched)
    assert order == ["answered", "asked there"]
    assert len(shop.mail.sent) == 1


async def call(shop: Shoppers, buyer: object, fields: dict[str, str], send: object) -> None:
    """The form by ASGI itself, to see when the answer goes out."""
    body = urlencode(fields).encode()
    jar = buyer.http.cookies  # type: ignore[attr-defined]
    cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/shop/code",
        "raw_path": b"/shop/code",
        "query_string": b"",
        "scheme": "http",
        "root_path": "",
        "asgi": {"version": "3.0"},
        "server": ("console.localhost", 80),
        "client": ("127.0.0.1", 4000),
        "headers": [
            (b"host", b"console.localhost"),
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"cookie", cookie.encode()),
        ],
    }

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    await shop.app(scope, receive, send)  # type: ignore[arg-type]


async def test_a_code_works_once_and_in_its_browser_alone(shop: Shoppers) -> None:
    async with shop.browser() as buyer, shop.browser() as thief:
        await ask_for_code(buyer)
        code = shop.code()
        await ask_for_code(thief, address=OTHERS)
        assert (await type_code(thief, code)).status_code == 403
        form = (await buyer.see("/shop/code")).form("/shop/open")
        browser = buyer.http.cookies["jitui_shop_browser"]
        assert (await buyer.post("/shop/open", {**form.fields, "code": code})).status_code == 303
        buyer.http.cookies.set("jitui_shop_browser", browser, domain="console.localhost", path="/shop")
        assert (await buyer.post("/shop/open", {**form.fields, "code": code})).status_code == 403


@pytest.mark.parametrize(("minutes", "status"), [(14.9, 303), (15, 403)])
async def test_a_code_lasts_a_quarter_of_an_hour(shop: Shoppers, minutes: float, status: int) -> None:
    async with shop.browser() as buyer:
        await ask_for_code(buyer)
        shop.clock.later(minutes=minutes)
        assert (await type_code(buyer, shop.code())).status_code == status


@pytest.mark.parametrize(("wrong", "opens"), [(MOST_TRIES - 1, True), (MOST_TRIES, False)])
async def test_a_code_may_be_typed_five_times(shop: Shoppers, wrong: int, opens: bool) -> None:
    async with shop.browser() as buyer:
        await ask_for_code(buyer)
        for _ in range(wrong):
            assert (await type_code(buyer, "AAAAAAAA")).status_code == 403
        assert (await type_code(buyer, shop.code())).status_code == (303 if opens else 403)


async def test_one_order_gets_three_codes_an_hour(shop: Shoppers) -> None:
    for number in range(CODES_PER_ORDER + 2):
        async with shop.browser(client=f"198.51.100.{number}") as buyer:
            assert (await ask_for_code(buyer)).status_code == 303
    assert len(shop.mail.sent) == CODES_PER_ORDER
    shop.clock.later(hours=1)
    async with shop.browser(client="198.51.100.9") as buyer:
        await ask_for_code(buyer)
    assert len(shop.mail.sent) == CODES_PER_ORDER + 1


async def test_one_address_gets_five_mails(shop: Shoppers) -> None:
    """However many orders it has."""
    for number in range(7):
        shop.platform.orders[f"W-{number}"] = shop.order(f"W-{number}")
        shop.platform.addresses[f"W-{number}"] = ADDRESS
        async with shop.browser(client=f"198.51.100.{number}") as buyer:
            await ask_for_code(buyer, f"W-{number}", ADDRESS.upper())
    assert len(shop.mail.sent) == 5


async def test_one_client_asks_ten_times(shop: Shoppers) -> None:
    async with shop.browser(client="198.51.100.7") as buyer, shop.browser(client="198.51.100.8") as other:
        told = [(await ask_for_code(buyer, f"V-{number}", OTHERS)).status_code for number in range(11)]
        assert told == [303] * 10 + [429]
        assert (await ask_for_code(other)).status_code == 303


async def test_one_client_types_thirty_codes(shop: Shoppers) -> None:
    async with shop.browser(client="198.51.100.7") as buyer:
        await ask_for_code(buyer)
        form = (await buyer.see("/shop/code")).form("/shop/open")
        told = [(await buyer.post("/shop/open", {**form.fields, "code": "AAAAAAAA"})).status_code for _ in range(31)]
    assert told == [403] * 30 + [429]


@pytest.mark.parametrize("trouble", ["platform", "mail"])
async def test_trouble_is_logged_and_not_told(shop: Shoppers, caplog: pytest.LogCaptureFixture, trouble: str) -> None:
    shop.platform.down = trouble == "platform"
    shop.mail.outcome = MailOutcome.REFUSED
    with caplog.at_level(logging.DEBUG):
        async with shop.browser() as buyer:
            assert (await ask_for_code(buyer)).status_code == 303
    assert "shopper_code_not_sent" in caplog.text
    assert ADDRESS.casefold() not in caplog.text.casefold()


async def test_no_address_is_kept(shop: Shoppers, caplog: pytest.LogCaptureFixture) -> None:
    """The whole database, and the whole log, of everything that the page does."""
    with caplog.at_level(logging.DEBUG):
        async with shop.browser() as buyer:
            await ask_for_code(buyer, address=OTHERS)
            await ask_for_code(buyer)
            code = shop.code()
            await type_code(buyer, code)
            await buyer.send(ORDER, FORM)
    dump = await database_of(shop)
    assert "V-1" in dump, "the order is in the database, and this search would find it"
    bare = hashlib.sha256(code.encode()).hexdigest()  # which whoever has the table could find by trying all codes
    for secret in (ADDRESS, OTHERS, code, bare, buyer.http.cookies["jitui_shop"]):
        assert secret.casefold() not in dump.casefold()
        assert secret.casefold() not in caplog.text.casefold()


async def database_of(shop: Shoppers) -> str:
    """Every row of every table, as text."""
    codes = shop.service.platforms.codes
    assert isinstance(codes, PostgresShopperCodes)
    found = []
    async with codes._pool.connection() as connection:
        tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public'"
        for (table,) in await (await connection.execute(tables)).fetchall():
            rows = await (await connection.execute(f"SELECT t::text FROM {table} t")).fetchall()
            found += [str(row[0]) for row in rows]
    return "\n".join(found)


async def test_two_right_tries_at_once_open_once(shop: Shoppers) -> None:
    codes, now = shop.service.platforms.codes, shop.clock()
    code = await new_code(codes, "browser", "V-1", now=now)
    assert code is not None
    done = await asyncio.gather(*(use_code(codes, "browser", code, now=now) for _ in range(4)))
    assert sorted(done, key=str) == [None, None, None, "V-1"]


async def test_codes_at_once_stay_within_the_limit(shop: Shoppers) -> None:
    codes, now = shop.service.platforms.codes, shop.clock()
    made = await asyncio.gather(*(new_code(codes, f"b{number}", "V-1", now=now) for number in range(8)))
    assert sum(one is not None for one in made) == CODES_PER_ORDER


# The link --------------------------------------------------------------------------------------------------------


async def test_a_link_opens_its_order(shop: Shoppers) -> None:
    async with shop.browser() as buyer:
        opened = await buyer.get(await shop.link())
        assert (opened.status_code, opened.headers["location"]) == (303, ORDER)
        assert "Order V-1" in (await buyer.see(ORDER)).text


@pytest.mark.parametrize("change", ["order", "exp", "sig", "no sig", "nothing", "odd", "huge"])
async def test_a_changed_link_opens_nothing(shop: Shoppers, change: str) -> None:
    query = dict(parse_qsl((await shop.link()).partition("?")[2]))
    match change:
        case "order":
            query["order"] = "V-2"
        case "exp":
            query["exp"] = str(int(query["exp"]) + 1)
        case "sig":
            query["sig"] = query["sig"][:-1] + ("A" if query["sig"][-1] != "A" else "B")
        case "no sig":
            del query["sig"]
        case "odd":
            query["exp"] = "１２３"
        case "huge":
            query["exp"] = "9" * 40
        case _:
            query = {}
    async with shop.browser() as buyer:
        refused = await buyer.get(f"/shop/link?{urlencode(query)}")
        assert refused.status_code == 403
        assert "no longer valid" in refused.text
        assert "set-cookie" not in {name for name, value in refused.headers.items() if "jitui_shop=" in value}
        assert (await buyer.get(ORDER)).status_code == 403
    assert await snapshot_of(shop) is None


@pytest.mark.parametrize(("seconds", "status"), [(-1, 303), (0, 403)])
async def test_a_link_ends(shop: Shoppers, seconds: int, status: int) -> None:
    link = await shop.link(hours=2)
    shop.clock.at = shop.clock.at.replace(microsecond=0)
    shop.clock.later(hours=2, seconds=seconds)
    async with shop.browser() as buyer:
        assert (await buyer.get(link)).status_code == status


async def test_a_link_is_no_session(shop: Shoppers) -> None:
    """What was signed for one is not taken for the other."""
    signer, ends = await signer_of(shop.service.people), shop.clock().replace(microsecond=0)
    session = session_for(signer, "V-1", ends)
    forged = session.rpartition(".")[0] + "." + signer.sign(Proof.LINK, "V-1", ends)
    before = ends.replace(year=ends.year - 1)
    assert order_of_session(signer, session, now=before) == "V-1"
    assert order_of_session(signer, session, now=ends) is None
    for one in (forged, "", "..", "1.2.3", "９.VjE.x", session + "x", session.replace(".", "..", 1)):
        assert order_of_session(signer, one, now=before) is None


# The order -------------------------------------------------------------------------------------------------------


async def test_a_session_sees_its_order_alone(shop: Shoppers) -> None:
    async with shop.browser() as first, shop.browser() as second:
        await first.get(await shop.link("V-1"))
        await second.get(await shop.link("V-2"))
        ticket = (await first.send(ORDER, FORM)).headers["location"]
        assert (await first.get(ticket)).status_code == 200
        for path in (ticket, f"{ticket}/news"):
            assert (await second.get(path)).status_code == 404
        token = (await second.see(ORDER)).form(FORM).fields["_csrf_token"]
        taken = await second.post(f"{ticket}/withdraw", {"_csrf_token": token, "version": "1"})
        assert taken.status_code == 404
        # a form that names the other order asks for the session's own
        form = (await second.see(ORDER)).form(FORM)
        asked = await second.post(FORM, {**form.fields, "order": "V-1"})
        assert asked.status_code == 303
    one, two = await snapshot_of(shop, "V-1"), await snapshot_of(shop, "V-2")
    assert one is not None and two is not None
    assert (len(one.tickets), len(two.tickets)) == (1, 1)


async def test_without_a_session_nothing_is_shown(shop: Shoppers) -> None:
    async with shop.browser() as buyer:
        token = (await buyer.see("/shop")).form("/shop/code").fields["_csrf_token"]
        for path in (ORDER, f"{ORDER}/check", f"/shop/tickets/{UUID(int=0)}", f"/shop/tickets/{UUID(int=0)}/news"):
            assert (await buyer.get(path)).status_code == 403
        for path in (ORDER, f"/shop/tickets/{UUID(int=0)}/withdraw", f"/shop/tickets/{UUID(int=0)}/offer/accept"):
            assert (await buyer.post(path, {"_csrf_token": token, "version": "1"})).status_code == 403
        assert (await buyer.get("/shop/code")).headers["location"] == "/shop"


async def test_a_session_ends_and_can_be_ended(shop: Shoppers) -> None:
    async with shop.browser() as buyer:
        await buyer.get(await shop.link())
        session = buyer.http.cookies["jitui_shop"]
        left = await buyer.send(ORDER, "/shop/leave")
        assert left.headers["location"] == "/shop"
        assert (await buyer.get(ORDER)).status_code == 403
        buyer.http.cookies.set("jitui_shop", session, domain="console.localhost", path="/shop")
        assert (await buyer.get(ORDER)).status_code == 200
        shop.clock.later(minutes=30)
        assert (await buyer.get(ORDER)).status_code == 403


async def test_what_shipped_meanwhile_is_not_approved(shop: Shoppers) -> None:
    async with shop.browser() as buyer:
        await buyer.get(await shop.link())
        form = (await buyer.see(ORDER)).form(FORM)
        sent = PlatformShipment(
            "vendure-9", "SF1", "sf", ShipmentStatus.SHIPPED, shop.clock(), (LineUnits("V-1-l1", 3),)
        )
        shop.platform.down = True
        assert (await buyer.post(FORM, form.fields)).status_code == 503
        shop.platform.down = False
        order = shop.platform.orders["V-1"]
        assert isinstance(order, PlatformOrder)
        shop.platform.orders["V-1"] = replace(order, shipments=(sent,))
        gone = await buyer.post(FORM, form.fields)
        assert gone.status_code == 409
        assert "Nothing to refund here" in gone.text


async def test_a_form_sent_twice_asks_once(shop: Shoppers) -> None:
    async with shop.browser() as buyer:
        await buyer.get(await shop.link())
        form = (await buyer.see(ORDER)).form(FORM)
        first, second = [await buyer.post(FORM, form.fields) for _ in range(2)]
        assert first.headers["location"] == second.headers["location"]


async def test_an_order_that_is_not_recorded_while_the_platform_is_down(shop: Shoppers) -> None:
    shop.platform.down = True
    async with shop.browser() as buyer:
        assert (await buyer.get(await shop.link())).status_code == 303
        assert (await buyer.get(ORDER)).status_code == 503
        shop.platform.down = False
        assert (await buyer.get(ORDER)).status_code == 200
        await buyer.get(await shop.link("V-9"))
        assert (await buyer.get(ORDER)).status_code == 404


async def test_without_mail_the_link_alone_works(market: Marketplace) -> None:
    """The market as it is has neither mail nor a platform."""
    await market.order(PREMIUM, "A-1", [("登山杖", 1, 12900)])
    async with visiting(console_app(market.service)) as buyer:
        page = await buyer.see("/shop")
        assert "No codes are sent here" in page.text
        assert [form for form in page.forms if form.action == "/shop/code"] == []
        token = {"_csrf_token": page.forms[0].fields["_csrf_token"], "order": "A-1", "address": ADDRESS}
        assert (await buyer.post("/shop/code", token)).status_code == 409
        shop = Shoppers(market.service, None, None, market.service.clock, None)  # type: ignore[arg-type]
        assert (await buyer.get(await shop.link("A-1"))).status_code == 303
        assert "Order A-1" in (await buyer.see(ORDER)).text


async def test_the_mail_speaks_the_readers_language(shop: Shoppers) -> None:
    for language, word in (("en", "Your code:"), ("zh-CN", "您的验证码：")):
        async with shop.browser(language) as buyer:
            await ask_for_code(buyer)
        mail = shop.mail.sent[-1]
        assert mail.subject.startswith(word)
        assert "V-1" in mail.text
