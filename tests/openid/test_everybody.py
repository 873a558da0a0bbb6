"""Every role at the addresses of single sign-on: they say the same to everybody, and change nobody's session."""

from __future__ import annotations

import httpx
import pytest

from jitui.identity.access import BOUND_ROLES, Role
from jitui.identity.people import Person, enrol
from tests.console.pages import visiting
from tests.openid.site import PASSWORD, Site, go

PEOPLE: dict[str, Person | None] = {
    "nobody": None,
    **{
        f"{role}{whose}": Person(f"{role}-{number}", role, f"{role}-{number}" if role in BOUND_ROLES else "", role)
        for role in Role
        for number, whose in enumerate((" one", " other") if role in BOUND_ROLES else ("",))
    },
}
TABLE = {
    "/sign-in/openid": (303, "/authorize?"),
    "/sign-in/openid/return": (403, ""),
    "/sign-in/openid/return?code=c&state=s": (403, ""),
    "/signed-out": (200, ""),
}


@pytest.mark.parametrize("path", TABLE)
async def test_everybody_gets_the_same_and_stays_who_they_were(site: Site, path: str) -> None:
    answers = set[tuple[int, bool]]()
    for who in PEOPLE.values():
        async with visiting(site.console) as visitor:
            if who is not None:
                await enrol(site.service.people, who, PASSWORD, now=site.service.clock())
                await visitor.send("/", "/sign-in", name=who.name, password=PASSWORD)
            before = dict(visitor.http.cookies).get("jitui_session")
            got: httpx.Response = await visitor.get(path)
            status, led_to = TABLE[path]
            assert got.status_code == status and led_to in got.headers.get("location", "")
            answers.add((got.status_code, "location" in got.headers))
            assert dict(visitor.http.cookies).get("jitui_session") == before
            account = await visitor.get("/account")
            assert account.status_code == (303 if who is None else 200)
            assert who is None or who.name in account.text
    assert len(answers) == 1 and len(PEOPLE) * len(TABLE) == 40


@pytest.mark.parametrize("who", [one for one in PEOPLE if one != "nobody"])
async def test_single_sign_on_opens_what_the_role_opens_and_nothing_more(site: Site, who: str) -> None:
    person = PEOPLE[who]
    assert person is not None
    await enrol(site.service.people, person, PASSWORD, now=site.service.clock())
    await site.link(person)
    async with visiting(site.console) as by_issuer, visiting(site.console) as by_password:
        await go(by_issuer, site)
        await by_password.send("/", "/sign-in", name=person.name, password=PASSWORD)
        for path in ("/account", "/buyer/orders", "/merchant/tickets", "/merchant/coverage", "/buyer/ask?order=x"):
            one, other = await by_issuer.get(path), await by_password.get(path)
            assert one.status_code == other.status_code, path
