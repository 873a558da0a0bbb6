"""Adds the console to an application, with its own routes, sessions, CSRF protection and error pages."""

from __future__ import annotations

from datetime import timedelta
from functools import cache

from litestar import Litestar, Router, get
from litestar.datastructures import CacheControlHeader
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.static_files import create_static_files_router
from litestar.types import ControllerRouterHandler

from jitui.bootstrap import Service
from jitui.entrypoints.console import benefit, published
from jitui.entrypoints.console.account import openid, start
from jitui.entrypoints.console.account import outage as outage_pages
from jitui.entrypoints.console.account import pages as account
from jitui.entrypoints.console.buyer import pages as buyer
from jitui.entrypoints.console.merchant import pages as merchant
from jitui.entrypoints.console.operations import pages as operations
from jitui.entrypoints.console.page.access import Sessions
from jitui.entrypoints.console.page.csrf import protected_forms
from jitui.entrypoints.console.page.errors import error_pages
from jitui.entrypoints.console.page.visit import (
    LIVE_FOR,
    STATIC,
    AnyConnection,
    ConsoleOptions,
    ConsoleRequest,
    ProviderOutage,
    Visit,
    asset,
    visit_of,
)
from jitui.entrypoints.console.risk import pages as risk
from jitui.entrypoints.console.shopper import pages as shopper
from jitui.entrypoints.console.support import cases, search
from jitui.entrypoints.http.headers import guard_answer

LARGEST_FORM_BYTES = 100_000
AREAS = ("account", "buyer", "merchant", "operations", "platform", "risk", "shop", "support")
ASSETS = (
    "vendor/tabler.min.css",
    "vendor/htmx.min.js",
    "vendor/echarts.common.min.js",
    "charts.js",
    "console.css",
    "console.js",
    "theme.js",
    "icon.svg",
    "jitui-button.js",
)


def console_handlers(
    *, one_click: bool = False, live_for: timedelta = LIVE_FOR, outage: ProviderOutage | None = None
) -> list[ControllerRouterHandler]:
    """The console's routes, to be served beside the API; the service is `request.app.state.jitui`.

    With `one_click`, which is only for demos, a visitor on this machine may sign in as a sample person without a
    password, and make the payment provider refuse (`outage`). Raises NotConfigured when the style sheets and scripts
    from npm are missing.
    """
    options = ConsoleOptions(one_click, live_for, outage)
    require_assets()

    def visit(request: ConsoleRequest) -> Visit:
        return visit_of(options, request)

    pages = Router(
        "/",
        route_handlers=[
            *start.HANDLERS,
            *outage_pages.HANDLERS,
            *openid.HANDLERS,
            *account.HANDLERS,
            *published.HANDLERS,
            shopper.ROUTER,
            account.ROUTER,
            buyer.ROUTER,
            merchant.ROUTER,
            operations.ROUTER,
            risk.ROUTER,
            benefit.ROUTER,
            search.ROUTER,
            cases.ROUTER,
            no_such_page,
        ],
        dependencies={"visit": Provide(visit, sync_to_thread=False)},
        middleware=[Sessions, protected_forms],
        exception_handlers=error_pages(options),
        request_max_body_size=LARGEST_FORM_BYTES,
        include_in_schema=False,
    )
    static = create_static_files_router(
        "/static",
        directories=[STATIC],
        cache_control=CacheControlHeader(public=True, max_age=31_536_000, immutable=True),
        include_in_schema=False,
        guards=[only_ours],
        exception_handlers=error_pages(options),
    )
    return [pages, static]


def require_assets() -> None:
    """Raises NotConfigured, with what to do, when the style sheets and scripts from npm are missing."""
    for name in ASSETS:
        asset(name)


def console_app(
    service: Service, *, one_click: bool = False, live_for: timedelta = LIVE_FOR, outage: ProviderOutage | None = None
) -> Litestar:
    """An application with the console alone."""
    litestar = Litestar(
        route_handlers=console_handlers(one_click=one_click, live_for=live_for, outage=outage),
        exception_handlers=error_pages(ConsoleOptions(one_click)),
        before_send=[guard_answer],
        openapi_config=None,
        logging_config=None,
    )
    litestar.state.jitui = service
    return litestar


def only_ours(connection: AnyConnection, _: BaseRouteHandler) -> None:
    """Refuse names that are not ours before they reach the file system, which has its own limits and errors."""
    if connection.path_params.get("file_path", "").removeprefix("/") not in _files():
        raise NotFoundException


@cache
def _files() -> frozenset[str]:
    return frozenset(str(path.relative_to(STATIC)) for path in STATIC.rglob("*") if path.is_file())


@get(
    [
        "/{page:str}",
        *(f"/{area}/{{rest:path}}" for area in AREAS),
    ]
)
async def no_such_page() -> None:
    """The 404 page in the reader's language."""
    raise NotFoundException
