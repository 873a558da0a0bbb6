"""One formatter for our own lines and those of libraries: levels, formats, ids, secrets, repetitions."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from jitui import logs
from jitui.errors import InvariantBroken, Unavailable
from jitui.logs.lines import StandardError
from jitui.settings import LogFormat, LogLevel, Settings

PASSWORD = "planted-password-of-a-library"


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Any]:
    """Configures the log; afterwards it is as it was."""

    def configure(level: LogLevel = LogLevel.INFO, format_: LogFormat = LogFormat.JSON) -> None:
        url = f"postgresql://me:{PASSWORD}@host/db"
        logs.configure(Settings(home=tmp_path, log_level=level, log_format=format_, database_url=url))

    yield configure
    structlog.contextvars.clear_contextvars()
    logs.configure(Settings(home=tmp_path))


def written(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_librarys_line_has_the_same_form_as_our_own(configured: Any, capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    logs.name_request("ask-7", "4bf92f3577b34da6a3ce929d0e0e4736")
    logs.get_logger("jitui.test").warning("ours", order="o-1")
    logging.getLogger("uvicorn.error").warning("theirs, with %s", PASSWORD)
    ours, theirs = written(capsys)
    assert (ours["event"], ours["order"], ours["logger"]) == ("ours", "o-1", "jitui.test")
    assert (theirs["event"], theirs["logger"]) == ("theirs, with [hidden]", "uvicorn.error")
    for line in (ours, theirs):
        assert (line["level"], line["request_id"]) == ("warning", "ask-7")
        assert line["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
        assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        (LogLevel.DEBUG, ["debug", "info", "warning", "error", "theirs"]),
        (LogLevel.INFO, ["info", "warning", "error", "theirs"]),
        (LogLevel.WARNING, ["warning", "error", "theirs"]),
        (LogLevel.ERROR, ["error"]),
    ],
    ids=lambda value: value.value if isinstance(value, LogLevel) else "",
)
def test_levels_are_obeyed(
    configured: Any, capsys: pytest.CaptureFixture[str], level: LogLevel, seen: list[str]
) -> None:
    configured(level)
    ours = logs.get_logger("jitui.test")
    for name in ("debug", "info", "warning", "error"):
        getattr(ours, name)(name)
    logging.getLogger("httpx").info("a library at its own work")
    logging.getLogger("httpx").warning("theirs")
    assert [line["event"] for line in written(capsys)] == seen


def test_the_standard_librarys_loggers_below_jitui_obey_too(
    configured: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    configured()
    logging.getLogger("jitui.processes").info("started")
    assert [line["event"] for line in written(capsys)] == ["started"]


def test_an_expected_error_is_a_sentence_and_a_surprise_has_its_trace(
    configured: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    configured(format_=LogFormat.CONSOLE)
    log = logs.get_logger("jitui.test")
    logs.tell_failure(log, "step_failed", Unavailable("The database does not answer.\nmore"), step="claim")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("[warning] step_failed reason='The database does not answer.' step='claim'")
    for surprise in (ZeroDivisionError("a"), InvariantBroken("The database refused a write.")):
        try:
            raise surprise
        except Exception as error:
            logs.tell_failure(log, f"failed_{type(error).__name__}", error, step="claim")
        told = capsys.readouterr().err
        assert "[error]" in told and "Traceback" in told


def test_a_repeated_error_is_counted_and_each_task_of_an_operator_is_told(
    configured: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    configured()
    for number in range(3):
        logs.get_logger("jitui.test").error("failed", reason="again", refund=number)
        logging.getLogger("psycopg.pool").warning("error connecting in %r: no %d", "pool-1", number)
        logs.get_logger("jitui.tasks").warning("refund_failed", reason="again", order=f"o-{number}")
        logs.get_logger("jitui.test").info("news", reason="again")
    counted = [line["event"] for line in written(capsys)]
    assert sorted(counted) == [
        *("error connecting in 'pool-1': no 0", "failed"),
        *["news"] * 3,
        *["refund_failed"] * 3,
    ]
    for handler in logging.getLogger().handlers:
        if isinstance(handler, StandardError):
            handler.tick(all_of_them=True)
    told = {line["logger"]: line for line in written(capsys)}
    assert (told["jitui.test"]["again"], told["jitui.test"]["level"]) == (2, "error")
    assert told["jitui.test"]["refund"] == "0 1 2"
    assert (told["psycopg.pool"]["again"], told["psycopg.pool"]["level"]) == (2, "warning")
    assert "timestamp" in told["psycopg.pool"]


def test_two_faults_at_two_places_are_two(configured: Any, capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    log = logs.get_logger("jitui.test")
    for _ in range(2):
        try:
            _ = 1 // 0
        except ZeroDivisionError:
            log.exception("failed")
    try:
        _ = [][0]
    except IndexError:
        log.exception("failed")
    found = written(capsys)
    assert len(found) == 2
    assert all("Traceback" in line["exception"] for line in found)


def test_a_line_that_cannot_be_formatted_stops_nobody_and_shows_nothing(
    configured: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    configured()

    class Awkward:
        def __str__(self) -> str:
            raise RuntimeError(PASSWORD)

    (ours,) = (handler for handler in logging.getLogger().handlers if isinstance(handler, StandardError))
    for message, arguments in (("%s", (Awkward(),)), ("%d of %s", ("no number",))):
        ours.handle(logging.LogRecord("lib", logging.WARNING, __file__, 1, message, arguments, None))
        told = capsys.readouterr().err
        assert PASSWORD not in told
        assert told == f"a line of lib could not be written: {'RuntimeError' if message == '%s' else 'TypeError'}\n"


def test_a_secret_of_the_settings_is_hidden_whatever_its_shape(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = "0123456789abcdef-0123"
    logs.configure(Settings(home=tmp_path, metrics_token=token))
    logs.get_logger("jitui.test").warning("seen", id=token, request_id="01a21b8b-c3bb-77c3-a940-0d78fa255ea3")
    told = capsys.readouterr().err
    assert token not in told and "01a21b8b-c3bb-77c3-a940-0d78fa255ea3" in told
    logs.configure(Settings(home=tmp_path))


def test_the_line_of_a_request_obeys_the_level_and_has_the_form_of_all_lines(
    configured: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    configured()
    logs.name_request("ask-7")
    logs.write_event("jitui.access", logging.DEBUG, "request", route="/healthz")
    logs.write_event("jitui.access", logging.INFO, "request", route="/a", status=200, key_id=None, ms=0.4)
    for _ in range(3):
        logs.write_event("jitui.access", logging.WARNING, "request", route="/b", status=503)
    first, second = written(capsys)
    assert list(first)[:5] == ["timestamp", "level", "logger", "event", "request_id"]
    assert (first["route"], first["status"], first["level"], first["request_id"]) == ("/a", 200, "info", "ask-7")
    assert (second["route"], second["level"]) == ("/b", "warning"), "the same again is counted"
