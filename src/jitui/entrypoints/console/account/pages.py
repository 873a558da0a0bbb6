"""One's own account: sessions, password, second factor; and the page on which a one-time link leads to a password."""

from __future__ import annotations

import re
from collections.abc import Mapping
from uuid import UUID

import segno
from litestar import Router, get, post
from litestar.exceptions import NotAuthorizedException, NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath
from litestar.response import Response

from jitui.entrypoints.console.account.signing_in import browser_of, telling
from jitui.entrypoints.console.account.start import LONGEST_CODE
from jitui.entrypoints.console.page.access import lacks_factor, session_of
from jitui.entrypoints.console.page.form import Form
from jitui.entrypoints.console.page.visit import (
    ACCOUNT,
    AnyConnection,
    ConsoleRequest,
    Page,
    Visit,
    Visiting,
    go_to,
    show,
)
from jitui.identity.links import PATH as WELCOME
from jitui.identity.links import use_link, whose_link
from jitui.identity.people import (
    CODE_WITHIN,
    LONGEST_PASSWORD,
    SHORTEST_PASSWORD,
    Person,
    SignInFault,
    SignInRefusal,
    Way,
    change_password,
    check_password,
    hash_token,
)
from jitui.identity.second_factor import (
    Enrolment,
    begin,
    check_code,
    confirm,
    pending,
    renew_recovery_codes,
)
from jitui.settings import YesOrNo

_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_OVER = 410


def _(message: str) -> str:
    return message


