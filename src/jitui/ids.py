"""Identifiers that carry their lane, so that an id alone finds its shard (`architecture.md`, *Lanes*)."""

from __future__ import annotations

import hashlib
from uuid import UUID

import uuid_utils.compat as uuid_utils

# What cannot be seen: controls, spaces of every width, marks that join or turn text. `(?!\n)` because Python's `$`
# also matches before a last line feed; the published schema leaves it out.
_UNSEEN = r"\x00-\x20\x7f-\xa0\u00ad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ufff0-\uffff"
END = r"$(?!\n)"
ID_PATTERN = rf"^[^/{_UNSEEN}]{{1,128}}" + END
CODE_PATTERN = rf"^[^{_UNSEEN}]{{1,128}}" + END
KIND_PATTERN = r"^[a-z][a-z0-9_]{0,63}" + END
CURRENCY_PATTERN = r"^[A-Z]{3}" + END

SENTENCES = {
    ID_PATTERN: "Expected 1 to 128 visible characters, without spaces or slashes",
    CODE_PATTERN: "Expected 1 to 128 visible characters, without spaces",
    KIND_PATTERN: "Expected 1 to 64 lower-case letters, digits and underscores, a letter first",
    CURRENCY_PATTERN: "Expected a currency of ISO 4217, such as CNY",
}

LANES = 256
_LAST_BYTE = 0xFF


def lane_of(subject: str) -> int:
    """The lane of a buyer: the first byte of the SHA-256 of the platform's buyer id, 0 to 255."""
    return hashlib.sha256(subject.encode()).digest()[0]


def new_id(lane: int) -> UUID:
    """A UUIDv7 whose last byte is the lane; the other 66 random bits keep it unique."""
    value = uuid_utils.uuid7().int & ~_LAST_BYTE
    return UUID(int=value | lane)


def lane_of_id(value: UUID) -> int:
    """The lane that `new_id` put into an id."""
    return value.int & _LAST_BYTE
