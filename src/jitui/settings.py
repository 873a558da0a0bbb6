"""Every `JITUI_…` environment variable, with its type and default. Only this module reads the environment.

docs/reference/settings.md describes the variables; a test compares it with this module.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from jitui.errors import NotConfigured
from jitui.money import MAX_AMOUNT_MINOR, is_currency
from jitui.text import why_no_id
from jitui.time_zones import named_zone

PREFIX = "JITUI_"
IN_FILE = "_FILE"
VARIABLES_OF_TESTS = frozenset({"JITUI_TEST_DATABASE_URL"})
"""Variables that only the test suite reads; the application ignores them."""

Network = IPv4Network | IPv6Network

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


@dataclass(frozen=True, slots=True)
class CurrencyAmount:
    """An amount of money in a setting, `CNY:100000`."""

    currency: str
    amount_minor: int

    def __str__(self) -> str:
        return f"{self.currency}:{self.amount_minor}"


class YesOrNo(StrEnum):
    YES = "yes"
    NO = "no"


class _Expected(ValueError):
    """A bad value; the message completes the sentence "X must be …"."""


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
        raise _Expected("the path of a file that can be read and holds one secret")
    return path


def read_secret_file(path: Path) -> str:
    """The secret in the file: a word, or a key of several lines. Empty when it has none or cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


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
    zone = named_zone(text)
    if zone is None:
        raise _Expected("a zone of the IANA database, such as Asia/Shanghai")
    return zone


def _host(text: str) -> str:
    if any(sign in text for sign in "/ @"):
        raise _Expected("a host name or an address to listen on, without scheme or port")
    return text


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(word) for word in text.replace(",", " ").split())
    except ValueError:
        raise _Expected("networks such as 10.0.0.0/8 and addresses, with commas between them") from None


def _postgres_url(text: str) -> str:
    if urlsplit(text).scheme not in ("postgresql", "postgres"):
        raise _Expected("an address such as postgresql://user:password@host:5432/database")
    return text


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _Expected("an address such as http://127.0.0.1:8100")
    return text.rstrip("/")


def _amounts(text: str) -> tuple[CurrencyAmount, ...]:
    amounts: dict[str, CurrencyAmount] = {}
    for word in text.replace(",", " ").split():
        currency, colon, minor = word.partition(":")
        whole = minor.isascii() and minor.isdigit() and int(minor) <= MAX_AMOUNT_MINOR
        if not (colon and whole and is_currency(currency)) or currency in amounts:
            raise _Expected("amounts such as CNY:100000,JPY:20000, in minor units, one of each currency")
        amounts[currency] = CurrencyAmount(currency, int(minor))
    return tuple(amounts.values())


def _name(text: str) -> str:
    why = why_no_id(text)
    if why is not None:
        raise _Expected("a name of 1 to 128 visible characters, without spaces or slashes")
    return text


def _alipay_app_id(text: str) -> str:
    if not (text.isascii() and text.isdigit() and len(text) <= 32):
        raise _Expected("the app's number on the open platform, digits only")
    return text


def _word_of_provider(text: str) -> str:
    if not (text.isascii() and text.isalnum()):
        raise _Expected("letters and digits alone")
    return text


def _notify_url(text: str) -> str:
    if urlsplit(_http_url(text)).query or len(text) > 256:
        raise _Expected("an address without parameters, of at most 256 characters")
    return text


def _public_key_id(text: str) -> str:
    if not text.startswith("PUB_KEY_ID_"):
        raise _Expected("the id of a public key, which begins with PUB_KEY_ID_")
    return text


def _key(text: str) -> str:
    if len(text) < 16:
        raise _Expected("at least 16 characters long")
    return text


