"""The service's log: one line an event, on standard error; no local values, no secrets, nothing that steers a terminal.

Importing this module makes structlog and the standard library log so, whoever logs first: what structlog does
unconfigured is to print every local variable beside a trace, passwords included. `configure` adds what is set.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog
from structlog.typing import EventDict, Processor

from jitui.settings import LogFormat, Settings, read_secret_file
from jitui.text import visible

HIDDEN = "[hidden]"
_SHORTEST_SECRET = 6
_LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)

# Secrets by their shape, wherever they come from: an API key, a webhook's secret, the password in an address, what a
# header carries, a one-time link, the token of a session (43 characters of base64url).
_SHAPES = (
    (re.compile(r"jt_[0-9A-Za-z]{1,64}_[0-9A-Za-z_-]{1,128}"), HIDDEN),
    (re.compile(r"whsec_[0-9A-Za-z+/=_-]{8,128}"), HIDDEN),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s]*@", re.IGNORECASE), rf"\1:{HIDDEN}@"),
    (re.compile(r"(/welcome/)[^\s/?#'\"]+"), rf"\1{HIDDEN}"),
    (re.compile(r"\b(bearer|basic)\s+[^\s'\",;]+", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (
        re.compile(r"(?<![\w-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*\d)[A-Za-z0-9_-]{43}(?![\w-])"),
        HIDDEN,
    ),
)
_NAMED = re.compile(
    r"\b([\w-]*(?:password|passwd|secret|token|authorization|cookie|session)[\w-]*['\"]?\s*[=:]\s*)"
    r"(?!\[hidden\])('[^']*'|\"[^\"]*\"|[^\s&;,'\"]+)",
    re.IGNORECASE,
)
"""What follows the name of a header, field or cookie that carries a secret."""

_known: tuple[str, ...] = ()
"""Secrets of this process's own settings, longest first."""


def get_logger(name: str) -> Any:
    """A logger of the service."""
    return structlog.get_logger(name)


def name_request(request_id: str) -> None:
    """Put the id of the request that is being answered into every line of the log about it."""
    structlog.contextvars.bind_contextvars(request_id=request_id)


def configure(settings: Settings) -> None:
    """Log at the level and in the format that are set, and never a secret of the settings."""
    global _known
    _known = tuple(sorted(_secrets_of(settings), key=len, reverse=True))
    _install(settings.log_level.value, settings.log_format)


def without_secrets(text: str) -> str:
    """The text with everything hidden that is, or looks like, a secret."""
    return _hidden(text, by_name=True)


def _hidden(text: str, *, by_name: bool) -> str:
    """`by_name`: what follows the name of a secret too; the lines of our own source in a trace only name them."""
    for secret in _known:
        text = text.replace(secret, HIDDEN)
    for shape, shown in _SHAPES:
        text = shape.sub(shown, text)
    return _NAMED.sub(rf"\1{HIDDEN}", text) if by_name else text


def trace_of(error: BaseException) -> str:
    """Where an error came from: files, lines and sentences, without the values of variables or of database rows."""
    written = traceback.TracebackException.from_exception(error, capture_locals=False)
    for part in _chain(written, error):
        _leave_out_rows(*part)
    return "".join(written.format())


def _chain(
    written: traceback.TracebackException | None, error: BaseException | None
) -> Iterable[tuple[traceback.TracebackException, BaseException]]:
    if written is None or error is None:
        return
    yield written, error
    yield from _chain(written.__cause__, error.__cause__)
    yield from _chain(written.__context__, error.__context__)
    if isinstance(error, BaseExceptionGroup):
        for inner, one in zip(written.exceptions or (), error.exceptions, strict=False):
            yield from _chain(inner, one)


def _leave_out_rows(written: traceback.TracebackException, error: BaseException) -> None:
    """PostgreSQL's details and notes quote what was sent: its code, its first line and its constraint say enough."""
    state, diag = getattr(error, "sqlstate", None), getattr(error, "diag", None)
    if isinstance(state, str) and diag is not None:  # psycopg's, which need not be imported for that
        said = "" if state.startswith("22") else diag.message_primary  # data exceptions name the value itself
        parts = (state, said, diag.table_name, diag.constraint_name)
        written._str = ", ".join(part for part in parts if part)  # type: ignore[attr-defined]  # no public way