def signed_in(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """For everybody who is signed in, in whatever role."""
    if connection.scope.get("method") != "OPTIONS" and connection.user is None:
        raise NotAuthorizedException


# The account ---------------------------------------------------------------------------------------------------------


@get("/")
async def account(visit: Visiting, request: ConsoleRequest) -> Page:
    """Where one is signed in, and how."""
    return await _account_page(visit, request)


@post("/sessions/end", status_code=303)
async def end_sessions(visit: Visiting, request: ConsoleRequest, data: Form) -> Response[str]:
    """End one other session, or all others; one's own ends by signing out."""
    one = _uuid(data["session"]) if "session" in data else None
    name, now = visit.reader.name, visit.service.clock()
    await visit.service.people.end_sessions(name, one, by=name, now=now, but=_own_session(request))
    return go_to(ACCOUNT)


@post("/password", status_code=200)
async def new_password(visit: Visiting, request: ConsoleRequest, data: Form) -> Response[str]:
    """Change one's own password; the other sessions end."""
    wrong = _password_problem(data, "new")
    if wrong is not None:
        return await _account_page(visit, request, problem=wrong)
    refused = await change_password(
        visit.service.people,
        visit.reader,
        data.get("password", "")[: LONGEST_PASSWORD + 1],
        data["new"],
        token=request.auth or "",
        browser=browser_of(visit, request),
        now=visit.service.clock(),
    )
    return await _account_page(visit, request, refusal=refused) if refused is not None else go_to(ACCOUNT)


async def _account_page(
    visit: Visit, request: ConsoleRequest, *, refusal: SignInRefusal | None = None, problem: str | None = None
) -> Page:
    service, name = visit.service, visit.reader.name
    found = await service.people.find_account(name)
    if found is None:
        raise NotAuthorizedException
    return show(
        visit,
        "account/account.html",
        status_code=200 if refusal is None and problem is None else 403 if refusal is not None else 400,
        account=found[0],
        factor=await service.second_factors.state(name),
        factor_needed=lacks_factor(request),
        begun_lately=_begun_lately(visit, request),
        passwords=service.settings.password_sign_in is YesOrNo.YES,
        can_encrypt=service.encryption.is_configured,
        sessions=await service.people.sessions(name, service.clock(), _own_session(request)),
        refusal=refusal,
        problem_text=problem,
        shortest=SHORTEST_PASSWORD,
    )


# The second factor ---------------------------------------------------------------------------------------------------


@post("/second-factor/begin", status_code=200)
async def begin_second_factor(visit: Visiting, request: ConsoleRequest, data: Form) -> Response[str]:
    """A new seed, for whoever knows the password, or came from the issuer just now, and has no second factor yet."""
    service = visit.service
    if _begun_lately(visit, request):
        await begin(service.second_factors, service.encryption, visit.reader.name)
        return go_to(f"{ACCOUNT}/second-factor")
    checked = await check_password(
        service.people,
        visit.reader.name,
        data.get("password", "")[: LONGEST_PASSWORD + 1],
        browser=browser_of(visit, request),
        now=service.clock(),
        tell=telling(visit, request),
    )
    if isinstance(checked, SignInRefusal):
        return await _account_page(visit, request, refusal=checked)
    if not checked.second_factor:
        await begin(service.second_factors, service.encryption, visit.reader.name)
    return go_to(f"{ACCOUNT}/second-factor")


@get("/second-factor")
async def enrol_second_factor(visit: Visiting) -> Page:
    """The seed as a QR code and as text, until a code of it was seen."""
    found = await pending(visit.service.second_factors, visit.service.encryption, visit.reader.name)
    return go_to(ACCOUNT) if found is None else _enrolment_page(visit, found)


@post("/second-factor/confirm", status_code=200)
async def confirm_second_factor(visit: Visiting, request: ConsoleRequest, data: Form) -> Page:
    """The first code of the app: from now on a sign-in needs one. The recovery codes are shown this once."""
    service, name = visit.service, visit.reader.name
    found = await pending(service.second_factors, service.encryption, name)
    if found is None:
        return go_to(ACCOUNT)
    codes = await confirm(service.second_factors, service.encryption, name, _code(data), now=service.clock())
    if codes is None:
        return _enrolment_page(visit, found, wrong=True)
    await service.people.set_session_factor(_own_session(request))
    return show(visit, "account/recovery_codes.html", codes=codes)


@post("/second-factor/codes", status_code=200)
async def new_recovery_codes(visit: Visiting, request: ConsoleRequest, data: Form) -> Page:
    """New recovery codes in the place of the former ones."""
    refused = await _check_code(visit, request, data)
    if refused is not None:
        return await _account_page(visit, request, refusal=refused)
    codes = await renew_recovery_codes(visit.service.second_factors, visit.reader.name, now=visit.service.clock())
    return go_to(ACCOUNT) if codes is None else show(visit, "account/recovery_codes.html", codes=codes)


@post("/second-factor/remove", status_code=200)
async def remove_second_factor(visit: Visiting, request: ConsoleRequest, data: Form) -> Page:
    """Back to the password alone."""
    refused = await _check_code(visit, request, data)
    if refused is not None:
        return await _account_page(visit, request, refusal=refused)
    await visit.service.second_factors.remove(visit.reader.name, by=visit.reader.name, now=visit.service.clock())
    return go_to(ACCOUNT)


async def _check_code(visit: Visit, request: ConsoleRequest, data: Mapping[str, str]) -> SignInRefusal | None:
    service = visit.service
    return await check_code(
        service.people,
        service.second_factors,
        service.encryption,
        visit.reader.name,
        _code(data),
        browser=browser_of(visit, request),
        now=service.clock(),
        tell=telling(visit, request),
    )


def _enrolment_page(visit: Visit, found: Enrolment, *, wrong: bool = False) -> Page:
    drawn = segno.make(found.address, error="m").svg_inline(scale=5, light="#fff", border=3, omitsize=False)
    grouped = " ".join(re.findall("....", found.seed))
    return show(
        visit, "account/second_factor.html", status_code=403 if wrong else 200, qr_code=drawn, seed=grouped, wrong=wrong
    )


# The one-time link ---------------------------------------------------------------------------------------------------


@get(f"{WELCOME}{{token:str}}")
async def open_link(visit: Visiting, request: ConsoleRequest, token: FromPath[str]) -> Page:
    """The form for a password; looking at it uses nothing up, since programs that check links look too."""
    links, now = visit.service.links, visit.service.clock()
    person = await whose_link(links, token, now=now) if _TOKEN.fullmatch(token) else None
    if person is None:
        return _refuse_link(visit, request)
    return _password_page(visit, person, token)


@post(f"{WELCOME}{{token:str}}", status_code=200)
async def choose_password(visit: Visiting, request: ConsoleRequest, token: FromPath[str], data: Form) -> Page:
    """Use the link: the password is set and can be signed in with. Of two who come with one link one does."""
    links, now = visit.service.links, visit.service.clock()
    person = await whose_link(links, token, now=now) if _TOKEN.fullmatch(token) else None
    wrong = _password_problem(data, "new")
    if person is not None and wrong is not None:
        return _password_page(visit, person, token, problem=wrong)
    done = await use_link(links, token, data.get("new", ""), now=now) if person is not None else None
    if done is None:
        return _refuse_link(visit, request)
    return show(visit, "account/link_used.html", person=done)


def _password_page(visit: Visit, person: Person, token: str, *, problem: str | None = None) -> Page:
    return show(
        visit,
        "account/welcome.html",
        status_code=200 if problem is None else 400,
        person=person,
        token_of_link=token,
        problem_text=problem,
        shortest=SHORTEST_PASSWORD,
    )


def _refuse_link(visit: Visit, request: ConsoleRequest) -> Page:
    telling(visit, request)(SignInFault.LINK_REFUSED, None)
    return show(visit, "account/link_used.html", status_code=_OVER, person=None)


# Pieces --------------------------------------------------------------------------------------------------------------


def _password_problem(data: Mapping[str, str], field: str) -> str | None:
    """An English text of the catalogues."""
    chosen = data.get(field, "")
    if not SHORTEST_PASSWORD <= len(chosen) <= LONGEST_PASSWORD:
        return _("The new password is too short or too long.")
    return None if chosen == data.get("repeated", "") else _("The two new passwords are not the same.")


def _code(data: Mapping[str, str]) -> str:
    return data.get("code", "")[:LONGEST_CODE]


def _begun_lately(visit: Visit, request: ConsoleRequest) -> bool:
    """Whether the issuer has just said who this is: as good as the password, which such a person may not have."""
    session = session_of(request)
    if session is None or session.way is not Way.OPENID:
        return False
    return visit.service.clock() - session.started_at <= CODE_WITHIN


def _own_session(request: ConsoleRequest) -> bytes:
    return hash_token(request.auth or "")


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFoundException from None


ROUTER = Router(
    ACCOUNT,
    route_handlers=[
        account,
        end_sessions,
        new_password,
        begin_second_factor,
        enrol_second_factor,
        confirm_second_factor,
        new_recovery_codes,
        remove_second_factor,
    ],
    guards=[signed_in],
)
HANDLERS = (open_link, choose_password)
