"""Ids that contain the lane of their buyer, so that the shard follows from the id (`architecture.md`, *Lanes*)."""

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
    """A UUIDv7 whose last byte is the lane; 66 random bits remain."""
    value = uuid_utils.uuid7().int & ~_LAST_BYTE
    return UUID(int=value | lane)


def lane_of_id(value: UUID) -> int:
    """The lane in an id that `new_id` made."""
    return value.int & _LAST_BYTE
