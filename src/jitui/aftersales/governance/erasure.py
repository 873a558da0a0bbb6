"""Personal data of one buyer: what is stored, handed out whole; and its erasure, once nothing about it is open.

A buyer is erased by taking the id out of every row. Amounts, decisions and the ledger stay, under an id that was drawn
at random and that nothing leads to.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from jitui.errors import BadInput
from jitui.ids import lane_of

UNFINISHED = timedelta(days=30)
"""How long an order that is neither delivered nor refunded whole, and a parcel under way, hold up an erasure."""
INCIDENT_OPEN = timedelta(days=90)
"""How long goods that left after their refund hold up an erasure: the merchant's claim needs to know against whom."""
_LIST_BEGINS = "jitui erasures"
_LINE = re.compile(r"([0-9]{1,3}) ([0-9a-f]{64}) ([0-9]{4}-[0-9]{2}-01)")


class PendingKind(StrEnum):
    """What is still open about a buyer."""

    TICKET = "ticket"
    REFUND = "refund"
    DISPUTE = "dispute"
    INCIDENT = "incident"
    TASK = "task"
    ORDER = "order"
    PARCEL = "parcel"


@dataclass(frozen=True, slots=True)
class Pending:
    """One thing that is open. `until`: when it ends by itself, at the latest; None: when somebody has ended it."""

    kind: PendingKind
    name: str
    order_id: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ErasurePending:
    """Why a buyer cannot be erased yet."""

    pending: tuple[Pending, ...]

    @property
    def possible_from(self) -> datetime | None:
        """When all of it has ended by itself; None when something needs somebody."""
        ends = [one.until for one in self.pending if one.until is not None]
        return max(ends) if len(ends) == len(self.pending) else None


@dataclass(frozen=True, slots=True)
class ErasureMark:
    """By what an id is recognised that was erased, without saying it; until the first day of a month."""

    lane: int
    digest: bytes
    keep_until: date

    @property
    def name(self) -> tuple[int, bytes]:
        """What it is told apart by."""
        return self.lane, self.digest


@dataclass(frozen=True, slots=True)
class Erased:
    """An erasure, by the number that its row in the audit log has; None: the buyer was erased before."""

    erasure_id: UUID | None
    orders: int = 0
    tickets: int = 0

    @property
    def again(self) -> bool:
        """Whether there was nothing left to erase."""
        return self.erasure_id is None


class PersonalData(Protocol):
    """Reads and erases what is stored about one buyer."""

    async def pseudonym_of(self, buyer_id: str) -> str | None: ...

    async def export(self, buyer_id: str, *, by: str, now: datetime) -> Mapping[str, object] | None:
        """All of it, and a row in the audit log that says who took it; None when nothing is stored."""
        ...

    async def erase(self, buyer_id: str, *, by: str, now: datetime, keep_until: date) -> Erased | ErasurePending | None:
        """In one transaction, or not at all; None when nothing is stored and nothing was erased."""
        ...

    async def marks(self) -> Sequence[ErasureMark]: ...

    async def take_marks(self, marks: Sequence[ErasureMark]) -> None: ...

    async def forget_marks(self, today: date) -> int: ...

    async def buyers_marked(self, marks: Sequence[ErasureMark]) -> Sequence[str]:
        """The ids that are stored here and that a mark recognises."""
        ...

    async def fingerprint(self) -> str:
        """By which marks of this installation are told from another's."""
        ...


def new_buyer_id(lane: int) -> str:
    """A random id in this lane, so that every row stays where it is; about 256 are drawn."""
    while lane_of(drawn := f"erased-{secrets.token_hex(16)}") != lane:
        pass
    return drawn


def keep_until(now: datetime, keep: timedelta) -> date:
    """The first day of the month after that time, so that it does not tell the day of an erasure."""
    ends = (now + keep).date()
    return date(ends.year + ends.month // 12, ends.month % 12 + 1, 1)


# The list that outlasts a restore ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ErasureList:
    """The marks of an installation, as they are kept outside of its database."""

    fingerprint: str
    marks: tuple[ErasureMark, ...]


@dataclass(frozen=True, slots=True)
class ErasedAgain:
    """What became of the buyers that a list recognised."""

    erased: int
    pending: Mapping[str, ErasurePending]


def list_as_text(erasures: ErasureList) -> str:
    """A line for each mark, after one that names the installation."""
    lines = sorted(f"{mark.lane} {mark.digest.hex()} {mark.keep_until}" for mark in erasures.marks)
    return "".join(f"{line}\n" for line in (f"{_LIST_BEGINS} {erasures.fingerprint}", *lines))


def read_list(text: str, name: str) -> ErasureList:
    """The list of a file's text. Raises BadInput that names the line."""
    first, *rest = text.splitlines() or [""]
    if not first.startswith(f"{_LIST_BEGINS} "):
        raise BadInput(f"{name} is no list of erasures: its first line begins with {_LIST_BEGINS!r}.", path="--from")
    marks = []
    for number, line in enumerate(rest, start=2):
        parts = _LINE.fullmatch(line)
        if parts is None or int(parts[1]) > 255:
            raise BadInput(
                f"{name}, line {number}: expected a lane, a digest and the first day of a month.", path="--from"
            )
        try:
            marks.append(ErasureMark(int(parts[1]), bytes.fromhex(parts[2]), date.fromisoformat(parts[3])))
        except ValueError:
            raise BadInput(f"{name}, line {number}: {parts[3]} is no day.", path="--from") from None
    return ErasureList(first.removeprefix(_LIST_BEGINS).strip(), tuple(marks))


async def erase_again(data: PersonalData, erasures: ErasureList, *, by: str, now: datetime) -> ErasedAgain:
    """Do the erasures of a list once more, after a restore has brought back what they took away. Raises BadInput."""
    if erasures.fingerprint != await data.fingerprint():
        raise BadInput("This list is of another installation: its digests say nothing here.", path="--from")
    standing = tuple(mark for mark in erasures.marks if mark.keep_until > now.date())
    last = max((mark.keep_until for mark in standing), default=now.date())
    erased, pending = 0, dict[str, ErasurePending]()
    for buyer_id in await data.buyers_marked(standing):
        done = await data.erase(buyer_id, by=by, now=now, keep_until=last)
        if isinstance(done, ErasurePending):
            pending[buyer_id] = done
        else:
            erased += 1
    await data.take_marks(standing)
    return ErasedAgain(erased, pending)
