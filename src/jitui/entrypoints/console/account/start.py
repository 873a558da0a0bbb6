"""The start page, signing in and out, and the reader's choice of language and theme."""

from __future__ import annotations

from urllib.parse import quote

from litestar import get, post
from litestar.response import Response

from jitui.entrypoints.console.account.signing_in import browser_of, cookie, telling, welcome
from jitui.entrypoints.console.page.access import LONGEST_ID, SESSION_COOKIE
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.visit import (
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
from jitui.identity.people import (
    CODE_WITHIN,
    LONGEST_PASSWORD,
    NeedsCode,
    SignInFault,
    SignInRefusal,
    Way,
    sign_in,
    sign_in_sample,
    sign_out,
)
from jitui.identity.second_factor import finish_sign_in
from jitui.settings import Language, YesOrNo

CODE_PATH = "/sign-in/code"
SIGNED_OUT = "/signed-out"
FIRST_STEP_COOKIE = "jitui_first_step"
LONGEST_CODE = 100
_YEAR_SECONDS = 365 * 86_400


def _(message: str) -> str:
    return message


TOUR = (
    _("As the first buyer, ask for a refund of an order that has not shipped, and watch the money arrive."),
    _("As the shop, open that ticket: it says that the platform decided, and that the goods must not be shipped."),
    _("As the second buyer, ask for a refund. It goes to the shop: under To review it is approved, or rejected."),
    _("Ship and ask at once: the buyer's form in one window, the shop's tracking number in another. One of them wins."),
    _("As support, search the order by its number, open the ticket and read why, with every value."),
    _("Under Incidents, see goods that left although they were refunded; as an operator, decide who bears the loss."),
    _("As risk, write a policy with another limit under Policies, and propose it with a canary; an operator approves."),
    _("As risk, start the canary, and see under Policies what its guards count; end it, or publish the text."),
    _("On this page, let payments fail; then ask for a refund as the first buyer. It is approved, and not paid."),
    _("As an operator, see it under Live and Tasks. Mend payments here, and send the refund again under Refunds."),
)
"""What a visitor of the demo can try, in order."""


@get("/")
async def start(visit: Visiting, request: ConsoleRequest) -> Page:
    """What this is, and the way in for each role."""
    return await start_page(visit, next_path=request.query_params.get("next"))


@post("/sign-in", status_code=200)
async def sign_in_by_password(visit: Visiting, request: ConsoleRequest, data: Form) -> Response[str]:
    """A new session, or the start page again with the reason."""
    name, password = data.get("name", "").strip(), data.get("password", "")
    if visit.service.settings.password_sign_in is YesOrNo.NO:
        telling(visit, request)(SignInFault.NO_PASSWORDS, None)
        return await start_page(visit, refusal=SignInRefusal.NO_PASSWORDS, next_path=data.get("next"))
    if not name.isprintable() or len(name) > LONGEST_ID or len(password) > LONGEST_PASSWORD:
        return await start_page(visit, refusal=SignInRefusal.WRONG, name="", next_path=data.get("next"))
    done = await sign_in(
        visit.service.people,
        name,
        password,
        browser=browser_of(visit, request),
        now=visit.service.clock(),
        tell=telling(visit, request),
    )
    if isinstance(done, SignInRefusal):
        return await start_page(visit, refusal=done, name=name, next_path=data.get("next"))
    if isinstance(done, NeedsCode):
        return to_second_step(request, done, data.get("next", ""))
    return await welcome(visit, request, done, data.get("next", ""))


def to_second_step(request: ConsoleRequest, done: NeedsCode, next_path: str) -> Page:
    """The page that asks for the code of the second factor."""
    response = go_to(f"{CODE_PATH}?next={quote(next_path, safe='')}")
    response.set_cookie(cookie(request, FIRST_STEP_COOKIE, done.token, int(CODE_WITHIN.total_seconds())))
    return response


@get(CODE_PATH)
async def ask_for_code(visit: Visiting, request: ConsoleRequest) -> Page:
    """The second step, for whoever has done the first."""
    if FIRST_STEP_COOKIE not in request.cookies:
        return go_to("/")
    return show(visit, "account/code.html", refusal=None, next_path=request.query_params.get("next", ""))


@post(CODE_PATH, status_code=200)
async def sign_in_by_code(visit: Visiting, request: ConsoleRequest, data: Form) -> Response[str]:
    """A new session, or the second step again with the reason; the start page once the first step is over."""
    service, next_path = visit.service, data.get("next", "")
    done = await finish_sign_in(
        service.people,
        service.second_factors,
        service.encryption,
        request.cookies.get(FIRST_STEP_COOKIE, ""),
        data.get("code", "")[:LONGEST_CODE],
        browser=browser_of(visit, request),
        now=service.clock(),
        tell=telling(visit, request),
    )
    if done is SignInRefusal.TOO_LATE:
        response = await start_page(visit, refusal=done, next_path=next_path)
        response.delete_cookie(FIRST_STEP_COOKIE)
        return response
    if isinstance(done, SignInRefusal):
        return show(visit, "account/code.html", status_code=_status_of(done), refusal=done, next_path=next_path)
    response = await welcome(visit, request, done, next_path)
    response.delete_cookie(FIRST_STEP_COOKIE)
    return response


@post("/sign-in/sample", status_code=200)
async def sign_in_by_click(visit: Visiting, request: ConsoleRequest, data: Form) -> Response[str]:
    """As one of the demo's own people; nowhere else."""
    name = data.get("name", "")
    if not visit.options.one_click or not name.isprintable():
        return await start_page(visit, refusal=SignInRefusal.WRONG)
    browser, now = browser_of(visit, request), visit.service.clock()
    done = await sign_in_sample(visit.service.people, name, now=now, browser=browser)
    if isinstance(done, SignInRefusal):
        return await start_page(visit, refusal=done)
    return await welcome(visit, request, done, data.get("next", ""))


@post("/sign-out", status_code=303)
async def leave(visit: Visiting, request: ConsoleRequest) -> Response[str]:
    """Ends the session here and in the database; who came from an issuer is told that they are signed in there."""
    way = await sign_out(visit.service.people, request.auth) if request.auth else None
    response = go_to(SIGNED_OUT if way is Way.OPENID else "/")
    response.headers["clear-site-data"] = '"cache"'
    response.delete_cookie(SESSION_COOKIE)
    return response


@post("/preferences", status_code=303)
async def prefer(request: ConsoleRequest, data: Form) -> Response[str]:
    """Remember a choice in a cookie and go back to the page it was made on."""
    response = go_to(data.get("back", "/"))
    if data.get("language") in tuple(Language):
        response.set_cookie(cookie(request, LANGUAGE_COOKIE, data["language"], _YEAR_SECONDS))
    if data.get("theme") in tuple(Theme):
        response.set_cookie(cookie(request, THEME_COOKIE, data["theme"], _YEAR_SECONDS))
    return response


@get(["/sign-in", "/sign-in/sample", "/sign-out", "/preferences"])
async def back_to_start() -> Response[str]:
    """The address of a form that is asked for as a page: after a refusal the browser shows it."""
    return go_to("/")


def _status_of(refusal: SignInRefusal) -> int:
    return _STATUSES.get(refusal, 403)


_STATUSES = {SignInRefusal.TOO_MANY_ATTEMPTS: 429, SignInRefusal.ISSUER_AWAY: 503}


async def start_page(
    visit: Visit, *, refusal: SignInRefusal | None = None, name: str = "", next_path: str | None = None
) -> Page:
    return show(
        visit,
        "account/start.html",
        status_code=200 if refusal is None else _status_of(refusal),
        samples=await visit.service.people.samples() if visit.options.one_click else (),
        policy=await visit.service.policy_in_force.current(),
        passwords=visit.service.settings.password_sign_in is YesOrNo.YES,
        openid=visit.service.openid is not None,
        refusal=refusal,
        name=name,
        next_path=next_path,
        shoppers=bool(visit.service.platforms.connected),
        tour=TOUR,
        payments_fail=await visit.options.outage.is_on() if visit.options.outage else None,
    )


HANDLERS = (start, sign_in_by_password, ask_for_code, sign_in_by_code, sign_in_by_click, leave, prefer, back_to_start)
