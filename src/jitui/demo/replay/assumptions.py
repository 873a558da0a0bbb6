"""What a replay must assume because invoices do not tell it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import date, timedelta

from jitui.errors import BadInput


@dataclass(frozen=True, slots=True)
class ReplayAssumptions:
    """The assumed delays, the same on every day; what is replayed (file, days, number of orders) belongs to them."""

    history_sha256: str
    format_name: str
    policy_sha256: str
    dispatch_hours: int = 24
    complete_days: int = 7
    merchant_hours: int = 24
    since: date | None = None
    until: date | None = None
    limit_orders: int | None = None

    @property
    def dispatch_delay(self) -> timedelta:
        """From the order to the merchant's ship command."""
        return timedelta(hours=self.dispatch_hours)

    @property
    def complete_delay(self) -> timedelta:
        """From the ship command to the completion of the order."""
        return timedelta(days=self.complete_days)

    @property
    def merchant_delay(self) -> timedelta:
        """From a request in review to the merchant's approval, unless the deadline is earlier."""
        return timedelta(hours=self.merchant_hours)


def as_attributes(assumptions: ReplayAssumptions) -> dict[str, int | str | bool]:
    """The assumptions as attributes of the replayed shop, so that later runs know what this database holds."""
    return {f"replay_{name}": _plain(value) for name, value in asdict(assumptions).items()}


def refuse_others(assumptions: ReplayAssumptions, attributes: dict[str, int | str | bool]) -> None:
    """Raises BadInput, naming the differences, when a database holds a replay with other assumptions."""
    kept = as_attributes(assumptions)
    differing = [
        f"{field.name} was {_shown(attributes.get(name))} and is now {_shown(kept[name])}"
        for field in fields(ReplayAssumptions)
        if attributes.get(name := f"replay_{field.name}") != kept[name]
    ]
    if differing:
        raise BadInput(
            "This database holds a replay under other assumptions: "
            + "; ".join(differing)
            + ". Add --fresh to drop it and start again, or name another with --database-url."
        )


def _plain(value: object) -> int | str:
    return value if isinstance(value, int) else str(value or "")


def _shown(value: int | str | None) -> str:
    return "not set" if value in (None, "") else str(value)
