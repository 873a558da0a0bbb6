"""Signing in, by password and in a demo by one click; sessions, and forms that somebody else made."""

from __future__ import annotations

import pytest

from jitui.aftersales.people import ATTEMPTS_ON_A_NAME
from jitui.entrypoints.console.mount import console_app
from tests.console.conftest import Visit
from tests.console.marketplace import PASSWORD, PREMIUM, SHOP, Marketplace
from tests.console.pages import Visitor, visiting


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
    async with visiting(console_app(market.app)) as visitor:
        page = await visitor.see("/")
        assert "/sign-in/sample" not in {form.action for form in page.forms}
        token = page.form("/sign-in").fields["_csrf_token"]
        assert (await visitor.post("/sign-in/sample", {"_csrf_token": token, "name": "lin"})).status_code == 403
        assert (await visitor.get("/buyer/orders")).status_code == 303


async def test_signing_in_leads_back_to_what_was_wanted(visit: Visit) -> None:
    visitor = await visit()
    asked = await visitor.get("/merchant/tickets?state=refunded")
    assert asked.headers["location"] == "/?next=%2Fmerchant%2Ftickets%3Fstate%3Drefunded"
    done = await visitor.send(asked.headers["location"], "/sign-in", name="shan", password=PASSWORD)
    assert done.headers["location"] == "/merchant/tickets?state=refunded"


@pytest.mark.parametrize("next_path", ["https://evil.test/", "//evil.test", "/\\evil.test", "/merchant/tickets", "x"])
async def test_signing_in_leads_nowhere_else(visit: Visit, next_path: str) -> None:
    done = await (await visit()).send("/", "/sign-in", name="lin", password=PASSWORD, next=next_path)
    assert done.headers["location"] == "/buyer/orders"


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
    visitor.http.cookies.set("jitui_session", before, domain="console.test")
    assert (await visitor.get("/buyer/orders")).status_code == 303


async def test_signing_out_ends_the_session_everywhere(visit: Visit) -> None:
    visitor = await visit(PREMIUM)
    token = visitor.http.cookies["jitui_session"]
    await visitor.send("/buyer/orders", "/sign-out")
    visitor.http.cookies.set("jitui_session", token, domain="console.test")
    assert (await visitor.get("/buyer/orders")).status_code == 303


async def test_a_form_that_we_did_not_make_is_refused_and_the_next_page_works(visit: Visit) -> None:
    visitor = await visit(PREMIUM)
    for token in ("", "0" * 128):
        refused = await visitor.post("/sign-out", {"_csrf_token": token})
        assert refused.status_code == 403
        assert "This page was open for too long" in refused.text
    visitor.http.cookies.set("jitui_csrf", "1" * 128, domain="console.test")
    assert (await visitor.send("/buyer/orders", "/sign-out")).status_code == 403
    assert (await visitor.send("/buyer/orders", "/sign-out")).status_code == 303


async def test_a_part_of_a_page_sends_the_whole_page_to_the_sign_in(visit: Visit) -> None:
    visitor: Visitor = await visit()
    response = await visitor.get("/buyer/ask/check?order=A-1", HX_Request="true")
    assert response.headers["hx-redirect"] == "/?next="
