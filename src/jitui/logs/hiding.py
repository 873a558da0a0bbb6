"""Hides secrets in what is written: those of the settings, and whatever has the shape of one."""

from __future__ import annotations

import re
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from jitui.settings import Settings, read_secret_file
from jitui.text import visible

HIDDEN = "[hidden]"
_SHORTEST_SECRET = 6
_SHORT = 80
_REMEMBERED = 2_000

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

_HEXADECIMAL = re.compile(r"[0-9a-f-]{1,36}")
"""Ids of requests, keys and traces, which have no shape of a secret and differ from line to line."""

_known: tuple[str, ...] = ()
"""Secrets of this process's own settings, longest first."""


def hide_secrets_of(settings: Settings) -> None:
    """From now on nothing that these settings keep secret is written."""
    global _known
    _known = tuple(sorted(_secrets_of(settings), key=len, reverse=True))
    _short.cache_clear()


def without_secrets(text: str) -> str:
    """The text with everything hidden that is, or looks like, a secret."""
    return _hidden(text, by_name=True)


def harmless(name: str, value: object) -> object:
    """A field of a line: text without secrets and without what steers a terminal; only a trace has several lines."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    if name == "exception":
        return "\n".join(visible(_hidden(line, by_name=not line.startswith("    "))) for line in text.split("\n"))
    if _HEXADECIMAL.fullmatch(text):
        return _without_known(text)
    return _short(text) if len(text) <= _SHORT else visible(without_secrets(text))


@lru_cache(_REMEMBERED)
def _short(text: str) -> str:
    """Names of events, routes and reasons come again and again; the patterns take longer than the rest of a line."""
    return visible(without_secrets(text))


def _hidden(text: str, *, by_name: bool) -> str:
    """`by_name`: what follows the name of a secret too; the lines of our own source in a trace only name them."""
    text = _without_known(text)
    for shape, shown in _SHAPES:
        text = shape.sub(shown, text)
    return _NAMED.sub(rf"\1{HIDDEN}", text) if by_name else text


def _without_known(text: str) -> str:
    for secret in _known:
        text = text.replace(secret, HIDDEN)
    return text


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
