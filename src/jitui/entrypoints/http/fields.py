"""The kinds of fields that bodies and queries are made of; each says in the schema what it takes."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from jitui.aftersales.order import MOST_ATTRIBUTES
from jitui.money import MAX_AMOUNT_MINOR
from jitui.tabular.cells import EARLIEST as EARLIEST
from jitui.tabular.cells import LATEST as LATEST
from jitui.text import CODE_PATTERN as CODE_PATTERN
from jitui.text import END, ID_PATTERN, UNSEEN, why_no_id
from jitui.text import KIND_PATTERN as KIND_PATTERN
from jitui.text import SENTENCES as ID_SENTENCES

ID_OR_NONE_PATTERN = rf"^([^/{UNSEEN}]{{1,128}})?" + END
NAME_OR_NONE_PATTERN = rf"^(?=.{{0,128}}$)([^{UNSEEN}]+( [^{UNSEEN}]+)*)?" + END
CURRENCY_PATTERN = r"^[A-Z]{3}" + END

SENTENCES = {
    **ID_SENTENCES,
    ID_OR_NONE_PATTERN: "Expected up to 128 visible characters, without spaces or slashes",
    NAME_OR_NONE_PATTERN: "Expected up to 128 visible characters, with single spaces between words",
    CURRENCY_PATTERN: "Expected a currency of ISO 4217, such as CNY",
}

Id = Annotated[str, Meta(pattern=ID_PATTERN, description="1 to 128 visible characters, without spaces or slashes.")]
Code = Annotated[str, Meta(pattern=CODE_PATTERN, description="1 to 128 visible characters, without spaces.")]
IdOrNone = Annotated[str, Meta(pattern=ID_OR_NONE_PATTERN)]
NameOrNone = Annotated[str, Meta(pattern=NAME_OR_NONE_PATTERN)]
Kind = Annotated[str, Meta(pattern=KIND_PATTERN, description="A word in lower case.")]
Currency = Annotated[str, Meta(pattern=CURRENCY_PATTERN, description="ISO 4217.")]
Storable = Annotated[str, Meta(pattern=r"^[^\x00]*" + END)]
Text = Annotated[str, Meta(max_length=500)]
Why = Annotated[str, Meta(min_length=1, max_length=500, description="Why, for the people who will ask.")]
AmountMinor = Annotated[int, Meta(ge=0, le=MAX_AMOUNT_MINOR, description="In minor units (fen, cents).")]
PositiveMinor = Annotated[int, Meta(ge=1, le=MAX_AMOUNT_MINOR, description="In minor units (fen, cents).")]
Quantity = Annotated[int, Meta(ge=1, le=1_000_000_000, description="Units.")]
Time = Annotated[datetime, Meta(tz=True, description="RFC 3339, with its zone.")]
Whole = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Attributes = Annotated[
    dict[Kind, Whole | Text | bool],
    Meta(max_length=MOST_ATTRIBUTES, description=f"At most {MOST_ATTRIBUTES}, each a number, a text or a truth."),
]
PageLimit = Annotated[int, Meta(ge=1, le=200, description="At most so many rows.")]
Cursor = Annotated[str, Meta(min_length=1, max_length=512, description="`next` of the page before.")]

_KIND = re.compile(KIND_PATTERN)


def is_id(text: str) -> bool:
    """Whether an address part can be an id at all."""
    return why_no_id(text) is None


def is_kind(text: str) -> bool:
    """Whether an address part can name a kind of event."""
    return _KIND.search(text) is not None


class Money(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount in minor units of a currency."""

    amount_minor: AmountMinor
    currency: Currency


class PositiveMoney(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An amount of at least one minor unit."""

    amount_minor: PositiveMinor
    currency: Currency
