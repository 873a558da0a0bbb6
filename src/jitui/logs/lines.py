"""Writes the lines: structlog hands events to the standard library, where libraries log; one formatter does all.

The level of the settings is that of the service; of libraries, which tell of their own work, warnings are written.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from types import TracebackType
from typing import Any, cast

import msgspec
import structlog
from structlog.typing import EventDict, Processor

from jitui.errors import InvariantBroken, JituiError
from jitui.logs.hiding import harmless, hide_secrets_of
from jitui.logs.repeats import Repeats, Summary, kind_of
from jitui.logs.tracebacks import trace_of
from jitui.settings import LogFormat, Settings

OURS = "jitui"
ALL_TOLD = "jitui.tasks"
"""Each line of this logger is about another task of an operator: none is a repetition."""

TICK_SECONDS = 5.0
_FIRST = ("timestamp", "level", "logger", "event", "request_id", "trace_id")
_AS_IT_IS = frozenset({"timestamp", "level"})
_MARK = "Traceback (most recent call last)"


def get_logger(name: str) -> Any:
    """A logger of the service."""
    return structlog.get_logger(name)


def name_request(request_id: str, trace_id: str | None = None) -> None:
    """Put the id of the request that is being answered into every line of the log about it, and its trace's."""
    structlog.contextvars.bind_contextvars(request_id=request_id)
    name_trace(trace_id)


def name_trace(trace_id: str | None) -> None:
    """Put the id of a trace, where there is one, into every line that this task writes."""
    if trace_id is not None:
        structlog.contextvars.bind_contextvars(trace_id=trace_id)


def tell_failure(log: Any, event: str, error: BaseException, **about: object) -> None:
    """One line: what Jitui raises on purpose says in a sentence what is wrong; a surprise has its trace.

    A check that can never fail and did is a surprise.
    """
    if isinstance(error, JituiError) and not isinstance(error, InvariantBroken):
        log.warning(event, reason=str(error).partition("\n")[0], **about)
    else:
        log.error(event, exc_info=error, **about)


def write_event(logger: str, level: int, event: str, **told: object) -> None:
    """A line of the service, for what happens with every request: a third of the time that a logger takes."""
    if logging.getLogger(logger).isEnabledFor(level):
        name = logging.getLevelName(level).lower()
        line = {**_now(), "level": name, "logger": logger, "event": event, **structlog.contextvars.get_contextvars()}
        about = {"name": logger, "levelno": level, "levelname": name.upper(), "_logger": None, "_name": name}
        logging.getLogger().handle(logging.makeLogRecord({**about, "msg": {**line, **told}}))


def configure(settings: Settings) -> None:
    """Log at the level and in the format that are set, and never a secret of the settings."""
    hide_secrets_of(settings)
    _install(settings.log_level.value, settings.log_format)


def install_default() -> None:
    """Log before anything is configured."""
    if not structlog.is_configured():
        _install("info", LogFormat.CONSOLE)


# Processors ------------------------------------------------------------------------------------------------------


def _traces(_: object, __: str, event: EventDict) -> EventDict:
    if not ("exc_info" in event or "stack_info" in event or _MARK in str(event["event"])):
        return event
    event = dict(event)
    error = _error_of(event.pop("exc_info", None))
    if error is not None:
        event["exception"] = trace_of(error)
    elif _MARK in str(event.get("event")):  # uvicorn hands a trace over as a message
        event["exception"], event["event"] = event["event"], "failed"
    event.pop("stack_info", None)
    return event


def _error_of(info: object) -> BaseException | None:
    if isinstance(info, BaseException):
        return info
    if isinstance(info, tuple):
        return cast("BaseException | None", info[1])
    return sys.exc_info()[1] if info else None


def _harmless(_: object, __: str, event: EventDict) -> EventDict:
    """Every value as text that hides secrets, what all lines have first; only a trace has lines."""
    first = {name: event[name] for name in _FIRST if name in event}
    return {name: value if name in _AS_IT_IS else harmless(name, value) for name, value in {**first, **event}.items()}


def _on_the_console(_: object, __: str, event: EventDict) -> str:
    """time [level] event name=value …, and a trace below."""
    event = dict(event)
    trace = event.pop("exception", None)
    head = f"{event.pop('timestamp', '')} [{event.pop('level', 'info')}] {event.pop('event', '')}"
    event.pop("logger", None)
    line = " ".join((head, *(f"{name}={value!r}" for name, value in event.items())))
    return line if trace is None else f"{line}\n{trace}"


