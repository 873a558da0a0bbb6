"""A payment provider in memory: it pays what it is asked to, once for each attempt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from uuid import UUID

from jitui.aftersales.provider import (
    BOTH,
    Capabilities,
    NotificationRefused,
    RefundInstruction,
    RefundResult,
    RefundResultKind,
)


class MemoryProvider:
    """A `jitui.aftersales.provider.PaymentProvider`; `answer` gives the result of a new refund."""

    def __init__(
        self,
        name: str,
        answer: Callable[[RefundInstruction], RefundResult] = lambda _: RefundResult(RefundResultKind.SUCCEEDED),
    ) -> None:
        self._name = name
        self._answer = answer
        self.books: dict[UUID, RefundResult] = {}

    @property
    def name(self) -> str:
        """The name in refunds and payments."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """Both: a repeated attempt is the same refund, and an attempt can be looked up."""
        return BOTH

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        """Pay the refund; a repeated attempt gets the first result again."""
        if instruction.attempt_id not in self.books:
            self.books[instruction.attempt_id] = self._answer(instruction)
        return self.books[instruction.attempt_id]

    async def look_up(self, instruction: RefundInstruction) -> RefundResult:
        """The result of this attempt, or NOT_FOUND."""
        return self.books.get(instruction.attempt_id, RefundResult(RefundResultKind.NOT_FOUND))

    def read_notification(self, headers: Mapping[str, str], body: bytes, now: datetime) -> NotificationRefused:
        """Refused: this provider sends no notifications."""
        return NotificationRefused("a provider in memory sends no notifications")
