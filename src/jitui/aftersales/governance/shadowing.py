"""What the policy in shadow has decided beside the live one so far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from jitui.aftersales.governance.policies import Policies
from jitui.aftersales.governance.publication import LogEntry, in_force
from jitui.aftersales.queries import Queries, ShadowReport

EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class ShadowNow:
    """The shadow that stands, the live policy beside which it decides, and the report since it began."""

    shadow: LogEntry
    live: LogEntry
    report: ShadowReport


async def shadow_now(policies: Policies, queries: Queries, *, examples: int = EXAMPLES) -> ShadowNow | None:
    """The report on the shadow that stands; None without one."""
    reading = await policies.standing()
    found = in_force(reading.entries, reading.read_at)
    if found is None or found.shadow is None:
        return None
    since: datetime = found.shadow.takes_effect_at
    report = await queries.shadow_report(found.shadow.sha256, since=since, examples=examples)
    return ShadowNow(found.shadow, found.live, report)
