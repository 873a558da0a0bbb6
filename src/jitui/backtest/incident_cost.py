"""What instant refunds are expected to cost: by the owner's own rates, and by what the history has on record.

An incident is an instant refund whose parcel had left already. A rate in percent is exact: `0.1` is a thousandth.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from fractions import Fraction

from jitui.errors import BadInput
from jitui.policy import Policy

DEFAULT_INCIDENT_PERCENT = 0.5
DEFAULT_INCIDENT_COST_PERCENT = 100.0
DEFAULT_REVIEW_MINUTES = 4.0


@dataclass(frozen=True, slots=True)
class CostRates:
    """The owner's rates: incidents in percent of instant refunds, the cost of one in percent of what was refunded.

    `review_minutes` is a merchant's time for one request.
    """

    incident_percent: float = DEFAULT_INCIDENT_PERCENT
    incident_cost_percent: float = DEFAULT_INCIDENT_COST_PERCENT
    review_minutes: float = DEFAULT_REVIEW_MINUTES


@dataclass(frozen=True, slots=True)
class ExpectedCost:
    """The expected cost of a number of instant refunds, and what is saved by not reviewing them."""

    instant: int
    instant_minor: int
    incidents: float
    cost_minor: int
    review_minutes_saved: int


def rates_of(
    policy: Policy, incident_percent: float, incident_cost_percent: float | None, review_minutes: float
) -> CostRates:
    """The rates that were given; what an incident costs is the policy's own `loss` where it was not."""
    cost = policy.loss.incident_cost_percent if incident_cost_percent is None else incident_cost_percent
    return CostRates(incident_percent, float(cost), review_minutes)


def check_rates(rates: CostRates) -> None:
    """Raises BadInput for a rate that is not a number from 0 up, and for an incident percentage above 100."""
    for name, value in asdict(rates).items():
        option = f"--{name.replace('_', '-')}"
        if not (math.isfinite(value) and value >= 0):
            raise BadInput(f"{option} is a number, 0 or above.", path=option)
    if rates.incident_percent > 100:
        raise BadInput(
            "--incident-percent is a share of the instant refunds: from 0 to 100.", path="--incident-percent"
        )


def expected_cost(instant: int, instant_minor: int, rates: CostRates) -> ExpectedCost:
    """The expected cost of these instant refunds, rounded half up to a minor unit.

    Every instant refund is taken to be as likely an incident as every other, whatever its amount.
    """
    incidents = instant * exact(rates.incident_percent) / 100
    cost = instant_minor * exact(rates.incident_percent) * exact(rates.incident_cost_percent) / 10_000
    minutes = instant * exact(rates.review_minutes)
    return ExpectedCost(instant, instant_minor, round(float(incidents), 1), _half_up(cost), _half_up(minutes))


def exact(number: float) -> Fraction:
    """The decimal number that a person wrote: 0.1 is a tenth, not the float nearest to it."""
    return Fraction(str(number))


def _half_up(value: Fraction) -> int:
    return int((2 * value + 1) // 2)
