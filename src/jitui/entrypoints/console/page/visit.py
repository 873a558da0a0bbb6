"""One visit to a page: reader, language and theme; and the function that renders pages."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import jinja2
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.params import SkipValidation
from litestar.response import Response
from litestar.utils.scope.state import ScopeState
from msgspec import json

from jitui.aftersales.model.ticket import TicketState
from jitui.aftersales.operations.failure_reasons import is_own_reason
from jitui.bootstrap import Service
from jitui.entrypoints.console.page.code_limits import CodeLimits
from jitui.entrypoints.console.page.isolation import ExactAttributes, exact, isolate_values_of_messages, shown
from jitui.entrypoints.console.page.language import Speech, catalogue, choose
from jitui.entrypoints.console.page.loopback import is_on_this_machine
from jitui.entrypoints.console.words import codes
from jitui.entrypoints.console.words.operations import operations_links
from jitui.entrypoints.http.log_lines import LogLines
from jitui.errors import NotConfigured
from jitui.identity.access import Role
from jitui.identity.people import Person
from jitui.settings import Language

HERE = Path(__file__).parent.parent
STATIC = HERE / "static"
LANGUAGE_COOKIE = "jitui_language"
THEME_COOKIE = "jitui_theme"
ACCOUNT = "/account"
LIVE_FOR = timedelta(minutes=10)
_OWN_HOMES = {
    Role.BUYER: "/buyer/orders",
    Role.MERCHANT: "/merchant/tickets",
    Role.SUPPORT: "/search",
    Role.RISK: "/risk/policies",
    Role.OPERATOR: "/operations/tasks",
    Role.AUDITOR: "/operations/tasks",
    Role.ADMIN: "/operations/audit",
}
HOMES = {role: _OWN_HOMES.get(role, ACCOUNT) for role in Role}
"""Where each role comes to at sign-in; roles without pages of their own yet come to their account."""

POLICY_OF_CONTENT = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # Tabler's style sheet has its small images as data URLs
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
PAGE_HEADERS = {
    "content-security-policy": POLICY_OF_CONTENT,
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}

ConsoleRequest = Request[Person | None, str | None, State]
AnyConnection = ASGIConnection[Any, Person | None, str | None, State]
Page = Response[str]


class Theme(StrEnum):
    """Light or dark, as chosen, or as the reader's system is set."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


class ProviderOutage(Protocol):
    """Makes the demo's payment provider refuse every refund, until it is mended."""

    async def is_on(self) -> bool | None:
        """Whether it refuses; None when it cannot be asked."""
        ...

    async def turn(self, *, on: bool) -> bool:
        """Make it refuse, or mend it; False when it did not answer."""
        ...


@dataclass(frozen=True, slots=True)
class ConsoleOptions:
    """The options of this console; in a demo a visitor may sign in as a sample person by one click (decision 0051).

    `outage`: in a demo, how a visitor makes the payment provider refuse, and mends it.
    `live_for`: how long the live page is sent figures until its browser has to ask again.
    """

    one_click: bool = False
    live_for: timedelta = LIVE_FOR
    outage: ProviderOutage | None = None
    log_lines: LogLines = field(default_factory=LogLines)
    code_limits: CodeLimits = field(default_factory=CodeLimits)


@dataclass(frozen=True, slots=True)
class Visit:
    """What every page knows; `here` is the address to return to after a change of language."""

    service: Service
    options: ConsoleOptions
    person: Person | None
    speech: Speech
    theme: Theme
    csrf_token: str
    here: str

    @property
    def reader(self) -> Person:
        """The person who is signed in; only for pages behind a guard."""
        assert self.person is not None
        return self.person


Visiting = NamedDependency[SkipValidation[Visit]]


def service_of(connection: AnyConnection) -> Service:
    """The open service of the application."""
    service: Service = connection.app.state.jitui
    return service


