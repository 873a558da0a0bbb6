"""A refund request that a commerce platform owns, as the ticket here remembers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from jitui.aftersales.model.snapshot import OrderSnapshot

REQUESTED = "requested"
"""The `why` of the first row of every ticket's timeline."""


@dataclass(frozen=True, slots=True)
class PlatformRequestRef:
    """The request that a ticket stands for: its id there, the version that was read, and what it would refund."""

    platform: str
    request_id: str
    version: str
    amount_minor: int

    @property
    def detail(self) -> dict[str, object]:
        """The request as it stands in the first row of the ticket's timeline."""
        return {
            "platform": self.platform,
            "platform_request": self.request_id,
            "platform_version": self.version,
            "platform_amount_minor": self.amount_minor,
        }


def request_in(detail: Mapping[str, object]) -> PlatformRequestRef | None:
    """The request in a row of a timeline; None for a ticket that was asked for here."""
    if "platform_request" not in detail:
        return None
    return PlatformRequestRef(
        platform=str(detail["platform"]),
        request_id=str(detail["platform_request"]),
        version=str(detail["platform_version"]),
        amount_minor=int(str(detail["platform_amount_minor"])),
    )


def request_of(snapshot: OrderSnapshot, ticket_id: UUID) -> PlatformRequestRef | None:
    """The request that a ticket stands for."""
    asked = next((event for event in snapshot.timeline_of(ticket_id) if event.why == REQUESTED), None)
    return None if asked is None else request_in(asked.detail)
