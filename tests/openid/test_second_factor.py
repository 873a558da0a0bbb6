"""Roles that need a second factor: without one nothing but the account page opens, however one came in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest

from jitui.entrypoints.console.mount import console_app
from jitui.identity.people import CODE_WITHIN
from jitui.settings.sign_in import FactorAt
from tests.console.pages import Page, Visitor, visiting
from tests.openid.issuer import TestIssuer
from tests.openid.site import PASSWORD, SHAN, Site, go, open_site, signed_in

NEEDED: dict[str, Any] = {"second_factor_roles": ("operator", "merchant")}
HERE: dict[str, Any] = {**NEEDED, "openid_second_factor": FactorAt.HERE}


@pytest.fixture
async def strict(database_url: str, tmp_path: Path, issuer: TestIssuer) -> AsyncIterator[Site]:
    async with open_site(database_url, tmp_path, issuer, **HERE) as opened:
        yield opened


def seed_on(page: Page) -> str:
    return page.text.split("into it.")[1].split("The code")[0].replace(" ", "")


async def set_up(visitor: Visitor, site: Site, **fields: str) -> str:
    """Begin and confirm; the seed."""
    begun = await visitor.send("/account", "/account/second-factor/begin", **fields)
    assert begun.headers["location"] == "/account/second-factor", begun.text
    seed = seed_on(await visitor.see("/account/second-factor"))
    code = pyotp.TOTP(seed).at(site.service.clock())
    done = await visitor.send("/account/second-factor", "/account/second-factor/confirm", code=code)
    assert done.status_code == 200
    return seed


async def by_password(visitor: Visitor) -> None:
    await visitor.send("/", "/sign-in", name="shan", password=PASSWORD)


async def test_without_one_every_page_but_the_account_leads_to_setting_it_up(strict: Site) -> None:
    async with visiting(strict.console) as visitor:
        await by_password(visitor)
        for path in ("/merchant/tickets", "/merchant/tickets.csv", "/merchant/coverage"):
            got = await visitor.get(path)
            assert (got.status_code, got.headers["location"]) == (303, "/account"), path
        part = await visitor.get("/merchant/tickets", HX_Request="true")
        assert (part.status_code, part.headers["hx-redirect"]) == (403, "/account")
        token = (await visitor.see("/account")).form("/sign-out").fields["_csrf_token"]
        sent = await visitor.post(
            "/merchant/tickets/00000000-0000-0000-0000-000000000000/approve", {"_csrf_token": token, "version": "1"}
        )
        assert sent.headers["location"] == "/account"
        assert "Your role needs a second factor. Set it up here to go on." in (await visitor.see("/account")).text
        await set_up(visitor, strict, password=PASSWORD)
        assert (await visitor.get("/merchant/tickets")).status_code == 200
        assert "Your role needs" not in (await visitor.see("/account")).text


async def test_a_session_from_before_it_was_set_up_elsewhere_opens_nothing(strict: Site) -> None:
    async with visiting(strict.console) as own, visiting(strict.console) as other:
        await by_password(own)
        await by_password(other)
        await set_up(own, strict, password=PASSWORD)
        assert (await own.get("/merchant/tickets")).status_code == 200
        assert (await other.get("/merchant/tickets")).headers["location"] == "/account"
        assert "Sign out and sign in again with it." in (await other.see("/account")).text


async def test_a_code_at_sign_in_opens_and_taking_the_factor_away_closes(strict: Site) -> None:
    async with visiting(strict.console) as visitor:
        await by_password(visitor)
        seed = await set_up(visitor, strict, password=PASSWORD)
        await visitor.send("/account", "/sign-out")
        await by_password(visitor)
        assert not signed_in(visitor)
        later = strict.service.clock() + timedelta(seconds=30)
        await visitor.send("/sign-in/code", "/sign-in/code", code=pyotp.TOTP(seed).at(later))
        assert (await visitor.get("/merchant/tickets")).status_code == 200
        await strict.service.second_factors.remove("shan", by="ops", now=strict.service.clock())
        assert (await visitor.get("/merchant/tickets")).headers["location"] == "/account"


async def test_other_roles_are_not_asked(database_url: str, tmp_path: Path, issuer: TestIssuer) -> None:
    async with (
        open_site(database_url, tmp_path, issuer, second_factor_roles=("operator",)) as site,
        visiting(site.console) as visitor,
    ):
        await by_password(visitor)
        assert (await visitor.get("/merchant/tickets")).status_code == 200


async def test_the_code_is_asked_after_the_issuer_where_the_settings_say_here(strict: Site) -> None:
    await strict.link(SHAN)
    async with visiting(strict.console) as visitor:
        await go(visitor, strict)
        assert (await visitor.get("/merchant/tickets")).headers["location"] == "/account"
        page = await visitor.see("/account")
        assert "password" not in page.form("/account/second-factor/begin").fields, "the issuer has just been asked"
        seed = await set_up(visitor, strict)
        assert (await visitor.get("/merchant/tickets")).status_code == 200
        await visitor.send("/account", "/sign-out")
        asked = await go(visitor, strict, "/merchant/coverage")
        assert asked.headers["location"] == "/sign-in/code?next=%2Fmerchant%2Fcoverage"
        assert not signed_in(visitor)
        later = strict.service.clock() + timedelta(seconds=30)
        done = await visitor.send(asked.headers["location"], "/sign-in/code", code=pyotp.TOTP(seed).at(later))
        assert done.headers["location"] == "/merchant/coverage"
        assert (await visitor.get("/merchant/coverage")).status_code == 200
        rows = await strict.audit()
        assert rows[-1][3] == '{"address":"127.0.0.1","way":"openid"}'


async def test_later_on_setting_it_up_needs_the_password_again(strict: Site) -> None:
    await strict.link(SHAN)
    async with visiting(strict.console) as visitor:
        await go(visitor, strict)
        clock = strict.service.clock
        late = console_app(replace(strict.service, clock=lambda: clock() + CODE_WITHIN + timedelta(seconds=1)))
        token = visitor.http.cookies["jitui_session"]
    async with visiting(late) as visitor:
        visitor.http.cookies.set("jitui_session", token, domain="console.localhost")
        refused = await visitor.send("/account", "/account/second-factor/begin", password="")
        assert refused.status_code == 403
        assert (await visitor.get("/account/second-factor")).headers["location"] == "/account"


async def test_passwords_can_be_switched_off(database_url: str, tmp_path: Path, issuer: TestIssuer) -> None:
    from jitui.settings import YesOrNo

    async with open_site(database_url, tmp_path, issuer, password_sign_in=YesOrNo.NO) as site:
        await site.link(SHAN)
        async with visiting(site.console) as visitor:
            page = await visitor.see("/")
            assert [form.action for form in page.forms if form.action == "/sign-in"] == []
            token = page.form("/preferences").fields["_csrf_token"]
            refused = await visitor.post("/sign-in", {"_csrf_token": token, "name": "shan", "password": PASSWORD})
            assert refused.status_code == 403 and "Nobody signs in by a password here." in refused.text
            assert site.counted.reasons == ["no_passwords"]
            await go(visitor, site)
            assert signed_in(visitor)
