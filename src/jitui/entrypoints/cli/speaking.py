"""States, amounts and times for people, in the installation's language and time zone, as the console shows them.

The command line speaks Chinese only where JITUI_LANGUAGE is set to it: its help and its errors are English, and the
words of the API (`refunding`) are what a reader greps for. Documents (`--json`) are the same in every language.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jitui.settings import Language


@cache
def _chosen() -> Language | None:
    from jitui.settings import chosen_language

    return chosen_language()


def is_chinese() -> bool:
    """Whether JITUI_LANGUAGE is set to Chinese."""
    from jitui.settings import Language

    return _chosen() is Language.ZH_CN


def told(english: str, chinese: str) -> str:
    """One of the two texts."""
    return chinese if is_chinese() else english


def word(value: StrEnum) -> str:
    """A state or another code: the API's word, in Chinese the console's with it where it has one."""
    if not is_chinese():
        return value.value
    from jitui.entrypoints.console.page.language import catalogue
    from jitui.entrypoints.console.words.codes import WORDS
    from jitui.settings import Language

    known = WORDS.get(type(value), {}).get(value)
    return value.value if known is None else catalogue(Language.ZH_CN).gettext(known)


def amount(minor: int, currency: str) -> str:
    """`129.00 CNY`, in Chinese `¥129.00`."""
    from jitui.money import to_decimal_text

    if not is_chinese():
        return f"{to_decimal_text(minor, currency)} {currency}"
    from zoneinfo import ZoneInfo

    from jitui.entrypoints.console.page.language import Speech
    from jitui.settings import Language

    return Speech(Language.ZH_CN, ZoneInfo("UTC")).money(minor, currency)


def moment(at: datetime) -> str:
    """The date, the time to the second and its distance from UTC, in the zone of JITUI_TIME_ZONE."""
    from jitui.settings import read_settings

    return at.astimezone(read_settings().time_zone).isoformat(sep=" ", timespec="seconds")