def _secrets_of(settings: Settings) -> set[str]:
    found: set[str] = set(settings.encryption_keys())
    for item in fields(settings):
        value = getattr(settings, item.name)
        if value is None:
            continue
        if item.name.endswith("_file") and item.name != "policy_file" and isinstance(value, Path):
            found.update(line.strip() for line in read_secret_file(value).splitlines() if not line.startswith("-----"))
        elif isinstance(value, tuple):
            continue  # the encryption keys, which stand already, or networks
        elif item.metadata.get("secret"):
            found.add(str(value))
            if "://" in str(value):
                found.update(_passwords_in(str(value)))
    return {secret for secret in found if len(secret) >= _SHORTEST_SECRET}


def _passwords_in(url: str) -> set[str]:
    try:
        password = urlsplit(url).password or ""
    except ValueError:
        password = ""
    queries = re.findall(r"[?&]password=([^&]*)", url)
    return {form for one in (password, *queries) if one for form in (one, unquote(one))}


# Processors ------------------------------------------------------------------------------------------------------


def _traces(_: object, __: str, event: EventDict) -> EventDict:
    info = event.pop("exc_info", None)
    error = info if isinstance(info, BaseException) else None
    if info is True:
        error = sys.exc_info()[1]
    elif isinstance(info, tuple):
        error = info[1]
    if error is not None:
        event["exception"] = trace_of(error)
    event.pop("stack_info", None)
    return event


def _harmless(_: object, __: str, event: EventDict) -> EventDict:
    """Every value as text that hides secrets; only a trace has lines."""
    return {name: _value(name, value) for name, value in event.items()}


def _value(name: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if name == "exception":
        return "\n".join(visible(_hidden(line, by_name=not line.startswith("    "))) for line in str(value).split("\n"))
    return visible(without_secrets(str(value)))


def _on_the_console(_: object, __: str, event: EventDict) -> str:
    """time [level] event name=value …, and a trace below."""
    trace = event.pop("exception", None)
    head = f"{event.pop('timestamp', '')} [{event.pop('level', 'info')}] {event.pop('event', '')}"
    event.pop("logger", None)
    line = " ".join((head, *(f"{name}={value!r}" for name, value in event.items())))
    return line if trace is None else f"{line}\n{trace}"


def _processors(format_: LogFormat) -> list[Processor]:
    written: Processor = structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    return [
        structlog.contextvars.merge_contextvars,  # the id of the request that is being answered
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _traces,
        _harmless,
        _on_the_console if format_ is LogFormat.CONSOLE else written,
    ]


class _OnStandardError(logging.Handler):
    """Hands what uvicorn, asyncio and other libraries log to the same processors."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            message = str(record.msg)
        told: dict[str, Any] = {"exc_info": record.exc_info} if record.exc_info else {}
        if "Traceback (most recent call last)" in message:  # uvicorn hands a trace over as a message
            message, told = "failed", {"exception": message}
        structlog.get_logger(record.name).log(_level_of(record.levelno), message, **told)


def _level_of(number: int) -> int:
    """The nearest level that structlog has a name for; libraries make levels of their own."""
    return max((level for level in _LEVELS if level <= number), default=logging.DEBUG)


class _StandardError:
    """Where lines go: looked up each time, since a process may have moved its standard error."""

    def msg(self, message: str) -> None:
        """One event."""
        stream = sys.stderr
        encoding = getattr(stream, "encoding", None) or "utf-8"
        stream.write(message.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()

    log = debug = info = warning = error = critical = exception = fatal = msg


def _install(level: str, format_: LogFormat) -> None:
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=_processors(format_),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: _StandardError(),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _OnStandardError)]:
        root.removeHandler(handler)
    root.addHandler(_OnStandardError())
    root.setLevel(max(number, logging.WARNING))  # libraries at their own work are nobody's news
    sys.excepthook = _uncaught


def _uncaught(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    """What ends the process: a trace as everywhere else."""
    if issubclass(kind, KeyboardInterrupt):
        return
    _StandardError().msg(isolated_trace(error))


def isolated_trace(error: BaseException) -> str:
    """A trace for a person at a terminal."""
    return str(_value("exception", trace_of(error))).rstrip()


if not structlog.is_configured():
    _install("info", LogFormat.CONSOLE)
