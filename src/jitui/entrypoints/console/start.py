"""The start page, signing in and out, and the reader's choice of language and theme."""

from __future__ import annotations

from collections.abc import Mapping

from litestar import get, post
from litestar.datastructures import Cookie
from litestar.exceptions import ValidationException
from litestar.params import URLEncodedBody
from litestar.response import Response

from jitui.entrypoints.console.access import LONGEST_ID, SESSION_COOKIE
from jitui.entrypoints.console.origin import is_tls
from jitui.entrypoints.console.visit import (
    HOMES,
    LANGUAGE_COOKIE,
    THEME_COOKIE,
    ConsoleRequest,
    Page,
    Theme,
    Visit,
    Visiting,
    go_to,
    show,
)
from jitui.entrypoints.http.client import client_of
from jitui.identity.people import (
    SESSION_LASTS,
    SignedIn,
    SignInRefusal,
    sign_in,
    sign_in_sample,
    sign_out,
)
from jitui.settings import Language

Form = URLEncodedBody[dict[str, str]]
_YEAR_SECONDS = 365 * 86_400


@get("/")
async def start(visit: Visiting, request: ConsoleRequest) -> Page:
    """What this is, and the way in for each role."""
    return await _start_page(visit, next_path=request.query_params.get("next"))


@post("/sign-in", status_code=200)
async def sign_in_by_password(visit: Visiting, request: ConsoleRequest, data: Form) -> Response[str]:
    """A new session, or the start page again with the reason."""
    name, password = data.get("name", "").strip(), data.get("password", "")
    if not name.isprintable() or len(name) > LONGEST_ID or len(password) > 1_000:
        return await _start_page(visit, refusal=SignInRefusal.WRONG, name="", next_path=data.get("next"))
    address = client_of(request.scope, visit.service.settings.trusted_proxies).counted_as
    done = await sign_in(visit.service.people, name, password, address=address, now=visit.service.clock())
    if isinstance(done, SignInRefusal):
        return await _start_page(visit, refusal=done, name=name, next_path=data.get("next"))
    return await _welcome(visit, request, done, data.get("next", ""))


@post("/sign-in/sample", status_code=200)
async def sign_in_by_click(visit: Visiting, request: ConsoleRequest, data: Form) -> Response[str]:
    """As one of the demo's own people; nowhere else."""
    name = data.get("name", "")
    if not visit.options.one_click or not name.isprintable():
        return await _start_page(visit, refusal=SignInRefusal.WRONG)
    done = await sign_in_sample(visit.service.people, name, now=visit.service.clock())
    if isinstance(done, SignInRefusal):
        return await _start_page(visit, refusal=done)
    return await _welcome(visit, request, done, data.get("next", ""))


@post("/sign-out", status_code=303)
async def leave(visit: Visiting, request: ConsoleRequest) -> Response[str]:
    """Ends the session here and in the database."""
    if request.auth:
        await sign_out(visit.service.people, request.auth)
    response = go_to("/")
    response.headers["clear-site-data"] = '"cache"'
    response.delete_cookie(SESSION_COOKIE)
    return response


@post("/preferences", status_code=303)
async def prefer(request: ConsoleRequest, data: Form) -> Response[str]:
    """Remember a choice in a cookie and go back to the page it was made on."""
    response = go_to(data.get("back", "/"))
    if data.get("language") in tuple(Language):
        response.set_cookie(_cookie(request, LANGUAGE_COOKIE, data["language"], _YEAR_SECONDS))
    if data.get("theme") in tuple(Theme):
        response.set_cookie(_cookie(request, THEME_COOKIE, data["theme"], _YEAR_SECONDS))
    return response


def seen_version(data: Mapping[str, str]) -> int:
    """The version of a ticket that the reader saw; a form without it was not made by us."""
    text = data.get("version", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ValidationException
    return int(text)


async def _start_page(
    visit: Visit, *, refusal: SignInRefusal | None = None, name: str = "", next_path: str | None = None
) -> Page:
    return show(
        visit,
        "start.html",
        status_code=200 if refusal is None else 429 if refusal is SignInRefusal.TOO_MANY_ATTEMPTS else 403,
        samples=await visit.service.people.samples() if visit.options.one_click else (),
        policy=await visit.service.policy_in_force.current(),
        refusal=refusal,
        name=name,
        next_path=next_path,
    )


async def _welcome(visit: Visit, request: ConsoleRequest, done: SignedIn, next_path: str) -> Response[str]:
    """The old session, if there is one, ends; its token is not used again."""
    if request.auth:
        await sign_out(visit.service.people, request.auth)
    home = HOMES[done.person.role]
    mine = next_path.startswith(home.rsplit("/", 1)[0] + "/")
    response = go_to(next_path if mine else home, otherwise=home)
    response.set_cookie(_cookie(request, SESSION_COOKIE, done.token, int(SESSION_LASTS.total_seconds())))
    return response


def _cookie(request: ConsoleRequest, key: str, value: str, max_age: int) -> Cookie:
    return Cookie(key=key, value=value, max_age=max_age, httponly=True, samesite="lax", secure=is_tls(request))


HANDLERS = (start, sign_in_by_password, sign_in_by_click, leave, prefer)
