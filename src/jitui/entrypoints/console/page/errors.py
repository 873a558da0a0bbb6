"""Error pages in the reader's language; details of internal errors are only logged."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import quote

from litestar.exceptions import HTTPException, NotAuthorizedException
from litestar.response import Response
from litestar.types import ExceptionHandlersMap
from litestar.utils.scope.state import ScopeState

from jitui.entrypoints.console.page.access import SecondFactorNeeded
from jitui.entrypoints.console.page.csrf import CSRF_COOKIE, SAFE_METHODS
from jitui.entrypoints.console.page.visit import (
    ACCOUNT,
    ConsoleOptions,
    ConsoleRequest,
    address_of,
    go_to,
    show,
    visit_of,
)
from jitui.errors import NotConfigured, Unavailable
from jitui.logs import get_logger

_PAGES = (400, 403, 404, 405, 413, 500, 503)

log = get_logger("jitui.console")


def error_pages(options: ConsoleOptions) -> ExceptionHandlersMap:
    """The error pages for a router of pages, instead of the API's problem details."""

    def on_http_error(request: ConsoleRequest, error: HTTPException) -> Response[str]:
        if isinstance(error, NotAuthorizedException):
            return _ask_to_sign_in(request)
        if isinstance(error, SecondFactorNeeded):
            return _ask_for_second_factor(request)
        if error.status_code == HTTPStatus.FORBIDDEN and _page_was_too_old(request):
            page = show(visit_of(options, request), "error.html", status_code=403, code="too-old")
            page.delete_cookie(CSRF_COOKIE)  # the next page sets a new cookie
            return page
        return _error_page(request, error.status_code)

    def on_failure(request: ConsoleRequest, error: Exception) -> Response[str]:
        if isinstance(error, Unavailable | NotConfigured):
            log.warning("unavailable", path=request.scope["path"], reason=str(error).partition("\n")[0])
            return _error_page(request, 503)
        log.error("page_failed", path=request.scope["path"], exc_info=error)
        return _error_page(request, 500)

    def _error_page(request: ConsoleRequest, status_code: int) -> Response[str]:
        code = status_code if status_code in _PAGES else (500 if status_code >= 500 else 400)
        return show(visit_of(options, request), "error.html", status_code=status_code, code=str(code))

    return {HTTPException: on_http_error, Exception: on_failure}


def _ask_to_sign_in(request: ConsoleRequest) -> Response[str]:
    """Redirect to the start page, and after signing in back to the wanted page, if it can be requested again."""
    start = f"/?next={quote(address_of(request), safe='')}" if request.method == "GET" else "/?next="
    if "hx-request" in request.headers:  # a part of a page was requested: redirect the whole page
        return Response("", status_code=401, headers={"hx-redirect": "/?next="})
    return go_to(start)


def _ask_for_second_factor(request: ConsoleRequest) -> Response[str]:
    """Redirect to the account page, which says what is to be done."""
    if "hx-request" in request.headers:
        return Response("", status_code=403, headers={"hx-redirect": ACCOUNT})
    return go_to(ACCOUNT)


def _page_was_too_old(request: ConsoleRequest) -> bool:
    return request.method not in SAFE_METHODS and not isinstance(ScopeState.from_scope(request.scope).csrf_token, str)
