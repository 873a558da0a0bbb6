"""What a platform answers when it does not do what was asked, as rows that a test walks and a page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jitui.aftersales.platform import CallFailed, CallRefused
from jitui.aftersales.provider import CallTrouble

HEAD = "| status | code | what it means | Jitui | source |"


@dataclass(frozen=True)
class ToldError:
    """An answer to a refund. `trouble`: None where the platform refused for good, before anything was done."""

    status: int
    code: str
    body: str
    means: str
    trouble: CallTrouble | None
    reached: bool
    source: str
    html: bool = False

    @property
    def does(self) -> str:
        """What Jitui does about it, for the page."""
        if self.trouble is None:
            return "the refund fails, with this reason"
        return "unknown: looks up, and never asks twice" if self.reached else "asks again later"

    def is_read_as(self, answer: object) -> bool:
        """Whether an adapter's answer is what the row says."""
        if self.trouble is None:
            return isinstance(answer, CallRefused)
        return isinstance(answer, CallFailed) and answer.trouble is self.trouble and answer.reached is self.reached


def error_table(rows: Sequence[ToldError]) -> str:
    """The table of a page."""
    shown = [f"| {row.status} | {row.code or '—'} | {row.means} | {row.does} | {row.source} |" for row in rows]
    return "\n".join([HEAD, "|" + "---|" * 5, *shown])
