"""Identifiers that carry their lane, so that an id alone finds its shard (`architecture.md`, *Lanes*)."""

from __future__ import annotations

import hashlib
from uuid import UUID

import uuid_utils.compat as uuid_utils

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