def _setting(parse: Callable[[str], _Value], default: _Value, *, secret: bool = False) -> _Value:
    """One field with the parser that reads it; a secret is shown neither in `repr` nor in an error.

    A secret may also come from the file that the variable with `_FILE` at its end names.
    """
    return field(default=default, repr=not secret, metadata={"parse": parse, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings: field `x_y` is the variable `JITUI_X_Y`."""

    home: Path = field(metadata={"parse": _folder, "secret": False})
    database_url: str | None = _setting(_postgres_url, None, secret=True)
    embedded_start_seconds: int = _setting(_whole(1, 86_400), 120)
    host: str = _setting(_host, "127.0.0.1")
    port: int = _setting(_whole(0, 65_535), 8000)
    trusted_proxies: tuple[Network, ...] = _setting(_networks, ())
    time_zone: ZoneInfo = _setting(_time_zone, ZoneInfo("Asia/Shanghai"))
    language: Language = _setting(_word(Language), Language.ZH_CN)
    policy_file: Path | None = _setting(_file, None)
    alipay_app_id: str | None = _setting(_alipay_app_id, None)
    alipay_private_key_file: Path | None = _setting(_secret_file, None)
    alipay_public_key_file: Path | None = _setting(_secret_file, None)
    alipay_gateway: str | None = _setting(_http_url, None)
    simulator_url: str | None = _setting(_http_url, None)
    simulator_key: str | None = _setting(_key, None, secret=True)
    simulator_webhook_secret: str | None = _setting(_key, None, secret=True)
    stripe_secret_key_file: Path | None = _setting(_secret_file, None)
    stripe_webhook_secret_file: Path | None = _setting(_secret_file, None)
    stripe_api_base: str | None = _setting(_http_url, None)
    wechat_pay_merchant_id: str | None = _setting(_word_of_provider, None)
    wechat_pay_certificate_serial: str | None = _setting(_word_of_provider, None)
    wechat_pay_private_key_file: Path | None = _setting(_secret_file, None)
    wechat_pay_api_v3_key_file: Path | None = _setting(_secret_file, None)
    wechat_pay_public_key_file: Path | None = _setting(_secret_file, None)
    wechat_pay_public_key_id: str | None = _setting(_public_key_id, None)
    wechat_pay_notify_url: str | None = _setting(_notify_url, None)
    wechat_pay_api_base: str | None = _setting(_http_url, None)
    metrics_token: str | None = _setting(_key, None, secret=True)
    webhook_allowed_networks: tuple[Network, ...] = _setting(_networks, ())
    webhook_allow_http: YesOrNo = _setting(_word(YesOrNo), YesOrNo.NO)
    webhook_timeout_seconds: int = _setting(_whole(1, 60), 10)
    webhook_dead_after_hours: int = _setting(_whole(1, 720), 72)
    webhook_pause_after_hours: int = _setting(_whole(1, 2_160), 120)
    webhook_keep_days: int = _setting(_whole(1, 3_650), 30)
    remote_url: str | None = _setting(_http_url, None)
    api_key: str | None = _setting(_key, None, secret=True)
    pool_size: int = _setting(_whole(1, 1_000), 16)
    rate_per_key: int = _setting(_whole(1, 100_000), 500)
    rate_per_address: int = _setting(_whole(1, 100_000), 100)
    wrong_keys_per_minute: int = _setting(_whole(1, 100_000), 600)
    public_url: str | None = _setting(_http_url, None)
    encryption_key_file: Path | None = _setting(_secret_file, None)
    key_lifetime_days: int = _setting(_whole(1, 3_650), 365)
    usage_max_age_seconds: int = _setting(_whole(2, 3_600), 10)
    worker_batch: int = _setting(_whole(1, 10_000), 64)
    worker_lease_seconds: int = _setting(_whole(1, 86_400), 60)
    worker_name: str | None = _setting(_name, None)
    provider_timeout_seconds: int = _setting(_whole(1, 600), 10)
    settle_alone_up_to: tuple[CurrencyAmount, ...] = _setting(_amounts, (CurrencyAmount("CNY", 100_000),))
    log_level: LogLevel = _setting(_word(LogLevel), LogLevel.INFO)
    log_format: LogFormat = _setting(_word(LogFormat), LogFormat.CONSOLE)

    @property
    def usage_max_age(self) -> timedelta:
        """The age from which rolled-up usage of a cap counts as unknown."""
        return timedelta(seconds=self.usage_max_age_seconds)

    @property
    def console_url(self) -> str:
        """Where people reach the console, for links that are printed."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def webhook_lease(self) -> timedelta:
        """How long an event stays with the worker that sends it: longer than any sending takes."""
        return timedelta(seconds=max(self.worker_lease_seconds, 2 * self.webhook_timeout_seconds + 1))

    def encryption_keys(self) -> tuple[str, ...]:
        """The keys for stored secrets, as their file holds them now; the first encrypts, each of them decrypts."""
        return () if self.encryption_key_file is None else tuple(read_secret_file(self.encryption_key_file).split())

    @property
    def embedded_folder(self) -> Path:
        """The folder of the embedded PostgreSQL, which runs when `database_url` is not set."""
        return self.home / "postgres"


def variable_names() -> tuple[str, ...]:
    """All variables that the application reads, in the order of the fields."""
    return tuple(name for item in fields(Settings) for name in _variables_of(item))


def _variables_of(item: Field[Any]) -> tuple[str, ...]:
    name = PREFIX + item.name.upper()
    return (name, name + IN_FILE) if item.metadata["secret"] else (name,)


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read every setting once; an empty value counts as not set.

    Raises NotConfigured, naming the variable and what was expected, for a bad value, an unknown `JITUI_…`
    name, or settings that do not go together.
    """
    _refuse_unknown(environ)
    values: dict[str, Any] = {"home": _default_home(environ)}
    for item in fields(Settings):
        name, text = _given(item, environ)
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


def chosen_language(environ: Mapping[str, str] = os.environ) -> Language | None:
    """The language that JITUI_LANGUAGE names; None where it is not set or names none."""
    text = environ.get(PREFIX + "LANGUAGE", "").strip().casefold()
    return next((language for language in Language if language.casefold() == text), None)


def _given(item: Field[Any], environ: Mapping[str, str]) -> tuple[str, str]:
    """The variable that gives this field's value, and its text; empty where none does."""
    found = [(name, text) for name in _variables_of(item) if (text := environ.get(name, "").strip())]
    if len(found) > 1:
        raise NotConfigured(f"{found[0][0]} and {found[1][0]} are both set; keep one of them.")
    name, text = found[0] if found else ("", "")
    if not item.metadata["secret"] or not name.endswith(IN_FILE):
        return name, text
    try:
        return f"What the file of {name} holds", read_secret_file(_secret_file(text))
    except _Expected as expected:
        raise NotConfigured(f"{name} must be {expected}, not {text!r}.") from None


def environment_for(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for a child process: ours, with the variables set to exactly these settings."""
    environment = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    for item in fields(Settings):
        value = getattr(settings, item.name)
        if value is not None:
            environment[PREFIX + item.name.upper()] = _as_text(value)
    return environment


def _as_text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return value.key if isinstance(value, ZoneInfo) else str(value)


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = variable_names()
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in known or name in VARIABLES_OF_TESTS:
            continue
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "docs/reference/settings.md lists the known ones."
        raise NotConfigured(f"{name} is not a setting of Jitui; {hint}")


def _check_together(settings: Settings) -> None:
    _all_or_none(settings, "alipay", "Alipay", optional="alipay_gateway")
    _all_or_none(settings, "simulator", "the simulator")
    _all_or_none(settings, "stripe", "Stripe", optional="stripe_api_base")
    _all_or_none(settings, "wechat_pay", "WeChat Pay", optional="wechat_pay_api_base")
    if settings.worker_lease_seconds <= 2 * settings.provider_timeout_seconds:
        raise NotConfigured(
            f"JITUI_WORKER_LEASE_SECONDS ({settings.worker_lease_seconds}) must be longer than twice"
            f" JITUI_PROVIDER_TIMEOUT_SECONDS ({settings.provider_timeout_seconds}),"
            " or a second worker takes a refund while the first still looks it up and sends it."
        )


def _all_or_none(settings: Settings, group: str, provider: str, *, optional: str = "") -> None:
    """Raise NotConfigured when some of a provider's settings are set and others are missing.

    The setting `optional` may be missing, and may not be set alone.
    """
    given = {item.name: getattr(settings, item.name) for item in fields(Settings) if item.name.startswith(f"{group}_")}
    missing = [PREFIX + name.upper() for name, value in given.items() if value is None and name != optional]
    if missing and any(value is not None for value in given.values()):
        listed = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
        raise NotConfigured(f"{listed} must be set too: {provider} needs all that docs/reference/settings.md lists.")


def _default_home(environ: Mapping[str, str]) -> Path:
    data = environ.get("XDG_DATA_HOME", "")
    if data.startswith("/"):  # the XDG specification says that a relative path is to be ignored
        return Path(data) / "jitui"
    home = environ.get("HOME", "")
    return (Path(home) if home.startswith("/") else Path.home()) / ".local" / "share" / "jitui"
