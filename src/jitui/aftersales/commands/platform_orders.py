"""Orders of commerce platforms: nothing is decided on one that was not read there for this decision."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from jitui.aftersales.model.snapshot import OrderSnapshot
from jitui.aftersales.outcomes import Refusal, RefusalCode
from jitui.aftersales.platform import ASKED_HERE, ASKED_THERE

RETRY_AFTER_SECONDS = 30


class PlatformReading(StrEnum):
    """Whether an order was read at its platform for this decision, and whether what is recorded says the same."""

    NOT_READ = "not_read"
    AGREES = "agrees"
    DIFFERS = "differs"


def platform_of(snapshot: OrderSnapshot, platforms: Mapping[str, str]) -> str | None:
    """The platform that took the order's money; of an order without payments, the connected one of its shop.

    Also where it is no longer connected, or cannot be opened: then nobody knows what became of the order there.
    `platforms`: the connections, opened or not, by name, with the shop of each.
    """
    if snapshot.tenders:
        paid_through = (tender.provider for tender in snapshot.tenders)
        return next((name for name in paid_through if name in ASKED_HERE or name in platforms), None)
    return next((name for name, shop_id in platforms.items() if shop_id == snapshot.order.shop_id), None)


def platform_unavailable() -> Refusal:
    """The refusal for what cannot be decided, because nobody knows what became of the order there."""
    return Refusal(
        RefusalCode.PLATFORM_UNAVAILABLE,
        "The shop's own system cannot be read now, so nothing was decided and nothing was written. Try again shortly.",
        retry_after_seconds=RETRY_AFTER_SECONDS,
    )


_WITHOUT_READING = (
    RefusalCode.NOT_FOUND,
    RefusalCode.REFUND_IN_PROGRESS,
    RefusalCode.TOO_MANY_REQUESTS,
    RefusalCode.LINE_REQUEST_LIMIT,
)
"""What is refused whatever the platform says: whoever asks again and again does not make us read there."""


def must_be_read(
    snapshot: OrderSnapshot, platforms: Mapping[str, str], reading: PlatformReading, requested: object
) -> bool:
    """INVARIANT: an order of a platform is not decided on before it was read there for this decision.

    `requested`: what is asked for, or the refusal of it.
    """
    if reading is not PlatformReading.NOT_READ:
        return False
    if isinstance(requested, Refusal) and requested.code in _WITHOUT_READING:
        return False
    return platform_of(snapshot, platforms) is not None


def asked_elsewhere(snapshot: OrderSnapshot) -> Refusal | None:
    """The refusal of a request for money that a platform pays back on its own buyers' requests alone."""
    name = next((tender.provider for tender in snapshot.tenders if tender.provider in ASKED_THERE), None)
    if name is None:
        return None
    return Refusal(
        RefusalCode.ASKED_AT_PLATFORM,
        f"This order was paid on {name}, and its refund is asked for there; the request is decided from there.",
    )
