"""The differences between the caps of two policies, as sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields

from jitui.money import to_decimal_text
from jitui.policy.caps import CAP_SCOPES
from jitui.policy.model import LoadedPolicy
from jitui.policy.sections import Cap


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One difference. `name` is the key in the file; `decides`: the same request can be decided differently."""

    name: str
    what: str
    decides: bool
    used_by: tuple[str, ...] = ()


_CAP_FACTS = {key: f"caps.{scope}_ok" for key, scope in CAP_SCOPES.items()}


def cap_changes(
    old: LoadedPolicy, new: LoadedPolicy, readers: Callable[[LoadedPolicy, str], Iterable[str]]
) -> Iterator[PolicyChange]:
    """The caps that differ; `readers` are the rules of a policy that read a fact."""
    if old.caps.alerts_at_percent != new.caps.alerts_at_percent:
        shares = (", ".join(map(str, one.caps.alerts_at_percent)) or "none" for one in (old, new))
        yield PolicyChange("caps.alerts_at_percent", " → ".join(shares), decides=False)
    for scope in _CAP_FACTS:
        before, after = getattr(old.caps, scope), getattr(new.caps, scope)
        if before == after:
            continue
        users = tuple(dict.fromkeys((*readers(old, _CAP_FACTS[scope]), *readers(new, _CAP_FACTS[scope]))))
        name = f"caps.{scope}"
        if before is None or after is None:
            cap, state = (after, "added") if before is None else (before, "removed")
            means = "stricter" if before is None else "looser"
            yield PolicyChange(name, f"{state}: {_cap(cap)}: {means}", bool(users), users)
            continue
        for field in fields(Cap):
            one, other = getattr(before, field.name), getattr(after, field.name)
            if one != other:
                what = f"{_cap_value(field.name, one, old)} → {_cap_value(field.name, other, new)}"
                key = field.name.removesuffix("_seconds")
                comparable = key != "amount_minor" or old.currency == new.currency
                means = _cap_means(field.name, one, other) if comparable else ""
                yield PolicyChange(f"{name}.{key}", f"{what}{means}", bool(users), users)


def _cap(cap: Cap) -> str:
    limits = [f"{name} {value}" for name, value in (("count", cap.count), ("amount_minor", cap.amount_minor))
              if value is not None]  # fmt: skip
    return f"{', '.join(limits)} over {span(cap.over_seconds)}"


def _cap_value(name: str, value: int | None, policy: LoadedPolicy) -> str:
    if value is None:
        return "no limit"
    if name == "over_seconds":
        return span(value)
    return f"{to_decimal_text(value, policy.currency)} {policy.currency}" if name == "amount_minor" else str(value)


def _cap_means(name: str, old: int | None, new: int | None) -> str:
    """Whether the cap became stricter: smaller limits and longer windows are stricter; no limit is the least strict."""
    infinite = float("inf")
    one, other = (infinite if value is None else value for value in (old, new))
    grown = other > one
    return ": stricter" if grown == (name == "over_seconds") else ": looser"


def span(seconds: int) -> str:
    """The seconds as a policy file has them."""
    return f"{seconds // 86_400}d" if seconds % 86_400 == 0 else f"{seconds // 3_600}h"
