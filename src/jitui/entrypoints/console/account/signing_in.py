"""What every way to sign in shares: whose browser it is, what is told of refusals, and the cookie of a session."""

from __future__ import annotations

from litestar.datastructures import Cookie
from litestar.response import Response

from jitui.entrypoints.console.page.access import SESSION_COOKIE
from jitui.entrypoints.console.page.origin import is_tls
from jitui.entrypoints.console.page.visit import ACCOUNT, HOMES, ConsoleRequest, Visit, go_to
from jitui.entrypoints.http.client import client_of
from jitui.identity.people import SESSION_LASTS, Browser, SignedIn, SignInFault, Tell, sign_out
from jitui.logs import get_logger

log = get_logger("jitui.console")


def browser_of(visit: Visit, request: ConsoleRequest) -> Browser:
    """The browser that a request comes from."""
    address = client_of(request.scope, visit.service.settings.trusted_proxies).counted_as
    return Browser(address, request.headers.get("user-agent", ""))


def telling(visit: Visit, request: ConsoleRequest) -> Tell:
    """Counts refused sign-ins and logs them, without what was typed; of the same one line a minute."""
    metrics = request.app.state.get("metrics")
    client = browser_of(visit, request).address

    def tell(fault: SignInFault, name: str | None) -> None:
        if metrics is not None:
            metrics.sign_in_refused(fault.value)
        if visit.options.log_lines.may_write(fault.value, name or client):
            log.warning("sign_in_refused", reason=fault.value, person=name, client=client)

    return tell


async def welcome(visit: Visit, request: ConsoleRequest, done: SignedIn, next_path: str) -> Response[str]:
    """The old session, if there is one, ends; its token is not used again."""
    if request.auth:
        await sign_out(visit.service.people, request.auth)
    home = HOMES[done.person.role]
    area = home.rsplit("/", 1)[0] or home
    mine = any(next_path == own or next_path.startswith(f"{own}/") for own in (area, ACCOUNT))
    response = go_to(next_path if mine else home, otherwise=home)
    response.set_cookie(cookie(request, SESSION_COOKIE, done.token, int(SESSION_LASTS.total_seconds())))
    return response


def cookie(request: ConsoleRequest, key: str, value: str, max_age: int) -> Cookie:
    """A cookie for this site alone, which no script reads."""
    return Cookie(key=key, value=value, max_age=max_age, httponly=True, samesite="lax", secure=is_tls(request))
