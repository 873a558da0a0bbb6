"""Whether a provider takes our credentials: it is asked for a refund that it cannot have. Reads, never writes."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from jitui.aftersales.provider import CallTrouble, PaymentProvider, RefundInstruction

_NOBODYS = UUID("6a697475-6900-4000-8000-70726f626500")


@dataclass(frozen=True, slots=True)
class ProviderProblem:
    """Why a provider cannot be worked with."""

    trouble: CallTrouble
    reason: str


async def probe(provider: PaymentProvider) -> ProviderProblem | None:
    """The provider's trouble; None where it answers as a provider that knows us and has no such refund.

    Its key is looked at before the refund is, so that an answer about the refund proves the key.
    """
    nobodys = RefundInstruction(
        attempt_id=_NOBODYS,
        provider=provider.name,
        payment_id="pi_jitui_probe",
        order_id="jitui-probe",
        amount_minor=1,
        currency="CNY",
        captured_minor=1,
    )
    found = await provider.look_up(nobodys)
    return None if found.trouble is None else ProviderProblem(found.trouble, found.reason)