_stamped = structlog.processors.TimeStamper(fmt="iso", utc=True)
_BEFORE: list[Processor] = [
    structlog.contextvars.merge_contextvars,  # the id of the request that is being answered
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    _stamped,
]


def _as_json(_: object, __: str, event: EventDict) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def _now() -> EventDict:
    return _stamped(None, "", {})


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """structlog's, which copies every record; an event of ours is a new dictionary already."""

    def format(self, record: logging.LogRecord) -> str:
        if not hasattr(record, "_name"):
            return super().format(record)
        event: Any = record.msg
        for processor in self.processors[1:]:
            event = processor(None, "", event)
        return str(event)


def _formatter(format_: LogFormat) -> structlog.stdlib.ProcessorFormatter:
    return _Formatter(
        foreign_pre_chain=_BEFORE,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _traces,
            _harmless,
            _on_the_console if format_ is LogFormat.CONSOLE else _as_json,
        ],
    )


# The way to standard error ---------------------------------------------------------------------------------------


class StandardError(logging.Handler):
    """Writes each record as a line, or counts it where it repeats an error; a thread tells of those when it is time."""

    def __init__(self, format_: LogFormat, repeats: Repeats | None = None) -> None:
        super().__init__()
        self.setFormatter(_formatter(format_))
        self.repeats = repeats or Repeats()
        self._ticking: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Called with the handler's lock."""
        try:
            if record.levelno < logging.WARNING or self._is_new(record):
                _write(self.format(record))
        except Exception as error:  # a log must not stop what it tells of, nor show the values that it failed on
            _write(f"a line of {record.name} could not be written: {type(error).__name__}")

    def tick(self, *, all_of_them: bool = False) -> None:
        """Write what is due about errors that repeat."""
        self.acquire()
        try:
            for summary in list(self.repeats.due(all_of_them=all_of_them)):
                _write(self.format(_record_of(summary)))
        finally:
            self.release()

    def close(self) -> None:
        """At the end of the process nothing is left unsaid."""
        self.tick(all_of_them=True)
        super().close()

    def _is_new(self, record: logging.LogRecord) -> bool:
        if record.name == ALL_TOLD:
            return True
        told = _told_by(record)
        is_new = self.repeats.is_new(kind_of(record.name, told), told)
        if not is_new and (self._ticking is None or not self._ticking.is_alive()):
            self._ticking = threading.Thread(target=self._tick_on, name="log", daemon=True)
            self._ticking.start()
        return is_new

    def _tick_on(self) -> None:
        goes_on = True
        while goes_on:
            time.sleep(TICK_SECONDS)
            self.tick()
            self.acquire()
            goes_on = len(self.repeats) > 0
            if not goes_on:
                self._ticking = None
            self.release()


def _told_by(record: logging.LogRecord) -> dict[str, object]:
    """The fields of a line by which it is compared with others."""
    if hasattr(record, "_name"):  # structlog's
        told = {**cast("dict[str, object]", record.msg)}
        error = _error_of(told.get("exc_info"))
    else:
        told = {"event": record.getMessage(), "level": record.levelname.lower()}
        error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        told["raised_at"] = _place_of(error)
        told.setdefault("error", type(error).__name__)
    return told


def _place_of(error: BaseException) -> str:
    """Where in the source it was raised."""
    found = error.__traceback__
    while found is not None and found.tb_next is not None:
        found = found.tb_next
    return "" if found is None else f"{found.tb_frame.f_code.co_filename} line {found.tb_lineno}"


def _record_of(summary: Summary) -> logging.LogRecord:
    """A line about many, at the level of each."""
    told = {name: value for name, value in summary.fields.items() if name != "raised_at"}
    level = str(told.get("level", "warning"))
    event = _stamped(None, level, {**told, "logger": summary.kind[0]})
    return logging.makeLogRecord({"name": summary.kind[0], "msg": event, "_logger": None, "_name": level})


def _write(line: str) -> None:
    """To wherever standard error is now, since a process may have moved it."""
    stream = sys.stderr
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def _install(level: str, format_: LogFormat) -> None:
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*_BEFORE, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, StandardError)]:
        root.removeHandler(handler)
        handler.close()
    root.addHandler(StandardError(format_))
    root.setLevel(max(number, logging.WARNING))  # libraries at their own work are nobody's news
    logging.getLogger(OURS).setLevel(number)
    sys.excepthook = _uncaught


def _uncaught(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    """What ends the process: a trace as everywhere else."""
    if issubclass(kind, KeyboardInterrupt):
        return
    _write(isolated_trace(error))


def isolated_trace(error: BaseException) -> str:
    """A trace for a person at a terminal."""
    return str(harmless("exception", trace_of(error))).rstrip()
