"""Templates of a shop's rejections: a code and words under a name, so that an answer given often is written once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from jitui.aftersales.model.review import RejectionCode
from jitui.aftersales.outcomes import Refusal, RefusalCode

MOST_TEMPLATES = 100
"""The most templates of a shop."""


@dataclass(frozen=True, slots=True)
class ReviewTemplate:
    """The row of a template; a rejection copies it, so a later change changes no rejection."""

    shop_id: str
    name: str
    reason_code: RejectionCode
    reason: str
    updated_at: datetime
    updated_by: str


class ReviewTemplates(Protocol):
    """Reads and keeps the templates of shops."""

    async def list(self, shop_id: str) -> Sequence[ReviewTemplate]:
        """All of a shop's, by name."""
        ...

    async def get(self, shop_id: str, name: str) -> ReviewTemplate | None: ...

    async def put(self, template: ReviewTemplate) -> Refusal | None:
        """Create or replace it; a refusal when the shop has too many."""
        ...

    async def delete(self, shop_id: str, name: str) -> bool:
        """Whether there was one."""
        ...


def too_many_templates() -> Refusal:
    """The refusal of one template more."""
    return Refusal(
        RefusalCode.TOO_MANY_REVIEW_TEMPLATES, f"A shop has at most {MOST_TEMPLATES} templates; delete one first."
    )
