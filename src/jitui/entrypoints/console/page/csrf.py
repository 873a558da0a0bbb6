"""Protects forms from other sites: each form has a token that belongs to the session in which it was shown."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from litestar import Request
from litestar.datastructures import Cookie, MutableScopeHeaders
from litestar.exceptions import PermissionDeniedException
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.utils.scope.state import ScopeState

from jitui.entrypoints.console.page.access import SESSION_COOKIE
from jitui.entrypoints.console.page.origin import is_foreign, is_tls
from jitui.entrypoints.console.page.visit import ConsoleRequest
from jitui.identity.people import installation_secret

CSRF_COOKIE = "jitui_csrf"
TOKEN_FIELD = "_csrf_token"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def protected_forms(app: ASGIApp) -> ASGIApp:
    """Refuses requests from other sites, and forms without the token of this session.

    Visitors have a cookie of their own instead of a session, so their token is not valid after signing in. The secret
    is the same for all processes on a database.
    """

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["litestar_app"].state
        if "console_csrf_secret" not in state:
            state.console_csrf_secret = await installation_secret(state.jitui.people, "csrf")
        request: ConsoleRequest = Request(scope, receive)
        visitor = request.cookies.get(CSRF_COOKIE) or ""
        session = request.cookies.get(SESSION_COOKIE) or ""
        known = visitor or secrets.token_urlsafe(32)
        token = token_of(state.console_csrf_secret, session, known)
        if request.method not in SAFE_METHODS:
            await _refuse_others(request, token)
        ScopeState.from_scope(scope).csrf_token = token
        new = None if visitor or session else _cookie(request, known)
        await app(scope, receive, send if new is None else _sending(new, send))

    return middleware


def token_of(secret: str, session: str, visitor: str) -> str:
    """The token of a session, or of a visitor's cookie when there is no session."""
    bound_to = f"session {session}" if session else f"visitor {visitor}"
    return hmac.new(secret.encode(), bound_to.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


async def _refuse_others(request: ConsoleRequest, token: str) -> None:
    if is_foreign(request):
        raise PermissionDeniedException("Another site sent this.")
    sent = ""
    if request.content_type[0] in _FORMS:
        sent = str((await request.form()).get(TOKEN_FIELD, ""))
    if not hmac.compare_digest(sent.encode("utf-8", "surrogatepass"), token.encode()):
        raise PermissionDeniedException("The form is not of this session.")


def _cookie(request: ConsoleRequest, value: str) -> bytes:
    cookie = Cookie(key=CSRF_COOKIE, value=value, httponly=True, samesite="lax", secure=is_tls(request))
    return cookie.to_header(header="").encode()


def _sending(cookie: bytes, send: Send) -> Send:
    """INVARIANT: what a shared cache may keep has no cookie, which it would give to others."""

    async def with_cookie(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableScopeHeaders.from_message(message)
            if "public" not in headers.get("cache-control", ""):
                headers.add("set-cookie", cookie.decode())
        await send(message)

    return with_cookie
