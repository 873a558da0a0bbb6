"""Which faults a refund meets: chosen by the last two digits of its amount, or by a seed and the reference."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from jitui.errors import BadInput


class OutcomeFault(StrEnum):
    """What happens to a refund, and to the response to the request for it."""

    DECLINED = "declined"
    PENDING_THEN_SUCCEEDED = "pending_then_succeeded"
    PENDING_THEN_FAILED = "pending_then_failed"
    SUCCEEDED_THEN_FAILED = "succeeded_then_failed"
    PAID_THEN_CLOSED = "paid_then_closed"
    PAID_THEN_500 = "paid_then_500"
    PAID_THEN_504 = "paid_then_504"
    STALLED_BEFORE_PAYING = "stalled_before_paying"


class WebhookFault(StrEnum):
    """What happens to the notifications about a refund."""

    DUPLICATE = "webhook_duplicate"
    LATE = "webhook_late"
    OUT_OF_ORDER = "webhook_out_of_order"


AMOUNT_TRIGGERS: Mapping[int, OutcomeFault | WebhookFault] = {
    1: OutcomeFault.DECLINED,
    2: OutcomeFault.PENDING_THEN_SUCCEEDED,
    3: OutcomeFault.PENDING_THEN_FAILED,
    4: OutcomeFault.SUCCEEDED_THEN_FAILED,
    5: OutcomeFault.PAID_THEN_CLOSED,
    6: OutcomeFault.PAID_THEN_500,
    7: OutcomeFault.PAID_THEN_504,
    8: OutcomeFault.STALLED_BEFORE_PAYING,
    11: WebhookFault.DUPLICATE,
    12: WebhookFault.LATE,
    13: WebhookFault.OUT_OF_ORDER,
}
"""The fault for each `amount_minor % 100`; for any other amount there is none."""


@dataclass(frozen=True, slots=True)
class FaultTiming:
    """How long the faults take, in milliseconds."""

    settle_ms: int = 400  # from pending to succeeded
    fail_ms: int = 800  # from accepted or succeeded to failed; may be days
    hold_ms: int = 15_000  # from a stalled request to its 504
    late_ms: int = 3_000  # the delay of a late webhook


@dataclass(frozen=True, slots=True)
class Faults:
    """No faults unless amounts are triggers or rates are given; a rate is a share of the refunds, 0 to 1."""

    by_amount: bool = False
    seed: int = 0
    rates: tuple[tuple[OutcomeFault | WebhookFault, float], ...] = ()
    timing: FaultTiming = field(default_factory=FaultTiming)


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """The faults of one refund; an outcome fault and a webhook fault can occur together."""

    outcome: OutcomeFault | None = None
    webhook: WebhookFault | None = None


SMOOTH = FaultPlan()

F = TypeVar("F", bound=StrEnum)


def parse_faults(text: str, timing: FaultTiming | None = None) -> Faults:
    """Read `off`, `amounts`, or `seed:42:declined=0.01,pending_then_succeeded=0.2`; raises BadInput."""
    chosen = timing or FaultTiming()
    if text in ("", "off"):
        return Faults(timing=chosen)
    if text == "amounts":
        return Faults(by_amount=True, timing=chosen)
    kind, _, rest = text.partition(":")
    seed, _, rates = rest.partition(":")
    if kind != "seed" or not seed.isdecimal() or not rates:
        raise BadInput(f"faults are 'off', 'amounts' or 'seed:NUMBER:NAME=RATE,…', not {text!r}", path="faults")
    return Faults(seed=int(seed), rates=_parse_rates(rates), timing=chosen)


def _parse_rates(text: str) -> tuple[tuple[OutcomeFault | WebhookFault, float], ...]:
    known: dict[str, OutcomeFault | WebhookFault] = {str(f): f for kind in (OutcomeFault, WebhookFault) for f in kind}
    rates: dict[OutcomeFault | WebhookFault, float] = {}
    for part in text.split(","):
        name, _, rate = part.strip().partition("=")
        if name not in known:
            raise BadInput(f"no fault is called {name!r}; there are {', '.join(known)}", path="faults")
        try:
            rates[known[name]] = float(rate)
        except ValueError:
            raise BadInput(f"the rate of {name} is a number from 0 to 1, not {rate!r}", path="faults") from None
    for kind in (OutcomeFault, WebhookFault):
        shares = [rate for fault, rate in rates.items() if isinstance(fault, kind)]
        if any(not 0 <= rate <= 1 for rate in shares) or sum(shares) > 1:
            raise BadInput("rates lie between 0 and 1 and those of one kind sum to at most 1", path="faults")
    return tuple(rates.items())


def plan_for(faults: Faults, reference: str, amount_minor: int) -> FaultPlan:
    """The faults of a refund; the same seed, reference and amount give the same ones on every machine."""
    if faults.by_amount:
        trigger = AMOUNT_TRIGGERS.get(amount_minor % 100)
        if trigger is None:
            return SMOOTH
        if isinstance(trigger, OutcomeFault):
            return FaultPlan(outcome=trigger)
        return _with_webhook_fault(None, trigger)
    if not faults.rates:
        return SMOOTH
    outcome = _draw(faults.seed, "outcome", reference, ((f, r) for f, r in faults.rates if isinstance(f, OutcomeFault)))
    webhook = _draw(faults.seed, "webhook", reference, ((f, r) for f, r in faults.rates if isinstance(f, WebhookFault)))
    return _with_webhook_fault(outcome, webhook)


def _with_webhook_fault(outcome: OutcomeFault | None, webhook: WebhookFault | None) -> FaultPlan:
    """Add a webhook fault. OUT_OF_ORDER needs two notifications, so the refund then changes its state."""
    if webhook is WebhookFault.OUT_OF_ORDER and outcome is None:
        outcome = OutcomeFault.PENDING_THEN_SUCCEEDED
    return FaultPlan(outcome, webhook)


def _draw(seed: int, kind: str, reference: str, rates: Iterable[tuple[F, float]]) -> F | None:
    digest = hashlib.blake2b(f"{seed}/{kind}/{reference}".encode(), digest_size=8).digest()
    point = int.from_bytes(digest) / 2**64
    for fault, rate in rates:
        point -= rate
        if point < 0:
            return fault
    return None
