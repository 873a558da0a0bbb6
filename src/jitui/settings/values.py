"""The kinds of values that settings have: their types, and a function for each that reads it from its text.

Each function raises ExpectedValue for a text that is no such value.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parseaddr
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from jitui.money import MAX_AMOUNT_MINOR, is_currency
from jitui.text import why_no_id
from jitui.time_zones import named_zone

Network = IPv4Network | IPv6Network

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


class SmtpTls(StrEnum):
    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class ExpectedValue(ValueError):
    """A bad value; the message completes the sentence "X must be …"."""


def address(text: str) -> SplitResult:
    """The parts of an address."""
    try:
        return urlsplit(text)
    except ValueError:
        raise ExpectedValue("an address") from None


def folder(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_absolute():
        raise ExpectedValue("an absolute path of a folder")
    if path.exists() and not path.is_dir():
        raise ExpectedValue("the path of a folder")
    return path


def file(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    if not path.is_file():
        raise ExpectedValue("the path of a file that exists")
    return path


def secret_file(text: str) -> Path:
    path = file(text)
    if why := why_no_secret(path):
        raise ExpectedValue(f"the path of a file that holds one secret, and this file {why}")
    return path


def why_no_secret(path: Path) -> str | None:
    """What is wrong with a file that should hold a secret, as the end of a sentence; None when it holds one."""
    if not path.exists():
        return "cannot be read, since it does not exist"
    try:
        return None if path.read_text(encoding="utf-8").strip() else "is empty"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        return "holds no text"


def is_read_by_others(path: Path) -> bool:
    """Whether every account of this machine may read the file. A group may: that is how a service is given its key."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def read_secret_file(path: Path) -> str:
    """The secret in the file: a word, or a key of several lines. Empty when it has none or cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
            raise ExpectedValue(f"a whole number from {least} to {most}")
        return int(text)

    return parse


def word(words: type[_Word]) -> Callable[[str], _Word]:
    def parse(text: str) -> _Word:
        for word in words:
            if word.value.casefold() == text.casefold():
                return word
        raise ExpectedValue("one of " + ", ".join(words))

    return parse


def time_zone(text: str) -> ZoneInfo:
    zone = named_zone(text)
    if zone is None:
        raise ExpectedValue("a zone of the IANA database, such as Asia/Shanghai")
    return zone


def host(text: str) -> str:
    if any(sign in text for sign in "/ @"):
        raise ExpectedValue("a host name or an address to listen on, without scheme or port")
    return text


def networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(word) for word in text.replace(",", " ").split())
    except ValueError:
        raise ExpectedValue("networks such as 10.0.0.0/8 and addresses, with commas between them") from None


def postgres_url(text: str) -> str:
    if address(text).scheme not in ("postgresql", "postgres"):
        raise ExpectedValue("an address such as postgresql://user:password@host:5432/database")
    return text


def http_url(text: str) -> str:
    parts = address(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ExpectedValue("an address such as http://127.0.0.1:8100")
    return text.rstrip("/")


def shop_url(text: str) -> str:
    """Where a shop's own system is."""
    parts = address(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or not text.isprintable() or " " in text:
        raise ExpectedValue("an address such as https://shop.example.com")
    if "@" in parts.netloc:
        raise ExpectedValue("an address without user and password, since it is shown; the key alone opens the shop")
    if parts.query or parts.fragment:
        raise ExpectedValue("an address without parameters, such as https://shop.example.com")
    return text.rstrip("/")


def amounts(text: str) -> tuple[CurrencyAmount, ...]:
    amounts: dict[str, CurrencyAmount] = {}
    for word in text.replace(",", " ").split():
        currency, colon, minor = word.partition(":")
        whole = minor.isascii() and minor.isdigit() and int(minor) <= MAX_AMOUNT_MINOR
        if not (colon and whole and is_currency(currency)) or currency in amounts:
            raise ExpectedValue("amounts such as CNY:100000,JPY:20000, in minor units, one of each currency")
        amounts[currency] = CurrencyAmount(currency, int(minor))
    return tuple(amounts.values())


def name(text: str) -> str:
    why = why_no_id(text)
    if why is not None:
        raise ExpectedValue("a name of 1 to 128 visible characters, without spaces or slashes")
    return text


def alipay_app_id(text: str) -> str:
    if not (text.isascii() and text.isdigit() and len(text) <= 32):
        raise ExpectedValue("the app's number on the open platform, digits only")
    return text


def word_of_provider(text: str) -> str:
    if not (text.isascii() and text.isalnum()):
        raise ExpectedValue("letters and digits alone")
    return text


def notify_url(text: str) -> str:
    if urlsplit(http_url(text)).query or len(text) > 256:
        raise ExpectedValue("an address without parameters, of at most 256 characters")
    return text


def public_key_id(text: str) -> str:
    if not text.startswith("PUB_KEY_ID_"):
        raise ExpectedValue("the id of a public key, which begins with PUB_KEY_ID_")
    return text


def key(text: str) -> str:
    if len(text) < 16:
        raise ExpectedValue("at least 16 characters long")
    return text


@dataclass(frozen=True, slots=True)
class MailSender:
    """From whom mail comes, `Shop help <help@shop.example>`."""

    address: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name} <{self.address}>" if self.name else self.address

    @property
    def domain(self) -> str:
        """The part after the at sign."""
        return self.address.rpartition("@")[2]


def mail_sender(text: str) -> MailSender:
    name, address = parseaddr(text)
    local, _, domain = address.rpartition("@")
    whole = str(MailSender(address, name)).replace('"', "") == text.replace('"', "").strip()
    if not (whole and local and "." in domain and text.isprintable() and address.isascii() and " " not in address):
        raise ExpectedValue("a mail address, such as Shop help <help@shop.example>")
    return MailSender(address, name)


def mail_address(text: str) -> str:
    sender = mail_sender(text)
    if sender.name:
        raise ExpectedValue("a mail address without a name, such as operators@shop.example")
    return sender.address
