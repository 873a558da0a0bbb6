"""A payment provider in memory, beside the store: it pays what it is asked, once for each attempt."""

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
    """See `jitui.aftersales.provider.PaymentProvider`; `answer` says what becomes of a refund that is new to it."""

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
        """As refunds and payments name it."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """The same attempt again is the same refund, and it can be looked up."""
        return BOTH

    async def send(self, instruction: RefundInstruction) -> RefundResult:
        """The answer of the first time, also to a repeat."""
        if instruction.attempt_id not in self.books:
            self.books[instruction.attempt_id] = self._answer(instruction)
        return self.books[instruction.attempt_id]

    async def look_up(self, instruction: RefundInstruction) -> RefundResult:
        """What the books say."""
        return self.books.get(instruction.attempt_id, RefundResult(RefundResultKind.NOT_FOUND))

    def read_notification(self, headers: Mapping[str, str], body: bytes, now: datetime) -> NotificationRefused:
        """It sends none."""
        return NotificationRefused("a provider in memory sends no notifications")
