"""The format of a policy file's `guards`: what a canary of the policy is watched by."""

from __future__ import annotations

from jitui.policy.loading.file_kinds import DurationKind, IntegerKind, PolicyField, PolicySection

MAX_ABOVE_LIVE_PERCENT = 1000
MAX_COUNTS_AFTER_DAYS = 30
MAX_FALSE_ALARM_PERCENT = 20

_ABOVE_LIVE = "How far the canary may lie above the live policy, in percent of what the live policy has. 0: not at all."
_COUNTS_AFTER = "How old a request is when it counts. What happens to it later does not count, in either arm."


def _guard(above_live_percent: int, counts_after: str | None = None) -> PolicySection:
    """The form of a guard, with its defaults."""
    bound = PolicyField(
        "above_live_percent",
        IntegerKind(0, MAX_ABOVE_LIVE_PERCENT),
        _ABOVE_LIVE,
        str(above_live_percent),
        f"`{above_live_percent}`",
    )
    if counts_after is None:
        return PolicySection("a guard", (bound,))
    after = PolicyField(
        "counts_after", DurationKind("hd", MAX_COUNTS_AFTER_DAYS), _COUNTS_AFTER, counts_after, f"`{counts_after}`"
    )
    return PolicySection("a guard", (bound, after))


GUARDS = PolicySection(
    "guards",
    (
        PolicyField(
            "incident_rate",
            _guard(0, "48h"),
            "Of the requests approved at once, the share whose goods left all the same. `counts_after` is the time "
            "from a printed label to the carrier's scan. Ends the canary.",
            "{above_live_percent: 0, counts_after: 48h}",
            "the defaults below",
        ),
        PolicyField(
            "refund_failures",
            _guard(0, "1h"),
            "Of the requests approved at once, the share whose refund failed. Ends the canary.",
            "{above_live_percent: 0, counts_after: 1h}",
            "the defaults below",
        ),
        PolicyField(
            "money_out",
            _guard(25),
            "The money approved at once per request. Ends the canary.",
            "{above_live_percent: 25}",
            "the default below",
        ),
        PolicyField(
            "share_instant",
            _guard(50),
            "The share of requests approved at once. While it stands, the canary's share is not raised.",
            "{above_live_percent: 50}",
            "the default below",
        ),
        PolicyField(
            "repeat_requests",
            _guard(25),
            "The share of requests by buyers who asked within the week before. While it stands, the canary's share is "
            "not raised.",
            "{above_live_percent: 25}",
            "the default below",
        ),
        PolicyField(
            "false_alarm_percent",
            IntegerKind(1, MAX_FALSE_ALARM_PERCENT),
            "In how many of a hundred canaries that are no worse than their bounds a guard may end it all the same.",
            "5",
            "`5`",
        ),
    ),
)


def guard_sections() -> dict[str, PolicySection]:
    """The form of each guard, by its name."""
    return {field.name: field.kind for field in GUARDS.fields if isinstance(field.kind, PolicySection)}