def visit_of(options: ConsoleOptions, request: ConsoleRequest) -> Visit:
    """The visit of a request; it does not read the database, so that error pages can be rendered too.

    What only a demo offers, it offers on the machine that it runs on: for all others the options are those of no demo.
    """
    if options.one_click and not is_on_this_machine(request):
        options = replace(options, one_click=False, outage=None)
    service = service_of(request)
    language = choose(
        request.cookies.get(LANGUAGE_COOKIE), request.headers.get("accept-language", ""), service.settings.language
    )
    theme = request.cookies.get(THEME_COOKIE)
    token = ScopeState.from_scope(request.scope).csrf_token
    here = address_of(request)
    return Visit(
        service=service,
        options=options,
        person=request.scope.get("user"),
        speech=Speech(language, service.settings.time_zone),
        theme=Theme(theme) if theme in tuple(Theme) else Theme.SYSTEM,
        csrf_token=token if isinstance(token, str) else "",
        here=here if request.method == "GET" else "/",
    )


def address_of(request: AnyConnection) -> str:
    """Path and query of a request; nothing of its Host header, which may be no address at all."""
    path, query = str(request.scope["path"]), request.scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


def show(visit: Visit, template: str, /, *, status_code: int = 200, **values: object) -> Page:
    """A page or a part of one, with the headers that every page has."""
    return Response(
        _environment(visit.speech).get_template(template).render(visit=visit, **values),
        status_code=status_code,
        media_type=MediaType.HTML,
        headers=PAGE_HEADERS,
    )


def go_to(path: str, *, otherwise: str = "/") -> Page:
    """Redirect after a form was sent, to a page of this site.

    Only this function and `leave_for` write a Location header.

    A path that would leave the site is replaced by `otherwise`.
    """
    where = path if is_local(path) else otherwise
    headers = {"location": quote(where, safe=_WRITTEN_AS_IT_IS), **PAGE_HEADERS}
    return Response("", status_code=303, media_type=MediaType.HTML, headers=headers)


def leave_for(address: str) -> Page:
    """Redirect to the OpenID Connect issuer; the address is ours to the letter, and never a reader's."""
    headers = {"location": quote(address, safe=_WRITTEN_AS_IT_IS), **PAGE_HEADERS}
    return Response("", status_code=303, media_type=MediaType.HTML, headers=headers)


_WRITTEN_AS_IT_IS = "/?#[]@!$&'()*+,;=:%~"
"""Characters that an address may have unescaped, with the percent sign; all others become %XX of their UTF-8."""


def is_local(path: str) -> bool:
    """Whether a path from outside stays on this site, however a browser reads it."""
    if not path.startswith("/") or path.startswith("//") or "\\" in path or not path.isprintable():
        return False
    try:
        parts = urlsplit(path)
    except ValueError:
        return False
    return not parts.scheme and not parts.netloc


@cache
def _environment(speech: Speech) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n", ExactAttributes],
        finalize=shown,
    )
    # the extension adds its methods when it is loaded, which type checkers do not see
    extended: Any = environment
    extended.install_gettext_translations(catalogue(speech.language), newstyle=True)
    isolate_values_of_messages(environment)
    environment.globals |= {
        "asset": asset,
        "Language": Language,
        "Theme": Theme,
        "TicketState": TicketState,
        "homes": HOMES,
        "is_own_reason": is_own_reason,
        "operations_links": operations_links,
        "why_words": codes.WHY,
    }
    environment.filters |= {
        "exact": exact,
        "word": speech.word,
        "money": speech.money,
        "moment": speech.moment,
        "minute": speech.minute,
        "day": speech.day,
        "duration": speech.duration,
        "number": speech.number,
        "fact": lambda value: value if isinstance(value, str) else json.encode(value).decode(),
    }
    return environment


@cache
def asset(name: str) -> str:
    """The address of a static file with its hash, so that browsers can cache it for good."""
    path = STATIC / name
    if not path.is_file():
        raise NotConfigured(f"The console's file {name} is missing; run `make setup`, which brings it.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return f"/static/{name}?v={digest}"
