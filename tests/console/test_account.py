"""One's own account in the console: sessions, the second factor, the password, and the page of a one-time link."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pyotp
import pytest
from litestar import Litestar
from structlog.testing import capture_logs

from jitui.encryption import Encryption, new_key
from jitui.entrypoints.console.mount import console_app, console_handlers
from jitui.entrypoints.console.page.visit import HOMES
from jitui.entrypoints.http.app import create_app
from jitui.identity.access import Role
from jitui.identity.links import make_link
from jitui.identity.people import ATTEMPTS_ON_A_NAME, Person, enrol
from tests.console.conftest import Visit
from tests.console.marketplace import PASSWORD, PREMIUM, SHOP, Marketplace
from tests.console.pages import Page, Visitor, visiting

ADA = Person("ada", Role.ADMIN, "", "Ada")
OLD, NEW = PASSWORD, "another password of ada"


@pytest.fixture
async def market(market: Marketplace) -> Marketplace:
    """With an administrator, and a key for the seeds of second factors."""
    await enrol(market.service.people, ADA, PASSWORD, now=market.service.clock())
    return replace(market, service=replace(market.service, encryption=Encryption([new_key()])))


@pytest.fixture
async def browsers(console: Litestar) -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def open_browser(browsers: AsyncExitStack, console: Litestar) -> Visitor:
    return await browsers.enter_async_context(visiting(console))


async def ada(
    browsers: AsyncExitStack, console: Litestar, password: str = PASSWORD, home: str = "/operations/audit"
) -> Visitor:
    visitor = await open_browser(browsers, console)
    done = await visitor.send("/", "/sign-in", name="ada", password=password)
    assert (done.status_code, done.headers["location"]) == (303, home)
    return visitor


def code_of(seed: str, market: Marketplace, steps: int = 0) -> str:
    return pyotp.TOTP(seed).at(market.service.clock() + steps * timedelta(seconds=30))


async def set_up(visitor: Visitor, market: Marketplace) -> tuple[str, list[str]]:
    """The seed and the recovery codes."""
    begun = await visitor.send("/account", "/account/second-factor/begin", password=PASSWORD)
    assert begun.headers["location"] == "/account/second-factor"
    page = await visitor.see("/account/second-factor")
    (spaced,) = re.findall(r"(?:[A-Z2-7]{4} ){7}[A-Z2-7]{4}", page.text)
    seed = spaced.replace(" ", "")
    assert "<svg" in page.html
    code = code_of(seed, market, -1)
    done = await visitor.send("/account/second-factor", "/account/second-factor/confirm", code=code)
    assert done.status_code == 200, done.text
    return seed, re.findall(r"\b(?:[a-z0-9]{4}-){3}[a-z0-9]{4}\b", done.text)


# Sessions ------------------------------------------------------------------------------------------------------------


async def test_everybody_sees_where_they_are_signed_in_and_ends_what_is_not_theirs(
    browsers: AsyncExitStack, console: Litestar
) -> None:
    own, lost = await ada(browsers, console), await ada(browsers, console)
    page = await own.see("/account")
    assert page.text.count("This browser") == 1
    assert "End all others" in page.text
    await own.send("/account", "/account/sessions/end")
    assert (await lost.get("/account")).status_code == 303
    page = await own.see("/account")
    assert "End all others" not in page.text


async def test_one_session_is_ended_among_several(browsers: AsyncExitStack, console: Litestar) -> None:
    own, *others = [await ada(browsers, console) for _ in range(3)]
    page = await own.see("/account")
    session = re.findall(r'name="session" value="([0-9a-f-]{36})"', page.html)[0]
    await own.post("/account/sessions/end", {**page.form("/account/sessions/end").fields, "session": session})
    left = [(await one.get("/account")).status_code for one in others]
    assert sorted(left) == [200, 303]


async def test_nobody_ends_the_sessions_of_another(browsers: AsyncExitStack, console: Litestar, visit: Visit) -> None:
    own, stranger = await ada(browsers, console), await visit(PREMIUM)
    await ada(browsers, console)
    page = await own.see("/account")
    theirs = re.findall(r'name="session" value="([0-9a-f-]{36})"', page.html)[0]
    token = (await stranger.see("/account")).form("/sign-out").fields["_csrf_token"]
    await stranger.post("/account/sessions/end", {"_csrf_token": token, "session": theirs})
    assert theirs in (await own.see("/account")).html
    assert (await stranger.post("/account/sessions/end", {"_csrf_token": token, "session": "x"})).status_code == 404


async def test_a_disabled_person_is_sent_away_at_the_next_page(
    browsers: AsyncExitStack, console: Litestar, market: Marketplace
) -> None:
    visitor = await ada(browsers, console)
    await market.service.people.set_disabled("ada", True, by="ops", now=market.service.clock())
    assert (await visitor.get("/account")).headers["location"] == "/?next=%2Faccount"


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.BUYER, Role.MERCHANT)])
async def test_roles_of_the_platform_come_to_their_pages_or_their_account_and_to_nobodys_things(
    browsers: AsyncExitStack, console: Litestar, market: Marketplace, role: Role
) -> None:
    await enrol(market.service.people, replace(ADA, role=role), PASSWORD, now=market.service.clock())
    home = HOMES[role]
    visitor = await ada(browsers, console, home=home)
    assert (await visitor.get(home)).status_code == 200
    for path in ("/buyer/orders", "/merchant/tickets", "/merchant/coverage"):
        assert (await visitor.get(path)).status_code == 403
    back = await open_browser(browsers, console)
    done = await back.send("/", "/sign-in", name="ada", password=PASSWORD, next="/merchant/tickets")
    assert done.headers["location"] == home


async def test_only_staff_read_that_nobody_else_approves_policies_here(
    browsers: AsyncExitStack, console: Litestar, visit: Visit
) -> None:
    said = "nobody else approves policies here"
    staff = await ada(browsers, console)
    assert said in (await staff.see("/policy")).text
    assert said not in (await (await visit()).see("/policy")).text
    for person in (PREMIUM, SHOP):
        assert said not in (await (await visit(person)).see("/policy")).text


# The second factor ---------------------------------------------------------------------------------------------------


async def test_with_a_second_factor_a_sign_in_takes_two_steps(
    browsers: AsyncExitStack, console: Litestar, market: Marketplace
) -> None:
    seed, codes = await set_up(await ada(browsers, console), market)
    assert len(codes) == 10
    visitor = await open_browser(browsers, console)
    first = await visitor.send("/", "/sign-in", name="ada", password=PASSWORD, next="/account/second-factor")
    assert first.headers["location"] == "/sign-in/code?next=%2Faccount%2Fsecond-factor"
    assert "jitui_session" not in visitor.http.cookies
    assert (await visitor.get("/account")).status_code == 303
    wrong = await visitor.send(first.headers["location"], "/sign-in/code", code="000000")
    assert (wrong.status_code, "The code is not right." in wrong.text) == (403, True)
    code = code_of(seed, market)
    done = await visitor.send(first.headers["location"], "/sign-in/code", code=code)
    assert (done.status_code, done.headers["location"]) == (303, "/account/second-factor")
    assert (await visitor.get("/account")).status_code == 200
    other = await open_browser(browsers, console)
    await other.send("/", "/sign-in", name="ada", password=PASSWORD)
    replayed = await other.send("/sign-in/code", "/sign-in/code", code=code)
    assert (replayed.status_code, "This code was used already." in replayed.text) == (403, True)
    by_recovery = await other.send("/sign-in/code", "/sign-in/code", code=codes[0])
    assert by_recovery.headers["location"] == "/operations/audit"
    assert "Recovery codes left: 9" in (await other.see("/account")).text


async def test_the_page_for_the_code_is_for_whoever_did_the_first_step(
    browsers: AsyncExitStack, console: Litestar, market: Marketplace
) -> None:
    visitor = await open_browser(browsers, console)
    assert (await visitor.get("/sign-in/code")).headers["location"] == "/"
    visitor.http.cookies.set("jitui_first_step", "x" * 43, domain="console.localhost")
    over = await visitor.send("/sign-in/code", "/sign-in/code", code="000000")
    assert (over.status_code, "Please sign in again." in over.text) == (403, True)
    assert "jitui_first_step" not in visitor.http.cookies


async def test_guessing_codes_is_stopped(browsers: AsyncExitStack, console: Litestar, market: Marketplace) -> None:
    seed, _ = await set_up(await ada(browsers, console), market)
    visitor = await open_browser(browsers, console)
    await visitor.send("/", "/sign-in", name="ada", password=PASSWORD)
    for _ in range(ATTEMPTS_ON_A_NAME):
        await visitor.send("/sign-in/code", "/sign-in/code", code="wrong")
    stopped = await visitor.send("/sign-in/code", "/sign-in/code", code=code_of(seed, market))
    assert (stopped.status_code, "Too many attempts." in stopped.text) == (429, True)


async def test_setting_up_needs_the_password_and_taking_away_needs_a_code(
    browsers: AsyncExitStack, console: Litestar, market: Marketplace
) -> None:
    visitor = await ada(browsers, console)
    refused = await visitor.send("/account", "/account/second-factor/begin", password="wrong password")
    assert refused.status_code == 403
    assert (await visitor.get("/account/second-factor")).headers["location"] == "/account"
    seed, codes = await set_up(visitor, market)
    page = await visitor.see("/account")
    fields = page.form("/account/second-factor/codes").fields
    for action in ("codes", "remove"):
        wrong = await visitor.post(f"/account/second-factor/{action}", {**fields, "code": "000000"})
        assert (wrong.status_code, "The code is not right." in wrong.text) == (403, True)
    renewed = await visitor.post("/account/second-factor/codes", {**fields, "code": code_of(seed, market)})
    new = re.findall(r"\b(?:[a-z0-9]{4}-){3}[a-z0-9]{4}\b", renewed.text)
    assert len(new) == 10 and not set(new) & set(codes)
    removed = await visitor.post("/account/second-factor/remove", {**fields, "code": new[0]})
    assert removed.headers["location"] == "/account"
    await ada(browsers, console)


async def test_a_wrong_first_code_leaves_things_as_they_were(
    browsers: AsyncExitStack, console: Litestar, market: Marketplace
) -> None:
    visitor = await ada(browsers, console)
    await visitor.send("/account", "/account/second-factor/begin", password=PASSWORD)
    wrong = await visitor.send("/account/second-factor", "/account/second-factor/confirm", code="000000")
    assert (wrong.status_code, "Check the clock of your phone." in wrong.text) == (403, True)
    await ada(browsers, console)


async def test_without_a_key_the_second_factor_is_not_offered(
    browsers: AsyncExitStack, market: Marketplace, visit: Visit
) -> None:
    bare = console_app(replace(market.service, encryption=Encryption([])))
    visitor = await ada(browsers, bare)
    page = await visitor.see("/account")
    assert "This installation has no key" in page.text
    assert "/account/second-factor/begin" not in {form.action for form in page.forms}
    await enrol(market.service.people, SHOP, None, now=market.service.clock())
    sample = await (await visit(SHOP)).see("/account")
    assert "Second factor" not in sample.text, "a sample person has no password either"


async def test_where_the_key_is_lost_nobody_comes_in_by_the_password_alone(
    browsers: AsyncExitStack, console: Litestar, market: Marketplace
) -> None:
    seed, codes = await set_up(await ada(browsers, console), market)
    bare = console_app(replace(market.service, encryption=Encryption([])))
    visitor = await open_browser(browsers, bare)
    await visitor.send("/", "/sign-in", name="ada", password=PASSWORD)
    refused = await visitor.send("/sign-in/code", "/sign-in/code", code=code_of(seed, market))
    assert refused.status_code == 503
    assert "jitui_session" not in visitor.http.cookies
    assert (await visitor.send("/sign-in/code", "/sign-in/code", code=codes[0])).status_code == 303


# The password and the link -------------------------------------------------------------------------------------------


async def test_a_password_is_changed_with_the_old_one(browsers: AsyncExitStack, console: Litestar) -> None:
    own, other = await ada(browsers, console), await ada(browsers, console)
    for fields, status, said in (
        ({"password": OLD, "new": "short", "repeated": "short"}, 400, "too short or too long"),
        ({"password": OLD, "new": NEW, "repeated": NEW + "x"}, 400, "are not the same"),
        ({"password": "wrong password", "new": NEW, "repeated": NEW}, 403, "The name or the password is not right."),
    ):
        refused = await own.send("/account", "/account/password", **fields)
        assert (refused.status_code, said in refused.text) == (status, True)
    assert (await own.send("/account", "/account/password", password=OLD, new=NEW, repeated=NEW)).status_code == 303
    assert (await own.get("/account")).status_code == 200
    assert (await other.get("/account")).status_code == 303
    await ada(browsers, console, NEW)


async def link_for(market: Marketplace) -> str:
    return (await make_link(market.service.links, "ada", by="ops", now=market.service.clock())).path


async def test_a_link_leads_to_a_password_and_looking_at_it_uses_nothing_up(
    browsers: AsyncExitStack, console: Litestar, market: Marketplace
) -> None:
    path, visitor = await link_for(market), await open_browser(browsers, console)
    for _ in range(3):
        assert "You sign in as ada." in (await visitor.see(path)).text.replace("\u2068", "").replace("\u2069", "")
    for new, repeated in (("short", "short"), (NEW, NEW + "x")):
        assert (await visitor.send(path, path, new=new, repeated=repeated)).status_code == 400
    done = await visitor.send(path, path, new=NEW, repeated=NEW)
    assert (done.status_code, "Your password is set" in done.text) == (200, True)
    assert (await visitor.get("/account")).status_code == 303, "a link signs nobody in"
    await ada(browsers, console, NEW)


async def test_a_link_that_was_used_or_never_was_is_refused_logged_and_counted(
    browsers: AsyncExitStack, market: Marketplace
) -> None:
    app = create_app(market.service, extra_handlers=console_handlers())
    path, visitor = await link_for(market), await open_browser(browsers, app)
    page = await visitor.see(path)
    fields = {**page.form(path).fields, "new": NEW, "repeated": NEW}
    assert (await visitor.post(path, fields)).status_code == 200
    with capture_logs() as logs:
        again = await visitor.post(path, fields)
        seen = await visitor.get(path)
        unknown = await visitor.get("/welcome/" + "x" * 43)
        nonsense = await visitor.get("/welcome/%00")
    for refused in (again, seen, unknown, nonsense):
        assert (refused.status_code, "This link is over" in refused.text) == (410, True)
    assert [(line["event"], line["reason"], line["person"]) for line in logs] == [
        ("sign_in_refused", "link_refused", None)
    ], "one line a minute"
    assert path.rpartition("/")[2] not in str(logs)
    told = app.state.metrics.exposition().decode()
    assert 'reason="link_refused"} 4.0' in told


async def test_of_two_browsers_with_one_link_one_sets_the_password(
    browsers: AsyncExitStack, console: Litestar, market: Marketplace
) -> None:
    path = await link_for(market)
    visitors = [await open_browser(browsers, console) for _ in range(3)]
    passwords = [f"the password of browser {number}" for number in range(3)]
    done = await asyncio.gather(
        *(one.send(path, path, new=new, repeated=new) for one, new in zip(visitors, passwords, strict=True))
    )
    assert sorted(one.status_code for one in done) == [200, 410, 410]
    winner = passwords[[one.status_code for one in done].index(200)]
    await ada(browsers, console, winner)


async def test_a_form_of_a_link_is_of_the_browser_that_it_was_shown_in(
    browsers: AsyncExitStack, console: Litestar, market: Marketplace
) -> None:
    path = await link_for(market)
    one, other = await open_browser(browsers, console), await open_browser(browsers, console)
    fields = {**(await one.see(path)).form(path).fields, "new": NEW, "repeated": NEW}
    await other.see("/")
    assert (await other.post(path, fields)).status_code == 403
    assert (await one.post(path, fields)).status_code == 200


async def test_refused_sign_ins_are_logged_without_what_was_typed_and_counted(
    browsers: AsyncExitStack, market: Marketplace
) -> None:
    app = create_app(market.service, extra_handlers=console_handlers())
    visitor = await open_browser(browsers, app)
    with capture_logs() as logs:
        for name, password in (("ada", "wrong-password-1"), ("ada", "wrong-password-2"), ("my-password", "x")):
            await visitor.send("/", "/sign-in", name=name, password=password)
    assert [(line["reason"], line["person"]) for line in logs] == [
        ("wrong_password", "ada"),
        ("unknown_name", None),
    ]
    assert "wrong-password" not in str(logs) and "my-password" not in str(logs)
    told = app.state.metrics.exposition().decode()
    assert 'reason="wrong_password"} 2.0' in told


async def test_pages_of_the_account_hold_no_script_and_one_heading(
    browsers: AsyncExitStack, console: Litestar, market: Marketplace
) -> None:
    visitor = await ada(browsers, console)
    await visitor.send("/account", "/account/second-factor/begin", password=PASSWORD)
    link = await link_for(market)
    for path in ("/account", "/account/second-factor", link, "/welcome/nothing"):
        page = Page((await visitor.get(path)).text)
        assert [tag for tag, _ in page.tags].count("h1") == 1, path
        assert not [tag for tag, given in page.tags if tag == "script" and "src" not in given], path
        labelled = {given["for"] for tag, given in page.tags if tag == "label" and "for" in given}
        shown = [given for tag, given in page.tags if tag == "input" and given.get("type") not in ("hidden", "radio")]
        assert {given["id"] for given in shown} <= labelled, path
        assert not [given for _, given in page.tags if "style" in given], path
