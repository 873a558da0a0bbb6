"""Signing in by OpenID Connect: to the issuer, back again, and what is left to do there after signing out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlencode, urlsplit

from litestar import get
from litestar.exceptions import NotFoundException
from litestar.response import Response

from jitui.entrypoints.console.account.signing_in import browser_of, cookie, telling, welcome
from jitui.entrypoints.console.account.start import SIGNED_OUT, start_page, to_second_step
from jitui.entrypoints.console.page.visit import ConsoleRequest, Page, Visit, Visiting, leave_for, show
from jitui.identity.openid import (
    BACK_WITHIN,
    LONGEST_ANSWER,
    RETURN_PATH,
    Answer,
    IssuerUnavailable,
    OpenId,
    Sent,
    begin_sign_in,
    finish_openid_sign_in,
)
from jitui.identity.people import NeedsCode, SignInFault, SignInRefusal

BEGIN_PATH = "/sign-in/openid"
OPENID_COOKIE = "jitui_openid"
LONGEST_NEXT = 2_000


@get(BEGIN_PATH)
async def begin_openid(visit: Visiting, request: ConsoleRequest) -> Page:
    """To the issuer; a link and no form, since our pages let no form lead to another site."""
    next_path = request.query_params.get("next", "")
    try:
        done = await begin_sign_in(
            _openid(visit),
            next_path if len(next_path) <= LONGEST_NEXT and next_path.isprintable() else "",
            browser=browser_of(visit, request),
            now=visit.service.clock(),
            tell=telling(visit, request),
        )
    except IssuerUnavailable:
        return await _issuer_away(visit, request)
    if not isinstance(done, Sent):
        return await _refused(visit, done)
    response = leave_for(done.url)
    response.set_cookie(cookie(request, OPENID_COOKIE, done.secret, int(BACK_WITHIN.total_seconds())))
    return response


@get(RETURN_PATH)
async def return_from_openid(visit: Visiting, request: ConsoleRequest) -> Response[str]:
    """A new session, or the start page with the reason. Whatever comes of it, this sign-in is over."""
    try:
        done = await finish_openid_sign_in(
            _openid(visit),
            _answer(request.query_params.dict()),
            request.cookies.get(OPENID_COOKIE, ""),
            browser=browser_of(visit, request),
            now=visit.service.clock(),
            tell=telling(visit, request),
        )
    except IssuerUnavailable:
        return await _issuer_away(visit, request)
    outcome = done.outcome
    if isinstance(outcome, SignInRefusal):
        response = await _refused(visit, outcome)
    elif isinstance(outcome, NeedsCode):
        response = to_second_step(request, outcome, done.next_path)
    else:
        response = await welcome(visit, request, outcome, done.next_path)
    if outcome is not SignInRefusal.OTHER_WINDOW:  # the one that was begun here may still come back
        response.delete_cookie(OPENID_COOKIE)
    return response


@get(SIGNED_OUT)
async def signed_out(visit: Visiting) -> Page:
    """Signed out here; at the issuer one is signed in until one leaves there too."""
    openid = _openid(visit)
    try:
        end = (await openid.provider.issuer()).end_session_endpoint
    except IssuerUnavailable:
        end = None
    if end is not None:
        back = {"client_id": openid.rules.client_id, "post_logout_redirect_uri": visit.service.settings.console_url}
        end += ("&" if urlsplit(end).query else "?") + urlencode(back)
    return show(visit, "account/signed_out.html", issuer=urlsplit(openid.rules.issuer).hostname, end=end)


def _openid(visit: Visit) -> OpenId:
    if visit.service.openid is None:
        raise NotFoundException
    return visit.service.openid


def _answer(params: Mapping[str, list[str]]) -> Answer:
    def once(name: str) -> str:
        given = params.get(name, [])
        return given[0] if len(given) == 1 and len(given[0]) <= LONGEST_ANSWER else ""

    return Answer(once("state"), once("code"), once("error"), once("iss"))


async def _issuer_away(visit: Visit, request: ConsoleRequest) -> Page:
    telling(visit, request)(SignInFault.ISSUER_AWAY, None)
    return await _refused(visit, SignInRefusal.ISSUER_AWAY)


async def _refused(visit: Visit, refusal: SignInRefusal) -> Page:
    """The start page; a choice of language on it leads to itself, since the answer in this address is used up."""
    return await start_page(replace(visit, here="/"), refusal=refusal)


HANDLERS = (begin_openid, return_from_openid, signed_out)
