"""The language of a page: which one, its texts, and its formats for money, times and durations (CLDR)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.support import Translations
from babel.units import format_unit

from jitui.entrypoints.console.words.codes import WORDS
from jitui.money import localised_amount
from jitui.policy.explain import Language as PolicyLanguage
from jitui.settings import Language
from jitui.text import Sentence

_LOCALES = {Language.ZH_CN: Locale.parse("zh_CN"), Language.EN: Locale("en")}
_POLICY_KEYS: dict[Language, PolicyLanguage] = {Language.ZH_CN: "zh", Language.EN: "en"}
_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


@dataclass(frozen=True, slots=True)
class Speech:
    """A language as pages use it, with the platform's time zone."""

    language: Language
    zone: ZoneInfo

    @property
    def locale(self) -> Locale:
        """CLDR's data for the language."""
        return _LOCALES[self.language]

    @property
    def texts(self) -> PolicyLanguage:
        """The key of this language in a policy's texts and in a ticket's notice."""
        return _POLICY_KEYS[self.language]

    @property
    def between(self) -> str:
        """What separates two sentences."""
        return "" if self.language is Language.ZH_CN else " "

    def say(self, message: str) -> str:
        """The translation of a message."""
        return catalogue(self.language).gettext(message)

    def tell(self, said: object) -> str:
        """A sentence of the core in this language; a plain text stays as it is."""
        if not isinstance(said, Sentence):
            return str(said)
        return self.say(said.template) % {name: self.tell(value) for name, value in said.values.items()}

    def word(self, value: StrEnum) -> str:
        """The word for a state, a reason or another code of the core."""
        return self.say(WORDS[type(value)][value])

    def money(self, amount_minor: int, currency: str) -> str:
        """`12900` in CNY as ¥129.00 or CN¥129.00."""
        return localised_amount(amount_minor, currency, self.locale)

    def moment(self, at: datetime) -> str:
        """The date, the time to the second, and the zone."""
        return f"{format_datetime(at, 'medium', tzinfo=self.zone, locale=self.locale)} {self.offset(at)}"

    def minute(self, at: datetime) -> str:
        """The date and the time to the minute, for a list whose heading names the zone."""
        return format_datetime(at, "short", tzinfo=self.zone, locale=self.locale)

    def day(self, at: datetime) -> str:
        """The calendar day in the platform's zone."""
        return format_date(at.astimezone(self.zone).date(), "long", locale=self.locale)

    def offset(self, at: datetime) -> str:
        """The zone at that time, such as UTC+8."""
        minutes = round((at.astimezone(self.zone).utcoffset() or timedelta()).total_seconds() / 60)
        hours, rest = divmod(abs(minutes), 60)
        sign = "-" if minutes < 0 else "+"
        return "UTC" + (f"{sign}{hours}" + (f":{rest:02}" if rest else "") if minutes else "")

    def duration(self, seconds: float) -> str:
        """1.2 sec, 3 min 5 sec, 47 hr 59 min: the two largest units."""
        if seconds < 60:
            return self._unit("second", round(seconds, 1))
        left, parts = round(seconds), list[str]()
        for unit, size in _UNITS:
            count, left = divmod(left, size)
            if count:
                parts.append(self._unit(unit, count))
            if parts and (len(parts) == 2 or not count):
                break
        return " ".join(parts)

    def number(self, value: int) -> str:
        """The number with the language's grouping."""
        return format_decimal(value, locale=self.locale)

    def share(self, part: int, whole: int) -> str:
        """A percentage; a dash when the whole is zero."""
        return format_percent(part / whole, locale=self.locale) if whole else "–"

    def _unit(self, unit: str, count: float) -> str:
        return format_unit(count, f"duration-{unit}", "short", locale=self.locale)


@cache
def catalogue(language: Language) -> Translations:
    """The committed .po file, compiled in memory, so that no generated file can be outdated."""
    name = f"{language.value.replace('-', '_')}.po"
    source = resources.files("jitui.entrypoints.console") / "locales" / name
    with source.open("rb") as file:
        messages = read_po(file)
    compiled = io.BytesIO()
    write_mo(compiled, messages)
    compiled.seek(0)
    return Translations(compiled)


def choose(chosen: str | None, accepted: str, default: Language) -> Language:
    """The reader's choice, else the first language of `Accept-Language` that we have, else the installation's."""
    if chosen in tuple(Language):
        return Language(chosen)
    for wanted in _by_preference(accepted):
        if wanted == "zh" or wanted.startswith("zh-"):
            return Language.ZH_CN
        if wanted == "en" or wanted.startswith("en-"):
            return Language.EN
    return default


def _by_preference(accepted: str) -> Sequence[str]:
    """The tags of an `Accept-Language` header, best first; unreadable ones come last."""
    weighted = []
    for part in accepted[:1_000].split(","):
        tag, _, weight = part.partition(";")
        weighted.append((_weight(weight), tag.strip().lower()))
    return [tag for quality, tag in sorted(weighted, key=lambda pair: -pair[0]) if tag and quality > 0]


def _weight(text: str) -> float:
    name, _, value = text.partition("=")
    if not name.strip():
        return 1.0
    try:
        return float(value) if name.strip() == "q" else 0.0
    except ValueError:
        return 0.0
