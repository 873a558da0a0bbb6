"""The only reader of the environment: every `JITUI_…` variable, its type and its default.

People read about them in docs/reference/settings.md; a test keeps the two together.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from jitui.errors import NotConfigured

PREFIX = "JITUI_"
VARIABLES_OF_TESTS = frozenset({"JITUI_TEST_DATABASE_URL"})
"""Read by the test suite alone; the application neither reads nor refuses them."""

_Value = TypeVar("_Value")
_Word = TypeVar("_Word", bound=StrEnum)


class Language(StrEnum):
    ZH_CN = "zh-CN"
    EN = "en"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


class _Expected(ValueError):
    """Says what a value should have been: the end of the sentence 'X must be …'."""


def _folder(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_absolute():
        raise _Expected("an absolute path of a folder")
    if path.exists() and not path.is_dir():
        raise _Expected("the path of a folder")
    return path


def _file(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    if not path.is_file():
        raise _Expected("the path of a file that exists")
    return path


def _secret_file(text: str) -> Path:
    path = _file(text)
    if not read_secret_file(path):
        raise _Expected("the path of a file that holds one secret on one line")
    return path


def read_secret_file(path: Path) -> str:
    """The one secret that the file holds; empty where it holds none, more than one line, or cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return ""
    return lines[0] if len(lines) == 1 else ""


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
            raise _Expected(f"a whole number from {least} to {most}")
        return int(text)

    return parse


def _word(words: type[_Word]) -> Callable[[str], _Word]:
    def parse(text: str) -> _Word:
        for word in words:
            if word.value.casefold() == text.casefold():
                return word
        raise _Expected("one of " + ", ".join(words))

    return parse


def _time_zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):  # not in the database, not a key at all, a folder of the database
        raise _Expected("a zone of the IANA database, such as Asia/Shanghai") from None


def _host(text: str) -> str:
    if any(sign in text for sign in "/ @"):
        raise _Expected("a host name or an address to listen on, without scheme or port")
    return text


def _postgres_url(text: str) -> str:
    if urlsplit(text).scheme not in ("postgresql", "postgres"):
        raise _Expected("an address such as postgresql://user:password@host:5432/database")
    return text


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _Expected("an address such as http://127.0.0.1:8100")
    return text.rstrip("/")


def _key(text: str) -> str:
    if len(text) < 16:
        raise _Expected("at least 16 characters long")
    return text


def _setting(parse: Callable[[str], _Value], default: _Value, *, secret: bool = False) -> _Value:
    """One field with the parser that reads it; a secret is shown neither in `repr` nor in an error."""
    return field(default=default, repr=not secret, metadata={"parse": parse, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Each field `x_y` is the variable `JITUI_X_Y`."""

    home: Path = field(metadata={"parse": _folder, "secret": False})
    database_url: str | None = _setting(_postgres_url, None, secret=True)
    embedded_start_seconds: int = _setting(_whole(1, 86_400), 120)
    host: str = _setting(_host, "127.0.0.1")
    port: int = _setting(_whole(0, 65_535), 8000)
    time_zone: ZoneInfo = _setting(_time_zone, ZoneInfo("Asia/Shanghai"))
    language: Language = _setting(_word(Language), Language.ZH_CN)
    policy_file: Path | None = _setting(_file, None)
    simulator_url: str | None = _setting(_http_url, None)
    simulator_key: str | None = _setting(_key, None, secret=True)
    simulator_webhook_secret: str | None = _setting(_key, None, secret=True)
    stripe_secret_key_file: Path | None = _setting(_secret_file, None)
    stripe_webhook_secret_file: Path | None = _setting(_secret_file, None)
    stripe_api_base: str | None = _setting(_http_url, None)
    pool_size: int = _setting(_whole(1, 1_000), 16)
    worker_batch: int = _setting(_whole(1, 10_000), 64)
    worker_lease_seconds: int = _setting(_whole(1, 86_400), 60)
    provider_timeout_seconds: int = _setting(_whole(1, 600), 10)
    log_level: LogLevel = _setting(_word(LogLevel), LogLevel.INFO)
    log_format: LogFormat = _setting(_word(LogFormat), LogFormat.CONSOLE)

    @property
    def embedded_folder(self) -> Path:
        """Where the embedded PostgreSQL lives when `database_url` is not set."""
        return self.home / "postgres"


def variable_names() -> tuple[str, ...]:
    """All variables that the application reads, in the order of the fields."""
    return tuple(PREFIX + item.name.upper() for item in fields(Settings))


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read every setting once; an empty value counts as not set.

    Raises NotConfigured, naming the variable and what was expected, for a bad value, an unknown `JITUI_…`
    name, or settings that do not go together.
    """
    _refuse_unknown(environ)
    values: dict[str, Any] = {"home": _default_home(environ)}
    for item in fields(Settings):
        name = PREFIX + item.name.upper()
        text = environ.get(name, "").strip()
        if not text:
            continue
        try:
            values[item.name] = item.metadata["parse"](text)
        except _Expected as expected:
            given = "" if item.metadata["secret"] else f", not {text!r}"
            raise NotConfigured(f"{name} must be {expected}{given}.") from None
    settings = Settings(**values)
    _check_together(settings)
    return settings


def environment_for(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a child process that is to read exactly these settings, and ours in all else."""
    environment = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    for item in fields(Settings):
        value = getattr(settings, item.name)
        if value is not None:
            environment[PREFIX + item.name.upper()] = value.key if isinstance(value, ZoneInfo) else str(value)
    return environment


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = variable_names()
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in known or name in VARIABLES_OF_TESTS:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "docs/reference/settings.md lists the known ones."
        raise NotConfigured(f"{name} is not a setting of Jitui; {hint}")


def _check_together(settings: Settings) -> None:
    simulator = {
        "JITUI_SIMULATOR_URL": settings.simulator_url,
        "JITUI_SIMULATOR_KEY": settings.simulator_key,
        "JITUI_SIMULATOR_WEBHOOK_SECRET": settings.simulator_webhook_secret,
    }
    missing = [name for name, value in simulator.items() if value is None]
    if missing and len(missing) < len(simulator):
        raise NotConfigured(
            f"{' and '.join(missing)} must be set too: the simulator needs its address, key and secret."
        )
    _check_stripe(settings)
    if settings.worker_lease_seconds <= settings.provider_timeout_seconds:
        raise NotConfigured(
            f"JITUI_WORKER_LEASE_SECONDS ({settings.worker_lease_seconds}) must be longer than"
            f" JITUI_PROVIDER_TIMEOUT_SECONDS ({settings.provider_timeout_seconds}),"
            " or a second worker takes a refund while its call is still open."
        )


def _check_stripe(settings: Settings) -> None:
    files = {
        "JITUI_STRIPE_SECRET_KEY_FILE": settings.stripe_secret_key_file,
        "JITUI_STRIPE_WEBHOOK_SECRET_FILE": settings.stripe_webhook_secret_file,
    }
    missing = [name for name, value in files.items() if value is None]
    if missing and (len(missing) < len(files) or settings.stripe_api_base is not None):
        raise NotConfigured(f"{' and '.join(missing)} must be set too: Stripe needs its key and its webhook secret.")


def _default_home(environ: Mapping[str, str]) -> Path:
    data = environ.get("XDG_DATA_HOME", "")
    if data.startswith("/"):  # the XDG specification says that a relative path is to be ignored
        return Path(data) / "jitui"
    home = environ.get("HOME", "")
    return (Path(home) if home.startswith("/") else Path.home()) / ".local" / "share" / "jitui"
