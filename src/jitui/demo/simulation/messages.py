"""The messages between the driver and its processes: length-prefixed MessagePack over a socket pair."""

from __future__ import annotations

import asyncio
import struct
from typing import TypeAlias

import msgspec
from msgspec import Struct

_LENGTH = struct.Struct("!I")


class ProcessSpec(Struct, frozen=True):
    """The specification of a new process."""

    number: int
    seed: int
    database_url: str
    provider_url: str
    api_key: str
    webhook_secret: str
    home: str
    override: str = ""
    lease_seconds: int = 60
    batch: int = 4


class Hello(Struct, tag=True, frozen=True):
    """The process is ready."""


class Parked(Struct, tag=True, frozen=True):
    """A task waits at a checkpoint; for a call to the provider `key` is its attempt."""

    task: int
    at: str
    key: str = ""


class Ended(Struct, tag=True, frozen=True):
    """A task has ended; only a command has a result."""

    task: int
    result: Result | None = None


class Result(Struct, frozen=True):
    """The result of a command; `kind` is plan, kept, refusal, done or error."""

    kind: str
    code: str = ""
    ticket_id: str = ""
    state: str = ""
    approved_by: str = ""
    status: int = 0
    text: str = ""
    answered_at: float = 0.0


class Begin(Struct, tag=True, frozen=True):
    """Start a command as a task with this number."""

    task: int
    now: float
    command: str
    words: dict[str, str | int | None]


class Go(Struct, tag=True, frozen=True):
    """Let a waiting task continue.

    `impatient`: it gives up its call to the provider almost at once. `die_at`: the process kills itself when it begins
    to wait for the database for this many-th time.
    """

    task: int
    now: float
    impatient: bool = False
    die_at: int = 0


ProcessMessage: TypeAlias = Hello | Parked | Ended
Order: TypeAlias = Begin | Go

_encode = msgspec.msgpack.Encoder().encode
_decode_messages = msgspec.msgpack.Decoder(list[ProcessMessage]).decode
_decode_order = msgspec.msgpack.Decoder(Order).decode


def write(writer: asyncio.StreamWriter, message: object) -> None:
    """Send one message."""
    body = _encode(message)
    writer.write(_LENGTH.pack(len(body)) + body)


async def read_messages(reader: asyncio.StreamReader) -> list[ProcessMessage] | None:
    """The messages that a process sent together; None when it has ended."""
    body = await _read(reader)
    return None if body is None else _decode_messages(body)


async def read_order(reader: asyncio.StreamReader) -> Order | None:
    """The next message of the driver; None when it has ended."""
    body = await _read(reader)
    return None if body is None else _decode_order(body)


async def _read(reader: asyncio.StreamReader) -> bytes | None:
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
