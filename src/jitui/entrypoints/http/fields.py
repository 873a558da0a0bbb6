"""The types of fields in bodies and queries, with their limits in the schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from jitui.aftersales.model.order import MOST_ATTRIBUTES
from jitui.money import MAX_AMOUNT_MINOR
from jitui.tabular.cells import EARLIEST as EARLIEST
from jitui.tabular.cells import LATEST as LATEST
from jitui.text import CODE_PATTERN as CODE_PATTERN
from jitui.text import END, ID_PATTERN, UNSEEN
from jitui.text import KIND_PATTERN as KIND_PATTERN
from jitui.text import SENTENCES as ID_SENTENCES

ID_OR_NONE_PATTERN = rf"^([^/{UNSEEN}]{{1,128}})?" + END
NAME_OR_NONE_PATTERN = rf"^(?=.{{0,128}}$)([^{UNSEEN}]+( [^{UNSEEN}]+)*)?" + END
URL_OR_NONE_PATTERN = rf"^(https?://[^{UNSEEN}]+)?" + END
CURRENCY_PATTERN = r"^[A-Z]{3}" + END
WORDS_PATTERN = rf"[^{UNSEEN}]"
WORDS_OR_NONE_PATTERN = rf"^{END}|[^{UNSEEN}]"

SENTENCES = {
    **ID_SENTENCES,
    ID_OR_NONE_PATTERN: "Expected up to 128 visible characters, without spaces or slashes",
    NAME_OR_NONE_PATTERN: "Expected up to 128 visible characters, with single spaces between words",
    URL_OR_NONE_PATTERN: "Expected an address such as https://example.com/chat/1",
    CURRENCY_PATTERN: "Expected a currency of ISO 4217, such as CNY",
}

EXPECTED_OF_PATTERN = {pattern: sentence.removeprefix("Expected ") for pattern, sentence in SENTENCES.items()}
ID_LIKE_PATTERNS = frozenset({ID_PATTERN, ID_OR_NONE_PATTERN, CODE_PATTERN})
PATTERNS_WITH_SLASHES = frozenset({CODE_PATTERN})
WORDS_PATTERNS = frozenset({WORDS_PATTERN, WORDS_OR_NONE_PATTERN})

Id = Annotated[str, Meta(pattern=ID_PATTERN, description="1 to 128 visible characters, without spaces or slashes.")]
Code = Annotated[str, Meta(pattern=CODE_PATTERN, description="1 to 128 visible characters, without spaces.")]
IdOrNone = Annotated[str, Meta(pattern=ID_OR_NONE_PATTERN)]
NameOrNone = Annotated[str, Meta(pattern=NAME_OR_NONE_PATTERN)]
Kind = Annotated[str, Meta(pattern=KIND_PATTERN, description="A word in lower case.")]
Currency = Annotated[str, Meta(pattern=CURRENCY_PATTERN, description="ISO 4217.")]
Storable = Annotated[str, Meta(pattern=r"^[^\x00]*" + END)]
Text = Annotated[str, Meta(max_length=500)]
Url = Annotated[
    str,
    Meta(max_length=2_000, pattern=URL_OR_NONE_PATTERN, description="An address that begins with https:// or http://."),
]
Words = Annotated[str, Meta(min_length=1, pattern=WORDS_PATTERN)]
"""A text that people read: more than spaces and invisible characters."""
WordsOrNone = Annotated[str, Meta(pattern=WORDS_OR_NONE_PATTERN)]
Why = Annotated[Words, Meta(max_length=500, description="Why, for the people who will ask.")]
AmountMinor = Annotated[int, Meta(ge=0, le=MAX_AMOUNT_MINOR, description="In minor units (fen, cents).")]
PositiveMinor = Annotated[int, Meta(ge=1, le=MAX_AMOUNT_MINOR, description="In minor units (fen, cents).")]
Quantity = Annotated[int, Meta(ge=1, le=1_000_000_000, description="Units.")]
Time = Annotated[datetime, Meta(tz=True, description="RFC 3339, with its zone.")]
Whole = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Attributes = Annotated[
    dict[Kind, Whole | Text | bool],
    Meta(max_length=MOST_ATTRIBUTES, description=f"At most {MOST_ATTRIBUTES}, each a number, a text or a truth."),
]
AttributeValues = Mapping[str, Whole | str | bool]
PageLimit = Annotated[int, Meta(ge=1, le=200, description="The most rows to return.")]
Cursor = Annotated[str, Meta(min_length=1, max_length=512, description="`next` of the page before.")]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def may_name(text: str) -> bool:
    """Whether a part of the address can be the id of something stored, also one that would not be accepted now."""
    return bool(text) and "\x00" not in text and text.encode(errors="replace").decode() == text


def read_uuid(text: str) -> UUID | None:
    """An id of ours; None for any other text, because then it cannot exist."""
    return UUID(text) if _UUID.fullmatch(text) else None


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount in minor units of a currency."""

    amount_minor: AmountMinor
    currency: Currency


class PositiveMoney(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount of at least one minor unit."""

    amount_minor: PositiveMinor
    currency: Currency
